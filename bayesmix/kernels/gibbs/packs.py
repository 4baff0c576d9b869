"""Rows by their labels: gathered component by component, summed a pack at a time.

A sampled label has one component, so the moments cost one product of features per row, whatever
the number of components, and each is taken about its own mean.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload

from bayesmix.kernels.blocks import add_product, aligned, compiled, load_block, row_totals
from bayesmix.kernels.frames import clear, mirror
from bayesmix.kernels.lanes import WIDE, load_wide, splat_wide, store

__all__ = ["Packs", "add_rows", "flush", "packs_of", "tally"]

_ROWS = 128
_STRIP = WIDE
"""Rows that are gathered before packs are looked at, so a pack has room for as many more."""
_BYTES = 1 << 18
assert _ROWS % WIDE == 0


class Packs(NamedTuple):
    """A pack of centered rows per component, feature by feature."""

    values: Any
    """Of K packs of D features, flat."""
    count: Any
    """Rows in each, (K,)."""
    place: Any
    """Where the rows of a strip go, (_STRIP,)."""
    full: Any
    """A pack about its component's mean, feature by feature."""
    length: int
    """Rows of a full pack; there is room for a strip more."""


@compiled
def packs_of(n_components: int, n_features: int) -> Any:
    """Empty packs."""
    length = _ROWS
    while length > WIDE and 8 * n_components * n_features * length > _BYTES:
        length //= 2
    values = aligned(n_components * n_features * (length + _STRIP))
    count, place = np.zeros(n_components, np.uint64), np.zeros(_STRIP, np.uint64)
    return Packs(values, count, place, aligned(n_features * length), length)


@compiled
def add_rows(packs: Any, point: Any, block: Any, labels: Any, size: int, sums: Any) -> None:
    """Add a block of rows about ``point.center`` by their labels, (m,)."""
    full = np.uint64(packs.length)
    for start in range(0, len(labels), _STRIP):
        _scatter(packs, block, labels, start, min(_STRIP, len(labels) - start), size)
        for k in range(len(packs.count)):
            if packs.count[k] >= full:
                _add_pack(packs, point, k, sums)


@compiled
def _scatter(packs: Any, block: Any, labels: Any, start: int, n_rows: int, size: int) -> None:
    """Copy the rows of a strip to the packs of their components."""
    # Unsigned, for a signed index may count from the end, which takes time to rule out.
    values, count, place = packs.values, packs.count, packs.place
    stride, first = np.uint64(packs.length + _STRIP), np.uint64(start)
    d = np.uint64(len(values) // len(count)) // stride
    for r in range(np.uint64(n_rows)):
        k = np.uint64(labels[first + r])
        place[r] = k * d * stride + count[k]
        count[k] += np.uint64(1)
    shift, at = np.uint64(0), first
    for _ in range(d):
        for r in range(np.uint64(n_rows)):
            values[place[r] + shift] = block[at + r]
        shift += stride
        at += np.uint64(size)


@compiled
def flush(packs: Any, point: Any, sums: Any) -> None:
    """Sum what is left in the packs."""
    for k in range(len(packs.count)):
        if packs.count[k] > 0:
            _add_pack(packs, point, k, sums)
    _mirror(sums.second)


@compiled
def _add_pack(packs: Any, point: Any, k: int, sums: Any) -> None:
    """Add the moments of one pack about the component's mean and empty it."""
    d, length = len(point.center), packs.length
    count = min(length, np.int64(packs.count[k]))
    for j in range(d):
        at = (k * d + j) * (length + _STRIP)
        move = splat_wide(point.center[j] - point.means[k, j])
        for g in range(0, length, WIDE):
            store(packs.full, j * length + g, load_wide(packs.values, at + g) + move)
        packs.full[j * length + count : (j + 1) * length] = 0.0
        store(packs.values, at, load_wide(packs.values, at + length))  # what is too many
    sums.sizes[k] += count
    packs.count[k] -= np.uint64(count)
    row_totals(packs.full, d, length, sums.first[k])
    _add_second(sums.second, packs.full, k, d, length)


def _add_second(second: Any, pack: Any, k: int, d: int, length: int) -> Any:
    """Add the sums of squares, and of products if there are correlations."""


def _mirror(second: Any) -> Any:
    """Copy what lies below the diagonals, if there are any."""


@overload(_add_second, strict=False, jit_options={"error_model": "numpy"})
def _choose_add(second: Any, pack: Any, k: Any, d: Any, length: Any) -> Any:
    return _add_products if second.ndim == 3 else _add_squares


@overload(_mirror, strict=False, jit_options={"error_model": "numpy"})
def _choose_mirror(second: Any) -> Any:
    return _mirror_all if second.ndim == 3 else _mirror_none


def _add_products(second: Any, pack: Any, k: int, d: int, length: int) -> None:
    """On and below the diagonal, four features at a time."""
    out = second[min(k, len(second) - 1)]
    for i in range(0, d - 3, 4):
        add_product(pack[i * length :], 4, pack, i + 4, length, out[i : i + 4])
    for i in range(d - d % 4, d):
        add_product(pack[i * length :], 1, pack, i + 1, length, out[i : i + 1])


def _add_squares(second: Any, pack: Any, k: int, d: int, length: int) -> None:
    for j in range(d):
        own = pack[j * length : (j + 1) * length]
        i = j % second.shape[1]
        add_product(own, 1, own, 1, length, second[k : k + 1, i : i + 1])


def _mirror_all(second: Any) -> None:
    for g in range(len(second)):
        mirror(second[g])


def _mirror_none(second: Any) -> None:
    pass


@compiled
def tally(point: Any, source: Any, labels: Any, size: int, sums: Any) -> None:
    """Replace the moments by those of rows with given labels about the means."""
    d = len(point.center)
    packs, block = packs_of(len(point.means), d), aligned(d * size)
    clear(sums)
    for start in range(0, len(labels), size):
        count = min(size, len(labels) - start)
        load_block(source, start, count, point.center, block, size)
        add_rows(packs, point, block, labels[start : start + count], size, sums)
    flush(packs, point, sums)
