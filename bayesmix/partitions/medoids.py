"""Several partitions that draws gather around: medoids, as many as their silhouettes speak for.

Kaufman and Rousseeuw, "Finding Groups in Data", 1990: the medoids are those draws to which the
distances of all, each to its nearest, have the least sum; the silhouette of a draw is
(b - a) / max(a, b), with a and b its mean distances to the draws of its own mode and of the
next one. A mean above 1/2 is what they call a reasonable structure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Modes", "modes"]

_REASONABLE = 0.5
_LEAST_SHARE = 0.05
_ENOUGH = 1e-9  # a swap gains at least so much of the sum: rounding is no gain


class Modes(NamedTuple):
    """Draws by the mode that they are nearest to, the largest mode first."""

    label: NDArray[np.int64]
    """Mode of every draw, (B,)."""
    medoid: NDArray[np.intp]
    """The draw in the middle of each, (k,)."""
    silhouette: float
    """Mean silhouette; 0 of one mode."""


def modes(distance: Floats, most: int = 5) -> Modes:
    """Find 1, 2, ... or ``most`` modes of draws by their distances (B, B).

    Two or more only if their mean silhouette is above 1/2 and each has 5 % of the draws; of several
    such numbers of modes the one of the largest mean silhouette.
    """
    b = len(distance)
    best = Modes(np.zeros(b, np.int64), distance.sum(axis=1).argmin(keepdims=True), 0.0)
    least, medoid = _REASONABLE, best.medoid
    for _ in range(min(most, b) - 1):
        medoid = _swapped(_added(medoid, distance), distance)
        label = distance[medoid].argmin(axis=0)
        size = np.bincount(label, minlength=len(medoid))
        width = _silhouette(label, size, distance)
        if width > least and size.min() >= _LEAST_SHARE * b:
            order = np.argsort(-size, kind="stable")
            best, least = Modes(np.argsort(order)[label], medoid[order], width), width
    return best


def _added(medoid: NDArray[np.intp], distance: Floats) -> NDArray[np.intp]:
    """One medoid more: the draw that brings the nearest ones nearest."""
    sums = np.minimum(distance[medoid].min(axis=0), distance).sum(axis=1)
    return np.append(medoid, sums.argmin())


def _swapped(medoid: NDArray[np.intp], distance: Floats) -> NDArray[np.intp]:
    """Medoids after the best swaps of one for another draw, as long as any gains."""
    least = distance[medoid].min(axis=0).sum()
    while True:
        rest = [distance[np.delete(medoid, i)].min(axis=0) for i in range(len(medoid))]
        sums = np.array([np.minimum(own, distance).sum(axis=1) for own in rest])
        i, draw = np.unravel_index(sums.argmin(), sums.shape)
        if sums[i, draw] >= least * (1 - _ENOUGH):
            return medoid
        medoid, least = medoid.copy(), sums[i, draw]
        medoid[i] = draw


def _silhouette(label: NDArray[np.int64], size: NDArray[np.int64], distance: Floats) -> float:
    """Mean silhouette of draws; that of one alone, or nowhere from any other, is 0."""
    every = np.arange(len(label))
    sums = np.stack([distance[:, label == j].sum(axis=1) for j in range(len(size))], axis=1)
    own = sums[every, label] / np.maximum(size[label] - 1, 1)
    means = sums / np.maximum(size, 1)
    means[every, label] = np.inf
    other = means.min(axis=1)
    larger = np.maximum(own, other)
    alone = (size[label] == 1) | (larger == 0)
    width = np.divide(other - own, larger, out=np.zeros(len(label)), where=~alone)
    return float(width.mean())
