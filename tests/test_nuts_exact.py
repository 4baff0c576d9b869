"""NUTS against enumeration of all partitions of a few rows, labels drawn at its draws."""

from __future__ import annotations

import dataclasses

import pytest

import bayesmix as bm
from tests.exact_checks import assert_matches
from tests.exact_partitions import exact_posterior
from tests.fixtures_post import sample_quietly
from tests.gibbs_cells import few_rows
from tests.nuts_cells import WEIGHTS
from tests.support import STICKS, random_independent_prior, random_prior


def check(mixture, x, exact_mixture=None, **options):
    asked = {"draws": 3000, "tune": 1000, "random_seed": 11} | options
    tree = sample_quietly(mixture, x, sampler="nuts", **asked)
    group = tree["posterior"]
    given = {name: group[name].values for name in ("concentration", "discount") if name in group}
    if "covariance_scale" in group:
        given["covariance_scale"] = group["covariance_scale"].values[..., 0, 0]
    exact = exact_posterior(x, exact_mixture or mixture)
    assert_matches(exact, tree["allocation"]["label"].values, **given)


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["full", pytest.param("diag", marks=pytest.mark.long)])
@pytest.mark.parametrize("weights", [*STICKS, "Dirichlet(K, Gamma)", "Dirichlet(K, vector)"])
def test_conjugate_components(weights, structure):
    check(bm.Mixture(WEIGHTS[weights], random_prior(2), structure), few_rows(6, 2))


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["full", "tied", "spherical"])
@pytest.mark.parametrize("random_scale", [False, True])
@pytest.mark.parametrize("weights", ["Dirichlet(K)", "PY Gamma Beta"])
def test_independent_means_on_a_line(weights, random_scale, structure):
    prior = random_independent_prior(1, random_scale=random_scale)
    check(bm.Mixture(WEIGHTS[weights], prior, structure), few_rows(6, 1))


@pytest.mark.slow
@pytest.mark.parametrize("truncation", [2, 5])
def test_truncations(truncation):
    weights = bm.DirichletProcess(bm.Gamma(2.0, 2.0), truncation=truncation)
    check(bm.Mixture(weights, random_prior(1)), few_rows(6, 1))


@pytest.mark.slow
def test_a_wrong_prior_is_caught():
    mixture = bm.Mixture(STICKS["DP"], random_prior(2))
    wrong = dataclasses.replace(mixture, components=random_prior(2, dof=5.7))
    with pytest.raises(AssertionError, match=r"total variation|z ="):
        check(wrong, few_rows(6, 2), mixture)
