r"""The mixture as a PyMC model, in Bartlett's coordinates.

The precision of a component is a Wishart variable in Bartlett's coordinates: with
:math:`C = \mathrm{chol}(S^{-1})` its Cholesky factor is :math:`l = C A`, A lower triangular with
squared diagonal :math:`A_{ii}^2 \sim \chi^2_{\nu - i + 1}` (i = 1, …, D) and standard normal
entries below. Diagonal and spherical structures have :math:`l = \sqrt{q / S}` with
:math:`q \sim \chi^2_{\nu - D + 1}`. No matrix is inverted or solved in the density. The graph
holds elementwise products and sums only, because each further kind of operation costs seconds of
compilation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.logprob.transforms import Transform

from bayesmix.covariance import LOG_2PI, structure_of
from bayesmix.inputs import as_table
from bayesmix.mixture import Mixture, require_mixture
from bayesmix.priors import NormalInverseWishart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["build_model", "covariances_of", "initial_values"]

CHI_SQUARED, NORMAL = "bartlett_chi_squared", "bartlett_normal"


def build_model(mixture: Mixture, x: Any) -> pm.Model:
    r"""State a mixture as a PyMC model, marginalized over the labels.

    Parameters
    ----------
    mixture : Mixture
        With a component prior.
    x : (n, D) array_like or DataFrame
        The data, used as they are.

    Returns
    -------
    pymc.Model
        Free variables ``weights (component)``, ``means (component, feature)`` and Bartlett's
        coordinates of the precisions; deterministic ``covariances (component, feature,
        feature_bis)``, dense for every structure; observed ``x (obs, feature)``; the data in
        ``x_data``.

    Raises
    ------
    ValueError
        If the mixture has no component prior, or one for another number of features.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
    >>> [v.name for v in bm.build_model(mixture, x).deterministics]
    ['covariances']
    """
    geometry = _geometry(mixture)
    prior = geometry.prior
    table = as_table(x)
    n_components, d = mixture.n_components, len(table.features)
    mixture.require_features(d)
    names = list(table.features)
    pairs = [f"{names[i]}:{names[j]}" for i, j in zip(*np.tril_indices(d, -1), strict=True)]
    coords = {
        "component": np.arange(n_components),
        "feature": names,
        "feature_bis": names,
        "feature_pair": pairs,
        "obs": table.index,
    }
    with pm.Model(coords=coords) as model:
        data = pm.Data("x_data", table.values, dims=("obs", "feature"))
        weights = pm.Dirichlet("weights", mixture.weights.concentrations, dims="component")
        factor = geometry.factor(geometry.coordinates())
        means = pm.CustomDist(
            "means",
            np.tile(prior.mean, (n_components, 1)),
            factor,
            logp=geometry.means_logp,
            random=geometry.means_random,
            signature=f"(k,d),{geometry.signature}->(k,d)",
            transform=_Standardized(prior),
            dims=("component", "feature"),
        )
        pm.Deterministic(
            "covariances",
            geometry.covariances(factor),
            dims=("component", "feature", "feature_bis"),
        )
        pm.CustomDist(
            "x",
            means,
            factor,
            weights,
            logp=geometry.rows_logp,
            random=geometry.rows_random,
            signature=f"(k,d),{geometry.signature},(k)->(d)",
            observed=data,
            dims=("obs", "feature"),
        )
    return model


class _Standardized(Transform):
    """Means in units of the prior's typical standard deviation about its mean."""

    name = "standardized"

    def __init__(self, prior: NormalInverseWishart) -> None:
        self.center = np.asarray(prior.mean)
        scale = np.diag(np.asarray(prior.covariance_scale))
        self.scale = np.sqrt(scale / (prior.dof + prior.n_features + 1))

    def forward(self, value: Any, *inputs: Any) -> Any:
        return (value - self.center) / self.scale

    def backward(self, value: Any, *inputs: Any) -> Any:
        return self.center + self.scale * value

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        return value.shape[-2] * np.log(self.scale).sum()


class _Geometry(ABC):
    """Bartlett's coordinates of one covariance structure, symbolic and numeric alike."""

    signature: ClassVar[str]
    covariance_type: ClassVar[str]

    def __init__(self, prior: NormalInverseWishart, n_components: int) -> None:
        self.prior, self.k, self.d = prior, n_components, prior.n_features
        self.structure = structure_of(self.covariance_type)
        self.scale = self.structure.prior_scale(np.asarray(prior.covariance_scale))

    @abstractmethod
    def coordinates(self) -> dict[str, Any]:
        """Register the free variables inside a model context."""

    @abstractmethod
    def factor(self, values: Mapping[str, Any]) -> Any:
        """Precision Cholesky factor in the structure's shape from tensors or arrays."""

    @abstractmethod
    def values(self, factor: Floats) -> dict[str, Floats]:
        """Coordinates of a factor; inverse of `factor`."""

    @abstractmethod
    def whiten(self, delta: Any, factor: Any) -> Any:
        """Standardize delta (..., K, D) by each component."""

    @abstractmethod
    def log_determinant(self, factor: Any) -> Any:
        """Sum of the logarithms of the factor's diagonal, (K,) or a scalar shared by all."""

    @abstractmethod
    def covariances(self, factor: Any) -> Any:
        """Symbolic dense covariances (K, D, D)."""

    def means_logp(self, value: Any, center: Any, factor: Any) -> Any:
        kappa = self.prior.mean_precision
        z = self.whiten(value - center, self._shaped(factor))
        constant = 0.5 * self.k * self.d * (np.log(kappa) - LOG_2PI)
        scatter = (z * z).sum()
        return constant + self._log_determinants(self._shaped(factor)) - 0.5 * kappa * scatter

    def means_random(
        self, center: Floats, factor: Floats, rng: np.random.Generator, size: Any = None
    ) -> Floats:
        noise = rng.standard_normal((*tuple(size or ()), self.k, self.d))
        return center + self._color(noise, factor) / np.sqrt(self.prior.mean_precision)

    def rows_logp(self, value: Any, means: Any, factor: Any, weights: Any) -> Any:
        factor = self._shaped(factor)
        z = self.whiten(value[:, None, :] - means.reshape((self.k, self.d)), factor)
        constant = pt.log(weights.reshape((self.k,))) + self.log_determinant(factor)
        joint = constant - 0.5 * self.d * LOG_2PI - 0.5 * (z * z).sum(axis=-1)
        top = pt.max(joint, axis=-1, keepdims=True)
        return pt.log(pt.exp(joint - top).sum(axis=-1)) + top[:, 0]

    def rows_random(
        self,
        means: Floats,
        factor: Floats,
        weights: Floats,
        rng: np.random.Generator,
        size: Any = None,
    ) -> Floats:
        means, weights = means.reshape(self.k, self.d), weights.reshape(self.k)
        n = int(np.prod(size)) if size is not None else 1
        label = rng.choice(self.k, size=n, p=weights / weights.sum())
        noise = self._color(rng.standard_normal((n, self.k, self.d)), factor)
        rows = means[label] + noise[np.arange(n), label]
        return rows.reshape((*tuple(size or ()), self.d))

    def _log_determinants(self, factor: Any) -> Any:
        """Sum over all components."""
        total = self.log_determinant(factor)
        return total.sum() if total.ndim else self.k * total

    def _shaped(self, factor: Any) -> Any:
        """Drop the leading axes of length one that PyMC adds to parameters."""
        return factor.reshape(self._shape())

    def _shape(self) -> tuple[int, ...]:
        """Shape of the factor, read off its signature."""
        sizes = {"k": self.k, "d": self.d}
        return tuple(sizes[axis] for axis in self.signature.strip("()").split(","))

    def _color(self, noise: Floats, factor: Floats) -> Floats:
        """Give standard normal noise (..., K, D) the components' covariances."""
        lower = self.structure.dense(self._shaped(factor), self.k, self.d)
        return np.linalg.solve(np.swapaxes(lower, -1, -2), noise[..., None])[..., 0]


class _Wishart(_Geometry):
    """What full and tied share: factor C A."""

    def __init__(self, prior: NormalInverseWishart, n_components: int) -> None:
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
        return (self.scale_factor[:, :, None] * bartlett[..., None, :, :]).sum(axis=-2)

    def values(self, factor: Floats) -> dict[str, Floats]:
        bartlett = np.linalg.solve(self.scale_factor, factor)
        values = {CHI_SQUARED: np.square(np.diagonal(bartlett, axis1=-2, axis2=-1))}
        if self.d > 1:
            values[NORMAL] = bartlett[..., self.below[0], self.below[1]]
        return values

    def whiten(self, delta: Any, factor: Any) -> Any:
        return (delta[..., None] * factor).sum(axis=-2)

    def log_determinant(self, factor: Any) -> Any:
        return pt.log((factor * np.eye(self.d)).sum(axis=-1)).sum(axis=-1)

    def _register(self, dof: Floats, lead: tuple[str, ...]) -> dict[str, Any]:
        values = {CHI_SQUARED: pm.ChiSquared(CHI_SQUARED, dof, dims=(*lead, "feature"))}
        if self.d > 1:
            values[NORMAL] = pm.Normal(NORMAL, 0, 1, dims=(*lead, "feature_pair"))
        return values


@final
class _Full(_Wishart):
    covariance_type, signature = "full", "(k,d,d)"

    def coordinates(self) -> dict[str, Any]:
        return self._register(np.tile(self.dof, (self.k, 1)), ("component",))

    def covariances(self, factor: Any) -> Any:
        inverse = pt.linalg.inv(factor)
        return inverse.mT @ inverse


@final
class _Tied(_Wishart):
    covariance_type, signature = "tied", "(d,d)"

    def coordinates(self) -> dict[str, Any]:
        return self._register(self.dof, ())

    def covariances(self, factor: Any) -> Any:
        inverse = pt.linalg.inv(factor)
        return pt.tile((inverse.mT @ inverse)[None], (self.k, 1, 1))


class _Variances(_Geometry):
    """What diag and spherical share: factor sqrt(q / S)."""

    def factor(self, values: Mapping[str, Any]) -> Any:
        return (values[CHI_SQUARED] / self.scale) ** 0.5

    def values(self, factor: Floats) -> dict[str, Floats]:
        return {CHI_SQUARED: np.square(factor) * self.scale}

    def _register(self, dims: tuple[str, ...]) -> dict[str, Any]:
        dof = np.full(self._shape(), self.prior.dof - self.d + 1)
        return {CHI_SQUARED: pm.ChiSquared(CHI_SQUARED, dof, dims=dims)}


@final
class _Diag(_Variances):
    covariance_type, signature = "diag", "(k,d)"

    def coordinates(self) -> dict[str, Any]:
        return self._register(("component", "feature"))

    def whiten(self, delta: Any, factor: Any) -> Any:
        return delta * factor

    def log_determinant(self, factor: Any) -> Any:
        return pt.log(factor).sum(axis=-1)

    def covariances(self, factor: Any) -> Any:
        return (factor**-2)[..., None] * np.eye(self.d)


@final
class _Spherical(_Variances):
    covariance_type, signature = "spherical", "(k)"

    def coordinates(self) -> dict[str, Any]:
        return self._register(("component",))

    def whiten(self, delta: Any, factor: Any) -> Any:
        return delta * factor[:, None]

    def log_determinant(self, factor: Any) -> Any:
        return self.d * pt.log(factor)

    def covariances(self, factor: Any) -> Any:
        return (factor**-2)[..., None, None] * np.eye(self.d)


_GEOMETRIES = {g.covariance_type: g for g in (_Full, _Tied, _Diag, _Spherical)}


def _geometry(mixture: Mixture) -> _Geometry:
    require_mixture(mixture, "nuts")
    # what `require_mixture` has just checked
    assert isinstance(mixture.components, NormalInverseWishart)
    return _GEOMETRIES[mixture.covariance_type](mixture.components, mixture.n_components)


def initial_values(
    mixture: Mixture, weights: Floats, means: Floats, covariances: Floats
) -> dict[str, Floats]:
    """Coordinates of a point in the model's free variables.

    Parameters
    ----------
    mixture : Mixture
    weights : (K,) ndarray
        All above zero.
    means : (K, D) ndarray
    covariances : (K, D, D) ndarray
        Dense, of the mixture's structure.
    """
    structure = structure_of(mixture.covariance_type)
    factor = structure.precision_cholesky(structure.compact(covariances))
    return {"weights": weights, "means": means, **_geometry(mixture).values(factor)}


def covariances_of(mixture: Mixture, values: Mapping[str, Floats]) -> Floats:
    """Dense covariances (..., K, D, D) from draws of the model's free variables."""
    geometry = _geometry(mixture)
    lower = geometry.structure.dense(geometry.factor(values), geometry.k, geometry.d)
    inverse = np.linalg.inv(lower)
    return np.swapaxes(inverse, -1, -2) @ inverse
