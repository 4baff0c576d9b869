"""A partition and its posterior: how sure its rows are, and all of it in one figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np

from bayesmix.inputs import require_count
from bayesmix.partition_result import by_doubt
from bayesmix.plots.ball import distances, strips
from bayesmix.plots.style import axes_or_new, color, marker, plain, require_partition
from bayesmix.wording import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from bayesmix.partition_result import Partition

__all__ = ["moves", "partitioned"]

_ASIDE = 0.16
_FEWEST, _MOST = 10, 40  # rows beside a ball


def moves(partition: Partition, *, n_rows: int = 40, ax: Axes | None = None) -> Axes:
    """Draw the rows that are nearest to a change: affinity to their own cluster and the next one.

    The affinity to a cluster is the mean share of draws in which the row is together with the
    other rows of that cluster. Below every row stand its name, its cluster and the next one.

    Parameters
    ----------
    partition : Partition
        Result of `bayesmix.partition`.
    n_rows : int, default 40
        How many rows: `Partition.moving` first, then those whose own cluster is the least ahead of
        the next one.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    require_partition(partition)
    require_count(n_rows, "n_rows")
    ax = axes_or_new(ax, (9, 4))
    order, n_moving = by_doubt(partition.rows)
    rows = partition.rows.iloc[order[:n_rows]]
    first = f"first the {n_moving:,} that may move" if n_moving else "none may move"
    own, other = (rows[name].to_numpy(int) for name in ("label", "next_label"))
    for i, (share, following) in enumerate(rows[["certainty", "next_affinity"]].to_numpy(float)):
        if other[i] >= 0:
            ax.plot((i - _ASIDE, i + _ASIDE), (share, following), color="0.6", lw=1, zorder=1)
            ax.plot(i + _ASIDE, following, markerfacecolor="white", **_look(other[i]))
        ax.plot(i - _ASIDE, share, **_look(own[i]))
    for fill, name in (("full", "own cluster (its certainty)"), ("none", "the next cluster")):
        ax.plot([], [], "o", color="0.3", fillstyle=fill, markersize=6, label=name)
    n = len(partition.rows)
    ax.set(
        ylim=(-0.03, 1.03),
        xlim=(-0.8, len(rows) - 0.2),
        ylabel="share of draws together",
        xlabel=f"row, its cluster → the next: {len(rows):,} of {counted(n, 'row')}, {first}",
    )
    steps = [f"{a} → {b}" if b >= 0 else f"{a}" for a, b in zip(own, other, strict=True)]
    names = [f"{plain(name)}  {step}" for name, step in zip(rows.index, steps, strict=True)]
    ax.set_xticks(np.arange(len(rows)), names, rotation=90, fontsize="x-small")
    ax.legend(fontsize="small", loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
    return ax


def partitioned(partition: Partition) -> NDArray[np.object_]:
    """Draw a partition's credible ball and the rows that may move, with others up to ten.

    Returns
    -------
    ndarray of matplotlib Axes, shape (3,)
        Estimate and bounds as strips; the draws' distances from the estimate; `moves`.
    """
    require_partition(partition)
    _, axes = plt.subplots(3, 1, figsize=(9, 8), layout="constrained", height_ratios=[4, 2.5, 5])
    strips(partition, axes[0])
    distances(partition, axes[1])
    moves(partition, n_rows=min(max(len(partition.moving), _FEWEST), _MOST), ax=axes[2])
    return axes


def _look(cluster: int) -> dict[str, Any]:
    return {"marker": marker(cluster), "color": color(cluster), "markersize": 6}
