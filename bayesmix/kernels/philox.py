"""Random numbers that depend on a key and the row alone: Philox4x64-10, Salmon et al. (2011)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import literal_unroll, types
from numba.extending import intrinsic

from bayesmix.kernels.blocks import compiled, inlined

__all__ = ["Stream", "uniforms"]


class Stream(NamedTuple):
    """Random numbers that depend on the row, not on blocks or threads."""

    key0: Any
    key1: Any
    first_row: int
    """Of the source, counted over all sources of a pass."""


_WEYL0, _WEYL1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
_FACTOR0, _FACTOR1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)


@intrinsic
def _product(typing_context: Any, a: Any, b: Any) -> Any:
    """Upper and lower 64 bits of the product of two uint64: one instruction."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        double, word = ir.IntType(128), ir.IntType(64)
        product = builder.mul(*(builder.zext(arg, double) for arg in args))
        high = builder.trunc(builder.lshr(product, ir.Constant(double, 64)), word)
        halves = high, builder.trunc(product, word)
        return context.make_tuple(builder, signature.return_type, halves)

    return types.UniTuple(types.uint64, 2)(types.uint64, types.uint64), codegen


@inlined
def _round(c0: Any, c1: Any, c2: Any, c3: Any, key0: Any, key1: Any) -> Any:
    high0, low0 = _product(_FACTOR0, c0)
    high1, low1 = _product(_FACTOR1, c2)
    return high1 ^ c1 ^ key0, low1, high0 ^ c3 ^ key1, low0


@compiled
def _two_counters(counter: Any, key0: Any, key1: Any) -> Any:
    """Four words each of a counter (counter, 0, 0, 0) and the next, in step: that hides latency."""
    zero = np.uint64(0)
    a0, a1, a2, a3 = counter, zero, zero, zero
    b0, b1, b2, b3 = counter + np.uint64(1), zero, zero, zero
    for _ in range(10):
        a0, a1, a2, a3 = _round(a0, a1, a2, a3, key0, key1)
        b0, b1, b2, b3 = _round(b0, b1, b2, b3, key0, key1)
        key0 += _WEYL0
        key1 += _WEYL1
    return a0, a1, a2, a3, b0, b1, b2, b3


@compiled
def uniforms(stream: Any, start: int, count: int, out: Any) -> None:
    """Uniform numbers of a block's rows, each a function of the stream's key and the row alone.

    Row i gets number i of ``numpy.random.Generator(numpy.random.Philox(key=key)).random``; what
    is beyond the rows gets -1.
    """
    row, done = stream.first_row + start, 0
    while done < count:
        counter = np.uint64((row + done) // 4 + 1)
        words = _two_counters(counter, stream.key0, stream.key1)
        skip = (row + done) % 4
        if skip == 0 and done + 8 <= count:
            for i in literal_unroll((0, 1, 2, 3, 4, 5, 6, 7)):
                out[done + i] = _uniform(words[i])
            done += 8
        else:
            for i in range(skip, min(8, skip + count - done)):
                out[done] = _uniform(words[i])
                done += 1
    out[count:] = -1.0


@inlined
def _uniform(word: Any) -> float:
    return float(np.int64(word >> np.uint64(11))) * 2.0**-53
