"""Draws with one number of clusters, taken out of draws with varying ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayesmix.inputs import require_count
from bayesmix.schema import PARAMETERS, choice_of_clusters, group, varies

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["draws_with"]


def draws_with(post: xr.DataTree, n_clusters: int) -> xr.DataTree:
    """Keep the draws with so many clusters, as one chain of a fixed number of components.

    The draws of all chains follow one another: each chain has another number of them. Weights are
    divided by their sum, since what they leave belongs to components without rows.

    Parameters
    ----------
    post : DataTree
        With the group ``components``.
    n_clusters : int

    Returns
    -------
    DataTree
        Groups ``posterior``, ``sample_stats``, ``allocation`` and ``observed_data``, and
        ``relabeling``: the permutation that changes nothing; ``sampled_chain`` and
        ``sampled_draw``, where a draw comes from; ``dropped_mass``, what its weights left;
        attributes ``n_clusters``, ``kept`` (share of the draws) and ``dropped_mass`` (the mean).

    Raises
    ------
    ValueError
        If the number of components does not vary, or no draw has so many clusters.
    """
    require_count(n_clusters, "n_clusters")
    if not varies(post):
        raise ValueError(
            "n_clusters: expected None, because every draw has the same number of components, got "
            f"{n_clusters}"
        )
    clusters = group(post, "posterior")["n_clusters"].transpose("chain", "draw").values
    at = np.nonzero(clusters == n_clusters)
    if not len(at[0]):
        raise ValueError(
            f"n_clusters: expected a number that some draw has, from {clusters.min()} to "
            f"{clusters.max()}, got {n_clusters}; {choice_of_clusters(post)}"
        )
    components = group(post, "components").isel(component=slice(n_clusters))
    parameters = _taken(components[list(PARAMETERS)], at)
    total = parameters["weights"].sum("component")
    parameters["weights"] = parameters["weights"] / total
    scalars = _taken(group(post, "posterior"), at)
    tree = post.drop_nodes([name for name in post.children if name != "observed_data"])
    tree["posterior"] = xr.DataTree(scalars.merge(parameters))
    for name in {"sample_stats", "allocation"} & post.children.keys():
        tree[name] = xr.DataTree(_taken(group(post, name), at))
    origin = _origin(post, parameters, at).assign(dropped_mass=np.maximum(1 - total, 0.0))
    tree["relabeling"] = xr.DataTree(origin)
    tree["relabeling"].attrs.update(
        n_clusters=int(n_clusters),
        kept=float(len(at[0]) / clusters.size),
        dropped_mass=float(1 - total.mean()),
    )
    return tree


def _taken(dataset: xr.Dataset, at: tuple[NDArray[np.intp], ...]) -> xr.Dataset:
    """Some (chain, draw) as the draws of one chain."""
    found: dict[str, Any] = {}
    for name, variable in dataset.data_vars.items():
        values = variable.transpose("chain", "draw", ...)
        found[str(name)] = (values.dims, values.values[at][None])
    own = {str(n): c.variable for n, c in dataset.coords.items() if n not in ("chain", "draw")}
    return xr.Dataset(found, coords={"chain": [0], "draw": np.arange(len(at[0])), **own})


def _origin(
    post: xr.DataTree, parameters: xr.Dataset, at: tuple[NDArray[np.intp], ...]
) -> xr.Dataset:
    """Which draw of which chain each one was, its components in the order of the sampler."""
    posterior = group(post, "posterior")
    sizes = parameters["weights"].shape
    values = {
        "permutation": (
            ("chain", "draw", "component"),
            np.tile(np.arange(sizes[-1]), (*sizes[:2], 1)),
        ),
        "sampled_chain": (("chain", "draw"), posterior["chain"].values[at[0]][None]),
        "sampled_draw": (("chain", "draw"), posterior["draw"].values[at[1]][None]),
    }
    return xr.Dataset(values, coords={c: parameters[c] for c in ("chain", "draw", "component")})
