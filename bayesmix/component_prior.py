r"""Component priors at work: their density, draws, and the point that EM moves to under them.

Both classes of `priors` give the covariances the same prior; they differ in that of the means,

.. math::

    \mu_k \mid \Sigma_k \sim N(m, \Sigma_k/\kappa)
    \quad\text{or}\quad
    \mu_k \sim N(m, V),

hence in what ``match`` tells apart here. Densities are in the measure of ``docs/notation.md``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.covariance import LOG_2PI, STRUCTURES
from bayesmix.priors import GammaScale, IndependentNormalInverseWishart, NormalInverseWishart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.covariance import Structure
    from bayesmix.passes import Statistics
    from bayesmix.priors import ComponentPrior

    Floats = NDArray[np.float64]

__all__ = [
    "conditional_mode",
    "draw",
    "draw_means",
    "held_scale",
    "log_norm_of_scale",
    "log_prior",
    "marginal",
    "random_scale",
    "typical_deviation",
]


def held_scale(prior: ComponentPrior, structure: Structure) -> Floats:
    """Scale matrix S (D, D): as stated, or where EM holds a random one.

    Together with the covariances a random S has no usable mode: without a floor the density is
    unbounded as S and all covariances but one shrink together.
    """
    if prior.scale_hyperprior is None:
        return np.asarray(prior.covariance_scale)
    return structure.scale_hyperprior(prior.scale_hyperprior).held * np.eye(prior.n_features)


def typical_deviation(prior: ComponentPrior, structure: Structure) -> Floats:
    """Standard deviations (D,) that are typical of a component: the unit of its mean."""
    scale = np.diag(held_scale(prior, structure))
    return np.sqrt(scale / (prior.dof + prior.n_features + 1))


def random_scale(prior: ComponentPrior | None, structure: Structure) -> Floats | None:
    """`held_scale` where S is a parameter of the model, else None."""
    if prior is None or prior.scale_hyperprior is None:
        return None
    return held_scale(prior, structure)


def log_prior(
    prior: ComponentPrior,
    structure: Structure,
    means: Floats,
    factor: Floats,
    covariance_scale: Floats | None = None,
) -> Floats:
    """Log density of the components, and of S where it is random, (...).

    Parameters
    ----------
    prior : NormalInverseWishart or IndependentNormalInverseWishart
    structure : Structure
    means : (..., K, D) ndarray
    factor : ndarray in the structure's shape
        Cholesky factors of the precisions.
    covariance_scale : (..., D, D) ndarray, optional
        A random S, by default `held_scale`.

    Raises
    ------
    ValueError
        If S is given and the prior states it already, or it is not diagonal (for spherical, not
        a multiple of the identity).
    """
    if covariance_scale is None:
        covariance_scale = held_scale(prior, structure)
    elif prior.scale_hyperprior is None:
        raise ValueError(
            "covariance_scale: expected None, because the component prior states it, got an "
            "array; leave it out, or give the prior a scale_hyperprior"
        )
    return (
        _log_scale(prior, structure, covariance_scale)
        + _log_means(prior, structure, means, factor).sum(axis=-1)
        + structure.log_prior_covariances(factor, prior.dof, covariance_scale)
    )


def draw(
    prior: ComponentPrior,
    structure: Structure,
    n_components: int,
    size: int,
    generator: np.random.Generator,
) -> tuple[Floats, Floats, Floats | None]:
    """Draw components from their prior.

    Returns
    -------
    means : (S, K, D) ndarray
    covariances : (S, K, D, D) ndarray
        Dense.
    covariance_scale : (S, D, D) ndarray or None
        S where it is random.
    """
    d = prior.n_features
    random = _draw_scale(prior, structure, size, generator)
    stated = np.asarray(prior.covariance_scale) if random is None else random
    scale = np.broadcast_to(stated, (size, d, d))
    own = structure.draw_covariances(generator, n_components, prior.dof, scale)
    covariances = structure.dense(own, n_components, d)
    return draw_means(prior, covariances, generator), covariances, random


def draw_means(
    prior: ComponentPrior, covariances: Floats, generator: np.random.Generator
) -> Floats:
    """Draw means (..., K, D) from their prior given dense covariances (..., K, D, D)."""
    match prior:
        case NormalInverseWishart():
            root = np.linalg.cholesky(covariances) / np.sqrt(prior.mean_precision)
        case IndependentNormalInverseWishart():
            root = np.linalg.cholesky(np.asarray(prior.mean_covariance))
    noise = root @ generator.standard_normal((*covariances.shape[:-1], 1))
    return np.asarray(prior.mean) + noise[..., 0]


def marginal(
    prior: ComponentPrior, structure: Structure, columns: NDArray[np.intp]
) -> ComponentPrior:
    r"""Prior of the components' law of some features, in the same structure.

    A block of :math:`\Sigma \sim IW(\nu, S)` of q features is
    :math:`IW(\nu - D + q, S_{qq})`; spherical covariances keep their :math:`\operatorname{tr} S/D`.
    """
    at, hyperprior = np.ix_(columns, columns), prior.scale_hyperprior
    spherical = structure.name == "spherical"
    scale = None
    if hyperprior is None:
        whole = np.asarray(prior.covariance_scale)
        mean_scale = np.trace(whole) / prior.n_features
        scale = mean_scale * np.eye(len(columns)) if spherical else whole[at]
    own: dict[str, Any] = {
        "mean": np.asarray(prior.mean)[columns],
        "dof": prior.dof - prior.n_features + len(columns),
        "covariance_scale": scale,
    }
    match prior:
        case NormalInverseWishart():
            return replace(prior, **own)
        case IndependentNormalInverseWishart():
            if hyperprior is not None:
                shape, *others = structure.scale_hyperprior(hyperprior)
                rate, floor = (
                    np.broadcast_to(values, prior.n_features)[columns] for values in others
                )
                own["scale_hyperprior"] = GammaScale(shape, tuple(rate), tuple(floor))
            own["mean_covariance"] = np.asarray(prior.mean_covariance)[at]
            return replace(prior, **own)


def conditional_mode(
    prior: ComponentPrior | None,
    structure: Structure,
    center: Floats,
    found: Statistics,
    covariances: Floats | None = None,
) -> tuple[Floats, Floats]:
    r"""M-step: means and covariances from the statistics of one pass.

    Without a prior and under `NormalInverseWishart` both maximize together. Under
    `IndependentNormalInverseWishart` the means maximize given the covariances so far, then the
    covariances given the new means (ECM), so that the objective never decreases.

    Parameters
    ----------
    prior : NormalInverseWishart, IndependentNormalInverseWishart or None
    structure : Structure
    center : (..., K, D) ndarray
        What the statistics are about.
    found : Statistics
    covariances : ndarray in the structure's shape, optional
        So far; without them the means of the rows stand in for the means that go before.

    Returns
    -------
    means : (..., K, D) ndarray
    covariances : ndarray in the structure's shape

    References
    ----------
    X.-L. Meng and D. B. Rubin, "Maximum Likelihood Estimation via the ECM Algorithm: A General
    Framework", Biometrika 80, 1993.
    """
    sizes, d = found.sizes, center.shape[-1]
    shift = np.divide(
        found.first, sizes[..., None], out=np.zeros_like(center), where=sizes[..., None] > 0
    )
    within = found.second - structure.outer(shift, sizes)

    def covariances_at(scatter: Floats, rows: Floats) -> Floats:
        count = structure.likelihood_count(rows, d)
        if prior is not None:
            scatter = scatter + structure.prior_scale(held_scale(prior, structure))
            count = count + structure.prior_count(prior.dof, d)
        return structure.mode(scatter, count)

    match prior:
        case None:
            return center + shift, covariances_at(within, sizes)
        case NormalInverseWishart():
            kappa, anchor = prior.mean_precision, np.asarray(prior.mean)
            means = center + shift
            scatter = within + structure.outer(means - anchor, kappa * sizes / (kappa + sizes))
            means = means + (kappa / (kappa + sizes))[..., None] * (anchor - means)
            return means, covariances_at(scatter, sizes + 1)  # a mean's density counts as a row
        case IndependentNormalInverseWishart():
            if covariances is None:
                covariances = covariances_at(within, sizes)
            step = _step(prior, structure.dense(covariances, *center.shape[-2:]), center, found)
            scatter = within + structure.outer(shift - step, sizes)
            return center + step, covariances_at(scatter, sizes)


def _step(
    prior: IndependentNormalInverseWishart, dense: Floats, center: Floats, found: Statistics
) -> Floats:
    r"""From the center to the means' mode given covariances (..., K, D, D).

    With :math:`M_k = n_k V + \Sigma_k` it is
    :math:`\Sigma_k M_k^{-1} (m - c_k) + V M_k^{-1} S_{1k}`: nothing is inverted but M, and a
    component without rows goes to m.
    """
    spread = np.asarray(prior.mean_covariance)
    sides = np.stack([np.asarray(prior.mean) - center, found.first], axis=-1)
    solved = np.linalg.solve(found.sizes[..., None, None] * spread + dense, sides)
    step: Floats = (dense @ solved[..., :1] + spread @ solved[..., 1:])[..., 0]
    return step


def _log_means(
    prior: ComponentPrior, structure: Structure, means: Floats, factor: Floats
) -> Floats:
    """Log density of every mean given its covariance, (..., K)."""
    n_components, d = means.shape[-2:]
    delta = means - np.asarray(prior.mean)
    match prior:
        case NormalInverseWishart():
            kappa = prior.mean_precision
            logs = structure.log_diagonal(factor, n_components, d).sum(axis=-1)
            squares = kappa * np.stack(
                [
                    np.square(structure.whiten(delta[..., k : k + 1, :], factor, k)).sum((-2, -1))
                    for k in range(n_components)
                ],
                axis=-1,
            )
            logs = logs + 0.5 * d * np.log(kappa)
        case IndependentNormalInverseWishart():
            tied = STRUCTURES["tied"]
            own = tied.precision_cholesky(np.asarray(prior.mean_covariance))
            logs = tied.log_diagonal(own, n_components, d).sum(axis=-1)
            squares = np.square(tied.whiten(delta, own, 0)).sum(axis=-1)
    log_density: Floats = logs - 0.5 * (d * LOG_2PI + squares)
    return log_density


def log_norm_of_scale(hyperprior: GammaScale) -> Floats:
    """What the log density of each s_j adds to (shape - 1) log s_j - rate_j s_j."""
    from scipy.special import gammaincc, gammaln

    shape, rate, floor = (np.asarray(value) for value in hyperprior)
    norm: Floats = shape * np.log(rate) - gammaln(shape) - np.log(gammaincc(shape, rate * floor))
    return norm


def _log_scale(prior: ComponentPrior, structure: Structure, scale: Floats) -> Floats | float:
    """Log density of a random S in its free diagonal entries, (...); 0 for a stated one."""
    if prior.scale_hyperprior is None:
        return 0.0
    hyperprior = structure.scale_hyperprior(prior.scale_hyperprior)
    shape, rate, floor = (np.asarray(value) for value in hyperprior)
    s = np.diagonal(scale, axis1=-2, axis2=-1)[..., : len(rate)]
    if np.any(scale != s[..., None] * np.eye(prior.n_features)):
        kind = "multiples of the identity" if len(rate) < prior.n_features else "diagonal matrices"
        raise ValueError(f"covariance_scale: expected {kind}, as the scale_hyperprior makes them")
    logs = log_norm_of_scale(hyperprior) + (shape - 1) * np.log(s) - rate * s
    return np.where(s >= floor, logs, -np.inf).sum(axis=-1)


def _draw_scale(
    prior: ComponentPrior, structure: Structure, size: int, generator: np.random.Generator
) -> Floats | None:
    """Draw a random S (S, D, D) by the inverse of its upper tail; None for a stated one."""
    if prior.scale_hyperprior is None:
        return None
    from scipy.special import gammaincc, gammainccinv

    shape, *others = structure.scale_hyperprior(prior.scale_hyperprior)
    rate, floor = np.asarray(others)
    tail = gammaincc(shape, rate * floor) * generator.uniform(size=(size, len(rate)))
    s = np.maximum(gammainccinv(shape, tail) / rate, floor)
    return s[..., None] * np.eye(prior.n_features)
