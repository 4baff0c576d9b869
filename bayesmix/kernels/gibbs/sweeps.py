"""A blocked sweep: parameters given labels, then labels and log-likelihood at those parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.kernels.blocks import choose_labels, compiled
from bayesmix.kernels.frames import Place, add_sums, clear, scratch_of
from bayesmix.kernels.gibbs.conditionals import (
    draw_concentration,
    draw_covariances,
    draw_means,
    draw_scale,
    draw_weights,
)
from bayesmix.kernels.gibbs.packs import add_rows, flush, packs_of, tally
from bayesmix.kernels.gibbs.sticks import draw_order, draw_stick_laws, draw_sticks
from bayesmix.kernels.gibbs.variates import shuffled
from bayesmix.kernels.philox import Stream, uniforms
from bayesmix.kernels.structures import fill, prepare, recenter

__all__ = ["settle_moments", "sweep"]


@compiled
def _rename(state: Any, prior: Any, generator: Any) -> None:
    """Draw the names of the components anew; their rows get labels in this sweep."""
    if prior.exchangeable:
        order = shuffled(generator, len(state.sums.sizes))
    elif prior.sticks:
        concentration, discount = state.concentration[0], state.discount[0]
        order = draw_order(state.sums.sizes, concentration, discount, generator)
    else:
        return
    sizes, first, second = state.sums
    _reorder(state.point.means, order)
    _reorder(sizes, order)
    _reorder(first, order)
    if len(second) == len(order):
        _reorder(second, order)


@compiled
def _reorder(values: Any, order: Any) -> None:
    """Put what belongs to component ``order[k]`` at k."""
    flat, width = values.ravel(), values.size // len(order)
    before = flat.copy()
    for k in range(len(order)):
        for i in range(width):
            flat[k * width + i] = before[order[k] * width + i]


@compiled
def _weights(state: Any, prior: Any, generator: Any) -> None:
    sizes, concentration, logs = state.sums.sizes, state.concentration, state.point.log_weights
    if prior.sticks:
        draw_stick_laws(sizes, prior, concentration, state.discount, generator)
        draw_sticks(sizes, concentration[0], state.discount[0], logs, generator)
    else:
        draw_concentration(sizes, prior, concentration, generator)
        draw_weights(sizes, concentration, logs, generator)


@compiled
def _parameters(state: Any, prior: Any, generator: Any) -> Any:
    point, sums = state.point, state.sums
    _rename(state, prior, generator)
    _weights(state, prior, generator)
    draw_covariances(point, sums, prior, prior.dof, state.scale, generator)
    draw_means(point, sums, prior, generator)
    draw_scale(point, sums, prior, state.scale, generator)
    recenter(point)
    clear(sums)
    state.sweeps[0] += np.uint64(1)
    return Stream(state.key[0], state.key[1] + state.sweeps[0], 0)


@compiled
def _allocate(
    point: Any, source: Any, start: int, stop: int, size: int, stream: Any, labels: Any, sums: Any
) -> float:
    frame = prepare(point)
    k, d = point.means.shape
    scratch, packs = scratch_of(k, d, size), packs_of(k, d)
    log_likelihood = 0.0
    for first in range(start, stop, size):
        count = min(size, stop - first)
        fill(point, frame, Place(source, first, count), scratch)
        uniforms(stream, first, count, scratch.per_row)
        own = labels[first : first + count]
        log_likelihood += choose_labels(
            scratch.joint, scratch.common, k, size, scratch.per_row, own
        )
        add_rows(packs, point, scratch.block, own, size, sums)
    flush(packs, point, sums)
    return log_likelihood


@compiled
def sweep(
    state: Any, prior: Any, source: Any, bounds: Any, size: int, generator: Any, part: Any
) -> float:
    """Move a state by one sweep; return the log-likelihood at its parameters.

    Rows come in the parts between ``bounds``; ``part`` is memory for the moments of one.
    """
    stream = _parameters(state, prior, generator)
    log_likelihood = 0.0
    for p in range(len(bounds) - 1):
        clear(part)
        log_likelihood += _allocate(
            state.point, source, bounds[p], bounds[p + 1], size, stream, state.labels, part
        )
        add_sums(state.sums, part)
    return log_likelihood


@compiled
def settle_moments(state: Any, source: Any, size: int) -> None:
    """Make the moments those of the labels about the means."""
    recenter(state.point)
    tally(state.point, source, state.labels, size, state.sums)
