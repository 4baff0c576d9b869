"""A posterior by Gibbs sampling: chains, their tree, and the way back from tree to chains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.chain_starts import dispersed_labels
from bayesmix.chain_states import RESUMED, save_state
from bayesmix.compiling import announced
from bayesmix.draws import draws_of, log_priors
from bayesmix.gibbs import Chain, dense_covariances
from bayesmix.gibbs_run import run_chains
from bayesmix.interrupts import noted_interrupt
from bayesmix.progress import progress
from bayesmix.schema import group, observed_data, posterior
from bayesmix.threads import available_threads

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.gibbs import Draws
    from bayesmix.inputs import Table
    from bayesmix.mixture import Mixture

__all__ = ["gibbs_tree", "resumed_tree"]

_TUNE = 300
_BY_DRAW = ("chain", "draw")


def gibbs_tree(
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
    """Sample with chains that start far apart; arguments as in `sampling.sample`."""
    for_starts, for_chains = generator.spawn(2)
    words = for_chains.integers(2**64 - 1, size=(chains, 4), dtype=np.uint64, endpoint=True)
    starts = dispersed_labels(mixture, table, chains, for_starts)
    ready: list[Chain] = []
    for labels, own in zip(starts, words, strict=True):
        with announced(_words_for_compiling(mixture)):
            ready.append(Chain.at(mixture, table.values, labels, np.random.default_rng(own)))
            if len(ready) == 1:
                ready[0].rehearse()
    return _run(
        mixture,
        table,
        ready,
        draws=draws,
        tune=_TUNE if tune is None else tune,
        cores=cores,
        thin=thin,
        keep_labels=keep_labels,
        progressbar=progressbar,
    )


def resumed_tree(
    mixture: Mixture,
    table: Table,
    before: xr.DataTree,
    chains: list[Chain],
    *,
    draws: int,
    cores: int | None,
    thin: int,
    progressbar: bool,
) -> xr.DataTree:
    """Go on with the chains of a tree, its draws in front of the new ones."""
    import xarray as xr

    with announced(_words_for_compiling(mixture)):
        chains[0].rehearse()
    tree = _run(
        mixture,
        table,
        chains,
        draws=draws,
        tune=0,
        cores=cores,
        thin=thin,
        keep_labels="allocation" in before.children,
        progressbar=progressbar,
        made=before["posterior"].sizes["draw"],
    )
    for name in RESUMED & tree.children.keys():
        both = xr.concat(
            [group(before, name), group(tree, name)],
            dim="draw",
            data_vars="minimal",
            coords="minimal",
            compat="override",
            join="override",
            combine_attrs="override",
        )
        tree[name] = xr.DataTree(both.assign_coords(draw=np.arange(both.sizes["draw"])))
    return tree


def _words_for_compiling(mixture: Mixture) -> str:
    words = f"Gibbs sampling for {mixture.covariance_type} covariances"
    return words + (" of more than 128 components" if mixture.n_components > 128 else "")


def _run(
    mixture: Mixture,
    table: Table,
    chains: list[Chain],
    *,
    draws: int,
    tune: int,
    cores: int | None,
    thin: int,
    keep_labels: bool,
    progressbar: bool,
    made: int = 0,
) -> xr.DataTree:
    """Run chains whose tree has ``made`` draws already; a tree of the new ones."""
    cores = min(cores or available_threads(), available_threads())
    total = len(chains) * (tune + draws * thin)
    words = f"Gibbs, {len(chains)} chain{'s' if len(chains) > 1 else ''}"
    with progress(words, total, show=progressbar) as report:
        found, n_draws, together = run_chains(
            chains,
            tune=tune,
            draws=draws,
            thin=thin,
            cores=cores,
            keep_labels=keep_labels,
            report=report,
        )
    with noted_interrupt(hold=True):  # what is sampled is not lost to a late Ctrl-C
        tree = _tree(mixture, table, chains[0], found, n_draws)
        if together:
            save_state(tree, chains, thin=thin, n_draws=made + n_draws)
    if n_draws < draws:
        tree.attrs["interrupted"] = 1
    return tree


def _tree(
    mixture: Mixture, table: Table, chain: Chain, found: list[Draws], n_draws: int
) -> xr.DataTree:
    import xarray as xr

    def stacked(values: list[NDArray[Any]]) -> NDArray[Any]:
        return np.stack([value[:n_draws] for value in values])

    def recorded(name: str) -> NDArray[Any]:
        return stacked([getattr(own.records, name) for own in found])

    scale, prior = recorded("scale"), chain.prior
    group = posterior(
        recorded("weights"),
        recorded("means"),
        stacked([dense_covariances(chain.structure, own.records) for own in found]),
        table.features,
        scale[..., None] * np.eye(scale.shape[-1]) if scale.size else None,
        recorded("concentration") if prior.concentration_shape else None,
    ).assign(n_clusters=(_BY_DRAW, recorded("n_clusters")))
    observed = observed_data(table)
    tree = xr.DataTree.from_dict({"posterior": group, "observed_data": observed})
    tree.attrs["bayesmix_model"] = mixture.to_json()  # names the structure of the draws
    draws = draws_of(tree)
    log_likelihood = recorded("log_likelihood")
    coords: dict[str, Any] = {name: group[name] for name in _BY_DRAW}
    values = {
        "lp": log_likelihood + draws.by_chain(log_priors(draws, mixture)),
        "log_likelihood_total": log_likelihood,
        "split_merge_tried": stacked([own.split_merge_tried for own in found]),
        "split_merge_accepted": stacked([own.split_merge_accepted for own in found]),
    }
    stats = xr.Dataset({name: (_BY_DRAW, value) for name, value in values.items()}, coords=coords)
    tree["sample_stats"] = xr.DataTree(stats)
    label = recorded("labels")
    if label.shape[-1]:
        coords |= {"obs": observed["obs"].values}
        tree["allocation"] = xr.DataTree(
            xr.Dataset({"label": ((*_BY_DRAW, "obs"), label)}, coords=coords)
        )
    return tree
