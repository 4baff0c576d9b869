"""Several partitions where one does not stand for the draws: what they gather around."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.partitions.draw_distances import draw_distances
from bayesmix.partitions.medoids import modes
from bayesmix.partitions.search import search

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
        Most draws first; empty if the draws are one group.
    """
    own = modes(draw_distances(rows.sample(_MOST_COLUMNS, generator), loss.symmetric))
    if len(own.medoids) == 1:
        return []
    found = []
    for k, medoid in enumerate(own.medoids):
        which = np.flatnonzero(own.label == k)
        best = search(
            rows.draws(which), loss, [rows.label[:, medoid]], n_runs=_RUNS, generator=generator
        )
        found.append(Gathering(best.label, len(which) / rows.n_draws, best.expected_loss))
    return sorted(found, key=lambda g: -g.share)
