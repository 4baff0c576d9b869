"""The tree of Gibbs chains whose number of components varies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayesmix.covariance import structure_of
from bayesmix.gibbs import dense_covariances
from bayesmix.schema import (
    BY_DRAW,
    allocation,
    components,
    observed_data,
    varying_posterior,
)
from bayesmix.stick_priors import StickPrior

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bayesmix.kernels.gibbs import VaryingRecords
    from bayesmix.sampling_request import Request

__all__ = ["varying_tree"]


def varying_tree(asked: Request, found: Sequence[VaryingRecords], n_draws: int) -> xr.DataTree:
    """Tree of the first draws of every chain, as wide as the most clusters in any of them."""
    weights_prior, table = asked.mixture.weights, asked.table
    structure = structure_of(asked.mixture.covariance_type)

    def recorded(name: str) -> NDArray[Any]:
        return np.stack([getattr(own, name)[:n_draws] for own in found])

    clusters, scale = recorded("n_clusters"), recorded("scale")
    random = weights_prior.random_concentration, weights_prior.random_discount
    posterior = varying_posterior(
        clusters,
        table.features,
        n_components=None if isinstance(weights_prior, StickPrior) else recorded("n_components"),
        covariance_scale=scale[..., None] * np.eye(scale.shape[-1]) if scale.size else None,
        concentration=recorded("concentration") if random[0] else None,
        discount=recorded("discount") if random[1] else None,
    )
    width = int(clusters.max())
    parameters = components(
        _padded([own.weights[:n_draws] for own in found], clusters, width),
        _padded([own.means[:n_draws] for own in found], clusters, width),
        _padded([dense_covariances(structure, own)[:n_draws] for own in found], clusters, width),
        table.features,
    )
    coords = {name: posterior[name] for name in BY_DRAW}
    stats = {
        "log_likelihood_total": recorded("log_likelihood"),
        "split_merge_tried": recorded("split_merge_tried"),
        "split_merge_accepted": recorded("split_merge_accepted"),
    }
    observed = observed_data(table)
    groups: dict[str, xr.Dataset] = {
        "posterior": posterior,
        "components": parameters,
        "observed_data": observed,
        "sample_stats": xr.Dataset({name: (BY_DRAW, v) for name, v in stats.items()}, coords),
    }
    if asked.keep_labels:
        kind = np.min_scalar_type(-width)
        label = np.stack([own.labels[:n_draws].astype(kind) for own in found])
        groups["allocation"] = allocation(label, posterior, observed)
    return xr.DataTree.from_dict(groups)


def _padded(
    chains: list[NDArray[np.float64]], clusters: NDArray[np.integer], width: int
) -> NDArray[np.float64]:
    """Values (S, W, ...) of chains as (chain, S, width, ...), NaN after a draw's last cluster."""
    out = np.full((*clusters.shape, width, *chains[0].shape[2:]), np.nan)
    for own, values in zip(out, chains, strict=True):
        room = min(width, values.shape[1])
        own[:, :room] = values[:, :room]
    out[np.arange(width) >= clusters[..., None]] = np.nan
    return out
