"""The number of clusters, and of components where it is random: posterior beside prior."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.cluster_counts import n_clusters as counted
from bayesmix.finite_mixtures import MixtureOfFiniteMixtures
from bayesmix.plots.style import axes_or_new, color, marker
from bayesmix.prior_clusters import prior_n_clusters
from bayesmix.schema import group, mixture_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["BAR_WIDTH", "n_clusters", "posterior_bars", "prior_bars"]

BAR_WIDTH = 0.4
_SHOWN = 0.005  # of the posterior or the prior: no more is beyond the picture without a word
_MOST_TICKS = 20
_ROOM = 1.15  # above the bars, for the legend


def n_clusters(post: xr.DataTree, *, ax: Axes | None = None) -> Axes:
    """Draw how probable every number of clusters is, before the data and after.

    Clusters are the components that have rows. Where the number of components K is random, as
    under `MixtureOfFiniteMixtures`, its posterior and prior are drawn as points: K counts
    components without rows too. Bars of the prior are hatched; what it holds beyond the picture is
    in the legend. It is left out where it is not known: without a model, with concentrations that
    differ, and of long broken sticks among many rows.

    Parameters
    ----------
    post : DataTree
        Draws of any engine, as `bayesmix.n_clusters` takes them.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import bayesmix as bm
    >>> post = bm.sample(mixture, x, random_seed=1)  # doctest: +SKIP
    >>> bm.plots.n_clusters(post)  # doctest: +SKIP
    """
    components = "n_components" in group(post, "posterior")
    table = _likely(counted(post), components=components)
    k = table.index.to_numpy()
    ax = axes_or_new(ax, (6.4, 4.0))
    prior = _prior(post)
    place = k if prior is None else k - BAR_WIDTH / 2
    found = table["n_clusters"], table["n_clusters_mcse"]
    posterior_bars(ax, place, *found, "clusters K₊, posterior")
    if prior is not None:
        prior_bars(ax, k, _at(prior, k), f"clusters K₊, prior{_beyond(prior, k)}")
    if components:
        _components(ax, post, table)
    ax.set(
        xlabel="number of clusters, or of components" if components else "number of clusters",
        ylabel="probability",
        xlim=(0.4, k[-1] + 0.6),
        ylim=(0, _ROOM * ax.get_ylim()[1]),
        title=f"Posterior{'' if prior is None else ' and prior'} (black: ± 2 Monte Carlo errors)",
    )
    ax.set_xticks(k[:: 1 + len(k) // _MOST_TICKS])
    ax.title.set_fontsize("medium")
    ax.legend(fontsize="small")
    return ax


def posterior_bars(ax: Axes, place: Floats, p: pd.Series, mcse: pd.Series, label: str) -> None:
    """Bars at places (m,), with two Monte Carlo errors where the draws tell them."""
    ax.bar(place, p, BAR_WIDTH, color=color(0), label=label)
    _errors(ax, place, p, mcse)


def prior_bars(ax: Axes, k: NDArray[np.int64], p: Floats, label: str) -> None:
    """Hatched bars to the right of numbers k, beside those of the posterior."""
    place = k + BAR_WIDTH / 2
    ax.bar(place, p, BAR_WIDTH, color="0.72", hatch="///", edgecolor="white", label=label)


def _likely(table: pd.DataFrame, *, components: bool) -> pd.DataFrame:
    """The numbers 1, 2, ... up to those beyond which the posterior has no share to be seen.

    Components count where their number is random: else it is a setting, as of a truncated stick.
    """
    numbers = table[["n_clusters", "n_components"] if components else ["n_clusters"]]
    reached = (numbers.cumsum() > 1 - _SHOWN).all(axis=1)
    return table.loc[: reached.idxmax()]


def _prior(post: xr.DataTree) -> Floats | None:
    """Prior probabilities of 1, 2, ... clusters among the rows; None where they are not known."""
    mixture = mixture_of(post)
    if mixture is None or "observed_data" not in post.children:
        return None
    try:
        return prior_n_clusters(mixture.weights, group(post, "observed_data").sizes["obs"])
    except ValueError:
        return None


def _components(ax: Axes, post: xr.DataTree, table: pd.DataFrame) -> None:
    """Mark the posterior and the prior of a random number of components."""
    k = table.index.to_numpy()
    style: dict[str, Any] = {"color": color(1), "marker": marker(1), "linestyle": "none"}
    label = "components K, posterior"
    ax.plot(k, table["n_components"], markersize=6, label=label, **style)
    _errors(ax, k, table["n_components"], table["n_components_mcse"])
    mixture = mixture_of(post)
    if mixture is None or not isinstance(mixture.weights, MixtureOfFiniteMixtures):
        return
    own = mixture.weights.n_components
    prior = np.exp(own.log_pmf(np.arange(1, own.support() + 1)))
    label = f"components K, prior{_beyond(prior, k)}"
    ax.plot(k, _at(prior, k), markersize=6, fillstyle="none", label=label, **style)


def _errors(ax: Axes, place: Floats, p: pd.Series, mcse: pd.Series) -> None:
    """Two Monte Carlo errors where the draws tell them."""
    known = mcse.notna().to_numpy()
    ends = np.stack([p[known] - 2 * mcse[known], p[known] + 2 * mcse[known]])
    reach = np.abs(np.clip(ends, 0, 1) - p[known].to_numpy())
    ax.errorbar(place[known], p[known], reach, fmt="none", color="black", capsize=2, linewidth=1)


def _at(p: Floats, k: NDArray[np.int64]) -> Floats:
    """Probabilities of 1, 2, ... at numbers k; 0 where there are none."""
    return np.pad(p, (0, max(0, int(k[-1]) - len(p))))[k - 1]


def _beyond(p: Floats, k: NDArray[np.int64]) -> str:
    beyond = 1 - float(_at(p, k).sum())
    return f" ({beyond:.0%} beyond {k[-1]})" if beyond >= _SHOWN else ""
