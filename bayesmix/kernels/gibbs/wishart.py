r"""Conditionals of covariance matrices, full and tied.

Given the rows of its components, a covariance has an inverse Wishart law of scale
:math:`\Psi`, S plus their scatter. With :math:`\Psi = U U^\top`, U upper triangular, the factor of
its precision is :math:`l = U^{-\top} A`, A from Bartlett's decomposition.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bayesmix.kernels.blocks import compiled
from bayesmix.kernels.gibbs.variates import chi
from bayesmix.kernels.triangles import gram, inverse, solve, solve_transposed, upper_root

__all__ = [
    "color",
    "draw_covariances",
    "log_marginal",
    "posterior_scale",
    "precision",
    "precision_diagonal",
    "write_covariances",
]


@compiled
def _factors(point: Any) -> Any:
    """(K, D, D), or (1, D, D) if tied."""
    d = point.means.shape[1]
    return point.factor.reshape(-1, d, d)


@compiled
def posterior_scale(point: Any, sums: Any, prior: Any, scale: Any, g: int, out: Any) -> float:
    """Write S plus the scatter of group g, lower triangle; return its number of rows."""
    n_groups = len(sums.second)
    d = len(scale)
    for i in range(d):
        for j in range(i + 1):
            out[i, j] = scale[i, j] + sums.second[g, i, j]
    rows = 0.0
    for k in range(len(sums.sizes)):
        n = sums.sizes[k]
        if n > 0 and (n_groups == 1 or k == g):
            rows += n
            if prior.conjugate:
                pull = prior.mean_precision * n / (prior.mean_precision + n)
                for i in range(d):
                    a = sums.first[k, i]
                    e = point.means[k, i] + a / n - prior.mean[i]
                    for j in range(i + 1):
                        b = sums.first[k, j]
                        f = point.means[k, j] + b / n - prior.mean[j]
                        out[i, j] += pull * e * f - a * b / n
    return rows


@compiled
def draw_covariances(
    point: Any, sums: Any, prior: Any, dof: float, scale: Any, generator: Any
) -> None:
    """Draw the factors of the precisions given labels and, if not conjugate, means."""
    factors = _factors(point)
    d = len(scale)
    root, bartlett = np.zeros((d, d)), np.zeros((d, d))
    for g in range(len(factors)):
        rows = posterior_scale(point, sums, prior, scale, g, root)
        upper_root(root)
        for i in range(d):
            bartlett[i, i] = chi(generator, dof + rows - i)
            for j in range(i):
                bartlett[i, j] = generator.standard_normal()
        for j in range(d):
            column = factors[g, :, j]
            for i in range(d):
                column[i] = bartlett[i, j] if i >= j else 0.0
            solve(root, column)


@compiled
def log_marginal(point: Any, sums: Any, prior: Any, dof: float, scale: Any) -> float:
    """Log density of the rows, covariances (and conjugate means) integrated out.

    Up to a constant for the number of rows, and to the ratio of the conjugate means' precisions.
    """
    d = len(scale)
    root = np.zeros((d, d))
    for i in range(d):
        for j in range(i + 1):
            root[i, j] = scale[i, j]
    upper_root(root)
    before = 0.0
    for i in range(d):
        before += dof * math.log(root[i, i]) - math.lgamma((dof - i) / 2)
    found = 0.0
    for g in range(len(sums.second)):
        rows = posterior_scale(point, sums, prior, scale, g, root)
        upper_root(root)
        found += before
        for i in range(d):
            found += math.lgamma((dof + rows - i) / 2) - (dof + rows) * math.log(root[i, i])
    return found


@compiled
def color(point: Any, k: int, out: Any) -> None:
    """Give standard normal numbers the covariance of component k."""
    factors = _factors(point)
    solve_transposed(factors[min(k, len(factors) - 1)], out)


@compiled
def precision(point: Any, k: int, out: Any) -> None:
    """Write the precision of component k, (D, D)."""
    factors = _factors(point)
    factor = factors[min(k, len(factors) - 1)]
    for i in range(len(out)):
        for j in range(i + 1):
            found = 0.0
            for r in range(j + 1):
                found += factor[i, r] * factor[j, r]
            out[i, j] = out[j, i] = found


@compiled
def precision_diagonal(point: Any, width: int) -> Any:
    """Diagonals of the precisions, summed over the covariances, (width,)."""
    factors = _factors(point)
    out = np.zeros(width)
    for g in range(len(factors)):
        for i in range(width):
            for j in range(i + 1):
                out[i] += factors[g, i, j] * factors[g, i, j]
    return out


@compiled
def write_covariances(point: Any, out: Any) -> None:
    """Write the covariances, (G, D, D)."""
    factors = _factors(point)
    work = np.empty((factors.shape[1], factors.shape[1]))
    for g in range(len(factors)):
        inverse(factors[g], work)
        gram(work, out[g])
