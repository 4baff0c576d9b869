r"""Arithmetic of the covariance structures in PyTensor: what PyMC's models are written in.

A precision's Cholesky factor l is in the structure's shape (`covariance`), :math:`\Sigma^{-1} =
l l^\top`, and rows are standardized by :math:`z = l^\top (x - m)`. With the statistics of the pass
(`passes`), :math:`S_0, S_1, S_2` under weights r, the log density
:math:`\sum_{ik} r_{ik} \log N(x_i \mid m_k, \Sigma_k)` has the gradient

.. math::

    \frac{\partial}{\partial m_k} = l_k l_k^\top S_{1k}, \qquad
    \frac{\partial}{\partial l_k} = S_{0k} \operatorname{diag}(l_k)^{-1} - S_{2k} l_k

on and below the diagonal. Everything is elementwise products and sums, because each further kind
of operation costs seconds of compilation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, final

import numpy as np
import pytensor.tensor as pt

from bayesmix.covariance import LOG_2PI

__all__ = ["Arithmetic", "arithmetic_of"]


class Arithmetic(ABC):
    """One covariance structure for K components and D features."""

    covariance_type: ClassVar[str]
    signature: ClassVar[str]
    """Of the factor, as PyMC's distributions want it."""

    def __init__(self, n_components: int, n_features: int) -> None:
        self.k, self.d = n_components, n_features

    @property
    def factor_shape(self) -> tuple[int, ...]:
        """The structure's shape."""
        sizes = {"k": self.k, "d": self.d}
        return tuple(sizes[axis] for axis in self.signature.strip("()").split(","))

    @abstractmethod
    def whiten(self, delta: Any, factor: Any) -> Any:
        """Standardize delta (..., K, D) by each component."""

    @abstractmethod
    def log_determinant(self, factor: Any) -> Any:
        """Sum of the logarithms of the factor's diagonal, (K,) or a scalar shared by all."""

    @abstractmethod
    def covariances(self, factor: Any) -> Any:
        """Dense covariances (K, D, D)."""

    @abstractmethod
    def times_precision(self, first: Any, factor: Any) -> Any:
        """Precisions times S1 (K, D): the gradient in the means."""

    @abstractmethod
    def factor_gradient(self, sizes: Any, second: Any, factor: Any) -> Any:
        """Gradient in the factor, from S0 (K,) and S2 in the structure's shape."""

    def log_joint(self, x: Any, log_weights: Any, means: Any, factor: Any) -> Any:
        """Log of weight times density of every row under every component, (n, K)."""
        z = self.whiten(x[:, None, :] - means, factor)
        constant = log_weights + self.log_determinant(factor) - 0.5 * self.d * LOG_2PI
        return constant - 0.5 * (z * z).sum(axis=-1)

    def log_density(self, x: Any, log_weights: Any, means: Any, factor: Any) -> Any:
        """Log density of every row under the mixture, (n,)."""
        joint = self.log_joint(x, log_weights, means, factor)
        top = pt.max(joint, axis=-1, keepdims=True)
        return pt.log(pt.exp(joint - top).sum(axis=-1)) + top[:, 0]

    def log_determinants(self, factor: Any) -> Any:
        """Sum over all components."""
        total = self.log_determinant(factor)
        return total.sum() if total.ndim else self.k * total


class _Matrices(Arithmetic):
    """What full and tied share: lower triangular factors."""

    def whiten(self, delta: Any, factor: Any) -> Any:
        return (delta[..., None] * factor).sum(axis=-2)

    def log_determinant(self, factor: Any) -> Any:
        return pt.log(self._diagonal(factor)).sum(axis=-1)

    def times_precision(self, first: Any, factor: Any) -> Any:
        return (self.whiten(first, factor)[..., None, :] * factor).sum(axis=-1)

    def factor_gradient(self, sizes: Any, second: Any, factor: Any) -> Any:
        share = self._shared(sizes)[..., None] / self._diagonal(factor)
        pull = (second[..., None] * factor[..., None, :, :]).sum(axis=-2)
        return share[..., None] * np.eye(self.d) - pull * np.tri(self.d)

    @abstractmethod
    def _shared(self, sizes: Any) -> Any:
        """Rows by the covariance they belong to."""

    def _diagonal(self, factor: Any) -> Any:
        return (factor * np.eye(self.d)).sum(axis=-1)


@final
class _Full(_Matrices):
    covariance_type, signature = "full", "(k,d,d)"

    def covariances(self, factor: Any) -> Any:
        inverse = pt.linalg.inv(factor)
        return inverse.mT @ inverse

    def _shared(self, sizes: Any) -> Any:
        return sizes


@final
class _Tied(_Matrices):
    covariance_type, signature = "tied", "(d,d)"

    def covariances(self, factor: Any) -> Any:
        inverse = pt.linalg.inv(factor)
        return pt.tile((inverse.mT @ inverse)[None], (self.k, 1, 1))

    def _shared(self, sizes: Any) -> Any:
        return sizes.sum()


@final
class _Diag(Arithmetic):
    covariance_type, signature = "diag", "(k,d)"

    def whiten(self, delta: Any, factor: Any) -> Any:
        return delta * factor

    def log_determinant(self, factor: Any) -> Any:
        return pt.log(factor).sum(axis=-1)

    def covariances(self, factor: Any) -> Any:
        return (factor**-2)[..., None] * np.eye(self.d)

    def times_precision(self, first: Any, factor: Any) -> Any:
        return first * factor * factor

    def factor_gradient(self, sizes: Any, second: Any, factor: Any) -> Any:
        return sizes[:, None] / factor - second * factor


@final
class _Spherical(Arithmetic):
    covariance_type, signature = "spherical", "(k)"

    def whiten(self, delta: Any, factor: Any) -> Any:
        return delta * factor[:, None]

    def log_determinant(self, factor: Any) -> Any:
        return self.d * pt.log(factor)

    def covariances(self, factor: Any) -> Any:
        return (factor**-2)[..., None, None] * np.eye(self.d)

    def times_precision(self, first: Any, factor: Any) -> Any:
        return first * (factor * factor)[:, None]

    def factor_gradient(self, sizes: Any, second: Any, factor: Any) -> Any:
        return self.d * sizes / factor - second * factor


_STRUCTURES = {a.covariance_type: a for a in (_Full, _Tied, _Diag, _Spherical)}


def arithmetic_of(covariance_type: str, n_components: int, n_features: int) -> Arithmetic:
    """Look a structure up by its name."""
    return _STRUCTURES[covariance_type](n_components, n_features)
