"""What a fitted estimator adds to scikit-learn's page: how the fit ended, and its components."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.html.elements import block, sentences, table
from bayesmix.html.numbers import number
from bayesmix.wording import counted

__all__ = ["fitted_html"]

_MOST_FEATURES = 4


def fitted_html(estimator: Any) -> str:
    """Show what `GaussianMixture` found, whatever was set since; nothing where that is not known.

    Fitted parameters that a user sets by hand are no fit, and parameters of the constructor may
    have changed since.
    """
    point = _point(estimator)
    if point is None:
        return ""
    return block("Fitted mixture", sentences(_words(estimator, point)), _table(estimator, point))


def _point(estimator: Any) -> Any:
    """Where the fit ended, or what `from_parameters` was given."""
    if hasattr(estimator, "_stream"):
        return estimator._stream.estimate
    is_given = hasattr(estimator, "weights_") and hasattr(estimator, "_given")
    return estimator._given[0] if is_given else None


def _words(estimator: Any, point: Any) -> list[str]:
    """How the fit ended, with the criterion of `fit_grid`, or why it has none."""
    if hasattr(estimator, "prequential_score_"):
        return [
            f"{estimator.n_iter_:,} batches, {estimator.n_samples_seen_:,} rows so far.",
            f"Before they were learned, rows had a mean log density of "
            f"{estimator.prequential_score_:.3f} nats.",
        ]
    if not hasattr(estimator, "verdict_"):
        return ["Not fitted to rows: the parameters were given."]
    if (unusable := estimator._unusable) is not None:
        return [f"{estimator.verdict_}.", f"No BIC, as the fit is {unusable.advice}."]
    fit, weight = estimator._found.winner, estimator._stream.weight
    n = estimator._stream.n_rows
    weighed = "" if weight == n else f" of total weight {number(weight)}"
    count = point.structure.n_mixture_parameters(*point.means.shape)
    bic = count * np.log(weight) - 2 * fit.log_likelihood
    return [
        f"{estimator.verdict_}.",
        f"BIC {bic:,.1f}, low is good: log-likelihood {fit.log_likelihood:,.3f}, {count:,} free "
        f"parameters, {counted(n, 'row')}{weighed}.",
    ]


def _table(estimator: Any, point: Any) -> str:
    """Weight of every component, and mean and sd of the first features."""
    import pandas as pd

    d = point.means.shape[1]
    names = estimator._features()
    if len(names) != d:  # of a later fit, which failed
        names = tuple(f"x{j}" for j in range(d))
    columns = {"weight": point.weights}
    for j, name in enumerate(names[:_MOST_FEATURES]):
        sd = np.sqrt(point.dense_covariances[:, j, j])
        columns |= {f"mean {name}": point.means[:, j], f"sd {name}": sd}
    frame = pd.DataFrame(columns, pd.RangeIndex(len(point.weights), name="component"))
    some = f", {_MOST_FEATURES} of {d} features" if d > _MOST_FEATURES else ""
    return table(
        frame, f"Components ({point.structure.name} covariances) in the units of the data{some}."
    )
