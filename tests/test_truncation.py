"""Where sticks are cut off: closed forms, adaptive quadrature, and refusals."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import gammaln

import bayesmix as bm
from bayesmix.truncation import expected_tail, truncation_error, truncation_for


def log_tail(concentration, discount, sticks):
    """Log of the expected mass after some sticks, by gamma functions; discount above 0."""
    a, b = concentration / discount, (concentration + 1) / discount - 1
    ratios = gammaln(sticks + 1 + a) - gammaln(1 + a) + gammaln(1 + b) - gammaln(sticks + 1 + b)
    return np.where(np.isinf(a), 0.0, ratios)


@pytest.mark.parametrize("concentration", [1e-3, 0.4, 1.0, 25.0])
@pytest.mark.parametrize("truncation", [1, 2, 20, 400])
def test_tail_of_a_dirichlet_process(concentration, truncation):
    expected = (concentration / (1 + concentration)) ** (truncation - 1)
    found = expected_tail(bm.DirichletProcess(concentration), truncation)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    same = expected_tail(bm.PitmanYor(concentration, 0.0), truncation)
    np.testing.assert_allclose(same, expected, rtol=1e-12)


@pytest.mark.parametrize("concentration", [0.01, 1.0, 25.0])
@pytest.mark.parametrize("discount", [0.05, 0.25, 0.5, 0.95])
@pytest.mark.parametrize("truncation", [1, 2, 20, 400])
def test_tail_of_a_pitman_yor_process(concentration, discount, truncation):
    expected = np.exp(log_tail(concentration, discount, truncation - 1))
    found = expected_tail(bm.PitmanYor(concentration, discount), truncation)
    np.testing.assert_allclose(found, expected, rtol=1e-11)


@pytest.mark.parametrize("shape", [0.05, 1.0, 2.0, 300.0])
@pytest.mark.parametrize("rate", [0.02, 4.0, 500.0])
@pytest.mark.parametrize("truncation", [2, 15, 400])
def test_random_concentration_by_adaptive_quadrature(shape, rate, truncation):
    gamma = stats.gamma(shape, scale=1 / rate)

    def integrand(t):
        return np.exp(gamma.logpdf(np.exp(t)) + t - (truncation - 1) * np.log1p(np.exp(-t)))

    mode = np.log(shape / rate)
    pieces = [mode + at for at in (-200, -20, -3, -0.3, 0, 0.3, 3, 20)]
    expected = sum(
        integrate.quad(integrand, a, b, epsrel=1e-12, epsabs=0, limit=500)[0]
        for a, b in pairwise(pieces)
    )
    found = expected_tail(bm.DirichletProcess(bm.Gamma(shape, rate)), truncation)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-14)


@pytest.mark.parametrize("a", [0.1, 1.0, 20.0])
@pytest.mark.parametrize("b", [0.5, 1.0, 9.0, 200.0])
@pytest.mark.parametrize("truncation", [2, 15, 400])
def test_random_discount_by_adaptive_quadrature(a, b, truncation):
    """In the logit; at its left end the discount is 0 to machine precision."""
    beta = stats.beta(a, b)

    def integrand(t):
        d, c = 1 / (1 + np.exp(-t)), 1 / (1 + np.exp(t))
        log = beta.logpdf(d) if c > 1e-3 else stats.beta(b, a).logpdf(c)
        k = np.arange(1, truncation)
        return np.exp(log + np.log(d) + np.log(c) - np.log1p(c / (0.7 + k * d)).sum())

    mode = np.log(a / b)
    pieces = [mode + at for at in (-400, -60, -20, -3, 0, 3, 20, 60)]
    expected = sum(
        integrate.quad(integrand, low, high, epsrel=1e-11, epsabs=1e-16, limit=500)[0]
        for low, high in pairwise(pieces)
    )
    found = expected_tail(bm.PitmanYor(0.7, bm.Beta(a, b)), truncation)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("truncation", [1, 2, 30])
@pytest.mark.parametrize(
    "weights",
    [
        bm.PitmanYor(bm.Gamma(2, 4), bm.Beta(1, 9)),
        bm.PitmanYor(bm.Gamma(0.3, 2), bm.Beta(0.5, 0.5)),
        bm.PitmanYor(bm.Gamma(40, 2), bm.Beta(30, 70)),
    ],
    ids=str,
)
def test_both_random_by_monte_carlo(weights, truncation):
    rng = np.random.default_rng(4)
    size = 400_000
    alpha = rng.gamma(weights.concentration.shape, 1 / weights.concentration.rate, size)
    d = np.maximum(rng.beta(weights.discount.a, weights.discount.b, size), 1e-9)
    values = np.ones(size)
    for k in range(1, truncation):
        values *= (alpha + k * d) / (alpha + k * d + 1 - d)
    error = values.std() / np.sqrt(size)
    found = expected_tail(weights, truncation)
    assert abs(found - values.mean()) <= 4 * error + 1e-12


def test_both_random_nearly_stated():
    """Narrow priors: the tail of their means."""
    weights = bm.PitmanYor(bm.Gamma(1e8, 1e8), bm.Beta(2.5e7, 7.5e7))
    expected = expected_tail(bm.PitmanYor(1.0, 0.25), 40)
    np.testing.assert_allclose(expected_tail(weights, 40), expected, rtol=1e-6)


def test_figures_of_pitman_yor():
    """Concentration 1, less than 1e-3 left: 55 components at a discount of .25, 2,998 at .5."""
    for discount, truncation in ((0.25, 55), (0.5, 2998)):
        weights = bm.PitmanYor(1.0, discount)
        assert expected_tail(weights, truncation) < 1e-3 <= expected_tail(weights, truncation - 1)
    assert log_tail(1.0, 0.75, 10**7) > np.log(1e-3)


@pytest.mark.parametrize(
    ("weights", "n"),
    [
        *((bm.DirichletProcess(1.0), n) for n in (1, 272, 10**9)),
        *((bm.DirichletProcess(), n) for n in (1, 272, 10**9)),
        *((bm.PitmanYor(1.0, 0.25), n) for n in (1, 272)),
        *((bm.PitmanYor(bm.Gamma(2, 4), bm.Beta(1, 29)), n) for n in (1, 272, 10_000)),
    ],
    ids=str,
)
def test_the_truncation_is_the_smallest(weights, n):
    found = truncation_for(weights, n)
    assert n * expected_tail(weights, found) < 0.01
    assert found == 1 or n * expected_tail(weights, found - 1) >= 0.01


@pytest.mark.parametrize(
    ("weights", "n"),
    [
        (bm.PitmanYor(1.0, 0.75), 100),
        (bm.PitmanYor(1.0, 0.5), 10),
        (bm.PitmanYor(bm.Gamma(2, 4), bm.Beta(1, 1)), 100),
        (bm.PitmanYor(bm.Gamma(0.05, 4), bm.Beta(0.05, 0.05)), 100),
        (bm.DirichletProcess(200.0), 100),
        (bm.DirichletProcess(bm.Gamma(5, 0.01)), 100),
    ],
    ids=str,
)
def test_what_cannot_be_afforded_is_refused_at_once(weights, n):
    begin = time.perf_counter()
    with pytest.raises(ValueError, match=r"at most 1,000 components for .*; state") as caught:
        truncation_for(weights, n)
    assert time.perf_counter() - begin < 2
    assert "\n" not in str(caught.value)


def test_truncation_error():
    weights = bm.DirichletProcess(1.0, truncation=11)
    assert truncation_error(weights, 100) == 100 * 0.5**10
    with pytest.raises(ValueError, match=r"^truncation: expected a number of components, got None"):
        truncation_error(bm.DirichletProcess(1.0), 100)


def test_refuses():
    with pytest.raises(TypeError, match=r"weights: expected a DirichletProcess or .*, got Dir"):
        truncation_for(bm.Dirichlet(2), 10)
    with pytest.raises(TypeError, match=r"weights: expected a DirichletProcess or .*, got int"):
        expected_tail(3, 10)
    for n in (0, 2.5, None):
        with pytest.raises(ValueError, match=r"^n: expected a whole number of at least 1"):
            truncation_for(bm.DirichletProcess(), n)
        with pytest.raises(ValueError, match=r"^truncation: expected a whole number of at least 1"):
            expected_tail(bm.DirichletProcess(), n)
