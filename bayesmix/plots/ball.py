"""A credible ball: the estimate beside the partitions at its edges, and how far draws are away."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from bayesmix.draws import data_of, evenly
from bayesmix.inputs import as_table
from bayesmix.partitions.losses import Loss
from bayesmix.plots.columns import chosen, separating
from bayesmix.plots.rows import aside, size_of_markers
from bayesmix.plots.style import (
    POINT_COLOR,
    color,
    marker,
    plain,
    require_partition,
    require_rows_of,
)
from bayesmix.wording import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from bayesmix.partition_result import Partition

    Floats = NDArray[np.float64]
    Labels = NDArray[np.integer]

__all__ = ["ball", "distances", "strips"]

_PLACES = ("estimate", "upper", "lower", "horizontal")
_MAX_ROWS = 1500  # more make rings a blot
_MAX_CELLS = 2000
_NUMBERED = 0.02  # share of a strip, or of the rows, from which on a cluster has its number
_BARS = 40
_ROUNDING = 1e-12  # by which distances of draws at the radius may exceed it


def ball(
    partition: Partition, x: Any = None, *, features: Sequence[str] | None = None
) -> NDArray[np.object_]:
    """Draw the estimate, the bounds of its credible ball, and the draws' distances.

    Clusters of a bound have the color and number of the estimate's cluster with which they share
    more than half of their union; other clusters are new. Ringed are rows that are not in the
    estimate's cluster: of a cluster in two halves all, as neither is more than half of it. A bound
    that is the same partition as one before says so.

    Parameters
    ----------
    partition : Partition
        Result of `bayesmix.partition`.
    x : array, table or DataTree, optional
        The rows, or a tree that has them. Without it every partition is a strip of colored cells,
        rows in the order of the estimate.
    features : sequence of one or two str, optional
        Which to draw; default the two in which the estimate's clusters
        differ most, or the only one. One feature is drawn along the
        axis, every cluster at its own height.

    Returns
    -------
    ndarray of matplotlib Axes
        With ``x`` of shape (5,): estimate, upper bound (fewest clusters), lower bound (most),
        horizontal bound (farthest), distances; else (2,): strips, distances.
    """
    require_partition(partition)
    if x is not None:
        return _scatters(partition, *_coordinates(partition, x, features))
    if features is not None:
        raise ValueError("features: expected x that has them, got none; pass the rows as x")
    _, axes = plt.subplots(2, 1, figsize=(9, 4.6), layout="constrained", height_ratios=[5, 3])
    strips(partition, axes[0])
    distances(partition, axes[1])
    return axes


def strips(partition: Partition, ax: Axes) -> None:
    """Estimate and bounds as four strips of colored cells, one cell per row or evenly spread one.

    Rows stand by their cluster in the estimate, then in the bounds, so that what moves together
    stays together.
    """
    labels = _labels(partition)
    order = np.lexsort(labels[::-1])
    shown = labels[:, order[evenly(labels.shape[1], _MAX_CELLS)]]
    names, at = np.unique(shown, return_inverse=True)
    colors = np.array([to_rgb(color(int(name))) for name in names])
    m = shown.shape[1]
    ax.imshow(colors[at], aspect="auto", interpolation="nearest", extent=(0, m, 3.5, -0.5))
    for i, label in enumerate(shown):
        cuts = np.flatnonzero(np.diff(label)) + 1
        for first, last in zip(np.append(0, cuts), np.append(cuts, m), strict=True):
            if last - first >= _NUMBERED * m:
                _number(ax, (first + last) / 2, i, label[first])
    for border in (0.5, 1.5, 2.5):
        ax.axhline(border, color="white", linewidth=5)
    n = labels.shape[1]
    ax.set(
        xticks=[],
        xlabel=("" if m == n else f"{m:,} of ") + f"{counted(n, 'row')}, by cluster",
    )
    ax.set_yticks(range(4), _titles(partition, labels), fontsize="small")
    ax.tick_params(length=0)


def distances(partition: Partition, ax: Axes) -> None:
    """Histogram of the draws' distances from the estimate; bars left of the line are inside."""
    found, loss = partition.credible_ball, Loss(partition.loss)
    edges = _edges(found.distance, found.radius)
    ax.hist(found.distance, edges.tolist(), color=color(0), alpha=0.4)
    ax.axvline(found.radius, color=POINT_COLOR)
    share, far = f"{found.share:.0%}", loss.amount(found.radius)
    ax.set_title(f"{share} of the draws are within {far}", fontsize="small", loc="left")
    unit = f", {loss.unit}" if loss.unit else ""
    ax.set(xlabel=f"{loss.words} from the estimate{unit}", ylabel="draws")
    width = edges[-1] - edges[-2]
    ax.set_xlim(edges[0], edges[-1] + 2 * width if found.distance.any() else 1)


def _edges(distance: Floats, radius: float) -> Floats:
    """Ends of bars (m,): one at the radius, so that the draws at it stand before the line."""
    top, end = float(distance.max()), radius + _ROUNDING
    width = (top or 1.0) / _BARS
    before = max(round(radius / width), 1)
    if radius >= width / 2:
        width = end / before
    after = max(int((top - end) / width) + 1, 0) if top > end else 0
    edges: Floats = end + width * np.arange(-before, after + 1, dtype=float)
    edges[0] = min(edges[0], 0)
    return edges


def _labels(partition: Partition) -> Labels:
    """Labels of the estimate and of the first partition of every bound, (4, n)."""
    bounds = [getattr(partition.credible_ball, name).labels[0] for name in _PLACES[1:]]
    return np.stack([partition.labels.values, *bounds])


def _titles(partition: Partition, labels: Labels) -> list[str]:
    """What each of the four (4, n) is: clusters and distance, or which of those before it."""
    titles, loss = [f"estimate\n{counted(partition.n_clusters, 'cluster')}"], Loss(partition.loss)
    for i, name in enumerate(_PLACES[1:], start=1):
        bound = getattr(partition.credible_ball, name)
        several = "" if len(bound.labels) == 1 else ", one of several"
        says = f"{counted(int(bound.n_clusters[0]), 'cluster')}, {loss.amount(bound.distance)} away"
        same = np.flatnonzero((labels[:i] == labels[i]).all(axis=1))
        if same.size:
            says = f"the same as {_PLACES[same[0]]}"
        titles.append(f"{name} bound{several}\n{says}")
    return titles


def _coordinates(
    partition: Partition, x: Any, features: Sequence[str] | None
) -> tuple[tuple[str, ...], Floats]:
    """Names of one or two features, and their values (n, 1) or (n, 2)."""
    import xarray as xr

    table = data_of(x) if isinstance(x, xr.DataTree) else as_table(x)
    require_rows_of(partition, len(table.values), "x")
    at = chosen(table, features, partial(separating, table.values, partition.labels.values))
    return tuple(table.features[j] for j in at), table.values[:, at]


def _scatters(partition: Partition, names: tuple[str, ...], values: Floats) -> NDArray[np.object_]:
    """Four scatters of one or two features, values (n, 1) or (n, 2), above the distances."""
    figure = plt.figure(figsize=(12, 5.2), layout="constrained")
    panels = figure.subplot_mosaic([[*_PLACES], ["distances"] * 4], height_ratios=[3, 1])
    rows = evenly(len(values), _MAX_ROWS)
    labels = _labels(partition)
    for place, label, title in zip(_PLACES, labels, _titles(partition, labels), strict=True):
        ax = panels[place]
        if place != "estimate":
            ax.sharex(panels["estimate"])
            ax.sharey(panels["estimate"])
            ax.tick_params(labelleft=False)
        _scatter(ax, values[rows], label[rows], (label != labels[0])[rows])
        ax.set(xlabel=plain(names[0]), title=title)
        ax.title.set_fontsize("medium")
    panels["estimate"].set_ylabel(plain(names[1]) if len(names) == 2 else "cluster")
    distances(partition, panels["distances"])
    shown = "" if len(rows) == len(values) else f"; {len(rows):,} of {len(values):,} rows shown"
    figure.suptitle(f"ringed: not in the estimate's cluster{shown}", fontsize="medium")
    return np.array([panels[name] for name in (*_PLACES, "distances")], dtype=object)


def _scatter(ax: Axes, x: Floats, label: Labels, moved: NDArray[np.bool_]) -> None:
    """Rows (m, 2), or (m, 1) at the height of their cluster, by cluster; rings around some."""
    flat = x.shape[1] == 1
    if flat:
        x = np.column_stack([x[:, 0], label + 0.7 * (aside(len(x)) - 0.5)])
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    size = size_of_markers(len(x))
    for k in np.unique(label):
        own = label == k
        look: dict[str, Any] = {"color": color(int(k)), "marker": marker(int(k))}
        ax.scatter(x[own, 0], x[own, 1], s=size, linewidths=0.6, alpha=0.7, **look)
        if not flat and own.mean() >= _NUMBERED:
            _number(ax, np.median(x[own, 0]), np.median(x[own, 1]), k)
    ring: dict[str, Any] = {"facecolors": "none", "edgecolors": POINT_COLOR}
    ax.scatter(x[moved, 0], x[moved, 1], s=2.2 * size, linewidths=0.04 * size, **ring)


def _number(ax: Axes, x: float, y: float, cluster: int) -> None:
    text = ax.text(x, y, str(cluster), ha="center", va="center_baseline")
    text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
