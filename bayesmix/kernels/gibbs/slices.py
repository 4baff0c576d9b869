"""Slice sampling of one number from its log density."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from bayesmix.kernels.blocks import compiled

__all__ = ["slicer"]

_WIDTH = 2.0  # first width of a slice, of the logarithm of a concentration or a discount's logit


def slicer(log_density: Callable[[float, Any], float]) -> Callable[[Any, float, Any], float]:
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
