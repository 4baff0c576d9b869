"""Points by their structure, and what a kernel keeps while it walks: shared by all structures.

Rows are centered at c, the mixture's mean. Near components take their moments about c, moved to
their means at the end; for far ones that would cost digits, and they get blocks of their own,
centered at their means. Who is near is the caller's choice.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from bayesmix.kernels.blocks import Source, aligned, compiled, inlined, load_block

__all__ = [
    "NARROW_ROWS",
    "NEAR",
    "Frame",
    "FullPoint",
    "Place",
    "Points",
    "Scratch",
    "Sums",
    "TiedPoint",
    "Totals",
    "VariancesPoint",
    "add_sums",
    "clear",
    "copy",
    "frame_of",
    "log_diagonal",
    "mirror",
    "part",
    "rows_about",
    "scratch_of",
    "squared_distance",
    "whitened",
]

NEAR = 32.0
"""Whitened distance from the center up to which moments may be taken about it."""
NARROW_ROWS = 1e-5
"""Scatter, relative to what moving the moments to the mean takes off, below which digits are lost:
a component's rows are narrower than it, and the shared center does not serve."""


class FullPoint(NamedTuple):
    """A covariance per component."""

    log_weights: Any
    means: Any
    factor: Any
    """(K, D, D), lower triangular; precision = factor factorᵀ."""
    center: Any
    """c, (D,)."""
    near: Any
    """Whether the shared center serves, (K,)."""


class TiedPoint(NamedTuple):
    """One covariance."""

    log_weights: Any
    means: Any
    factor: Any
    """(D, D)."""
    center: Any
    near: Any
    """All or none."""
    scatter_known: bool
    """Whether the caller adds the rows' scatter about c to the second moments, if all are near."""


class VariancesPoint(NamedTuple):
    """No correlation: diag, and spherical with equal columns of ``factor``."""

    log_weights: Any
    means: Any
    factor: Any
    """(K, D), reciprocal standard deviations."""
    center: Any
    near: Any


class Points(NamedTuple):
    """Points of many draws, all of one structure, each laid flat."""

    log_weights: Any
    """(S, K)."""
    means: Any
    """(S, K D)."""
    factor: Any
    """(S, numbers of a point's factor)."""


class Frame(NamedTuple):
    """A point relative to the centers of its components' blocks."""

    shift: Any
    """Means less the center of the block that serves them, (K, D); zero if far."""
    offset: Any
    """The same in each component's own standard deviations, (K, D)."""
    cost: Any
    """Minus the log joint density at the mean, (K,); if tied and near, at c."""


class Sums(NamedTuple):
    """Moments: while blocks are added about the center that each component uses."""

    sizes: Any
    first: Any
    second: Any
    """(K, D, D) full, (1, D, D) tied, (K, D) diag, (K, 1) spherical."""


class Totals(NamedTuple):
    """Log-likelihoods (S,) and moments at many points: those of `Sums`, (S, ...)."""

    near: Any
    """Which components were near, (S, K)."""
    log_likelihood: Any
    sizes: Any
    first: Any
    second: Any


@compiled
def clear(sums: Any) -> None:
    """Start the moments anew."""
    sums.sizes[:] = 0.0
    sums.first[:] = 0.0
    sums.second[:] = 0.0


@compiled
def add_sums(whole: Any, part: Any) -> None:
    """Add the moments of a part of the rows."""
    _add(whole.sizes, part.sizes)
    _add(whole.first.ravel(), part.first.ravel())
    _add(whole.second.ravel(), part.second.ravel())


@compiled
def _add(whole: Any, part: Any) -> None:
    for i in range(len(whole)):  # an array expression takes seconds to compile
        whole[i] += part[i]


@compiled
def copy(source: Any, out: Any) -> None:
    """Copy flat memory; assigning to a slice takes seconds to compile."""
    for i in range(len(source)):
        out[i] = source[i]


class Place(NamedTuple):
    """Where a block's rows are."""

    source: Source
    start: int
    length: int


class Scratch(NamedTuple):
    """Memory of one block; `blocks` says how it lies."""

    block: Any
    """Rows about c, (D, size)."""
    own: Any
    """Rows about the mean of a far component, (D, size)."""
    derived: Any
    """Whitened, weighted or squared rows, (D, size)."""
    joint: Any
    """Log joint densities, then responsibilities, (K, size)."""
    common: Any
    """What the log joint densities of all components leave out, (size,)."""
    per_row: Any
    """Weights of the rows, or uniform numbers, (size,)."""
    size: int


@compiled
def scratch_of(n_components: int, n_features: int, size: int) -> Any:
    """Memory for blocks of ``size`` rows."""
    width = n_features * size
    joint, common, per_row = aligned(n_components * size), aligned(size), aligned(size)
    common[:] = 0.0
    return Scratch(aligned(width), aligned(width), aligned(width), joint, common, per_row, size)


@compiled
def frame_of(point: Any) -> Any:
    """The frame, but for the offsets and the determinants' share of the cost."""
    n_components, d = point.means.shape
    shift, cost = np.zeros((n_components, d)), np.empty(n_components)
    for k in range(n_components):
        cost[k] = 0.5 * d * math.log(2 * math.pi) - point.log_weights[k]
        if point.near[k]:
            for j in range(d):
                shift[k, j] = point.means[k, j] - point.center[j]
    return Frame(shift, np.zeros((n_components, d)), cost)


@compiled
def log_diagonal(factor: Any) -> float:
    """Sum of the logarithms of a triangular factor's diagonal."""
    found = 0.0
    for j in range(len(factor)):
        found += math.log(factor[j, j])
    return found


@compiled
def whitened(factor: Any, delta: Any, out: Any) -> None:
    """Write factorᵀ delta to zeros."""
    for j in range(len(delta)):
        for i in range(j + 1):
            out[i] += factor[j, i] * delta[j]


@compiled
def squared_distance(factor: Any, a: Any, b: Any) -> float:
    """Squared length of factorᵀ (a - b)."""
    delta, out = np.empty(len(a)), np.zeros(len(a))
    for j in range(len(a)):
        delta[j] = a[j] - b[j]
    whitened(factor, delta, out)
    found = 0.0
    for z in out:
        found += z * z
    return found


@compiled
def mirror(matrix: Any) -> None:
    """Copy what lies below the diagonal to above it."""
    for i in range(len(matrix)):
        for j in range(i):
            matrix[j, i] = matrix[i, j]


@inlined
def part(values: Any, k: int, size: int) -> Any:
    """Component k's numbers in flat scratch."""
    return values[k * size : (k + 1) * size]


@inlined
def rows_about(point: Any, place: Any, scratch: Any, k: int) -> Any:
    """Return the block about the center that serves component k."""
    if point.near[k]:
        return scratch.block
    load_block(place.source, place.start, place.length, point.means[k], scratch.own, scratch.size)
    return scratch.own
