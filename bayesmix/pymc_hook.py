"""A user's own components in a PyMC model: tensors in, variables by the schema's names out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

__all__ = ["Components", "add_own_components"]

Components = Callable[[int, int], tuple[Any, Any]]
"""``components(n_components, n_features)`` returns means (K, D) and the lower triangular Cholesky
factors of the covariances (K, D, D)."""


def add_own_components(
    components: Components, n_components: int, n_features: int
) -> tuple[Any, Any]:
    """Call ``components`` inside the model in whose context we are, and name what it returns.

    Returns
    -------
    means : (K, D) tensor
    factor : (K, D, D) tensor
        Cholesky factors of the precisions of the features from the last to the first: reversed,
        the transposed inverse of a covariance's lower factor is lower again.
    """
    returned = components(n_components, n_features)
    if not (isinstance(returned, tuple | list) and len(returned) == 2):
        raise TypeError(
            "components: expected the function to return (means, cholesky factors of the "
            f"covariances), got {type(returned).__name__}"
        )
    shapes = {
        "means": (n_components, n_features),
        "covariances": (n_components, n_features, n_features),
    }
    means, cholesky = (
        _checked(name, value, shape)
        for (name, shape), value in zip(shapes.items(), returned, strict=True)
    )
    if pm.modelcontext(None).named_vars.get("means") is not returned[0]:
        _name("means", means, ("component", "feature"))
    _name("covariances", cholesky @ cholesky.mT, ("component", "feature", "feature_bis"))
    inverse = pt.linalg.solve_triangular(cholesky, np.eye(n_features), lower=True, b_ndim=2)
    return means, inverse[:, ::-1, ::-1].mT


def _checked(name: str, value: Any, shape: tuple[int, ...]) -> Any:
    tensor = pt.as_tensor_variable(value)
    what = "means" if name == "means" else "Cholesky factors of the covariances"
    found = tensor.type.shape
    if len(found) != len(shape) or any(
        n is not None and n != m for n, m in zip(found, shape, strict=True)
    ):
        raise ValueError(f"components: expected {what} of shape {shape}, got {found}")
    return pt.specify_shape(tensor, shape)


def _name(name: str, value: Any, dims: tuple[str, ...]) -> None:
    """Register a deterministic by the name under which trees are read."""
    if name in pm.modelcontext(None).named_vars:
        raise ValueError(
            f"components: expected the name {name!r} to be free or to be that of the returned "
            "means, got another variable of that name; rename it"
        )
    pm.Deterministic(name, value, dims=dims)
