"""Log density and gradient at a position in unconstrained coordinates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bayesmix.kernels.blocks import compiled
from bayesmix.kernels.frames import copy
from bayesmix.kernels.nuts.components import (
    add_square,
    empty_point,
    empty_sums,
    fold_factors,
    fold_scale,
    precise,
    unfold_factors,
    unfold_scale,
)
from bayesmix.kernels.nuts.weights import fold_weights, unfold_weights, weight_coordinates
from bayesmix.kernels.structures import recenter
from bayesmix.kernels.walks import statistics

__all__ = ["log_density"]

_FLAT = 1e-30


@compiled
def _unfold_means(target: Any, position: Any, point: Any) -> None:
    n_components, d = point.means.shape
    for k in range(n_components):
        for j in range(d):
            point.means[k, j] = target.mean[j] + target.mean_scale[j] * position[k * d + j]


@compiled
def _fold_means(
    target: Any, position: Any, point: Any, sums: Any, logs: Any, gradient: Any
) -> float:
    """Write the gradient; return the prior's log density, but for constants.

    A conjugate prior is counted into the moments.
    """
    n_components, d = point.means.shape
    kappa, found = target.mean_precision, 0.0
    delta, pull, slope = np.empty(d), np.empty(d), np.empty(d)
    for k in range(n_components):
        for j in range(d):
            delta[j] = target.mean_scale[j] * position[k * d + j]
        precise(target, point, k, sums.first[k], slope)
        if kappa > 0:
            precise(target, point, k, delta, pull)
            found += logs[k]
            sums.sizes[k] += 1.0
            add_square(target, sums, k, delta, kappa)
        else:
            for i in range(d):
                pull[i] = 0.0
                for j in range(d):
                    pull[i] += target.spread_precision[i, j] * delta[j]
        weight = kappa if kappa > 0 else 1.0
        for j in range(d):
            found -= 0.5 * weight * delta[j] * pull[j]
            gradient[k * d + j] = target.mean_scale[j] * (slope[j] - weight * pull[j])
    return found


@compiled
def _finite(value: float, gradient: Any) -> bool:
    found = math.isfinite(value)
    for slope in gradient:
        found = found and math.isfinite(slope)
    return found


@compiled
def log_density(
    position: Any, gradient: Any, weights: Any, components: Any, source: Any, n: int, size: int
) -> float:
    """Write the gradient; return the log density, but for constants.

    Where either is not finite the density is minus infinity and the gradient zero.
    """
    n_components, at = len(weights.concentrations), weight_coordinates(weights)
    point, sums = empty_point(components, n_components), empty_sums(components, n_components)
    logs, root = np.empty(n_components), np.zeros(components.root.shape)
    copy(components.root.ravel(), root.ravel())
    found = unfold_weights(weights, position[:at], point.log_weights)
    covariances = at + len(components.scale_rate)
    scale = position[at:covariances]
    found += unfold_scale(components, scale, root)
    own, count = unfold_factors(components, root, position[covariances:], point, logs)
    means = covariances + count
    _unfold_means(components, position[means:], point)
    recenter(point)
    found += own + statistics(point, source, 0, n, size, sums)
    fold_weights(weights, position[:at], point.log_weights, sums.sizes, gradient[:at])
    found += _fold_means(components, position[means:], point, sums, logs, gradient[means:])
    factors = position[covariances:means]
    slopes = fold_factors(components, root, factors, point, sums, gradient[covariances:means])
    fold_scale(components, scale, slopes, gradient[at:covariances])
    if _finite(found, gradient):
        for i in range(len(gradient)):
            if gradient[i] == 0.0:  # where all is flat: nutpie ends at a slope of exactly 0
                gradient[i] = _FLAT
        return found
    for i in range(len(gradient)):
        gradient[i] = 0.0
    return -math.inf
