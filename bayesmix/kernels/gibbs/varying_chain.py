"""A chain whose number of components varies, as the kernels see it: more memory than components.

Occupied components come first; what lies behind them is room for new ones, and grows when it is
used up.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload

from bayesmix.kernels.blocks import compiled
from bayesmix.kernels.frames import FullPoint, Sums, TiedPoint, VariancesPoint, copy
from bayesmix.kernels.gibbs.groups import point_of, sums_of

__all__ = [
    "VaryingRecords",
    "VaryingState",
    "compact",
    "components",
    "n_occupied",
    "resized",
    "sums_between",
    "widened",
]


class VaryingState(NamedTuple):
    """Arrays that kernels change in place, with room for C components.

    The moments are those of the labels about the point's means.
    """

    point: Any
    labels: Any
    """(n,): places of the components."""
    sums: Any
    scale: Any
    """S, (D, D)."""
    concentration: Any
    """(1,), as is what follows up to the key."""
    discount: Any
    n_components: Any
    """0 for infinitely many."""
    key: Any
    """Two words that name the rows' random numbers."""
    sweeps: Any
    """How many were made, (1,)."""


class VaryingRecords(NamedTuple):
    """What is kept of every draw; draws first. Components that a draw does not have are NaN."""

    weights: Any
    """(S, W); they sum to one less what empty components weigh."""
    means: Any
    covariances: Any
    """In the structure's shape; spherical (S, W, 1), tied (S, 1, D, D)."""
    scale: Any
    """Diagonal of a random S, (S, D), else (S, 0)."""
    concentration: Any
    """(S,)."""
    discount: Any
    n_components: Any
    """0 for infinitely many."""
    n_clusters: Any
    log_likelihood: Any
    split_merge_tried: Any
    """Moves since the draw before."""
    split_merge_accepted: Any
    labels: Any
    """(S, n), or (S, 0)."""


def components(point: Any, first: int, stop: int) -> Any:
    """Some components of a point, in the same memory."""


@overload(components, strict=False)
def _choose_components(point: Any, first: Any, stop: Any) -> Any:
    def full(point: Any, first: int, stop: int) -> Any:
        log_weights, means = point.log_weights[first:stop], point.means[first:stop]
        near = point.near[first:stop]
        return FullPoint(log_weights, means, point.factor[first:stop], point.center, near)

    def tied(point: Any, first: int, stop: int) -> Any:
        log_weights, means = point.log_weights[first:stop], point.means[first:stop]
        near = point.near[first:stop]
        return TiedPoint(log_weights, means, point.factor, point.center, near, False)

    def variances(point: Any, first: int, stop: int) -> Any:
        log_weights, means = point.log_weights[first:stop], point.means[first:stop]
        near = point.near[first:stop]
        return VariancesPoint(log_weights, means, point.factor[first:stop], point.center, near)

    return {FullPoint: full, TiedPoint: tied, VariancesPoint: variances}[point.instance_class]


@compiled
def sums_between(state: Any, first: int, stop: int) -> Any:
    """Moments of some components, in the same memory; tied ones share the second."""
    sizes, sums = state.sums.sizes[first:stop], state.sums
    second = sums.second[first:stop] if is_apart(state.point) else sums.second[:]
    return Sums(sizes, sums.first[first:stop], second)


def is_apart(point: Any) -> Any:
    """Whether every component has a covariance of its own."""


@overload(is_apart, strict=False)
def _choose_apart(point: Any) -> Any:
    apart = point.instance_class is not TiedPoint
    return lambda point: apart


@compiled
def n_occupied(state: Any) -> int:
    """Number of components that have rows."""
    found = 0
    for size in state.sums.sizes:
        found += size > 0
    return found


@compiled
def resized(state: Any, room: int) -> Any:
    """Copy a state to memory with room for more components, or for fewer if the last are empty."""
    d = state.point.means.shape[1]
    point, sums = point_of(state.point, room), sums_of(state.sums.second, room, d)
    for old, new in (
        (state.point.log_weights, point.log_weights),
        (state.point.means.ravel(), point.means.ravel()),
        (state.point.factor.ravel(), point.factor.ravel()),
        (state.point.center, point.center),
        (state.sums.sizes, sums.sizes),
        (state.sums.first.ravel(), sums.first.ravel()),
        (state.sums.second.ravel(), sums.second.ravel()),
    ):
        copy(old[: len(new)], new)
    for k in range(min(room, len(state.point.near))):
        point.near[k] = state.point.near[k]
    return VaryingState(
        point,
        state.labels,
        sums,
        state.scale,
        state.concentration,
        state.discount,
        state.n_components,
        state.key,
        state.sweeps,
    )


@compiled
def _move(state: Any, old: int, new: int) -> None:
    """Put a component in an empty place."""
    point, sums = state.point, state.sums
    point.log_weights[new], point.near[new] = point.log_weights[old], point.near[old]
    copy(point.means[old], point.means[new])
    sums.sizes[new], sums.sizes[old] = sums.sizes[old], 0.0
    copy(sums.first[old], sums.first[new])
    sums.first[old] = 0.0
    if is_apart(point):
        copy(point.factor[old].ravel(), point.factor[new].ravel())
        copy(sums.second[old].ravel(), sums.second[new].ravel())
        sums.second[old] = 0.0


@compiled
def compact(state: Any) -> int:
    """Put occupied components first; return their number."""
    sizes = state.sums.sizes
    place = np.arange(len(sizes))
    low, high, moved = 0, len(sizes) - 1, False
    while True:
        while low < len(sizes) and sizes[low] > 0:
            low += 1
        while high >= 0 and sizes[high] == 0:
            high -= 1
        if high < low:
            break
        _move(state, high, low)
        place[high] = low
        moved = True
    if moved:
        for r in range(len(state.labels)):
            state.labels[r] = place[state.labels[r]]
    return low


@compiled
def widened(records: Any, width: int) -> Any:
    """Copy records to memory with room for more components."""
    draws, before, d = records.means.shape
    weights, means = np.full((draws, width), np.nan), np.full((draws, width, d), np.nan)
    covariances = records.covariances
    if covariances.shape[1] == before and before > 1:  # widths start above 1, tied is 1
        covariances = _wider(covariances, width)
    for s in range(draws):
        copy(records.weights[s], weights[s])
        copy(records.means[s].ravel(), means[s].ravel())
    return VaryingRecords(
        weights,
        means,
        covariances,
        records.scale,
        records.concentration,
        records.discount,
        records.n_components,
        records.n_clusters,
        records.log_likelihood,
        records.split_merge_tried,
        records.split_merge_accepted,
        records.labels,
    )


def _wider(covariances: Any, width: int) -> Any:
    """Covariances (S, W, ...) with more components."""


@overload(_wider, strict=False)
def _choose_wider(covariances: Any, width: Any) -> Any:
    def matrices(covariances: Any, width: int) -> Any:
        draws, _, d, _ = covariances.shape
        out = np.full((draws, width, d, d), np.nan)
        for s in range(draws):
            copy(covariances[s].ravel(), out[s].ravel())
        return out

    def variances(covariances: Any, width: int) -> Any:
        draws, _, d = covariances.shape
        out = np.full((draws, width, d), np.nan)
        for s in range(draws):
            copy(covariances[s].ravel(), out[s].ravel())
        return out

    return matrices if covariances.ndim == 4 else variances
