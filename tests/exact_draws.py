"""Independent draws from the exact posterior of a few rows on a line, as a tree: no sampler.

NormalInverseWishart, concentration and discount stated; K of a mixture of finite mixtures random.
"""

import numpy as np
from scipy.special import gammaln

import bayesmix as bm
from bayesmix import schema
from bayesmix.inputs import as_table
from tests.exact_partitions import exact_posterior


def exact_tree(x, mixture, draws, seed=0):
    """Draw partitions by their exact probabilities, then K, weights and parameters given them."""
    rng = np.random.default_rng(seed)
    exact = exact_posterior(x, mixture)
    which = rng.choice(len(exact.partitions), size=draws, p=exact.probability)
    label = exact.partitions[which]
    n_clusters = label.max(axis=1) + 1
    discount, strength, n_components = law(mixture.weights, label, rng)
    sizes = (label[:, :, None] == np.arange(n_clusters.max())).sum(axis=1)
    weights = cluster_weights(sizes, discount, strength, n_clusters, rng)
    means, variances = cluster_parameters(x[:, 0], label, sizes, mixture.components, rng)
    table = as_table(x)
    groups = {
        "posterior": schema.varying_posterior(
            n_clusters[None], table.features, n_components=n_components
        ),
        "components": schema.components(
            weights[None], means[None, ..., None], variances[None, ..., None, None], table.features
        ),
        "observed_data": schema.observed_data(table),
    }
    return schema.root(groups, mixture, seed, 1.0)


def law(weights, label, rng):
    """Discount and strength at every draw, and K (1, S) where it has a prior."""
    s = len(label)
    if not isinstance(weights, bm.MixtureOfFiniteMixtures):
        return (
            np.full(s, getattr(weights, "discount", 0.0)),
            np.full(s, weights.concentration),
            None,
        )
    k = np.arange(1, 200)
    each = weights.concentration / k if weights.dynamic else np.full(len(k), weights.concentration)
    n, found = label.shape[1], np.empty(s, int)
    for s, own in enumerate(label):
        sizes = np.bincount(own)
        t = len(sizes)
        with np.errstate(divide="ignore"):
            log = weights.n_components.log_pmf(k) + gammaln(k + 1)
        log = log - np.where(k < t, np.inf, gammaln(np.maximum(k - t, 0) + 1))
        log = log + gammaln(k * each) - gammaln(k * each + n)
        log = log + (gammaln(each[:, None] + sizes) - gammaln(each)[:, None]).sum(axis=1)
        p = np.exp(log - log.max())
        found[s] = rng.choice(k, p=p / p.sum())
    gamma = each[found - 1]
    return -gamma, found * gamma, found[None]


def cluster_weights(sizes, discount, strength, n_clusters, rng):
    """Weights (S, width), NaN after a draw's last: Dirichlet(n_1 - d, ..., n_t - d, rest)."""
    shape = np.where(sizes > 0, sizes - discount[:, None], 0.0)
    rest = np.maximum(strength + n_clusters * discount, 0.0)
    gammas = rng.gamma(np.column_stack([shape, np.where(rest < 1e-9, 0.0, rest)]))
    return np.where(sizes > 0, (gammas / gammas.sum(axis=1, keepdims=True))[:, :-1], np.nan)


def cluster_parameters(x, label, sizes, prior, rng):
    """Means and variances (S, width), each cluster's from its conjugate posterior."""
    kappa, nu = prior.mean_precision, prior.dof
    m, scale = prior.mean[0], prior.covariance_scale[0][0]
    own = label[:, :, None] == np.arange(sizes.shape[1])
    n = np.maximum(sizes, 1)
    center = (own * x[:, None]).sum(axis=1) / n
    within = (own * np.square(x[:, None] - center[:, None])).sum(axis=1)
    after = scale + within + kappa * n / (kappa + n) * np.square(center - m)
    variances = after / rng.chisquare(nu + n)
    middle = (kappa * m + n * center) / (kappa + n)
    means = middle + np.sqrt(variances / (kappa + n)) * rng.standard_normal(n.shape)
    return np.where(sizes > 0, means, np.nan), np.where(sizes > 0, variances, np.nan)
