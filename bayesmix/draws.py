"""The draws of a tree, stacked over chains, as the pass wants them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix import passes
from bayesmix.covariance import Structure, structure_of
from bayesmix.gaussian import log_prior
from bayesmix.inputs import Table, as_table, random_words
from bayesmix.memory import blocks
from bayesmix.pass_parameters import PassParameters
from bayesmix.schema import (
    PARAMETERS,
    SCHEMA,
    group,
    mixture_of,
    require_fixed,
    varies,
)

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.mixture import Mixture

    Floats = NDArray[np.float64]

__all__ = [
    "Draws",
    "components_of",
    "count_clusters",
    "data_of",
    "draws_of",
    "evenly",
    "has_rows",
    "log_likelihoods",
    "log_priors",
    "point_of",
    "require_posterior",
    "sampled_allocation",
]


@dataclass(frozen=True)
class Draws:
    """S = chains x draws points."""

    structure: Structure
    n_chains: int
    weights: Floats
    """Shape (S, K)."""
    means: Floats
    """Shape (S, K, D)."""
    covariances: Floats
    """Dense, shape (S, K, D, D)."""
    covariance_scale: Floats | None = None
    """Diagonal, shape (S, D, D), where the tree has it."""
    concentration: Floats | None = None
    """Shape (S,), where the tree has it."""
    discount: Floats | None = None
    """Shape (S,), where the tree has it."""

    def __len__(self) -> int:
        return len(self.weights)

    @cached_property
    def parameters(self) -> PassParameters:
        """All points as the pass wants them."""
        covariances = self.structure.compact(self.covariances)
        return PassParameters.from_point(self.structure, self.weights, self.means, covariances)

    def by_chain(self, values: NDArray[Any]) -> NDArray[Any]:
        """Unstack values (S, ...) to (chain, draw, ...)."""
        return values.reshape(self.n_chains, -1, *values.shape[1:])


def draws_of(tree: xr.DataTree, mixture: Mixture | None = None) -> Draws:
    """Take the parameters out of a tree's posterior; the model is by default the tree's own."""
    posterior = require_posterior(tree)
    structure = _structure_of(tree, mixture)
    names = ["weights", "means", "covariances"]
    # another model's variable of such a name has other dims
    names += [
        name
        for name in ("covariance_scale", "concentration", "discount")
        if name in posterior and set(posterior[name].dims) == set(SCHEMA["posterior"][name])
    ]
    stacked = {name: posterior[name].transpose(*SCHEMA["posterior"][name]).values for name in names}
    values = {name: a.reshape(-1, *a.shape[2:]) for name, a in stacked.items()}
    return Draws(structure, posterior.sizes["chain"], **values)


def _structure_of(tree: xr.DataTree, mixture: Mixture | None) -> Structure:
    mixture = mixture_of(tree, mixture)
    return structure_of("full" if mixture is None else mixture.covariance_type)


def components_of(tree: xr.DataTree, mixture: Mixture | None = None) -> Draws:
    """Take the parameters out of a tree, whether or not their number varies.

    The model is by default the tree's own. Where the number varies, a draw is filled up with copies
    of its first component that have no weight, and its weights sum to less than one: what is left
    is that of components without rows.
    """
    if not varies(tree):
        return draws_of(tree, mixture)
    components, structure = group(tree, "components"), _structure_of(tree, mixture)
    stacked = [components[name].transpose(*SCHEMA["components"][name]) for name in PARAMETERS]
    values = [a.values.reshape(-1, *a.shape[2:]) for a in stacked]
    own = np.isfinite(values[0])
    weights = np.where(own, values[0], 0.0)
    means = np.where(own[..., None], values[1], values[1][:, :1])
    covariances = np.where(own[..., None, None], values[2], values[2][:, :1])
    return Draws(structure, components.sizes["chain"], weights, means, covariances)


def evenly(n: int, most: int) -> NDArray[np.intp]:
    """Places of n things, at most so many of them, evenly spread from the first to the last."""
    return np.linspace(0, n - 1, min(n, most)).round().astype(np.intp)


def require_posterior(tree: xr.DataTree) -> xr.Dataset:
    """Return the group posterior, or say what is missing from it."""
    require_fixed(tree)
    posterior = group(tree, "posterior")
    missing = [v for v in ("weights", "means", "covariances") if v not in posterior]
    if missing:
        raise ValueError(
            f"post.posterior: expected the variables weights, means and covariances, "
            f"{', '.join(missing)} missing; register them as deterministics of your model"
        )
    for name, dims in (
        ("weights", ("component",)),
        ("means", ("component", "feature")),
        ("covariances", ("component", "feature", "feature_bis")),
    ):
        if set(posterior[name].dims) != {"chain", "draw", *dims}:
            raise ValueError(
                f"post.posterior.{name}: expected dims (chain, draw, {', '.join(dims)}), got "
                f"({', '.join(map(str, posterior[name].dims))}); give them these names, by dims= "
                "in your model or in arviz.from_dict"
            )
    return posterior


def point_of(point: Any) -> xr.Dataset:
    """Take weights, means and dense covariances of a fitted estimator or a tree of `fit_em`.

    Dims are in the order of the schema.

    Raises
    ------
    ValueError
        If it is neither.
    """
    import xarray as xr

    if isinstance(point, xr.DataTree):
        found = group(point, "point_estimate")
        return found.transpose("component", "feature", "feature_bis", ...)
    missing = [a for a in ("weights_", "means_", "covariances_") if not hasattr(point, a)]
    if missing:
        raise ValueError(
            "point: expected a fitted GaussianMixture or a tree of fit_em, got "
            f"{type(point).__name__} without {', '.join(missing)}; call fit first"
        )
    k, d = point.means_.shape
    structure = structure_of(point.covariance_type)
    dataset = xr.Dataset(
        {
            "weights": ("component", np.asarray(point.weights_)),
            "means": (("component", "feature"), np.asarray(point.means_)),
            "covariances": (
                ("component", "feature", "feature_bis"),
                structure.dense(np.asarray(point.covariances_), k, d),
            ),
        }
    )
    names = getattr(point, "feature_names_in_", None)
    return dataset if names is None else dataset.assign_coords(feature=[str(f) for f in names])


def data_of(tree: xr.DataTree, x_new: Any = None) -> Table:
    """Rows to evaluate: new ones if given, checked against the tree, else the tree's own."""
    if x_new is None:
        return _own_rows(tree)
    table = as_table(x_new, name="x_new")
    of_features = group(tree, "components" if varies(tree) else "posterior")["feature"].values
    expected = len(of_features)
    if table.values.shape[1] != expected:
        raise ValueError(
            f"x_new: expected {expected} column(s), as in the fit, got {table.values.shape[1]}"
        )
    names = tuple(str(f) for f in of_features)
    if hasattr(x_new, "columns") and table.features != names:
        raise ValueError(
            f"x_new: expected the columns {', '.join(names)}, as in the fit, got "
            f"{', '.join(table.features)}; put them in this order, or pass an array"
        )
    return table


def has_rows(tree: xr.DataTree) -> bool:
    """Whether a tree holds its rows where `data_of` looks for them."""
    if "observed_data" not in tree.children:
        return False
    observed = group(tree, "observed_data")
    return "x" in observed and set(observed["x"].dims) == {"obs", "feature"}


def _own_rows(tree: xr.DataTree) -> Table:
    observed = group(tree, "observed_data")
    if not has_rows(tree):
        given = [f"{n} ({', '.join(map(str, v.dims))})" for n, v in observed.data_vars.items()]
        raise ValueError(
            "post.observed_data: expected a variable x with dims (obs, feature), got "
            f"{', '.join(given) or 'none'}; rename it and its dims"
        )
    data = observed["x"].transpose("obs", "feature")
    parameters = tree.get("components" if varies(tree) else "posterior")
    if parameters is not None and "feature" in parameters.sizes:
        data = _in_order(data, parameters.to_dataset())
    features = tuple(str(f) for f in data["feature"].values)
    return Table(np.ascontiguousarray(data.values, float), features, data["obs"].values)


def _in_order(data: xr.DataArray, parameters: xr.Dataset) -> xr.DataArray:
    """Columns as the parameters have them, told by name where both have names."""
    if data.sizes["feature"] != parameters.sizes["feature"]:
        raise ValueError(
            f"post.observed_data.x: expected {parameters.sizes['feature']} features, as the means "
            f"have, got {data.sizes['feature']}"
        )
    if "feature" not in data.coords or "feature" not in parameters.coords:
        return data
    names, given = parameters["feature"].values, data["feature"].values
    if np.array_equal(names, given):
        return data
    if sorted(map(str, names)) != sorted(map(str, given)):
        raise ValueError(
            f"post.observed_data.x: expected the features {', '.join(map(str, names))}, as the "
            f"means have, got {', '.join(map(str, given))}"
        )
    order = {str(name): place for place, name in enumerate(given)}
    return data.isel(feature=[order[str(name)] for name in names])


def log_likelihoods(draws: Draws, x: Floats) -> Floats:
    """Log-likelihood of all rows at every draw, (S,)."""
    return passes.log_likelihood(x, draws.parameters)


def log_priors(draws: Draws, mixture: Mixture) -> Floats:
    """Log prior density of every draw in the measure of `gaussian.log_prior`, (S,).

    Raises
    ------
    ValueError
        If the mixture has a random covariance scale, concentration or discount that the draws do
        not have.
    """
    prior = mixture.components
    if prior is not None and prior.scale_hyperprior is not None and draws.covariance_scale is None:
        raise ValueError(
            "post.posterior: expected a variable covariance_scale with dims (chain, draw, feature, "
            "feature_bis), because the model has a scale_hyperprior, got none"
        )
    values = log_prior(
        mixture,
        draws.weights,
        draws.means,
        draws.covariances,
        draws.covariance_scale,
        draws.concentration,
        draws.discount,
    )
    return np.asarray(values, float)


def sampled_allocation(draws: Draws, x: Floats, generator: np.random.Generator) -> NDArray[Any]:
    """Draw every row's label at every draw of the parameters, (S, n), smallest integer type."""
    out = np.empty((len(draws), len(x)), dtype=np.min_scalar_type(-draws.weights.shape[1]))
    keys = random_words(generator, (len(draws), 2))
    for own in blocks(len(draws), 8 * len(x)):
        out[own] = passes.sampled_labels(x, draws.parameters[own], keys[own])
    return out


def count_clusters(label: NDArray[Any], n_components: int) -> NDArray[np.int64]:
    """Number of occupied components of labels (..., n)."""
    return sum(
        ((label == k).any(axis=-1).astype(np.int64) for k in range(n_components)),
        np.zeros(label.shape[:-1], dtype=np.int64),
    )
