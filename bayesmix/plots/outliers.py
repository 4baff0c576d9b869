"""Rows that the posterior finds hard to believe, over all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patheffects import withStroke

from bayesmix import predictive
from bayesmix.draws import data_of
from bayesmix.partition_result import counted
from bayesmix.plots.density import density
from bayesmix.plots.rows import add_legend, below, pair, rows_drawn, size_of_markers
from bayesmix.plots.style import POINT_COLOR, axes_or_new, color

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from numpy.typing import NDArray

    from bayesmix.inputs import Table

    Floats = NDArray[np.float64]

__all__ = ["outliers"]

_NAMED = 8
_LEAST = 1e-5  # what tail probabilities resolve
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
    >>> post = bm.sample(mixture, x, random_seed=1)  # doctest: +SKIP
    >>> bm.plots.outliers(post, limit=0.005)  # doctest: +SKIP
    """
    if not 0 < limit < 1:
        raise ValueError(f"limit: expected a probability between 0 and 1, got {limit!r}")
    own, table = data_of(post), data_of(post, x_new)
    tail = predictive.tail_probability(post, x_new, random_seed=0)["tail_probability"].values
    out = np.flatnonzero(tail < limit)
    out = out[np.argsort(tail[out], kind="stable")]
    at = _far(own, table.values[out]) if features is None else pair(own, features, "outliers")
    ax = axes_or_new(ax)
    places, of_fit = table.values[:, at], own.values[:, at]
    if len(at) == 1:
        density(post, feature=own.features[at[0]], legend=False, ax=ax)
        top = ax.get_ylim()[1]
        places, of_fit = (below(ax, values[:, 0], top) for values in (places, of_fit))
    handles = [] if x_new is None else [_dots(ax, of_fit, "0.8", "row of the fit")]
    handles.append(_dots(ax, places, color(0), "row" if x_new is None else "new row"))
    handles.append(_rings(ax, places[out], tail[out], limit, len(tail)))
    _names(ax, places[out[:_NAMED]], [str(table.index[i]) for i in out[:_NAMED]])
    ax.set_xlabel(own.features[at[0]])
    if len(at) == 2:
        ax.set_ylabel(own.features[at[1]])
    add_legend(ax, handles, len(places))
    return ax


def _far(table: Table, out: Floats) -> list[int]:
    """The two features, in their order, in which rows are the most quartile ranges off."""
    if len(table.features) <= 2 or not len(out):
        return pair(table, None, "outliers")
    low, middle, high = np.quantile(table.values, [0.25, 0.5, 0.75], axis=0)
    off = np.abs(out - middle) / np.maximum(high - low, np.finfo(float).tiny)
    return sorted(np.argsort(-off.mean(axis=0), kind="stable")[:2].tolist())


def _dots(ax: Axes, places: Floats, shade: str, noun: str) -> PathCollection:
    shown = places[rows_drawn(len(places))]
    name = counted(len(places), noun)
    name += "" if len(shown) == len(places) else f", {len(shown):,} drawn"
    size = size_of_markers(len(shown))
    return ax.scatter(
        shown[:, 0], shown[:, 1], s=size, color=shade, alpha=0.6, linewidths=0, label=name
    )


def _rings(ax: Axes, places: Floats, tail: Floats, limit: float, n: int) -> PathCollection:
    tens = np.log10(limit / np.clip(tail, min(_LEAST, limit), limit))
    name = (
        f"tail probability < {limit:g}: {counted(len(tail), 'row')},\n"
        f"where the model expects {n * limit:.3g}"
    )
    ring: dict[str, Any] = {"facecolors": "none", "edgecolors": POINT_COLOR, "linewidths": 1.1}
    return ax.scatter(
        places[:, 0], places[:, 1], s=_AREA + _MORE * tens, label=name, zorder=4, **ring
    )


def _names(ax: Axes, places: Floats, names: list[str]) -> None:
    middle = np.mean(ax.get_xlim())
    for place, name in zip(places, names, strict=True):
        left = place[0] > middle
        text = ax.annotate(
            name,
            place,
            (-8 if left else 8, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            fontsize="small",
            zorder=5,
        )
        text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
