"""One block of rows: loaded feature by feature, turned into probabilities, summed.

Scratch is flat and padded: row r of feature (or component) j lies at ``j * size + r``, with the
rows beyond the data zero and of weight zero.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from bayesmix.kernels.lanes import (
    NARROW,
    WIDE,
    exp,
    fma,
    load,
    load_at,
    load_wide,
    log,
    maximum,
    prefetch,
    select_above,
    splat,
    splat_wide,
    store,
    total,
    transpose,
)

__all__ = [
    "Source",
    "add_product",
    "aligned",
    "block_size",
    "choose_labels",
    "compiled",
    "copy_row",
    "inlined",
    "largest",
    "load_block",
    "load_weights",
    "log_density",
    "normalize",
    "responsibilities",
    "row_totals",
    "settle",
]

LOWEST = -1.7e308
_NEGLIGIBLE = 1e-18  # responsibilities below this are zero: smaller ones are slow and add nothing

compiled = njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
inlined = njit(nogil=True, error_model="numpy", inline="always")


class Source(NamedTuple):
    """Where the rows lie in memory: one compiled kernel for every dtype and memory order."""

    address: int
    row_stride: int
    """Bytes from one row to the next."""
    column_stride: int
    single: bool
    """Whether the numbers are float32."""
    n_features: int
    weight_address: int
    """Of one float64 per row; 0 for none."""


def _reader(element: ir.Type) -> Any:
    @intrinsic
    def read(typing_context: Any, address: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            number = builder.load(builder.inttoptr(args[0], element.as_pointer()))
            return number if element == ir.DoubleType() else builder.fpext(number, ir.DoubleType())

        return types.float64(types.intp), codegen

    return read


_read, _read_single = _reader(ir.DoubleType()), _reader(ir.FloatType())


_SIZES = (352, 160, 96, WIDE)  # odd multiples of 32: rows of a power of two share cache sets
_SCRATCH_BYTES = 1 << 19


def block_size(n_components: int, n_features: int) -> int:
    """Rows of a block: as many as keep its scratch in the core's own cache."""
    for size in _SIZES:  # no generator: compiled code asks, too
        if 8 * size * (n_features + n_components) <= _SCRATCH_BYTES:
            return size
    return WIDE


@compiled
def aligned(n: int) -> Any:
    """Scratch of n numbers that starts on a cache line."""
    memory = np.empty(n + 8)
    skip = (64 - memory.ctypes.data % 64) % 64 // 8
    return memory[skip : skip + n]


@compiled
def load_block(source: Source, start: int, count: int, center: Any, block: Any, size: int) -> None:
    """Copy ``count`` rows from row ``start`` on, less ``center``, feature by feature.

    A row without weight is loaded as the center.
    """
    d = source.n_features
    row = source.address + start * source.row_stride
    fast = 0
    if d >= NARROW and source.column_stride == 8 and not source.single:
        fast = count - count % NARROW
    for r in range(0, fast, NARROW):
        for j in range(0, d - NARROW + 1, NARROW):
            _load_tile(row, source.row_stride, j, r, center, block, size)
        if d % NARROW:  # the last eight columns, some of them once more
            _load_tile(row, source.row_stride, d - NARROW, r, center, block, size)
        row += NARROW * source.row_stride
    for j in range(d):
        out, at = block[j * size + fast : j * size + count], row + j * source.column_stride
        if source.single:
            for r in range(len(out)):
                out[r] = _read_single(at + r * source.row_stride) - center[j]
        else:
            for r in range(len(out)):
                out[r] = _read(at + r * source.row_stride) - center[j]
    if source.weight_address != 0:  # zero times a wild number may be none
        for r in range(count):
            if _read(source.weight_address + 8 * (start + r)) == 0:
                for j in range(d):
                    block[j * size + r] = 0.0
    for j in range(d):
        block[j * size + count : (j + 1) * size] = 0.0


@compiled
def copy_row(source: Source, row: int, out: Any) -> None:
    """Copy one row, (D,)."""
    at = source.address + row * source.row_stride
    for j in range(source.n_features):
        out[j] = _read_single(at) if source.single else _read(at)
        at += source.column_stride


@compiled
def _load_tile(row: int, stride: int, j: int, r: int, center: Any, block: Any, size: int) -> None:
    """Copy eight rows from an address on, columns j to j + 7, to rows r to r + 7 of the block."""
    at = row + 8 * j
    first, second = at, at + 4 * stride
    rows = (
        load_at(first),
        load_at(first + stride),
        load_at(first + 2 * stride),
        load_at(first + 3 * stride),
        load_at(second),
        load_at(second + stride),
        load_at(second + 2 * stride),
        load_at(second + 3 * stride),
    )
    for i in range(NARROW):  # of the next block, while this one is worked on
        prefetch(at + (size + i) * stride)
    for i, column in enumerate(transpose(rows)):
        store(block, (j + i) * size + r, column - splat(center[j + i]))


@compiled
def load_weights(source: Source, start: int, count: int, weight: Any) -> None:
    """Copy the weights of a block's rows: the one place where per-row inputs enter."""
    if source.weight_address == 0:
        weight[:count] = 1.0
    else:
        for r in range(count):
            weight[r] = _read(source.weight_address + 8 * (start + r))
    weight[count:] = 0.0


@inlined
def _shares(joint: Any, n_components: int, size: int, g: int) -> Any:
    """Joint densities of a group of rows relative to the largest, in place; it, and their sum."""
    top = maximum(load_wide(joint, g), splat_wide(LOWEST))  # minus infinity less itself is none
    for k in range(1, n_components):
        top = maximum(top, load_wide(joint, k * size + g))
    norm = splat_wide(0.0)
    for k in range(n_components):
        share = exp(load_wide(joint, k * size + g) - top)
        store(joint, k * size + g, share)
        norm = norm + share
    return top, norm


@compiled
def normalize(joint: Any, common: Any, weight: Any, n_components: int, size: int) -> float:
    """Turn log joint densities into weighted responsibilities; return the log-likelihood."""
    found = splat_wide(0.0)
    for g in range(0, size, WIDE):
        top, norm = _shares(joint, n_components, size, g)
        w = load_wide(weight, g)
        density = w * (load_wide(common, g) + (top + log(norm)))
        found = found + select_above(w, splat_wide(0.0), density, splat_wide(0.0))
        _scale(joint, n_components, size, g, norm, w)
    return total(found)


@inlined
def _scale(share: Any, n_components: int, size: int, g: int, norm: Any, weight: Any) -> None:
    """Turn shares of ``norm`` into weighted responsibilities, in place."""
    scale, least = weight / norm, norm * splat_wide(_NEGLIGIBLE)
    for k in range(n_components):
        own = load_wide(share, k * size + g)
        kept = select_above(own, least, own * scale, splat_wide(0.0))
        store(share, k * size + g, kept)


@compiled
def settle(share: Any, weight: Any, n_components: int, size: int) -> None:
    """Turn what `log_density` leaves, densities by the row's largest, into responsibilities."""
    for g in range(0, size, WIDE):
        norm = splat_wide(0.0)
        for k in range(n_components):
            norm = norm + load_wide(share, k * size + g)
        _scale(share, n_components, size, g, norm, load_wide(weight, g))


@compiled
def log_density(joint: Any, common: Any, n_components: int, size: int, out: Any) -> None:
    """Logarithm of the summed joint densities of every row, and what they leave out."""
    for g in range(0, size, WIDE):
        top, norm = _shares(joint, n_components, size, g)
        store(out, g, load_wide(common, g) + (top + log(norm)))


@compiled
def responsibilities(joint: Any, n_components: int, size: int) -> None:
    """Turn log joint densities into probabilities of the components, in place."""
    for g in range(0, size, WIDE):
        _, norm = _shares(joint, n_components, size, g)
        for k in range(n_components):
            store(joint, k * size + g, load_wide(joint, k * size + g) / norm)


@compiled
def largest(joint: Any, n_components: int, size: int, out: Any) -> None:
    """Index of each row's largest joint density, the first of equal ones, as a float."""
    for g in range(0, size, WIDE):
        top = load_wide(joint, g)
        label = splat_wide(0.0)
        for k in range(1, n_components):
            value = load_wide(joint, k * size + g)
            label = select_above(value, top, splat_wide(float(k)), label)
            top = maximum(top, value)
        store(out, g, label)


@compiled
def choose_labels(
    joint: Any, common: Any, n_components: int, size: int, uniform: Any, labels: Any
) -> float:
    """Draw a block's labels, (m,), by inversion; return the log-likelihood of its rows.

    Uniform numbers below 0 mark rows that do not count; they give way to the labels.
    """
    found, product = splat_wide(0.0), splat_wide(1.0)
    for g in range(0, size, WIDE):
        top, norm = _shares(joint, n_components, size, g)
        u = load_wide(uniform, g)
        density = load_wide(common, g) + top
        found = found + select_above(u, splat_wide(-0.5), density, splat_wide(0.0))
        # between 1 and K each: one logarithm serves the block
        product = product * select_above(u, splat_wide(-0.5), norm, splat_wide(1.0))
        store(uniform, g, _chosen(joint, n_components, size, g, u * norm))
    for r in range(len(labels)):
        labels[r] = int(uniform[r])
    return total(found + log(product))


@inlined
def _chosen(share: Any, n_components: int, size: int, g: int, bound: Any) -> Any:
    """First component whose cumulative share exceeds the bound, as a float."""
    cumulative, label = splat_wide(0.0), splat_wide(0.0)
    for k in range(n_components - 1):
        cumulative = cumulative + load_wide(share, k * size + g)
        passed = select_above(cumulative, bound, splat_wide(0.0), splat_wide(1.0))
        label = label + passed
    return label


@compiled
def row_totals(values: Any, n_rows: int, size: int, out: Any) -> None:
    """Add the sum of every row of ``values`` to ``out``."""
    for i in range(n_rows):
        found = splat_wide(0.0)
        for g in range(0, size, WIDE):
            found = found + load_wide(values, i * size + g)
        out[i] += total(found)


@compiled
def add_product(a: Any, n_a: int, b: Any, n_b: int, size: int, out: Any) -> None:
    """Add a bᵀ, sums over the rows of a block, to ``out`` (n_a, n_b)."""
    for i in range(0, n_a - 3, 4):
        for j in range(0, n_b - 3, 4):
            _add_tile(a, i, b, j, size, out)
    for i in range(n_a - n_a % 4, n_a):
        for j in range(0, n_b - 3, 4):
            _add_strip(a, i, b, j, size, out)
    for i in range(n_a):
        for j in range(n_b - n_b % 4, n_b):
            _add_dot(a, i, b, j, size, out)


@compiled
def _add_dot(a: Any, i: int, b: Any, j: int, size: int, out: Any) -> None:
    found = splat_wide(0.0)
    for g in range(0, size, WIDE):
        found = fma(load_wide(a, i * size + g), load_wide(b, j * size + g), found)
    out[i, j] += total(found)


@compiled
def _add_strip(a: Any, i: int, b: Any, j: int, size: int, out: Any) -> None:
    """One row of a with four of b."""
    c0, c1, c2, c3 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    for g in range(0, size, NARROW):
        w = load(a, i * size + g)
        c0 = fma(w, load(b, j * size + g), c0)
        c1 = fma(w, load(b, (j + 1) * size + g), c1)
        c2 = fma(w, load(b, (j + 2) * size + g), c2)
        c3 = fma(w, load(b, (j + 3) * size + g), c3)
    out[i, j] += total(c0)
    out[i, j + 1] += total(c1)
    out[i, j + 2] += total(c2)
    out[i, j + 3] += total(c3)


@compiled
def _add_tile(a: Any, i: int, b: Any, j: int, size: int, out: Any) -> None:
    """Four rows of a with four of b: sixteen sums in registers for eight loads."""
    c00, c01, c02, c03 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    c10, c11, c12, c13 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    c20, c21, c22, c23 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    c30, c31, c32, c33 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
    for g in range(0, size, NARROW):
        w0, w1 = load(a, i * size + g), load(a, (i + 1) * size + g)
        w2, w3 = load(a, (i + 2) * size + g), load(a, (i + 3) * size + g)
        v = load(b, j * size + g)
        c00, c10, c20, c30 = fma(w0, v, c00), fma(w1, v, c10), fma(w2, v, c20), fma(w3, v, c30)
        v = load(b, (j + 1) * size + g)
        c01, c11, c21, c31 = fma(w0, v, c01), fma(w1, v, c11), fma(w2, v, c21), fma(w3, v, c31)
        v = load(b, (j + 2) * size + g)
        c02, c12, c22, c32 = fma(w0, v, c02), fma(w1, v, c12), fma(w2, v, c22), fma(w3, v, c32)
        v = load(b, (j + 3) * size + g)
        c03, c13, c23, c33 = fma(w0, v, c03), fma(w1, v, c13), fma(w2, v, c23), fma(w3, v, c33)
    _add_row(out, i, j, c00, c01, c02, c03)
    _add_row(out, i + 1, j, c10, c11, c12, c13)
    _add_row(out, i + 2, j, c20, c21, c22, c23)
    _add_row(out, i + 3, j, c30, c31, c32, c33)


@inlined
def _add_row(out: Any, i: int, j: int, c0: Any, c1: Any, c2: Any, c3: Any) -> None:
    out[i, j] += total(c0)
    out[i, j + 1] += total(c1)
    out[i, j + 2] += total(c2)
    out[i, j + 3] += total(c3)
