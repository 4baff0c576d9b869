"""The rows in a PyMC model: their density, marginalized over the labels, and new rows drawn.

``"op"`` is the compiled pass as one operation (`pymc_op`), ``"graph"`` the same formula in
PyTensor's own operations: the readable reference, which samplers of other backends understand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import pymc as pm
from numpy.typing import NDArray

from bayesmix.covariance import structure_of
from bayesmix.pymc_op import MixtureDensity
from bayesmix.pymc_structures import Arithmetic

__all__ = ["LikelihoodKind", "add_rows"]

Floats = NDArray[np.float64]
LikelihoodKind = Literal["op", "graph"]


def add_rows(
    data: Any,
    log_weights: Any,
    means: Any,
    factor: Any,
    arithmetic: Arithmetic,
    kind: LikelihoodKind,
    *,
    backwards: bool = False,
) -> None:
    """Add the observed variable ``x`` to the model in whose context we are.

    Parameters
    ----------
    data : (n, D) tensor
    log_weights : (K,) tensor
    means : (K, D) tensor
    factor : tensor in the structure's shape
        Cholesky factors of the precisions.
    arithmetic : Arithmetic
    kind : {"op", "graph"}
    backwards : bool
        Whether the factors are those of the features from the last to the first.
    """
    if kind not in get_args(LikelihoodKind):
        raise ValueError(f'likelihood: expected "op" or "graph", got {kind!r}')
    rows = _Rows(arithmetic, kind, backwards=backwards)
    pm.CustomDist(
        "x",
        log_weights,
        means,
        factor,
        logp=rows.logp,
        random=rows.random,
        signature=f"(k),(k,d),{arithmetic.signature}->(d)",
        observed=data,
        dims=("obs", "feature"),
        class_name="GaussianMixture",
    )


class _Rows:
    """Distribution of one row."""

    def __init__(self, arithmetic: Arithmetic, kind: LikelihoodKind, *, backwards: bool) -> None:
        self.arithmetic = arithmetic
        self.order = slice(None, None, -1 if backwards else None)
        k, d = self.shape = arithmetic.k, arithmetic.d
        op = MixtureDensity(arithmetic.covariance_type, k, d)
        self.log_density: Callable[..., Any] = (
            arithmetic.log_density if kind == "graph" else lambda *inputs: op(*inputs)[0]
        )

    def logp(self, value: Any, log_weights: Any, means: Any, factor: Any) -> Any:
        log_weights, means, factor = self._shaped(log_weights, means, factor)
        return self.log_density(value[:, self.order], log_weights, means[:, self.order], factor)

    def random(
        self,
        log_weights: Floats,
        means: Floats,
        factor: Floats,
        rng: np.random.Generator,
        size: Any = None,
    ) -> Floats:
        log_weights, means, factor = self._shaped(log_weights, means, factor)
        weights = np.exp(log_weights - log_weights.max())
        n = int(np.prod(size)) if size is not None else 1
        label = rng.choice(len(weights), size=n, p=weights / weights.sum())
        noise = rng.standard_normal((n, means.shape[1]))
        structure = structure_of(self.arithmetic.covariance_type)
        for k, lower in enumerate(structure.dense(factor, *self.shape)):
            own = label == k
            noise[own] = np.linalg.solve(lower.T, noise[own].T).T
        return (means[label] + noise[:, self.order]).reshape((*tuple(size or ()), -1))

    def _shaped(self, *parameters: Any) -> list[Any]:
        """Drop the leading axes of length one that PyMC adds to parameters."""
        shapes = (self.shape[:1], self.shape, self.arithmetic.factor_shape)
        return [a.reshape(shape) for a, shape in zip(parameters, shapes, strict=True)]
