"""How far a point fit was from the posterior: parameters, memberships, fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix import passes
from bayesmix.covariance import structure_of
from bayesmix.draws import (
    Draws,
    data_of,
    draws_of,
    log_likelihoods,
    point_of,
    require_posterior,
)
from bayesmix.membership import interval, membership
from bayesmix.relabel import relabel

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Comparison", "compare_to_posterior"]

CONFIDENT = 0.95


@dataclass(frozen=True, eq=False)
class Comparison:
    """A point fit beside the posterior of the same mixture."""

    components: pd.DataFrame
    """One row per component and parameter (weight, mean, sd, correlation): the point's value; the
    posterior's mean, sd and interval; ``z``, the point's distance from the mean in sds; and
    ``tail_probability``, twice the smaller share of draws on one side of the point."""
    memberships: pd.DataFrame
    """One row per row of the data: the point's label and probability; the posterior's probability
    of that label with sd and interval; the posterior's own label and probability; entropy in
    bits; ``overconfident``: the point is more than 95 % sure and the posterior is not."""
    log_likelihood: float
    """Of the point."""
    log_likelihood_draws: Floats
    """Of the posterior's draws, (S,)."""
    advice: str
    """Whether the components can be told apart."""
    post: xr.DataTree
    """The posterior, relabeled to the point's order."""

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

    def sentences(self) -> list[str]:
        """The comparison in words."""
        return [
            f"EM assigns {self.n_confident} of {len(self.memberships)} rows with more than "
            f"{CONFIDENT:.0%} probability; for {self.n_overconfident} of them the posterior does "
            "not.",
            f"{_count(self.n_moved)} another most probable component under the posterior.",
            self._log_likelihoods(),
        ]

    def _log_likelihoods(self) -> str:
        draws = self.log_likelihood_draws
        if self.log_likelihood > draws.mean():
            verdict = "a point fit sits above most draws, because they spread around it"
        elif self.log_likelihood >= draws.min():
            verdict = "the point fits no better than a typical draw"
        else:
            verdict = (
                "the point fits worse than every draw, so it is not the optimum, or of another "
                "model"
            )
        return (
            f"Log-likelihood of EM {self.log_likelihood:.2f}; of the draws {draws.mean():.2f} ± "
            f"{draws.std():.2f}: {verdict}."
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the least certain rows: the point's probability beside the posterior's."""
        from bayesmix.plots import confidence

        return confidence(self, ax=ax)

    def _repr_html_(self) -> str:
        from html import escape

        lines = "".join(f"<li>{escape(s)}</li>" for s in [*self.sentences(), self.advice])
        return f"<ul>{lines}</ul>" + self.components.to_html(
            index=False, float_format="{:.4g}".format
        )


def compare_to_posterior(
    point: Any, post: xr.DataTree, *, ci_prob: float | None = None
) -> Comparison:
    """Set a point fit beside the posterior of the same mixture.

    Parameters
    ----------
    point : GaussianMixture or DataTree
        A fitted estimator (ours or scikit-learn's), or a tree of `fit_em`.
    post : DataTree
        With the groups ``posterior`` and ``observed_data``; relabeled to the point's order.
    ci_prob : float, optional
        Mass of the equal-tailed intervals; default ArviZ's.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If the point is not fitted, or its shape is not the posterior's.

    Examples
    --------
    >>> import bayesmix as bm
    >>> post = bm.sample(mixture, x, random_seed=1)  # doctest: +SKIP
    >>> bm.compare_to_posterior(em, post).n_overconfident  # doctest: +SKIP
    """
    reference = point_of(point)
    features = [str(f) for f in require_posterior(post)["feature"].values]
    post = relabel(post, reference=reference)
    draws, table = draws_of(post), data_of(post)
    weights, means, covariances = (
        reference[name].values for name in ("weights", "means", "covariances")
    )
    own = Draws(structure_of("full"), 1, weights[None], means[None], covariances[None])
    return Comparison(
        components=_components(own, draws, features, ci_prob),
        memberships=_memberships(
            passes.responsibilities(table.values, own.parameters)[0],
            membership(post, ci_prob=ci_prob),
        ),
        log_likelihood=float(log_likelihoods(own, table.values)[0]),
        log_likelihood_draws=log_likelihoods(draws, table.values),
        advice=str(post["relabeling"].attrs["advice"]),
        post=post,
    )


def _count(n: int) -> str:
    return {0: "No row has", 1: "One row has"}.get(n, f"{n} rows have")


def _components(
    point: Draws, draws: Draws, features: list[str], ci_prob: float | None
) -> pd.DataFrame:
    import pandas as pd

    correlated = draws.structure.correlated
    names, values = _readable(draws, features, correlated)
    at_point = _readable(point, features, correlated)[1][0]
    lower, upper = np.quantile(values, interval(ci_prob), axis=0)
    mean, sd = values.mean(axis=0), values.std(axis=0)
    below = (values < at_point).mean(axis=0)
    above = (values > at_point).mean(axis=0)
    table = pd.DataFrame(names, columns=["component", "parameter"])
    return table.assign(
        point=at_point,
        mean=mean,
        sd=sd,
        lower=lower,
        upper=upper,
        z=np.divide(at_point - mean, sd, out=np.zeros_like(sd), where=sd > 0),
        tail_probability=np.minimum(1, 2 * np.minimum(1 - below, 1 - above)),
    )


def _readable(
    draws: Draws, features: list[str], correlated: bool
) -> tuple[list[tuple[int, str]], Floats]:
    """Parameters in the units of the data, (S, parameters): weights, means, sds, correlations."""
    names: list[tuple[int, str]] = []
    columns: list[Floats] = []
    pairs = [(i, j) for i in range(len(features)) for j in range(i)]
    for k in range(draws.weights.shape[1]):
        covariance = draws.covariances[:, k]
        sd = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
        names.append((k, "weight"))
        columns.append(draws.weights[:, k])
        for j, feature in enumerate(features):
            names.append((k, f"mean {feature}"))
            columns.append(draws.means[:, k, j])
        for j, feature in enumerate(features):
            names.append((k, f"sd {feature}"))
            columns.append(sd[:, j])
        if correlated:
            for i, j in pairs:
                names.append((k, f"correlation {features[j]}, {features[i]}"))
                columns.append(covariance[:, i, j] / (sd[:, i] * sd[:, j]))
    return names, np.stack(columns, axis=1)


def _memberships(resp: Floats, found: xr.Dataset) -> pd.DataFrame:
    import pandas as pd

    rows = np.arange(len(resp))
    label = resp.argmax(axis=1)
    probability = resp.max(axis=1)
    posterior = found["probability"].values[rows, label]
    return pd.DataFrame(
        {
            "point_label": label,
            "point_probability": probability,
            "posterior_probability": posterior,
            "posterior_sd": found["probability_sd"].values[rows, label],
            "posterior_lower": found["probability_lower"].values[rows, label],
            "posterior_upper": found["probability_upper"].values[rows, label],
            "label": found["label"].values,
            "label_probability": found["label_probability"].values,
            "entropy": found["entropy"].values,
            "overconfident": (probability > CONFIDENT) & (posterior <= CONFIDENT),
        },
        index=pd.Index(found["obs"].values, name="obs"),
    )
