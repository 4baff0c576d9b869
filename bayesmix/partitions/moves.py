r"""Moves of a search for the partition of least expected loss: compiled, on tables in place.

Of a partition with n_j rows in cluster j, of which draw s has m_sj together with a row, it costs

.. math::

    a \, (F(n_j + w) - F(n_j)) - \frac{a + b}{S} \sum_s (F(m_{sj} + w) - F(m_{sj}))

to put w equal rows into j (`losses`). The differences for w = 1 are kept in a table in which the
candidates j are next to each other, so that a draw adds one vector. Under the adjusted Rand index
the pairs that a partition shares with each draw are kept too. Rows that are in no cluster count as
rows alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import njit

from bayesmix.compiling import compile_once
from bayesmix.kernels.caching import cached

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]

__all__ = ["Items", "Tables", "Terms", "compile_moves", "merge_costs", "place", "sweep"]


class Items(NamedTuple):
    """What moves: m columns of labels, each of one row or of several."""

    label: NDArray[np.unsignedinteger[Any]]
    """Of the draws, (U, S)."""
    column: Counts
    """Which of the U columns each item has, (m,)."""
    weight: Counts
    """Rows in each item, (m,)."""
    start: Counts
    """Place of each draw's first cluster among R, (S + 1,)."""


class Terms(NamedTuple):
    """A loss of n rows against S draws, times n or n^2 / 2, without what no partition changes."""

    value: Floats
    """F at 0, 1, ..., up to twice the rows."""
    merge: float
    both: float
    """Sum of the costs of merging and of splitting."""
    of_draw: Floats
    """F summed over each draw's clusters, (S,)."""
    n_pairs: float
    """Pairs among n rows, at least one."""
    linear: bool
    """F counts pairs: its differences are linear."""
    rand: bool
    """The adjusted Rand index, the loss itself."""
    tolerance: float
    """Gain per row that is rounding only."""


class Tables(NamedTuple):
    """A partition into at most J clusters, some empty, against R clusters of draws."""

    label: Counts
    """Cluster of every item, -1 if it is in none, (m,)."""
    size: Counts
    """Rows, (J,)."""
    shared: NDArray[np.int32]
    """Shared rows, (R, J)."""
    gain: Floats
    """F(shared + 1) - F(shared), (R, J)."""
    joint: Floats
    """F summed over the intersections with each draw's clusters, (S,); of the Rand index only."""


def compile_moves(items: Items, terms: Terms) -> None:
    """Compile all moves for labels of this type before threads use them."""

    def run() -> None:
        nothing = np.empty(0, np.int64)
        one, cell = np.zeros(1), np.zeros((1, 1))
        tables = Tables(nothing, one.astype(np.int64), cell.astype(np.int32), cell, one)
        sweep(nothing, 0, items, terms, tables, 1)
        place(nothing, nothing, items, terms, tables)
        merge_costs(items.start[:1], terms, tables)

    compile_once(("moves", items.label.dtype), "the search for partitions", run)


@njit(nogil=True, error_model="numpy")
def _add(z: Any, start: Counts, weight: int, j: int, terms: Terms, tables: Tables) -> None:
    """Put rows with labels z (S,) into cluster j; a negative weight takes them out."""
    value, shared, gain = terms.value, tables.shared, tables.gain
    tables.size[j] += weight
    for s in range(len(z)):
        r = start[s] + z[s]
        before = shared[r, j]
        after = before + weight
        shared[r, j] = after
        gain[r, j] = value[after + 1] - value[after]
        if terms.rand:
            tables.joint[s] += value[after] - value[before]


@njit(nogil=True, error_model="numpy")
def _sum_gains(z: Any, start: Counts, gain: Floats, out: Floats) -> None:
    """Sum over draws of the gains of one row with labels z (S,), (J,)."""
    s_all, j_all = len(z), len(out)
    whole = s_all - s_all % 4
    out[:] = 0
    for s in range(0, whole, 4):  # four draws at a time: the sums wait for each other
        one, two = gain[start[s] + z[s]], gain[start[s + 1] + z[s + 1]]
        three, four = gain[start[s + 2] + z[s + 2]], gain[start[s + 3] + z[s + 3]]
        for j in range(j_all):
            out[j] += (one[j] + two[j]) + (three[j] + four[j])
    for s in range(whole, s_all):
        out += gain[start[s] + z[s]]


@njit(nogil=True, error_model="numpy")
def _sum_changes(z: Any, w: int, start: Counts, terms: Terms, tables: Tables, out: Floats) -> None:
    """Sum over draws of what w rows with labels z (S,) add to F, (J,)."""
    value, s_all = terms.value, len(z)
    if w == 1 or terms.linear:
        _sum_gains(z, start, tables.gain, out)
        for j in range(len(out)):
            out[j] = w * out[j] + s_all * value[w]
        return
    out[:] = 0
    for s in range(s_all):
        row = tables.shared[start[s] + z[s]]
        for j in range(len(out)):
            out[j] += value[row[j] + w] - value[row[j]]


@njit(nogil=True, error_model="numpy")
def _costs(
    z: Any, w: int, own: int, start: Counts, terms: Terms, tables: Tables, out: Floats
) -> None:
    """Cost of w rows with labels z (S,) in every cluster, (J,), once taken out of their own.

    That of their own is a bound from above where another is not below it.
    """
    value, size, s_all = terms.value, tables.size, len(z)
    _sum_changes(z, w, start, terms, tables, out)
    together, least = out[max(own, 0)], np.inf
    for j in range(len(out)):
        change = value[size[j] + w] - value[size[j]]
        out[j] = terms.merge * change - terms.both * out[j] / s_all
        if j != own:
            least = min(least, out[j])
    if own < 0:
        return
    change = terms.merge * (value[size[own]] - value[size[own] - w])
    # F(m + w) - 2 F(m) + F(m - w) is w^2 for pairs, and at most 2 w, at m = w, for m log m.
    together -= s_all * (w * w if terms.linear else 2 * w)
    out[own] = change - terms.both * together / s_all
    if out[own] <= least or terms.linear:
        return
    together = 0.0
    for s in range(s_all):
        now = tables.shared[start[s] + z[s], own]
        together += value[now] - value[now - w]
    out[own] = change - terms.both * together / s_all


@njit(nogil=True, error_model="numpy")
def _unlike(of_point: float, of_draw: float, joint: float, n_pairs: float) -> float:
    """One minus the adjusted Rand index; 0 where both are one cluster, or all rows alone."""
    by_chance = of_point * of_draw / n_pairs
    most = (of_point + of_draw) / 2
    return (most - joint) / (most - by_chance) if most != by_chance else 0.0


@njit(nogil=True, error_model="numpy")
def _rand_costs(
    z: Any, w: int, own: int, start: Counts, terms: Terms, tables: Tables, out: Floats
) -> None:
    """Do as `_costs`, under the adjusted Rand index."""
    value, size = terms.value, tables.size
    rest, stay, inside = 0.0, 0.0, value[w]
    for j in range(len(size)):
        rest += value[size[j]]
    before = rest
    if own >= 0:
        rest -= value[size[own]] - value[size[own] - w]
    of_point = rest + inside + w * size.astype(np.float64)
    out[:] = 0
    for s in range(len(z)):
        r = start[s] + z[s]
        row, of_draw, joint = tables.gain[r], terms.of_draw[s], tables.joint[s]
        if own >= 0:
            stay += _unlike(before, of_draw, joint, terms.n_pairs)
            joint -= value[tables.shared[r, own]] - value[tables.shared[r, own] - w]
        joint += inside
        for j in range(len(out)):
            out[j] += _unlike(of_point[j], of_draw, joint + w * row[j], terms.n_pairs)
    if own >= 0:
        out[own] = stay
    out /= len(z)


def _make_sweep(fingerprint: str) -> Callable:
    def sweep(
        order: Counts, first: int, items: Items, terms: Terms, tables: Tables, limit: int
    ) -> tuple[int, int]:
        """Put each item of an order, from its place ``first`` on, where it costs least.

        A tie stays. Returns how many moved, and the place to go on at once the tables, now full,
        are wider; the end of the order otherwise.
        """
        fingerprint  # noqa: B018
        size, moved = tables.size, 0
        occupied = np.sum(size > 0)
        cost = np.empty(len(size))
        for at in range(first, len(order)):
            if occupied == len(size):
                return moved, at
            i = order[at]
            z, w, own = items.label[items.column[i]], items.weight[i], tables.label[i]
            if terms.rand:
                _rand_costs(z, w, own, items.start, terms, tables, cost)
            else:
                _costs(z, w, own, items.start, terms, tables, cost)
            best, least = own, np.inf if own < 0 else cost[own] - terms.tolerance * w
            for j in range(len(size)):
                if cost[j] < least and (size[j] > 0 or occupied < limit):
                    best, least = j, cost[j]
            if best != own:
                moved += 1
                occupied += size[best] == 0
                if own >= 0:
                    _add(z, items.start, -w, own, terms, tables)
                    occupied -= size[own] == 0
                _add(z, items.start, w, best, terms, tables)
                tables.label[i] = best
        return moved, len(order)

    return sweep


def _make_place(fingerprint: str) -> Callable:
    def place(which: Counts, target: Counts, items: Items, terms: Terms, tables: Tables) -> None:
        """Put some items into clusters that are told, or into none, -1."""
        fingerprint  # noqa: B018
        for at in range(len(which)):
            i = which[at]
            z, w, own = items.label[items.column[i]], items.weight[i], tables.label[i]
            if own >= 0:
                _add(z, items.start, -w, own, terms, tables)
            if target[at] >= 0:
                _add(z, items.start, w, target[at], terms, tables)
            tables.label[i] = target[at]

    return place


def _make_merge_costs(fingerprint: str) -> Callable:
    def merge_costs(start: Counts, terms: Terms, tables: Tables) -> Floats:
        """Change of the loss by merging clusters j < l, (J, J); 0 elsewhere."""
        fingerprint  # noqa: B018
        value, size, s_all, j_all = terms.value, tables.size, len(start) - 1, len(tables.size)
        joint, out = np.zeros((j_all, j_all)), np.zeros((j_all, j_all))
        of_point = np.sum(value[size])
        for s in range(s_all):
            for r in range(start[s], start[s + 1]):
                found = np.flatnonzero(tables.shared[r])
                for b in range(1, len(found)):
                    for a in range(b):
                        one, other = tables.shared[r, found[a]], tables.shared[r, found[b]]
                        change = value[one + other] - value[one] - value[other]
                        joint[found[a], found[b]] += change
            if terms.rand:
                of_draw, own = terms.of_draw[s], tables.joint[s]
                now = _unlike(of_point, of_draw, own, terms.n_pairs)
                for b in range(1, j_all):
                    for a in range(b):
                        both = of_point + float(size[a]) * size[b]
                        new = _unlike(both, of_draw, own + joint[a, b], terms.n_pairs)
                        out[a, b] += (new - now) / s_all
                        joint[a, b] = 0
        if not terms.rand:
            for b in range(1, j_all):
                for a in range(b):
                    change = value[size[a] + size[b]] - value[size[a]] - value[size[b]]
                    out[a, b] = terms.merge * change - terms.both * joint[a, b] / s_all
        return out

    return merge_costs


sweep, place, merge_costs = cached(_make_sweep), cached(_make_place), cached(_make_merge_costs)
