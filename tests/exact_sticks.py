"""Exact probabilities of labelings and partitions whose weights break a stick.

Truncated at T, given concentration and discount: w_k = v_k prod_{l<k} (1 - v_l) makes the
expectation of a product of powers of the weights one of independent betas,

    E prod_k w_k^n_k = prod_{k<T} B(a_k + n_k, b_k + n_{k+1} + ... + n_T) / B(a_k, b_k).

Infinite: the exchangeable partition probability of Pitman (1995).
"""

from itertools import permutations, product
from typing import NamedTuple

import numpy as np
from scipy.special import betaln, gammaln, logsumexp

import bayesmix as bm
from tests.exact_counts import distinct_sizes
from tests.exact_nodes import Nodes, beta_nodes, gamma_nodes


class HyperNodes(NamedTuple):
    """Nodes (C,) of concentration and discount together; NaN where the prior states them."""

    concentration: np.ndarray
    discount: np.ndarray
    log_weights: np.ndarray


def hyper_nodes(weights, step):
    """Nodes for what is random in the prior of the weights: one, a line or a grid."""
    stated = Nodes(np.array([np.nan]), np.zeros(1))
    first, second = weights.random_concentration, weights.random_discount
    first = stated if first is None else gamma_nodes(first, step)
    second = stated if second is None else beta_nodes(second, step)
    return HyperNodes(
        *(grid.ravel() for grid in np.meshgrid(first.values, second.values, indexing="ij")),
        np.add.outer(first.log_weights, second.log_weights).ravel(),
    )


def log_counts(counts, weights, nodes):
    """Log expectation of prod w_k^n_k for counts (M, T) at the nodes, (C, M)."""
    concentration, discount = _given(weights, nodes)
    counts = np.asarray(counts)
    after = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1] - counts
    log = np.zeros((len(concentration), len(counts)))
    for k in range(weights.truncation - 1):
        a, b = 1 - discount[:, None], concentration[:, None] + (k + 1) * discount[:, None]
        log += betaln(a + counts[:, k], b + after[:, k]) - betaln(a, b)
    return log


def log_stick_labelings(n, weights, step):
    """Every labeling (T**n, n) with its log probability, (T**n,)."""
    t = weights.truncation
    every = np.array(list(product(range(t), repeat=n)))
    counts = (every[:, :, None] == np.arange(t)).sum(axis=1)
    distinct, inverse = np.unique(counts, axis=0, return_inverse=True)
    nodes = hyper_nodes(weights, step)
    log = logsumexp(log_counts(distinct, weights, nodes) + nodes.log_weights[:, None], axis=0)
    return every, log[inverse.ravel()]


def log_stick_partitions(partitions, weights, nodes):
    """Log probability of every partition before the data, at the nodes, (C, P)."""
    distinct, inverse = distinct_sizes(partitions)
    own = _log_infinite if weights.truncation is None else _log_truncated
    return np.stack([own(s[s > 0], weights, nodes) for s in distinct], axis=1)[:, inverse]


def _log_truncated(sizes, weights, nodes):
    """Sum over the components that blocks of these sizes may be, (C,)."""
    places = list(permutations(range(weights.truncation), len(sizes)))
    if not places:
        return np.full(len(nodes.log_weights), -np.inf)
    counts = np.zeros((len(places), weights.truncation), int)
    np.put_along_axis(counts, np.array(places), sizes, axis=1)
    distinct, ways = np.unique(counts, axis=0, return_counts=True)
    return logsumexp(log_counts(distinct, weights, nodes), axis=1, b=ways)


def _log_infinite(sizes, weights, nodes):
    concentration, discount = _given(weights, nodes)
    founded = np.arange(1, len(sizes))
    log = np.log(concentration[:, None] + founded * discount[:, None]).sum(axis=1)
    log += gammaln(concentration + 1) - gammaln(concentration + sizes.sum())
    return log + (gammaln(sizes - discount[:, None]) - gammaln(1 - discount[:, None])).sum(axis=1)


def _given(weights, nodes):
    random = weights.random_concentration is not None, weights.random_discount is not None
    size = len(nodes.log_weights)
    return (
        nodes.concentration if random[0] else np.full(size, weights.concentration),
        nodes.discount if random[1] else np.full(size, weights.discount),
    )


def is_sticks(weights):
    """Whether a prior of weights breaks a stick."""
    return isinstance(weights, bm.DirichletProcess | bm.PitmanYor)
