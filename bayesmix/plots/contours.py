"""The mixture density of two features: regions of highest density, of the mean and of draws."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bayesmix.draws import data_of, evenly
from bayesmix.inputs import require_count
from bayesmix.plots.columns import chosen, separating_components
from bayesmix.plots.points import law_of
from bayesmix.plots.regions import Box, law_of_draws, law_of_point
from bayesmix.plots.rows import (
    add_legend,
    require_coverage,
    rows_drawn,
    rows_words,
    size_of_markers,
)
from bayesmix.plots.style import POINT_COLOR, axes_or_new, color, plain, point_name
from bayesmix.schema import group
from bayesmix.wording import counted

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

    from bayesmix.plots.regions import Law

__all__ = ["contours", "handles_of_contours"]

_MEAN_OF = 100  # draws: more change no line by its width


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
    number of components may vary. Rows that are off the regions by more than three times their
    width are left out, and counted in the legend.

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
        Draws, evenly spread, of which the region of the largest share is a thin line; 0 for none.
    legend : bool, default True
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If there are not two features, a share is not between 0 and 1 or there is none, or the
        density of the tree cannot be had (see `predictive.density`).

    Notes
    -----
    The threshold of a share p is the (1 - p) quantile of the density at 10,000 new rows drawn from
    it (Hyndman 1996), which knows p to about half a percentage point. The mean is over at most 100
    draws, evenly spread. Of about 150 places along either axis 40 are even, the others are
    quantiles of new rows. A region drawn holds its share within three points where regions
    are thin or many.

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
    shares = _shares(coverage)
    require_count(n_draws, "n_draws", least=0)
    table = data_of(post)
    at = chosen(table, features, partial(separating_components, post))
    if len(at) < 2:
        raise ValueError("contours: expected two features, got one; use plots.density")
    names = [table.features[j] for j in at]
    laws = [law_of_draws(_thinned(post), names)]
    if point is not None:
        laws.append(law_of_point(law_of(point, table, at)))
    x = table.values[:, at]
    box = Box.around(laws, x, shares[-1])
    ax = axes_or_new(ax)
    rows = x[rows_drawn(len(x))]
    size = size_of_markers(len(rows))
    ax.scatter(rows[:, 0], rows[:, 1], s=size, color="0.45", alpha=0.5, linewidths=0)
    for one in _some_draws(post, _n_lines(post, n_draws)):
        look = {"colors": color(1), "linewidths": 0.6, "alpha": 0.5}
        _outline(ax, law_of_draws(one, names), box, shares[-1:], look)
    _shade(ax, laws[0], box, shares)
    for law in laws[1:]:
        look = {"colors": POINT_COLOR, "linewidths": 1.6, "linestyles": "--"}
        _outline(ax, law, box, shares, look)
    (left, bottom), (right, top) = box.low, box.high
    ax.set(xlim=(left, right), ylim=(bottom, top))
    ax.set(xlabel=plain(names[0]), ylabel=plain(names[1]))
    outside = _outside_words(int((~box.holds(x)).sum()))
    if legend:
        handles = handles_of_contours(post, shares, n_draws, point)
        handles[0].set_label(handles[0].get_label() + outside)
        add_legend(ax, handles)
    elif outside:
        ax.set_title(outside.removeprefix(", "), fontsize="x-small", loc="right")
    return ax


def _some_draws(post: xr.DataTree, most: int) -> list[xr.DataTree]:
    """Trees of a single draw each, evenly spread over chains and draws."""
    n_chains, n = (post["posterior"].sizes[name] for name in ("chain", "draw"))
    each = [divmod(int(s), n) for s in evenly(n_chains * n, most)]
    return [post.isel(chain=[c], draw=[s]) for c, s in each]


def handles_of_contours(
    post: xr.DataTree, shares: Sequence[float], n_draws: int, point: Any = None
) -> list[Any]:
    """What a legend of `contours` says."""
    words = " and ".join(map(_percent, sorted(shares)))
    n = post["observed_data"].sizes["obs"]
    dot: dict[str, Any] = {"linestyle": "none", "marker": "o", "color": "0.45", "markersize": 4}
    edge, face = color(0), (color(0), 0.2)
    handles = [
        Line2D([], [], label=rows_words(n), **dot),
        Patch(facecolor=face, edgecolor=edge, label=f"posterior mean, {words} of new rows"),
    ]
    if count := _n_lines(post, n_draws):
        name = f"{counted(count, 'draw')}, {_percent(max(shares))}{' each' if count > 1 else ''}"
        handles.append(Line2D([], [], color=color(1), linewidth=0.7, label=name))
    if point is not None:
        name = f"{point_name(point)}, {words}"
        handles.append(Line2D([], [], color=POINT_COLOR, linestyle="--", label=name))
    return handles


def _shares(coverage: float | Sequence[float]) -> list[float]:
    """Different shares, ascending."""
    given = np.atleast_1d(coverage).tolist()
    if not given:
        raise ValueError("coverage: expected at least one number between 0 and 1, got none")
    return sorted(set(map(require_coverage, given)))


def _percent(share: float) -> str:
    return f"{100 * share:.4g}%"


def _outside_words(count: int) -> str:
    return f", {count:,} outside the picture" if count else ""


def _thinned(post: xr.DataTree) -> xr.DataTree:
    """A tree of few enough draws, evenly spread."""
    n_chains, n = (group(post, "posterior").sizes[name] for name in ("chain", "draw"))
    return post.isel(draw=evenly(n, max(_MEAN_OF // n_chains, 1)))


def _n_lines(post: xr.DataTree, n_draws: int) -> int:
    """How many draws have a line of their own: none where a single one is the mean."""
    n = post["posterior"].sizes["chain"] * post["posterior"].sizes["draw"]
    return min(n_draws, n) if n > 1 else 0


def _shade(ax: Axes, law: Law, box: Box, shares: list[float]) -> None:
    """Shade the regions of a law, and outline them."""
    surface, depths = law.surface(box), law.depths(shares)
    for depth in depths:
        ax.contourf(*surface, [-1, depth], colors=color(0), alpha=0.15)
    ax.contour(*surface, depths, colors=color(0), linewidths=1.6)


def _outline(ax: Axes, law: Law, box: Box, shares: list[float], look: dict[str, Any]) -> None:
    ax.contour(*law.surface(box), law.depths(shares), **look)
