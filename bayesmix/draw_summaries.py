"""Mean, standard deviation and quantiles over draws, of numbers that every row has: rows outer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmix.threads import run_tasks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Summaries", "summarize"]

_BLOCK_BYTES = 1 << 25  # of the numbers of some rows at all draws
_TILE_BYTES = 1 << 19  # of those that a thread has at hand


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

    Quantiles are exact: order statistics, interpolated linearly as NumPy does. A row's numbers do
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
    found = Summaries(*(np.empty((n, k)) for _ in Summaries._fields))
    flat = [a.reshape(-1) for a in found]
    size = max(1, _BLOCK_BYTES // (8 * s * k))
    width = max(1, _TILE_BYTES // (8 * s))
    for start in range(0, n, size):
        block = values(slice(start, min(start + size, n))).reshape(s, -1)

        def task(i: int, block: Floats = block, first: int = k * start) -> None:
            columns = block[:, width * i : width * (i + 1)]
            own = slice(first + width * i, first + width * i + columns.shape[1])
            for whole, part in zip(flat, _summaries(columns, tails), strict=True):
                whole[own] = part

        run_tasks(task, -(-block.shape[1] // width))
    return found


def _summaries(columns: Floats, tails: tuple[float, float]) -> Summaries:
    """Summaries of columns (S, m), each (m,)."""
    values = np.ascontiguousarray(columns.T)
    mean = values.mean(axis=1)
    sd = np.sqrt(np.square(values - mean[:, None]).mean(axis=1))
    last = values.shape[1] - 1
    below = [int(last * tail) for tail in tails]
    above = [min(i + 1, last) for i in below]
    values.partition([*below, *above], axis=1)
    lower, upper = (
        values[:, i] + (last * tail - i) * (values[:, j] - values[:, i])
        for i, j, tail in zip(below, above, tails, strict=True)
    )
    return Summaries(mean, sd, lower, upper)
