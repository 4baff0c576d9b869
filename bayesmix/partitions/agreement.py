"""How often columns of labels agree: all pairs of them, and the matrix of that times vectors.

Labels are cut into bits: one word holds one bit of the labels of 64 draws. Two columns differ where
any of their bits does, so that few instructions compare 64 draws, and counts are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numba.extending import intrinsic

from bayesmix.compiling import compile_once
from bayesmix.kernels.caching import cached
from bayesmix.threads import run_slices, run_tasks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.partitions.signatures import Signatures

    Floats = NDArray[np.float64]
    Shares = NDArray[np.float32]
    Labels = NDArray[np.unsignedinteger[Any]]
    Words = NDArray[np.uint64]

__all__ = ["agreement", "agreement_product", "agreement_square"]

_WORD = 64
_GROUP = 4  # bits compared at a time
_TILE = 256
_TASK_ROWS = 1 << 12
_TASK_DRAWS = 64


def agreement(a: Labels, b: Labels) -> Shares:
    """Share of the draws in which labels (A, S) are equal to labels (B, S), (A, B)."""
    n_bits = int(max(a.max(initial=0), b.max(initial=0))).bit_length()
    one, other, n_draws = _words(a, n_bits), _words(b, n_bits), a.shape[1]
    out = np.empty((len(a), len(b)), np.float32)
    n_tiles, n_parts = -(-len(b) // _TILE), -(-len(a) // _TASK_ROWS)

    def task(i: int) -> None:
        tile, part = divmod(i, n_parts)
        row, column = _TASK_ROWS * part, _TILE * tile
        few = one[row : row + _TASK_ROWS], _tile(other[column : column + _TILE])
        _compare(*few, n_draws, out, row, column)

    run_tasks(task, n_tiles * n_parts)
    return out


def agreement_square(label: Labels) -> Shares:
    """The same of all pairs of columns (U, S), (U, U): symmetric, with ones on the diagonal."""
    words, n_draws = _words(label, int(label.max()).bit_length()), label.shape[1]
    out = np.empty((len(label), len(label)), np.float32)
    n_tiles = -(-len(label) // _TILE)

    def task(i: int) -> None:
        first = _TILE * (n_tiles - 1 - i)  # the longest first
        stop = min(first + _TILE, len(label))
        _compare(words[:stop], _tile(words[first:stop]), n_draws, out, 0, first)
        out[first:stop, :first] = out[:first, first:stop].T

    run_tasks(task, n_tiles)
    return out


def agreement_product(rows: Signatures, values: Floats) -> Floats:
    """The matrix of all rows times ``values`` (n, m), (n, m), in time of the labels alone."""
    own = np.zeros((len(rows), values.shape[1]))
    np.add.at(own, rows.of_row, values)
    sums, out = np.zeros((int(rows.start[-1]), own.shape[1])), np.zeros_like(own)
    _compile(rows.label.dtype)

    def add(draws: slice) -> None:
        _add(rows.label, rows.start, draws.start, draws.stop, own, sums)

    def collect(part: slice) -> None:
        _collect(rows.label[part], rows.start, sums, out[part])

    run_slices(add, rows.n_draws, _TASK_DRAWS)
    run_slices(collect, len(rows), _TASK_ROWS)
    out /= rows.n_draws
    return out[rows.of_row]


def _words(label: Labels, n_bits: int) -> Words:
    """Bits of labels (U, S), (U, W, P): word w has bit p of draws 64 w to 64 w + 63."""
    groups = max(1, -(-n_bits // _GROUP))
    found = np.empty((len(label), -(-label.shape[1] // _WORD), _GROUP * groups), np.uint64)
    _compile(label.dtype)

    def task(own: slice) -> None:
        _cut(label[own], found[own])

    run_slices(task, len(label), _TASK_ROWS)
    return found


def _tile(words: Words) -> Words:
    """Words (T, W, P) with neighboring columns side by side, (W, P, T)."""
    return np.ascontiguousarray(words.transpose(1, 2, 0))


def _compile(kind: np.dtype) -> None:
    def run() -> None:
        label, start, one = np.zeros((1, 1), kind), np.zeros(2, np.int64), np.zeros((1, 1))
        words, out = np.zeros((1, 1, _GROUP), np.uint64), np.empty((1, 1), np.float32)
        _cut(label, words)
        _compare(words, _tile(words), 1, out, 0, 0)
        _add(label, start, 0, 1, one, one.copy())
        _collect(label, start, one, one.copy())

    compile_once(("agreement", kind), "similarity", run)


def _make_cut(fingerprint: str) -> Callable:
    def cut(label: Labels, words: Words) -> None:
        """Bits of labels (b, S) into words (b, W, P); draws that there are not have none."""
        fingerprint  # noqa: B018
        n_draws = label.shape[1]
        for i in range(len(label)):
            for w in range(words.shape[1]):
                first = _WORD * w
                own = label[i, first : min(first + _WORD, n_draws)]
                for p in range(words.shape[2]):
                    word = np.uint64(0)
                    for s in range(len(own)):
                        bit = (np.uint64(own[s]) >> np.uint64(p)) & np.uint64(1)
                        word |= bit << np.uint64(s)
                    words[i, w, p] = word

    return cut


def _make_compare(fingerprint: str) -> Callable:
    def compare(a: Words, tile: Words, n_draws: int, out: Shares, row: int, column: int) -> None:
        """Shares of draws in which words (A, W, P) and (W, P, T) agree, from a place of out on."""
        fingerprint  # noqa: B018
        n_words, n_bits, width = tile.shape
        last = n_bits - _GROUP
        equal, differ = np.empty(width, np.int64), np.empty(width, np.uint64)
        for i in range(len(a)):
            equal[:] = n_draws
            for w in range(n_words):
                differ[:] = 0
                for p in range(0, last, _GROUP):
                    for j in range(width):
                        differ[j] |= _different(a, tile, i, w, p, j)
                for j in range(width):
                    found = differ[j] | _different(a, tile, i, w, last, j)
                    equal[j] -= np.int64(_count_ones(found))
            for j in range(width):
                out[row + i, column + j] = equal[j] / n_draws

    return compare


@njit(nogil=True, error_model="numpy")
def _different(a: Words, tile: Words, i: int, w: int, p: int, j: int) -> np.uint64:
    """Draws in which any of four bits differs, as the ones of a word."""
    return (
        (a[i, w, p] ^ tile[w, p, j])
        | (a[i, w, p + 1] ^ tile[w, p + 1, j])
        | (a[i, w, p + 2] ^ tile[w, p + 2, j])
        | (a[i, w, p + 3] ^ tile[w, p + 3, j])
    )


@intrinsic
def _count_ones(typing_context: Any, word: Any) -> Any:
    """Ones in a word: one instruction where the processor has it."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return word(word), codegen


def _make_add(fingerprint: str) -> Callable:
    def add(
        label: Labels,
        start: NDArray[np.int64],
        first: int,
        stop: int,
        values: Floats,
        sums: Floats,
    ) -> None:
        """Add values (U, m) of every column to its clusters' (R, m), draws first to stop - 1."""
        fingerprint  # noqa: B018
        for i in range(len(label)):
            for s in range(first, stop):
                at = start[s] + label[i, s]
                for j in range(values.shape[1]):
                    sums[at, j] += values[i, j]

    return add


def _make_collect(fingerprint: str) -> Callable:
    def collect(label: Labels, start: NDArray[np.int64], sums: Floats, out: Floats) -> None:
        """Add the sums (R, m) of the clusters that every column (b, S) is in, (b, m)."""
        fingerprint  # noqa: B018
        for i in range(len(label)):
            for s in range(label.shape[1]):
                at = start[s] + label[i, s]
                for j in range(out.shape[1]):
                    out[i, j] += sums[at, j]

    return collect


_cut, _compare = cached(_make_cut), cached(_make_compare)
_add, _collect = cached(_make_add), cached(_make_collect)
