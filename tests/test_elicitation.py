"""Priors from the expected number of clusters: held to the whole prior, and to simulated rows."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import bayesmix as bm

DIRICHLET_PROCESS = bm.DirichletProcess.from_expected_clusters
PITMAN_YOR = bm.PitmanYor.from_expected_clusters
DIRICHLET = bm.Dirichlet.from_expected_clusters
FINITE_MIXTURES = bm.MixtureOfFiniteMixtures.from_expected_clusters


def mean_of(weights, n: int) -> float:
    """Of the number of clusters, over its whole prior."""
    p = bm.prior_n_clusters(weights, n)
    return float(p @ np.arange(1, len(p) + 1) / p.sum())


@pytest.mark.parametrize("shape", [None, 0.5, 2.0, 40.0])
@pytest.mark.parametrize(("n", "expected"), [(2, 1.5), (30, 29.0), (272, 1.01), (272, 4.0)])
def test_dirichlet_processes_expect_what_was_asked_for(shape, n, expected):
    weights = DIRICHLET_PROCESS(n, expected, shape=shape)
    assert mean_of(weights, n) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(
    ("discount", "shape"),
    [(0.0, 2.0), (1e-10, None), (1e-7, None), (0.1, 2.0), (0.5, 0.5), (bm.Beta(1, 20), None)],
)
def test_pitman_yor_processes_expect_what_was_asked_for(discount, shape):
    weights = PITMAN_YOR(80, 12.5, discount, shape=shape)
    assert weights.discount == discount
    assert mean_of(weights, 80) == pytest.approx(12.5, rel=1e-8)


@pytest.mark.parametrize(
    ("k", "n", "expected", "shape"),
    [(2, 2, 1.2, 0.5), (10, 272, 3.0, 2.0), (10, 15, 7.8, None), (300, 40, 5.0, 2.0)],
)
def test_finite_mixtures_expect_what_was_asked_for(k, n, expected, shape):
    weights = DIRICHLET(k, n, expected, shape=shape)
    assert weights.n_components == k
    assert mean_of(weights, n) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(
    ("concentration", "dynamic"), [(1.0, False), (0.3, False), (1.5, True), (bm.Gamma(6, 3), True)]
)
def test_mixtures_of_finite_mixtures_expect_what_was_asked_for(concentration, dynamic):
    """Up to what the prior on K puts beyond its table."""
    weights = FINITE_MIXTURES(60, 2.1, concentration=concentration, dynamic=dynamic)
    assert (weights.concentration, weights.dynamic) == (concentration, dynamic)
    assert mean_of(weights, 60) == pytest.approx(2.1, rel=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        partial(DIRICHLET_PROCESS, shape=None),
        partial(PITMAN_YOR, discount=0.05, shape=None),
        partial(DIRICHLET, 20, shape=None),
        FINITE_MIXTURES,
    ],
)
def test_many_rows(make):
    weights = make(100_000, 6.0)
    assert mean_of(weights, 100_000) == pytest.approx(6, rel=1e-6)


def seated(rng, n: int, discount, concentration, runs: int) -> np.ndarray:
    """Numbers of clusters among n rows that come one by one, (runs,)."""
    clusters = np.zeros(runs)
    for i in range(n):
        p = (concentration + clusters * discount) / (concentration + i)
        clusters += rng.random(runs) < p
    return clusters


RUNS = 40_000


@pytest.mark.parametrize("family", ["dirichlet process", "pitman yor", "dirichlet", "finite"])
def test_rows_drawn_one_by_one(family, rng):
    """What is random of concentration and K is drawn for every table of rows."""
    n, expected = 40, 4.5
    match family:
        case "dirichlet process":
            gamma, discount = DIRICHLET_PROCESS(n, expected).concentration, 0.0
            strength = rng.gamma(gamma.shape, 1 / gamma.rate, RUNS)
        case "pitman yor":
            gamma, discount = PITMAN_YOR(n, expected, 0.2).concentration, 0.2
            strength = rng.gamma(gamma.shape, 1 / gamma.rate, RUNS)
        case "dirichlet":
            gamma = DIRICHLET(8, n, expected).concentration
            discount = -rng.gamma(gamma.shape, 1 / gamma.rate, RUNS)
            strength = -8 * discount
        case "finite":
            count = FINITE_MIXTURES(n, expected).n_components
            p = rng.beta(count.b, count.c, RUNS)
            k, discount = 1 + rng.negative_binomial(count.a, p), -1.0
            strength = k
    found = seated(rng, n, discount, strength, RUNS)
    assert abs(found.mean() - expected) < 4.5 * found.std() / np.sqrt(RUNS)


def test_closed_forms():
    """Two rows are apart with probability alpha/(alpha + 1), or 1 - (a + 1)/(K a + 1)."""
    assert DIRICHLET_PROCESS(2, 1.75, shape=None).concentration == pytest.approx(3)
    assert DIRICHLET(5, 2, 1.4, shape=None).concentration == pytest.approx(0.2)
    assert PITMAN_YOR(2, 1.75, 0.5, shape=None).concentration == pytest.approx(1)


def test_many_components_are_a_dirichlet_process():
    """Of the concentration K a, whose prior is that of a, K times as wide."""
    process, finite = DIRICHLET_PROCESS(50, 3.0), DIRICHLET(10**6, 50, 3.0)
    assert finite.concentration.rate / 10**6 == pytest.approx(process.concentration.rate, rel=1e-5)


@pytest.mark.parametrize(
    ("make", "expected", "said"),
    [
        (partial(DIRICHLET_PROCESS, 20), 1, "above 1 and below 20, got 1;"),
        (partial(DIRICHLET_PROCESS, 20), 20, "above 1 and below 20, got 20;"),
        (
            partial(DIRICHLET_PROCESS, 1),
            1.5,
            "got 1.5 where there is always 1; take at least 2 rows",
        ),
        (partial(DIRICHLET, 1, 50), 1, "got 1 where there is always 1; .* and 2 components"),
        (partial(DIRICHLET, 6, 10**4), 6, "above 1 and below 6, got 6;"),
        (partial(DIRICHLET, 10, 10), 8, "above 1 and below 6.51321, got 8;"),
        (partial(PITMAN_YOR, 50, discount=0.1), 1.2, "above 1.55297 and below 50, got 1.2;"),
        (partial(FINITE_MIXTURES, 100, dynamic=True), 7, "above 1 and below 5.16969, got 7;"),
        (partial(DIRICHLET_PROCESS, 20), -3, "expected: expected a finite number above 0, got -3"),
        (partial(DIRICHLET_PROCESS, 20), "x", "expected: expected a finite number above 0"),
        (partial(DIRICHLET_PROCESS, 0), 2, "n: expected"),
        (partial(DIRICHLET_PROCESS, 20, shape=0), 2, "shape: expected a finite number above 0, or"),
        (partial(PITMAN_YOR, 20, discount=1), 2, "discount: expected"),
        (partial(DIRICHLET, 0, 20), 2, "n_components: expected"),
        (partial(FINITE_MIXTURES, 20, concentration=-1), 2, "concentration: expected"),
    ],
)
def test_what_is_out_of_reach_is_said(make, expected, said):
    with pytest.raises(ValueError, match=said):
        make(expected=expected)


class TestExpectedClusters:
    @pytest.mark.parametrize(
        "weights",
        [
            *(bm.Dirichlet(3), bm.Dirichlet(8, 0.05), bm.Dirichlet(8, bm.Gamma(1, 20))),
            *(bm.DirichletProcess(), bm.PitmanYor(1.0, 0.25), bm.PitmanYor(0.5, bm.Beta(1, 9))),
            bm.MixtureOfFiniteMixtures(bm.UniformK(2, 9)),
            bm.MixtureOfFiniteMixtures(bm.Geometric(0.3), bm.Gamma(1, 2), dynamic=True),
        ],
        ids=str,
    )
    def test_is_the_mean_of_the_prior(self, weights):
        p = bm.prior_n_clusters(weights, 40)
        assert weights.expected_clusters(40) == pytest.approx(
            p @ np.arange(1, len(p) + 1), rel=1e-6
        )

    def test_undoes_from_expected_clusters(self):
        weights = bm.MixtureOfFiniteMixtures.from_expected_clusters(272, 4)
        assert weights.expected_clusters(272) == pytest.approx(4, rel=1e-6)

    def test_where_it_is_not_told(self):
        with pytest.raises(ValueError, match="same concentration for every component"):
            bm.Dirichlet(2, [1, 2]).expected_clusters(9)
        with pytest.raises(ValueError, match="truncation: expected None, got 5"):
            bm.DirichletProcess(1.0, truncation=5).expected_clusters(9)
        with pytest.raises(ValueError, match="n: expected"):
            bm.DirichletProcess(1.0).expected_clusters(0)
