"""Marginal likelihood of every partition in one dimension when means and variances are independent.

Given its variance, a block's mean is integrated out in closed form; the variance by a trapezoid
rule in its logarithm; a random covariance scale by another. The four structures are one, but that
tied blocks share their variance.
"""

import numpy as np
from scipy.special import gammaln

from tests.exact_blocks import block_subsets, subset_members
from tests.exact_nodes import NEGLIGIBLE, Nodes, gamma_nodes


def log_marginals_on_a_line(x, partitions, mixture, step):
    """Nodes of the covariance scale (S,), and log p(x | partition, scale) at them, (S, P)."""
    scales = scale_nodes(mixture.components, step)
    variances = variance_nodes(scales.values, mixture.components.dof, x, step)
    blocks = block_subsets(partitions)
    log_subsets = log_subsets_given_variance(x[:, 0], mixture.components, variances)  # (V, 2**n)
    log_weights = (
        log_inverse_gamma(variances, mixture.components.dof, scales.values)
        + np.log(variances)
        + np.log(step)
    )
    if mixture.covariance_type == "tied":
        together = sum(log_subsets[:, blocks[:, b]] for b in range(x.shape[0]))
        return scales, _log_matmul(log_weights, together)
    return scales, _log_matmul(log_weights, log_subsets)[:, blocks].sum(axis=-1)


def scale_nodes(prior, step):
    """The stated scale, or nodes for its prior."""
    if prior.scale_hyperprior is None:
        return Nodes(np.asarray(prior.covariance_scale)[0], np.zeros(1))
    hyperprior = prior.scale_hyperprior
    one = hyperprior._replace(rate=hyperprior.rate[0])
    return gamma_nodes(one, step, hyperprior.floor[0])


def variance_nodes(scales, dof, x, step):
    """Variances (V,) that reach over IG(dof/2, s/2) for every scale s, and over the rows' own."""
    shape = dof / 2
    lowest = np.log(scales.min() / 2 / (shape + 3 * NEGLIGIBLE))
    highest = np.log(scales.max() / 2 + np.ptp(x) ** 2) + NEGLIGIBLE / shape
    return np.exp(np.arange(lowest, highest, step))


def log_inverse_gamma(variances, dof, scales):
    """Log density of IG(dof/2, s/2) for scales (S,) at variances (V,): (S, V)."""
    shape, rate = dof / 2, scales[:, None] / 2
    return (
        shape * np.log(rate) - gammaln(shape) - (shape + 1) * np.log(variances) - rate / variances
    )


def log_subsets_given_variance(x, prior, variances):
    """Log density of every subset of the rows at every variance, its mean integrated out."""
    member = subset_members(len(x)).astype(float)
    sizes = member.sum(axis=1)
    center = member @ x / np.maximum(sizes, 1)
    within = (member * (x - center[:, None]) ** 2).sum(axis=1)
    v = variances[:, None]
    of_mean = v + sizes * prior.mean_covariance[0][0]
    square = within / v + sizes * (center - prior.mean[0]) ** 2 / of_mean
    log_determinant = (sizes - 1) * np.log(v) + np.log(of_mean)
    return -0.5 * (sizes * np.log(2 * np.pi) + log_determinant + square)


def _log_matmul(left, right):
    """Log of exp(left) @ exp(right), safe against overflow."""
    top_left = left.max(axis=1, keepdims=True)
    top_right = right.max(axis=0, keepdims=True)
    with np.errstate(divide="ignore"):
        log = np.log(np.exp(left - top_left) @ np.exp(right - top_right))
    return log + top_left + top_right
