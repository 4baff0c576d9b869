r"""Prior of the number of clusters K+ where partitions have Gibbs form.

With discount d and strength :math:`\theta` (Dirichlet process: d = 0; K components of
concentration :math:`\gamma`: :math:`d = -\gamma,\ \theta = K \gamma`),

.. math::

    P(K_+ = k) = \frac{\prod_{j=1}^{k-1} (\theta + j d)}{(\theta + 1) \cdots (\theta + n - 1)}
    S_d(n, k),

S the generalized Stirling numbers (Pitman 1995; Gnedin and Pitman 2006). What is random of
concentration, discount and K is summed out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmix.component_counts import log_pmf_table
from bayesmix.finite_mixtures import MixtureOfFiniteMixtures
from bayesmix.priors import Dirichlet
from bayesmix.quadrature import Rule, concentrations, discounts
from bayesmix.stick_priors import DirichletProcess, PitmanYor
from bayesmix.stirling import log_stirling

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from bayesmix.stick_priors import WeightPrior

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["n_clusters_of_partitions"]

_NEGLIGIBLE = 1e-11  # probability
_TAIL = 1e-9  # of a prior on K
_UNSEEN = 1e-13  # probability of one number of clusters
_INACCURATE = 1e-10
_STAGES = (64, 1024)  # clusters, before all that there may be
_DENSE = 64  # numbers of clusters next to 1 and n that are not interpolated
_RATIO = 1.07  # of the others, one to the next, to begin with
_GAMMA_STEP = 0.1  # between logarithms of concentrations
_SMALLEST = 1e-15  # concentration that Stirling numbers tell from 0
_NUMBERS = 2_000_000  # at once


def n_clusters_of_partitions(weights: WeightPrior, n: int) -> Floats:
    """P(K+ = k) for k = 1, ..., K; where K is not fixed, for k = 1, ..., n."""
    possible = n
    if not isinstance(weights, DirichletProcess | PitmanYor):
        possible = min(n, int(_components(weights).values[-1]))
    out = np.zeros(weights.n_components if isinstance(weights, Dirichlet) else n)
    for stage in (*_STAGES, possible):
        top = min(stage, possible)
        out[:top] = _interpolated(weights, n, _numbers(top, {possible, n}))
        if top == possible or out.sum() > 1 - _NEGLIGIBLE:
            break
    return np.clip(out, 0, 1)


def _interpolated(weights: WeightPrior, n: int, k: Ints) -> Floats:
    """Probabilities of 1, ..., k[-1] clusters, whose logarithms are smooth in log k.

    Where what is found between two of the numbers k is not as foretold, there are to be more.
    """
    log = _log_probability(weights, n, k)
    doubted = np.ones(len(k) - 1, bool)
    while True:
        p = np.exp(log) if len(k) == k[-1] else _by_spline(k, log)
        likely = np.maximum(p[k[:-1] - 1], p[k[1:] - 1]) > _UNSEEN
        doubted &= likely & (np.diff(k) > 1)
        if not doubted.any():
            return p
        between = (k[:-1] + k[1:])[doubted] // 2
        found = _log_probability(weights, n, between)
        wrong = np.abs(np.exp(found) - p[between - 1]) * np.diff(k)[doubted] > _INACCURATE
        at = np.flatnonzero(doubted) + 1
        k, log = np.insert(k, at, between), np.insert(log, at, found)
        next_to_wrong = np.isin(k, between[wrong])
        doubted = next_to_wrong[:-1] | next_to_wrong[1:]


def _by_spline(k: Ints, log: Floats) -> Floats:
    """Probabilities of 1, ..., k[-1] from the logarithms of some."""
    from scipy.interpolate import make_interp_spline

    kept = log > -np.inf
    every = np.arange(1, k[-1] + 1)
    spline = make_interp_spline(np.log(k[kept]), log[kept], k=7)
    return np.where(every >= k[kept][0], np.exp(np.minimum(spline(np.log(every)), 0)), 0)


def _numbers(top: int, ends: set[int]) -> Ints:
    """Numbers of clusters up to ``top``: dense next to 1 and to the ends, then ever fewer."""
    count = int(np.log(max(ends)) / np.log(_RATIO)) + 2
    away = np.unique(np.round(_DENSE * _RATIO ** np.arange(count)).astype(np.int64))
    from_one = np.concatenate([np.arange(1, _DENSE), away])
    found = np.concatenate([from_one, *(end + 1 - from_one for end in ends), [top]])
    return np.unique(found[(found >= 1) & (found <= top)])


def _log_probability(weights: WeightPrior, n: int, k: Ints) -> Floats:
    """Log P(K+ = k) for numbers of clusters k, (M,)."""
    if isinstance(weights, DirichletProcess | PitmanYor):
        largest = concentrations(weights.concentration).likely().values[-1]
        clusters = min(n, largest * np.log1p(n / largest))  # the more, the more they tell of it
        rule = concentrations(weights.concentration, min(0.125, 0.8 / np.sqrt(1 + clusters)))
        return _infinite(rule.likely(), discounts(weights.discount).likely(), n, k)
    components = _components(weights)
    if isinstance(weights, MixtureOfFiniteMixtures):
        rule = concentrations(weights.concentration).likely()
        return _finite(rule, components, weights.dynamic, n, k)
    rule = concentrations(weights.random_concentration or float(weights.concentrations[0])).likely()
    return _finite(rule, components, False, n, k)


class _Components(NamedTuple):
    """Possible numbers of components K, with their log probabilities."""

    values: Ints
    log_probability: Floats


def _components(weights: Dirichlet | MixtureOfFiniteMixtures) -> _Components:
    if isinstance(weights, Dirichlet):
        return _Components(np.array([weights.n_components]), np.zeros(1))
    log = log_pmf_table(weights.n_components, _TAIL)
    values = np.flatnonzero(log > -np.inf)
    return _Components(values + 1, log[values])


def _infinite(concentration: Rule, discount: Rule, n: int, k: Ints) -> Floats:
    """Dirichlet and Pitman-Yor process."""
    from scipy.special import logsumexp, xlogy

    alpha = concentration.values[:, None]
    log_all = np.log(concentration.weights)[:, None] - _log_all(alpha, n)
    log = log_stirling(discount.values, n, k)
    for q, d in enumerate(discount.values):
        founding = (
            xlogy(k - 1, alpha)
            if d == 0
            else (k - 1) * np.log(d) + _log_rising(alpha / d + 1, k - 1.0)
        )
        log[q] += logsumexp(log_all + founding, axis=0)
    found: Floats = logsumexp(log + np.log(discount.weights)[:, None], axis=0)
    return found


def _finite(concentration: Rule, components: _Components, dynamic: bool, n: int, k: Ints) -> Floats:
    """Symmetric Dirichlet, that of K components with the concentration of each, or of all."""
    from scipy.special import logsumexp, xlogy

    stirling = _stirling_of_quotients if dynamic else _stirling_of_each
    log_stirling_at = stirling(concentration, components, n, k)
    out = np.full(len(k), -np.inf)
    size = max(1, _NUMBERS // len(k))
    for start in range(0, len(components.values), size):
        number, log_p = (a[start : start + size, None] for a in components)
        with np.errstate(invalid="ignore"):
            log_choices = np.where(
                number >= k, _log_rising(np.maximum(number - k, 0) + 1.0, k - 1.0), -np.inf
            )
        for alpha, weight in zip(concentration.values, concentration.weights, strict=True):
            gamma = alpha / number if dynamic else np.full(number.shape, alpha)
            log = log_choices + xlogy(k - 1, gamma) + log_stirling_at(gamma[:, 0])
            log += log_p - _log_all(number * gamma, n) + np.log(weight)
            out = np.logaddexp(out, logsumexp(log, axis=0))
    return out


def _stirling_of_each(
    concentration: Rule, components: _Components, n: int, k: Ints
) -> Callable[[Floats], Floats]:
    """Stirling numbers at concentrations that are all the same."""
    rows = dict(zip(concentration.values, log_stirling(-concentration.values, n, k), strict=True))
    return lambda gamma: rows[gamma[0]]


def _stirling_of_quotients(
    concentration: Rule, components: _Components, n: int, k: Ints
) -> Callable[[Floats], Floats]:
    """Stirling numbers at alpha/K, interpolated in its logarithm."""
    from scipy.interpolate import make_interp_spline

    low, high = concentration.values.min(), concentration.values.max()
    low = np.log(max(low / components.values[-1], _SMALLEST))
    high = max(np.log(max(high / components.values[0], _SMALLEST)), low)
    t = low - _GAMMA_STEP + _GAMMA_STEP * np.arange(int((high - low) / _GAMMA_STEP) + 9)
    spline = make_interp_spline(t, log_stirling(-np.exp(t), n, k), k=7)
    return lambda gamma: spline(np.log(np.maximum(gamma, _SMALLEST)))


def _log_all(strength: Floats, n: int) -> Floats:
    """Log of (theta + 1) ... (theta + n - 1)/(n - 1)!."""
    from scipy.special import gammaln

    least = np.minimum(strength + 1, n)
    found: Floats = _log_rising(np.maximum(strength + 1, n), least - 1) - gammaln(least)
    return found


def _log_rising(a: Any, m: Any) -> Floats:
    """Log of Gamma(a + m)/Gamma(a) without cancellation where a is large."""
    from scipy.special import gammaln

    large = np.maximum(a, 20.0)
    beyond = (large - 0.5) * np.log1p(m / large) + m * (np.log(large + m) - 1)
    by_series = beyond + _stirling_remainder(large + m) - _stirling_remainder(large)
    found: Floats = np.where(np.less(a, 20), gammaln(a + m) - gammaln(a), by_series)
    return found


def _stirling_remainder(a: Any) -> Any:
    return (1 / 12 - (1 / 360 - (1 / 1260 - 1 / 1680 / a**2) / a**2) / a**2) / a
