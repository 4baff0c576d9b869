"""A partition and its posterior: how sure its rows are, and all of it in one figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from bayesmix.plots.ball import distances, strips
from bayesmix.plots.style import axes_or_new, color, marker

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from bayesmix.partition import Partition

__all__ = ["moves", "partitioned"]

_ASIDE = 0.16


def moves(partition: Partition, *, n_rows: int = 40, ax: Axes | None = None) -> Axes:
    """Draw the least certain rows: affinity to their own cluster and to the next one.

    The affinity to a cluster is the mean share of draws in which the row is together with the
    other rows of that cluster. Below every row stand its name, its cluster and the next one.

    Parameters
    ----------
    partition : Partition
        Result of `bayesmix.partition`.
    n_rows : int, default 40
        How many rows, the least certain first.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    ax = axes_or_new(ax, (9, 4))
    rows = partition.rows.sort_values("certainty", kind="stable").head(n_rows)
    for i, row in enumerate(rows.itertuples()):
        own, other = int(row.label), int(row.next_label)
        if other >= 0:
            place, value = (i - _ASIDE, i + _ASIDE), (row.certainty, row.next_affinity)
            ax.plot(place, value, color="0.6", linewidth=1, zorder=1)
            ax.plot(
                place[1],
                value[1],
                marker(other),
                color=color(other),
                markerfacecolor="white",
                markeredgewidth=1.3,
                markersize=6,
            )
        ax.plot(i - _ASIDE, row.certainty, marker(own), color=color(own), markersize=6)
    for fill, name in (("full", "own cluster (its certainty)"), ("none", "the next cluster")):
        ax.plot([], [], "o", color="0.3", fillstyle=fill, markersize=6, label=name)
    ax.set(
        ylim=(-0.03, 1.03),
        xlim=(-0.8, len(rows) - 0.2),
        ylabel="share of draws together",
        xlabel=f"row  its cluster → the next: the {len(rows)} least certain of "
        f"{len(partition.rows)}",
    )
    names = [
        f"{name}  {own}" + (f" → {other}" if other >= 0 else "")
        for name, own, other in zip(rows.index, rows["label"], rows["next_label"], strict=True)
    ]
    ax.set_xticks(np.arange(len(rows)), names, rotation=90, fontsize="x-small")
    ax.legend(fontsize="small", loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
    return ax


def partitioned(partition: Partition) -> NDArray[np.object_]:
    """Draw a partition's credible ball and the rows that are not sure of their cluster.

    Returns
    -------
    ndarray of matplotlib Axes, shape (3,)
        Estimate and bounds as strips; the draws' distances from the estimate; `moves`.
    """
    _, axes = plt.subplots(3, 1, figsize=(9, 8), layout="constrained", height_ratios=[4, 2.5, 5])
    strips(partition, axes[0])
    distances(partition, axes[1])
    moves(partition, ax=axes[2])
    return axes
