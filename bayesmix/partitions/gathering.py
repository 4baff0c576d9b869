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

_MOST_DRAWS = 400  # whose distances are all computed
_MOST_COLUMNS = 10_000  # that they are computed on
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


def gatherings(
    rows: Signatures, loss: Loss, max_clusters: int | None, generator: np.random.Generator
) -> list[Gathering]:
    """Group draws by k-medoids, and find the partition of least expected loss of every group.

    Medoids are found among at most 400 draws, taken at random, by their distances on at most
    10,000 rows; every draw belongs to the nearest. Groups whose medoids have the same clusters are
    one: what tells them apart are rows that move.

    Returns
    -------
    list of Gathering
        Most draws first; empty if the draws are one group.
    """
    few, every = rows.spread(_MOST_COLUMNS), np.arange(rows.n_draws)
    some = np.sort(generator.permutation(rows.n_draws)[:_MOST_DRAWS])
    found = modes(draw_distances(few, loss.symmetric, some))
    medoid = some[found.medoid]
    name = _same_clusters(rows.draws(medoid))
    if not name.any():
        return []
    own = name[draw_distances(few, loss.symmetric, medoid, every).argmin(axis=0)]
    made = []
    for k in np.unique(name):
        which, start = np.flatnonzero(own == k), rows.label[:, medoid[k]]
        best = search(
            rows.draws(which),
            loss,
            [start],
            n_runs=_RUNS,
            max_clusters=max_clusters,
            generator=generator,
        )
        made.append(Gathering(best.label, len(which) / rows.n_draws, best.expected_loss))
    return sorted(made, key=lambda gathering: -gathering.share)


def _same_clusters(draws: Signatures) -> NDArray[np.intp]:
    """For each draw the first that has the same clusters, if need be by way of others, (k,)."""
    k = draws.n_draws
    name = np.arange(k)
    for one in range(k):
        matched = confusion(draws.label[:, one], draws).matched.any(axis=1)
        alike = np.logical_and.reduceat(matched, draws.start[:-1])
        alike &= draws.n_clusters == draws.n_clusters[one]
        name[np.isin(name, name[alike])] = name[alike].min()
    return name
