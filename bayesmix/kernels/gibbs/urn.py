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
from bayesmix.kernels.gibbs.slices import density_given, slice_step
from bayesmix.kernels.gibbs.variates import log_gamma

__all__ = ["Law", "Urn", "draw_hyperparameters", "draw_open_weights", "founding", "urn_of"]

_HOPELESS = 40.0  # nats below the largest from where on numbers of components have no chance


class Law(NamedTuple):
    """Prior of the partition."""

    log_p_components: Any
    """Log prior probability of K = 1, 2, ..., of a mixture of finite mixtures; else none."""
    dynamic: bool
    """Whether every component has the concentration over K."""
    concentration_shape: float
    """0 for a stated concentration."""
    concentration_rate: float
    discount_a: float
    """0 for a stated discount."""
    discount_b: float


class Urn(NamedTuple):
    """The two numbers."""

    discount: float
    strength: float


class _Partition(NamedTuple):
    """What a concentration depends on."""

    sizes: Any
    n_components: int
    discount: float
    law: Law


class _PartitionAndConcentration(NamedTuple):
    """What a discount depends on."""

    sizes: Any
    concentration: float
    law: Law


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


@density_given(_Partition)
def _log_concentration(at: float, given: Any) -> float:
    """Log density of the logarithm of the concentration given the partition."""
    if not -700 < at < 700:
        return -np.inf
    value, law = math.exp(at), given.law
    urn = urn_of(value, given.discount, given.n_components, law.dynamic)
    found = law.concentration_shape * at - law.concentration_rate * value
    return found + _log_partition(urn, given.sizes)


@density_given(_PartitionAndConcentration)
def _log_discount(at: float, given: Any) -> float:
    """Log density of the logit of the discount given the partition."""
    if not -30 < at < 30:
        return -np.inf
    value, rest = 1 / (1 + math.exp(-at)), 1 / (1 + math.exp(at))
    found = given.law.discount_a * math.log(value) + given.law.discount_b * math.log(rest)
    return found + _log_partition(Urn(value, given.concentration), given.sizes)


@compiled
def _draw_n_components(law: Any, sizes: Any, concentration: float, generator: Any) -> int:
    """Draw K given the partition, from as many numbers as have a chance."""
    least, most = len(sizes), len(law.log_p_components)
    logs = np.empty(max(most - least + 1, 1))
    top, count = -np.inf, 0
    for k in range(least, most + 1):
        urn = urn_of(concentration, 0.0, k, law.dynamic)
        logs[count] = law.log_p_components[k - 1] + _log_partition(urn, sizes)
        top = max(top, logs[count])
        count += 1
        if logs[count - 1] < top - _HOPELESS:
            break
    total = 0.0
    for i in range(count):
        logs[i] = math.exp(logs[i] - top)
        total += logs[i]
    left = generator.random() * total
    for i in range(count):
        left -= logs[i]
        if left < 0:
            return least + i
    return least + np.argmax(logs[:count])


@compiled
def draw_hyperparameters(state: Any, law: Any, sizes: Any, generator: Any) -> None:
    """Draw K, concentration and discount, where they are random, given the clusters' sizes."""
    concentration, discount, k = state.concentration, state.discount, state.n_components
    if len(law.log_p_components) > 0:
        k[0] = _draw_n_components(law, sizes, concentration[0], generator)
    if law.concentration_shape > 0:
        start, given = math.log(concentration[0]), _Partition(sizes, k[0], discount[0], law)
        concentration[0] = math.exp(slice_step(start, given, generator))
    if law.discount_a > 0:
        start = math.log(discount[0] / (1 - discount[0]))
        rest = _PartitionAndConcentration(sizes, concentration[0], law)
        discount[0] = 1 / (1 + math.exp(-slice_step(start, rest, generator)))


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
