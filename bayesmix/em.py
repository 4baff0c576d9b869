r"""Expectation-maximization: the point that maximizes the likelihood, or the posterior.

One pass per iteration gives the objective at the current point and the statistics of the next;
so the objective reported is always that of the parameters returned.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.covariance import STRUCTURES
from bayesmix.inputs import as_generator, as_weights, require_count, require_nonnegative
from bayesmix.optima import Fit, Status, advice, best, judge, min_eigenvalue_ratio, verdict
from bayesmix.passes import Statistics
from bayesmix.problem import Point, Problem, problem_of
from bayesmix.rows import as_rows
from bayesmix.starts import InitParams, sample_rows, start_responsibilities

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from xarray import DataTree

    from bayesmix.inputs import RandomSeed
    from bayesmix.mixture import Mixture

    Floats = NDArray[np.float64]

__all__ = [
    "SINGULAR_START",
    "fit_em",
    "random_start",
    "run",
    "sampled",
    "search",
    "start_point",
    "warn_of",
]

SINGULAR_START = (
    "x: every start is singular, because columns determine each other or there are fewer distinct "
    "rows than the {} components; drop columns, use fewer components, or give a component prior"
)


def random_start(
    problem: Problem, init_params: InitParams, generator: np.random.Generator
) -> Point:
    """Draw a start from a problem that holds its rows in memory, see `sampled`."""
    assert isinstance(problem.x, np.ndarray)
    resp = start_responsibilities(
        init_params, problem.x, problem.n_components, generator, problem.sample_weight
    )
    return start_point(problem, resp)


def sampled(problem: Problem, generator: np.random.Generator) -> Problem:
    """The same problem on the rows that starts are looked for in, an array."""
    x, weight = sample_rows(problem.x, problem.n_components, generator, problem.sample_weight)
    return replace(problem, x=x, sample_weight=weight)


def start_point(problem: Problem, resp: Floats) -> Point:
    """Build a start from responsibilities (n, K): their means, one pooled covariance for all."""
    tied = STRUCTURES["tied"]
    assert isinstance(problem.x, np.ndarray)  # see `sampled`
    mean = np.average(problem.x, axis=0, weights=problem.sample_weight)
    delta = problem.x - mean
    weight = resp if problem.sample_weight is None else resp * problem.sample_weight[:, None]
    scatter = tied.scatter(delta[None], weight.sum(axis=1)[None])
    found = Statistics(np.nan, weight.sum(axis=0), weight.T @ delta, scatter)
    center = np.repeat(mean[None], problem.n_components, axis=0)
    point = replace(problem, structure=tied).maximize(center, found)
    covariance = point.covariances
    try:
        np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:  # no spread within the groups of the start
        covariance = tied.ridge(problem.data_moments.covariance, problem.reg_covar)
    average = problem.structure.average(covariance, problem.n_components)
    return replace(point, structure=problem.structure, covariances=average)


def run(problem: Problem, start: Point, *, max_iter: int, tol: float) -> Fit:
    """Iterate from one start until what is left to gain is below ``tol`` per row.

    Parameters
    ----------
    problem : Problem
    start : Point
    max_iter : int
    tol : float
        Against Aitken's estimate of the objective still to be gained, divided by the number of
        rows.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a covariance of the start itself is singular.
    """
    point = start
    found, objective = problem.expect(point)
    trace = [objective]
    status = Status.MAX_ITER if np.isfinite(objective) else Status.NON_FINITE
    while status is Status.MAX_ITER and len(trace) <= max_iter:
        try:
            proposal = problem.maximize(point.means, found, point.covariances)
            new_found, objective = problem.expect(proposal)
        except np.linalg.LinAlgError:
            status = Status.SINGULAR
            break
        if not np.isfinite(objective):
            status = Status.NON_FINITE
            break
        point, found = proposal, new_found
        trace.append(objective)
        if _converged(trace, problem.total, tol):
            status = Status.CONVERGED
    fit = Fit(
        point=point,
        objective=trace[-1],
        log_likelihood=found.log_likelihood,
        trace=np.asarray(trace),
        status=status,
        min_eigenvalue_ratio=min_eigenvalue_ratio(
            problem.without_ridge(point), problem.reference_covariance
        ),
        min_component_size=float(found.sizes.min()),
    )
    return judge(problem, fit)


def search(
    problem: Problem,
    generator: np.random.Generator,
    *,
    init_params: InitParams,
    n_init: int,
    max_iter: int,
    tol: float,
) -> tuple[int, list[Fit]]:
    """Run EM from several random starts.

    Returns
    -------
    index : int
        Of the winner, see `optima.best`.
    fits : list of Fit
        One per start.

    Raises
    ------
    ValueError
        If no start has a covariance of full rank.
    """
    fits = []
    children = generator.spawn(n_init)
    sample = sampled(problem, generator)
    for child in children:
        try:
            start = random_start(sample, init_params, child)
        except np.linalg.LinAlgError:  # too few distinct rows for a start at all
            continue
        try:
            fits.append(run(problem, start, max_iter=max_iter, tol=tol))
        except np.linalg.LinAlgError:
            fits.append(Fit.singular(start))
    if all(fit.status is Status.SINGULAR and fit.objective == -np.inf for fit in fits):
        raise ValueError(SINGULAR_START.format(problem.n_components))
    return best(fits, tol=tol, total=problem.total)


def fit_em(
    mixture: Mixture,
    x: Any,
    *,
    n_init: int = 10,
    max_iter: int = 1000,
    tol: float = 1e-6,
    random_seed: RandomSeed = None,
    sample_weight: ArrayLike | None = None,
) -> DataTree:
    r"""Fit a mixture by EM: maximum likelihood, or the posterior mode where it has a prior.

    Parameters
    ----------
    mixture : Mixture
        Without a component prior the likelihood is maximized, else the posterior density in the
        measure of ``docs/notation.md``.
    x : (n, D) array_like or DataFrame, chunks of rows, or a Dask array or DataFrame
        The data, used as they are: nothing is scaled or dropped. A memory-mapped array stays on
        disk. A callable that returns an iterator of chunks, or a list of chunks, is read anew for
        every iteration. Dask's workers read their own partitions; with a distributed client those
        are persisted on the cluster for the time of the fit.
    n_init : int, default 10
        Number of starts, seeded by squared distance after whitening.
    max_iter : int, default 1000
        Iterations per start.
    tol : float, default 1e-6
        A start has converged when Aitken's estimate of the gain still to come is below this, per
        row.
    random_seed : int, SeedSequence or Generator, optional
    sample_weight : (n,) array_like, optional
        A weight of 2 is the row twice.

    Returns
    -------
    xarray.DataTree
        Groups ``point_estimate``, ``optimization`` (one entry per start) and, unless x is chunks
        or Dask's, ``observed_data``; see ``docs/notation.md``. Components are ordered by their
        means, first feature first, where the prior allows.

    Raises
    ------
    ValueError
        If the mixture has no usable mode, the data cannot carry the fit, or an argument is out
        of range.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        If the best start did not converge to a genuine, confirmed optimum; says what to do.

    References
    ----------
    A. P. Dempster, N. M. Laird and D. B. Rubin, "Maximum Likelihood from Incomplete Data via the
    EM Algorithm", JRSS B 39, 1977.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> em = bm.fit_em(bm.Mixture(bm.Dirichlet(2)), x, random_seed=1)
    >>> em.point_estimate["weights"].values.round(3)
    array([0.356, 0.644])
    """
    from bayesmix.point_tree import optimization, point_estimate
    from bayesmix.schema import observed_data, root

    started = time.perf_counter()
    require_count(n_init, "n_init")
    require_count(max_iter, "max_iter")
    require_nonnegative(tol, "tol")
    table = as_rows(x)
    problem = problem_of(mixture, table, as_weights(sample_weight, table.values.shape[0]))
    index, fits = search(
        problem,
        as_generator(random_seed),
        init_params="k-means++",
        n_init=n_init,
        max_iter=max_iter,
        tol=tol,
    )
    winner = fits[index]
    if mixture.capability("em").exchangeable:
        winner = replace(winner, point=winner.point.ordered())
    sentence = verdict(fits, fits[index], tol=tol, total=problem.total)
    if winner.status is not Status.CONVERGED:
        warn_of(winner.status, sentence, stacklevel=2)
    groups = {
        "point_estimate": point_estimate(winner, table.features, mixture.components),
        "optimization": optimization(fits, index, sentence),
    }
    if isinstance(table.values, np.ndarray):
        groups["observed_data"] = observed_data(table)
    return root(groups, mixture, random_seed, time.perf_counter() - started)


def warn_of(status: Status, sentence: str, *, stacklevel: int) -> None:
    """Warn, in scikit-learn's category, of a fit that is not a confirmed optimum."""
    from sklearn.exceptions import ConvergenceWarning

    warnings.warn(
        f"EM: {advice(status)} ({sentence})", ConvergenceWarning, stacklevel=stacklevel + 1
    )


def _converged(trace: list[float], total: float, tol: float) -> bool:
    gain = trace[-1] - trace[-2]
    if abs(gain) <= 1e-14 * (abs(trace[-1]) + total):
        return True
    if len(trace) < 4:
        return False
    gains = np.diff(trace[-4:])
    if not np.all(gains > 0):
        return False
    rate = max(gains[1] / gains[0], gains[2] / gains[1])
    return rate < 1 and max(gain, gain * rate / (1 - rate)) < tol * total
