"""Arithmetic of covariance matrices, for full and tied."""

from __future__ import annotations

from typing import Any

from bayesmix.kernels.blocks import add_product, compiled, inlined
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

__all__ = ["add_scatter", "four", "four_triangular", "move_scatter", "one", "quadratic"]


@inlined
def _add_rows(
    factor: Any,
    block: Any,
    size: int,
    g: int,
    i: int,
    first: int,
    z0: Any,
    z1: Any,
    z2: Any,
    z3: Any,
) -> Any:
    """Add what rows ``first`` on of the factor give to entries i to i + 3 of factorᵀ x."""
    for j in range(first, len(factor)):
        x = load_wide(block, j * size + g)
        z0 = fma(splat_wide(factor[j, i]), x, z0)
        z1 = fma(splat_wide(factor[j, i + 1]), x, z1)
        z2 = fma(splat_wide(factor[j, i + 2]), x, z2)
        z3 = fma(splat_wide(factor[j, i + 3]), x, z3)
    return z0, z1, z2, z3


@inlined
def four(factor: Any, offset: Any, block: Any, size: int, g: int, i: int) -> Any:
    """Entries i to i + 3 of factorᵀ x - offset."""
    z0, z1 = splat_wide(-offset[i]), splat_wide(-offset[i + 1])
    z2, z3 = splat_wide(-offset[i + 2]), splat_wide(-offset[i + 3])
    return _add_rows(factor, block, size, g, i, 0, z0, z1, z2, z3)


@inlined
def four_triangular(factor: Any, offset: Any, block: Any, size: int, g: int, i: int) -> Any:
    """The same for a lower triangular factor: nothing is multiplied by the zeros above row i."""
    x = load_wide(block, i * size + g)
    z0 = fma(splat_wide(factor[i, i]), x, splat_wide(-offset[i]))
    x = load_wide(block, (i + 1) * size + g)
    z0 = fma(splat_wide(factor[i + 1, i]), x, z0)
    z1 = fma(splat_wide(factor[i + 1, i + 1]), x, splat_wide(-offset[i + 1]))
    x = load_wide(block, (i + 2) * size + g)
    z0 = fma(splat_wide(factor[i + 2, i]), x, z0)
    z1 = fma(splat_wide(factor[i + 2, i + 1]), x, z1)
    z2 = fma(splat_wide(factor[i + 2, i + 2]), x, splat_wide(-offset[i + 2]))
    z3 = splat_wide(-offset[i + 3])
    return _add_rows(factor, block, size, g, i, i + 3, z0, z1, z2, z3)


@inlined
def one(factor: Any, offset: Any, block: Any, size: int, g: int, i: int, first: int) -> Any:
    """Entry i of factorᵀ x - offset; above row ``first`` the factor is zero."""
    z = splat_wide(-offset[i])
    for j in range(first, len(factor)):
        z = fma(splat_wide(factor[j, i]), load_wide(block, j * size + g), z)
    return z


@compiled
def quadratic(factor: Any, offset: Any, block: Any, size: int, cost: float, out: Any) -> None:
    """Minus the cost and half the squared length of factorᵀ x - offset, factor lower triangular."""
    d = len(offset)
    for g in range(0, size, WIDE):
        square = splat_wide(0.0)
        for i in range(0, d - 3, 4):
            z0, z1, z2, z3 = four_triangular(factor, offset, block, size, g, i)
            square = fma(z3, z3, fma(z2, z2, fma(z1, z1, fma(z0, z0, square))))
        for i in range(d - d % 4, d):
            z = one(factor, offset, block, size, g, i, i)
            square = fma(z, z, square)
        store(out, g, fma(square, splat_wide(-0.5), splat_wide(-cost)))


@compiled
def add_scatter(weight: Any, block: Any, size: int, weighted: Any, first: Any, second: Any) -> None:
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
def move_scatter(shift: Any, size: float, first: Any, second: Any) -> None:
    """Move moments of one component to its mean, on and below the diagonal."""
    for i in range(len(shift)):
        new = first[i] - size * shift[i]
        for j in range(i + 1):
            second[i, j] -= shift[i] * first[j] + new * shift[j]
    for i in range(len(shift)):
        first[i] -= size * shift[i]
