"""Functions of one number that numba does not have."""

from __future__ import annotations

import math

from bayesmix.kernels.blocks import compiled

__all__ = ["digamma", "log_beta", "log_logistic"]


@compiled
def digamma(x: float) -> float:
    """Derivative of log Γ at x > 0: upward recurrence, then Stirling's series."""
    found = 0.0
    while x < 10.0:
        found -= 1.0 / x
        x += 1.0
    t = 1.0 / (x * x)
    series = 1 / 240 - t * (1 / 132 - t * 691 / 32760)
    series = 1 / 12 - t * (1 / 120 - t * (1 / 252 - t * series))
    return found + math.log(x) - 0.5 / x - t * series


@compiled
def log_beta(a: float, b: float) -> float:
    """Logarithm of the beta function."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


@compiled
def log_logistic(y: float) -> float:
    """Logarithm of 1 / (1 + exp(-y)), finite for every finite y."""
    return min(y, 0.0) - math.log1p(math.exp(-abs(y)))
