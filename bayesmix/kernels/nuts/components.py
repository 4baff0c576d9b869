r"""Components from Bartlett's coordinates, and the way back for the gradient.

The precision's Cholesky factor is :math:`l = C A` with :math:`C = \mathrm{chol}(S^{-1})` and A
lower triangular, :math:`a_{ii}^2 = \exp y_i \sim \chi^2`, standard normal below the diagonal. For
diag and spherical there is nothing below it. Where S is random it is diagonal, with
:math:`s_j = f_j + \exp u_j`. Means are :math:`m + h \circ t`, h the target's ``mean_scale``.

The log density of rows under one component is :math:`n_k \sum_i \log l_{ii} - \frac12
\mathrm{tr}(l^\top M l)`, M their scatter; a conjugate prior of the mean is one row more,
:math:`\sqrt\kappa (\mu - m)`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload

from bayesmix.kernels.blocks import compiled
from bayesmix.kernels.frames import FullPoint, Sums, TiedPoint, VariancesPoint

__all__ = [
    "TARGETS",
    "add_square",
    "empty_point",
    "empty_sums",
    "fold_factors",
    "fold_scale",
    "precise",
    "unfold_factors",
    "unfold_scale",
]


class FullTarget(NamedTuple):
    """Prior of the components in numbers."""

    mean: Any
    """(D,)."""
    mean_scale: Any
    """(D,)."""
    mean_precision: float
    """κ of the conjugate prior, else 0."""
    spread_precision: Any
    """Inverse of the independent prior's ``mean_covariance``, (D, D), else zeros."""
    dof: float
    root: Any
    """C, (D, D); where S is random its diagonal is not used."""
    width: int
    """Variances of a component: D, for spherical 1."""
    scale_shape: float
    scale_rate: Any
    """One per free number of a random S; none if S is stated."""
    scale_floor: Any


class TiedTarget(FullTarget):
    """The same for one covariance."""


class VariancesTarget(FullTarget):
    """The same for diag and spherical."""


TARGETS = {
    "full": FullTarget,
    "tied": TiedTarget,
    "diag": VariancesTarget,
    "spherical": VariancesTarget,
}
"""By the names of the structures."""


def empty_point(target: Any, n_components: int) -> Any:
    """Memory of a point."""


def empty_sums(target: Any, n_components: int) -> Any:
    """Memory of its moments, zeros."""


def add_square(target: Any, sums: Any, k: int, delta: Any, weight: float) -> Any:
    """Add ``weight`` rows that differ by delta, (D,), from mean k to the second moments."""


def precise(target: Any, point: Any, k: int, delta: Any, out: Any) -> Any:
    """Write precision k times delta, (D,)."""


def unfold_factors(target: Any, root: Any, position: Any, point: Any, logs: Any) -> Any:
    """Write the factors, and the sums of their log diagonals, (K,).

    Returns the log density of the coordinates, but for constants, and how many there are.
    """


def fold_factors(target: Any, root: Any, position: Any, point: Any, sums: Any, out: Any) -> Any:
    """Write the gradient and return that in log s; conjugate means count in the moments."""


def _choose(stub: Any, of: dict[Any, Any]) -> None:
    """Let numba replace a stub by the function for the type of its target."""

    @overload(stub, strict=False, jit_options={"error_model": "numpy"})
    def choose(target: Any, *others: Any) -> Any:
        return of[target.instance_class].py_func


@compiled
def unfold_scale(target: Any, position: Any, root: Any) -> float:
    """Write C for a random S; return the log density of its coordinates, but for constants."""
    found = 0.0
    for j in range(len(target.scale_rate)):
        above = math.exp(position[j])
        s = target.scale_floor[j] + above
        log_s = math.log(s) if target.scale_floor[j] > 0 else position[j]
        root[j, j] = math.exp(-0.5 * log_s)
        found += (target.scale_shape - 1) * log_s - target.scale_rate[j] * s + position[j]
    return found


@compiled
def fold_scale(target: Any, position: Any, slopes: Any, gradient: Any) -> None:
    """Write the gradient, given that of everything else in log s."""
    for j in range(len(target.scale_rate)):
        above = math.exp(position[j])
        s = target.scale_floor[j] + above
        share = above / s if target.scale_floor[j] > 0 else 1.0
        own = (target.scale_shape - 1) * share - target.scale_rate[j] * above + 1
        gradient[j] = own + slopes[j] * share


@compiled
def _full_point(target: Any, n_components: int) -> Any:
    d = len(target.mean)
    weights, means = np.empty(n_components), np.empty((n_components, d))
    factor, near = np.zeros((n_components, d, d)), np.zeros(n_components, np.bool_)
    return FullPoint(weights, means, factor, np.empty(d), near)


@compiled
def _tied_point(target: Any, n_components: int) -> Any:
    d = len(target.mean)
    weights, means = np.empty(n_components), np.empty((n_components, d))
    factor, near = np.zeros((d, d)), np.zeros(n_components, np.bool_)
    return TiedPoint(weights, means, factor, np.empty(d), near, False)


@compiled
def _variances_point(target: Any, n_components: int) -> Any:
    d = len(target.mean)
    weights, means = np.empty(n_components), np.empty((n_components, d))
    factor, near = np.empty((n_components, d)), np.zeros(n_components, np.bool_)
    return VariancesPoint(weights, means, factor, np.empty(d), near)


@compiled
def _full_sums(target: Any, n_components: int) -> Any:
    sizes, shape = np.zeros(n_components), (n_components, len(target.mean))
    return Sums(sizes, np.zeros(shape), np.zeros((shape[0], shape[1], shape[1])))


@compiled
def _tied_sums(target: Any, n_components: int) -> Any:
    d = len(target.mean)
    return Sums(np.zeros(n_components), np.zeros((n_components, d)), np.zeros((1, d, d)))


@compiled
def _variances_sums(target: Any, n_components: int) -> Any:
    shape = (n_components, len(target.mean))
    return Sums(np.zeros(n_components), np.zeros(shape), np.zeros((n_components, target.width)))


@compiled
def _add_full_square(target: Any, sums: Any, k: int, delta: Any, weight: float) -> None:
    second = sums.second[k]
    for i in range(len(delta)):
        for j in range(len(delta)):
            second[i, j] += weight * delta[i] * delta[j]


@compiled
def _add_tied_square(target: Any, sums: Any, k: int, delta: Any, weight: float) -> None:
    _add_full_square(target, sums, 0, delta, weight)


@compiled
def _add_variances_square(target: Any, sums: Any, k: int, delta: Any, weight: float) -> None:
    for j in range(len(delta)):
        sums.second[k, j % target.width] += weight * delta[j] * delta[j]


@compiled
def _precise_matrices(factor: Any, delta: Any, out: Any) -> None:
    d = len(delta)
    for i in range(d):
        out[i] = 0.0
    for j in range(d):
        whitened = 0.0
        for i in range(j, d):
            whitened += factor[i, j] * delta[i]
        for i in range(j, d):
            out[i] += factor[i, j] * whitened


@compiled
def _precise_full(target: Any, point: Any, k: int, delta: Any, out: Any) -> None:
    _precise_matrices(point.factor[k], delta, out)


@compiled
def _precise_tied(target: Any, point: Any, k: int, delta: Any, out: Any) -> None:
    _precise_matrices(point.factor, delta, out)


@compiled
def _precise_variances(target: Any, point: Any, k: int, delta: Any, out: Any) -> None:
    for j in range(len(delta)):
        out[j] = point.factor[k, j] * point.factor[k, j] * delta[j]


@compiled
def _unfold_matrices(dof: float, root: Any, chi: Any, normal: Any, factor: Any) -> Any:
    """One factor, (D, D): log density of the coordinates, and log determinant."""
    d = len(root)
    found, log_diagonal, at = 0.0, 0.0, 0
    bartlett = np.zeros((d, d))
    for i in range(d):
        bartlett[i, i] = math.exp(0.5 * chi[i])
        found += 0.5 * ((dof - i) * chi[i] - math.exp(chi[i]))
        log_diagonal += math.log(root[i, i]) + 0.5 * chi[i]
        for j in range(i):
            bartlett[i, j] = normal[at]
            found -= 0.5 * normal[at] * normal[at]
            at += 1
    for i in range(d):
        for j in range(i + 1):
            factor[i, j] = 0.0
            for m in range(j, i + 1):
                factor[i, j] += root[i, m] * bartlett[m, j]
    return found, log_diagonal


@compiled
def _unfold_full(target: Any, root: Any, position: Any, point: Any, logs: Any) -> Any:
    n_components, d = point.means.shape
    pairs = d * (d - 1) // 2
    normal, found = n_components * d, 0.0
    for k in range(n_components):
        own, logs[k] = _unfold_matrices(
            target.dof,
            root,
            position[k * d : (k + 1) * d],
            position[normal + k * pairs : normal + (k + 1) * pairs],
            point.factor[k],
        )
        found += own
    return found, n_components * (d + pairs)


@compiled
def _unfold_tied(target: Any, root: Any, position: Any, point: Any, logs: Any) -> Any:
    d = len(root)
    count = d * (d + 1) // 2
    found, logs[0] = _unfold_matrices(
        target.dof, root, position[:d], position[d:count], point.factor
    )
    for k in range(1, len(logs)):
        logs[k] = logs[0]
    return found, count


@compiled
def _unfold_variances(target: Any, root: Any, position: Any, point: Any, logs: Any) -> Any:
    n_components, d = point.means.shape
    width, dof, found = target.width, target.dof - d + 1, 0.0
    for k in range(n_components):
        logs[k] = 0.0
        for j in range(d):
            chi = position[k * width + j % width]
            point.factor[k, j] = root[j % width, j % width] * math.exp(0.5 * chi)
            logs[k] += math.log(root[j % width, j % width]) + 0.5 * chi
            if j < width:
                found += 0.5 * (dof * chi - math.exp(chi))
    return found, n_components * width


@compiled
def _fold_matrices(
    target: Any,
    root: Any,
    count: float,
    second: Any,
    factor: Any,
    chi: Any,
    normal: Any,
    in_chi: Any,
    in_normal: Any,
    slopes: Any,
) -> None:
    """One factor from its scatter, (D, D), and the rows that it belongs to."""
    d, at = len(root), 0
    slope = np.zeros((d, d))
    for m in range(d):
        for j in range(m + 1):
            for i in range(j, d):
                slope[m, j] -= second[m, i] * factor[i, j]
        for j in range(m + 1):
            slopes[m % len(slopes)] -= 0.5 * factor[m, j] * slope[m, j]
        slopes[m % len(slopes)] -= 0.5 * count
    for i in range(d):
        for j in range(i + 1):
            found = 0.0
            for m in range(i, d):
                found += root[m, i] * slope[m, j]
            if i == j:
                own = (target.dof - i) - math.exp(chi[i])
                in_chi[i] = 0.5 * (own + count + math.exp(0.5 * chi[i]) * found)
            else:
                in_normal[at] = found - normal[at]
                at += 1


@compiled
def _fold_full(target: Any, root: Any, position: Any, point: Any, sums: Any, out: Any) -> Any:
    n_components, d = point.means.shape
    pairs, slopes = d * (d - 1) // 2, np.zeros(d)
    for k in range(n_components):
        chi, normal = k * d, n_components * d + k * pairs
        _fold_matrices(
            target, root, sums.sizes[k], sums.second[k], point.factor[k],
            position[chi : chi + d], position[normal : normal + pairs],
            out[chi : chi + d], out[normal : normal + pairs], slopes,
        )  # fmt: skip
    return slopes


@compiled
def _fold_tied(target: Any, root: Any, position: Any, point: Any, sums: Any, out: Any) -> Any:
    d = len(root)
    slopes, count = np.zeros(d), 0.0
    for size in sums.sizes:
        count += size
    _fold_matrices(
        target, root, count, sums.second[0], point.factor,
        position[:d], position[d:], out[:d], out[d:], slopes,
    )  # fmt: skip
    return slopes


@compiled
def _fold_variances(target: Any, root: Any, position: Any, point: Any, sums: Any, out: Any) -> Any:
    n_components, d = point.means.shape
    width, dof = target.width, target.dof - d + 1
    slopes = np.zeros(width)
    for k in range(n_components):
        count = sums.sizes[k] * (d // width)
        for j in range(width):
            chi, factor = position[k * width + j], point.factor[k, j]
            likelihood = count - factor * factor * sums.second[k, j]
            out[k * width + j] = 0.5 * (dof - math.exp(chi) + likelihood)
            slopes[j] -= 0.5 * likelihood
    return slopes


_TARGETS = (FullTarget, TiedTarget, VariancesTarget)
for _stub, _functions in (
    (empty_point, (_full_point, _tied_point, _variances_point)),
    (empty_sums, (_full_sums, _tied_sums, _variances_sums)),
    (add_square, (_add_full_square, _add_tied_square, _add_variances_square)),
    (precise, (_precise_full, _precise_tied, _precise_variances)),
    (unfold_factors, (_unfold_full, _unfold_tied, _unfold_variances)),
    (fold_factors, (_fold_full, _fold_tied, _fold_variances)),
):
    _choose(_stub, dict(zip(_TARGETS, _functions, strict=True)))
