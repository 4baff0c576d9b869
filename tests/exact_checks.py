"""Does a sampler's output match the exact posterior? Tests whose tolerance is a standard error.

Each call gives a false alarm with a probability of about `LEVEL`, over all it compares together.
"""

import numpy as np
from arviz_stats.base import array_stats
from scipy.special import logsumexp
from scipy.stats import norm

from tests.exact import pair_indicators
from tests.reference_gibbs import log_joint

LEVEL = 1e-3
MIN_EXPECTED = 10
"""Effective draws that an event and its opposite need for a z-test; rarer ones are left out."""


def assert_matches(exact, labels, *, concentration=None, discount=None, covariance_scale=None):
    """Compare labels (chain, draw, n), and what else is random, with an `ExactPosterior`.

    The total variation between partitions must lie below the 99.9 % quantile of that of as many
    exact draws as there are effective ones; z-tests on P(K+), pairs, concentration, discount,
    scale (its first diagonal entry, where D = 1) share another level of 0.1 %.
    """
    index = exact.index(labels)
    distance = total_variation(np.bincount(index.ravel(), minlength=len(exact.probability)), exact)
    limit = total_variation_limit(exact, int(smallest_ess(exact, labels, index)))
    assert distance < limit, f"total variation {distance:.4f}, limit {limit:.4f}"
    estimates, expected = _events(exact, labels)
    for values, nodes, p in (
        (concentration, exact.concentration, exact.p_concentration),
        (discount, exact.discount, exact.p_discount),
        (covariance_scale, exact.covariance_scale, exact.p_covariance_scale),
    ):
        if values is not None:
            more, their = _moments(np.asarray(values), nodes, p)
            estimates, expected = np.concatenate([estimates, more]), np.append(expected, their)
    assert_means(estimates, expected)


def assert_means(estimates, expected, level=LEVEL):
    """z-tests of draws (quantity, chain, draw) against expectations (quantity,)."""
    error = array_stats.mcse(estimates, method="mean", chain_axis=1, draw_axis=2)
    z = (estimates.mean(axis=(1, 2)) - expected) / error
    assert_z(z, level)


def assert_z(z, level=LEVEL):
    """Two-sided tests of standard normal values, their level shared."""
    limit = norm.isf(level / (2 * len(z)))
    worst = np.argmax(np.abs(z))
    assert np.abs(z[worst]) < limit, f"z = {z[worst]:.2f} at {worst} of {len(z)}, limit {limit:.2f}"


def smallest_ess(exact, labels, index):
    """Smallest effective sample size of K+, pair indicators and log posterior."""
    quantities = np.concatenate(
        [
            exact.n_clusters[index][None],
            np.moveaxis(pair_indicators(labels), -1, 0),
            exact.log_joint[index][None],
        ]
    ).astype(float)
    moves = np.ptp(quantities, axis=(1, 2)) > 0
    ess = array_stats.ess(quantities[moves], method="mean", chain_axis=1, draw_axis=2)
    return min(ess.min(), index.size)


def total_variation(counts, exact):
    """Half the sum of absolute differences, (...), of counts (..., P) from the exact posterior."""
    frequency = counts / counts.sum(axis=-1, keepdims=True)
    return 0.5 * np.abs(frequency - exact.probability).sum(axis=-1)


def total_variation_limit(exact, size, repeats=4000):
    """The 99.9 % quantile of the total variation of ``size`` exact draws, by simulation."""
    rng = np.random.default_rng(size)
    likely = exact.probability > 1e-12
    probability = exact.probability[likely] / exact.probability[likely].sum()
    batches = []
    for _ in range(20):
        counts = rng.multinomial(size, probability, size=repeats // 20)
        batches.append(0.5 * np.abs(counts / size - probability).sum(axis=-1))
    return np.quantile(np.concatenate(batches), 0.999)


def _events(exact, labels):
    """P(K+ = k) and pairs: indicators (quantity, chain, draw) and their exact probabilities."""
    occupied = exact.n_clusters[exact.index(labels)]
    indicators = np.concatenate(
        [
            np.stack([occupied == k + 1 for k in range(len(exact.p_n_clusters))]),
            np.moveaxis(pair_indicators(labels), -1, 0),
        ]
    ).astype(float)
    probability = np.append(exact.p_n_clusters, exact.p_pairs)
    rarer = np.minimum(probability, 1 - probability)
    varies = np.ptp(indicators, axis=(1, 2)) > 0
    common = varies & (rarer * labels[..., 0].size > MIN_EXPECTED)
    ess = array_stats.ess(indicators[common], method="mean", chain_axis=1, draw_axis=2)
    common[common] = rarer[common] * ess > MIN_EXPECTED
    return indicators[common], probability[common]


def _moments(values, nodes, p):
    """Two bounded smooth functions of the logarithm, whose expectation a trapezoid rule gives."""
    center = p @ np.log(nodes)
    spread = np.sqrt(p @ (np.log(nodes) - center) ** 2)
    u, at = np.tanh((np.log(values) - center) / spread), np.tanh((np.log(nodes) - center) / spread)
    return np.stack([u, u**2]), [p @ at, p @ at**2]


def label_residual(x, weights, means, covariances, labels):
    """Is each recorded label a draw given the parameters recorded with it? One z value.

    Given parameters (..., K), labels (..., n) are independent, so the log responsibility of the
    label less its expectation is a sum with mean 0 and known variance, whatever the chain did.
    """
    residual, variance = label_residuals(x, weights, means, covariances, labels)
    return residual.sum() / np.sqrt(variance.sum())


def label_residuals(x, weights, means, covariances, labels):
    """Log responsibility of every label less its expectation, and its variance, (..., n)."""
    joint = log_joint(x, weights, means, covariances)
    log_r = joint - logsumexp(joint, axis=-1, keepdims=True)
    log_r = np.maximum(log_r, -700.0)  # where r log r is 0
    r = np.exp(log_r)
    expected = (r * log_r).sum(axis=-1)
    variance = (r * log_r**2).sum(axis=-1) - expected**2
    drawn = np.take_along_axis(log_r, labels[..., None].astype(int), axis=-1)[..., 0]
    return drawn - expected, variance
