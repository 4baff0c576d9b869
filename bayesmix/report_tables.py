"""Tables of a report, by the names of their files: every number that the page tells of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.gaussian import responsibilities
from bayesmix.html.features import expected
from bayesmix.schema import as_draws, group
from bayesmix.summaries import summary

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayesmix.report_fits import Report

__all__ = ["components", "em_as_draws", "separating", "tables"]


def tables(made: Report) -> dict[str, pd.DataFrame]:
    """Build the tables by the names of their files."""
    found = {"features": _features(made), "components": components(made)}
    found["memberships"] = _memberships(made)
    if made.comparison is None:
        steps = group(made.em, "optimization").drop_dims("iteration")
        found["diagnostics"] = steps.to_dataframe()
    else:
        found["diagnostics"] = summary(made.comparison.post)
    if made.partition is not None:
        found["clusters"] = made.partition.table
    if made.choice is not None:
        found["groups"] = made.choice.table
    return found


def _features(made: Report) -> pd.DataFrame:
    """One row per feature: what the data are, and what the prior makes of them."""
    import pandas as pd

    x, prior = made.table.values, expected(made.mixture.components, made.mixture.covariance_type)
    columns: dict[str, Any] = {
        "n": len(x),
        "mean": x.mean(axis=0),
        "sd": x.std(axis=0, ddof=1),
        "min": x.min(axis=0),
        "median": np.median(x, axis=0),
        "max": x.max(axis=0),
        "distinct": [len(np.unique(column)) for column in x.T],
        "prior_mean": prior.mean,
        "prior_sd_of_mean": prior.sd_of_mean,
        "prior_sd": prior.sd_within,
    }
    return pd.DataFrame(columns, index=pd.Index(made.table.features, name="feature"))


def components(made: Report) -> pd.DataFrame:
    """One row per component and parameter: EM's value, and the posterior's where there is one."""
    if made.comparison is not None:
        return made.comparison.components.rename(columns={"point": "em"})
    import pandas as pd

    point = group(made.em, "point_estimate")
    rows: list[tuple[Any, ...]] = []
    for k, weight in enumerate(point["weights"].values):
        sd = np.sqrt(np.diag(point["covariances"].values[k]))
        rows.append((k, "weight", weight))
        for j, feature in enumerate(made.table.features):
            rows.append((k, f"mean {feature}", point["means"].values[k, j]))
        for j, feature in enumerate(made.table.features):
            rows.append((k, f"sd {feature}", sd[j]))
    return pd.DataFrame(rows, columns=["component", "parameter", "em"])


def _memberships(made: Report) -> pd.DataFrame:
    """One row per row of the data: EM's component, the posterior's, the partition's cluster."""
    if made.comparison is None:
        return _em_memberships(made)
    found = made.comparison.memberships.rename(columns=lambda c: c.replace("point_", "em_"))
    if made.tails is not None:
        found = found.assign(tail_probability=made.tails.to_numpy())
    if made.partition is not None:
        own = made.partition.rows.rename(columns=lambda c: c.replace("label", "cluster"))
        found = found.assign(**{str(name): own[name].to_numpy() for name in own})
    return found


def _em_memberships(made: Report) -> pd.DataFrame:
    import pandas as pd

    point = group(made.em, "point_estimate")
    parameters = (point[name].values for name in ("weights", "means", "covariances"))
    resp = responsibilities(made.table.values, *parameters)
    return pd.DataFrame(
        {"em_label": resp.argmax(axis=1), "em_probability": resp.max(axis=1)},
        index=pd.Index(made.table.index, name="obs"),
    )


def em_as_draws(em: xr.DataTree) -> xr.DataTree:
    """EM's point as the only draw of a posterior, with the rows."""
    tree = as_draws(em)
    tree["observed_data"] = em["observed_data"]
    return tree


def separating(made: Report, most: int) -> list[str]:
    """Features in the order of the data; of many those in which groups differ most.

    Groups are the partition's clusters, or EM's components.
    """
    from bayesmix.plots import columns

    if made.partition is None:
        label = _em_memberships(made)["em_label"].to_numpy()
    else:
        label = made.partition.labels.values
    return [made.table.features[j] for j in columns.separating(made.table.values, label, most)]
