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

    def __getitem__(self, draws: Any) -> PassParameters:
        """Some of many points."""
        given = self.log_weights, self.means, self.precision_cholesky
        return PassParameters(self.structure, *(a[draws] for a in given))

    @cached_property
    def center(self) -> Floats:
        """Mean of every mixture, (..., D): what rows are centered at."""
        return (np.exp(self.log_weights)[..., None, :] @ self.means)[..., 0, :]

    def still_near(self, near: NDArray[np.bool_], found: Statistics) -> NDArray[np.bool_]:
        """Which near components (..., K) the spread of their rows leaves so; tied: all or none."""
        spread = self.structure.diagonal(found.second)
        moved = found.sizes[..., None] * np.square(self.means - self.center[..., None, :])
        still = near & ~np.any(spread < kernels.NARROW_ROWS * moved, axis=-1)
        if self.structure.name == "tied":
            still[...] = still.all(axis=-1, keepdims=True)
        return still

    @cached_property
    def stacked(self) -> PassParameters:
        """All points with one axis in front, in the order of their draws."""
        lead = len(self.draws_shape)
        given = self.log_weights, self.means, self.precision_cholesky
        flat = (a.reshape(self.n_draws, *a.shape[lead:]) for a in given)
        return PassParameters(self.structure, *flat)

    def compiled_points(self) -> kernels.Points:
        """All points, in the order of their draws."""
        given = (self.log_weights, self.means, self._kernel_factor)
        lead = len(self.draws_shape)
        # one memory order and writable, so one compiled kernel; copies only where they are not
        own = (np.require(a, float, ["C", "W"]) for a in given)
        return kernels.Points(*(a.reshape(self.n_draws, math.prod(a.shape[lead:])) for a in own))

    def compiled_point(self) -> Any:
        """One point in the type of its kernel, all components near."""
        memory = self.point_memory()
        given = self.log_weights, self.means, self._kernel_factor, self.center, True
        for own, values in zip(memory, given, strict=False):
            own[...] = values
        return memory

    def point_memory(self, *, scatter_known: bool = False) -> Any:
        """Memory for one point at a time."""
        (k, d), factor = self.means.shape[-2:], self._kernel_factor
        own = np.empty(factor.shape[len(self.draws_shape) :])
        memory = np.empty(k), np.empty((k, d)), own, np.empty(d), np.empty(k, np.bool_)
        match self.structure.name:
            case "full":
                return kernels.FullPoint(*memory)
            case "tied":
                return kernels.TiedPoint(*memory, scatter_known)
            case _:
                return kernels.VariancesPoint(*memory)

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
        """Shape of the second moments inside the kernel, at one point."""
        k, d = self.means.shape[-2:]
        shapes = {"full": (k, d, d), "tied": (1, d, d), "diag": (k, d), "spherical": (k, 1)}
        return shapes[self.structure.name]
