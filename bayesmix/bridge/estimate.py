r"""The optimal bridge between a proposal and an unnormalized posterior, and its error.

With :math:`l = p(x, \theta)/q(\theta)` at S1 draws of the posterior and S2 of the proposal the
evidence r solves

.. math::

    r = \frac{\frac1{S_2} \sum_{q} l/(s_1 l + s_2 r)}{\frac1{S_1} \sum_{p} 1/(s_1 l + s_2 r)},

:math:`s_1 + s_2 = 1` in the ratio of S1's effective draws to S2. All terms are bounded, so no
single draw decides.

References
----------
X.-L. Meng and W. H. Wong, "Simulating Ratios of Normalizing Constants via a Simple Identity: A
Theoretical Exploration", Statistica Sinica 6, 1996. A. M. Overstall and J. J. Forster, "Default
Bayesian Model Determination Methods for Generalised Linear Mixed Models", CSDA 54, 2010 (effective
draws). S. Frühwirth-Schnatter, "Estimating Marginal Likelihoods for Mixture and Markov Switching
Models Using Bridge Sampling Techniques", Econometrics Journal 7, 2004 (error).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Bridge", "bridge"]

_ITERATIONS = 1000
_CLOSE = 1e-12  # nats between two iterations
_FEWEST = 4  # draws per chain that an effective number takes


class Bridge(NamedTuple):
    """What a bridge gives."""

    log_evidence: float
    se: float
    """Nats."""
    effective_draws: float
    """Of the posterior, for what the bridge averages there."""


def bridge(log_ratio: Floats, log_ratio_proposal: Floats) -> Bridge:
    """Estimate from log l at posterior draws (chain, draw) and at independent proposals (S2,).

    Proposals without density under the posterior have minus infinity.
    """
    center = float(np.median(log_ratio))
    below, above = log_ratio - center, log_ratio_proposal - center
    share = 0.5
    log_r = 0.0
    effective = float(below.size)
    for _ in range(2):  # how many draws are effective is known once the bridge is
        log_r = _solved(below.ravel(), above, share, log_r)
        terms = np.exp(-_log_mixed(below, share, log_r))
        effective = _effective(terms)
        share = effective / (effective + above.size)
    log_r = _solved(below.ravel(), above, share, log_r)
    at_posterior = np.exp(-_log_mixed(below, share, log_r) + log_r)
    at_proposal = np.exp(above - _log_mixed(above, share, log_r))
    error = np.hypot(
        _relative_sd(at_posterior) / np.sqrt(_effective(at_posterior)),
        _relative_sd(at_proposal) / np.sqrt(above.size),
    )
    return Bridge(center + log_r, float(error), effective)


def _solved(below: Floats, above: Floats, share: float, log_r: float) -> float:
    for _ in range(_ITERATIONS):
        before = log_r
        over = _log_mean_exp(above - _log_mixed(above, share, log_r))
        log_r = over - _log_mean_exp(-_log_mixed(below, share, log_r))
        if abs(log_r - before) < _CLOSE:
            break
    return log_r


def _log_mixed(log_l: Floats, share: float, log_r: float) -> Floats:
    """Logarithm of s1 l + s2 r."""
    mixed: Floats = np.logaddexp(np.log(share) + log_l, np.log1p(-share) + log_r)
    return mixed


def _log_mean_exp(logs: Floats) -> float:
    top = logs.max()
    return float(top + np.log(np.exp(logs - top).mean()))


def _relative_sd(values: Floats) -> float:
    """Not a number where one value has no spread to tell."""
    if values.size == 1:
        return np.nan
    return float(values.std() / values.mean())


def _effective(values: Floats) -> float:
    """Effective number of draws (chain, draw) for their mean, at most all."""
    if np.ptp(values) <= 1e-9 * values.max() or values.shape[1] < _FEWEST:
        return float(values.size)
    from arviz_stats.base import array_stats

    found = array_stats.ess(values[None], method="mean", chain_axis=1, draw_axis=2)
    return float(min(np.asarray(found).item(), values.size))
