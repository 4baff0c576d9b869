"""The partition of least expected loss: many runs, the best of them finished on all rows.

In the manner of SALSO (Dahl, Johnson and Mueller, 2022): runs from allocations in random order,
draws and random labels, sweeps, clusters broken up and built anew. Where rows times draws are many,
the runs see a sample of both.
"""

from __future__ import annotations

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
_CELL_BYTES = 12  # of tables
_SAME = 1e-9  # losses as near are one
_FINISHED = 4  # of the ends of runs, those of least loss


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
    starts: Sequence[Labels],
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
    starts = [_without_gaps(start) for start in starts]
    room = _TABLE_BYTES // (_CELL_BYTES * int(rows.start[-1]))
    problem = Problem(rows, loss, max_clusters or max(1, room))
    generators = generator.spawn(n_runs + len(starts) + 1)
    which, part = _sampled(rows, generators.pop())
    small = problem if part is rows else Problem(part, loss, problem.limit)
    firsts = [_first(r, part, generators[r]) for r in range(n_runs)]
    firsts += [_without_gaps(start[which]) for start in starts]
    ends = _each(lambda r: _run(small, firsts[r], generators[r]), len(firsts))
    group, leaders = _distinct([end.loss for end in ends])

    def finish(k: int) -> _End:
        end, own = ends[leaders[k]], generators[leaders[k]]
        label = np.full(len(rows), -1)
        label[which] = _shaken(small, end.label, own)
        return _finished(problem, label, own)

    finished = _each(finish, len(leaders))
    given = [start for start in starts if max_clusters is None or start.max() < max_clusters]
    best = _best_given(problem, given, part is not rows, generator)
    winner = min([*finished, *best], key=lambda end: end.loss)
    reached = np.array([end.loss <= winner.loss + _SAME for end in finished])
    n_best = np.count_nonzero(reached[group[group < len(leaders)]])
    label = _by_size(winner.label)
    capped = int(label.max()) + 1 >= problem.limit
    return Found(label, winner.loss, len(firsts), int(n_best), capped)


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


def _shaken(problem: Problem, label: Labels, generator: np.random.Generator) -> Labels:
    climber = Climber(problem, label, generator)
    climber.shake()
    return climber.label


def _distinct(losses: list[float]) -> tuple[Labels, Labels]:
    """Rank of every run's loss among the distinct, and the first run of each of the least."""
    order = np.argsort(losses, kind="stable")
    steps = np.diff(np.array(losses)[order]) > _SAME
    group = np.empty(len(losses), np.int64)
    group[order] = np.append(0, np.cumsum(steps))
    return group, np.unique(group, return_index=True)[1][:_FINISHED]


def _finished(problem: Problem, label: Labels, generator: np.random.Generator) -> _End:
    """Where columns (U,), some in no cluster yet, settle; clusters of all rows."""
    climber = Climber(problem, label, generator)
    climber.allocate()
    climber.settle()
    climber.settle_rows()
    return _End(climber.label, problem.value(climber.tables))


def _best_given(
    problem: Problem, given: list[Labels], settle: bool, generator: np.random.Generator
) -> list[_End]:
    """Return the best of given partitions (U,) and, if runs have not seen all of it, its end."""
    if not given:
        return []
    rows = problem.rows
    losses = [expected_loss(label, rows, problem.loss) for label in given]
    label, loss = given[int(np.argmin(losses))], min(losses)
    found = [_End(label[rows.of_row], loss)]
    return [_finished(problem, label, generator), *found] if settle else found


def _by_size(label: Labels) -> Labels:
    """Number clusters from the largest on, equal ones by their first rows."""
    first, inverse, size = np.unique(
        label, return_index=True, return_inverse=True, return_counts=True
    )[1:]
    order = np.lexsort((first, -size))
    names = np.empty_like(order)
    names[order] = np.arange(len(order))
    return names[inverse]
