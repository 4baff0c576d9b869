"""The pass for a covariance per component."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.kernels.blocks import compiled, row_totals
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
from bayesmix.kernels.matrices import add_scatter, move_scatter, quadratic

__all__ = ["add_joint", "add_moments", "finish", "mark_near", "prepare"]


@compiled
def mark_near(point: Any) -> None:
    for k in range(len(point.means)):
        length = squared_distance(point.factor[k], point.means[k], point.center)
        point.near[k] = length <= NEAR * NEAR


@compiled
def prepare(point: Any) -> Any:
    frame = frame_of(point)
    for k in range(len(point.means)):
        frame.cost[k] -= log_diagonal(point.factor[k])
        whitened(point.factor[k], frame.shift[k], frame.offset[k])
    return frame


@compiled
def add_joint(point: Any, frame: Any, place: Any, scratch: Any) -> None:
    size = scratch.size
    for k in range(len(point.means)):
        block, out = rows_about(point, place, scratch, k), part(scratch.joint, k, size)
        quadratic(point.factor[k], frame.offset[k], block, size, frame.cost[k], out)


@compiled
def add_moments(point: Any, frame: Any, place: Any, scratch: Any, sums: Any) -> None:
    size = scratch.size
    found = np.zeros(1)
    for k in range(len(point.means)):
        weight = part(scratch.joint, k, size)
        found[0] = 0.0
        row_totals(weight, 1, size, found)
        if found[0] != 0:
            sums.sizes[k] += found[0]
            block = rows_about(point, place, scratch, k)
            add_scatter(weight, block, size, scratch.derived, sums.first[k], sums.second[k])


@compiled
def finish(point: Any, frame: Any, sums: Any) -> None:
    for k in range(len(point.means)):
        move_scatter(frame.shift[k], sums.sizes[k], sums.first[k], sums.second[k])
        mirror(sums.second[k])
