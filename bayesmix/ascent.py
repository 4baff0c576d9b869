"""The iterations of EM: many starts of one problem side by side, one pass for all at a time.

One pass gives the objective at the current points and the statistics of the next; so the objective
reported is always that of the parameters returned. A run goes its own way: what it finds does not
depend on the others.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.acceleration import Accelerator, Coordinates
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
_ROUNDING = 1e-14  # relative gain that is none


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

    Returns
    -------
    list of Fit
        One per start.
    """
    runs = _begin(problem, starts, accelerate)
    fits: list[Fit | None] = [None] * len(starts.weights)
    for iteration in range(max_iter + 1):
        runs = _stopped(problem, runs, tol, last=iteration == max_iter)
        over = runs.status != _GOES_ON
        for i in np.flatnonzero(over):
            fits[runs.number[i]] = _fit(problem, runs, int(i))
        runs = runs[~over]
        if not len(runs.number):
            break
        runs = _step(problem, runs, longer=accelerate and iteration >= n_plain)
    return [fit for fit in fits if fit is not None]


@dataclass(frozen=True)
class _Runs:
    """Runs that go on, one entry each."""

    number: NDArray[np.intp]
    point: Point
    found: Statistics
    """At the point."""
    objective: Floats
    gains: Floats
    """Of the last three steps, (S, 3); NaN before."""
    owns: Flags
    """Whether these were EM's own, (S, 3)."""
    plain: Flags
    """Whether the next step is to be EM's own, (S,)."""
    fallen: Flags
    """Whether EM's own step fell, as a ridge can make it: then all are to be, (S,)."""
    moved: Flags
    """Whether the last pass found a better point, (S,)."""
    status: NDArray[np.int64]
    traces: list[list[float]]
    coordinates: Coordinates | None
    flat: Floats
    """Coordinates of the point, (S, P); none of them if steps are EM's own."""
    memory: Accelerator

    def __getitem__(self, runs: Flags) -> _Runs:
        if runs.all():
            return self
        kept: dict[str, Any] = {}
        for name, value in vars(self).items():
            if name == "traces":
                kept[name] = [trace for trace, keep in zip(value, runs, strict=True) if keep]
            elif name == "coordinates":
                kept[name] = value
            else:
                kept[name] = value[runs]
        return _Runs(**kept)


def _begin(problem: Problem, starts: Point, accelerate: bool) -> _Runs:
    count = len(starts.weights)
    found, objective, failed = _expect(problem, starts)
    coordinates = Coordinates.of(problem) if accelerate else None
    flat = np.empty((count, 0)) if coordinates is None else coordinates.flat(starts)
    status = np.where(np.isfinite(objective), _GOES_ON, Status.NON_FINITE)
    status = np.where(failed, Status.SINGULAR, status)
    flags = np.zeros(count, np.bool_)
    return _Runs(
        np.arange(count),
        starts,
        found,
        objective,
        np.full((count, 3), np.nan),
        np.zeros((count, 3), np.bool_),
        flags,
        flags,
        flags,
        status,
        [[float(value)] for value in objective],
        coordinates,
        flat,
        Accelerator.at(*flat.shape),
    )


def _step(problem: Problem, runs: _Runs, *, longer: bool) -> _Runs:
    """One pass for every run: at EM's next point, or at a longer step."""
    following, lost = _maximize(problem, runs)
    proposal, flat, memory = following, runs.flat, runs.memory
    long = np.zeros(len(lost), np.bool_)
    if runs.coordinates is not None:
        flat = runs.coordinates.flat(following)
        memory = _remember(runs, flat)
        if longer:
            far = runs.coordinates.normalized(memory.proposal())
            long = ~runs.plain & ~runs.fallen & ~lost & np.isfinite(far).all(axis=1)
            flat = np.where(long[:, None], far, flat)
            proposal = _put(following, long, runs.coordinates.point(far[long]))
    found, objective, failed = _expect(problem, proposal)
    failed |= lost
    better = np.isfinite(objective) & (~long | (objective >= runs.objective)) & ~failed
    gain = np.where(better, objective - runs.objective, np.nan)
    gains = np.concatenate([runs.gains[:, 1:], gain[:, None]], axis=1)
    owns = np.concatenate([runs.owns[:, 1:], ~long[:, None]], axis=1)
    status = np.where(~long & failed, Status.SINGULAR, runs.status)
    status = np.where(~long & ~failed & ~np.isfinite(objective), Status.NON_FINITE, status)
    objective = np.where(better, objective, runs.objective)
    for trace, value, state in zip(runs.traces, objective, status, strict=True):
        if state == _GOES_ON:
            trace.append(float(value))
    return replace(
        runs,
        point=_put(runs.point, better, _some(proposal, better)),
        found=_put(runs.found, better, _some(found, better)),
        objective=objective,
        gains=np.where(better[:, None], gains, runs.gains),
        owns=np.where(better[:, None], owns, runs.owns),
        plain=long & ~better,
        fallen=runs.fallen | (better & ~long & (gain < -_rounding(problem, runs))),
        moved=better,
        status=status,
        flat=np.where(better[:, None], flat, runs.flat),
        memory=memory.judged(long & better, long & ~better),
    )


def _remember(runs: _Runs, following: Floats) -> Accelerator:
    """What runs that have moved learn from where EM would go on, coordinates (S, P)."""
    memory = runs.memory
    own = runs.moved | np.isnan(memory.residual).any(axis=1)
    with np.errstate(invalid="ignore"):  # components without weight
        residual = following - runs.flat
    arrived = _some(memory, own).arrived(runs.flat[own], residual[own])
    return _put(memory, own, arrived)


def _stopped(problem: Problem, runs: _Runs, tol: float, *, last: bool) -> _Runs:
    """Say which runs have converged, or used up their iterations.

    Longer steps can land next to a saddle, gaining less and less on the way: what is left is judged
    by three of EM's own.
    """
    before, gain = runs.gains, np.abs(runs.gains[:, -1])
    none = runs.moved & (gain <= _rounding(problem, runs))
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = before[:, 1:] / before[:, :-1]
        rate = rates.max(axis=1)
        left = np.maximum(gain, gain * rate / (1 - rate))
        little = runs.moved & np.all(rates > 0, axis=1) & (rate < 1)
        little &= left < tol * problem.total
    sure = runs.owns.all(axis=1) & (runs.fallen | (before[:, 0] > 0))
    status = runs.status.copy()
    goes_on = status == _GOES_ON
    status[goes_on & ((none & runs.owns[:, -1]) | (little & sure))] = Status.CONVERGED
    if last:
        status[status == _GOES_ON] = Status.MAX_ITER
    return replace(runs, status=status, plain=runs.plain | none | little)


def _rounding(problem: Problem, runs: _Runs) -> Floats:
    return _ROUNDING * (np.abs(runs.objective) + problem.total)


def _fit(problem: Problem, runs: _Runs, i: int) -> Fit:
    point, found = runs.point[i], runs.found[i]
    status = Status(int(runs.status[i]))
    if runs.objective[i] == -np.inf and status is Status.SINGULAR:
        return Fit.singular(point)
    return finished(problem, point, found, float(runs.objective[i]), runs.traces[i], status)


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
        found = _put(found, regular, some)
    return found, objective, ~regular


def _maximize(problem: Problem, runs: _Runs) -> tuple[Point, Flags]:
    """M-steps, and which runs they end, because a component has lost its rows."""
    kept, point = problem.keeps_components(runs.found), runs.point
    if kept.all():
        return problem.maximize(point.means, runs.found, point.covariances), ~kept
    if kept.any():
        some = point[kept]
        following = problem.maximize(some.means, runs.found[kept], some.covariances)
        point = _put(point, kept, following)
    return point, ~kept


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


def _some[T: (Point, Statistics, Accelerator)](whole: T, where: Flags) -> T:
    """Some of a stack; all of it as it is."""
    return whole if where.all() else whole[where]


def _put[T: (Point, Statistics, Accelerator)](whole: T, where: Flags, part: T) -> T:
    """A copy of a stack with other entries in some places."""
    if where.all():
        return part
    merged: dict[str, Any] = {}
    for name in (field.name for field in fields(whole)):
        value = getattr(whole, name)
        if isinstance(value, np.ndarray):
            merged[name] = value.copy()
            merged[name][where] = getattr(part, name)
    return replace(whole, **merged)
