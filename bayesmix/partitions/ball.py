r"""Credible balls: the draws nearest to a partition, and the farthest of them in each direction.

With d the loss of equal costs, a distance, c the estimate and :math:`z_s` the draws, the ball holds
those with :math:`d(c, z_s) \le r`, r the smallest radius at which they are at least the share asked
for (Wade and Ghahramani, "Bayesian cluster analysis", Bayesian Analysis 13, 2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.partitions.naming import named_after
from bayesmix.partitions.tables import draw_losses

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.partitions.losses import Loss
    from bayesmix.partitions.signatures import Signatures

    Floats = NDArray[np.float64]
    Integers = NDArray[np.integer[Any]]

__all__ = ["Bound", "CredibleBall", "credible_ball"]

_SAME = 1e-12  # distances no farther apart are equal but for rounding
_MOST_BOUNDS = 20


@dataclass(frozen=True, eq=False)
class Bound:
    """Distinct partitions at one edge of the ball: one, or up to 20 if several are as far."""

    labels: NDArray[np.int64]
    """Shape (m, n). A cluster that shares with one of the estimate's more than half of their union
    has its number; the others follow, from the estimate's number of clusters on."""
    draws: NDArray[np.intp]
    """A draw that each of them is, (m,)."""
    distance: float
    """From the estimate."""
    n_clusters: NDArray[np.int64]
    """Of each, (m,)."""


@dataclass(frozen=True, eq=False)
class CredibleBall:
    """The draws within a radius of the estimate."""

    prob: float
    """Share of the draws that was asked for; at least so many are inside."""
    share: float
    """Share of the draws inside."""
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


def credible_ball(label: Integers, rows: Signatures, loss: Loss, prob: float) -> CredibleBall:
    """Find the ball and its bounds.

    Parameters
    ----------
    label : (U,) ndarray of int
        The estimate: clusters 0 to J - 1 of the distinct columns.
    rows : Signatures
    loss : Loss
        Its distance is that of equal costs.
    prob : float
        In (0, 1].
    """
    distance = draw_losses(label, rows, loss.symmetric)
    count = max(1, int(np.ceil(prob * rows.n_draws - 1e-9)))  # 0.07 * 100 is a little more than 7
    inside = np.flatnonzero(distance <= np.sort(distance)[count - 1] + _SAME)
    n_clusters = rows.n_clusters[inside]

    def bound(some: Integers) -> Bound:
        return _bound(some, distance, label, rows)

    return CredibleBall(
        prob,
        len(inside) / rows.n_draws,
        float(distance[inside].max()),
        distance,
        rows.n_clusters,
        horizontal=bound(inside),
        upper=bound(inside[n_clusters == n_clusters.min()]),
        lower=bound(inside[n_clusters == n_clusters.max()]),
    )


def _bound(some: Integers, distance: Floats, label: Integers, rows: Signatures) -> Bound:
    """Farthest of some draws, equal partitions once."""
    most = distance[some].max()
    distinct: dict[bytes, int] = {}
    for s in some[distance[some] >= most - _SAME]:
        distinct.setdefault(rows.label[:, s].tobytes(), s)
        if len(distinct) == _MOST_BOUNDS:
            break
    draws = np.array(list(distinct.values()))
    labels = named_after(label, rows.draws(draws))[:, rows.of_row]
    return Bound(labels, draws, float(most), rows.n_clusters[draws])
