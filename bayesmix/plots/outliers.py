"""Rows that the posterior finds hard to believe, over all others."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from bayesmix import predictive
from bayesmix.draws import data_of
from bayesmix.partition_result import counted
from bayesmix.plots.columns import chosen
from bayesmix.plots.density import density
from bayesmix.plots.rows import add_legend, below, rows_drawn, size_of_markers
from bayesmix.plots.style import POINT_COLOR, axes_or_new, color

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["outliers"]

_NAMED = 8
_LEAST = 1e-5  # what tail probabilities resolve
_AREA = 36.0  # of a row at the limit, in square points; more for every factor of ten
_MORE = 40.0
_SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1))


def outliers(
    post: xr.DataTree,
    x_new: Any = None,
    *,
    features: Sequence[str] | None = None,
    limit: float = 0.01,
    ax: Axes | None = None,
) -> Axes:
    """Draw the rows, and ring those whose posterior predictive tail probability is below a limit.

    Rings are the larger, the smaller the probability; the eight smallest have the rows' names. It
    is of all features, whichever are drawn. The legend says how many rows the model itself would
    put below the limit, were it true: that many are no sign of anything.

    Parameters
    ----------
    post : DataTree
        With the groups ``posterior`` and ``observed_data``; the number of components may vary.
    x_new : (m, D) array_like or DataFrame, optional
        Rows to judge; default those of the fit, which then are behind them in gray.
    features : pair of str, optional
        Which to draw; default the two in which the ringed rows are farthest from the middle, or
        the only one, over its density.
    limit : float, default 0.01
        Tail probability below which a row is ringed.
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
    if not 0 < limit < 1:
        raise ValueError(f"limit: expected a probability between 0 and 1, got {limit!r}")
    own, table = data_of(post), data_of(post, x_new)
    tail = predictive.tail_probability(post, x_new, random_seed=0)["tail_probability"].values
    out = np.flatnonzero(tail < limit)
    out = out[np.argsort(tail[out], kind="stable")]
    at = chosen(own, features, partial(_far, own.values, table.values[out]))
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
    handles.append(_dots(ax, places, color(0), "" if x_new is None else "judged"))
    _rings(ax, places[out], tail[out], limit)
    handles.append(_handle(limit, len(out), len(tail)))
    _names(ax, places[out[:_NAMED]], [str(table.index[i]) for i in out[:_NAMED]])
    ax.set_xlabel(own.features[at[0]])
    if len(at) == 2:
        ax.set_ylabel(own.features[at[1]])
    add_legend(ax, handles, len(places))
    return ax


def _far(x: Floats, out: Floats, most: int) -> list[int]:
    """Features, in their order, in which rows are the most quartile ranges off those of the fit."""
    if not len(out):
        return list(range(most))
    low, middle, high = np.quantile(x, [0.25, 0.5, 0.75], axis=0)
    off = np.abs(out - middle) / np.maximum(high - low, np.finfo(float).tiny)
    return sorted(np.argsort(-off.mean(axis=0), kind="stable")[:most].tolist())


def _dots(ax: Axes, places: Floats, shade: str, which: str) -> PathCollection:
    shown = places[rows_drawn(len(places))]
    name = f"{counted(len(places), 'row')} {which}".rstrip()
    name += "" if len(shown) == len(places) else f", {len(shown):,} drawn"
    size = size_of_markers(len(shown))
    return ax.scatter(
        shown[:, 0], shown[:, 1], s=size, color=shade, alpha=0.6, linewidths=0, label=name
    )


def _rings(ax: Axes, places: Floats, tail: Floats, limit: float) -> None:
    """Rings, larger for every factor of ten by which a tail probability is below the limit."""
    tens = np.log10(limit / np.clip(tail, min(_LEAST, limit), limit))
    ring: dict[str, Any] = {"facecolors": "none", "edgecolors": POINT_COLOR, "linewidths": 1.1}
    ax.scatter(places[:, 0], places[:, 1], s=_AREA + _MORE * tens, zorder=4, **ring)


def _handle(limit: float, count: int, n: int) -> Line2D:
    chance = f"{n * limit:,.0f}" if n * limit >= 10 else f"{n * limit:.2g}"
    name = (
        f"tail probability < {limit:g}: {counted(count, 'row')}\n"
        f"(expected by chance: {chance} of {n:,})"
    )
    ring: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": POINT_COLOR}
    return Line2D([], [], linestyle="none", marker="o", markersize=7, label=name, **ring)


def _names(ax: Axes, places: Floats, names: list[str]) -> None:
    """Names beside their rows, at the first of four sides where no other name is."""
    figure = ax.get_figure(root=True)
    assert figure is not None  # axes are drawn on one
    points = ax.transData.transform(places) * 72 / figure.dpi
    taken: list[tuple[Floats, Floats]] = []
    for place, at, name in zip(places, points, names, strict=True):
        half = np.array([3.0 * len(name) + 2, 6.0])  # of the text's box, about
        for side in _SIDES:
            center = at + np.array(side) * (half + 6)
            if all((np.abs(center - other) > half + own).any() for other, own in taken):
                taken.append((center, half))
                _name(ax, place, name, center - at)
                break


def _name(ax: Axes, place: Floats, name: str, offset: Floats) -> None:
    text = ax.annotate(
        name,
        (place[0], place[1]),
        (offset[0], offset[1]),
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize="small",
        zorder=5,
    )
    text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
