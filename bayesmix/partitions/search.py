"""The partition of least expected loss: many runs, the best of them finished on all rows.

In the manner of SALSO (Dahl, Johnson and Mueller, 2022): runs from allocations in random order,
draws and random labels, sweeps, clusters broken up and built anew. Where rows times draws are many,
the runs see a sample of both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.partitions.climbing import SAME, Climber, Problem, problem_of
from bayesmix.partitions.room import evenly_seen, most_clusters, most_needed, sampled
from bayesmix.partitions.tables import expected_loss
from bayesmix.threads import run_tasks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.partitions.losses import Loss
    from bayesmix.partitions.signatures import Signatures

    Labels = NDArray[np.int64]

__all__ = ["Found", "search"]

_BROKEN_UP = 4  # of the ends of runs, those of least loss
_FINISHED = 2  # of what these come to
_PATIENCE = 10  # failed attempts to break up a cluster


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
    """Whether it has as many clusters as were allowed, and one more was seen to be better."""


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

    Of draws with very many clusters the runs, and if need be the last stage, see only so many that
    tables have room for; what these lead to is compared, as are the starts, by the loss over all.

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
        By default as many as tables of 256 MiB have room for, and not fewer than twice those of any
        draw, nor than a start has.
    generator : numpy.random.Generator
    """
    tidy = [_without_gaps(start) for start in starts]
    limit = max_clusters or most_clusters(rows, tidy)
    *generators, of_sample, of_given, of_limit = generator.spawn(n_runs + len(starts) + 3)
    needed = min(limit, most_needed(rows, tidy))
    which, part = sampled(rows, needed, of_sample)
    last = evenly_seen(rows, needed)
    problem = problem_of(last, loss, limit)
    small = problem if part is last else problem_of(part, loss, limit)
    firsts = [_first(r, part, generators[r]) for r in range(n_runs)]
    firsts += [_without_gaps(start[which]) for start in tidy]
    ends, came_to = _explored(small, firsts, generators)

    def finish(k: int) -> _End:
        label = np.full(len(rows), -1)
        label[which] = ends[k].label
        return _finished(problem, label, rows, generators[k])

    finished = _each(finish, len(ends))
    given = [start for start in tidy if start.max() < limit]
    winner = _best(problem, finished, given, rows, of_given)
    reached = [k >= 0 and finished[k].loss <= winner.loss + SAME for k in came_to]
    label = _by_size(winner.label)
    capped = False
    if label.max() + 1 >= limit:
        first = np.unique(rows.of_row, return_index=True)[1]
        seen = label if part is rows else label[first[which]][part.of_row]
        capped = _gains_by_one_more(part, loss, limit, seen, of_limit)
    return Found(label, winner.loss, len(firsts), int(sum(reached)), capped)


def _explored(
    problem: Problem, firsts: list[Labels], generators: list[np.random.Generator]
) -> tuple[list[_End], Labels]:
    """Make runs, and break up their few best ends; what is distinct, and what each came to."""
    ends = _each(lambda r: _run(problem, firsts[r], generators[r]), len(firsts))
    group, leaders = _distinct(ends, _BROKEN_UP)
    leading = [ends[k] for k in leaders]
    shaken = _each(
        lambda k: _shaken(problem, leading[k].label, generators[k], _PATIENCE), len(leading)
    )
    regroup, again = _distinct(shaken, _FINISHED)
    return [shaken[k] for k in again], regroup[group[group >= 0]]


def _without_gaps(label: NDArray[np.integer[Any]]) -> Labels:
    return np.unique(label, return_inverse=True)[1].astype(np.int64)


def _each(work: Callable[[int], _End], count: int) -> list[_End]:
    """Work of several runs, side by side."""
    found: dict[int, _End] = {}
    run_tasks(lambda i: found.update({i: work(i)}), count)
    return [found[i] for i in range(count)]


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
    group[order] = np.append(0, np.cumsum(np.diff(losses[order]) > SAME))
    leaders = np.unique(group, return_index=True)[1][:most]
    return np.where(group < most, group, -1), leaders


def _shaken(problem: Problem, label: Labels, generator: np.random.Generator, patience: int) -> _End:
    climber = Climber(problem, label, generator)
    climber.shake(patience)
    return _End(climber.label, problem.value(climber.tables))


def _finished(
    problem: Problem, label: Labels, rows: Signatures, generator: np.random.Generator
) -> _End:
    """Where columns (U,), some in no cluster yet, settle, all rows against some draws or all.

    The loss is that over all.
    """
    climber = Climber(problem, label, generator)
    climber.allocate()
    climber.settle()
    climber.settle_rows()
    own = climber.label
    if problem.rows is rows:
        return _End(own, problem.value(climber.tables))
    columns, of_column = rows.split(own)
    return _End(own, expected_loss(of_column, columns, problem.loss))


def _best(
    problem: Problem,
    finished: list[_End],
    given: list[Labels],
    rows: Signatures,
    generator: np.random.Generator,
) -> _End:
    """Return the best of what runs have led to and of given partitions (U,).

    A given one can be better where the runs from it have seen a sample, or were cut off: it
    settles, too.
    """
    ends = [_End(label, expected_loss(label, rows, problem.loss)) for label in given]
    best = min(finished, key=lambda end: end.loss)
    start = min(ends, key=lambda end: end.loss, default=best)
    if start.loss >= best.loss:
        return best
    settled = _finished(problem, start.label, rows, generator)
    return min(settled, _End(start.label[rows.of_row], start.loss), key=lambda end: end.loss)


def _gains_by_one_more(
    rows: Signatures, loss: Loss, limit: int, label: Labels, generator: np.random.Generator
) -> bool:
    """Whether more clusters than allowed were seen to be better than (n,) labels, once settled."""
    columns, own = rows.split(label)
    problem = problem_of(columns, loss, limit)
    settled = _run(problem, own, generator)
    wider = replace(problem, limit=limit + 1)
    end = _shaken(
        wider, _run(wider, settled.label, generator).label, generator, _PATIENCE + 2 * limit
    )
    return bool(end.label.max() >= limit and end.loss < settled.loss - SAME)


def _by_size(label: Labels) -> Labels:
    """Number clusters from the largest on, equal ones by their first rows."""
    first, inverse, size = np.unique(
        label, return_index=True, return_inverse=True, return_counts=True
    )[1:]
    order = np.lexsort((first, -size))
    names = np.empty_like(order)
    names[order] = np.arange(len(order))
    return names[inverse]
