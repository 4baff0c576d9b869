"""A posterior by NUTS: starts, chains, and their tree with the densities in our measure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmix.draws import (
    count_clusters,
    draws_of,
    log_likelihoods,
    log_priors,
    sampled_allocation,
)
from bayesmix.inputs import random_words
from bayesmix.interrupts import noted_interrupt
from bayesmix.memory import require_memory
from bayesmix.nuts import N_STATISTICS, sample_nuts
from bayesmix.nuts_starts import positions_near_optima, wants_empty
from bayesmix.nuts_target import Target
from bayesmix.progress import progress
from bayesmix.schema import BY_DRAW, allocation, observed_data, posterior
from bayesmix.threads import available_threads

if TYPE_CHECKING:
    import xarray as xr

    from bayesmix.nuts import Chains
    from bayesmix.nuts_coordinates import Coordinates
    from bayesmix.sampling_request import Request

__all__ = ["nuts_tree"]

_TUNE = 400


def nuts_tree(asked: Request, generator: np.random.Generator) -> xr.DataTree:
    """Sample with chains that start near optima of EM."""
    x = asked.table.values
    for_starts, for_chains, for_labels = generator.spawn(3)
    target = Target.of(asked.mixture, x)
    draws, tune = asked.draws * asked.thin, _TUNE if asked.tune is None else asked.tune
    steps = asked.chains * (draws + tune)
    require_memory(
        8 * steps * (target.coordinates.n + N_STATISTICS),
        "draws: every step, tuning and what thin leaves out included,",
        "use fewer draws, a smaller thin or less tuning",
    )
    starts = positions_near_optima(target.coordinates, x, asked.chains, for_starts)
    words = f"NUTS, {asked.chains} chain{'s' if asked.chains > 1 else ''}"
    with progress(words, steps, show=asked.progressbar, unit="steps") as report:
        found = sample_nuts(
            target,
            starts,
            draws=draws,
            tune=tune,
            cores=min(asked.cores or available_threads(), available_threads()),
            seeds=random_words(for_chains, asked.chains),
            report=report,
            walls=wants_empty(asked.mixture),
            options=asked.nuts,
        )
    if found.positions.shape[1] < asked.thin:
        raise KeyboardInterrupt
    with noted_interrupt(hold=True) as noted:  # what is sampled is not lost to a late Ctrl-C
        tree = _tree(asked, target.coordinates, found, for_labels)
    if found.interrupted or noted:
        tree.attrs["interrupted"] = 1
    return tree


def _tree(
    asked: Request, coordinates: Coordinates, found: Chains, for_labels: np.random.Generator
) -> xr.DataTree:
    """Parameters, labels drawn at them, and the densities we compute ourselves at each point."""
    import xarray as xr

    mixture, table = asked.mixture, asked.table
    kept = slice(asked.thin - 1, None, asked.thin)
    point = coordinates.parameters(found.positions[:, kept])
    group = posterior(
        point.weights,
        point.means,
        point.covariances,
        table.features,
        point.covariance_scale,
        point.concentration,
        point.discount,
    )
    observed = observed_data(table)
    tree = xr.DataTree.from_dict({"posterior": group, "observed_data": observed})
    tree.attrs["bayesmix_model"] = mixture.to_json()  # names the structure of the draws
    draws = draws_of(tree)
    log_likelihood = log_likelihoods(draws, table.values)
    values = {name: value[:, kept] for name, value in found.statistics.items()}
    for name in ("diverging", "reached_max_treedepth"):  # of any step since the draw before
        steps = found.statistics[name][:, : values[name].shape[1] * asked.thin]
        values[name] = steps.reshape(*values[name].shape, asked.thin).any(axis=-1)
    values |= {
        "lp": draws.by_chain(log_likelihood + log_priors(draws, mixture)),
        "log_likelihood_total": draws.by_chain(log_likelihood),
    }
    coords = {name: group[name] for name in BY_DRAW}
    stats = xr.Dataset({name: (BY_DRAW, value) for name, value in values.items()}, coords=coords)
    tree["sample_stats"] = xr.DataTree(stats)
    if asked.keep_labels:
        label = draws.by_chain(sampled_allocation(draws, table.values, for_labels))
        tree["allocation"] = xr.DataTree(allocation(label, group, observed))
        clusters = count_clusters(label, mixture.n_components)
        tree["posterior"] = xr.DataTree(group.assign(n_clusters=(BY_DRAW, clusters)))
    return tree
