"""Random numbers that depend on a key and the row alone: Philox4x64-10, Salmon et al. (2011)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from bayesmix.kernels.blocks import compiled, inlined

__all__ = ["Stream", "uniforms"]


class Stream(NamedTuple):
    """Random numbers that depend on the row, not on blocks or threads."""

    key0: Any
    key1: Any
    first_row: int
    """Of the source, counted over all sources of a pass."""


@intrinsic
def _multiply_high(typing_context: Any, a: Any, b: Any) -> Any:
    """Upper 64 bits of the product of two uint64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        double = ir.IntType(128)
        product = builder.mul(*(builder.zext(arg, double) for arg in args))
        return builder.trunc(builder.lshr(product, ir.Constant(double, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), codegen


@compiled
def _philox(counter: Any, key0: Any, key1: Any) -> Any:
    """Four words of the counter (counter, 0, 0, 0)."""
    c0, c1, c2, c3 = counter, np.uint64(0), np.uint64(0), np.uint64(0)
    for _ in range(10):
        high0 = _multiply_high(np.uint64(0xD2E7470EE14C6C93), c0)
        low0 = np.uint64(0xD2E7470EE14C6C93) * c0
        high1 = _multiply_high(np.uint64(0xCA5A826395121157), c2)
        low1 = np.uint64(0xCA5A826395121157) * c2
        c0, c1, c2, c3 = high1 ^ c1 ^ key0, low1, high0 ^ c3 ^ key1, low0
        key0 += np.uint64(0x9E3779B97F4A7C15)
        key1 += np.uint64(0xBB67AE8584CAA73B)
    return c0, c1, c2, c3


@compiled
def uniforms(stream: Any, start: int, count: int, out: Any) -> None:
    """Uniform numbers of a block's rows, each a function of the stream's key and the row alone.

    Row i gets number i of ``numpy.random.Generator(numpy.random.Philox(key=key)).random``; what
    is beyond the rows gets -1.
    """
    row = stream.first_row + start
    done = 0
    while done < count:
        words = _philox(np.uint64((row + done) // 4 + 1), stream.key0, stream.key1)
        skip = (row + done) % 4
        if skip == 0 and done + 4 <= count:
            out[done] = _uniform(words[0])
            out[done + 1] = _uniform(words[1])
            out[done + 2] = _uniform(words[2])
            out[done + 3] = _uniform(words[3])
            done += 4
        else:
            for i in range(skip, min(4, skip + count - done)):
                out[done] = _uniform(words[i])
                done += 1
    out[count:] = -1.0


@inlined
def _uniform(word: Any) -> float:
    return float(word >> np.uint64(11)) * 2.0**-53
