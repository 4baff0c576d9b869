"""A fitted mixture as a frozen distribution, in the manner of `scipy.stats`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix import passes
from bayesmix.covariance import structure_of
from bayesmix.draws import point_of
from bayesmix.gaussian import move_to_components
from bayesmix.inputs import generator_of_random_state
from bayesmix.pass_parameters import PassParameters
from bayesmix.schema import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["FrozenMixture", "frozen"]


@dataclass(frozen=True, eq=False)
class FrozenMixture:
    """The distribution of one row under a mixture with fixed parameters; made by `frozen`.

    Its methods take and return the shapes of a frozen `scipy.stats.multivariate_normal`. Unlike
    there, values of another width than D are refused, never broadcast.
    """

    weights: Floats
    """Shape (K,)."""
    means: Floats
    """Shape (K, D)."""
    covariances: Floats
    """Dense, shape (K, D, D)."""

    @property
    def dim(self) -> int:
        """Number of features D."""
        return self.means.shape[1]

    @property
    def mean(self) -> Floats:
        """Mean of the mixture, (D,)."""
        return self.weights @ self.means

    @property
    def cov(self) -> Floats:
        """Covariance of the mixture, (D, D): within the components and between them."""
        delta = self.means - self.mean
        within = np.einsum("k,kij->ij", self.weights, self.covariances)
        return within + (self.weights[:, None] * delta).T @ delta

    def marginal(self, features: Sequence[int]) -> FrozenMixture:
        """Distribution of some features alone, by their places; in the order given.

        Raises
        ------
        ValueError
            If there is no place, one comes twice, or one is not among 0, ..., D - 1.

        Examples
        --------
        >>> import bayesmix as bm
        >>> x = bm.datasets.load("faithful")
        >>> whole = bm.frozen(bm.GaussianMixture(2, random_state=1).fit(x))
        >>> whole.marginal([1]).mean.round(2)
        array([70.9])
        """
        at = _places(features, self.dim)
        covariances = self.covariances[:, at][..., at]
        return FrozenMixture(self.weights, self.means[:, at], covariances)

    def logpdf(self, x: ArrayLike) -> Any:
        """Log density, in nats, at points x (..., D); one dimension is one point, or n if D = 1.

        Returns
        -------
        float or ndarray
            Shape (...), without the dimensions of length one.

        Raises
        ------
        ValueError
            If the last dimension of x is not D.
        """
        points = self._points(x)
        rows = np.ascontiguousarray(points.reshape(-1, self.dim))
        with np.errstate(over="ignore", invalid="ignore"):
            density = passes.log_density(rows, self._parameters)
        # Points at infinity, or so far out that their squares are.
        beyond = np.isnan(density) & ~np.isnan(rows).any(axis=1)
        return _squeezed(np.where(beyond, -np.inf, density).reshape(points.shape[:-1]))

    def pdf(self, x: ArrayLike) -> Any:
        """Density at points x (..., D), per unit of volume of the data; shapes as `logpdf`."""
        return np.exp(self.logpdf(x))

    def rvs(self, size: int | tuple[int, ...] | None = 1, random_state: Any = None) -> Any:
        """Draw independent points: the components come in random order.

        Parameters
        ----------
        size : int or tuple of int, default 1
        random_state : int, SeedSequence, Generator or RandomState, optional

        Returns
        -------
        float or ndarray
            Shape (size, D), without the dimensions of length one.
        """
        generator = generator_of_random_state(random_state)
        shape = () if size is None else tuple(np.atleast_1d(size))
        label = generator.choice(len(self.weights), size=shape, p=self.weights)
        out = generator.standard_normal((*shape, self.dim))
        move_to_components(out, label, self.means, np.linalg.cholesky(self.covariances))
        return _squeezed(out)

    @cached_property
    def _parameters(self) -> PassParameters:
        return PassParameters.from_point(
            structure_of("full"), self.weights, self.means, self.covariances
        )

    def _points(self, x: ArrayLike) -> Floats:
        points = np.asarray(x, dtype=float)
        if points.ndim < 2:
            points = points.reshape((-1, 1) if self.dim == 1 else (1, -1))
        if points.shape[-1] != self.dim:
            raise ValueError(
                f"x: expected points of {self.dim} feature(s) along the last dimension, got shape "
                f"{np.shape(x)}"
            )
        return points


def frozen(point: Any) -> FrozenMixture:
    """View any fitted mixture as a frozen distribution, as `scipy.stats` has them.

    Parameters
    ----------
    point : GaussianMixture or DataTree
        A fitted estimator (ours or scikit-learn's), or a tree with the group ``point_estimate``.

    Returns
    -------
    FrozenMixture
        With ``pdf``, ``logpdf``, ``rvs``, ``mean`` and ``cov``.

    Raises
    ------
    ValueError
        If the point is neither, or not fitted.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> density = bm.frozen(bm.GaussianMixture(2, random_state=1).fit(x))
    >>> density.mean.round(2), density.pdf([2.0, 50.0]).round(4)
    (array([ 3.49, 70.9 ]), np.float64(0.0286))
    >>> density.rvs(3, random_state=1).shape
    (3, 2)
    """
    dataset = point_of(point)
    weights, means, covariances = (
        np.asarray(dataset[name].values, dtype=float) for name in PARAMETERS
    )
    return FrozenMixture(weights / weights.sum(), means, covariances)


def _places(features: Any, dim: int) -> list[int]:
    """Different places of features, or a ValueError."""
    given = list(features) if np.ndim(features) == 1 else []
    whole = all(isinstance(j, (int, np.integer)) and not isinstance(j, bool) for j in given)
    at = [int(j) for j in given] if whole else []
    if not at or len(set(at)) < len(at) or not 0 <= min(at) <= max(at) < dim:
        raise ValueError(
            f"features: expected different places among 0 to {dim - 1}, got "
            f"{' '.join(repr(features).split())}; give them as a list, such as [0]"
        )
    return at


def _squeezed(values: Floats) -> Any:
    """Drop dimensions of length one; a single number becomes a scalar."""
    return values.squeeze()[()]
