"""Partitions that a search starts from, and that its answer may not be worse than."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.partitions.agreement import agreement_square
from bayesmix.partitions.draw_candidates import best_draws
from bayesmix.partitions.linkage import cuts, merges
from bayesmix.partitions.members import affinity
from bayesmix.partitions.tables import confusion, expected_loss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.partitions.losses import Loss
    from bayesmix.partitions.signatures import Signatures

    Labels = NDArray[np.integer[Any]]

__all__ = ["candidates"]

_MOST_LINKED = 4_000  # columns between which all dissimilarities are held
_METHODS = ("average", "complete")
_BEST_CUTS, _BEST_DRAWS = 2, 4


def candidates(
    rows: Signatures, loss: Loss, max_clusters: int | None, generator: np.random.Generator
) -> list[Labels]:
    """The best draws, and the best cuts of hierarchical clusterings of 1 - similarity.

    Of more than 4,000 distinct columns so many are linked, drawn by their weights.

    Parameters
    ----------
    rows : Signatures
    loss : Loss
    max_clusters : int, optional
        What has more is left out.
    generator : Generator

    Returns
    -------
    list of (U,) ndarray of int
        Two cuts by average linkage, two by complete linkage, up to four draws.
    """
    most = max_clusters or rows.n
    best = best_draws(rows, loss, _BEST_DRAWS)
    found = [rows.label[:, s] for s in best if rows.n_clusters[s] <= most]
    linked = rows.sample(_MOST_LINKED, generator)
    return [*found, *(_extended(own, linked, rows) for own in _best_cuts(linked, loss, most))]


def _best_cuts(linked: Signatures, loss: Loss, most: int) -> list[Labels]:
    """The two cuts of each linkage that lose least, (U,) of the linked columns."""
    apart = 1 - agreement_square(linked.label)
    most = min(most, len(linked), 2 * int(linked.n_clusters.max()))
    found: list[Labels] = []
    for method in _METHODS:
        cut = cuts(merges(apart.copy(), linked.weight, method), range(1, most + 1))
        losses = [expected_loss(own, linked, loss) for own in cut]
        found += [cut[i] for i in np.argsort(losses, kind="stable")[:_BEST_CUTS]]
    return found


def _extended(label: Labels, linked: Signatures, rows: Signatures) -> Labels:
    """Clusters of all columns: where a column is most often together with linked rows."""
    if linked is rows:
        return label
    return affinity(confusion(label, linked), rows).argmax(axis=1)
