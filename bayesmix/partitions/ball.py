"""Credible balls: the draws nearest to a partition, and the farthest of them in each direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Bound", "CredibleBall"]


@dataclass(frozen=True, eq=False)
class Bound:
    """Distinct partitions at one edge of the ball; mostly one, more where several are as far."""

    labels: NDArray[np.int64]
    """Shape (m, n). A cluster that shares with one of the estimate's more than half of their union
    has its number; the others follow, from the estimate's number of clusters on."""
    draws: NDArray[np.intp]
    """A draw that each of them is, (m,)."""
    distance: float
    """From the estimate."""
    n_clusters: int


@dataclass(frozen=True, eq=False)
class CredibleBall:
    """The draws within a radius of the estimate."""

    prob: float
    """Share of the draws that was asked for; at least so many are inside."""
    radius: float
    """Smallest distance within which they are; bits where the loss is variation of information."""
    distance: Floats
    """Of every draw from the estimate, (S,)."""
    n_clusters: NDArray[np.int64]
    """Of every draw, (S,)."""
    horizontal: Bound
    """Of the draws inside the farthest."""
    upper: Bound
    """Of those inside with the fewest clusters the farthest."""
    lower: Bound
    """Of those inside with the most clusters the farthest."""
