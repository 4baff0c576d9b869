"""Enumeration under mixtures of finite mixtures, by other routes to the same numbers."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.special import logsumexp

import bayesmix as bm
from tests.exact import log_labels, log_marginal
from tests.exact_checks import assert_z
from tests.exact_partitions import (
    exact_posterior,
    in_order_of_appearance,
    log_partition_prior,
    set_partitions,
)
from tests.exact_sticks import hyper_nodes
from tests.gibbs_cells import few_rows
from tests.prior_draws import categorical, draw_finite_mixtures
from tests.support import STICKS, random_prior

GAMMA = bm.Gamma(2.0, 2.0)
COUNTS = bm.BetaNegativeBinomial(1.0, 4.0, 3.0)
MIXTURES = {
    "static": bm.MixtureOfFiniteMixtures(COUNTS, 0.7),
    "static Gamma": bm.MixtureOfFiniteMixtures(COUNTS, GAMMA),
    "dynamic": bm.MixtureOfFiniteMixtures(COUNTS, 0.7, dynamic=True),
    "dynamic Gamma": bm.MixtureOfFiniteMixtures(COUNTS, GAMMA, dynamic=True),
}


def partition_prior(partitions, weights, step=0.25):
    """Probability of every partition, what is random averaged out."""
    nodes = hyper_nodes(weights, step)
    log = log_partition_prior(partitions, weights, nodes) + nodes.log_weights[:, None]
    return np.exp(logsumexp(log, axis=0))


@pytest.mark.parametrize("name", MIXTURES)
def test_prior_of_partitions_is_one_of_probabilities(name):
    p = partition_prior(set_partitions(5), MIXTURES[name])
    assert p.sum() == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("name", MIXTURES)
def test_one_number_of_components_is_a_dirichlet(name):
    weights, partitions = replace(MIXTURES[name], n_components=bm.UniformK(3, 3)), set_partitions(5)
    each = weights.concentration
    if weights.dynamic:
        each = bm.Gamma(2.0, 6.0) if each == GAMMA else each / 3
    np.testing.assert_allclose(
        partition_prior(partitions, weights),
        partition_prior(partitions, bm.Dirichlet(3, each)),
        rtol=1e-9,
    )


@pytest.mark.parametrize("name", MIXTURES)
def test_prior_of_partitions_agrees_with_drawn_labels(name):
    weights, runs, rng = MIXTURES[name], 60_000, np.random.default_rng(3)
    drawn, *_ = draw_finite_mixtures(weights, runs, rng)
    labels = in_order_of_appearance(categorical(np.repeat(drawn[:, None], 4, axis=1), rng))
    partitions = set_partitions(4)
    seen = (labels[:, None] == partitions).all(axis=-1).mean(axis=0)
    expected = partition_prior(partitions, weights)
    assert_z((seen - expected) / np.sqrt(expected * (1 - expected) / runs))


@pytest.mark.parametrize("structure", ["full", "tied"])
@pytest.mark.parametrize("dynamic", [False, True])
def test_posterior_by_brute_force(structure, dynamic):
    """Every labeling of every number of components."""
    x, concentration = few_rows(4, 2), 0.7
    weights = bm.MixtureOfFiniteMixtures(bm.UniformK(1, 4), concentration, dynamic)
    exact = exact_posterior(x, bm.Mixture(weights, random_prior(2), structure))
    p_k, p = np.zeros(4), np.zeros(len(exact.partitions))
    for k in range(1, 5):
        each = np.full(k, concentration / k if dynamic else concentration)
        for z in map(np.array, product(range(k), repeat=4)):
            log = log_labels(z, each) + log_marginal(x, z, random_prior(2), structure)
            p_k[k - 1] += np.exp(log)
            p[exact.index(z)] += np.exp(log)
    np.testing.assert_allclose(exact.probability, p / p.sum(), rtol=1e-9)
    np.testing.assert_allclose(exact.p_n_components[:4], p_k / p_k.sum(), rtol=1e-9)
    assert not exact.p_n_components[4:].any()
    assert exact.log_evidence == pytest.approx(np.log(p.sum() / 4), rel=1e-9)


@pytest.mark.parametrize("name", MIXTURES)
def test_numbers_of_components(name):
    mixture = bm.Mixture(MIXTURES[name], random_prior(1))
    exact = exact_posterior(few_rows(5, 1), mixture)
    p = exact.p_n_components
    assert len(p) == COUNTS.support()
    assert p.sum() == pytest.approx(1, rel=1e-9)
    for k in range(1, 6):  # K is at least the number of clusters
        assert p[:k].sum() <= exact.p_n_clusters[:k].sum() + 1e-12
    fine = exact_posterior(few_rows(5, 1), mixture, step=0.15)
    np.testing.assert_allclose(p, fine.p_n_components, rtol=1e-7)


@pytest.mark.parametrize("name", STICKS)
def test_infinite_processes(name):
    """Clusters up to the number of rows; with far-off truncation the same."""
    weights, x = replace(STICKS[name], truncation=None), few_rows(4, 1)
    exact = exact_posterior(x, bm.Mixture(weights, random_prior(1)))
    assert exact.p_n_clusters.shape == (4,)
    assert exact.p_n_clusters.sum() == pytest.approx(1, rel=1e-9)
