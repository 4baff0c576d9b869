r"""Where EM may go from an optimum: two components merged, one split, or both at once.

Components are sets of :math:`n_k` rows with covariance :math:`\Sigma_k`, whose part of the
log-likelihood of rows and labels is
:math:`n_k \log n_k - \tfrac12 n_k \log |\Sigma_k|`, but for constants. What a merge loses and a
split gains of that ranks the moves; EM then finds out what they are worth.

References
----------
N. Ueda, R. Nakano, Z. Ghahramani and G. E. Hinton, "SMEM Algorithm for Mixture Models", Neural
Computation 12, 2000.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from bayesmix import passes
from bayesmix.covariance import STRUCTURES
from bayesmix.problem import Point

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.covariance import Structure
    from bayesmix.problem import Problem

    Floats = NDArray[np.float64]

__all__ = ["merges", "moves", "splits"]

_ROWS = 300  # of a component, to look for a split in
_TRIES = 2  # pairs of seeds for every split
_ROUNDS = 3  # of two-means
_MERGES = 50  # that moves are made of
_MOST_EACH = 6  # moves that split the same component


@dataclass(frozen=True)
class _Parts:
    """Components that take the place of others, (m,) of them, and what that gains."""

    weights: Floats
    means: Floats
    covariances: Floats
    """(m, D, D)."""
    gain: float


def moves(
    problem: Problem, point: Point, count: int, generator: np.random.Generator
) -> list[Point]:
    """Up to ``count`` points with two components merged and a third split, the best first."""
    merged = _cheapest(problem, point, _MERGES)
    split = _all_splits(problem, point, generator)
    pairs = [
        (parts.gain + merged[pair].gain, s, parts, pair)
        for s, tries in split.items()
        for parts in tries
        for pair in merged
        if s not in pair
    ]
    pairs.sort(key=lambda move: -move[0])
    chosen: list[tuple[int, _Parts, tuple[int, int]]] = []
    for _, s, parts, pair in pairs:
        if len(chosen) < count and [other for other, _, _ in chosen].count(s) < _MOST_EACH:
            chosen.append((s, parts, pair))
    return _replaced(
        problem.structure,
        point,
        [((s, *pair), [parts, merged[pair]]) for s, parts, pair in chosen],
    )


def splits(problem: Problem, point: Point, generator: np.random.Generator) -> list[Point]:
    """Points of one component more, every component split in turn."""
    found = _all_splits(problem, point, generator, tries=1)
    return _replaced(problem.structure, point, [((s,), [tries[0]]) for s, tries in found.items()])


def merges(problem: Problem, point: Point, count: int) -> list[Point]:
    """Points of one component less: the ``count`` cheapest merges, the best first."""
    merged = _cheapest(problem, point, count)
    return _replaced(problem.structure, point, [(pair, [one]) for pair, one in merged.items()])


def _cheapest(problem: Problem, point: Point, count: int) -> dict[tuple[int, int], _Parts]:
    """The merges that lose least, the best first."""
    pairs = combinations(range(len(point.weights)), 2)
    merged = [(pair, _merged(problem, point, pair)) for pair in pairs]
    merged.sort(key=lambda move: -move[1].gain)
    return dict(merged[:count])


def _merged(problem: Problem, point: Point, pair: tuple[int, int]) -> _Parts:
    """One component in place of two, with the moments of both."""
    own = list(pair)
    weights, means = point.weights[own], point.means[own]
    covariances = point.dense_covariances[own]
    share = weights / weights.sum() if weights.any() else np.full(2, 0.5)
    mean, delta = share @ means, means[1] - means[0]
    pooled = np.einsum("k,kij->ij", share, covariances) + share.prod() * np.outer(delta, delta)
    total = np.array([weights.sum()])
    whole = _log_complete(total, pooled[None]) - _log_complete(weights, covariances)
    return _Parts(total, mean[None], pooled[None], problem.total * whole)


def _all_splits(
    problem: Problem, point: Point, generator: np.random.Generator, *, tries: int = _TRIES
) -> dict[int, list[_Parts]]:
    """Splits of every component that has rows to split, the best first."""
    assert isinstance(problem.x, np.ndarray)
    resp = passes.responsibilities(problem.x, point.parameters)
    if problem.sample_weight is not None:
        resp = resp * problem.sample_weight[:, None]
    found = {}
    for k, weight in enumerate(resp.T):
        cumulative = np.cumsum(weight)
        n_rows = cumulative[-1] * problem.rows_per_weight
        if n_rows > 2:
            drawn = generator.uniform(size=min(_ROWS, int(2 * n_rows))) * cumulative[-1]
            rows = problem.x[np.searchsorted(cumulative, drawn).clip(max=len(weight) - 1)]
            factor = np.linalg.cholesky(point.dense_covariances[k])
            white = np.linalg.solve(factor, (rows - point.means[k]).T).T
            parts = [_split(problem, point, k, factor, white, generator) for _ in range(tries)]
            found[k] = sorted(parts, key=lambda one: -one.gain)
    return found


def _split(
    problem: Problem,
    point: Point,
    k: int,
    factor: Floats,
    white: Floats,
    generator: np.random.Generator,
) -> _Parts:
    """Two components in place of one, by two-means of its rows whitened by its ``factor``."""
    covariance, mean, weight = point.dense_covariances[k], point.means[k], point.weights[k]
    seeds = white[generator.integers(len(white), size=2)]
    distance = np.square(white - seeds[0]).sum(axis=1)
    if distance.any():
        seeds[1] = white[generator.choice(len(white), p=distance / distance.sum())]
    second = np.zeros(len(white), np.bool_)
    for _ in range(_ROUNDS):
        second = np.square(white - seeds[1]).sum(axis=1) < np.square(white - seeds[0]).sum(axis=1)
        if second.all() or not second.any():
            break
        seeds = np.stack([white[~second].mean(axis=0), white[second].mean(axis=0)])
    labels = np.stack([~second, second]).astype(float)
    counts = labels.sum(axis=1)
    centers = labels @ white / np.maximum(counts, 1)[:, None]
    delta = white - centers[second.astype(int)]
    prior = len(mean) + 1.0  # as many rows as keep a covariance regular, spread as the whole
    scatter = np.einsum("gm,mi,mj->gij", labels, delta, delta) + prior * np.eye(len(mean))
    covariances = factor @ (scatter / (counts + prior)[:, None, None]) @ factor.T
    weights = weight * (counts + 0.5) / (len(white) + 1)
    parts = _log_complete(weights, covariances)
    gain = parts - _log_complete(np.array([weight]), covariance[None])
    return _Parts(weights, mean + centers @ factor.T, covariances, problem.total * gain)


def _log_complete(weights: Floats, covariances: Floats) -> float:
    """Log-likelihood of rows and labels, per row, but for what no move changes."""
    some = weights > 0
    logs = np.log(weights[some]) - 0.5 * np.linalg.slogdet(covariances[some])[1]
    return float(weights[some] @ logs)


def _replaced(
    structure: Structure, point: Point, changes: list[tuple[tuple[int, ...], list[_Parts]]]
) -> list[Point]:
    """Points with some components replaced; tied covariances stay."""
    points = []
    for removed, parts in changes:
        kept = np.setdiff1d(np.arange(len(point.weights)), removed)
        weights = np.concatenate([point.weights[kept], *(p.weights for p in parts)])
        means = np.concatenate([point.means[kept], *(p.means for p in parts)])
        dense = np.concatenate([point.dense_covariances[kept], *(p.covariances for p in parts)])
        moved = Point(STRUCTURES["full"], weights / weights.sum(), means, dense).recast(structure)
        tied = structure.name == "tied"
        points.append(replace(moved, covariances=point.covariances) if tied else moved)
    return points
