"""What a search has room for: clusters, and of a large problem the rows and draws that are seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.partitions.climbing import table_width
from bayesmix.partitions.signatures import Signatures, evenly

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Labels = NDArray[np.integer[Any]]

__all__ = ["evenly_seen", "most_clusters", "most_needed", "sampled"]

_MOST_CELLS = 5 * 10**6  # columns times draws that every run sees
_SAMPLE = 10_000, 300  # rows and draws of a sample
_RUN_BYTES = 1 << 28  # tables of one run
_LAST_BYTES = 1 << 29  # of the last stage, two of them side by side
_CELL_BYTES = 12  # of tables against draws
_PAIR_BYTES = 16  # of tables of pairs of clusters


def most_needed(rows: Signatures, starts: Sequence[Labels]) -> int:
    """Clusters of the draw or the start, labels (U,) without gaps, that has most."""
    return max(int(rows.n_clusters.max()), *(int(own.max()) + 1 for own in starts), 1)


def most_clusters(rows: Signatures, starts: Sequence[Labels]) -> int:
    """Clusters allowed if the caller sets no limit.

    As many as tables of 256 MiB have room for, if not fewer than a start has, or twice those of
    any draw.
    """
    of_draws = _RUN_BYTES // (_CELL_BYTES * int(rows.start[-1]))
    room = min(of_draws, math.isqrt(_RUN_BYTES // _PAIR_BYTES))
    return min(rows.n, max(room, 2 * int(rows.n_clusters.max()), most_needed(rows, starts)))


def sampled(
    rows: Signatures, n_clusters: int, generator: np.random.Generator
) -> tuple[NDArray[np.int64], Signatures]:
    """Columns that runs see, and they as a problem of their own.

    All, if they are not many, and if tables of so many clusters are not large; else rows and draws
    at random.
    """
    n, s = rows.n, _draws_with_room(rows, n_clusters, _RUN_BYTES)
    if len(rows) * rows.n_draws > _MOST_CELLS:
        n, s = min(n, _SAMPLE[0]), min(s, _SAMPLE[1])
    elif s == rows.n_draws:
        return np.arange(len(rows)), rows
    drawn = rows.of_row[generator.choice(rows.n, n, replace=False)]
    which, weight = np.unique(drawn, return_counts=True)
    draws = np.sort(generator.choice(rows.n_draws, s, replace=False))
    label, of_row = rows.label[which][:, draws], np.repeat(np.arange(len(which)), weight)
    return which, Signatures(np.ascontiguousarray(label), rows.n_clusters[draws], weight, of_row)


def evenly_seen(rows: Signatures, n_clusters: int) -> Signatures:
    """All columns with as many draws, evenly spread, as the last stage has room for."""
    s = _draws_with_room(rows, n_clusters, _LAST_BYTES)
    if s == rows.n_draws:
        return rows
    return rows.draws(evenly(rows.n_draws, s))


def _draws_with_room(rows: Signatures, n_clusters: int, most_bytes: int) -> int:
    per_draw = _CELL_BYTES * table_width(n_clusters) * int(rows.start[-1]) / rows.n_draws
    return min(rows.n_draws, max(1, int(most_bytes // per_draw)))
