"""Numbers of clusters: the same for what is the same cluster in two partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.partitions.signatures import signatures_of
from bayesmix.partitions.tables import confusion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.partitions.signatures import Signatures

    Integers = NDArray[np.integer[Any]]

__all__ = ["named_after", "renamed"]


def renamed(label: Integers, like: Integers) -> NDArray[np.int64]:
    """Labels (n,) with the numbers of another partition of the rows, as `named_after`."""
    return named_after(like, signatures_of(label[None]).expanded())[0]


def named_after(label: Integers, rows: Signatures) -> NDArray[np.int64]:
    """Labels of draws (S, U): matched clusters have the numbers of ``label``, others the next."""
    table = confusion(label, rows)
    size, matched = table.draw_sizes, table.matched
    name = np.where(matched.any(axis=1), matched.argmax(axis=1), -1)
    found = np.empty(rows.label.T.shape, np.int64)
    for s, own in enumerate(found):
        names = name[rows.start[s] : rows.start[s + 1]]
        others = np.flatnonzero(names < 0)
        largest_first = np.argsort(-size[rows.start[s] + others], kind="stable")
        names[others[largest_first]] = len(table.sizes) + np.arange(len(others))
        own[:] = names[rows.label[:, s]]
    return found
