"""A posterior in one table: what no relabeling changes, then the components if they can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmix.diagnostics import DIFFERENT_MODES
from bayesmix.identification import IDENTIFIED
from bayesmix.invariants import label_invariant
from bayesmix.relabel import relabel
from bayesmix.schema import PARAMETERS, choice_of_clusters, chosen_clusters, group, varies

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["summary"]


def summary(post: xr.DataTree, *, ci_prob: float | None = None) -> pd.DataFrame:
    """Summarize a posterior: first what no relabeling changes, then the relabeled components.

    Parameters
    ----------
    post : DataTree
    ci_prob : float, optional
        Mass of the equal-tailed intervals; default ArviZ's.

    Returns
    -------
    DataFrame
        ArviZ's columns (mean, sd, interval, bulk and tail ESS, R-hat, Monte Carlo standard
        errors), and ``note``: "constant" where a quantity never moved, so that R-hat and ESS say
        nothing. The row ``non_permutation_rate`` has as its mean the share of draws whose
        components do not separate, see `relabel`. Component rows follow where it is at most 5 %,
        or the prior tells the components apart. Where their number varies, or the chains disagree,
        the row ``components`` says so and what to do. The attribute ``attrs["advice"]`` has it in a
        sentence.

    Raises
    ------
    ValueError
        If the tree lacks the posterior or the rows.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
    >>> post = bm.sample(mixture, x, random_seed=1)
    >>> bm.summary(post).loc["n_clusters", "note"]
    'constant'
    """
    table = _summarize(label_invariant(post, random_seed=0), ci_prob)
    if varies(post):
        best = np.bincount(group(post, "posterior")["n_clusters"].values.ravel()).argmax()
        table.loc["components", "note"] = f"relabel(post, n_clusters={best})"
        table.attrs["advice"] = f"components are not shown: {choice_of_clusters(post)}"
        return table
    if chosen_clusters(post) is None and table["r_hat"].max() > DIFFERENT_MODES:
        table.loc["components", "note"] = "not shown: the chains disagree"
        table.attrs["advice"] = (
            "components are not shown, because the chains disagree: diagnose(post)"
        )
        return table
    relabeled = post if "relabeling" in post.children else relabel(post)
    found = relabeled["relabeling"].attrs
    rate, advice = found["non_permutation_rate"], found["advice"]
    table.loc["non_permutation_rate", "mean"] = rate
    if rate > IDENTIFIED and found["method"] != "none":
        table.loc["non_permutation_rate", "note"] = "components are not shown"
        table.attrs["advice"] = f"{advice}; arviz.summary(relabel(post)) lists them all the same"
        return table
    import pandas as pd

    kept = found["method"] == "none"
    note = "labels kept as sampled" if kept else "components can be read"
    table.loc["non_permutation_rate", "note"] = note
    components = group(relabeled, "posterior")[list(PARAMETERS)]
    table = pd.concat([table, _summarize(components, ci_prob)])
    table.attrs["advice"] = advice
    return table


def _summarize(dataset: xr.Dataset, ci_prob: float | None) -> pd.DataFrame:
    import pandas as pd
    from arviz_stats import summary as arviz_summary

    with np.errstate(invalid="ignore", divide="ignore"):  # constant quantities
        table = pd.DataFrame(
            arviz_summary(dataset, ci_prob=ci_prob, ci_kind="eti", round_to="none")
        )
    constant = table["sd"].to_numpy() <= 1e-12 * np.abs(table["mean"].to_numpy())
    table.loc[constant, ["ess_bulk", "ess_tail", "r_hat"]] = np.nan
    table["note"] = np.where(constant, "constant", "")
    return table
