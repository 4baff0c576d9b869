r"""What the pass does differently for each covariance structure.

A `...Point` is one point of the parameter space, typed by its structure; a kernel is compiled for
the type it meets, which selects `prepare`, `add_joint`, `add_moments` and `finish`:

1. Rows are centered at c, the mixture's mean. A component is near if its mean lies within `NEAR`
   of its own standard deviations from c; its moments are taken about c and moved to its mean at
   the end, which costs no digit that matters. A far component gets blocks of its own, centered at
   its mean.
2. Log joint densities :math:`\log w_k + \log N(x \mid m_k, \Sigma_k)`.
3. Moments under the responsibilities that took their place.
4. Moments moved to the means.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload

from bayesmix.kernels.blocks import Source, add_product, compiled, inlined, load_block, row_totals
from bayesmix.kernels.lanes import (
    NARROW,
    WIDE,
    fma,
    load,
    load_wide,
    splat,
    splat_wide,
    store,
    total,
)

__all__ = [
    "FullPoint",
    "Place",
    "Scratch",
    "Sums",
    "TiedPoint",
    "VariancesPoint",
    "add_joint",
    "add_moments",
    "all_near",
    "finish",
    "prepare",
]

NEAR = 32.0


class FullPoint(NamedTuple):
    """A covariance per component."""

    log_weights: Any
    means: Any
    factor: Any
    """(K, D, D), lower triangular; precision = factor factorᵀ."""
    center: Any
    """c, (D,)."""


class TiedPoint(NamedTuple):
    """One covariance."""

    log_weights: Any
    means: Any
    factor: Any
    """(D, D)."""
    center: Any
    near: bool
    """Whether all components are near, see `all_near`."""
    scatter_known: bool
    """Whether the caller adds the rows' scatter about c to the second moments, if all are near."""


class VariancesPoint(NamedTuple):
    """No correlation: diag, and spherical with equal columns of ``factor``."""

    log_weights: Any
    means: Any
    factor: Any
    """(K, D), reciprocal standard deviations."""
    center: Any


class Frame(NamedTuple):
    """A point relative to the center of the rows."""

    shift: Any
    """Means less c, (K, D)."""
    offset: Any
    """The same in each component's own standard deviations, (K, D)."""
    slope: Any
    """Tied: precision times shift, (D, K)."""
    constant: Any
    """Logarithm of weight times the density's peak, (K,)."""
    near: Any
    """Whether the shared center serves, (K,)."""


class Sums(NamedTuple):
    """Moments: while blocks are added about the center that each component uses."""

    sizes: Any
    first: Any
    second: Any
    """(K, D, D) full, (1, D, D) tied, (K, D) diag, (K, 1) spherical."""


class Place(NamedTuple):
    """Where a block's rows are."""

    source: Source
    start: int
    length: int


class Scratch(NamedTuple):
    """Memory of one block; `blocks` says how it lies."""

    block: Any
    """Rows about c, (D, size)."""
    own: Any
    """Rows about the mean of a far component, (D, size)."""
    derived: Any
    """Whitened, weighted or squared rows, (D, size)."""
    joint: Any
    """Log joint densities, then responsibilities, (K, size)."""
    common: Any
    """What the log joint densities of all components leave out, (size,)."""
    weight: Any
    """Of the rows, (size,)."""
    size: int


def prepare(point: Any) -> Any:
    """Compute the frame of a point."""


def add_joint(point: Any, frame: Any, place: Any, scratch: Any) -> Any:
    """Fill ``scratch.joint`` with log joint densities."""


def add_moments(point: Any, frame: Any, place: Any, scratch: Any, sums: Any) -> Any:
    """Add a block's moments under the responsibilities in ``scratch.joint``."""


def finish(point: Any, frame: Any, sums: Any) -> Any:
    """Move the moments to the means."""


def all_near(means: Any, factor: Any, center: Any) -> bool:
    """Whether means (K, D) under one factor (D, D) are all near the center."""
    return bool(np.all(np.square((means - center) @ factor).sum(axis=-1) <= NEAR**2))


@compiled
def _frame(point: Any) -> Any:
    """The frame but for the offsets and the logarithm of the factors' determinants."""
    n_components, d = point.means.shape
    shift, constant = np.empty((n_components, d)), np.empty(n_components)
    for k in range(n_components):
        constant[k] = point.log_weights[k] - 0.5 * d * math.log(2 * math.pi)
        for j in range(d):
            shift[k, j] = point.means[k, j] - point.center[j]
    near = np.zeros(n_components, np.bool_)
    return Frame(shift, np.zeros((n_components, d)), np.zeros((d, n_components)), constant, near)


@compiled
def _mark_near(frame: Any) -> None:
    for k in range(len(frame.near)):
        square = 0.0
        for j in range(frame.offset.shape[1]):
            square += frame.offset[k, j] * frame.offset[k, j]
        frame.near[k] = square <= NEAR * NEAR


@inlined
def _of(values: Any, k: int, size: int) -> Any:
    return values[k * size : (k + 1) * size]


@inlined
def _rows(point: Any, frame: Any, place: Any, scratch: Any, k: int) -> Any:
    """Return the block about the center that component k uses."""
    if frame.near[k]:
        return scratch.block
    load_block(place.source, place.start, place.length, point.means[k], scratch.own, scratch.size)
    return scratch.own


@inlined
def _offset(frame: Any, k: int) -> Any:
    """The mean of component k in the block of `_rows`, in its standard deviations."""
    return frame.offset[k] if frame.near[k] else np.zeros(frame.offset.shape[1])


@compiled
def _add_scatter(
    weight: Any, block: Any, size: int, weighted: Any, first: Any, second: Any
) -> None:
    """Add the weighted sums of x and, on and below the diagonal, of x xᵀ."""
    d = len(first)
    for i in range(0, d - 3, 4):  # four weighted features at a time stay in the fastest cache
        _weigh_four(weight, block, i, size, weighted, first)
        add_product(weighted, 4, block, i + 4, size, second[i : i + 4])
    for i in range(d - d % 4, d):
        _weigh_one(weight, block, i, size, weighted, first)
        add_product(weighted, 1, block, i + 1, size, second[i : i + 1])


@compiled
def _weigh_one(weight: Any, block: Any, i: int, size: int, out: Any, first: Any) -> None:
    found = splat_wide(0.0)
    for g in range(0, size, WIDE):
        x = load_wide(weight, g) * load_wide(block, i * size + g)
        store(out, g, x)
        found = found + x
    first[i] += total(found)


@compiled
def _weigh_four(weight: Any, block: Any, i: int, size: int, out: Any, first: Any) -> None:
    a0, a1, a2, a3 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    for g in range(0, size, NARROW):
        w = load(weight, g)
        x = w * load(block, i * size + g)
        store(out, g, x)
        a0 = a0 + x
        x = w * load(block, (i + 1) * size + g)
        store(out, size + g, x)
        a1 = a1 + x
        x = w * load(block, (i + 2) * size + g)
        store(out, 2 * size + g, x)
        a2 = a2 + x
        x = w * load(block, (i + 3) * size + g)
        store(out, 3 * size + g, x)
        a3 = a3 + x
    first[i] += total(a0)
    first[i + 1] += total(a1)
    first[i + 2] += total(a2)
    first[i + 3] += total(a3)


@compiled
def _move_scatter(shift: Any, size: float, first: Any, second: Any) -> None:
    """Move moments of one component to its mean, on and below the diagonal."""
    for i in range(len(shift)):
        new = first[i] - size * shift[i]
        for j in range(i + 1):
            second[i, j] -= shift[i] * first[j] + new * shift[j]
    for i in range(len(shift)):
        first[i] -= size * shift[i]


@compiled
def _mirror(matrix: Any) -> None:
    """Copy what lies below the diagonal to above it."""
    for i in range(len(matrix)):
        for j in range(i):
            matrix[j, i] = matrix[i, j]


@compiled
def _whitened(factor: Any, delta: Any, out: Any) -> None:
    """The product factorᵀ delta."""
    for j in range(len(delta)):
        for i in range(j + 1):
            out[i] += factor[j, i] * delta[j]


@compiled
def _log_diagonal(factor: Any) -> float:
    found = 0.0
    for j in range(len(factor)):
        found += math.log(factor[j, j])
    return found


@inlined
def _four(factor: Any, offset: Any, block: Any, size: int, g: int, i: int, first: int) -> Any:
    """Entries i to i + 3 of factorᵀ x - offset; above row ``first`` the factor is zero."""
    z0, z1 = splat_wide(-offset[i]), splat_wide(-offset[i + 1])
    z2, z3 = splat_wide(-offset[i + 2]), splat_wide(-offset[i + 3])
    for j in range(first, len(factor)):
        x = load_wide(block, j * size + g)
        z0 = fma(splat_wide(factor[j, i]), x, z0)
        z1 = fma(splat_wide(factor[j, i + 1]), x, z1)
        z2 = fma(splat_wide(factor[j, i + 2]), x, z2)
        z3 = fma(splat_wide(factor[j, i + 3]), x, z3)
    return z0, z1, z2, z3


@inlined
def _one(factor: Any, offset: Any, block: Any, size: int, g: int, i: int, first: int) -> Any:
    """Entry i of factorᵀ x - offset; above row ``first`` the factor is zero."""
    z = splat_wide(-offset[i])
    for j in range(first, len(factor)):
        z = fma(splat_wide(factor[j, i]), load_wide(block, j * size + g), z)
    return z


@compiled
def _quadratic(factor: Any, offset: Any, block: Any, size: int, constant: float, out: Any) -> None:
    """Constant less half the squared length of factorᵀ x - offset, factor lower triangular."""
    d = len(offset)
    for g in range(0, size, WIDE):
        square = splat_wide(0.0)
        for i in range(0, d - 3, 4):
            z0, z1, z2, z3 = _four(factor, offset, block, size, g, i, i)
            square = fma(z3, z3, fma(z2, z2, fma(z1, z1, fma(z0, z0, square))))
        for i in range(d - d % 4, d):
            z = _one(factor, offset, block, size, g, i, i)
            square = fma(z, z, square)
        store(out, g, fma(square, splat_wide(-0.5), splat_wide(constant)))


@compiled
def _linear(slope: Any, offset: Any, block: Any, size: int, out: Any) -> None:
    """Write slopeᵀ x - offset, slope (D, K)."""
    k = len(offset)
    for g in range(0, size, WIDE):
        for i in range(0, k - 3, 4):
            z0, z1, z2, z3 = _four(slope, offset, block, size, g, i, 0)
            store(out, i * size + g, z0)
            store(out, (i + 1) * size + g, z1)
            store(out, (i + 2) * size + g, z2)
            store(out, (i + 3) * size + g, z3)
        for i in range(k - k % 4, k):
            store(out, i * size + g, _one(slope, offset, block, size, g, i, 0))


# Full


@compiled
def _prepare_full(point: Any) -> Any:
    frame = _frame(point)
    for k in range(len(point.means)):
        frame.constant[k] += _log_diagonal(point.factor[k])
        _whitened(point.factor[k], frame.shift[k], frame.offset[k])
    _mark_near(frame)
    return frame


@compiled
def _add_joint_full(point: Any, frame: Any, place: Any, scratch: Any) -> None:
    size = scratch.size
    for k in range(len(point.means)):
        block = _rows(point, frame, place, scratch, k)
        out = _of(scratch.joint, k, size)
        _quadratic(point.factor[k], _offset(frame, k), block, size, frame.constant[k], out)


@compiled
def _add_moments_full(point: Any, frame: Any, place: Any, scratch: Any, sums: Any) -> None:
    size = scratch.size
    found = np.zeros(1)
    for k in range(len(point.means)):
        weight = _of(scratch.joint, k, size)
        found[0] = 0.0
        row_totals(weight, 1, size, found)
        if found[0] != 0:
            sums.sizes[k] += found[0]
            block = _rows(point, frame, place, scratch, k)
            _add_scatter(weight, block, size, scratch.derived, sums.first[k], sums.second[k])


@compiled
def _finish_full(point: Any, frame: Any, sums: Any) -> None:
    for k in range(len(frame.near)):
        if frame.near[k]:
            _move_scatter(frame.shift[k], sums.sizes[k], sums.first[k], sums.second[k])
        _mirror(sums.second[k])


# Tied: the quadratic term is common to all components, and so is one scatter of the rows


@compiled
def _prepare_tied(point: Any) -> Any:
    frame = _frame(point)
    d = len(point.factor)
    for k in range(len(point.means)):
        frame.constant[k] += _log_diagonal(point.factor)
        _whitened(point.factor, frame.shift[k], frame.offset[k])
        for i in range(d):
            for j in range(i + 1):
                frame.slope[i, k] += point.factor[i, j] * frame.offset[k, j]
        frame.near[k] = point.near
    return frame


@compiled
def _add_joint_tied(point: Any, frame: Any, place: Any, scratch: Any) -> None:
    k, d = point.means.shape
    size = scratch.size
    if point.near:
        offset = np.empty(k)
        for i in range(k):
            square = 0.0
            for j in range(d):
                square += frame.offset[i, j] * frame.offset[i, j]
            offset[i] = 0.5 * square - frame.constant[i]
        _linear(frame.slope, offset, scratch.block, size, scratch.joint)
        _quadratic(point.factor, np.zeros(d), scratch.block, size, 0.0, scratch.common)
    else:
        for i in range(k):
            block = _rows(point, frame, place, scratch, i)
            out = _of(scratch.joint, i, size)
            _quadratic(point.factor, _offset(frame, i), block, size, frame.constant[i], out)


@compiled
def _add_moments_tied(point: Any, frame: Any, place: Any, scratch: Any, sums: Any) -> None:
    k, d = point.means.shape
    size = scratch.size
    row_totals(scratch.joint, k, size, sums.sizes)
    if point.near:
        add_product(scratch.joint, k, scratch.block, d, size, sums.first)
        if not point.scatter_known:
            _add_scatter(
                scratch.weight, scratch.block, size, scratch.derived, np.zeros(d), sums.second[0]
            )
    else:
        for i in range(k):
            block = _rows(point, frame, place, scratch, i)
            weight = _of(scratch.joint, i, size)
            _add_scatter(weight, block, size, scratch.derived, sums.first[i], sums.second[0])


@compiled
def _finish_tied(point: Any, frame: Any, sums: Any) -> None:
    if point.near:
        for k in range(len(frame.near)):
            _move_scatter(frame.shift[k], sums.sizes[k], sums.first[k], sums.second[0])
    _mirror(sums.second[0])


# Variances: no product of features anywhere


@compiled
def _prepare_variances(point: Any) -> Any:
    frame = _frame(point)
    n_components, d = point.means.shape
    for k in range(n_components):
        for j in range(d):
            frame.constant[k] += math.log(point.factor[k, j])
            frame.offset[k, j] = point.factor[k, j] * frame.shift[k, j]
    _mark_near(frame)
    return frame


@compiled
def _add_joint_variances(point: Any, frame: Any, place: Any, scratch: Any) -> None:
    size = scratch.size
    d = len(point.center)
    for k in range(len(point.means)):
        block, offset = _rows(point, frame, place, scratch, k), _offset(frame, k)
        for g in range(0, size, WIDE):
            square = splat_wide(0.0)
            for j in range(d):
                x = load_wide(block, j * size + g)
                z = fma(splat_wide(point.factor[k, j]), x, splat_wide(-offset[j]))
                square = fma(z, z, square)
            value = fma(square, splat_wide(-0.5), splat_wide(frame.constant[k]))
            store(scratch.joint, k * size + g, value)


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


@compiled
def _add_moments_variances(point: Any, frame: Any, place: Any, scratch: Any, sums: Any) -> None:
    k, d = point.means.shape
    size, width = scratch.size, sums.second.shape[1]
    row_totals(scratch.joint, k, size, sums.sizes)
    if np.all(frame.near):
        _squares(scratch.block, d, width < d, size, scratch.derived)
        add_product(scratch.joint, k, scratch.block, d, size, sums.first)
        add_product(scratch.joint, k, scratch.derived, width, size, sums.second)
    else:
        for i in range(k):
            block, weight = _rows(point, frame, place, scratch, i), _of(scratch.joint, i, size)
            _squares(block, d, width < d, size, scratch.derived)
            add_product(weight, 1, block, d, size, sums.first[i : i + 1])
            add_product(weight, 1, scratch.derived, width, size, sums.second[i : i + 1])


@compiled
def _finish_variances(point: Any, frame: Any, sums: Any) -> None:
    width = sums.second.shape[1]
    for k in range(len(frame.near)):
        if frame.near[k]:
            for j in range(len(point.center)):
                shift, old = frame.shift[k, j], sums.first[k, j]
                sums.first[k, j] -= sums.sizes[k] * shift
                sums.second[k, j % width] -= shift * (old + sums.first[k, j])


_PREPARE = {
    FullPoint: _prepare_full,
    TiedPoint: _prepare_tied,
    VariancesPoint: _prepare_variances,
}
_ADD_JOINT = {
    FullPoint: _add_joint_full,
    TiedPoint: _add_joint_tied,
    VariancesPoint: _add_joint_variances,
}
_ADD_MOMENTS = {
    FullPoint: _add_moments_full,
    TiedPoint: _add_moments_tied,
    VariancesPoint: _add_moments_variances,
}
_FINISH = {FullPoint: _finish_full, TiedPoint: _finish_tied, VariancesPoint: _finish_variances}


def _choose(stub: Callable, table: dict[Any, Any], position: int) -> None:
    """Let numba replace a stub by the function for the type of the point among its arguments."""

    @overload(stub, strict=False, jit_options={"error_model": "numpy"})
    def choose(*args: Any) -> Any:
        return table[args[position].instance_class].py_func


_choose(prepare, _PREPARE, 0)
_choose(add_joint, _ADD_JOINT, 0)
_choose(add_moments, _ADD_MOMENTS, 0)
_choose(finish, _FINISH, 0)
