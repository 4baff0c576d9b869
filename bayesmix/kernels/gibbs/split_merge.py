r"""Split–merge: a move of the labels between modes, with its exact ratio.

Two rows are chosen at random. Rows of one component are split between it and an empty one, the two
rows as seeds; two components become one, the first left empty. Where the rows of the proposed or
present pair would go is judged by a *launch*: a few blocked Gibbs sweeps of the pair alone, started
from the seeds, which depend on the rows of both and the seeds only (Jain and Neal 2004, 2007, whose
last scan goes row by row; here all rows are allocated at once given the launch's parameters).

The target is the law of the labels given S and the concentrations, weights, covariances and
conjugate means integrated out. Independent means are part of the state, and of the proposal: drawn
given their rows and the launch's covariances. Under tied covariances the rows of the other
components enter through the law that they leave for the covariance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload

from bayesmix.kernels.blocks import Source, compiled, copy_row
from bayesmix.kernels.caching import cached
from bayesmix.kernels.frames import (
    FullPoint,
    Place,
    Sums,
    TiedPoint,
    VariancesPoint,
    scratch_of,
)
from bayesmix.kernels.gibbs.conditionals import (
    draw_covariances,
    draw_means,
    draw_prior_mean,
    draw_weights,
    log_marginal,
    log_mean_density,
)
from bayesmix.kernels.gibbs.packs import tally
from bayesmix.kernels.gibbs.variates import index_below
from bayesmix.kernels.gibbs.wishart import posterior_scale
from bayesmix.kernels.structures import fill, prepare, recenter

__all__ = ["ACCEPTED", "REFUSED", "REJECTED", "split_merge"]

REFUSED, REJECTED, ACCEPTED = 0, 1, 2
"""What became of a move; refused where there is no empty component to split into."""

_SWEEPS = 4  # of a launch


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
    size: int
    """Of a block."""


def _point_of(point: Any, n_components: int) -> Any:
    """Make a point of the same structure with its own memory."""


@overload(_point_of, strict=False)
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


def _sums_of(second: Any, n_components: int, d: int) -> Any:
    """Moments of fewer components in the shape of ``second``."""


@overload(_sums_of, strict=False)
def _choose_sums(second: Any, n_components: Any, d: Any) -> Any:
    def matrices(second: Any, n_components: int, d: int) -> Any:
        g = min(n_components, len(second))
        return Sums(np.zeros(n_components), np.zeros((n_components, d)), np.zeros((g, d, d)))

    def variances(second: Any, n_components: int, d: int) -> Any:
        width = second.shape[1]
        return Sums(
            np.zeros(n_components), np.zeros((n_components, d)), np.zeros((n_components, width))
        )

    return matrices if second.ndim == 3 else variances


def _law_of_rest(state: Any, prior: Any, pair: Any, a: int, b: int) -> Any:
    """Degrees of freedom and scale of the pair's covariances given all other components."""


@overload(_law_of_rest, strict=False)
def _choose_law(state: Any, prior: Any, pair: Any, a: Any, b: Any) -> Any:
    def apart(state: Any, prior: Any, pair: Any, a: int, b: int) -> Any:
        return prior.dof, state.scale.copy()

    def shared(state: Any, prior: Any, pair: Any, a: int, b: int) -> Any:
        sizes, second = state.sums.sizes.copy(), state.sums.second.copy()
        sizes[a] = sizes[b] = 0.0
        for i in range(second.shape[1]):
            for j in range(second.shape[2]):
                second[0, i, j] -= pair.second[0, i, j]
        out = np.zeros_like(state.scale)
        rest = Sums(sizes, state.sums.first, second)
        rows = posterior_scale(state.point, rest, prior, state.scale, 0, out)
        return prior.dof + rows, out

    point = dict(zip(state.fields, state.types, strict=True))["point"]
    return shared if point.instance_class is TiedPoint else apart


@compiled
def _group(
    state: Any, rows: Any, labels: Any, dof: float, scale: Any, n_components: int, size: int
) -> Any:
    """Components on the rows of the pair, (m, D), centered at their mean."""
    d = rows.shape[1]
    point = _point_of(state.point, n_components)
    for r in range(len(rows)):
        for j in range(d):
            point.center[j] += rows[r, j] / len(rows)
    source = Source(rows.ctypes.data, 8 * d, 8, False, d, 0)
    sums = _sums_of(state.sums.second, n_components, d)
    return Group(point, sums, rows, source, labels, dof, scale, size)


@compiled
def _settle(group: Any) -> None:
    """Find the moments of the labels about the means."""
    tally(group.point, group.source, group.labels, group.size, group.sums)


@compiled
def _move_to_rows(group: Any) -> None:
    """Put means at their rows', moments about them."""
    point, sums = group.point, group.sums
    for k in range(len(point.means)):
        for j in range(len(point.center)):
            point.means[k, j] = point.center[j]
    _settle(group)
    for k in range(len(point.means)):
        for j in range(len(point.center)):
            point.means[k, j] += sums.first[k, j] / max(sums.sizes[k], 1.0)
    _settle(group)


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
def _scan(group: Any, i: int, j: int, generator: Any, draw: bool) -> float:
    """Draw the labels of all rows but the seeds, or judge those they have; return their log
    probability.
    """
    point, size, n = group.point, group.size, len(group.labels)
    frame, scratch = prepare(point), scratch_of(2, len(point.center), size)
    found = 0.0
    for first in range(0, n, size):
        count = min(size, n - first)
        fill(point, frame, Place(group.source, first, count), scratch)
        for r in range(count):
            row = first + r
            if row == i or row == j:
                continue
            odds = scratch.joint[r] - scratch.joint[size + r]
            if draw:
                group.labels[row] = 0 if generator.random() < 1 / (1 + math.exp(-odds)) else 1
            against = -odds if group.labels[row] == 0 else odds
            found -= max(against, 0.0) + math.log1p(math.exp(-abs(against)))
    return found


@compiled
def _launch_pair(
    group: Any, prior: Any, concentration: Any, i: int, j: int, generator: Any
) -> None:
    """Parameters of a pair grown from two seeds."""
    _sow(group, i, j)
    _move_to_rows(group)
    for sweep in range(_SWEEPS):
        if sweep > 0:
            _scan(group, i, j, generator, True)
            _settle(group)
        draw_weights(group.sums.sizes, concentration, group.point.log_weights, generator)
        _draw_components(group, prior, generator)


@compiled
def _launch_one(group: Any, prior: Any, generator: Any) -> None:
    """Parameters of one component on all rows."""
    _move_to_rows(group)
    for sweep in range(_SWEEPS):
        if sweep > 0:
            _settle(group)
        _draw_components(group, prior, generator)


@compiled
def _draw_components(group: Any, prior: Any, generator: Any) -> None:
    draw_covariances(group.point, group.sums, prior, group.dof, group.scale, generator)
    draw_means(group.point, group.sums, prior, generator)
    recenter(group.point)


@compiled
def _propose_means(group: Any, prior: Any, current: Any, generator: Any, draw: bool) -> float:
    """Draw independent means given labels and the launch's covariances, or go to the ``current``
    ones; return their log density.
    """
    point, sums = group.point, group.sums
    _settle(group)
    if prior.conjugate:
        return 0.0
    before = point.means.copy()
    if draw:
        draw_means(point, sums, prior, generator)
        current = point.means.copy()
        _put(before, point.means)
    found = 0.0
    for k in range(len(before)):
        found += log_mean_density(point, sums, prior, k, current[k])
    _put(current, point.means)
    _settle(group)
    return found


@compiled
def _put(values: Any, out: Any) -> None:
    for k in range(len(out)):
        for j in range(out.shape[1]):
            out[k, j] = values[k, j]


@compiled
def _log_target(group: Any, prior: Any, concentration: Any) -> float:
    """Log density of the labels, and of independent means, up to what all labels share."""
    point, sums = group.point, group.sums
    d = len(point.center)
    found = log_marginal(point, sums, prior, group.dof, group.scale)
    nothing = _sums_of(sums.second, len(sums.sizes), d)
    for k in range(len(sums.sizes)):
        found += math.lgamma(concentration[k] + sums.sizes[k])
        if prior.conjugate:
            kappa = prior.mean_precision
            found += 0.5 * d * math.log(kappa / (kappa + sums.sizes[k]))
        else:
            found += log_mean_density(point, nothing, prior, k, point.means[k])
    return found


@compiled
def _adopt(state: Any, group: Any, g: int, k: int) -> None:
    """Make component g of a group, moments of its rows included, component k of the state."""
    d = state.point.means.shape[1]
    state.sums.sizes[k] = group.sums.sizes[g]
    for j in range(d):
        state.sums.first[k, j] = group.sums.first[g, j]
        state.point.means[k, j] = group.point.means[g, j]
    if len(state.sums.second) > 1:
        own, new = state.sums.second[k].ravel(), group.sums.second[g].ravel()
        for i in range(len(own)):
            own[i] = new[i]


@compiled
def _clear_component(state: Any, prior: Any, k: int, generator: Any) -> None:
    """Take its rows from a component; its independent mean is drawn from the prior."""
    state.sums.sizes[k] = 0.0
    for j in range(state.point.means.shape[1]):
        state.sums.first[k, j] = 0.0
        state.point.means[k, j] = prior.mean[j]
    if len(state.sums.second) > 1:
        state.sums.second[k] = 0.0
    if not prior.conjugate:
        draw_prior_mean(prior, state.point.means[k], generator)


@compiled
def _members(state: Any, source: Any, a: int, b: int) -> Any:
    """Rows of two components: their places and values."""
    m = int(state.sums.sizes[a] + state.sums.sizes[b])
    places, rows = np.empty(m, np.int64), np.empty((m, source.n_features))
    found = 0
    for row in range(len(state.labels)):
        if state.labels[row] == a or state.labels[row] == b:
            places[found] = row
            copy_row(source, row, rows[found])
            found += 1
    return places, rows


@compiled
def _pair(state: Any, generator: Any) -> Any:
    """Two different rows; the component of the first, an empty one if they share one, or -1; that
    of the second; the number of empty components when all rows of the pair are in the second.
    """
    n = len(state.labels)
    i, j = index_below(generator, n), index_below(generator, n - 1)
    j += j >= i
    a, b = int(state.labels[i]), int(state.labels[j])
    empty = 0
    for size in state.sums.sizes:
        empty += size == 0
    if a != b:
        return i, j, a, b, empty + 1
    skip = index_below(generator, empty) if empty > 0 else 0
    a = -1
    for k in range(len(state.sums.sizes)):
        if state.sums.sizes[k] == 0:
            if skip == 0:
                a = k
            skip -= 1
    return i, j, a, b, empty


def _make_split_merge(fingerprint: str) -> Callable:
    def split_merge(state: Any, prior: Any, source: Any, size: int, generator: Any) -> int:
        fingerprint  # noqa: B018 - what a function captures is part of its key in the cache
        i, j, a, b, empty = _pair(state, generator)
        if a < 0:
            return REFUSED
        split = state.sums.sizes[a] == 0
        places, rows = _members(state, source, a, b)
        m = len(rows)
        one, two = np.zeros(m, np.int8), np.zeros(m, np.int8)
        for r in range(m):
            two[r] = state.labels[places[r]] == b
        current = two.copy()
        i, j = np.searchsorted(places, i), np.searchsorted(places, j)
        concentration = np.array([state.concentration[a], state.concentration[b]])

        pair = _group(state, rows, two, prior.dof, state.scale, 2, size)
        for f in range(rows.shape[1]):
            pair.point.means[0, f] = state.point.means[a, f]
            pair.point.means[1, f] = state.point.means[b, f]
        _settle(pair)
        before = pair.sums.second.copy()
        means = pair.point.means.copy()
        dof, scale = _law_of_rest(state, prior, pair.sums, a, b)
        pair = _group(state, rows, two, dof, scale, 2, size)
        whole = _group(state, rows, one, dof, scale, 1, size)

        _launch_pair(pair, prior, concentration, i, j, generator)
        if not split:
            for r in range(m):
                two[r] = current[r]
        log_pair = _scan(pair, i, j, generator, split) - math.log(empty)
        log_pair += _propose_means(pair, prior, means, generator, split)
        log_whole = 0.0
        if not prior.conjugate:
            _launch_one(whole, prior, generator)
        log_whole += _propose_means(whole, prior, means[1:], generator, not split)

        gain = _log_target(pair, prior, concentration) - log_pair
        gain -= _log_target(whole, prior, concentration[1:]) - log_whole
        gain -= math.lgamma(concentration[0])
        if math.log(1 - generator.random()) >= (gain if split else -gain):
            return REJECTED
        new = pair if split else whole
        if split:
            _adopt(state, pair, 0, a)
            _adopt(state, pair, 1, b)
        else:
            _adopt(state, whole, 0, b)
            _clear_component(state, prior, a, generator)
        if len(state.sums.second) == 1:
            shared, total = state.sums.second[0].ravel(), new.sums.second[0].ravel()
            for f in range(len(shared)):
                shared[f] += total[f] - before.ravel()[f]
        for r in range(m):
            state.labels[places[r]] = a if split and two[r] == 0 else b
        return ACCEPTED

    return split_merge


split_merge = cached(_make_split_merge)
"""``split_merge(state, prior, source, size, generator)`` tries one move, in place."""
