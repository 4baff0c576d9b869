r"""What is integrated: the rows' density times the prior, as a function of (w, μ, Σ) alone.

A random covariance scale and what is random of concentration and discount are integrated out, so
that they need no proposal. Given S = diag(s) the covariances depend on s through
:math:`\prod_j s_j^{c} e^{-s_j A_j/2}`, :math:`A_j = \sum_k (\Sigma_k^{-1})_{jj}`, which leaves a
gamma integral above the floor per free number of S; concentration and discount take a quadrature.
In the measure of ``docs/notation.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmix import component_prior, passes
from bayesmix.component_prior import held_scale, log_norm_of_scale
from bayesmix.finite_mixtures import MixtureOfFiniteMixtures
from bayesmix.memory import blocks
from bayesmix.quadrature import Rule, concentrations, discounts
from bayesmix.stick_priors import StickPrior
from bayesmix.weight_prior import log_dirichlet_norm, log_sticks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.mixture import Mixture
    from bayesmix.pass_parameters import PassParameters

    Floats = NDArray[np.float64]

__all__ = ["log_given_weights", "log_target", "log_weight_prior"]

_HALVINGS = 2  # of the quadrature's step, which a density of many weights makes narrow
_TERMS = 200  # of a continued fraction that needs a few


def log_target(mixture: Mixture, x: Floats, points: PassParameters) -> Floats:
    """Log density of rows (n, D) and J points together, (J,)."""
    return log_given_weights(mixture, x, points) + log_weight_prior(mixture, points.log_weights)


def log_given_weights(mixture: Mixture, x: Floats, points: PassParameters) -> Floats:
    """Log density of rows and J points' components given their weights, (J,): bounded above."""
    return passes.log_likelihood(x, points) + _log_components(mixture, points)


def _log_components(mixture: Mixture, points: PassParameters) -> Floats:
    prior, structure = mixture.components, points.structure
    assert prior is not None  # what `require_mixture` has checked
    given = component_prior.log_prior(prior, structure, points.means, points.precision_cholesky)
    if prior.scale_hyperprior is None:
        return given
    hyperprior = structure.scale_hyperprior(prior.scale_hyperprior)
    shape = hyperprior.shape
    rate, floor = np.asarray(hyperprior.rate), np.asarray(hyperprior.floor)
    held = np.diag(held_scale(prior, structure))[: len(rate)]
    precisions, power = _scale_terms(points, prior.dof, len(rate))
    # the law of s given the covariances takes the place of the density of s where it is held
    before = log_norm_of_scale(hyperprior) + (shape - 1 + power) * np.log(held)
    before = before - (rate + precisions / 2) * held
    after = _log_gamma_above(shape + power, rate + precisions / 2, floor)
    return given + (log_norm_of_scale(hyperprior) + after - before).sum(axis=-1)


def _scale_terms(points: PassParameters, dof: float, width: int) -> tuple[Floats, float]:
    """Diagonals of the precisions, summed over the covariances, (J, width); and the power of s."""
    structure, (k, d) = points.structure, points.means.shape[-2:]
    factor = points.precision_cholesky
    match structure.name:
        case "full":
            return np.square(factor).sum(axis=(-3, -1)), k * dof / 2
        case "tied":
            return np.square(factor).sum(axis=-1), dof / 2
        case _:
            own = np.square(factor).sum(axis=1).reshape(-1, width)
            return own, k * (dof - d + 1) / 2


def _log_gamma_above(shape: float, rate: Floats, floor: Floats) -> Floats:
    """Logarithm of the integral of s^(shape-1) exp(-rate s) above a floor, elementwise."""
    from scipy.special import gammaincc, gammaln

    x = rate * floor
    upper = gammaincc(shape, x)
    with np.errstate(divide="ignore"):
        found = gammaln(shape) - shape * np.log(rate) + np.log(upper)
    tiny = upper < np.finfo(float).tiny
    if tiny.any():
        found[tiny] = _log_far_tail(shape, x[tiny]) - shape * np.log(rate[tiny])
    return found


def _log_far_tail(shape: float, x: Floats) -> Floats:
    """Logarithm of the upper incomplete gamma function where x is far above the shape.

    Legendre's continued fraction, from its end.
    """
    tail = np.zeros_like(x)
    for i in range(_TERMS, 0, -1):
        tail = i * (i - shape) / (x + 2 * i + 1 - shape - tail)
    log: Floats = shape * np.log(x) - x - np.log(x + 1 - shape - tail)
    return log


def log_weight_prior(mixture: Mixture, log_weights: Floats) -> Floats:
    """Log prior density of J points' weights (J, K), what else is random integrated out, (J,)."""
    weights = mixture.weights
    assert not isinstance(weights, MixtureOfFiniteMixtures)  # what `evidence` has checked
    if isinstance(weights, StickPrior):
        return _log_broken(weights, log_weights)
    if weights.random_concentration is None:
        return _log_dirichlet(weights.concentrations, log_weights)
    # all nodes, as tiny weights may make likely what the prior does not
    rule = _above_zero(concentrations(weights.random_concentration, _HALVINGS))
    k = log_weights.shape[-1]
    at = [_log_dirichlet(np.full(k, value), log_weights) for value in rule.values]
    return _log_mean(np.stack(at, axis=-1), rule.weights)


def _above_zero(rule: Rule) -> Rule:
    """Without the node at zero, where there is no law of the weights."""
    inside = rule.values > 0
    return Rule(*(values[inside] for values in rule))


def _log_dirichlet(concentrations: Floats, log_weights: Floats) -> Floats:
    return log_dirichlet_norm(concentrations) + log_weights @ (concentrations - 1)


def _log_broken(weights: StickPrior, log_weights: Floats) -> Floats:
    """Log density of weights by sticks, averaged over the nodes of what is random."""
    concentration = concentrations(weights.concentration).likely()
    if weights.random_concentration is not None:
        concentration = _above_zero(concentration)
    discount = discounts(weights.discount).likely()
    sticks = weights.stick_parameters(concentration.values[:, None, None], discount.values[:, None])
    nodes = np.outer(concentration.weights, discount.weights)
    found = np.empty(len(log_weights))
    for own in blocks(len(found), 8 * nodes.size * log_weights.shape[-1]):
        at = log_sticks(sticks, log_weights[own, None, None])
        found[own] = _log_mean(at.reshape(len(at), -1), nodes.ravel())
    return found


def _log_mean(logs: NDArray[np.floating], weights: Floats) -> Floats:
    from scipy.special import logsumexp

    return np.asarray(logsumexp(logs, axis=-1, b=weights))
