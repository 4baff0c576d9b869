r"""How sure rows are of their clusters, and how firm the clusters are.

With :math:`p_{il}` the share of draws in which rows i and l are together, the affinity of row i to
cluster j is the mean of :math:`p_{il}` over the other rows l of j. A cluster is found in a draw if
one of the draw's shares with it more than half of their union (Hennig 2007); no two clusters of one
partition can be found in the same cluster of another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.compiling import compile_once
from bayesmix.kernels.caching import cached
from bayesmix.partitions.tables import Confusion, confusion
from bayesmix.threads import run_slices

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.partitions.signatures import Signatures

    Floats = NDArray[np.float64]
    Integers = NDArray[np.integer[Any]]

__all__ = ["Members", "members", "nearest_clusters"]

_TASK_ROWS = 1 << 11


@dataclass(frozen=True, eq=False)
class Members:
    """Rows and clusters of one partition against the draws; J clusters, n rows."""

    certainty: Floats
    """Affinity of every row to its own cluster, (n,); for a row alone, the share of draws in which
    it is alone."""
    next_cluster: NDArray[np.int64]
    """The other cluster that every row has the highest affinity to, (n,); -1 if there is none."""
    next_affinity: Floats
    """That affinity, (n,); 0 if there is none."""
    found: Floats
    """Share of draws in which each cluster is found, (J,)."""
    size_mean: Floats
    """Mean size of what it is found as, over those draws, (J,); NaN if it never is, as below."""
    size_lower: Floats
    """Lower end of the equal-tailed interval of that size, (J,)."""
    size_upper: Floats
    """Its upper end, (J,)."""
    together: Floats
    """Mean over pairs of its rows of the share of draws in which they are together, (J,); NaN of
    one row."""


def members(label: Integers, rows: Signatures, tails: tuple[float, float]) -> Members:
    """Hold a partition against the draws.

    Parameters
    ----------
    label : (U,) ndarray of int
        Clusters 0 to J - 1 of the distinct columns, none empty.
    rows : Signatures
    tails : (float, float)
        Probabilities of the lower and the upper end of intervals of sizes.
    """
    table = confusion(label, rows)
    u = len(rows)
    certainty, affinity, other = np.empty(u), np.empty(u), np.empty(u, np.int64)
    _compile(rows, table)

    def task(own: slice) -> None:
        found = _of_columns(label[own], rows.label[own], table)
        certainty[own], other[own], affinity[own] = found

    run_slices(task, u, _TASK_ROWS)
    of_rows = certainty[rows.of_row], other[rows.of_row], affinity[rows.of_row]
    return Members(*of_rows, *_of_clusters(table, tails), _together(table))


def nearest_clusters(table: Confusion, rows: Signatures) -> NDArray[np.int64]:
    """Clusters of other rows that columns have the highest affinity to, (U,).

    Parameters
    ----------
    table : Confusion
        Of the clusters.
    rows : Signatures
    """
    found = np.empty(len(rows), np.int64)
    _compile(rows, table)

    def task(own: slice) -> None:
        shared = np.zeros((own.stop - own.start, len(table.sizes)), np.int64)
        _add_shared(rows.label[own], table.start, table.count, shared)
        found[own] = (shared / table.sizes).argmax(axis=1)

    run_slices(task, len(rows), _TASK_ROWS)
    return found


def _of_columns(
    own: Integers, label: NDArray[np.unsignedinteger[Any]], table: Confusion
) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Certainty, next cluster and its affinity, of b columns (b, S) in clusters ``own``, (b,)."""
    b, s = label.shape
    shared = np.zeros((b, table.count.shape[1]), np.int64)
    _add_shared(label, table.start, table.count, shared)
    itself = own[:, None] == np.arange(shared.shape[1])
    affinity = (shared - s * itself) / (s * np.maximum(table.sizes - itself, 1))
    certainty = affinity[itself]
    alone = np.flatnonzero(table.sizes[own] == 1)
    sizes = table.draw_sizes[table.start[:-1] + label[alone]]
    certainty[alone] = (sizes == 1).mean(axis=1)
    if shared.shape[1] == 1:
        return certainty, np.full(b, -1), np.zeros(b)
    affinity[itself] = -1
    return certainty, affinity.argmax(axis=1), affinity.max(axis=1)


def _of_clusters(
    table: Confusion, tails: tuple[float, float]
) -> tuple[Floats, Floats, Floats, Floats]:
    """Share of draws that have each cluster; mean and ends of its size there; each (J,)."""
    sizes, matched = table.draw_sizes, table.matched
    found = matched.sum(axis=0) / (len(table.start) - 1)
    mean, lower, upper = np.full((3, len(found)), np.nan)
    for j in np.flatnonzero(found):
        own = sizes[matched[:, j]]
        mean[j] = own.mean()
        lower[j], upper[j] = np.quantile(own, tails)
    return found, mean, lower, upper


def _together(table: Confusion) -> Floats:
    """Mean over draws of the share of pairs in each cluster that are together, (J,)."""
    pairs = (table.count * (table.count - 1) // 2).sum(axis=0) / (len(table.start) - 1)
    possible = table.sizes * (table.sizes - 1) // 2
    return np.divide(pairs, possible, out=np.full(len(pairs), np.nan), where=possible > 0)


def _compile(rows: Signatures, table: Confusion) -> None:
    nothing = rows.label[:0], table.start, table.count, np.empty((0, 0), np.int64)
    words = "affinities of rows and clusters"
    compile_once(("members", rows.label.dtype), words, lambda: _add_shared(*nothing))


def _make_add_shared(fingerprint: str) -> Callable:
    def add_shared(
        label: NDArray[np.unsignedinteger[Any]],
        start: NDArray[np.int64],
        count: NDArray[np.int64],
        shared: NDArray[np.int64],
    ) -> None:
        """Add over draws what clusters share with that of each column of (b, S), to (b, J)."""
        fingerprint  # noqa: B018
        s, (b, j) = label.shape[1], shared.shape
        for first in range(0, s, 64):  # their tables stay close by
            for i in range(b):
                for draw in range(first, min(first + 64, s)):
                    own = start[draw] + label[i, draw]
                    for k in range(j):
                        shared[i, k] += count[own, k]

    return add_shared


_add_shared = cached(_make_add_shared)
