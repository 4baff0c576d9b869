"""What a component prior says of every feature, in the units of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.html.elements import table
from bayesmix.html.laws import kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.mixture import CovarianceType

    Floats = NDArray[np.float64]

__all__ = ["features_table", "scale_sentences"]

_MOST_FEATURES = 6


def features_table(prior: Any, structure: CovarianceType) -> str:
    """Tabulate mean and sd of a component's mean, and the sd that its rows have about it."""
    import pandas as pd

    within = _expected_variances(prior, structure)
    if kind(prior) == "NormalInverseWishart":
        means = within / prior.mean_precision
    else:
        means = np.diag(prior.mean_covariance)
    columns = {
        "m, mean of means": prior.mean,
        "sd of means": np.sqrt(means),
        "sd within a component": np.sqrt(within),
    }
    if prior.scale_hyperprior is not None:
        columns |= _scale_columns(prior, structure)
    frame = pd.DataFrame(columns, pd.RangeIndex(prior.n_features, name="feature"))
    return table(
        frame,
        "What the prior expects of every feature, in its units.",
        most_rows=_MOST_FEATURES,
    )


def scale_sentences(prior: Any, structure: CovarianceType) -> list[str]:
    """What to know of the scale S that the table does not hold."""
    if structure in ("diag", "spherical") and prior.scale_hyperprior is None:
        return []
    if prior.scale_hyperprior is not None:
        return ["The scale S of the covariances is random: all components share it."]
    scale = np.asarray(prior.covariance_scale)
    sd = np.sqrt(np.diag(scale))
    correlations = np.tril(scale / np.outer(sd, sd), -1)
    i, j = np.unravel_index(np.abs(correlations).argmax(), scale.shape)
    if correlations[i, j] == 0:
        return []
    return [
        f"S holds correlations between features, the largest {correlations[i, j]:.2f} "
        f"(features {j} and {i})."
    ]


def _scale_columns(prior: Any, structure: CovarianceType) -> dict[str, Any]:
    """Rate and floor of the random scale, by feature; one for all if it is spherical."""
    _, rate, floor = _scale_law(prior, structure)
    index = "" if structure == "spherical" else "_j"
    names = {f"rate r{index}": rate}
    if any(floor):
        names[f"floor f{index}"] = floor
    return {name: np.broadcast_to(v, prior.n_features) for name, v in names.items()}


def _scale_law(prior: Any, structure: CovarianceType) -> Any:
    """Shape, rates and floors of the random scale."""
    law = prior.scale_hyperprior
    return law.pooled if structure == "spherical" else law


def _expected_variances(prior: Any, structure: CovarianceType) -> Floats:
    """E[variance] of every feature within a component, (D,); infinite where it does not exist."""
    d = prior.n_features
    scale = _expected_scale(prior, structure)
    if structure == "spherical":
        scale = np.full(d, scale.mean())
    below = prior.dof - d - 1
    return scale / below if below > 0 else np.full(d, np.inf)


def _expected_scale(prior: Any, structure: CovarianceType) -> Floats:
    """Diagonal of E[S], (D,); (1,) where one number is random for all features."""
    if prior.scale_hyperprior is None:
        return np.diag(prior.covariance_scale)
    from scipy.special import gammaincc

    shape, *others = _scale_law(prior, structure)
    rate, floor = map(np.asarray, others)
    above = gammaincc(shape + 1, rate * floor) / gammaincc(shape, rate * floor)
    return shape / rate * above
