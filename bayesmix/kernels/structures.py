"""What the pass does differently for each covariance structure, chosen by the type of the point.

1. `prepare`: the frame of a point.
2. `add_joint`: log joint densities of a block, log of weight times density.
3. `add_moments`: moments under the responsibilities that took their place.
4. `finish`: the moments moved to the means.
5. `mark_near`: which components the shared center serves.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

from numba.extending import overload

import bayesmix.kernels.full as full
import bayesmix.kernels.tied as tied
import bayesmix.kernels.variances as variances
from bayesmix.kernels.blocks import compiled, load_block
from bayesmix.kernels.frames import FullPoint, TiedPoint, VariancesPoint, copy

__all__ = ["add_moments", "fill", "finish", "load", "mark_near", "prepare", "recenter", "take"]

_STRUCTURES: dict[Any, ModuleType] = {FullPoint: full, TiedPoint: tied, VariancesPoint: variances}


def prepare(point: Any) -> Any:
    """Compute the frame of a point."""


def add_joint(point: Any, frame: Any, place: Any, scratch: Any) -> Any:
    """Fill ``scratch.joint``; what is common to all components may go to ``scratch.common``."""


def add_moments(point: Any, frame: Any, place: Any, scratch: Any, sums: Any) -> Any:
    """Add a block's moments under the responsibilities in ``scratch.joint``."""


def finish(point: Any, frame: Any, sums: Any) -> Any:
    """Move the moments to the means."""


def mark_near(point: Any) -> Any:
    """Say which components the shared center serves."""


def _choose(stub: Any) -> None:
    """Let numba replace a stub by the function of that name for the type of its point."""

    @overload(stub, strict=False, jit_options={"error_model": "numpy"})
    def choose(point: Any, *others: Any) -> Any:
        return getattr(_STRUCTURES[point.instance_class], stub.__name__).py_func


for _stub in (prepare, add_joint, add_moments, finish, mark_near):
    _choose(_stub)


@compiled
def fill(point: Any, frame: Any, place: Any, scratch: Any) -> None:
    """Load a block and compute its log joint densities."""
    source, start, length = place
    load_block(source, start, length, point.center, scratch.block, scratch.size)
    add_joint(point, frame, place, scratch)


@compiled
def recenter(point: Any) -> None:
    """Put a point's center at the mixture's mean."""
    for j in range(len(point.center)):
        point.center[j] = 0.0
        for k in range(len(point.means)):
            point.center[j] += math.exp(point.log_weights[k]) * point.means[k, j]
    mark_near(point)


@compiled
def load(points: Any, s: int, point: Any) -> None:
    """Copy one of many points to ``point``, but for its center."""
    copy(points.log_weights[s], point.log_weights)
    copy(points.means[s], point.means.ravel())
    copy(points.factor[s], point.factor.ravel())


@compiled
def take(points: Any, s: int, point: Any) -> None:
    """Copy one of many points to ``point``, its center at the mixture's mean."""
    load(points, s, point)
    recenter(point)
