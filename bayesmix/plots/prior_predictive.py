"""What data the prior expects, beside the data: a prior can be judged by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np

from bayesmix.frozen import FrozenMixture
from bayesmix.inputs import as_table, require_count
from bayesmix.plots.columns import chosen
from bayesmix.plots.density import histogram
from bayesmix.plots.panels import panels
from bayesmix.plots.rows import rows_drawn, size_of_markers
from bayesmix.plots.style import POINT_COLOR, color
from bayesmix.replicates import sample_prior_predictive
from bayesmix.schema import PARAMETERS, group

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.inputs import RandomSeed
    from bayesmix.mixture import Mixture

    Floats = NDArray[np.float64]

__all__ = ["prior_predictive"]

_JUDGED_BY = 100  # draws, at least, for widths and limits
_TAIL = 0.005  # share of the prior's rows that may lie beyond the picture, at either end
_MIDDLE = (0.05, 0.95)
_PLACES = 2000
_HIGHEST = 3  # of the histogram: narrow components would make it invisible
_COLUMNS = 3


def prior_predictive(
    mixture: Mixture,
    x: Any,
    *,
    features: Sequence[str] | None = None,
    n_draws: int = 8,
    random_seed: RandomSeed = None,
) -> NDArray[np.object_]:
    """Draw data sets that the prior would make beside the data, within the same limits.

    Every draw of the prior is another mixture, and makes as many rows as the data have (at most
    5,000). One feature is drawn as the mixtures' densities over the data's histogram. The title
    says how much wider than the data the prior is: the range of the middle 90 % of its rows, of
    at least 100 draws together, over that of the data. Limits leave out one in a hundred of
    the prior's rows along each axis.

    Parameters
    ----------
    mixture : Mixture
        With a component prior, and a number of components that is not random.
    x : (n, D) array_like or DataFrame
        The data.
    features : pair of str, optional
        Which two to draw; default the first two.
    n_draws : int, default 8
        Data sets, or densities, that are drawn.
    random_seed : int, SeedSequence or Generator, optional

    Returns
    -------
    ndarray of matplotlib Axes
        The data first, then the prior's; of one feature shape (1,).

    Raises
    ------
    ValueError
        As `bayesmix.sample_prior_predictive`.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.weakly_informative(x))
    >>> len(bm.plots.prior_predictive(mixture, x, random_seed=1))
    9
    """
    require_count(n_draws, "n_draws")
    table = as_table(x)
    at = chosen(table, features, lambda most: list(range(most)))
    rows = table.values[rows_drawn(len(table.values))]
    tree = sample_prior_predictive(
        mixture, rows, draws=max(n_draws, _JUDGED_BY), random_seed=random_seed
    )
    made = group(tree, "prior_predictive")["x"].values[0][..., at]
    names = [table.features[j] for j in at]
    data = rows[:, at]
    words = _words(data, made.reshape(-1, len(at)), names)
    limits = _limits(data, made.reshape(-1, len(at)))
    if len(at) == 1:
        axes = _densities(tree, data[:, 0], names[0], n_draws, limits[:, 0])
    else:
        axes = _data_sets(data, made[:n_draws], names, limits)
    axes[0].figure.suptitle(words, fontsize="medium")
    return axes


def _words(data: Floats, made: Floats, names: list[str]) -> str:
    """How wide the prior is against the data, feature by feature."""
    wide = [np.ptp(np.quantile(rows, _MIDDLE, axis=0), axis=0) for rows in (made, data)]
    with np.errstate(divide="ignore"):
        ratios = wide[0] / wide[1]
    each = [f"{ratio:.2g} in {name}" for ratio, name in zip(ratios, names, strict=True)]
    share = f"{_MIDDLE[1] - _MIDDLE[0]:.0%}"
    return (
        f"range of the middle {share} of the prior's rows,\n"
        f"over that of the data: {', '.join(each)}"
    )


def _limits(data: Floats, made: Floats) -> Floats:
    """Lower and upper limits (2, q) that show all data, and nearly all that the prior makes."""
    low, high = np.quantile(made, [_TAIL, 1 - _TAIL], axis=0)
    low, high = np.minimum(low, data.min(axis=0)), np.maximum(high, data.max(axis=0))
    margin = 0.03 * (high - low)
    return np.stack([low - margin, high + margin])


def _densities(
    tree: xr.DataTree, data: Floats, name: str, n_draws: int, limits: Floats
) -> NDArray[np.object_]:
    """Densities of some draws over the histogram of data (n,)."""
    ax = plt.subplots(figsize=(6.4, 4.8), layout="constrained")[1]
    histogram(ax, data)
    top = _HIGHEST * ax.get_ylim()[1]
    prior = group(tree, "prior")
    at = np.linspace(limits[0], limits[1], _PLACES)
    label: str | None = f"{n_draws} draws of the prior"
    cut = False
    for s in range(n_draws):
        one = FrozenMixture(*(prior[name].values[0, s] for name in PARAMETERS))
        height = one.pdf(at)
        cut |= bool(height.max() > top)
        ax.plot(at, height, color=color(0), linewidth=1, alpha=0.7, label=label)
        label = None
    ax.set(xlim=limits, xlabel=name, ylabel="density, higher peaks cut" if cut else "density")
    if cut:
        ax.set_ylim(top=top)
    ax.legend(fontsize="small")
    return np.array([ax], dtype=object)


def _data_sets(data: Floats, made: Floats, names: list[str], limits: Floats) -> NDArray[np.object_]:
    """Scatters of the data (n, 2), and of data sets (m, n, 2) that the prior makes."""
    size = 0.6 * size_of_markers(len(data))
    axes, _ = panels(len(made) + 1, _COLUMNS, (names[0], names[1]), (2.7, 2.4))
    for ax, rows in zip(axes, [data, *made], strict=True):
        first = ax is axes[0]
        look: dict[str, Any] = {"color": POINT_COLOR if first else color(0), "linewidths": 0}
        ax.scatter(rows[:, 0], rows[:, 1], s=size, alpha=0.6, **look)
        ax.set_title("the data" if first else "a draw of the prior", fontsize="small")
    axes[0].set(xlim=limits[:, 0], ylim=limits[:, 1])
    return axes
