"""The partition of least expected loss: many runs, the best of them finished on all rows.

In the manner of SALSO (Dahl, Johnson and Mueller, 2022): runs from allocations in random order,
draws and random labels, sweeps, clusters broken up and built anew. Where rows times draws are many,
the runs see a sample of both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.partitions.climbing import Climber, Problem
from bayesmix.partitions.signatures import Signatures
from bayesmix.partitions.tables import expected_loss
from bayesmix.threads import run_tasks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.partitions.losses import Loss

    Labels = NDArray[np.int64]

__all__ = ["Found", "search"]

_MOST_CELLS = 5 * 10**6  # columns times draws that every run sees
_SAMPLE = 10_000, 300  # rows and draws of a sample
_TABLE_BYTES = 1 << 28
_CELL_BYTES = 12  # of tables against draws
_PAIR_BYTES = 16  # of tables of pairs of clusters
_SAME = 1e-9  # losses as near are one
_BROKEN_UP = 4  # of the ends of runs, those of least loss
_FINISHED = 2  # of what these come to


@dataclass(frozen=True, eq=False)
class Found:
    """The best partition that was found."""

    label: Labels
    """Cluster of every row, (n,): 0 the largest, of equal ones that of the earlier row."""
    expected_loss: float
    """Over all rows and draws."""
    n_runs: int
    """Runs made, those from given partitions among them."""
    n_best: int
    """How many of them ended at the least loss."""
    capped: bool
    """Whether it has as many clusters as were allowed: more might be better."""


@dataclass(frozen=True, eq=False)
class _End:
    """Where a run has led: clusters of its items."""

    label: Labels
    loss: float


def search(
    rows: Signatures,
    loss: Loss,
    starts: Sequence[NDArray[np.integer[Any]]],
    *,
    n_runs: int = 16,
    max_clusters: int | None = None,
    generator: np.random.Generator,
) -> Found:
    """Search for the partition of least expected loss.

    Parameters
    ----------
    rows : Signatures
    loss : Loss
    starts : sequence of (U,) ndarray of int
        Partitions of the distinct columns; the one found is no worse than any that has at most
        ``max_clusters``.
    n_runs : int
        Further runs, from random partitions.
    max_clusters : int, optional
        By default as many as tables of 256 MiB have room for.
    generator : numpy.random.Generator
    """
    tidy = [_without_gaps(start) for start in starts]
    problem = Problem(rows, loss, max_clusters or _room(rows))
    *generators, of_sample, of_given = generator.spawn(n_runs + len(starts) + 2)
    which, part = _sampled(rows, of_sample)
    small = problem if part is rows else Problem(part, loss, problem.limit)
    firsts = [_first(r, part, generators[r]) for r in range(n_runs)]
    firsts += [_without_gaps(start[which]) for start in tidy]
    ends, came_to = _explored(small, firsts, generators)

    def finish(k: int) -> _End:
        label = np.full(len(rows), -1)
        label[which] = ends[k].label
        return _finished(problem, label, generators[k])

    finished = _each(finish, len(ends))
    given = [start for start in tidy if max_clusters is None or start.max() < max_clusters]
    winner = _best(problem, finished, given, part is not rows, of_given)
    reached = [k >= 0 and finished[k].loss <= winner.loss + _SAME for k in came_to]
    label = _by_size(winner.label)
    capped = int(label.max()) + 1 >= problem.limit
    return Found(label, winner.loss, len(firsts), int(sum(reached)), capped)


def _explored(
    problem: Problem, firsts: list[Labels], generators: list[np.random.Generator]
) -> tuple[list[_End], Labels]:
    """Make runs, and break up their few best ends; what is distinct, and what each came to."""
    ends = _each(lambda r: _run(problem, firsts[r], generators[r]), len(firsts))
    group, leaders = _distinct(ends, _BROKEN_UP)
    shaken = _each(lambda k: _shaken(problem, ends[leaders[k]], generators[k]), len(leaders))
    regroup, again = _distinct(shaken, _FINISHED)
    return [shaken[k] for k in again], regroup[group[group >= 0]]


def _room(rows: Signatures) -> int:
    """Clusters that tables have room for."""
    most = _TABLE_BYTES // (_CELL_BYTES * int(rows.start[-1]))
    return max(1, min(most, math.isqrt(_TABLE_BYTES // _PAIR_BYTES)))


def _without_gaps(label: NDArray[np.integer[Any]]) -> Labels:
    return np.unique(label, return_inverse=True)[1].astype(np.int64)


def _each(work: Callable[[int], _End], count: int) -> list[_End]:
    """Work of several runs, side by side."""
    found: dict[int, _End] = {}
    run_tasks(lambda i: found.update({i: work(i)}), count)
    return [found[i] for i in range(count)]


def _sampled(rows: Signatures, generator: np.random.Generator) -> tuple[Labels, Signatures]:
    """Columns that the runs see, and they as a problem of their own: all if they are not many."""
    if len(rows) * rows.n_draws <= _MOST_CELLS:
        return np.arange(len(rows)), rows
    n, s = (min(own, most) for own, most in zip((rows.n, rows.n_draws), _SAMPLE, strict=True))
    drawn = rows.of_row[generator.choice(rows.n, n, replace=False)]
    which, weight = np.unique(drawn, return_counts=True)
    draws = np.sort(generator.choice(rows.n_draws, s, replace=False))
    label, of_row = rows.label[which][:, draws], np.repeat(np.arange(len(which)), weight)
    return which, Signatures(np.ascontiguousarray(label), rows.n_clusters[draws], weight, of_row)


def _first(r: int, rows: Signatures, generator: np.random.Generator) -> Labels:
    """Where run r starts: in turn all rows in no cluster, a draw, nowhere again, random labels."""
    if r % 2 == 0:
        return np.full(len(rows), -1)
    if r % 4 == 1:
        return _without_gaps(rows.label[:, generator.integers(rows.n_draws)])
    most = generator.integers(1, rows.n_clusters.max(), endpoint=True)
    return _without_gaps(generator.integers(most, size=len(rows)))


def _run(problem: Problem, first: Labels, generator: np.random.Generator) -> _End:
    climber = Climber(problem, first, generator)
    climber.allocate()
    climber.settle()
    return _End(climber.label, problem.value(climber.tables))


def _distinct(ends: list[_End], most: int) -> tuple[Labels, Labels]:
    """Number distinct losses from the least on, -1 for all but a few; the first end of each."""
    losses = np.array([end.loss for end in ends])
    order = np.argsort(losses, kind="stable")
    group = np.empty(len(ends), np.int64)
    group[order] = np.append(0, np.cumsum(np.diff(losses[order]) > _SAME))
    leaders = np.unique(group, return_index=True)[1][:most]
    return np.where(group < most, group, -1), leaders


def _shaken(problem: Problem, end: _End, generator: np.random.Generator) -> _End:
    climber = Climber(problem, end.label, generator)
    climber.shake()
    return _End(climber.label, problem.value(climber.tables))


def _finished(problem: Problem, label: Labels, generator: np.random.Generator) -> _End:
    """Where columns (U,), some in no cluster yet, settle; clusters of all rows."""
    climber = Climber(problem, label, generator)
    climber.allocate()
    climber.settle()
    climber.settle_rows()
    return _End(climber.label, problem.value(climber.tables))


def _best(
    problem: Problem,
    finished: list[_End],
    given: list[Labels],
    sampled: bool,
    generator: np.random.Generator,
) -> _End:
    """Return the best of what runs have led to and of given partitions (U,).

    A given one can be better only where the runs from it have seen a sample: it settles, too.
    """
    rows = problem.rows
    ends = [_End(label, expected_loss(label, rows, problem.loss)) for label in given]
    best = min(finished, key=lambda end: end.loss)
    start = min(ends, key=lambda end: end.loss, default=best)
    if start.loss >= best.loss:
        return best
    settled = [_finished(problem, start.label, generator)] if sampled else []
    return min([_End(start.label[rows.of_row], start.loss), *settled], key=lambda end: end.loss)


def _by_size(label: Labels) -> Labels:
    """Number clusters from the largest on, equal ones by their first rows."""
    first, inverse, size = np.unique(
        label, return_index=True, return_inverse=True, return_counts=True
    )[1:]
    order = np.lexsort((first, -size))
    names = np.empty_like(order)
    names[order] = np.arange(len(order))
    return names[inverse]
