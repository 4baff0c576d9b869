"""Exact answers by enumeration: every labeling of a few rows, parameters integrated out.

Conjugate priors give p(x, z) in closed form; summing over all K**n labelings gives any posterior
probability of the labels without a sampler.
"""

from itertools import product

import numpy as np
from scipy.special import gammaln, logsumexp, multigammaln


def log_marginal(x, labels, prior, covariance_type):
    """Closed form of log p(x | labels) under a NormalInverseWishart prior."""
    n, d = x.shape
    kappa, nu, m = prior.mean_precision, prior.dof, np.asarray(prior.mean)
    scale = np.asarray(prior.covariance_scale)
    groups = [x[labels == k] for k in np.unique(labels)]
    sizes = np.array([len(group) for group in groups])
    scatters = []
    for group in groups:
        delta, shift = group - group.mean(axis=0), group.mean(axis=0) - m
        pull = kappa * len(group) / (kappa + len(group))
        scatters.append(delta.T @ delta + pull * np.outer(shift, shift))
    total = 0.5 * d * np.log(kappa / (kappa + sizes)).sum() - 0.5 * n * d * np.log(np.pi)
    if covariance_type == "tied":
        return total + _inverse_wishart_ratio(nu, scale, n, sum(scatters))
    for size, scatter in zip(sizes, scatters, strict=True):
        if covariance_type == "full":
            total += _inverse_wishart_ratio(nu, scale, size, scatter)
        else:
            total += _inverse_gamma_ratio(nu, scale, size, scatter, covariance_type)
    return total


def _inverse_wishart_ratio(nu, scale, n, scatter):
    d = len(scale)
    return (
        multigammaln((nu + n) / 2, d)
        - multigammaln(nu / 2, d)
        + nu / 2 * np.linalg.slogdet(scale)[1]
        - (nu + n) / 2 * np.linalg.slogdet(scale + scatter)[1]
    )


def _inverse_gamma_ratio(nu, scale, n, scatter, covariance_type):
    d = len(scale)
    shape = (nu - d + 1) / 2
    if covariance_type == "diag":
        before, after, counts = np.diag(scale), np.diag(scale + scatter), np.full(d, n)
    else:
        before = np.array([np.trace(scale) / d])
        after, counts = before + np.trace(scatter), np.array([n * d])
    return (
        gammaln(shape + counts / 2)
        - gammaln(shape)
        + shape * np.log(before)
        - (shape + counts / 2) * np.log(after)
    ).sum()


def log_labels(labels, concentrations):
    """Dirichlet-multinomial log probability of a labeling."""
    counts = np.bincount(labels, minlength=len(concentrations))
    return (
        gammaln(concentrations.sum())
        - gammaln(concentrations.sum() + len(labels))
        + (gammaln(concentrations + counts) - gammaln(concentrations)).sum()
    )


def labelings(x, mixture):
    """Every labeling (L, n) with its posterior probability (L,)."""
    k = mixture.n_components
    every = np.array(list(product(range(k), repeat=len(x))))
    log_joint = np.array(
        [
            log_labels(z, mixture.weights.concentrations)
            + log_marginal(x, z, mixture.components, mixture.covariance_type)
            for z in every
        ]
    )
    return every, np.exp(log_joint - logsumexp(log_joint))


def pair_indicators(labels):
    """Whether rows i < j share a label, (..., n(n-1)/2)."""
    first, second = np.triu_indices(labels.shape[-1], 1)
    return labels[..., first] == labels[..., second]
