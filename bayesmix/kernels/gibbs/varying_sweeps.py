"""A sweep where the number of components varies: parameters given labels, then rows in turn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bayesmix.kernels.blocks import compiled, inlined
from bayesmix.kernels.gibbs.chain import State
from bayesmix.kernels.gibbs.conditionals import draw_covariances, draw_means, draw_scale
from bayesmix.kernels.gibbs.packs import tally
from bayesmix.kernels.gibbs.seating import N_EMPTY, log_likelihood, seat_rows, sow
from bayesmix.kernels.gibbs.split_merge import ACCEPTED, REFUSED, split_merge
from bayesmix.kernels.gibbs.urn import (
    GivenLaw,
    draw_hyperparameters,
    draw_near,
    draw_open_weights,
    is_near,
    urn_of,
)
from bayesmix.kernels.gibbs.varying_chain import (
    compact,
    components,
    n_occupied,
    resized,
    sums_between,
)
from bayesmix.kernels.philox import Stream
from bayesmix.kernels.structures import recenter

__all__ = ["move_between_modes", "settle_varying", "sweep_varying"]

_ROOM = 16  # components there is room for, at least


@compiled
def _urn(state: Any, law: Any) -> Any:
    return urn_of(
        state.concentration[0], state.discount[0], np.int64(state.n_components[0]), law.dynamic
    )


@compiled
def _with_room(state: Any, n_clusters: int) -> Any:
    """Give a state memory for its clusters and some more, no matter how much it had before.

    Blocks of rows depend on that, so a chain that is resumed must not have less.
    """
    room = _ROOM
    while room < n_clusters + N_EMPTY:
        room *= 2
    return state if room == len(state.sums.sizes) else resized(state, room)


@compiled
def _recenter(state: Any, n_clusters: int) -> None:
    """Put the center at the rows' mean; log weights become those of densities alone."""
    point, n = components(state.point, 0, n_clusters), len(state.labels)
    for k in range(n_clusters):
        point.log_weights[k] = math.log(state.sums.sizes[k] / n)
    recenter(point)
    state.point.log_weights[:] = 0.0


@compiled
def _parameters(state: Any, prior: Any, law: Any, n_clusters: int, generator: Any) -> None:
    point, sums = components(state.point, 0, n_clusters), sums_between(state, 0, n_clusters)
    draw_hyperparameters(state, law, sums.sizes, generator)
    draw_covariances(point, sums, prior, prior.dof, state.scale, generator)
    draw_means(point, sums, prior, generator)
    draw_scale(point, sums, prior, state.scale, generator)
    _recenter(state, n_clusters)


@compiled
def _weigh(state: Any, urn: Any, empty: Any, generator: Any) -> int:
    """Draw log weights given the labels; return the number of places that they are in."""
    logs, sizes = state.point.log_weights, state.sums.sizes
    others = draw_open_weights(sizes, urn, logs, generator)
    used = 0
    for k in range(len(sizes)):
        if sizes[k] > 0:
            used = k + 1
        else:
            logs[k] = -np.inf
    for k in empty:  # what they weigh together, spread evenly
        logs[k] = others - math.log(N_EMPTY)
        used = max(used, k + 1)
    return used


@inlined
def sweep_varying(
    state: Any, prior: Any, law: Any, source: Any, generator: Any, score: bool
) -> Any:
    """Make a sweep; return the state and its log-likelihood.

    The state may be a copy with more room. Weights are drawn always, so that what follows does not
    depend on what is kept; without ``score`` the log-likelihood is 0. It is no number if the sweep
    failed, and infinite if there are more clusters than labels can name.
    """
    n_clusters = n_occupied(state)
    state = _with_room(state, n_clusters)
    _parameters(state, prior, law, n_clusters, generator)
    sow(state, prior, n_clusters, generator)
    state.sweeps[0] += np.uint64(1)
    urn, found = _urn(state, law), 0.0
    stream = Stream(state.key[0], state.key[1] + state.sweeps[0], 0)
    state, empty = seat_rows(state, prior, urn, n_clusters, source, stream, generator)
    if empty[0] < 0:
        return state, np.nan if empty[0] == -1 else np.inf
    used = _weigh(state, urn, empty, generator)
    if score:
        found = log_likelihood(state, used, source)
    compact(state)
    return state, found


@inlined
def move_between_modes(
    state: Any, prior: Any, law: Any, source: Any, size: int, generator: Any
) -> Any:
    """Try to split a cluster or to merge two; return the state and what became of it.

    A random K is integrated out, over the first few that there may be, and drawn afterwards.
    """
    n_clusters, k = n_occupied(state), np.int64(state.n_components[0])
    random_k = len(law.log_p_components) > 0
    if random_k and not is_near(k, n_clusters):
        return state, REFUSED
    state = _with_room(state, n_clusters)
    given = GivenLaw(law, state.concentration[0], state.discount[0])
    own = components(state.point, 0, n_clusters + 1)
    fixed = State(
        own,
        state.labels,
        sums_between(state, 0, n_clusters + 1),
        state.scale,
        np.ones(n_clusters + 1),  # of the launch, whatever it is
        state.discount,
        state.key,
        state.sweeps,
    )
    outcome = split_merge(fixed, prior, given, source, size, generator)
    if outcome == ACCEPTED:
        n_clusters = compact(state)
        if random_k:
            sizes = state.sums.sizes[:n_clusters]
            state.n_components[0] = draw_near(law, sizes, given.concentration, generator)
    return state, outcome


@compiled
def settle_varying(state: Any, source: Any, size: int) -> None:
    """Make the moments those of the labels about the means."""
    tally(state.point, source, state.labels, size, state.sums)
    compact(state)
