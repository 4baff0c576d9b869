"""Longer steps than EM's own, and the verdict on every step: see `bayesmix.acceleration`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from bayesmix.kernels.blocks import compiled
from bayesmix.kernels.caching import cached

__all__ = ["FIRST_STRETCH", "Memory", "State", "judge", "lengthen"]

_RIDGE = 1e-10  # of the least squares, changes of r at unit length
FIRST_STRETCH = 2.0
_ROUNDING = 1e-14  # relative gain that is none
_SEVERAL = 4.0  # times Aitken's estimate


class Memory(NamedTuple):
    """What S runs remember of their last steps."""

    flat: Any
    """Where they were when they last looked, (S, P), and EM's step there; NaN before the first."""
    residual: Any
    flat_changes: Any
    """(S, m, P), the latest at ``last``; zeros where there are none."""
    residual_changes: Any
    last: Any
    """(S,)."""
    stretch: Any
    """Factor t of the next stretched step, (S,)."""
    leaving: Any
    """Whether a run leaves a saddle, (S,)."""


class State(NamedTuple):
    """How far S runs are."""

    objective: Any
    gains: Any
    """Of the last three steps, (S, 3); NaN before."""
    owns: Any
    """Whether these were EM's own, (S, 3)."""
    plain: Any
    """Whether the next step is to be EM's own, (S,)."""
    fallen: Any
    """Whether EM's own step fell, as a ridge can make it: then all are to be, (S,)."""
    moved: Any
    """Whether the last pass found a better point, (S,)."""
    converged: Any
    """Whether what is left to gain is below the tolerance, (S,)."""
    hopeless: Any
    """Whether several times as much as is left to gain would not reach the goal, (S,)."""


@compiled
def _are_finite(values: Any) -> bool:
    found = 0.0
    for value in values:
        found += 0.0 * value
    return found == 0.0


@compiled
def _remember(memory: Any, s: int, at: Any, following: Any) -> None:
    """Note the step to ``at``, from where EM would go on to ``following``."""
    flat, residual = memory.flat, memory.residual
    changes, residual_changes = memory.flat_changes, memory.residual_changes
    last = memory.last[s] = (memory.last[s] + 1) % changes.shape[1]
    along = 0.0
    for p in range(at.shape[1]):
        left = following[s, p] - at[s, p]
        changes[s, last, p] = at[s, p] - flat[s, p]
        residual_changes[s, last, p] = left - residual[s, p]
        along += changes[s, last, p] * residual_changes[s, last, p]
        flat[s, p], residual[s, p] = at[s, p], left
    if math.isfinite(along):
        memory.leaving[s] = memory.leaving[s] or along > 0
    else:  # the first step, or a component without weight
        for p in range(at.shape[1]):
            changes[s, last, p] = residual_changes[s, last, p] = 0.0


@compiled
def _products(memory: Any, s: int, found: Any) -> None:
    """Write inner products of the changes of r, the last one's column with r, (m, m + 1)."""
    changes, order = memory.residual_changes, len(found)
    found[:] = 0.0
    for p in range(changes.shape[2]):
        for i in range(order):
            own = changes[s, i, p]
            found[i, order] += own * memory.residual[s, p]
            for j in range(order):
                found[i, j] += own * changes[s, j, p]


@compiled
def _solved(system: Any) -> None:
    """Leave the solution of a positive definite system (m, m + 1) in its last column."""
    order = len(system)
    for i in range(order):
        for r in range(order):
            if r != i:
                share = system[r, i] / system[i, i]
                for j in range(i, order + 1):
                    system[r, j] -= share * system[i, j]
    for i in range(order):
        system[i, order] /= system[i, i]


@compiled
def _anderson(memory: Any, s: int, system: Any, length: Any, out: Any) -> None:
    order = len(system)
    _products(memory, s, system)
    for i in range(order):
        length[i] = math.sqrt(system[i, i]) if system[i, i] > 0 else 1.0
    for i in range(order):
        system[i, order] /= length[i]
        for j in range(order):
            system[i, j] /= length[i] * length[j]
        system[i, i] += _RIDGE
    _solved(system)
    for p in range(len(out)):
        out[p] = memory.flat[s, p] + memory.residual[s, p]
        for i in range(order):
            both = memory.flat_changes[s, i, p] + memory.residual_changes[s, i, p]
            out[p] -= system[i, order] / length[i] * both


def _make_lengthen(fingerprint: str) -> Callable:
    def lengthen(memory: Any, moved: Any, allowed: Any, at: Any, flat: Any, long: Any) -> None:
        fingerprint  # noqa: B018
        order, size = memory.flat_changes.shape[1:]
        system, length, far = np.empty((order, order + 1)), np.empty(order), np.empty(size)
        for s in range(len(flat)):
            if moved[s] or not _are_finite(memory.residual[s]):
                _remember(memory, s, at, flat)
            if not allowed[s]:
                continue
            if memory.leaving[s]:
                for p in range(size):
                    far[p] = memory.flat[s, p] + memory.stretch[s] * memory.residual[s, p]
            else:
                _anderson(memory, s, system, length, far)
            long[s] = _are_finite(far)
            if long[s]:
                for p in range(size):
                    flat[s, p] = far[p]

    return lengthen


@compiled
def _learn(memory: Any, s: int, taken: bool) -> None:
    """Note whether a longer step was taken."""
    leaving = memory.leaving[s]
    if taken:
        if leaving:
            memory.stretch[s] *= 2
        return
    changes, residual_changes = memory.flat_changes, memory.residual_changes
    for m in range(changes.shape[1]):
        if leaving or m != memory.last[s]:
            for p in range(changes.shape[2]):
                changes[s, m, p] = residual_changes[s, m, p] = 0.0
    if leaving:
        memory.stretch[s] = max(memory.stretch[s] / 4, FIRST_STRETCH)
    memory.leaving[s] = not leaving


@compiled
def _foresee(state: Any, s: int, total: float, tol: float, goal: float) -> None:
    """Whether a run has converged; or else seems to, which EM's own next steps will tell.

    Longer steps can land next to a saddle, gaining less and less on the way: what is left is judged
    by three of EM's own.
    """
    before, owns = state.gains[s], state.owns[s]
    gain = abs(before[2])
    none = gain <= _ROUNDING * (abs(state.objective[s]) + total)
    first, second = before[1] / before[0], before[2] / before[1]
    little = False
    if first > 0 and second > 0:
        rate = max(first, second)
        left = max(gain, gain * rate / (1 - rate))
        little = rate < 1 and left < tol * total
        state.hopeless[s] = rate < 1 and state.objective[s] + _SEVERAL * left < goal
    sure = owns[0] and owns[1] and owns[2] and (state.fallen[s] or before[0] > 0)
    state.converged[s] = (none and owns[2]) or (little and sure)
    state.plain[s] = none or little


@compiled
def _moved(state: Any, s: int, objective: float, own: bool, total: float) -> None:
    gain, gains, owns = objective - state.objective[s], state.gains[s], state.owns[s]
    if own and gain < -_ROUNDING * (abs(state.objective[s]) + total):
        state.fallen[s] = True
    for i in range(2):
        gains[i], owns[i] = gains[i + 1], owns[i + 1]
    gains[2], owns[2] = gain, own
    state.objective[s] = objective


def _make_judge(fingerprint: str) -> Callable:
    def judge(
        state: Any,
        memory: Any,
        here: Any,
        there: Any,
        objective: Any,
        long: Any,
        failed: Any,
        total: float,
        tol: float,
        goal: float,
    ) -> None:
        fingerprint  # noqa: B018
        for s in range(len(objective)):
            better = not failed[s] and math.isfinite(objective[s])
            better = better and (not long[s] or objective[s] >= state.objective[s])
            state.moved[s] = better
            if long[s]:
                _learn(memory, s, better)
            if not better:
                state.plain[s] = long[s]
                continue
            _moved(state, s, objective[s], not long[s], total)
            for i in range(len(here)):
                whole, part = here[i], there[i]
                for p in range(whole.shape[1]):
                    whole[s, p] = part[s, p]
            _foresee(state, s, total, tol, goal)

    return judge


lengthen = cached(_make_lengthen)
"""``lengthen(memory, moved, allowed, at, flat, long)`` notes how runs that ``moved``
came to coordinates ``at`` (S, P) and that EM would go on to ``flat``; where ``allowed``, it puts a
longer step in their place, if there is one, and marks it as ``long`` (S,)."""
judge = cached(_make_judge)
"""``judge(state, memory, here, there, objective, long, failed, total, tol, goal)`` takes the steps
that do not fall, if they are longer, and all of EM's own: arrays of ``here`` (S, ...) become those
of ``there``. All but ``failed`` have an ``objective``; ``tol`` is per row, of which there are
``total``."""
