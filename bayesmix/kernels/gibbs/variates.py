"""Random numbers with the laws that conditionals need, from a NumPy generator."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bayesmix.kernels.blocks import compiled

__all__ = [
    "chi",
    "fill_normal",
    "gamma_above",
    "index_below",
    "log_gamma",
    "shuffled",
]


@compiled
def index_below(generator: Any, n: int) -> int:
    """Whole number of 0 to n - 1."""
    return min(int(generator.random() * n), n - 1)


@compiled
def shuffled(generator: Any, n: int) -> Any:
    """Random order of 0 to n - 1."""
    order = np.arange(n)
    for last in range(n - 1, 0, -1):
        other = index_below(generator, last + 1)
        order[last], order[other] = order[other], order[last]
    return order


@compiled
def fill_normal(generator: Any, out: Any) -> None:
    """Write independent standard normal numbers."""
    for i in range(len(out)):
        out[i] = generator.standard_normal()


@compiled
def chi(generator: Any, dof: float) -> float:
    """Root of a chi-square number."""
    return math.sqrt(2 * generator.standard_gamma(dof / 2))


@compiled
def log_gamma(generator: Any, shape: float) -> float:
    """Logarithm of a gamma number of rate 1; a small shape's number itself underflows."""
    if shape >= 1:
        return math.log(generator.standard_gamma(shape))
    root = math.log(1 - generator.random()) / shape
    return math.log(generator.standard_gamma(shape + 1)) + root


@compiled
def gamma_above(generator: Any, shape: float, rate: float, floor: float) -> float:
    """Gamma number of at least ``floor``.

    By rejection from the gamma itself where the floor is below its mode or its mean, from a
    shifted exponential of the best rate above (Dagpunar 1978).
    """
    if not rate < math.inf:  # nor a number: what went wrong before is to be seen, not to hang
        return math.nan
    if rate * floor <= max(shape - 1, 0.5 * shape):
        while True:
            x = generator.standard_gamma(shape) / rate
            if x >= floor:
                return x
    if shape <= 1:  # the density falls faster than the exponential
        while True:
            x = floor + generator.standard_exponential() / rate
            if math.log(1 - generator.random()) <= (shape - 1) * math.log(x / floor):
                return x
    beyond = rate * floor - shape
    slope = (beyond + math.sqrt(beyond * beyond + 4 * rate * floor)) / (2 * floor)
    top = max(floor, (shape - 1) / (rate - slope)) if slope < rate else floor
    while True:
        x = floor + generator.standard_exponential() / slope
        log_ratio = (shape - 1) * math.log(x / top) - (rate - slope) * (x - top)
        if math.log(1 - generator.random()) <= log_ratio:
            return x
