r"""Split–merge: a move of the labels between modes, with its exact ratio.

Two rows are chosen at random. Rows of one component are split between it and an empty one, the two
rows as seeds; two components become one, the first left empty. Where the rows of the proposed or
present pair would go is judged by a `launch`.

The target is the law of the labels given S, concentrations and discount, weights, covariances and
conjugate means integrated out. Independent means are part of the state, and of the proposal: drawn
given their rows and the launch's covariances. Under tied covariances the rows of the other
components enter through the law that they leave for the covariance.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import overload

from bayesmix.kernels.blocks import compiled, copy_row, inlined
from bayesmix.kernels.frames import Sums, TiedPoint, copy
from bayesmix.kernels.gibbs.conditionals import draw_means, draw_prior_mean, log_mean_density
from bayesmix.kernels.gibbs.groups import center_of, group_of, log_target, settle
from bayesmix.kernels.gibbs.launch import judge, launch_one, launch_pair
from bayesmix.kernels.gibbs.sticks import log_labels
from bayesmix.kernels.gibbs.urn import log_law
from bayesmix.kernels.gibbs.variates import index_below
from bayesmix.kernels.gibbs.wishart import posterior_scale

__all__ = ["ACCEPTED", "REFUSED", "REJECTED", "split_merge"]

REFUSED, REJECTED, ACCEPTED = 0, 1, 2
"""What became of a move; refused where there is no empty component to split into."""


class Choice(NamedTuple):
    """The components of two rows."""

    first: int
    """Row."""
    second: int
    """Another row."""
    a: int
    """Component of the first row; if they share one, an empty one, or -1 if none is."""
    b: int
    """Component of the second row."""
    split: bool
    n_empty: int
    """Empty components when all rows of the two are in b."""


@compiled
def _choose(state: Any, generator: Any) -> Any:
    """Two different rows, and what they make the move."""
    n, sizes = len(state.labels), state.sums.sizes
    first, second = index_below(generator, n), index_below(generator, n - 1)
    second += second >= first
    a: Any = np.int64(state.labels[first])  # int() would keep the labels' narrow type
    b: Any = np.int64(state.labels[second])
    n_empty = 0
    for k in range(len(sizes)):
        n_empty += sizes[k] == 0
    if a != b:
        return Choice(first, second, a, b, False, n_empty + 1)
    skip, a = index_below(generator, max(n_empty, 1)), -1
    for k in range(len(sizes)):
        if sizes[k] == 0:
            if skip == 0:
                a = k
            skip -= 1
    return Choice(first, second, a, b, True, n_empty)


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
def _propose_means(group: Any, prior: Any, current: Any, generator: Any, draw: bool) -> float:
    """Log density of independent means given labels and the launch's covariances.

    The means are new ones, drawn so, or the ``current`` ones; the group moves to them.
    """
    point, sums = group.point, group.sums
    settle(group)
    if prior.conjugate:
        return 0.0
    before = point.means.copy()
    if draw:
        draw_means(point, sums, prior, generator)
        current = point.means.copy()
        copy(before.ravel(), point.means.ravel())
    found = 0.0
    for k in range(len(before)):
        found += log_mean_density(point, sums, prior, k, current[k])
    copy(current.ravel(), point.means.ravel())
    settle(group)
    return found


@compiled
def _adopt(state: Any, group: Any, g: int, k: int) -> None:
    """Make component g of a group, moments of its rows included, component k of the state."""
    state.sums.sizes[k] = group.sums.sizes[g]
    copy(group.sums.first[g], state.sums.first[k])
    copy(group.point.means[g], state.point.means[k])
    if len(state.sums.second) > 1:
        copy(group.sums.second[g].ravel(), state.sums.second[k].ravel())


@compiled
def _clear_component(state: Any, prior: Any, k: int, generator: Any) -> None:
    """Take its rows from a component; its independent mean is drawn from the prior."""
    state.sums.sizes[k] = 0.0
    state.sums.first[k] = 0.0
    copy(prior.mean, state.point.means[k])
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
def _labels(state: Any, places: Any, b: int) -> Any:
    """Which rows of the pair are in b, (m,)."""
    labels = np.zeros(len(places), np.int8)
    for r in range(len(places)):
        labels[r] = state.labels[places[r]] == b
    return labels


@compiled
def _present(
    state: Any, prior: Any, rows: Any, center: Any, labels: Any, choice: Any, size: int
) -> Any:
    """The pair as it is, moments about the state's means."""
    concentration = np.array([state.concentration[choice.a], state.concentration[choice.b]])
    scale = state.scale
    pair = group_of(state, rows, center, labels, prior.dof, scale, concentration, size)
    copy(state.point.means[choice.a], pair.point.means[0])
    copy(state.point.means[choice.b], pair.point.means[1])
    settle(pair)
    return pair


def _log_label_ratio(law: Any, state: Any, prior: Any, choice: Any, own: Any) -> Any:
    """Log probability of labels with rows in a and b, (2,), over that with all of them in b.

    What is empty bears as many names as there are empty components.
    """


@overload(_log_label_ratio, strict=False, jit_options={"error_model": "numpy"})
def _choose_labels_law(law: Any, state: Any, prior: Any, choice: Any, own: Any) -> Any:
    return _ratio_of_names if isinstance(law, types.NoneType) else _ratio_of_partitions


def _ratio_of_names(law: Any, state: Any, prior: Any, choice: Any, own: Any) -> float:
    c, a, b = state.concentration, choice.a, choice.b
    names = math.log(choice.n_empty)
    if prior.sticks:
        apart, together = _sizes_of_split(state, choice, own)
        discount = state.discount[0]
        return names + log_labels(apart, c[0], discount) - log_labels(together, c[0], discount)
    found = math.lgamma(c[a] + own[0]) - math.lgamma(c[a])
    return names + found + math.lgamma(c[b] + own[1]) - math.lgamma(c[b] + own[0] + own[1])


def _ratio_of_partitions(law: Any, state: Any, prior: Any, choice: Any, own: Any) -> float:
    apart, together = _sizes_of_split(state, choice, own)
    return log_law(law, apart[apart > 0]) - log_law(law, together[together > 0])


@compiled
def _sizes_of_split(state: Any, choice: Any, own: Any) -> Any:
    """Sizes of all components with rows in a and b, and with all of these in b."""
    apart, together = state.sums.sizes.copy(), state.sums.sizes.copy()
    apart[choice.a], apart[choice.b] = own[0], own[1]
    together[choice.a], together[choice.b] = 0.0, own[0] + own[1]
    return apart, together


@compiled
def _log_ratio(law: Any, pair: Any, whole: Any, state: Any, prior: Any, choice: Any) -> float:
    """Target of the pair over that of the whole, but for the proposals."""
    found = log_target(pair, prior) - log_target(whole, prior)
    return found + _log_label_ratio(law, state, prior, choice, pair.sums.sizes)


@compiled
def _accept(state: Any, prior: Any, choice: Any, present: Any, new: Any, generator: Any) -> None:
    """Make the proposed components the state's."""
    for g in range(len(new.point.means)):
        _adopt(state, new, g, choice.a if choice.split and g == 0 else choice.b)
    if not choice.split:
        _clear_component(state, prior, choice.a, generator)
    if len(state.sums.second) == 1:  # tied: one sum for all components
        total = state.sums.second.ravel()
        before, after = present.sums.second.ravel(), new.sums.second.ravel()
        for i in range(len(total)):
            total[i] += after[i] - before[i]


@inlined
def split_merge(state: Any, prior: Any, law: Any, source: Any, size: int, generator: Any) -> int:
    """Try one move, in place; return what became of it.

    ``law`` is that of the partition where components vary in number, the last of them a new one;
    None where names count.
    """
    choice = _choose(state, generator)
    a, b, split = choice.a, choice.b, choice.split
    if a < 0:
        return REFUSED
    places, rows = _members(state, source, a, b)
    labels = _labels(state, places, b)
    i, j = np.searchsorted(places, choice.first), np.searchsorted(places, choice.second)
    center = center_of(rows)
    present = _present(state, prior, rows, center, labels, choice, size)
    dof, scale = _law_of_rest(state, prior, present.sums, a, b)
    both = present.concentration
    pair = group_of(state, rows, center, labels.copy(), dof, scale, both, size)
    one = np.zeros_like(labels)
    whole = group_of(state, rows, center, one, dof, scale, both[1:], size)

    launch_pair(pair, prior, i, j, generator)
    if not split:
        copy(labels, pair.labels)
    proposal = judge(pair, i, j, generator, split)
    proposal += _propose_means(pair, prior, present.point.means, generator, split)
    if not prior.conjugate:
        launch_one(whole, prior, generator)
    proposal -= _propose_means(whole, prior, present.point.means[1:], generator, not split)

    gain = _log_ratio(law, pair, whole, state, prior, choice) - proposal
    if not math.log(1 - generator.random()) < (gain if split else -gain):
        return REJECTED  # a gain that is not a number, too
    new = pair if split else whole
    _accept(state, prior, choice, present, new, generator)
    for r in range(len(places)):
        state.labels[places[r]] = a if split and new.labels[r] == 0 else b
    return ACCEPTED
