"""Triangular matrices, small and dense: what EM factorizes and Gibbs sampling draws with.

A matrix that is not positive definite leaves not-a-numbers, which reach the log-likelihood.
"""

from __future__ import annotations

import math
from typing import Any

from bayesmix.kernels.blocks import compiled

__all__ = ["cholesky", "gram", "inverse", "solve", "solve_transposed", "upper_root"]


@compiled
def cholesky(matrix: Any) -> None:
    """Replace the lower triangle by its factor L, matrix = L Lᵀ."""
    d = len(matrix)
    for j in range(d):
        for i in range(j, d):
            found = matrix[i, j]
            for r in range(j):
                found -= matrix[i, r] * matrix[j, r]
            matrix[i, j] = math.sqrt(found) if i == j else found / matrix[j, j]


@compiled
def upper_root(matrix: Any) -> None:
    """Replace the lower triangle by Uᵀ, matrix = U Uᵀ with U upper triangular."""
    d = len(matrix)
    for j in range(d - 1, -1, -1):
        for i in range(j, -1, -1):
            found = matrix[j, i]
            for r in range(j + 1, d):
                found -= matrix[r, i] * matrix[r, j]
            matrix[j, i] = math.sqrt(found) if i == j else found / matrix[j, j]


@compiled
def solve(lower: Any, out: Any) -> None:
    """Replace b by the solution x of L x = b."""
    for i in range(len(out)):
        for j in range(i):
            out[i] -= lower[i, j] * out[j]
        out[i] /= lower[i, i]


@compiled
def solve_transposed(lower: Any, out: Any) -> None:
    """Replace b by the solution x of Lᵀ x = b."""
    d = len(out)
    for i in range(d - 1, -1, -1):
        for j in range(i + 1, d):
            out[i] -= lower[j, i] * out[j]
        out[i] /= lower[i, i]


@compiled
def inverse(lower: Any, out: Any) -> None:
    """Write the inverse of L, lower triangular."""
    d = len(lower)
    out[:] = 0.0
    for j in range(d):
        out[j, j] = 1 / lower[j, j]
        for i in range(j + 1, d):
            found = 0.0
            for r in range(j, i):
                found -= lower[i, r] * out[r, j]
            out[i, j] = found / lower[i, i]


@compiled
def gram(lower: Any, out: Any) -> None:
    """Write Lᵀ L."""
    d = len(lower)
    for i in range(d):
        for j in range(i + 1):
            found = 0.0
            for r in range(i, d):
                found += lower[r, i] * lower[r, j]
            out[i, j] = out[j, i] = found
