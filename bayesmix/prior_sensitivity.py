"""How the number of clusters answers to the concentration and to the scale of the components."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

from bayesmix.diagnostics import DIFFERENT_MODES
from bayesmix.html.elements import block, sentences, table
from bayesmix.inputs import as_table
from bayesmix.mixture import require_mixture
from bayesmix.prior_choice import compare_priors
from bayesmix.scalar_priors import require_positive
from bayesmix.scaled_priors import with_concentration, with_scale
from bayesmix.wording import counted

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from bayesmix.inputs import RandomSeed
    from bayesmix.mixture import Mixture
    from bayesmix.prior_choice_result import PriorChoice

__all__ = ["Sensitivity", "sensitivity"]

_FACTORS = (0.25, 1.0, 4.0)
_MATTERS = 0.5  # of a cluster, on average


@dataclass(frozen=True, eq=False, repr=False)
class Sensitivity:
    """The number of clusters K+ under a grid of priors; made by `sensitivity`."""

    table: pd.DataFrame
    """Index ``concentration``, columns ``scale``, by which factors they are multiplied: the most
    probable number of clusters, with its posterior probability, as "3 (0.92)"; "–" where an
    interrupt came before."""
    summary: pd.DataFrame
    """Index (``concentration``, ``scale``); the columns of `PriorChoice`'s summary."""
    choice: PriorChoice
    """All priors of the grid side by side, with their draws."""

    def sentences(self) -> list[str]:
        """The answer in words, then what speaks against trusting it."""
        numbers = self.summary["n_clusters"]
        low, high, of = numbers.min(), numbers.max(), f"under {counted(len(numbers), 'prior')}"
        if low == high:
            said = f"{counted(low, 'cluster')} {of}, with probability {self._probabilities()}."
        else:
            said = f"From {low} to {high} clusters {of}{self._as_stated()}."
        return [said, *self._directions(), *self.choice.cautions()]

    def _probabilities(self) -> str:
        low, high = self.summary["p"].min(), self.summary["p"].max()
        return f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"

    def _as_stated(self) -> str:
        if (1.0, 1.0) not in self.summary.index:
            return ""
        stated = self.summary["n_clusters"].loc[[(1.0, 1.0)]].item()
        return f", {stated} as stated"

    def _directions(self) -> list[str]:
        """Which way the number goes where chains agree, and mean and most probable number do."""
        if (self.summary["r_hat"] > DIFFERENT_MODES).any():
            return []
        mean, mode = (self.summary[name].unstack().to_numpy() for name in ("mean", "n_clusters"))
        said = []
        for words, axis in (("wider components make", 0), ("a larger concentration makes", 1)):
            along = [values.mean(axis=axis) for values in (mean, mode)]
            steps = [values[-1] - values[0] for values in along]
            if abs(steps[0]) >= _MATTERS and steps[0] * steps[1] > 0:
                said.append(f"{words} for {'more' if steps[0] > 0 else 'fewer'} clusters")
        found = "; ".join(said)
        return [f"On average {found}."] if said else []

    def plot(self) -> Axes:
        """Draw the table, colored by the posterior mean of the number of clusters."""
        from bayesmix.plots import prior_sensitivity

        return prior_sensitivity(self)

    def __repr__(self) -> str:
        return "\n".join([self.table.to_string(), *self.sentences()])

    def _repr_html_(self) -> str:
        factors = "by what the concentration and the scale of the components are multiplied"
        return block(
            "Number of clusters as the prior changes",
            sentences(self.sentences()),
            table(self.table, f"Most probable number (its probability), {factors}."),
        )


def sensitivity(
    mixture: Mixture,
    x: Any,
    *,
    concentration: Iterable[float] = _FACTORS,
    scale: Iterable[float] = _FACTORS,
    draws: int = 1000,
    thin: int | None = None,
    chains: int = 4,
    random_seed: RandomSeed = None,
    progressbar: bool = True,
) -> Sensitivity:
    r"""Multiply the concentration and the components' scale, and see what becomes of the clusters.

    Every pair of factors is a prior, sampled by itself. The scale S of the covariances, or the law
    of a random one, is multiplied as if features were measured in other units, but the prior of the
    means is not: under `NormalInverseWishart` it widens with the covariances, otherwise it stays. A
    larger concentration makes for more clusters before the data; wider components take the place of
    several. K, or its prior, stays as it is.

    Parameters
    ----------
    mixture : Mixture
        With a component prior, and the same concentration for every component.
    x : (n, D) array_like or DataFrame
        The data, used as they are.
    concentration, scale : iterable of float, default (1/4, 1, 4)
        Factors above 0.
    draws : int, default 1000
        Draws kept per chain and prior.
    thin : int, optional
        Sweeps per draw kept; default as in `choose_k`.
    chains : int, default 4
    random_seed : int, SeedSequence or Generator, optional
    progressbar : bool, default True

    Returns
    -------
    Sensitivity
        Of what was sampled before an interrupt, if there is one.

    Raises
    ------
    ValueError
        If a factor is not above 0, or the mixture cannot be sampled.
    KeyboardInterrupt
        If interrupted before any draw.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("galaxy")
    >>> weights = bm.Dirichlet.from_expected_clusters(10, len(x), 4)
    >>> mixture = bm.Mixture(weights, bm.weakly_informative(x))
    >>> bm.sensitivity(mixture, x, random_seed=1)  # doctest: +SKIP
    """
    require_mixture(mixture, "gibbs")
    grid = {
        f"concentration × {a:g} with scale × {s:g}": (a, s)
        for a, s in product(_factors(concentration, "concentration"), _factors(scale, "scale"))
    }
    choice = compare_priors(
        {name: _multiplied(mixture, *factors) for name, factors in grid.items()},
        as_table(x),
        draws=draws,
        thin=thin,
        chains=chains,
        random_seed=random_seed,
        progressbar=progressbar,
    )
    return _tabulated(choice, grid)


def _factors(values: Iterable[float], name: str) -> list[float]:
    """Factors, each once, the smallest first."""
    try:
        found = sorted({require_positive(value, name) for value in values})
    except TypeError:
        found = []
    if not found:
        raise ValueError(f"{name}: expected factors above 0, such as (1/4, 1, 4), got {values!r}")
    return found


def _multiplied(mixture: Mixture, concentration: float, scale: float) -> Mixture:
    assert mixture.components is not None
    return replace(
        mixture,
        weights=with_concentration(mixture.weights, concentration),
        components=with_scale(mixture.components, scale),
    )


def _tabulated(choice: PriorChoice, grid: dict[str, tuple[float, float]]) -> Sensitivity:
    import pandas as pd

    names = ["concentration", "scale"]
    summary = choice.summary.set_axis(
        pd.MultiIndex.from_tuples([grid[name] for name in choice.summary.index], names=names)
    )
    cells = [f"{k} ({p:.2f})" for k, p in zip(summary["n_clusters"], summary["p"], strict=True)]
    rows, columns = (sorted({own[i] for own in grid.values()}) for i in (0, 1))
    table = pd.Series(cells, summary.index).unstack().reindex(index=rows, columns=columns)
    table = table.rename_axis(index=names[0], columns=names[1]).fillna("–")
    return Sensitivity(table, summary, choice)
