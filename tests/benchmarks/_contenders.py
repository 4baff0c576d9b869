"""Whole fits by the defaults of bayesmix and of scikit-learn, and one judge of where they end."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as ScikitLearnMixture

import bayesmix as bm
from bayesmix.ascent import run
from bayesmix.covariance import structure_of
from bayesmix.inputs import as_table
from bayesmix.optima import Fit, Status, finished
from bayesmix.problem import Point, Problem, problem_of
from tests.benchmarks._engines import ENGINES
from tests.benchmarks._harness import seconds

CONTENDERS = OURS, SCIKIT_LEARN = tuple(ENGINES)[:2]
CONTINUED = "scikit-learn, continued"
"""EM of ours from where scikit-learn stopped: what its starts are worth."""
REG_COVAR = 1e-6
"""Default of both."""


@dataclass(frozen=True)
class End:
    """Where a fit ended: log-likelihood per row of the parameters that it returned."""

    log_likelihood: float
    genuine: bool
    """Whether it rests on more than a few rows, see `bayesmix.optima.finished`."""

    @property
    def worth(self) -> float:
        """Log-likelihood per row, nothing where it is no optimum of the problem."""
        return self.log_likelihood if self.genuine else -np.inf


def default_fit(
    name: str, x: np.ndarray, k: int, seed: int, **options: Any
) -> tuple[float, ScikitLearnMixture | bm.GaussianMixture]:
    """Seconds of a fit by default, and the estimator."""
    kind = {OURS: bm.GaussianMixture, SCIKIT_LEARN: ScikitLearnMixture}[name]
    return seconds(partial(_without_warning, kind(k, random_state=seed, **options).fit, x))


def warm_up(x: np.ndarray, k: int) -> None:
    """Fit both once: ours compiles, scikit-learn starts its threads."""
    for name in CONTENDERS:
        default_fit(name, x, k, seed=0)


def _without_warning[T](fit: Callable[[np.ndarray], T], x: np.ndarray) -> T:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the judge sees for itself
        return fit(x)


def maximum_likelihood(
    x: np.ndarray, k: int, covariance_type: Any = "full", *, reg_covar: float = REG_COVAR
) -> Problem:
    """State what all maximize, as the judge wants it."""
    mixture = bm.Mixture(bm.Dirichlet(k), covariance_type=covariance_type)
    return problem_of(mixture, as_table(x), reg_covar=reg_covar)


def end_of(problem: Problem, model: Any) -> End:
    """Judge the parameters of a fitted estimator."""
    point = _point(model)
    found, objective = problem.expect(point)
    return _end(problem, finished(problem, point, found, objective, [objective], Status.CONVERGED))


def continued(problem: Problem, model: Any) -> End:
    """Judge where EM of ours leads from the parameters of a fitted estimator."""
    start = _point(model)
    return _end(problem, run(problem, start, max_iter=1000, tol=1e-6, accelerate=True))


def _point(model: Any) -> Point:
    structure = structure_of(model.covariance_type)
    return Point(structure, model.weights_, model.means_, model.covariances_)


def _end(problem: Problem, fit: Fit) -> End:
    genuine = fit.status in (Status.CONVERGED, Status.MAX_ITER)
    return End(float(fit.objective) / problem.total, genuine)
