"""Does one transition leave the exact posterior where it is? pi P = pi, for any move of a chain.

A move takes a chain and changes its state. Errors in a ratio that posterior means hardly show are
plain here, because nothing depends on how well the chain mixes.
"""

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from scipy.special import expit, logit, logsumexp

from tests.exact import log_labels, pair_indicators
from tests.exact_blocks import block_subsets
from tests.exact_checks import LEVEL, assert_z
from tests.exact_line import log_inverse_gamma, log_subsets_given_variance, variance_nodes
from tests.exact_partitions import exact_posterior, in_order_of_appearance
from tests.exact_sticks import HyperNodes, is_sticks, log_counts


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


def assert_reversible(p, transitions, runs, states):
    """Check detailed balance between partitions, pi_s P_st = pi_t P_ts, wherever many runs go."""
    partition = in_order_of_appearance(states) @ (states.shape[1] ** np.arange(states.shape[1]))
    group = (partition[:, None] == np.unique(partition)).astype(float)
    reached = transitions @ group
    flow = group.T @ (p[:, None] * reached)
    variance = group.T @ (p[:, None] ** 2 * reached * (1 - reached)) / runs
    counts = group.T @ reached * runs
    enough = np.triu(np.minimum(counts, counts.T) > 25, 1)
    assert enough.any(), "too few transitions; raise runs"
    assert_z((flow - flow.T)[enough] / np.sqrt((variance + variance.T)[enough]))


def assert_unchanged(before, after, level=LEVEL):
    """Check that functions (N, F) of N exact draws keep their means under a move: paired z-tests.

    A function that hardly ever moves is left out.
    """
    change = after - before
    moves = (change != 0).sum(axis=0) > 30
    assert moves.any(), "nothing moved"
    change = change[:, moves]
    assert_z(change.mean(axis=0) / (change.std(axis=0) / np.sqrt(len(change))), level)


@dataclass
class States:
    """B states of a chain on a line; None where stated."""

    labels: np.ndarray
    means: np.ndarray
    """(B, K, 1)"""
    covariance_scale: np.ndarray | None
    """(B,)"""
    concentration: np.ndarray | None
    """(B,)"""
    discount: np.ndarray | None
    """(B,)"""


def exact_states(x, mixture, size, rng):
    """Draw states from the exact posterior on a line.

    What is random is drawn from the nodes of a fine quadrature and moved within their spacing.
    """
    step = 0.05
    exact = exact_posterior(x, mixture, step=step)
    counts = rng.multinomial(size, exact.probability)
    batches = [
        _states_of(x, exact, p, batch, step, rng)
        for p in np.flatnonzero(counts)
        for batch in _at_most(500, counts[p])
    ]
    columns = zip(*(vars(batch).values() for batch in batches), strict=True)
    return States(*(None if c[0] is None else np.concatenate(c) for c in columns))


def _at_most(most, count):
    return np.diff([*range(0, count, most), count])


def _states_of(x, exact, p, size, step, rng):
    """Draw ``size`` states given partition p."""
    mixture, partition = exact.mixture, exact.partitions[p]
    scale = _pick(exact.covariance_scale, exact.log_likelihood[None, :, p], size, step, rng)
    concentration, discount = _pick_laws(exact, p, size, step, rng)
    names = _names(partition, mixture.weights, concentration, discount, rng)
    variances = variance_nodes(exact.covariance_scale, mixture.components.dof, x, step)
    log_subsets = log_subsets_given_variance(x[:, 0], mixture.components, variances)
    log_each = log_subsets[:, block_subsets(partition[None])[0, : partition.max() + 1]].T
    log_prior = log_inverse_gamma(variances, mixture.components.dof, scale) + np.log(variances)
    if mixture.covariance_type == "tied":
        spread = _pick(variances, log_prior + log_each.sum(axis=0), size, step, rng)
        spreads = [spread] * len(log_each)
    else:
        spreads = [_pick(variances, log_prior + log, size, step, rng) for log in log_each]
    return States(
        names[:, partition],
        _means(x[:, 0], partition, names, spreads, mixture, rng),
        None if mixture.components.scale_hyperprior is None else scale,
        None if np.isnan(concentration[0]) else concentration,
        None if np.isnan(discount[0]) else discount,
    )


def _pick_laws(exact, p, size, step, rng):
    """Draw concentration and discount (size,) given partition p, NaN where stated."""
    found = [exact.concentration, exact.discount]
    if len(found[0]) == 1:
        return [np.repeat(values, size) for values in found]
    node = _node(exact.log_prior[None, :, p], size, rng)
    concentration, discount = (values[node] for values in found)
    if not np.isnan(concentration[0]):
        concentration = concentration * np.exp(step * rng.uniform(-0.5, 0.5, size))
    if not np.isnan(discount[0]):
        discount = expit(logit(discount) + step * rng.uniform(-0.5, 0.5, size))
    return concentration, discount


def _pick(nodes, log_weights, size, step, rng):
    """Draw one value for every row of log weights (size or 1, nodes)."""
    if len(nodes) == 1:
        return np.repeat(nodes, size)
    node = _node(log_weights, size, rng)
    return nodes[node] * np.exp(step * rng.uniform(-0.5, 0.5, size))


def _node(log_weights, size, rng):
    """Draw one index for every row of log weights (size or 1, nodes)."""
    cumulative = np.cumsum(np.exp(log_weights - log_weights.max(axis=1, keepdims=True)), axis=1)
    u = rng.uniform(size=(size, 1)) * cumulative[:, -1:]
    return np.minimum((cumulative < u).sum(axis=1), log_weights.shape[1] - 1)


def _names(partition, weights, concentration, discount, rng):
    """Which component each block is: (size, K), the first entries those of the blocks."""
    k, size = weights.n_components, len(concentration)
    if weights.exchangeable:
        return rng.permuted(np.tile(np.arange(k), (size, 1)), axis=1)
    every = np.array(list(permutations(range(k))))
    if is_sticks(weights):
        counts = (every[:, partition, None] == np.arange(k)).sum(axis=1)
        log = log_counts(counts, weights, HyperNodes(concentration, discount, np.zeros(size)))
        return every[_node(log, size, rng)]
    log = np.array([log_labels(names[partition], weights.concentrations) for names in every])
    return every[rng.choice(len(every), size, p=np.exp(log - logsumexp(log)))]


def _means(x, partition, names, spreads, mixture, rng):
    """Means (size, K, 1) given variances of the blocks (size,); the others from the prior."""
    prior, size = mixture.components, len(names)
    m, v = prior.mean[0], prior.mean_covariance[0][0]
    means = rng.normal(m, np.sqrt(v), size=(size, mixture.n_components, 1))
    for block, variance in enumerate(spreads):
        own = x[partition == block]
        precision = 1 / v + len(own) / variance
        center = (m / v + own.sum() / variance) / precision
        means[np.arange(size), names[:, block], 0] = rng.normal(center, np.sqrt(1 / precision))
    return means


def move_states(chain_class, mixture, x, states, move, rng):
    """Take one move from every state."""
    labels, means = np.empty_like(states.labels), np.empty_like(states.means)
    scale, concentration = states.covariance_scale, states.concentration
    scale = None if scale is None else scale.copy()
    concentration = None if concentration is None else concentration.copy()
    discount = None if states.discount is None else states.discount.copy()
    for b in range(len(labels)):
        carried = {} if scale is None else {"covariance_scale": scale[b] * np.eye(1)}
        if concentration is not None:
            carried["concentration"] = float(concentration[b])
        if discount is not None:
            carried["discount"] = float(discount[b])
        chain = chain_class.at(mixture, x, states.labels[b], rng, means=states.means[b], **carried)
        move(chain)
        labels[b], means[b] = chain.labels, chain.means
        if scale is not None:
            scale[b] = chain.covariance_scale[0, 0]
        if concentration is not None:
            concentration[b] = chain.concentration
        if discount is not None:
            discount[b] = chain.discount
    return States(labels, means, scale, concentration, discount)


def state_events(states):
    """Label-invariant bounded functions of states, (B, F)."""
    own = np.take_along_axis(states.means[..., 0], states.labels, axis=1)
    columns = [*pair_indicators(states.labels).T, *np.tanh(own).T]
    columns.append(in_order_of_appearance(states.labels).max(axis=1))
    columns.append(np.tanh(states.means.sum(axis=(1, 2))))
    columns += [
        np.tanh(np.log(v))
        for v in (states.covariance_scale, states.concentration, states.discount)
        if v is not None
    ]
    return np.stack(columns, axis=1).astype(float)
