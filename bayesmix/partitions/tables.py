"""A partition against all draws: the rows that each of its clusters shares with each of theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.compiling import compile_once
from bayesmix.kernels.caching import cached
from bayesmix.threads import run_tasks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.partitions.losses import Loss
    from bayesmix.partitions.signatures import Signatures

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]

__all__ = ["Confusion", "confusion", "draw_losses", "expected_loss"]

_TASK_DRAWS = 64  # a line of labels
_TASK_CELLS = 1 << 20  # of the tables of a task, unless one draw has more


@dataclass(frozen=True, eq=False)
class Confusion:
    """Of J clusters against R clusters, those of all draws one after another."""

    count: Counts
    """Shared rows, (R, J)."""
    start: Counts
    """Place of each draw's first cluster, (S + 1,)."""

    def by_draw(self, values: Floats) -> Floats:
        """Sums over each draw's clusters of values (R, ...), (S, ...)."""
        return np.add.reduceat(values, self.start[:-1], axis=0)

    @property
    def sizes(self) -> Counts:
        """Rows of the partition's own clusters, (J,)."""
        return self.count[: self.start[1]].sum(axis=0)

    @property
    def matched(self) -> NDArray[np.bool_]:
        """Which clusters share more than half of their union, (R, J): one at most for any other."""
        union = self.count.sum(axis=1)[:, None] + self.sizes - self.count
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

    def task(i: int) -> None:
        draws = _TASK_DRAWS * i, min(_TASK_DRAWS * (i + 1), rows.n_draws)
        _count(own, rows.label, rows.weight, rows.start, *draws, count)

    nothing = own[:0], rows.label[:0], rows.weight[:0], rows.start, 0, 0, count[:0]
    compile_once(("confusion", rows.label.dtype), "tables of partitions", lambda: _count(*nothing))
    run_tasks(task, -(-rows.n_draws // _TASK_DRAWS))
    return Confusion(count, rows.start)


def draw_losses(label: NDArray[np.integer[Any]], rows: Signatures, loss: Loss) -> Floats:
    """Loss of a partition where each draw in turn is true, (S,)."""
    n = int(rows.weight.sum())
    values = loss.of_counts(np.arange(n + 1))
    own = np.ascontiguousarray(label, np.int64)
    of_point = values[np.bincount(own, rows.weight).astype(np.int64)].sum()
    of_draw, joint = (_sums(one, rows, values) for one in (np.zeros_like(own), own))
    return np.asarray(loss.from_sums(n, of_point, of_draw, joint))


def expected_loss(label: NDArray[np.integer[Any]], rows: Signatures, loss: Loss) -> float:
    """Mean loss of a partition over the draws."""
    return float(draw_losses(label, rows, loss).mean())


def _sums(own: Counts, rows: Signatures, values: Floats) -> Floats:
    """Sums of values at the rows that clusters share with those of each draw, (S,)."""
    width = int(own.max()) + 1
    cells = width * int(rows.n_clusters.max())
    each = min(max(_TASK_CELLS // cells, 1), _TASK_DRAWS)
    found = np.empty(rows.n_draws)

    def task(i: int) -> None:
        draws = each * i, min(each * (i + 1), rows.n_draws)
        _sum(own, width, rows.label, rows.weight, rows.n_clusters, *draws, values, found)

    nothing = own[:0], 1, rows.label[:0], rows.weight[:0], rows.n_clusters, 0, 0, values, found
    compile_once(("draw losses", rows.label.dtype), "losses of partitions", lambda: _sum(*nothing))
    run_tasks(task, -(-rows.n_draws // each))
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
        own: Counts,
        width: int,
        label: NDArray[np.unsignedinteger[Any]],
        weight: Counts,
        n_clusters: Counts,
        first: int,
        stop: int,
        values: Floats,
        found: Floats,
    ) -> None:
        """Sums for draws first, ..., stop - 1; by columns if they are fewer than cells."""
        fingerprint  # noqa: B018
        start = np.zeros(stop - first + 1, np.int64)
        start[1:] = np.cumsum(width * n_clusters[first:stop])
        count = np.zeros(start[-1], np.int32)
        for i in range(len(own)):
            for s in range(first, stop):
                count[start[s - first] + width * label[i, s] + own[i]] += weight[i]
        for s in range(first, stop):
            table, total = count[start[s - first] : start[s - first + 1]], 0.0
            if len(table) <= len(own):
                for shared in table:
                    total += values[shared]
            else:
                for i in range(len(own)):
                    cell = width * label[i, s] + own[i]
                    total += values[table[cell]]
                    table[cell] = 0
            found[s] = total

    return sum_values


_count, _sum = cached(_make_count), cached(_make_sum)
