"""What values parameters may have in a tree: arrays in, errors that name the variable out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = [
    "require_covariances",
    "require_padding",
    "require_parameters",
    "require_scale",
    "require_some_mass",
]

_ROUNDING = 1e-8


def require_parameters(where: str, values: Mapping[str, Floats]) -> None:
    """Weights (..., K) that sum to one, means, and dense covariances, all finite."""
    for name, array in values.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{where}.{name}: expected finite values")
    weights = values["weights"]
    if weights.min() < 0 or not np.allclose(weights.sum(axis=-1), 1, rtol=0, atol=_ROUNDING):
        raise ValueError(f"{where}.weights: expected weights of at least 0 that sum to one")
    require_covariances(where, values["covariances"])


def require_covariances(where: str, covariances: Floats) -> None:
    """Symmetric positive definite matrices (..., D, D)."""
    if np.diagonal(covariances, axis1=-2, axis2=-1).min() <= 0:
        raise ValueError(f"{where}.covariances: expected variances above 0")
    size = np.sqrt(np.einsum("...ii,...jj->...ij", covariances, covariances))
    if not np.all(np.abs(covariances - np.swapaxes(covariances, -1, -2)) <= 1e-10 * size):
        raise ValueError(f"{where}.covariances: expected symmetric matrices")
    if np.linalg.eigvalsh(covariances / size)[..., 0].min() <= 0:
        raise ValueError(f"{where}.covariances: expected positive definite matrices")


def require_scale(where: str, scale: Floats) -> None:
    """Diagonal matrices (..., D, D)."""
    diagonal = np.diagonal(scale, axis1=-2, axis2=-1)
    usable = np.all(np.isfinite(diagonal)) and diagonal.min() > 0
    if not usable or np.any(scale != diagonal[..., None] * np.eye(scale.shape[-1])):
        raise ValueError(
            f"{where}.covariance_scale: expected diagonal matrices with finite entries above 0"
        )


def require_padding(
    where: str, values: Mapping[str, Floats], n_clusters: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """Values (chain, draw, component, ...), finite in a draw's clusters and NaN after them.

    Returns
    -------
    (chain, draw, component) ndarray of bool
        Where a draw has a cluster.
    """
    width = values["weights"].shape[-1]
    if n_clusters.min() < 1 or n_clusters.max() > width:
        raise ValueError(
            f"posterior.n_clusters: expected numbers from 1 to {width}, the components there is "
            f"room for, got {n_clusters.min()} to {n_clusters.max()}"
        )
    own: NDArray[np.bool_] = np.arange(width) < n_clusters[..., None]
    for name, array in values.items():
        if not (np.isfinite(array[own]).all() and np.isnan(array[~own]).all()):
            raise ValueError(
                f"{where}.{name}: expected finite values in the first n_clusters components of "
                "every draw, and NaN in the others"
            )
    return own


def require_some_mass(where: str, weights: Floats, own: NDArray[Any]) -> None:
    """Weights of the components that a draw has: what is left of one is nobody's."""
    if weights[own].min() < 0 or np.nansum(weights, axis=-1).max() > 1 + _ROUNDING:
        raise ValueError(
            f"{where}.weights: expected weights of at least 0 whose sum is at most one"
        )
