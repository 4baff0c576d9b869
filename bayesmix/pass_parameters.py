"""A point, or the points of many draws, as the pass wants them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix import kernels
from bayesmix.covariance import Structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.passes import Statistics

    Floats = NDArray[np.float64]

__all__ = ["PassParameters"]


@dataclass(frozen=True)
class PassParameters:
    """One point as the pass wants it, or the points of many draws, by their axes in front."""

    structure: Structure
    log_weights: Floats
    """Shape (..., K); minus infinity for an empty component."""
    means: Floats
    """Shape (..., K, D)."""
    precision_cholesky: Floats
    """In the structure's shape, behind the same axes."""

    @classmethod
    def from_point(
        cls, structure: Structure, weights: Floats, means: Floats, covariances: Floats
    ) -> PassParameters:
        """Build from weights, means and covariances in the structure's shape."""
        with np.errstate(divide="ignore"):
            log_weights = np.log(weights)
        return cls(structure, log_weights, means, structure.precision_cholesky(covariances))

    def __getitem__(self, draws: slice) -> PassParameters:
        """Some of many points."""
        given = self.log_weights, self.means, self.precision_cholesky
        return PassParameters(self.structure, *(a[draws] for a in given))

    @cached_property
    def center(self) -> Floats:
        """Mean of one mixture: what rows are centered at."""
        return np.exp(self.log_weights) @ self.means

    @cached_property
    def near(self) -> NDArray[np.bool_]:
        """Whether rows about `center` serve a component, (K,); tied: all or none."""
        shift, structure = self.means - self.center, self.structure
        factor = self.precision_cholesky
        lengths = [
            np.square(structure.whiten(shift[k : k + 1], factor, k)).sum()
            for k in range(len(shift))
        ]
        return self._together(np.array(lengths) <= kernels.NEAR**2)

    def still_near(self, found: Statistics) -> NDArray[np.bool_]:
        """Which components are `near` by the spread of their rows, too, (K,)."""
        dense = self.structure.dense(found.second, *self.means.shape)
        spread = np.diagonal(dense, axis1=-2, axis2=-1)
        moved = found.sizes[:, None] * np.square(self.means - self.center)
        return self._together(self.near & ~np.any(spread < kernels.NARROW_ROWS * moved, axis=1))

    def _together(self, near: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.repeat(near.all(), len(near)) if self.structure.name == "tied" else near

    def compiled_point(
        self, near: NDArray[np.bool_] | None = None, *, scatter_known: bool = False
    ) -> Any:
        """One point in the type of its kernel."""
        assert not self.draws_shape, "the points of many draws, where one is expected"
        near = self.near if near is None else near
        given = (self.log_weights, self.means, self._kernel_factor, self.center)
        # copies: one memory order and writable, so one compiled kernel
        weights, means, factor, center = (np.array(a, float, order="C") for a in given)
        return self._point(weights, means, factor, center, np.array(near), scatter_known)

    def compiled_points(self) -> kernels.Points:
        """All points, in the order of their draws."""
        given = (self.log_weights, self.means, self._kernel_factor)
        lead = len(self.draws_shape)
        # one memory order and writable, so one compiled kernel; copies only where they are not
        own = (np.require(a, float, ["C", "W"]) for a in given)
        return kernels.Points(*(a.reshape(self.n_draws, math.prod(a.shape[lead:])) for a in own))

    def point_memory(self) -> Any:
        """Memory for one point at a time."""
        (k, d), factor = self.means.shape[-2:], self._kernel_factor
        own = np.empty(factor.shape[len(self.draws_shape) :])
        memory = np.empty(k), np.empty((k, d)), own, np.empty(d), np.empty(k, np.bool_)
        return self._point(*memory, scatter_known=False)

    def _point(
        self,
        log_weights: Floats,
        means: Floats,
        factor: Floats,
        center: Floats,
        near: NDArray[np.bool_],
        scatter_known: bool,
    ) -> Any:
        given = log_weights, means, factor, center, near
        match self.structure.name:
            case "full":
                return kernels.FullPoint(*given)
            case "tied":
                return kernels.TiedPoint(*given, scatter_known)
            case _:
                return kernels.VariancesPoint(*given)

    @property
    def _kernel_factor(self) -> Floats:
        """The factor in the kernel's shape: without correlation one number per mean."""
        if self.structure.name == "spherical":
            return np.broadcast_to(self.precision_cholesky[..., None], self.means.shape)
        return self.precision_cholesky

    @property
    def draws_shape(self) -> tuple[int, ...]:
        """The axes in front; none for one point."""
        return self.means.shape[:-2]

    @property
    def n_draws(self) -> int:
        """Number of points."""
        return math.prod(self.draws_shape)

    @property
    def second_shape(self) -> tuple[int, ...]:
        """Shape of the second moments inside the kernel."""
        k, d = self.means.shape
        shapes = {"full": (k, d, d), "tied": (1, d, d), "diag": (k, d), "spherical": (k, 1)}
        return shapes[self.structure.name]
