"""The density as a C function that a sampler calls by its address, without the interpreter."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.extending import intrinsic

from bayesmix.kernels.blocks import Source, block_size
from bayesmix.kernels.caching import cached_callback
from bayesmix.kernels.nuts.components import TARGETS
from bayesmix.kernels.nuts.density import log_density
from bayesmix.kernels.nuts.weights import WeightsTarget

__all__ = ["HEADER", "density_callback", "memory_of", "position_callback"]

_WHOLE = (*Source._fields, "n", "size", "n_components", "n_scales", "width", "sticks", "numbers")
_REAL = (
    *("concentration_shape", "concentration_rate", "discount", "discount_a", "discount_b"),
    *("mean_precision", "dof", "scale_shape", "constant"),
)
HEADER = np.dtype([*((n, np.int64) for n in _WHOLE), *((n, np.float64) for n in _REAL)])
"""What the callback is given: scalars of the targets by their names, where the rows lie, and in
``numbers`` the address of the targets' arrays, one after another."""

_double = types.CPointer(types.double)
_DENSITY = types.int64(types.uint64, _double, _double, _double, types.voidptr)
_POSITION = types.int64(types.uint64, types.uint64, _double, _double, types.voidptr)
_NOT_FINITE = 4  # above zero: the sampler rejects the step and goes on


@intrinsic
def _pointer(typing_context: Any, address: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), codegen


def memory_of(
    weights: WeightsTarget,
    components: Any,
    source: Source,
    n: int,
    constant: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Header and numbers for the callback; both must live as long as it is called."""
    arrays = (
        weights.concentrations,
        components.mean,
        components.mean_scale,
        components.spread_precision,
        components.root,
        components.scale_rate,
        components.scale_floor,
    )
    numbers = np.concatenate([np.ravel(a) for a in arrays]).astype(float)
    k, d = len(weights.concentrations), len(components.mean)
    scalars = source._asdict() | weights._asdict() | components._asdict()
    scalars |= {"n": n, "size": block_size(k, d), "n_components": k, "constant": constant}
    scalars |= {"n_scales": len(components.scale_rate), "numbers": numbers.ctypes.data}
    header = np.zeros(1, HEADER)
    for name in (*_WHOLE, *_REAL):
        header[name] = scalars[name]
    return header, numbers


def _make_density(fingerprint: str, target: Any) -> Callable:
    def density(dim: int, position: Any, gradient: Any, value: Any, header: Any) -> int:
        fingerprint  # noqa: B018 - what a function captures is part of its key in the cache
        head = carray(header, (1,), HEADER)[0]
        k, d, s = head.n_components, head.n_features, head.n_scales
        numbers = carray(_pointer(head.numbers), (k + 2 * d + 2 * d * d + 2 * s,), np.float64)
        mean, spread = k, k + 2 * d
        root, scale = spread + d * d, spread + 2 * d * d
        weights = WeightsTarget(
            head.sticks != 0,
            numbers[:k],
            head.concentration_shape,
            head.concentration_rate,
            head.discount,
            head.discount_a,
            head.discount_b,
        )
        components = target(
            numbers[mean : mean + d],
            numbers[mean + d : spread],
            head.mean_precision,
            numbers[spread:root].reshape(d, d),
            head.dof,
            numbers[root:scale].reshape(d, d),
            head.width,
            head.scale_shape,
            numbers[scale : scale + s],
            numbers[scale + s :],
        )
        source = Source(
            head.address,
            head.row_stride,
            head.column_stride,
            head.single != 0,
            d,
            head.weight_address,
        )
        at, out = carray(position, (dim,)), carray(gradient, (dim,))
        found = head.constant + log_density(at, out, weights, components, source, head.n, head.size)
        carray(value, (1,))[0] = found
        return 0 if np.isfinite(found) else _NOT_FINITE

    return density


def _make_position(fingerprint: str) -> Callable:
    def position(dim: int, size: int, given: Any, out: Any, header: Any) -> int:
        fingerprint  # noqa: B018
        source, target = carray(given, (dim,)), carray(out, (dim,))
        for i in range(dim):
            target[i] = source[i]
        return 0

    return position


@cache
def density_callback(structure: str) -> Any:
    """``density(n, position, gradient, value, header)`` writes the last two; 0 where finite."""
    return cached_callback(partial(_make_density, target=TARGETS[structure]), _DENSITY)


@cache
def position_callback() -> Any:
    """``position(n, n, position, out, header)`` copies a position: what a sampler keeps of it."""
    return cached_callback(_make_position, _POSITION)
