"""Runs of EM side by side, with longer steps and without: what they are is what one is alone."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import bayesmix as bm
from bayesmix import gaussian
from bayesmix.acceleration import Coordinates
from bayesmix.ascent import ascend, run
from bayesmix.covariance import structure_of
from bayesmix.inputs import as_table
from bayesmix.optima import Fit, Status
from bayesmix.problem import Point, Problem, problem_of
from bayesmix.search import random_start, start_point
from tests.support import (
    EPS,
    blobs,
    compact,
    random_independent_prior,
    random_parameters,
    random_prior,
)

FAR = 20_000
TOL = 1e-6


def problem_for(x, structure: str, k: int = 3, prior=None, weight=None) -> Problem:
    mixture = bm.Mixture(bm.Dirichlet(k), prior, structure)
    return problem_of(mixture, as_table(x), weight)


def starts_for(problem: Problem, count: int) -> list[Point]:
    return [random_start(problem, "k-means++", np.random.default_rng(s)) for s in range(count)]


def assert_same_fit(found: Fit, expected: Fit) -> None:
    """Bit for bit."""
    for name in ("weights", "means", "covariances"):
        np.testing.assert_array_equal(getattr(found.point, name), getattr(expected.point, name))
    np.testing.assert_array_equal(found.trace, expected.trace)
    for name in ("objective", "log_likelihood", "status", "penalized", "min_component_size"):
        assert getattr(found, name) == getattr(expected, name), name


# A batch


@pytest.mark.parametrize("accelerate", [True, False])
@pytest.mark.parametrize("case", ["likelihood", "weights", "conjugate", "random scale"])
def test_a_run_in_a_batch_is_the_run_alone(structure, case, accelerate, rng):
    """Runs that end at different times, and one whose start is singular."""
    x = 0.4 * blobs(120, 2, 3)
    prior = {
        "conjugate": random_prior(2),
        "random scale": random_independent_prior(2, random_scale=True),
    }.get(case)
    weight = rng.uniform(0, 2, size=120) if case == "weights" else None
    problem = problem_for(x, structure, 3, prior, weight)
    starts = starts_for(problem, 5)
    starts[2] = replace(starts[2], covariances=0 * starts[2].covariances)
    how = {"max_iter": 200, "tol": 1e-4, "accelerate": accelerate}
    fits = ascend(problem, Point.stack(starts), **how)
    assert len({fit.n_iter for fit in fits}) > 2
    assert fits[2].status is Status.SINGULAR
    assert fits[2].objective == fits[2].penalized == -np.inf
    for i in (0, 1, 3, 4):
        assert_same_fit(fits[i], run(problem, starts[i], **how))


def test_a_singular_start_alone_is_an_error():
    problem = problem_for(blobs(30, 2, 2), "full", 2)
    (start,) = starts_for(problem, 1)
    with pytest.raises(np.linalg.LinAlgError, match="a covariance of the start is singular"):
        run(problem, replace(start, covariances=0 * start.covariances), max_iter=3, tol=TOL)


# Longer steps

SLOW = {
    "tied": ("faithful", "tied", 3, None, (0, 1, 2)),
    "full": ("iris", "full", 3, None, (5, 12)),
    "diag": ("faithful", "diag", 3, None, (0, 1)),
    "spherical": ("faithful", "spherical", 4, None, (2, 3)),
    "map": ("faithful", "full", 3, bm.weakly_informative, (0, 1, 2)),
    "map tied": ("faithful", "tied", 4, lambda x: bm.fraley_raftery(x, 4), (0, 1, 2)),
}


def slow_case(name: str) -> tuple[Problem, list[Point]]:
    """Starts from which plain EM crawls."""
    data, structure, k, prior, seeds = SLOW[name]
    x = bm.datasets.load(data)
    problem = problem_for(x, structure, k, prior and prior(x))
    return problem, [random_start(problem, "k-means++", np.random.default_rng(s)) for s in seeds]


@pytest.mark.parametrize("name", SLOW)
def test_longer_steps_end_at_the_optimum_of_plain_steps_in_half_the_passes(name):
    """At rounding, and never downhill on the way."""
    problem, starts = slow_case(name)
    points = Point.stack(starts)
    climb = partial(ascend, problem, points, max_iter=FAR, tol=1e-12)
    plain, fast = climb(accelerate=False), climb(accelerate=True)
    rounding = 1e3 * EPS * abs(plain[0].objective)
    for one, other in zip(plain, fast, strict=True):
        assert other.objective == pytest.approx(one.objective, abs=1e-7)
        assert other.status is one.status is Status.CONVERGED
        assert np.all(np.diff(other.trace) >= -rounding)
    assert sum(fit.n_iter for fit in fast) <= sum(fit.n_iter for fit in plain) / 2


@pytest.mark.parametrize("name", SLOW)
def test_converged_means_that_little_is_left(name):
    """Run on to rounding, by plain steps, no more than the tolerance is gained.

    Twice that: Aitken's estimate is one, and plain EM's own misses by as much.
    """
    problem, starts = slow_case(name)
    fits = ascend(problem, Point.stack(starts), max_iter=FAR, tol=TOL)
    assert {fit.status for fit in fits} == {Status.CONVERGED}
    ends = Point.stack([fit.point for fit in fits])
    for fit, end in zip(
        fits, ascend(problem, ends, max_iter=FAR, tol=1e-12, accelerate=False), strict=True
    ):
        assert (end.objective - fit.objective) / problem.total <= 2 * TOL


@pytest.mark.parametrize(
    ("data", "structure", "seed"),
    [("iris", "full", 1), ("faithful", "tied", 13), ("faithful", "full", 6)],
)
def test_a_saddle_is_no_end(data, structure, seed):
    """On the way gains shrink before they grow."""
    problem = problem_for(bm.datasets.load(data), structure)
    start = random_start(problem, "k-means++", np.random.default_rng(seed))
    fit = run(problem, start, max_iter=FAR, tol=TOL)
    end = run(problem, fit.point, max_iter=FAR, tol=1e-12)
    assert (end.objective - fit.objective) / problem.total <= 2 * TOL


@pytest.mark.parametrize("prior", [None, "conjugate"])
@pytest.mark.parametrize(("k", "d"), [(1, 1), (1, 3), (3, 1), (3, 3)])
def test_the_objective_is_that_of_the_point(structure, k, d, prior):
    x = blobs(90, d, 3)
    mixture = bm.Mixture(bm.Dirichlet(k), prior and random_prior(d), structure)
    problem = problem_of(mixture, as_table(x))
    for max_iter in (7, FAR):
        fit = run(problem, starts_for(problem, 1)[0], max_iter=max_iter, tol=1e-9)
        point = fit.point.weights, fit.point.means, fit.point.dense_covariances
        expected = gaussian.log_likelihood(x, *point)
        if prior:
            expected = gaussian.log_posterior(mixture, x, *point)
        assert fit.objective == fit.trace[-1]
        assert fit.objective == pytest.approx(expected, rel=1e-11)
        assert fit.n_iter <= max_iter


@pytest.mark.parametrize("accelerate", [True, False])
@pytest.mark.parametrize("max_iter", [1, 6, 9])
def test_max_iter_bounds_the_passes(monkeypatch, max_iter, accelerate):
    problem, starts = slow_case("tied")
    passes, expect = [], Problem.expect

    def counted(self, points):
        passes.append(len(points.weights))
        return expect(self, points)

    monkeypatch.setattr(Problem, "expect", counted)
    fits = ascend(problem, Point.stack(starts), max_iter=max_iter, tol=0.0, accelerate=accelerate)
    assert len(passes) == max_iter + 1
    assert {fit.status for fit in fits} == {Status.MAX_ITER}
    assert {fit.n_iter for fit in fits} == {max_iter}


def test_a_run_that_will_not_reach_the_goal_ends_early(faithful):
    """A goal that is reached ends nothing, one above the optimum does."""
    problem = problem_for(faithful, "full", 2)
    starts = starts_for(problem, 3)
    points, how = Point.stack(starts), {"max_iter": FAR, "tol": 1e-9, "accelerate": False}
    free = ascend(problem, points, **how)
    low, high = (pick(fit.trace[i] for fit in free) for pick, i in ((min, 0), (max, -1)))
    for fit, same in zip(free, ascend(problem, points, **how, goal=low), strict=True):
        assert_same_fit(same, fit)
    for fit, less in zip(free, ascend(problem, points, **how, goal=high + 1.0), strict=True):
        assert less.status is Status.GIVEN_UP
        assert not less.usable
        assert less.n_iter < fit.n_iter
        np.testing.assert_array_equal(less.trace, fit.trace[: len(less.trace)])


def test_a_run_that_has_converged_is_not_given_up(faithful):
    """A tolerance and a goal that are met and missed at the same iteration."""
    problem = problem_for(faithful, "full", 2)
    start, how = starts_for(problem, 1)[0], {"max_iter": FAR, "tol": 1e3, "accelerate": False}
    points = Point.stack([start])
    (free,), (judged,) = ascend(problem, points, **how), ascend(problem, points, **how, goal=0.0)
    assert free.status is Status.CONVERGED
    assert_same_fit(judged, free)


@pytest.mark.parametrize("k", [1, 3])
def test_the_order_of_a_start_in_memory_does_not_matter(faithful, k):
    """Next to a singular one, for which nothing is found."""
    problem = problem_for(faithful, "full", k)
    start = starts_for(problem, 1)[0]
    points = Point.stack([start, replace(start, covariances=0 * start.covariances)])
    turned = replace(
        points,
        means=np.asfortranarray(points.means),
        covariances=np.asfortranarray(points.covariances),
    )
    how = {"max_iter": 50, "tol": TOL}
    for fit, same in zip(
        ascend(problem, points, **how), ascend(problem, turned, **how), strict=True
    ):
        assert_same_fit(same, fit)


def test_a_component_that_loses_its_weight_does_no_harm(structure):
    """Under a prior, with a flat prior on the weights: no row, no weight."""
    x = blobs(60, 2, 1)
    problem = problem_for(x, structure, 2, random_prior(2))
    (start,) = starts_for(problem, 1)
    start = replace(start, weights=np.array([1.0, 0.0]))
    fit = run(problem, start, max_iter=500, tol=TOL)
    plain = run(problem, start, max_iter=500, tol=1e-12, accelerate=False)
    assert fit.status is Status.CONVERGED
    assert fit.point.weights[1] == 0
    assert fit.objective == pytest.approx(plain.objective, abs=60 * TOL)


def test_one_component_takes_a_step(structure):
    problem = problem_for(blobs(60, 2, 2), structure, 1)
    fit = run(problem, start_point(problem, np.ones((60, 1))), max_iter=50, tol=TOL)
    assert fit.status is Status.CONVERGED
    assert fit.n_iter <= 2


# Coordinates


@pytest.mark.parametrize("offset", [0.0, 1e8])
@pytest.mark.parametrize(("k", "d"), [(1, 1), (1, 3), (3, 1), (4, 3)])
def test_coordinates_lead_there_and_back(structure, k, d, offset):
    x = offset + blobs(50, d, 2) * np.geomspace(1e-2, 1e2, d)
    problem = problem_for(x, structure, k)
    coordinates = Coordinates.of(problem)
    points = []
    for seed in range(3):
        weights, means, covariances = random_parameters(structure, k, d, seed)
        own = compact(structure, covariances)
        points.append(Point(structure_of(structure), weights, offset + means, own))
    stack = Point.stack(points)
    flat = coordinates.flat(stack)
    assert flat.shape == (3, problem.n_parameters + 1)  # all weights
    far = flat + np.r_[np.full(k, 3.0), flat[0, k:] * 0]
    back = coordinates.put(far, np.ones(3, np.bool_), Point.stack([points[0]] * 3))
    np.testing.assert_allclose(far, flat, atol=1e-13)
    np.testing.assert_allclose(back.weights, stack.weights, rtol=1e-13)
    np.testing.assert_allclose(back.means, stack.means, rtol=4 * EPS, atol=1e-12)
    assert back.covariances.shape == stack.covariances.shape
    size = np.abs(stack.covariances).max()
    np.testing.assert_allclose(back.covariances, stack.covariances, rtol=0, atol=1e-13 * size)


def test_what_has_no_coordinates_is_not_finite():
    problem = problem_for(blobs(50, 2, 2), "full", 2)
    (start,) = starts_for(problem, 1)
    singular = replace(start, covariances=start.covariances * np.array([1.0, 0.0])[:, None, None])
    empty = replace(start, weights=np.array([1.0, 0.0]))
    flat = Coordinates.of(problem).flat(Point.stack([start, singular, empty]))
    assert np.isfinite(flat[0]).all()
    assert np.isnan(flat[1]).any()
    assert flat[2, 1] == -np.inf


@pytest.mark.parametrize("change", ["scale", "offset"])
def test_units_and_origin_do_not_matter(structure, change):
    """A whole run: as many passes, the objective shifted by a constant.

    Long steps repeat the rounding of the rows, eps times the offset, some ten times larger each.
    """
    x = bm.datasets.load("faithful").to_numpy()
    scale = np.ones(2)
    if change == "scale":
        scale = np.full(2, 1e-3) if structure == "spherical" else np.array([1e-3, 40.0])
    shift = 1e3 if change == "offset" else 0.0
    one, two = problem_for(x, structure), problem_for(x * scale + shift, structure)
    for start in starts_for(one, 3):
        moved = replace(
            start,
            means=start.means * scale + shift,
            covariances=compact(structure, start.dense_covariances * np.outer(scale, scale)),
        )
        fit = run(one, start, max_iter=200, tol=TOL)
        other = run(two, moved, max_iter=200, tol=TOL)
        assert fit.n_iter > 8
        assert other.n_iter == fit.n_iter
        constant = -len(x) * np.log(scale).sum()
        assert other.objective - constant == pytest.approx(fit.objective, abs=1e-5)
