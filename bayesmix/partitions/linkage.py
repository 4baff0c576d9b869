r"""Agglomerative clustering of points that stand for many, by average or complete linkage.

Chains of nearest neighbors (Murtagh 1983): from any cluster to its nearest, on to the nearest of
that one, until two are each other's; they merge. Each step looks at one row of dissimilarities. A
point of weight w is w points that are nowhere apart; of clusters a, b merged, with weights
:math:`w_a, w_b`, the dissimilarity to c is
:math:`(w_a d_{ac} + w_b d_{bc}) / (w_a + w_b)`, or the larger of the two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numba import njit

from bayesmix.compiling import compile_once
from bayesmix.kernels.caching import cached

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Method = Literal["average", "complete"]

__all__ = ["MergeTree", "cuts", "merges"]


@dataclass(frozen=True, eq=False)
class MergeTree:
    """Merges of U points, the lowest first."""

    pair: NDArray[np.int64]
    """Clusters that each merge joins, (U - 1, 2): below U points, U + t what merge t has made."""
    height: Floats
    """At which dissimilarity, (U - 1,)."""


def merges(
    dissimilarity: NDArray[np.float32], weight: NDArray[np.int64], method: Method
) -> MergeTree:
    """Merge all points, in time of the order of U^2.

    Parameters
    ----------
    dissimilarity : (U, U) ndarray of float32
        Symmetric; overwritten, since there is no memory for a second one.
    weight : (U,) ndarray of int
    method : {"average", "complete"}
    """
    u = len(weight)
    pair, height = np.empty((u - 1, 2), np.int64), np.empty(u - 1)

    def run() -> None:
        apart = np.ones((2, 2), np.float32)
        _merge(apart, np.ones(2), False, np.empty((1, 2), np.int64), np.empty(1))

    compile_once("linkage", "linkage", run)
    _merge(dissimilarity, weight.astype(float), method == "average", pair, height)
    order = np.argsort(height, kind="stable")
    return MergeTree(_numbered(pair[order]), height[order])


def cuts(tree: MergeTree, n_clusters: ArrayLike) -> NDArray[np.int64]:
    """Labels of points in partitions into so many clusters, at most U; (len(n_clusters), U)."""
    merged = len(tree.pair)
    u = merged + 1
    into = np.arange(2 * u - 1)
    into[tree.pair.ravel()] = np.repeat(np.arange(u, u + merged), 2)
    tops = 2 * u - np.asarray(n_clusters)[:, None]  # clusters from here on are not made
    root = np.where(into < tops, into, np.arange(2 * u - 1))
    for _ in range(u.bit_length()):
        root = np.take_along_axis(root, root, axis=1)
    return np.stack([np.unique(own, return_inverse=True)[1] for own in root[:, :u]])


def _numbered(pair: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs of clusters from pairs of points, one of each, (U - 1, 2)."""
    u = len(pair) + 1
    into, found = list(range(2 * u - 1)), np.empty_like(pair)

    def top(own: int) -> int:
        while into[own] != own:
            into[own] = into[into[own]]
            own = into[own]
        return own

    for t, (a, b) in enumerate(pair.tolist()):
        found[t] = sorted((top(a), top(b)))
        into[found[t, 0]] = into[found[t, 1]] = u + t
    return found


def _make_merge(fingerprint: str) -> Callable:
    def merge(
        d: NDArray[np.float32],
        weight: Floats,
        average: bool,
        pair: NDArray[np.int64],
        height: Floats,
    ) -> None:
        """Merge everything, in the order of the chains, by one point of either cluster."""
        fingerprint  # noqa: B018
        u = len(d)
        for i in range(u):
            d[i, i] = np.inf
        chain = np.empty(u, np.int64)
        length = 0
        for t in range(u - 1):
            if length == 0:  # the first point is there to the end: others are put into it
                chain[0], length = 0, 1
            a = chain[length - 1]
            while True:
                last = chain[length - 2] if length > 1 else a
                b = _nearest(d[a], last)
                if b == last:
                    break
                chain[length] = a = b
                length += 1
            length -= 2
            pair[t, 0], pair[t, 1], height[t] = a, b, d[a, b]
            _join(a, b, d, weight, average)

    return merge


@njit(nogil=True, error_model="numpy")
def _nearest(d: NDArray[np.float32], last: int) -> int:
    """Which is the nearest; of equally near ones the last of the chain, which has to end."""
    least = d[last]
    for c in range(len(d)):
        if d[c] < least:
            least, last = d[c], c
    return last


@njit(nogil=True, error_model="numpy")
def _join(
    a: int,
    b: int,
    d: NDArray[np.float32],
    weight: Floats,
    average: bool,
) -> None:
    """Put a into b: infinitely far from now on, and of no weight."""
    total = weight[a] + weight[b]
    share = np.float32(weight[a] / total)
    for c in range(len(d)):
        if weight[c] > 0 and c != a and c != b:
            low, high = min(d[a, c], d[b, c]), max(d[a, c], d[b, c])
            mean = max(low, d[b, c] + share * (d[a, c] - d[b, c]))  # not below by rounding, either
            d[b, c] = d[c, b] = mean if average else high
            d[c, a] = np.inf
    d[b, a] = np.inf
    weight[a], weight[b] = 0, total


_merge = cached(_make_merge)
