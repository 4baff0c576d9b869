"""Expectation-maximization: the point that maximizes the likelihood, or the posterior."""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.inputs import as_generator, as_weights, require_count, require_nonnegative
from bayesmix.optima import Status, advice
from bayesmix.problem import problem_of
from bayesmix.rows import as_rows
from bayesmix.search import search

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from xarray import DataTree

    from bayesmix.inputs import RandomSeed
    from bayesmix.mixture import Mixture


__all__ = ["fit_em", "warn_of"]


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
        Starts that are run to the end, at least ten, chosen from five times as many short
        runs; where a sample of many rows is searched half as many. See ``docs/em.md``.
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
    found = search(
        problem,
        as_generator(random_seed),
        init_params="search",
        n_init=n_init,
        max_iter=max_iter,
        tol=tol,
    )
    winner = found.winner
    if mixture.capability("em").exchangeable:
        winner = replace(winner, point=winner.point.ordered())
    if winner.status is not Status.CONVERGED:
        warn_of(winner.status, found.verdict, stacklevel=2)
    groups = {
        "point_estimate": point_estimate(winner, table.features, mixture.components),
        "optimization": optimization(found),
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
