"""EM: laws 3, 6 and 7, the mode, published values, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import xarray as xr
from sklearn.exceptions import ConvergenceWarning

import bayesmix as bm
from bayesmix import gaussian, optima
from bayesmix import search as search_module
from bayesmix.ascent import run
from bayesmix.covariance import structure_of
from bayesmix.optima import Status
from bayesmix.problem import Point, Problem, problem_of
from bayesmix.search import search, start_point
from tests.support import (
    EPS,
    blobs,
    cells,
    compact,
    mixture_of_cell,
    random_independent_prior,
    random_parameters,
    random_prior,
)

PRIORS = ("likelihood", "flat weights", "vector weights", "independent", "random scale")
CLOSED = PRIORS[:3]


def mixture_for(structure: str, prior: str, k: int, d: int) -> bm.Mixture:
    concentration = tuple(np.linspace(1, 3, k)) if prior == "vector weights" else 1.0
    match prior:
        case "likelihood":
            components = None
        case "independent" | "random scale":
            components = random_independent_prior(d, random_scale=prior == "random scale")
        case _:
            components = random_prior(d)
    return bm.Mixture(bm.Dirichlet(k, concentration), components, structure)


def problem_for(mixture: bm.Mixture, x: np.ndarray, weight: np.ndarray | None = None) -> Problem:
    return problem_of(mixture, bm.inputs.as_table(x), weight)


def start_for(problem: Problem, seed: int = 0) -> Point:
    """Draw a start from soft random responsibilities around distinct rows."""
    rng = np.random.default_rng(seed)
    label = rng.integers(problem.n_components, size=len(problem.x))
    resp = 0.6 * np.eye(problem.n_components)[label] + 0.4 / problem.n_components
    return start_point(problem, resp)


def objective_at(mixture: bm.Mixture, x: np.ndarray, point: Point) -> float:
    """Objective by the reference: log-likelihood, or log posterior."""
    parameters = (point.weights, point.means, point.dense_covariances)
    if mixture.components is None:
        return float(gaussian.log_likelihood(x, *parameters))
    return float(gaussian.log_posterior(mixture, x, *parameters))


def permuted(point: Point, order: np.ndarray) -> Point:
    dense = point.dense_covariances[order]
    return replace(
        point,
        weights=point.weights[order],
        means=point.means[order],
        covariances=point.structure.compact(dense),
    )


# Law 3


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("d", [1, 3])
def test_objective_never_decreases_and_belongs_to_the_point(structure, prior, d):
    x = blobs(90, d, 3)
    mixture = mixture_for(structure, prior, 3, d)
    problem = problem_for(mixture, x)
    for seed in range(3):
        fit = run(problem, start_for(problem, seed), max_iter=500, tol=1e-10)
        assert fit.n_iter >= 2
        # two sums of n + K D^2 terms, each right to a few hundred eps of its size
        slack = 1e3 * EPS * (1 + np.abs(fit.trace).max())
        assert np.all(np.diff(fit.trace) >= -slack)
        if fit.status is Status.SINGULAR:  # on the brink the density itself is ill conditioned
            slack /= max(fit.min_eigenvalue_ratio, EPS)
        expected = objective_at(mixture, x, fit.point)
        assert abs(fit.objective - expected) <= slack
        assert fit.objective == fit.trace[-1]
        likelihood = gaussian.log_likelihood(
            x, fit.point.weights, fit.point.means, fit.point.dense_covariances
        )
        assert abs(fit.log_likelihood - likelihood) <= slack


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("data", ["faithful", "iris"])
def test_weakly_informative_climbs(structure, data, k):
    """On rounded data with ties, from several starts each."""
    x = bm.datasets.load(data)
    mixture = bm.Mixture(bm.Dirichlet(k), bm.weakly_informative(x), structure)
    problem = problem_for(mixture, x)
    for seed in range(2):
        fit = run(problem, start_for(problem, seed), max_iter=150, tol=1e-9)
        slack = 1e3 * EPS * (1 + np.abs(fit.trace).max())
        assert np.all(np.diff(fit.trace) >= -slack)
        np.testing.assert_allclose(
            fit.objective, objective_at(mixture, x.to_numpy(), fit.point), rtol=1e-8
        )


def test_one_iteration_is_two_conditional_modes(structure):
    """Means by the textbook given the covariances so far, then covariances about those means."""
    k, d, x = 2, 3, blobs(40, 3, 2)
    prior = random_independent_prior(d)
    problem = problem_for(bm.Mixture(bm.Dirichlet(k), prior, structure), x)
    start = start_for(problem)
    after = run(problem, start, max_iter=1, tol=0, accelerate=False).point
    resp = gaussian.responsibilities(x, start.weights, start.means, start.dense_covariances)
    spread = np.linalg.inv(prior.mean_covariance)
    scale, scatters, counts = np.asarray(prior.covariance_scale), [], resp.sum(axis=0)
    for j in range(k):
        inverse = np.linalg.inv(start.dense_covariances[j])
        mean = np.linalg.solve(
            spread + counts[j] * inverse, spread @ prior.mean + inverse @ (resp[:, j] @ x)
        )
        np.testing.assert_allclose(after.means[j], mean, rtol=1e-10)
        scatters.append((x - mean).T @ (resp[:, j, None] * (x - mean)))
    for j in range(k):
        match structure:
            case "full":
                expected = (scatters[j] + scale) / (counts[j] + prior.dof + d + 1)
            case "tied":
                expected = (sum(scatters) + scale) / (len(x) + prior.dof + d + 1)
            case "diag":
                expected = (scatters[j] + scale) / (counts[j] + prior.dof - d + 3) * np.eye(d)
            case _:
                total = np.trace(scatters[j]) + np.trace(scale) / d
                expected = total / (counts[j] * d + prior.dof - d + 3) * np.eye(d)
        np.testing.assert_allclose(after.dense_covariances[j], expected, rtol=1e-9, atol=1e-12)


# Priors that the rows know nothing of: few starts agree.
@pytest.mark.filterwarnings(
    "ignore:EM. converged, but only one start:sklearn.exceptions.ConvergenceWarning"
)
@pytest.mark.parametrize("cell", cells("em"), ids=" ".join)
def test_tree_reports_the_objective_of_its_own_point(cell):
    mixture = mixture_of_cell(cell, 2)
    x = blobs(90, 2, 3)
    tree = bm.fit_em(mixture, x, n_init=4, random_seed=3)
    bm.validate(tree)
    point = [tree.point_estimate[v].values for v in ("weights", "means", "covariances")]
    log_likelihood = gaussian.log_likelihood(x, *point)
    objective = log_likelihood
    if mixture.components is not None:
        objective = gaussian.log_posterior(mixture, x, *point)
    attrs = tree.point_estimate.attrs
    # 1e-8 relative is law 1; rounding is far below it
    np.testing.assert_allclose(attrs["objective"], objective, rtol=1e-8)
    np.testing.assert_allclose(attrs["log_likelihood"], log_likelihood, rtol=1e-8)
    best = tree.optimization.attrs["best_restart"]
    assert tree.optimization["objective"].values[best] == attrs["objective"]
    if mixture.weights.exchangeable:
        assert np.all(np.diff(tree.point_estimate["means"].values[:, 0]) > 0)


@pytest.mark.parametrize("cell", cells("em", fits=False), ids=" ".join)
def test_cells_that_em_cannot_fit_are_refused_with_a_way_out(cell):
    mixture = mixture_of_cell(cell, 2)
    with pytest.raises(
        ValueError, match=r"use a concentration|leave the concentration at 1|use Dirichlet"
    ):
        bm.fit_em(mixture, blobs(30, 2, 3))


# The mode


def coordinates_to_parameters(structure, theta, k, d):
    """Inverse of `parameters_to_coordinates`: the measure's own coordinates to a dense point."""
    first, means, rest = np.split(theta, [k - 1, k - 1 + k * d])
    weights = np.append(first, 1 - first.sum())
    lower = np.tril_indices(d)
    match structure:
        case "full" | "tied":
            matrices = np.zeros((len(rest) // len(lower[0]), d, d))
            matrices[:, *lower] = rest.reshape(len(matrices), -1)
            matrices = matrices + np.swapaxes(np.tril(matrices, -1), -1, -2)
            covariances = np.broadcast_to(matrices, (k, d, d))
        case "diag":
            covariances = rest.reshape(k, d)[..., None] * np.eye(d)
        case _:
            covariances = rest[:, None, None] * np.eye(d)
    return weights, means.reshape(k, d), covariances


def parameters_to_coordinates(structure, weights, means, covariances):
    """First K - 1 weights, means, lower triangles (one if tied) or variances."""
    d = means.shape[1]
    lower = np.tril_indices(d)
    match structure:
        case "full":
            rest = covariances[:, *lower]
        case "tied":
            rest = covariances[0][lower]
        case "diag":
            rest = np.diagonal(covariances, axis1=-2, axis2=-1)
        case _:
            rest = covariances[:, 0, 0]
    return np.concatenate([weights[:-1], means.ravel(), rest.ravel()])


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("d", [1, 3])
def test_gradient_is_zero_at_the_mode(structure, prior, d):
    """Central differences of the log posterior, in units of its own curvature.

    The Newton step left, gradient / sqrt(-second derivative), is how far the point lies from the
    mode in posterior standard deviations: EM stops with at most 1e-10 nats to gain, which is
    1.4e-5 of them.
    """
    k, x = 2, blobs(60, d, 2)
    mixture = mixture_for(structure, prior, k, d)
    problem = problem_for(mixture, x)
    fit = run(problem, start_for(problem), max_iter=20_000, tol=1e-15)
    assert fit.status is Status.CONVERGED
    point = (fit.point.weights, fit.point.means, fit.point.dense_covariances)
    theta = parameters_to_coordinates(structure, *point)

    def objective(coordinates):
        weights, means, covariances = coordinates_to_parameters(structure, coordinates, k, d)
        value = gaussian.log_likelihood(x, weights, means, covariances)
        if mixture.components is not None:
            value += gaussian.log_prior(mixture, weights, means, covariances)
        return value

    center = objective(theta)
    np.testing.assert_allclose(center, fit.objective, rtol=1e-10)
    for j in range(len(theta)):
        # a tenth of a percent of the coordinate's scale: differences lose eps/1e-6 of the value
        # (1e-7 nats), and the third derivative adds 1e-6 of a standard deviation
        step = np.zeros_like(theta)
        step[j] = 1e-3 * max(abs(theta[j]), 0.1) / np.sqrt(len(x))
        above, below = objective(theta + step), objective(theta - step)
        slope = (above - below) / 2
        curvature = 2 * center - above - below
        assert curvature > 0
        assert abs(slope) / np.sqrt(curvature) < 1e-4


@pytest.mark.parametrize("prior", CLOSED)
def test_one_component_is_solved_in_closed_form(structure, prior):
    """K = 1: the mode of the normal-inverse-Wishart posterior, from the textbook's update."""
    x = blobs(40, 3, 1)
    n, d = x.shape
    mixture = mixture_for(structure, prior, 1, d)
    tree = bm.fit_em(mixture, x, n_init=1, random_seed=0)
    mean = x.mean(axis=0)
    scatter = (x - mean).T @ (x - mean)
    divisor = {"full": n, "tied": n, "diag": n, "spherical": n * d}[structure]
    if prior != "likelihood":
        p = mixture.components
        kappa, scale = p.mean_precision, np.asarray(p.covariance_scale)
        shift = mean - np.asarray(p.mean)
        scatter = scatter + kappa * n / (kappa + n) * np.outer(shift, shift)
        mean = (n * mean + kappa * np.asarray(p.mean)) / (n + kappa)
        # exponent of |Σ| or σ² in likelihood, mean's density and covariance's density, times -2
        divisor += {
            "full": p.dof + d + 2,
            "tied": p.dof + d + 2,
            "diag": p.dof - d + 1 + 2 + 1,
            "spherical": p.dof - d + 1 + 2 + d,
        }[structure]
        scatter = scatter + (
            np.eye(d) * np.trace(scale) / d**2 if structure == "spherical" else scale
        )
    expected = scatter / divisor
    if structure == "diag":
        expected = expected * np.eye(d)
    if structure == "spherical":
        expected = np.trace(expected) * np.eye(d)
    np.testing.assert_allclose(tree.point_estimate["means"].values[0], mean, rtol=1e-12)
    np.testing.assert_allclose(
        tree.point_estimate["covariances"].values[0], expected, rtol=1e-11, atol=1e-13
    )


# Law 6


def transformed_prior(prior, shift, scale, order):
    if prior is None:
        return None
    mean = (np.asarray(prior.mean) * scale + shift)[order]

    def squared(matrix):
        return (np.asarray(matrix) * np.outer(scale, scale))[np.ix_(order, order)]

    if isinstance(prior, bm.NormalInverseWishart):
        matrix = squared(prior.covariance_scale)
        return bm.NormalInverseWishart(mean, prior.mean_precision, prior.dof, matrix)
    stated, hyperprior = prior.covariance_scale, prior.scale_hyperprior
    if hyperprior is None:
        stated = squared(stated)
    else:
        rate, floor = np.asarray(hyperprior.rate), np.asarray(hyperprior.floor)
        hyperprior = (hyperprior.shape, (rate / scale**2)[order], (floor * scale**2)[order])
    spread = squared(prior.mean_covariance)
    return bm.IndependentNormalInverseWishart(mean, spread, prior.dof, stated, hyperprior)


def transformed_point(point, shift, scale, order):
    dense = (point.dense_covariances * np.outer(scale, scale))[:, order][:, :, order]
    return replace(
        point,
        means=(point.means * scale + shift)[:, order],
        covariances=np.ascontiguousarray(point.structure.compact(dense)),
    )


def log_volume(structure, k, scale, random_scale):
    """Logarithm of how much the measure of means, covariances and S grows with the columns."""
    d = len(scale)
    each = np.log(scale).sum()
    covariances = {
        "full": k * (d + 1) * each,
        "tied": (d + 1) * each,
        "diag": k * 2 * each,
        "spherical": k * 2 * np.log(scale[0]),
    }[structure]
    own = 2 * (np.log(scale[0]) if structure == "spherical" else each) if random_scale else 0
    return k * each + covariances + own


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("change", ["translation", "scaling", "features", "rows", "all"])
def test_data_and_prior_transformed_together(structure, prior, change, rng):
    """The whole path of EM is carried along, the objective shifted by the known constant.

    Plain EM's: longer steps are taken in coordinates that know the features by their order.
    """
    k, d = 3, 3
    x = blobs(80, d, k)
    every = change == "all"
    shift = rng.normal(size=d) * 1e4 if change == "translation" or every else np.zeros(d)
    scale = np.ones(d)
    if change == "scaling" or every:
        scale = np.array([1e-3, 40.0, 7e5]) if structure != "spherical" else np.full(d, 1e-3)
    order = np.array([2, 0, 1]) if change == "features" or every else np.arange(d)
    rows = rng.permutation(len(x)) if change == "rows" or every else np.arange(len(x))
    x_new = (x * scale + shift)[rows][:, order]

    mixture = mixture_for(structure, prior, k, d)
    components = transformed_prior(mixture.components, shift, scale, order)
    mixture_new = replace(mixture, components=components)
    problem, problem_new = problem_for(mixture, x), problem_for(mixture_new, x_new)
    start = start_for(problem)
    plain = {"max_iter": 10, "tol": 0, "accelerate": False}
    fit = run(problem, start, **plain)
    fit_new = run(problem_new, transformed_point(start, shift, scale, order), **plain)
    constant = -len(x) * np.log(scale).sum()
    if mixture.components is not None:
        constant -= log_volume(structure, k, scale, prior == "random scale")
    # rounding of the shifted rows, eps * offset / sd, at each of the n rows; ten steps carry on
    # what they are given by at most a few times
    ratio = 1 + np.abs(shift / scale).max()
    room = 1e3 * EPS * ratio
    np.testing.assert_allclose(
        fit_new.trace, fit.trace + constant, rtol=room, atol=room * len(x) + 1e-13 * abs(constant)
    )
    expected = transformed_point(fit.point, shift, scale, order)
    back = 1 / scale[order]
    np.testing.assert_allclose(fit_new.point.weights, expected.weights, atol=room)
    np.testing.assert_allclose((fit_new.point.means - expected.means) * back, 0, atol=room * ratio)
    np.testing.assert_allclose(
        (fit_new.point.dense_covariances - expected.dense_covariances) * np.outer(back, back),
        0,
        atol=100 * room,
    )


@pytest.mark.parametrize("prior", ["likelihood", "flat weights", "independent", "random scale"])
def test_permuted_start_gives_the_permuted_fit(structure, prior):
    x = blobs(80, 2, 3)
    problem = problem_for(mixture_for(structure, prior, 3, 2), x)
    start, order = start_for(problem), np.array([2, 0, 1])
    fit = run(problem, start, max_iter=15, tol=0)
    other = run(problem, permuted(start, order), max_iter=15, tol=0)
    expected = permuted(fit.point, order)
    room = {"rtol": 1e-9, "atol": 1e-10}  # 15 steps, each carrying on rounding of 1e-14
    np.testing.assert_allclose(other.trace, fit.trace, rtol=1e-12)
    np.testing.assert_allclose(other.point.weights, expected.weights, **room)
    np.testing.assert_allclose(other.point.means, expected.means, **room)
    np.testing.assert_allclose(other.point.covariances, expected.covariances, **room)


@pytest.mark.parametrize("prior", PRIORS)
def test_weights_are_duplicates(structure, prior, rng):
    x = blobs(60, 2, 3)
    times = rng.integers(0, 4, size=len(x))
    mixture = mixture_for(structure, prior, 3, 2)
    weighted = problem_for(mixture, x, times.astype(float))
    start = start_for(weighted)
    fit = run(weighted, start, max_iter=15, tol=0)
    repeated = run(problem_for(mixture, np.repeat(x, times, axis=0)), start, max_iter=15, tol=0)
    np.testing.assert_allclose(fit.trace, repeated.trace, rtol=1e-12)
    np.testing.assert_allclose(fit.point.means, repeated.point.means, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(
        fit.point.covariances, repeated.point.covariances, rtol=1e-9, atol=1e-10
    )
    np.testing.assert_allclose(fit.min_eigenvalue_ratio, repeated.min_eigenvalue_ratio, rtol=1e-6)


def test_same_seed_same_fit_for_duplicates_and_shuffled_rows(structure, rng):
    """Starts too depend on the rows only through weighted quantities."""
    x = blobs(60, 2, 3)
    times = rng.integers(1, 4, size=len(x))
    repeated = rng.permutation(np.repeat(x, times, axis=0))
    mixture = bm.Mixture(bm.Dirichlet(3), random_prior(2), structure)
    one = bm.fit_em(mixture, x, n_init=4, random_seed=5, sample_weight=times)
    two = bm.fit_em(mixture, repeated, n_init=4, random_seed=5)
    np.testing.assert_allclose(one.optimization["objective"], two.optimization["objective"])
    np.testing.assert_allclose(
        one.point_estimate["means"], two.point_estimate["means"], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("structure", ["full", "tied", "diag"])
def test_starts_do_not_depend_on_the_units_of_the_columns(structure):
    """The same seed, start by start; a start's path keeps rounding to far below 1e-6."""
    x, scale = blobs(60, 3, 3), np.array([1e-3, 40.0, 7e5])
    mixture = bm.Mixture(bm.Dirichlet(3), None, structure)
    options = {"init_params": "k-means++", "n_init": 8, "max_iter": 1000, "tol": 1e-6}
    one, two = (
        search(problem_for(mixture, rows), np.random.default_rng(11), accelerate=False, **options)
        for rows in (x, x * scale + 3 * scale)
    )
    constant = -len(x) * np.log(scale).sum()
    assert [fit.status for fit in one.fits] == [fit.status for fit in two.fits]
    genuine = [i for i, fit in enumerate(one.fits) if fit.status is not Status.SINGULAR]
    expected = np.array([one.fits[i].objective for i in genuine])
    assert len(np.unique(expected.round(3))) > 1
    found = [two.fits[i].objective - constant for i in genuine]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_same_seed_same_bits(faithful):
    mixture = bm.Mixture(bm.Dirichlet(2))
    trees = [bm.fit_em(mixture, faithful, n_init=3, random_seed=s) for s in (7, 7)]
    for name in ("weights", "means", "covariances"):
        one, two = (t.point_estimate[name].values for t in trees)
        np.testing.assert_array_equal(one, two)
    generator = bm.fit_em(mixture, faithful, n_init=3, random_seed=np.random.default_rng(7))
    np.testing.assert_array_equal(
        generator.optimization["objective"], trees[0].optimization["objective"]
    )


# Published values


@pytest.mark.parametrize(
    ("data", "k", "structure", "n_init", "expected"),
    [
        ("faithful", 2, "full", 10, -1130.264),  # mclust, Fraley & Raftery
        ("faithful", 3, "tied", 15, -1126.316),
        ("iris", 3, "full", 20, -180.185),
    ],
)
def test_published_log_likelihoods(data, k, structure, n_init, expected):
    """The global optimum, to the three digits published; EM leaves 1e-6 per row at most."""
    x = bm.datasets.load(data)
    tree = bm.fit_em(bm.Mixture(bm.Dirichlet(k), None, structure), x, n_init=n_init, random_seed=1)
    attrs = tree.point_estimate.attrs
    assert attrs["log_likelihood"] == pytest.approx(expected, abs=1e-3)
    assert attrs["status"] == "converged"


# Law 7


def spike(d: int = 2) -> np.ndarray:
    """Two clusters, and six equal rows a little off them: the likelihood is unbounded there."""
    x = blobs(66, d, 2)
    x[:6] = x.mean(axis=0) + 0.5
    return x


@pytest.mark.parametrize("structure", ["full", "diag", "spherical"])
def test_collapse_onto_equal_rows_is_singular(structure):
    problem = problem_for(bm.Mixture(bm.Dirichlet(3), None, structure), spike())
    resp = np.zeros((66, 3))
    resp[:6, 0] = 1
    resp[6::2, 1] = 1
    resp[7::2, 2] = 1
    start = start_point(problem, resp)
    covariances = start.dense_covariances.copy()
    covariances[0] *= 1e-4  # narrow enough to hold the spike and nothing else
    start = replace(start, covariances=compact(structure, covariances))
    singular = run(problem, start, max_iter=1000, tol=1e-6)
    assert singular.status is Status.SINGULAR
    genuine = run(problem, start_for(problem), max_iter=1000, tol=1e-6)
    assert genuine.status is Status.CONVERGED
    assert singular.objective > genuine.objective  # the trap: it would win by likelihood
    for fits in ([singular, genuine], [genuine, singular]):
        index, judged = optima.best(fits, tol=1e-6, total=66)
        assert judged[index].point is genuine.point
    # with a prior there is no singularity
    safe = problem_for(bm.Mixture(bm.Dirichlet(3), random_prior(2), structure), spike())
    assert run(safe, start, max_iter=1000, tol=1e-6).status is Status.CONVERGED


@pytest.mark.parametrize("structure", ["full", "diag", "spherical"])
def test_the_genuine_optimum_wins(structure):
    """Among starts of which several end in the spike, and by default."""
    mixture = bm.Mixture(bm.Dirichlet(3), None, structure)
    found = search(
        problem_for(mixture, spike()),
        np.random.default_rng(3),
        init_params="k-means++",
        n_init=30,
        max_iter=1000,
        tol=1e-6,
    )
    singular = [fit.objective for fit in found.fits if fit.status is Status.SINGULAR]
    assert found.winner.status in (Status.CONVERGED, Status.UNCONFIRMED)
    assert max(singular) > found.winner.objective
    assert f"; {len(singular)} {'were' if singular[1:] else 'was'} singular" in found.verdict
    tree = bm.fit_em(mixture, spike(), random_seed=0)
    assert tree.point_estimate.attrs["status"] == "converged"
    assert tree.point_estimate.attrs["objective"] >= found.winner.objective - 66e-6


def test_all_starts_singular_is_said():
    x = blobs(4, 2, 1)
    with pytest.warns(ConvergenceWarning, match=r"^EM: singular: .*give a component prior"):
        tree = bm.fit_em(bm.Mixture(bm.Dirichlet(4)), x, random_seed=1)
    assert tree.point_estimate.attrs["status"] == "singular"
    assert "give a component prior" in tree.point_estimate.attrs["advice"]


def test_spurious_is_said():
    """Five rows in two dimensions carry a mean and two variances, and nothing more."""
    with pytest.warns(ConvergenceWarning, match=r"^EM: spurious: .*simpler covariance_type"):
        tree = bm.fit_em(bm.Mixture(bm.Dirichlet(2), None, "diag"), blobs(5, 2, 2), random_seed=1)
    assert tree.point_estimate.attrs["status"] == "spurious"


def test_one_iteration_is_not_convergence(structure):
    mixture = bm.Mixture(bm.Dirichlet(3), random_prior(2), structure)
    with pytest.warns(ConvergenceWarning, match="^EM: not converged: raise max_iter"):
        tree = bm.fit_em(mixture, blobs(60, 2, 3), max_iter=1, n_init=2, random_seed=1)
    assert tree.point_estimate.attrs["status"] == "max_iter"
    assert set(tree.optimization["status"].values) == {int(Status.MAX_ITER)}
    assert set(tree.optimization["n_iter"].values) == {1}


def test_lone_best_of_many_is_unconfirmed(iris):
    with pytest.warns(
        ConvergenceWarning, match="only one start reached this optimum.*raise n_init"
    ):
        tree = bm.fit_em(bm.Mixture(bm.Dirichlet(6)), iris, n_init=10, random_seed=1)
    assert tree.point_estimate.attrs["status"] == "unconfirmed"
    status = tree.optimization["status"].values
    assert (status == Status.UNCONFIRMED).sum() == 1
    assert status[tree.optimization.attrs["best_restart"]] == Status.UNCONFIRMED
    assert tree.optimization.attrs["verdict"].startswith("1 of 10 starts")


def test_best_confirms_and_ranks():
    """By status first, then by objective; a lone best of five is unconfirmed, of four is not."""
    problem = problem_for(bm.Mixture(bm.Dirichlet(2)), blobs(40, 2, 2))
    fit = run(problem, start_for(problem), max_iter=1000, tol=1e-6)

    def fits(*values):
        return [replace(fit, objective=v, penalized=v, status=s) for v, s in values]

    def result(*values):
        index, judged = optima.best(fits(*values), tol=1e-6, total=40)
        return index, judged[index].status

    good, bad = Status.CONVERGED, Status.SINGULAR
    assert result((-5.0, good), (-4.0, good), (-9.0, good)) == (1, good)
    assert result((-5.0, good), (1e6, bad), (np.nan, Status.NON_FINITE)) == (0, good)
    assert result((-5.0, bad), (-4.0, Status.SPURIOUS), (-9.0, Status.MAX_ITER))[0] == 2
    assert result(*[(-5.0 - i, good) for i in range(5)]) == (0, Status.UNCONFIRMED)
    assert result(*[(-5.0 - i, good) for i in range(4)]) == (0, good)
    assert result(*[(-5.0 - i // 2, good) for i in range(5)]) == (0, good)


def test_finished_unmasks():
    """A near collapse, a handful of rows, whatever their weight; never under a prior."""
    likelihood = problem_for(bm.Mixture(bm.Dirichlet(2)), blobs(40, 2, 2))
    start = start_point(likelihood, np.eye(2)[np.arange(40) % 2])  # the clusters as drawn
    fit = run(likelihood, start, max_iter=1000, tol=1e-6)
    assert fit.status is Status.CONVERGED
    found, _ = likelihood.expect(fit.point)

    def status(problem=likelihood, *, size=None, squeezed=1.0, ended=Status.CONVERGED):
        """Of the fit with a component of this size, or one whose last eigenvalue is squeezed."""
        sizes = found.sizes if size is None else np.array([size, problem.total - size])
        values, vectors = np.linalg.eigh(fit.point.covariances)
        values[0, 0] *= squeezed
        covariances = vectors * values[:, None] @ np.swapaxes(vectors, 1, 2)
        point = replace(fit.point, covariances=covariances)
        own = replace(found, sizes=sizes)
        return optima.finished(problem, point, own, fit.objective, [fit.objective], ended).status

    assert status() is Status.CONVERGED
    assert status(squeezed=1e-6) is Status.CONVERGED
    assert status(squeezed=1e-9) is Status.SINGULAR
    assert status(size=4.5) is Status.CONVERGED  # D + 1 rows, and one more
    assert status(size=3.4) is Status.SPURIOUS
    assert status(size=6.9, squeezed=1e-6) is Status.SPURIOUS  # few rows in a needle
    assert status(size=7.1, squeezed=1e-6) is Status.CONVERGED
    assert status(size=3.4, ended=Status.NON_FINITE) is Status.NON_FINITE
    tenth = replace(likelihood, sample_weight=np.full(40, 0.1))
    assert status(tenth, size=0.45) is Status.CONVERGED
    assert status(tenth, size=0.34) is Status.SPURIOUS
    posterior = replace(likelihood, prior=random_prior(2))
    assert status(posterior, size=0.0, squeezed=1e-9) is Status.CONVERGED


def test_a_large_ridge_is_no_collapse_and_hides_none():
    x = bm.datasets.load("faithful").to_numpy() * 1e-3
    spiked = np.concatenate([x, np.full((9, 2), 1.0)])
    for rows, group, expected in (
        (x, x[:, 1] > 0.067, Status.CONVERGED),
        (spiked, spiked[:, 0] > 0.5, Status.SINGULAR),
    ):
        problem = replace(problem_for(bm.Mixture(bm.Dirichlet(2)), rows), reg_covar=1e-6)
        start = start_point(problem, np.eye(2)[group.astype(int)])
        assert run(problem, start, max_iter=500, tol=1e-6).status is expected


def test_row_weights_of_any_scale_leave_the_status_alone():
    x, mixture = bm.datasets.load("faithful"), bm.Mixture(bm.Dirichlet(2))
    plain, weighted = (
        bm.fit_em(mixture, x, random_seed=1, sample_weight=weight)
        for weight in (None, np.full(272, 1 / 272))
    )
    xr.testing.assert_equal(plain.optimization["status"], weighted.optimization["status"])


@pytest.mark.parametrize("status", Status)
def test_every_status_has_advice(status):
    assert len(optima.advice(status)) > 8


def test_non_finite_objective_is_a_status():
    """A start so far off that every density overflows."""
    problem = problem_for(bm.Mixture(bm.Dirichlet(2), None, "spherical"), blobs(20, 2, 2))
    start = start_for(problem)
    start = replace(start, means=start.means + 1e200)
    with np.errstate(all="ignore"):
        fit = run(problem, start, max_iter=5, tol=1e-6)
    assert fit.status is Status.NON_FINITE
    assert fit.n_iter == 0


# Law 8


def refuse(match, mixture, x, **options):
    with pytest.raises(ValueError, match=match) as caught:
        bm.fit_em(mixture, x, **{"random_seed": 1, **options})
    assert "\n" not in str(caught.value)


def test_a_start_with_a_singular_covariance_is_listed(faithful, monkeypatch):
    draw = search_module.starts_by

    def second_is_flat(problem, methods, generator):
        starts = draw(problem, methods, generator)
        starts[1] = replace(starts[1], covariances=0 * starts[1].covariances)
        return starts

    monkeypatch.setattr(search_module, "starts_by", second_is_flat)
    estimator = bm.GaussianMixture(
        2, init_params="k-means++", n_init=3, reg_covar=0, random_state=2
    ).fit(faithful)
    tree = estimator.to_datatree()
    bm.validate(tree)
    names = tree.optimization["status"].attrs["flag_meanings"].split()
    assert "given_up" not in names
    assert [names[code] for code in tree.optimization["status"].values] == [
        "converged",
        "singular",
        "converged",
    ]
    assert tree.optimization["objective"].values[1] == -np.inf
    optimum = "the best optimum (log-likelihood -1,130.264)"
    expected = f"2 of 3 starts reached {optimum}; 1 was singular"
    assert tree.optimization.attrs["verdict"] == expected


@pytest.mark.filterwarnings("ignore:EM. converged, but only one start")
def test_more_components_than_rows(structure):
    likelihood = bm.Mixture(bm.Dirichlet(9), None, structure)
    refuse("n_samples >= n_components .*n_samples = 5; use fewer", likelihood, blobs(5, 2, 2))
    priors = (random_prior(2), random_independent_prior(2, random_scale=True))
    for concentration, prior in product((1.0, 1.5), priors):
        mixture = bm.Mixture(bm.Dirichlet(9, concentration), prior, structure)
        tree = bm.fit_em(mixture, blobs(5, 2, 2), random_seed=1)
        bm.validate(tree)
        assert tree.point_estimate.attrs["status"] in ("converged", "unconfirmed")


def test_constant_columns(structure):
    x = bm.datasets.load("faithful").assign(flat=3.0)
    likelihood = bm.Mixture(bm.Dirichlet(2), None, structure)
    refuse("column 'flat' is constant.*drop it", likelihood, x)
    tree = bm.fit_em(
        bm.Mixture(bm.Dirichlet(2), random_prior(3), structure), x, n_init=2, random_seed=1
    )
    bm.validate(tree)
    np.testing.assert_allclose(tree.point_estimate["weights"].values.sum(), 1)


@pytest.mark.parametrize("seed", range(5))
def test_collinear_columns(structure, seed):
    """Unbounded where covariances are free, harmless where features are independent."""
    x = blobs(60, 3, 2, seed)
    x[:, 2] = x[:, :2] @ np.random.default_rng(seed).normal(size=2) + 1.5 if seed else x[:, 0]
    likelihood = bm.Mixture(bm.Dirichlet(2), None, structure)
    if structure in ("full", "tied"):
        refuse("is singular.*columns that others determine", likelihood, x)
    else:
        tree = bm.fit_em(likelihood, x, n_init=3, random_seed=2)
        assert tree.point_estimate.attrs["status"] == "converged"
        problem = problem_for(likelihood, x)
        cov = np.cov(x, rowvar=False, bias=True)
        variances = np.diag(cov) if structure == "diag" else np.trace(cov) / 3
        # what collapse is measured against is not singular itself
        np.testing.assert_allclose(
            problem.reference_covariance, variances * np.eye(3), rtol=1e-12, atol=1e-12
        )
    prior = bm.Mixture(bm.Dirichlet(2), random_prior(3), structure)
    tree = bm.fit_em(prior, x, n_init=3, random_seed=2)
    assert tree.point_estimate.attrs["status"] == "converged"


def test_fewer_distinct_rows_than_components():
    x = np.repeat(blobs(2, 2, 1), 10, axis=0)
    mixture = bm.Mixture(bm.Dirichlet(3), None, "diag")
    refuse("fewer distinct rows than the 3 components.*give a component prior", mixture, x)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"n_init": 0}, "n_init: expected a whole number of at least 1, got 0"),
        ({"n_init": 2.5}, "n_init: .*got 2.5"),
        ({"max_iter": 0}, "max_iter: .*got 0"),
        ({"tol": -1.0}, "tol: expected a number of at least 0, got -1.0"),
        ({"tol": float("nan")}, "tol: .*got nan"),
        ({"random_seed": -1}, "random seed: expected a number of at least 0, got -1"),
        ({"sample_weight": np.ones(3)}, r"sample_weight: expected shape \(20,\), got \(3,\)"),
        ({"sample_weight": np.full(20, -1.0)}, "sample_weight: .*at least 0"),
    ],
)
def test_arguments_out_of_range(options, match):
    refuse(match, bm.Mixture(bm.Dirichlet(2)), blobs(20, 2, 2), **options)


def test_prior_for_other_columns():
    mixture = bm.Mixture(bm.Dirichlet(2), random_prior(2))
    refuse(r"expected 2 column\(s\), the number of features .* got 3", mixture, blobs(20, 3, 2))


def test_components_are_ordered_by_their_means(structure):
    parameters = random_parameters(structure, 4, 2)
    means = parameters.means.copy()
    means[[0, 2], 0] = -9.0  # a tie, broken by the second feature
    means[[0, 2], 1] = [1.0, -1.0]
    point = Point(
        structure_of(structure),
        parameters.weights,
        means,
        compact(structure, parameters.covariances),
    )
    order = np.array([2, 0, *(np.array([1, 3])[np.argsort(means[[1, 3], 0])])])
    expected, found = permuted(point, order), point.ordered()
    for name in ("weights", "means", "covariances"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
