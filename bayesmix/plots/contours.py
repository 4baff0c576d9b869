"""The mixture density of two features: regions of highest density, of the mean and of draws."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bayesmix import predictive
from bayesmix.draws import data_of, evenly
from bayesmix.frozen import frozen
from bayesmix.inputs import require_count
from bayesmix.plots.columns import chosen, separating_components
from bayesmix.plots.rows import (
    add_legend,
    require_coverage,
    rows_drawn,
    rows_words,
    size_of_markers,
)
from bayesmix.plots.style import POINT_COLOR, axes_or_new, color

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["contours", "handles_of_contours", "some_draws"]

_MEAN_OF = 200  # draws: more change no line by its width
_SIDE = 80  # places along either axis
_NEW_ROWS = 4000  # by which a threshold is known to about half a percent of coverage
_MARGIN = 0.15


def contours(
    post: xr.DataTree,
    point: Any = None,
    *,
    features: Sequence[str] | None = None,
    coverage: float | Sequence[float] = (0.5, 0.9),
    n_draws: int = 20,
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw the regions of highest posterior mean density over the rows, and lines of single draws.

    A region holds the stated share of new rows in the smallest area. It needs no labels, so the
    number of components may vary.

    Parameters
    ----------
    post : DataTree
        With the groups ``posterior`` and ``observed_data``.
    point : DataTree or GaussianMixture, optional
        With the group ``point_estimate``, or a fitted estimator: its regions as black lines.
    features : pair of str, optional
        Which two, whose marginal density is drawn; default the two that separate the
        components best.
    coverage : float or sequence of float, default (0.5, 0.9)
        Shares of new rows inside the regions.
    n_draws : int, default 20
        Draws, evenly spread, of which the region of the largest share is a thin line.
    legend : bool, default True
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If there are not two features, a share is not between 0 and 1, or the density of the tree
        cannot be had (see `predictive.density`).

    Notes
    -----
    The threshold of a share p is the (1 - p) quantile of the density at 4,000 new rows drawn from
    it (Hyndman 1996), which knows p to about one percentage point. The mean is over at most 200
    draws, evenly spread, on 80 x 80 places.

    References
    ----------
    R. J. Hyndman, "Computing and graphing highest density regions", The American Statistician 50,
    1996.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
    >>> post = bm.sample(mixture, x, random_seed=1, progressbar=False)
    >>> bm.plots.contours(post, coverage=0.95).get_ylabel()
    'waiting'
    """
    shares = sorted(map(require_coverage, np.atleast_1d(coverage).tolist()), reverse=True)
    require_count(n_draws, "n_draws")
    table = data_of(post)
    at = chosen(table, features, partial(separating_components, post))
    if len(at) < 2:
        raise ValueError("contours: expected two features, got one; use plots.density")
    names = [table.features[j] for j in at]
    ax = axes_or_new(ax)
    x = table.values[:, at]
    rows = x[rows_drawn(len(x))]
    size = size_of_markers(len(rows))
    ax.scatter(rows[:, 0], rows[:, 1], s=size, color="0.45", alpha=0.5, linewidths=0)
    grid = _regions(ax, post, names, x, shares, n_draws)
    if point is not None:
        law = frozen(point).marginal(at)
        levels = _levels(law.pdf(law.rvs(_NEW_ROWS, random_state=0)), shares)
        look: dict[str, Any] = {"colors": POINT_COLOR, "linewidths": 1.6, "linestyles": "--"}
        ax.contour(*grid, _on(grid, law.pdf), levels, **look)
    ax.set(xlabel=names[0], ylabel=names[1])
    if legend:
        handles = handles_of_contours(post, shares, n_draws, with_point=point is not None)
        add_legend(ax, handles)
    return ax


def some_draws(post: xr.DataTree, most: int) -> list[xr.DataTree]:
    """Trees of a single draw each, evenly spread over chains and draws."""
    n_chains, n = (post["posterior"].sizes[name] for name in ("chain", "draw"))
    each = [divmod(int(s), n) for s in evenly(n_chains * n, most)]
    return [post.isel(chain=[c], draw=[s]) for c, s in each]


def handles_of_contours(
    post: xr.DataTree, shares: Sequence[float], n_draws: int, *, with_point: bool
) -> list[Any]:
    """What a legend of `contours` says."""
    words = " and ".join(f"{share:.0%}" for share in sorted(shares))
    n = post["observed_data"].sizes["obs"]
    dot: dict[str, Any] = {"linestyle": "none", "marker": "o", "color": "0.45", "markersize": 4}
    edge, face = color(0), (color(0), 0.2)
    count = min(n_draws, post["posterior"].sizes["chain"] * post["posterior"].sizes["draw"])
    handles = [
        Line2D([], [], label=rows_words(n), **dot),
        Patch(facecolor=face, edgecolor=edge, label=f"posterior mean, {words} of new rows"),
    ]
    if count > 1:
        name = f"{count} draws, {max(shares):.0%} each"
        handles.append(Line2D([], [], color=color(1), linewidth=0.7, label=name))
    if with_point:
        handles.append(Line2D([], [], color=POINT_COLOR, linestyle="--", label=f"EM, {words}"))
    return handles


def _regions(
    ax: Axes, post: xr.DataTree, names: list[str], x: Floats, shares: list[float], n_draws: int
) -> Floats:
    """Shade the regions of the mean density, outline the largest of draws; the grid (2, m)."""
    n_chains, n = (post["posterior"].sizes[name] for name in ("chain", "draw"))
    thinned = post.isel(draw=evenly(n, max(_MEAN_OF // n_chains, 1)))
    mean, new = _law(thinned, names)
    heights = mean(new)
    levels = _levels(heights, shares)
    inside = np.concatenate([new[heights >= levels[0]], x])
    margin = _MARGIN * np.ptp(inside, axis=0)
    low, high = inside.min(axis=0) - margin, inside.max(axis=0) + margin
    grid = np.linspace(low, high, _SIDE).T
    if n_chains * n > 1:
        for one in some_draws(post, n_draws):
            density, own = _law(one, names)
            level = _levels(density(own), shares[:1])
            ax.contour(*grid, _on(grid, density), level, colors=color(1), linewidths=0.6, alpha=0.5)
    height = _on(grid, mean)
    for threshold in levels:
        ax.contourf(*grid, height, [threshold, np.inf], colors=color(0), alpha=0.15)
    ax.contour(*grid, height, levels, colors=color(0), linewidths=1.6)
    return grid


def _law(post: xr.DataTree, names: list[str]) -> tuple[Callable[[Floats], Floats], Floats]:
    """The mean density of a tree's draws, and new rows from it."""
    new = predictive.sample(post, _NEW_ROWS, random_seed=0)[names].to_numpy()

    def density(x: Floats) -> Floats:
        found = predictive.density(post, x, features=names, random_seed=0)
        return found["density"].values

    return density, new


def _levels(heights: Floats, shares: list[float]) -> list[float]:
    """Densities above which the shares, largest first, of new rows of these heights are."""
    return np.quantile(heights, [1 - share for share in shares]).tolist()


def _on(grid: Floats, density: Callable[[Floats], Floats]) -> Floats:
    """Density on a grid of two features (2, m): (m, m), the second feature along the rows."""
    places = np.stack(np.meshgrid(*grid), axis=-1)
    return density(places.reshape(-1, 2)).reshape(places.shape[:2])
