"""Slice sampling of a number, its log density chosen by the type of what is given."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from numba.extending import overload

from bayesmix.kernels.blocks import compiled

__all__ = ["density_given", "slice_step"]

_WIDTH = 2.0  # first width of a slice
_DENSITIES: dict[Any, Callable] = {}


def density_given(kind: type) -> Callable[[Callable], Callable]:
    """Make ``function(at, given)`` the log density of a number where ``given`` is of this type."""

    def register(function: Callable) -> Callable:
        _DENSITIES[kind] = function
        return function

    return register


def _log_density(at: float, given: Any) -> Any:
    """Log density at a number."""


@overload(_log_density, strict=False, jit_options={"error_model": "numpy"})
def _choose_density(at: Any, given: Any) -> Any:
    return _DENSITIES[given.instance_class]


@compiled
def slice_step(start: float, given: Any, generator: Any) -> float:
    """Move a number by slice sampling with stepping out (Neal 2003)."""
    level = _log_density(start, given) + math.log(1 - generator.random())
    if not level < math.inf:  # not a number
        return math.nan
    low = start - _WIDTH * generator.random()
    high = low + _WIDTH
    while _log_density(low, given) > level:
        low -= _WIDTH
    while _log_density(high, given) > level:
        high += _WIDTH
    while True:
        at = low + (high - low) * generator.random()
        if _log_density(at, given) > level:
            return at
        if at < start:
            low = at
        else:
            high = at
