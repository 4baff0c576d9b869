"""Sums of permanents against sums over all permutations."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from scipy.special import logsumexp

from bayesmix.bridge.permanents import LANES, LogSums, add_permanents, n_products, subsets_of


def brute_force(logs: np.ndarray) -> float:
    """Log permanent of a matrix (K, K) by its logarithms."""
    k = len(logs)
    return logsumexp([logs[np.arange(k), list(p)].sum() for p in permutations(range(k))])


def log_permanents(logs: np.ndarray, n_rows: int | None = None) -> np.ndarray:
    """The same of matrices (J, K, K), each by itself."""
    j, k, _ = logs.shape
    padded = np.resize(logs, (-(-j // LANES) * LANES, k, k))
    return log_sums(np.moveaxis(padded, 0, -1)[None], np.array([n_rows or k]))[:j]


def log_sums(logs: np.ndarray, n_rows: np.ndarray, common: np.ndarray | None = None) -> np.ndarray:
    """Logs of sums over matrices (M, K, K, J)."""
    m, k, _, j = logs.shape
    sums = LogSums.of_nothing(j)
    common = np.zeros((m, j)) if common is None else common
    add_permanents(sums, np.ascontiguousarray(logs), common, n_rows, subsets_of(k, n_rows.max()))
    return sums.logs


@pytest.mark.parametrize("k", range(1, 8))
@pytest.mark.parametrize("spread", [1.0, 30.0, 1e3, 1e5])
def test_against_all_permutations(k, spread):
    """However far apart the entries are; the last matrix has one column that all rows want."""
    logs = np.random.default_rng(k).uniform(-spread, spread, (5, k, k))
    logs[-1, :, 0] += 2 * spread
    expected = [brute_force(own) for own in logs]
    np.testing.assert_allclose(log_permanents(logs), expected, rtol=1e-13, atol=1e-12)


@pytest.mark.parametrize("n_rows", range(6))
@pytest.mark.parametrize("spread", [1.0, 1e5])
def test_equal_rows(n_rows, spread):
    """Whether their being equal is made use of or not."""
    k = 5
    logs = np.random.default_rng(n_rows).uniform(-spread, spread, (4, k, k))
    logs[:, n_rows:] = logs[:, -1:]
    expected = [brute_force(own) for own in logs]
    np.testing.assert_allclose(log_permanents(logs), expected, rtol=1e-13, atol=1e-12)
    logs[:, n_rows + 1 :] = np.nan  # only one of them is read
    sums = log_sums(np.moveaxis(np.resize(logs, (8, k, k)), 0, -1)[None], np.array([n_rows]))
    np.testing.assert_allclose(sums[:4], expected, rtol=1e-13, atol=1e-12)


@pytest.mark.parametrize("spread", [1.0, 100.0, 3e4])
def test_sums_of_permanents(spread):
    """Terms of all sizes, in any order, those left out as nothing among them."""
    k, n_rows = 4, np.array([4, 2, 0, 4, 3, 1, 4, 4])
    rng = np.random.default_rng(3)
    logs = rng.uniform(-spread, spread, (8, k, k, LANES))
    common = rng.uniform(-spread, spread, (8, LANES))
    for own, p in zip(logs, n_rows, strict=True):
        own[p:] = own[p : p + 1]
    terms = [[brute_force(m[..., j]) for j in range(LANES)] for m in logs]
    expected = logsumexp(common + terms, axis=0)
    found = log_sums(logs, n_rows, common)
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-12)
    np.testing.assert_allclose(log_sums(logs[::-1], n_rows[::-1], common[::-1]), found, rtol=1e-14)


def test_all_entries_equal():
    """K! ways, at a size that no list of permutations reaches."""
    found = log_permanents(np.full((1, 12, 12), -1e4))
    np.testing.assert_allclose(found + 12e4, math.lgamma(13), rtol=1e-9)


@pytest.mark.parametrize(("k", "n_rows"), [(24, 3), (70, 2)])
def test_few_different_rows_of_many(k, n_rows):
    """By the sum over ordered choices of their columns."""
    logs = np.random.default_rng(1).normal(size=(1, k, k))
    logs[:, n_rows:] = 0.0
    choices = permutations(range(k), n_rows)
    expected = logsumexp([logs[0, range(n_rows), list(own)].sum() for own in choices])
    expected += math.lgamma(k - n_rows + 1)
    np.testing.assert_allclose(log_permanents(logs, n_rows), expected, rtol=1e-13)


def test_products_are_counted():
    assert n_products(8, np.array([0, 1, 8])).tolist() == [0, 8, 8 * 2**7]
    assert len(subsets_of(8, 8).column) == 8 * 2**7
    assert len(subsets_of(20, 3).column) == n_products(20, np.array([3]))[0]
