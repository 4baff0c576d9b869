"""The exact posterior over the set partitions of a few rows, parameters integrated out.

A partition is a row of labels in order of appearance: 0 first, then the smallest number not yet
used. Its posterior is a prior (over the nodes of a quadrature where concentration or discount are
random) times a marginal likelihood (over the nodes of another where the covariance scale is).
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from scipy.special import gammaln, logsumexp

import bayesmix as bm
from tests.exact import log_labels, pair_indicators
from tests.exact_blocks import log_marginals
from tests.exact_counts import log_count_partitions, p_n_components
from tests.exact_line import log_marginals_on_a_line
from tests.exact_nodes import Nodes
from tests.exact_sticks import (
    HyperNodes,
    hyper_nodes,
    is_sticks,
    log_stick_labelings,
    log_stick_partitions,
)


@dataclass(frozen=True)
class ExactPosterior:
    """Exact posterior of P partitions; C nodes of concentration and discount, S of the scale.

    What is stated has one node. Quadrature weights are in the logarithms.
    """

    mixture: bm.Mixture
    partitions: np.ndarray
    """(P, n)"""
    log_prior: np.ndarray
    """(C, P)"""
    log_likelihood: np.ndarray
    """(S, P)"""
    concentration: np.ndarray
    """(C,)"""
    discount: np.ndarray
    """(C,)"""
    covariance_scale: np.ndarray
    """(S,)"""
    nodes: HyperNodes
    """Of concentration and discount, (C,)."""

    @cached_property
    def log_joint(self):
        """Of every partition with the rows, (P,)."""
        return logsumexp(self.log_prior, axis=0) + logsumexp(self.log_likelihood, axis=0)

    @property
    def log_evidence(self):
        return logsumexp(self.log_joint)

    @cached_property
    def probability(self):
        """Of every partition, (P,)."""
        return np.exp(self.log_joint - self.log_evidence)

    @cached_property
    def n_clusters(self):
        """Of every partition, (P,)."""
        return self.partitions.max(axis=1) + 1

    @property
    def p_n_clusters(self):
        """P(K+ = 1), P(K+ = 2), ..., P(K+ = K); where K is not fixed, up to the rows."""
        n = self.partitions.shape[1]
        k = n if self.mixture.varying else self.mixture.n_components
        return np.bincount(self.n_clusters, self.probability, minlength=k + 1)[1 : k + 1]

    @property
    def p_n_components(self):
        """P(K = 1), P(K = 2), ... under a mixture of finite mixtures."""
        log_likelihood = logsumexp(self.log_likelihood, axis=0)
        return p_n_components(self.partitions, log_likelihood, self.mixture.weights, self.nodes)

    @property
    def p_pairs(self):
        """Probability that rows i < j share a cluster, (n(n-1)/2,)."""
        return self.probability @ pair_indicators(self.partitions)

    @property
    def p_concentration(self):
        """Posterior probability of every node of concentration and discount, (C,)."""
        log = logsumexp(self.log_prior + logsumexp(self.log_likelihood, axis=0), axis=1)
        return np.exp(log - self.log_evidence)

    @property
    def p_discount(self):
        """The same: their nodes are one grid."""
        return self.p_concentration

    @property
    def p_covariance_scale(self):
        """Posterior probability of every node of the covariance scale, (S,)."""
        log = logsumexp(self.log_likelihood + logsumexp(self.log_prior, axis=0), axis=1)
        return np.exp(log - self.log_evidence)

    @cached_property
    def _codes(self):
        return _code(self.partitions)

    def index(self, labels):
        """Which partition labels (..., n) make, (...)."""
        return np.searchsorted(self._codes, _code(in_order_of_appearance(labels)))


def exact_posterior(x, mixture, *, step=0.25):
    """Enumerate: any structure under NormalInverseWishart, the independent prior in one dimension.

    ``step`` is that of the trapezoid rule in the logarithm (a discount's logit) of what is random;
    it converges exponentially.
    """
    partitions = set_partitions(len(x))
    nodes = hyper_nodes(mixture.weights, step)
    log_prior = log_partition_prior(partitions, mixture.weights, nodes)
    if isinstance(mixture.components, bm.NormalInverseWishart):
        scales = Nodes(np.array([np.nan]), np.zeros(1))
        log_likelihood = log_marginals(x, partitions, mixture)[None]
    else:
        scales, log_likelihood = log_marginals_on_a_line(x, partitions, mixture, step)
    return ExactPosterior(
        mixture,
        partitions,
        log_prior + nodes.log_weights[:, None],
        log_likelihood + scales.log_weights[:, None],
        nodes.concentration,
        nodes.discount,
        scales.values,
        nodes,
    )


def set_partitions(n):
    """Every partition of n rows, (Bell(n), n), in the order of their labels."""
    rows = [[0]]
    for _ in range(n - 1):
        rows = [[*row, label] for row in rows for label in range(max(row) + 2)]
    return np.array(rows)


def in_order_of_appearance(labels):
    """Rename labels (..., n) so that each partition has one name."""
    labels = np.asarray(labels)
    first = np.argmax(labels[..., :, None] == labels[..., None, :], axis=-1)  # of the same label
    opens = first == np.arange(labels.shape[-1])
    return np.take_along_axis(np.cumsum(opens, axis=-1) - 1, first, axis=-1)


def log_partition_prior(partitions, weights, nodes):
    """Log probability of every partition before the data, (C, P), at `HyperNodes`."""
    if is_sticks(weights):
        return log_stick_partitions(partitions, weights, nodes)
    if isinstance(weights, bm.MixtureOfFiniteMixtures):
        return log_count_partitions(partitions, weights, nodes)
    if weights.random_concentration is not None:
        return log_symmetric(partitions, weights.n_components, nodes.concentration)
    if np.ptp(weights.concentrations) == 0:
        return log_symmetric(partitions, weights.n_components, weights.concentrations[:1])
    labels, log_probability = log_prior_of_labelings(partitions.shape[1], weights)
    which = np.searchsorted(_code(partitions), _code(in_order_of_appearance(labels)))
    with np.errstate(divide="ignore"):
        return np.log(np.bincount(which, np.exp(log_probability), len(partitions)))[None]


def log_symmetric(partitions, k, concentration):
    """Exchangeable partition probability of a symmetric Dirichlet, (C, P)."""
    c = np.asarray(concentration)[:, None]
    n = partitions.shape[1]
    occupied = partitions.max(axis=1) + 1
    log = gammaln(k + 1) + gammaln(k * c) - gammaln(k * c + n) - _log_factorial(k - occupied)
    for b in range(n):
        size = (partitions == b).sum(axis=1)
        log = log + np.where(size > 0, gammaln(c + size) - gammaln(c), 0)
    return log


def log_prior_of_labelings(n, weights, step=0.25):
    """Every labeling (K**n, n) with its log probability, what is random in sticks averaged out."""
    if is_sticks(weights):
        return log_stick_labelings(n, weights, step)
    every = np.array(list(product(range(weights.n_components), repeat=n)))
    return every, np.array([log_labels(z, weights.concentrations) for z in every])


def exact_labelings(x, mixture, *, step=0.25):
    """Every labeling (K**n, n) with its posterior probability: which component each block is."""
    found = exact_posterior(x, mixture, step=step)
    labels, log_prior = log_prior_of_labelings(len(x), mixture.weights, step)
    log = log_prior + logsumexp(found.log_likelihood, axis=0)[found.index(labels)]
    return labels, np.exp(log - logsumexp(log))


def _log_factorial(values):
    """Log of a factorial; infinite for negative numbers, which are impossible partitions."""
    return np.where(values < 0, np.inf, gammaln(np.maximum(values, 0) + 1.0))


def _code(labels):
    return labels @ labels.shape[-1] ** np.arange(labels.shape[-1] - 1, -1, -1)
