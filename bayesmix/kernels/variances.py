"""The pass for variances, diag and spherical: no product of two features anywhere."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bayesmix.kernels.blocks import add_product, compiled, row_totals
from bayesmix.kernels.frames import NEAR, frame_of, part, rows_about
from bayesmix.kernels.lanes import WIDE, fma, load_wide, splat_wide, store

__all__ = ["add_joint", "add_moments", "finish", "mark_near", "prepare"]


@compiled
def mark_near(point: Any) -> None:
    for k in range(len(point.means)):
        length = 0.0
        for j in range(len(point.center)):
            z = point.factor[k, j] * (point.means[k, j] - point.center[j])
            length += z * z
        point.near[k] = length <= NEAR * NEAR


@compiled
def prepare(point: Any) -> Any:
    frame = frame_of(point)
    n_components, d = point.means.shape
    for k in range(n_components):
        for j in range(d):
            frame.cost[k] -= math.log(point.factor[k, j])
            frame.offset[k, j] = point.factor[k, j] * frame.shift[k, j]
    return frame


@compiled
def add_joint(point: Any, frame: Any, place: Any, scratch: Any) -> None:
    size = scratch.size
    n_components, d = point.means.shape
    for k in range(n_components):
        block = rows_about(point, place, scratch, k)
        for g in range(0, size, WIDE):
            square = splat_wide(0.0)
            for j in range(d):
                x = load_wide(block, j * size + g)
                z = fma(splat_wide(point.factor[k, j]), x, splat_wide(-frame.offset[k, j]))
                square = fma(z, z, square)
            value = fma(square, splat_wide(-0.5), splat_wide(-frame.cost[k]))
            store(scratch.joint, k * size + g, value)


@compiled
def add_moments(point: Any, frame: Any, place: Any, scratch: Any, sums: Any) -> None:
    n_components, d = point.means.shape
    size, derived, width = scratch.size, scratch.derived, sums.second.shape[1]
    row_totals(scratch.joint, n_components, size, sums.sizes)
    if np.all(point.near):
        _squares(scratch.block, d, width < d, size, derived)
        add_product(scratch.joint, n_components, scratch.block, d, size, sums.first)
        add_product(scratch.joint, n_components, derived, width, size, sums.second)
    else:
        for k in range(n_components):
            block, weight = rows_about(point, place, scratch, k), part(scratch.joint, k, size)
            _squares(block, d, width < d, size, derived)
            add_product(weight, 1, block, d, size, sums.first[k : k + 1])
            add_product(weight, 1, derived, width, size, sums.second[k : k + 1])


@compiled
def finish(point: Any, frame: Any, sums: Any) -> None:
    n_components, d = point.means.shape
    width = sums.second.shape[1]
    for k in range(n_components):
        for j in range(d):
            shift, old = frame.shift[k, j], sums.first[k, j]
            sums.first[k, j] -= sums.sizes[k] * shift
            sums.second[k, j % width] -= shift * (old + sums.first[k, j])


@compiled
def _squares(block: Any, d: int, pooled: bool, size: int, out: Any) -> None:
    """Squared rows, or with ``pooled`` their sum over the features."""
    for g in range(0, size, WIDE):
        found = splat_wide(0.0)
        for j in range(d):
            x = load_wide(block, j * size + g)
            if pooled:
                found = fma(x, x, found)
            else:
                store(out, j * size + g, x * x)
        if pooled:
            store(out, g, found)
