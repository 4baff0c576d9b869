"""Tables of a point beside a posterior's draws: parameter by parameter, row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.membership import interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.draws import Draws

    Floats = NDArray[np.float64]

__all__ = ["CONFIDENT", "components_table", "memberships_table"]

CONFIDENT = 0.95


def components_table(
    point: Draws,
    draws: Draws,
    components: Sequence[Any],
    features: list[str],
    ci_prob: float | None,
) -> pd.DataFrame:
    """One row per component and parameter, point (one draw) beside draws; see `Comparison`.

    Components, by their place, and features have names.
    """
    import pandas as pd

    correlated = point.structure.correlated or draws.structure.correlated
    names, values = _readable(draws, components, features, correlated)
    at_point = _readable(point, components, features, correlated)[1][0]
    lower, upper = np.quantile(values, interval(ci_prob), axis=0)
    mean, sd = values.mean(axis=0), values.std(axis=0)
    below = (values < at_point).mean(axis=0)
    above = (values > at_point).mean(axis=0)
    table = pd.DataFrame(names, columns=["component", "parameter"])
    return table.assign(
        point=at_point,
        mean=mean,
        sd=sd,
        lower=lower,
        upper=upper,
        z=_distance(at_point - mean, sd),
        tail_probability=np.minimum(1, 2 * np.minimum(1 - below, 1 - above)),
    )


def _distance(difference: Floats, sd: Floats) -> Floats:
    """In sds; where draws never move 0 at their value and NaN elsewhere."""
    moving = sd > 1e-12 * np.abs(difference)
    still = np.where(difference == 0, 0.0, np.nan)
    return np.divide(difference, sd, out=still, where=moving)


def _readable(
    draws: Draws, components: Sequence[Any], features: list[str], correlated: bool
) -> tuple[list[tuple[Any, str]], Floats]:
    """Parameters in the units of the data, (S, parameters): weights, means, sds, correlations."""
    names: list[tuple[Any, str]] = []
    columns: list[Floats] = []
    pairs = [(i, j) for i in range(len(features)) for j in range(i)]
    for k, component in enumerate(components):
        covariance = draws.covariances[:, k]
        sd = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
        names.append((component, "weight"))
        columns.append(draws.weights[:, k])
        for j, feature in enumerate(features):
            names.append((component, f"mean {feature}"))
            columns.append(draws.means[:, k, j])
        for j, feature in enumerate(features):
            names.append((component, f"sd {feature}"))
            columns.append(sd[:, j])
        if correlated:
            for i, j in pairs:
                names.append((component, f"correlation {features[j]}, {features[i]}"))
                columns.append(covariance[:, i, j] / (sd[:, i] * sd[:, j]))
    return names, np.stack(columns, axis=1)


def memberships_table(resp: Floats, found: xr.Dataset) -> pd.DataFrame:
    """One row per row of the data, from the point's probabilities (n, K) and `membership`."""
    import pandas as pd

    rows = np.arange(len(resp))
    label = resp.argmax(axis=1)
    probability = resp.max(axis=1)
    posterior = found["probability"].values[rows, label]
    return pd.DataFrame(
        {
            "point_label": found["component"].values[label],
            "point_probability": probability,
            "posterior_probability": posterior,
            "posterior_sd": found["probability_sd"].values[rows, label],
            "posterior_lower": found["probability_lower"].values[rows, label],
            "posterior_upper": found["probability_upper"].values[rows, label],
            "label": found["label"].values,
            "label_probability": found["label_probability"].values,
            "entropy": found["entropy"].values,
            "overconfident": (probability > CONFIDENT) & (posterior <= CONFIDENT),
        },
        index=pd.Index(found["obs"].values, name="obs"),
    )
