"""Factors of covariances, and unconstrained coordinates of points.

A row of coordinates holds log weights, means in units of the data, then of every covariance the
logarithm of its Cholesky factor's diagonal, and last what is below the diagonals, likewise in those
units; of a variance half its logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from bayesmix.kernels.blocks import compiled
from bayesmix.kernels.caching import cached
from bayesmix.kernels.triangles import cholesky, inverse, upper_root

__all__ = ["factorize", "flatten", "unflatten"]

_ROUNDING = 1e-13
"""Share of a feature's variance, given the later ones, below which only rounding is left of it."""


def _make_factorize(fingerprint: str) -> Callable:
    def factorize(covariances: Any, factors: Any) -> bool:
        fingerprint  # noqa: B018
        d = covariances.shape[1]
        root = np.empty((d, d))
        for m in range(len(covariances)):
            for i in range(d):
                for j in range(i + 1):
                    root[i, j] = covariances[m, i, j]
            upper_root(root)
            for i in range(d):
                if not root[i, i] * root[i, i] > _ROUNDING * covariances[m, i, i]:
                    return False
            inverse(root, factors[m])
        return True

    return factorize


@compiled
def _flatten_matrix(covariances: Any, c: int, unit: Any, root: Any, logs: Any, below: Any) -> None:
    """Write one covariance's coordinates; NaN for what has no factor."""
    d = len(unit)
    for i in range(d):
        for j in range(i + 1):
            root[i, j] = covariances[(c * d + i) * d + j]
    cholesky(root)
    place = c * (d * (d - 1) // 2)
    for i in range(d):
        logs[c * d + i] = math.log(root[i, i] / unit[i])
        for j in range(i):
            below[place] = root[i, j] / unit[i]
            place += 1


@compiled
def _unflatten_matrix(
    logs: Any, below: Any, c: int, unit: Any, root: Any, covariances: Any
) -> None:
    """Write one covariance, from its coordinates."""
    d = len(unit)
    place = c * (d * (d - 1) // 2)
    for i in range(d):
        root[i, i] = math.exp(logs[c * d + i]) * unit[i]
        for j in range(i):
            root[i, j] = below[place] * unit[i]
            place += 1
    for i in range(d):
        for j in range(i + 1):
            found = 0.0
            for r in range(j + 1):
                found += root[i, r] * root[j, r]
            covariances[(c * d + i) * d + j] = covariances[(c * d + j) * d + i] = found


def _make_flatten(fingerprint: str) -> Callable:
    def flatten(
        weights: Any,
        means: Any,
        covariances: Any,
        origin: Any,
        unit: Any,
        correlated: bool,
        out: Any,
    ) -> None:
        fingerprint  # noqa: B018
        k, d, size = weights.shape[1], len(unit), covariances.shape[1]
        root, first = np.empty((d, d)), k + k * d
        n_logs = size // d if correlated else size
        for s in range(len(weights)):
            for i in range(k):
                out[s, i] = math.log(weights[s, i])
                for j in range(d):
                    out[s, k + i * d + j] = (means[s, i * d + j] - origin[j]) / unit[j]
            logs, below = out[s, first : first + n_logs], out[s, first + n_logs :]
            if correlated:
                for c in range(size // (d * d)):
                    _flatten_matrix(covariances[s], c, unit, root, logs, below)
            else:
                for i in range(size):
                    logs[i] = 0.5 * math.log(covariances[s, i])

    return flatten


@compiled
def _normalize(log_weights: Any) -> None:
    """Make weights sum to one."""
    most, total = log_weights[0], 0.0
    for value in log_weights:
        most = max(most, value)
    for value in log_weights:
        total += math.exp(value - most)
    most += math.log(total)
    for k in range(len(log_weights)):
        log_weights[k] -= most


def _make_unflatten(fingerprint: str) -> Callable:
    def unflatten(
        flat: Any,
        where: Any,
        origin: Any,
        unit: Any,
        correlated: bool,
        weights: Any,
        means: Any,
        covariances: Any,
    ) -> None:
        fingerprint  # noqa: B018
        k, d, size = weights.shape[1], len(unit), covariances.shape[1]
        root, first = np.empty((d, d)), k + k * d
        n_logs = size // d if correlated else size
        for s in range(len(flat)):
            if not where[s]:
                continue
            _normalize(flat[s, :k])
            for i in range(k):
                weights[s, i] = math.exp(flat[s, i])
                for j in range(d):
                    means[s, i * d + j] = origin[j] + flat[s, k + i * d + j] * unit[j]
            logs, below = flat[s, first : first + n_logs], flat[s, first + n_logs :]
            if correlated:
                for c in range(size // (d * d)):
                    _unflatten_matrix(logs, below, c, unit, root, covariances[s])
            else:
                for i in range(size):
                    covariances[s, i] = math.exp(2 * logs[i])

    return unflatten


factorize = cached(_make_factorize)
"""``factorize(covariances, factors)`` writes lower triangular l with inverse(Σ) = l lᵀ for every
covariance (M, D, D); False, and no more written, from the first that is singular to working
precision."""
flatten = cached(_make_flatten)
"""``flatten(weights, means, covariances, origin, unit, correlated, out)`` writes the coordinates
(S, P) of points, each laid flat: weights (S, K), means (S, K D), covariances (S, ...)."""
unflatten = cached(_make_unflatten)
"""``unflatten(flat, where, origin, unit, correlated, weights, means, covariances)`` writes the
points of some coordinates, and makes the weights of both sum to one."""
