"""The search for the best optimum: the published ones, laws of the whole, samples, its sentence."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.ascent import run
from bayesmix.covariance import structure_of
from bayesmix.inputs import as_table
from bayesmix.optima import Fit, Status, best, close
from bayesmix.passes import log_density, responsibilities
from bayesmix.problem import Point, Problem, problem_of
from bayesmix.rows import as_rows
from bayesmix.search import Engine, Found, _in_question, _moved, search, start_point, told
from tests.support import Parameters, blobs, compact, random_parameters, rows_of

TOL = 1e-6
OPTIMA = {
    "faithful tied 3": -1126.316,
    "faithful full 2": -1130.264,
    "iris full 3": -180.185,
    "iris full 2": -214.355,
    "acidity tied 2": -185.949,
    "galaxy full 3": -203.482,
}


def problem_for(x, structure: str = "full", k: int = 3, prior=None, weight=None) -> Problem:
    return problem_of(bm.Mixture(bm.Dirichlet(k), prior, structure), as_rows(x), weight)


def found_on(problem: Problem, seed: int = 1, **options) -> Found:
    how = {"init_params": "search", "n_init": 1, "max_iter": 1000, "tol": TOL} | options
    return search(problem, np.random.default_rng(seed), **how)


def default_fit(case: str, seed: int) -> bm.GaussianMixture:
    data, structure, k = case.split()
    x = bm.datasets.load(data)
    estimator = bm.GaussianMixture(
        int(k), covariance_type=structure, reg_covar=0, random_state=seed
    )
    return estimator.fit(x)


# Published optima


@pytest.mark.parametrize("case", OPTIMA)
@pytest.mark.parametrize("seed", [1, 4])
def test_the_default_finds_the_best_known_optimum(case, seed):
    fitted = default_fit(case, seed)
    assert fitted.converged_
    winner = fitted._found.winner
    assert winner.log_likelihood == pytest.approx(OPTIMA[case], abs=2e-3)
    assert winner.status is Status.CONVERGED


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:EM. converged, but only one start:sklearn.exceptions.ConvergenceWarning"
)
@pytest.mark.parametrize("case", OPTIMA)
def test_nineteen_of_twenty_seeds_find_it(case):
    fits = [default_fit(case, seed)._found.winner for seed in range(20)]
    assert {fit.status for fit in fits} <= {Status.CONVERGED, Status.UNCONFIRMED}
    there = [abs(fit.log_likelihood - OPTIMA[case]) < 2e-3 for fit in fits]
    assert sum(there) >= 19


def test_more_parameters_are_no_worse():
    """Tied covariances are among the full ones."""
    assert default_fit("acidity full 2", 1)._found.winner.log_likelihood >= -185.949


# The sentence


def test_the_sentence(faithful):
    assert found_on(problem_for(faithful, "tied")).verdict == (
        "10 of 10 starts reached the best optimum (log-likelihood -1,126.316)"
    )
    prior = bm.fraley_raftery(faithful, 2)
    assert re.fullmatch(
        r"\d+ of 10 starts reached the best optimum \(log posterior -[\d,]+\.\d{3}\)",
        found_on(problem_for(faithful, k=2, prior=prior)).verdict,
    )


def test_the_sentence_counts_how_starts_ended(faithful):
    problem = problem_for(faithful, "tied")
    good = found_on(problem).winner
    one, two = replace(good, status=Status.SINGULAR), replace(good, status=Status.SPURIOUS)
    worse = replace(good, objective=-1200.0, penalized=-1200.0)
    found = told(problem, [one, two, one, good, worse], TOL)
    assert (found.index, found.winner.point) == (3, good.point)
    assert found.verdict.endswith("(log-likelihood -1,126.316); 2 were singular; 1 was spurious")
    found = told(problem, [one, two], TOL)
    assert found.verdict == (
        "none of 2 starts reached a genuine optimum; 1 was singular; 1 was spurious"
    )


def test_a_lone_best_of_five_is_unconfirmed(faithful):
    problem = problem_for(faithful, "tied")
    good = found_on(problem).winner
    worse = replace(good, objective=-1200.0, penalized=-1200.0)
    assert told(problem, [worse, good, worse, worse], TOL).winner.status is Status.CONVERGED
    found = told(problem, [worse, good, worse, worse, worse], TOL)
    assert found.winner.status is Status.UNCONFIRMED
    assert found.verdict.startswith("1 of 5 starts")
    assert found.n_reached == 1


# Laws


@pytest.mark.parametrize(("data", "structure", "k"), [("faithful", "tied", 3), ("iris", "full", 2)])
def test_the_optimum_is_carried_along(data, structure, k, rng):
    """Other units, another origin, other orders: of rows and of features."""
    x = bm.datasets.load(data).to_numpy()
    n, d = x.shape
    scale = np.geomspace(1e-3, 1e3, d)
    expected = found_on(problem_for(x, structure, k)).winner.objective
    moved = {
        "scale": (x * scale, -n * np.log(scale).sum()),
        "translation": (x + 1e4, 0.0),
        "rows": (rng.permutation(x), 0.0),
        "features": (x[:, ::-1].copy(), 0.0),
    }
    for name, (rows, constant) in moved.items():
        found = found_on(problem_for(rows, structure, k)).winner.objective
        assert found - constant == pytest.approx(expected, abs=2 * TOL * n), name


def test_a_weight_counts_rows(rng):
    x = bm.datasets.load("faithful").to_numpy()
    times = rng.integers(0, 4, size=len(x))
    weighted = found_on(problem_for(x, "tied", weight=times.astype(float))).winner
    repeated = found_on(problem_for(np.repeat(x, times, axis=0), "tied")).winner
    assert weighted.objective == pytest.approx(repeated.objective, abs=2 * TOL * times.sum())
    assert weighted.status is repeated.status


@pytest.mark.parametrize("unit", [1 / 272, 1000.0])
def test_the_unit_of_the_weights_does_not_matter(faithful, unit):
    found = found_on(problem_for(faithful, "tied", weight=np.full(272, unit))).winner
    assert found.objective / unit == pytest.approx(OPTIMA["faithful tied 3"], abs=2e-3)


# Other requests


def test_more_starts_are_run_when_asked_for(faithful):
    found = found_on(problem_for(faithful, k=2), n_init=14)
    assert len(found.fits) == 14
    assert found.verdict.startswith("14 of 14 starts")


def test_one_component_takes_one_start(faithful):
    found = found_on(problem_for(faithful, k=1), n_init=30)
    assert len(found.fits) == 1
    assert found.winner.n_iter <= 2
    assert found.verdict.startswith("1 of 1 starts")


@pytest.mark.parametrize("structure", ["full", "diag"])
def test_the_mode_is_no_lower_than_from_many_starts(faithful, structure):
    problem = problem_for(faithful, structure, 3, bm.weakly_informative(faithful))
    many = found_on(problem, init_params="k-means++", n_init=20)
    assert found_on(problem).winner.objective >= many.winner.objective - 2 * TOL * 272


def test_plain_steps_find_it_too(faithful):
    found = found_on(problem_for(faithful, "tied"), accelerate=False)
    assert found.winner.objective == pytest.approx(OPTIMA["faithful tied 3"], abs=2e-3)


@pytest.mark.parametrize("method", ["search", "k-means++"])
def test_every_start_singular_is_an_error_with_advice(method):
    x = blobs(60, 2, 2) * [1.0, 0.0]
    problem = Problem(x, structure_of("full"), 2, np.ones(2))
    with pytest.raises(ValueError, match=r"^x: every start is singular, .*drop columns, use fewer"):
        found_on(problem, init_params=method)


# Many rows


@pytest.fixture(scope="module")
def planted() -> tuple[Parameters, np.ndarray]:
    """Four components that overlap, and 60,000 rows of them."""
    point = random_parameters("full", 4, 3, seed=2)
    point = point._replace(means=1.5 * point.means)
    return point, rows_of(point, 60_000)


def stated(point: Parameters, structure: str = "full") -> Point:
    own = compact(structure, point.covariances)
    return Point(structure_of(structure), point.weights, point.means, own)


def test_a_sample_leads_to_the_planted_mixture(planted):
    point, x = planted
    problem = problem_for(x, k=4)
    expected = run(problem, stated(point), max_iter=1000, tol=TOL)
    found = found_on(problem)
    assert found.winner.objective >= expected.objective - 2 * TOL * len(x)
    assert found.winner.status is Status.CONVERGED
    assert len(found.fits) == 1
    sentence = re.fullmatch(
        r"(\d+) of 5 starts reached the best optimum on ([\d,]+) of 60,000 rows "
        r"\(log-likelihood -[\d,.]+\)",
        found.verdict,
    )
    assert int(sentence[1]) == found.n_reached
    assert 1_000 < int(sentence[2].replace(",", "")) < 10_000
    assert f"{found.winner.objective:,.3f}" in found.verdict


def test_rows_on_disk_and_in_chunks_lead_where_an_array_does(planted, tmp_path):
    """The same seed draws the same rows."""
    x = planted[1][:20_000]
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    array, disk, chunks = (
        found_on(problem_for(rows, k=4)) for rows in (x, mapped, np.array_split(x, 7))
    )
    assert "of 20,000 rows" in array.verdict
    assert array.verdict == disk.verdict == chunks.verdict
    np.testing.assert_array_equal(disk.winner.point.means, array.winner.point.means)
    np.testing.assert_allclose(chunks.winner.point.means, array.winner.point.means, rtol=1e-7)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("errors", "kept"), [(1.5, 2), (2.5, 1)])
def test_what_a_sample_does_not_tell_from_the_best_goes_on(planted, errors, kept, weighted):
    """So many standard errors of the difference, rows counted by their weights."""
    rows = planted[1][:500]
    times = np.arange(500) % 3 if weighted else np.ones(500, int)
    problem = problem_for(rows, k=4, weight=times.astype(float) if weighted else None)
    winner = found_on(problem, max_iter=30).winner
    shifted = replace(winner.point, means=winner.point.means + 0.1)
    other = run(problem, shifted, max_iter=1, tol=TOL)
    logs = [
        log_density(np.repeat(rows, times, axis=0), f.point.parameters) for f in (winner, other)
    ]
    error = np.std(logs[0] - logs[1]) * np.sqrt(times.sum())
    objective = winner.objective - errors * error
    other = replace(other, objective=objective, penalized=objective)
    assert len(_in_question(problem, [other, winner], 1e-9)) == kept


@pytest.mark.parametrize("others", [3, 4])
def test_the_sentence_is_of_the_optimum_that_wins_on_all_rows(planted, monkeypatch, others):
    """Not of the one that leads on the sample."""

    def led(problem, engine, n_init, tol, *, sample):
        lone = run(problem, stated(planted[0]), max_iter=100, tol=tol)
        start = start_point(problem, np.eye(4)[np.arange(problem.n_rows) % 4])
        leader = run(problem, start, max_iter=1, tol=tol)
        value = lone.objective + 20.0
        return [replace(leader, objective=value, penalized=value) for _ in range(others)] + [lone]

    monkeypatch.setattr("bayesmix.search._optima", led)
    found = found_on(problem_for(planted[1], k=4))
    lone = others == 4  # of five
    assert found.winner.status is (Status.UNCONFIRMED if lone else Status.CONVERGED)
    assert found.verdict.startswith(f"1 of {others + 1} starts")
    assert found.n_reached == 1


def test_what_is_close_after_the_race_goes_on_to_the_end(planted, monkeypatch):
    whole, small = problem_for(planted[1], k=4), problem_for(planted[1][:3_000], k=4)
    first = run(small, stated(planted[0]), max_iter=100, tol=1e-4)
    nearby = replace(first.point, means=first.point.means + 0.01)
    far = start_point(small, np.eye(4)[np.arange(3_000) % 4])
    points = [far, first.point, nearby]
    fits = [replace(first, point=point) for point in points]
    ends, end = [], Engine.run
    monkeypatch.setattr(
        Engine, "run", lambda *given, **how: ends.append(len(given[2])) or end(*given, **how)
    )
    monkeypatch.setattr("bayesmix.search._in_question", lambda problem, fits, tol: fits)
    engine = Engine(1000, True, np.random.default_rng(1))
    origin, fit = engine.followed([small, whole], fits, TOL)
    assert ends == [2]
    assert any(origin is one for one in fits[1:])
    assert fit.status is Status.CONVERGED


def test_close_fits_hold_the_best_whatever_it_is(faithful):
    good = found_on(problem_for(faithful, k=2)).winner
    at = [replace(good, objective=value, penalized=value) for value in (-9.0, -5.0, -7.0)]
    assert close(at, 3.0) == [at[1], at[2]]
    overflowed = replace(good, objective=np.inf, status=Status.NON_FINITE)
    assert close([overflowed], 3.0) == [overflowed]
    assert close([Fit.singular(good.point)], 3.0) == []


@pytest.mark.parametrize("status", [Status.CONVERGED, Status.SPURIOUS])
def test_moves_are_given_up_by_what_they_are_judged_by(faithful, monkeypatch, status):
    """The penalized objective of a genuine optimum; all others are worse than any genuine one."""
    problem = problem_for(faithful, k=3)
    fit = run(problem, start_point(problem, np.eye(3)[np.arange(272) % 3]), max_iter=50, tol=TOL)
    fit = replace(fit, status=status, penalized=fit.objective - 3.0)
    goals = []

    def run_to(self, problem, starts, tol, *, goal):
        goals.append(goal)
        return [Fit.singular(starts[0])]

    monkeypatch.setattr(Engine, "run", run_to)
    _moved(problem, Engine(1000, True, np.random.default_rng(1)), fit, TOL, sample=True)
    assert goals == [fit.penalized if status is Status.CONVERGED else -np.inf]


@pytest.mark.parametrize("count", [30, 3])
def test_a_sample_that_misses_a_column_is_no_error(count):
    """Few of 60,000 rows have anything in the last column: a sample may have none, or mislead."""
    rng = np.random.default_rng(1)
    x = np.column_stack([blobs(60_000, 2, 2), np.zeros(60_000)])
    x[rng.choice(60_000, count, replace=False), 2] = rng.normal(size=count)
    problem = problem_for(x, "tied", 2)
    for seed in range(3):
        assert found_on(problem, seed).winner.usable


# What fits are ranked by


def hand_penalty(problem: Problem, fit: Fit) -> float:
    """A tenth of Chen and Tan's, of components that have few rows."""
    reference = np.cov(problem.x, rowvar=False, bias=True)
    covariances = fit.point.dense_covariances - problem.reg_covar * np.eye(2)
    rows = responsibilities(problem.x, fit.point.parameters).sum(axis=0)
    needed = {"full": 3, "tied": 0, "diag": 2, "spherical": 2}[problem.structure.name]
    covariances = covariances[(rows < 2 * needed + 1) & (needed > 0)]
    match problem.structure.name:
        case "diag":
            reference = reference * np.eye(2)
        case "spherical":
            reference = np.trace(reference) / 2 * np.eye(2)
    total = 0.0
    for covariance in covariances:
        ratio = reference @ np.linalg.inv(covariance)
        total += np.trace(ratio) - np.linalg.slogdet(ratio)[1] - 2
    return total / (10 * len(problem.x))


@pytest.mark.parametrize("ridge", [0.0, 1e-2])
def test_the_penalty_by_hand(faithful, structure, ridge):
    problem = replace(problem_for(faithful, structure, 3), reg_covar=ridge)
    few = np.where(np.arange(272) < 4, 2, np.arange(272) % 2)
    start = start_point(problem, np.eye(3)[few])
    start = replace(start, weights=np.array([0.5, 0.49, 0.01]))
    fit = run(problem, start, max_iter=1, tol=TOL)
    penalty = hand_penalty(problem, fit)
    assert penalty > 0 or structure == "tied"
    assert fit.objective - fit.penalized == pytest.approx(penalty, rel=1e-6)
    mode = replace(problem, prior=bm.weakly_informative(faithful), reg_covar=0.0)
    fit = run(mode, start, max_iter=10, tol=TOL)
    assert fit.penalized == fit.objective


def test_a_needle_loses_whatever_its_likelihood():
    """Six rows next to each other, in two dimensions."""
    rng = np.random.default_rng(1)
    x = np.concatenate([blobs(120, 2, 2), [3.0, 3.0] + 2e-3 * rng.normal(size=(6, 2))])
    problem = problem_of(bm.Mixture(bm.Dirichlet(2)), as_table(x))
    labels = (x[:, 0] > np.median(x[:, 0])).astype(int)
    genuine = run(problem, start_point(problem, np.eye(2)[labels]), max_iter=1000, tol=TOL)
    start = start_point(problem, np.eye(2)[(np.arange(126) >= 120).astype(int)])
    tight = np.stack([start.covariances[0], 1e-5 * np.eye(2)])
    needle = run(problem, replace(start, covariances=tight), max_iter=1000, tol=TOL)
    assert genuine.status is Status.CONVERGED
    assert needle.status is Status.SPURIOUS
    assert needle.objective > genuine.objective
    assert needle.penalized < needle.objective - 100
    for fits in ([genuine, needle], [needle, genuine]):
        index, ranked = best(fits, tol=TOL, total=126)
        assert ranked[index].point is genuine.point
