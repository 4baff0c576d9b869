"""A launch: where the rows of two components would go, judged from two seeds alone.

A few blocked Gibbs sweeps of the pair, started from the seeds, give its parameters; they depend on
the rows of both components and the seeds, not on the labels (Jain and Neal 2004, 2007, whose last
scan goes row by row; here all rows are allocated at once given the launch's parameters).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bayesmix.kernels.blocks import choose_labels, compiled
from bayesmix.kernels.frames import Place, scratch_of
from bayesmix.kernels.gibbs.conditionals import draw_covariances, draw_means, draw_weights
from bayesmix.kernels.gibbs.groups import move_to_rows, settle
from bayesmix.kernels.structures import fill, prepare, recenter

__all__ = ["judge", "launch_one", "launch_pair"]

_SWEEPS = 4


@compiled
def _sow(group: Any, i: int, j: int) -> None:
    """Label every row by the nearer of two seeds, features in units of their spread."""
    rows, d = group.rows, group.rows.shape[1]
    spread = np.zeros(d)
    for r in range(len(rows)):
        for f in range(d):
            delta = rows[r, f] - group.point.center[f]
            spread[f] += delta * delta
    for r in range(len(rows)):
        nearer = 0.0
        for f in range(d):
            if spread[f] > 0:
                to_i, to_j = rows[r, f] - rows[i, f], rows[r, f] - rows[j, f]
                nearer += (to_j * to_j - to_i * to_i) / spread[f]
        group.labels[r] = 0 if nearer > 0 else 1
    group.labels[i], group.labels[j] = 0, 1


@compiled
def _allocate(group: Any, i: int, j: int, generator: Any) -> None:
    """Draw the labels of all rows but the seeds."""
    point, size, n = group.point, group.size, len(group.labels)
    k = len(point.means)
    frame, scratch = prepare(point), scratch_of(k, len(point.center), size)
    for first in range(0, n, size):
        count = min(size, n - first)
        fill(point, frame, Place(group.source, first, count), scratch)
        for r in range(size):
            scratch.per_row[r] = generator.random() if r < count else -1.0
        labels = group.labels[first : first + count]
        choose_labels(scratch.joint, scratch.common, k, size, scratch.per_row, labels)
    group.labels[i], group.labels[j] = 0, 1


@compiled
def judge(group: Any, i: int, j: int, generator: Any, draw: bool) -> float:
    """Log probability of the labels of all rows but the seeds: those they have, or new ones."""
    point, size, n = group.point, group.size, len(group.labels)
    frame, scratch = prepare(point), scratch_of(len(point.means), len(point.center), size)
    found = 0.0
    for first in range(0, n, size):
        count = min(size, n - first)
        fill(point, frame, Place(group.source, first, count), scratch)
        for r in range(count):
            row = first + r
            if i != row != j:
                odds = scratch.joint[r] - scratch.joint[size + r]
                if draw:
                    u = generator.random()
                    group.labels[row] = 0 if u < 1 / (1 + math.exp(-odds)) else 1
                against = -odds if group.labels[row] == 0 else odds
                found -= max(against, 0.0) + math.log1p(math.exp(-abs(against)))
    return found


@compiled
def launch_pair(group: Any, prior: Any, i: int, j: int, generator: Any) -> None:
    """Parameters of a pair grown from two seeds."""
    _sow(group, i, j)
    move_to_rows(group)
    for sweep in range(_SWEEPS):
        if sweep > 0:
            _allocate(group, i, j, generator)
            settle(group)
        draw_weights(group.sums.sizes, group.concentration, group.point.log_weights, generator)
        _draw_components(group, prior, generator)


@compiled
def launch_one(group: Any, prior: Any, generator: Any) -> None:
    """Parameters of one component on all rows."""
    move_to_rows(group)
    for sweep in range(_SWEEPS):
        if sweep > 0:
            settle(group)
        _draw_components(group, prior, generator)


@compiled
def _draw_components(group: Any, prior: Any, generator: Any) -> None:
    draw_covariances(group.point, group.sums, prior, group.dof, group.scale, generator)
    draw_means(group.point, group.sums, prior, generator)
    recenter(group.point)
