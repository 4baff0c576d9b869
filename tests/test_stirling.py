"""Generalized Stirling numbers: published values, closed forms, the recursion."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import gammaln

from bayesmix.stirling import _by_recursion, log_stirling

FIRST_KIND = [362880, 1026576, 1172700, 723680, 269325, 63273, 9450, 870, 45, 1]
SOME = np.array([1, 2, 3, 10, 77, 1000, 30_000, 55_555, 90_000, 99_950, 99_999, 100_000])


def log_choose(n, k):
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)


def test_published_values():
    """Of the first kind, from ten (Antoniak 1974; OEIS A008275)."""
    found = np.exp(log_stirling([0.0], 10, np.arange(1, 11))[0] + gammaln(10))
    np.testing.assert_allclose(found, FIRST_KIND, rtol=1e-12)


@pytest.mark.parametrize("d", [0.0, 1e-9, 0.1, 0.5, 0.9, 0.99, -1e-8, -0.05, -2.5, -1e3, -1e5])
def test_recursion(d):
    n = 700
    expected = _by_recursion(np.array([d]), n) - gammaln(n)
    found = log_stirling([d], n, np.arange(1, n + 1))
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-10)


@pytest.mark.parametrize("d", [1 - 1e-6, 1 - 1e-12, 1 - 2.0**-53])
def test_what_little_there_is_below_a_discount_of_one(d):
    """In probability, at a concentration of one."""
    n, k = 700, np.arange(1, 701)
    log_founding = np.concatenate([[0], np.cumsum(np.log(1 + d * k[:-1]))])
    log = log_founding + gammaln(2) - gammaln(1 + n) + gammaln(n)
    expected = np.exp(log + _by_recursion(np.array([d]), n)[0] - gammaln(n))
    found = np.exp(log + log_stirling([d], n, k)[0])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)


def test_lah_numbers():
    found = log_stirling([-1.0], 100_000, SOME)[0]
    expected = log_choose(99_999, SOME - 1) + np.log(1e5) - gammaln(SOME + 1)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-9)


def test_powers_of_the_catalan_series():
    found = log_stirling([0.5], 100_000, SOME)[0]
    n = 100_000
    expected = (SOME - n) * np.log(4.0) + np.log(SOME / (2 * n - SOME)) + np.log(n)
    expected += log_choose(2 * n - SOME, n - SOME) - gammaln(SOME + 1)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("n", [201, 5000, 10**6])
def test_harmonic_numbers(n):
    """|s(n, 1)| = (n - 1)!, and s(n, 2) is H_(n - 1) times as many."""
    found = np.exp(log_stirling([0.0], n, np.array([1, 2]))[0])
    np.testing.assert_allclose(found, [1, (1 / np.arange(1, n)).sum()], rtol=1e-10)
