r"""Priors on the weights from the number of clusters that is expected among n rows.

With concentration :math:`\theta` and discount d the number of clusters has the mean

.. math:: E[K_+] = \frac{\theta}{d} \left( \prod_{i=0}^{n-1} \frac{\theta + d + i}{\theta + i}
    - 1 \right), \qquad E[K_+] = \sum_{i=0}^{n-1} \frac{\theta}{\theta + i} \text{ for } d = 0;

K components of concentration a are :math:`d = -a,\ \theta = K a`. What is random is averaged
over. The mean grows with a concentration, and with a prior on K.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.component_counts import MAX_SUPPORT, BetaNegativeBinomial, log_pmf_table
from bayesmix.inputs import require_count
from bayesmix.quadrature import concentrations, discounts
from bayesmix.scalar_priors import Gamma, require_positive
from bayesmix.stirling import log_rising

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from bayesmix.component_counts import ComponentCount
    from bayesmix.scalar_priors import Beta

    Floats = NDArray[np.float64]

__all__ = [
    "clusters_of_components",
    "clusters_of_counts",
    "clusters_of_sticks",
    "component_count",
    "dirichlet_concentration",
    "stick_concentration",
]

_SMALLEST = 1e-12  # concentration
_LARGEST = 1e6  # concentration of a component, or of sticks per row
_LARGEST_C = 2e4  # of BetaNegativeBinomial(1, 4, c): beyond, tables of K are too short
_NO_CHOICE = 1e-6  # of a cluster, between the smallest and the largest prior
_SPLINE_POINTS = 400
_ONE_BY_ONE = 20  # rows, before asymptotic series hold
_NO_DISCOUNT = 1e-9  # discount that changes no mean by as much, relative to it


def stick_concentration(
    n: int, expected: float, discount: float | Beta, shape: float | None
) -> float | Gamma:
    """Concentration of a Pitman-Yor process, or its Gamma of a given shape."""
    require_count(n, "n")

    def mean(concentration: float | Gamma) -> float:
        return clusters_of_sticks(n, concentration, discount)

    return _concentration(mean, expected, shape, _LARGEST * n)


def dirichlet_concentration(
    n_components: int, n: int, expected: float, shape: float | None
) -> float | Gamma:
    """Concentration of each of K components, or its Gamma of a given shape."""
    require_count(n, "n")

    def mean(concentration: float | Gamma) -> float:
        return clusters_of_components(n, n_components, concentration)

    return _concentration(mean, expected, shape, _LARGEST)


def component_count(
    n: int, expected: float, concentration: float | Gamma, dynamic: bool
) -> BetaNegativeBinomial:
    """Prior BNB(1, 4, c) on the number of components."""
    require_count(n, "n")
    k = np.arange(1, MAX_SUPPORT + 1)
    given_k = _mean_given_k(concentration, dynamic, n)(np.log(k))

    def mean(c: float) -> float:
        p = np.exp(BetaNegativeBinomial(c=c).log_pmf(k))
        return float(p @ given_k / p.sum())

    return BetaNegativeBinomial(c=_solved(mean, expected, (_SMALLEST, _LARGEST_C)))


def clusters_of_sticks(n: int, concentration: float | Gamma, discount: float | Beta) -> float:
    """E[K+] among n rows under a Pitman-Yor process."""
    alpha, rule = concentrations(concentration), discounts(discount)
    given = [alpha.weights @ _mean_of_sticks(alpha.values, d, n) for d in rule.values]
    return float(rule.weights @ given)


def clusters_of_components(n: int, n_components: int, concentration: float | Gamma) -> float:
    """E[K+] among n rows of K components of one concentration."""
    a = concentrations(concentration)
    return float(a.weights @ _mean_of_components(a.values, n_components, n))


def clusters_of_counts(
    n: int, prior: ComponentCount, concentration: float | Gamma, dynamic: bool
) -> float:
    """E[K+] among n rows where K is random."""
    p = np.exp(log_pmf_table(prior))
    k = np.arange(1, len(p) + 1)
    return float(p @ _mean_given_k(concentration, dynamic, n)(np.log(k)))


def _mean_given_k(
    concentration: float | Gamma, dynamic: bool, n: int
) -> Callable[[Floats], Floats]:
    """E[K+] as a function of log K: a spline, exact where K is small."""
    from scipy.interpolate import make_interp_spline

    k = np.unique(np.geomspace(1, MAX_SUPPORT, _SPLINE_POINTS).astype(np.int64))
    rule = concentrations(concentration)
    a = rule.values[:, None] / k if dynamic else rule.values[:, None]
    return make_interp_spline(np.log(k), rule.weights @ _mean_of_components(a, k, n), k=5)


def _concentration(
    mean: Callable[[float | Gamma], float], expected: float, shape: float | None, largest: float
) -> float | Gamma:
    """Concentration of a given mean number of clusters: a number, or a Gamma of a shape."""
    bounds = (_SMALLEST, largest)
    if shape is None:
        return _solved(mean, expected, bounds)
    shape = require_positive(shape, "shape", or_prior="None")
    return Gamma(shape, shape / _solved(lambda a: mean(Gamma(shape, shape / a)), expected, bounds))


def _solved(mean: Callable[[float], float], expected: float, bounds: tuple[float, float]) -> float:
    """Argument at which a mean number of clusters that grows with it is as expected."""
    from scipy.optimize import brentq

    expected = require_positive(expected, "expected")
    fewest, most = (mean(bound) for bound in bounds)
    if most - fewest < _NO_CHOICE:
        raise ValueError(
            f"expected: expected a number of clusters that the prior can change, got {expected:g} "
            f"where there is always {most:.6g}; take at least 2 rows and 2 components"
        )
    if not fewest < expected < most:
        raise ValueError(
            f"expected: expected a number of clusters above {fewest:.6g} and below {most:.6g}, got "
            f"{expected:g}; other numbers take another kind of prior, or more rows"
        )
    low, high = np.log(bounds)
    return float(np.exp(brentq(lambda t: mean(float(np.exp(t))) - expected, low, high)))


def _mean_of_sticks(theta: Floats, d: float, n: int) -> Floats:
    """E[K+] given concentrations (M,) and a discount of at least 0."""
    if d < _NO_DISCOUNT:
        return 1 + theta * _harmonic(theta, n)
    log_growth = _log_growth(theta, d, n)
    return np.exp(log_growth) + theta / d * np.expm1(log_growth)


def _mean_of_components(a: Any, k: Any, n: int) -> Floats:
    """E[K+] given concentrations and numbers of components, which broadcast."""
    log_growth = _log_growth(k * a, -a, n)
    return np.exp(log_growth) - k * np.expm1(log_growth)


def _log_growth(theta: Any, d: Any, n: int) -> Floats:
    """Sum of log(1 + d/(theta + i)) over i = 1, ..., n - 1."""
    few = min(n, _ONE_BY_ONE)
    each = sum((np.log1p(d / (theta + i)) for i in range(1, few)), 0 * theta)
    return each + log_rising(theta + n, d) - log_rising(theta + few, d)


def _harmonic(theta: Floats, n: int) -> Floats:
    """Sum of 1/(theta + i) over i = 1, ..., n - 1."""
    from scipy.special import psi

    few = min(n, _ONE_BY_ONE)
    each = sum((1 / (theta + i) for i in range(1, few)), 0 * theta)
    return each + psi(theta + n) - psi(theta + few)
