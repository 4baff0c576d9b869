"""Priors on the number of components, and mixtures of finite mixtures: values, laws, refusals."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from scipy.stats import gamma, geom, nbinom, poisson, randint

import bayesmix as bm
from bayesmix.component_counts import log_pmf_table
from tests.support import random_prior

K = np.arange(1, 40)
COUNTS = {
    "Poisson": (bm.ShiftedPoisson(2.5), poisson(2.5, loc=1).logpmf),
    "geometric": (bm.Geometric(0.3), geom(0.3).logpmf),
    "uniform": (bm.UniformK(3, 30), randint(3, 31).logpmf),
    "beta negative binomial": (bm.BetaNegativeBinomial(1.5, 4.5, 3.0), None),
}


@pytest.mark.parametrize("name", ["Poisson", "geometric", "uniform"])
def test_log_pmf(name):
    prior, expected = COUNTS[name]
    np.testing.assert_allclose(prior.log_pmf(K), expected(K), rtol=1e-12)


def test_a_poisson_of_a_random_rate(rng):
    """The hierarchy of Frühwirth-Schnatter, Malsiner-Walli and Grün (2021)."""
    prior, _ = COUNTS["beta negative binomial"]
    p = rng.beta(prior.b, prior.c, 100_000)
    given = nbinom(prior.a, p[:, None]).pmf(K[:6] - 1)
    error = given.std(axis=0) / np.sqrt(len(p))
    assert (np.abs(np.exp(prior.log_pmf(K[:6])) - given.mean(axis=0)) < 4.5 * error).all()
    rate = gamma(prior.a).rvs(100_000, random_state=rng) * (1 - p) / p
    seen = np.bincount(rng.poisson(rate), minlength=6)[:6] / len(p)
    assert (np.abs(np.exp(prior.log_pmf(K[:6])) - seen) < 4.5 * np.sqrt(seen / len(p))).all()


def test_published_values():
    """BNB(1, 4, 3): E[K] = 2; P(K = 1) = 4/7 and so on, in whole numbers."""
    prior = bm.BetaNegativeBinomial(1, 4, 3)
    p = np.exp(prior.log_pmf(K))
    np.testing.assert_allclose(p[:3], [4 / 7, 3 / 14, 2 / 21], rtol=1e-13)
    table = np.exp(log_pmf_table(prior))
    assert table @ np.arange(1, len(table) + 1) == pytest.approx(2, abs=1e-8)


@pytest.mark.parametrize("name", COUNTS)
def test_the_table_holds_all_but_the_tail(name):
    prior, _ = COUNTS[name]
    assert (prior.log_pmf([0, -3, 2.5]) == -np.inf).all()
    for tail in (1e-3, 1e-12):
        size = prior.support(tail)
        p = np.exp(prior.log_pmf(np.arange(1, 100_001)))
        assert p.sum() == pytest.approx(1, abs=1e-12)
        assert p[size:].sum() <= tail * (1 + 1e-3)
        assert p[size - 1 :].sum() > tail * (1 - 1e-3)
        table = log_pmf_table(prior, tail)
        assert len(table) == size
        assert np.exp(table).sum() == pytest.approx(1, abs=1e-13)
    assert prior.log_pmf(3).shape == ()


def test_rounding_is_no_tail():
    """Of a sum of 100,000 probabilities."""
    prior = bm.ShiftedPoisson(50_000)
    size = prior.support()
    assert poisson(50_000, loc=1).sf(size - 1) > 1e-13
    assert poisson(50_000, loc=1).sf(size) < 1e-11


def test_no_table_is_longer_than_can_be_afforded():
    assert bm.BetaNegativeBinomial(1, 1, 3).support() == 100_000
    assert len(log_pmf_table(bm.BetaNegativeBinomial(1, 1, 3))) == 100_000


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: bm.ShiftedPoisson(0), "^rate: expected a finite number above 0, got 0"),
        (lambda: bm.BetaNegativeBinomial(1, -1, 2), "^b: expected a finite number above 0, got -1"),
        (lambda: bm.Geometric(1), "^p: expected a number above 0 and below 1, got 1"),
        (lambda: bm.Geometric("half"), "^p: expected a finite number above 0, got 'half'"),
        (lambda: bm.UniformK(0, 3), "^low: expected a whole number of at least 1, got 0"),
        (lambda: bm.UniformK(4, 3), "^high: expected at least low = 4 and at most 100,000, got 3"),
        (
            lambda: bm.UniformK(1, 10**6),
            "^high: expected at least low = 1 and at most 100,000, got",
        ),
        (
            lambda: bm.MixtureOfFiniteMixtures(bm.BetaNegativeBinomial(1, 0.1, 3)),
            "^n_components: expected a prior with hardly a chance .*; make smaller numbers",
        ),
        (
            lambda: bm.MixtureOfFiniteMixtures(bm.UniformK(1, 3), 0),
            "^concentration: expected a finite number above 0, or a Gamma, got 0",
        ),
    ],
)
def test_refuses(make, match):
    with pytest.raises(ValueError, match=match) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((3,), r"^n_components: expected a prior such as UniformK\(1, 30\), got 3; .* Dirichlet"),
        ((bm.UniformK(1, 3), 1.0, 1), "^dynamic: expected True or False, got 1"),
    ],
)
def test_refuses_types(arguments, match):
    with pytest.raises(TypeError, match=match):
        bm.MixtureOfFiniteMixtures(*arguments)


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("concentration", [0.7, bm.Gamma(6.0, 3.0)])
@pytest.mark.parametrize("dynamic", [False, True])
def test_values_are_values(name, concentration, dynamic):
    prior = bm.MixtureOfFiniteMixtures(COUNTS[name][0], concentration, dynamic)
    mixture = bm.Mixture(prior, random_prior(2))
    back = bm.Mixture.from_dict(json.loads(mixture.to_json()))
    assert back == mixture
    assert hash(back) == hash(mixture)
    assert repr(back) == repr(mixture)
    assert prior.exchangeable
    assert prior.varying
    assert prior.random_discount is None
    assert (prior.random_concentration is None) is (concentration == 0.7)
    with pytest.raises(dataclasses.FrozenInstanceError):
        prior.dynamic = True
