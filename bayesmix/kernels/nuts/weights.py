r"""Weights from their coordinates, and the way back for the gradient.

Dirichlet weights are the softmax of K - 1 numbers and minus their sum; sticks have logistic
coordinates, :math:`w_k = v_k \prod_{j<k} (1 - v_j)`, the last one closed. Everything stays in
logarithms, so that a weight of zero to working precision is like any other. A random
concentration comes first, as its logarithm, then a random discount, as its logit.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from bayesmix.kernels.blocks import compiled
from bayesmix.kernels.nuts.special import digamma, log_beta, log_logistic

__all__ = ["WeightsTarget", "fold_weights", "unfold_weights", "weight_coordinates"]


class WeightsTarget(NamedTuple):
    """Prior of the weights in numbers."""

    sticks: bool
    concentrations: Any
    """(K,); of sticks all the same."""
    concentration_shape: float
    """0 for a stated concentration."""
    concentration_rate: float
    discount: float
    """0 for Dirichlet weights."""
    discount_a: float
    """0 for a stated discount."""
    discount_b: float


@compiled
def weight_coordinates(target: WeightsTarget) -> int:
    """How many coordinates there are."""
    found = len(target.concentrations) - 1
    found += 1 if target.concentration_shape > 0 else 0
    return found + (1 if target.discount_a > 0 else 0)


@compiled
def unfold_weights(target: WeightsTarget, position: Any, log_weights: Any) -> float:
    """Write the log weights; return the log density of the coordinates, but for constants."""
    concentration, discount, at, found = target.concentrations[0], target.discount, 0, 0.0
    if target.concentration_shape > 0:
        concentration = math.exp(position[0])
        found += target.concentration_shape * position[0]
        found -= target.concentration_rate * concentration
        at = 1
    if target.discount_a > 0:
        discount = math.exp(log_logistic(position[at]))
        found += target.discount_a * log_logistic(position[at])
        found += target.discount_b * log_logistic(-position[at])
        at += 1
    if target.sticks:
        return found + _unfold_sticks(concentration, discount, position[at:], log_weights)
    _softmax(position[at:], log_weights)
    if target.concentration_shape > 0:
        k = len(log_weights)
        found += math.lgamma(k * concentration) - k * math.lgamma(concentration)
        for value in log_weights:
            found += concentration * value
        return found
    for k in range(len(log_weights)):
        found += target.concentrations[k] * log_weights[k]
    return found


@compiled
def fold_weights(
    target: WeightsTarget, position: Any, log_weights: Any, sizes: Any, gradient: Any
) -> None:
    """Write the gradient, given the log-likelihood's in the log weights, ``sizes``."""
    concentration, discount, at = target.concentrations[0], target.discount, 0
    if target.concentration_shape > 0:
        concentration = math.exp(position[0])
        at = 1
    if target.discount_a > 0:
        discount = math.exp(log_logistic(position[at]))
        at += 1
    if target.sticks:
        slopes = _fold_sticks(concentration, discount, position[at:], sizes, gradient[at:])
    else:
        slopes = _fold_softmax(target, concentration, log_weights, sizes, gradient[at:]), 0.0
    if target.discount_a > 0:
        rest = math.exp(log_logistic(-position[at - 1]))
        prior = target.discount_a * rest - target.discount_b * discount
        gradient[at - 1] = prior + slopes[1] * discount * rest
    if target.concentration_shape > 0:
        prior = target.concentration_shape - target.concentration_rate * concentration
        gradient[0] = prior + slopes[0] * concentration


@compiled
def _softmax(position: Any, log_weights: Any) -> None:
    last = len(position)
    log_weights[last] = 0.0
    for k in range(last):
        log_weights[k] = position[k]
        log_weights[last] -= position[k]
    top, norm = log_weights[0], 0.0
    for value in log_weights:
        top = max(top, value)
    for value in log_weights:
        norm += math.exp(value - top)
    for k in range(last + 1):
        log_weights[k] -= top + math.log(norm)


@compiled
def _fold_softmax(
    target: WeightsTarget, concentration: float, log_weights: Any, sizes: Any, gradient: Any
) -> float:
    """Write the weights' part; return the slope in a random concentration."""
    n_components = len(sizes)
    last, total, logs = n_components - 1, 0.0, 0.0
    random = target.concentration_shape > 0
    for k in range(n_components):
        total += sizes[k] + (concentration if random else target.concentrations[k])
        logs += log_weights[k]
    slope = sizes[last] + (concentration if random else target.concentrations[last])
    slope -= math.exp(log_weights[last]) * total
    for k in range(last):
        own = sizes[k] + (concentration if random else target.concentrations[k])
        gradient[k] = own - math.exp(log_weights[k]) * total - slope
    if not random:
        return 0.0
    return n_components * (digamma(n_components * concentration) - digamma(concentration)) + logs


@compiled
def _unfold_sticks(concentration: float, discount: float, position: Any, log_weights: Any) -> float:
    found, left = 0.0, 0.0
    for k in range(len(position)):
        taken, rest = log_logistic(position[k]), log_logistic(-position[k])
        a, b = 1 - discount, concentration + (k + 1) * discount
        found += a * taken + b * rest - log_beta(a, b)
        log_weights[k] = left + taken
        left += rest
    log_weights[len(position)] = left
    return found


@compiled
def _fold_sticks(
    concentration: float, discount: float, position: Any, sizes: Any, gradient: Any
) -> Any:
    """Write the sticks' part; return the slopes in concentration and discount."""
    later, in_concentration, in_discount = sizes[len(position)], 0.0, 0.0
    for k in range(len(position) - 1, -1, -1):
        taken, rest = log_logistic(position[k]), log_logistic(-position[k])
        a, b = 1 - discount, concentration + (k + 1) * discount
        gradient[k] = (sizes[k] + a) * math.exp(rest) - (later + b) * math.exp(taken)
        both = digamma(a + b)
        in_b = rest - digamma(b) + both
        in_concentration += in_b
        in_discount += (k + 1) * in_b - (taken - digamma(a) + both)
        later += sizes[k]
    return in_concentration, in_discount
