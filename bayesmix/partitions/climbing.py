"""From a partition to one that no move betters: sweeps, merges, clusters broken up and rebuilt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.partitions.moves import (
    Items,
    Tables,
    Terms,
    compile_moves,
    merge_costs,
    place,
    sweep,
)
from bayesmix.partitions.shared_sums import compile_sums, shared_sums
from bayesmix.partitions.tables import confusion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.partitions.losses import Loss
    from bayesmix.partitions.signatures import Signatures

    Labels = NDArray[np.int64]

__all__ = ["SAME", "Climber", "Problem", "problem_of", "table_width"]

SAME = 1e-9  # losses as near are one

_LANES = 8  # clusters side by side in tables come in multiples
_MOST_SWEEPS = 1000
_ROUNDING = 1e-10
_ROUNDING_RAND = 1e-12


@dataclass(frozen=True, eq=False)
class Problem:
    """Rows to be put into at most ``limit`` clusters, at the least expected loss."""

    rows: Signatures
    loss: Loss
    limit: int

    items: Items
    """One for each distinct column."""
    each_row: Items
    """One for each row."""
    terms: Terms
    """The loss, as the moves take it."""

    def tables(self, label: Labels) -> Tables:
        """Tables of a partition (U,); -1 is in no cluster, and may open as many as draws have."""
        rows, n_clusters = self.rows, int(label.max()) + 1
        usual = min(self.limit, int(np.median(rows.n_clusters))) if label.min() < 0 else 0
        width = table_width(max(n_clusters, usual))
        count = np.zeros((int(rows.start[-1]), width), np.int32)
        own = np.where(label < 0, n_clusters, label)
        count[:, :n_clusters] = confusion(own, rows).count[:, :n_clusters]
        size = count[: rows.start[1]].sum(axis=0, dtype=np.int64)
        value = self.terms.value
        joint = shared_sums(rows.start, value, count)
        return Tables(label.astype(np.int64), size, count, np.diff(value)[count], joint)

    def value(self, tables: Tables) -> float:
        """Expected loss."""
        value = self.terms.value
        joint = shared_sums(self.rows.start, value, tables.shared)
        of_point = value[tables.size].sum()
        return float(self.loss.from_sums(self.rows.n, of_point, self.terms.of_draw, joint).mean())


def problem_of(rows: Signatures, loss: Loss, limit: int) -> Problem:
    """Prepare what all runs share, and compile what they use, before threads begin."""
    each_column = Items(rows.label, np.arange(len(rows)), rows.weight, rows.start)
    each_row = Items(rows.label, rows.of_row, np.ones(rows.n, np.int64), rows.start)
    terms = _terms(rows, loss)
    compile_moves(each_column, terms)
    compile_sums()
    return Problem(rows, loss, limit, each_column, each_row, terms)


def _terms(rows: Signatures, loss: Loss) -> Terms:
    rand, linear = loss.name == "omari", loss.name != "vi"
    value = loss.of_counts(np.arange(2 * rows.n + 2))
    of_draw = rows.by_draw(value[rows.sizes])
    both = loss.merge + loss.split
    slack = _ROUNDING_RAND if rand else _ROUNDING * both * (value[rows.n + 1] - value[rows.n])
    pairs = max(rows.n * (rows.n - 1) / 2, 1.0)
    return Terms(value, loss.merge, both, of_draw, pairs, linear, rand, slack)


class Climber:
    """One partition on its way to less expected loss; its tables are its own.

    Parameters
    ----------
    problem : Problem
    label : (U,) ndarray of int
        Where it starts, no gaps; -1 is in no cluster. Of more than ``problem.limit`` clusters only
        the largest stay.
    generator : numpy.random.Generator
    """

    def __init__(self, problem: Problem, label: Labels, generator: np.random.Generator) -> None:
        self.problem, self.generator = problem, generator
        self.items = problem.items
        self.tables = problem.tables(_largest(label, self.items.weight, problem.limit))

    @property
    def label(self) -> Labels:
        """Cluster of every item, no gaps."""
        return _renamed(self.tables)[1]

    def allocate(self) -> None:
        """Put the items that are in no cluster into one, in random order."""
        self._sweep(self.generator.permutation(np.flatnonzero(self.tables.label < 0)))

    def settle(self, which: Labels | None = None) -> None:
        """Sweep in random orders, and merge, until no item, or none of some, and no pair gains."""
        items: Any = len(self.items.column) if which is None else which
        for _ in range(_MOST_SWEEPS):
            if not self._sweep(self.generator.permutation(items)) and not self._merge():
                return

    def settle_rows(self) -> None:
        """Do the same with equal rows apart; one of them tells whether any would move."""
        of_row, weight = self.problem.rows.of_row, self.items.weight
        firsts = np.unique(of_row, return_index=True)[1][weight > 1]
        self.items = self.problem.each_row
        self.tables = self.tables._replace(label=self.tables.label[of_row])
        if self._sweep(firsts):
            self.settle()

    def shake(self, patience: int) -> None:
        """Break up clusters and settle again, until so many attempts have gained nothing."""
        least, failed = self.problem.value(self.tables), 0
        while failed < patience:
            kept = _copy(self.tables)
            which = self._members()
            if self.generator.random() < 0.5:
                self._take_out(which)
            else:
                self._split(which)
            self.settle(which)
            if abs(self.problem.value(self.tables) - least) > SAME:
                self.settle()
            value = self.problem.value(self.tables)
            if value < least - SAME:
                least, failed = value, 0
            else:
                self.tables, failed = kept, failed + 1

    def _sweep(self, order: Labels) -> int:
        """Offer items a better cluster, one by one; how many have moved."""
        items, terms, limit = self.items, self.problem.terms, self.problem.limit
        moved = at = 0
        while True:
            more, at = sweep(order, at, items, terms, self.tables, limit)
            moved += more
            if at == len(order):
                break
            self.tables = _resized(self.tables)
        occupied, wide = int(np.count_nonzero(self.tables.size)), len(self.tables.size)
        if occupied == wide or table_width(occupied) <= 3 * wide // 4:
            self.tables = _resized(self.tables)
        return moved

    def _merge(self) -> bool:
        """Merge two clusters if that gains anything."""
        terms, tables = self.problem.terms, self.tables
        change = merge_costs(self.items.start, terms, tables)
        one, other = np.unravel_index(np.argmin(change), change.shape)
        rows = 1 if terms.rand else tables.size[other]
        if change[one, other] >= -terms.tolerance * rows:
            return False
        which = np.flatnonzero(tables.label == other)
        place(which, np.full(len(which), one), self.items, terms, tables)
        return True

    def _members(self) -> Labels:
        """Items of a random cluster, in random order."""
        own = self.generator.choice(np.flatnonzero(self.tables.size))
        return self.generator.permutation(np.flatnonzero(self.tables.label == own))

    def _take_out(self, which: Labels) -> None:
        """Leave items in no cluster."""
        place(which, np.full(len(which), -1), self.items, self.problem.terms, self.tables)

    def _split(self, which: Labels) -> None:
        """Open a cluster for those of some items that are together in a random draw."""
        tables, problem = self.tables, self.problem
        if np.count_nonzero(tables.size) < problem.limit:
            draw = self.generator.integers(problem.rows.n_draws)
            label = self.items.label[self.items.column[which], draw]
            which = which[label == self.generator.choice(label)]
            target = np.full(len(which), np.argmin(tables.size))
            place(which, target, self.items, problem.terms, tables)


def table_width(n_clusters: int) -> int:
    """Columns of tables for some clusters and at least one more; a quarter where they are many."""
    return -(-(n_clusters + 1 + n_clusters // 16 * 4) // _LANES) * _LANES


def _renamed(tables: Tables) -> tuple[Labels, Labels]:
    """Clusters that are not empty, and labels that number these without gaps."""
    keep = np.flatnonzero(tables.size)
    names = np.full(len(tables.size) + 1, -1)  # the last is that of -1
    names[keep] = np.arange(len(keep))
    return keep, names[tables.label]


def _resized(tables: Tables) -> Tables:
    """Leave empty clusters out, but for at least one at the end."""
    keep, label = _renamed(tables)
    k, width = len(keep), table_width(len(keep))
    which: Any = slice(k) if np.all(keep == np.arange(k)) else keep  # a slice is copied faster
    size, count = np.zeros(width, np.int64), np.zeros((len(tables.shared), width), np.int32)
    gain = np.zeros((len(tables.gain), width))
    size[:k] = tables.size[which]
    count[:, :k], gain[:, :k] = tables.shared[:, which], tables.gain[:, which]
    return Tables(label, size, count, gain, tables.joint)


def _copy(tables: Tables) -> Tables:
    shared, gain = tables.shared.copy(), tables.gain.copy()
    return Tables(tables.label.copy(), tables.size.copy(), shared, gain, tables.joint.copy())


def _largest(label: Labels, weight: Labels, most: int) -> Labels:
    """Keep the largest clusters only, the others' items are in none."""
    kept = label >= 0
    size = np.bincount(label[kept], weight[kept])
    names = np.full(len(size) + 1, -1)
    largest = np.sort(np.argsort(-size, kind="stable")[:most])
    names[largest] = np.arange(len(largest))
    return names[label]
