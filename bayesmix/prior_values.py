"""What component priors are made of: plain numbers, checked, that are hashable and print well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "GammaScale",
    "center_of",
    "dof_of",
    "gamma_scale",
    "plain",
    "positive_definite",
    "short",
]


class GammaScale(NamedTuple):
    """Prior of a covariance scale S = diag(s): s_j ~ Gamma(shape, rate_j) on s_j >= floor_j."""

    shape: float
    rate: tuple[float, ...]
    """Per feature, one over the data's units squared."""
    floor: tuple[float, ...]
    """Per feature, in the data's units squared."""

    @property
    def held(self) -> NDArray[np.float64]:
        """Where EM holds s: shape/rate, the mean without the floor, but at least the floor."""
        return np.maximum(self.shape / np.asarray(self.rate), self.floor)

    @property
    def pooled(self) -> GammaScale:
        """Prior of the one s of all features in S = s I: harmonic mean rate, mean floor."""
        rate = 1 / np.mean(1 / np.asarray(self.rate))
        return GammaScale(self.shape, (float(rate),), (float(np.mean(self.floor)),))


def center_of(mean: ArrayLike) -> tuple[float, ...]:
    """The prior mean of every component mean: D numbers."""
    center: tuple[float, ...] = plain(np.atleast_1d(np.asarray(mean, float)), "mean", max_ndim=1)
    return center


def dof_of(dof: float, d: int) -> float:
    """Degrees of freedom that D features allow."""
    if not d - 1 < float(dof) < np.inf:
        raise ValueError(f"dof: expected more than D - 1 = {d - 1}, got {dof}")
    return float(dof)


def positive_definite(values: ArrayLike, d: int, name: str) -> tuple[tuple[float, ...], ...]:
    """A symmetric positive definite (D, D) matrix."""
    matrix = np.atleast_2d(np.asarray(values, float))
    if matrix.shape != (d, d):
        raise ValueError(
            f"{name}: expected shape ({d}, {d}) to go with {d} prior means, got {matrix.shape}"
        )
    if not np.allclose(matrix, matrix.T, rtol=1e-10, atol=0):
        raise ValueError(f"{name}: expected a symmetric matrix")
    matrix = (matrix + matrix.T) / 2
    variances = np.diag(matrix)
    definite = bool(np.all(np.isfinite(matrix)) and np.all(variances > 0))
    if definite:  # eigenvalues of the correlations: the same in any units
        sd = np.sqrt(variances)
        definite = np.linalg.eigvalsh(matrix / np.outer(sd, sd))[0] > 1e-13
    if not definite:
        raise ValueError(f"{name}: expected a positive definite matrix")
    rows: tuple[tuple[float, ...], ...] = plain(matrix, name, max_ndim=2)
    return rows


def gamma_scale(values: Sequence[Any], d: int) -> GammaScale:
    """Check (shape, rate) or (shape, rate, floor); rate and floor are numbers or D of them."""
    try:
        given_shape, given_rate, given_floor = values if len(values) == 3 else (*values, 0.0)
        shape = float(given_shape)
        rate, floor = np.asarray(given_rate, float), np.asarray(given_floor, float)
    except (TypeError, ValueError):
        raise ValueError(
            f"scale_hyperprior: expected numbers (shape, rate, floor), got {values!r}"
        ) from None
    for name, array in (("rate", rate), ("floor", floor)):
        if array.shape not in ((), (d,)):
            raise ValueError(
                f"scale_hyperprior: expected one {name} or {d} of them to go with {d} prior "
                f"means, got shape {array.shape}"
            )
    in_range = 0 < shape < np.inf and np.all((rate > 0) & (rate < np.inf))
    if not (in_range and np.all((floor >= 0) & (floor < np.inf))):
        raise ValueError(
            "scale_hyperprior: expected shape and rate above 0 and a floor of at least 0, all "
            f"finite, got {values!r}"
        )
    if floor.any():
        from scipy.special import gammaincc

        if not np.all(gammaincc(shape, rate * floor) > 0):
            raise ValueError(
                "scale_hyperprior: expected a floor that the gamma distribution exceeds now and "
                f"then, got {values!r}; lower the floor or the rate"
            )
    rates, floors = (
        plain(np.broadcast_to(a, d), "scale_hyperprior", max_ndim=1) for a in (rate, floor)
    )
    return GammaScale(shape, rates, floors)


def short(values: Any) -> str:
    """Write numbers with four digits, few of many."""
    return np.array2string(np.asarray(values), precision=4, separator=", ", threshold=16)


def plain(values: ArrayLike, name: str, *, max_ndim: int) -> Any:
    """Finite numbers as a float or nested tuples: hashable, comparable, printable."""
    array = np.asarray(values, dtype=float)
    if array.ndim > max_ndim:
        raise ValueError(f"{name}: expected at most {max_ndim} dimension(s), got {array.ndim}")
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name}: expected finite numbers, got {values!r}")
    if array.ndim == 0:
        return float(array)
    return tuple(plain(row, name, max_ndim=max_ndim - 1) for row in array)
