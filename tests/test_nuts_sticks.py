"""NUTS under stick-breaking weights against enumeration, after labels are drawn."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import bayesmix as bm
from bayesmix import schema
from bayesmix.truncation import truncation_error
from tests.exact_checks import assert_matches, assert_means
from tests.exact_partitions import exact_labelings, exact_posterior
from tests.gibbs_cells import few_rows
from tests.support import STICKS, random_independent_prior, random_prior

PRIOR = bm.NormalInverseWishart([0.2, -0.1], 0.4, 5.5, [[1.5, 0.3], [0.3, 1.0]])


def sample(mixture, x, **options):
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # of few rows: a divergence now and then
        return bm.sample(mixture, x, sampler="nuts", random_seed=3, progressbar=False, **options)


def randoms(post):
    """Concentration and discount, (chain, draw), where they are random."""
    return {
        n: post.posterior[n].values for n in ("concentration", "discount") if n in post.posterior
    }


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["full", "tied"])
@pytest.mark.parametrize("name", STICKS)
def test_agrees_with_enumeration(name, structure):
    mixture, x = bm.Mixture(STICKS[name], PRIOR, structure), few_rows(6, 2)
    post = sample(mixture, x, draws=4000)
    schema.validate(post)
    label = post.allocation["label"].values
    assert_matches(exact_posterior(x, mixture), label, **randoms(post))
    labels, p = exact_labelings(x, mixture)
    first = np.stack([(labels == k).mean(axis=1) for k in range(2)])  # which stick a block is
    drawn = np.stack([(label == k).mean(axis=-1) for k in range(2)])
    assert_means(drawn, first @ p)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["DP Gamma", "PY Beta"])
def test_five_sticks_agree_with_enumeration(name):
    mixture, x = bm.Mixture(replace(STICKS[name], truncation=5), PRIOR, "diag"), few_rows(6, 2)
    post = sample(mixture, x, draws=4000)
    assert_matches(exact_posterior(x, mixture), post.allocation["label"].values, **randoms(post))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["DP Gamma", "PY Gamma Beta"])
def test_agrees_with_enumeration_on_a_line(name):
    prior = random_independent_prior(1, random_scale=True)
    mixture, x = bm.Mixture(STICKS[name], prior, "diag"), few_rows(6, 1)
    post = sample(mixture, x, draws=4000)
    scale = post.posterior["covariance_scale"].values[..., 0, 0]
    exact = exact_posterior(x, mixture)
    assert_matches(exact, post.allocation["label"].values, covariance_scale=scale, **randoms(post))


@pytest.mark.parametrize(
    "weights", [bm.DirichletProcess(1.0), bm.DirichletProcess(1.0, truncation=4)]
)
def test_the_truncation_is_recorded(weights):
    x, weights = few_rows(12, 2), bm.DirichletProcess(1.0, truncation)
    post = sample(bm.Mixture(weights, random_prior(2)), x, draws=20, tune=50, chains=2)
    schema.validate(post)
    used = schema.mixture_of(post).weights
    assert used.truncation == post.posterior.sizes["component"] == (truncation or 12)
    assert post.attrs["truncation_error"] == truncation_error(used, 12)
    assert {f.check for f in bm.diagnose(post)} >= {"truncation"}
