r"""Prior of the number of clusters K+ when the weights break a stick that is truncated.

The first T - 1 pieces take their rows one after the other: of r rows left, r' remain with the
beta-binomial probability

.. math::

    \binom{r}{r'} \frac{B(a + r - r',\ b + r')}{B(a, b)}, \qquad a = 1 - d,\ b = \alpha + k d.

For the Dirichlet process it is

.. math::

    \frac{\Gamma(\alpha + r')}{\Gamma(r' + 1)} \cdot
    \frac{\alpha\, \Gamma(r + 1)}{\Gamma(\alpha + r + 1)},

a product, so that one piece costs a cumulative sum and not that of a matrix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmix.quadrature import concentrations, discounts
from bayesmix.stick_priors import DirichletProcess
from bayesmix.stirling import log_rising

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.quadrature import Rule
    from bayesmix.stick_priors import StickPrior

    Floats = NDArray[np.float64]

__all__ = ["n_clusters_of_sticks"]

_AFFORDABLE = 2e8  # steps of a recursion; about ten seconds
_NUMBERS = 1_000_000  # at once
_LEAST = 1e-300  # parameter of a beta distribution


def n_clusters_of_sticks(weights: StickPrior, n: int) -> Floats:
    """P(K+ = k) for k = 1, ..., T.

    Raises
    ------
    ValueError
        If the sums take too long.
    """
    assert weights.truncation is not None
    # So few clusters as can be afforded tell too little of what is random for a finer step.
    concentration, truncation = concentrations(weights.concentration).likely(), weights.truncation
    if isinstance(weights, DirichletProcess):
        _require_affordable(n * truncation**2 * len(concentration.values), n)
        return _truncated(concentration, truncation, n)
    discount = discounts(weights.discount).likely()
    nodes = len(concentration.values) * len(discount.values)
    _require_affordable(n * n * truncation * (40 + truncation) * nodes // 200, n)
    size = max(1, _NUMBERS // n**2)
    out = np.zeros(truncation)
    for d, complement, weight in zip(*discount, strict=True):
        for start in range(0, len(concentration.values), size):
            piece = slice(start, start + size)
            found = _given_discount(concentration.values[piece], d, complement, truncation, n)
            out += weight * concentration.weights[piece] @ found
    return np.clip(out, 0, 1)


def _require_affordable(steps: float, n: int) -> None:
    if steps > _AFFORDABLE:
        raise ValueError(
            f"n: expected fewer rows, because the exact sum takes {steps:.0e} steps, more than "
            f"{_AFFORDABLE:.0e}, got {n:,}; leave the truncation out, which changes no probability "
            "by more than its truncation_error, or state what is random"
        )


def _given_discount(alpha: Floats, d: float, complement: float, truncation: int, n: int) -> Floats:
    """Probabilities at each concentration and one discount, (Q, T)."""
    from scipy.special import gammaln

    rows = np.arange(n + 1)
    log_factorial, a = gammaln(rows + 1), max(complement, _LEAST)
    taken = np.subtract.outer(rows, rows)
    log_taken = (log_rising(a, rows) - log_factorial)[taken]
    log_taken[taken < 0] = -np.inf
    left = np.zeros((len(alpha), truncation + 1, n + 1))  # by clusters so far and rows left
    left[:, 0, n] = 1.0
    for k in range(1, truncation):
        b = np.maximum(alpha + k * d, _LEAST)[:, None]
        log_before = log_factorial - log_rising(a + b, rows)
        log_after = log_rising(b, rows) - log_factorial
        move = np.exp(log_taken + log_before[:, :, None] + log_after[:, None])
        none = move[:, rows, rows]
        move[:, rows, rows] = 0
        founded = left[:, :k] @ move
        left *= none[:, None]
        left[:, 1 : k + 1] += founded
    return _with_the_last(left)


def _with_the_last(left: Floats) -> Floats:
    """Probabilities (..., T) after the last piece, which takes all rows there are."""
    out: Floats = left[..., 1:, 0] + left[..., :-1, 1:].sum(axis=-1)
    return out


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
    log_into = log_rising(a, rows) - gammaln(rows + 1)
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
    return _with_the_last(left)
