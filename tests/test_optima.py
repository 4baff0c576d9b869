"""What a finished start is worth: Laplace mass, winner, verdict."""

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.ascent import run
from bayesmix.gaussian import log_posterior
from bayesmix.inputs import as_table
from bayesmix.optima import Status, best, eigenvalue_ratios, log_mass, verdict
from bayesmix.problem import problem_of
from bayesmix.search import start_point
from tests.exact import log_marginal

EYE = np.eye(2)


def single_component_problem(covariance_type):
    x = bm.datasets.load("iris")
    mixture = bm.Mixture(bm.Dirichlet(1), bm.fraley_raftery(x, 1), covariance_type)
    return problem_of(mixture, as_table(x))


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_log_mass_is_the_evidence_where_the_posterior_is_conjugate(covariance_type):
    problem = single_component_problem(covariance_type)
    fit = run(problem, start_point(problem, np.ones((150, 1))), max_iter=50, tol=1e-10)
    expected = log_marginal(problem.x, np.zeros(150, int), problem.prior, covariance_type)
    # EM stops within rounding of the mode, where the mass is stationary
    assert log_mass(problem, fit.point) == pytest.approx(expected, rel=1e-9)


def test_log_mass_prefers_the_wide_mode_over_the_narrow_peak():
    """A tight pair of rows gives the higher density; the genuine split holds the mass."""
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(-1.5, 1, 100), rng.normal(1.5, 1, 100), [4.0, 4.0001]])[:, None]
    prior = bm.NormalInverseWishart([0.0], 0.01, 3.0, [[1e-6]])
    problem = problem_of(bm.Mixture(bm.Dirichlet(2), prior), as_table(x))
    split = np.eye(2)[(x[:, 0] > 0).astype(int)]
    pair = np.eye(2)[(x[:, 0] > 3.9999).astype(int) * (x[:, 0] < 4.0002)]
    wide, narrow = (
        run(problem, start_point(problem, resp), max_iter=2000, tol=1e-8) for resp in (split, pair)
    )
    assert min(wide.point.weights) > 0.3
    wide_gain = log_mass(problem, wide.point) - log_mass(problem, narrow.point)
    assert wide_gain > wide.objective - narrow.objective


def test_log_mass_under_independent_means():
    """Against quadrature over one mean and one variance, to the order of 1/n."""
    x = bm.datasets.load("faithful")[["waiting"]]
    prior = bm.IndependentNormalInverseWishart([69.0], [[5.0]], 5.0, [[400.0]])
    mixture = bm.Mixture(bm.Dirichlet(1), prior)
    problem = problem_of(mixture, as_table(x))
    n = len(x)
    fit = run(problem, start_point(problem, np.ones((n, 1))), max_iter=100, tol=1e-12)
    mean, variance = fit.point.means.item(), fit.point.covariances.item()
    u = np.linspace(-8, 8, 161)
    means = mean + np.sqrt(variance / n) * u
    logs = np.log(variance) + np.sqrt(2 / n) * u
    values = log_posterior(
        mixture,
        x.to_numpy(),
        np.ones((161, 161, 1)),
        np.broadcast_to(means[:, None, None, None], (161, 161, 1, 1)),
        np.broadcast_to(np.exp(logs)[None, :, None, None, None], (161, 161, 1, 1, 1)),
    )
    cell = np.sqrt(variance / n) * np.sqrt(2 / n) * (u[1] - u[0]) ** 2
    expected = np.logaddexp.reduce((values + logs).ravel()) + np.log(cell)
    assert log_mass(problem, fit.point) == pytest.approx(expected, abs=3 / n)


def test_log_mass_needs_a_prior():
    x = bm.datasets.load("faithful")
    problem = problem_of(bm.Mixture(bm.Dirichlet(2)), as_table(x))
    point = start_point(problem, np.eye(2)[(x["waiting"] > 67).astype(int)])
    with pytest.raises(ValueError, match="expected a problem with a component prior, got none"):
        log_mass(problem, point)


def test_a_singular_start_never_wins_and_is_counted():
    rng = np.random.default_rng(0)
    centers = ((0, 0), (8, 8), (16, 0))
    groups = [rng.normal(center, 1, size=(40, 2)) for center in centers]
    x = np.concatenate([*groups, np.full((8, 2), 20.0)])
    problem = problem_of(bm.Mixture(bm.Dirichlet(3)), as_table(x))
    thirds = np.repeat(np.arange(3), [40, 40, 48])
    genuine = run(problem, start_point(problem, np.eye(3)[thirds]), max_iter=500, tol=1e-6)
    spike = np.repeat([0, 1, 2], [80, 40, 8])
    singular = run(problem, start_point(problem, np.eye(3)[spike]), max_iter=500, tol=1e-6)
    assert genuine.status is Status.CONVERGED
    assert singular.status is Status.SINGULAR
    assert singular.objective > genuine.objective  # what a ranking by likelihood would take
    index, fits = best([singular, genuine], tol=1e-6, total=problem.total)
    assert index == 1
    assert verdict(problem, fits, fits[index], 1, 2).endswith("; 1 was singular")


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_reference_that_overflowed_is_refused(value):
    with pytest.raises(ValueError, match=r"^x: the covariance of the rows overflows; rescale"):
        eigenvalue_ratios(EYE[None], np.full((2, 2), value))
