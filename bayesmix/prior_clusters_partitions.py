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

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmix.component_counts import log_pmf_table
from bayesmix.finite_mixtures import MixtureOfFiniteMixtures
from bayesmix.priors import Dirichlet
from bayesmix.quadrature import Rule, concentrations, discounts
from bayesmix.stick_priors import DirichletProcess, PitmanYor
from bayesmix.stirling import log_rising, log_stirling

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
_PROBES = 24  # numbers of clusters at which steps of quadratures are tried
_MOST_HALVINGS = 6  # of a step
_STAGES = (64, 1024)  # clusters, before all that there may be
_MOST_OF_IT = 0.99  # of all probability, before a stage is worth more
_DENSE = 64  # numbers of clusters next to 1 and n that are not interpolated
_RATIO = 1.07  # of the others, one to the next, to begin with
_GAMMA_STEP = 0.1  # between logarithms of concentrations
_NO_LOG = 1e-300  # concentration taken for 0
_SMALLEST = 1e-15  # concentration that Stirling numbers tell from 0
_NUMBERS = 2_000_000  # at once


def n_clusters_of_partitions(weights: WeightPrior, n: int) -> Floats:
    """P(K+ = k) for k = 1, ..., K; where K is not fixed, for k = 1, ..., n."""
    possible = _possible(weights, n)
    out = np.zeros(weights.n_components if isinstance(weights, Dirichlet) else n)
    for stage in (*_STAGES, possible):
        top = min(stage, possible)
        k = _numbers(top, {possible, n})
        roughly = _log_probability(weights, n, k, _Halvings())
        if top < possible and _at_every(k, roughly).sum() < _MOST_OF_IT:
            continue
        out[:top] = _interpolated(weights, n, k, roughly)
        if top == possible or out.sum() > 1 - _NEGLIGIBLE:
            break
    return np.clip(out, 0, 1)


def _possible(weights: WeightPrior, n: int) -> int:
    """Largest number of clusters."""
    if isinstance(weights, DirichletProcess | PitmanYor):
        return n
    return min(n, int(_components(weights).values[-1]))


def _interpolated(weights: WeightPrior, n: int, k: Ints, roughly: Floats) -> Floats:
    """Probabilities of 1, ..., k[-1] clusters, whose logarithms are smooth in log k.

    Where what is found between two of the numbers k is not as foretold, there are to be more.
    """
    halvings = _fine_enough(weights, n, k, roughly)
    log = roughly if halvings == _Halvings() else _log_probability(weights, n, k, halvings)
    doubted = np.ones(len(k) - 1, bool)
    while True:
        p = _at_every(k, log)
        likely = np.maximum(p[k[:-1] - 1], p[k[1:] - 1]) > _UNSEEN
        doubted &= likely & (np.diff(k) > 1)
        if not doubted.any():
            return p
        between = (k[:-1] + k[1:])[doubted] // 2
        found = _log_probability(weights, n, between, halvings)
        wrong = np.abs(np.exp(found) - p[between - 1]) * np.diff(k)[doubted] > _INACCURATE
        at = np.flatnonzero(doubted) + 1
        k, log = np.insert(k, at, between), np.insert(log, at, found)
        next_to_wrong = np.isin(k, between[wrong])
        doubted = next_to_wrong[:-1] | next_to_wrong[1:]


def _at_every(k: Ints, log: Floats) -> Floats:
    """Probabilities of 1, ..., k[-1] from the logarithms of some."""
    from scipy.interpolate import make_interp_spline

    if len(k) == k[-1]:
        return np.exp(log)
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


class _Halvings(NamedTuple):
    """How often the steps of the quadratures are halved."""

    concentration: int = 0
    discount: int = 0


def _fine_enough(weights: WeightPrior, n: int, k: Ints, roughly: Floats) -> _Halvings:
    """Steps that change nothing when halved, from log P(K+ = k) before any halving.

    The more clusters, the more they tell of what is random, and the narrower is what is integrated.
    """
    halvings = _Halvings()
    likely = np.flatnonzero(roughly > np.log(_UNSEEN))
    likely = likely[:: max(1, len(likely) // _PROBES)]
    probed, tried = k[likely], roughly[likely]
    random = (weights.random_concentration, weights.random_discount)
    for field, prior in zip(_Halvings._fields, random, strict=True):
        for times in range(1, _MOST_HALVINGS + 1 if prior else 1):
            finer = halvings._replace(**{field: times})
            coarse, tried = tried, _log_probability(weights, n, probed, finer)
            if np.abs(np.exp(tried) - np.exp(coarse)).max() < _INACCURATE:
                tried = coarse
                break
            halvings = finer
    return halvings


def _log_probability(weights: WeightPrior, n: int, k: Ints, halvings: _Halvings) -> Floats:
    """Log P(K+ = k) for numbers of clusters k, (M,)."""
    stated = weights.concentrations[0] if isinstance(weights, Dirichlet) else weights.concentration
    prior = weights.random_concentration or stated
    rule = concentrations(prior, halvings.concentration).likely()
    if isinstance(weights, DirichletProcess | PitmanYor):
        of_discount = discounts(weights.discount, halvings.discount).likely()
        return _infinite(rule, of_discount, n, k)
    dynamic = isinstance(weights, MixtureOfFiniteMixtures) and weights.dynamic
    return _finite(rule, _components(weights), dynamic, n, k)


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
            else (k - 1) * np.log(d) + log_rising(alpha / d + 1, k - 1.0)
        )
        log[q] += logsumexp(log_all + founding, axis=0)
    found: Floats = logsumexp(log + np.log(discount.weights)[:, None], axis=0)
    return found


def _finite(concentration: Rule, components: _Components, dynamic: bool, n: int, k: Ints) -> Floats:
    """Symmetric Dirichlet, that of K components with the concentration of each, or of all."""
    from scipy.special import logsumexp

    stirling = _stirling_of_quotients if dynamic else _stirling_of_each
    log_stirling_at = stirling(concentration, components, n, k)
    out = np.full(len(k), -np.inf)
    size = max(1, _NUMBERS // len(k))
    for start in range(0, len(components.values), size):
        number, log_p = (a[start : start + size, None] for a in components)
        with np.errstate(invalid="ignore"):
            log_choices = np.where(
                number >= k, log_rising(np.maximum(number - k, 0) + 1.0, k - 1.0), -np.inf
            )
        for alpha, weight in zip(concentration.values, concentration.weights, strict=True):
            gamma = alpha / number if dynamic else np.full(number.shape, alpha)
            log = log_stirling_at(gamma[:, 0]) + log_choices
            log += (k - 1) * np.log(np.maximum(gamma, _NO_LOG))
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
    found: Floats = log_rising(np.maximum(strength + 1, n), least - 1) - gammaln(least)
    return found
