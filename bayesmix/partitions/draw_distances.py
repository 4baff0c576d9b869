"""Losses between draws themselves: every one of some draws as the estimate where others are true.

Two draws share a table of counts; what a column adds to it does not wait for the last one, since
four tables are filled side by side, unless one alone has more cells than there are columns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from bayesmix.compiling import compile_once
from bayesmix.kernels.caching import cached
from bayesmix.threads import run_tasks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.partitions.losses import Loss
    from bayesmix.partitions.signatures import Signatures

    Floats = NDArray[np.float64]
    Integers = NDArray[np.integer[Any]]

__all__ = ["draw_distances"]

_BESIDE = 4  # tables filled side by side


def draw_distances(
    rows: Signatures, loss: Loss, draws: Integers, others: Integers | None = None
) -> Floats:
    """Loss of reporting each of A draws where each of B others is true, (A, B).

    Work is that of A B U counts, half of it where the draws are the same.

    Parameters
    ----------
    rows : Signatures
    loss : Loss
        With unequal costs the two axes differ.
    draws : (A,) ndarray of int
        What is reported.
    others : (B,) ndarray of int, optional
        What is true; by default the same draws.
    """
    n = int(rows.weight.sum())
    values = loss.of_counts(np.arange(n + 1))
    one = _transposed(rows, draws)
    other = one if others is None else _transposed(rows, others)
    joint = _joint(one, other, rows.weight, values, same=others is None)
    of_draw = rows.by_draw(values[rows.sizes])
    of_other = of_draw[draws if others is None else others]
    found = np.asarray(loss.from_sums(n, of_draw[draws][:, None], of_other, joint))
    if others is None:
        np.fill_diagonal(found, 0)  # exactly, whatever the order of the sums
    return found


def _transposed(rows: Signatures, draws: Integers) -> Integers:
    """Labels of some draws, (A, U), C-contiguous."""
    return np.ascontiguousarray(rows.label[:, draws].T)


def _joint(
    one: Integers, other: Integers, weight: NDArray[np.int64], values: Floats, *, same: bool
) -> Floats:
    """Sums of values at the counts of intersections, (A, B); ``same`` if of the same draws."""
    n_one, n_other = (label.max(axis=1).astype(np.int64) + 1 for label in (one, other))
    joint = np.zeros((len(one), len(other)))

    def task(i: int) -> None:
        first = i if same else 0
        _fill(one[i], n_one[i], other[first:], n_other[first:], weight, values, joint[i, first:])

    few = one[0, :0], 0, other[:0, :0], n_other[:0], weight[:0], values, joint[0, :0]
    compile_once(("draw distances", one.dtype), "distances between draws", lambda: _fill(*few))
    run_tasks(task, len(one))
    return np.triu(joint) + np.triu(joint, 1).T if same else joint


def _make_fill(fingerprint: str) -> Callable:
    def fill(
        one: Integers,
        n_one: int,
        other: Integers,
        n_other: NDArray[np.int64],
        weight: NDArray[np.int64],
        values: Floats,
        joint: Floats,
    ) -> None:
        """Sums for one draw (U,) against B others (B, U)."""
        fingerprint  # noqa: B018
        b, u = other.shape
        width = n_other.max() if b else 0
        beside = b - b % _BESIDE if n_one * width <= u else 0
        count = np.zeros((_BESIDE if beside else 1, n_one * width), np.int32)
        at = np.empty(u, np.int64)
        for i in range(u):
            at[i] = width * one[i]
        for first in range(0, beside, _BESIDE):
            p, q, r, s = other[first], other[first + 1], other[first + 2], other[first + 3]
            for i in range(u):
                own, rows = at[i], weight[i]
                count[0, own + p[i]] += rows
                count[1, own + q[i]] += rows
                count[2, own + r[i]] += rows
                count[3, own + s[i]] += rows
            for k in range(_BESIDE):
                joint[first + k] = _take(count[k], at, other[first + k], values)
        for last in range(beside, b):
            for i in range(u):
                count[0, at[i] + other[last, i]] += weight[i]
            joint[last] = _take(count[0], at, other[last], values)

    return fill


@njit(nogil=True, error_model="numpy")
def _take(count: Integers, at: Integers, other: Integers, values: Floats) -> float:
    """Sum values at a table's counts and clear it; by columns if they are fewer than its cells."""
    total = 0.0
    if len(count) <= len(at):
        for cell in range(len(count)):
            total += values[count[cell]]
            count[cell] = 0
        return total
    for i in range(len(at)):
        cell = at[i] + other[i]
        total += values[count[cell]]
        count[cell] = 0
    return total


_fill = cached(_make_fill)
