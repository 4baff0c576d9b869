"""A posterior as NUTS sees it: a compiled log density with its gradient, and its coordinates."""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.compiling import compile_once
from bayesmix.component_prior import log_norm_of_scale
from bayesmix.covariance import LOG_2PI
from bayesmix.finite_mixtures import MixtureOfFiniteMixtures
from bayesmix.kernels import nuts
from bayesmix.nuts_coordinates import Coordinates
from bayesmix.passes import source_of
from bayesmix.priors import Dirichlet, NormalInverseWishart
from bayesmix.scalar_priors import Beta

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.mixture import Mixture

    Floats = NDArray[np.float64]

__all__ = ["Target"]


@dataclass(frozen=True)
class Target:
    """Log posterior density in unconstrained coordinates, their Jacobian included."""

    coordinates: Coordinates
    density: Any
    """The compiled callback."""
    header: NDArray[Any]
    """What the callback is given."""
    held: tuple[NDArray[Any], ...]
    """What the header points to."""

    @classmethod
    def of(cls, mixture: Mixture, x: NDArray[np.floating]) -> Target:
        """Compile, or load, what belongs to the structure; rows (n, D) are not copied."""
        coordinates = Coordinates(mixture)
        structure = coordinates.structure.name
        compile_once(
            ("nuts", structure),
            f"the density for {structure} covariances",
            lambda: nuts.density_callback(structure),
        )
        weights, components = _weights(mixture), _components(coordinates)
        constant = _constant(coordinates)
        header, numbers = nuts.memory_of(weights, components, source_of(x), len(x), constant)
        return cls(coordinates, nuts.density_callback(structure), header, (numbers, x))

    def __call__(self, position: Floats) -> tuple[float, Floats]:
        """Log density and gradient; minus infinity and zeros where either is not finite."""
        position = np.ascontiguousarray(position, float)
        gradient, value = np.empty_like(position), np.empty(1)
        pointers = (_pointer(a) for a in (position, gradient, value))
        self.density.ctypes(len(position), *pointers, self.header.ctypes.data)
        return float(value[0]), gradient


def _pointer(array: Floats) -> Any:
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_double))


def _weights(mixture: Mixture) -> nuts.WeightsTarget:
    prior, k = mixture.weights, mixture.n_components
    assert not isinstance(prior, MixtureOfFiniteMixtures)  # NUTS takes none
    sticks = not isinstance(prior, Dirichlet)
    gamma, beta = prior.random_concentration, prior.random_discount
    if isinstance(prior, Dirichlet):
        concentrations, discount = prior.concentrations, 0.0
    else:
        concentrations = np.full(k, 1.0 if gamma else prior.concentration)
        discount = 0.0 if isinstance(prior.discount, Beta) else prior.discount
    return nuts.WeightsTarget(
        sticks,
        concentrations,
        gamma.shape if gamma else 0.0,
        gamma.rate if gamma else 0.0,
        discount,
        beta.a if beta else 0.0,
        beta.b if beta else 0.0,
    )


def _components(coordinates: Coordinates) -> Any:
    prior, structure, (_, d) = coordinates.prior, coordinates.structure, coordinates.shape
    mean_precision, spread_precision, root = 0.0, np.zeros((d, d)), np.eye(d)
    if isinstance(prior, NormalInverseWishart):
        mean_precision = prior.mean_precision
    else:
        spread_precision = np.linalg.inv(prior.mean_covariance)
    hyperprior = coordinates.scale_hyperprior
    if hyperprior is None:
        root = coordinates.root(np.asarray(prior.covariance_scale))
    return nuts.TARGETS[structure.name](
        np.asarray(prior.mean),
        coordinates.mean_scale,
        mean_precision,
        spread_precision,
        prior.dof,
        root,
        coordinates.width,
        0.0 if hyperprior is None else hyperprior.shape,
        np.zeros(0) if hyperprior is None else np.asarray(hyperprior.rate),
        np.zeros(0) if hyperprior is None else np.asarray(hyperprior.floor),
    )


def _constant(coordinates: Coordinates) -> float:
    """What no parameter enters: norms of the priors, and of the Jacobians."""
    prior, weights, (k, d) = coordinates.prior, coordinates.mixture.weights, coordinates.shape
    found = k * float(np.log(coordinates.mean_scale).sum())
    if isinstance(prior, NormalInverseWishart):
        found += 0.5 * k * d * (math.log(prior.mean_precision) - LOG_2PI)
    else:
        found -= 0.5 * k * (d * LOG_2PI + float(np.linalg.slogdet(prior.mean_covariance)[1]))
    gamma, beta = weights.random_concentration, weights.random_discount
    if gamma:
        found += gamma.shape * math.log(gamma.rate) - math.lgamma(gamma.shape)
    if beta:
        found += math.lgamma(beta.a + beta.b) - math.lgamma(beta.a) - math.lgamma(beta.b)
    if isinstance(weights, Dirichlet):
        found += math.log(k)
        if not gamma:
            concentrations = weights.concentrations
            found += math.lgamma(concentrations.sum()) - sum(map(math.lgamma, concentrations))
    return found + _covariances_constant(coordinates)


def _covariances_constant(coordinates: Coordinates) -> float:
    prior, parts, (_, d) = coordinates.prior, coordinates.parts, coordinates.shape
    found, hyperprior = -0.5 * parts["normal"] * LOG_2PI, coordinates.scale_hyperprior
    if coordinates.structure.correlated:
        halves = 0.5 * (prior.dof - np.arange(d))
    else:
        halves = np.full(coordinates.width, 0.5 * (prior.dof - d + 1))
    norms = sum(half * math.log(2) + math.lgamma(half) for half in halves)
    found -= coordinates.n_groups * norms
    if hyperprior is not None:
        found += float(log_norm_of_scale(hyperprior).sum())
    return found
