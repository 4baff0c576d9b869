"""What an evidence is asked of: a finite mixture, rows, and draws that belong to both."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.draws import data_of, draws_of, has_rows
from bayesmix.inputs import as_table
from bayesmix.mixture import require_mixture
from bayesmix.schema import mixture_of

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.draws import Draws
    from bayesmix.inputs import Table
    from bayesmix.mixture import Mixture

    Floats = NDArray[np.float64]

__all__ = ["FEWEST_DRAWS", "fingerprint_of", "require_finite_mixture", "require_own", "rows_of"]

FEWEST_DRAWS = 8  # of a chain: half of them have an error


def require_finite_mixture(mixture: Mixture) -> None:
    """Refuse a number of components that varies."""
    require_mixture(mixture, "gibbs")
    if mixture.varying:
        raise ValueError(
            f"mixture: expected a fixed number of components, got {mixture.weights}; take "
            "Dirichlet(K), or truncated sticks; P(K | x) of a MixtureOfFiniteMixtures comes with "
            "sample and n_clusters"
        )


def rows_of(x: Any, post: xr.DataTree | None) -> Table:
    """Rows as given, else those of the draws; both the same if there are both."""
    if x is None:
        if post is None:
            raise ValueError("x: expected rows, or post= with its own, got neither")
        return data_of(post)
    table = as_table(x)
    if post is not None and has_rows(post):
        own = data_of(post).values
        if not np.array_equal(own, table.values):
            raise ValueError(
                f"x: expected the rows of post, {_size(own)}, got others, {_size(table.values)}; "
                "leave x out"
            )
    return table


def fingerprint_of(rows: Floats) -> str:
    """Hash of rows (n, D), by which results on other data are told apart."""
    values = np.ascontiguousarray(rows, dtype=float)
    return blake2b(values.tobytes(), digest_size=8, key=_size(rows).encode()).hexdigest()


def require_own(post: xr.DataTree, mixture: Mixture) -> None:
    """Refuse draws that are not of this mixture, as far as a tree tells, or too few."""
    stated = mixture_of(post)
    if stated is not None and stated != mixture:
        raise ValueError(
            f"post: expected draws of mixture, with {mixture.weights}, got those of another, "
            f"with {stated.weights}; pass the mixture that was sampled"
        )
    draws = draws_of(post, mixture)
    _require_enough(draws)
    _require_shape(draws, mixture)
    _require_structure(draws)


def _require_enough(draws: Draws) -> None:
    found = len(draws) // draws.n_chains
    if found < FEWEST_DRAWS:
        raise ValueError(
            f"post: expected at least {FEWEST_DRAWS} draws per chain, which are split, got "
            f"{found}; sample more"
        )


def _require_shape(draws: Draws, mixture: Mixture) -> None:
    """Refuse other numbers than the mixture's, and what it draws that is not there."""
    found, expected = draws.weights.shape[1], mixture.n_components
    if found != expected:
        raise ValueError(
            f"post: expected {expected} components, as in mixture, got {found}; pass the mixture "
            "that was sampled"
        )
    mixture.require_features(draws.means.shape[2])
    weights, components = mixture.weights, mixture.components
    assert components is not None  # what `require_mixture` has checked
    for name, drawn, values in (
        ("concentration", weights.random_concentration, draws.concentration),
        ("discount", weights.random_discount, draws.discount),
        ("covariance_scale", components.scale_hyperprior, draws.covariance_scale),
    ):
        if drawn is not None and values is None:
            raise ValueError(
                f"post: expected the variable {name}, which mixture has random, got none; pass "
                "the mixture that was sampled"
            )


def _require_structure(draws: Draws) -> None:
    """Refuse covariances that the mixture's structure does not hold, by the last draw."""
    structure, (k, d) = draws.structure, draws.means.shape[1:]
    last = draws.covariances[-1:]
    held = structure.dense(structure.compact(last), k, d)
    if not np.allclose(held, last, rtol=1e-6, atol=1e-9 * np.abs(last).max()):
        raise ValueError(
            f"post: expected {structure.name} covariances, as in mixture, got others; pass the "
            "mixture that was sampled"
        )


def _size(rows: Floats) -> str:
    return " by ".join(map(str, rows.shape))
