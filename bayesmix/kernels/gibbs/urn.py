r"""Partitions with the weights integrated out: one family, two numbers.

With discount d and strength :math:`\theta`, t clusters of :math:`n_1, \ldots, n_t` rows have

.. math::

    p = \frac{\prod_{j=1}^{t-1} (\theta + j d)}{(\theta + 1) \cdots (\theta + n - 1)}
    \prod_{j=1}^t \frac{\Gamma(n_j - d)}{\Gamma(1 - d)}.

A Dirichlet process has d = 0, a Pitman-Yor process d in [0, 1), both :math:`\theta = \alpha`; a
symmetric Dirichlet of K components with concentration :math:`\gamma` has :math:`d = -\gamma` and
:math:`\theta = K \gamma`. Under a mixture of finite mixtures the last is the law given K.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from bayesmix.kernels.blocks import compiled
from bayesmix.kernels.gibbs.slices import concentration_slicer, discount_slicer
from bayesmix.kernels.gibbs.variates import log_gamma

__all__ = [
    "GivenLaw",
    "Law",
    "Urn",
    "draw_hyperparameters",
    "draw_near",
    "draw_open_weights",
    "founding",
    "is_near",
    "log_law",
    "urn_of",
]

_NEAR = 64  # numbers of components, from the least on, that are weighed against each other
_RARE = 1e-9  # prior probability below which none is proposed


class Law(NamedTuple):
    """Prior of the partition."""

    log_p_components: Any
    """Log prior probability of K = 1, 2, ..., of a mixture of finite mixtures; else none."""
    cumulative: Any
    """The probability of at most as many."""
    least: int
    """The fewest components that there may be."""
    dynamic: bool
    """Whether every component has the concentration over K."""
    concentration_shape: float
    """0 for a stated concentration."""
    concentration_rate: float
    discount_a: float
    """0 for a stated discount."""
    discount_b: float


class GivenLaw(NamedTuple):
    """A prior of the partition, given its concentration and discount."""

    law: Any
    concentration: float
    discount: float
    n_components: int
    """K that is held; 0 if there is none, or if it is summed out."""


class Urn(NamedTuple):
    """The two numbers."""

    discount: float
    strength: float


@compiled
def urn_of(concentration: float, discount: float, n_components: int, dynamic: bool) -> Any:
    """The two numbers of a prior; ``n_components`` is 0 for infinitely many."""
    if n_components == 0:
        return Urn(discount, concentration)
    each = concentration / n_components if dynamic else concentration
    return Urn(-each, n_components * each)


@compiled
def founding(urn: Any, n_clusters: int) -> float:
    """What all components without rows have against ``n_j - d`` of a cluster."""
    return max(urn.strength + urn.discount * n_clusters, 0.0)


@compiled
def _log_partition(urn: Any, sizes: Any) -> float:
    """Log probability of a partition into clusters of these sizes."""
    found, n = math.lgamma(urn.strength + 1), 0.0
    for j in range(1, len(sizes)):
        found += math.log(founding(urn, j))
    least = math.lgamma(1 - urn.discount)
    for size in sizes:
        n += size
        found += math.lgamma(size - urn.discount) - least
    return found - math.lgamma(urn.strength + n)


@compiled
def _log_given_concentration(value: float, given: Any) -> float:
    sizes, n_components, discount, dynamic = given
    return _log_partition(urn_of(value, discount, n_components, dynamic), sizes)


@compiled
def _log_given_discount(value: float, given: Any) -> float:
    sizes, concentration = given
    return _log_partition(Urn(value, concentration), sizes)


_move_concentration = concentration_slicer(_log_given_concentration)
_move_discount = discount_slicer(_log_given_discount)


@compiled
def _log_components(law: Any, sizes: Any, concentration: float, k: int) -> float:
    """Log probability of K = k and the partition."""
    return law.log_p_components[k - 1] + _log_partition(
        urn_of(concentration, 0.0, k, law.dynamic), sizes
    )


@compiled
def _least(law: Any, n_clusters: int) -> int:
    """Fewest components that there may be beside so many clusters."""
    return max(n_clusters, law.least)


@compiled
def _weigh_near(law: Any, sizes: Any, concentration: float) -> Any:
    """Probabilities of the first few K that there may be, with the partition; their top's log."""
    least = _least(law, len(sizes))
    count = max(min(_NEAR, len(law.log_p_components) - least + 1), 0)
    share, top = np.empty(count), -np.inf
    for i in range(count):
        share[i] = _log_components(law, sizes, concentration, least + i)
        top = max(top, share[i])
    for i in range(count):
        share[i] = math.exp(share[i] - top)
    return share, top


@compiled
def draw_near(law: Any, sizes: Any, concentration: float, generator: Any) -> int:
    """Draw K given the partition and that it is one of the first few that there may be."""
    share, _ = _weigh_near(law, sizes, concentration)
    least, left = _least(law, len(sizes)), generator.random() * share.sum()
    for i in range(len(share)):
        left -= share[i]
        if left < 0:
            return least + i
    return least + int(np.argmax(share))


@compiled
def log_law(given: Any, sizes: Any) -> float:
    """Log probability of a partition, with one of the first few K or with the K that is held.

    Where that is one of the first few it is not to be held: the partition has no probability.
    """
    law, k = given.law, given.n_components
    if len(law.log_p_components) == 0:
        return _log_partition(Urn(given.discount, given.concentration), sizes)
    if k > 0:
        if is_near(law, k, len(sizes)):
            return -np.inf
        return _log_partition(urn_of(given.concentration, 0.0, k, law.dynamic), sizes)
    share, top = _weigh_near(law, sizes, given.concentration)
    return top + math.log(share.sum()) if top > -np.inf else -np.inf


@compiled
def is_near(law: Any, n_components: int, n_clusters: int) -> bool:
    """Whether K is one of the first few that there may be."""
    return n_components < _least(law, n_clusters) + _NEAR


@compiled
def _draw_n_components(law: Any, sizes: Any, concentration: float, k: int, generator: Any) -> int:
    """Move K given the partition: a proposal from the prior, then a draw among the first few."""
    least, most = _least(law, len(sizes)), len(law.log_p_components)
    below = law.cumulative[least - 2] if least > 1 else 0.0
    beyond = law.cumulative[most - 1] - below
    if beyond > _RARE:
        drawn = below + beyond * generator.random()
        other = min(max(np.searchsorted(law.cumulative, drawn, side="right") + 1, least), most)
        gain = _log_components(law, sizes, concentration, other) - law.log_p_components[other - 1]
        gain -= _log_components(law, sizes, concentration, k) - law.log_p_components[k - 1]
        if math.log(1 - generator.random()) < gain:
            k = other
    return draw_near(law, sizes, concentration, generator) if is_near(law, k, len(sizes)) else k


@compiled
def draw_hyperparameters(state: Any, law: Any, sizes: Any, generator: Any) -> None:
    """Draw K, concentration and discount, where they are random, given the clusters' sizes."""
    concentration, discount, k = state.concentration, state.discount, state.n_components
    if len(law.log_p_components) > 0:
        k[0] = _draw_n_components(law, sizes, concentration[0], np.int64(k[0]), generator)
    if law.concentration_shape > 0:
        shape, rate = law.concentration_shape, law.concentration_rate
        given = (sizes, np.int64(k[0]), discount[0], law.dynamic)
        concentration[0] = _move_concentration(concentration[0], shape, rate, given, generator)
    if law.discount_a > 0:
        rest = (sizes, concentration[0])
        a, b = law.discount_a, law.discount_b
        discount[0] = _move_discount(discount[0], a, b, rest, generator)


@compiled
def draw_open_weights(sizes: Any, urn: Any, log_weights: Any, generator: Any) -> float:
    """Draw log weights of components given their sizes; return that of all others together.

    Where a component has no rows nothing is drawn.
    """
    n_clusters, top = 0, -np.inf
    for k in range(len(sizes)):
        if sizes[k] > 0:
            n_clusters += 1
            log_weights[k] = log_gamma(generator, sizes[k] - urn.discount)
            top = max(top, log_weights[k])
    rest = founding(urn, n_clusters)
    others = log_gamma(generator, rest) if rest > 0 else -np.inf
    top = max(top, others)
    norm = math.exp(others - top)
    for k in range(len(sizes)):
        if sizes[k] > 0:
            norm += math.exp(log_weights[k] - top)
    for k in range(len(sizes)):
        if sizes[k] > 0:
            log_weights[k] -= top + math.log(norm)
    return others - top - math.log(norm)
