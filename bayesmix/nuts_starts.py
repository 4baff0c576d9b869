"""Where chains of NUTS start: near the optima of EM that hold the posterior's mass."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.ascent import run
from bayesmix.nuts_coordinates import Parameters
from bayesmix.optima import Status, by_mass, distinct_points, log_mass
from bayesmix.priors import Dirichlet
from bayesmix.problem import Problem
from bayesmix.search import search

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.mixture import Mixture
    from bayesmix.nuts_coordinates import Coordinates
    from bayesmix.problem import Point

    Floats = NDArray[np.float64]

__all__ = ["positions_near_optima", "wants_empty"]

_N_INIT = 20
_N_INIT_EACH = 4  # of 1, 2, ... components
_NEAR_NATS = 5.0  # optima with less of the posterior's mass than this are not worth a chain
_START_ITERATIONS = 20
_JITTER = 1e-3  # no slope is exactly 0, as at a point of symmetry: the sampler refuses that
_MOST_CLUSTERS = 8  # that chains start from where most components are to be empty


@dataclass(frozen=True, eq=False)
class _Optimum:
    problem: Problem
    point: Point
    log_mass: float


def positions_near_optima(
    coordinates: Coordinates, x: Floats, chains: int, generator: np.random.Generator
) -> Floats:
    """One position per chain, (chains, n): the optima worth a chain in turn, each refitted.

    Refits give every row a random weight (Newton and Raftery 1994). EM has no mode where the prior
    wants most components empty; there the optima are those of 1, 2, ... components, and the other
    components start as the prior draws them, with half a row each.
    """
    optima = _worth_a_chain(_optima(coordinates, x, generator))
    starts = []
    for chain in range(chains):
        point = None
        if optima:
            optimum = optima[chain % len(optima)]
            weight = generator.exponential(size=len(x))
            weighted = replace(optimum.problem, sample_weight=weight)
            fit = run(weighted, optimum.point, max_iter=_START_ITERATIONS, tol=0)
            point = optimum.point if fit.status is Status.NON_FINITE else fit.point
        starts.append(coordinates.position(_completed(coordinates, point, len(x), generator)))
    jitter = _JITTER * generator.standard_normal((chains, coordinates.n))
    return np.stack(starts) + jitter


def _optima(coordinates: Coordinates, x: Floats, generator: np.random.Generator) -> list[_Optimum]:
    """Distinct optima that EM finds; none where it fails."""
    prior, k = coordinates.mixture.weights, coordinates.shape[0]
    if not wants_empty(coordinates.mixture) and k <= len(x):
        assert isinstance(prior, Dirichlet)
        concentrations = np.maximum(prior.concentrations, 1)
        return _searched(coordinates, x, concentrations, _N_INIT, generator)
    found: list[_Optimum] = []
    for size in range(1, min(k, len(x), _MOST_CLUSTERS) + 1):
        more = _searched(coordinates, x, np.ones(size), _N_INIT_EACH, generator)
        found += more
        if not any(optimum in more for optimum in _worth_a_chain(found)):
            break  # the last component was one too many
    return found


def _searched(
    coordinates: Coordinates,
    x: Floats,
    concentrations: Floats,
    n_init: int,
    generator: np.random.Generator,
) -> list[_Optimum]:
    """Distinct optima of so many components; exchangeable ones are ordered by their means."""
    k = len(concentrations)
    problem = Problem(x, coordinates.structure, k, concentrations, coordinates.prior)
    try:
        found = search(
            problem, generator, init_params="k-means++", n_init=n_init, max_iter=500, tol=1e-6
        )
    except ValueError:  # every start is singular
        return []
    points = distinct_points(found.fits, decimals=2)
    if coordinates.mixture.capability("nuts").exchangeable:
        points = [point.ordered() for point in points]
    labelings = math.lgamma(k + 1)
    return [_Optimum(problem, p, log_mass(problem, p) + labelings) for p in points]


def wants_empty(mixture: Mixture) -> bool:
    """Whether the prior of the weights favors empty components, whichever they are."""
    prior = mixture.weights
    if not isinstance(prior, Dirichlet) or prior.random_concentration is not None:
        return True
    return prior.exchangeable and bool(np.all(prior.concentrations < 1))


def _worth_a_chain(optima: list[_Optimum]) -> list[_Optimum]:
    return [optima[i] for i in by_mass([o.log_mass for o in optima], _NEAR_NATS)]


def _completed(
    coordinates: Coordinates, point: Point | None, n: int, generator: np.random.Generator
) -> Parameters:
    """A point of all components and hyperparameters; those of the latter at their prior means."""
    k, prior = coordinates.shape[0], coordinates.mixture.weights
    scale = _scale(coordinates)
    drawn = coordinates.parameters(_drawn(coordinates, scale, generator))
    weights, means, covariances = np.full(k, 0.5 / n), drawn.means, drawn.covariances
    if point is not None:
        size = len(point.weights)
        order = np.arange(size)
        if not isinstance(prior, Dirichlet):
            order = np.argsort(-point.weights)  # as sticks tend to be
        weights[:size] += point.weights[order]
        means[:size], covariances[:size] = point.means[order], point.dense_covariances[order]
        if coordinates.n_groups == 1:
            covariances[:] = covariances[0]
    gamma, beta = prior.random_concentration, prior.random_discount
    return Parameters(
        weights / weights.sum(),
        means,
        covariances,
        scale,
        None if gamma is None else np.array(gamma.mean),
        None if beta is None else np.array(beta.mean),
    )


def _scale(coordinates: Coordinates) -> Floats | None:
    """A random S where EM holds it, but above its floor."""
    hyperprior = coordinates.scale_hyperprior
    if hyperprior is None:
        return None
    s = np.maximum(hyperprior.held, 1.1 * np.asarray(hyperprior.floor))
    return s * np.eye(coordinates.shape[1])


def _drawn(
    coordinates: Coordinates, scale: Floats | None, generator: np.random.Generator
) -> Floats:
    """A position whose components are as the prior has them, but for the spread of their means."""
    dof, d = coordinates.prior.dof, coordinates.shape[1]
    position = generator.standard_normal(coordinates.n)
    bounds = np.cumsum([0, *coordinates.parts.values()])
    part = dict(zip(coordinates.parts, bounds, strict=False))
    if coordinates.structure.correlated:
        dofs = np.tile(dof - np.arange(d), coordinates.n_groups)
    else:
        dofs = np.full(coordinates.parts["chi"], dof - d + 1)
    position[part["chi"] : part["normal"]] = np.log(generator.chisquare(dofs))
    if scale is not None:
        assert coordinates.scale_hyperprior is not None
        floor = np.asarray(coordinates.scale_hyperprior.floor)
        position[part["scale"] : part["chi"]] = np.log(np.diag(scale)[: len(floor)] - floor)
    return position
