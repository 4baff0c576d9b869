"""Several partitions where one does not stand for the draws: what they gather around."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.partitions.draw_distances import draw_distances
from bayesmix.partitions.medoids import modes
from bayesmix.partitions.search import search
from bayesmix.partitions.tables import confusion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.partitions.losses import Loss
    from bayesmix.partitions.signatures import Signatures

__all__ = ["Gathering", "gatherings"]

_MOST_COLUMNS = 10_000  # that distances of draws are computed on
_RUNS = 4


@dataclass(frozen=True, eq=False)
class Gathering:
    """Draws near each other, and the partition that stands for them."""

    label: NDArray[np.int64]
    """Shape (n,)."""
    share: float
    """Of the draws."""
    expected_loss: float
    """Mean over its draws."""


def gatherings(rows: Signatures, loss: Loss, generator: np.random.Generator) -> list[Gathering]:
    """Group draws by k-medoids, and find the partition of least expected loss of every group.

    Parameters
    ----------
    rows : Signatures
        Of at most some hundred draws, as all their distances are computed.
    loss : Loss
    generator : Generator

    Returns
    -------
    list of Gathering
        Most draws first; empty if the draws are one group. Groups with the same clusters are one:
        what tells them apart are rows that move.
    """
    few, every = rows.spread(_MOST_COLUMNS), np.arange(rows.n_draws)
    found = modes(draw_distances(few, loss.symmetric, every))
    names = _first_alike(rows, found.medoid)
    own = names[found.label]
    if not names.any():
        return []
    return sorted(
        (_gathering(rows, loss, own == k, found.medoid[k], generator) for k in np.unique(names)),
        key=lambda g: -g.share,
    )


def _gathering(
    rows: Signatures,
    loss: Loss,
    own: NDArray[np.bool_],
    medoid: int,
    generator: np.random.Generator,
) -> Gathering:
    which, start = np.flatnonzero(own), rows.label[:, medoid]
    best = search(rows.draws(which), loss, [start], n_runs=_RUNS, generator=generator)
    return Gathering(best.label, float(own.mean()), best.expected_loss)


def _first_alike(rows: Signatures, draws: NDArray[np.intp]) -> NDArray[np.intp]:
    """For each of some draws the first that has the same clusters, but for rows that move, (k,)."""
    some = rows.draws(draws)
    alike = np.empty((len(draws), len(draws)), bool)
    for k, n_clusters in enumerate(some.n_clusters):
        matched = confusion(some.label[:, k], some).matched.any(axis=1)
        in_all = np.logical_and.reduceat(matched, some.start[:-1])
        alike[k] = in_all & (some.n_clusters == n_clusters)
    return alike.argmax(axis=0)
