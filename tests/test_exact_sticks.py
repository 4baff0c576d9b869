"""Enumeration under stick-breaking weights, by other routes to the same numbers."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logsumexp

import bayesmix as bm
from tests.exact import log_marginal
from tests.exact_checks import assert_z
from tests.exact_partitions import (
    exact_labelings,
    exact_posterior,
    in_order_of_appearance,
    log_partition_prior,
    log_prior_of_labelings,
    set_partitions,
)
from tests.exact_sticks import hyper_nodes
from tests.gibbs_cells import few_rows
from tests.prior_draws import draw, draw_weights
from tests.reference_gibbs import log_joint
from tests.support import STICKS, random_prior

STEP = 0.25


def partition_prior(partitions, weights, step=STEP):
    """Probability of every partition, what is random averaged out."""
    nodes = hyper_nodes(weights, step)
    log = log_partition_prior(partitions, weights, nodes) + nodes.log_weights[:, None]
    return np.exp(logsumexp(log, axis=0))


@pytest.mark.parametrize("truncation", [None, 1, 2, 5])
@pytest.mark.parametrize("name", STICKS)
def test_prior_of_partitions_is_one_of_probabilities(name, truncation):
    p = partition_prior(set_partitions(6), replace(STICKS[name], truncation=truncation))
    assert p.sum() == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("truncation", [1, 2, 4])
@pytest.mark.parametrize("name", STICKS)
def test_prior_of_partitions_sums_that_of_labelings(name, truncation):
    weights, partitions = replace(STICKS[name], truncation=truncation), set_partitions(5)
    labels, log_p = log_prior_of_labelings(5, weights, STEP)
    assert len(labels) == truncation**5
    same = (in_order_of_appearance(labels)[:, None] == partitions).all(axis=-1)
    np.testing.assert_allclose(
        partition_prior(partitions, weights), np.exp(log_p) @ same, rtol=1e-9
    )


@pytest.mark.parametrize("name", STICKS)
def test_prior_of_labelings_agrees_with_drawn_weights(name):
    """Products of the weights themselves, averaged."""
    weights = replace(STICKS[name], truncation=4)
    labels, log_p = log_prior_of_labelings(4, weights, STEP)
    drawn, *_ = draw_weights(weights, 100_000, np.random.default_rng(2))
    distinct = np.unique(np.sort(labels, axis=1), axis=0)  # the order of rows does not matter
    values = drawn[:, distinct].prod(axis=-1)
    expected = np.exp(log_p[distinct @ 4 ** np.arange(3, -1, -1)])
    assert_z((values.mean(axis=0) - expected) / (values.std(axis=0) / np.sqrt(len(values))))


@pytest.mark.parametrize("name", ["DP", "PY"])
def test_many_sticks_are_the_infinite_process(name):
    partitions = set_partitions(3)
    infinite = replace(STICKS[name], truncation=None, concentration=0.3)
    if name == "PY":
        infinite = replace(infinite, discount=0.02)
    many = replace(infinite, truncation=20)
    np.testing.assert_allclose(
        partition_prior(partitions, many), partition_prior(partitions, infinite), atol=1e-7
    )


@pytest.mark.parametrize("name", STICKS)
def test_posterior_of_labelings_by_brute_force(name):
    x = few_rows(4, 2)
    mixture = bm.Mixture(STICKS[name], random_prior(2), "tied")
    labels, p = exact_labelings(x, mixture)
    _, log_prior = log_prior_of_labelings(4, mixture.weights)
    log = log_prior + [log_marginal(x, z, mixture.components, "tied") for z in labels]
    np.testing.assert_allclose(p, np.exp(log - logsumexp(log)), rtol=1e-9)
    exact = exact_posterior(x, mixture)
    summed = np.bincount(exact.index(labels), p, len(exact.partitions))
    np.testing.assert_allclose(exact.probability, summed, rtol=1e-9)


@pytest.mark.parametrize("name", ["DP Gamma", "PY Beta"])
def test_posterior_of_labelings_agrees_with_draws_from_the_prior(name):
    """Each labeling by itself: sticks tell their components apart."""
    x = few_rows(3, 2)
    mixture = bm.Mixture(STICKS[name], random_prior(2), "full")
    labels, p = exact_labelings(x, mixture)
    points = draw(mixture, 1, 100_000, np.random.default_rng(6))
    joint = log_joint(x, points.weights, points.means, points.covariances)
    values = np.stack([np.exp(joint[:, range(3), z].sum(axis=-1)) for z in labels], axis=1)
    expected = p * np.exp(exact_posterior(x, mixture).log_evidence)
    assert_z((values.mean(axis=0) - expected) / (values.std(axis=0) / np.sqrt(len(values))))
    by_name = {tuple(z): probability for z, probability in zip(labels, p, strict=True)}
    ratio = by_name[0, 0, 0] / by_name[2, 2, 2]
    assert abs(np.log(ratio)) > 0.2  # nothing that a permutation could hide


@pytest.mark.slow
@pytest.mark.parametrize("truncation", [None, 5])
def test_quadrature_has_converged(truncation):
    weights = replace(STICKS["PY Gamma Beta"], truncation=truncation)
    mixture, x = bm.Mixture(weights, random_prior(1)), few_rows(5, 1)
    coarse, fine = exact_posterior(x, mixture), exact_posterior(x, mixture, step=0.15)
    np.testing.assert_allclose(coarse.log_joint, fine.log_joint, rtol=1e-8)
    for name in ("concentration", "discount"):
        means = [getattr(e, f"p_{name}") @ np.log(getattr(e, name)) for e in (coarse, fine)]
        assert means[0] == pytest.approx(means[1], rel=1e-7)
