"""The pass for one covariance: its quadratic term is common to all components, as is one scatter.

In whitened rows z and means, the log joint density of a near component is linear in z but for
-z²/2, which cancels in the responsibilities.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.kernels.blocks import add_product, compiled, row_totals
from bayesmix.kernels.frames import (
    NEAR,
    frame_of,
    log_diagonal,
    mirror,
    part,
    rows_about,
    squared_distance,
    whitened,
)
from bayesmix.kernels.lanes import WIDE, fma, splat_wide, store
from bayesmix.kernels.matrices import (
    add_scatter,
    four,
    four_triangular,
    move_scatter,
    one,
    quadratic,
)

__all__ = ["add_joint", "add_moments", "finish", "mark_near", "prepare"]


@compiled
def mark_near(point: Any) -> None:
    near = True
    for k in range(len(point.means)):
        length = squared_distance(point.factor, point.means[k], point.center)
        near = near and length <= NEAR * NEAR
    point.near[:] = near


@compiled
def prepare(point: Any) -> Any:
    frame = frame_of(point)
    for k in range(len(point.means)):
        frame.cost[k] -= log_diagonal(point.factor)
        whitened(point.factor, frame.shift[k], frame.offset[k])
        for j in range(len(point.center)):
            frame.cost[k] += 0.5 * frame.offset[k, j] * frame.offset[k, j]
    return frame


@compiled
def add_joint(point: Any, frame: Any, place: Any, scratch: Any) -> None:
    size = scratch.size
    if point.near[0]:
        _whiten(point.factor, scratch.block, size, scratch.derived, scratch.common)
        _linear(frame.offset.T, frame.cost, scratch.derived, size, scratch.joint)
    else:
        scratch.common[:] = 0.0  # what a point before this one may have left
        for k in range(len(point.means)):
            block, out = rows_about(point, place, scratch, k), part(scratch.joint, k, size)
            quadratic(point.factor, frame.offset[k], block, size, frame.cost[k], out)


@compiled
def add_moments(point: Any, frame: Any, place: Any, scratch: Any, sums: Any) -> None:
    n_components, d = point.means.shape
    size, derived, scatter = scratch.size, scratch.derived, sums.second[0]
    row_totals(scratch.joint, n_components, size, sums.sizes)
    if point.near[0]:
        add_product(scratch.joint, n_components, scratch.block, d, size, sums.first)
        if not point.scatter_known:
            add_scatter(scratch.per_row, scratch.block, size, derived, np.zeros(d), scatter)
    else:
        for k in range(n_components):
            block, weight = rows_about(point, place, scratch, k), part(scratch.joint, k, size)
            add_scatter(weight, block, size, derived, sums.first[k], scatter)


@compiled
def finish(point: Any, frame: Any, sums: Any) -> None:
    for k in range(len(point.means)):
        move_scatter(frame.shift[k], sums.sizes[k], sums.first[k], sums.second[0])
    mirror(sums.second[0])


@compiled
def _whiten(factor: Any, block: Any, size: int, out: Any, common: Any) -> None:
    """Write z = factorᵀ x and, to ``common``, minus half its squared length."""
    d = len(factor)
    nothing = np.zeros(d)
    for g in range(0, size, WIDE):
        square = splat_wide(0.0)
        for i in range(0, d - 3, 4):
            z0, z1, z2, z3 = four_triangular(factor, nothing, block, size, g, i)
            store(out, i * size + g, z0)
            store(out, (i + 1) * size + g, z1)
            store(out, (i + 2) * size + g, z2)
            store(out, (i + 3) * size + g, z3)
            square = fma(z3, z3, fma(z2, z2, fma(z1, z1, fma(z0, z0, square))))
        for i in range(d - d % 4, d):
            z = one(factor, nothing, block, size, g, i, i)
            store(out, i * size + g, z)
            square = fma(z, z, square)
        store(common, g, square * splat_wide(-0.5))


@compiled
def _linear(slope: Any, cost: Any, block: Any, size: int, out: Any) -> None:
    """Write slopeᵀ z - cost, slope (D, K)."""
    n_components = len(cost)
    for g in range(0, size, WIDE):
        for k in range(0, n_components - 3, 4):
            z0, z1, z2, z3 = four(slope, cost, block, size, g, k)
            store(out, k * size + g, z0)
            store(out, (k + 1) * size + g, z1)
            store(out, (k + 2) * size + g, z2)
            store(out, (k + 3) * size + g, z3)
        for k in range(n_components - n_components % 4, n_components):
            store(out, k * size + g, one(slope, cost, block, size, g, k, 0))
