"""How often two rows are together: one square cell for every pair of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmix.draws import evenly
from bayesmix.inputs import require_count
from bayesmix.plots.style import axes_or_new, require_partition, require_rows_of
from bayesmix.similarity import Similarity
from bayesmix.wording import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from bayesmix.partition_result import Partition

__all__ = ["similarity"]

_NUMBERED = 0.02  # share of the rows shown from which on a cluster's number has room
_BORDERS = 40  # with more clusters lines would hide the cells


def similarity(
    found: Similarity,
    partition: Partition | None = None,
    *,
    most_rows: int = 1000,
    ax: Axes | None = None,
) -> Axes:
    """Draw the probability of every two rows to be together, the rows in an order that shows it.

    Dark squares on the diagonal are groups that stay together; what is dark off the diagonal are
    rows that share a cluster with another group in some draws.

    Parameters
    ----------
    found : Similarity
        Result of `bayesmix.similarity`.
    partition : Partition, optional
        Its clusters follow each other, largest first, with lines between them. Within clusters, or
        among all rows without a partition, rows stand in the order of an average-linkage tree.
    most_rows : int, default 1000
        Of more rows, so many are shown, evenly spread over clusters and certainty, or over the
        table.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    if not isinstance(found, Similarity):
        raise ValueError(
            f"similarity: expected what bayesmix.similarity returns, got {type(found).__name__}"
        )
    if partition is not None:
        require_partition(partition)
    require_count(most_rows, "most_rows")
    if most_rows < 2:
        raise ValueError(f"most_rows: expected at least 2, got {most_rows}")
    ax = axes_or_new(ax, (6.4, 5.4))
    if partition is None:
        rows = evenly(found.n, most_rows)
        label = np.zeros_like(rows)
    else:
        require_rows_of(partition, found.n, "similarity")
        by_cluster = np.lexsort((-partition.certainty.values, partition.labels.values))
        rows = by_cluster[evenly(found.n, most_rows)]
        label = partition.labels.values[rows]
    shown = found.block(rows).values
    order = _within(label, shown)
    image = ax.imshow(
        shown[np.ix_(order, order)], cmap="Blues", vmin=0, vmax=1, interpolation="nearest"
    )
    ax.figure.colorbar(image, ax=ax, label="probability of being together", shrink=0.85)
    count = counted(found.n, "row")
    count = count if len(rows) == found.n else f"{len(rows):,} of {count}"
    if partition is None:
        ax.set(xlabel=f"{count}, alike ones side by side", xticks=[], yticks=[])
    else:
        ax.set(xlabel=f"{count} by cluster", ylabel="cluster")
        _mark(ax, label)
    return ax


def _within(label: NDArray[np.integer], together: NDArray[np.floating]) -> NDArray[np.intp]:
    """Order (m,) of sorted labels that has rows together often side by side in every cluster."""
    cuts = np.flatnonzero(np.diff(label)) + 1
    parts = np.split(np.arange(len(label)), cuts)
    return np.concatenate([part[_leaves(together[np.ix_(part, part)])] for part in parts])


def _leaves(together: NDArray[np.floating]) -> NDArray[np.integer]:
    """Order (m,) of the leaves of an average-linkage tree of probabilities (m, m)."""
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if len(together) < 2:
        return np.arange(len(together))
    return leaves_list(linkage(squareform(1 - together, checks=False), "average"))


def _mark(ax: Axes, label: NDArray[np.integer]) -> None:
    """Lines between the clusters of sorted labels (m,), and numbers where there is room."""
    name, first, size = np.unique(label, return_index=True, return_counts=True)
    if len(name) <= _BORDERS:
        for place in first[1:] - 0.5:
            ax.axhline(place, color="0.35", linewidth=0.7)
            ax.axvline(place, color="0.35", linewidth=0.7)
    wide = size >= _NUMBERED * len(label)
    middle = (first + (size - 1) / 2)[wide]
    ax.set_xticks(middle, name[wide])
    ax.set_yticks(middle, name[wide])
    ax.tick_params(length=0)
