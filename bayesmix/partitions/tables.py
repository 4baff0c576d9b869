"""A partition against all draws: the rows that each of its clusters shares with each of theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from bayesmix.compiling import compile_once
from bayesmix.kernels.caching import cached
from bayesmix.threads import run_slices

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.partitions.losses import Loss
    from bayesmix.partitions.signatures import Signatures

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]

__all__ = ["Confusion", "confusion", "draw_losses", "expected_loss"]

_TASK_DRAWS = 64  # a line of labels


@dataclass(frozen=True, eq=False)
class Confusion:
    """Of J clusters against R clusters, those of all draws one after another."""

    count: Counts
    """Shared rows, (R, J)."""
    start: Counts
    """Place of each draw's first cluster, (S + 1,)."""

    @cached_property
    def sizes(self) -> Counts:
        """Rows of the partition's own clusters, (J,)."""
        return self.count[: self.start[1]].sum(axis=0)

    @cached_property
    def draw_sizes(self) -> Counts:
        """Rows of the draws' clusters, (R,)."""
        return self.count.sum(axis=1)

    @property
    def matched(self) -> NDArray[np.bool_]:
        """Which clusters share more than half of their union, (R, J): one at most for any other."""
        union = self.draw_sizes[:, None] + self.sizes - self.count
        return np.asarray(2 * self.count > union)


def confusion(label: NDArray[np.integer[Any]], rows: Signatures) -> Confusion:
    """Count shared rows.

    Parameters
    ----------
    label : (U,) ndarray of int
        Clusters 0 to J - 1 of the distinct columns.
    rows : Signatures
    """
    own = np.ascontiguousarray(label, np.int64)
    count = np.zeros((int(rows.start[-1]), int(own.max()) + 1), np.int64)

    def task(draws: slice) -> None:
        _count(own, rows.label, rows.weight, rows.start, draws.start, draws.stop, count)

    nothing = own[:0], rows.label[:0], rows.weight[:0], rows.start, 0, 0, count[:0]
    compile_once(("confusion", rows.label.dtype), "tables of partitions", lambda: _count(*nothing))
    run_slices(task, rows.n_draws, _TASK_DRAWS)
    return Confusion(count, rows.start)


def draw_losses(label: NDArray[np.integer[Any]], rows: Signatures, loss: Loss) -> Floats:
    """Loss of a partition where each draw in turn is true, (S,)."""
    n = int(rows.weight.sum())
    values = loss.of_counts(np.arange(n + 1))
    own = np.ascontiguousarray(label, np.int64)
    of_point = values[np.bincount(own, rows.weight).astype(np.int64)].sum()
    of_draw = rows.by_draw(values[rows.sizes])
    return np.asarray(loss.from_sums(n, of_point, of_draw, _sums(own, rows, values)))


def expected_loss(label: NDArray[np.integer[Any]], rows: Signatures, loss: Loss) -> float:
    """Mean loss of a partition over the draws."""
    return float(draw_losses(label, rows, loss).mean())


def _sums(own: Counts, rows: Signatures, values: Floats) -> Floats:
    """Sums of values at the rows that clusters share with those of each draw, (S,)."""
    order, start = own.argsort(kind="stable"), np.append(0, np.cumsum(np.bincount(own)))
    found = np.zeros(rows.n_draws)
    same = rows.label, rows.weight, rows.n_clusters, values

    def task(draws: slice) -> None:
        _sum(order, start, *same, draws.start, draws.stop, found)

    nothing = order, start, *same, 0, 0, found
    compile_once(("draw losses", rows.label.dtype), "losses of partitions", lambda: _sum(*nothing))
    run_slices(task, rows.n_draws, _TASK_DRAWS)
    return found


def _make_count(fingerprint: str) -> Callable:
    def count_rows(
        own: Counts,
        label: NDArray[np.unsignedinteger[Any]],
        weight: Counts,
        start: Counts,
        first: int,
        stop: int,
        count: Counts,
    ) -> None:
        """Add the rows of every column to the tables of draws first, ..., stop - 1."""
        fingerprint  # noqa: B018
        for i in range(len(own)):
            for s in range(first, stop):
                count[start[s] + label[i, s], own[i]] += weight[i]

    return count_rows


def _make_sum(fingerprint: str) -> Callable:
    def sum_values(
        order: Counts,
        start: Counts,
        label: NDArray[np.unsignedinteger[Any]],
        weight: Counts,
        n_clusters: Counts,
        values: Floats,
        first: int,
        stop: int,
        found: Floats,
    ) -> None:
        """Add to (S,) for draws first, ..., stop - 1; one cluster of columns after the other."""
        fingerprint  # noqa: B018
        if first == stop:
            return
        count = np.zeros((stop - first, n_clusters[first:stop].max()), np.int32)
        for j in range(len(start) - 1):
            columns = order[start[j] : start[j + 1]]
            for i in columns:
                for s in range(first, stop):
                    count[s - first, label[i, s]] += weight[i]
            _take(columns, label[:, first:stop], count, values, found[first:stop])

    return sum_values


@njit(nogil=True, error_model="numpy")
def _take(
    columns: Counts,
    label: NDArray[np.unsignedinteger[Any]],
    count: NDArray[np.int32],
    values: Floats,
    found: Floats,
) -> None:
    """Add values at counts (b, R) to (b,) and clear them; by columns if fewer than cells."""
    if len(columns) < count.shape[1]:
        for i in columns:
            for s in range(len(found)):
                found[s] += values[count[s, label[i, s]]]
                count[s, label[i, s]] = 0
        return
    for s in range(len(found)):
        for shared in count[s]:
            found[s] += values[shared]
    count[:] = 0


_count, _sum = cached(_make_count), cached(_make_sum)
