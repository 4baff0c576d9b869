"""Enumeration against other routes to the same numbers, then NUTS against enumeration."""

import numpy as np
import pytest
from arviz_stats import mcse
from scipy.integrate import quad
from scipy.special import logsumexp
from scipy.stats import gamma, invgamma, multivariate_normal, multivariate_t, norm

import bayesmix as bm
from tests.exact import labelings, log_marginal, pair_indicators
from tests.exact_blocks import log_marginals
from tests.exact_checks import assert_z
from tests.exact_partitions import (
    exact_posterior,
    in_order_of_appearance,
    log_partition_prior,
    log_prior_of_labelings,
    set_partitions,
)
from tests.gibbs_cells import CELLS, Cell, cases, few_rows
from tests.prior_draws import draw
from tests.reference_gibbs import log_joint
from tests.support import CONCENTRATIONS, STICKS, random_independent_prior, random_prior

N_CHECKS = 4 * (2 * 21 + 1 + 21)
# Two-sided level 1e-3 over all checks of this file together.
LIMIT = norm.isf(1e-3 / (2 * N_CHECKS))

FIXED = [name for name in CONCENTRATIONS if name != "Dirichlet(K, Gamma)"]


def test_partitions_are_counted_by_the_bell_numbers():
    assert [len(set_partitions(n)) for n in range(1, 9)] == [1, 2, 5, 15, 52, 203, 877, 4140]
    partitions = set_partitions(6)
    assert len(np.unique(partitions, axis=0)) == len(partitions)
    np.testing.assert_array_equal(in_order_of_appearance(partitions), partitions)
    shuffled = np.array([3, 5, 0, 1, 4, 2])[partitions]
    np.testing.assert_array_equal(in_order_of_appearance(shuffled), partitions)


@pytest.mark.parametrize("name", FIXED)
def test_prior_of_partitions_sums_that_of_labelings(name):
    weights, partitions = bm.Dirichlet(3, CONCENTRATIONS[name]), set_partitions(5)
    labels, log_p = log_prior_of_labelings(5, weights)
    same = (in_order_of_appearance(labels)[:, None] == partitions).all(axis=-1)
    with np.errstate(divide="ignore"):
        summed = np.log(np.exp(log_p) @ same)
    np.testing.assert_allclose(log_partition_prior(partitions, weights, None)[0], summed, rtol=1e-9)


@pytest.mark.parametrize("shape", [0.3, 2.0, 6.0])
def test_random_concentration_averages_the_prior_of_partitions(shape):
    weights, x = bm.Dirichlet(3, bm.Gamma(shape, 1.5)), few_rows(3, 1)
    found = exact_posterior(x, bm.Mixture(weights, random_prior(1)))
    p = np.exp(logsumexp(found.log_prior, axis=0))
    assert p.sum() == pytest.approx(1, rel=1e-10)

    def together(c):  # three rows in one cluster, times the density of the concentration
        return (1 + c) * (2 + c) / ((1 + 3 * c) * (2 + 3 * c)) * gamma.pdf(c, shape, scale=1 / 1.5)

    expected = quad(together, 0, 1)[0] + quad(together, 1, np.inf)[0]
    assert p[0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["Dirichlet(K, below 1)", "Dirichlet(K, vector)"])
def test_partitions_agree_with_labelings(structure, name):
    x = few_rows(6, 2)
    mixture = bm.Mixture(bm.Dirichlet(3, CONCENTRATIONS[name]), random_prior(2), structure)
    found = exact_posterior(x, mixture)
    labels, p = labelings(x, mixture)
    summed = np.bincount(found.index(labels), p, len(found.partitions))
    np.testing.assert_allclose(found.probability, summed, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(found.p_pairs, p @ pair_indicators(labels), rtol=1e-9)


def log_marginal_by_t(x, labels, prior, structure):
    """Product of Student t densities: rows whitened by the means' prior, each given those before.

    With the means integrated out rows have the covariance I + ZZ'/kappa across rows.
    """
    d = x.shape[1]
    across = np.eye(len(x)) + (labels[:, None] == labels) / prior.mean_precision
    delta = x - np.asarray(prior.mean)
    scale, dof = np.asarray(prior.covariance_scale), prior.dof - d + 1
    match structure:
        case "full":
            return sum(
                log_marginal_by_t(x[labels == k], labels[labels == k], prior, "tied")
                for k in np.unique(labels)
            )
        case "tied":
            white = np.linalg.solve(np.linalg.cholesky(across), delta)
            total = -0.5 * d * np.linalg.slogdet(across)[1]
            for i, row in enumerate(white):
                total += multivariate_t.logpdf(row, shape=scale / (dof + i), df=dof + i)
                scale = scale + np.outer(row, row)
            return total
        case "diag":
            blocks = [
                (delta[labels == k, j], across[np.ix_(labels == k, labels == k)] * scale[j, j])
                for k in np.unique(labels)
                for j in range(d)
            ]
        case "spherical":
            one = np.trace(scale) / d * np.eye(d)
            blocks = [
                (delta[labels == k].ravel(), np.kron(across[np.ix_(labels == k, labels == k)], one))
                for k in np.unique(labels)
            ]
    return sum(multivariate_t.logpdf(v, shape=shape / dof, df=dof) for v, shape in blocks)


def test_marginal_likelihood_is_a_chain_of_student_t(structure):
    x, prior = few_rows(5, 3), random_prior(3)
    mixture, partitions = bm.Mixture(bm.Dirichlet(2), prior, structure), set_partitions(5)
    expected = [log_marginal_by_t(x, labels, prior, structure) for labels in partitions]
    np.testing.assert_allclose(log_marginals(x, partitions, mixture), expected, rtol=1e-10)
    brute = [log_marginal(x, labels, prior, structure) for labels in partitions]
    np.testing.assert_allclose(brute, expected, rtol=1e-10)


def gauss_legendre(low, high, size):
    nodes, weights = np.polynomial.legendre.leggauss(size)
    return (nodes + 1) * (high - low) / 2 + low, weights * (high - low) / 2


def test_one_block_on_a_line_agrees_with_another_quadrature():
    x, shape, rate, floor = np.array([[-0.4], [0.9], [0.1]]), 0.7, 1.2, 0.3
    t, t_weights = gauss_legendre(-9, 16, 300)
    variances, weights = np.exp(t), np.exp(t) * t_weights
    likelihood = [multivariate_normal.pdf(x[:, 0], [0.2] * 3, v * np.eye(3) + 4) for v in variances]

    def given(scale):
        density = invgamma.pdf(variances, 3.5 / 2, scale=np.asarray(scale)[..., None] / 2)
        return density @ (likelihood * weights)

    scales, scale_weights = gauss_legendre(floor, 40, 100)
    density = gamma.pdf(scales, shape, scale=1 / rate) / gamma.sf(floor, shape, scale=1 / rate)
    expected = given(scales) @ (density * scale_weights)
    prior = ([0.2], [[4.0]], 3.5)
    random = bm.IndependentNormalInverseWishart(*prior, scale_hyperprior=(shape, rate, floor))
    found = exact_posterior(x, bm.Mixture(bm.Dirichlet(2), random))
    assert logsumexp(found.log_likelihood[:, 0]) == pytest.approx(np.log(expected), rel=1e-8)
    stated = bm.IndependentNormalInverseWishart(*prior, [[1.4]])
    found = exact_posterior(x, bm.Mixture(bm.Dirichlet(2), stated, "tied"))
    assert found.log_likelihood[0, 0] == pytest.approx(np.log(given(1.4)), rel=1e-8)


@pytest.mark.parametrize("structure", ["full", "tied"])
@pytest.mark.parametrize("hyperprior", [(0.2, 0.6), (0.7, 1.2, 0.3)], ids=["no floor", "floor"])
def test_quadrature_has_converged(structure, hyperprior):
    prior = bm.IndependentNormalInverseWishart([0.2], [[4.0]], 4.0, scale_hyperprior=hyperprior)
    mixture = bm.Mixture(bm.Dirichlet(3, bm.Gamma(0.5, 1.0)), prior, structure)
    x = few_rows(6, 1)
    coarse, fine = exact_posterior(x, mixture), exact_posterior(x, mixture, step=0.15)
    np.testing.assert_allclose(coarse.log_joint, fine.log_joint, rtol=1e-9)
    for name in ("concentration", "covariance_scale"):
        means = [getattr(e, f"p_{name}") @ np.log(getattr(e, name)) for e in (coarse, fine)]
        assert means[0] == pytest.approx(means[1], rel=1e-8, abs=1e-9)


def test_spherical_and_diag_are_full_on_a_line(structure):
    x, weights = few_rows(5, 1), bm.Dirichlet(2)
    for prior in (random_prior(1), random_independent_prior(1, random_scale=True)):
        full = exact_posterior(x, bm.Mixture(weights, prior, "full")).probability
        own = exact_posterior(x, bm.Mixture(weights, prior, structure)).probability
        assert (np.abs(own - full).max() > 1e-3) == (structure == "tied")


# Without a floor under the scale the averages have infinite variance.
FINITE_VARIANCE = [cell for cell in CELLS if cell.kind != "published"]
FAST = {
    Cell("Dirichlet(K, Gamma)", "random", "tied"),
    Cell("Dirichlet(K, vector)", "conjugate", "full"),
    Cell("Dirichlet(K, below 1)", "conjugate", "spherical"),
}


@pytest.mark.parametrize("cell", cases(FAST, FINITE_VARIANCE))
def test_enumeration_agrees_with_draws_from_the_prior(cell):
    assert_agrees_with_prior(cell.mixture(2 if cell.kind == "conjugate" else 1))


@pytest.mark.parametrize("independent", [False, True])
@pytest.mark.parametrize("name", STICKS)
def test_enumeration_of_sticks_agrees_with_draws_from_the_prior(name, independent):
    prior = random_independent_prior(1, random_scale=True) if independent else random_prior(2)
    assert_agrees_with_prior(bm.Mixture(STICKS[name], prior, "diag"))


def assert_agrees_with_prior(mixture):
    """Averages of p(x, labels | parameters) over the prior: nothing in common with the oracle."""
    x = few_rows(3, mixture.components.n_features)
    exact = exact_posterior(x, mixture)
    points = draw(mixture, 1, 100_000, np.random.default_rng(8))
    joint = log_joint(x, points.weights, points.means, points.covariances)
    labels, _ = log_prior_of_labelings(3, mixture.weights)
    of_partition = np.zeros((len(joint), len(exact.partitions)))
    for z, p in zip(labels, exact.index(labels), strict=True):
        of_partition[:, p] += np.exp(joint[:, range(3), z].sum(axis=-1))
    values = [of_partition]
    expected = [np.exp(exact.log_joint)]
    evidence = np.exp(exact.log_evidence)
    for name in ("concentration", "discount", "covariance_scale"):
        drawn = getattr(points, name)
        if drawn is not None:
            at = np.tanh(np.log(getattr(exact, name)))
            drawn = np.tanh(np.log(drawn.reshape(len(joint), -1)[:, :1]))
            values.append(of_partition.sum(axis=1, keepdims=True) * drawn)
            expected.append([evidence * (getattr(exact, f"p_{name}") @ at)])
    values, expected = np.concatenate(values, axis=1), np.concatenate(expected)
    assert_z((values.mean(axis=0) - expected) / (values.std(axis=0) / np.sqrt(len(values))))


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(5).normal(size=(7, 2)) + np.repeat([[-1.0], [1.0]], [3, 4], axis=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:. of 10000 transitions diverged")  # of a few rows, rare
@pytest.mark.parametrize("concentration", [1.0, (0.7, 2.0)], ids=["equal", "vector"])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_nuts_agrees_with_enumeration(rows, covariance_type, concentration):
    prior = bm.NormalInverseWishart([0.2, -0.1], 0.4, 5.5, [[1.5, 0.3], [0.3, 1.0]])
    mixture = bm.Mixture(bm.Dirichlet(2, concentration), prior, covariance_type)
    post = bm.sample(mixture, rows, random_seed=11, draws=2500, progressbar=False)
    labels, probability = labelings(rows, mixture)
    label = post.allocation["label"].values
    pairs = pair_indicators(label)
    exact = probability @ pair_indicators(labels)
    for p in range(pairs.shape[-1]):
        estimate = pairs[..., p].astype(float)
        error = float(mcse(estimate))
        assert abs(estimate.mean() - exact[p]) < LIMIT * error
    both = (np.ptp(labels, axis=1) > 0).astype(float)
    estimate = (post.posterior["n_clusters"].values == 2).astype(float)
    assert abs(estimate.mean() - probability @ both) < LIMIT * float(mcse(estimate))
