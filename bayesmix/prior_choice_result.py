"""How many clusters, under several priors side by side: the tables, and what they say in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.cluster_counts import n_clusters, r_hat_of
from bayesmix.diagnostics import CHECKABLE, DIFFERENT_MODES, RHAT_LIMIT
from bayesmix.html.elements import block, sentences, table
from bayesmix.html.numbers import with_errors
from bayesmix.label_draws import occupied
from bayesmix.prior_clusters import prior_n_clusters
from bayesmix.stick_priors import StickPrior

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.mixture import Mixture
    from bayesmix.stick_priors import WeightPrior

    Floats = NDArray[np.float64]

__all__ = ["PriorChoice", "prior_numbers", "summarized"]

_MOST_NAMED = 4
_ENDS = (0.05, 0.95)


@dataclass(frozen=True, eq=False, repr=False)
class PriorChoice:
    """The number of clusters K+ under several priors; made by `compare_priors`."""

    table: pd.DataFrame
    """Index (``prior``, ``k``), k from 1 to the most clusters in any draw: posterior probability
    ``p`` of k clusters, its Monte Carlo standard error ``p_mcse`` (see `n_clusters`), and the prior
    probability ``p_prior``, whose rest is beyond."""
    summary: pd.DataFrame
    """Index ``prior``: most probable number of clusters ``n_clusters``, its ``p``, ``p_mcse`` and
    ``p_prior``; of the number its ``mean``, the central range ``lower`` to ``upper`` that has nine
    tenths of the probability, and ``r_hat`` (NaN where it never changed, or there is nothing to
    check it by); ``prior_mode``, the number most probable before the data."""
    mixtures: dict[str, Mixture]
    """All that were to be compared."""
    trees: dict[str, xr.DataTree]
    """Draws of each; after an interrupt the last may have fewer, and those after it are missing."""

    @classmethod
    def of(
        cls, mixtures: Mapping[str, Mixture], trees: Mapping[str, xr.DataTree], n: int
    ) -> PriorChoice:
        """Compare mixtures that are sampled already.

        Parameters
        ----------
        mixtures : mapping of names to Mixture
        trees : mapping of names to DataTree
            Draws of all mixtures, or of some.
        n : int
            Number of rows.

        Raises
        ------
        ValueError
            If there is no tree, or one without a mixture.
        """
        if not trees or not trees.keys() <= mixtures.keys():
            raise ValueError(
                f"trees: expected at least one, named as the mixtures ({', '.join(mixtures)}), "
                f"got {', '.join(trees) or 'none'}"
            )
        return summarized(mixtures, trees, prior_numbers(mixtures.values(), n))

    def sentences(self) -> list[str]:
        """The comparison in words: the answers, then what speaks against trusting them."""
        return [self._answers(), *self.cautions()]

    def _answers(self) -> str:
        found = self.summary
        if found["n_clusters"].nunique() == 1:
            k = found["n_clusters"].iloc[0]
            every = "" if len(found) == 1 else f" under all {len(found)} priors"
            each = [f"{name} {share:.2f}" for name, share in found["p"].items()]
            clusters = "1 cluster is" if k == 1 else f"{k} clusters are"
            return f"{clusters} the most probable number{every}: {_listed(each)}."
        each = [
            f"{name} {row.n_clusters} ({row.lower} to {row.upper})"
            for name, row in zip(found.index, found.itertuples(), strict=True)
        ]
        return (
            "The most probable number of clusters, and the range with nine tenths of the "
            f"probability: {_listed(each)}."
        )

    def cautions(self) -> list[str]:
        """What speaks against trusting the numbers, in words."""
        found = self.summary
        apart = found["r_hat"] > DIFFERENT_MODES
        near = (found["r_hat"] > RHAT_LIMIT) & ~apart
        said = {
            f"Not to be trusted yet, as the chains disagree (R-hat above {DIFFERENT_MODES}); take "
            "more draws, or thin more": [*found.index[apart]],
            f"The chains have not quite met (R-hat above {RHAT_LIMIT}), so that errors are rough": [
                *found.index[near]
            ],
            f"Not checked, which takes two chains or more, of at least {CHECKABLE} draws": [
                *found.index[found["r_hat"].isna() & (found["p"] < 1)]
            ],
            "Clusters get ever more as rows come in, and do not tell the number of components, "
            "where the concentration is stated": [
                name for name in found.index if _inconsistent(self.mixtures[name].weights)
            ],
            "Interrupted before all draws were made": [
                name
                for name in self.mixtures
                if name not in self.trees or self.trees[name].attrs.get("interrupted")
            ],
        }
        return [f"{words}: {self._which(names)}." for words, names in said.items() if names]

    def _which(self, names: list[str]) -> str:
        few = len(names) <= _MOST_NAMED
        return ", ".join(names) if few else f"{len(names)} of {len(self.mixtures)} priors"

    def plot(self) -> NDArray[np.object_]:
        """Draw the posterior of the number of clusters under each prior, the prior as an outline.

        Returns
        -------
        ndarray of matplotlib Axes, shape (number of priors,)
        """
        from bayesmix.plots import prior_choice

        return prior_choice(self)

    def __repr__(self) -> str:
        return "\n".join([self.summary.to_string(float_format="{:.3g}".format), *self.sentences()])

    def _repr_html_(self) -> str:
        return block(
            "Number of clusters under several priors",
            sentences(self.sentences()),
            table(
                with_errors(self.summary),
                "The most probable number of clusters under each prior, its probability p ± Monte "
                "Carlo standard error; mean and nine tenths of all numbers, and the prior's mode.",
            ),
        )


def prior_numbers(mixtures: Iterable[Mixture], n: int) -> dict[WeightPrior, Floats]:
    """Prior of the number of clusters among n rows under the weights of each mixture."""
    return {weights: prior_n_clusters(weights, n) for weights in {m.weights for m in mixtures}}


def summarized(
    mixtures: Mapping[str, Mixture],
    trees: Mapping[str, xr.DataTree],
    priors: Mapping[WeightPrior, Floats],
) -> PriorChoice:
    """Compare draws, given `prior_numbers`."""
    import pandas as pd

    clusters = {name: occupied(post, random_seed=0) for name, post in trees.items()}
    most = max(int(values.max()) for values in clusters.values())
    tables, rows = {}, {}
    for name, post in trees.items():
        prior = priors[mixtures[name].weights]
        tables[name] = _table(post, prior, most)
        rows[name] = _row(tables[name], clusters[name], prior)
    summary = pd.DataFrame.from_dict(rows, orient="index").rename_axis("prior")
    return PriorChoice(pd.concat(tables, names=["prior"]), summary, dict(mixtures), dict(trees))


def _row(table: pd.DataFrame, clusters: NDArray[np.int64], prior: Floats) -> dict[str, float]:
    """A row of the summary."""
    best = int(table["p"].to_numpy().argmax()) + 1
    lower, upper = np.quantile(clusters, _ENDS, method="inverted_cdf")
    return {
        "n_clusters": best,
        **{str(name): column.loc[best] for name, column in table.items()},
        "mean": clusters.mean(),
        "lower": int(lower),
        "upper": int(upper),
        "r_hat": r_hat_of(clusters),
        "prior_mode": int(prior.argmax()) + 1,
    }


def _table(post: xr.DataTree, prior: Floats, most: int) -> pd.DataFrame:
    """Posterior and prior of 1, ..., most clusters."""
    found = n_clusters(post)[["n_clusters", "n_clusters_mcse"]].set_axis(["p", "p_mcse"], axis=1)
    found = found.reindex(np.arange(1, most + 1)).rename_axis("k").fillna({"p": 0.0})
    return found.assign(p_prior=np.pad(prior, (0, max(0, most - len(prior))))[:most])


def _inconsistent(weights: WeightPrior) -> bool:
    """Whether clusters get ever more as rows come in, for want of a prior on the concentration."""
    return isinstance(weights, StickPrior) and weights.varying and not weights.random_concentration


def _listed(names: list[str]) -> str:
    rest = [f"{len(names) - _MOST_NAMED} more"] if len(names) > _MOST_NAMED else []
    return ", ".join([*names[:_MOST_NAMED], *rest])
