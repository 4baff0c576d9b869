"""A chain of varying K on its way: moves and sweeps in turn, what is to be kept recorded."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from bayesmix.kernels.blocks import compiled
from bayesmix.kernels.caching import cached
from bayesmix.kernels.frames import copy
from bayesmix.kernels.gibbs.advance import count_move, record_numbers
from bayesmix.kernels.gibbs.conditionals import write_covariances
from bayesmix.kernels.gibbs.varying_chain import components, n_occupied, widened
from bayesmix.kernels.gibbs.varying_sweeps import (
    move_between_modes,
    settle_varying,
    sweep_varying,
)

__all__ = ["advance_varying"]


@compiled
def _record(state: Any, found: float, records: Any, place: int) -> Any:
    """Record a draw; return the records, with more room where it took that."""
    n_clusters = n_occupied(state)
    if n_clusters > records.weights.shape[1]:
        records = widened(records, 2 * n_clusters)
    point = components(state.point, 0, n_clusters)
    records.weights[place], records.means[place] = np.nan, np.nan
    covariances = records.covariances[place]
    covariances[:] = np.nan
    for k in range(n_clusters):
        records.weights[place, k] = math.exp(point.log_weights[k])
    copy(point.means.ravel(), records.means[place].ravel())
    write_covariances(point, covariances[: max(n_clusters, 1)])
    records.n_components[place] = state.n_components[0]
    record_numbers(state, n_clusters, found, records, place)
    return records


def _make_advance_varying(fingerprint: str) -> Callable:
    def advance_varying(
        state: Any,
        prior: Any,
        law: Any,
        source: Any,
        generator: Any,
        plan: Any,
        records: Any,
        place: int,
    ) -> Any:
        fingerprint  # noqa: B018 - what a function captures is part of its key in the cache
        found = 0.0
        if plan.steps == 0:
            settle_varying(state, source, plan.block)
        for _ in range(plan.steps):
            if plan.every > 0 and np.int64(state.sweeps[0]) % plan.every == 0:
                state, outcome = move_between_modes(
                    state, prior, law, source, plan.pair_block, generator
                )
                count_move(records, place, outcome)
            if plan.sweep:
                kept = (np.int64(state.sweeps[0]) + 1 - plan.origin) % plan.thin == 0
                state, found = sweep_varying(state, prior, law, source, generator, kept)
                if not math.isfinite(found):
                    break
                if kept:
                    records = _record(state, found, records, place)
                    place += 1
        return state, records, found

    return advance_varying


advance_varying = cached(_make_advance_varying)
"""``advance_varying(state, prior, law, source, generator, plan, records, place)`` carries out a
`Plan` on a state, in place, and records draws from ``place`` on. Returned are the state and the
records, which may be copies with more room, and the last log-likelihood; one that is not finite
ends it."""
