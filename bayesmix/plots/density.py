"""The mixture density of one feature: histogram, point fit, posterior mean and band."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.draws import data_of, draws_of, point_of
from bayesmix.membership import interval
from bayesmix.plots.style import POINT_COLOR, axes_or_new, color, column

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["density"]

_MAX_DRAWS = 400
_MAX_BINS = 200


def density(
    post: xr.DataTree,
    point: Any = None,
    *,
    feature: str | None = None,
    ci_prob: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    r"""Draw a feature's density over its histogram.

    Parameters
    ----------
    post : DataTree
        With the groups ``posterior`` and ``observed_data``.
    point : DataTree or GaussianMixture, optional
        With the group ``point_estimate``, or a fitted estimator.
    feature : str, optional
        Which column; its marginal density is drawn. Default the first.
    ci_prob : float, optional
        Mass of the pointwise band; default ArviZ's.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    table = data_of(post)
    name = table.features[0] if feature is None else str(feature)
    j = column(table, name)
    values = table.values[:, j]
    ax = axes_or_new(ax)
    bins = np.histogram_bin_edges(values, _n_bins(values))
    ax.hist(values, bins=bins.tolist(), density=True, color="0.85", edgecolor="white", label="data")
    margin = 0.08 * np.ptp(values)
    grid = np.linspace(values.min() - margin, values.max() + margin, 400)
    draws = draws_of(post)
    chosen = np.linspace(0, len(draws) - 1, min(_MAX_DRAWS, len(draws))).astype(int)
    parameters = (draws.weights[chosen], draws.means[chosen], draws.covariances[chosen])
    curves = _marginal(grid, *parameters, j)
    tails = interval(ci_prob)
    if len(draws) > 1:  # a single draw is the point itself
        tails = interval(ci_prob)
        lower, upper = np.quantile(curves, tails, axis=0)
        mass = f"posterior, {tails[1] - tails[0]:.0%}"
        ax.fill_between(grid, lower, upper, color=color(0), alpha=0.3, linewidth=0, label=mass)
        ax.plot(grid, curves.mean(axis=0), color=color(0), label="posterior mean")
    if point is not None:
        estimate = point_of(point)
        weights, means, covariances = (
            estimate[v].values[None] for v in ("weights", "means", "covariances")
        )
        ax.plot(
            grid,
            _marginal(grid, weights, means, covariances, j)[0],
            color=POINT_COLOR,
            linestyle="--",
            label="EM",
        )
    ax.set(xlabel=name, ylabel="density")
    ax.set_ylim(bottom=0)
    ax.legend(fontsize="small")
    return ax


def _n_bins(values: Floats) -> int:
    """Number of bins by Freedman and Diaconis, without making them: an outlier asks for many."""
    quartiles = np.quantile(values, [0.25, 0.75])
    width = 2 * np.diff(quartiles)[0] / np.cbrt(len(values))
    return _MAX_BINS if width <= 0 else max(1, int(min(np.ptp(values) / width + 1, _MAX_BINS)))


def _marginal(grid: Floats, weights: Floats, means: Floats, covariances: Floats, j: int) -> Floats:
    """Density (S, m) of feature j on a grid (m,)."""
    deviation = np.sqrt(covariances[..., j, j])
    z = (grid - means[..., j, None]) / deviation[..., None]
    each = np.exp(-0.5 * z**2) / (np.sqrt(2 * np.pi) * deviation[..., None])
    return (weights[..., None] * each).sum(axis=1)
