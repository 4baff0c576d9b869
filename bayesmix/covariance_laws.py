r"""Laws of one covariance: inverse Wishart of matrices, inverse gamma of variances.

Both are exponential families in the precision P: with the factor l of P and a scale S

.. math:: \log p = c(\nu, S) + m(\nu) \sum_i \log l_{ii} - \tfrac12 \langle S, P \rangle,

where c is the log of the norm. Batch axes come first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = [
    "draw_inverse_wishart",
    "log_inverse_gamma",
    "log_inverse_wishart",
    "log_norm_inverse_gamma",
    "log_norm_inverse_wishart",
]


def log_norm_inverse_wishart(dof: Floats | float, root: Floats) -> Floats:
    """Log norm of IW(dof, S), (...,), from the lower Cholesky factor of S."""
    from scipy.special import multigammaln

    d = root.shape[-1]
    log_root = np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)
    half = np.asarray(dof) / 2
    norm: Floats = 2 * half * log_root - half * d * np.log(2) - multigammaln(half, d)
    return norm


def log_inverse_wishart(factor: Floats, dof: Floats | float, scale: Floats) -> Floats:
    """Log density of Σ ~ IW(dof, S) on the lower triangle of Σ, (...,), from Σ's precision."""
    root = np.linalg.cholesky(scale)
    logs = np.log(np.diagonal(factor, axis1=-2, axis2=-1)).sum(axis=-1)
    trace = np.square(np.swapaxes(factor, -1, -2) @ root).sum(axis=(-2, -1))
    norm = log_norm_inverse_wishart(dof, root)
    return norm + (dof + scale.shape[-1] + 1) * logs - 0.5 * trace


def draw_inverse_wishart(
    generator: np.random.Generator, dof: Floats | float, scale: Floats
) -> Floats:
    """Draw Σ ~ IW(dof, S) for scales (..., D, D), by Bartlett's factor of the precision."""
    d = scale.shape[-1]
    factor = np.tril(generator.standard_normal(scale.shape), -1)
    i = np.arange(d)
    each = np.asarray(dof)[..., None] - i
    factor[..., i, i] = np.sqrt(generator.chisquare(each, scale.shape[:-1]))
    root = np.linalg.solve(factor, np.swapaxes(np.linalg.cholesky(scale), -1, -2))
    return np.swapaxes(root, -1, -2) @ root


def log_norm_inverse_gamma(shape: Floats | float, rate: Floats) -> Floats:
    """Log norm of IG(shape, rate), elementwise."""
    from scipy.special import gammaln

    norm: Floats = shape * np.log(rate) - gammaln(shape)
    return norm


def log_inverse_gamma(factor: Floats, shape: Floats | float, rate: Floats) -> Floats:
    """Log density of σ² ~ IG(shape, rate), elementwise, from 1/σ."""
    norm = log_norm_inverse_gamma(shape, rate)
    return norm + 2 * (shape + 1) * np.log(factor) - rate * np.square(factor)
