"""Names beside rings in a picture: inside the axes, over no ring, legend or other name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patheffects import withStroke

from bayesmix.plots.style import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["add_names"]

_GAP = 3.0  # between a ring and its name, in points
_ASLANT = 0.75  # of a ring's radius, by which names at its corners are off its center
_SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))


def add_names(ax: Axes, places: Floats, areas: Floats, names: Sequence[str]) -> None:
    """Name the first of some rings (m, 2), of areas (m,) as of markers, where there is room.

    To be called last, as where things are is read off the axes.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None  # axes are drawn on one
    if engine := figure.get_layout_engine():
        engine.execute(figure)
    points = figure.dpi / 72
    centers, radii = ax.transData.transform(places), np.sqrt(areas) / 2 * points
    legend = ax.get_legend()
    taken = [legend.get_window_extent()] if legend else []
    for at, radius, place, name in zip(centers, radii, places, names, strict=False):
        text = _text(ax, place, name)
        box = text.get_window_extent()
        for side in _SIDES:
            away = _GAP * points + radius * (1 if 0 in side else _ASLANT)
            shift = np.array(side) * (np.array([box.width, box.height]) / 2 + away)
            moved = box.translated(*(at + shift - _middle(box)))
            if _inside(moved, ax.get_window_extent()) and _free(moved, taken, centers, radii):
                taken.append(moved)
                text.set_position(shift / points)
                break
        else:
            text.remove()


def _middle(box: Bbox) -> Floats:
    return np.array([box.x0 + box.x1, box.y0 + box.y1]) / 2


def _inside(box: Bbox, other: Bbox) -> bool:
    return box.x0 >= other.x0 and box.x1 <= other.x1 and box.y0 >= other.y0 and box.y1 <= other.y1


def _free(box: Bbox, taken: list[Bbox], centers: Floats, radii: Floats) -> bool:
    """Whether a box meets no other, and no circle."""
    nearest = np.clip(centers, box.min, box.max)
    apart = np.linalg.norm(nearest - centers, axis=1) > radii
    return bool(apart.all()) and not any(box.overlaps(other) for other in taken)


def _text(ax: Axes, place: Floats, name: str) -> Annotation:
    look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": "small", "zorder": 5}
    at = (place[0], place[1])
    text = ax.annotate(plain(name), at, (0, 0), textcoords="offset points", **look)
    text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
    return text
