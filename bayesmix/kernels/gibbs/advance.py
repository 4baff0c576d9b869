"""A chain on its way: moves between modes and sweeps in turn, what is to be kept recorded."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from bayesmix.kernels.blocks import compiled
from bayesmix.kernels.caching import cached
from bayesmix.kernels.frames import Sums, copy
from bayesmix.kernels.gibbs.conditionals import write_covariances
from bayesmix.kernels.gibbs.split_merge import ACCEPTED, REFUSED, split_merge
from bayesmix.kernels.gibbs.sweeps import settle_moments, sweep

__all__ = ["Plan", "advance", "count_move", "record_numbers"]


class Plan(NamedTuple):
    """What `advance` is to do."""

    steps: int
    """Sweeps to make; with 0 the moments become those of the labels, no more."""
    every: int
    """A move between modes goes before every sweep whose number this divides; 0 for none."""
    sweep: bool
    """Without it the moves alone are made."""
    thin: int
    """Every ``thin``-th sweep is kept, counted from ``origin`` on."""
    origin: int
    block: int
    """Rows of a block."""
    pair_block: int
    """The same for two components."""


@compiled
def count_move(records: Any, place: int, outcome: int) -> None:
    """Count a move among those since the draw before."""
    records.split_merge_tried[place] += outcome != REFUSED
    records.split_merge_accepted[place] += outcome == ACCEPTED


@compiled
def record_numbers(
    state: Any, n_clusters: int, log_likelihood: float, records: Any, place: int
) -> None:
    """Record all but the components."""
    for j in range(records.scale.shape[1]):
        records.scale[place, j] = state.scale[j, j]
    records.concentration[place] = state.concentration[0]
    records.discount[place] = state.discount[0]
    records.log_likelihood[place] = log_likelihood
    records.n_clusters[place] = n_clusters
    if records.labels.shape[1] > 0:
        copy(state.labels, records.labels[place])


@compiled
def _record(state: Any, log_likelihood: float, records: Any, place: int) -> None:
    point, occupied = state.point, 0
    for k in range(len(point.log_weights)):
        records.weights[place, k] = math.exp(point.log_weights[k])
        occupied += state.sums.sizes[k] > 0
    write_covariances(point, records.covariances[place])
    copy(point.means.ravel(), records.means[place].ravel())
    record_numbers(state, occupied, log_likelihood, records, place)


def _make_advance(fingerprint: str) -> Callable:
    def advance(
        state: Any,
        prior: Any,
        source: Any,
        bounds: Any,
        generator: Any,
        plan: Any,
        records: Any,
        place: int,
    ) -> float:
        fingerprint  # noqa: B018 - what a function captures is part of its key in the cache
        sums = state.sums
        part = Sums(
            np.empty_like(sums.sizes), np.empty_like(sums.first), np.empty_like(sums.second)
        )
        log_likelihood = 0.0
        if plan.steps == 0:
            settle_moments(state, source, plan.block)
        for _ in range(plan.steps):
            if plan.every > 0 and np.int64(state.sweeps[0]) % plan.every == 0:
                outcome = split_merge(state, prior, None, source, plan.pair_block, generator)
                count_move(records, place, outcome)
            if plan.sweep:
                log_likelihood = sweep(state, prior, source, bounds, plan.block, generator, part)
                if not math.isfinite(log_likelihood):
                    return log_likelihood
                if (np.int64(state.sweeps[0]) - plan.origin) % plan.thin == 0:
                    _record(state, log_likelihood, records, place)
                    place += 1
        return log_likelihood

    return advance


advance = cached(_make_advance)
"""``advance(state, prior, source, bounds, generator, plan, records, place)`` carries out a `Plan`
on a state, in place, and records draws from ``place`` on; rows come in the parts between
``bounds``. Returned is the last log-likelihood; one that is not finite ends it."""
