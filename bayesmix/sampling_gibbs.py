"""A posterior by Gibbs sampling: chains, their tree, and the way back from tree to chains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.chain_starts import dispersed_labels
from bayesmix.chain_states import RESUMED, AnyChain, save_state
from bayesmix.draws import draws_of, log_priors
from bayesmix.gibbs import Chain, compile_moves, dense_covariances
from bayesmix.gibbs_run import run_chains
from bayesmix.gibbs_varying import VaryingChain, compile_varying
from bayesmix.inputs import random_words
from bayesmix.interrupts import noted_interrupt
from bayesmix.progress import progress
from bayesmix.sampling_varying import varying_tree
from bayesmix.schema import BY_DRAW, allocation, group, observed_data, posterior
from bayesmix.threads import available_threads

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.kernels.gibbs import Records
    from bayesmix.mixture import Mixture
    from bayesmix.sampling_request import Request

__all__ = ["gibbs_tree", "resumed_tree"]

_TUNE = 300


def gibbs_tree(asked: Request, generator: np.random.Generator) -> xr.DataTree:
    """Sample with chains that start far apart."""
    mixture, table = asked.mixture, asked.table
    for_starts, for_chains = generator.spawn(2)
    words = random_words(for_chains, (asked.chains, 4))
    _compile(mixture)
    starts = dispersed_labels(mixture, table, asked.chains, for_starts)
    kind = VaryingChain if mixture.varying else Chain
    chains = [
        kind.at(mixture, table.values, labels, np.random.default_rng(own))
        for labels, own in zip(starts, words, strict=True)
    ]
    return _run(asked, chains, tune=_TUNE if asked.tune is None else asked.tune)


def resumed_tree(asked: Request, before: xr.DataTree, chains: Sequence[AnyChain]) -> xr.DataTree:
    """Go on with the chains of a tree, its draws in front of the new ones."""
    import xarray as xr

    _compile(asked.mixture)
    tree = _run(asked, chains, tune=0, made=before["posterior"].sizes["draw"])
    for name in RESUMED & tree.children.keys():
        parts = [group(before, name), group(tree, name)]
        if name == "components":
            most = {"component": np.arange(max(part.sizes["component"] for part in parts))}
            parts = [part.reindex(most) for part in parts]
        both = xr.concat(
            parts,
            dim="draw",
            data_vars="minimal",
            coords="minimal",
            compat="override",
            join="override",
            combine_attrs="override",
        )
        tree[name] = xr.DataTree(both.assign_coords(draw=np.arange(both.sizes["draw"])))
    return tree


def _compile(mixture: Mixture) -> None:
    (compile_varying if mixture.varying else compile_moves)(mixture)


def _run(asked: Request, chains: Sequence[AnyChain], *, tune: int, made: int = 0) -> xr.DataTree:
    """Run chains whose tree has ``made`` draws already; a tree of the new ones."""
    total = len(chains) * (tune + asked.draws * asked.thin)
    words = f"Gibbs, {len(chains)} chain{'s' if len(chains) > 1 else ''}"
    with progress(words, total, show=asked.progressbar) as report:
        found, n_draws, together = run_chains(
            chains,
            tune=tune,
            draws=asked.draws,
            thin=asked.thin,
            cores=min(asked.cores or available_threads(), available_threads()),
            keep_labels=asked.keep_labels,
            report=report,
        )
    with noted_interrupt(hold=True):  # what is sampled is not lost to a late Ctrl-C
        first = chains[0]
        if isinstance(first, Chain):
            tree = _tree(asked, first, found, n_draws)
        else:
            tree = varying_tree(asked, [room.records for room in found], n_draws)
        if together:
            save_state(tree, chains, thin=asked.thin, n_draws=made + n_draws)
    if n_draws < asked.draws:
        tree.attrs["interrupted"] = 1
    return tree


def _tree(asked: Request, chain: Chain, found: list[Records], n_draws: int) -> xr.DataTree:
    import xarray as xr

    def stacked(values: list[NDArray[Any]]) -> NDArray[Any]:
        return np.stack([value[:n_draws] for value in values])

    def recorded(name: str) -> NDArray[Any]:
        return stacked([getattr(own, name) for own in found])

    scale, prior = recorded("scale"), chain.prior
    group = posterior(
        recorded("weights"),
        recorded("means"),
        stacked([dense_covariances(chain.structure, own) for own in found]),
        asked.table.features,
        scale[..., None] * np.eye(scale.shape[-1]) if scale.size else None,
        recorded("concentration") if prior.concentration_shape else None,
        recorded("discount") if prior.discount_a else None,
    ).assign(n_clusters=(BY_DRAW, recorded("n_clusters")))
    observed = observed_data(asked.table)
    tree = xr.DataTree.from_dict({"posterior": group, "observed_data": observed})
    tree.attrs["bayesmix_model"] = asked.mixture.to_json()  # names the structure of the draws
    draws = draws_of(tree)
    log_likelihood = recorded("log_likelihood")
    coords = {name: group[name] for name in BY_DRAW}
    values = {
        "lp": log_likelihood + draws.by_chain(log_priors(draws, asked.mixture)),
        "log_likelihood_total": log_likelihood,
        "split_merge_tried": recorded("split_merge_tried"),
        "split_merge_accepted": recorded("split_merge_accepted"),
    }
    stats = xr.Dataset({name: (BY_DRAW, value) for name, value in values.items()}, coords=coords)
    tree["sample_stats"] = xr.DataTree(stats)
    if asked.keep_labels:
        label = recorded("labels")
        tree["allocation"] = xr.DataTree(allocation(label, group, observed))
    return tree
