"""Multiplied priors: the law of what is multiplied, by its moments and by draws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import bayesmix as bm
from bayesmix import component_prior
from bayesmix.covariance import structure_of
from bayesmix.scaled_priors import with_concentration, with_scale
from tests.support import STICKS, STRUCTURES, WEIGHTS, random_independent_prior, random_prior

FACTORS = [0.25, 1.0, 4.0]


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("weights", [*WEIGHTS.values(), *STICKS.values()], ids=str)
def test_the_concentration_has_the_law_of_another_multiplied(weights, factor):
    found = with_concentration(weights, factor)
    if (prior := weights.random_concentration) is None:
        before = np.asarray(weights.concentration)
        np.testing.assert_allclose(found.concentration, factor * before, rtol=1e-15)
    else:
        now = found.random_concentration
        law, of = (stats.gamma(p.shape, scale=1 / p.rate) for p in (now, prior))
        at = of.ppf([0.1, 0.5, 0.99])
        np.testing.assert_allclose(law.cdf(factor * at), of.cdf(at), rtol=1e-12)
    assert with_concentration(found, 1 / factor) == weights


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("kind", ["conjugate", "stated", "random"])
def test_covariances_are_drawn_as_another_s_multiplied(kind, structure):
    """From the same seed: as many draws of covariances and scales, each multiplied."""
    prior = {
        "conjugate": random_prior(2),
        "stated": random_independent_prior(2),
        "random": random_independent_prior(2, random_scale=True),
    }[kind]
    own = structure_of(structure)
    (_, *before), (_, *after) = (
        component_prior.draw(each, own, 3, 5, np.random.default_rng(3))
        for each in (prior, with_scale(prior, 4.0))
    )
    for now, then in zip(after, before, strict=True):
        if kind == "random" or then is not None:
            np.testing.assert_allclose(now, 4 * then, rtol=1e-9)


@pytest.mark.parametrize("prior", [random_prior(3), random_independent_prior(3)], ids=["n", "i"])
def test_all_but_the_scale_stays(prior):
    found = with_scale(prior, 4.0)
    np.testing.assert_allclose(found.covariance_scale, 4 * np.asarray(prior.covariance_scale))
    assert (found.mean, found.dof) == (prior.mean, prior.dof)
    assert with_scale(found, 0.25) == prior


def test_the_priors_of_data_in_other_units():
    """What a function makes of data twice as wide is four times the scale."""
    x = np.random.default_rng(0).normal(size=(40, 1))
    found, other = with_scale(bm.weakly_informative(x), 4.0), bm.weakly_informative(2 * x)
    for name in ("rate", "floor"):
        now, expected = (getattr(p.scale_hyperprior, name) for p in (found, other))
        np.testing.assert_allclose(now, expected, rtol=1e-12)


@pytest.mark.parametrize("factor", [0, -1, np.nan, np.inf, "x"])
def test_factors_are_above_zero(factor):
    with pytest.raises(ValueError, match="concentration: expected a finite number above 0"):
        with_concentration(bm.Dirichlet(2), factor)
    with pytest.raises(ValueError, match="scale: expected a finite number above 0"):
        with_scale(random_prior(1), factor)
