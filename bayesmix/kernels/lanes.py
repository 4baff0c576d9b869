"""Vectors of float64 inside compiled kernels: load, store, arithmetic, exp and log.

A `Lanes` value holds one quantity for consecutive rows of a block; an operation on it becomes the
machine's vector instructions, which LLVM splits or joins to the registers there are. numba's own
loops leave ``exp`` scalar (five times slower) and reductions over rows to luck.

Scratch is flat float64 memory; an index counts numbers, not bytes.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

__all__ = [
    "NARROW",
    "WIDE",
    "exp",
    "fma",
    "load",
    "load_at",
    "load_wide",
    "log",
    "maximum",
    "prefetch",
    "select_above",
    "splat",
    "splat_wide",
    "store",
    "total",
    "transpose",
]

NARROW = 8
"""Lanes of `load` and `splat`: for reductions over rows, where many sums share the registers."""
WIDE = 32
"""Lanes of `load_wide` and `splat_wide`: four registers in flight hide the latency of chains."""

_F64, _I64, _I32 = ir.DoubleType(), ir.IntType(64), ir.IntType(32)
_ROUND = 6755399441055744.0  # 1.5 * 2^52: adding it leaves the nearest integer in the low bits
_LOG2_HIGH, _LOG2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10


class Lanes(types.Type):
    """numba's name for ``count`` float64 numbers."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(name=f"float64x{count}")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, ir.VectorType(_F64, lanes.count))


def _constant(like: ir.VectorType, value: float) -> ir.Constant:
    return ir.Constant(like, [value] * like.count)


def _whole(like: ir.VectorType) -> ir.VectorType:
    return ir.VectorType(_I64, like.count)


def _pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any, count: int) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), ir.VectorType(_F64, count).as_pointer())


def _call(builder: Any, name: str, like: ir.VectorType, args: Any) -> Any:
    kind = ir.FunctionType(like, [like] * len(args))
    function = cgutils.get_or_insert_function(builder.module, kind, f"{name}.v{like.count}f64")
    return builder.call(function, args)


def _loader(count: int) -> Callable:
    @intrinsic
    def load(typing_context: Any, array: Any, index: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            array, index = args
            pointer = _pointer(context, builder, signature.args[0], array, index, count)
            return builder.load(pointer, align=8)

        return Lanes(count)(array, types.intp), codegen

    return load


load, load_wide = _loader(NARROW), _loader(WIDE)


def _splatter(count: int) -> Callable:
    @intrinsic
    def splat(typing_context: Any, number: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            nothing = ir.Constant(ir.VectorType(_F64, count), ir.Undefined)
            first = builder.insert_element(nothing, args[0], ir.Constant(_I32, 0))
            zeros = ir.Constant(ir.VectorType(_I32, count), [0] * count)
            return builder.shuffle_vector(first, nothing, zeros)

        return Lanes(count)(types.float64), codegen

    return splat


splat, splat_wide = _splatter(NARROW), _splatter(WIDE)


@intrinsic
def load_at(typing_context: Any, address: Any) -> Any:
    """Read `NARROW` float64 numbers from an address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        like = ir.VectorType(_F64, NARROW)
        return builder.load(builder.inttoptr(args[0], like.as_pointer()), align=8)

    return Lanes(NARROW)(types.intp), codegen


@intrinsic
def prefetch(typing_context: Any, address: Any) -> Any:
    """Ask for the cache line at an address, which need not exist."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, _I32, _I32, _I32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        read, near, data = (ir.Constant(_I32, value) for value in (0, 2, 1))
        builder.call(function, [pointer, read, near, data])
        return context.get_dummy_value()

    return types.void(types.intp), codegen


@intrinsic
def transpose(typing_context: Any, rows: Any) -> Any:
    """Turn a tuple of eight rows of eight numbers into its eight columns."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        found = list(cgutils.unpack_tuple(builder, args[0], NARROW))
        for step in (1, 2, 4):  # exchange blocks of step by step numbers
            low = [j + NARROW - step if j & step else j for j in range(NARROW)]
            high = [j + NARROW if j & step else j + step for j in range(NARROW)]
            masks = [ir.Constant(ir.VectorType(_I32, NARROW), mask) for mask in (low, high)]
            for i in range(NARROW):
                if not i & step:
                    pair = found[i], found[i + step]
                    found[i], found[i + step] = (
                        builder.shuffle_vector(*pair, mask) for mask in masks
                    )
        return context.make_tuple(builder, signature.return_type, found)

    return rows(rows), codegen


@intrinsic
def store(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
    """Write the lanes to a flat array from ``index`` on."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, index, value = args
        count = signature.args[2].count
        pointer = _pointer(context, builder, signature.args[0], array, index, count)
        builder.store(value, pointer, align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), codegen


@intrinsic
def fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c``, fused where the machine can."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(builder, "llvm.fmuladd", args[0].type, args)

    return a(a, a, a), codegen


def _arithmetic(symbol: Callable, instruction: str) -> None:
    @intrinsic
    def operation(typing_context: Any, a: Any, b: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, instruction)(*args)

        return a(a, a), codegen

    @overload(symbol, strict=False)
    def implementation(a: Any, b: Any) -> Any:
        if isinstance(a, Lanes) and a == b:
            return lambda a, b: operation(a, b)
        return None


for _symbol, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _arithmetic(_symbol, _instruction)


@intrinsic
def select_above(typing_context: Any, a: Any, bound: Any, value: Any, other: Any) -> Any:
    """``value`` where ``a > bound``, else ``other``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, bound, value, other = args
        return builder.select(builder.fcmp_ordered(">", a, bound), value, other)

    return a(a, a, a, a), codegen


@intrinsic
def maximum(typing_context: Any, a: Any, b: Any) -> Any:
    """The larger of each pair; not a number where ``b`` is not."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b = args
        return builder.select(builder.fcmp_ordered(">", a, b), a, b)

    return a(a, a), codegen


@intrinsic
def total(typing_context: Any, value: Any) -> Any:
    """Sum of the lanes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        like = args[0].type
        name = f"llvm.vector.reduce.fadd.v{like.count}f64"
        kind = ir.FunctionType(_F64, [_F64, like])
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        start = ir.Constant(_F64, -0.0)
        return builder.call(function, [start, args[0]], fastmath=("reassoc",))

    return types.float64(value), codegen


@intrinsic
def exp(typing_context: Any, x: Any) -> Any:
    """Exponential of numbers up to 700; exactly 0 below -708, so never a denormal number.

    Within one unit in the last place: x = n log 2 + r, r at most log(2)/2 in size, Taylor
    polynomial of degree 13 in r, n added to the exponent's bits.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        like = args[0].type

        def c(value: float) -> ir.Constant:
            return _constant(like, value)

        def mad(*args: Any) -> Any:
            return _call(builder, "llvm.fmuladd", like, args)

        low = builder.fcmp_ordered("<", args[0], c(-708.0))
        x = builder.select(low, c(-708.0), args[0])
        shifted = mad(x, c(1 / math.log(2)), c(_ROUND))
        n = builder.fsub(shifted, c(_ROUND))
        r = mad(n, c(-_LOG2_LOW), mad(n, c(-_LOG2_HIGH), x))
        series = c(1 / math.factorial(13))
        for i in range(12, -1, -1):
            series = mad(series, r, c(1 / math.factorial(i)))
        whole = _whole(like)
        exponent = builder.shl(builder.bitcast(shifted, whole), _constant(whole, 52))
        scaled = builder.add(builder.bitcast(series, whole), exponent)
        return builder.select(low, c(0.0), builder.bitcast(scaled, like))

    return x(x), codegen


@intrinsic
def log(typing_context: Any, x: Any) -> Any:
    """Natural logarithm of positive normal numbers, within 2 units in the last place.

    Of 0 it is minus infinity, of what is below, or no number, no number.
    x = 2^e m with m in [√½, √2): log m = 2 artanh s with s = (m - 1)/(m + 1), as a series in s².
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        like = args[0].type
        whole = _whole(like)

        def c(value: float) -> ir.Constant:
            return _constant(like, value)

        def mad(*args: Any) -> Any:
            return _call(builder, "llvm.fmuladd", like, args)

        bits = builder.bitcast(args[0], whole)
        root_half = _constant(whole, 0x3FE6A09E667F3BCD)
        e = builder.ashr(builder.sub(bits, root_half), _constant(whole, 52))
        m = builder.bitcast(builder.sub(bits, builder.shl(e, _constant(whole, 52))), like)
        e = builder.bitcast(builder.add(e, _constant(whole, 0x4338000000000000)), like)
        e = builder.fsub(e, c(_ROUND))
        s = builder.fdiv(builder.fsub(m, c(1.0)), builder.fadd(m, c(1.0)))
        square = builder.fmul(s, s)
        series = c(2 / 23)
        for i in range(21, 1, -2):
            series = mad(series, square, c(2 / i))
        small = mad(s, c(2.0), builder.fmul(builder.fmul(series, square), s))
        result = mad(e, c(_LOG2_HIGH), mad(e, c(_LOG2_LOW), small))
        zero = builder.fcmp_ordered("==", args[0], c(0.0))
        other = builder.select(zero, c(-math.inf), c(math.nan))
        return builder.select(builder.fcmp_ordered(">", args[0], c(0.0)), result, other)

    return x(x), codegen
