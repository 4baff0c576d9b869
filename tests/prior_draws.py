"""Draws from the whole model, prior to rows, in NumPy and SciPy alone: independent of the package.

Every draw is made from the table in ``docs/notation.md``; a leading axis B counts the draws.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincc, gammainccinv

import bayesmix as bm
from tests.exact_counts import numbers_of_components


@dataclass
class Points:
    """B points of the model with the labels and rows drawn at them; None where stated."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    """Dense, (B, K, D, D)"""
    covariance_scale: np.ndarray | None
    """(B, D, D)"""
    concentration: np.ndarray | None
    """(B,)"""
    labels: np.ndarray
    """(B, n)"""
    x: np.ndarray
    """(B, n, D)"""
    discount: np.ndarray | None = None
    """(B,)"""

    def row(self, b):
        """One point, as batch of one."""
        return Points(*(None if v is None else v[b : b + 1] for v in vars(self).values()))

    @staticmethod
    def stack(points):
        """Join batches."""
        columns = zip(*(vars(p).values() for p in points), strict=True)
        return Points(*(None if c[0] is None else np.concatenate(c) for c in columns))


def draw(mixture, n, size, rng):
    """Draw ``size`` points with n rows each."""
    prior, k = mixture.components, mixture.n_components
    d = prior.n_features
    weights, concentration, discount = draw_weights(mixture.weights, size, rng)
    scale = draw_scale(mixture, size, rng)
    stated = np.asarray(prior.covariance_scale) if scale is None else scale
    covariances = draw_covariances(mixture, stated, size, rng)
    if isinstance(prior, bm.NormalInverseWishart):
        root = np.linalg.cholesky(covariances / prior.mean_precision)
    else:
        root = np.linalg.cholesky(np.asarray(prior.mean_covariance))
    means = np.asarray(prior.mean) + (root @ rng.normal(size=(size, k, d, 1)))[..., 0]
    labels = categorical(np.repeat(weights[:, None], n, axis=1), rng)
    x = draw_rows(means, covariances, labels, rng)
    return Points(weights, means, covariances, scale, concentration, labels, x, discount)


def draw_rows(means, covariances, labels, rng):
    """Draw rows (B, n, D) given their labels."""
    b = np.arange(len(labels))[:, None]
    root = np.linalg.cholesky(covariances)[b, labels]
    return means[b, labels] + (root @ rng.normal(size=(*labels.shape, means.shape[-1], 1)))[..., 0]


def draw_weights(prior, size, rng):
    """Weights (B, K); concentration (B,) and discount (B,) where they are random."""
    k, alpha, d = prior.n_components, prior.random_concentration, prior.random_discount
    concentration = None if alpha is None else rng.gamma(alpha.shape, 1 / alpha.rate, size)
    discount = None if d is None else rng.beta(d.a, d.b, size)
    if not isinstance(prior, bm.Dirichlet):
        first = prior.concentration if concentration is None else concentration
        second = prior.discount if discount is None else discount
        return sticks(first, second, (size, k), rng), concentration, discount
    if concentration is None:
        return dirichlet(np.broadcast_to(prior.concentrations, (size, k)), rng), None, None
    return dirichlet(np.repeat(concentration[:, None], k, axis=1), rng), concentration, None


def draw_finite_mixtures(prior, size, rng):
    """Weights (B, largest K), zeros beyond each K; concentration (B,); K (B,)."""
    k = draw_numbers_of_components(prior.n_components, size, rng)
    gamma = prior.random_concentration
    if gamma is None:
        concentration = np.full(size, prior.concentration)
    else:
        concentration = rng.gamma(gamma.shape, 1 / gamma.rate, size)
    each = concentration / k if prior.dynamic else concentration
    weights = np.zeros((size, k.max()))
    for count in np.unique(k):
        rows = k == count
        weights[rows, :count] = dirichlet(np.repeat(each[rows, None], count, axis=1), rng)
    return weights, concentration, k


def draw_numbers_of_components(prior, size, rng):
    """Draw K (B,), for as many as 1,000 rows."""
    k = numbers_of_components(prior, 1000)
    p = np.exp(prior.log_pmf(k))
    return rng.choice(k, p=p / p.sum(), size=size)


def sticks(concentration, discount, shape, rng):
    """Draw weights (B, T) by breaking a stick, the last piece what is left."""
    left, pieces = np.ones(shape[0]), []
    for k in range(1, shape[1]):
        v = rng.beta(1 - discount, concentration + k * discount, shape[0])
        pieces.append(left * v)
        left = left * (1 - v)
    return np.stack([*pieces, left], axis=1)


def dirichlet(concentrations, rng):
    """Draw weights (B, K); gammas in logarithms, since those of small shape underflow."""
    log = np.log(rng.gamma(concentrations + 1)) - rng.exponential(size=concentrations.shape) / (
        concentrations
    )
    weights = np.exp(log - log.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def draw_scale(mixture, size, rng):
    """Random covariance scales (B, D, D), or None."""
    hyperprior, d = mixture.components.scale_hyperprior, mixture.components.n_features
    if hyperprior is None:
        return None
    rate, floor = np.asarray(hyperprior.rate), np.asarray(hyperprior.floor)
    if mixture.covariance_type == "spherical":
        rate, floor = np.array([1 / np.mean(1 / rate)]), np.array([floor.mean()])
    s = truncated_gamma(np.full((size, len(rate)), hyperprior.shape), rate, floor, rng)
    return s[..., None] * np.eye(d)


def truncated_gamma(shape, rate, floor, rng):
    """Gamma(shape, rate) on values of at least a floor, by the inverse of its upper tail."""
    tail = gammaincc(shape, rate * floor) * rng.uniform(size=shape.shape)
    return np.maximum(gammainccinv(shape, tail) / rate, floor)


def draw_covariances(mixture, scale, size, rng):
    """Dense covariances (B, K, D, D) given the scale (D, D) or (B, D, D)."""
    prior, k = mixture.components, mixture.n_components
    d = prior.n_features
    scale = np.broadcast_to(scale, (size, d, d))
    shape = (prior.dof - d + 1) / 2
    match mixture.covariance_type:
        case "full":
            repeated = np.repeat(scale[:, None], k, axis=1)
            return inverse_wishart(np.full((size, k), prior.dof), repeated, rng)
        case "tied":
            one = inverse_wishart(np.full(size, prior.dof), scale, rng)
            return np.repeat(one[:, None], k, axis=1)
        case "diag":
            numerator = np.diagonal(scale, axis1=-2, axis2=-1)[:, None]
        case "spherical":
            numerator = np.trace(scale, axis1=-2, axis2=-1)[:, None, None] / d
    each = d if mixture.covariance_type == "diag" else 1
    variances = numerator / 2 / rng.gamma(shape, size=(size, k, each))
    return variances[..., None] * np.eye(d)


def inverse_wishart(dof, scale, rng):
    """Draw from IW(dof, scale) for dof (...) and scale (..., D, D), by Bartlett's factor."""
    d = scale.shape[-1]
    factor = np.tril(rng.normal(size=scale.shape), -1)
    i = np.arange(d)
    factor[..., i, i] = np.sqrt(rng.chisquare(np.asarray(dof)[..., None] - i))
    # Precision = C A (C A)' with C C' = scale^-1, hence covariance = B B' with B' = (C A)^-1.
    root = np.linalg.solve(factor, np.swapaxes(np.linalg.cholesky(scale), -1, -2))
    return np.swapaxes(root, -1, -2) @ root


def categorical(probability, rng):
    """Draw one of K for every row of probability (..., K), which need not be normalized."""
    cumulative = np.cumsum(probability, axis=-1)
    u = rng.uniform(size=probability.shape[:-1]) * cumulative[..., -1]
    return (u[..., None] >= cumulative[..., :-1]).sum(axis=-1)
