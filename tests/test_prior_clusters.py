"""Prior of the number of clusters: against partitions, closed forms, quadrature and simulation."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad_vec
from scipy.special import gammaln
from scipy.stats import gamma as gamma_distribution

import bayesmix as bm

CONCENTRATIONS = [1e-4, 0.05, 1.0, 7.5, 1e5]
GAMMAS = [(2.0, 32.0), (1.0, 200.0), (10.0, 80.0), (0.1, 5.0), (0.01, 0.01), (300.0, 150.0)]


def partitions(n: int, largest: int | None = None) -> Iterator[tuple[int, ...]]:
    """Sizes of the groups, not increasing, of every way to write n as a sum."""
    if n == 0:
        yield ()
    for first in range(min(n, largest or n), 0, -1):
        yield from ((first, *rest) for rest in partitions(n - first, first))


def by_partitions(a: float, k: int, n: int) -> np.ndarray:
    """Add up the probabilities of all partitions of n rows (the EPPF, times how many)."""
    out = np.zeros(k)
    for sizes in partitions(n):
        m = len(sizes)
        if m > k:
            continue
        groups = np.array(sizes)
        eppf = gammaln(k + 1) - gammaln(k - m + 1) + gammaln(k * a) - gammaln(k * a + n)
        eppf += (gammaln(a + groups) - gammaln(a)).sum()
        ways = gammaln(n + 1) - gammaln(groups + 1).sum()
        ways -= gammaln(np.bincount(groups) + 1).sum()
        out[m - 1] += np.exp(eppf + ways)
    return out


def by_rows(a: float, k: int, n: int) -> np.ndarray:
    """Walk over the rows."""
    out, clusters = np.eye(k)[0], np.arange(1, k + 1)
    for i in range(1, n):
        founded = out * (k - clusters) * a / (i + k * a)
        out = out - founded + np.append(0, founded[:-1])
    return out


@pytest.mark.parametrize("a", [0.05, 1.0, 7.5])
@pytest.mark.parametrize("k", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_every_partition(a, k, n):
    found = bm.prior_n_clusters(bm.Dirichlet(k, a), n)
    assert found.shape == (k,)
    np.testing.assert_allclose(found, by_partitions(a, k, n), rtol=0, atol=1e-11)


@pytest.mark.parametrize("a", CONCENTRATIONS)
@pytest.mark.parametrize(("k", "n"), [(2, 30), (8, 272), (30, 5_000), (3, 40_000)])
def test_rows_one_by_one(a, k, n):
    found = bm.prior_n_clusters(bm.Dirichlet(k, a), n)
    np.testing.assert_allclose(found, by_rows(a, k, n), rtol=0, atol=1e-10)


@pytest.mark.parametrize("a", CONCENTRATIONS)
def test_closed_forms_at_many_rows(a):
    """All rows in one component, and the mean number of occupied ones."""
    k, n = 20, 10**6

    def log_within(j):  # log probability that j given components hold all rows
        return _log_rising(j * a, n) - _log_rising(k * a, n)

    found = bm.prior_n_clusters(bm.Dirichlet(k, a), n)
    assert found[0] == pytest.approx(k * np.exp(log_within(1)), abs=1e-9)
    mean = k * -np.expm1(log_within(k - 1))
    assert found @ np.arange(1, k + 1) == pytest.approx(mean, abs=1e-7)
    assert found.sum() == pytest.approx(1, abs=3e-9)


def _log_rising(a: float, n: int) -> float:
    """Log of a (a + 1) ... (a + n - 1), but for the factor (n - 1)!."""
    return float(np.log(a) + np.log1p(a / np.arange(1, n)).sum())


@pytest.mark.parametrize(("shape", "rate"), GAMMAS)
@pytest.mark.parametrize(("k", "n"), [(2, 8), (5, 100)])
def test_random_concentration_by_adaptive_quadrature(shape, rate, k, n):
    """In the probability of the concentration, apart from where it is too small to matter."""
    prior = gamma_distribution(shape, scale=1 / rate)
    found = bm.prior_n_clusters(bm.Dirichlet(k, bm.Gamma(shape, rate)), n)
    low, high = np.log(max(prior.ppf(1e-13), 1e-14)), np.log(prior.isf(1e-13))
    edges = np.linspace(low, high, 5)

    def integrand(u):
        a = np.exp(u)
        return prior.pdf(a) * a * (by_rows(a, k, n) - np.eye(k)[0])

    expected = sum(
        quad_vec(integrand, *ends, epsabs=1e-12, epsrel=1e-10)[0] for ends in pairwise(edges)
    )
    np.testing.assert_allclose(found - np.eye(k)[0], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("concentration", [0.3, (1.0, 1.0, 1.0, 1.0), bm.Gamma(0.7, 2.0)])
def test_simulated_rows(concentration, rng):
    k, n, runs = 4, 25, 40_000
    weights = bm.Dirichlet(k, concentration)
    gamma = weights.random_concentration
    a = weights.concentrations[0] if gamma is None else rng.gamma(gamma.shape, 1 / gamma.rate, runs)
    log_gamma = np.log(rng.gamma(np.broadcast_to(a, (k, runs)).T + 1))
    log_gamma += np.log(rng.random((runs, k))) / np.broadcast_to(a, (k, runs)).T  # no underflow
    shares = np.exp(log_gamma - log_gamma.max(axis=1, keepdims=True))
    counts = rng.multinomial(n, shares / shares.sum(axis=1, keepdims=True))
    seen = np.bincount((counts > 0).sum(axis=1), minlength=k + 1)[1:] / runs
    found = bm.prior_n_clusters(weights, n)
    assert (np.abs(seen - found) < 4.5 * np.sqrt(found * (1 - found) / runs)).all()


def test_a_narrow_gamma_is_its_mean():
    found = bm.prior_n_clusters(bm.Dirichlet(6, bm.Gamma(1e4, 2e4)), 100)
    np.testing.assert_allclose(found, bm.prior_n_clusters(bm.Dirichlet(6, 0.5), 100), atol=1e-4)


@pytest.mark.parametrize(
    "weights",
    [bm.Dirichlet(30, 0.01), bm.Dirichlet(30, bm.Gamma(0.1, 5)), bm.Dirichlet(8, bm.Gamma(2, 32))],
)
def test_many_rows(weights):
    found = bm.prior_n_clusters(weights, 100_000)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("weights", "n", "error", "message"),
    [
        (bm.Dirichlet(2, (1.0, 2.0)), 5, ValueError, "same concentration .* got \\(1.0, 2.0\\)"),
        (bm.Dirichlet(2), 0, ValueError, "n: expected"),
        (bm.Dirichlet(2), 2.5, (ValueError, TypeError), "n: expected"),
        (3, 5, TypeError, r"weights: expected a prior such as Dirichlet\(2\), got int"),
    ],
)
def test_bad_input(weights, n, error, message):
    with pytest.raises(error, match=message):
        bm.prior_n_clusters(weights, n)
