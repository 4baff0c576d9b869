"""The mixture density of one feature: histogram, point fit, posterior mean and band."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix import predictive
from bayesmix.draws import data_of
from bayesmix.plots.columns import column
from bayesmix.plots.curves import components_along, extent, places, spreads
from bayesmix.plots.points import law_of
from bayesmix.plots.style import POINT_COLOR, axes_or_new, color, plain, point_name

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["CUT", "ceiling", "density", "histogram"]

CUT = "higher peaks cut"
_HIGHEST = 3  # bars: higher peaks would make them invisible
_MAX_BINS = 200
_MIN_BINS = 30  # of a thousand rows or more
_WITH_EDGES = 60  # bars, fewer than these


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

    Components are drawn at their height, however narrow; but what is three times as high as the
    highest bar is cut, and the axis says so.

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
    values = table.values[:, j]
    law = None if point is None else law_of(point, table, [j])
    narrow = [components_along(post, j)] + ([] if law is None else [spreads(law)])
    at = places(*extent(values), *map(np.concatenate, zip(*narrow, strict=True)))
    ax = axes_or_new(ax)
    histogram(ax, values)
    peak = 0.0
    if post["posterior"].sizes["chain"] * post["posterior"].sizes["draw"] > 1:
        # a single draw is the point itself
        found = predictive.density(post, at[:, None], features=name, ci_prob=ci_prob, random_seed=0)
        mass = f"posterior, {found.attrs['ci_prob']:.0%}"
        band = found["density_lower"], found["density_upper"]
        ax.fill_between(at, *band, color=color(0), alpha=0.3, linewidth=0, label=mass)
        ax.plot(at, found["density"], color=color(0), label="posterior mean")
        peak = float(found["density_upper"].max())
    if law is not None:
        height = law.pdf(at)
        ax.plot(at, height, color=POINT_COLOR, linestyle="--", label=point_name(point))
        peak = max(peak, float(height.max()))
    ax.set(xlabel=plain(name), ylabel="density")
    ax.set_ylim(bottom=0)
    if peak > (top := ceiling(values)):
        ax.set(ylim=(0, top), ylabel=f"density, {CUT}")
    if legend:
        ax.legend(fontsize="small")
    return ax


def histogram(ax: Axes, values: Floats) -> None:
    """Histogram of values (n,) in gray, of mass one."""
    bins = _edges(values).tolist()
    edge = "white" if len(bins) <= _WITH_EDGES else "none"  # which are as wide as thin bars
    ax.hist(values, bins=bins, density=True, color="0.85", edgecolor=edge, label="data")


def ceiling(values: Floats) -> float:
    """Height above which curves over the histogram of values (n,) are cut."""
    return _HIGHEST * float(np.histogram(values, _edges(values), density=True)[0].max())


def _edges(values: Floats) -> Floats:
    return np.histogram_bin_edges(values, _n_bins(values))


def _n_bins(values: Floats) -> int:
    """Number of bins by Freedman and Diaconis, but enough to show several modes.

    Where half of the values are one and the same, by Scott. It is found without making them: an
    outlier asks for many. A constant has one.
    """
    if np.ptp(values) == 0:
        return 1
    fewest = min(np.sqrt(len(values)), _MIN_BINS)
    quartiles = np.quantile(values, [0.25, 0.75])
    width = (2 * np.diff(quartiles)[0] or 3.49 * values.std()) / np.cbrt(len(values))
    bins = np.ptp(values) / width + 1
    return max(1, int(min(max(bins, fewest), _MAX_BINS)))
