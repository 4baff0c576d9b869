"""The one shape of every result: groups, names, dims and attributes of the trees.

Builders make the groups, `validate` checks a tree against the schema, `load` reads one back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayesmix.mixture import Mixture
from bayesmix.priors import Dirichlet

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray

    from bayesmix.inputs import Table

    Floats = NDArray[np.float64]

__all__ = [
    "BY_DRAW",
    "SCHEMA",
    "allocation",
    "as_draws",
    "group",
    "load",
    "mixture_of",
    "observed_data",
    "point_estimate",
    "posterior",
    "root",
    "root_attrs",
    "validate",
]

_PARAMETERS = {
    "weights": ("component",),
    "means": ("component", "feature"),
    "covariances": ("component", "feature", "feature_bis"),
}
_SCALE = ("feature", "feature_bis")
BY_DRAW = ("chain", "draw")
"""Dims that all draws begin with."""

SCHEMA: dict[str, dict[str, tuple[str, ...]]] = {
    "point_estimate": {**_PARAMETERS, "covariance_scale": _SCALE},
    "posterior": {
        **{name: BY_DRAW + dims for name, dims in _PARAMETERS.items()},
        "covariance_scale": BY_DRAW + _SCALE,
        "concentration": BY_DRAW,
        "discount": BY_DRAW,
        "n_clusters": BY_DRAW,
    },
    "allocation": {"label": (*BY_DRAW, "obs")},
    "sample_stats": {"lp": BY_DRAW, "log_likelihood_total": BY_DRAW},
    "observed_data": {"x": ("obs", "feature")},
    "log_likelihood": {"x": (*BY_DRAW, "obs")},
    "optimization": {
        "status": ("restart",),
        "objective": ("restart",),
        "n_iter": ("restart",),
        "min_eigenvalue_ratio": ("restart",),
        "min_component_size": ("restart",),
        "objective_trace": ("restart", "iteration"),
    },
    "relabeling": {"permutation": (*BY_DRAW, "component")},
}
"""Group to variable to dims. A tree may leave groups out; ``n_clusters`` goes with allocations,
``covariance_scale`` with a random scale of the component prior, ``concentration`` and ``discount``
with random ones of the weights. ``sampler_state`` holds what the sampler that made it likes, by
chain."""

_OPTIONAL = {
    ("posterior", "n_clusters"),
    ("posterior", "covariance_scale"),
    ("posterior", "concentration"),
    ("posterior", "discount"),
    ("point_estimate", "covariance_scale"),
}
_ROOT_ATTRS = ("bayesmix_model", "versions", "random_seed", "seconds")


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
    chains, draws, k = weights.shape
    dims = SCHEMA["posterior"]
    return xr.Dataset(
        {name: (dims[name], value) for name, value in values.items() if value is not None},
        coords={
            "chain": np.arange(chains),
            "draw": np.arange(draws),
            **_coords(k, features),
        },
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


def group(tree: xr.DataTree, name: str) -> xr.Dataset:
    """Take a group out of a tree, or say that it is missing and who makes it."""
    if name not in tree.children:
        maker = "fit_em" if name in ("point_estimate", "optimization") else "sample"
        raise ValueError(
            f"tree: expected the group {name}, as {maker} returns, got groups "
            f"{', '.join(tree.children) or 'none'}"
        )
    return tree[name].to_dataset()


def mixture_of(tree: xr.DataTree) -> Mixture | None:
    """Read the model back from a tree; None for a tree that carries none."""
    text = tree.attrs.get("bayesmix_model")
    return None if text is None else Mixture.from_dict(json.loads(text))


def load(path: str | PathLike[str]) -> xr.DataTree:
    """Read a saved tree into memory and check it.

    Parameters
    ----------
    path : str or path
        A file written with ``tree.to_netcdf(path)``.

    Returns
    -------
    xarray.DataTree

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or it does not hold a tree of this schema.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"load: expected a file, found none at {path}")
    try:
        with xr.open_datatree(path, engine="h5netcdf") as file:
            tree = file.load()
    except OSError as error:
        raise ValueError(
            f"load: expected a netCDF file, as tree.to_netcdf writes, and {path} is none"
        ) from error
    validate(tree)
    return tree


def validate(tree: xr.DataTree) -> None:
    """Check that a tree of bayesmix follows the schema.

    Raises
    ------
    ValueError
        Names the group and the variable, what was expected and what came.
    """
    missing = [name for name in _ROOT_ATTRS if name not in tree.attrs]
    if missing:
        raise ValueError(f"tree: expected the attributes {', '.join(missing)}, got none")
    mixture = mixture_of(tree)
    if not {"point_estimate", "posterior"} & set(tree.children):
        raise ValueError(
            "tree: expected a group point_estimate or posterior, got "
            f"{', '.join(tree.children) or 'no groups'}"
        )
    for name in set(tree.children) & set(SCHEMA):
        _validate_group(name, group(tree, name))
    for name in {"point_estimate", "posterior"} & set(tree.children):
        _validate_parameters(name, group(tree, name), mixture)
        _validate_scale(name, group(tree, name), mixture)
    if "posterior" in tree.children:
        _validate_hyperparameters(group(tree, "posterior"), mixture)
        _validate_truncation(tree.attrs.get("truncation_error"), mixture)
    if "sampler_state" in tree.children:
        _validate_state(group(tree, "sampler_state"))


def _validate_group(where: str, dataset: xr.Dataset) -> None:
    for name, dims in SCHEMA[where].items():
        if name not in dataset:
            if (where, name) in _OPTIONAL or (where == "sample_stats" and name == "lp"):
                continue
            raise ValueError(f"{where}: expected a variable {name!r} with dims {dims}, got none")
        if dataset[name].dims != dims:
            raise ValueError(f"{where}.{name}: expected dims {dims}, got {dataset[name].dims}")
    if where == "sample_stats":
        for statistic, variable in dataset.data_vars.items():
            if variable.dims[:2] != BY_DRAW:
                raise ValueError(
                    f"{where}.{statistic}: expected dims starting {BY_DRAW}, got {variable.dims}"
                )


def _validate_parameters(where: str, dataset: xr.Dataset, mixture: Mixture | None) -> None:
    for name in _PARAMETERS:
        if not np.isfinite(dataset[name].values).all():
            raise ValueError(f"{where}.{name}: expected finite values")
    weights, covariances = dataset["weights"].values, dataset["covariances"].values
    if mixture is not None and weights.shape[-1] != mixture.n_components:
        raise ValueError(
            f"{where}.weights: expected {mixture.n_components} components, as in the model, got "
            f"{weights.shape[-1]}"
        )
    if weights.min() < 0 or not np.allclose(weights.sum(axis=-1), 1, rtol=0, atol=1e-8):
        raise ValueError(f"{where}.weights: expected weights of at least 0 that sum to one")
    if np.diagonal(covariances, axis1=-2, axis2=-1).min() <= 0:
        raise ValueError(f"{where}.covariances: expected variances above 0")
    size = np.sqrt(np.einsum("...ii,...jj->...ij", covariances, covariances))
    if not np.all(np.abs(covariances - np.swapaxes(covariances, -1, -2)) <= 1e-10 * size):
        raise ValueError(f"{where}.covariances: expected symmetric matrices")
    if np.linalg.eigvalsh(covariances / size)[..., 0].min() <= 0:
        raise ValueError(f"{where}.covariances: expected positive definite matrices")


def _validate_scale(where: str, dataset: xr.Dataset, mixture: Mixture | None) -> None:
    """A random covariance scale is there, and diagonal; a stated one is not a parameter."""
    if mixture is not None:
        prior = mixture.components
        random = prior is not None and prior.scale_hyperprior is not None
        _require_where_random(where, dataset, "covariance_scale", random, "scale_hyperprior")
    if "covariance_scale" not in dataset:
        return
    scale = dataset["covariance_scale"].values
    diagonal = np.diagonal(scale, axis1=-2, axis2=-1)
    usable = np.all(np.isfinite(diagonal)) and diagonal.min() > 0
    if not usable or np.any(scale != diagonal[..., None] * np.eye(scale.shape[-1])):
        raise ValueError(
            f"{where}.covariance_scale: expected diagonal matrices with finite entries above 0"
        )


def _validate_hyperparameters(dataset: xr.Dataset, mixture: Mixture | None) -> None:
    """A random concentration or discount is there, and in range; a stated one is no parameter."""
    for name, below in (("concentration", np.inf), ("discount", 1)):
        if mixture is not None:
            random = getattr(mixture.weights, f"random_{name}") is not None
            _require_where_random("posterior", dataset, name, random, f"random {name}")
        if name in dataset:
            values = dataset[name].values
            if not np.all((values > 0) & (values < below)):
                bounds = "finite values above 0" if below == np.inf else "values between 0 and 1"
                raise ValueError(f"posterior.{name}: expected {bounds}")


def _validate_truncation(error: Any, mixture: Mixture | None) -> None:
    """A posterior under stick-breaking weights says what their truncation cuts off."""
    if mixture is not None and not isinstance(mixture.weights, Dirichlet):
        if error is None or not 0 <= error < np.inf:
            raise ValueError(
                "tree: expected the attribute truncation_error, a finite number of at least 0, "
                f"because the model has a truncation, got {error}"
            )
    elif error is not None:
        raise ValueError(
            "tree: expected no attribute truncation_error, because the model has no truncation, "
            f"got {error}"
        )


def _require_where_random(
    where: str, dataset: xr.Dataset, name: str, random: bool, cause: str
) -> None:
    given = name in dataset
    if random is not given:
        article = "a" if random else "no"
        raise ValueError(
            f"{where}: expected {article} variable {name!r}, because the model has {article} "
            f"{cause}, got {'one' if given else 'none'}"
        )


def _validate_state(dataset: xr.Dataset) -> None:
    for name, variable in dataset.data_vars.items():
        if variable.dims[:1] != ("chain",):
            raise ValueError(
                f"sampler_state.{name}: expected 'chain' as the first dim, got dims {variable.dims}"
            )


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
