"""Trapezoid rules in a logarithm, for positive unknowns: exponentially accurate here.

The integrands are analytic and die at both ends, where the error of the rule is that of a Fourier
coefficient: for t -> exp(a t - exp(t)) and step h about |Gamma(a + 2 pi i / h)|.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import gammaincc, gammaln

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
