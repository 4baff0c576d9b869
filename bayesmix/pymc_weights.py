r"""The weights of a PyMC model: their free variables, and their logarithms for the likelihood.

Weights underflow long before their logarithms do: a stick of :math:`1 - 10^{-20}` leaves none of
itself. So what the likelihood is given are logarithms, made of :math:`\log v` and
:math:`\log(1 - v)` where weights are sticks; PyMC sees through its own transforms of Dirichlet
weights and of sticks and never takes the logarithm of a number that has become zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayesmix.priors import Dirichlet
from bayesmix.stick_priors import StickPrior, WeightPrior

__all__ = ["add_weights"]


def add_weights(prior: WeightPrior) -> Any:
    """Add the weights, and what is random about their prior, to the model in whose context we are.

    Returns
    -------
    (K,) tensor
        Their logarithms.
    """
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
    a, b = prior.stick_parameters(concentration, discount)
    logs = pt.zeros(1)
    if prior.n_components != 1:
        v = pm.Beta("sticks", alpha=a, beta=b, dims="stick")
        left = pt.cumsum(pt.log1p(-v))
        logs = pt.concatenate([pt.log(v), [0.0]]) + pt.concatenate([[0.0], left])
    pm.Deterministic("weights", pt.exp(logs), dims="component")
    return logs
