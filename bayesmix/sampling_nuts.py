"""A posterior by NUTS: starts, chains, and their tree with the densities in our measure."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.chain_starts import points_near_optima
from bayesmix.draws import (
    count_clusters,
    draws_of,
    log_likelihoods,
    log_priors,
    sampled_allocation,
)
from bayesmix.interrupts import noted_interrupt
from bayesmix.schema import observed_data, posterior

if TYPE_CHECKING:
    import xarray as xr

    from bayesmix.inputs import Table
    from bayesmix.mixture import Mixture
    from bayesmix.pymc_nuts import Chains

__all__ = ["nuts_tree"]


def nuts_tree(
    mixture: Mixture,
    table: Table,
    generator: np.random.Generator,
    *,
    draws: int,
    tune: int | None,
    chains: int,
    cores: int | None,
    thin: int,
    keep_labels: bool,
    progressbar: bool,
) -> xr.DataTree:
    """Sample with PyMC; arguments as in `sampling.sample`."""
    from bayesmix.pymc_model import build_model, initial_values
    from bayesmix.pymc_nuts import sample_nuts

    for_starts, for_chains, for_labels = generator.spawn(3)
    starts = points_near_optima(mixture, table, chains, for_starts)
    found = sample_nuts(
        build_model(mixture, table),
        [initial_values(mixture, p.weights, p.means, p.dense_covariances) for p in starts],
        draws=draws * thin,
        tune=tune,
        cores=min(chains, cores or os.cpu_count() or 1),
        generator=for_chains,
        progressbar=progressbar,
    )
    if found.stats.sizes["draw"] < thin:
        raise KeyboardInterrupt
    with noted_interrupt(hold=True) as noted:  # what is sampled is not lost to a late Ctrl-C
        tree = _tree(mixture, table, found, thin, for_labels if keep_labels else None)
    if found.interrupted or noted:
        tree.attrs["interrupted"] = 1
    return tree


def _tree(
    mixture: Mixture,
    table: Table,
    found: Chains,
    thin: int,
    for_labels: np.random.Generator | None,
) -> xr.DataTree:
    """Parameters, labels drawn at them, and the densities we compute ourselves at each point."""
    import xarray as xr

    from bayesmix.pymc_model import covariances_of

    kept = slice(thin - 1, None, thin)
    values = {name: value[:, kept] for name, value in found.values.items()}
    group = posterior(
        values["weights"], values["means"], covariances_of(mixture, values), table.features
    )
    observed = observed_data(table)
    tree = xr.DataTree.from_dict({"posterior": group, "observed_data": observed})
    tree.attrs["bayesmix_model"] = mixture.to_json()  # names the structure of the draws
    draws = draws_of(tree)
    log_likelihood = log_likelihoods(draws, table.values)
    by_draw = ("chain", "draw")
    coords: dict[str, Any] = {c: group[c] for c in by_draw}
    stats = found.stats.isel(draw=kept).assign_coords(coords)
    stats = stats.assign(
        lp=(by_draw, draws.by_chain(log_likelihood + log_priors(draws, mixture))),
        log_likelihood_total=(by_draw, draws.by_chain(log_likelihood)),
    )
    tree["sample_stats"] = xr.DataTree(stats)
    if for_labels is not None:
        label = draws.by_chain(sampled_allocation(draws, table.values, for_labels))
        coords |= {"obs": observed["obs"].values}
        tree["allocation"] = xr.DataTree(
            xr.Dataset({"label": ((*by_draw, "obs"), label)}, coords=coords)
        )
        clusters = count_clusters(label, mixture.n_components)
        tree["posterior"] = xr.DataTree(group.assign(n_clusters=(by_draw, clusters)))
    return tree
