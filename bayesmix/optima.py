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

    from bayesmix.passes import Statistics
    from bayesmix.problem import Point, Problem

    Floats = NDArray[np.float64]

__all__ = [
    "Fit",
    "Status",
    "advice",
    "best",
    "by_mass",
    "close",
    "distinct",
    "distinct_points",
    "doubted",
    "eigenvalue_ratios",
    "finished",
    "log_mass",
    "ranked",
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
    GIVEN_UP = 6
    """Ended early as hopeless, see `ascent.ascend`: only within a search."""


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
    Status.GIVEN_UP: "given up: it was on its way to an optimum below one that is known",
}
_CONFIRMABLE = 5  # starts from which a lone best one is suspicious
_SINGULAR_RATIO = 1e-8
_NEEDLE_RATIO = 1e-3  # of a component's least variance to that of all components together
_PENALTY = 0.1  # more would rank genuine small clusters below others
_TINY = 1e-300


@dataclass(frozen=True, eq=False)
class Fit:
    """One start, run to its end."""

    point: Point
    objective: float
    """Of the point: log-likelihood, plus log prior where there is one."""
    log_likelihood: float
    trace: Floats
    """Objective before the first and after every pass: the best so far."""
    status: Status
    min_eigenvalue_ratio: float
    """Smallest eigenvalue of a covariance, less ``reg_covar``, relative to all rows' covariance."""
    min_component_size: float
    """Smallest sum of responsibilities."""
    penalized: float
    """What fits are ranked by, see `finished`."""

    @classmethod
    def singular(cls, start: Point) -> Fit:
        """Record a start whose own covariance is singular: no iteration was possible."""
        nothing = -np.inf
        return cls(start, nothing, nothing, np.array([nothing]), Status.SINGULAR, 0.0, 0.0, nothing)

    @property
    def begun(self) -> bool:
        """Whether an iteration was possible, see `singular`."""
        return not (self.status is Status.SINGULAR and self.objective == -np.inf)

    @property
    def usable(self) -> bool:
        """Whether it is on its way to, or at, a genuine optimum."""
        return self.status in (Status.CONVERGED, Status.MAX_ITER, Status.UNCONFIRMED)

    @property
    def advice(self) -> str:
        """What its status means and what to do."""
        return advice(self.status)

    @property
    def n_iter(self) -> int:
        """Iterations done."""
        return len(self.trace) - 1

    def __repr__(self) -> str:
        status = self.status.name.lower()
        return f"Fit(status={status}, objective={self.objective:.3f}, n_iter={self.n_iter})"


def finished(
    problem: Problem,
    point: Point,
    found: Statistics,
    objective: float,
    trace: list[float],
    status: Status,
) -> Fit:
    r"""Take stock of a run that has ended, and unmask what rests on a singularity or a few rows.

    Fits are ranked by the penalized objective: without a prior

    .. math::

        \ell - \frac{1}{10n} \sum_k \left( \operatorname{tr} S \Sigma_k^{-1}
        - \log |S \Sigma_k^{-1}| - D \right),

    S the covariance of all rows in the structure at hand, the sum over components of few rows: less
    than twice as many and one as their covariance needs. One of usual width costs next to nothing,
    one that has collapsed more than the peak of its density is worth.

    References
    ----------
    J. Chen and X. Tan, "Inference for Multivariate Normal Mixtures", JMVA 100, 2009.
    """
    bare, few = problem.without_ridge(point), _have_few_rows(problem, found.sizes)
    ratios = eigenvalue_ratios(bare, problem.reference_covariance)
    penalty = 0.0
    if problem.prior is None and ratios.any():
        own = np.maximum(ratios[few], _TINY)
        unit = max(1.0, problem.rows_per_weight)  # weights may be shares of rows
        share = 1 / problem.total / unit / unit
        penalty = _PENALTY * float((1 / own + np.log(own) - 1).sum()) * share
    fit = Fit(
        point=point,
        objective=objective,
        log_likelihood=float(found.log_likelihood),
        trace=np.array(trace),
        status=status,
        min_eigenvalue_ratio=float(ratios.min()),
        min_component_size=float(found.sizes.min()),
        penalized=_finite(objective) - penalty,
    )
    if problem.prior is not None or status in (Status.SINGULAR, Status.NON_FINITE):
        return fit
    if fit.min_eigenvalue_ratio < _SINGULAR_RATIO:
        return replace(fit, status=Status.SINGULAR)
    if few.any() and _is_spurious(problem, bare, found.sizes, few):
        return replace(fit, status=Status.SPURIOUS)
    return fit


def _is_spurious(
    problem: Problem, covariances: Floats, sizes: Floats, few: NDArray[np.bool_]
) -> bool:
    """Whether a component has too few rows, or ``few`` and is a needle among all of them."""
    needed = problem.structure.rows_needed(covariances.shape[-1])
    rows = sizes * problem.rows_per_weight
    pooled = np.einsum("k,kij->ij", sizes / sizes.sum(), covariances)
    needle = eigenvalue_ratios(covariances[few], pooled).min(axis=1) < _NEEDLE_RATIO
    return bool(np.any(rows < needed + 0.5) or np.any(needle))


def _have_few_rows(problem: Problem, sizes: Floats) -> NDArray[np.bool_]:
    """Which components have hardly more rows than a covariance of their own needs, (K,)."""
    needed = problem.structure.rows_needed(problem.x.shape[1])
    return (sizes * problem.rows_per_weight < 2 * needed + 1) & (needed > 0)


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
    index = max(range(len(fits)), key=lambda i: _rank(fits[i]))
    winner = fits[index]
    n_reached = len(reached(fits, winner, tol=tol, total=total))
    fits = [*fits]
    fits[index] = doubted(winner, n_reached, len(fits))
    return index, fits


def doubted(winner: Fit, n_reached: int, n_starts: int) -> Fit:
    """The winner, UNCONFIRMED if of so many starts it is the only one that ended there."""
    lone = n_reached == 1 and n_starts >= _CONFIRMABLE
    if lone and winner.status is Status.CONVERGED:
        return replace(winner, status=Status.UNCONFIRMED)
    return winner


def reached(fits: list[Fit], winner: Fit, *, tol: float, total: float) -> list[int]:
    """Find the starts that ended at the winner's optimum."""
    near = max(2 * tol * total, 1e-8 * abs(winner.objective))
    return [i for i, fit in enumerate(fits) if abs(fit.objective - winner.objective) <= near]


def advice(status: Status) -> str:
    """Say in one sentence what a status means and what to do."""
    return _ADVICE[status]


def verdict(problem: Problem, fits: list[Fit], winner: Fit, n_reached: int, where: str = "") -> str:
    """Tell in one sentence how the starts ended, ``where`` if that was not on all rows."""
    name = "log-likelihood" if problem.prior is None else "log posterior"
    objective = f"({name} {winner.objective:,.3f})"
    parts = [f"{n_reached} of {len(fits)} starts reached the best optimum{where} {objective}"]
    if winner.status in (Status.SINGULAR, Status.SPURIOUS, Status.NON_FINITE):
        parts = [f"none of {len(fits)} starts reached a genuine optimum{where}"]
    counts = Counter(fit.status for fit in fits)
    words = {
        Status.SINGULAR: "singular",
        Status.SPURIOUS: "spurious",
        Status.MAX_ITER: "not converged",
        Status.NON_FINITE: "not finite",
    }
    for status, word in words.items():
        if counts[status]:
            parts.append(f"{counts[status]} {'was' if counts[status] == 1 else 'were'} {word}")
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


def ranked(fits: list[Fit]) -> list[Fit]:
    """Fits, the best first: genuine optima before all others, then by the penalized objective."""
    return sorted(fits, key=_rank, reverse=True)


def close(fits: list[Fit], nats: float) -> list[Fit]:
    """The best of the fits that have begun, and all within so many nats of it, the best first."""
    begun = ranked([fit for fit in fits if fit.begun])
    others = [fit for fit in begun[1:] if fit.objective > begun[0].objective - nats]
    return begun[:1] + others


def distinct(fits: list[Fit], *, tol: float, total: float) -> list[Fit]:
    """One fit for every optimum reached, the best first."""
    found: list[Fit] = []
    for fit in ranked(fits):
        if fit.usable and not reached(found, fit, tol=tol, total=total):
            found.append(fit)
    return found or ranked(fits)[:1]


def distinct_points(fits: list[Fit], decimals: int) -> list[Point]:
    """One point for every finite objective, told apart by so many decimals."""
    usable = [fit for fit in fits if np.isfinite(fit.objective)]
    return [*{round(fit.objective, decimals): fit.point for fit in usable}.values()]


def by_mass(log_masses: list[float], nats: float) -> list[int]:
    """Find the places of masses within so many nats of the largest, the largest first."""
    ranked = sorted(range(len(log_masses)), key=lambda i: -log_masses[i])
    return [i for i in ranked if log_masses[ranked[0]] - log_masses[i] < nats]


def eigenvalue_ratios(covariances: Floats, reference: Floats) -> Floats:
    """Eigenvalues of covariances (K, D, D) relative to a reference (D, D), ascending, (K, D).

    Zero if the reference is singular: the rows do not vary in some direction.

    Raises
    ------
    ValueError
        If the reference is not finite.
    """
    require_finite_reference(reference)
    try:
        root = np.linalg.cholesky(reference)
        white = np.linalg.solve(root, covariances)
        return np.linalg.eigvalsh(np.linalg.solve(root, np.swapaxes(white, -1, -2)))
    except np.linalg.LinAlgError:
        return np.zeros(covariances.shape[:-1])


def require_finite_reference(covariance: Floats) -> None:
    """Refuse rows whose covariance overflowed, in words about the rows."""
    if not np.all(np.isfinite(covariance)):
        raise ValueError(
            "x: the covariance of the rows overflows; rescale the columns, or check them (rows of "
            "weight 0 too) for wild values"
        )


def _finite(value: float) -> float:
    return value if np.isfinite(value) else -np.inf


def _rank(fit: Fit) -> tuple[bool, float]:
    return fit.usable, _finite(fit.penalized)
