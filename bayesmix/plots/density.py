"""The mixture density of one feature: histogram, point fit, posterior mean and band."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix import predictive
from bayesmix.draws import data_of
from bayesmix.frozen import frozen
from bayesmix.plots.columns import column
from bayesmix.plots.style import POINT_COLOR, axes_or_new, color

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["density", "histogram"]

_PLACES = 400
_MAX_BINS = 200
_MIN_BINS = 30  # of a thousand rows or more


def density(
    post: xr.DataTree,
    point: Any = None,
    *,
    feature: str | None = None,
    ci_prob: float | None = None,
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    r"""Draw a feature's density over its histogram.

    Parameters
    ----------
    post : DataTree
        With the groups ``posterior`` and ``observed_data``; the number of components may vary.
    point : DataTree or GaussianMixture, optional
        With the group ``point_estimate``, or a fitted estimator.
    feature : str, optional
        Which column; its marginal density is drawn. Default the first.
    ci_prob : float, optional
        Mass of the pointwise band; default ArviZ's.
    legend : bool, default True
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    table = data_of(post)
    name = table.features[0] if feature is None else str(feature)
    j = column(table, name)
    ax = axes_or_new(ax)
    histogram(ax, table.values[:, j])
    grid = predictive.grid(post, _PLACES, features=name)
    at = grid[name].to_numpy()
    if post["posterior"].sizes["chain"] * post["posterior"].sizes["draw"] > 1:
        # a single draw is the point itself
        found = predictive.density(post, grid, features=name, ci_prob=ci_prob, random_seed=0)
        mass = f"posterior, {found.attrs['ci_prob']:.0%}"
        band = found["density_lower"], found["density_upper"]
        ax.fill_between(at, *band, color=color(0), alpha=0.3, linewidth=0, label=mass)
        ax.plot(at, found["density"], color=color(0), label="posterior mean")
    if point is not None:
        ax.plot(
            at, frozen(point).marginal([j]).pdf(at), color=POINT_COLOR, linestyle="--", label="EM"
        )
    ax.set(xlabel=name, ylabel="density")
    ax.set_ylim(bottom=0)
    if legend:
        ax.legend(fontsize="small")
    return ax


def histogram(ax: Axes, values: Floats) -> None:
    """Histogram of values (n,) in gray, of mass one."""
    bins = np.histogram_bin_edges(values, _n_bins(values)).tolist()
    ax.hist(values, bins=bins, density=True, color="0.85", edgecolor="white", label="data")


def _n_bins(values: Floats) -> int:
    """Number of bins by Freedman and Diaconis, but enough to show several modes.

    It is found without making them: an outlier asks for many.
    """
    fewest = min(np.sqrt(len(values)), _MIN_BINS)
    quartiles = np.quantile(values, [0.25, 0.75])
    width = 2 * np.diff(quartiles)[0] / np.cbrt(len(values))
    bins = np.ptp(values) / width + 1 if width > 0 else _MAX_BINS
    return max(1, int(min(max(bins, fewest), _MAX_BINS)))
