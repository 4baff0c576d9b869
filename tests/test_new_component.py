"""Density of a row under a component without rows: closed forms, quadrature, brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import invgamma, multivariate_normal, multivariate_t, norm, t

import bayesmix as bm
from bayesmix import component_prior, gaussian, passes
from bayesmix.covariance import structure_of
from bayesmix.new_component import log_density, new_component
from tests.support import (
    STRUCTURES,
    random_covariances,
    random_independent_prior,
    random_prior,
)

SEVEN_DIGITS = 1e-7
"""Of the quadrature, in nats."""
DRAWS = 40_000


def rows(prior, n=6, seed=0):
    """Rows near the prior mean and far from it."""
    rng = np.random.default_rng(seed)
    far = np.array([0.3, 1.0, 3.0, 10.0, 100.0, 3.0])[:n, None]
    return np.asarray(prior.mean) + far * rng.normal(size=(n, prior.n_features))


def uncorrelated(d, **options):
    prior = random_independent_prior(d, **options)
    spread = np.diag(np.diag(prior.mean_covariance))
    return bm.IndependentNormalInverseWishart(
        prior.mean, spread, prior.dof, prior.covariance_scale, prior.scale_hyperprior
    )


def at(prior, structure, x, **given):
    generator = np.random.default_rng(5)
    return log_density(prior, structure_of(structure), x, generator=generator, **given)


def test_conjugate_full_is_student():
    prior = random_prior(3)
    dof = prior.dof - 2
    shape = np.asarray(prior.covariance_scale) * (1 + 1 / prior.mean_precision) / dof
    x = rows(prior)
    expected = multivariate_t(prior.mean, shape, dof).logpdf(x)
    np.testing.assert_allclose(at(prior, "full", x), expected[None], rtol=1e-12)


def test_conjugate_diag_and_spherical_are_student():
    prior = random_prior(3)
    dof, x = prior.dof - 2, rows(prior)
    variances = np.diag(prior.covariance_scale) * (1 + 1 / prior.mean_precision) / dof
    by_feature = t.logpdf(x, dof, prior.mean, np.sqrt(variances)).sum(axis=1)
    np.testing.assert_allclose(at(prior, "diag", x), by_feature[None], rtol=1e-12)
    together = multivariate_t(prior.mean, variances.mean() * np.eye(3), dof).logpdf(x)
    np.testing.assert_allclose(at(prior, "spherical", x), together[None], rtol=1e-12)


@pytest.mark.parametrize("make", [random_prior, random_independent_prior])
def test_tied_is_normal_at_every_draw(make):
    prior = make(2)
    x = rows(prior)
    dense = np.stack([random_covariances("tied", 3, 2, np.random.default_rng(s)) for s in range(4)])
    found = at(prior, "tied", x, covariances=dense)
    for own, covariance in zip(found, dense[:, 0], strict=True):
        if isinstance(prior, bm.NormalInverseWishart):
            whole = covariance * (1 + 1 / prior.mean_precision)
        else:
            whole = covariance + np.asarray(prior.mean_covariance)
        expected = multivariate_normal(prior.mean, whole).logpdf(x)
        np.testing.assert_allclose(own, expected, rtol=1e-12)


@pytest.mark.parametrize("structure", ["full", "diag", "spherical"])
@pytest.mark.parametrize("dof", [0.4, 3.0, 30.0, 200.0])
def test_independent_on_a_line_against_a_fine_grid(structure, dof):
    prior = random_independent_prior(1, dof=dof)
    x = rows(prior) * [[1], [1], [1], [1], [100], [1]]
    (spread,), (scale,) = prior.mean_covariance[0], prior.covariance_scale[0]
    expected = [log_on_a_line(value - prior.mean[0], spread, scale, dof) for value in x[:, 0]]
    np.testing.assert_allclose(at(prior, structure, x)[0], expected, rtol=0, atol=SEVEN_DIGITS)


@pytest.mark.parametrize("dof", [50.0, 200.0])
def test_far_rows_of_many_degrees_of_freedom(dof):
    """Nodes for them have weights below the smallest float; rows up to 1e5 prior deviations."""
    prior = bm.IndependentNormalInverseWishart([0.0], [[0.01]], dof, [[dof]])
    x = np.array([[0.0], [1.0], [1e2], [1e3], [1e4], [1e5]])
    expected = [log_on_a_line(value, 0.01, dof, dof) for value in x[:, 0]]
    found = at(prior, "full", x)[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=2 * SEVEN_DIGITS)


def log_on_a_line(delta, spread, scale, dof):
    """Sum N(delta | 0, spread + variance) over a fine grid of the variance's logarithm."""
    logs = np.linspace(-60, 60, 60_001)
    variance = np.exp(logs)
    prior = invgamma(dof / 2, scale=scale / 2).logpdf(variance) + logs
    return logsumexp(norm.logpdf(delta, 0, np.sqrt(spread + variance)) + prior) + np.log(0.002)


def test_random_scale_is_that_of_the_draw():
    """On a line and by feature: a stated S at every draw's value."""
    prior = uncorrelated(2, random_scale=True)
    scales = np.random.default_rng(1).gamma(2.0, size=(3, 2))
    x = rows(prior)
    found = at(prior, "diag", x, covariance_scale=scales[..., None] * np.eye(2))
    dof = prior.dof - 1
    for own, scale in zip(found, scales, strict=True):
        expected = [
            sum(
                log_on_a_line(delta[j], prior.mean_covariance[j][j], scale[j], dof)
                for j in range(2)
            )
            for delta in x - prior.mean
        ]
        np.testing.assert_allclose(own, expected, rtol=0, atol=2 * SEVEN_DIGITS)


def stated(prior, scale):
    """The prior that a draw of a random S leaves."""
    return bm.IndependentNormalInverseWishart(
        prior.mean, prior.mean_covariance, prior.dof, np.diag(scale)
    )


@pytest.mark.parametrize("structure", ["full", "diag", "spherical"])
@pytest.mark.parametrize("kind", ["conjugate", "independent", "uncorrelated", "random scale"])
def test_draws_from_the_prior_average_to_it(structure, kind):
    x = np.array([[0.3, -0.2], [2.0, 1.0], [-3.0, 4.0]])
    given, prior = {}, random_prior(2)
    match kind:
        case "independent":
            prior = random_independent_prior(2)
        case "uncorrelated":
            prior = uncorrelated(2)
        case "random scale":
            prior = random_independent_prior(2, random_scale=True)
            scale = np.array([2.7, 2.7] if structure == "spherical" else [0.6, 2.9])
            given = {"covariance_scale": np.diag(scale)[None]}
    found = at(prior, structure, x, **given)
    if given:
        prior = stated(prior, scale)
    rng = np.random.default_rng(3)
    means, dense, _ = component_prior.draw(prior, structure_of(structure), 1, DRAWS, rng)
    density = np.exp(gaussian.component_log_density(x, means, dense)[..., 0])
    error = density.std(axis=0) / np.sqrt(DRAWS)
    if (structure, kind) == ("diag", "independent"):  # Monte Carlo itself, means integrated out
        error = error * np.sqrt(1 + DRAWS / 4096)
    z = (np.exp(found[0]) - density.mean(axis=0)) / error
    assert np.abs(z).max() < 4, z


def test_monte_carlo_is_unbiased_and_the_same_for_the_same_generator():
    prior = random_independent_prior(2, random_scale=True)
    scales = np.ones((3000, 1, 1)) * np.diag([0.6, 2.9])
    x = np.array([[0.3, -0.2], [2.0, 1.0], [-3.0, 4.0]])
    found = at(prior, "diag", x, covariance_scale=scales)
    np.testing.assert_array_equal(found, at(prior, "diag", x, covariance_scale=scales))
    together = at(prior, "diag", x, covariance_scale=scales[:1])  # as many in one
    mean = logsumexp(found, axis=0) - np.log(len(found))
    error = np.exp(found - mean).std(axis=0) / np.sqrt(len(found))
    several = np.sqrt(3000 * 16 / 4096 + 1)  # of the difference, in errors of the mean
    assert np.all(np.abs(mean - together[0]) < 4 * several * error)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_rows_do_not_depend_on_each_other(structure):
    prior = uncorrelated(2, random_scale=True)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 2))
    draws = 7
    given = {
        "covariance_scale": rng.gamma(2.0, size=(draws, 1, 1)) * np.eye(2),
        "covariances": random_covariances("full", draws, 2, rng)[:, None],
    }
    own = new_component(prior, structure_of(structure), x, generator=rng, **given)
    whole = own.log_density(x)
    blocks = [own.log_density(x[start : start + 64]) for start in range(0, 1000, 64)]
    np.testing.assert_allclose(np.concatenate(blocks, axis=1), whole, rtol=1e-13)


def test_blocks_of_draws_do_not_matter(monkeypatch):
    prior = uncorrelated(2, random_scale=True)
    scales = np.random.default_rng(0).gamma(2.0, size=(50, 1, 1)) * np.eye(2)
    whole = at(prior, "full", rows(prior), covariance_scale=scales)
    sizes = []
    original = passes.log_density

    def watched(x, parameters):
        sizes.append(parameters.n_draws)
        return original(x, parameters)

    monkeypatch.setattr("bayesmix.memory.BLOCK_BYTES", 8000)
    monkeypatch.setattr(passes, "log_density", watched)
    in_blocks = at(prior, "full", rows(prior), covariance_scale=scales)
    np.testing.assert_array_equal(in_blocks, whole)
    assert max(sizes) < 10
    assert sum(sizes) == 50


def test_what_is_missing_is_named():
    x = np.zeros((1, 2))
    with pytest.raises(ValueError, match=r"^covariance_scale: expected an array \(S, D, D\)"):
        at(random_independent_prior(2, random_scale=True), "full", x)
    with pytest.raises(ValueError, match=r"^covariances: expected an array \(S, K, D, D\)"):
        at(random_prior(2), "tied", x)


def test_no_rows():
    assert at(random_independent_prior(2), "full", np.empty((0, 2))).shape == (1, 0)
