"""Sums of rows by their labels, of many labelings at once: what parameters given labels rest on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmix.compiling import compile_once
from bayesmix.kernels.caching import cached
from bayesmix.threads import run_tasks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.covariance import Structure

    Floats = NDArray[np.float64]

__all__ = ["LabelSums", "label_sums"]


class LabelSums(NamedTuple):
    """Moments of labeled rows about the components' centers; S labelings."""

    sizes: Floats
    """Number of rows, (S, K)."""
    first: Floats
    """Sums of rows less their center, (S, K, D)."""
    second: Floats
    """Scatter about the centers, in the structure's shape."""


def label_sums(
    structure: Structure, x: Floats, label: Iterable[NDArray[np.integer]], center: Floats
) -> LabelSums:
    """Sum rows (n, D) by labels (S, n) about centers (S, K, D).

    Labels may be S arrays of those of the first rows, of different lengths.
    """
    s, k, d = center.shape
    x, center = np.ascontiguousarray(x, float), np.ascontiguousarray(center, float)
    sizes, first = np.zeros((s, k)), np.zeros((s, k, d))
    second = np.zeros((s, k, d, d) if structure.correlated else (s, k, d, 1))
    labels = [np.ascontiguousarray(own, np.int64) for own in label]

    def add(i: int, rows: slice = slice(None)) -> None:
        _add(x, labels[i][rows], center[i], sizes[i], first[i], second[i])

    compile_once("label sums", "sums by labels", lambda: add(0, slice(0)))
    run_tasks(add, s)
    return LabelSums(sizes, first, structure.gathered(second))


def _make_add(fingerprint: str) -> Callable:
    def add(
        x: Floats,
        label: NDArray[np.int64],
        center: Floats,
        sizes: Floats,
        first: Floats,
        second: Floats,
    ) -> None:
        """Add rows to the sums; ``second`` (K, D, D), or (K, D, 1) for the diagonal alone."""
        fingerprint  # noqa: B018
        d = x.shape[1]
        whole = second.shape[2] == d
        delta = np.empty(d)
        for i in range(len(label)):
            k = label[i]
            sizes[k] += 1
            for j in range(d):
                delta[j] = x[i, j] - center[k, j]
                first[k, j] += delta[j]
                if whole:
                    for h in range(j + 1):
                        second[k, j, h] += delta[j] * delta[h]
                else:
                    second[k, j, 0] += delta[j] * delta[j]
        if whole:
            for k in range(len(sizes)):
                for j in range(d):
                    for h in range(j):
                        second[k, h, j] = second[k, j, h]

    return add


_add = cached(_make_add)
