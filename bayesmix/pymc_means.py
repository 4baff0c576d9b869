r"""The means of a PyMC model: their density under each component prior, units and order.

A chain moves in units of the prior's typical standard deviation of a component. Where means are
ordered (one feature), the coordinates are the first mean and the logarithms of the gaps, and the
density is K! times that of means in any order: that of the smallest, the second smallest, ....
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import lgamma
from typing import Any, ClassVar, final

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.logprob.transforms import Transform

from bayesmix.component_prior import typical_deviation
from bayesmix.covariance import LOG_2PI, STRUCTURES, structure_of
from bayesmix.priors import (
    ComponentPrior,
    IndependentNormalInverseWishart,
    NormalInverseWishart,
)
from bayesmix.pymc_structures import Arithmetic

__all__ = ["add_means"]

Floats = NDArray[np.float64]


def add_means(prior: ComponentPrior, arithmetic: Arithmetic, factor: Any, *, ordered: bool) -> Any:
    """Add means (K, D) given the precisions' factor to the model in whose context we are."""
    density: _Means
    match prior:
        case NormalInverseWishart():
            density = _WithCovariance(prior, arithmetic, ordered=ordered)
        case IndependentNormalInverseWishart():
            density = _Independent(prior, arithmetic, ordered=ordered)
    unit = typical_deviation(prior, structure_of(arithmetic.covariance_type))
    return pm.CustomDist(
        "means",
        *density.parameters(factor),
        logp=density.logp,
        random=density.random,
        support_point=density.support_point,
        signature=density.signature,
        transform=(_Ordered if ordered else _Standardized)(np.asarray(prior.mean), unit),
        dims=("component", "feature"),
        class_name=type(density).class_name,
    )


class _Means(ABC):
    """Distribution of all means."""

    class_name: ClassVar[str]

    def __init__(self, prior: Any, arithmetic: Arithmetic, *, ordered: bool) -> None:
        self.prior, self.arithmetic, self.ordered = prior, arithmetic, ordered
        self.shape = arithmetic.k, arithmetic.d

    @property
    def signature(self) -> str:
        """Axes of the parameters and of a draw."""
        return "(k,d)->(k,d)"

    def parameters(self, factor: Any) -> tuple[Any, ...]:
        """What the means depend on."""
        return (np.tile(self.prior.mean, (self.arithmetic.k, 1)),)

    @abstractmethod
    def logp(self, value: Any, *parameters: Any) -> Any:
        """Log density of all means together."""

    @abstractmethod
    def random(self, *parameters: Any, rng: np.random.Generator, size: Any = None) -> Floats:
        """Draw means (..., K, D)."""

    @abstractmethod
    def spread(self) -> Floats:
        """Typical standard deviations of a mean, (D,)."""

    def support_point(self, rv: Any, size: Any, center: Any, *factor: Any) -> Any:
        """Means apart, in increasing order: where all are equal no gradient tells them apart."""
        from scipy.special import ndtri

        k, d = self.shape
        apart = ndtri((np.arange(k) + 0.5) / k)
        return center.reshape((k, d)) + apart[:, None] * self.spread()

    def permutations(self) -> float:
        """Logarithm of the number of orders that an ordered point stands for."""
        return lgamma(self.arithmetic.k + 1) if self.ordered else 0.0

    def in_order(self, means: Floats) -> Floats:
        """Put draws in order if asked to."""
        return np.sort(means, axis=-2) if self.ordered else means


@final
class _WithCovariance(_Means):
    """Each mean with its component's covariance over the prior's mean precision."""

    class_name = "NormalGivenCovariance"

    @property
    def signature(self) -> str:
        return f"(k,d),{self.arithmetic.signature}->(k,d)"

    def parameters(self, factor: Any) -> tuple[Any, ...]:
        return (*super().parameters(factor), factor)

    def logp(self, value: Any, *parameters: Any) -> Any:
        center, factor = parameters
        k, d = self.shape
        kappa = self.prior.mean_precision
        factor = factor.reshape(self.arithmetic.factor_shape)
        z = self.arithmetic.whiten(value - center, factor)
        constant = 0.5 * k * d * (np.log(kappa) - LOG_2PI) + self.permutations()
        return constant + self.arithmetic.log_determinants(factor) - 0.5 * kappa * (z * z).sum()

    def random(self, *parameters: Any, rng: np.random.Generator, size: Any = None) -> Floats:
        center, factor = parameters
        k, d = self.shape
        if self.ordered and k > 1 and self.arithmetic.covariance_type != "tied":
            raise NotImplementedError(
                "means: expected means that are alike given the covariances, to draw them in "
                "order, got a NormalInverseWishart; build the model with ordered=False (the same "
                "up to the names of the components), or give an IndependentNormalInverseWishart, "
                "for example weakly_informative(x)"
            )
        lower = structure_of(self.arithmetic.covariance_type).dense(
            factor.reshape(self.arithmetic.factor_shape), k, d
        )
        noise = rng.standard_normal((*tuple(size or ()), k, d))
        noise = np.linalg.solve(np.swapaxes(lower, -1, -2), noise[..., None])[..., 0]
        return self.in_order(center + noise / np.sqrt(self.prior.mean_precision))

    def spread(self) -> Floats:
        prior = self.prior
        typical = np.diag(np.asarray(prior.covariance_scale)) / (prior.dof + prior.n_features + 1)
        return np.sqrt(typical / prior.mean_precision)


@final
class _Independent(_Means):
    """Means without regard to the covariances."""

    class_name = "IndependentNormal"

    def __init__(
        self,
        prior: IndependentNormalInverseWishart,
        arithmetic: Arithmetic,
        *,
        ordered: bool,
    ) -> None:
        super().__init__(prior, arithmetic, ordered=ordered)
        self.covariance = np.asarray(prior.mean_covariance)
        self.factor = STRUCTURES["tied"].precision_cholesky(self.covariance)

    def logp(self, value: Any, *parameters: Any) -> Any:
        (center,) = parameters
        k, d = self.shape
        z = ((value - center)[..., None] * self.factor).sum(axis=-2)
        constant = k * (np.log(np.diag(self.factor)).sum() - 0.5 * d * LOG_2PI)
        return constant + self.permutations() - 0.5 * (z * z).sum()

    def random(self, *parameters: Any, rng: np.random.Generator, size: Any = None) -> Floats:
        (center,) = parameters
        noise = rng.standard_normal((*tuple(size or ()), *self.shape))
        return self.in_order(center + noise @ np.linalg.cholesky(self.covariance).T)

    def spread(self) -> Floats:
        return np.sqrt(np.diag(self.covariance))


class _Standardized(Transform):
    """Means about the prior's, in units of their own."""

    name = "standardized"

    def __init__(self, center: Floats, unit: Floats) -> None:
        self.center, self.unit = center, unit

    def forward(self, value: Any, *inputs: Any) -> Any:
        return (value - self.center) / self.unit

    def backward(self, value: Any, *inputs: Any) -> Any:
        return self.center + self.unit * value

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        return value.shape[-2] * np.log(self.unit).sum()


class _Ordered(_Standardized):
    """The smallest mean, then the logarithms of the gaps."""

    name = "ordered"

    def forward(self, value: Any, *inputs: Any) -> Any:
        y = super().forward(value)
        gaps = pt.log(y[..., 1:, :] - y[..., :-1, :])
        return pt.concatenate([y[..., :1, :], gaps], axis=-2)

    def backward(self, value: Any, *inputs: Any) -> Any:
        steps = pt.concatenate([value[..., :1, :], pt.exp(value[..., 1:, :])], axis=-2)
        return super().backward(pt.cumsum(steps, axis=-2))

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        return super().log_jac_det(value) + value[..., 1:, :].sum(axis=(-2, -1))
