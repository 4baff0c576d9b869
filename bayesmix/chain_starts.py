"""Where chains of Gibbs sampling start: at optima of EM, and far from them."""

from __future__ import annotations

from math import lgamma
from typing import TYPE_CHECKING

import numpy as np

from bayesmix import passes
from bayesmix.component_counts import MAX_SUPPORT
from bayesmix.covariance import structure_of
from bayesmix.finite_mixtures import MixtureOfFiniteMixtures
from bayesmix.gibbs import Chain
from bayesmix.gibbs_varying import VaryingChain
from bayesmix.inputs import random_words
from bayesmix.optima import by_mass, distinct_points, log_mass
from bayesmix.pass_parameters import PassParameters
from bayesmix.priors import Dirichlet
from bayesmix.problem import Problem
from bayesmix.search import search

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.inputs import Table
    from bayesmix.mixture import Mixture
    from bayesmix.problem import Point

    Floats = NDArray[np.float64]

__all__ = ["dispersed_labels"]

_COUNTS = np.arange(1, MAX_SUPPORT + 1)  # of components
_SEARCH_ROWS = 2_000  # enough to find where labels may start
_SEARCH_STARTS = 4
_CHUNK = 100_000
_SETTLED_FROM = 10_000  # rows
_SETTLING = 1_000  # sweeps
_SEARCH_ITERATIONS = 30
_NEAR_NATS = 20.0  # an optimum with less of the mass than this is not worth a chain
_NUMBERS = (2, 4, 8)  # of components EM is asked for where they vary
_MANY = 20  # clusters of a start with many where they vary
_ROWS_OF_MANY = 5  # at least, on average


def dispersed_labels(
    mixture: Mixture, table: Table, chains: int, generator: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Labels (n,) for every chain: in turn those of an optimum of EM, one cluster, many.

    Optima are those of at most 2,000 rows that hold some of the posterior's mass, the most first;
    many clusters are the rows nearest to K random ones. Where the number of components varies
    optima have 2, 4 or 8 of them, and many are 20, or a cluster for every five rows. Of many rows
    every chain then has a sample of its own, on which it settles: clusters of thousands of rows
    seldom merge.
    """
    x = table.values
    with np.errstate(over="ignore", invalid="ignore"):  # of wild values the chains will say so
        if len(x) >= _SETTLED_FROM:
            return [_settled(mixture, x, chain, generator) for chain in range(chains)]
        optima = _optima(mixture, x, generator)
        return [_labels(mixture, x, optima, chain, generator) for chain in range(chains)]


def _settled(
    mixture: Mixture, x: Floats, chain: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Labels of all rows by where a chain on a sample of them went."""
    rows = np.asarray(x[np.sort(generator.permutation(len(x))[:_SEARCH_ROWS])], float)
    labels = _labels(mixture, rows, _optima(mixture, rows, generator), chain, generator)
    kind = VaryingChain if mixture.varying else Chain
    walk = kind.at(mixture, rows, labels, generator.spawn(1)[0])
    while walk.n_sweeps < _SETTLING:
        walk.tune(_SETTLING - walk.n_sweeps)
    walk.sweep()
    structure = structure_of(mixture.covariance_type)
    found = structure.compact(walk.covariances)
    point = PassParameters.from_point(structure, walk.weights, walk.means, found)
    return passes.sampled_labels(x, point, random_words(generator, 2))


def _labels(
    mixture: Mixture, x: Floats, optima: list[Point], chain: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    kind, k = chain % 3, _most(mixture, len(x))
    if k == 1 or kind == 1:
        return np.zeros(len(x), np.int64)
    if kind == 0 and optima:
        point = optima[chain // 3 % len(optima)]
        key = random_words(generator, 2)
        return passes.sampled_labels(x, point.parameters, key)
    return _nearest(x, k, generator)


def _optima(mixture: Mixture, x: Floats, generator: np.random.Generator) -> list[Point]:
    """Distinct optima on some of the rows that are worth a chain, by their mass, if any."""
    wanted = _NUMBERS if mixture.varying else (mixture.n_components,)
    most = min(len(x) - 1, _allowed(mixture))
    numbers = [k for k in wanted if 1 < k <= most]
    if not numbers:
        return []
    rows = np.sort(generator.permutation(len(x))[:_SEARCH_ROWS])
    points, masses = [], []
    for k in numbers:
        problem = _problem(mixture, k, x[rows])
        try:
            found = search(
                problem,
                generator,
                init_params="k-means++",
                n_init=_SEARCH_STARTS,
                max_iter=_SEARCH_ITERATIONS,
                tol=1e-4,
            )
        except ValueError:  # every start is singular
            continue
        own = distinct_points(found.fits, decimals=1)
        points += own
        masses += [log_mass(problem, point) + lgamma(k + 1) for point in own]  # in any order
    return [points[i] for i in by_mass(masses, _NEAR_NATS)] if points else []


def _most(mixture: Mixture, n: int) -> int:
    """Clusters of a start with many."""
    if not mixture.varying:
        return mixture.n_components
    return int(max(1, min(_MANY, n // _ROWS_OF_MANY, _allowed(mixture))))


def _allowed(mixture: Mixture) -> float:
    """Largest number of clusters that the prior allows."""
    weights = mixture.weights
    if isinstance(weights, MixtureOfFiniteMixtures):
        return 1 + int(np.flatnonzero(np.isfinite(weights.n_components.log_pmf(_COUNTS)))[-1])
    return np.inf if mixture.varying else mixture.n_components


def _nearest(x: Floats, k: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Label every row by the nearest of K random ones, features in units of their spread."""
    seeds = np.asarray(x[generator.choice(len(x), size=k, replace=len(x) < k)], float)
    some = x[generator.permutation(len(x))[:_SEARCH_ROWS]]
    spread = np.asarray(some, float).std(axis=0)
    spread[spread == 0] = 1.0
    labels = np.empty(len(x), np.int64)
    for start in range(0, len(x), _CHUNK):
        rows = np.asarray(x[start : start + _CHUNK], float)
        distances = [np.square((rows - seed) / spread).sum(axis=1) for seed in seeds]
        labels[start : start + _CHUNK] = np.argmin(distances, axis=0)
    return labels


def _problem(mixture: Mixture, k: int, x: Floats) -> Problem:
    weights = mixture.weights
    given = weights.concentrations if isinstance(weights, Dirichlet) else np.ones(k)
    structure = structure_of(mixture.covariance_type)
    return Problem(x, structure, k, np.maximum(given, 1), mixture.components)
