"""What draws are matched to, and the labels of both: as stored, else drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix import passes
from bayesmix.covariance import structure_of
from bayesmix.draws import Draws, data_of, evenly, has_rows
from bayesmix.inputs import as_generator, random_words
from bayesmix.pass_parameters import PassParameters
from bayesmix.schema import BY_DRAW, group

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Pivot", "filled", "have_labels", "labels_of_draws", "some_rows", "stored_labels"]

_MOST_ROWS = 1000  # of those that are looked at for a sample
_DRAWS = 1000  # at a time


@dataclass(frozen=True)
class Pivot:
    """What draws are matched to."""

    weights: Floats
    means: Floats
    covariances: Floats
    draw: int | None = None
    """Which of the draws it is, if one of them."""


def have_labels(post: xr.DataTree, pivot: Pivot) -> bool:
    """Whether labels of draws and pivot are to be had, stored or by drawing them."""
    return has_rows(post) or ("allocation" in post.children and pivot.draw is not None)


def labels_of_draws(
    post: xr.DataTree, draws: Draws, pivot: Pivot, *, few: bool = False
) -> tuple[Callable[[slice], NDArray[Any]], NDArray[Any]]:
    """Labels of some draws, made when asked for, and those at the pivot: of all rows or of few."""
    if "allocation" in post.children:
        flat = stored_labels(post, draws)
        n = flat.shape[1]
        rows = evenly(n, _MOST_ROWS if few else n)

        def labels(own: slice) -> NDArray[Any]:
            return flat[own].take(rows, axis=1)

    else:
        x = data_of(post).values
        rows = evenly(len(x), _MOST_ROWS)
        some = x[rows]
        keys = random_words(as_generator(0), (len(draws), 2))

        def labels(own: slice) -> NDArray[Any]:
            return passes.sampled_labels(some, draws.parameters[own], keys[own])

    if pivot.draw is not None:
        return labels, labels(slice(pivot.draw, pivot.draw + 1))[0]
    point = pivot.weights, pivot.means, pivot.covariances
    parameters = PassParameters.from_point(structure_of("full"), *point)
    return labels, passes.labels(data_of(post).values[rows], parameters)


def stored_labels(post: xr.DataTree, draws: Draws) -> NDArray[Any]:
    """Labels of the tree, (S, n), checked."""
    stored = group(post, "allocation")["label"].transpose(*BY_DRAW, "obs").values
    k = draws.weights.shape[1]
    if stored.size and not 0 <= stored.min() <= stored.max() < k:
        raise ValueError(
            f"post.allocation.label: expected whole numbers from 0 to {k - 1}, one per component, "
            f"got {stored.min()} to {stored.max()}"
        )
    return stored.reshape(len(draws), -1)


def filled(post: xr.DataTree, draws: Draws, pivot: Pivot) -> NDArray[np.bool_]:
    """Which components of a draw have rows, (S, K): among few rows, unless all always have."""
    k = draws.weights.shape[1]
    posterior = group(post, "posterior")
    if "n_clusters" in posterior and posterior["n_clusters"].values.min() == k:
        return np.ones((len(draws), k), np.bool_)
    labels, _ = labels_of_draws(post, draws, pivot, few=True)
    blocks = (labels(slice(start, start + _DRAWS)) for start in range(0, len(draws), _DRAWS))
    each = ([(own == c).any(axis=1) for c in range(k)] for own in blocks)
    return np.concatenate([np.stack(columns, axis=1) for columns in each])


def some_rows(post: xr.DataTree) -> Floats:
    """At most 1,000 rows of the fit, evenly spread."""
    x = data_of(post).values
    return x[evenly(len(x), _MOST_ROWS)]
