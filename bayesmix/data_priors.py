"""Component priors derived from the data, by functions that a user calls and whose value prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.inputs import Table, as_table, require_count, require_full_rank, require_varying
from bayesmix.priors import IndependentNormalInverseWishart, NormalInverseWishart
from bayesmix.rows import are_chunks

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["fraley_raftery", "richardson_green", "weakly_informative"]


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
    table = _sample(x)
    reason = "fraley_raftery derives its scale from the data"
    _squared_ranges(table, reason)
    require_full_rank(table, reason)
    d = table.values.shape[1]
    covariance = np.atleast_2d(np.cov(table.values, rowvar=False))
    return NormalInverseWishart(
        table.values.mean(axis=0), 0.01, d + 2.0, covariance / n_components ** (2 / d)
    )


def richardson_green(x: Any) -> IndependentNormalInverseWishart:
    r"""Component prior for one feature, derived from its range as Richardson & Green (1997) do.

    With R the range: means around the midrange with variance :math:`R^2`; dof 4; a random scale
    :math:`S \sim \mathrm{Gamma}(0.2, 5/R^2)` without a floor. That is their
    :math:`\sigma_k^2 \sim \mathrm{IG}(2, \beta)` with
    :math:`\beta = S/2 \sim \mathrm{Gamma}(0.2, 10/R^2)`.

    Parameters
    ----------
    x : (n,) or (n, 1) array_like or DataFrame
        The data, at least two distinct values.

    Returns
    -------
    IndependentNormalInverseWishart

    Raises
    ------
    ValueError
        If there is more than one feature, or it is constant.

    References
    ----------
    S. Richardson and P. J. Green, "On Bayesian Analysis of Mixtures with an Unknown Number of
    Components", JRSS B 59, 1997.

    Examples
    --------
    >>> import bayesmix as bm
    >>> prior = bm.richardson_green([0.0, 3.0, 10.0])
    >>> prior.mean, prior.mean_covariance, prior.dof
    ((5.0,), ((100.0,),), 4.0)
    >>> prior.scale_hyperprior
    GammaScale(shape=0.2, rate=(0.05,), floor=(0.0,))
    """
    table = _sample(x)
    if table.values.shape[1] != 1:
        raise ValueError(
            f"{table.name}: expected one feature, got {table.values.shape[1]}; use "
            "weakly_informative(x), which takes any number"
        )
    square = _squared_ranges(table, "richardson_green derives its scale from the range")[0]
    low, high = table.values.min(), table.values.max()
    return IndependentNormalInverseWishart(
        low + (high - low) / 2, square, 4.0, scale_hyperprior=(0.2, 5 / square)
    )


def weakly_informative(x: Any) -> IndependentNormalInverseWishart:
    r"""Component prior that states little more than orders of magnitude, the same for every K.

    With :math:`R_j` the range of feature j: means around the medians with covariance
    :math:`\mathrm{diag}(R_j^2)`; dof D + 4; a random scale S = diag(s) with
    :math:`s_j \sim \mathrm{Gamma}(1/2, 10/R_j^2)`, so that without the floor
    :math:`E[S_{jj}] = R_j^2/20` and :math:`E[\Sigma_{jj}] = R_j^2/60`. The floor of s_j is the
    squared median gap between neighboring distinct values, about what the data resolve.

    Parameters
    ----------
    x : (n, D) array_like or DataFrame
        The data, at least two distinct values in every column.

    Returns
    -------
    IndependentNormalInverseWishart

    Raises
    ------
    ValueError
        If a column is constant.

    References
    ----------
    After G. Malsiner-Walli, S. Frühwirth-Schnatter and B. Grün, "Model-Based Clustering Based on
    Sparse Finite Gaussian Mixtures", Statistics and Computing 26, 2016.

    Examples
    --------
    >>> import bayesmix as bm
    >>> prior = bm.weakly_informative([0.0, 1.0, 2.0, 4.0, 10.0])
    >>> prior.mean, prior.mean_covariance, prior.dof
    ((2.0,), ((100.0,),), 5.0)
    >>> prior.scale_hyperprior
    GammaScale(shape=0.5, rate=(0.1,), floor=(2.25,))
    """
    table = _sample(x)
    square = _squared_ranges(table, "weakly_informative derives its scale from the range")
    values = table.values
    gap = np.array([np.median(np.diff(np.unique(column))) for column in values.T])
    return IndependentNormalInverseWishart(
        np.median(values, axis=0),
        np.diag(square),
        values.shape[1] + 4.0,
        scale_hyperprior=(0.5, 10 / square, np.square(gap)),
    )


def _sample(x: Any) -> Table:
    if are_chunks(x):
        raise ValueError("x: chunks are not taken here; give a sample of rows")
    return as_table(x)


def _squared_ranges(table: Table, reason: str) -> NDArray[np.float64]:
    """Squared range of every column, none constant and none beyond what numbers can hold."""
    require_varying(table, reason)
    with np.errstate(over="ignore", under="ignore"):
        square = np.square(np.ptp(table.values, axis=0), dtype=np.float64)
    for feature, value in zip(table.features, square, strict=True):
        if not 1e-300 < value < 1e300:
            raise ValueError(
                f"{table.name}: the squared range of column {feature!r} is not between 1e-300 and "
                f"1e300 ({reason}); rescale it, or check it for wild values"
            )
    return square
