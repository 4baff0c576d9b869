"""Slice sampling of one number from its log density: of a concentration, of a discount."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from bayesmix.kernels.blocks import compiled

__all__ = ["concentration_slicer", "discount_slicer"]

_WIDTH = 2.0  # first width of a slice, of the logarithm of a concentration or a discount's logit


def _slicer(log_density: Callable[[float, Any], float]) -> Callable[[Any, float, Any], float]:
    """Compile a step of slice sampling with stepping out (Neal 2003).

    ``step(given, start, generator)`` leaves the law with ``log_density(at, given)``, a kernel, as
    it is. Where that is not a number, neither is the step.
    """

    @compiled
    def step(given: Any, start: float, generator: Any) -> float:
        level = log_density(start, given) + math.log(1 - generator.random())
        if not level < np.inf:
            return math.nan
        low = start - _WIDTH * generator.random()
        high = low + _WIDTH
        while log_density(low, given) > level:
            low -= _WIDTH
        while log_density(high, given) > level:
            high += _WIDTH
        while True:
            at: float = low + (high - low) * generator.random()
            if log_density(at, given) > level:
                return at
            if at < start:
                low = at
            else:
                high = at

    found: Callable[[Any, float, Any], float] = step
    return found


def concentration_slicer(log_probability: Callable[[float, Any], float]) -> Callable[..., float]:
    """Compile a step of a concentration with a gamma prior, its logarithm slice sampled.

    ``step(value, shape, rate, given, generator)`` is for a kernel ``log_probability(value, given)``
    of what the concentration is a parameter of.
    """

    @compiled
    def log_density(at: float, all_given: Any) -> float:
        shape, rate, given = all_given
        if not -700 < at < 700:
            return -np.inf
        value = math.exp(at)
        return shape * at - rate * value + log_probability(value, given)

    slice_log = _slicer(log_density)

    @compiled
    def step(value: float, shape: float, rate: float, given: Any, generator: Any) -> float:
        return math.exp(slice_log((shape, rate, given), math.log(value), generator))

    found: Callable[..., float] = step
    return found


def discount_slicer(log_probability: Callable[[float, Any], float]) -> Callable[..., float]:
    """Compile a step of a discount with a beta prior, its logit slice sampled.

    ``step(value, a, b, given, generator)``, as of a concentration.
    """

    @compiled
    def log_density(at: float, all_given: Any) -> float:
        a, b, given = all_given
        value = 1 / (1 + math.exp(-at))
        if not (at > -700 and value < 1):
            return -np.inf
        density = -a * math.log1p(math.exp(-at)) - b * math.log1p(math.exp(at))
        return density + log_probability(value, given)

    slice_logit = _slicer(log_density)

    @compiled
    def step(value: float, a: float, b: float, given: Any, generator: Any) -> float:
        start = math.log(value) - math.log1p(-value)
        return 1 / (1 + math.exp(-slice_logit((a, b, given), start, generator)))

    found: Callable[..., float] = step
    return found
