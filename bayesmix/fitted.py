"""What a mixture of known parameters does, in scikit-learn's words: score, label, sample, judge."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from bayesmix import dask_rows, passes
from bayesmix.covariance import structure_of
from bayesmix.inputs import (
    Table,
    generator_of_random_state,
    is_dask,
    require_count,
    require_nonnegative,
)
from bayesmix.mixture import CovarianceType
from bayesmix.problem import Point
from bayesmix.rows import are_chunks, as_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from bayesmix.dask_rows import DaskRows
    from bayesmix.rows import Chunks

    Floats = NDArray[np.float64]

__all__ = ["FittedMixture"]


class FittedMixture(DensityMixin, BaseEstimator):
    """Methods that need ``weights_``, ``means_`` and ``covariances_`` only.

    Of a Dask array or DataFrame, what has a value for every row is a lazy Dask array.
    """

    covariance_type: CovarianceType
    random_state: Any
    n_features_in_: int
    weights_: Floats
    means_: Floats
    covariances_: Floats

    def predict(self, X: Any) -> NDArray[np.intp]:
        """Most probable component of every row, (n,); of Dask's rows a lazy Dask array."""
        return self._of_rows(passes.labels, X, np.int64)

    def predict_proba(self, X: Any) -> Floats:
        """Probability of every component for every row, (n, K); a lazy Dask array of Dask's."""
        return self._of_rows(passes.responsibilities, X, np.float64, by_component=True)

    def score_samples(self, X: Any) -> Floats:
        """Log density of every row, (n,); of Dask's rows a lazy Dask array."""
        return self._of_rows(passes.log_density, X, np.float64)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log density of the rows."""
        found, n = _total(self.score_samples(X))
        return found / n

    def sample(self, n_samples: int = 1) -> tuple[Floats, NDArray[np.intp]]:
        """Draw rows (n, D) and their components (n,), ordered by component."""
        check_is_fitted(self)
        require_count(n_samples, "n_samples")
        generator = generator_of_random_state(self.random_state)
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
        found, n = _total(self.score_samples(X))
        return float(-2 * found + self._n_parameters() * np.log(n))

    def aic(self, X: Any) -> float:
        """Akaike information criterion, low is good."""
        return -2 * _total(self.score_samples(X))[0] + 2 * self._n_parameters()

    def icl(self, X: Any) -> float:
        r"""Integrated completed likelihood criterion, low is good: ``bic`` plus the ambiguity.

        .. math:: \mathrm{ICL} = \mathrm{BIC} - 2 \sum_i \log \max_k r_{ik},

        with the responsibilities :math:`r_{ik}` of `predict_proba`: the form with hard labels of
        the reference, and of ``icl`` in mclust, where the sign is the opposite (as for BIC).
        Where no row is in doubt it equals `bic`; overlap costs, so it counts clusters rather
        than components.

        Parameters
        ----------
        X : (n, D) array_like

        Returns
        -------
        float
            In nats, twice.

        References
        ----------
        C. Biernacki, G. Celeux and G. Govaert, "Assessing a Mixture Model for Clustering with the
        Integrated Completed Likelihood", IEEE TPAMI 22, 2000.

        Examples
        --------
        >>> import bayesmix as bm
        >>> x = bm.datasets.load("faithful")
        >>> em = bm.GaussianMixture(2, random_state=1).fit(x)
        >>> round(em.bic(x), 1), round(em.icl(x), 1)
        (2322.2, 2322.7)
        """
        return self.bic(X) - 2 * _total(self._of_rows(passes.log_certainty, X, np.float64))[0]

    def outliers(self, X: Any, quantile: float = 0.05, reference: Any = None) -> NDArray[np.bool_]:
        """Mark the rows whose density is low: below a quantile of what is usual.

        Parameters
        ----------
        X : (n, D) array_like
        quantile : float, default 0.05
            Between 0 and 1. The threshold is this quantile of `score_samples` over the reference
            rows: that share of them is marked, whether or not anything is wrong with them. Rows so
            far out that their log density overflows are marked at any quantile. The threshold is
            computed at once, from the log densities of all reference rows in memory.
        reference : (m, D) array_like, optional
            Rows that say what is usual, such as those of the fit; default ``X`` itself.

        Returns
        -------
        (n,) ndarray of bool
            Of Dask's rows a lazy Dask array.

        Raises
        ------
        ValueError
            If the quantile is not between 0 and 1.

        Examples
        --------
        >>> import bayesmix as bm
        >>> x = bm.datasets.load("faithful")
        >>> em = bm.GaussianMixture(2, random_state=1).fit(x)
        >>> int(em.outliers(x, 0.02).sum())
        6
        """
        require_nonnegative(quantile, "quantile")
        if quantile > 1:
            raise ValueError(
                f"quantile: expected a number from 0 to 1 (0.05 for five percent), got {quantile!r}"
            )
        density = _overflow_lowest(self.score_samples(X))
        usual = density if reference is None else _overflow_lowest(self.score_samples(reference))
        # an order statistic: between -inf and a number there is nothing to interpolate
        lowest = np.quantile(np.asarray(usual), quantile, method="higher")
        return (density < lowest) | (density == -np.inf)

    def _set_point(self, point: Point) -> None:
        self.weights_, self.means_ = point.weights, point.means
        self.covariances_ = point.covariances
        self.precisions_cholesky_ = point.structure.upper_precision_cholesky(point.covariances)
        self.precisions_ = point.structure.precisions(point.covariances)

    def _of_rows(
        self, walk: Callable[..., Any], X: Any, dtype: type, *, by_component: bool = False
    ) -> Any:
        """What a walk of the pass says of every row; of Dask's rows once that is computed."""
        check_is_fitted(self)
        if not is_dask(X):
            return walk(self._table(X, reset=False).values, self._point().parameters)
        rows = dask_rows.LazyRows(X, "X")
        validate_data(self, rows.header, reset=False, skip_check_array=True)
        alone = partial(walk, parameters=self._point().parameters, threads=1)
        return rows.map(alone, np.empty((0, len(self.weights_)) if by_component else 0, dtype))

    def _table(self, X: Any, *, reset: bool) -> Table:
        """Check rows as scikit-learn does, chunks and Dask's rows as `rows.as_rows` does."""
        if not (are_chunks(X) or is_dask(X)):
            rows = 2 if reset else 1
            x = validate_data(
                self, X, dtype=[np.float64, np.float32], reset=reset, ensure_min_samples=rows
            )
            return Table(x, self._features(), np.arange(len(x)), name="X")
        table = as_rows(X, "X")
        header = cast("Chunks | DaskRows", table.values).header
        validate_data(self, header, reset=reset, skip_check_array=True)
        return replace(table, features=self._features())

    def _features(self) -> tuple[str, ...]:
        names = getattr(self, "feature_names_in_", None)
        if names is None:
            return tuple(f"x{j}" for j in range(self.n_features_in_))
        return tuple(str(name) for name in names)

    def _point(self) -> Point:
        structure = structure_of(self.covariance_type)
        return Point(structure, self.weights_, self.means_, self.covariances_)

    def _n_parameters(self) -> int:
        return structure_of(self.covariance_type).n_mixture_parameters(*self.means_.shape)


def _total(values: Any) -> tuple[float, int]:
    """Sum and length of numbers (n,), Dask's among them."""
    if is_dask(values):
        return dask_rows.total(values)
    return float(values.sum()), len(values)


def _overflow_lowest(log_density: Floats) -> Floats:
    """Log densities with -inf for what overflowed on the way, which may have left NaN."""
    return np.where(np.isnan(log_density), -np.inf, log_density)
