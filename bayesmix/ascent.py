"""The iterations of EM: many starts of one problem side by side, one pass for all at a time.

One pass gives the objective at the current points and the statistics of the next; so the objective
reported is always that of the parameters returned. A run goes its own way: what it finds does not
depend on the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.acceleration import Coordinates, nothing_remembered
from bayesmix.kernels.em import Memory, State, judge, lengthen
from bayesmix.optima import Fit, Status, finished
from bayesmix.passes import Statistics
from bayesmix.problem import Point

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.problem import Problem

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

__all__ = ["N_PLAIN", "ascend", "run"]

N_PLAIN = 5
"""Iterations of EM before longer steps are tried."""

_GOES_ON = -1  # no status yet


def run(
    problem: Problem, start: Point, *, max_iter: int, tol: float, accelerate: bool = True
) -> Fit:
    """Iterate from one start, see `ascend`.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a covariance of the start itself is singular.
    """
    (fit,) = ascend(
        problem, Point.stack([start]), max_iter=max_iter, tol=tol, accelerate=accelerate
    )
    if not fit.begun:
        raise np.linalg.LinAlgError("a covariance of the start is singular")
    return fit


def ascend(
    problem: Problem,
    starts: Point,
    *,
    max_iter: int,
    tol: float,
    accelerate: bool = True,
    n_plain: int = N_PLAIN,
    goal: float = -np.inf,
) -> list[Fit]:
    """Iterate from every start until what is left to gain is below ``tol`` per row.

    Parameters
    ----------
    problem : Problem
    starts : Point
        A stack of them.
    max_iter : int
        Passes after the first.
    tol : float
        Against Aitken's estimate of the objective still to be gained, divided by the number of
        rows.
    accelerate : bool, default True
        Try longer steps than EM's own, see `acceleration`. One that does not climb costs a pass
        and is not taken.
    n_plain : int, default 5
        Iterations before that.
    goal : float, optional
        Runs end early, with the status GIVEN_UP, that will hardly reach this objective.

    Returns
    -------
    list of Fit
        One per start.
    """
    runs = _begin(problem, starts, accelerate)
    fits: list[Fit | None] = [None] * len(starts.weights)
    for iteration in range(max_iter + 1):
        if iteration:
            _step(problem, runs, tol, goal, longer=accelerate and iteration > n_plain)
        if iteration == max_iter:
            runs.status[runs.status == _GOES_ON] = Status.MAX_ITER
        over = runs.status != _GOES_ON
        if over.any():
            for i in np.flatnonzero(over):
                fits[runs.number[i]] = _fit(problem, runs, int(i))
            runs = runs[~over]
            if not len(runs.number):
                break
    return [fit for fit in fits if fit is not None]


@dataclass(frozen=True)
class _Runs:
    """Runs that go on, one entry each: their arrays are their own, and change in place."""

    number: NDArray[np.intp]
    point: Point
    found: Statistics
    """At the point."""
    flat: Floats
    """Coordinates of the point, (S, P); none of them if steps are EM's own."""
    state: State
    memory: Memory
    status: NDArray[np.int64]
    traces: list[list[float]]
    coordinates: Coordinates | None

    def __getitem__(self, runs: Flags) -> _Runs:
        return _Runs(
            self.number[runs],
            self.point[runs],
            self.found[runs],
            self.flat[runs],
            State(*(value[runs] for value in self.state)),
            Memory(*(value[runs] for value in self.memory)),
            self.status[runs],
            [trace for trace, keep in zip(self.traces, runs, strict=True) if keep],
            self.coordinates,
        )


def _begin(problem: Problem, starts: Point, accelerate: bool) -> _Runs:
    count = len(starts.weights)
    found, objective, failed = _expect(problem, starts)
    coordinates = Coordinates.of(problem) if accelerate else None
    flat = np.empty((count, 0)) if coordinates is None else coordinates.flat(starts)
    status = np.where(np.isfinite(objective), _GOES_ON, Status.NON_FINITE)
    flags = np.zeros((5, count), np.bool_)
    own = (_own(a) for a in (starts.weights, starts.means, starts.covariances))
    sums = (_own(a) for a in (found.log_likelihood, found.sizes, found.first, found.second))
    gains, owns = np.full((count, 3), np.nan), np.zeros((count, 3), np.bool_)
    return _Runs(
        np.arange(count),
        Point(starts.structure, *own),
        Statistics(*sums),
        flat,
        State(objective, gains, owns, *flags),
        nothing_remembered(*flat.shape),
        np.where(failed, Status.SINGULAR, status),
        [[float(value)] for value in objective],
        coordinates,
    )


def _own(values: Floats) -> Floats:
    """A copy that can be laid flat without another, as steps are taken in place."""
    return np.array(values, float, order="C")


def _step(problem: Problem, runs: _Runs, tol: float, goal: float, *, longer: bool) -> None:
    """One pass for every run: at EM's next point, or at a longer step."""
    state, memory = runs.state, runs.memory
    point, lost = _maximize(problem, runs)
    flat, long = runs.flat, np.zeros(len(lost), np.bool_)
    if runs.coordinates is not None:
        flat = runs.coordinates.flat(point)
        allowed = longer & ~(state.plain | state.fallen | lost)
        lengthen(memory, state.moved, allowed, runs.flat, flat, long)
        point = runs.coordinates.put(flat, long, point)
    found, objective, failed = _expect(problem, point)
    failed |= lost
    here, there = _arrays(runs.point, runs.found, runs.flat), _arrays(point, found, flat)
    judge(state, memory, here, there, objective, long, failed, problem.total, tol, goal)
    runs.status[~long & ~np.isfinite(objective)] = Status.NON_FINITE
    runs.status[~long & failed] = Status.SINGULAR
    for trace, value, status in zip(runs.traces, state.objective, runs.status, strict=True):
        if status == _GOES_ON:
            trace.append(float(value))
    runs.status[state.converged & (runs.status == _GOES_ON)] = Status.CONVERGED
    runs.status[state.hopeless & (runs.status == _GOES_ON)] = Status.GIVEN_UP


def _arrays(point: Point, found: Statistics, flat: Floats) -> tuple[Floats, ...]:
    """All that is known of a stack of points, a row for each."""
    given = found.log_likelihood, found.sizes, found.first, found.second
    return *point.laid_flat, *(a.reshape(len(a), -1) for a in given), flat


def _fit(problem: Problem, runs: _Runs, i: int) -> Fit:
    point, found, objective = runs.point[i], runs.found[i], float(runs.state.objective[i])
    status = Status(int(runs.status[i]))
    if objective == -np.inf and status is Status.SINGULAR:
        return Fit.singular(point)
    return finished(problem, point, found, objective, runs.traces[i], status)


def _expect(problem: Problem, points: Point) -> tuple[Statistics, Floats, Flags]:
    """E-steps, and which points have a singular covariance; nothing is found there."""
    regular = _regular(points)
    if regular.all():
        found, objective = problem.expect(points)
        return found, np.array(objective), ~regular
    found = Statistics(
        np.full(len(regular), -np.inf),
        np.zeros_like(points.weights),
        np.zeros_like(points.means),
        np.zeros_like(points.covariances),
    )
    objective = np.full(len(regular), -np.inf)
    if regular.any():
        some, objective[regular] = problem.expect(points[regular])
        for name, value in vars(some).items():
            getattr(found, name)[regular] = value
    return found, objective, ~regular


def _maximize(problem: Problem, runs: _Runs) -> tuple[Point, Flags]:
    """M-steps, and which runs they end, because a component has lost its rows."""
    kept, point = problem.keeps_components(runs.found), runs.point
    if kept.all():
        return problem.maximize(point.means, runs.found, point.covariances), ~kept
    following = point[np.arange(len(kept))]
    if kept.any():
        some = point[kept]
        some = problem.maximize(some.means, runs.found[kept], some.covariances)
        for name in ("weights", "means", "covariances"):
            getattr(following, name)[kept] = getattr(some, name)
    return following, ~kept


def _regular(points: Point) -> Flags:
    """Which points the pass can take: no covariance is singular."""
    try:
        points.parameters  # noqa: B018
    except np.linalg.LinAlgError:
        if len(points.weights) == 1:
            return np.zeros(1, np.bool_)
        alone = [_regular(points[i : i + 1]) for i in range(len(points.weights))]
        return np.concatenate(alone)
    return np.ones(len(points.weights), np.bool_)
