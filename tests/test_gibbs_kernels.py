"""The Gibbs kernels one by one: random numbers, triangles, moments of labels, conditionals."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from numba import njit
from scipy import integrate, stats
from scipy.special import gammaln

import bayesmix as bm
from bayesmix.covariance import structure_of
from bayesmix.gibbs import Chain
from bayesmix.kernels import triangles
from bayesmix.kernels.gibbs import conditionals, variates
from bayesmix.kernels.gibbs.chain import Prior
from tests.support import blobs, random_independent_prior, random_prior

DRAWS = 4000
LEVEL = 1e-4
"""Of one test; seeds are fixed, so that it either always fails or never."""


def repeated(draw):
    """Compile a loop that fills an array with draws; kernels have no Python wrapper."""

    @njit
    def fill(generator, out, *arguments):
        for i in range(len(out)):
            out[i] = draw(generator, *arguments)

    return fill


@pytest.fixture(scope="module")
def fill_log_gamma():
    return repeated(njit(lambda generator, shape: variates.log_gamma(generator, shape)))


@pytest.fixture(scope="module")
def fill_gamma_above():
    return repeated(njit(lambda g, shape, rate, floor: variates.gamma_above(g, shape, rate, floor)))


class TestVariates:
    @pytest.mark.parametrize("shape", [1e-3, 0.02, 0.5, 1.0, 1.7, 50.0])
    def test_log_gamma(self, fill_log_gamma, shape):
        out = np.empty(DRAWS)
        fill_log_gamma(np.random.default_rng(1), out, shape)
        assert np.isfinite(out).all()
        assert stats.kstest(out, stats.loggamma(shape).cdf).pvalue > LEVEL

    @pytest.mark.parametrize("shape", [0.3, 1.0, 1.2, 6.0, 80.0])
    @pytest.mark.parametrize("quantile", [0.0, 0.05, 0.5, 0.7, 0.999, 1 - 1e-9])
    def test_gamma_above(self, fill_gamma_above, shape, quantile):
        rate, out = 3.5, np.empty(DRAWS)
        law = stats.gamma(shape, scale=1 / rate)
        floor = law.isf(1 - quantile)
        fill_gamma_above(np.random.default_rng(2), out, shape, rate, floor)
        assert out.min() >= floor
        assert stats.kstest(law.sf(out) / law.sf(floor), "uniform").pvalue > LEVEL

    def test_order_and_index(self):
        order = njit(lambda generator, n: variates.shuffled(generator, n))
        found = [tuple(order(g, 3)) for g in [np.random.default_rng(3)] for _ in range(1200)]
        counts = np.unique(found, axis=0, return_counts=True)[1]
        assert len(counts) == math.factorial(3)
        assert stats.chisquare(counts).pvalue > LEVEL


@pytest.mark.parametrize("d", [1, 2, 7])
class TestTriangles:
    @pytest.fixture
    def matrix(self, d):
        root = np.random.default_rng(d).normal(size=(d, d + 2))
        return root @ root.T

    def test_factors(self, matrix, d):
        lower, upper = matrix.copy(), matrix.copy()
        njit(lambda a: triangles.cholesky(a))(lower)
        njit(lambda a: triangles.upper_root(a))(upper)
        np.testing.assert_allclose(np.tril(lower), np.linalg.cholesky(matrix), rtol=1e-10)
        u = np.tril(upper).T
        np.testing.assert_allclose(u @ u.T, matrix, rtol=1e-10)

    def test_solutions(self, matrix, d):
        lower, b = np.linalg.cholesky(matrix), np.arange(1.0, d + 1)
        for solve, factor in ((triangles.solve, lower), (triangles.solve_transposed, lower.T)):
            x = b.copy()
            njit(lambda a, out, solve=solve: solve(a, out))(lower, x)
            np.testing.assert_allclose(factor @ x, b, rtol=1e-9)
        inverse, gram = np.empty((d, d)), np.empty((d, d))
        njit(lambda a, out: triangles.inverse(a, out))(lower, inverse)
        njit(lambda a, out: triangles.gram(a, out))(inverse, gram)
        np.testing.assert_allclose(inverse, np.tril(inverse))
        np.testing.assert_allclose(gram @ matrix, np.eye(d), atol=1e-9)


def mixture_of(structure: str, d: int, *, k: int = 3, conjugate: bool = True) -> bm.Mixture:
    """A mixture whose components keep their names."""
    prior = random_prior(d) if conjugate else random_independent_prior(d, random_scale=True)
    return bm.Mixture(bm.Dirichlet(k, np.linspace(0.4, 2, k)), prior, structure)


def check_moments(chain: Chain, x: np.ndarray) -> None:
    """Hold the state's moments to the definition, about the state's means."""
    x = np.asarray(x, np.longdouble)
    k = len(chain.state.point.means)
    one = (chain.labels == np.arange(k)[:, None]).astype(np.longdouble)
    delta = x - chain.state.point.means[:, None]
    first = (one[..., None] * delta).sum(axis=1)
    second = structure_of(chain.structure.name).scatter(delta, one)
    scale = structure_of(chain.structure.name).scatter(np.abs(delta), one).max()
    np.testing.assert_array_equal(chain.state.sums.sizes, one.sum(axis=1))
    np.testing.assert_allclose(chain.state.sums.first, first.astype(float), rtol=1e-9,
                               atol=1e-11 * np.abs(delta).max() * len(x))  # fmt: skip
    found = chain.state.sums.second.reshape(second.shape)
    np.testing.assert_allclose(found, second.astype(float), rtol=1e-9, atol=1e-12 * scale)


MEMORY = {
    "plain": lambda x: x,
    "float32": lambda x: x.astype(np.float32),
    "Fortran": np.asfortranarray,
    "strided": lambda x: np.repeat(x, 2, axis=0)[::2],
    "reversed": lambda x: x[::-1],
    "wider": lambda x: np.hstack([x, x])[:, : x.shape[1]],
    "far": lambda x: x + 1e8 * x.std(axis=0),
}


class TestMoments:
    """Of the rows of every component, about its own mean."""

    @pytest.mark.parametrize("memory", MEMORY)
    def test_of_given_labels(self, structure, memory):
        x = MEMORY[memory](blobs(517, 5, 3, seed=2))
        labels = np.random.default_rng(1).choice([0, 2], size=len(x))  # one component is empty
        chain = Chain.at(mixture_of(structure, 5), x, labels, np.random.default_rng(0))
        np.testing.assert_array_equal(chain.labels, labels)
        check_moments(chain, x)

    @pytest.mark.parametrize("shape", [(1, 1, 1), (3, 2, 5), (64, 4, 1), (129, 9, 12)])
    def test_of_any_shape(self, structure, shape):
        n, d, k = shape
        x = blobs(n, d, 2)
        labels = np.random.default_rng(1).integers(k, size=n)
        chain = Chain.at(mixture_of(structure, d, k=k), x, labels, np.random.default_rng(0))
        check_moments(chain, x)

    @pytest.mark.parametrize("conjugate", [True, False])
    def test_after_sweeps_and_moves(self, structure, conjugate):
        x = blobs(12, 3, 3, seed=3)
        mixture = mixture_of(structure, 3, k=5, conjugate=conjugate)
        chain = Chain.at(mixture, x, np.arange(12) % 5, np.random.default_rng(0))
        accepted = 0
        for _ in range(100):
            chain.sweep(2)
            check_moments(chain, x)
            accepted += chain.split_merge()
            check_moments(chain, x)
        assert accepted > 0


def test_moves_far_from_zero(structure):
    """A split is proposed and accepted alike wherever zero is."""
    x = np.round(blobs(60, 2, 2, seed=1) * 1024) / 1024  # the shift is exact

    def accepted(shift):
        prior = bm.NormalInverseWishart(np.full(2, shift), 0.1, 4.0, np.eye(2))
        mixture = bm.Mixture(bm.Dirichlet(2), prior, structure)
        seeds = (np.random.default_rng(seed) for seed in range(50))
        chains = (Chain.at(mixture, x + shift, np.zeros(60, int), seed) for seed in seeds)
        return sum(chain.split_merge() for chain in chains)

    assert accepted(0.0) > 10
    assert abs(accepted(0.0) - accepted(2.0**27)) <= 1


def at_labels(mixture, x, labels, *, means=None, draws=DRAWS, seed=0):
    """Parameters drawn again and again given the same labels and, if they count, means."""
    chain = Chain.at(mixture, x, labels, np.random.default_rng(seed), means=means)
    state = chain.state
    kept = [
        (array, array.copy())
        for array in (state.point.means, *state.sums, state.scale, state.concentration)
    ]
    found = []
    for _ in range(draws):
        chain.sweep()
        found.append((chain.weights, chain.means, chain.covariances,
                      state.scale.copy()))  # fmt: skip
        for array, value in kept:
            array[...] = value
    return (np.stack(values) for values in zip(*found, strict=True))


X = blobs(40, 2, 2, seed=6)
LABELS = np.where(np.arange(40) % 2, 2, 0)  # none in the second component
CENTERS = np.array([[0.3, -0.2], [1.0, 2.0], [-1.0, 0.5]])


def uniform(values) -> bool:
    return stats.kstest(np.ravel(values), "uniform").pvalue > LEVEL


def posterior_of(structure, prior, scale, k, means=None):
    """Degrees of freedom and scale of component k's covariance given labels, by definition."""
    groups = range(3) if structure == "tied" else [k]
    dof, total = prior.dof, np.array(scale)
    for g in groups:
        rows = X[g == LABELS]
        if len(rows):
            dof += len(rows)
            center = rows.mean(axis=0) if means is None else means[g]
            total += (rows - center).T @ (rows - center)
        if means is None and len(rows):
            kappa, shift = prior.mean_precision, rows.mean(axis=0) - prior.mean
            total += kappa * len(rows) / (kappa + len(rows)) * np.outer(shift, shift)
    return dof, total


def check_covariances(structure, prior, scale, covariances, means=None):
    """Every marginal of the conditional laws: chi-squares and inverse gammas."""
    rng = np.random.default_rng(0)
    for k in range(3):
        dof, total = posterior_of(structure, prior, scale, k, means)
        own = covariances[:, k]
        if structure in ("full", "tied"):
            precision = np.linalg.inv(own)
            for a in rng.normal(size=(3, 2)):  # a'Pa / a'S^-1 a ~ chi2(dof), P the precision
                ratio = np.einsum("i,sij,j->s", a, precision, a) / (a @ np.linalg.solve(total, a))
                assert uniform(stats.chi2(dof).cdf(ratio)), k
            # |P| |S| is a product of independent chi-squares
            log_ratio = -np.linalg.slogdet(own)[1] + np.linalg.slogdet(total)[1]
            draws = np.log(rng.chisquare(dof - np.arange(2), size=(DRAWS, 2))).sum(axis=1)
            assert stats.ks_2samp(log_ratio, draws).pvalue > LEVEL
            continue
        n = dof - prior.dof
        shape = (prior.dof - 1) / 2  # D = 2
        if structure == "diag":
            for j in range(2):
                law = stats.gamma(shape + n / 2, scale=2 / total[j, j])
                assert uniform(law.cdf(1 / own[:, j, j])), (k, j)
        else:
            rate = np.trace(total) / 2 - np.trace(scale) / 4
            assert uniform(stats.gamma(shape + n, scale=1 / rate).cdf(1 / own[:, 0, 0])), k
        assert not own[:, 0, 1].any()


def check_means(prior, covariances, means):
    """Standardized by their law given covariances and labels, means are standard normal."""
    for k in range(3):
        rows = X[k == LABELS]
        n, total = len(rows), rows.sum(axis=0)
        precision = np.linalg.inv(covariances[:, k])
        if isinstance(prior, bm.NormalInverseWishart):
            kappa = prior.mean_precision
            center = np.broadcast_to((kappa * np.array(prior.mean) + total) / (kappa + n), (1, 2))
            law = (kappa + n) * precision
        else:
            spread = np.linalg.inv(prior.mean_covariance)
            law = spread + n * precision
            right = (spread @ prior.mean)[:, None] + precision @ total[:, None]
            center = np.linalg.solve(law, right)[..., 0]
        z = np.einsum("sji,sj->si", np.linalg.cholesky(law), means[:, k] - center)
        assert uniform(stats.norm.cdf(z[:, 0])), k
        assert uniform(stats.norm.cdf(z[:, 1])), k
        assert abs(np.corrcoef(z.T)[0, 1]) < 5 / math.sqrt(len(z))


class TestConditionals:
    """Draws given fixed labels against the laws that theory says they have."""

    def test_conjugate(self, structure):
        mixture = mixture_of(structure, 2)
        prior = mixture.components
        weights, means, covariances, _ = at_labels(mixture, X, LABELS)
        check_covariances(structure, prior, prior.covariance_scale, covariances)
        check_means(prior, covariances, means)
        concentrations = mixture.weights.concentrations + np.array([20, 0, 20])
        for k, c in enumerate(concentrations):
            assert uniform(stats.beta(c, concentrations.sum() - c).cdf(weights[:, k])), k

    def test_independent(self, structure):
        mixture = mixture_of(structure, 2, conjugate=False)
        prior = mixture.components
        _, means, covariances, scale = at_labels(mixture, X, LABELS, means=CENTERS)
        hyper = structure_of(structure).scale_hyperprior(prior.scale_hyperprior)
        held = hyper.held * np.eye(2)
        check_covariances(structure, prior, held, covariances, CENTERS)
        check_means(prior, covariances, means)
        precision = np.diagonal(np.linalg.inv(covariances), axis1=-2, axis2=-1)
        groups, dof = (1 if structure == "tied" else 3), prior.dof
        if structure in ("diag", "spherical"):
            dof -= 1
        for j in range(len(hyper.rate)):
            rate = hyper.rate[j] + precision[:, :groups, j].sum(axis=1) / 2
            law = stats.gamma(hyper.shape + groups * dof / 2, scale=1 / rate)
            assert (scale[:, j, j] >= hyper.floor[j]).all()
            assert uniform(law.sf(scale[:, j, j]) / law.sf(hyper.floor[j])), j
        if structure == "spherical":
            np.testing.assert_array_equal(scale[:, 0, 0], scale[:, 1, 1])


@pytest.mark.parametrize("concentration", [1e-4, 1e-2, 0.3])
def test_weights_of_tiny_concentrations(concentration):
    draw = njit(lambda s, c, out, g: conditionals.draw_weights(s, c, out, g))
    sizes, generator = np.array([0.0, 3.0, 0.0, 0.0]), np.random.default_rng(5)
    found = np.empty((DRAWS, 4))
    for out in found:
        draw(sizes, np.full(4, concentration), out, generator)
    weights = np.exp(found)
    assert weights.min() > 0
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-12)
    law = stats.beta(3 + concentration, 3 * concentration)
    for threshold in (0.5, 0.99):  # near 1 the beta's numbers are not continuous
        expected = law.cdf(threshold)
        error = math.sqrt(expected * (1 - expected) / DRAWS)
        assert abs((weights[:, 1] < threshold).mean() - expected) < 4 * error + 3 / DRAWS


@pytest.mark.parametrize(
    ("sizes", "gamma"),
    [((30, 10, 0, 0, 0), (1.0, 20.0)), ((9, 8, 7), (2.0, 2.0)), ((25, 0), (0.2, 3.0)),
     ((4,), (3.0, 2.0))],
)  # fmt: skip
def test_law_of_a_random_concentration(sizes, gamma):
    """Steps of the slice sampler given sizes, thinned, against the law by quadrature."""

    @njit
    def run(sizes, prior, concentration, generator, out):
        for i in range(len(out)):
            for _ in range(10):
                conditionals.draw_concentration(sizes, prior, concentration, generator)
            out[i] = concentration[0]

    sizes = np.array(sizes, float)
    zeros = np.zeros(1)
    prior = Prior(
        True, zeros, 1.0, np.zeros((1, 1)), 3.0, 0.0, zeros, zeros, *gamma, True, False, 0.0, 0.0
    )
    out = np.empty(DRAWS)
    run(sizes, prior, np.full(len(sizes), 0.5), np.random.default_rng(7), out)
    k, n = len(sizes), sizes.sum()

    def density(log_c):
        c = np.exp(log_c)
        logs = gammaln(k * c) - gammaln(k * c + n) + gamma[0] * log_c - gamma[1] * c
        return np.exp(logs + sum(gammaln(c + s) - gammaln(c) for s in sizes if s))

    grid = np.linspace(-60, 8, 60_001)
    cumulative = integrate.cumulative_simpson(density(grid), x=grid, initial=0)
    found = np.interp(np.log(out), grid, cumulative / cumulative[-1])
    assert uniform(found)


def test_random_numbers_do_not_depend_on_blocks(structure, monkeypatch):
    """Sweeps in blocks of another size draw the same labels."""
    from bayesmix import kernels

    x = blobs(300, 3, 3, seed=3)
    make = partial(Chain.at, mixture_of(structure, 3), x, np.arange(300) % 3)
    one = make(np.random.default_rng(1))
    one.sweep(5)
    monkeypatch.setattr(kernels, "block_size", lambda k, d: 32)
    other = make(np.random.default_rng(1))
    other.sweep(5)
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_allclose(one.means, other.means, rtol=1e-9)
    np.testing.assert_allclose(one.log_likelihood, other.log_likelihood, rtol=1e-9)
