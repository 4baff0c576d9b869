"""Tables of what is known about the number of clusters: one row per number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.cluster_counts import n_clusters
from bayesmix.evidence_result import p_n_components
from bayesmix.prior_clusters import prior_n_clusters

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import xarray as xr

    from bayesmix.component_counts import ComponentCount
    from bayesmix.evidence_result import Evidence
    from bayesmix.finite_mixtures import MixtureOfFiniteMixtures

__all__ = [
    "TABLE_COLUMNS",
    "add_criteria",
    "add_evidences",
    "add_predictions",
    "cluster_table",
    "structure_table",
]

TABLE_COLUMNS = (
    *("p_n_components", "p_n_components_mcse"),
    *("p_n_clusters", "p_n_clusters_mcse", "p_n_clusters_prior"),
    *("log_evidence", "log_evidence_se", "p_by_evidence", "p_by_evidence_se"),
    *("elpd", "elpd_se", "bic", "icl", "aic"),
)


def cluster_table(
    post: xr.DataTree, weights: MixtureOfFiniteMixtures, n: int, least: int
) -> pd.DataFrame:
    """Table of clusters and components up to ``least``, or the most in any draw; others NaN."""
    import pandas as pd

    counted = n_clusters(post)
    seen = counted[["n_clusters", "n_components"]].max(axis=1) > 0
    index = pd.RangeIndex(1, max(least, int(counted.index[seen].max())) + 1, name="n_components")
    table = pd.DataFrame(np.nan, index=index, columns=list(TABLE_COLUMNS))
    for name in ("n_components", "n_clusters"):
        table[f"p_{name}"] = counted[name].reindex(index).fillna(0.0)
        table[f"p_{name}_mcse"] = counted[f"{name}_mcse"].reindex(index)
    prior = prior_n_clusters(weights, n)
    table["p_n_clusters_prior"] = np.pad(prior, (0, max(0, len(index) - len(prior))))[: len(index)]
    return table


def add_evidences(
    table: pd.DataFrame, evidences: Mapping[int, Evidence], prior: ComponentCount
) -> None:
    """Write log evidences, and what they make of the probabilities of the numbers."""
    for k, found in evidences.items():
        table.loc[k, ["log_evidence", "log_evidence_se"]] = found.log_evidence, found.se
    if len(evidences) > 1:
        weighed = p_n_components(evidences, prior)
        table.loc[weighed.index, "p_by_evidence"] = weighed["p"]
        table.loc[weighed.index, "p_by_evidence_se"] = weighed["p_se"]


def add_predictions(table: pd.DataFrame, loos: Mapping[int, Any]) -> None:
    """Write expected log predictive densities."""
    for k, predicted in loos.items():
        table.loc[k, ["elpd", "elpd_se"]] = predicted.elpd, predicted.se


def add_criteria(table: pd.DataFrame, criteria: pd.DataFrame) -> None:
    """Write EM's criteria of one structure, by number of components."""
    for name in ("bic", "icl", "aic"):
        table.loc[criteria.index, name] = criteria[name]


def structure_table(
    evidences: Mapping[Any, Evidence], prior: ComponentCount, *, complete: bool
) -> pd.DataFrame:
    """Evidence and posterior probability of structure and number of components together.

    Structures are as likely before; probabilities are NaN unless all evidences are there.
    """
    import pandas as pd

    index = pd.MultiIndex.from_tuples(list(evidences), names=["covariance_type", "n_components"])
    log_evidence = np.array([found.log_evidence for found in evidences.values()])
    logs = log_evidence + prior.log_pmf([k for _, k in evidences])
    p = np.exp(logs - logs.max())
    columns = {
        "log_evidence": log_evidence,
        "log_evidence_se": [found.se for found in evidences.values()],
        "p": p / p.sum() if complete else np.nan,
    }
    return pd.DataFrame(columns, index)
