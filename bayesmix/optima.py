"""What a finished start is worth: its status, the winner among many, and advice in words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.covariance import LOG_2PI
from bayesmix.priors import NormalInverseWishart
from bayesmix.weight_prior import log_dirichlet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.problem import Point, Problem

    Floats = NDArray[np.float64]

__all__ = [
    "Fit",
    "Status",
    "advice",
    "best",
    "by_mass",
    "distinct_points",
    "judge",
    "log_mass",
    "min_eigenvalue_ratio",
    "reached",
    "require_finite_reference",
    "verdict",
]


class Status(IntEnum):
    """How a start ended."""

    CONVERGED = 0
    MAX_ITER = 1
    SINGULAR = 2
    SPURIOUS = 3
    NON_FINITE = 4
    UNCONFIRMED = 5


_ADVICE = {
    Status.CONVERGED: "converged",
    Status.MAX_ITER: "not converged: raise max_iter, or loosen tol",
    Status.SINGULAR: (
        "singular: a component collapsed onto too few distinct rows, where the likelihood is "
        "unbounded; give a component prior (fraley_raftery), or use fewer components or a simpler "
        "covariance_type"
    ),
    Status.SPURIOUS: (
        "spurious: a component lives on hardly more rows than its covariance needs, so its peak "
        "is an accident of those rows; give a component prior (fraley_raftery), or use fewer "
        "components or a simpler covariance_type"
    ),
    Status.NON_FINITE: (
        "not finite: the objective overflowed; rescale the columns, or check them for wild values"
    ),
    Status.UNCONFIRMED: (
        "converged, but only one start reached this optimum, so a better one may exist: raise "
        "n_init"
    ),
}
_CONFIRMABLE = 5  # starts from which a lone best one is suspicious
_SINGULAR_RATIO = 1e-8


@dataclass(frozen=True)
class Fit:
    """One start, run to its end."""

    point: Point
    objective: float
    """Of the point: log-likelihood, plus log prior where there is one."""
    log_likelihood: float
    trace: Floats
    """Objective before the first and after every iteration."""
    status: Status
    min_eigenvalue_ratio: float
    """Smallest eigenvalue of a covariance, less ``reg_covar``, relative to all rows' covariance."""
    min_component_size: float
    """Smallest sum of responsibilities."""

    @classmethod
    def singular(cls, start: Point) -> Fit:
        """Record a start whose own covariance is singular: no iteration was possible."""
        nothing = -np.inf
        return cls(start, nothing, nothing, np.array([nothing]), Status.SINGULAR, 0.0, 0.0)

    @property
    def n_iter(self) -> int:
        """Iterations done."""
        return len(self.trace) - 1

    def __repr__(self) -> str:
        status = self.status.name.lower()
        return f"Fit(status={status}, objective={self.objective:.3f}, n_iter={self.n_iter})"


def best(fits: list[Fit], *, tol: float, total: float) -> tuple[int, list[Fit]]:
    """Choose the winner among starts and mark it when it stands alone.

    Fits on a genuine optimum come before singular and spurious ones, whatever their objective.

    Returns
    -------
    index : int
        Of the winner.
    fits : list of Fit
        The same fits, the winner's status UNCONFIRMED if no other start reached it.
    """
    usable = (Status.CONVERGED, Status.MAX_ITER)
    index = max(
        range(len(fits)), key=lambda i: (fits[i].status in usable, _finite(fits[i].objective))
    )
    winner = fits[index]
    alone = len(reached(fits, winner, tol=tol, total=total)) == 1
    if winner.status is Status.CONVERGED and alone and len(fits) >= _CONFIRMABLE:
        fits = [*fits]
        fits[index] = replace(winner, status=Status.UNCONFIRMED)
    return index, fits


def reached(fits: list[Fit], winner: Fit, *, tol: float, total: float) -> list[int]:
    """Find the starts that ended at the winner's optimum."""
    near = max(2 * tol * total, 1e-8 * abs(winner.objective))
    return [i for i, fit in enumerate(fits) if abs(fit.objective - winner.objective) <= near]


def advice(status: Status) -> str:
    """Say in one sentence what a status means and what to do."""
    return _ADVICE[status]


def judge(problem: Problem, fit: Fit) -> Fit:
    """Unmask maximum-likelihood fits that rest on a singularity or on a handful of rows."""
    if problem.prior is not None or fit.status in (Status.SINGULAR, Status.NON_FINITE):
        return fit
    if fit.min_eigenvalue_ratio < _SINGULAR_RATIO:
        return replace(fit, status=Status.SINGULAR)
    rows_needed = problem.structure.rows_needed(problem.x.shape[1])
    if fit.min_component_size * problem.rows_per_weight < rows_needed + 1:
        return replace(fit, status=Status.SPURIOUS)
    return fit


def verdict(fits: list[Fit], winner: Fit, *, tol: float, total: float) -> str:
    """Tell in one sentence how the starts ended."""
    n = len(reached(fits, winner, tol=tol, total=total))
    parts = [f"{n} of {len(fits)} starts reached the best optimum ({winner.objective:.3f})"]
    if winner.status in (Status.SINGULAR, Status.SPURIOUS, Status.NON_FINITE):
        parts = [f"none of {len(fits)} starts reached a genuine optimum"]
    counts = Counter(fit.status for fit in fits)
    words = {
        Status.SINGULAR: "singular",
        Status.SPURIOUS: "spurious",
        Status.MAX_ITER: "not converged",
        Status.NON_FINITE: "not finite",
    }
    parts += [f"{counts[status]} {word}" for status, word in words.items() if counts[status]]
    return "; ".join(parts)


def log_mass(problem: Problem, point: Point) -> float:
    r"""Approximate the log posterior mass around a MAP optimum, up to a constant.

    Laplace's method with the curvature of the complete data: the objective minus the log density,
    at its own mode, of the conditionally conjugate posterior given the responsibilities. A peak of
    the density on a few rows is high but narrow; this is what tells it from one that holds the
    posterior.
    """
    prior, structure = problem.prior, problem.structure
    if prior is None:
        raise ValueError("log_mass: expected a problem with a component prior, got none")
    conjugate = isinstance(prior, NormalInverseWishart)
    found, objective = problem.expect(point)
    k, d = point.means.shape
    factor, sizes = point.parameters.precision_cholesky, found.sizes
    counts = np.broadcast_to(structure.likelihood_count(sizes, d), k)
    rows = sizes + 1 if conjugate else sizes  # a mean's density counts as a row
    divisors = structure.likelihood_count(rows, d) + structure.prior_count(prior.dof, d)
    modes = point.dense_covariances * np.broadcast_to(divisors, k)[:, None, None]
    conditional = log_dirichlet(problem.concentrations + sizes, point.weights)
    shared = structure.name == "tied"
    for j in range(1 if shared else k):
        part = factor if shared else factor[j : j + 1]
        covariances = structure.log_prior_covariances(part, prior.dof + counts[j], modes[j])
        conditional += float(covariances)
    precisions = structure.dense(structure.precisions(point.covariances), k, d)
    if isinstance(prior, NormalInverseWishart):
        precisions = (prior.mean_precision + sizes)[:, None, None] * precisions
    else:
        own = np.linalg.inv(prior.mean_covariance)
        precisions = own + sizes[:, None, None] * precisions
    conditional += 0.5 * float((np.linalg.slogdet(precisions)[1] - d * LOG_2PI).sum())
    return float(objective - conditional)


def distinct_points(fits: list[Fit], decimals: int) -> list[Point]:
    """One point for every finite objective, told apart by so many decimals."""
    usable = [fit for fit in fits if np.isfinite(fit.objective)]
    return [*{round(fit.objective, decimals): fit.point for fit in usable}.values()]


def by_mass(log_masses: list[float], nats: float) -> list[int]:
    """Find the places of masses within so many nats of the largest, the largest first."""
    ranked = sorted(range(len(log_masses)), key=lambda i: -log_masses[i])
    return [i for i in ranked if log_masses[ranked[0]] - log_masses[i] < nats]


def min_eigenvalue_ratio(covariances: Floats, reference: Floats) -> float:
    """Smallest eigenvalue of covariances (K, D, D) relative to a reference (D, D).

    Zero if the reference is singular: the rows do not vary in some direction.

    Raises
    ------
    ValueError
        If the reference is not finite.
    """
    require_finite_reference(reference)
    from scipy.linalg import eigh

    try:
        return min(float(eigh(c, reference, eigvals_only=True)[0]) for c in covariances)
    except np.linalg.LinAlgError:
        return 0.0


def require_finite_reference(covariance: Floats) -> None:
    """Refuse rows whose covariance overflowed, in words about the rows."""
    if not np.all(np.isfinite(covariance)):
        raise ValueError(
            "x: the covariance of the rows overflows; rescale the columns, or check them (rows of "
            "weight 0 too) for wild values"
        )


def _finite(value: float) -> float:
    return value if np.isfinite(value) else -np.inf
