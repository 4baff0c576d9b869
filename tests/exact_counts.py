"""Exact probabilities of partitions under a mixture of finite mixtures, jointly with K.

Given K and the concentration g of every component, blocks of sizes n_1, ..., n_t have

    p = K!/(K - t)! Gamma(K g)/Gamma(K g + n) prod_j Gamma(g + n_j)/Gamma(g).
"""

import numpy as np
from scipy.special import gammaln, logsumexp


def log_count_partitions(partitions, weights, nodes):
    """Log probability of every partition before the data, K summed out, (C, P)."""
    sizes, inverse = distinct_sizes(partitions)
    logs = [logsumexp(log, axis=1) for log in log_joint_with_k(sizes, weights, nodes)]
    return np.stack(logs, axis=1)[:, inverse]


def p_n_components(partitions, log_likelihood, weights, nodes):
    """Posterior P(K = 1), P(K = 2), ... given the log likelihood (P,) of every partition."""
    sizes, inverse = distinct_sizes(partitions)
    with np.errstate(divide="ignore"):
        total = np.log(np.bincount(inverse, np.exp(log_likelihood - log_likelihood.max())))
    joint = [
        logsumexp(log + nodes.log_weights[:, None] + of_sizes, axis=0)
        for log, of_sizes in zip(log_joint_with_k(sizes, weights, nodes), total, strict=True)
    ]
    log = logsumexp(joint, axis=0)
    return np.exp(log - logsumexp(log))


def distinct_sizes(partitions):
    """Sizes of the blocks, decreasing and padded with zeros, (M, n), and whose they are, (P,)."""
    sizes = -np.sort(-(partitions[:, :, None] == np.arange(partitions.shape[1])).sum(axis=1))
    distinct, inverse = np.unique(sizes, axis=0, return_inverse=True)
    return distinct, inverse.ravel()


def log_joint_with_k(sizes, weights, nodes):
    """Log probability of K with blocks of these sizes, (C, K) for each row of sizes."""
    k = numbers_of_components(weights.n_components, sizes.sum(axis=1).max())
    log_k = weights.n_components.log_pmf(k)
    concentration = nodes.concentration[:, None]
    if weights.random_concentration is None:
        concentration = np.full_like(concentration, weights.concentration)
    each = concentration / k if weights.dynamic else np.repeat(concentration, len(k), axis=1)
    n = sizes.sum(axis=1).max()
    log_all = gammaln(k * each) - gammaln(k * each + n)
    rising = {s: gammaln(each + s) - gammaln(each) for s in np.unique(sizes[sizes > 0])}
    for row in sizes:
        t = (row > 0).sum()
        log_names = gammaln(k + 1) - np.where(k < t, np.inf, gammaln(np.maximum(k - t, 0) + 1))
        yield log_k + log_names + log_all + sum(rising[s] for s in row[row > 0])


def numbers_of_components(prior, n):
    """All that can matter among n rows: to where hardly a prior probability is left, and beyond."""
    return np.arange(1, max(prior.support(), n + 64) + 1)
