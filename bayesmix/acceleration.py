r"""Longer steps than EM's own where it crawls, many runs side by side.

In unconstrained coordinates u (log weights, means and covariance factors in units of the data) a
step of EM is :math:`u + r`. Two longer ones are proposed:

- Anderson's (1965): with :math:`\Delta U` and :math:`\Delta R` the last changes of u and r,
  :math:`u + r - (\Delta U + \Delta R)\gamma`, where :math:`\gamma` minimizes
  :math:`\lVert r - \Delta R\gamma \rVert`. It aims at a fixed point, be it a maximum or a saddle.
- Away from a saddle, where the last residual grew along the last step, :math:`u + t r` with t
  doubled as long as that climbs.

Whether a proposal is taken is for the objective to decide, see `ascent`.

References
----------
D. G. Anderson, "Iterative Procedures for Nonlinear Integral Equations", JACM 12, 1965.

N. C. Henderson and R. Varadhan, "Damped Anderson Acceleration with Restarts and Monotonicity
Control for Accelerating EM and EM-like Algorithms", JCGS 28, 2019.

R. Salakhutdinov and S. Roweis, "Adaptive Overrelaxed Bound Optimization Methods", ICML 2003.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.problem import Point

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.covariance import Structure
    from bayesmix.problem import Problem

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

__all__ = ["Accelerator", "Coordinates"]

_ORDER = 5  # changes that Anderson's step looks back on
_RIDGE = 1e-10  # of the least squares, changes of r at unit length
_FIRST_STRETCH = 2.0


@dataclass(frozen=True)
class Coordinates:
    """Unconstrained coordinates (S, P) of a stack of points, and back."""

    structure: Structure
    n_components: int
    origin: Floats
    """(D,), with ``unit`` of the data."""
    unit: Floats

    @classmethod
    def of(cls, problem: Problem) -> Coordinates:
        """Those of a problem: means relative to the data's, in standard deviations."""
        moments = problem.data_moments
        unit = np.sqrt(np.diag(problem.reference_covariance))
        unit = np.where(unit > 0, unit, 1)
        return cls(problem.structure, problem.n_components, moments.origin + moments.shift, unit)

    def flat(self, point: Point) -> Floats:
        """Coordinates; minus infinity for a component without weight, NaN for a singular one."""
        with np.errstate(divide="ignore"):
            log_weights = np.log(point.weights)
        means = (point.means - self.origin) / self.unit
        if not self.structure.correlated:
            with np.errstate(invalid="ignore", divide="ignore"):
                parts = [log_weights, means, 0.5 * np.log(point.covariances)]
        else:
            factor = _factor(point.covariances) / self.unit[:, None]
            diagonal, (i, j) = np.diagonal(factor, axis1=-2, axis2=-1), self._below
            parts = [log_weights, means, np.log(diagonal), factor[..., i, j]]
        return np.concatenate(
            [part.reshape(len(means), math.prod(part.shape[1:])) for part in parts], axis=1
        )

    def normalized(self, flat: Floats) -> Floats:
        """The same with weights that sum to one."""
        k = self.n_components
        with np.errstate(invalid="ignore", over="ignore"):
            most = flat[:, :k].max(axis=1, keepdims=True)
            total = most + np.log(np.exp(flat[:, :k] - most).sum(axis=1, keepdims=True))
            return np.concatenate([flat[:, :k] - total, flat[:, k:]], axis=1)

    def point(self, flat: Floats) -> Point:
        """The points of normalized coordinates."""
        s, k, d = len(flat), self.n_components, len(self.unit)
        weights = np.exp(flat[:, :k])
        means = self.origin + flat[:, k : k + k * d].reshape(s, k, d) * self.unit
        rest = flat[:, k + k * d :]
        if self.structure.correlated:
            covariances = self._covariances(rest)
        else:
            covariances = np.exp(2 * rest)
            if self.structure.name == "diag":
                covariances = covariances.reshape(s, k, d)
        return Point(
            self.structure, weights / weights.sum(axis=1, keepdims=True), means, covariances
        )

    def _covariances(self, flat: Floats) -> Floats:
        s, d = len(flat), len(self.unit)
        shape = (s,) if self.structure.name == "tied" else (s, self.n_components)
        size = d * math.prod(shape[1:])
        factor = np.zeros((*shape, d, d))
        factor[..., np.arange(d), np.arange(d)] = np.exp(flat[:, :size]).reshape(*shape, d)
        i, j = self._below
        factor[..., i, j] = flat[:, size:].reshape(*shape, len(i))
        factor *= self.unit[:, None]
        covariances: Floats = factor @ np.swapaxes(factor, -1, -2)
        return covariances

    @cached_property
    def _below(self) -> tuple[NDArray[np.intp], ...]:
        """Places below the diagonal."""
        return np.tril_indices(len(self.unit), -1)


@dataclass(frozen=True)
class Accelerator:
    """What S runs remember of their last steps."""

    flat: Floats
    """Where they are, (S, P), and EM's step there; NaN before the first."""
    residual: Floats
    flat_changes: Floats
    """(S, m, P), the latest last; zeros where there are none."""
    residual_changes: Floats
    stretch: Floats
    """Factor t of the next stretched step, (S,)."""
    leaving: Flags
    """Whether a run leaves a saddle, (S,)."""

    @classmethod
    def at(cls, count: int, size: int) -> Accelerator:
        """Nothing remembered."""
        nothing = np.full((count, size), np.nan)
        changes = np.zeros((count, _ORDER, size))
        return cls(
            nothing,
            nothing,
            changes,
            changes,
            np.full(count, _FIRST_STRETCH),
            np.zeros(count, np.bool_),
        )

    def __getitem__(self, runs: Any) -> Accelerator:
        """Some of the runs."""
        return Accelerator(**{name: value[runs] for name, value in vars(self).items()})

    def arrived(self, flat: Floats, residual: Floats) -> Accelerator:
        """Remember the step to ``flat`` (S, P), where EM would go on by ``residual``."""
        with np.errstate(invalid="ignore"):
            change, residual_change = flat - self.flat, residual - self.residual
        known = np.isfinite(change).all(axis=1) & np.isfinite(residual_change).all(axis=1)
        change = np.where(known[:, None], change, 0)
        residual_change = np.where(known[:, None], residual_change, 0)
        along = np.einsum("sp,sp->s", change, residual_change)
        return replace(
            self,
            flat=flat,
            residual=residual,
            flat_changes=np.concatenate([self.flat_changes[:, 1:], change[:, None]], axis=1),
            residual_changes=np.concatenate(
                [self.residual_changes[:, 1:], residual_change[:, None]], axis=1
            ),
            leaving=self.leaving | (along > 0),
        )

    def proposal(self) -> Floats:
        """Where to go from here, (S, P); what is not finite is nowhere to go."""
        with np.errstate(invalid="ignore", over="ignore"):
            stretched = self.flat + self.stretch[:, None] * self.residual
            return np.where(self.leaving[:, None], stretched, self._anderson())

    def judged(self, taken: Flags, refused: Flags) -> Accelerator:
        """Learn which runs took their proposal, and which refused it, (S,) each."""
        stretch = np.where(taken & self.leaving, 2 * self.stretch, self.stretch)
        if not refused.any():
            return replace(self, stretch=stretch)
        stretched = refused & self.leaving
        forget = refused[:, None, None] * np.ones((_ORDER, 1), np.bool_)
        forget[refused & ~self.leaving, -1] = False
        return replace(
            self,
            flat_changes=np.where(forget, 0, self.flat_changes),
            residual_changes=np.where(forget, 0, self.residual_changes),
            stretch=np.where(stretched, np.maximum(self.stretch / 4, _FIRST_STRETCH), stretch),
            leaving=self.leaving ^ refused,
        )

    def _anderson(self) -> Floats:
        length = np.linalg.norm(self.residual_changes, axis=2, keepdims=True)
        length = np.where(length > 0, length, 1)
        changes, both = self.residual_changes / length, self.flat_changes + self.residual_changes
        gram = changes @ np.swapaxes(changes, 1, 2) + _RIDGE * np.eye(_ORDER)
        gamma = np.linalg.solve(gram, changes @ self.residual[..., None]) / length
        step: Floats = self.residual - (np.swapaxes(both, 1, 2) @ gamma)[..., 0]
        return self.flat + step


def _factor(covariances: Floats) -> Floats:
    """Cholesky factors of a stack of covariances, NaN for what has none."""
    try:
        return np.linalg.cholesky(covariances)
    except np.linalg.LinAlgError:
        if covariances.ndim == 2:
            return np.full_like(covariances, np.nan)
        return np.stack([_factor(one) for one in covariances])
