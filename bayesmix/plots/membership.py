"""Who belongs where, and how sure: color says the component, its strength the probability."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.transforms import IdentityTransform

from bayesmix.draws import data_of
from bayesmix.membership import NEW
from bayesmix.membership import membership as probabilities
from bayesmix.plots.columns import chosen, separating_components
from bayesmix.plots.curves import components_along, extent, places
from bayesmix.plots.rows import (
    add_legend,
    aside,
    below,
    ordered,
    placed,
    rows_drawn,
    rows_words,
)
from bayesmix.plots.style import axes_or_new, color, marker, plain
from bayesmix.schema import chosen_clusters

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["membership", "shade"]

_WHITE, _FULL = 0.35, 0.95  # probabilities of a white marker, and of one in full color
_STEPS = ((0.95, "at least 95%"), (0.75, "75%"), (0.5, "50%"))
_NEUTRAL = "0.25"
_OF_NEW = "0.5"


def membership(
    post: xr.DataTree,
    *,
    features: Sequence[str] | None = None,
    found: xr.Dataset | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the rows in the color of their most probable component, the paler the less sure.

    A marker in full color is placed with at least 95 % probability; edge and shape say the
    component of pale ones as well. The least sure are on top. Data of one feature have the
    probabilities as curves along it, with the band of the posterior draws, and the rows below.
    One feature of several has no such curves, as the probabilities are of all features: rows stand
    along it at the height of their component.

    Parameters
    ----------
    post : DataTree
        With the groups ``posterior`` and ``observed_data``; relabeled first unless it is.
    features : sequence of one or two str, optional
        Which to draw; default the two that separate the components best, or the only one.
    found : Dataset, optional
        Result of `bayesmix.membership` for the rows of the fit, to save computing it again.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
    >>> post = bm.sample(mixture, x, random_seed=1, progressbar=False)
    >>> ax = bm.plots.membership(post)
    >>> ax.get_legend().get_texts()[3].get_text()
    'placed with 75%'
    """
    post = ordered(post)
    table = data_of(post)
    at = chosen(table, features, partial(separating_components, post))
    found = placed(post, found)
    ax = axes_or_new(ax)
    rows = rows_drawn(len(table.values))
    x, shown = table.values[rows][:, at], found.isel(obs=rows)
    curves = len(table.features) == 1
    if curves:
        _curves(ax, post)
        x = below(ax, x[:, 0], 1.0)
    elif len(at) == 1:
        x = _lanes(ax, x[:, 0], shown, len(table.features))
    else:
        ax.set_ylabel(plain(table.features[at[1]]))
    _rows(ax, x, shown)
    ax.set_xlabel(plain(table.features[at[0]]))
    handles = _handles(found)
    if curves and chosen_clusters(post) is not None:
        handles.append(Line2D([], [], color=_OF_NEW, label="a new cluster"))
    add_legend(ax, handles)
    return ax


def shade(full: str, probability: Floats) -> Floats:
    """Colors (n, 3) of rows placed with these probabilities (n,), from white to a full color."""
    strength = np.clip((probability - _WHITE) / (_FULL - _WHITE), 0, 1)[:, None]
    return 1 - strength * (1 - np.array(to_rgb(full)))


def _rows(ax: Axes, x: Floats, found: xr.Dataset) -> None:
    """Rows at their places (n, 2), the least sure last and so on top."""
    sure, at = found["label_probability"].values, _component(found)
    order = np.argsort(-sure, kind="stable")
    faces, edges = np.empty((len(x), 3)), np.empty((len(x), 3))
    for k in np.unique(at):
        faces[at == k], edges[at == k] = shade(color(k), sure[at == k]), to_rgb(color(k))
    styles = [MarkerStyle(marker(k)) for k in range(found.sizes["component"])]
    shapes = [style.get_path().transformed(style.get_transform()) for style in styles]
    size = float(np.clip(8000 / len(x), 8, 26))
    dots = PathCollection(
        [shapes[k] for k in at[order]],
        [size],
        offsets=x[order],
        offset_transform=ax.transData,
        facecolors=faces[order],
        edgecolors=edges[order],
        linewidths=0.04 * size,
        zorder=2,
    )
    dots.set_transform(IdentityTransform())  # sizes are in points
    ax.add_collection(dots)
    ax.autoscale_view()


def _component(found: xr.Dataset) -> NDArray[np.intp]:
    """Place of every row's component among all (n,)."""
    return (found["label"].values[:, None] == found["component"].values).argmax(axis=1)


def _lanes(ax: Axes, x: Floats, found: xr.Dataset, n_features: int) -> Floats:
    """Places (n, 2) of rows along one feature of several, every component at its own height."""
    names = found["component"].values
    ax.set_yticks(range(len(names)), [plain(name) for name in names])
    ax.set(ylim=(-0.6, len(names) - 0.4), ylabel=f"component, by all {n_features} features")
    return np.column_stack([x, _component(found) + 0.7 * (aside(len(x)) - 0.5)])


def _curves(ax: Axes, post: xr.DataTree) -> None:
    """Probability of every component along the only feature, with its band."""
    at = places(*extent(data_of(post).values[:, 0]), *components_along(post, 0))
    along = probabilities(post, at[:, None])
    for k in range(along.sizes["component"]):
        one = along.isel(component=k)
        own = color(k) if along["component"].values[k] != NEW else _OF_NEW
        band = one["probability_lower"], one["probability_upper"]
        ax.fill_between(at, *band, alpha=0.25, linewidth=0, color=own)
        ax.plot(at, one["probability"], color=own)
    ax.set(
        ylim=(-0.28, 1.04), yticks=(0, 0.25, 0.5, 0.75, 1), ylabel="probability; below it the rows"
    )
    ax.set_title(f"shaded: {along.attrs['ci_prob']:.0%} of the draws", fontsize="small", loc="left")


def _handles(found: xr.Dataset) -> list[Line2D]:
    def dot(shape: str, edge: str, face: Any, label: str) -> Line2D:
        look: dict[str, Any] = {"markerfacecolor": face, "markeredgecolor": edge, "markersize": 6}
        return Line2D([], [], linestyle="none", marker=shape, label=label, **look)

    names = found["component"].values
    handles = [
        dot(marker(k), color(k), color(k), f"component {plain(n)}") for k, n in enumerate(names)
    ]
    if len(names) > 1:
        steps = ((shade(_NEUTRAL, np.array([p]))[0], text) for p, text in _STEPS)
        handles += [dot("o", _NEUTRAL, face, f"placed with {text}") for face, text in steps]
    n = found.sizes["obs"]
    if len(rows_drawn(n)) < n:
        handles.append(Line2D([], [], linestyle="none", label=rows_words(n)))
    return handles
