"""How far a point fit was from the posterior: parameters, memberships, partition, fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix import passes
from bayesmix.compared_fit import FitGap, fit_gap, mixture_of_point, structure_of_point
from bayesmix.compared_tables import CONFIDENT, components_table, memberships_table
from bayesmix.diagnostics import identified
from bayesmix.draws import Draws, data_of, draws_of, log_likelihoods, point_of, require_posterior
from bayesmix.html.elements import block, sentences, table
from bayesmix.html.numbers import to_errors
from bayesmix.membership import membership
from bayesmix.partition_spread import PartitionDistance, distance_from
from bayesmix.relabel import relabel
from bayesmix.schema import (
    BY_DRAW,
    choice_of_clusters,
    chosen_clusters,
    group,
    mixture_of,
    point_estimate,
    varies,
)
from bayesmix.wording import initial

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.findings import Finding
    from bayesmix.mixture import Mixture

__all__ = ["Comparison", "compare_to_posterior"]


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """A point fit beside the posterior."""

    components: pd.DataFrame
    """One row per component and parameter (weight, mean, sd, correlation): the point's value; the
    posterior's mean, sd and interval; ``z``, the point's distance from the mean in sds; and
    ``tail_probability``, twice the smaller share of draws on one side of the point."""
    memberships: pd.DataFrame
    """One row per row of the data: the point's label and probability; the posterior's probability
    of that label with sd and interval; the posterior's own label and probability; entropy in
    bits; ``overconfident``: the point is more than 95 % sure and the posterior is not."""
    partition: PartitionDistance
    """The point's partition, of most probable components, against the draws'."""
    fit: FitGap
    """Log posterior or log-likelihood of the point beside the draws'."""
    identification: Finding
    """Whether the components can be told apart: the verdict of `diagnose`."""
    point: xr.Dataset
    """Weights, means and covariances of the point, with the names of the posterior's components and
    features."""
    post: xr.DataTree
    """The posterior, relabeled to the point's order."""

    @property
    def trees(self) -> dict[str, xr.DataTree]:
        """Both, ready for ``arviz.plot_forest(comparison.trees, var_names=["means"])``.

        The point stands at every draw of the posterior, as ArviZ puts them side by side.
        """
        import xarray as xr

        draws = {name: self.post["posterior"][name].values for name in BY_DRAW}
        repeated = self.point.expand_dims(draws)
        return {"EM": xr.DataTree.from_dict({"posterior": repeated}), "posterior": self.post}

    @property
    def n_overconfident(self) -> int:
        """Rows that the point assigns with more than 95 % and the posterior does not."""
        return int(self.memberships["overconfident"].sum())

    @property
    def n_confident(self) -> int:
        """Rows that the point assigns with more than 95 %."""
        return int((self.memberships["point_probability"] > CONFIDENT).sum())

    @property
    def n_moved(self) -> int:
        """Rows whose most probable component differs."""
        return int((self.memberships["point_label"] != self.memberships["label"]).sum())

    @property
    def advice(self) -> str:
        """That verdict in words."""
        return self.identification.message

    def sentences(self) -> list[str]:
        """The comparison in words; where components cannot be read, that as well."""
        sure = (
            f"EM assigns {self.n_confident:,} of {len(self.memberships):,} rows with more than "
            f"{CONFIDENT:.0%} probability; for {self.n_overconfident:,} of them the posterior "
            "does not."
        )
        moved = f"{_count(self.n_moved)} another most probable component under the posterior."
        chosen = chosen_clusters(self.post)
        said = [
            self._among(chosen, sure),
            self._among(chosen, moved),
            self._among(self.partition.n_clusters, self._distances()),
            self._among(chosen, self.fit.sentence()),
        ]
        return [*said, self._verdict] if self._misleading else said

    @property
    def _misleading(self) -> bool:
        return self.identification.severity == "warning"

    @property
    def _verdict(self) -> str:
        return f"{initial(self.advice)}."

    def _among(self, n_clusters: int | None, sentence: str) -> str:
        """Say of which draws a sentence is, where their number of components varied."""
        if chosen_clusters(self.post) is None:
            return sentence
        which = "all draws"
        if n_clusters is not None:
            share = group(self.post, "relabeling").attrs["kept"]
            plural = "s" if n_clusters > 1 else ""
            which = f"the {share:.0%} of the draws with {n_clusters} cluster{plural}"
        own = sentence if sentence.startswith("EM") else initial(sentence, str.lower)
        return f"Among {which}: {own}"

    def _distances(self) -> str:
        found = self.partition
        lower, upper = np.quantile(found.variation, (0.05, 0.95))
        return (
            f"EM's partition is {found.variation.mean():.3g} bits from a draw's (variation of "
            f"information; 90% of the draws {lower:.3g} to {upper:.3g}), and two draws are "
            f"{found.variation_of_draws.mean():.3g} from each other; adjusted Rand index "
            f"{found.rand.mean():.3f}, of two draws {found.rand_of_draws.mean():.3f}."
        )

    def plot(self) -> NDArray[np.object_]:
        """Draw the least certain rows, and below them fit and partition of point and draws.

        Returns
        -------
        ndarray of matplotlib Axes, shape (3,)
        """
        from bayesmix.plots import compared

        return compared(self)

    def _with_advice(self) -> list[str]:
        said = self.sentences()
        return said if self._misleading else [*said, self._verdict]

    def __repr__(self) -> str:
        return "\n".join(self._with_advice())

    def _repr_html_(self) -> str:
        shown = self.components.rename(columns={"point": "EM"}).set_index(
            ["component", "parameter"]
        )
        correlations = shown.index.get_level_values("parameter").str.startswith("correlation")
        left_out = " Correlations are in the attribute components." if correlations.any() else ""
        return block(
            "EM beside the posterior",
            sentences(self._with_advice()),
            table(
                to_errors(shown[~correlations], ("EM", "mean", "lower", "upper", "sd"), "sd"),
                "EM, and the posterior's mean, sd and interval. z: how many sds EM is from the "
                "mean; tail_probability: twice the smaller share of draws on one side of EM."
                f"{left_out}",
            ),
        )


def compare_to_posterior(
    point: Any,
    post: xr.DataTree,
    *,
    mixture: Mixture | None = None,
    ci_prob: float | None = None,
) -> Comparison:
    """Set a point fit beside a posterior of the same rows.

    Their covariance structures may differ: what both have is compared, correlations as well if one
    of them has any.

    Parameters
    ----------
    point : GaussianMixture or DataTree
        A fitted estimator (ours or scikit-learn's), or a tree of `fit_em`.
    post : DataTree
        With the groups ``posterior`` and ``observed_data``; relabeled to the point's order. Where
        the number of components varies, parameters, memberships and fit are compared with the
        draws that have as many clusters as the point has components, see `relabel`, and
        partitions with all draws.
    mixture : Mixture, optional
        The posterior's model, by default the tree's own. With it log posteriors are compared where
        the point is their maximum: it has to be of `fit_em` with the same mixture, and nothing
        random in it that EM holds fixed. Else log-likelihoods are.
    ci_prob : float, optional
        Mass of the equal-tailed intervals; default ArviZ's.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If the point is not fitted, its shape is not the posterior's, or no draw has so many
        clusters.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
    >>> em = bm.fit_em(mixture, x, random_seed=1)
    >>> post = bm.sample(mixture, x, random_seed=1)
    >>> bm.compare_to_posterior(em, post).n_overconfident
    0
    """
    reference, fitted = point_of(point), mixture_of_point(point)
    n_components = reference.sizes["component"]
    partitions = post if varies(post) and "allocation" in post.children else None
    if varies(post):
        _require_clusters(post, n_components)
        post = relabel(post, reference=reference, n_clusters=n_components)
    else:
        require_posterior(post)
        post = relabel(post, reference=reference)
    draws, table = draws_of(post, mixture), data_of(post)
    found = membership(post, ci_prob=ci_prob, mixture=mixture)
    names = found["component"].values.tolist()
    own = _one_draw(reference, fitted)
    model = mixture_of(post, mixture)
    likelihoods = float(log_likelihoods(own, table.values)[0]), log_likelihoods(draws, table.values)
    resp = passes.responsibilities(table.values, own.parameters)[0]
    return Comparison(
        components=components_table(own, draws, names, list(table.features), ci_prob),
        memberships=memberships_table(resp, found),
        partition=distance_from(resp.argmax(axis=1), post if partitions is None else partitions),
        fit=fit_gap(own, fitted, draws, model, likelihoods),
        identification=identified(post),
        point=point_estimate(
            own.weights[0], own.means[0], own.covariances[0], table.features
        ).assign_coords(component=names),
        post=post,
    )


def _count(n: int) -> str:
    return {0: "No row has", 1: "One row has"}.get(n, f"{n:,} rows have")


def _require_clusters(post: xr.DataTree, n_components: int) -> None:
    if not (group(post, "posterior")["n_clusters"] == n_components).any():
        raise ValueError(
            f"point: expected as many components as some draw has clusters, got {n_components}, "
            f"which none has; {choice_of_clusters(post)}: fit EM with as many components"
        )


def _one_draw(reference: xr.Dataset, fitted: Mixture | None) -> Draws:
    values = (reference[name].values[None] for name in ("weights", "means", "covariances"))
    return Draws(structure_of_point(fitted), 1, *values)
