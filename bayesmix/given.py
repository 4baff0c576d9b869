"""Points that users give, whole or in part: shapes and values checked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.covariance import Structure
from bayesmix.problem import Point

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["completed", "given_point"]


def given_point(
    structure: Structure, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike
) -> Point:
    """Check a whole point: weights (K,), means (K, D), covariances in the structure's shape.

    Raises
    ------
    ValueError
        In one line that starts with the argument's name.
    """
    numbers = _numbers("means", means)
    if numbers.ndim != 2 or 0 in numbers.shape:
        raise ValueError(
            f"means: expected shape (n_components, n_features), got {numbers.shape}; a single "
            "feature is a column"
        )
    k, d = numbers.shape
    return Point(
        structure,
        _weights("weights", weights, k),
        numbers,
        _definite("covariances", covariances, structure, k, d),
    )


def completed(
    point: Point,
    weights: ArrayLike | None,
    means: ArrayLike | None,
    precisions: ArrayLike | None,
) -> Point:
    """Put what a user gave as ``weights_init`` and so on into a start."""
    structure, (k, d) = point.structure, point.means.shape
    if weights is not None:
        point = replace(point, weights=_weights("weights_init", weights, k))
    if means is not None:
        point = replace(point, means=_shaped("means_init", means, (k, d)))
    if precisions is not None:
        given = _definite("precisions_init", precisions, structure, k, d)
        point = replace(point, covariances=structure.precisions(given))
    return point


def _weights(name: str, value: ArrayLike, n_components: int) -> Floats:
    weights = _shaped(name, value, (n_components,))
    total = weights.sum()
    if np.any(weights < 0) or not np.isclose(total, 1):
        negative = f"smallest weight of {weights.min():g}"
        found = negative if np.any(weights < 0) else f"sum of {total:g}"
        raise ValueError(f"{name}: expected weights of at least 0 that sum to one, got a {found}")
    return weights / total  # single precision leaves a sum of 1 + 1e-7


def _definite(name: str, value: ArrayLike, structure: Structure, k: int, d: int) -> Floats:
    """Covariances or precisions in the structure's shape."""
    matrices = _shaped(name, value, structure.average(np.eye(d), k).shape)
    dense = structure.dense(matrices, k, d)
    mirrored = np.swapaxes(dense, -1, -2)
    size = np.sqrt(np.abs(np.einsum("kii,kjj->kij", dense, dense)))
    good = bool(np.all(np.abs(dense - mirrored) <= 1e-6 * size))
    try:
        structure.precision_cholesky(matrices)
    except np.linalg.LinAlgError:
        good = False
    if not good:
        raise ValueError(f"{name}: expected symmetric, positive definite {name.split('_')[0]}")
    return structure.compact((dense + mirrored) / 2).copy()


def _shaped(name: str, value: ArrayLike, shape: tuple[int, ...]) -> Floats:
    array = _numbers(name, value)
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
    return array


def _numbers(name: str, value: ArrayLike) -> Floats:
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"{name}: expected an array, got rows of unequal length") from None
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name}: expected numbers, got an array of dtype {array.dtype}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers, got NaN or inf")
    return array.astype(float)
