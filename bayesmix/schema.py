"""The one shape of every result: groups, names, dims and attributes of the trees.

Builders make the groups; `tree_checks` holds trees to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayesmix.mixture import Mixture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.inputs import Table

    Floats = NDArray[np.float64]

__all__ = [
    "BY_DRAW",
    "OPTIONAL",
    "PARAMETERS",
    "SCHEMA",
    "allocation",
    "as_draws",
    "choice_of_clusters",
    "chosen_clusters",
    "components",
    "group",
    "mixture_of",
    "observed_data",
    "point_estimate",
    "posterior",
    "require_fixed",
    "require_tree",
    "root",
    "root_attrs",
    "varies",
    "varying_posterior",
]

PARAMETERS = {
    "weights": ("component",),
    "means": ("component", "feature"),
    "covariances": ("component", "feature", "feature_bis"),
}
_SCALE = ("feature", "feature_bis")
BY_DRAW = ("chain", "draw")
"""Dims that all draws begin with."""

_BY_DRAW_PARAMETERS = {
    **{name: BY_DRAW + dims for name, dims in PARAMETERS.items()},
    "covariance_scale": BY_DRAW + _SCALE,
    "concentration": BY_DRAW,
    "discount": BY_DRAW,
}

SCHEMA: dict[str, dict[str, tuple[str, ...]]] = {
    "point_estimate": {**PARAMETERS, "covariance_scale": _SCALE},
    "posterior": {**_BY_DRAW_PARAMETERS, "n_clusters": BY_DRAW, "n_components": BY_DRAW},
    "components": {name: BY_DRAW + dims for name, dims in PARAMETERS.items()},
    "allocation": {"label": (*BY_DRAW, "obs")},
    "sample_stats": {"lp": BY_DRAW, "log_likelihood_total": BY_DRAW},
    "observed_data": {"x": ("obs", "feature")},
    "log_likelihood": {"x": (*BY_DRAW, "obs")},
    "posterior_predictive": {"x": (*BY_DRAW, "obs", "feature")},
    "prior": _BY_DRAW_PARAMETERS,
    "prior_predictive": {"x": (*BY_DRAW, "obs", "feature")},
    "optimization": {
        "status": ("restart",),
        "objective": ("restart",),
        "n_iter": ("restart",),
        "min_eigenvalue_ratio": ("restart",),
        "min_component_size": ("restart",),
        "objective_trace": ("restart", "iteration"),
    },
    "relabeling": {
        "permutation": (*BY_DRAW, "component"),
        "sampled_chain": BY_DRAW,
        "sampled_draw": BY_DRAW,
        "dropped_mass": BY_DRAW,
    },
}
"""Group to variable to dims. A tree may leave groups out; ``n_clusters`` goes with allocations,
``covariance_scale`` with a random scale of the component prior, ``concentration`` and ``discount``
with random ones of the weights, ``n_components`` with a prior on it. Where the number of components
varies, ``components`` has what `posterior` has else, NaN after a draw's last. ``sampler_state``
holds what the sampler that made it likes, by chain."""

OPTIONAL = {
    *("n_clusters", "n_components", "covariance_scale", "concentration", "discount", "lp"),
    *("sampled_chain", "sampled_draw", "dropped_mass"),
}


def root(
    groups: Mapping[str, xr.Dataset], mixture: Mixture, random_seed: Any, seconds: float
) -> xr.DataTree:
    """Put groups under a root that says which model, versions, seed and time made them."""
    tree = xr.DataTree.from_dict(dict(groups))
    tree.attrs.update(root_attrs(mixture, random_seed, seconds))
    return tree


def root_attrs(mixture: Mixture, random_seed: Any, seconds: float) -> dict[str, Any]:
    """Attributes that say which model, versions, seed and time made a tree."""
    packages = ("bayesmix", "numpy", "scipy", "xarray", "pymc", "pytensor", "arviz")
    return {
        "bayesmix_model": mixture.to_json(),
        "versions": json.dumps({name: version(name) for name in packages}),
        "random_seed": _plain_seed(random_seed),
        "seconds": seconds,
    }


def point_estimate(
    weights: Floats,
    means: Floats,
    covariances: Floats,
    features: tuple[str, ...],
    covariance_scale: Floats | None = None,
) -> xr.Dataset:
    """Turn one point into a group; covariances dense, the scale where it is random."""
    values = {"weights": weights, "means": means, "covariances": covariances}
    if covariance_scale is not None:
        values["covariance_scale"] = covariance_scale
    dims = SCHEMA["point_estimate"]
    return xr.Dataset(
        {name: (dims[name], value) for name, value in values.items()},
        coords=_coords(len(weights), features),
    )


def observed_data(table: Table) -> xr.Dataset:
    """Turn the data into a group; columns name the features, the index names the rows."""
    index = table.index
    if index.dtype.kind not in "iufUM":
        index = np.array([str(name) for name in index])
    return xr.Dataset(
        {"x": (("obs", "feature"), table.values)},
        coords={"obs": index, "feature": list(table.features)},
    )


def posterior(
    weights: Floats,
    means: Floats,
    covariances: Floats,
    features: tuple[str, ...],
    covariance_scale: Floats | None = None,
    concentration: Floats | None = None,
    discount: Floats | None = None,
) -> xr.Dataset:
    """Turn draws (chain, draw, ...) into a group; the last three where they are random."""
    values = {
        "weights": weights,
        "means": means,
        "covariances": covariances,
        "covariance_scale": covariance_scale,
        "concentration": concentration,
        "discount": discount,
    }
    return _by_draw(values, _coords(weights.shape[-1], features))


def components(
    weights: Floats, means: Floats, covariances: Floats, features: tuple[str, ...]
) -> xr.Dataset:
    """Turn components of draws that have different numbers of them into a group, padded by NaN."""
    values = {"weights": weights, "means": means, "covariances": covariances}
    return _by_draw(values, _coords(weights.shape[-1], features))


def varying_posterior(
    n_clusters: NDArray[np.integer],
    features: tuple[str, ...],
    *,
    n_components: NDArray[np.integer] | None = None,
    covariance_scale: Floats | None = None,
    concentration: Floats | None = None,
    discount: Floats | None = None,
) -> xr.Dataset:
    """Turn what every draw has one of into a group, where the number of components varies."""
    values = {
        "covariance_scale": covariance_scale,
        "concentration": concentration,
        "discount": discount,
        "n_clusters": n_clusters,
        "n_components": n_components,
    }
    return _by_draw(values, {name: list(features) for name in _SCALE})


def _by_draw(values: Mapping[str, NDArray[Any] | None], coords: Mapping[str, Any]) -> xr.Dataset:
    given = {name: value for name, value in values.items() if value is not None}
    chains, draws = next(iter(given.values())).shape[:2]
    dims = SCHEMA["posterior"]
    return xr.Dataset(
        {name: (dims[name], value) for name, value in given.items()},
        coords={"chain": np.arange(chains), "draw": np.arange(draws), **coords},
    )


def allocation(label: NDArray[np.integer], like: xr.Dataset, observed: xr.Dataset) -> xr.Dataset:
    """Turn labels (chain, draw, obs) into a group, by the draws of ``like`` and the rows."""
    coords = {name: like[name] for name in BY_DRAW} | {"obs": observed["obs"]}
    return xr.Dataset({"label": (SCHEMA["allocation"]["label"], label)}, coords=coords)


def as_draws(point: xr.DataTree) -> xr.DataTree:
    """Give a point estimate chain and draw dims, so that ArviZ can show it beside a posterior.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> em = bm.fit_em(bm.Mixture(bm.Dirichlet(2)), x, random_seed=1)
    >>> dict(bm.as_draws(em).posterior.sizes)["draw"]
    1
    """
    dataset = group(point, "point_estimate").expand_dims(chain=[0], draw=[0])
    return xr.DataTree.from_dict({"posterior": dataset})


def require_tree(tree: Any) -> None:
    """Refuse what is no result of a fit, such as its model, its data, or one of its groups."""
    if not isinstance(tree, xr.DataTree):
        remedy = "fit first, and pass what comes back"
        if hasattr(tree, "means_"):
            remedy = "sample a posterior of its model, or pass it as point"
        raise TypeError(
            "post: expected the whole DataTree that bayesmix.sample or fit_em returns, got "
            f"{type(tree).__name__}; {remedy}"
        )


def group(tree: xr.DataTree, name: str) -> xr.Dataset:
    """Take a group out of a tree, or say that it is missing and who makes it."""
    require_tree(tree)
    if name not in tree.children:
        maker = "fit_em" if name in ("point_estimate", "optimization") else "sample"
        raise ValueError(
            f"tree: expected the group {name}, as {maker} returns, got groups "
            f"{', '.join(tree.children) or 'none'}"
        )
    return tree[name].to_dataset()


def varies(tree: xr.DataTree) -> bool:
    """Whether a tree's number of components varies from draw to draw."""
    require_tree(tree)
    return "components" in tree.children


def chosen_clusters(tree: xr.DataTree) -> int | None:
    """Number of clusters that `relabel` kept the draws with, where it was asked to."""
    require_tree(tree)
    if "relabeling" not in tree.children:
        return None
    return tree["relabeling"].attrs.get("n_clusters")


def require_fixed(tree: xr.DataTree) -> None:
    """Refuse a tree whose number of components varies from draw to draw."""
    if varies(tree):
        clusters = group(tree, "posterior")["n_clusters"].values
        raise ValueError(
            f"post: expected the same components in every draw, got {clusters.min()} to "
            f"{clusters.max()} of them; {choice_of_clusters(tree)}"
        )


def choice_of_clusters(tree: xr.DataTree) -> str:
    """Say which draws of a varying number of components are best made draws of a fixed one."""
    found, times = np.unique(group(tree, "posterior")["n_clusters"].values, return_counts=True)
    k, share = found[times.argmax()], times.max() / times.sum()
    return (
        f"relabel(post, n_clusters={k}) keeps the draws with {k}, the most probable number "
        f"({share:.0%})"
    )


def mixture_of(tree: xr.DataTree, stated: Mixture | None = None) -> Mixture | None:
    """The model that is stated, else read back from the tree; None for a tree that carries none."""
    require_tree(tree)
    if stated is not None:
        return stated
    text = tree.attrs.get("bayesmix_model")
    return None if text is None else Mixture.from_dict(json.loads(text))


def _plain_seed(random_seed: Any) -> int | str:
    """Turn a seed into what netCDF can hold: no boolean, no integer above 64 bits."""
    if isinstance(random_seed, (int, np.integer)) and random_seed < 2**63:
        return int(random_seed)
    return str(random_seed)


def _coords(n_components: int, features: tuple[str, ...]) -> dict[str, Any]:
    return {
        "component": np.arange(n_components),
        "feature": list(features),
        "feature_bis": list(features),
    }
