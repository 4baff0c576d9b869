"""Online EM behind scikit-learn's `partial_fit`: a batch at a time, none of them kept."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bayesmix.covariance import structure_of
from bayesmix.fitted import FittedMixture
from bayesmix.inputs import as_weights
from bayesmix.online import Stream, update

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from bayesmix.mixture import Mixture

__all__ = ["StreamedMixture"]

_OF_FIT = ("starts_", "verdict_", "lower_bound_", "lower_bounds_")


class StreamedMixture(FittedMixture):
    """What `partial_fit` adds to an estimator that has `fit`."""

    n_components: int
    prior: Any
    reg_covar: float
    converged_: bool
    n_iter_: int
    n_samples_seen_: int
    prequential_score_: float
    _stream: Stream
    _seconds: float

    @abstractmethod
    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to rows X (n, D), optionally weighted (n,)."""

    @abstractmethod
    def _check_parameters(self) -> None: ...

    @abstractmethod
    def _mixture(self) -> Mixture: ...

    def partial_fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        r"""Take in one more batch of a stream by online EM; the rows are not kept.

        The first call is `fit` on its batch, and all there is to say of `fit` holds for it. Every
        later one moves running averages of the statistics toward those of its batch, by a step
        :math:`\min(\frac12, 2\, t^{-0.6})` at batch t of equal ones, and reports the parameters
        of averaged statistics; `online` has the formulas. So a larger first batch is a better
        start: a stream improves an optimum, it does not look for another one. Where components
        overlap much EM is slow to get there, and so is a stream; give the rows again if you can.

        After `fit` (or the first call) the fitted rows count as the first batch, with all their
        weight: the stream goes on from the statistics that the fitted parameters imply. `fit`
        starts anew. With ``prior`` the prior counts once against all the weight seen, rows seen
        twice counting twice.

        Parameters
        ----------
        X : (m, D) array_like or DataFrame, or chunks of rows
            One batch; after the first call a single row will do.
        y : ignored
        sample_weight : (m,) array_like, optional
            A weight of 2 is the row twice.

        Returns
        -------
        self
            With ``weights_``, ``means_``, ``covariances_`` and so on of the averaged statistics,
            ``n_samples_seen_``, the rows so far, and after the first call

            - ``n_iter_``: batches so far, the first or the rows of `fit` as one;
            - ``prequential_score_``: mean log density, in nats, of the rows since the first
              batch, each under the running parameters before its own batch was learned, so that
              new rows score it;
            - ``converged_``: False, as a stream has no end;
            - no ``lower_bound_``, ``lower_bounds_``, ``starts_`` and ``verdict_``, all of `fit`.

        Raises
        ------
        ValueError
            If the first batch has too few rows for a maximum-likelihood start (see the message),
            a batch has other columns, parameters of the model were changed, or a batch would make
            a covariance singular: it is left out and the estimator stays as it was.

        References
        ----------
        O. Cappé and E. Moulines, "On-line Expectation–Maximization Algorithm for Latent Data
        Models", JRSS B 71, 2009.

        Examples
        --------
        >>> import bayesmix as bm
        >>> x = bm.datasets.load("faithful")
        >>> em = bm.GaussianMixture(2, random_state=1)
        >>> for start in range(0, len(x), 68):
        ...     em = em.partial_fit(x[start : start + 68])
        >>> em.n_samples_seen_, em.n_iter_
        (272, 4)
        >>> em.weights_.round(2)
        array([0.66, 0.34])
        """
        started = time.perf_counter()
        self._check_parameters()
        first = not hasattr(self, "_stream")
        table = self._table(X, reset=first)
        weight = as_weights(sample_weight, table.values.shape[0])
        if first:
            n = table.values.shape[0] if weight is None else np.count_nonzero(weight)
            self._require_start(int(n), table.values.shape[1])
            return self.fit(X, y, sample_weight)
        self._require_same_model()
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                stream = update(self._stream, table.values, weight)
        except np.linalg.LinAlgError as error:
            raise ValueError(
                f"X: this batch would lead to a covariance that is singular or not finite ({error})"
                "; it was left out. Use larger batches, check them for wild values, raise "
                "reg_covar, or give a component prior"
            ) from None
        self._follow(stream)
        self._seconds += time.perf_counter() - started
        return self

    def _restart(self, stream: Stream) -> None:
        """Forget the last stream; called by `fit`."""
        self.__dict__.pop("prequential_score_", None)
        self._stream, self.n_samples_seen_ = stream, stream.n_rows

    def _follow(self, stream: Stream) -> None:
        for name in _OF_FIT:
            self.__dict__.pop(name, None)
        self._stream = stream
        self._set_point(stream.estimate)
        self.converged_ = False
        self.n_iter_, self.n_samples_seen_ = stream.n_batches, stream.n_rows
        self.prequential_score_ = stream.prequential

    def _require_start(self, n: int, d: int) -> None:
        """Refuse a first batch that cannot carry a maximum-likelihood start."""
        k, structure = self.n_components, structure_of(self.covariance_type)
        if self.prior is not None:
            return
        need = max(k * max(2, structure.rows_needed(d)), d + 1 if structure.correlated else 0)
        if n < need:
            raise ValueError(
                f"X: expected at least {need} rows (of weight above 0) in the first batch, to "
                f"start {k} component(s) with {structure.name} covariances in {d} feature(s), got "
                f"{n}; collect more before the first call, or give a component prior"
            )

    def _require_same_model(self) -> None:
        problem = self._stream.problem
        own = self._mixture()
        now = own.n_components, own.covariance_type, own.components
        if now != (problem.n_components, problem.structure.name, problem.prior) or (
            self.prior is None and self.reg_covar != problem.reg_covar
        ):
            raise ValueError(
                "partial_fit: expected the n_components, covariance_type, prior and reg_covar that "
                "the stream began with, got others; set them back, or start anew with fit"
            )
