r"""The covariances of a PyMC model, in Bartlett's coordinates.

The precision of a component is a Wishart variable in Bartlett's coordinates: with
:math:`C = \mathrm{chol}(S^{-1})` its Cholesky factor is :math:`l = C A`, A lower triangular with
squared diagonal :math:`A_{ii}^2 \sim \chi^2_{\nu - i + 1}` (i = 1, …, D) and standard normal
entries below. Diagonal and spherical structures have :math:`l = \sqrt{q / S}` with
:math:`q \sim \chi^2_{\nu - D + 1}`. No matrix is inverted or solved in the density. A random S is
diagonal, S = diag(s); its s is a free variable, and :math:`C = \mathrm{diag}(s)^{-1/2}`.

What turns coordinates into factors works on tensors and on arrays alike.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.logprob.transforms import Transform

from bayesmix.component_prior import held_scale, log_norm_of_scale
from bayesmix.covariance import structure_of
from bayesmix.priors import ComponentPrior, GammaScale

__all__ = ["CHI_SQUARED", "NORMAL", "SCALE", "Bartlett", "bartlett_of"]

Floats = NDArray[np.float64]
CHI_SQUARED, NORMAL = "bartlett_chi_squared", "bartlett_normal"
SCALE = "scale_diagonal"


class Bartlett(ABC):
    """Coordinates of the precisions under one covariance structure."""

    covariance_type: ClassVar[str]

    def __init__(self, prior: ComponentPrior, n_components: int) -> None:
        self.prior, self.k, self.d = prior, n_components, prior.n_features
        self.structure = structure_of(self.covariance_type)
        self.random = prior.scale_hyperprior is not None
        self.scale = self.structure.prior_scale(held_scale(prior, self.structure))

    def add(self) -> Any:
        """Add the free variables to the model in whose context we are; return the factor."""
        values = {}
        if prior_of_scale := self.prior.scale_hyperprior:
            s = self._add_scale(self.structure.scale_hyperprior(prior_of_scale))
            values[SCALE] = s
            dense = pt.broadcast_to(s, (self.d,))[:, None] * np.eye(self.d)
            pm.Deterministic("covariance_scale", dense, dims=("feature", "feature_bis"))
        return self.factor(values | self.coordinates())

    def start_scale(self) -> Floats:
        """The scale matrix (D, D): as stated, or inside a random one's support."""
        if self.prior.scale_hyperprior is None:
            return np.asarray(self.prior.covariance_scale)
        shape, *others = self.structure.scale_hyperprior(self.prior.scale_hyperprior)
        rate, floor = np.asarray(others)
        return (floor + shape / rate) * np.eye(self.d)

    def _add_scale(self, prior: GammaScale) -> Any:
        """Gamma variables above their floors: one per feature; spherical, one for all of them."""
        one = self.covariance_type == "spherical"
        rate, floor = (np.asarray(a[0] if one else a) for a in (prior.rate, prior.floor))
        density = _GammaAbove(prior, rate, floor)
        return pm.CustomDist(
            SCALE,
            rate,
            logp=density.logp,
            random=density.random,
            support_point=density.support_point,
            signature="()->()",
            transform=_Above(floor),
            dims=() if one else ("feature",),
            class_name="GammaAboveFloor",
        )

    @abstractmethod
    def coordinates(self) -> dict[str, Any]:
        """Add Bartlett's coordinates to the model in whose context we are."""

    @abstractmethod
    def factor(self, values: Mapping[str, Any]) -> Any:
        """Precision Cholesky factor in the structure's shape from tensors or arrays."""

    @abstractmethod
    def values(self, factor: Floats, scale: Floats) -> dict[str, Floats]:
        """Coordinates of a factor given the scale matrix (D, D); inverse of `factor`."""


class _Wishart(Bartlett):
    """What full and tied share: factor C A."""

    def __init__(self, prior: ComponentPrior, n_components: int) -> None:
        super().__init__(prior, n_components)
        self.scale_factor = np.linalg.cholesky(np.linalg.inv(self.scale))
        self.below = np.tril_indices(self.d, -1)
        self.place = np.zeros((len(self.below[0]), self.d, self.d))
        self.place[np.arange(len(self.below[0])), *self.below] = 1
        self.dof: Floats = prior.dof - np.arange(self.d, dtype=np.float64)

    def factor(self, values: Mapping[str, Any]) -> Any:
        bartlett = values[CHI_SQUARED][..., None] ** 0.5 * np.eye(self.d)
        if self.d > 1:
            bartlett = bartlett + (values[NORMAL][..., None, None] * self.place).sum(axis=-3)
        if self.random:
            return self._by_row(values[SCALE] ** -0.5) * bartlett
        return (self.scale_factor[:, :, None] * bartlett[..., None, :, :]).sum(axis=-2)

    def values(self, factor: Floats, scale: Floats) -> dict[str, Floats]:
        bartlett = np.linalg.solve(np.linalg.cholesky(np.linalg.inv(scale)), factor)
        values = {CHI_SQUARED: np.square(np.diagonal(bartlett, axis1=-2, axis2=-1))}
        if self.random:
            values[SCALE] = np.diag(scale)
        if self.d > 1:
            values[NORMAL] = bartlett[..., self.below[0], self.below[1]]
        return values

    @abstractmethod
    def _by_row(self, values: Any) -> Any:
        """Axes of one number per feature, (..., D), that multiplies the rows of factors."""

    def _register(self, dof: Floats, lead: tuple[str, ...]) -> dict[str, Any]:
        values = {CHI_SQUARED: pm.ChiSquared(CHI_SQUARED, dof, dims=(*lead, "feature"))}
        if self.d > 1:
            values[NORMAL] = pm.Normal(NORMAL, 0, 1, dims=(*lead, "feature_pair"))
        return values


@final
class _Full(_Wishart):
    covariance_type = "full"

    def coordinates(self) -> dict[str, Any]:
        return self._register(np.tile(self.dof, (self.k, 1)), ("component",))

    def _by_row(self, values: Any) -> Any:
        return values[..., None, :, None]


@final
class _Tied(_Wishart):
    covariance_type = "tied"

    def coordinates(self) -> dict[str, Any]:
        return self._register(self.dof, ())

    def _by_row(self, values: Any) -> Any:
        return values[..., :, None]


class _Variances(Bartlett):
    """What diag and spherical share: factor sqrt(q / S)."""

    def factor(self, values: Mapping[str, Any]) -> Any:
        scale = self._by_component(values[SCALE]) if self.random else self.scale
        return (values[CHI_SQUARED] / scale) ** 0.5

    def values(self, factor: Floats, scale: Floats) -> dict[str, Floats]:
        s = self.structure.prior_scale(scale)
        return {CHI_SQUARED: np.square(factor) * s, **({SCALE: s} if self.random else {})}

    @abstractmethod
    def _by_component(self, values: Any) -> Any:
        """Give S an axis for the components."""

    def _register(self, shape: tuple[int, ...], dims: tuple[str, ...]) -> dict[str, Any]:
        dof = np.full(shape, self.prior.dof - self.d + 1)
        return {CHI_SQUARED: pm.ChiSquared(CHI_SQUARED, dof, dims=dims)}


@final
class _Diag(_Variances):
    covariance_type = "diag"

    def coordinates(self) -> dict[str, Any]:
        return self._register((self.k, self.d), ("component", "feature"))

    def _by_component(self, values: Any) -> Any:
        return values[..., None, :]


@final
class _Spherical(_Variances):
    covariance_type = "spherical"

    def coordinates(self) -> dict[str, Any]:
        return self._register((self.k,), ("component",))

    def _by_component(self, values: Any) -> Any:
        return values[..., None]


_STRUCTURES = {b.covariance_type: b for b in (_Full, _Tied, _Diag, _Spherical)}


def bartlett_of(prior: ComponentPrior, covariance_type: str, n_components: int) -> Bartlett:
    """Look a structure up by its name."""
    return _STRUCTURES[covariance_type](prior, n_components)


class _GammaAbove:
    """Gamma distribution of a shape and rates, on what is above the floors."""

    def __init__(self, prior: GammaScale, rate: Floats, floor: Floats) -> None:
        from scipy.special import gammaincc

        self.shape, self.floor = prior.shape, floor
        self.above = gammaincc(self.shape, rate * floor)
        self.constant = log_norm_of_scale(prior).reshape(rate.shape)

    def logp(self, value: Any, rate: Any) -> Any:
        logs = self.constant + (self.shape - 1) * pt.log(value) - rate * value
        return pt.switch(value >= self.floor, logs, -np.inf)

    def random(self, rate: Any, rng: np.random.Generator, size: Any = None) -> Any:
        from scipy.special import gammainccinv

        if not np.any(self.floor):
            return rng.gamma(self.shape, 1 / rate, size)
        return gammainccinv(self.shape, self.above * (1 - rng.random(size))) / rate

    def support_point(self, rv: Any, size: Any, rate: Any) -> Any:
        return pt.as_tensor(self.floor) + self.shape / rate


class _Above(Transform):
    """Logarithm of what is above the floor."""

    name = "above"
    ndim_supp = 0

    def __init__(self, floor: Floats) -> None:
        self.floor = floor

    def forward(self, value: Any, *inputs: Any) -> Any:
        return pt.log(value - self.floor)

    def backward(self, value: Any, *inputs: Any) -> Any:
        return self.floor + pt.exp(value)

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        return value
