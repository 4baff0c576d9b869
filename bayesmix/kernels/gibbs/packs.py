"""Rows by their labels: gathered component by component, summed a pack at a time.

A sampled label has one component, so the moments cost one product of features per row, whatever
the number of components, and each is taken about its own mean.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload

from bayesmix.kernels.blocks import add_product, aligned, compiled, load_block, row_totals
from bayesmix.kernels.frames import mirror
from bayesmix.kernels.lanes import WIDE

__all__ = ["Packs", "add_rows", "flush", "packs_of", "tally"]

_ROWS = 64
_BYTES = 1 << 18
assert _ROWS % WIDE == 0


class Packs(NamedTuple):
    """A pack of centered rows per component, feature by feature."""

    values: Any
    """(K, D * length)."""
    count: Any
    """Rows in each, (K,)."""
    length: int


@compiled
def packs_of(n_components: int, n_features: int) -> Any:
    """Empty packs."""
    length = _ROWS
    while length > WIDE and 8 * n_components * n_features * length > _BYTES:
        length //= 2
    values = aligned(n_components * n_features * length).reshape(n_components, -1)
    return Packs(values, np.zeros(n_components, np.int64), length)


@compiled
def add_rows(packs: Any, point: Any, block: Any, labels: Any, size: int, sums: Any) -> None:
    """Add a block of rows about ``point.center`` by their labels, (m,)."""
    d = len(point.center)
    values, count, length = packs
    means, center = point.means, point.center
    for r in range(len(labels)):
        k = labels[r]
        place = count[k]
        pack = values[k]
        for j in range(d):
            pack[j * length + place] = block[j * size + r] - (means[k, j] - center[j])
        count[k] = place + 1
        if place + 1 == length:
            _add_pack(packs, k, d, sums)


@compiled
def flush(packs: Any, d: int, sums: Any) -> None:
    """Sum what is left in the packs."""
    for k in range(len(packs.count)):
        count, length = packs.count[k], packs.length
        if count > 0:
            for j in range(d):
                packs.values[k, j * length + count : (j + 1) * length] = 0.0
            _add_pack(packs, k, d, sums)
    _mirror(sums.second)


@compiled
def _add_pack(packs: Any, k: int, d: int, sums: Any) -> None:
    """Add the moments of one pack and empty it."""
    pack, length = packs.values[k], packs.length
    sums.sizes[k] += packs.count[k]
    packs.count[k] = 0
    row_totals(pack, d, length, sums.first[k])
    _add_second(sums.second, pack, k, d, length)


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
    sums.sizes[:] = 0.0
    sums.first[:] = 0.0
    sums.second[:] = 0.0
    for start in range(0, len(labels), size):
        count = min(size, len(labels) - start)
        load_block(source, start, count, point.center, block, size)
        add_rows(packs, point, block, labels[start : start + count], size, sums)
    flush(packs, d, sums)
