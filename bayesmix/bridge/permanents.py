r"""Sums of permanents of positive matrices, given by logarithms.

The permanent of Q (K, K) is the sum over permutations of the products of matched entries. With
rows taken in turn, sums over the ways in which the first rows take the columns S obey

.. math:: f(S) = \sum_{j \in S} q_{|S| j} f(S \setminus j),

:math:`K 2^{K-1}` multiply-adds that never cancel. Where the last K - p rows are all equal to r, it
is :math:`(K - p)! \prod_j r_j \sum_{|S| = p} f(S)` with the entries :math:`q_{kj} / r_j`.

Rows are divided by their largest entry, so that no product exceeds 1. A sum that is tiny
nevertheless is taken again in logarithms, unless it is nothing beside the other permanents.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from bayesmix.kernels import lanes
from bayesmix.kernels.caching import cached

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]

__all__ = ["LogSums", "Subsets", "add_permanents", "n_products", "subsets_of"]

LANES = lanes.NARROW
_TINY = 1e-280  # what underflows beside it, less than 1e-307 for each permutation, is nothing
_LOG_TINY = math.log(_TINY)
_NOTHING = 60.0  # a term smaller by this factor's exponential is nothing


class Subsets(NamedTuple):
    """Subsets of K columns of up to p elements, the empty one first, by their number of elements.

    A subset of s elements has s steps to it: from the subset without one of them, by that column.
    """

    start: Counts
    """Place of the first subset of 0, ..., p + 1 elements, (p + 2,)."""
    before: Counts
    """Place of the subset that a step starts from, all subsets' steps one after another."""
    column: Counts
    """The column that it adds."""


class LogSums(NamedTuple):
    """Sums exp(top) total at each of J points; ``total`` is at least 1 once there is a term."""

    top: Floats
    total: Floats

    @classmethod
    def of_nothing(cls, n_points: int) -> LogSums:
        """Sums without a term."""
        return cls(np.full(n_points, -1e300), np.zeros(n_points))

    @property
    def logs(self) -> Floats:
        """Logarithms of the sums, (J,)."""
        return np.asarray(self.top + np.log(self.total))


def n_products(n_columns: int, n_rows: Counts) -> Floats:
    """Multiply-adds of permanents with K columns and ``n_rows`` (...) rows that are not equal."""
    sizes = np.array([float(s * math.comb(n_columns, s)) for s in range(n_columns + 1)])
    return np.asarray(np.cumsum(sizes)[n_rows])


@lru_cache(maxsize=4)
def subsets_of(n_columns: int, most: int) -> Subsets:
    """Subsets of ``n_columns`` columns, of up to ``most`` elements."""
    ways = np.array([[math.comb(c, s) for s in range(most + 1)] for c in range(n_columns)])
    members, start = np.zeros((1, 0), np.int64), [0, 1]
    before, column = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for size in range(1, most + 1):  # by the last column, then by those before it
        counts = ways[:, size - 1]
        fewer = np.concatenate([members[:count] for count in counts])
        members = np.column_stack([fewer, np.repeat(np.arange(n_columns), counts)])
        kept, moved = ways[members, np.arange(1, size + 1)], ways[members, np.arange(size)]
        behind = np.cumsum(moved[:, ::-1], axis=1)[:, ::-1] - moved
        place = np.cumsum(kept, axis=1) - kept + behind  # of the members without each in turn
        before.append(start[-2] + place.ravel())
        column.append(members.ravel())
        start.append(start[-1] + len(members))
    return Subsets(np.array(start), np.concatenate(before), np.concatenate(column))


def add_permanents(
    sums: LogSums, logs: Floats, common: Floats, n_rows: Counts, subsets: Subsets
) -> None:
    """Add to the sums, in place, the permanents of M matrices at each of J points.

    Parameters
    ----------
    sums : LogSums
        Of J points, a multiple of `LANES`.
    logs : (M, K, K, J) ndarray
        Logarithms of the matrices' entries. Where some rows of matrix m are equal they come last,
        and only the first of them is read.
    common : (M, J) ndarray
        Logarithm of a factor of each permanent.
    n_rows : (M,) ndarray of int
        Rows of each matrix that are not equal; K if none are.
    subsets : Subsets
        Of K columns, up to ``n_rows`` elements or more.
    """
    k = logs.shape[1]
    equal = np.array([math.lgamma(k - p + 1) for p in n_rows])
    _add(logs, common + equal[:, None], n_rows, *subsets, *sums)


def _make_add(fingerprint: str) -> Callable:
    def add(
        logs: Floats,
        common: Floats,
        n_rows: Counts,
        start: Counts,
        before: Counts,
        column: Counts,
        top: Floats,
        total: Floats,
    ) -> None:
        """Add the permanents, eight points side by side."""
        fingerprint  # noqa: B018
        n_matrices, k = logs.shape[:2]
        values = np.empty((start[-1], LANES))
        ratio, entry = np.empty((k, k, LANES)), np.empty((k, k, LANES))
        scale, term, exact = np.empty(LANES), np.empty(LANES), np.empty(LANES)
        for first in range(0, len(top), LANES):
            for m in range(n_matrices):
                p = n_rows[m]
                lanes.store(scale, 0, lanes.load(common, m * len(top) + first))
                _scale_rows(logs, m, first, p, ratio, entry, scale)
                heavy = False  # products of row sums bound a permanent
                for lane in range(LANES):
                    heavy |= scale[lane] + p * np.log(k) > top[first + lane] - _NOTHING
                if not heavy:
                    continue
                _sum_subsets(entry, p, start, before, column, values, term)
                again = False
                for lane in range(LANES):
                    tiny = term[lane] < _TINY
                    again |= tiny and scale[lane] + _LOG_TINY > top[first + lane] - _NOTHING
                    term[lane] = -np.inf if tiny else np.log(term[lane])
                if again:
                    _log_sum_subsets(ratio, p, start, before, column, values, exact)
                    for lane in range(LANES):
                        if term[lane] == -np.inf:
                            term[lane] = exact[lane]
                _add_terms(term, scale, first, top, total)

    return add


@njit(nogil=True, error_model="numpy")
def _scale_rows(
    logs: Floats, m: int, first: int, p: int, ratio: Floats, entry: Floats, scale: Floats
) -> None:
    """Entries over those of the equal rows and over their row's largest; scales to ``scale``."""
    k, n_points = logs.shape[1], logs.shape[3]
    origin = m * k * k * n_points + first
    factor = lanes.load(scale, 0)
    for j in range(k if p < k else 0):
        factor = factor + lanes.load(logs, origin + (p * k + j) * n_points)
    for i in range(p):
        high = lanes.splat(-np.inf)
        for j in range(k):
            own = lanes.load(logs, origin + (i * k + j) * n_points)
            if p < k:
                own = own - lanes.load(logs, origin + (p * k + j) * n_points)
            high = lanes.maximum(own, high)
            lanes.store(ratio, (i * k + j) * LANES, own)
        factor = factor + high
        for j in range(k):
            place = (i * k + j) * LANES
            own = lanes.load(ratio, place) - high
            lanes.store(ratio, place, own)
            lanes.store(entry, place, lanes.exp(own))
    lanes.store(scale, 0, factor)


@njit(nogil=True, error_model="numpy")
def _sum_subsets(
    entry: Floats,
    p: int,
    start: Counts,
    before: Counts,
    column: Counts,
    values: Floats,
    found: Floats,
) -> None:
    """Sum of f(S) over the subsets of p columns, to ``found``."""
    k, step = entry.shape[1], 0
    lanes.store(values, 0, lanes.splat(1.0))
    last = lanes.splat(1.0)
    for size in range(1, p + 1):
        last = lanes.splat(0.0)
        for own in range(start[size], start[size + 1]):
            value = lanes.splat(0.0)
            for i in range(step, step + size):
                q = lanes.load(entry, ((size - 1) * k + column[i]) * LANES)
                value = lanes.fma(q, lanes.load(values, before[i] * LANES), value)
            lanes.store(values, own * LANES, value)
            last = last + value
            step += size
    lanes.store(found, 0, last)


@njit(nogil=True, error_model="numpy")
def _log_sum_subsets(
    ratio: Floats,
    p: int,
    start: Counts,
    before: Counts,
    column: Counts,
    values: Floats,
    found: Floats,
) -> None:
    """Logarithm of the same sum, by logarithms."""
    k, step = ratio.shape[1], 0
    lanes.store(values, 0, lanes.splat(0.0))
    for size in range(1, p + 1):
        for own in range(start[size], start[size + 1]):
            high, value = lanes.splat(-np.inf), lanes.splat(0.0)
            for i in range(step, step + size):
                q = lanes.load(ratio, ((size - 1) * k + column[i]) * LANES)
                high = lanes.maximum(high, q + lanes.load(values, before[i] * LANES))
            for i in range(step, step + size):
                q = lanes.load(ratio, ((size - 1) * k + column[i]) * LANES)
                value = value + lanes.exp(q + lanes.load(values, before[i] * LANES) - high)
            lanes.store(values, own * LANES, high + lanes.log(value))
            step += size
    high, value = lanes.splat(-np.inf), lanes.splat(0.0)
    for own in range(start[p], start[p + 1]):
        high = lanes.maximum(high, lanes.load(values, own * LANES))
    for own in range(start[p], start[p + 1]):
        value = value + lanes.exp(lanes.load(values, own * LANES) - high)
    lanes.store(found, 0, high + lanes.log(value))


@njit(nogil=True, error_model="numpy")
def _add_terms(term: Floats, scale: Floats, first: int, top: Floats, total: Floats) -> None:
    """Add exp(scale + term) in eight lanes."""
    own, old = lanes.load(scale, 0) + lanes.load(term, 0), lanes.load(top, first)
    new = lanes.maximum(own, old)
    kept = lanes.load(total, first) * lanes.exp(old - new)
    lanes.store(total, first, kept + lanes.exp(own - new))
    lanes.store(top, first, new)


_add = cached(_make_add)
