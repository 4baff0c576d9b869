"""Where EM finds the best optimum: many short runs, the best of them to the end, then moves.

Starts of several kinds make a few iterations each, side by side; the best are run on, and from the
best optima of these two components are merged and a third is split until that no longer pays. Of
many rows a sample will do for that; what is found there starts a run on a larger one, and so on to
all. See ``docs/em.md``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from bayesmix.ascent import N_PLAIN, ascend
from bayesmix.covariance import STRUCTURES
from bayesmix.inputs import random_words
from bayesmix.optima import Fit, best, close, distinct, doubted, ranked, reached, verdict
from bayesmix.passes import Statistics, log_density
from bayesmix.problem import Point
from bayesmix.split_merge import moves
from bayesmix.starts import Method, Seeds, sample_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bayesmix.problem import Problem

    Floats = NDArray[np.float64]

__all__ = [
    "N_PLAIN_FOLLOWED",
    "Engine",
    "Found",
    "InitParams",
    "SingularStartError",
    "random_start",
    "sampled",
    "search",
    "some_rows",
    "stage_tol",
    "stages_of",
    "start_point",
    "starts_by",
    "told",
]

InitParams = Literal["search", "k-means++", "kmeans", "random", "random_from_data"]

_SAMPLE_ROWS = 20_000  # a start by a method of choice needs no more; per component _ROWS_EACH
_ROWS_EACH = 100
_FINALISTS = 10  # short runs that are run on, at least
_SHORT_RUNS: tuple[Method, ...] = ("k-means++", "centers", "random_from_data", "merges", "slices")
"""For every finalist, of a sample for every two."""
_SHORT = 10  # iterations
_SHORT_ROWS = 2_000
_SHORT_ROWS_EACH = 20  # per component and feature
_FIRST_ROWS = 2_000  # of the sample for whole runs
_FIRST_ROWS_EACH = 15  # per parameter
_GROWTH = 8  # of the sample, at most
_SAMPLE_BYTES = 1 << 26  # of the largest sample
_IMPROVED = 5  # distinct optima that moves start from, at most
_IMPROVED_AT_LEAST = 3  # where all rows are searched
_ROUNDS = 20
_STAGE_TOL = 6e-3  # of the parameters per row, which are what its optimum is off by, twice
N_PLAIN_FOLLOWED = 2  # iterations of EM first, where the start is next to an optimum
_PROMOTED = 3  # distinct optima that go on to more rows, at most
_ERRORS = 2.0  # standard errors that the best one is ahead of them, at most
_RACED = 4  # iterations on all rows, after which only what is close to the best goes on


class _Effort(NamedTuple):
    """What moves from an optimum may cost."""

    moves: int
    short: int
    """Iterations of each."""
    moved: int
    """The best of them, which are run to the end."""


_ON_ALL_ROWS, _ON_A_SAMPLE = _Effort(20, _SHORT, 6), _Effort(10, _SHORT // 2, 2)


class SingularStartError(ValueError):
    """No start has covariances of full rank."""

    def __init__(self, n_components: int) -> None:
        super().__init__(
            "x: every start is singular, because columns determine each other or there are fewer "
            f"distinct rows than the {n_components} components; drop columns, use fewer "
            "components, or give a component prior"
        )


@dataclass(frozen=True)
class Found:
    """How starts ended."""

    fits: list[Fit]
    """One per start; of many rows one per optimum that went on to all of them."""
    index: int
    """Of the winner."""
    verdict: str
    n_reached: int
    """Starts that ended there."""

    @property
    def winner(self) -> Fit:
        """The best of the fits, see `optima.best`."""
        return self.fits[self.index]


def search(
    problem: Problem,
    generator: np.random.Generator,
    *,
    init_params: InitParams,
    n_init: int,
    max_iter: int,
    tol: float,
    accelerate: bool = True,
) -> Found:
    """Run EM from many starts.

    Parameters
    ----------
    problem : Problem
    generator : numpy.random.Generator
    init_params : {"search", "k-means++", "kmeans", "random", "random_from_data"}
        "search" is this module's, all others are starts by that method (see `starts.Seeds`), each
        run to the end on all rows.
    n_init : int
        Starts that are run to the end; with "search" at least ten, on a sample half as many.
    max_iter : int
        Iterations of each run.
    tol : float
        See `ascent.ascend`.
    accelerate : bool, default True

    Raises
    ------
    ValueError
        If no start has a covariance of full rank.
    """
    engine = Engine(max_iter, accelerate, generator)
    if init_params == "search" and problem.n_components > 1:
        return _searched(problem, engine, max(n_init, _FINALISTS), tol)
    method: Method = "k-means++" if init_params == "search" else init_params
    count = 1 if init_params == "search" else n_init
    starts = starts_by(sampled(problem, generator), [method] * count, generator)
    return told(problem, engine.run(problem, starts, tol), tol)


def sampled(problem: Problem, generator: np.random.Generator) -> Problem:
    """The same problem on the rows that a start is looked for in, an array."""
    return some_rows(problem, max(_SAMPLE_ROWS, _ROWS_EACH * problem.n_components), generator)


def random_start(problem: Problem, method: Method, generator: np.random.Generator) -> Point:
    """Draw a start from a problem that holds its rows in memory, see `sampled`.

    Raises
    ------
    ValueError
        If it has no covariance of full rank.
    """
    for start in starts_by(problem, [method], generator):
        return start
    raise SingularStartError(problem.n_components)


def start_point(problem: Problem, resp: Floats) -> Point:
    """Build a start from responsibilities (n, K): their means, one pooled covariance for all."""
    tied = STRUCTURES["tied"]
    assert isinstance(problem.x, np.ndarray)  # see `sampled`
    mean = np.average(problem.x, axis=0, weights=problem.sample_weight)
    delta = problem.x - mean
    weight = resp if problem.sample_weight is None else resp * problem.sample_weight[:, None]
    scatter = tied.scatter(delta[None], weight.sum(axis=1)[None])
    found = Statistics(np.nan, weight.sum(axis=0), weight.T @ delta, scatter)
    center = np.repeat(mean[None], problem.n_components, axis=0)
    point = replace(problem, structure=tied).maximize(center, found)
    covariance = point.covariances
    try:
        np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:  # no spread within the groups of the start
        covariance = tied.ridge(problem.data_moments.covariance, problem.reg_covar)
    average = problem.structure.average(covariance, problem.n_components)
    return replace(point, structure=problem.structure, covariances=average)


@dataclass(frozen=True)
class Engine:
    """How runs are made."""

    max_iter: int
    accelerate: bool
    generator: np.random.Generator

    def run(
        self,
        problem: Problem,
        starts: Sequence[Point],
        tol: float,
        *,
        n_plain: int = N_PLAIN,
        goal: float = -np.inf,
    ) -> list[Fit]:
        """Run to the end, or until it is clear that the ``goal`` will not be reached."""
        if not starts:
            raise SingularStartError(problem.n_components)
        fits = ascend(
            problem,
            Point.stack(starts),
            max_iter=self.max_iter,
            tol=tol,
            accelerate=self.accelerate,
            n_plain=n_plain,
            goal=goal,
        )
        if not any(fit.begun for fit in fits):
            raise SingularStartError(problem.n_components)
        return fits

    def shortened(
        self, problem: Problem, starts: Sequence[Point], count: int, iterations: int = _SHORT
    ) -> list[Point]:
        """Where a few iterations lead from every start: the best ``count`` points."""
        if not starts:
            return []
        most = min(iterations, self.max_iter)
        fits = ascend(problem, Point.stack(starts), max_iter=most, tol=0.0, accelerate=False)
        return [fit.point for fit in ranked(fits)[:count] if fit.begun]

    def followed(self, stages: Sequence[Problem], fits: list[Fit], tol: float) -> tuple[Fit, Fit]:
        """Follow the best optima of the first stage to the last: one of them, and its end."""
        last = stages[-1]
        origins, fits = self.promoted(stages, fits, tol)
        if len(fits) > 1:
            raced = self.raced(last, [fit.point for fit in fits])
            fits = close(raced, last.n_parameters)
            origins = [origins[raced.index(fit)] for fit in fits]
        ends = self.run(last, [fit.point for fit in fits], tol, n_plain=N_PLAIN_FOLLOWED)
        end = ranked(ends)[0]
        return origins[ends.index(end)], end

    def promoted(
        self, stages: Sequence[Problem], fits: list[Fit], tol: float
    ) -> tuple[list[Fit], list[Fit]]:
        """Follow fits of the first stage to the last but one: which of them, and where they are."""
        origins = fits
        for before, after in pairwise(stages):
            chosen = _in_question(before, fits, stage_tol(before, stages[-1], tol))
            origins = [origins[fits.index(fit)] for fit in chosen]
            fits = chosen
            if after is not stages[-1]:
                points, own_tol = [fit.point for fit in fits], stage_tol(after, stages[-1], tol)
                fits = self.run(after, points, own_tol, n_plain=N_PLAIN_FOLLOWED)
        return origins, fits

    def raced(self, problem: Problem, starts: Sequence[Point]) -> list[Fit]:
        """Where a few iterations lead from starts next to optima."""
        return ascend(
            problem,
            Point.stack(starts),
            max_iter=min(_RACED, self.max_iter),
            tol=0.0,
            accelerate=self.accelerate,
            n_plain=N_PLAIN_FOLLOWED,
        )


def _in_question(problem: Problem, fits: list[Fit], tol: float) -> list[Fit]:
    """Optima that so many rows do not tell from the best, with a few standard errors (Vuong 1989).

    What other rows say of them may well be otherwise.
    """
    first, *others = distinct(fits, tol=tol, total=problem.total)
    others = [fit for fit in others if fit.usable]
    if not others:
        return [first]
    logs = log_density(problem.x, Point.stack([f.point for f in [first, *others]]).parameters)
    ahead = logs[0] - logs[1:]
    weight = np.ones(ahead.shape[1]) if problem.sample_weight is None else problem.sample_weight
    mean = ahead @ weight / weight.sum()
    error = np.sqrt(np.square(ahead - mean[:, None]) @ weight)
    lead = first.objective - np.array([fit.objective for fit in others])
    near = [fit for fit, close in zip(others, lead < _ERRORS * error, strict=True) if close]
    return [first, *near][:_PROMOTED]


def _searched(problem: Problem, engine: Engine, n_init: int, tol: float) -> Found:
    """Search on the smallest sample that carries it, then follow what is found to all rows."""
    stages = stages_of(problem, engine.generator)
    for first, small in enumerate(stages):
        sample, own_tol = first < len(stages) - 1, stage_tol(small, problem, tol)
        try:
            fits = _optima(small, engine, n_init, own_tol, sample=sample)
        except SingularStartError:  # columns of a sample may determine each other
            if not sample:
                raise
            continue
        break
    if not sample:
        return told(small, fits, own_tol)
    origin, end = engine.followed(stages[first:], fits, tol)
    n_reached = len(reached(fits, origin, tol=own_tol, total=small.total))
    end = doubted(end, n_reached, len(fits))
    where = f" on {small.n_rows:,} of {problem.n_rows:,} rows"
    return Found([end], 0, verdict(problem, fits, end, n_reached, where), n_reached)


def _optima(
    problem: Problem, engine: Engine, n_init: int, tol: float, *, sample: bool
) -> list[Fit]:
    """The best of many short runs, run to the end; then moves. On a sample half as many."""
    most = -(-n_init // 2) if sample else n_init
    methods = [method for _ in range(most) for method in _SHORT_RUNS]
    size = max(_SHORT_ROWS, _SHORT_ROWS_EACH * problem.n_components * (problem.x.shape[1] + 1))
    points: list[Point] = []
    for few in (some_rows(problem, size, engine.generator), problem):
        points = points or engine.shortened(few, starts_by(few, methods, engine.generator), n_init)
    if sample:
        points = engine.shortened(problem, points, most, _SHORT // 2)
    fits, how = engine.run(problem, points, tol), {"tol": tol, "total": problem.total}
    bettered = list(fits)
    for done, optimum in enumerate(distinct(fits, **how)[:_IMPROVED], start=1):
        bettered[fits.index(optimum)] = _moved(problem, engine, optimum, tol, sample=sample)
        confirmed = len(reached(bettered, ranked(bettered)[0], **how)) > 1
        if confirmed and (sample or done >= _IMPROVED_AT_LEAST):
            break
    return bettered


def _moved(problem: Problem, engine: Engine, fit: Fit, tol: float, *, sample: bool) -> Fit:
    """What moves lead to from an optimum, until none pays; on a sample hopeless ones are ended."""
    effort = _ON_A_SAMPLE if sample else _ON_ALL_ROWS
    for _ in range(_ROUNDS):
        ahead = moves(problem, fit.point, effort.moves, engine.generator)
        points = engine.shortened(problem, ahead, effort.moved, effort.short)
        if not points:
            break
        goal = fit.penalized if sample and fit.usable else -np.inf
        after = ranked(engine.run(problem, points, tol, goal=goal))[0]
        known = reached([fit], after, tol=tol, total=problem.total)
        if known or not after.usable or after.penalized < fit.penalized:
            break
        fit = after
    return fit


def told(problem: Problem, fits: list[Fit], tol: float) -> Found:
    """Choose the winner among fits of a problem, and say how they ended."""
    index, fits = best(fits, tol=tol, total=problem.total)
    n_reached = len(reached(fits, fits[index], tol=tol, total=problem.total))
    return Found(fits, index, verdict(problem, fits, fits[index], n_reached), n_reached)


def starts_by(
    problem: Problem, methods: Sequence[Method], generator: np.random.Generator
) -> list[Point]:
    """Starts by these methods, as far as there are distinct rows for them."""
    assert isinstance(problem.x, np.ndarray)
    seeds = Seeds(problem.x, problem.n_components, problem.sample_weight)
    starts = []
    for method in methods:
        child = np.random.default_rng(random_words(generator, 4))
        try:
            starts.append(start_point(problem, seeds.responsibilities(method, child)))
        except np.linalg.LinAlgError:
            continue
    return starts


def stages_of(problem: Problem, generator: np.random.Generator) -> list[Problem]:
    """The problem on more and more of its rows, itself the last."""
    n, d = problem.n_rows, problem.x.shape[1]
    first = max(_FIRST_ROWS, _FIRST_ROWS_EACH * problem.n_parameters)
    if n <= 2 * first:
        in_memory = isinstance(problem.x, np.ndarray)
        return [problem if in_memory else some_rows(problem, n, generator)]
    steps = math.ceil(math.log(n / first, _GROWTH))
    sizes = np.geomspace(first, n, steps + 1)[:-1].astype(int)
    stages, larger = [problem], problem
    for size in np.unique(np.minimum(sizes, max(first, _SAMPLE_BYTES // (8 * d))))[::-1]:
        larger = some_rows(larger, size, generator)
        stages.append(larger)
    return stages[::-1]


def some_rows(problem: Problem, size: int, generator: np.random.Generator) -> Problem:
    """The same problem on some of the rows, an array."""
    x, weight = sample_rows(problem.x, size, generator, problem.sample_weight)
    return replace(problem, x=x, sample_weight=weight)


def stage_tol(stage: Problem, whole: Problem, tol: float) -> float:
    """On a sample a small part of what its optimum is expected to be off by, per row."""
    if stage.n_rows == whole.n_rows:
        return tol
    return max(tol, _STAGE_TOL * whole.n_parameters / stage.n_rows)
