"""Plain EM by each engine: a given start and number of iterations, nothing regularized."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as ScikitLearnMixture

import bayesmix as bm
from tests.benchmarks import THREADS
from tests.benchmarks._harness import peak_growth, seconds
from tests.benchmarks._populations import Start

WARM_ROWS = 20_000
SHORT = 1
"""Iterations of the short fit."""


class Fitted(NamedTuple):
    """Iterations done, and log-likelihoods by the iteration they belong to."""

    n_iter: int
    log_likelihoods: dict[int, float]


@dataclass(frozen=True)
class Engine:
    """One implementation of EM."""

    fit: Callable[[np.ndarray, Start, int], Fitted]
    fewest: int
    """Iterations that are worth timing at the least; one, where they take seconds."""
    covariance_types: tuple[str, ...] = ("full", "tied", "diag", "spherical")
    module: str = "bayesmix"

    @property
    def installed(self) -> bool:
        """Whether its module can be imported."""
        return find_spec(self.module) is not None


def estimator(name: str, x: np.ndarray, start: Start, n_iter: int) -> Any:
    """Fit the estimator of bayesmix or of scikit-learn."""
    kind = {
        "bayesmix": partial(bm.GaussianMixture, accelerate=False),
        "scikit-learn": ScikitLearnMixture,
    }[name]
    model = kind(
        len(start.weights),
        covariance_type=start.covariance_type,
        weights_init=start.weights,
        means_init=start.means,
        precisions_init=start.precisions,
        reg_covar=0.0,
        tol=0.0,
        max_iter=n_iter,
        random_state=1,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # tol = 0: meant not to converge
        return model.fit(x)


def _fit_bayesmix(x: np.ndarray, start: Start, n_iter: int) -> Fitted:
    model = estimator("bayesmix", x, start, n_iter)
    values = [len(x) * value for value in model.lower_bounds_]
    return Fitted(model.n_iter_, dict(enumerate(values, 1)))


def _fit_scikit_learn(x: np.ndarray, start: Start, n_iter: int) -> Fitted:
    """Its bound belongs to the parameters before the last M-step."""
    model = estimator("scikit-learn", x, start, n_iter)
    return Fitted(model.n_iter_, {model.n_iter_ - 1: len(x) * model.lower_bound_})


def _fit_onedal(x: np.ndarray, start: Start, n_iter: int) -> Fitted:
    """Its goal function belongs to the parameters before the last M-step.

    It regularizes only a covariance whose Cholesky factorization fails, which none here does.
    """
    diagonal = start.covariance_type == "diag"
    algorithm = _daal4py().em_gmm(
        len(start.weights),
        maxIterations=n_iter,
        accuracyThreshold=0.0,
        covarianceStorage="diagonal" if diagonal else "full",
    )
    covariances = [np.atleast_2d(each) for each in start.covariances]
    result = algorithm.compute(x, start.weights[None], start.means, covariances)
    done = int(result.nIterations[0, 0])
    return Fitted(done, {done - 1: float(result.goalFunction[0, 0])})


@cache
def _daal4py() -> Any:
    import daal4py

    daal4py.daalinit(THREADS)
    return daal4py


ENGINES = {
    "bayesmix": Engine(_fit_bayesmix, fewest=4),
    "scikit-learn": Engine(_fit_scikit_learn, fewest=1, module="sklearn"),
    "oneDAL": Engine(_fit_onedal, fewest=4, covariance_types=("full", "diag"), module="daal4py"),
}


def engines_for(covariance_type: str) -> dict[str, Engine]:
    """Engines that have this covariance type, installed or not."""
    return {name: e for name, e in ENGINES.items() if covariance_type in e.covariance_types}


def iteration_seconds(fit: Callable[[int], Any], steps: int) -> float:
    """Seconds per iteration, from a fit of `SHORT` iterations and one of so many more."""
    short, one = seconds(partial(fit, SHORT))
    long, many = seconds(partial(fit, SHORT + steps))
    return (long - short) / (many.n_iter - one.n_iter)


def peak_of_fit(
    name: str, path: Path, mmap_mode: Literal["r"] | None, start: Start, n_iter: int
) -> int | None:
    """Extra memory of a fit to rows on disk, after a fit to a few of them."""
    x = np.load(path, mmap_mode=mmap_mode)
    fit = ENGINES[name].fit
    fit(np.array(x[:WARM_ROWS]), start, 1)
    return peak_growth(lambda: fit(x, start, n_iter))
