"""Prior of the number of clusters where K is not fixed: closed forms, partitions, many rows."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import beta as beta_distribution
from scipy.stats import gamma as gamma_distribution

import bayesmix as bm
from bayesmix.component_counts import log_pmf_table
from tests.exact_partitions import log_partition_prior, set_partitions
from tests.exact_sticks import hyper_nodes
from tests.prior_draws import draw_finite_mixtures
from tests.test_exact_counts import MIXTURES

MANY = 100_000
COUNTS = np.arange(1, MANY + 1)
LAWS = [
    bm.DirichletProcess(),
    bm.PitmanYor(bm.Gamma(2, 4), 0.25),
    bm.MixtureOfFiniteMixtures(bm.UniformK(1, 30)),
    bm.MixtureOfFiniteMixtures(bm.ShiftedPoisson(3), bm.Gamma(2, 2)),
    bm.MixtureOfFiniteMixtures(bm.BetaNegativeBinomial(), 1.0),
    bm.MixtureOfFiniteMixtures(bm.BetaNegativeBinomial(), bm.Gamma(2, 2), dynamic=True),
]
LONGER = [
    bm.PitmanYor(bm.Gamma(2, 4), bm.Beta(1, 29)),
    bm.PitmanYor(bm.Gamma(2, 4), bm.Beta(1, 1)),
    bm.MixtureOfFiniteMixtures(bm.BetaNegativeBinomial(), bm.Gamma(2, 2)),
]


def rising(a, m):
    """Log of Gamma(a + m)/Gamma(a), term by term."""
    return np.log(a + np.arange(m)).sum()


@pytest.mark.parametrize("name", MIXTURES)
@pytest.mark.parametrize("n", [1, 2, 6])
def test_every_partition(name, n):
    weights, partitions = MIXTURES[name], set_partitions(n)
    nodes = hyper_nodes(weights, 0.25)
    log = log_partition_prior(partitions, weights, nodes) + nodes.log_weights[:, None]
    expected = np.bincount(partitions.max(axis=1), np.exp(log).sum(axis=0), n)
    found = bm.prior_n_clusters(weights, n)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("concentration", [0.7, bm.Gamma(2.0, 3.0)])
@pytest.mark.parametrize("n", [5, 400])
def test_one_number_of_components_is_a_dirichlet(dynamic, concentration, n):
    weights = bm.MixtureOfFiniteMixtures(bm.UniformK(6, 6), concentration, dynamic)
    each = concentration
    if dynamic:
        each = concentration / 6 if concentration == 0.7 else bm.Gamma(2.0, 18.0)
    found = bm.prior_n_clusters(weights, n)
    assert found.shape == (n,)
    assert not found[6:].any()
    expected = bm.prior_n_clusters(bm.Dirichlet(6, each), n)
    size = min(n, 6)
    np.testing.assert_allclose(found[:size], expected[:size], rtol=0, atol=1e-10)


@pytest.mark.parametrize("concentration", [0.7, bm.Gamma(2.0, 3.0)])
@pytest.mark.parametrize("discount", [0.0, 1e-13])
def test_no_discount_is_the_dirichlet_process(concentration, discount):
    found = bm.prior_n_clusters(bm.PitmanYor(concentration, discount), 3000)
    expected = bm.prior_n_clusters(bm.DirichletProcess(concentration), 3000)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def averaged(make, prior, n, logit=False):
    """Average what is found at stated values, by the trapezoid rule in the logarithm or logit."""
    ends = np.array([prior.ppf(1e-11), prior.isf(1e-11)])
    low, high = np.log(ends / (1 - ends) if logit else ends)
    t = np.arange(low, high, 0.06)
    values = expit(t) if logit else np.exp(t)
    p = prior.pdf(values) * values * (1 - values if logit else 1) * 0.06
    return sum(w * bm.prior_n_clusters(make(float(v)), n) for v, w in zip(values, p, strict=True))


@pytest.mark.slow
def test_many_clusters_tell_of_the_concentration():
    """What is integrated is narrower than the prior."""
    k, n, prior = 300, 2000, gamma_distribution(8, scale=1 / 40)
    expected = averaged(lambda a: bm.Dirichlet(k, a), prior, n)
    weights = bm.MixtureOfFiniteMixtures(bm.UniformK(k, k), bm.Gamma(8, 40 / k), dynamic=True)
    found = bm.prior_n_clusters(weights, n)[:k]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


@pytest.mark.slow
def test_many_clusters_tell_of_the_discount():
    found = bm.prior_n_clusters(bm.PitmanYor(10.0, bm.Beta(4, 12)), 400)
    expected = averaged(lambda d: bm.PitmanYor(10.0, d), beta_distribution(4, 12), 400, logit=True)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("concentration", [1e-3, 1.0, 50.0, 1e4, 1e7])
def test_dirichlet_process_of_many_rows(concentration):
    """E[K+] = sum of a/(a + i) over the rows, and its variance."""
    p = concentration / (concentration + np.arange(MANY))
    found = bm.prior_n_clusters(bm.DirichletProcess(concentration), MANY)
    assert found.sum() == pytest.approx(1, abs=1e-9)
    mean = found @ COUNTS
    assert mean == pytest.approx(p.sum(), rel=1e-8)
    assert found @ (COUNTS - mean) ** 2 == pytest.approx((p * (1 - p)).sum(), rel=1e-6)


@pytest.mark.parametrize("concentration", [0.01, 1.0, 300.0])
@pytest.mark.parametrize("discount", [0.05, 0.25, 0.5, 0.9])
def test_pitman_yor_process_of_many_rows(concentration, discount):
    """E[K+] in closed form (Pitman 2006, equation 3.13)."""
    a, d = concentration, discount
    mean = a / d * np.expm1(rising(a + d, MANY) - rising(a, MANY))
    found = bm.prior_n_clusters(bm.PitmanYor(a, d), MANY)
    assert found.sum() == pytest.approx(1, abs=1e-9)
    assert found @ COUNTS == pytest.approx(mean, rel=1e-7)


def test_random_concentration_of_a_dirichlet_process_of_many_rows():
    prior = gamma_distribution(2, scale=1 / 4)
    rows = np.arange(MANY)
    mean, _ = quad(lambda a: prior.pdf(a) * (a / (a + rows)).sum(), 0, 12, epsabs=1e-9)
    found = bm.prior_n_clusters(bm.DirichletProcess(bm.Gamma(2, 4)), MANY)
    assert found @ COUNTS == pytest.approx(mean, rel=1e-8)


@pytest.mark.parametrize(
    "weights",
    [
        bm.DirichletProcess(bm.Gamma(0.01, 0.01)),
        bm.MixtureOfFiniteMixtures(bm.UniformK(1, 3000), 1.0),
    ],
    ids=str,
)
def test_what_is_not_smooth(weights):
    """Mixtures of narrow laws, and edges."""
    found = bm.prior_n_clusters(weights, 5000)
    assert found.sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("counts", [bm.UniformK(2, 700), bm.BetaNegativeBinomial()], ids=str)
def test_finite_mixtures_of_many_rows(counts, dynamic):
    """E[K+]: every component holds a row but with the probability of a beta's moment."""
    weights = bm.MixtureOfFiniteMixtures(counts, 0.6, dynamic)
    p = np.exp(log_pmf_table(counts))[:1000]
    mean = 0.0
    for k in np.flatnonzero(p) + 1:
        each = 0.6 / k if dynamic else 0.6
        none = rising((k - 1) * each, MANY) - rising(k * each, MANY) if k > 1 else -np.inf
        mean -= p[k - 1] * k * np.expm1(none)
    found = bm.prior_n_clusters(weights, MANY)
    assert found.sum() == pytest.approx(1, abs=1e-9)
    assert found @ COUNTS == pytest.approx(mean, abs=3e-6)  # K ends where 1e-9 is left


@pytest.mark.parametrize("k", [300, 1500])
def test_rows_one_by_one_with_many_components(k):
    n, a = 1000, 0.8
    out, clusters = np.eye(k)[0], np.arange(1, k + 1)
    for i in range(1, n):
        founded = out * (k - clusters) * a / (i + k * a)
        out = out - founded + np.append(0, founded[:-1])
    found = bm.prior_n_clusters(bm.Dirichlet(k, a), n)
    np.testing.assert_allclose(found, out, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", MIXTURES)
def test_simulated_rows(name):
    weights, runs, n, rng = MIXTURES[name], 20_000, 30, np.random.default_rng(7)
    drawn, *_ = draw_finite_mixtures(weights, runs, rng)
    occupied = (rng.multinomial(n, drawn) > 0).sum(axis=1)
    found = bm.prior_n_clusters(weights, n)
    seen = np.bincount(occupied, minlength=n + 1)[1 : n + 1] / runs
    error = 4.5 * np.sqrt(found * (1 - found) / runs) + 2 / runs
    np.testing.assert_array_less(np.abs(seen - found), error)


@pytest.mark.slow
@pytest.mark.parametrize("weights", LAWS, ids=str)
def test_it_takes_seconds(weights):
    _it_takes(weights, 4)


@pytest.mark.slow
@pytest.mark.parametrize("weights", LONGER, ids=str)
def test_it_takes_more_seconds(weights):
    _it_takes(weights, 20)


def _it_takes(weights, seconds):
    bm.prior_n_clusters(weights, 300)
    started = time.process_time()
    found = bm.prior_n_clusters(weights, MANY)
    assert time.process_time() - started < seconds
    assert found.shape == (MANY,)
    assert found.sum() == pytest.approx(1, abs=2e-9)


def test_sticks_cut_off_far_away():
    weights = bm.PitmanYor(bm.Gamma(2, 2), 0.1, truncation=150)
    found = bm.prior_n_clusters(weights, 40)
    expected = bm.prior_n_clusters(replace(weights, truncation=None), 40)
    np.testing.assert_allclose(found[:40], expected, rtol=0, atol=1e-9)
