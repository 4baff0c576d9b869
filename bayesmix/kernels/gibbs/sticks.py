r"""Weights that break a stick into T pieces, given how many rows each component has.

With the weights integrated out, labels of sizes n have the probability

.. math::

    p(z \mid \alpha, d) = \prod_{k<T} \frac{B(1 - d + n_k,\ \alpha + k d + n_{k+1} + \ldots + n_T)}
    {B(1 - d,\ \alpha + k d)},

in which concentration and discount are drawn, and components trade places: sticks are not
exchangeable, and labels drawn row by row hardly ever change their order. Swaps of neighbors and of
any two are those of Papaspiliopoulos and Roberts (2008), but for the weights, which are drawn
afterwards.

References
----------
O. Papaspiliopoulos and G. O. Roberts, "Retrospective Markov Chain Monte Carlo Methods for Dirichlet
Process Hierarchical Models", Biometrika 95, 2008.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bayesmix.kernels.blocks import compiled
from bayesmix.kernels.gibbs.conditionals import LOWEST
from bayesmix.kernels.gibbs.slices import concentration_slicer, discount_slicer
from bayesmix.kernels.gibbs.variates import index_below, log_gamma

__all__ = ["draw_order", "draw_stick_laws", "draw_sticks", "log_labels"]


@compiled
def log_labels(sizes: Any, concentration: float, discount: float) -> float:
    """Log probability of labels of these sizes, (T,), weights integrated out."""
    return _log_between(sizes, 0, len(sizes) - 1, 0.0, concentration, discount)


@compiled
def draw_sticks(
    sizes: Any, concentration: float, discount: float, log_weights: Any, generator: Any
) -> None:
    """Draw the logarithms of the weights given the sizes."""
    last, left, after = len(sizes) - 1, 0.0, sizes.sum()
    for k in range(last):
        after -= sizes[k]
        piece = log_gamma(generator, 1 - discount + sizes[k])
        rest = log_gamma(generator, concentration + (k + 1) * discount + after)
        both = max(piece, rest) + math.log1p(math.exp(-abs(piece - rest)))
        log_weights[k] = max(left + piece - both, LOWEST)
        left += rest - both
    log_weights[last] = max(left, LOWEST)


@compiled
def draw_stick_laws(
    sizes: Any, prior: Any, concentration: Any, discount: Any, generator: Any
) -> None:
    """Draw concentration (T,) and discount (1,), where they are random, given the sizes."""
    if prior.concentration_shape > 0:
        shape, rate = prior.concentration_shape, prior.concentration_rate
        given = (sizes, discount[0])
        concentration[:] = _move_concentration(concentration[0], shape, rate, given, generator)
    if prior.discount_a > 0:
        rest = (sizes, concentration[0])
        a, b = prior.discount_a, prior.discount_b
        discount[0] = _move_discount(discount[0], a, b, rest, generator)


@compiled
def draw_order(sizes: Any, concentration: float, discount: float, generator: Any) -> Any:
    """Order of the components, (T,), after swaps that keep the law of the labels.

    All neighbors are tried, then as many pairs as there are components with rows: one of these and
    any other.
    """
    t = len(sizes)
    order, own = np.arange(t), sizes.copy()
    for k in range(t - 1):
        _try_swap(own, order, k, k + 1, concentration, discount, generator)
    for _ in range((sizes > 0).sum() if t > 1 else 0):
        j = index_below(generator, t)
        while own[j] == 0:
            j = index_below(generator, t)
        other = index_below(generator, t - 1)
        other += other >= j
        _try_swap(own, order, min(j, other), max(j, other), concentration, discount, generator)
    return order


@compiled
def _try_swap(
    sizes: Any,
    order: Any,
    first: int,
    last: int,
    concentration: float,
    discount: float,
    generator: Any,
) -> None:
    """Swap two components by the ratio of the labels' probabilities."""
    if sizes[first] == 0 and sizes[last] == 0:
        return
    after = sizes[last + 1 :].sum()
    before = _log_between(sizes, first, last, after, concentration, discount)
    sizes[first], sizes[last] = sizes[last], sizes[first]
    gain = _log_between(sizes, first, last, after, concentration, discount) - before
    if math.log(1 - generator.random()) < gain:
        order[first], order[last] = order[last], order[first]
    else:
        sizes[first], sizes[last] = sizes[last], sizes[first]


@compiled
def _log_between(
    sizes: Any, first: int, last: int, after: float, concentration: float, discount: float
) -> float:
    """Factors of ``first`` to ``last`` in the labels' probability, ``after`` rows beyond them."""
    found = 0.0
    for k in range(last, first - 1, -1):
        if k < len(sizes) - 1 and sizes[k] + after > 0:
            a, b = 1 - discount, concentration + (k + 1) * discount
            found += _log_beta(a + sizes[k], b + after) - _log_beta(a, b)
        after += sizes[k]
    return found


@compiled
def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


@compiled
def _log_given_concentration(value: float, given: Any) -> float:
    sizes, discount = given
    return log_labels(sizes, value, discount)


@compiled
def _log_given_discount(value: float, given: Any) -> float:
    sizes, concentration = given
    return log_labels(sizes, concentration, value)


_move_concentration = concentration_slicer(_log_given_concentration)
_move_discount = discount_slicer(_log_given_discount)
