"""Mean, standard deviation and quantiles over draws, of numbers that every row has: rows outer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from bayesmix.compiling import compile_once
from bayesmix.kernels.caching import cached
from bayesmix.memory import blocks
from bayesmix.threads import run_slices

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Summaries", "summarize"]

_TASK = 64  # numbers of rows that a thread takes at a time
_LANES = 8
_SAMPLE = 100


class Summaries(NamedTuple):
    """Over the draws, of K numbers per row, each (n, K)."""

    mean: Floats
    sd: Floats
    lower: Floats
    upper: Floats


def summarize(
    values: Callable[[slice], Floats],
    shape: tuple[int, int, int],
    tails: tuple[float, float],
) -> Summaries:
    """Summarize what ``values`` returns for some rows, block of rows by block of rows.

    Quantiles are exact: order statistics, interpolated linearly. A row's numbers do
    not depend on the blocks; memory beyond the output is that of a block.

    Parameters
    ----------
    values : callable
        From a slice of b rows to numbers (S, b, K).
    shape : (S, n, K)
        S draws, n rows, K numbers per row.
    tails : (float, float)
        Probabilities of the lower and the upper quantile.
    """
    s, n, k = shape
    found = np.empty((len(Summaries._fields), n, k))
    flat = found.reshape(len(found), -1)
    nothing = np.empty((1, 0)), 0, 0, tails, flat, 0
    compile_once("summaries", "summaries of draws", lambda: _write_summaries(*nothing))
    for own in blocks(n, 8 * s * k):
        _summarize_block(values(own), tails, flat, k * own.start)
    return Summaries(*found)


def _summarize_block(block: Floats, tails: tuple[float, float], out: Floats, origin: int) -> None:
    """Summaries of numbers (S, b, K) from column ``origin`` of ``out`` on: one block at a time."""
    columns = block.reshape(len(block), -1)

    def task(own: slice) -> None:
        _write_summaries(columns, own.start, own.stop, tails, out, origin)

    run_slices(task, columns.shape[1], _TASK)


def _make_write_summaries(fingerprint: str) -> Callable:
    def write_summaries(
        block: Floats,
        first: int,
        stop: int,
        tails: tuple[float, float],
        out: Floats,
        origin: int,
    ) -> None:
        """Summaries of columns first, ..., stop - 1 of a block (S, m), from ``origin`` on."""
        fingerprint  # noqa: B018
        s, last = len(block), len(block) - 1
        values, few = np.empty((_LANES, s)), np.empty(s + 1)
        for start in range(first, stop, _LANES):
            width = min(_LANES, stop - start)
            for i in range(s):  # neighbors together: they share a line of memory
                for lane in range(width):
                    values[lane, i] = block[i, start + lane]
            for lane in range(width):
                own, at = values[lane], origin + start + lane
                out[0, at] = own.mean()
                out[1, at] = np.sqrt(np.square(own - out[0, at]).mean())
                rank = last * tails[0]
                high, low = _largest_two(own, 1.0, min(int(rank) + 2, s), few)
                out[2, at] = low + (rank - int(rank)) * (high - low)
                rank = last * tails[1]
                low, high = _largest_two(own, -1.0, s - int(rank), few)
                out[3, at] = -low + (rank - int(rank)) * (low - high)

    return write_summaries


@njit(nogil=True, error_model="numpy")
def _largest_two(values: Floats, sign: float, count: int, few: Floats) -> tuple[float, float]:
    """The two largest of the ``count`` smallest of sign * values; of one, that one twice.

    What a sample says is far above them is left aside first (Floyd and Rivest 1975).
    """
    s = len(values)
    sample = sign * values[:: max(1, s // _SAMPLE)]
    sample.sort()
    share = count / s
    margin = 3 * np.sqrt(share * (1 - share) / len(sample)) + 1 / len(sample)
    limit = sample[min(int((share + margin) * len(sample)), len(sample) - 1)]
    size = 0
    for value in values:
        few[size] = sign * value
        size += few[size] <= limit
    if size < count:  # the sample misled
        few[:s] = sign * values
        size = s
    smallest = np.partition(few[:size], count - 1)
    largest = smallest[count - 1]
    return largest, smallest[: count - 1].max() if count > 1 else largest


_write_summaries = cached(_make_write_summaries)
