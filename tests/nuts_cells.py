"""Mixtures, rows and positions that the tests of NUTS share."""

from __future__ import annotations

from functools import cache

import numpy as np

import bayesmix as bm
from bayesmix.nuts_coordinates import Coordinates, Parameters
from bayesmix.nuts_target import Target
from tests.support import (
    CONCENTRATIONS,
    STICKS,
    STRUCTURES,
    blobs,
    random_independent_prior,
    random_prior,
)

K = 3
WEIGHTS = {name: bm.Dirichlet(K, given) for name, given in CONCENTRATIONS.items()} | STICKS
COMPONENTS = {
    "conjugate": random_prior,
    "independent": random_independent_prior,
    "random scale": lambda d: random_independent_prior(d, random_scale=True),
}
CELLS = [
    (weights, components, structure, d)
    for weights in WEIGHTS
    for components in COMPONENTS
    for structure in STRUCTURES
    for d in ((1, 2) if weights in ("Dirichlet(K)", "PY Gamma Beta") else (2,))
]
"""Every prior of weights and of components, stated or random, in every structure."""

STENCIL = ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60))
"""Central differences of sixth order."""


@cache
def target_of(weights: str, components: str, structure: str, d: int) -> Target:
    mixture = bm.Mixture(WEIGHTS[weights], COMPONENTS[components](d), structure)
    return Target.of(mixture, blobs(30, d, K))


def positions(target: Target, count: int = 1) -> np.ndarray:
    n = target.coordinates.n
    return np.random.default_rng([count, n]).normal(size=(count, n))


def differences(function, position: np.ndarray, step: float = 1e-3) -> np.ndarray:
    """Derivatives of a function of a position, last axis."""
    columns = [
        sum(
            weight * (function(position + i * h) - function(position - i * h))
            for i, weight in STENCIL
        )
        / step
        for h in step * np.eye(len(position))
    ]
    return np.stack(columns, axis=-1)


def free(coordinates: Coordinates, point: Parameters) -> np.ndarray:
    """Parameters as the measure counts them: what `gaussian.log_posterior` is a density in."""
    structure, (_, d) = coordinates.structure.name, coordinates.shape
    covariances = point.covariances[:1] if structure == "tied" else point.covariances
    match structure:
        case "full" | "tied":
            lower = np.tril_indices(d)
            variances = covariances[:, lower[0], lower[1]]
        case "diag":
            variances = np.diagonal(covariances, axis1=-2, axis2=-1)
        case "spherical":
            variances = covariances[:, 0, 0]
    values = [point.weights[:-1], point.means, variances]
    if point.covariance_scale is not None:
        diagonal = np.diag(point.covariance_scale)
        values.append(diagonal[:1] if structure == "spherical" else diagonal)
    values += [v for v in (point.concentration, point.discount) if v is not None]
    return np.concatenate([np.ravel(v) for v in values])


def log_volume(coordinates: Coordinates, position: np.ndarray) -> float:
    """Log determinant of the parameters' derivatives in the coordinates, by differences."""

    def parameters(z: np.ndarray) -> np.ndarray:
        return free(coordinates, coordinates.parameters(z))

    return float(np.linalg.slogdet(differences(parameters, position))[1])
