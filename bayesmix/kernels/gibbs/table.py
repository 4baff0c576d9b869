"""Who sits where while rows move: places of clusters and of the few empty components beside them.

A component that loses its last row becomes one of the empty ones, in place of one of them at
random; an empty one that gains a row leaves its place among them to be filled.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bayesmix.kernels.blocks import compiled
from bayesmix.kernels.gibbs.urn import founding
from bayesmix.kernels.gibbs.variates import index_below

__all__ = ["N_EMPTY", "fill_empty", "free_place", "join", "lay", "leave", "more_room"]

N_EMPTY = 3
"""Empty components that a row may found a cluster at."""

_FREE, _OCCUPIED, _EMPTY = 0, 1, 2


class Table(NamedTuple):
    """Who sits where while rows move; C places."""

    role: Any
    """Free places hold no component."""
    counts: Any
    """Rows."""
    mass: Any
    """What a place has for the next row, before the density."""
    empty: Any
    """Places of the empty components, (N_EMPTY,); -1 for one yet to be drawn."""
    used: Any
    """Places from this on are free, (1,)."""
    n_clusters: Any
    """(1,)"""


@compiled
def _table_of(room: int) -> Any:
    return Table(
        np.zeros(room, np.int8),
        np.zeros(room),
        np.zeros(room),
        np.full(N_EMPTY, -1),
        np.zeros(1, np.int64),
        np.zeros(1, np.int64),
    )


@compiled
def _share_founding(table: Any, urn: Any) -> None:
    """Spread what founds a cluster over the empty components."""
    each = founding(urn, table.n_clusters[0]) / N_EMPTY
    for k in table.empty:
        if k >= 0:
            table.mass[k] = each


@compiled
def lay(state: Any, urn: Any, n_clusters: int) -> Any:
    """Lay the table for the clusters, and the empty components behind them."""
    table = _table_of(len(state.sums.sizes))
    for k in range(n_clusters):
        table.role[k], table.counts[k] = _OCCUPIED, state.sums.sizes[k]
        table.mass[k] = table.counts[k] - urn.discount
    for e in range(N_EMPTY):
        table.empty[e] = n_clusters + e
        table.role[n_clusters + e] = _EMPTY
    table.used[0], table.n_clusters[0] = n_clusters + N_EMPTY, n_clusters
    _share_founding(table, urn)
    return table


@compiled
def more_room(table: Any, room: int) -> Any:
    """Copy a table to one with more places."""
    new = _table_of(room)
    for k in range(len(table.role)):
        new.role[k], new.counts[k] = table.role[k], table.counts[k]
        new.mass[k] = table.mass[k]
    new.empty[:] = table.empty
    new.used[:], new.n_clusters[:] = table.used, table.n_clusters
    return new


@compiled
def leave(table: Any, urn: Any, k: int, generator: Any) -> None:
    """Take a row from its cluster."""
    table.counts[k] -= 1
    table.mass[k] = table.counts[k] - urn.discount
    if table.counts[k] == 0:
        e = index_below(generator, N_EMPTY)
        gone = table.empty[e]
        table.role[gone] = _FREE
        table.mass[gone] = 0.0
        table.role[k], table.empty[e] = _EMPTY, k
        table.n_clusters[0] -= 1
        _share_founding(table, urn)


@compiled
def join(table: Any, urn: Any, k: int) -> int:
    """Seat a row; return which empty component is to be drawn anew, -1 for none."""
    table.counts[k] += 1
    table.mass[k] = table.counts[k] - urn.discount
    if table.role[k] != _EMPTY:
        return -1
    table.role[k] = _OCCUPIED
    table.n_clusters[0] += 1
    wanted = 0
    for e in range(N_EMPTY):
        if table.empty[e] == k:
            wanted = e
    table.empty[wanted] = -1
    return wanted


@compiled
def free_place(table: Any) -> int:
    """Return a place for a new component, -1 if there is no room."""
    used = table.used[0]
    for k in range(used):
        if table.role[k] == _FREE:
            return k
    if used < len(table.role):
        table.used[0] = used + 1
        return used
    return -1


@compiled
def fill_empty(table: Any, urn: Any, e: int, k: int) -> None:
    """Make place k empty component e."""
    table.role[k], table.empty[e] = _EMPTY, k
    _share_founding(table, urn)
