"""What all pictures share: colors and markers that survive print and color blindness."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
from matplotlib.colors import to_hex, to_rgb

from bayesmix.partition_result import Partition
from bayesmix.schema import group

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "POINT_COLOR",
    "axes_or_new",
    "color",
    "marker",
    "plain",
    "point_name",
    "require_made",
    "require_partition",
    "require_rows_of",
]

# Okabe & Ito 2008, without yellow (too pale on white) and black (kept for the point fit).
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h")
POINT_COLOR = "black"


def color(component: int) -> str:
    """Color of a component: one of six, then the same darker, then paler."""
    turn, at = divmod(component, len(_COLORS))
    other, share = ((0, 0), (0, 0.45), (1, 0.5))[turn % 3]  # of black or white in it
    red, green, blue = ((1 - share) * part + share * other for part in to_rgb(_COLORS[at]))
    return to_hex((red, green, blue))


def marker(component: int) -> str:
    """Marker of a component; with the color it tells 30 components apart."""
    return _MARKERS[component % len(_MARKERS)]


def plain(text: object) -> str:
    """Text that matplotlib shows as it is: dollar signs are no mathematics."""
    return str(text).replace("$", r"\$")


def point_name(point: Any) -> str:
    """What legends call a point: by the name of EM only where that has found it."""
    import xarray as xr
    from sklearn.mixture import GaussianMixture

    if isinstance(point, xr.DataTree):
        found = "objective" in group(point, "point_estimate").attrs
    else:
        found = isinstance(point, GaussianMixture) or hasattr(point, "verdict_")
    return "EM" if found else "point"


def axes_or_new(ax: Axes | None, size: tuple[float, float] = (6.4, 4.8)) -> Axes:
    """Return the axes given, or those of a new figure."""
    if ax is not None:
        return ax
    return plt.subplots(figsize=size, layout="constrained")[1]


def require_made(value: Any, kind: type, name: str, maker: str) -> None:
    """Refuse what is not the result that a function of the package returns."""
    if not isinstance(value, kind):
        raise ValueError(
            f"{name}: expected what bayesmix.{maker} returns, got {type(value).__name__}"
        )


def require_partition(value: Any, name: str = "partition") -> None:
    """Refuse what is not the result of `bayesmix.partition`."""
    require_made(value, Partition, name, "partition")


def require_rows_of(partition: Partition, n: int, name: str) -> None:
    """Refuse what has another number of rows than the partition."""
    expected = len(partition.labels)
    if n != expected:
        raise ValueError(
            f"{name}: expected {expected:,} rows, as the partition has, got {n:,}; pass what it "
            "was computed from"
        )
