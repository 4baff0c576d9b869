"""Whether a tree follows the schema: `validate`; `load` reads one and checks it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayesmix.parameter_values import (
    require_covariances,
    require_padding,
    require_parameters,
    require_scale,
    require_some_mass,
)
from bayesmix.schema import (
    BY_DRAW,
    OPTIONAL,
    PARAMETERS,
    SCHEMA,
    chosen_clusters,
    group,
    mixture_of,
    require_tree,
    varies,
)
from bayesmix.stick_priors import StickPrior

if TYPE_CHECKING:
    from os import PathLike

    from bayesmix.mixture import Mixture

__all__ = ["load", "validate"]

_ROOT_ATTRS = ("bayesmix_model", "versions", "random_seed", "seconds")


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
    if "bayesmix_model" not in tree.attrs:
        raise ValueError(
            f"load: expected the attributes {', '.join(_ROOT_ATTRS)} of a tree that bayesmix made, "
            f"got none in {path}; read trees of others by xarray.open_datatree(path).load()"
        )
    validate(tree)
    return tree


def validate(tree: xr.DataTree) -> None:
    """Check that a tree of bayesmix follows the schema.

    Raises
    ------
    ValueError
        Names the group and the variable, what was expected and what came.
    """
    require_tree(tree)
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
        _validate_group(name, group(tree, name), varies(tree))
    if mixture is not None and "posterior" in tree.children:
        _validate_kind(tree, mixture)
    if varies(tree):
        _validate_components(group(tree, "components"), group(tree, "posterior"))
    for name in {"point_estimate", "posterior"} & set(tree.children):
        if name == "point_estimate" or not varies(tree):
            _validate_parameters(name, group(tree, name), mixture)
        _validate_scale(name, group(tree, name), mixture)
    if "posterior" in tree.children:
        _validate_hyperparameters(group(tree, "posterior"), mixture)
        _validate_truncation(tree.attrs.get("truncation_error"), mixture)
    if "sampler_state" in tree.children:
        _validate_state(group(tree, "sampler_state"))


def _validate_group(where: str, dataset: xr.Dataset, varying: bool) -> None:
    elsewhere = set(PARAMETERS) if varying and where == "posterior" else set()
    if elsewhere & set(dataset.data_vars):
        raise ValueError(
            f"{where}: expected no weights, means or covariances beside the group components"
        )
    for name, dims in SCHEMA[where].items():
        if name not in dataset:
            if name in OPTIONAL | elsewhere:
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
    require_parameters(where, {name: dataset[name].values for name in PARAMETERS})
    k = dataset.sizes["component"]
    if mixture is not None and not mixture.varying and k != mixture.n_components:
        raise ValueError(
            f"{where}.weights: expected {mixture.n_components} components, as in the model, got {k}"
        )


def _validate_kind(tree: xr.DataTree, mixture: Mixture) -> None:
    """The number of components varies in the tree if it does in the model, or was chosen."""
    if varies(tree) and not mixture.varying:
        raise ValueError(
            f"tree: expected no group components, because the model has {mixture.n_components} "
            "components, got one"
        )
    if mixture.varying and not varies(tree) and chosen_clusters(tree) is None:
        raise ValueError(
            "tree: expected a group components, because the number of components varies in the "
            "model, or the draws with one number of clusters that relabel(post, n_clusters=k) "
            "keeps, got neither"
        )


def _validate_components(dataset: xr.Dataset, posterior: xr.Dataset) -> None:
    if "n_clusters" not in posterior:
        raise ValueError("posterior: expected a variable 'n_clusters' beside the group components")
    values = {name: dataset[name].values for name in PARAMETERS}
    own = require_padding("components", values, posterior["n_clusters"].values)
    require_some_mass("components", values["weights"], own)
    require_covariances("components", values["covariances"][own])


def _validate_scale(where: str, dataset: xr.Dataset, mixture: Mixture | None) -> None:
    """A random covariance scale is there, and diagonal; a stated one is not a parameter."""
    if mixture is not None:
        prior = mixture.components
        random = prior is not None and prior.scale_hyperprior is not None
        _require_where_random(where, dataset, "covariance_scale", random, "scale_hyperprior")
    if "covariance_scale" not in dataset:
        return
    require_scale(where, dataset["covariance_scale"].values)


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
    if mixture is not None and mixture.varying:
        counted = not isinstance(mixture.weights, StickPrior)
        _require_where_random("posterior", dataset, "n_components", counted, "prior on it")


def _validate_truncation(error: Any, mixture: Mixture | None) -> None:
    """A posterior under truncated stick-breaking weights says what the truncation cuts off."""
    weights = None if mixture is None else mixture.weights
    if isinstance(weights, StickPrior) and weights.truncation is not None:
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
