"""Does one transition leave the exact posterior where it is? pi P = pi, for any move of a chain.

A move takes a chain and changes its state. Errors in a ratio that posterior means hardly show are
plain here, because nothing depends on how well the chain mixes.
"""

import numpy as np
from scipy.special import logsumexp

from tests.exact import pair_indicators
from tests.exact_checks import LEVEL, assert_z
from tests.exact_line import log_inverse_gamma, log_subsets_given_variance, variance_nodes
from tests.exact_partitions import (
    exact_posterior,
    in_order_of_appearance,
    log_prior_of_labelings,
)


def transition_matrix(move, chain_at, states, runs):
    """Fraction of runs from every labeling (T, n) that end in every other, (T, T)."""
    base = int(states.max()) + 1
    powers = base ** np.arange(states.shape[1])
    order = np.argsort(states @ powers)
    codes = (states @ powers)[order]
    found = np.zeros((len(states), len(states)))
    for s, labels in enumerate(states):
        for _ in range(runs):
            chain = chain_at(labels)
            move(chain)
            found[s, order[np.searchsorted(codes, chain.labels @ powers)]] += 1
    return found / runs


def label_events(states):
    """Events (T, E) that labelings (T, n) are or are not in: partitions, K+ and pairs."""
    index = in_order_of_appearance(states) @ (states.shape[1] ** np.arange(states.shape[1]))
    n_clusters = in_order_of_appearance(states).max(axis=1)
    columns = [
        index[:, None] == np.unique(index),
        n_clusters[:, None] == np.unique(n_clusters),
        pair_indicators(states),
    ]
    return np.concatenate(columns, axis=1).astype(float)


def assert_invariant(p, transitions, runs, events):
    """Check pi P = pi for estimated transitions (T, T), on events (T, E)."""
    reached = transitions @ events
    smoothed = (reached * runs + 0.5) / (runs + 1)  # nothing is certain
    variance = p**2 @ (smoothed * (1 - smoothed)) / runs
    assert_z((p @ (reached - events)) / np.sqrt(variance))


def assert_reversible(p, transitions, runs):
    """Check detailed balance, pi_s P_st = pi_t P_ts, at every pair of states."""
    flow = p[:, None] * transitions
    smoothed = (transitions * runs + 0.5) / (runs + 1)
    variance = p[:, None] ** 2 * smoothed * (1 - smoothed) / runs
    first, second = np.triu_indices(len(p), 1)
    seen = flow + flow.T > 0
    z = (flow - flow.T) / np.sqrt(variance + variance.T)
    assert_z(z[first, second][seen[first, second]])


def assert_unchanged(before, after, level=LEVEL):
    """Check that functions (N, F) of N exact draws keep their means under a move: paired z-tests.

    A function that hardly ever moves is left out.
    """
    change = after - before
    moves = (change != 0).sum(axis=0) > 30
    assert moves.any(), "nothing moved"
    change = change[:, moves]
    assert_z(change.mean(axis=0) / (change.std(axis=0) / np.sqrt(len(change))), level)


def exact_starts(x, mixture, size, rng):
    """Draw states from the exact posterior on a line: labels, means, scale (1, 1), concentration.

    What is random is drawn from the nodes of a fine quadrature and moved within their spacing.
    """
    step = 0.05
    exact = exact_posterior(x, mixture, step=step)
    variances = variance_nodes(exact.covariance_scale, mixture.components.dof, x, step)
    log_subsets = log_subsets_given_variance(x[:, 0], mixture.components, variances)
    for p in rng.choice(len(exact.partitions), size, p=exact.probability):
        scale = _pick(exact.covariance_scale, exact.log_likelihood[:, p], step, rng)
        concentration = _pick(exact.concentration, exact.log_prior[:, p], step, rng)
        labels = _labeling(exact.partitions[p], mixture.weights, rng)
        log_prior = log_inverse_gamma(variances, mixture.components.dof, np.array([scale]))[0]
        log_prior = log_prior + np.log(variances)
        occupied = np.unique(labels)
        log_each = log_subsets[:, [(labels == k) @ 2 ** np.arange(len(x)) for k in occupied]]
        if mixture.covariance_type == "tied":
            log_each = np.repeat(log_each.sum(axis=1, keepdims=True), len(occupied), axis=1)
        spread = np.array(
            [_pick(variances, log_prior + log_each[:, b], step, rng) for b in range(len(occupied))]
        )
        if mixture.covariance_type == "tied":
            spread[:] = spread[0]
        means = _means(x[:, 0], labels, occupied, spread, mixture, rng)
        state = {"labels": labels, "means": means}
        if mixture.components.scale_hyperprior is not None:
            state["covariance_scale"] = np.array([[scale]])
        if not np.isnan(concentration):
            state["concentration"] = float(concentration)
        yield state


def _pick(nodes, log_weights, step, rng):
    if len(nodes) == 1:
        return nodes[0]
    node = rng.choice(nodes, p=np.exp(log_weights - logsumexp(log_weights)))
    return node * np.exp(step * rng.uniform(-0.5, 0.5))


def _labeling(partition, weights, rng):
    """One of the labelings that make a partition, given it."""
    k = weights.n_components
    if weights.exchangeable:
        return rng.permutation(k)[partition]
    every, log_prior = log_prior_of_labelings(len(partition), weights)
    same = (every[:, :, None] == every[:, None, :]) == (partition[:, None] == partition)
    fits = np.flatnonzero(same.all(axis=(1, 2)))
    return every[rng.choice(fits, p=np.exp(log_prior[fits] - logsumexp(log_prior[fits])))]


def _means(x, labels, occupied, spread, mixture, rng):
    """Means (K, 1) given variances of the occupied components; the others from the prior."""
    prior = mixture.components
    m, v = prior.mean[0], prior.mean_covariance[0][0]
    means = rng.normal(m, np.sqrt(v), size=(mixture.n_components, 1))
    for k, variance in zip(occupied, spread, strict=True):
        own = x[labels == k]
        precision = 1 / v + len(own) / variance
        center = (m / v + own.sum() / variance) / precision
        means[k] = rng.normal(center, np.sqrt(1 / precision))
    return means
