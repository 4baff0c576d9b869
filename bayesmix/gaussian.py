r"""The mixture's definition in plain NumPy: the reference that everything faster is held to.

With weights w, means m and covariances :math:`\Sigma`, rows x and components k:

.. math::

    \ell_{ik} &= \log w_k + \log N(x_i \mid m_k, \Sigma_k), &
    \log p(x_i) &= \log \sum_k e^{\ell_{ik}}, &
    r_{ik} &= e^{\ell_{ik} - \log p(x_i)}.

Parameters carry any batch axes in front: weights (..., K), means (..., K, D), covariances
(..., K, D, D), dense for every structure. The likelihood keeps the data type of its arguments
(long double included).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmix import component_prior, weight_prior
from bayesmix.covariance import structure_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.mixture import Mixture

    Floats = NDArray[np.floating]

__all__ = [
    "component_log_density",
    "log_density",
    "log_likelihood",
    "log_posterior",
    "log_prior",
    "move_to_components",
    "responsibilities",
]


def component_log_density(x: Floats, means: Floats, covariances: Floats) -> Floats:
    r"""Log density of every row under every component, :math:`\log N(x_i \mid m_k, \Sigma_k)`.

    Parameters
    ----------
    x : (n, D) ndarray
    means : (..., K, D) ndarray
    covariances : (..., K, D, D) ndarray

    Returns
    -------
    (..., n, K) ndarray
    """
    factor = _cholesky(covariances)
    delta = np.moveaxis(x[:, None, :] - means[..., None, :, :], -1, 0)  # (D, ..., n, K)
    z = np.zeros_like(delta)
    for i in range(len(delta)):
        inner = sum((factor[..., None, :, i, j] * z[j] for j in range(i)), np.zeros_like(z[i]))
        z[i] = (delta[i] - inner) / factor[..., None, :, i, i]
    log_determinant = 2 * np.log(np.diagonal(factor, axis1=-2, axis2=-1)).sum(axis=-1)
    log_2pi = np.log(8 * np.arctan(np.ones((), dtype=z.dtype)))  # pi to the type's last digit
    return -0.5 * (np.square(z).sum(axis=0) + log_determinant[..., None, :] + len(z) * log_2pi)


def log_density(x: Floats, weights: Floats, means: Floats, covariances: Floats) -> Floats:
    """Log density of every row under the mixture, (..., n)."""
    return _logsumexp(_joint(x, weights, means, covariances))


def log_likelihood(x: Floats, weights: Floats, means: Floats, covariances: Floats) -> Floats:
    """Log likelihood of all rows, (...)."""
    return log_density(x, weights, means, covariances).sum(axis=-1)


def responsibilities(x: Floats, weights: Floats, means: Floats, covariances: Floats) -> Floats:
    """Probability of each component for every row given the parameters, (..., n, K)."""
    joint = _joint(x, weights, means, covariances)
    return np.exp(joint - _logsumexp(joint)[..., None])


def log_prior(
    mixture: Mixture,
    weights: Floats,
    means: Floats,
    covariances: Floats,
    covariance_scale: Floats | None = None,
    concentration: Floats | float | None = None,
    discount: Floats | float | None = None,
) -> Floats:
    """Log prior density of a point, (...).

    The measure: first K - 1 weights, means, lower triangles of the covariances (one for tied);
    the variances for diag and spherical; a random covariance scale in its diagonal entries (one
    for spherical); a random concentration and a random discount themselves.

    Parameters
    ----------
    mixture : Mixture
    weights : (..., K) ndarray
    means : (..., K, D) ndarray
    covariances : (..., K, D, D) ndarray
    covariance_scale : (..., D, D) ndarray, optional
        Where the prior has a ``scale_hyperprior``: the diagonal matrix S; by default the value
        that EM holds it at.
    concentration, discount : (...) ndarray or float, optional
        Where the weights have a random one, and only there; a Dirichlet's concentration is that of
        each component.

    Raises
    ------
    ValueError
        If the mixture has no component prior; ``covariance_scale`` is given beside one that
        states it or is not of the form that its hyperprior makes; ``concentration`` or
        ``discount`` is missing where it is random or given where it is stated; or there are
        infinitely many weights.
    """
    if mixture.components is None:
        raise ValueError(
            "log_prior: expected a component prior, but components=None is maximum likelihood; "
            "give for example components=fraley_raftery(x, K)"
        )
    structure = structure_of(mixture.covariance_type)
    factor = structure.precision_cholesky(structure.compact(np.asarray(covariances, float)))
    scale = None if covariance_scale is None else np.asarray(covariance_scale, float)
    of_weights = weight_prior.log_prior(mixture.weights, weights, concentration, discount)
    return of_weights + component_prior.log_prior(
        mixture.components, structure, np.asarray(means, float), factor, scale
    )


def log_posterior(
    mixture: Mixture,
    x: Floats,
    weights: Floats,
    means: Floats,
    covariances: Floats,
    covariance_scale: Floats | None = None,
    concentration: Floats | float | None = None,
    discount: Floats | float | None = None,
) -> Floats:
    """Log likelihood plus log prior, (...), without the evidence; arguments as in `log_prior`."""
    return log_likelihood(x, weights, means, covariances) + log_prior(
        mixture, weights, means, covariances, covariance_scale, concentration, discount
    )


def move_to_components(
    noise: Floats, label: NDArray[np.integer], means: Floats, roots: Floats
) -> None:
    """Turn standard normal noise (..., D) into rows of components label (...), in place.

    Parameters
    ----------
    roots : (K, D, D) ndarray
        Cholesky factors of the covariances.
    """
    for k in np.unique(label):
        own = label == k
        noise[own] = means[k] + noise[own] @ roots[k].T


def _joint(x: Floats, weights: Floats, means: Floats, covariances: Floats) -> Floats:
    with np.errstate(divide="ignore"):  # a weight of zero is allowed
        log_weights = np.log(weights)
    return log_weights[..., None, :] + component_log_density(x, means, covariances)


def _logsumexp(values: Floats) -> Floats:
    top = values.max(axis=-1, keepdims=True)
    return np.log(np.exp(values - top).sum(axis=-1)) + top[..., 0]


def _cholesky(matrix: Floats) -> Floats:
    """Lower Cholesky factors in the data type of the matrix; NumPy's stops at float64."""
    factor = np.zeros_like(matrix)
    for i in range(matrix.shape[-1]):
        for j in range(i + 1):
            rest = matrix[..., i, j] - (factor[..., i, :j] * factor[..., j, :j]).sum(axis=-1)
            if i > j:
                factor[..., i, j] = rest / factor[..., j, j]
            elif np.all(rest > 0):
                factor[..., i, i] = np.sqrt(rest)
            else:
                raise np.linalg.LinAlgError("a covariance is not positive definite")
    return factor
