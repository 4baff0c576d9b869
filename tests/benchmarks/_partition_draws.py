"""Labels as a sampler with an unknown number of components leaves them.

Rows are of a planted mixture whose components overlap. In every draw the parameters are a little
off, labels are drawn from their responsibilities, and then components are merged with their
nearest or cut in two, to a number of clusters that differs from draw to draw.
"""

from __future__ import annotations

import numpy as np

from bayesmix import passes
from bayesmix.covariance import structure_of
from bayesmix.pass_parameters import PassParameters
from tests.benchmarks._populations import Population, population

COMPONENTS, FEATURES = 15, 5
FEWEST, MOST = 10, 20
APART = 6.0
"""Typical distance between two means, in standard deviations: of fifteen some always overlap."""
SPREAD = 0.05
"""Of the parameters about the population, in standard deviations."""
BLUR = 0.3
"""Of the plane that cuts a component, in standard deviations of its rows."""


def label_draws(n: int, draws: int) -> np.ndarray:
    """Labels (draws, n), uint8, of 10 to 20 clusters."""
    rng = np.random.default_rng(20240229)
    drawn = population(COMPONENTS, FEATURES, APART, rng)
    x = drawn.rows(n, rng)
    label = np.empty((draws, n), np.uint8)
    for s in range(draws):
        own, means = _sampled(drawn, x, rng)
        wanted = int(rng.integers(FEWEST, MOST, endpoint=True))
        label[s] = _merged(own, means, COMPONENTS - wanted, rng)
        _cut(label[s], x, wanted - COMPONENTS, rng)
    return label


def _sampled(
    drawn: Population, x: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,) at parameters near the population's, and their means."""
    k, d = drawn.means.shape
    weights = drawn.weights * np.exp(SPREAD * rng.normal(size=k))
    means = drawn.means + SPREAD * (drawn.factors @ rng.normal(size=(k, d, 1)))[..., 0]
    factors = drawn.factors @ (np.eye(d) + SPREAD * rng.normal(size=(k, d, d)))
    covariances = factors @ np.swapaxes(factors, -1, -2)
    point = PassParameters.from_point(
        structure_of("full"), weights / weights.sum(), means, covariances
    )
    return passes.sampled_labels(x, point, rng.integers(2**63, size=2, dtype=np.uint64)), means


def _merged(
    label: np.ndarray, means: np.ndarray, times: int, rng: np.random.Generator
) -> np.ndarray:
    """Labels (n,) after so many components, drawn at random, have joined their nearest."""
    name = np.arange(len(means))
    for k in rng.permutation(len(means))[: max(times, 0)]:
        distance = np.linalg.norm(means - means[k], axis=1)
        distance[name == name[k]] = np.inf
        name[name == name[k]] = name[np.argmin(distance)]
    return name[label]


def _cut(label: np.ndarray, x: np.ndarray, times: int, rng: np.random.Generator) -> None:
    """Cut so many of the components, drawn at random, by a blurred plane; changes the labels."""
    for i, k in enumerate(rng.permutation(COMPONENTS)[: max(times, 0)]):
        own = np.flatnonzero(label == k)
        along = x[own] @ rng.normal(size=x.shape[1])
        along = (along - along.mean()) / along.std() + BLUR * rng.normal(size=len(own))
        label[own[along > 0]] = COMPONENTS + i
