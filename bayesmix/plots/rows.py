"""Rows in a picture: which of many, how large, in the order of which fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FixedLocator

from bayesmix.draws import evenly
from bayesmix.membership import membership
from bayesmix.plots.points import reference_of
from bayesmix.relabel import relabel
from bayesmix.schema import group, require_tree
from bayesmix.wording import counted

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = [
    "add_legend",
    "aside",
    "below",
    "ordered",
    "placed",
    "require_coverage",
    "rows_drawn",
    "rows_words",
    "size_of_markers",
]

MAX_ROWS = 5000  # more would only make a blot
_MANY_ENTRIES = 7  # of a legend, from which on it has no place among the rows
_LINES = 20  # of a legend beside the axes
_NAMES = {"obs": "rows", "component": "components"}
_GOLDEN = (5**0.5 - 1) / 2


def rows_drawn(n: int) -> NDArray[np.intp]:
    """Places of the rows to draw: all, or evenly spread ones."""
    return evenly(n, MAX_ROWS)


def rows_words(n: int) -> str:
    """How many rows there are, and how many of them are drawn."""
    return counted(n, "row") if n <= MAX_ROWS else f"{MAX_ROWS:,} of {counted(n, 'row')} drawn"


def size_of_markers(n: int) -> float:
    """Area of a row's marker in square points: below 8 some shapes vanish."""
    return float(np.clip(4000 / max(n, 1), 8, 18))


def aside(n: int) -> Floats:
    """Places (n,) in 0 to 1 at which rows of one feature are kept from hiding each other."""
    return np.asarray(np.arange(n) * _GOLDEN % 1, float)


def below(ax: Axes, x: Floats, top: float) -> Floats:
    """Places (n, 2) of rows x (n,) below curves of this height, which get an axis to stand on."""
    ax.axhline(0, color="0.5", linewidth=0.8)
    ax.yaxis.set_major_locator(FixedLocator([tick for tick in ax.get_yticks() if tick >= 0]))
    return np.column_stack([x, -top * (0.04 + 0.2 * aside(len(x)))])


def require_coverage(value: Any) -> float:
    """Refuse what is not a probability that an outline can hold."""
    if not isinstance(value, (int, float, np.number)) or not 0 < value < 1:
        raise ValueError(f"coverage: expected a number between 0 and 1, got {value}")
    return float(value)


def ordered(post: xr.DataTree, point: Any = None) -> xr.DataTree:
    """A tree relabeled to a point's order, unless it has its own already."""
    require_tree(post)
    if "relabeling" in post.children:
        return post
    return relabel(post, reference=None if point is None else reference_of(point, post))


def placed(post: xr.DataTree, found: Any = None) -> xr.Dataset:
    """Memberships of the rows of the fit: those given, if they are of these, or computed."""
    import xarray as xr

    if found is None:
        return membership(post)
    if not isinstance(found, xr.Dataset) or "label_probability" not in found:
        raise ValueError(
            f"found: expected what bayesmix.membership returns, got {type(found).__name__}"
        )
    fits = group(post, "observed_data"), group(post, "posterior")
    for dim, own in zip(("obs", "component"), fits, strict=True):
        if not np.array_equal(found[dim].values, own[dim].values):
            raise ValueError(
                f"found: expected the {own.sizes[dim]:,} {_NAMES[dim]} of post, got "
                f"{found.sizes[dim]:,} others; pass bayesmix.membership(post)"
            )
    return found


def add_legend(ax: Axes, handles: Sequence[Any]) -> None:
    """Explain a picture of rows: where there is room, or beside the axes."""
    place: dict[str, Any] = {"loc": "best"}
    if len(handles) >= _MANY_ENTRIES:
        place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1), "borderaxespad": 0}
        place["ncols"] = -(-len(handles) // _LINES)
    ax.legend(handles=handles, fontsize="small", **place)
