"""A posterior by NUTS: starts, chains, and their tree with the densities in our measure."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

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
from bayesmix.schema import BY_DRAW, allocation, observed_data, posterior

if TYPE_CHECKING:
    import xarray as xr

    from bayesmix.pymc_nuts import Chains
    from bayesmix.sampling_request import Request

__all__ = ["nuts_tree"]


def nuts_tree(asked: Request, generator: np.random.Generator) -> xr.DataTree:
    """Sample with PyMC."""
    from bayesmix.pymc_model import build_model, initial_values
    from bayesmix.pymc_nuts import sample_nuts

    mixture, table = asked.mixture, asked.table
    for_starts, for_chains, for_labels = generator.spawn(3)
    starts = points_near_optima(mixture, table, asked.chains, for_starts)
    found = sample_nuts(
        build_model(mixture, table),
        [initial_values(mixture, p.weights, p.means, p.dense_covariances) for p in starts],
        draws=asked.draws * asked.thin,
        tune=asked.tune,
        cores=min(asked.chains, asked.cores or os.cpu_count() or 1),
        generator=for_chains,
        progressbar=asked.progressbar,
    )
    if found.stats.sizes["draw"] < asked.thin:
        raise KeyboardInterrupt
    with noted_interrupt(hold=True) as noted:  # what is sampled is not lost to a late Ctrl-C
        tree = _tree(asked, found, for_labels)
    if found.interrupted or noted:
        tree.attrs["interrupted"] = 1
    return tree


def _tree(asked: Request, found: Chains, for_labels: np.random.Generator) -> xr.DataTree:
    """Parameters, labels drawn at them, and the densities we compute ourselves at each point."""
    import xarray as xr

    from bayesmix.pymc_model import covariances_of

    mixture, table = asked.mixture, asked.table
    kept = slice(asked.thin - 1, None, asked.thin)
    values = {name: value[:, kept] for name, value in found.values.items()}
    group = posterior(
        values["weights"], values["means"], covariances_of(mixture, values), table.features
    )
    observed = observed_data(table)
    tree = xr.DataTree.from_dict({"posterior": group, "observed_data": observed})
    tree.attrs["bayesmix_model"] = mixture.to_json()  # names the structure of the draws
    draws = draws_of(tree)
    log_likelihood = log_likelihoods(draws, table.values)
    stats = found.stats.isel(draw=kept).assign_coords({name: group[name] for name in BY_DRAW})
    stats = stats.assign(
        lp=(BY_DRAW, draws.by_chain(log_likelihood + log_priors(draws, mixture))),
        log_likelihood_total=(BY_DRAW, draws.by_chain(log_likelihood)),
    )
    tree["sample_stats"] = xr.DataTree(stats)
    if asked.keep_labels:
        label = draws.by_chain(sampled_allocation(draws, table.values, for_labels))
        tree["allocation"] = xr.DataTree(allocation(label, group, observed))
        clusters = count_clusters(label, mixture.n_components)
        tree["posterior"] = xr.DataTree(group.assign(n_clusters=(BY_DRAW, clusters)))
    return tree
