"""Conditionals of variances, diag and spherical: as many per component as S has free numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bayesmix.kernels.blocks import compiled

__all__ = [
    "color",
    "draw_covariances",
    "log_marginal",
    "precision",
    "precision_diagonal",
    "write_covariances",
]


@compiled
def _prior_rates(scale: Any, width: int) -> Any:
    """Half the diagonal of S, or half its mean."""
    d = len(scale)
    out = np.zeros(width)
    for j in range(d):
        out[j % width] += scale[j, j] * width / (2 * d)
    return out


@compiled
def _rates(point: Any, sums: Any, prior: Any, before: Any, k: int) -> Any:
    """Rates of component k's inverse gamma laws given its rows."""
    d, width = point.means.shape[1], sums.second.shape[1]
    out, n = before.copy(), sums.sizes[k]
    if n == 0:
        return out
    for j in range(width):
        out[j] += sums.second[k, j] / 2
    if prior.conjugate:
        pull = prior.mean_precision * n / (prior.mean_precision + n)
        for j in range(d):
            a = sums.first[k, j]
            e = point.means[k, j] + a / n - prior.mean[j]
            out[j % width] += (pull * e * e - a * a / n) / 2
    return out


@compiled
def draw_covariances(
    point: Any, sums: Any, prior: Any, dof: float, scale: Any, generator: Any
) -> None:
    """Draw the reciprocal standard deviations given labels and, if not conjugate, means."""
    k, d = point.means.shape
    width = sums.second.shape[1]
    before = _prior_rates(scale, width)
    for c in range(k):
        rates = _rates(point, sums, prior, before, c)
        shape = (dof - d + 1 + sums.sizes[c] * (d // width)) / 2
        for j in range(width):
            point.factor[c, j] = math.sqrt(generator.standard_gamma(shape) / rates[j])
        for j in range(width, d):
            point.factor[c, j] = point.factor[c, 0]


@compiled
def log_marginal(point: Any, sums: Any, prior: Any, dof: float, scale: Any) -> float:
    """Log density of the rows, covariances (and conjugate means) integrated out.

    Up to a constant for the number of rows, and to the ratio of the conjugate means' precisions.
    """
    k, d = point.means.shape
    width = sums.second.shape[1]
    before = _prior_rates(scale, width)
    shape = (dof - d + 1) / 2
    found = 0.0
    for c in range(k):
        rates = _rates(point, sums, prior, before, c)
        after = shape + sums.sizes[c] * (d // width) / 2
        for j in range(width):
            found += math.lgamma(after) - after * math.log(rates[j])
            found += shape * math.log(before[j]) - math.lgamma(shape)
    return found


@compiled
def color(point: Any, k: int, out: Any) -> None:
    """Give standard normal numbers the covariance of component k."""
    for j in range(len(out)):
        out[j] /= point.factor[k, j]


@compiled
def precision(point: Any, k: int, out: Any) -> None:
    """Write the precision of component k, (D, D)."""
    out[:] = 0.0
    for j in range(len(out)):
        out[j, j] = point.factor[k, j] * point.factor[k, j]


@compiled
def precision_diagonal(point: Any, width: int) -> Any:
    """Precisions, summed over the covariances, (width,)."""
    out = np.zeros(width)
    for k in range(len(point.factor)):
        for j in range(width):
            out[j] += point.factor[k, j] * point.factor[k, j]
    return out


@compiled
def write_covariances(point: Any, out: Any) -> None:
    """Write the variances, (K, D) or (K, 1)."""
    for k in range(len(out)):
        for j in range(out.shape[1]):
            out[k, j] = 1 / (point.factor[k, j] * point.factor[k, j])
