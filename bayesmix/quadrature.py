r"""Quadrature over a random concentration or discount: trapezoid rules that converge exponentially.

In the logarithm of a concentration, the logit of a discount, the densities die at both ends, and
what is averaged is analytic in a strip about the line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmix.scalar_priors import Beta, Gamma

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Rule", "concentrations", "discounts"]

_NEGLIGIBLE = 60.0  # nats
_NO_WEIGHT = 1e-14
_NEXT_TO_ZERO = 1e-15


class Rule(NamedTuple):
    """Nodes of a quadrature; weights sum to one."""

    values: Floats
    complements: Floats
    """One minus the values, for a discount without cancellation."""
    weights: Floats

    @classmethod
    def of(cls, value: float) -> Rule:
        """One node."""
        return cls(np.array([value]), np.array([1 - value]), np.ones(1))

    def likely(self) -> Rule:
        """Without nodes of next to no weight, and what is next to 0 taken for 0."""
        if len(self.values) == 1:
            return self
        small = self.values < _NEXT_TO_ZERO
        weights = np.append(self.weights[small].sum(), self.weights[~small])
        values, complements = (
            np.append(at_zero, a[~small])
            for at_zero, a in ((0.0, self.values), (1.0, self.complements))
        )
        kept = weights > _NO_WEIGHT
        return Rule(values[kept], complements[kept], weights[kept])


def concentrations(prior: float | Gamma, halvings: int = 0) -> Rule:
    """Nodes for a concentration: as stated, or 0 and what its prior makes likely.

    The step in its logarithm is 1/8 or, if that is less, small against the prior; then it is halved
    some times.
    """
    if not isinstance(prior, Gamma):
        return Rule.of(prior)
    from scipy.special import gammaln

    constant = prior.shape * np.log(prior.rate) - gammaln(prior.shape)
    t, weights = _trapezoid(
        lambda t: constant + prior.shape * t - prior.rate * np.exp(t),
        lambda t: t,
        np.log(prior.mean),
        min(0.125, 0.4 / np.sqrt(prior.shape)) / 2**halvings,
    )
    values = np.append(0.0, np.exp(t))
    return Rule(values, 1 - values, weights)


def discounts(prior: float | Beta, halvings: int = 0) -> Rule:
    """Nodes for a discount: as stated, or 0 and what its prior makes likely.

    The step in its logit is 1/4 or, if that is less, small against the prior; then it is halved
    some times.
    """
    if not isinstance(prior, Beta):
        return Rule.of(prior)
    from scipy.special import betaln, expit, log_expit

    t, weights = _trapezoid(
        lambda t: prior.a * log_expit(t) + prior.b * log_expit(-t) - betaln(prior.a, prior.b),
        log_expit,
        np.log(prior.a / prior.b),
        min(0.25, 0.4 * np.sqrt(1 / prior.a + 1 / prior.b)) / 2**halvings,
    )
    return Rule(np.append(0.0, expit(t)), np.append(1.0, expit(-t)), weights)


def _trapezoid(
    log_density: Callable[[Any], Any],
    log_value: Callable[[Any], Any],
    start: float,
    step: float,
) -> tuple[Floats, Floats]:
    """Nodes in an unbounded coordinate, and weights with one in front for the value 0.

    The rule converges exponentially for what dies at both ends. A function of the value less what
    it is at 0 does so however small the prior makes the value: mass below the nodes goes to 0.
    """

    def reach(log: Callable[[Any], Any], direction: int) -> float:
        width = step
        while log(start + direction * width) > log(start) - _NEGLIGIBLE:
            width *= 1.25
        return start + direction * width

    t = np.arange(reach(lambda t: log_density(t) + log_value(t), -1), reach(log_density, 1), step)
    weights = np.exp(log_density(t)) * step
    return t, np.append(1 - weights.sum(), weights)
