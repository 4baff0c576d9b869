r"""Covariance structures: one final class each, holding all that depends on the structure.

Covariances and the Cholesky factors of the precisions are kept in the structure's own shape
(K components, D features), batch axes first:

=========== ============= ================================================
structure   shape         precision Cholesky factor l (lower triangular)
=========== ============= ================================================
full        (..., K, D, D) :math:`\Sigma_k^{-1} = l_k l_k^\top`
tied        (..., D, D)    the one factor of all components
diag        (..., K, D)    :math:`1/\sigma_{kj}`
spherical   (..., K)       :math:`1/\sigma_k`
=========== ============= ================================================
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np

from bayesmix.covariance_laws import (
    draw_inverse_wishart,
    log_inverse_gamma,
    log_inverse_wishart,
    log_norm_inverse_gamma,
    log_norm_inverse_wishart,
)
from bayesmix.kernels.em import factorize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.priors import GammaScale

    Floats = NDArray[np.float64]

__all__ = ["STRUCTURES", "Diag", "Full", "Spherical", "Structure", "Tied", "structure_of"]

LOG_2PI = float(np.log(2 * np.pi))


class Structure(ABC):
    """A covariance structure: shapes, the pass's arithmetic, prior density of its own."""

    name: ClassVar[str]
    correlated: ClassVar[bool]
    """Whether features may be correlated within a component."""

    @abstractmethod
    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Count the free covariance parameters."""

    @abstractmethod
    def rows_needed(self, n_features: int) -> int:
        """Rows that a component needs before its own covariance is of full rank."""

    @abstractmethod
    def dense(self, covariances: Floats, n_components: int, n_features: int) -> Floats:
        """Expand to (..., K, D, D)."""

    @abstractmethod
    def compact(self, dense: Floats) -> Floats:
        """Return to the structure's shape from covariances that have it; inverse of `dense`."""

    @abstractmethod
    def diagonal(self, covariances: Floats) -> Floats:
        """Variances of the features, to broadcast against (..., K, D)."""

    @abstractmethod
    def average(self, pooled: Floats, n_components: int) -> Floats:
        """Give every component the structure's nearest version of one (D, D) covariance."""

    @abstractmethod
    def precision_cholesky(self, covariances: Floats) -> Floats:
        """Factorize the precisions; LinAlgError if a covariance is not positive definite."""

    @abstractmethod
    def precisions(self, covariances: Floats) -> Floats:
        """Invert covariances, or precisions, in the structure's shape."""

    @abstractmethod
    def upper_precision_cholesky(self, covariances: Floats) -> Floats:
        """scikit-learn's factors u with precision = u uᵀ, upper triangular."""

    @abstractmethod
    def log_diagonal(self, factor: Floats, n_components: int, n_features: int) -> Floats:
        """Logarithm of the diagonal of each component's factor, (..., K, D)."""

    @abstractmethod
    def whiten(self, delta: Floats, factor: Floats, k: int) -> Floats:
        """Standardize rows ``x - mean_k``, shape (..., n, D), by component k."""

    @abstractmethod
    def scatter(self, delta: Floats, weight: Floats) -> Floats:
        """Weighted sum of outer products, own shape; rows (..., K, m, D), weights (..., K, m)."""

    @abstractmethod
    def gathered(self, moments: Floats) -> Floats:
        """Turn the components' moments (..., K, D, D) into the own shape.

        Without correlations they are (..., K, D, 1), the diagonal alone.
        """

    @abstractmethod
    def likelihood_count(self, sizes: Floats, n_features: int) -> Floats:
        """Divisor that turns a scatter about the mean into the maximum-likelihood covariance."""

    @abstractmethod
    def prior_count[T: (float, Floats)](self, dof: T, n_features: int) -> T:
        """What the prior of the covariances adds to `likelihood_count` at the mode."""

    @abstractmethod
    def prior_scale(self, scale: Floats) -> Floats:
        """Restrict a prior's scale matrix (..., D, D) to what this structure's density uses."""

    @abstractmethod
    def log_prior_covariances(self, factor: Floats, dof: float, scale: Floats) -> Floats:
        """Log density of the covariances given the scale matrix (..., D, D), shape (...).

        In the measure of ``docs/notation.md``; batch axes of factor and scale broadcast.
        """

    @abstractmethod
    def log_norm(self, dof: Floats | float, scale: Floats, n_features: int) -> Floats:
        """Log norm of the laws of covariances, (..., K), tied (...), by scales in the own shape."""

    @abstractmethod
    def draw(
        self,
        generator: np.random.Generator,
        dof: Floats | float,
        scale: Floats,
        n_features: int,
    ) -> Floats:
        """Draw covariances by degrees of freedom (..., K), tied (...), and scales, own shape."""

    def scales(self, scale: Floats, n_components: int) -> Floats:
        """Give every component the scale matrix (..., D, D), in the own shape."""
        own = np.expand_dims(self.prior_scale(scale), scale.ndim - 2)
        return np.repeat(own, n_components, scale.ndim - 2)

    def draw_covariances(
        self, generator: np.random.Generator, n_components: int, dof: float, scale: Floats
    ) -> Floats:
        """Draw from the prior, given scale matrices (S, D, D): (S, ...) in the own shape."""
        return self.draw(generator, dof, self.scales(scale, n_components), scale.shape[-1])

    @abstractmethod
    def ridge(self, covariances: Floats, reg_covar: float) -> Floats:
        """Add ``reg_covar`` to every variance."""

    def scale_hyperprior(self, hyperprior: GammaScale) -> GammaScale:
        """Prior of what this structure leaves free of a random scale matrix."""
        return hyperprior

    def n_mixture_parameters(self, n_components: int, n_features: int) -> int:
        """Count the free parameters of a mixture: covariances, means, weights."""
        covariances = self.n_parameters(n_components, n_features)
        return covariances + n_components * n_features + n_components - 1

    @abstractmethod
    def outer(self, delta: Floats, weight: Floats) -> Floats:
        """Weighted outer products of one row (..., K, D) per component, in the own shape."""

    def mode(self, scatter: Floats, count: Floats) -> Floats:
        """Covariances at the mode: a scatter over its count, one per component or one for all."""
        count = np.asarray(count)
        return scatter / count.reshape(count.shape + (1,) * (np.ndim(scatter) - count.ndim))


class _Matrices(Structure):
    """What full and tied share: matrices."""

    correlated = True

    def precision_cholesky(self, covariances: Floats) -> Floats:
        return _precision_cholesky(covariances)

    def precisions(self, covariances: Floats) -> Floats:
        factor = _precision_cholesky(covariances)  # an inverse of the whole loses twice the digits
        return factor @ np.swapaxes(factor, -1, -2)

    def upper_precision_cholesky(self, covariances: Floats) -> Floats:
        return np.swapaxes(np.linalg.inv(np.linalg.cholesky(covariances)), -1, -2)

    def prior_count[T: (float, Floats)](self, dof: T, n_features: int) -> T:
        return dof + n_features + 1

    def prior_scale(self, scale: Floats) -> Floats:
        return scale

    def log_norm(self, dof: Floats | float, scale: Floats, n_features: int) -> Floats:
        return log_norm_inverse_wishart(dof, np.linalg.cholesky(scale))

    def draw(
        self,
        generator: np.random.Generator,
        dof: Floats | float,
        scale: Floats,
        n_features: int,
    ) -> Floats:
        return draw_inverse_wishart(generator, dof, scale)

    def ridge(self, covariances: Floats, reg_covar: float) -> Floats:
        return covariances + reg_covar * np.eye(covariances.shape[-1])


@final
class Full(_Matrices):
    """Each component has its own covariance."""

    name = "full"

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features * (n_features + 1) // 2

    def rows_needed(self, n_features: int) -> int:
        return n_features + 1

    def dense(self, covariances: Floats, n_components: int, n_features: int) -> Floats:
        return covariances

    def compact(self, dense: Floats) -> Floats:
        return dense

    def diagonal(self, covariances: Floats) -> Floats:
        return np.diagonal(covariances, axis1=-2, axis2=-1)

    def average(self, pooled: Floats, n_components: int) -> Floats:
        return np.repeat(pooled[None], n_components, axis=0)

    def log_diagonal(self, factor: Floats, n_components: int, n_features: int) -> Floats:
        return np.log(np.diagonal(factor, axis1=-2, axis2=-1))

    def whiten(self, delta: Floats, factor: Floats, k: int) -> Floats:
        return delta @ factor[..., k, :, :]

    def scatter(self, delta: Floats, weight: Floats) -> Floats:
        return np.swapaxes(weight[..., None] * delta, -1, -2) @ delta

    def outer(self, delta: Floats, weight: Floats) -> Floats:
        return (weight[..., None] * delta)[..., :, None] * delta[..., None, :]

    def gathered(self, moments: Floats) -> Floats:
        return moments

    def likelihood_count(self, sizes: Floats, n_features: int) -> Floats:
        return sizes

    def log_prior_covariances(self, factor: Floats, dof: float, scale: Floats) -> Floats:
        return log_inverse_wishart(factor, dof, scale[..., None, :, :]).sum(axis=-1)


@final
class Tied(_Matrices):
    """All components share one covariance."""

    name = "tied"

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_features * (n_features + 1) // 2

    def rows_needed(self, n_features: int) -> int:
        return 0

    def dense(self, covariances: Floats, n_components: int, n_features: int) -> Floats:
        return np.repeat(covariances[..., None, :, :], n_components, axis=-3)

    def compact(self, dense: Floats) -> Floats:
        return dense[..., 0, :, :]

    def diagonal(self, covariances: Floats) -> Floats:
        return np.diagonal(covariances, axis1=-2, axis2=-1)[..., None, :]

    def average(self, pooled: Floats, n_components: int) -> Floats:
        return pooled

    def log_diagonal(self, factor: Floats, n_components: int, n_features: int) -> Floats:
        logs = np.log(np.diagonal(factor, axis1=-2, axis2=-1))
        return np.repeat(logs[..., None, :], n_components, axis=-2)

    def whiten(self, delta: Floats, factor: Floats, k: int) -> Floats:
        return delta @ factor

    def scatter(self, delta: Floats, weight: Floats) -> Floats:
        return (np.swapaxes(weight[..., None] * delta, -1, -2) @ delta).sum(axis=-3)

    def outer(self, delta: Floats, weight: Floats) -> Floats:
        return np.swapaxes(weight[..., None] * delta, -1, -2) @ delta

    def gathered(self, moments: Floats) -> Floats:
        return moments.sum(axis=-3)

    def likelihood_count(self, sizes: Floats, n_features: int) -> Floats:
        return np.asarray(sizes.sum(axis=-1))

    def scales(self, scale: Floats, n_components: int) -> Floats:
        return scale

    def log_prior_covariances(self, factor: Floats, dof: float, scale: Floats) -> Floats:
        return log_inverse_wishart(factor, dof, scale)


class _Variances(Structure):
    """What diag and spherical share: variances."""

    correlated = False

    def precision_cholesky(self, covariances: Floats) -> Floats:
        return _inverse_root(covariances)

    def precisions(self, covariances: Floats) -> Floats:
        return 1 / covariances

    def upper_precision_cholesky(self, covariances: Floats) -> Floats:
        return _inverse_root(covariances)

    def prior_count[T: (float, Floats)](self, dof: T, n_features: int) -> T:
        return dof - n_features + 3

    def draw(
        self,
        generator: np.random.Generator,
        dof: Floats | float,
        scale: Floats,
        n_features: int,
    ) -> Floats:
        shape = (_per_variance(dof, scale) - n_features + 1) / 2
        variances: Floats = scale / 2 / generator.standard_gamma(shape, scale.shape)
        return variances

    def ridge(self, covariances: Floats, reg_covar: float) -> Floats:
        return covariances + reg_covar


@final
class Diag(_Variances):
    """Each component has its own variances and no correlation."""

    name = "diag"

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components * n_features

    def rows_needed(self, n_features: int) -> int:
        return 2

    def dense(self, covariances: Floats, n_components: int, n_features: int) -> Floats:
        return covariances[..., None] * np.eye(n_features)

    def compact(self, dense: Floats) -> Floats:
        return np.diagonal(dense, axis1=-2, axis2=-1)

    def diagonal(self, covariances: Floats) -> Floats:
        return covariances

    def average(self, pooled: Floats, n_components: int) -> Floats:
        return np.repeat(np.diag(pooled)[None], n_components, axis=0)

    def log_diagonal(self, factor: Floats, n_components: int, n_features: int) -> Floats:
        return np.log(factor)

    def whiten(self, delta: Floats, factor: Floats, k: int) -> Floats:
        return delta * factor[..., k, None, :]

    def scatter(self, delta: Floats, weight: Floats) -> Floats:
        return np.einsum("...km,...kmd->...kd", weight, np.square(delta))

    def outer(self, delta: Floats, weight: Floats) -> Floats:
        return weight[..., None] * np.square(delta)

    def gathered(self, moments: Floats) -> Floats:
        return moments[..., 0]

    def likelihood_count(self, sizes: Floats, n_features: int) -> Floats:
        return sizes

    def prior_scale(self, scale: Floats) -> Floats:
        return np.diagonal(scale, axis1=-2, axis2=-1)

    def log_norm(self, dof: Floats | float, scale: Floats, n_features: int) -> Floats:
        shape = (_per_variance(dof, scale) - n_features + 1) / 2
        return log_norm_inverse_gamma(shape, scale / 2).sum(axis=-1)

    def log_prior_covariances(self, factor: Floats, dof: float, scale: Floats) -> Floats:
        shape = (dof - scale.shape[-1] + 1) / 2
        rate = self.prior_scale(scale)[..., None, :] / 2
        return log_inverse_gamma(factor, shape, rate).sum(axis=(-2, -1))


@final
class Spherical(_Variances):
    """Each component has one variance for all features."""

    name = "spherical"

    def n_parameters(self, n_components: int, n_features: int) -> int:
        return n_components

    def rows_needed(self, n_features: int) -> int:
        return 2

    def dense(self, covariances: Floats, n_components: int, n_features: int) -> Floats:
        return covariances[..., None, None] * np.eye(n_features)

    def compact(self, dense: Floats) -> Floats:
        return dense[..., 0, 0]

    def diagonal(self, covariances: Floats) -> Floats:
        return covariances[..., None]

    def average(self, pooled: Floats, n_components: int) -> Floats:
        return np.full(n_components, np.trace(pooled) / len(pooled))

    def log_diagonal(self, factor: Floats, n_components: int, n_features: int) -> Floats:
        return np.repeat(np.log(factor)[..., None], n_features, axis=-1)

    def whiten(self, delta: Floats, factor: Floats, k: int) -> Floats:
        return delta * factor[..., k, None, None]

    def scatter(self, delta: Floats, weight: Floats) -> Floats:
        return np.einsum("...km,...kmd->...k", weight, np.square(delta))

    def outer(self, delta: Floats, weight: Floats) -> Floats:
        return weight * np.square(delta).sum(axis=-1)

    def gathered(self, moments: Floats) -> Floats:
        return moments[..., 0].sum(axis=-1)

    def likelihood_count(self, sizes: Floats, n_features: int) -> Floats:
        return n_features * sizes

    def prior_scale(self, scale: Floats) -> Floats:
        return np.asarray(np.trace(scale, axis1=-2, axis2=-1) / scale.shape[-1])

    def log_norm(self, dof: Floats | float, scale: Floats, n_features: int) -> Floats:
        return log_norm_inverse_gamma((dof - n_features + 1) / 2, scale / 2)

    def scale_hyperprior(self, hyperprior: GammaScale) -> GammaScale:
        return hyperprior.pooled

    def log_prior_covariances(self, factor: Floats, dof: float, scale: Floats) -> Floats:
        shape = (dof - scale.shape[-1] + 1) / 2
        rate = self.prior_scale(scale)[..., None] / 2
        return log_inverse_gamma(factor, shape, rate).sum(axis=-1)


STRUCTURES: dict[str, Structure] = {s.name: s for s in (Full(), Tied(), Diag(), Spherical())}


def structure_of(covariance_type: str) -> Structure:
    """Look a structure up by its name."""
    return STRUCTURES[covariance_type]


def _precision_cholesky(covariances: Floats) -> Floats:
    """Lower factors l with inverse(covariance) = l lᵀ."""
    given = np.require(covariances, float, ["C", "W"])
    factors = np.empty(given.shape)
    d = given.shape[-1]
    if not factorize(given.reshape(-1, d, d), factors.reshape(-1, d, d)):
        raise np.linalg.LinAlgError("a covariance is singular to working precision")
    return factors


def _inverse_root(variances: Floats) -> Floats:
    if not np.all(variances > 0):
        raise np.linalg.LinAlgError("a variance is not positive")
    return 1 / np.sqrt(variances)


def _per_variance(dof: Floats | float, scale: Floats) -> Floats:
    """Degrees of freedom of every variance: those of a component are those of its features."""
    dof = np.asarray(dof)
    return dof[..., None] if 0 < dof.ndim < scale.ndim else dof
