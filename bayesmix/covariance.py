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

from bayesmix.priors import NormalInverseWishart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["STRUCTURES", "Diag", "Full", "Spherical", "Structure", "Tied", "structure_of"]

LOG_2PI = float(np.log(2 * np.pi))


class Structure(ABC):
    """A covariance structure: shapes, the pass's arithmetic, prior density and mode."""

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
        """Weighted sum of outer products, rows (K, m, D) and weights (K, m), own shape."""

    @abstractmethod
    def likelihood_count(self, sizes: Floats, n_features: int) -> Floats:
        """Divisor that turns a scatter about the mean into the maximum-likelihood covariance."""

    @abstractmethod
    def prior_count(self, prior: NormalInverseWishart, n_components: int) -> float:
        """What the prior adds to `likelihood_count` at the mode."""

    @abstractmethod
    def prior_scale(self, scale: Floats) -> Floats:
        """Restrict the prior's scale matrix to what this structure's density uses."""

    @abstractmethod
    def log_prior_covariances(self, factor: Floats, prior: NormalInverseWishart) -> Floats:
        """Log density of the covariances, in the measure of ``docs/notation.md``."""

    @abstractmethod
    def ridge(self, covariances: Floats, reg_covar: float) -> Floats:
        """Add ``reg_covar`` to every variance."""

    def mode(
        self,
        scatter: Floats,
        sizes: Floats,
        n_features: int,
        prior: NormalInverseWishart | None,
    ) -> Floats:
        """Covariances that maximize the likelihood, or the posterior, given their statistics.

        Parameters
        ----------
        scatter : ndarray in the structure's shape
            About the component means; with a prior, the mean's penalty included.
        sizes : (K,) ndarray
            Sums of responsibilities.
        n_features : int
        prior : NormalInverseWishart or None
        """
        count = self.likelihood_count(sizes, n_features)
        if prior is not None:
            scatter = scatter + self.prior_scale(np.asarray(prior.covariance_scale))
            count = count + self.prior_count(prior, len(sizes))
        count = np.asarray(count)
        return scatter / count.reshape(count.shape + (1,) * (np.ndim(scatter) - count.ndim))

    def log_prior(self, means: Floats, factor: Floats, prior: NormalInverseWishart) -> Floats:
        """Log density of means (..., K, D) and covariances given as precision factors."""
        n_components, d = means.shape[-2:]
        logs = self.log_diagonal(factor, n_components, d).sum(axis=-1)
        delta = means - np.asarray(prior.mean)
        squares = np.stack(
            [
                np.square(self.whiten(delta[..., k : k + 1, :], factor, k)).sum(axis=(-2, -1))
                for k in range(n_components)
            ],
            axis=-1,
        )
        kappa = prior.mean_precision
        log_means = logs + 0.5 * (d * (np.log(kappa) - LOG_2PI) - kappa * squares)
        return log_means.sum(axis=-1) + self.log_prior_covariances(factor, prior)


class _Matrices(Structure):
    """What full and tied share: matrices."""

    correlated = True

    def precision_cholesky(self, covariances: Floats) -> Floats:
        return _precision_cholesky(covariances)

    def precisions(self, covariances: Floats) -> Floats:
        return np.linalg.inv(covariances)

    def upper_precision_cholesky(self, covariances: Floats) -> Floats:
        return np.swapaxes(np.linalg.inv(np.linalg.cholesky(covariances)), -1, -2)

    def prior_scale(self, scale: Floats) -> Floats:
        return scale

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

    def average(self, pooled: Floats, n_components: int) -> Floats:
        return np.repeat(pooled[None], n_components, axis=0)

    def log_diagonal(self, factor: Floats, n_components: int, n_features: int) -> Floats:
        return np.log(np.diagonal(factor, axis1=-2, axis2=-1))

    def whiten(self, delta: Floats, factor: Floats, k: int) -> Floats:
        return delta @ factor[..., k, :, :]

    def scatter(self, delta: Floats, weight: Floats) -> Floats:
        return np.swapaxes(weight[..., None] * delta, -1, -2) @ delta

    def likelihood_count(self, sizes: Floats, n_features: int) -> Floats:
        return sizes

    def prior_count(self, prior: NormalInverseWishart, n_components: int) -> float:
        return prior.dof + prior.n_features + 2

    def log_prior_covariances(self, factor: Floats, prior: NormalInverseWishart) -> Floats:
        return _log_inverse_wishart(factor, prior).sum(axis=-1)


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

    def average(self, pooled: Floats, n_components: int) -> Floats:
        return pooled

    def log_diagonal(self, factor: Floats, n_components: int, n_features: int) -> Floats:
        logs = np.log(np.diagonal(factor, axis1=-2, axis2=-1))
        return np.repeat(logs[..., None, :], n_components, axis=-2)

    def whiten(self, delta: Floats, factor: Floats, k: int) -> Floats:
        return delta @ factor

    def scatter(self, delta: Floats, weight: Floats) -> Floats:
        return (np.swapaxes(weight[..., None] * delta, -1, -2) @ delta).sum(axis=0)

    def likelihood_count(self, sizes: Floats, n_features: int) -> Floats:
        return np.asarray(sizes.sum())

    def prior_count(self, prior: NormalInverseWishart, n_components: int) -> float:
        return prior.dof + prior.n_features + 1 + n_components

    def log_prior_covariances(self, factor: Floats, prior: NormalInverseWishart) -> Floats:
        return _log_inverse_wishart(factor, prior)


class _Variances(Structure):
    """What diag and spherical share: variances."""

    correlated = False

    def precision_cholesky(self, covariances: Floats) -> Floats:
        return _inverse_root(covariances)

    def precisions(self, covariances: Floats) -> Floats:
        return 1 / covariances

    def upper_precision_cholesky(self, covariances: Floats) -> Floats:
        return _inverse_root(covariances)

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

    def average(self, pooled: Floats, n_components: int) -> Floats:
        return np.repeat(np.diag(pooled)[None], n_components, axis=0)

    def log_diagonal(self, factor: Floats, n_components: int, n_features: int) -> Floats:
        return np.log(factor)

    def whiten(self, delta: Floats, factor: Floats, k: int) -> Floats:
        return delta * factor[..., k, None, :]

    def scatter(self, delta: Floats, weight: Floats) -> Floats:
        return np.einsum("km,kmd->kd", weight, np.square(delta))

    def likelihood_count(self, sizes: Floats, n_features: int) -> Floats:
        return sizes

    def prior_count(self, prior: NormalInverseWishart, n_components: int) -> float:
        return prior.dof - prior.n_features + 4

    def prior_scale(self, scale: Floats) -> Floats:
        return np.diag(scale)

    def log_prior_covariances(self, factor: Floats, prior: NormalInverseWishart) -> Floats:
        scale = self.prior_scale(np.asarray(prior.covariance_scale))
        return _log_inverse_gamma(factor, scale, prior).sum(axis=(-2, -1))


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

    def average(self, pooled: Floats, n_components: int) -> Floats:
        return np.full(n_components, np.trace(pooled) / len(pooled))

    def log_diagonal(self, factor: Floats, n_components: int, n_features: int) -> Floats:
        return np.repeat(np.log(factor)[..., None], n_features, axis=-1)

    def whiten(self, delta: Floats, factor: Floats, k: int) -> Floats:
        return delta * factor[..., k, None, None]

    def scatter(self, delta: Floats, weight: Floats) -> Floats:
        return np.einsum("km,kmd->k", weight, np.square(delta))

    def likelihood_count(self, sizes: Floats, n_features: int) -> Floats:
        return n_features * sizes

    def prior_count(self, prior: NormalInverseWishart, n_components: int) -> float:
        return prior.dof + 3

    def prior_scale(self, scale: Floats) -> Floats:
        return np.asarray(np.trace(scale) / len(scale))

    def log_prior_covariances(self, factor: Floats, prior: NormalInverseWishart) -> Floats:
        scale = self.prior_scale(np.asarray(prior.covariance_scale))
        return _log_inverse_gamma(factor, scale, prior).sum(axis=-1)


STRUCTURES: dict[str, Structure] = {s.name: s for s in (Full(), Tied(), Diag(), Spherical())}


def structure_of(covariance_type: str) -> Structure:
    """Look a structure up by its name."""
    return STRUCTURES[covariance_type]


def _precision_cholesky(covariances: Floats) -> Floats:
    """Lower factors l with inverse(covariance) = l lᵀ: flip, factorize, flip back, invert."""
    upper = np.linalg.cholesky(covariances[..., ::-1, ::-1])[..., ::-1, ::-1]
    # What a feature varies given the later ones: below this share only rounding is left of it.
    left, variances = (np.diagonal(a, axis1=-2, axis2=-1) for a in (upper, covariances))
    if not np.all(np.square(left) > 1e-13 * variances):
        raise np.linalg.LinAlgError("a covariance is singular to working precision")
    return np.tril(np.swapaxes(np.linalg.inv(upper), -1, -2))


def _inverse_root(variances: Floats) -> Floats:
    if not np.all(variances > 0):
        raise np.linalg.LinAlgError("a variance is not positive")
    return 1 / np.sqrt(variances)


def _log_inverse_wishart(factor: Floats, prior: NormalInverseWishart) -> Floats:
    """Log density of Σ ~ IW(dof, S) on the lower triangle of Σ, (...,), from Σ's precision."""
    from scipy.special import multigammaln

    scale = np.linalg.cholesky(np.asarray(prior.covariance_scale))
    nu, d = prior.dof, prior.n_features
    logs = np.log(np.diagonal(factor, axis1=-2, axis2=-1)).sum(axis=-1)
    trace = np.square(np.swapaxes(factor, -1, -2) @ scale).sum(axis=(-2, -1))
    constant = (
        nu * np.log(np.diag(scale)).sum() - 0.5 * nu * d * np.log(2) - multigammaln(nu / 2, d)
    )
    return constant + (nu + d + 1) * logs - 0.5 * trace


def _log_inverse_gamma(factor: Floats, scale: Floats, prior: NormalInverseWishart) -> Floats:
    """Log density of σ² ~ IG((dof - D + 1)/2, scale/2), elementwise, from 1/σ."""
    from scipy.special import gammaln

    shape = (prior.dof - prior.n_features + 1) / 2
    rate = scale / 2
    return (
        shape * np.log(rate)
        - gammaln(shape)
        + 2 * (shape + 1) * np.log(factor)
        - rate * np.square(factor)
    )
