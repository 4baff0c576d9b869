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

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.kernels import em as kernels
from bayesmix.problem import Point

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.problem import Problem

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

__all__ = ["Coordinates", "nothing_remembered"]

_ORDER = 5  # changes that Anderson's step looks back on


@dataclass(frozen=True)
class Coordinates:
    """Unconstrained coordinates (S, P) of a stack of points, and back."""

    correlated: bool
    size: int
    """P."""
    origin: Floats
    """(D,), with ``unit`` of the data."""
    unit: Floats

    @classmethod
    def of(cls, problem: Problem) -> Coordinates:
        """Those of a problem: means relative to the data's, in standard deviations."""
        moments = problem.data_moments
        unit = np.sqrt(np.diag(problem.reference_covariance))
        return cls(
            problem.structure.correlated,
            problem.n_parameters + 1,  # all weights
            moments.origin + moments.shift,
            np.where(unit > 0, unit, 1),
        )

    def flat(self, point: Point) -> Floats:
        """Coordinates; minus infinity for a component without weight, NaN for a singular one."""
        out = np.empty((len(point.weights), self.size))
        kernels.flatten(*point.laid_flat, self.origin, self.unit, self.correlated, out)
        return out

    def put(self, flat: Floats, where: Flags, point: Point) -> Point:
        """Points, some of them those of coordinates; weights of both are made to sum to one."""
        given, own = (self.origin, self.unit, self.correlated), point.laid_flat
        kernels.unflatten(flat, where, *given, *own)
        shapes = point.weights.shape, point.means.shape, point.covariances.shape
        laid = (a.reshape(shape) for a, shape in zip(own, shapes, strict=True))
        return Point(point.structure, *laid)


def nothing_remembered(count: int, size: int) -> kernels.Memory:
    """Memory of runs that have made no step, with ``size`` coordinates each."""
    return kernels.Memory(
        np.full((count, size), np.nan),
        np.full((count, size), np.nan),
        np.zeros((count, _ORDER, size)),
        np.zeros((count, _ORDER, size)),
        np.zeros(count, np.int64),
        np.full(count, kernels.FIRST_STRETCH),
        np.zeros(count, np.bool_),
    )
