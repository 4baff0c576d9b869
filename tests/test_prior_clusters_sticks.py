"""Prior of the number of clusters under sticks: by partitions, rows one by one, and simulation."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import gamma as gamma_distribution

import bayesmix as bm
from bayesmix.truncation import truncation_error
from tests.exact_partitions import log_partition_prior, set_partitions
from tests.exact_sticks import hyper_nodes
from tests.prior_draws import draw_weights
from tests.support import STICKS


def by_partitions(weights, n):
    """Add up the probabilities of all partitions of n rows."""
    partitions, nodes = set_partitions(n), hyper_nodes(weights, 0.15)
    log = log_partition_prior(partitions, weights, nodes) + nodes.log_weights[:, None]
    p = np.exp(logsumexp(log, axis=0))
    return np.bincount(partitions.max(axis=1), p, weights.n_components or n)


def by_rows(concentration, discount, n):
    """Walk over the rows of the infinite process."""
    out, clusters = np.eye(n)[0], np.arange(1, n + 1)
    for i in range(1, n):
        founded = out * (concentration + clusters * discount) / (i + concentration)
        out = out - founded + np.append(0, founded[:-1])
    return out


@pytest.mark.parametrize("name", STICKS)
@pytest.mark.parametrize("n", [1, 2, 6])
def test_every_partition_of_the_infinite_process(name, n):
    weights = replace(STICKS[name], truncation=None)
    found = bm.prior_n_clusters(weights, n)
    assert found.shape == (n,)
    np.testing.assert_allclose(found, by_partitions(weights, n), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", STICKS)
@pytest.mark.parametrize("truncation", [1, 4])
@pytest.mark.parametrize("n", [1, 5])
def test_every_partition_of_truncated_processes(name, truncation, n):
    weights = replace(STICKS[name], truncation=truncation)
    found = bm.prior_n_clusters(weights, n)
    assert found.shape == (truncation,)
    np.testing.assert_allclose(found, by_partitions(weights, n)[:truncation], rtol=0, atol=1e-10)


@pytest.mark.parametrize("concentration", [1e-3, 0.8, 40.0])
@pytest.mark.parametrize("discount", [0.0, 0.3, 0.99])
def test_rows_one_by_one(concentration, discount):
    found = bm.prior_n_clusters(bm.PitmanYor(concentration, discount), 800)
    np.testing.assert_allclose(found, by_rows(concentration, discount, 800), rtol=0, atol=1e-10)
    assert found.sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("concentration", [0.01, 1.0, 5.0])
def test_many_sticks_are_the_infinite_process(concentration):
    """As nearly as the truncation says."""
    weights = bm.DirichletProcess(concentration, truncation=80)
    found = bm.prior_n_clusters(weights, 400)
    infinite = bm.prior_n_clusters(replace(weights, truncation=None), 400)
    error = truncation_error(weights, 400)
    np.testing.assert_allclose(found, infinite[:80], rtol=0, atol=1e-10 + error)
    assert error < 3e-4


@pytest.mark.parametrize("discount", [0.0, 0.3])
@pytest.mark.parametrize("concentration", [5.0, 1e9])
def test_two_rows_on_few_sticks(concentration, discount):
    """They share a piece with the probability of its second moment."""
    shared, left = 0.0, 1.0
    for k in range(1, 4):
        a, b = 1 - discount, concentration + k * discount
        shared += left * a * (a + 1) / ((a + b) * (a + b + 1))
        left *= b / (a + b) * (b + 1) / (a + b + 1)
    found = bm.prior_n_clusters(bm.PitmanYor(concentration, discount, truncation=4), 2)
    np.testing.assert_allclose(found[:2], [shared + left, 1 - shared - left], rtol=0, atol=1e-13)


@pytest.mark.parametrize("discount", [None, 0.3])
def test_a_random_concentration_is_averaged(discount):
    """Many pieces with rows tell of it."""

    def make(a):
        if discount is None:
            return bm.DirichletProcess(a, truncation=40)
        return bm.PitmanYor(a, discount, truncation=30)

    n = 150 if discount is None else 50
    prior = gamma_distribution(8, scale=5)
    t = np.arange(np.log(prior.ppf(1e-11)), np.log(prior.isf(1e-11)), 0.05)
    p = prior.pdf(np.exp(t)) * np.exp(t) * 0.05
    expected = sum(
        w * bm.prior_n_clusters(make(float(a)), n) for a, w in zip(np.exp(t), p, strict=True)
    )
    found = bm.prior_n_clusters(make(bm.Gamma(8, 0.2)), n)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("concentration", [1e-3, 2.0, 3000.0])
def test_many_rows_on_few_sticks(concentration):
    """The mean number of occupied pieces: E(1 - w)^n by drawn sticks."""
    weights = bm.DirichletProcess(concentration, truncation=4)
    drawn, *_ = draw_weights(weights, 200_000, np.random.default_rng(1))
    values = (1 - (1 - drawn) ** 5000).sum(axis=1)
    found = bm.prior_n_clusters(weights, 5000)
    assert found.sum() == pytest.approx(1, abs=1e-9)
    error = values.std() / np.sqrt(len(values))
    assert abs(found @ np.arange(1, 5) - values.mean()) <= 4 * error + 1e-9


@pytest.mark.parametrize(
    "weights", [STICKS["DP Gamma"], bm.PitmanYor(bm.Gamma(2, 2), bm.Beta(1, 9), truncation=100)]
)
def test_simulated_rows(weights):
    runs, n, rng = 20_000, 30, np.random.default_rng(3)
    drawn, *_ = draw_weights(weights, runs, rng)
    occupied = (rng.multinomial(n, drawn) > 0).sum(axis=1)
    if isinstance(weights, bm.PitmanYor):
        weights = replace(weights, truncation=None)
    found = bm.prior_n_clusters(weights, n)
    seen = np.bincount(occupied, minlength=len(found) + 1)[1:] / runs
    np.testing.assert_array_less(
        np.abs(seen - found), 4.5 * np.sqrt(found * (1 - found) / runs) + 1 / runs
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weights", "n"),
    [
        (bm.DirichletProcess(), 5_000),
        (bm.DirichletProcess(truncation=20), 500),
        (bm.PitmanYor(1.0, 0.3, truncation=40), 400),
        (bm.PitmanYor(bm.Gamma(2, 4), bm.Beta(1, 29)), 272),
    ],
    ids=str,
)
def test_it_takes_seconds(weights, n):
    bm.prior_n_clusters(weights, 5)
    started = time.process_time()
    assert bm.prior_n_clusters(weights, n).sum() == pytest.approx(1, abs=1e-9)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("weights", "n", "match"),
    [
        (bm.DirichletProcess(truncation=100), 10**5, r"n: expected fewer rows, .* got 100,000;"),
        (bm.PitmanYor(1.0, 0.3, truncation=100), 5000, r"n: expected fewer rows, .*; leave the tr"),
        (bm.DirichletProcess(), 0, "n: expected a whole number"),
    ],
    ids=str,
)
def test_refuses(weights, n, match):
    with pytest.raises(ValueError, match=match) as caught:
        bm.prior_n_clusters(weights, n)
    assert "\n" not in str(caught.value)
