"""Rows that the posterior finds hard to believe, over all others."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D

from bayesmix import predictive
from bayesmix.draws import data_of
from bayesmix.plots.columns import chosen, separating_components
from bayesmix.plots.density import density
from bayesmix.plots.names import add_names
from bayesmix.plots.rows import add_legend, below, rows_drawn, size_of_markers
from bayesmix.plots.style import POINT_COLOR, axes_or_new, color, plain
from bayesmix.predictive_sample import RESOLVED
from bayesmix.wording import counted

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["outliers"]

_NAMED = 8
_AREA = 36.0  # of a row at the limit, in square points; more for every factor of ten
_MORE = 40.0


def outliers(
    post: xr.DataTree,
    x_new: Any = None,
    *,
    features: Sequence[str] | None = None,
    limit: float = 0.01,
    ax: Axes | None = None,
) -> Axes:
    """Draw the rows, and ring those whose posterior predictive tail probability is below a limit.

    Rings are the larger, the smaller the probability; beside the eight largest are the rows'
    names, where there is room. The probability is of all features, whichever are drawn. The legend
    says how many rows the model itself would put below the limit, were it true: that many are no
    sign of anything.

    Parameters
    ----------
    post : DataTree
        With the groups ``posterior`` and ``observed_data``; the number of components may vary.
    x_new : (m, D) array_like or DataFrame, optional
        Rows to judge; default those of the fit, which then are behind them in gray.
    features : sequence of one or two str, optional
        Which to draw; default the two in which the ringed rows are farthest from the middle, or
        where none is ringed those that separate the components best; or the only one. One is
        drawn below its density.
    limit : float, default 0.01
        Tail probability below which a row is ringed; at least 1e-5, as draws tell no less.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    See Also
    --------
    bayesmix.predictive.tail_probability

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
    >>> post = bm.sample(mixture, x, random_seed=1, progressbar=False)
    >>> ax = bm.plots.outliers(post)
    >>> print(ax.get_legend().get_texts()[-1].get_text())
    tail probability < 0.01: 2 rows
    (expected by chance: 2.7 of 272)
    """
    if not RESOLVED <= limit < 1:
        raise ValueError(
            f"limit: expected at least {RESOLVED:g}, below which tail probabilities are only known "
            f"to be small, and less than 1, got {limit!r}"
        )
    own, table = data_of(post), data_of(post, x_new)
    tail = predictive.tail_probability(post, x_new, random_seed=0)["tail_probability"].values
    out = np.flatnonzero(tail < limit)
    out = out[np.argsort(tail[out], kind="stable")]
    far = partial(_far, own.values, table.values[out])
    at = chosen(own, features, far if len(out) else partial(separating_components, post))
    ax = axes_or_new(ax)
    places, of_fit = table.values[:, at], own.values[:, at]
    if len(at) == 1:
        density(post, feature=own.features[at[0]], legend=False, ax=ax)
        top = ax.get_ylim()[1]
        ax.set(ylim=(-0.28 * top, top), ylabel=f"{ax.get_ylabel()}; below it the rows")
        places, of_fit = (below(ax, values[:, 0], top) for values in (places, of_fit))
    handles: list[Any] = []
    if x_new is not None:
        handles.append(_dots(ax, of_fit, "0.8", "of the fit"))
    handles.append(_dots(ax, places, color(0), "" if x_new is None else "judged", out))
    areas = _areas(tail[out], limit)
    ring: dict[str, Any] = {"facecolors": "none", "edgecolors": POINT_COLOR, "linewidths": 1.1}
    ax.scatter(places[out, 0], places[out, 1], s=areas, zorder=4, **ring)
    of = f" (of all {len(own.features)} features)" if len(at) < len(own.features) else ""
    handles.append(_handle(f"tail probability < {limit:g}{of}", limit, len(out), len(tail)))
    ax.set_xlabel(plain(own.features[at[0]]))
    if len(at) == 2:
        ax.set_ylabel(plain(own.features[at[1]]))
    add_legend(ax, handles)
    add_names(ax, places[out], areas, [str(table.index[i]) for i in out[:_NAMED]])
    return ax


def _far(x: Floats, out: Floats, most: int) -> list[int]:
    """Features, in their order, in which rows are the most quartile ranges off those of the fit.

    Where half of a feature's values are one and the same its standard deviation is taken instead.
    """
    low, middle, high = np.quantile(x, [0.25, 0.5, 0.75], axis=0)
    width = np.where(high > low, high - low, x.std(axis=0))
    width[np.ptp(x, axis=0) == 0] = np.inf  # a constant is far from nothing
    off = np.abs(out - middle).mean(axis=0) / width
    return sorted(np.argsort(-off, kind="stable")[:most].tolist())


def _dots(
    ax: Axes, places: Floats, shade: str, which: str, always: NDArray[np.intp] | None = None
) -> PathCollection:
    """Rows (n, 2), or of many some of them and those that are always drawn."""
    rows = rows_drawn(len(places))
    shown = places[rows if always is None else np.union1d(rows, always)]
    name = f"{counted(len(places), 'row')} {which}".rstrip()
    name += "" if len(shown) == len(places) else f", {len(shown):,} drawn"
    size = size_of_markers(len(shown))
    return ax.scatter(
        shown[:, 0], shown[:, 1], s=size, color=shade, alpha=0.6, linewidths=0, label=name
    )


def _areas(tail: Floats, limit: float) -> Floats:
    """Areas of rings, larger for every factor of ten by which a probability is below the limit."""
    tens: Floats = np.log10(limit / np.clip(tail, RESOLVED, limit))
    return _AREA + _MORE * tens


def _handle(name: str, limit: float, count: int, n: int) -> Line2D:
    chance = f"{n * limit:,.0f}" if n * limit >= 10 else f"{n * limit:.2g}"
    name = f"{name}: {counted(count, 'row')}\n(expected by chance: {chance} of {n:,})"
    ring: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": POINT_COLOR}
    return Line2D([], [], linestyle="none", marker="o", markersize=7, label=name, **ring)
