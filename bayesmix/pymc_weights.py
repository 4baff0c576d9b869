r"""The weights of a PyMC model: their free variables, and their logarithms for the likelihood.

Weights underflow long before their logarithms do: a stick that takes :math:`1 - 10^{-20}` of the
rest leaves nothing of it. So the likelihood is given logarithms. PyMC sees through its own
transform of Dirichlet weights; a stick v has no variable of its own but its logit y, of which
:math:`\log v = -\log(1 + e^{-y})` and :math:`\log(1 - v) = -\log(1 + e^y)` keep value and gradient
however far out y is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayesmix.finite_mixtures import MixtureOfFiniteMixtures
from bayesmix.priors import Dirichlet
from bayesmix.stick_priors import StickPrior, WeightPrior

__all__ = ["STICKS", "add_weights"]

STICKS = "stick_logits"


def add_weights(prior: WeightPrior) -> Any:
    """Add the weights, and what is random about their prior, to the model in whose context we are.

    Returns
    -------
    (K,) tensor
        Their logarithms.
    """
    assert not isinstance(prior, MixtureOfFiniteMixtures)  # NUTS takes none
    concentration: Any = prior.concentration
    if prior.random_concentration is not None:
        shape, rate = prior.random_concentration.shape, prior.random_concentration.rate
        concentration = pm.Gamma("concentration", alpha=shape, beta=rate)
    if not isinstance(prior, Dirichlet):
        return _add_sticks(prior, concentration)
    if prior.random_concentration is None:
        concentrations: Any = prior.concentrations
    else:
        concentrations = concentration * np.ones(prior.n_components)
    return pt.log(pm.Dirichlet("weights", concentrations, dims="component"))


def _add_sticks(prior: StickPrior, concentration: Any) -> Any:
    discount: Any = prior.discount
    if prior.random_discount is not None:
        discount = pm.Beta("discount", alpha=prior.random_discount.a, beta=prior.random_discount.b)
    logs = pt.zeros(1)
    if prior.n_components != 1:
        y = pm.CustomDist(
            STICKS,
            *prior.stick_parameters(concentration, discount),
            logp=_stick_logp,
            random=_stick_random,
            support_point=lambda rv, size, a, b: pt.log(a) - pt.log(b) + pt.zeros(size),
            signature="(),()->()",
            dims="stick",
            class_name="LogitBeta",
        )
        left = -pt.cumsum(pt.softplus(y))
        logs = pt.concatenate([-pt.softplus(-y), [0.0]]) + pt.concatenate([[0.0], left])
    pm.Deterministic("weights", pt.exp(logs), dims="component")
    return logs


def _stick_logp(value: Any, a: Any, b: Any) -> Any:
    constant = pt.gammaln(a + b) - pt.gammaln(a) - pt.gammaln(b)
    return constant - a * pt.softplus(-value) - b * pt.softplus(value)


def _stick_random(a: Any, b: Any, rng: np.random.Generator, size: Any = None) -> Any:
    """Logits of beta variables, by gamma variables whose logarithms do not underflow."""
    taken, left = (
        np.log(rng.standard_gamma(c + 1, size)) - rng.standard_exponential(size) / c for c in (a, b)
    )
    return taken - left
