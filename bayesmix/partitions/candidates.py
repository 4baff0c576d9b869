"""Partitions that a search starts from, and that its answer may not be worse than."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayesmix.partitions.agreement import agreement_square
from bayesmix.partitions.cut_losses import cut_losses
from bayesmix.partitions.draw_candidates import best_draws
from bayesmix.partitions.linkage import cuts, merges
from bayesmix.partitions.members import nearest_clusters
from bayesmix.partitions.signatures import evenly
from bayesmix.partitions.tables import confusion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.partitions.losses import Loss
    from bayesmix.partitions.signatures import Signatures

    Labels = NDArray[np.integer[Any]]

__all__ = ["candidates"]

_MOST_LINKED = 4_000  # columns between which all dissimilarities are held
_METHODS: tuple[Literal["average", "complete"], ...] = ("average", "complete")
_BEST_CUTS, _BEST_DRAWS = 2, 4


def candidates(rows: Signatures, loss: Loss, max_clusters: int | None) -> list[Labels]:
    """The best draws, and the best cuts of hierarchical clusterings of 1 - similarity.

    Of more than 4,000 distinct columns those of so many rows, evenly spread, are linked.

    Parameters
    ----------
    rows : Signatures
    loss : Loss
    max_clusters : int, optional
        What has more is left out.

    Returns
    -------
    list of (U,) ndarray of int
        Two cuts by average linkage, two by complete linkage, up to four draws.
    """
    most = max_clusters or rows.n
    best = best_draws(rows, loss, _BEST_DRAWS)
    found = [rows.label[:, s] for s in best if rows.n_clusters[s] <= most]
    linked = rows.spread(_MOST_LINKED)
    return [*found, *(_extended(own, linked, rows) for own in _best_cuts(linked, loss, most))]


def _best_cuts(linked: Signatures, loss: Loss, most: int) -> list[Labels]:
    """The two cuts of each linkage that lose least, (U,) of the linked columns."""
    apart = 1 - agreement_square(linked.label)
    most = min(most, len(linked))
    found: list[Labels] = []
    for method in _METHODS:
        tree = merges(apart.copy(), linked.weight, method)
        losses = cut_losses(tree, linked, loss, most)
        found += [*cuts(tree, 1 + np.argsort(losses, kind="stable")[:_BEST_CUTS])]
    return found


def _extended(label: Labels, linked: Signatures, rows: Signatures) -> Labels:
    """Clusters of all columns; those not linked go where they have the highest affinity."""
    if linked is rows:
        return label
    found = nearest_clusters(confusion(label, linked), rows)
    found[rows.of_row[evenly(rows.n, linked.n)]] = label[linked.of_row]
    return found
