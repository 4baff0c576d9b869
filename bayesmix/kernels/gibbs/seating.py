"""New labels row by row, the weights integrated out, in a mixture of any number of components.

A row leaves its cluster and joins one with probability proportional to its size less the discount
times the density there, or founds one at one of a few empty components. These are draws from the
prior, used again from row to row (Neal 2000, algorithm 8; Favaro and Teh 2013): a component that
loses its last row takes the place of one of them at random; one that gains a first row leaves its
place to a new draw. Nothing is truncated.

Densities are computed for all rows of a block at once, relative to the row's largest, which may be
that of a place that has gone since: where that leaves nothing to choose from, logarithms are.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from bayesmix.kernels.blocks import LOWEST, aligned, block_size, compiled, inlined, log_density
from bayesmix.kernels.frames import Place, Scratch, clear, copy, scratch_of
from bayesmix.kernels.gibbs.conditionals import draw_covariances, draw_means
from bayesmix.kernels.gibbs.packs import add_rows, flush, packs_of
from bayesmix.kernels.gibbs.urn import founding
from bayesmix.kernels.gibbs.variates import index_below
from bayesmix.kernels.gibbs.varying_chain import components, is_apart, resized, sums_between
from bayesmix.kernels.lanes import (
    WIDE,
    exp,
    load_wide,
    maximum,
    select_above,
    splat_wide,
    store,
)
from bayesmix.kernels.philox import uniforms
from bayesmix.kernels.structures import add_joint, fill, prepare

__all__ = ["MOST_ROOM", "N_EMPTY", "log_likelihood", "seat_rows", "sow"]

N_EMPTY = 3
"""Empty components that a row may found a cluster at."""
MOST_ROOM = 1 << 15
"""Components that labels of 16 bits can name."""
_LEAST = 1e-200  # of what there is to choose from, to be sure that nothing has vanished
_MOST = 600.0
_size = compiled(block_size)

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


class Work(NamedTuple):
    """Memory for one block, and where it lies."""

    scratch: Any
    share: Any
    """Densities by the row's largest, (C, size)."""
    top: Any
    """Logarithm of the largest, (size,)."""
    place: Any


@compiled
def _draw_component(state: Any, prior: Any, k: int, generator: Any) -> None:
    """Draw an empty component from the prior."""
    point, sums = components(state.point, k, k + 1), sums_between(state, k, k + 1)
    copy(prior.mean, point.means[0])  # means move from where they are, which costs a rounding
    if is_apart(state.point):
        draw_covariances(point, sums, prior, prior.dof, state.scale, generator)
    draw_means(point, sums, prior, generator)
    state.point.near[k] = state.point.near[0]


@compiled
def sow(state: Any, prior: Any, n_clusters: int, generator: Any) -> None:
    """Draw the empty components that follow the clusters."""
    for k in range(n_clusters, n_clusters + N_EMPTY):
        _draw_component(state, prior, k, generator)


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
def _lay(state: Any, urn: Any, n_clusters: int) -> Any:
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
def _more_room(table: Any, room: int) -> Any:
    new = _table_of(room)
    for k in range(len(table.role)):
        new.role[k], new.counts[k] = table.role[k], table.counts[k]
        new.mass[k] = table.mass[k]
    new.empty[:] = table.empty
    new.used[:], new.n_clusters[:] = table.used, table.n_clusters
    return new


@compiled
def _leave(table: Any, urn: Any, k: int, generator: Any) -> None:
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
def _relate(work: Any, n_used: int) -> None:
    """Make densities of a block relative to the largest in their row."""
    joint, share, size = work.scratch.joint, work.share, work.scratch.size
    for g in range(0, size, WIDE):
        top = splat_wide(LOWEST)
        for k in range(n_used):
            top = maximum(load_wide(joint, k * size + g), top)
        store(work.top, g, top)
        for k in range(n_used):
            store(share, k * size + g, exp(load_wide(joint, k * size + g) - top))


@compiled
def _relate_one(work: Any, k: int) -> None:
    """Make those of a component relative to what was the largest."""
    joint, share, size = work.scratch.joint, work.share, work.scratch.size
    for g in range(0, size, WIDE):
        log = load_wide(joint, k * size + g) - load_wide(work.top, g)
        most = splat_wide(_MOST)
        store(share, k * size + g, exp(select_above(log, most, most, log)))


@compiled
def _seat_quietly(table: Any, work: Any, labels: Any, start: int) -> int:
    """Seat rows of a block from ``start`` on that open or close no place; return the next.

    The place that a row had is looked at first. Numbers without sign: a signed index may count from
    the end, which takes time to rule out.
    """
    mass, counts, share, uniform = table.mass, table.counts, work.share, work.scratch.per_row
    size, used = np.uint64(work.scratch.size), np.uint64(table.used[0])
    for row in range(start, len(labels)):
        r, old = np.uint64(row), np.uint64(labels[row])
        mass[old] -= 1.0
        total, at = 0.0, r
        for k in range(used):
            total += mass[k] * share[at]
            at += size
        left = uniform[r] * total - mass[old] * share[old * size + r]
        usable = counts[old] > 1 and _LEAST < total < 1 / _LEAST
        if usable and left < 0:
            mass[old] += 1.0
            continue
        at = r
        new: Any = used
        if usable:
            for k in range(used):
                if k != old:
                    left -= mass[k] * share[at]
                    if left < 0:
                        new = k
                        break
                at += size
        if new == used or counts[new] == 0:
            mass[old] += 1.0
            return row
        counts[old] -= 1.0
        counts[new] += 1.0
        mass[new] += 1.0
        labels[r] = new
    return len(labels)


@compiled
def _choose(table: Any, joint: Any, r: int, old: int, size: int, u: float) -> int:
    """Choose a place for row r of a block by logarithms; -1 if they are no numbers.

    Places are looked at in the order of `_seat_quietly`, which leaves rows to this by their u.
    """
    used, mass = table.used[0], table.mass
    top, total = -np.inf, 0.0
    for k in range(used):
        if mass[k] > 0:
            top = max(top, joint[k * size + r])
    for k in range(used):
        if mass[k] > 0:
            total += mass[k] * math.exp(joint[k * size + r] - top)
    left = u * total
    if not left < np.inf:
        return -1
    last = -1
    for i in range(-1, used):
        k = old if i < 0 else i
        if mass[k] > 0 and i != old:
            left -= mass[k] * math.exp(joint[k * size + r] - top)
            last = k
            if left < 0:
                break
    return last


@compiled
def _join(table: Any, urn: Any, k: int) -> int:
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
def _free_place(table: Any) -> int:
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
def _replace(state: Any, prior: Any, urn: Any, table: Any, e: int, generator: Any) -> int:
    """Draw empty component e anew; return its place, -1 if there is no room."""
    k = _free_place(table)
    if k >= 0:
        _draw_component(state, prior, k, generator)
        table.role[k], table.empty[e] = _EMPTY, k
        _share_founding(table, urn)
    return k


@compiled
def _refill(state: Any, work: Any, k: int) -> None:
    """Compute the log densities of one component for the rows of a block."""
    scratch, size = work.scratch, work.scratch.size
    joint = scratch.joint[k * size : (k + 1) * size]
    own = Scratch(
        scratch.block,
        scratch.own,
        scratch.derived,
        joint,
        scratch.common,
        scratch.per_row,
        size,
    )
    point = components(state.point, k, k + 1)
    add_joint(point, prepare(point), work.place, own)
    _relate_one(work, k)


@inlined
def _seat_block(state: Any, prior: Any, urn: Any, table: Any, work: Any, generator: Any) -> int:
    """Seat the rows of a block; return how many, fewer if the room is used up, -1 on failure."""
    scratch, place, r = work.scratch, work.place, 0
    labels = state.labels[place.start : place.start + place.length]
    while True:
        r = _seat_quietly(table, work, labels, r)
        if r == len(labels):
            return r
        old = np.int64(labels[r])
        _leave(table, urn, old, generator)
        k = _choose(table, scratch.joint, r, old, scratch.size, scratch.per_row[r])
        if k < 0:
            return -1
        labels[r] = k
        r += 1
        e = _join(table, urn, k)
        if e >= 0:
            new = _replace(state, prior, urn, table, e, generator)
            if new < 0:
                return r
            _refill(state, work, new)


@inlined
def seat_rows(
    state: Any, prior: Any, urn: Any, n_clusters: int, source: Any, stream: Any, generator: Any
) -> Any:
    """Draw the labels of all rows, and their moments; return the state and what is empty.

    The state may be a copy with more room. Empty components are given by their places; the first
    is -1 if the densities are no numbers, -2 if there are more clusters than labels can name.
    """
    table = _lay(state, urn, n_clusters)
    clear(state.sums)
    first, n = 0, len(state.labels)
    while first < n:
        room = len(table.role)
        for e in range(N_EMPTY):
            if table.empty[e] < 0:
                _replace(state, prior, urn, table, e, generator)
        first = _seat_with_room(state, prior, urn, table, source, stream, first, generator)
        if first < 0:
            table.empty[0] = -1
            return state, table.empty
        if first < n:
            if 2 * room > MOST_ROOM:
                table.empty[0] = -2
                return state, table.empty
            state, table = resized(state, 2 * room), _more_room(table, 2 * room)
    for e in range(N_EMPTY):  # the last row may have founded a cluster
        if table.empty[e] < 0 and _replace(state, prior, urn, table, e, generator) < 0:
            room = len(table.role)
            if 2 * room > MOST_ROOM:
                table.empty[0] = -2
                return state, table.empty
            state, table = resized(state, 2 * room), _more_room(table, 2 * room)
            _replace(state, prior, urn, table, e, generator)
    return state, table.empty


@inlined
def _seat_with_room(
    state: Any,
    prior: Any,
    urn: Any,
    table: Any,
    source: Any,
    stream: Any,
    first: int,
    generator: Any,
) -> int:
    """Seat rows from ``first`` on until the room is used up; return where to go on."""
    room, d = state.point.means.shape
    n, size = len(state.labels), _size(room, d)
    scratch, packs = scratch_of(room, d, size), packs_of(room, d)
    share, top = aligned(room * size), aligned(size)
    while first < n:
        place = Place(source, first, min(size, n - first))
        point = components(state.point, 0, table.used[0])
        fill(point, prepare(point), place, scratch)
        uniforms(stream, first, place.length, scratch.per_row)
        work = Work(scratch, share, top, place)
        _relate(work, table.used[0])
        done = _seat_block(state, prior, urn, table, work, generator)
        if done < 0:
            return -1
        labels = state.labels[first : first + done]
        add_rows(packs, state.point, scratch.block, labels, size, state.sums)
        first += done
        if table.empty.min() < 0:  # that may be after the last row of the block
            break
    flush(packs, state.point, state.sums)
    return first


@compiled
def log_likelihood(state: Any, n_used: int, source: Any) -> float:
    """Log-likelihood of all rows at the components and log weights of the first places."""
    point = components(state.point, 0, n_used)
    d = len(point.center)
    size, n, found = _size(n_used, d), len(state.labels), 0.0
    frame, scratch, rows = prepare(point), scratch_of(n_used, d, size), aligned(size)
    for first in range(0, n, size):
        count = min(size, n - first)
        fill(point, frame, Place(source, first, count), scratch)
        log_density(scratch.joint, scratch.common, n_used, size, rows)
        for r in range(count):
            found += rows[r]
    return found
