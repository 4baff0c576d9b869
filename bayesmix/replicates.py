"""Rows that the model would make, before the data and after them; log density of every row.

Rows are drawn from the mixture of every draw, their labels anew: a replicate of the whole table
with as many rows.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import xarray as xr

from bayesmix import component_prior, weight_prior
from bayesmix.covariance import structure_of
from bayesmix.draws import Draws, draws_of
from bayesmix.finite_mixtures import MixtureOfFiniteMixtures
from bayesmix.gaussian import move_to_components
from bayesmix.inputs import as_generator, as_table, require_count
from bayesmix.memory import require_memory, require_memory_of_parameters
from bayesmix.mixture import Mixture, require_mixture
from bayesmix.random_measure import RandomMeasure
from bayesmix.schema import BY_DRAW, SCHEMA, group, observed_data, posterior, root_attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from bayesmix.inputs import RandomSeed, Table

    Floats = NDArray[np.float64]

__all__ = [
    "ON_REQUEST",
    "OnRequest",
    "add_groups",
    "log_likelihood_group",
    "n_numbers",
    "sample_prior_predictive",
]

OnRequest = Literal["log_likelihood", "posterior_predictive", "prior", "prior_predictive"]
ON_REQUEST: tuple[str, ...] = get_args(OnRequest)
"""Groups that `add_groups` makes."""


def sample_prior_predictive(
    mixture: Mixture, x: Any, *, draws: int = 500, random_seed: RandomSeed = None
) -> xr.DataTree:
    """Draw parameters from the prior, and as many rows as the data at each.

    The way to judge a prior before it meets the data: rows that look nothing like data of this
    kind speak against it.

    Parameters
    ----------
    mixture : Mixture
        With a component prior.
    x : (n, D) array_like or DataFrame
        Says how many rows and which features; its values play no part.
    draws : int, default 500
    random_seed : int, SeedSequence or Generator, optional

    Returns
    -------
    xarray.DataTree
        Groups ``prior`` (as ``posterior``, one chain), ``prior_predictive`` with
        ``x (chain, draw, obs, feature)``, and ``observed_data``.

    Raises
    ------
    ValueError
        If the mixture has no component prior, or one for another number of features, or rows or
        parameters would exceed 2 GiB.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.weakly_informative(x))
    >>> tree = bm.sample_prior_predictive(mixture, x, draws=50, random_seed=1)
    >>> dict(tree.prior_predictive["x"].sizes)
    {'chain': 1, 'draw': 50, 'obs': 272, 'feature': 2}
    """
    started = time.perf_counter()
    _require_draws(mixture)
    require_count(draws, "draws")
    table = as_table(x)
    mixture.require_features(len(table.features))
    wanted = 8 * n_numbers("prior_predictive", draws, table.values.shape)
    require_memory(wanted, "draws: as many rows as the data at each", "use fewer draws")
    tree = xr.DataTree.from_dict({"observed_data": observed_data(table)})
    mixture = mixture.truncated(len(table.values))
    shape = mixture.n_components, len(table.features)
    require_memory_of_parameters(draws, shape, "use fewer draws")
    both = {"prior", "prior_predictive"}
    for name, made in _prior_groups(mixture, table, draws, as_generator(random_seed), both):
        tree[name] = xr.DataTree(made)
    tree.attrs.update(root_attrs(mixture, random_seed, time.perf_counter() - started))
    return tree


def _require_draws(mixture: Mixture) -> None:
    """Refuse a mixture whose prior has no draws with a fixed number of components."""
    if isinstance(mixture, Mixture) and mixture.components is None:
        raise ValueError(
            "mixture: expected a prior on the components, got none: maximum likelihood expects "
            "nothing of data before it sees them; give components=fraley_raftery(x, K)"
        )
    if isinstance(mixture, Mixture) and isinstance(mixture.weights, MixtureOfFiniteMixtures):
        raise ValueError(
            f"mixture: expected a number of components that is not random, got {mixture.weights}; "
            "draw a number from its prior, and data from a Dirichlet of as many"
        )
    require_mixture(mixture, "nuts")  # the engine for every other prior that has draws


def add_groups(
    tree: xr.DataTree,
    names: Iterable[str],
    mixture: Mixture,
    table: Table,
    generator: np.random.Generator,
) -> None:
    """Add groups of `ON_REQUEST` to a tree that has a posterior, with as many draws."""
    asked = set(names)
    for_rows, for_prior = generator.spawn(2)
    draws = draws_of(tree)
    if "log_likelihood" in asked:
        tree["log_likelihood"] = log_likelihood_group(tree, RandomMeasure(draws), table)
    if "posterior_predictive" in asked:
        rows = draws.by_chain(_replicates(draws, len(table.values), for_rows))
        tree["posterior_predictive"] = xr.DataTree(_rows(rows, group(tree, "posterior"), table))
    if asked & {"prior", "prior_predictive"}:
        for name, made in _prior_groups(mixture, table, len(draws), for_prior, asked):
            tree[name] = xr.DataTree(made)


def n_numbers(name: str, n_draws: int, shape: tuple[int, int]) -> int:
    """Numbers in a group of `ON_REQUEST` for rows of a shape (n, D), parameters not counted."""
    each = {"log_likelihood": shape[0], "prior": 0}
    return n_draws * each.get(name, shape[0] * shape[1])


def _prior_groups(
    mixture: Mixture, table: Table, size: int, generator: np.random.Generator, asked: set[str]
) -> Iterator[tuple[str, xr.Dataset]]:
    draws = _prior_draws(mixture, size, generator)

    def optional(values: Floats | None) -> Floats | None:
        return None if values is None else draws.by_chain(values)

    parameters = posterior(
        draws.by_chain(draws.weights),
        draws.by_chain(draws.means),
        draws.by_chain(draws.covariances),
        table.features,
        covariance_scale=optional(draws.covariance_scale),
        concentration=optional(draws.concentration),
        discount=optional(draws.discount),
    )
    if "prior" in asked:
        yield "prior", parameters
    if "prior_predictive" in asked:
        rows = draws.by_chain(_replicates(draws, len(table.values), generator))
        yield "prior_predictive", _rows(rows, parameters, table)


def _prior_draws(mixture: Mixture, size: int, generator: np.random.Generator) -> Draws:
    structure, prior = structure_of(mixture.covariance_type), mixture.components
    assert prior is not None  # what `require_mixture` has checked
    weights, concentration, discount = weight_prior.draw(mixture.weights, size, generator)
    try:
        means, covariances, scale = component_prior.draw(
            prior, structure, mixture.n_components, size, generator
        )
    except np.linalg.LinAlgError as error:
        raise np.linalg.LinAlgError(
            f"a covariance drawn from the prior is singular to working precision: its dof of "
            f"{prior.dof:g} is hardly above {prior.n_features - 1}; give a larger one"
        ) from error
    return Draws(structure, 1, weights, means, covariances, scale, concentration, discount)


def _replicates(draws: Draws, n: int, generator: np.random.Generator) -> Floats:
    """Draw n rows at every draw, (S, n, D)."""
    out = generator.standard_normal((len(draws), n, draws.means.shape[-1]))
    roots = np.linalg.cholesky(draws.covariances)
    for rows, weights, means, factors in zip(out, draws.weights, draws.means, roots, strict=True):
        bounds = np.cumsum(weights)
        label = np.searchsorted(bounds[:-1], generator.uniform(0, bounds[-1], n), side="right")
        move_to_components(rows, label, means, factors)
    return out


def _rows(rows: Floats, like: xr.Dataset, table: Table) -> xr.Dataset:
    """Turn rows (chain, draw, n, D) into a group, by the draws of ``like``."""
    observed = observed_data(table)
    coords = {name: like[name] for name in BY_DRAW}
    coords |= {name: observed[name] for name in ("obs", "feature")}
    return xr.Dataset({"x": (SCHEMA["posterior_predictive"]["x"], rows)}, coords=coords)


def log_likelihood_group(tree: xr.DataTree, measure: RandomMeasure, table: Table) -> xr.DataTree:
    """Log density of every row at every draw, labels summed out, as a group."""
    values = measure.log_density(table.values)
    coords = {name: group(tree, "posterior")[name] for name in BY_DRAW}
    coords["obs"] = observed_data(table)["obs"]
    by_chain = measure.clusters.by_chain(values)
    return xr.DataTree(xr.Dataset({"x": (SCHEMA["log_likelihood"]["x"], by_chain)}, coords=coords))
