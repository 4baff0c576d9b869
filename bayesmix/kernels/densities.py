"""One walk for a gradient: the log density of every row together with the moments.

Each structure has one function of addresses and lengths, so that code compiled elsewhere can call
it without seeing what it is made of: a model that uses it compiles as if it were not there.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.extending import intrinsic

from bayesmix.kernels.blocks import (
    Source,
    aligned,
    block_size,
    compiled,
    load_weights,
    log_density,
    settle,
)
from bayesmix.kernels.caching import cached, fingerprint_of
from bayesmix.kernels.frames import (
    NARROW_ROWS,
    FullPoint,
    Place,
    Sums,
    TiedPoint,
    VariancesPoint,
    clear,
    scratch_of,
)
from bayesmix.kernels.structures import add_moments, fill, finish, prepare, recenter

__all__ = ["ARGUMENTS", "Entry", "entry_of"]

ARGUMENTS = (
    *("n_rows", "n_components", "n_features", "width"),
    *("x", "row_stride", "column_stride", "row_weight"),
    *("log_weights", "means", "factor"),
    *("rows", "sizes", "first", "second"),
)
"""Machine words, all of them: numbers, and addresses of float64. ``x`` may have any strides in
bytes, the others lie in C order, in the structure's shape. ``width`` is the number of columns of
diagonal factors, 1 for spherical; ``row_weight`` may be 0, for none. What the function finds it
writes to the last four. Where a parameter is not a number, the rows' densities are none either."""

_size = compiled(block_size)


@intrinsic
def _numbers(typing_context: Any, address: Any) -> Any:
    """Take an address for that of float64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], ir.DoubleType().as_pointer())

    return types.CPointer(types.float64)(types.intp), codegen


@compiled
def _walk(point: Any, frame: Any, source: Any, size: int, rows: Any, sums: Any) -> None:
    k, d = point.means.shape
    scratch = scratch_of(k, d, size)
    found = aligned(size)
    for first in range(0, len(rows), size):
        place = Place(source, first, min(size, len(rows) - first))
        fill(point, frame, place, scratch)
        load_weights(source, first, place.length, scratch.per_row)
        log_density(scratch.joint, scratch.common, k, size, found)
        for r in range(place.length):
            rows[first + r] = found[r]
        settle(scratch.joint, scratch.per_row, k, size)
        add_moments(point, frame, place, scratch, sums)
    finish(point, frame, sums)


@compiled
def _spread(second: Any, k: int, j: int) -> float:
    """What the moments say of one feature's scatter in a component."""
    if second.ndim == 3:
        return second[k % len(second), j, j]
    return second[k, j % second.shape[1]]


@compiled
def _distrust(point: Any, sums: Any) -> bool:
    """Take components off the shared center whose moments lost digits there."""
    k, d = point.means.shape
    lost = np.zeros(k, np.bool_)
    for i in range(k):
        for j in range(d):
            shift = point.means[i, j] - point.center[j]
            moved = sums.sizes[i] * shift * shift
            if point.near[i] and _spread(sums.second, i, j) < NARROW_ROWS * moved:
                lost[i] = True
    if not lost.any():
        return False
    for i in range(k):
        if lost[i] or len(sums.second) < k:  # tied: all or none
            point.near[i] = False
    return True


@compiled
def _usable(point: Any, frame: Any) -> bool:
    """Whether all parameters are numbers; a log weight may be minus infinity."""
    found = True
    for k in range(len(point.means)):
        found = found and point.log_weights[k] < np.inf and not np.isnan(frame.cost[k])
        for z in point.means[k]:
            found = found and np.isfinite(z)
    for a in point.factor.ravel():
        found = found and np.isfinite(a)
    return found


@compiled
def _run(
    point: Any,
    n: int,
    x: int,
    across: int,
    along: int,
    row_weight: int,
    rows: int,
    sizes: int,
    first: int,
    second: Any,
) -> None:
    """Walk over the rows at an address; results go to addresses, S2 to an array."""
    recenter(point)
    k, d = point.means.shape
    source = Source(x, across, along, False, d, row_weight)
    sums = Sums(carray(_numbers(sizes), (k,)), carray(_numbers(first), (k, d)), second)
    found, size = carray(_numbers(rows), (n,)), _size(k, d)
    again = True
    while again:
        clear(sums)
        frame = prepare(point)
        if _usable(point, frame):
            _walk(point, frame, source, size, found, sums)
            again = _distrust(point, sums)
        else:
            for i in range(n):
                found[i] = np.nan
            again = False


def _make_full(fingerprint: str) -> Callable:
    def density_full(  # type: ignore[no-untyped-def]
        n, k, d, width, x, across, along, row_weight, logs, means, factor, rows, s0, s1, s2
    ):
        fingerprint  # noqa: B018 - what a function captures is part of its key in the cache
        point = FullPoint(
            carray(_numbers(logs), (k,)),
            carray(_numbers(means), (k, d)),
            carray(_numbers(factor), (k, d, d)),
            np.empty(d),
            np.empty(k, np.bool_),
        )
        second = carray(_numbers(s2), (k, d, d))
        _run(point, n, x, across, along, row_weight, rows, s0, s1, second)

    return density_full


def _make_tied(fingerprint: str) -> Callable:
    def density_tied(  # type: ignore[no-untyped-def]
        n, k, d, width, x, across, along, row_weight, logs, means, factor, rows, s0, s1, s2
    ):
        fingerprint  # noqa: B018
        point = TiedPoint(
            carray(_numbers(logs), (k,)),
            carray(_numbers(means), (k, d)),
            carray(_numbers(factor), (d, d)),
            np.empty(d),
            np.empty(k, np.bool_),
            False,
        )
        second = carray(_numbers(s2), (1, d, d))
        _run(point, n, x, across, along, row_weight, rows, s0, s1, second)

    return density_tied


def _make_variances(fingerprint: str) -> Callable:
    def density_variances(  # type: ignore[no-untyped-def]
        n, k, d, width, x, across, along, row_weight, logs, means, factor, rows, s0, s1, s2
    ):
        fingerprint  # noqa: B018
        given, own = carray(_numbers(factor), (k, width)), np.empty((k, d))
        for i in range(k):
            for j in range(d):
                own[i, j] = given[i, j % width]
        point = VariancesPoint(
            carray(_numbers(logs), (k,)),
            carray(_numbers(means), (k, d)),
            own,
            np.empty(d),
            np.empty(k, np.bool_),
        )
        second = carray(_numbers(s2), (k, width))
        _run(point, n, x, across, along, row_weight, rows, s0, s1, second)

    return density_variances


_MAKERS = {
    "full": _make_full,
    "tied": _make_tied,
    "diag": _make_variances,
    "spherical": _make_variances,
}


class Entry(NamedTuple):
    """A compiled function of `ARGUMENTS`."""

    symbol: str
    """Under which compiled code finds it in this process."""
    call: Callable[..., None]
    """The same for Python; lets go of the interpreter's lock."""


@cache
def entry_of(structure: str) -> Entry:
    """Compile a structure's function, or load it, and make it known in this process."""
    make = _MAKERS[structure]
    kernel = cached(make)
    signature = (types.intp,) * len(ARGUMENTS)
    kernel.compile(signature)
    made = kernel.overloads[signature]
    address = made.library.get_pointer_to_function(made.fndesc.llvm_cfunc_wrapper_name)
    symbol = f"bayesmix{make.__name__}_{fingerprint_of()[:16]}"
    llvm.add_symbol(symbol, address)
    call = ctypes.CFUNCTYPE(None, *(ctypes.c_ssize_t for _ in ARGUMENTS))(address)
    return Entry(symbol, call)
