"""Online EM: its statistics, where a stream ends, and `partial_fit`."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import bayesmix as bm
from bayesmix import online
from bayesmix.ascent import run
from bayesmix.covariance import structure_of
from bayesmix.inputs import as_table
from bayesmix.passes import log_likelihood
from bayesmix.problem import Point, Problem, problem_of
from bayesmix.search import search
from tests.support import (
    EPS,
    Parameters,
    compact,
    random_covariances,
    random_independent_prior,
    random_parameters,
    random_prior,
    rows_of,
)

ATTRIBUTES = ("weights_", "means_", "covariances_")
PRIORS = {
    "none": lambda: None,
    "conjugate": lambda: random_prior(2),
    "independent": lambda: random_independent_prior(2, random_scale=True),
}
prior_cases = pytest.mark.parametrize("prior", PRIORS)


def point_of(structure: str, seed: int = 0) -> Point:
    """A point that has nothing to do with any rows."""
    weights, means, covariances = random_parameters(structure, 3, 2, seed)
    return Point(structure_of(structure), weights, means, compact(structure, covariances))


def problem_on(x: np.ndarray, structure: str, prior: str = "none", **options) -> Problem:
    """What EM maximizes, three components."""
    mixture = bm.Mixture(bm.Dirichlet(3), PRIORS[prior](), structure)
    return problem_of(mixture, as_table(x), **options)


def mixture_rows(structure: str, apart: float, n: int) -> np.ndarray:
    """Rows of three components whose means are about so many standard deviations apart."""
    covariances = random_covariances(structure, 3, 2, np.random.default_rng(5))
    covariances *= 2 / np.trace(covariances, axis1=1, axis2=2).mean()
    means = apart * np.array([[0.0, 0.0], [1.0, 0.0], [0.4, 0.9]])
    return rows_of(Parameters(np.array([0.5, 0.3, 0.2]), means, covariances), n)


def assert_same_point(found: Point, expected: Point, rtol: float = 1e-9) -> None:
    for name in ("weights", "means", "covariances"):
        size = np.abs(getattr(expected, name)).max()
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=rtol * size)


def streamed(stream: online.Stream, x: np.ndarray, size: int, start: int = 0) -> online.Stream:
    for first in range(start, len(x), size):
        stream = online.update(stream, x[first : first + size])
    return stream


@prior_cases
def test_a_point_is_the_m_step_of_what_it_implies(structure, prior):
    problem = problem_on(np.ones((500, 2)), structure, prior, reg_covar=1e-3)
    point = point_of(structure)
    own = online.implied(problem, point)
    assert own.shares.sum() == pytest.approx(1)
    assert_same_point(own.point(problem, problem.total, point), point)


@prior_cases
def test_all_rows_and_a_step_of_one_are_an_iteration(structure, prior, monkeypatch):
    x = rows_of(random_parameters("full", 3, 2), 300)
    problem, point = problem_on(x, structure, prior), point_of(structure, 1)
    found, _ = problem.expect(point)
    expected = problem.maximize(point.means, found, point.covariances)
    monkeypatch.setattr(online, "_step", lambda *_: 1.0)
    before = replace(online.begin(problem, point), weight=0.0)
    after = online.update(before, x)
    assert_same_point(after.point, expected)
    assert_same_point(after.estimate, expected)
    assert after.prequential == pytest.approx(found.log_likelihood / 300)
    assert (before.weight, before.n_rows) == (0.0, 300)  # the state before is a value


def test_averages_of_batches_are_those_of_all_rows(structure):
    """Moving by the share of the rows is pooling: nothing is lost, far from the origin too."""
    x = 1e7 + rows_of(random_parameters("full", 3, 2), 300)
    shape = structure_of(structure)
    point = replace(point_of(structure), means=1e7 + point_of(structure).means)

    def of(rows: np.ndarray) -> online.Averages:
        found, _ = problem_on(rows, structure).expect(point)
        return online.Averages.of(shape, point.means, found)

    whole, pooled = of(x), of(x[:100]).moved(shape, of(x[100:]), 2 / 3)
    np.testing.assert_allclose(pooled.shares, whole.shares, rtol=1e-12)
    np.testing.assert_allclose(pooled.centers, whole.centers, rtol=0, atol=8 * EPS * 1e7)
    # a center off by eps 1e7 moves a scatter by that times a deviation of about 3
    np.testing.assert_allclose(pooled.within, whole.within, rtol=0, atol=30 * EPS * 1e7)


@pytest.mark.parametrize(("apart", "passes"), [(6.0, 1), (3.5, 3)])
def test_a_stream_ends_at_the_maximum_likelihood(structure, apart, passes):
    """It loses less than the estimate itself does to chance, p/(2n) nats per row.

    Separated, one pass is enough; where components overlap EM itself takes its time. Averaging the
    statistics takes away most of the noise of the last step.
    """
    n, shape = 20_000, structure_of(structure)
    x = mixture_rows(structure, apart, n)
    first = problem_on(x[:500], structure)
    options = {"init_params": "k-means++", "n_init": 3, "max_iter": 500, "tol": 1e-6}
    found = search(first, np.random.default_rng(1), **options)
    stream = online.begin(first, found.winner.point)
    for i in range(passes):
        stream = streamed(stream, x, 500, start=0 if i else 500)
    best = run(problem_on(x, structure), stream.estimate, max_iter=2_000, tol=1e-9)
    points = {"start": found.winner.point, "last": stream.point, "averaged": stream.estimate}
    lost = {
        name: best.log_likelihood - log_likelihood(x, point.parameters)
        for name, point in points.items()
    }
    chance = (shape.n_parameters(3, 2) + 3 * 2 + 2) / 2
    assert lost["start"] > 5 * chance
    assert lost["averaged"] < chance
    assert lost["averaged"] < lost["last"] / 2


def test_single_rows_end_near_batches(structure):
    x = mixture_rows(structure, 6.0, 1_500)
    problem = problem_on(x[:500], structure)
    start = run(problem, point_like(x[:500], structure), max_iter=50, tol=1e-6).point
    best = run(problem_on(x, structure), start, max_iter=500, tol=1e-9)
    found = streamed(online.begin(problem, start), x, 1, start=500)
    chance = (structure_of(structure).n_parameters(3, 2) + 8) / 2
    assert found.n_batches == 1_001
    lost = best.log_likelihood - log_likelihood(x, found.estimate.parameters)
    assert lost < chance


def point_like(x: np.ndarray, structure: str) -> Point:
    """The three components of `mixture_rows`, six standard deviations apart."""
    means = 6 * np.array([[0.0, 0.0], [1.0, 0.0], [0.4, 0.9]])
    shape = structure_of(structure)
    return Point(shape, np.array([0.5, 0.3, 0.2]), means, shape.average(np.eye(2), 3))


def test_the_step_is_a_matter_of_weight():
    """Equal batches have 2 t^-0.6, at most one half, in any unit; halves move as far as wholes."""
    steps = [online._step(500.0, 500.0 * t, 500.0) for t in (2, 10, 40, 10_000)]
    np.testing.assert_allclose(steps, [0.5, 0.5, 2 * 40**-0.6, 2 * 10_000**-0.6])
    whole, half = online._step(1.0, 10_000.0, 1.0), online._step(0.5, 10_000.0, 1.0)
    assert whole == pytest.approx(1 - (1 - half) ** 2, rel=1e-2)
    assert online._step(1.0, 40.0, 1.0) == pytest.approx(steps[2])


@prior_cases
def test_a_weight_counts_rows(structure, prior):
    x = rows_of(random_parameters("full", 3, 2), 400)
    counts = np.random.default_rng(3).integers(0, 3, size=400)
    weighted = repeated = online.begin(problem_on(x, structure, prior), point_of(structure))
    for rows in (slice(0, 150), slice(150, 400)):
        weighted = online.update(weighted, x[rows], counts[rows].astype(float))
        repeated = online.update(repeated, np.repeat(x[rows], counts[rows], axis=0))
    assert_same_point(weighted.estimate, repeated.estimate)
    assert weighted.weight == repeated.weight == 400 + counts.sum()
    assert weighted.prequential == pytest.approx(repeated.prequential)


def test_translation(structure):
    """Offsets of 1e8 standard deviations cost what it costs to write the rows down."""
    offset = 1e8
    x = np.round(mixture_rows(structure, 3.5, 2_000) * 2**20) / 2**20
    moved = x + offset
    rows = moved - offset  # rounded as those far away are
    start = point_like(x, structure)
    far = replace(start, means=start.means + offset)
    near = streamed(online.begin(problem_on(rows[:200], structure), start), rows, 100)
    away = streamed(online.begin(problem_on(moved[:200], structure), far), moved, 100)
    # each of 20 steps rounds the means to eps times the offset, and covariances feel a mean's
    # shift times a deviation; EM's own map passes it on, at most a few times larger
    atol = 20 * 10 * EPS * offset
    np.testing.assert_allclose(away.estimate.means - offset, near.estimate.means, atol=atol)
    np.testing.assert_allclose(away.estimate.covariances, near.estimate.covariances, atol=atol)
    np.testing.assert_allclose(away.estimate.weights, near.estimate.weights, atol=atol)


class TestComponentsWithoutRows:
    def test_one_batch_does_no_harm(self, structure):
        x = mixture_rows(structure, 6.0, 2_000)
        start = online.begin(problem_on(x, structure), point_like(x, structure))
        left = x[np.linalg.norm(x - start.point.means[0], axis=1) < 2]
        found = online.update(start, left)
        assert np.isfinite(found.estimate.covariances).all()
        np.testing.assert_allclose(found.point.means[1:], start.point.means[1:], atol=1e-2)
        assert found.point.weights[0] > start.point.weights[0]

    def test_a_component_that_is_left_keeps_its_place(self):
        x = mixture_rows("full", 20.0, 1_000)
        start = replace(point_like(x, "full"), means=point_like(x, "full").means * 20 / 6)
        stream = online.begin(problem_on(x, "full"), start)
        near = x[np.linalg.norm(x, axis=1) < 4]
        for _ in range(60):  # steps of one half: a share of 0.2 / 2**60 without the floor
            stream = online.update(replace(stream, weight=1.0, largest=1.0), near)
        np.testing.assert_allclose(stream.point.means[2], start.means[2], atol=1e-6)
        assert 0 < stream.point.weights[2] < 1e-9
        np.testing.assert_allclose(stream.point.covariances[2], np.eye(2), atol=1e-6)
        back = online.update(stream, x)
        assert back.point.weights[2] > 0.01


@pytest.mark.parametrize("make", [lambda x: bm.fraley_raftery(x, 3), bm.weakly_informative])
def test_a_map_stream_ends_near_the_map(make, structure):
    """The prior counts once: the batches end within chance of the fit of all rows together."""
    x = mixture_rows(structure, 6.0, 4_000)
    options = {"prior": make(x), "covariance_type": structure, "random_state": 1, "n_init": 2}
    whole = bm.GaussianMixture(3, **options).fit(x)
    stream = bm.GaussianMixture(3, **options)
    for start in range(0, 4_000, 200):
        stream.partial_fit(x[start : start + 200])
    problem = problem_of(bm.Mixture(bm.Dirichlet(3), options["prior"], structure), as_table(x))
    lost = whole.lower_bound_ * 4_000 - problem.expect(stream._stream.estimate)[1]
    assert 0 < lost < (structure_of(structure).n_parameters(3, 2) + 8) / 2


def test_a_strong_prior_counts_once():
    """One component, so that a stream of one step size knows the answer in closed form."""
    x = np.random.default_rng(1).normal(size=(1_000, 1))
    prior = bm.NormalInverseWishart([50.0], 200.0, 300.0, [[40.0]])
    whole = bm.GaussianMixture(1, prior=prior).fit(x)
    stream = bm.GaussianMixture(1, prior=prior)
    for start in range(0, 1_000, 100):
        stream.partial_fit(x[start : start + 100])
    error = 2 / np.sqrt(1_000)  # averages weigh rows unevenly: about a standard error or two
    for mean in stream.means_[0, 0], stream._stream.point.means[0, 0]:
        assert mean == pytest.approx(whole.means_[0, 0], abs=error)
    assert stream.covariances_[0, 0, 0] == pytest.approx(whole.covariances_[0, 0, 0], rel=0.02)


class TestPartialFit:
    def test_the_first_call_is_fit(self, faithful):
        fitted = bm.GaussianMixture(2, init_params="k-means++", n_init=3, random_state=1).fit(
            faithful[:100]
        )
        started = clone(fitted).partial_fit(faithful[:100])
        for name in (*ATTRIBUTES, "lower_bound_", "n_iter_", "n_samples_seen_"):
            np.testing.assert_array_equal(getattr(started, name), getattr(fitted, name))

    def test_a_stream_goes_on_from_a_fit(self, faithful):
        estimator = bm.GaussianMixture(2, random_state=1).fit(faithful)
        before = estimator.means_.copy(), estimator.score(faithful)
        point = estimator._stream.estimate
        estimator.partial_fit(faithful[:3])
        np.testing.assert_allclose(estimator.means_, before[0], rtol=0.02)
        assert not np.array_equal(estimator.means_, before[0])
        np.testing.assert_array_equal(point.means, before[0])
        assert estimator.n_samples_seen_ == 275
        assert estimator.n_iter_ == 2
        assert estimator.converged_ is False
        expected = bm.GaussianMixture(2, random_state=1).fit(faithful).score(faithful[:3])
        assert estimator.prequential_score_ == pytest.approx(expected)
        assert estimator.weights_.sum() == pytest.approx(1)
        product = estimator.precisions_ @ estimator.covariances_
        np.testing.assert_allclose(product, np.broadcast_to(np.eye(2), (2, 2, 2)), atol=1e-9)
        for name in ("starts_", "verdict_", "lower_bound_", "lower_bounds_"):
            assert not hasattr(estimator, name)

    def test_fit_forgets_the_stream(self, faithful):
        estimator = bm.GaussianMixture(2, init_params="k-means++", random_state=1)
        expected = clone(estimator).fit(faithful)
        estimator.partial_fit(faithful[:100]).partial_fit(faithful[100:]).fit(faithful)
        np.testing.assert_array_equal(estimator.means_, expected.means_)
        assert estimator.n_samples_seen_ == 272
        assert not hasattr(estimator, "prequential_score_")

    def test_warm_start_begins_where_the_stream_is(self, faithful):
        estimator = bm.GaussianMixture(2, random_state=1, warm_start=True)
        estimator.partial_fit(faithful[:150]).partial_fit(faithful[150:])
        score = estimator.score(faithful)
        estimator.fit(faithful)
        assert estimator.starts_[0].trace[0] / 272 == pytest.approx(score)

    def test_copies_and_clones(self, faithful):
        estimator = bm.GaussianMixture(2, random_state=1)
        estimator.partial_fit(faithful[:150]).partial_fit(faithful[150:200])
        others = [copy.deepcopy(estimator), pickle.loads(pickle.dumps(estimator))]
        estimator.partial_fit(faithful[200:])
        for other in others:
            other.partial_fit(faithful[200:])
            np.testing.assert_array_equal(other.means_, estimator.means_)
        with pytest.raises(NotFittedError):
            clone(estimator).predict(faithful)

    def test_a_tree_tells_of_the_stream(self, faithful):
        estimator = bm.GaussianMixture(2, random_state=1)
        estimator.partial_fit(faithful[:150]).partial_fit(faithful[150:])
        tree = estimator.to_datatree()
        np.testing.assert_array_equal(tree["point_estimate"]["means"], estimator.means_)
        assert "optimization" not in tree.children

    def test_chunks_are_one_batch(self, faithful):
        x = faithful.to_numpy()
        whole = bm.GaussianMixture(2, init_params="k-means++", random_state=1).fit(x[:100])
        chunked = copy.deepcopy(whole)
        whole.partial_fit(x[100:])
        chunked.partial_fit(lambda: iter([x[100:150], x[150:]]))
        np.testing.assert_allclose(chunked.means_, whole.means_, rtol=1e-12)


class TestErrors:
    @pytest.mark.parametrize(
        ("covariance_type", "need"), [("full", 12), ("tied", 8), ("diag", 8), ("spherical", 8)]
    )
    def test_a_start_needs_rows(self, faithful, covariance_type, need):
        estimator = bm.GaussianMixture(4, covariance_type=covariance_type)
        message = rf"^X: expected at least {need} rows .* 4 component\(s\) .* got 7; collect more"
        with pytest.raises(ValueError, match=message):
            estimator.partial_fit(faithful[:7])
        with pytest.raises(ValueError, match=message):
            estimator.partial_fit(faithful[:20], sample_weight=[1] * 7 + [0] * 13)

    def test_other_columns(self, faithful):
        estimator = bm.GaussianMixture(2, init_params="k-means++", random_state=1).partial_fit(
            faithful[:100]
        )
        with pytest.raises(ValueError, match="feature names should match"):
            estimator.partial_fit(faithful[["eruptions"]])
        with pytest.raises(ValueError, match="feature names should match"):
            estimator.partial_fit(faithful[["waiting", "eruptions"]])
        estimator.fit(faithful.to_numpy())
        with pytest.raises(ValueError, match="X has 1 features"):
            estimator.partial_fit(faithful[["eruptions"]].to_numpy())

    @pytest.mark.parametrize(
        "change",
        [
            {"n_components": 3},
            {"covariance_type": "tied"},
            {"reg_covar": 1.0},
            {"prior": bm.NormalInverseWishart([0.0, 0.0], 0.1, 4.0, np.eye(2))},
        ],
    )
    def test_another_model(self, faithful, change):
        estimator = bm.GaussianMixture(2, random_state=1).fit(faithful).set_params(**change)
        with pytest.raises(ValueError, match=r"^partial_fit: expected the n_components.* anew"):
            estimator.partial_fit(faithful)

    def test_a_batch_that_cannot_be_used_is_left_out(self, faithful):
        x = faithful.to_numpy()
        estimator = bm.GaussianMixture(2, random_state=1).fit(x)
        before = estimator.means_.copy()
        with pytest.raises(ValueError, match=r"^X: this .*density .* not finite\); it was left"):
            estimator.partial_fit([[1e200, 0.0]])
        np.testing.assert_array_equal(estimator.means_, before)
        assert estimator.n_samples_seen_ == 272
        estimator.partial_fit(x[:1])
        assert estimator.n_samples_seen_ == 273
