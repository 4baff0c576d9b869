r"""Prior of the number of clusters K+ when the weights break a stick.

Without a truncation K+ has Pitman's (1995) closed form,

.. math::

    P(K_+ = k) = \frac{\prod_{j=1}^{k-1} (\alpha + j d)}{(\alpha + 1) \cdots (\alpha + n - 1)}
    S_d(n, k), \qquad S_d(n + 1, k) = (n - k d)\, S_d(n, k) + S_d(n, k - 1).

The first T - 1 pieces of a truncated Dirichlet process take their rows one after the other: of r
rows left, r' remain with the beta-binomial probability

.. math::

    \frac{\Gamma(\alpha + r')}{\Gamma(r' + 1)} \cdot
    \frac{\alpha\, \Gamma(r + 1)}{\Gamma(\alpha + r + 1)},

a product, so that one piece costs a cumulative sum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmix.quadrature import concentrations, discounts
from bayesmix.stick_priors import DirichletProcess

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.quadrature import Rule
    from bayesmix.stick_priors import StickPrior

    Floats = NDArray[np.float64]

__all__ = ["n_clusters_of_sticks"]

_AFFORDABLE = 2e8  # steps of a recursion; about ten seconds
_NUMBERS = 1_000_000  # at once


def n_clusters_of_sticks(weights: StickPrior, n: int) -> Floats:
    """P(K+ = k) for k = 1, ..., T; without a truncation for k = 1, ..., n.

    Raises
    ------
    ValueError
        If the sums take too long, or a Pitman-Yor process is truncated.
    """
    concentration = concentrations(weights.concentration)
    if weights.truncation is None:
        discount = discounts(weights.discount)
        _require_affordable(n * n // 2 * len(discount.values), n)
        return _infinite(concentration, discount, n)
    if not isinstance(weights, DirichletProcess):
        raise ValueError(
            f"weights: expected a DirichletProcess or no truncation, got {weights}; leave the "
            "truncation out, which changes no probability by more than its truncation_error"
        )
    _require_affordable(n * weights.truncation**2 * len(concentration.values), n)
    return _truncated(concentration, weights.truncation, n)


def _require_affordable(steps: float, n: int) -> None:
    if steps > _AFFORDABLE:
        raise ValueError(
            f"n: expected fewer rows, because the exact sum takes {steps:.0e} steps, more than "
            f"{_AFFORDABLE:.0e}, got {n:,}; state what is random, or average over simulated rows"
        )


def _infinite(concentration: Rule, discount: Rule, n: int) -> Floats:
    """Average over a grid of concentrations and discounts."""
    from scipy.special import gammaln

    alpha = concentration.values[:, None]
    log_rising = gammaln(alpha[:, 0] + n) - gammaln(alpha[:, 0] + 1)
    out = np.zeros(n)
    for d, weight in zip(discount.values, discount.weights, strict=True):
        with np.errstate(divide="ignore"):  # where neither can found a cluster
            founding = np.log(alpha + d * np.arange(1, n))
        log = np.concatenate([np.zeros_like(alpha), np.cumsum(founding, axis=1)], axis=1)
        log += _log_stirling(d, n) - log_rising[:, None]
        out += weight * (concentration.weights @ np.exp(log))
    return np.clip(out, 0, 1)


def _log_stirling(d: float, n: int) -> Floats:
    """Log of the generalized Stirling numbers S_d(n, 1), ..., S_d(n, n)."""
    clusters = np.arange(1, n + 1)
    log = np.full(n, -np.inf)
    log[0] = 0.0
    for rows in range(1, n):
        with np.errstate(divide="ignore"):  # where d is 1 to working precision
            joined = log[:rows] + np.log(rows - d * clusters[:rows])
        founded = log[:rows].copy()
        log[:rows] = joined
        log[1 : rows + 1] = np.logaddexp(log[1 : rows + 1], founded)
    return log


def _truncated(concentration: Rule, truncation: int, n: int) -> Floats:
    """Walk over the sticks; a few concentrations at once."""
    size = max(1, _NUMBERS // (n * truncation))
    out = np.zeros(truncation)
    for start in range(0, len(concentration.values), size):
        piece = slice(start, start + size)
        found = _given(concentration.values[piece], truncation, n)
        out += concentration.weights[piece] @ found
    return np.clip(out, 0, 1)


def _given(alpha: Floats, truncation: int, n: int) -> Floats:
    """Probabilities at each concentration, (Q, T)."""
    from scipy.special import gammaln

    rows = np.arange(n + 1.0)
    a = np.maximum(alpha, 1e-300)[:, None]
    log_into = gammaln(a + rows) - gammaln(rows + 1)
    log_into -= log_into[:, -1:]
    into = np.exp(log_into)[:, None]
    out_of = np.exp(np.minimum(np.log(a / (a + rows)) - log_into, 700))[:, None]
    none = (a / (a + rows))[:, None]
    left = np.zeros((len(alpha), truncation + 1, n + 1))  # by clusters so far and rows left
    left[:, 0, n] = 1.0
    for _ in range(truncation - 1):
        above = np.cumsum((left * out_of)[..., :0:-1], axis=-1)[..., ::-1]
        left *= none
        left[:, 1:, :-1] += (into[..., :-1] * above)[:, :-1]
    out = left[:, 1:, 0]  # the last piece takes all rows there are
    return out + left[:, :-1, 1:].sum(axis=-1)
