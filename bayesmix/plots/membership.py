"""Who belongs where, and how sure: color says the component, its strength the probability."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D

from bayesmix import predictive
from bayesmix.draws import data_of
from bayesmix.membership import NEW
from bayesmix.membership import membership as probabilities
from bayesmix.plots.columns import chosen, separating_components
from bayesmix.plots.rows import add_legend, below, ordered, rows_drawn, rows_words
from bayesmix.plots.style import axes_or_new, color, marker

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["membership", "shade"]

_WHITE, _FULL = 0.35, 0.95  # probabilities of a white marker, and of one in full color
_STEPS = ((0.95, "at least 95%"), (0.75, "75%"), (0.5, "50%"))
_NEUTRAL = "0.25"
_PLACES = 300


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

    Parameters
    ----------
    post : DataTree
        With the groups ``posterior`` and ``observed_data``; relabeled first unless it is.
    features : pair of str, optional
        Which two; default the two that separate the components best.
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
    ax = axes_or_new(ax)
    found = probabilities(post) if found is None else found
    rows = rows_drawn(len(table.values))
    x = table.values[rows][:, at]
    if len(at) == 1:
        _curves(ax, post)
        x = below(ax, x[:, 0], 1.0)
    else:
        ax.set_ylabel(table.features[at[1]])
    _rows(ax, x, found.isel(obs=rows))
    ax.set_xlabel(table.features[at[0]])
    add_legend(ax, _handles(found), len(rows))
    return ax


def shade(full: str, probability: Floats) -> Floats:
    """Colors (n, 3) of rows placed with these probabilities (n,), from white to a full color."""
    strength = np.clip((probability - _WHITE) / (_FULL - _WHITE), 0, 1)[:, None]
    return 1 - strength * (1 - np.array(to_rgb(full)))


def _rows(ax: Axes, x: Floats, found: xr.Dataset) -> None:
    label, sure = found["label"].values, found["label_probability"].values
    size = float(np.clip(8000 / len(x), 8, 26))
    for k, name in enumerate(found["component"].values):
        for doubtful in (False, True):
            own = np.flatnonzero((label == name) & ((sure < _FULL) == doubtful))
            own = own[np.argsort(-sure[own], kind="stable")]
            ax.scatter(
                x[own, 0],
                x[own, 1],
                s=size,
                marker=marker(k),
                facecolors=shade(color(k), sure[own]),
                edgecolors=color(k),
                linewidths=0.04 * size,
                zorder=3 if doubtful else 2,
            )


def _curves(ax: Axes, post: xr.DataTree) -> None:
    """Probability of every component along the only feature, with its band."""
    places = predictive.grid(post, _PLACES)
    along = probabilities(post, places)
    at = places.iloc[:, 0].to_numpy()
    for k in range(along.sizes["component"]):
        one = along.isel(component=k)
        own = color(k) if along["component"].values[k] != NEW else "0.5"
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
    handles = [dot(marker(k), color(k), color(k), f"component {n}") for k, n in enumerate(names)]
    if len(names) > 1:
        steps = ((shade(_NEUTRAL, np.array([p]))[0], text) for p, text in _STEPS)
        handles += [dot("o", _NEUTRAL, face, f"placed with {text}") for face, text in steps]
    n = found.sizes["obs"]
    if len(rows_drawn(n)) < n:
        handles.append(Line2D([], [], linestyle="none", label=rows_words(n)))
    return handles
