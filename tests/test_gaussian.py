"""The reference definition against scipy.stats and high-precision arithmetic."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, localcontext

import numpy as np
import pytest
from scipy import integrate, stats

import bayesmix as bm
from bayesmix import gaussian, weight_prior
from bayesmix.covariance import structure_of
from tests.support import (
    EPS,
    STICKS,
    STRUCTURES,
    Parameters,
    compact,
    random_covariances,
    random_independent_prior,
    random_parameters,
    random_prior,
    rows_of,
)

# scipy works through an eigendecomposition: eps times the condition number (1e3 at most), with
# room for the sums.
RTOL = 1e5 * EPS


def scipy_component_log_density(x: np.ndarray, point: Parameters) -> np.ndarray:
    columns = [
        stats.multivariate_normal(mean, covariance).logpdf(x)
        for mean, covariance in zip(point.means, point.covariances, strict=True)
    ]
    return np.stack([np.atleast_1d(c) for c in columns], axis=-1)


def scipy_log_scale(mixture: bm.Mixture, scale: np.ndarray) -> float:
    """Log density of a random S, a gamma cut off at the floor and normalized."""
    shape, rate, floor = (np.asarray(v) for v in mixture.components.scale_hyperprior)
    s = np.diag(scale)
    if mixture.covariance_type == "spherical":
        rate, floor, s = stats.hmean(rate), floor.mean(), s[0]
    gamma = stats.gamma(shape, scale=1 / rate)
    return float(np.sum(gamma.logpdf(s) - gamma.logsf(floor)))


def scipy_log_prior(
    mixture: bm.Mixture,
    point: Parameters,
    scale: np.ndarray | None = None,
    concentration: float | None = None,
) -> float:
    """Log prior density as DESIGN's table states it, from scipy's distributions only."""
    prior = mixture.components
    concentrations = mixture.weights.concentrations
    value = 0.0
    if concentration is not None:
        concentrations = np.full(len(concentrations), concentration)
        gamma = mixture.weights.random_concentration
        value = stats.gamma(gamma.shape, scale=1 / gamma.rate).logpdf(concentration)
    if len(concentrations) > 1:
        value += stats.dirichlet(concentrations).logpdf(point.weights)
    independent = isinstance(prior, bm.IndependentNormalInverseWishart)
    for mean, covariance in zip(point.means, point.covariances, strict=True):
        spread = prior.mean_covariance if independent else covariance / prior.mean_precision
        value += stats.multivariate_normal(prior.mean, spread).logpdf(mean)
    d = prior.n_features
    if scale is None:
        scale = np.asarray(prior.covariance_scale)
    else:
        value += scipy_log_scale(mixture, scale)
    variances = np.diagonal(point.covariances, axis1=-2, axis2=-1)
    shape = (prior.dof - d + 1) / 2
    match mixture.covariance_type:
        case "full":
            inverse_wishart = stats.invwishart(prior.dof, scale)
            return value + sum(inverse_wishart.logpdf(c) for c in point.covariances)
        case "tied":
            return value + stats.invwishart(prior.dof, scale).logpdf(point.covariances[0])
        case "diag":
            return value + stats.invgamma(shape, scale=np.diag(scale) / 2).logpdf(variances).sum()
        case _:
            rate = np.trace(scale) / (2 * d)
            return value + stats.invgamma(shape, scale=rate).logpdf(variances[:, 0]).sum()


@pytest.mark.parametrize("d", [1, 2, 4])
def test_likelihood_equals_scipy(structure, d):
    point = random_parameters(structure, 3, d)
    x = rows_of(point, 50)
    expected = scipy_component_log_density(x, point)
    found = gaussian.component_log_density(x, point.means, point.covariances)
    np.testing.assert_allclose(found, expected, rtol=RTOL, atol=RTOL)
    joint = np.exp(expected) * point.weights
    np.testing.assert_allclose(gaussian.log_density(x, *point), np.log(joint.sum(1)), rtol=RTOL)
    np.testing.assert_allclose(
        gaussian.log_likelihood(x, *point), np.log(joint.sum(1)).sum(), rtol=RTOL
    )
    np.testing.assert_allclose(
        gaussian.responsibilities(x, *point), joint / joint.sum(1, keepdims=True), rtol=RTOL
    )


@pytest.mark.parametrize("concentration", [1.0, 2.5, 0.5, (1.0, 2.0, 3.5)])
@pytest.mark.parametrize("d", [1, 2, 4])
def test_prior_equals_scipy(structure, d, concentration):
    mixture = bm.Mixture(bm.Dirichlet(3, concentration), random_prior(d), structure)
    point = random_parameters(structure, 3, d, seed=1)
    found = gaussian.log_prior(mixture, *point)
    np.testing.assert_allclose(found, scipy_log_prior(mixture, point), rtol=RTOL)
    x = rows_of(point, 20)
    expected = found + gaussian.log_likelihood(x, *point)
    np.testing.assert_allclose(
        gaussian.log_posterior(mixture, x, *point), expected, rtol=4 * EPS, atol=4 * EPS
    )


@pytest.mark.parametrize("d", [1, 2, 4])
def test_independent_prior_equals_scipy(structure, d):
    prior = random_independent_prior(d)
    mixture = bm.Mixture(bm.Dirichlet(3, (1.0, 2.0, 3.5)), prior, structure)
    point = random_parameters(structure, 3, d, seed=1)
    found = gaussian.log_prior(mixture, *point)
    np.testing.assert_allclose(found, scipy_log_prior(mixture, point), rtol=RTOL)


@pytest.mark.parametrize("d", [1, 2, 4])
def test_random_scale_equals_scipy(structure, d):
    """At an S of one's own, and by default at shape/rate, but at least the floor."""
    prior = random_independent_prior(d, random_scale=True)
    mixture = bm.Mixture(bm.Dirichlet(3), prior, structure)
    point = random_parameters(structure, 3, d, seed=1)
    shape, rate, floor = (np.asarray(v) for v in prior.scale_hyperprior)
    held = np.maximum(shape / rate, floor)
    if structure == "spherical":
        held = np.full(d, max(np.mean(shape / rate), np.mean(floor)))
    own = 1.3 * (held.mean() if structure == "spherical" else held) * np.eye(d)
    for given, scale in ((None, np.diag(held)), (own, own)):
        found = gaussian.log_prior(mixture, *point, given)
        np.testing.assert_allclose(found, scipy_log_prior(mixture, point, scale), rtol=RTOL)
        x = rows_of(point, 20)
        np.testing.assert_allclose(
            gaussian.log_posterior(mixture, x, *point, given),
            found + gaussian.log_likelihood(x, *point),
            rtol=4 * EPS,
        )
    assert gaussian.log_prior(mixture, *point, 0.9 * floor.min() * np.eye(d)) == -np.inf


def test_density_of_a_random_scale_integrates_to_one():
    """Of its own factor, on [floor, inf): what is left when the given-S density is taken off."""
    prior = bm.IndependentNormalInverseWishart([0], 1, 3, scale_hyperprior=(0.7, 0.4, 0.3))
    mixture = bm.Mixture(bm.Dirichlet(1), prior)
    point = random_parameters("full", 1, 1)

    def density(s):
        stated = bm.IndependentNormalInverseWishart([0], 1, 3, s)
        given = gaussian.log_prior(bm.Mixture(bm.Dirichlet(1), stated), *point)
        return np.exp(gaussian.log_prior(mixture, *point, np.array([[s]])) - given)

    total, error = integrate.quad(density, 0.3, np.inf, epsabs=1e-10)
    assert error < 1e-8
    assert abs(total - 1) < 1e-8


@pytest.mark.parametrize("concentration", [1e-3, 0.2, 1.0, 7.5])
@pytest.mark.parametrize("k", [1, 3])
def test_random_concentration_equals_scipy(structure, k, concentration):
    """Alone, and beside a random scale."""
    weights = bm.Dirichlet(k, bm.Gamma(1.7, 3.2))
    point = random_parameters(structure, k, 2, seed=1)
    scale = 3 * np.eye(2)
    for prior, own in (
        (random_prior(2), None),
        (random_independent_prior(2, random_scale=True), scale),
    ):
        mixture = bm.Mixture(weights, prior, structure)
        found = gaussian.log_prior(mixture, *point, own, concentration)
        expected = scipy_log_prior(mixture, point, own, concentration)
        np.testing.assert_allclose(found, expected, rtol=RTOL)
        x = rows_of(point, 20)
        np.testing.assert_allclose(
            gaussian.log_posterior(mixture, x, *point, own, concentration),
            found + gaussian.log_likelihood(x, *point),
            rtol=4 * EPS,
        )


def test_random_concentration_has_batch_axes():
    """Of its own, and those of the weights; not above 0 there is no density."""
    mixture = bm.Mixture(bm.Dirichlet(3, bm.Gamma(1.7, 3.2)), random_prior(2))
    points = [random_parameters("full", 3, 2, seed=s) for s in range(4)]
    batch = [np.stack(values) for values in zip(*points, strict=True)]
    concentrations = np.array([0.01, 0.4, 1.0, 6.0])
    expected = [
        [gaussian.log_prior(mixture, *p, concentration=c) for p in points] for c in concentrations
    ]
    found = gaussian.log_prior(mixture, *batch, concentration=concentrations)
    np.testing.assert_allclose(found, np.diag(expected), rtol=64 * EPS)
    found = gaussian.log_prior(mixture, *batch, concentration=concentrations[:, None])
    np.testing.assert_allclose(found, expected, rtol=64 * EPS)
    found = gaussian.log_prior(mixture, *points[0], concentration=concentrations)
    np.testing.assert_allclose(found, np.array(expected)[:, 0], rtol=64 * EPS)
    for outside in (0.0, -1.0):
        assert gaussian.log_prior(mixture, *points[0], concentration=outside) == -np.inf


def scipy_log_sticks(weights, concentration, discount):
    """Density of the weights through that of the sticks, the Jacobian by finite differences."""

    def first_weights(v):
        return v * np.append(1.0, np.cumprod(1 - v[:-1]))

    v = weights[:-1] / (1 - np.append(0.0, np.cumsum(weights[:-2])))
    np.testing.assert_allclose(first_weights(v), weights[:-1], rtol=1e-12)
    steps = 1e-6 * np.eye(len(v))
    jacobian = [(first_weights(v + h) - first_weights(v - h)) / 2e-6 for h in steps]
    k = np.arange(1, len(weights))
    log_v = stats.beta(1 - discount, concentration + k * discount).logpdf(v).sum()
    return log_v - np.linalg.slogdet(jacobian)[1]


@pytest.mark.parametrize("name", STICKS)
def test_density_of_sticks_is_that_of_their_betas(name, rng):
    """A multilinear map: finite differences are exact but for rounding."""
    prior = replace(STICKS[name], truncation=5)
    for _ in range(5):
        weights = rng.dirichlet(np.full(5, 2.0))
        concentration, discount = rng.gamma(2.0), rng.uniform(0.05, 0.95)
        given, expected = {}, 0.0
        if prior.random_concentration:
            given["concentration"] = concentration
            expected += stats.gamma(2.0, scale=0.5).logpdf(concentration)
        else:
            concentration = prior.concentration
        if prior.random_discount:
            given["discount"] = discount
            expected += stats.beta(1.5, 3.0).logpdf(discount)
        else:
            discount = prior.discount
        expected += scipy_log_sticks(weights, concentration, discount)
        found = weight_prior.log_prior(prior, weights, **given)
        np.testing.assert_allclose(found, expected, rtol=1e-8)


@pytest.mark.parametrize("discount", [0.0, 0.4])
def test_density_of_sticks_integrates_to_one(discount):
    prior = bm.PitmanYor(1.7, discount, truncation=3)

    def density(second, first):
        weights = np.array([first, second, 1 - first - second])
        return np.exp(weight_prior.log_prior(prior, weights))

    total, error = integrate.dblquad(density, 0, 1, 0, lambda first: 1 - first, epsabs=1e-6)
    assert error < 1e-5
    assert abs(total - 1) < 1e-5


def test_no_sticks_are_one_component():
    """A truncation at one has the density 1; concentration and discount keep theirs."""
    one = np.ones(1)
    assert weight_prior.log_prior(bm.DirichletProcess(2.0, truncation=1), one) == 0
    prior = bm.PitmanYor(bm.Gamma(2, 4), bm.Beta(2, 5), truncation=1)
    expected = stats.gamma(2, scale=1 / 4).logpdf(0.3) + stats.beta(2, 5).logpdf(0.2)
    np.testing.assert_allclose(weight_prior.log_prior(prior, one, 0.3, 0.2), expected, rtol=RTOL)


def test_a_pitman_yor_process_without_discount_is_a_dirichlet_process(rng):
    weights = rng.dirichlet(np.ones(6), size=20)
    found = weight_prior.log_prior(bm.PitmanYor(0.7, 0.0, truncation=6), weights)
    expected = weight_prior.log_prior(bm.DirichletProcess(0.7, truncation=6), weights)
    np.testing.assert_array_equal(found, expected)


def test_weights_that_underflow_have_a_finite_density():
    """As a sampler may meet them; small weights before that are exact."""
    prior = bm.DirichletProcess(0.5, truncation=4)
    assert np.isfinite(weight_prior.log_prior(prior, np.array([1.0, 0.0, 0.0, 0.0])))
    assert np.isfinite(weight_prior.log_prior(prior, np.array([0.0, 1.0, 0.0, 0.0])))
    weights = np.array([1 - 1e-100, 1e-100, 1e-200, 1e-300])
    left = np.array([1.0, 1e-100, 1e-200])  # before each piece
    v = np.array([1.0, 1.0, 1.0])
    expected = 3 * np.log(0.5) + (0.5 - 1) * np.log(1e-300) - np.log(left).sum() + np.log(v).sum()
    np.testing.assert_allclose(weight_prior.log_prior(prior, weights), expected, rtol=1e-12)


def test_concentration_and_discount_have_batch_axes():
    """Each with its own weights or all; outside their range there is no density."""
    prior = STICKS["PY Gamma Beta"]
    mixture = bm.Mixture(prior, random_prior(2))
    points = [random_parameters("full", 3, 2, seed=s) for s in range(4)]
    batch = [np.stack(values) for values in zip(*points, strict=True)]
    c, d = np.array([0.01, 0.4, 1.0, 6.0]), np.array([0.9, 0.1, 0.5, 1e-8])
    expected = [
        [gaussian.log_prior(mixture, *p, None, *own) for p in points]
        for own in zip(c, d, strict=True)
    ]
    found = gaussian.log_prior(mixture, *batch, concentration=c, discount=d)
    np.testing.assert_allclose(found, np.diag(expected), rtol=64 * EPS)
    found = gaussian.log_prior(mixture, *batch, concentration=c[:, None], discount=d[:, None])
    np.testing.assert_allclose(found, expected, rtol=64 * EPS)
    x = rows_of(points[0], 20)
    np.testing.assert_allclose(
        gaussian.log_posterior(mixture, x, *points[0], None, c[0], d[0]),
        expected[0][0] + gaussian.log_likelihood(x, *points[0]),
        rtol=4 * EPS,
    )
    for outside in ((0.0, 0.5), (-1.0, 0.5), (1.0, 0.0), (1.0, 1.0), (1.0, -0.1)):
        assert gaussian.log_prior(mixture, *points[0], None, *outside) == -np.inf


@pytest.mark.parametrize("name", STICKS)
def test_a_discount_is_given_exactly_where_it_is_random(name):
    prior, weights = STICKS[name], np.array([0.5, 0.3, 0.2])
    concentration = 1.0 if prior.random_concentration else None
    if prior.random_discount:
        with pytest.raises(ValueError, match=r"^discount: expected a value.*b=3.0\), got None"):
            weight_prior.log_prior(prior, weights, concentration)
    else:
        with pytest.raises(ValueError, match=r"^discount: expected None.*; leave it out, or.*Beta"):
            weight_prior.log_prior(prior, weights, concentration, 0.5)


def test_infinitely_many_weights_have_no_density():
    mixture = bm.Mixture(bm.DirichletProcess(1.0), random_prior(2))
    with pytest.raises(ValueError, match=r"^truncation: expected a number.*give truncation=T"):
        gaussian.log_prior(mixture, *random_parameters("full", 3, 2))


def test_log_dirichlet_takes_concentrations_with_batch_axes(rng):
    concentrations, weights = rng.gamma(2, size=(5, 3)), rng.dirichlet(np.ones(3), size=5)
    expected = [stats.dirichlet(c).logpdf(w) for c, w in zip(concentrations, weights, strict=True)]
    found = weight_prior.log_dirichlet(concentrations, weights)
    np.testing.assert_allclose(found, expected, rtol=RTOL)


def test_a_concentration_is_given_exactly_where_it_is_random():
    point = random_parameters("full", 2, 2)
    stated = bm.Mixture(bm.Dirichlet(2), random_prior(2))
    with pytest.raises(ValueError, match=r"^concentration: expected None.*; leave it out, or"):
        gaussian.log_prior(stated, *point, concentration=1.0)
    random = bm.Mixture(bm.Dirichlet(2, bm.Gamma(1, 2)), random_prior(2))
    with pytest.raises(ValueError, match=r"^concentration: expected a value.*rate=2.0\), got None"):
        gaussian.log_prior(random, *point)


def test_a_scale_beside_a_stated_one_is_refused():
    point = random_parameters("full", 2, 2)
    for prior in (random_prior(2), random_independent_prior(2)):
        with pytest.raises(ValueError, match=r"covariance_scale: expected None.*scale_hyperprior"):
            gaussian.log_prior(bm.Mixture(bm.Dirichlet(2), prior), *point, np.eye(2))


def test_a_scale_of_another_form_is_refused(structure):
    prior = random_independent_prior(2, random_scale=True)
    mixture = bm.Mixture(bm.Dirichlet(2), prior, structure)
    point = random_parameters(structure, 2, 2)
    with pytest.raises(ValueError, match=r"covariance_scale: expected (diagonal|multiples)"):
        gaussian.log_prior(mixture, *point, np.array([[3.0, 0.1], [0.1, 3.0]]))
    uneven = np.diag([3.0, 4.0])
    if structure == "spherical":
        with pytest.raises(ValueError, match="covariance_scale: expected multiples of the ident"):
            gaussian.log_prior(mixture, *point, uneven)
    else:
        assert np.isfinite(gaussian.log_prior(mixture, *point, uneven))


@pytest.mark.parametrize("dof_above", [0.05, 1.0, 2.5, 300.25])
def test_prior_for_any_degrees_of_freedom(structure, dof_above):
    prior = random_prior(3, dof=2 + dof_above)  # more than D - 1 = 2
    mixture = bm.Mixture(bm.Dirichlet(2), prior, structure)
    point = random_parameters(structure, 2, 3)
    np.testing.assert_allclose(
        gaussian.log_prior(mixture, *point), scipy_log_prior(mixture, point), rtol=RTOL
    )


def test_one_feature_is_the_normal_distribution():
    point = random_parameters("full", 2, 1)
    x = np.linspace(-3, 3, 7)[:, None]
    expected = stats.norm(point.means[:, 0], np.sqrt(point.covariances[:, 0, 0])).logpdf(x)
    found = gaussian.component_log_density(x, point.means, point.covariances)
    np.testing.assert_allclose(found, expected, rtol=16 * EPS)


def test_one_feature_is_the_same_prior_for_every_structure():
    point = random_parameters("tied", 1, 1)
    values = [
        gaussian.log_prior(bm.Mixture(bm.Dirichlet(1), random_prior(1), s), *point)
        for s in STRUCTURES
    ]
    # (dof - D + 1)/2 = dof/2 and tr S/(2D) = S/2: one inverse gamma written in two ways
    np.testing.assert_allclose(values, values[0], rtol=64 * EPS)


def test_batch_axes_are_loops(structure):
    points = [
        [random_parameters(structure, 3, 2, seed=10 * i + j) for j in range(3)] for i in (1, 2)
    ]
    batch = [np.array([[p[i] for p in row] for row in points]) for i in range(3)]
    mixture = bm.Mixture(bm.Dirichlet(3, (1.0, 2.0, 3.5)), random_prior(2), structure)
    x = rows_of(points[0][0], 11)

    def check(function, shape):
        found = function(*batch)
        assert found.shape == shape
        expected = [[function(*p) for p in row] for row in points]
        np.testing.assert_allclose(found, expected, rtol=64 * EPS, atol=64 * EPS)

    check(lambda w, m, c: gaussian.component_log_density(x, m, c), (2, 3, 11, 3))
    check(lambda w, m, c: gaussian.log_density(x, w, m, c), (2, 3, 11))
    check(lambda w, m, c: gaussian.log_likelihood(x, w, m, c), (2, 3))
    check(lambda w, m, c: gaussian.responsibilities(x, w, m, c), (2, 3, 11, 3))
    check(lambda w, m, c: gaussian.log_prior(mixture, w, m, c), (2, 3))
    check(lambda w, m, c: gaussian.log_posterior(mixture, x, w, m, c), (2, 3))
    for random_scale in (False, True):
        prior = random_independent_prior(2, random_scale=random_scale)
        independent = replace(mixture, components=prior)
        check(lambda w, m, c, model=independent: gaussian.log_prior(model, w, m, c), (2, 3))
    factors = np.linspace(3, 5, 6).reshape(2, 3)
    scales = factors[..., None, None] * np.eye(2)
    found = gaussian.log_prior(independent, *batch, scales)
    expected = [
        [gaussian.log_prior(independent, *points[i][j], scales[i, j]) for j in range(3)]
        for i in range(2)
    ]
    np.testing.assert_allclose(found, expected, rtol=64 * EPS)


def test_long_double_is_kept_and_used():
    """Against 40 decimal digits, in one dimension and two components."""
    weights, means, variances = (0.3, 0.7), (-1.25, 0.7), (0.11, 2.3)
    x = 0.123
    with localcontext() as context:
        context.prec = 40
        pi = Decimal("3.141592653589793238462643383279502884197169")
        terms = [
            Decimal(w)
            * (-((Decimal(x) - Decimal(m)) ** 2) / (2 * Decimal(v))).exp()
            / (2 * pi * Decimal(v)).sqrt()
            for w, m, v in zip(weights, means, variances, strict=True)
        ]
        exact = sum(terms).ln()
        as_long = np.longdouble(str(exact))
    wide = np.longdouble
    found = gaussian.log_likelihood(
        np.array([[x]], wide),
        np.array(weights, wide),
        np.array(means, wide)[:, None],
        np.array(variances, wide)[:, None, None],
    )
    assert found.dtype == wide
    # a dozen roundings; a pi in double precision would be wrong by 2e-17
    assert abs(found - as_long) <= 8 * np.finfo(wide).eps * abs(as_long)


def test_a_weight_of_zero_is_allowed():
    point = random_parameters("full", 3, 2)
    weights = np.array([0.25, 0.75, 0.0])
    x = rows_of(point, 10)
    two = gaussian.log_density(x, weights[:2], point.means[:2], point.covariances[:2])
    found = gaussian.log_density(x, weights, point.means, point.covariances)
    np.testing.assert_allclose(found, two, rtol=4 * EPS)
    prior = bm.Mixture(bm.Dirichlet(3), random_prior(2))
    assert np.isfinite(gaussian.log_prior(prior, weights, point.means, point.covariances))


def test_far_rows_stay_finite():
    point = random_parameters("full", 3, 2)
    x = np.array([[1e6, -1e6]])  # every density underflows
    assert np.isfinite(gaussian.log_density(x, *point)).all()
    np.testing.assert_allclose(gaussian.responsibilities(x, *point).sum(-1), 1, rtol=4 * EPS)


def test_covariances_must_be_positive_definite():
    point = random_parameters("full", 2, 2)
    broken = point.covariances.copy()
    broken[1] = [[1.0, 2.0], [2.0, 1.0]]
    with pytest.raises(np.linalg.LinAlgError, match="positive definite"):
        gaussian.log_density(np.zeros((1, 2)), point.weights, point.means, broken)


def test_prior_of_maximum_likelihood_is_refused():
    point = random_parameters("full", 2, 2)
    with pytest.raises(ValueError, match=r"components=None is maximum likelihood.*fraley_raftery"):
        gaussian.log_prior(bm.Mixture(bm.Dirichlet(2)), *point)


def test_random_covariances_have_their_structure(structure, rng):
    """What the other tests stand on."""
    dense = random_covariances(structure, 3, 4, rng)
    back = structure_of(structure).dense(compact(structure, dense), 3, 4)
    np.testing.assert_array_equal(back, dense)
    assert np.linalg.cond(dense).max() < 1e3


@pytest.mark.parametrize(
    "prior",
    [
        bm.Dirichlet(3, bm.Gamma(1e-3, 1.0)),
        bm.DirichletProcess(bm.Gamma(1e-3, 1.0), truncation=4),
        bm.PitmanYor(bm.Gamma(1e-3, 1.0), bm.Beta(1e-3, 1.0), truncation=4),
        bm.PitmanYor(bm.Gamma(1e-3, 1.0), bm.Beta(1.0, 1e-3), truncation=4),
    ],
)
def test_draws_from_an_extreme_prior_are_weights(prior):
    """Half of the concentrations and discounts are beyond what numbers hold."""
    weights, concentration, discount = weight_prior.draw(prior, 500, np.random.default_rng(1))
    assert np.all(concentration > 0)
    assert discount is None or np.all((discount > 0) & (discount < 1))
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-12)
