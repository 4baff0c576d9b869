"""Priors as frozen values of plain numbers: what is believed before the data.

Nothing here is evaluated; densities live beside the definitions that use them
(`gaussian.log_prior`, `covariance.Structure.log_prior`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.inputs import as_table, require_count, require_full_rank

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Dirichlet", "NormalInverseWishart", "fraley_raftery"]


@dataclass(frozen=True)
class Dirichlet:
    """Dirichlet prior on the mixture weights.

    Parameters
    ----------
    n_components : int
        Number of components K.
    concentration : float or sequence of K floats, default 1.0
        Concentration of each component; a float stands for K equal ones.

    Examples
    --------
    >>> import bayesmix as bm
    >>> bm.Dirichlet(2).concentrations
    array([1., 1.])
    """

    n_components: int
    concentration: float | tuple[float, ...] = 1.0

    def __post_init__(self) -> None:
        require_count(self.n_components, "n_components")
        object.__setattr__(self, "n_components", int(self.n_components))
        values = _plain(self.concentration, "concentration", max_ndim=1)
        size = np.size(values)
        if isinstance(values, tuple) and size != self.n_components:
            raise ValueError(
                f"concentration: expected one number or {self.n_components} of them "
                f"(n_components), got {size}"
            )
        if not np.all(np.asarray(values) > 0):
            raise ValueError(f"concentration: expected numbers above 0, got {self.concentration!r}")
        object.__setattr__(self, "concentration", values)

    @property
    def concentrations(self) -> NDArray[np.float64]:
        """One concentration per component, shape (K,)."""
        return np.broadcast_to(np.asarray(self.concentration, float), (self.n_components,)).copy()

    @property
    def exchangeable(self) -> bool:
        """Whether the prior is the same under every permutation of the components."""
        return bool(np.ptp(self.concentrations) == 0)


@dataclass(frozen=True, init=False, repr=False)
class NormalInverseWishart:
    r"""Conjugate prior of a component: covariance, and mean given the covariance.

    For the full structure :math:`\Sigma_k \sim \mathrm{IW}(\nu, S)` and
    :math:`\mu_k \mid \Sigma_k \sim N(m, \Sigma_k/\kappa)`; the other structures are the
    analogs listed in ``docs/notation.md``.

    Parameters
    ----------
    mean : sequence of D floats
        Prior mean m of every component mean, in the units of the data.
    mean_precision : float
        :math:`\kappa > 0`, how many observations the prior mean is worth.
    dof : float
        Degrees of freedom :math:`\nu > D - 1`; need not be whole.
    covariance_scale : (D, D) array_like
        Scale matrix S, positive definite; :math:`E[\Sigma] = S/(\nu - D - 1)`.

    Examples
    --------
    >>> import bayesmix as bm
    >>> bm.NormalInverseWishart([0.0, 0.0], 0.01, 4.0, [[1.0, 0.0], [0.0, 1.0]]).n_features
    2
    """

    mean: tuple[float, ...]
    mean_precision: float
    dof: float
    covariance_scale: tuple[tuple[float, ...], ...]

    def __init__(
        self, mean: ArrayLike, mean_precision: float, dof: float, covariance_scale: ArrayLike
    ) -> None:
        center = _plain(np.atleast_1d(np.asarray(mean, float)), "mean", max_ndim=1)
        scale = np.atleast_2d(np.asarray(covariance_scale, float))
        d = np.size(center)
        if scale.shape != (d, d):
            raise ValueError(
                f"covariance_scale: expected shape ({d}, {d}) to go with {d} prior means, "
                f"got {scale.shape}"
            )
        if not np.allclose(scale, scale.T, rtol=1e-10, atol=0):
            raise ValueError("covariance_scale: expected a symmetric matrix")
        scale = (scale + scale.T) / 2
        if not np.all(np.isfinite(scale)) or np.linalg.eigvalsh(scale)[0] <= 0:
            raise ValueError("covariance_scale: expected a positive definite matrix")
        if not 0 < float(mean_precision) < np.inf:
            raise ValueError(f"mean_precision: expected a number above 0, got {mean_precision}")
        if not d - 1 < float(dof) < np.inf:
            raise ValueError(f"dof: expected more than D - 1 = {d - 1}, got {dof}")
        object.__setattr__(self, "mean", center)
        object.__setattr__(self, "mean_precision", float(mean_precision))
        object.__setattr__(self, "dof", float(dof))
        object.__setattr__(self, "covariance_scale", _plain(scale, "covariance_scale", max_ndim=2))

    @property
    def n_features(self) -> int:
        """Number of features D."""
        return len(self.mean)

    def __repr__(self) -> str:
        def short(values: Any) -> str:
            return np.array2string(np.asarray(values), precision=4, separator=", ", threshold=16)

        return (
            f"NormalInverseWishart(mean={short(self.mean)}, "
            f"mean_precision={self.mean_precision:g}, dof={self.dof:g}, "
            f"covariance_scale={short(self.covariance_scale)})"
        )


def fraley_raftery(x: Any, n_components: int) -> NormalInverseWishart:
    r"""Component prior derived from the data as Fraley & Raftery (2007) propose.

    Mean: the column means; :math:`\kappa = 0.01`; :math:`\nu = D + 2`;
    :math:`S = \mathrm{cov}(x) / K^{2/D}` with the divisor n - 1. With it MAP-EM has no
    singular solutions.

    Parameters
    ----------
    x : (n, D) array_like or DataFrame
        The data, n > D rows without constant columns.
    n_components : int
        Number of components K that the prior is meant for.

    Returns
    -------
    NormalInverseWishart

    References
    ----------
    C. Fraley and A. E. Raftery, "Bayesian Regularization for Normal Mixture Estimation and
    Model-Based Clustering", Journal of Classification 24, 2007.

    Examples
    --------
    >>> import bayesmix as bm
    >>> bm.fraley_raftery(bm.datasets.load("faithful"), 2).dof
    4.0
    """
    require_count(n_components, "n_components")
    table = as_table(x)
    require_full_rank(table, "fraley_raftery derives its scale from the data")
    d = table.values.shape[1]
    covariance = np.atleast_2d(np.cov(table.values, rowvar=False))
    return NormalInverseWishart(
        table.values.mean(axis=0), 0.01, d + 2.0, covariance / n_components ** (2 / d)
    )


def _plain(values: ArrayLike, name: str, *, max_ndim: int) -> Any:
    """Finite numbers as a float or nested tuples: hashable, comparable, printable."""
    array = np.asarray(values, dtype=float)
    if array.ndim > max_ndim:
        raise ValueError(f"{name}: expected at most {max_ndim} dimension(s), got {array.ndim}")
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name}: expected finite numbers, got {values!r}")
    if array.ndim == 0:
        return float(array)
    return tuple(_plain(row, name, max_ndim=max_ndim - 1) for row in array)
