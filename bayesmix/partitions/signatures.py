"""Labels of draws, compact: clusters numbered from 0 in every draw, equal columns told once.

Rows that share a cluster in every draw have the same column of labels, their signature. What is
computed from labels alone is the same for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import typeof

from bayesmix.compiling import compile_once
from bayesmix.kernels.caching import cached
from bayesmix.partitions.tables import confusion
from bayesmix.threads import run_slices, run_tasks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.integer[Any]]

__all__ = ["Signatures", "each_row", "evenly", "signatures_of"]

_FEW_NAMES, _MOST_NAMES = (
    1 << 8,
    1 << 12,
)  # wider labels are numbered, to keep tables of names small
_TASK_ROWS = 1 << 12
_EMPTY = -1


@dataclass(frozen=True, eq=False)
class Signatures:
    """U distinct columns of the labels of S draws."""

    label: NDArray[np.unsignedinteger[Any]]
    """Clusters of every draw from 0 on, by first appearance among the rows; (U, S), C-contiguous,
    the smallest unsigned type."""
    n_clusters: NDArray[np.int64]
    """Clusters of every draw, (S,)."""
    weight: NDArray[np.int64]
    """Rows that have each column, (U,)."""
    of_row: NDArray[np.int64]
    """Which column every row has, (n,)."""

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.of_row)

    @property
    def n_draws(self) -> int:
        """Number of draws."""
        return self.label.shape[1]

    def __len__(self) -> int:
        return len(self.label)

    @cached_property
    def start(self) -> NDArray[np.int64]:
        """Place of each draw's first cluster, those of all draws one after another, (S + 1,)."""
        return np.append(0, np.cumsum(self.n_clusters))

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Rows of every draw's clusters, those of all draws one after another, (R,)."""
        return confusion(np.zeros(len(self), np.int64), self).count[:, 0]

    def by_draw(self, values: NDArray[Any]) -> NDArray[Any]:
        """Sums over each draw's clusters of values (R, ...), (S, ...)."""
        return np.add.reduceat(values, self.start[:-1], axis=0)

    def draws(self, which: NDArray[np.intp]) -> Signatures:
        """Some draws; columns that are equal now stay apart."""
        label = np.ascontiguousarray(self.label[:, which])
        return replace(self, label=label, n_clusters=self.n_clusters[which])

    def split(self, label: Integers) -> tuple[Signatures, NDArray[np.int64]]:
        """Columns whose rows are in one cluster of (n,) labels each, and that cluster, (U,)."""
        code = self.of_row * (int(label.max()) + 1) + label
        _, first, of_row = np.unique(code, return_index=True, return_inverse=True)
        if len(first) == len(self):
            own = np.empty(len(self), np.int64)
            own[self.of_row] = label
            return self, own
        columns, weight = self.label[self.of_row[first]], np.bincount(of_row)
        return Signatures(columns, self.n_clusters, weight, of_row), label[first].astype(np.int64)

    def spread(self, count: int) -> Signatures:
        """A sample of so many rows, evenly spread; itself where that has no more columns."""
        if len(self) <= count:
            return self
        own = self.of_row[evenly(self.n, count)]
        which, of_row, weight = np.unique(own, return_inverse=True, return_counts=True)
        label = np.ascontiguousarray(self.label[which])
        return Signatures(label, self.n_clusters, weight, of_row)

    def expanded(self) -> Signatures:
        """One column for each row, equal or not."""
        if len(self) == self.n:
            return self
        return each_row(self.label[self.of_row], self.n_clusters)


def evenly(n: int, count: int) -> NDArray[np.intp]:
    """So many of n places, evenly spread from the first to the last, (count,)."""
    return np.linspace(0, n - 1, count).astype(np.intp)


def each_row(label: NDArray[np.unsignedinteger[Any]], n_clusters: NDArray[np.int64]) -> Signatures:
    """Take compact labels (n, S) with one column for each row."""
    n = len(label)
    return Signatures(label, n_clusters, np.ones(n, np.int64), np.arange(n))


def signatures_of(label: Integers) -> Signatures:
    """Compact labels (S, n), whatever whole numbers they are, and collapse equal columns."""
    compact, n_clusters = _compact(label)
    of_row, first = _collapsed(compact)
    if len(first) == len(compact):
        return each_row(compact, n_clusters)
    weight = np.bincount(of_row, minlength=len(first))
    return Signatures(compact[first], n_clusters, weight, of_row)


def _compact(label: Integers) -> tuple[NDArray[np.unsignedinteger[Any]], NDArray[np.int64]]:
    """Labels (n, S) from 0 by first appearance in every draw, and how many each draw has."""
    s, n = label.shape
    least, width = _span(label)
    if width > max(min(n, _MOST_NAMES), _FEW_NAMES):
        label = _numbered(label)
        least, width = _span(label)
    names = np.empty((s, width), np.int16 if width <= 1 << 15 else np.int32)
    n_clusters = np.empty(s, np.int64)
    _prepare(_name, label, least, 0, 0, names, n_clusters)
    run_tasks(lambda i: _name(label, least, i, i + 1, names, n_clusters), s)
    out = np.empty((n, s), np.min_scalar_type(int(n_clusters.max()) - 1))

    def rename(own: slice) -> None:
        _rename(label, least, own.start, own.stop, names, out)

    _prepare(_rename, label, least, 0, 0, names, out)
    run_slices(rename, n, _TASK_ROWS)
    return out, n_clusters


def _span(label: Integers) -> tuple[Integers, int]:
    """Least label of every draw, (S,), and how many numbers the widest draw may use."""
    least, most = label.min(axis=1), label.max(axis=1)
    apart = most.astype(np.uint64) - least.astype(np.uint64)  # right even where signed ones wrap
    return least, int(apart.max()) + 1


def _numbered(label: Integers) -> NDArray[np.unsignedinteger[Any]]:
    """Labels by their ranks among the draw's own, (S, n)."""
    found: list[NDArray[np.unsignedinteger[Any]]] = [np.empty(0, np.uint8)] * len(label)

    def task(i: int) -> None:
        own, rank = np.unique(label[i], return_inverse=True)
        found[i] = rank.astype(np.min_scalar_type(len(own) - 1))

    run_tasks(task, len(label))
    return np.stack(found)


def _collapsed(
    compact: NDArray[np.unsignedinteger[Any]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which distinct column each row of (n, S) has, and the first row that has it."""
    n = len(compact)
    hashes = np.empty(n, np.uint64)

    def digest(own: slice) -> None:
        _digest(compact[own], hashes[own])

    _prepare(_digest, compact[:0], hashes[:0])
    run_slices(digest, n, _TASK_ROWS)
    table = np.full(1 << int(2 * n).bit_length(), _EMPTY)
    of_row, first = np.empty(n, np.int64), np.empty(n, np.int64)
    _prepare(_number, compact[:0], hashes, table, of_row, first)
    found = _number(compact, hashes, table, of_row, first)
    return of_row, first[:found]


def _prepare(kernel: Any, *nothing: Any) -> None:
    """Compile a kernel for arguments of these types, which leave it nothing to do."""
    types = tuple(typeof(own) for own in nothing)
    compile_once((kernel, types), "labels of draws", lambda: kernel(*nothing))


def _make_name(fingerprint: str) -> Callable:
    def name(
        label: Integers,
        least: Integers,
        first: int,
        stop: int,
        names: NDArray[np.signedinteger[Any]],
        n_clusters: NDArray[np.int64],
    ) -> None:
        """Number the labels of draws first, ..., stop - 1 of (S, n) by first appearance."""
        fingerprint  # noqa: B018
        for draw in range(first, stop):
            own, found = names[draw], 0
            own[:] = -1
            for i in range(label.shape[1]):
                k = label[draw, i] - least[draw]
                if own[k] < 0:
                    own[k] = found
                    found += 1
            n_clusters[draw] = found

    return name


def _make_rename(fingerprint: str) -> Callable:
    def rename(
        label: Integers,
        least: Integers,
        first: int,
        stop: int,
        names: NDArray[np.signedinteger[Any]],
        out: NDArray[np.unsignedinteger[Any]],
    ) -> None:
        """Rows first, ..., stop - 1 of (S, n) by new names, to (n, S); 64 draws are whole lines."""
        fingerprint  # noqa: B018
        s = len(label)
        for start in range(0, s, 64):
            for i in range(first, stop):
                for draw in range(start, min(start + 64, s)):
                    out[i, draw] = names[draw, label[draw, i] - least[draw]]

    return rename


def _make_digest(fingerprint: str) -> Callable:
    def digest(label: NDArray[np.unsignedinteger[Any]], hashes: NDArray[np.uint64]) -> None:
        """Hash every row of labels (b, S), FNV-1a with its bits mixed at the end."""
        fingerprint  # noqa: B018
        for i in range(len(label)):
            value = np.uint64(14695981039346656037)
            for own in label[i]:
                value = (value ^ np.uint64(own)) * np.uint64(1099511628211)
            hashes[i] = (value ^ (value >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)

    return digest


def _make_number(fingerprint: str) -> Callable:
    def number(
        label: NDArray[np.unsignedinteger[Any]],
        hashes: NDArray[np.uint64],
        table: NDArray[np.int64],
        of_row: NDArray[np.int64],
        first: NDArray[np.int64],
    ) -> int:
        """Number distinct rows of (n, S) by first appearance, in a table with open addresses."""
        fingerprint  # noqa: B018
        mask, found = np.uint64(len(table) - 1), 0
        for i in range(len(label)):
            at = (hashes[i] >> np.uint64(16)) & mask
            while True:
                own = table[at]
                if own < 0:
                    table[at] = found
                    first[found] = i
                    of_row[i] = found
                    found += 1
                    break
                if hashes[first[own]] == hashes[i] and np.all(label[first[own]] == label[i]):
                    of_row[i] = own
                    break
                at = (at + np.uint64(1)) & mask
        return found

    return number


_name, _rename = cached(_make_name), cached(_make_rename)
_digest, _number = cached(_make_digest), cached(_make_number)
