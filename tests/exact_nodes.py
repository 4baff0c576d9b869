"""Trapezoid rules in a logarithm or logit, for unknowns with bounds: exponentially accurate here.

The integrands are analytic and die at both ends, where the error of the rule is that of a Fourier
coefficient: for t -> exp(a t - exp(t)) and step h about |Gamma(a + 2 pi i / h)|.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import betaln, expit, gammaincc, gammaln, log_expit

NEGLIGIBLE = 35.0
"""Nats below the peak at which an integrand is cut off."""


class Nodes(NamedTuple):
    """Values with the logarithms of their weights (density included)."""

    values: np.ndarray
    log_weights: np.ndarray


def gamma_nodes(prior, step, floor=0.0):
    """Nodes for Gamma(shape, rate) on values of at least a floor, normalized."""
    lowest = -NEGLIGIBLE / (prior.shape if floor == 0 else 1.0) - np.log(prior.rate)
    highest = np.log((prior.shape + 3 * NEGLIGIBLE) / prior.rate)
    t = np.arange(lowest, highest, step)
    values = floor + np.exp(t)
    constant = (
        prior.shape * np.log(prior.rate)
        - gammaln(prior.shape)
        - np.log(gammaincc(prior.shape, prior.rate * floor))
    )
    density = constant + (prior.shape - 1) * np.log(values) - prior.rate * values
    return Nodes(values, density + t + np.log(step))


def beta_nodes(prior, step):
    """Nodes for Beta(a, b), in the logit."""
    t = np.arange(-NEGLIGIBLE / prior.a - 5, NEGLIGIBLE / prior.b + 5, step)
    density = prior.a * log_expit(t) + prior.b * log_expit(-t) - betaln(prior.a, prior.b)
    return Nodes(expit(t), density + np.log(step))
