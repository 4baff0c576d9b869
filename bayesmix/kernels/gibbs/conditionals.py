r"""Parameters given labels: weights, means, covariances and what is random in their priors.

The covariances come first, given the means so far or, under the conjugate prior, with the means
integrated out; then the means given the covariances. What depends on the covariance structure is
chosen by the type of the point.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
from numba.extending import overload

import bayesmix.kernels.gibbs.inverse_gamma as inverse_gamma
import bayesmix.kernels.gibbs.wishart as wishart
from bayesmix.kernels.blocks import compiled
from bayesmix.kernels.frames import FullPoint, TiedPoint, VariancesPoint
from bayesmix.kernels.gibbs.slices import concentration_slicer
from bayesmix.kernels.gibbs.variates import fill_normal, gamma_above, log_gamma
from bayesmix.kernels.triangles import cholesky, solve, solve_transposed

__all__ = [
    "LOWEST",
    "draw_concentration",
    "draw_covariances",
    "draw_means",
    "draw_prior_mean",
    "draw_scale",
    "draw_weights",
    "log_marginal",
    "log_mean_density",
    "write_covariances",
]

_LAWS: dict[Any, ModuleType] = {
    FullPoint: wishart,
    TiedPoint: wishart,
    VariancesPoint: inverse_gamma,
}
LOWEST = -708.0  # logarithm of the smallest normal number: weights below it are recorded as that


def draw_covariances(
    point: Any, sums: Any, prior: Any, dof: float, scale: Any, generator: Any
) -> Any:
    """Draw the factors of the precisions given labels and, if not conjugate, means."""


def log_marginal(point: Any, sums: Any, prior: Any, dof: float, scale: Any) -> Any:
    """Log density of the rows, covariances (and conjugate means) integrated out."""


def color(point: Any, k: int, out: Any) -> Any:
    """Give standard normal numbers the covariance of component k."""


def precision(point: Any, k: int, out: Any) -> Any:
    """Write the precision of component k, (D, D)."""


def precision_diagonal(point: Any, width: int) -> Any:
    """Diagonals of the precisions, summed over the covariances."""


def write_covariances(point: Any, out: Any) -> Any:
    """Write the covariances in the structure's shape."""


def _choose(stub: Any) -> None:
    @overload(stub, strict=False, jit_options={"error_model": "numpy"})
    def choose(point: Any, *others: Any) -> Any:
        return getattr(_LAWS[point.instance_class], stub.__name__).py_func


for _stub in (
    draw_covariances,
    log_marginal,
    color,
    precision,
    precision_diagonal,
    write_covariances,
):
    _choose(_stub)


@compiled
def draw_means(point: Any, sums: Any, prior: Any, generator: Any) -> None:
    """Draw all means given labels and covariances."""
    d = point.means.shape[1]
    noise, root, move = np.empty(d), np.empty((d, d)), np.empty(d)
    for k in range(len(point.means)):
        fill_normal(generator, noise)
        n = sums.sizes[k]
        if prior.conjugate:
            color(point, k, noise)
            rows = prior.mean_precision + n
            for j in range(d):
                to_prior = prior.mean_precision * (prior.mean[j] - point.means[k, j])
                point.means[k, j] += (to_prior + sums.first[k, j]) / rows
                point.means[k, j] += noise[j] / math.sqrt(rows)
        else:
            _mean_given(point, sums, prior, k, root, move)
            solve_transposed(root, noise)
            for j in range(d):
                point.means[k, j] += move[j] + noise[j]


@compiled
def draw_prior_mean(prior: Any, out: Any, generator: Any) -> None:
    """Draw an independent mean without rows."""
    root = prior.spread_precision.copy()
    cholesky(root)
    fill_normal(generator, out)
    solve_transposed(root, out)
    for j in range(len(out)):
        out[j] += prior.mean[j]


@compiled
def _mean_given(point: Any, sums: Any, prior: Any, k: int, root: Any, move: Any) -> None:
    """Law of an independent mean given its rows: the precision's factor, and from where it is."""
    d, n = len(move), sums.sizes[k]
    precision(point, k, root)
    for i in range(d):
        move[i] = 0.0
        for j in range(d):
            move[i] += root[i, j] * sums.first[k, j]
            move[i] += prior.spread_precision[i, j] * (prior.mean[j] - point.means[k, j])
    for i in range(d):
        for j in range(d):
            root[i, j] = prior.spread_precision[i, j] + n * root[i, j]
    cholesky(root)
    solve(root, move)
    solve_transposed(root, move)


@compiled
def log_mean_density(point: Any, sums: Any, prior: Any, k: int, mean: Any) -> float:
    """Log density of an independent mean given its rows and covariance, up to 2π.

    Without rows it is the prior's.
    """
    d = len(mean)
    root, move = np.empty((d, d)), np.empty(d)
    _mean_given(point, sums, prior, k, root, move)
    found = 0.0
    for i in range(d):
        found += math.log(root[i, i])
        z = 0.0
        for j in range(i, d):
            z += root[j, i] * (mean[j] - point.means[k, j] - move[j])
        found -= 0.5 * z * z
    return found


@compiled
def draw_scale(point: Any, sums: Any, prior: Any, scale: Any, generator: Any) -> None:
    """Draw a random S given the covariances."""
    width, d = len(prior.scale_rate), len(scale)
    if width == 0:
        return
    matrices = sums.second.ndim == 3
    dof = prior.dof if matrices else prior.dof - d + 1
    shape = prior.scale_shape + len(sums.second) * dof / 2
    precisions = precision_diagonal(point, width)
    for j in range(width):
        rate = prior.scale_rate[j] + precisions[j] / 2
        scale[j, j] = gamma_above(generator, shape, rate, prior.scale_floor[j])
    for j in range(width, d):
        scale[j, j] = scale[0, 0]


@compiled
def draw_weights(sizes: Any, concentration: Any, log_weights: Any, generator: Any) -> None:
    """Draw the logarithms of the weights given the sizes of the components."""
    top = -np.inf
    for k in range(len(sizes)):
        log_weights[k] = log_gamma(generator, concentration[k] + sizes[k])
        top = max(top, log_weights[k])
    norm = 0.0
    for k in range(len(sizes)):
        norm += math.exp(log_weights[k] - top)
    for k in range(len(sizes)):
        log_weights[k] = max(log_weights[k] - top - math.log(norm), LOWEST)


@compiled
def draw_concentration(sizes: Any, prior: Any, concentration: Any, generator: Any) -> None:
    """Draw a random concentration given the sizes, the weights integrated out."""
    if prior.concentration_shape > 0:
        shape, rate = prior.concentration_shape, prior.concentration_rate
        concentration[:] = _move_concentration(concentration[0], shape, rate, sizes, generator)


@compiled
def _log_given_concentration(value: float, sizes: Any) -> float:
    """Log probability of labels of these sizes, weights integrated out."""
    k = len(sizes)
    found = math.lgamma(k * value) - math.lgamma(k * value + sizes.sum())
    for c in range(k):
        if sizes[c] > 0:
            found += math.lgamma(value + sizes[c]) - math.lgamma(value)
    return found


_move_concentration = concentration_slicer(_log_given_concentration)
