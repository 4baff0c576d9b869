"""What all cuts of a tree of merges lose.

Cuts are nested: from k to k + 1 clusters one splits. In every draw the smaller part leaves the
larger, column by column, and only sums over the draw's clusters that it meets change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from bayesmix.compiling import compile_once
from bayesmix.kernels.caching import cached
from bayesmix.threads import run_tasks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.partitions.linkage import MergeTree
    from bayesmix.partitions.losses import Loss
    from bayesmix.partitions.signatures import Signatures

    Counts = NDArray[np.int64]
    Floats = NDArray[np.float64]

__all__ = ["cut_losses"]

_TASK_DRAWS = 64  # a line of labels


def cut_losses(tree: MergeTree, rows: Signatures, loss: Loss, most: int) -> Floats:
    """Expected loss of the cuts into 1, 2, ..., ``most`` clusters, (most,).

    Work is of the order of S U log U; memory for each thread that of ``most`` times the clusters
    of one draw.

    Parameters
    ----------
    tree : MergeTree
        Of the U distinct columns.
    rows : Signatures
    loss : Loss
    most : int
        At most U.
    """
    order, splits = _splits(tree, most)
    label, weight = rows.label[order], rows.weight[order]
    n, s = int(weight.sum()), rows.n_draws
    values = loss.of_counts(np.arange(n + 1))
    of_point = np.empty((1, most))
    compile_once(
        ("cut losses", label.dtype),
        "losses of hierarchical clusterings",
        lambda: _split(label[:, :0], weight, splits, values, of_point[:0]),
    )
    _split(np.zeros((len(weight), 1), label.dtype), weight, splits, values, of_point)
    total = np.empty((-(-s // _TASK_DRAWS), most))

    def task(i: int) -> None:
        own = np.ascontiguousarray(label[:, _TASK_DRAWS * i : _TASK_DRAWS * (i + 1)])
        joint = np.empty((own.shape[1], most))
        _split(own, weight, splits, values, joint)
        total[i] = loss.from_sums(n, of_point, joint[:, :1], joint).sum(axis=0)

    run_tasks(task, len(total))
    return np.asarray(total.sum(axis=0) / s)


def _splits(tree: MergeTree, most: int) -> tuple[Counts, Counts]:
    """Columns in an order in which clusters are contiguous, (U,), and what splits, (most - 1, 3).

    Split t makes cluster t + 1: out of which cluster, and where its places in the order begin and
    end. The larger part keeps its number.
    """
    u = len(tree.pair) + 1
    pair = tree.pair.tolist()
    size = [1] * u
    for a, b in pair:
        size.append(size[a] + size[b])
    begin, number = [0] * len(size), [0] * len(size)
    splits = np.empty((u - 1, 3), np.int64)
    for t in range(u - 1):
        parent = 2 * u - 2 - t
        large, small = sorted(pair[parent - u], key=lambda own: -size[own])
        begin[large] = begin[parent]
        begin[small] = begin[parent] + size[large]
        splits[t] = number[parent], begin[small], begin[small] + size[small]
        number[large], number[small] = number[parent], t + 1
    return np.argsort(begin[:u]), splits[: most - 1]


def _make_split(fingerprint: str) -> Callable:
    def split(
        label: NDArray[np.unsignedinteger[Any]],
        weight: Counts,
        splits: Counts,
        values: Floats,
        joint: Floats,
    ) -> None:
        """Sums of values over shared rows, for every draw of (U, b) and every cut, (b, most)."""
        fingerprint  # noqa: B018
        for s in range(len(joint)):
            n_clusters = np.int64(label[:, s].max()) + 1
            count = np.zeros((len(splits) + 1, n_clusters), np.int32)
            for i in range(len(label)):
                count[0, label[i, s]] += weight[i]
            total = 0.0
            for rows in count[0]:
                total += values[rows]
            joint[s, 0] = total
            met = np.empty(n_clusters, np.int64)
            for t in range(len(splits)):
                left, part = splits[t, 0], slice(splits[t, 1], splits[t, 2])
                table = count[left], count[t + 1]
                total += _leave(label[part, s], weight[part], *table, values, met)
                joint[s, t + 1] = total

    return split


@njit(nogil=True, error_model="numpy")
def _leave(
    label: NDArray[np.unsignedinteger[Any]],
    weight: Counts,
    left: NDArray[np.int32],
    own: NDArray[np.int32],
    values: Floats,
    met: Counts,
) -> float:
    """Move columns (b,) from one cluster's counts to another's, empty so far: change of the sum."""
    n_met = 0
    for i in range(len(label)):
        k = label[i]
        if own[k] == 0:
            met[n_met] = k
            n_met += 1
        own[k] += weight[i]
    change = 0.0
    for k in met[:n_met]:
        change += values[own[k]] + values[left[k] - own[k]] - values[left[k]]
        left[k] -= own[k]
    return change


_split = cached(_make_split)
