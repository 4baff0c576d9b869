r"""Where NUTS moves: parameters as a vector of unconstrained numbers, and back.

The coordinates are those of the PyMC model, in its order: log concentration and logit discount
where they are random; K - 1 numbers for Dirichlet weights (log weights less their mean, the last
left out) or logits of K - 1 sticks; :math:`\log(s - \mathrm{floor})` of a random S; logarithms of
Bartlett's squared diagonals, all components after each other; what is below the diagonals; means
in units of `mean_scale` from the prior's mean. Batch axes come first.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.component_prior import held_scale, typical_deviation
from bayesmix.covariance import structure_of
from bayesmix.priors import Dirichlet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.covariance import Structure
    from bayesmix.mixture import Mixture
    from bayesmix.priors import ComponentPrior, GammaScale

    Floats = NDArray[np.float64]

__all__ = ["Coordinates", "Parameters"]


@dataclass(frozen=True)
class Parameters:
    """One point, or many with batch axes (...) in front."""

    weights: Floats
    """Shape (..., K)."""
    means: Floats
    """Shape (..., K, D)."""
    covariances: Floats
    """Dense, shape (..., K, D, D)."""
    covariance_scale: Floats | None = None
    """Diagonal, shape (..., D, D); where it is random."""
    concentration: Floats | None = None
    """Shape (...); where it is random."""
    discount: Floats | None = None
    """Shape (...); where it is random."""


@dataclass(frozen=True)
class Coordinates:
    """The coordinates of one mixture, which has finitely many components and a prior on them."""

    mixture: Mixture

    @cached_property
    def prior(self) -> ComponentPrior:
        """Prior of the components."""
        assert self.mixture.components is not None
        return self.mixture.components

    @cached_property
    def structure(self) -> Structure:
        """Structure of the covariances."""
        return structure_of(self.mixture.covariance_type)

    @cached_property
    def shape(self) -> tuple[int, int]:
        """K and D."""
        return self.mixture.n_components, self.prior.n_features

    @cached_property
    def scale_hyperprior(self) -> GammaScale | None:
        """Prior of what the structure leaves free of a random S."""
        given = self.prior.scale_hyperprior
        return None if given is None else self.structure.scale_hyperprior(given)

    @cached_property
    def mean_scale(self) -> Floats:
        """Unit of the means, (D,)."""
        return typical_deviation(self.prior, self.structure)

    @cached_property
    def n_groups(self) -> int:
        """Covariances that differ."""
        return 1 if self.structure.name == "tied" else self.shape[0]

    @cached_property
    def width(self) -> int:
        """Squared diagonals of a covariance."""
        return 1 if self.structure.name == "spherical" else self.shape[1]

    @cached_property
    def parts(self) -> dict[str, int]:
        """Coordinates by what they are for, in their order."""
        k, d = self.shape
        weights, hyperprior = self.mixture.weights, self.scale_hyperprior
        return {
            "concentration": int(weights.random_concentration is not None),
            "discount": int(weights.random_discount is not None),
            "weights": k - 1,
            "scale": 0 if hyperprior is None else len(hyperprior.rate),
            "chi": self.n_groups * self.width,
            "normal": self.n_groups * d * (d - 1) // 2 if self.structure.correlated else 0,
            "means": k * d,
        }

    @cached_property
    def n(self) -> int:
        """How many coordinates there are."""
        return sum(self.parts.values())

    def position(self, point: Parameters) -> Floats:
        """Coordinates (..., n) of points with weights above zero; `parameters` goes back."""
        lead = point.weights.shape[:-1]
        with np.errstate(divide="ignore"):
            logs = np.log(point.weights)
        pieces = [] if point.concentration is None else [np.log(point.concentration)]
        if point.discount is not None:
            pieces.append(np.log(point.discount) - np.log1p(-point.discount))
        if isinstance(self.mixture.weights, Dirichlet):
            pieces.append((logs - logs.mean(axis=-1, keepdims=True))[..., :-1])
        else:
            later = np.logaddexp.accumulate(logs[..., ::-1], axis=-1)[..., ::-1]
            pieces.append(logs[..., :-1] - later[..., 1:])
        if self.scale_hyperprior is not None:
            assert point.covariance_scale is not None
            s = np.diagonal(point.covariance_scale, axis1=-2, axis2=-1)
            floor = np.asarray(self.scale_hyperprior.floor)
            pieces.append(np.log(s[..., : len(floor)] - floor))
        pieces += self._bartlett(point)
        pieces.append((point.means - np.asarray(self.prior.mean)) / self.mean_scale)
        return np.concatenate([p.reshape(*lead, -1) for p in pieces], axis=-1)

    def parameters(self, position: Floats) -> Parameters:
        """Points at coordinates (..., n); weights that underflow are the smallest number."""
        bounds = np.cumsum(list(self.parts.values()))[:-1]
        part = dict(zip(self.parts, np.split(position, bounds, axis=-1), strict=True))
        scale = self._scale(part["scale"])
        concentration = discount = None
        if self.parts["concentration"]:
            concentration = np.exp(part["concentration"][..., 0])
        if self.parts["discount"]:
            discount = np.exp(_log_logistic(part["discount"][..., 0]))
        means = part["means"].reshape(*position.shape[:-1], *self.shape)
        return Parameters(
            np.maximum(np.exp(self._log_weights(part["weights"])), np.finfo(float).tiny),
            np.asarray(self.prior.mean) + self.mean_scale * means,
            self._covariances(part["chi"], part["normal"], scale),
            scale if self.scale_hyperprior is not None else None,
            concentration,
            discount,
        )

    def _log_weights(self, given: Floats) -> Floats:
        if isinstance(self.mixture.weights, Dirichlet):
            logs = np.concatenate([given, -given.sum(axis=-1, keepdims=True)], axis=-1)
            logs = logs - logs.max(axis=-1, keepdims=True)
            return logs - np.log(np.exp(logs).sum(axis=-1, keepdims=True))
        nothing = np.zeros((*given.shape[:-1], 1))
        left = np.cumsum(_log_logistic(-given), axis=-1)
        return np.concatenate([nothing, left], axis=-1) + np.concatenate(
            [_log_logistic(given), nothing], axis=-1
        )

    def _scale(self, given: Floats) -> Floats:
        """Scale matrix S, stated or (..., D, D)."""
        if self.scale_hyperprior is None:
            return held_scale(self.prior, self.structure)
        s = np.asarray(self.scale_hyperprior.floor) + np.exp(given)
        return s[..., None] * np.eye(self.shape[1])

    def root(self, scale: Floats) -> Floats:
        """Factor C of S⁻¹, (..., D, D); without correlations, diagonal: one over what σ is to q."""
        if self.structure.correlated:
            return np.linalg.cholesky(np.linalg.inv(scale))
        own = self.structure.prior_scale(scale)
        if self.structure.name == "spherical":
            own = own[..., None]
        return np.eye(self.shape[1]) / np.sqrt(own)[..., None, :]

    def _bartlett(self, point: Parameters) -> list[Floats]:
        """Logarithms of the squared diagonals, and what is below them."""
        scale = point.covariance_scale
        root = self.root(held_scale(self.prior, self.structure) if scale is None else scale)
        factor = self.structure.precision_cholesky(self.structure.compact(point.covariances))
        if not self.structure.correlated:
            diagonal = np.diagonal(root, axis1=-2, axis2=-1)
            if self.structure.name == "spherical":
                return [2 * np.log(factor / diagonal[..., :1])]
            return [2 * np.log(factor / diagonal[..., None, :])]
        if self.structure.name == "full":
            root = root[..., None, :, :]
        bartlett = np.linalg.solve(root, factor)
        below = np.tril_indices(self.shape[1], -1)
        return [
            2 * np.log(np.diagonal(bartlett, axis1=-2, axis2=-1)),
            bartlett[..., below[0], below[1]],
        ]

    def _covariances(self, chi: Floats, normal: Floats, scale: Floats) -> Floats:
        (k, d), lead, root = self.shape, chi.shape[:-1], self.root(scale)
        deviations = np.exp(0.5 * chi).reshape(*lead, self.n_groups, self.width)
        if not self.structure.correlated:
            variances = (np.diagonal(root, axis1=-2, axis2=-1)[..., None, :] * deviations) ** -2
            return variances[..., None] * np.eye(d)
        bartlett = deviations[..., None] * np.eye(d)
        below = np.tril_indices(d, -1)
        bartlett[..., below[0], below[1]] = normal.reshape(*lead, self.n_groups, -1)
        inverse = np.linalg.inv(root[..., None, :, :] @ bartlett)
        covariances = np.swapaxes(inverse, -1, -2) @ inverse
        return np.repeat(covariances, k // self.n_groups, axis=-3)


def _log_logistic(y: Floats) -> Floats:
    return -np.logaddexp(0.0, -y)
