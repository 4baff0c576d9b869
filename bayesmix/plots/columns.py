"""Which features a picture shows: those named, or those that tell its groups apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.draws import components_of, evenly

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.inputs import Table

    Floats = NDArray[np.float64]

__all__ = ["chosen", "column", "separating", "separating_components"]

_N_DRAWS = 20  # more change no order of features that could be told apart
_ROUNDING = 1e-12  # standard deviation of what is constant, as a share of its size


def column(table: Table, name: str) -> int:
    """Find a feature by its name."""
    if str(name) not in table.features:
        raise ValueError(
            f"features: expected names among {', '.join(table.features)}, got {name!r}"
        )
    return table.features.index(str(name))


def chosen(
    table: Table, features: Sequence[str] | None, otherwise: Callable[[int], list[int]]
) -> list[int]:
    """Places of the one or two features named; else of all, or of many what ``otherwise`` picks."""
    if features is None:
        return otherwise(2) if len(table.features) > 2 else list(range(len(table.features)))
    given = [features] if np.ndim(features) == 0 else features
    names = [str(name) for name in given]
    if not 1 <= len(set(names)) == len(names) <= 2:
        raise ValueError(f"features: expected one or two different names, got {features!r}")
    return [column(table, name) for name in names]


def separating(x: Floats, labels: NDArray[np.integer], most: int) -> list[int]:
    """Features, in their order, in which groups of rows (n, D) by labels (n,) differ most."""
    groups = [x[labels == k] for k in np.unique(labels)]
    weights = np.array([len(group) for group in groups], float)
    means, variances = (np.array([f(g, axis=0) for g in groups]) for f in (np.mean, np.var))
    return _largest(_between(weights, means, variances), most)


def separating_components(post: xr.DataTree, most: int) -> list[int]:
    """Features, in their order, in which components differ most; needs no order of components."""
    draws = components_of(post)
    at = evenly(len(draws), _N_DRAWS)
    variances = np.diagonal(draws.covariances[at], axis1=-2, axis2=-1)
    shares = [
        _between(*values)
        for values in zip(draws.weights[at], draws.means[at], variances, strict=True)
    ]
    return _largest(np.mean(shares, axis=0), most)


def _between(weights: Floats, means: Floats, variances: Floats) -> Floats:
    """Share of every feature's variance, (D,), that is between groups (K,), (K, D), (K, D)."""
    between = weights @ np.square(means - weights @ means / weights.sum())
    total = between + weights @ variances
    rounding = weights.sum() * np.square(_ROUNDING * np.abs(means).max(axis=0))
    return np.divide(between, total, out=np.zeros_like(total), where=total > rounding)


def _largest(shares: Floats, most: int) -> list[int]:
    return sorted(np.argsort(-shares, kind="stable")[:most].tolist())
