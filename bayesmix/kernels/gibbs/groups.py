"""A few components on the rows that they share, apart from the chain that they come from."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload

from bayesmix.kernels.blocks import Source, compiled
from bayesmix.kernels.frames import FullPoint, Sums, TiedPoint, VariancesPoint, copy
from bayesmix.kernels.gibbs.conditionals import log_marginal, log_mean_density
from bayesmix.kernels.gibbs.packs import tally

__all__ = [
    "Group",
    "center_of",
    "group_of",
    "log_target",
    "move_to_rows",
    "point_of",
    "settle",
    "sums_of",
]


class Group(NamedTuple):
    """One or two components on the rows that they share."""

    point: Any
    sums: Any
    rows: Any
    """(m, D)."""
    source: Any
    """Of the rows."""
    labels: Any
    """(m,): 0 or 1."""
    dof: float
    """Of the covariances' law given the rows of all other components."""
    scale: Any
    concentration: Any
    """(1,) or (2,)."""
    size: int
    """Of a block."""


def point_of(point: Any, n_components: int) -> Any:
    """Make a point of the same structure with its own memory."""


@overload(point_of, strict=False)
def _choose_point(point: Any, n_components: Any) -> Any:
    kind = point.instance_class

    def full(point: Any, n_components: int) -> Any:
        k, d = n_components, point.means.shape[1]
        return FullPoint(
            np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d)), np.zeros(d), np.ones(k, np.bool_)
        )

    def tied(point: Any, n_components: int) -> Any:
        k, d = n_components, point.means.shape[1]
        return TiedPoint(
            np.zeros(k),
            np.zeros((k, d)),
            np.zeros((d, d)),
            np.zeros(d),
            np.ones(k, np.bool_),
            False,
        )

    def variances(point: Any, n_components: int) -> Any:
        k, d = n_components, point.means.shape[1]
        return VariancesPoint(
            np.zeros(k), np.zeros((k, d)), np.zeros((k, d)), np.zeros(d), np.ones(k, np.bool_)
        )

    return {FullPoint: full, TiedPoint: tied, VariancesPoint: variances}[kind]


def sums_of(second: Any, n_components: int, d: int) -> Any:
    """Moments of any number of components in the shape of ``second``; tied ones share theirs."""


@overload(sums_of, strict=False)
def _choose_sums(second: Any, n_components: Any, d: Any) -> Any:
    def matrices(second: Any, n_components: int, d: int) -> Any:
        g = n_components if len(second) > 1 else 1
        return Sums(np.zeros(n_components), np.zeros((n_components, d)), np.zeros((g, d, d)))

    def variances(second: Any, n_components: int, d: int) -> Any:
        width = second.shape[1]
        return Sums(
            np.zeros(n_components), np.zeros((n_components, d)), np.zeros((n_components, width))
        )

    return matrices if second.ndim == 3 else variances


@compiled
def center_of(rows: Any) -> Any:
    """Mean of rows (m, D)."""
    m, d = rows.shape
    center = np.zeros(d)
    for r in range(m):
        for j in range(d):
            center[j] += rows[r, j]
    for j in range(d):
        center[j] /= m
    return center


@compiled
def group_of(
    state: Any,
    rows: Any,
    center: Any,
    labels: Any,
    dof: float,
    scale: Any,
    concentration: Any,
    size: int,
) -> Any:
    """Components on the rows of the pair, (m, D), their means at the center of all."""
    n_components, d = len(concentration), rows.shape[1]
    point = point_of(state.point, n_components)
    copy(center, point.center)
    for k in range(n_components):
        copy(center, point.means[k])
    address: Any = np.int64(rows.ctypes.data)  # of the type that it has outside kernels
    source = Source(address, 8 * d, 8, False, d, 0)
    sums = sums_of(state.sums.second, n_components, d)
    return Group(point, sums, rows, source, labels, dof, scale, concentration, size)


@compiled
def settle(group: Any) -> None:
    """Find the moments of the labels about the means."""
    tally(group.point, group.source, group.labels, group.size, group.sums)


@compiled
def move_to_rows(group: Any) -> None:
    """Put means at their rows', moments about them."""
    means, rows, labels = group.point.means, group.rows, group.labels
    counts = np.zeros(len(means))
    means[:] = 0.0
    for r in range(len(labels)):
        k = labels[r]
        counts[k] += 1
        for j in range(means.shape[1]):
            means[k, j] += rows[r, j] - group.point.center[j]
    for k in range(len(means)):
        for j in range(means.shape[1]):
            means[k, j] = group.point.center[j] + means[k, j] / max(counts[k], 1.0)
    settle(group)


@compiled
def log_target(group: Any, prior: Any) -> float:
    """Log density of the rows, and of independent means, up to what all labels share."""
    point, sums = group.point, group.sums
    d = len(point.center)
    found = log_marginal(point, sums, prior, group.dof, group.scale)
    nothing = sums_of(sums.second, len(sums.sizes), d)
    for k in range(len(sums.sizes)):
        if prior.conjugate:
            kappa = prior.mean_precision
            found += 0.5 * d * math.log(kappa / (kappa + sums.sizes[k]))
        else:
            found += log_mean_density(point, nothing, prior, k, point.means[k])
    return found
