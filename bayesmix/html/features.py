"""What a component prior says of every feature, in the units of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmix.html.elements import table
from bayesmix.html.laws import kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bayesmix.mixture import CovarianceType

    Floats = NDArray[np.float64]

__all__ = ["MOST_FEATURES", "expected", "features_table", "scale_sentences"]

MOST_FEATURES = 6
"""Of a table in a notebook."""


class Expected(NamedTuple):
    """What a component prior expects of every feature, (D,) each, in its units."""

    mean: Floats
    """Of a component's mean."""
    sd_of_mean: Floats
    sd_within: Floats
    """Root of the expected variance of a component's rows; infinite where there is none."""


def expected(prior: Any, structure: CovarianceType) -> Expected:
    """Compute what a component prior expects."""
    within = _expected_variances(prior, structure)
    if kind(prior) == "NormalInverseWishart":
        means = within / prior.mean_precision
    else:
        means = np.diag(prior.mean_covariance)
    return Expected(np.asarray(prior.mean), np.sqrt(means), np.sqrt(within))


def features_table(
    prior: Any,
    structure: CovarianceType,
    names: Sequence[str] | None = None,
    *,
    most_rows: int = MOST_FEATURES,
) -> str:
    """Tabulate `expected`, and the law of a random scale, by feature."""
    import pandas as pd

    said = zip(
        ("m, mean of means", "sd of means", "sd within a component"),
        expected(prior, structure),
        strict=True,
    )
    columns = dict(said)
    if prior.scale_hyperprior is not None:
        columns |= _scale_columns(prior, structure)
    known = range(prior.n_features) if names is None else names
    frame = pd.DataFrame(columns, pd.Index(known, name="feature"))
    caption = "What the prior expects of every feature, in its units."
    return table(frame, caption, most_rows=most_rows)


def scale_sentences(prior: Any, structure: CovarianceType, *, one: bool) -> list[str]:
    """What to know of the scale S that the table does not hold; ``one`` component or more."""
    if structure in ("diag", "spherical") and prior.scale_hyperprior is None:
        return []
    if prior.scale_hyperprior is not None:
        if one:
            return ["The scale S of the covariance is random."]
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
