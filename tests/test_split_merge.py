"""Moves between optima: moments of what is merged, weights, and the right move first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.ascent import run
from bayesmix.covariance import structure_of
from bayesmix.inputs import as_table
from bayesmix.optima import Fit
from bayesmix.problem import Point, Problem, problem_of
from bayesmix.search import start_point
from bayesmix.split_merge import merges, moves, splits
from tests.support import blobs, compact, random_parameters

CENTERS = np.array([[0.0, 0.0], [9.0, 0.0], [12.0, 10.0]])
CLUSTERS = np.repeat([0, 1, 2], 60)


@pytest.fixture(scope="module")
def clusters() -> np.ndarray:
    """Three clusters that nothing could confuse, (180, 2)."""
    return CENTERS[CLUSTERS] + np.random.default_rng(3).normal(size=(180, 2))


def problem_for(x: np.ndarray, structure: str, k: int, weight=None) -> Problem:
    return problem_of(bm.Mixture(bm.Dirichlet(k), None, structure), as_table(x), weight)


def ended(problem: Problem, labels: np.ndarray) -> Fit:
    start = start_point(problem, np.eye(problem.n_components)[labels])
    return run(problem, start, max_iter=2000, tol=1e-9)


def wrong(x: np.ndarray) -> np.ndarray:
    """Labels: the first cluster in halves, the two others together."""
    halves = (x[:, 0] + x[:, 1] > 0).astype(int)
    return np.where(CLUSTERS == 0, halves, 2)


def point_of(structure: str, k: int = 4, d: int = 3) -> Point:
    weights, means, covariances = random_parameters(structure, k, d)
    return Point(structure_of(structure), weights, means, compact(structure, covariances))


def all_moments(point: Point) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the whole mixture."""
    mean = point.weights @ point.means
    delta = point.means - mean
    within = np.einsum("k,kij->ij", point.weights, point.dense_covariances)
    return mean, within + np.einsum("k,ki,kj->ij", point.weights, delta, delta)


def test_a_merged_component_has_the_moments_of_both(structure):
    """So those of the whole stay, as far as the structure can carry them."""
    point = point_of(structure)
    problem = problem_for(blobs(50, 3, 4), structure, 4)
    mean, covariance = all_moments(point)
    found = merges(problem, point, 100)
    assert len(found) == 6
    for merged in found:
        assert merged.means.shape == (3, 3)
        own_mean, own = all_moments(merged)
        np.testing.assert_allclose(own_mean, mean, rtol=1e-12)
        match structure:
            case "full":
                np.testing.assert_allclose(own, covariance, rtol=1e-12)
            case "diag":
                np.testing.assert_allclose(np.diag(own), np.diag(covariance), rtol=1e-12)
            case "spherical":
                assert np.trace(own) == pytest.approx(np.trace(covariance))
            case "tied":
                np.testing.assert_array_equal(merged.covariances, point.covariances)
    assert len(merges(problem, point, 2)) == 2


def test_moves_keep_number_and_sum(structure, clusters):
    problem = problem_for(clusters, structure, 3)
    point = ended(problem, wrong(clusters)).point
    generator = np.random.default_rng(1)
    for found, k in (
        (moves(problem, point, 5, generator), 3),
        (splits(problem, point, generator), 4),
        (merges(problem, point, 3), 2),
    ):
        assert found
        for other in found:
            assert other.weights.shape == (k,)
            assert other.weights.sum() == pytest.approx(1, abs=1e-14)
            assert (other.weights > 0).all()
            other.parameters  # noqa: B018 -- regular
            if structure == "tied":
                np.testing.assert_array_equal(other.covariances, point.covariances)
    assert len(moves(problem, point, 2, generator)) == 2
    assert moves(problem, point, 0, generator) == []


def test_the_right_move_comes_first(structure, clusters):
    """Two components on one cluster, one over two: EM cannot leave, a move can."""
    problem = problem_for(clusters, structure, 3)
    stuck, expected = ended(problem, wrong(clusters)), ended(problem, CLUSTERS)
    assert stuck.objective < expected.objective - 50
    for seed in range(3):
        first = moves(problem, stuck.point, 12, np.random.default_rng(seed))[0]
        np.testing.assert_allclose(first.ordered().means, CENTERS, atol=2)
        fit = run(problem, first, max_iter=2000, tol=1e-9)
        assert fit.objective == pytest.approx(expected.objective, abs=1e-6)


def test_a_split_and_a_merge_lead_to_the_clusters(structure, clusters):
    problem = problem_for(clusters, structure, 3)
    expected = ended(problem, CLUSTERS).objective
    two = problem_for(clusters, structure, 2)
    fewer = ended(two, (CLUSTERS > 0).astype(int)).point
    found = splits(two, fewer, np.random.default_rng(1))
    assert len(found) == 2
    ends = [run(problem, start, max_iter=2000, tol=1e-9).objective for start in found]
    assert max(ends) == pytest.approx(expected, abs=1e-6)
    four = problem_for(clusters, structure, 4)
    more = ended(four, np.where(CLUSTERS == 0, wrong(clusters), CLUSTERS + 1)).point
    fit = run(problem, merges(four, more, 1)[0], max_iter=2000, tol=1e-9)
    assert fit.objective == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("unit", [1 / 180, 1000.0])
def test_moves_do_not_ask_for_the_unit_of_the_weights(clusters, unit):
    problem = problem_for(clusters, "full", 3)
    point = ended(problem, wrong(clusters)).point
    weighted = problem_for(clusters, "full", 3, np.full(180, unit))
    found = moves(weighted, point, 12, np.random.default_rng(1))
    assert found
    np.testing.assert_allclose(found[0].ordered().means, CENTERS, atol=2)


def test_components_without_weight_are_merged(structure):
    """Without a warning; that costs nothing."""
    point = point_of(structure)
    point = replace(point, weights=np.array([0.6, 0.4, 0.0, 0.0]))
    found = merges(problem_for(blobs(50, 3, 4), structure, 4), point, 6)
    assert len(found) == 6
    for merged in found:
        assert merged.weights.sum() == pytest.approx(1)
        assert np.isfinite(merged.parameters.precision_cholesky).all()
