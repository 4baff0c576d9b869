"""Where chains of Gibbs sampling start: at optima of EM, and far from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmix import passes
from bayesmix.covariance import structure_of
from bayesmix.inputs import random_words
from bayesmix.optima import by_mass, distinct_points, log_mass
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

_SEARCH_ROWS = 2_000  # enough to find where labels may start
_SEARCH_STARTS = 4
_CHUNK = 100_000
_SEARCH_ITERATIONS = 30
_NEAR_NATS = 20.0  # an optimum with less of the mass than this is not worth a chain


def dispersed_labels(
    mixture: Mixture, table: Table, chains: int, generator: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Labels (n,) for every chain: in turn those of an optimum of EM, one cluster, many.

    Optima are those of at most 2,000 rows that hold some of the posterior's mass, the most first;
    many clusters are the rows nearest to K random ones.
    """
    x = table.values
    with np.errstate(over="ignore", invalid="ignore"):  # of wild values the chains will say so
        optima = _optima(mixture, x, generator)
        return [_labels(mixture, x, optima, chain, generator) for chain in range(chains)]


def _labels(
    mixture: Mixture, x: Floats, optima: list[Point], chain: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    kind, k = chain % 3, mixture.n_components
    if k == 1 or kind == 1:
        return np.zeros(len(x), np.int64)
    if kind == 0 and optima:
        point = optima[chain // 3 % len(optima)]
        key = random_words(generator, 2)
        return passes.sampled_labels(x, point.parameters, key)
    return _nearest(x, k, generator)


def _optima(mixture: Mixture, x: Floats, generator: np.random.Generator) -> list[Point]:
    """Distinct optima on some of the rows that are worth a chain, by their mass, if any."""
    if mixture.n_components == 1 or len(x) <= mixture.n_components:
        return []
    rows = np.sort(generator.permutation(len(x))[:_SEARCH_ROWS])
    problem = _problem(mixture, x[rows])
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
        return []
    points = distinct_points(found.fits, decimals=1)
    masses = [log_mass(problem, point) for point in points]
    return [points[i] for i in by_mass(masses, _NEAR_NATS)]


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


def _problem(mixture: Mixture, x: Floats) -> Problem:
    weights, k = mixture.weights, mixture.n_components
    concentrations = weights.concentrations if isinstance(weights, Dirichlet) else np.ones(k)
    return Problem(
        x,
        structure_of(mixture.covariance_type),
        k,
        np.maximum(concentrations, 1),
        mixture.components,
    )
