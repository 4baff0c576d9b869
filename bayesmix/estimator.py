"""EM behind scikit-learn's own interface: change one import, keep the code."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, get_args

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from bayesmix import passes
from bayesmix.covariance import structure_of
from bayesmix.em import SINGULAR_START, Point, Problem, random_start, run, sampled, search, warn_of
from bayesmix.inputs import as_generator, as_weights, require_count, require_nonnegative
from bayesmix.mixture import CovarianceType
from bayesmix.optima import Fit, Status, best, verdict
from bayesmix.passes import PassParameters
from bayesmix.priors import ComponentPrior
from bayesmix.starts import InitParams

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from xarray import DataTree

    Floats = NDArray[np.float64]

__all__ = ["GaussianMixture"]


class GaussianMixture(DensityMixin, BaseEstimator):
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
        Number of starts; the best genuine optimum wins.
    init_params : {"k-means++", "kmeans", "random", "random_from_data"}, default "k-means++"
        See `starts.start_responsibilities`. The default treats a weight of 2 as the row twice and
        does not depend on the scale of the columns.
    weights_init, means_init, precisions_init : array_like, optional
        Where to start; what is not given comes from ``init_params``.
    random_state : int, SeedSequence, Generator or RandomState, optional
    warm_start : bool, default False
        Start where the last call of `fit` ended.
    verbose : int, default 0
        1 prints one line per start, 2 also every ``verbose_interval``-th objective.
    verbose_interval : int, default 10
    prior : NormalInverseWishart or IndependentNormalInverseWishart, optional
        Maximize the posterior density under this component prior instead of the likelihood.

    Attributes
    ----------
    weights_ : (K,) ndarray
    means_ : (K, D) ndarray
    covariances_, precisions_, precisions_cholesky_ : ndarray
        (K, D, D), (D, D), (K, D) or (K,) by covariance type; ``precisions_cholesky_`` is
        scikit-learn's upper factor.
    converged_ : bool
    n_iter_ : int
    lower_bound_ : float
        Objective per row at the parameters returned.
    lower_bounds_ : list of float
        After every iteration.
    starts_ : list of Fit
        Every start with its ``status``, ``objective``, ``n_iter``.
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
        init_params: InitParams = "k-means++",
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        prior: ComponentPrior | None = None,
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

    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to rows X (n, D), optionally weighted (n,); y is ignored."""
        started = time.perf_counter()
        self._check_parameters()
        x = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=2)
        problem = self._problem(x, as_weights(sample_weight, len(x)))
        start = self._given_start(problem)
        if start is None:
            index, fits = search(
                problem,
                _generator(self.random_state),
                init_params=self.init_params,
                n_init=self.n_init,
                max_iter=self.max_iter,
                tol=self.tol,
            )
        else:
            try:
                fit = run(problem, start, max_iter=self.max_iter, tol=self.tol)
            except np.linalg.LinAlgError:
                raise ValueError(SINGULAR_START.format(self.n_components)) from None
            index, fits = best([fit], tol=self.tol, total=problem.total)
        self._seconds = time.perf_counter() - started
        self._keep(fits, index, problem)
        return self

    def fit_predict(
        self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> NDArray[np.intp]:
        """Fit, then label every row, (n,)."""
        return self.fit(X, y, sample_weight).predict(X)

    def predict(self, X: Any) -> NDArray[np.intp]:
        """Most probable component of every row, (n,)."""
        return passes.labels(*self._rows(X))

    def predict_proba(self, X: Any) -> Floats:
        """Probability of every component for every row, (n, K)."""
        return passes.responsibilities(*self._rows(X))

    def score_samples(self, X: Any) -> Floats:
        """Log density of every row, (n,)."""
        return passes.log_density(*self._rows(X))

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log density of the rows."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1) -> tuple[Floats, NDArray[np.intp]]:
        """Draw rows (n, D) and their components (n,), ordered by component."""
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(f"n_samples: expected at least 1, got {n_samples}")
        generator = _generator(self.random_state)
        k, d = self.means_.shape
        counts = generator.multinomial(n_samples, self.weights_)
        factors = np.linalg.cholesky(
            structure_of(self.covariance_type).dense(self.covariances_, k, d)
        )
        rows = [
            mean + generator.standard_normal((count, d)) @ factor.T
            for mean, factor, count in zip(self.means_, factors, counts, strict=True)
        ]
        return np.concatenate(rows), np.repeat(np.arange(k), counts)

    def bic(self, X: Any) -> float:
        """Bayesian information criterion, low is good."""
        density = self.score_samples(X)
        return float(-2 * density.sum() + self._n_parameters() * np.log(len(density)))

    def aic(self, X: Any) -> float:
        """Akaike information criterion, low is good."""
        return float(-2 * self.score_samples(X).sum() + 2 * self._n_parameters())

    def to_datatree(self) -> DataTree:
        """Turn the fit into a tree, as `fit_em` returns (without the data)."""
        from bayesmix.mixture import Mixture
        from bayesmix.point_tree import optimization, point_estimate
        from bayesmix.priors import Dirichlet
        from bayesmix.schema import root

        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", [f"x{j}" for j in range(self.n_features_in_)])
        mixture = Mixture(Dirichlet(self.n_components), self.prior, self.covariance_type)
        return root(
            {
                "point_estimate": point_estimate(
                    self.starts_[self._best], tuple(str(n) for n in names), self.prior
                ),
                "optimization": optimization(self.starts_, self._best, self._verdict),
            },
            mixture,
            self.random_state,
            self._seconds,
        )

    def _check_parameters(self) -> None:
        for name in ("n_components", "max_iter", "n_init"):
            require_count(getattr(self, name), name)
        for name in ("tol", "reg_covar"):
            require_nonnegative(getattr(self, name), name)
        for name, values in (
            ("covariance_type", get_args(CovarianceType)),
            ("init_params", get_args(InitParams)),
        ):
            if getattr(self, name) not in values:
                raise ValueError(
                    f"{name}: expected one of {', '.join(values)}, got {getattr(self, name)!r}"
                )
        if not isinstance(self.prior, ComponentPrior | None):
            raise ValueError(
                "prior: expected None or a component prior, for example weakly_informative(x) or "
                f"fraley_raftery(x, {self.n_components}), got {self.prior!r}"
            )

    def _problem(self, x: Floats, sample_weight: Floats | None) -> Problem:
        n, d = x.shape
        if self.prior is None and n < self.n_components:
            raise ValueError(
                f"Expected n_samples >= n_components for maximum likelihood, but got n_components "
                f"= {self.n_components}, n_samples = {n}; use fewer components, or prior="
            )
        if self.prior is not None and self.prior.n_features != d:
            raise ValueError(
                f"prior: expected one for {d} feature(s), got one for {self.prior.n_features}"
            )
        return Problem(
            x,
            structure_of(self.covariance_type),
            self.n_components,
            np.ones(self.n_components),
            self.prior,
            reg_covar=0.0 if self.prior is not None else self.reg_covar,
            sample_weight=sample_weight,
        )

    def _given_start(self, problem: Problem) -> Point | None:
        """Where the last fit ended, or what the user gave; None for random starts."""
        if self.warm_start and hasattr(self, "starts_"):
            return self._last_point(problem)
        given = (self.weights_init, self.means_init, self.precisions_init)
        if all(value is None for value in given):
            return None
        generator = _generator(self.random_state)
        start = random_start(sampled(problem, generator), self.init_params, generator)
        return given_point(start, *given)

    def _last_point(self, problem: Problem) -> Point:
        point = self.starts_[self._best].point
        same = point.structure is problem.structure
        if not same or point.means.shape != (problem.n_components, problem.x.shape[1]):
            raise ValueError(
                "warm_start: expected n_components, covariance_type and the number of features of "
                "the last fit, got others; set warm_start=False"
            )
        return point

    def _keep(self, fits: list[Fit], index: int, problem: Problem) -> None:
        winner = fits[index]
        structure, point = problem.structure, winner.point
        self.starts_, self._best = fits, index
        self._verdict = verdict(fits, winner, tol=self.tol, total=problem.total)
        self.weights_, self.means_ = point.weights, point.means
        self.covariances_ = point.covariances
        self.precisions_cholesky_ = structure.upper_precision_cholesky(point.covariances)
        self.precisions_ = structure.precisions(point.covariances)
        self.converged_ = winner.status in (Status.CONVERGED, Status.UNCONFIRMED)
        self.n_iter_ = winner.n_iter
        self.lower_bound_ = winner.objective / problem.total
        self.lower_bounds_ = [float(v) for v in winner.trace[1:] / problem.total]
        self._report(problem)
        if winner.status is not Status.CONVERGED:
            warn_of(winner.status, self._verdict, stacklevel=3)

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

    def _rows(self, X: Any) -> tuple[Floats, PassParameters]:
        check_is_fitted(self)
        x = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        structure = structure_of(self.covariance_type)
        point = Point(structure, self.weights_, self.means_, self.covariances_)
        return x, point.parameters

    def _n_parameters(self) -> int:
        k, d = self.means_.shape
        return structure_of(self.covariance_type).n_parameters(k, d) + k * d + k - 1


def given_point(
    point: Point,
    weights: ArrayLike | None,
    means: ArrayLike | None,
    precisions: ArrayLike | None,
) -> Point:
    """Put what a user gave into a start, checking shapes."""
    structure, shape = point.structure, point.means.shape
    if weights is not None:
        weights = _shaped("weights_init", weights, point.weights.shape)
        if np.any(weights < 0) or not np.isclose(weights.sum(), 1):
            raise ValueError(
                "weights_init: expected weights of at least 0 that sum to one, got a sum of "
                f"{weights.sum():g}"
            )
        point = replace(point, weights=weights)
    if means is not None:
        point = replace(point, means=_shaped("means_init", means, shape))
    if precisions is not None:
        given = _shaped("precisions_init", precisions, point.covariances.shape)
        dense = structure.dense(given, *shape)
        symmetric = np.allclose(dense, np.swapaxes(dense, -1, -2))
        if not symmetric or np.linalg.eigvalsh(dense).min() <= 0:
            raise ValueError("precisions_init: expected symmetric, positive definite precisions")
        point = replace(point, covariances=structure.precisions(given))
    return point


def _shaped(name: str, value: ArrayLike, shape: tuple[int, ...]) -> Floats:
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name}: expected numbers, got an array of dtype {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers, got NaN or inf")
    return array.astype(float)


def _generator(random_state: Any) -> np.random.Generator:
    if isinstance(random_state, np.random.RandomState):  # scikit-learn's own kind of seed
        return np.random.default_rng(random_state.randint(2**31 - 1))
    return as_generator(random_state)
