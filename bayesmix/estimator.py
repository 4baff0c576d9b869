"""EM behind scikit-learn's own interface: change one import, keep the code."""

from __future__ import annotations

import time
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Self, get_args

import numpy as np
from sklearn.utils.validation import check_is_fitted

from bayesmix.ascent import run
from bayesmix.covariance import Structure, structure_of
from bayesmix.em import warn_of
from bayesmix.given import completed, given_point
from bayesmix.html.estimator import fitted_html
from bayesmix.inputs import (
    as_weights,
    generator_of_random_state,
    require_count,
    require_nonnegative,
)
from bayesmix.mixture import CovarianceType, Mixture
from bayesmix.online import begin
from bayesmix.optima import Fit, Status, require_finite_reference
from bayesmix.priors import ComponentPrior, Dirichlet
from bayesmix.problem import Point, Problem, problem_of
from bayesmix.search import (
    Found,
    InitParams,
    SingularStartError,
    random_start,
    sampled,
    search,
    told,
)
from bayesmix.streamed import StreamedMixture

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from xarray import DataTree

    Floats = NDArray[np.float64]

__all__ = ["GaussianMixture"]


class GaussianMixture(StreamedMixture):
    r"""Gaussian mixture fitted by EM, with scikit-learn's parameters and attributes.

    Parameters
    ----------
    n_components : int, default 1
    covariance_type : {"full", "tied", "diag", "spherical"}, default "full"
    tol : float, default 1e-6
        A start has converged when Aitken's estimate of the gain still to come is below this, per
        row. Stricter than scikit-learn's, hence the larger ``max_iter``.
    reg_covar : float, default 1e-6
        Added to every variance, as in scikit-learn; not used with ``prior``.
    max_iter : int, default 1000
    n_init : int, default 1
        Starts that are run to the end; the best genuine optimum wins. With "search" at least ten,
        where a sample of many rows is searched half as many.
    init_params : {"search", "k-means++", "kmeans", "random", "random_from_data"}, default "search"
        "search" looks for the best optimum: many short runs, of many rows on a sample, then moves
        that merge and split components (``docs/em.md``). Others are starts of scikit-learn's kind,
        run on all rows. All but "kmeans" and "random" treat a weight of 2 as the row twice and do
        not depend on the scale of the columns.
    weights_init, means_init, precisions_init : array_like, optional
        Where to start; what is not given comes from one start by ``init_params``, "k-means++" for
        "search".
    random_state : int, SeedSequence, Generator or RandomState, optional
    warm_start : bool, default False
        Start where the last call of `fit` or `partial_fit` ended.
    verbose : int, default 0
        1 prints one line per start, 2 also every ``verbose_interval``-th objective.
    verbose_interval : int, default 10
    prior : NormalInverseWishart or IndependentNormalInverseWishart, optional
        Maximize the posterior density under this component prior instead of the likelihood.
    accelerate : bool, default True
        Try steps longer than EM's own where it crawls. False is plain EM: with the same start and
        ``max_iter`` that of scikit-learn.

    Attributes
    ----------
    weights_ : (K,) ndarray
    means_ : (K, D) ndarray
    covariances_, precisions_, precisions_cholesky_ : ndarray
        (K, D, D), (D, D), (K, D) or (K,) by covariance type; ``precisions_cholesky_`` is
        scikit-learn's upper factor.
    converged_ : bool
    n_iter_ : int
        Passes over the rows after the first.
    lower_bound_ : float
        Objective per row at the parameters returned.
    lower_bounds_ : list of float
        After every iteration.
    starts_ : list of Fit
        Every start with its ``status``, ``objective``, ``n_iter``; where "search" went by a sample
        of many rows, what it led to on all of them.
    verdict_ : str
        How the starts ended, in one sentence.
    n_samples_seen_ : int
        Rows taken in, by `fit` and then by `partial_fit`.
    prequential_score_ : float
        Only after `partial_fit`, which has no ``lower_bound_``, ``lower_bounds_``,
        ``starts_`` and ``verdict_``.
    n_features_in_, feature_names_in_

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        If the best start is not a converged, genuine optimum; says what to do.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> bm.GaussianMixture(2, random_state=1).fit(x).weights_.round(3)
    array([0.356, 0.644])
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: CovarianceType = "full",
        tol: float = 1e-6,
        reg_covar: float = 1e-6,
        max_iter: int = 1000,
        n_init: int = 1,
        init_params: InitParams = "search",
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        prior: ComponentPrior | None = None,
        accelerate: bool = True,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.prior = prior
        self.accelerate = accelerate

    @classmethod
    def from_parameters(
        cls,
        weights: ArrayLike,
        means: ArrayLike,
        covariances: ArrayLike,
        *,
        covariance_type: CovarianceType = "full",
        **parameters: Any,
    ) -> Self:
        """Make an estimator of known parameters: it scores, predicts and samples at once.

        `fit` starts exactly there: the point is kept in ``weights_init``, ``means_init`` and
        ``precisions_init``, so that `sklearn.base.clone` keeps it too. Until then there is no
        ``converged_``, ``n_iter_``, ``lower_bound_`` or ``starts_``.

        Parameters
        ----------
        weights : (K,) array_like
            At least 0, with sum one.
        means : (K, D) array_like or DataFrame
            Units of the data; a DataFrame's column names become ``feature_names_in_``.
        covariances : array_like
            (K, D, D), (D, D), (K, D) or (K,) by covariance type; units of the data, squared.
        covariance_type : {"full", "tied", "diag", "spherical"}, default "full"
        **parameters
            Of the constructor, such as ``random_state``.

        Raises
        ------
        ValueError
            If a shape does not fit, weights do not sum to one, a covariance is not symmetric and
            positive definite, or a parameter is out of range.

        Examples
        --------
        >>> import bayesmix as bm
        >>> known = bm.GaussianMixture.from_parameters(
        ...     [0.25, 0.75], [[0.0], [10.0]], [1.0, 4.0], covariance_type="spherical"
        ... )
        >>> known.predict([[1.0], [9.0]])
        array([0, 1])
        """
        _require_choice("covariance_type", covariance_type, CovarianceType)
        for name in ("n_components", "weights_init", "means_init", "precisions_init"):
            if name in parameters:
                raise TypeError(
                    f"from_parameters: got multiple values for {name!r}, which weights, means and "
                    "covariances state; leave it out"
                )
        structure = structure_of(covariance_type)
        point = given_point(structure, weights, means, covariances)
        estimator = cls(
            len(point.weights),
            covariance_type=covariance_type,
            weights_init=point.weights.copy(),
            means_init=point.means.copy(),
            precisions_init=structure.precisions(point.covariances),
            **parameters,
        )
        estimator._check_parameters()
        estimator._mixture().require_features(point.means.shape[1], "means")
        estimator._set_point(point)
        own = (array.copy() for array in (point.weights, point.means, point.covariances))
        estimator._given = Point(structure, *own), deepcopy(estimator._start_parameters())
        estimator.n_features_in_ = point.means.shape[1]
        names = list(getattr(means, "columns", ()))
        if names and all(isinstance(name, str) for name in names):
            estimator.feature_names_in_ = np.array(names, dtype=object)
        return estimator

    def __sklearn_clone__(self) -> Self:
        other: Self = super().__sklearn_clone__()
        if hasattr(self, "_given"):
            other._given = self._given
        return other

    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to rows X (n, D), optionally weighted (n,); y is ignored.

        X may be a memory-mapped array, chunks of rows, or a Dask array or DataFrame, see `fit_em`:
        none is ever held in memory as a whole.
        """
        started = time.perf_counter()
        self._check_parameters()
        table = self._table(X, reset=True)
        weight = as_weights(sample_weight, table.values.shape[0])
        problem = problem_of(self._mixture(), table, weight, reg_covar=self.reg_covar)
        with np.errstate(over="ignore", invalid="ignore"):
            require_finite_reference(problem.data_moments.covariance)
        start = self._given_start(problem)
        how: dict[str, Any] = {
            "max_iter": self.max_iter,
            "tol": self.tol,
            "accelerate": self.accelerate,
        }
        if start is None:
            found = search(
                problem,
                generator_of_random_state(self.random_state),
                init_params=self.init_params,
                n_init=self.n_init,
                **how,
            )
        else:
            try:
                fit = run(problem, start, **how)
            except np.linalg.LinAlgError:
                raise ValueError(self._singular_start()) from None
            found = told(problem, [fit], self.tol)
        self._seconds = time.perf_counter() - started
        self._keep(found, problem)
        return self

    def fit_predict(
        self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> NDArray[np.intp]:
        """Fit, then label every row, (n,)."""
        return self.fit(X, y, sample_weight).predict(X)

    def to_datatree(self) -> DataTree:
        """Turn the fit into a tree, as `fit_em` returns (without the data).

        Given parameters (`from_parameters`) have no group ``optimization``.
        """
        from bayesmix import point_tree, schema

        check_is_fitted(self)
        features = self._features()
        if hasattr(self, "starts_"):
            groups = {
                "point_estimate": point_tree.point_estimate(
                    self._found.winner, features, self.prior
                ),
                "optimization": point_tree.optimization(self._found),
            }
        else:
            groups = {"point_estimate": point_tree.point_group(self._point(), features, self.prior)}
        seconds = getattr(self, "_seconds", 0.0)
        return schema.root(groups, self._mixture(), self.random_state, seconds)

    @property
    def _unusable(self) -> Fit | None:
        """The fit, where it is at no genuine optimum: such a one has no criterion."""
        fitted = hasattr(self, "verdict_")
        return self._found.winner if fitted and not self._found.winner.usable else None

    def _html_repr(self) -> str:
        """What scikit-learn shows on a page, and the fit below it."""
        page: str = super()._html_repr()
        return page + fitted_html(self)

    def _check_parameters(self) -> None:
        for name in ("n_components", "max_iter", "n_init", "verbose_interval"):
            require_count(getattr(self, name), name)
        for name in ("tol", "reg_covar"):
            require_nonnegative(getattr(self, name), name)
        _require_choice("covariance_type", self.covariance_type, CovarianceType)
        _require_choice("init_params", self.init_params, InitParams)
        if not isinstance(self.accelerate, (bool, np.bool_)):
            raise ValueError(f"accelerate: expected True or False, got {self.accelerate!r}")
        if not isinstance(self.prior, ComponentPrior | None):
            raise ValueError(
                "prior: expected None or a component prior, for example weakly_informative(x) or "
                f"fraley_raftery(x, {self.n_components}), got {self.prior!r}"
            )

    def _mixture(self) -> Mixture:
        return Mixture(Dirichlet(self.n_components), self.prior, self.covariance_type)

    def _given_start(self, problem: Problem) -> Point | None:
        """Where the last fit ended, or what the user gave; None for random starts."""
        if self.warm_start and hasattr(self, "_stream"):
            return self._last_point(problem)
        given = self._start_parameters()
        if all(value is None for value in given):
            return None
        k, d, structure = self.n_components, problem.x.shape[1], problem.structure
        if any(value is None for value in given):
            generator = generator_of_random_state(self.random_state)
            method = "k-means++" if self.init_params == "search" else self.init_params
            start = random_start(sampled(problem, generator), method, generator)
        else:
            if self._is_as_given(structure, k, d):
                return self._given[0]
            start = Point(structure, np.empty(k), np.empty((k, d)), structure.average(np.eye(d), k))
        return completed(start, *given)

    def _start_parameters(self) -> tuple[Any, Any, Any]:
        return self.weights_init, self.means_init, self.precisions_init

    def _is_as_given(self, structure: Structure, k: int, d: int) -> bool:
        """Whether to start at the very point of `from_parameters`, not where precisions lead."""
        if not hasattr(self, "_given"):
            return False
        point, start = self._given
        same = point.structure is structure and point.means.shape == (k, d)
        return same and all(map(np.array_equal, start, self._start_parameters()))

    def _singular_start(self) -> str:
        if self.precisions_init is None:
            return str(SingularStartError(self.n_components))
        return (
            "precisions_init: the covariances of this start are singular to working precision; "
            "give precisions without such extreme directions, or leave them out"
        )

    def _last_point(self, problem: Problem) -> Point:
        point = self._stream.estimate
        same = point.structure is problem.structure
        if not same or point.means.shape != (problem.n_components, problem.x.shape[1]):
            raise ValueError(
                "warm_start: expected n_components, covariance_type and the number of features of "
                "the last fit, got others; set warm_start=False"
            )
        return point

    def _keep(self, found: Found, problem: Problem) -> None:
        winner = found.winner
        self._restart(begin(problem, winner.point))
        self._found, self.starts_, self.verdict_ = found, found.fits, found.verdict
        self._set_point(winner.point)
        self.converged_ = winner.status in (Status.CONVERGED, Status.UNCONFIRMED)
        self.n_iter_ = winner.n_iter
        self.lower_bound_ = winner.objective / problem.total
        self.lower_bounds_ = [float(v) for v in winner.trace[1:] / problem.total]
        self._report(problem)
        if winner.status is not Status.CONVERGED:
            warn_of(winner.status, found.verdict, stacklevel=3)

    def _report(self, problem: Problem) -> None:
        """Print what ``verbose`` asks for."""
        for i, fit in enumerate(self.starts_ if self.verbose else []):
            if self.verbose > 1:
                for step in range(self.verbose_interval, len(fit.trace), self.verbose_interval):
                    print(f"  iteration {step}: {fit.trace[step] / problem.total:.6f} per row")
            print(
                f"start {i + 1}: {fit.status.name.lower()} after {fit.n_iter} iterations, "
                f"{fit.objective / problem.total:.6f} per row"
            )


def _require_choice(name: str, value: Any, choices: Any) -> None:
    if value not in get_args(choices):
        raise ValueError(f"{name}: expected one of {', '.join(get_args(choices))}, got {value!r}")
