"""What a prior on the weights says about the number of clusters K+, before any data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmix.inputs import require_count
from bayesmix.prior_clusters_sticks import n_clusters_of_sticks
from bayesmix.priors import Dirichlet
from bayesmix.stick_priors import WeightPrior

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.priors import Gamma

    Floats = NDArray[np.float64]

__all__ = ["prior_n_clusters"]

_ACCURACY = 1e-11
_WALKED = 20  # rows, per unit of 1 + K a, after which a row rarely founds a cluster
_ORDER = 10  # of the expansion for the rows after them
_MAX_HALVINGS = 8


def prior_n_clusters(weights: WeightPrior, n: int) -> Floats:
    r"""Compute the prior probabilities of the number of clusters K+ among n rows.

    The clusters are the components that have rows. Under a symmetric Dirichlet K+ is a Markov
    chain over the rows: with k clusters among i rows the next row founds one with probability

    .. math:: (K - k)\, a / (i + K a),

    a the concentration; under an infinite Dirichlet or Pitman-Yor process with probability
    :math:`(\alpha + k d)/(i + \alpha)`. What is random is integrated over its prior. Accurate to
    1e-10.

    Parameters
    ----------
    weights : Dirichlet, DirichletProcess or PitmanYor
        A Dirichlet with the same concentration for every component, a number or a `Gamma`.
    n : int
        Number of rows: any for a Dirichlet, else as many as the sums are done with in seconds.

    Returns
    -------
    (K,) ndarray
        P(K+ = k) for k = 1, ..., K; for infinitely many components up to n.

    Raises
    ------
    ValueError
        If the components of a Dirichlet have different concentrations, n is too large for
        stick-breaking weights, or a Pitman-Yor process is truncated.

    References
    ----------
    S. Frühwirth-Schnatter and G. Malsiner-Walli, "From Here to Infinity: Sparse Finite versus
    Dirichlet Process Mixtures in Model-Based Clustering", ADAC 13, 2019.
    J. Pitman, "Exchangeable and Partially Exchangeable Random Partitions", Probability Theory and
    Related Fields 102, 1995.

    Examples
    --------
    >>> import bayesmix as bm
    >>> bm.prior_n_clusters(bm.Dirichlet(3), 4).round(3)
    array([0.2, 0.6, 0.2])
    >>> bm.prior_n_clusters(bm.DirichletProcess(1.0), 4).round(3)
    array([0.25 , 0.458, 0.25 , 0.042])
    """
    if not isinstance(weights, WeightPrior):
        raise TypeError(
            f"weights: expected a prior such as Dirichlet(2), got {type(weights).__name__}"
        )
    require_count(n, "n")
    if not isinstance(weights, Dirichlet):
        return n_clusters_of_sticks(weights, int(n))
    if not weights.exchangeable:
        raise ValueError(
            "weights: expected the same concentration for every component, got "
            f"{weights.concentration!r}; average over draws of the weights instead"
        )
    k, n = weights.n_components, int(n)
    gamma = weights.random_concentration
    if k == 1 or n == 1:
        return np.eye(k)[0]
    if gamma is None:
        return _given(weights.concentrations[:1], k, n)[0]
    return _integrated(gamma, k, n)


def _given(concentration: Floats, k: int, n: int) -> Floats:
    """Distribution of K+ at each of some concentrations, (Q, K).

    The transition of every row is I + B/(i + K a) with the same B, so they commute. The first
    rows are walked one by one; of the rest the product is the matrix exponential of

        sum_p (-1)^(p+1) / p B^p sum_i (i + K a)^-p,

    where the terms fall like 20^-p.
    """
    from scipy.linalg import expm

    total = k * concentration
    founding = np.arange(k - 1, -1, -1.0) * concentration[:, None]  # (K - k) a
    out = np.zeros((len(total), k))
    out[:, 0] = 1
    walked = np.minimum(n, np.ceil(_WALKED * (1 + total)))
    rows = 1
    while True:
        open_ended = out[:, -1] < 1 - 1e-15  # otherwise all clusters are there
        if rows >= n or not np.any(open_ended & (rows < walked)):
            break
        moved = out * founding / (rows + total)[:, None]
        out -= moved
        out[:, 1:] += moved[:, :-1]
        rows += 1
    if rows < n and open_ended.any():
        generator = np.einsum("qi,ij->qij", founding, np.eye(k, k, 1) - np.eye(k))[open_ended]
        steps = expm(_log_product(generator, rows + total[open_ended], n - rows))
        out[open_ended] = np.einsum("qi,qij->qj", out[open_ended], steps)
    return np.clip(out, 0, 1)


def _log_product(generator: Floats, start: Floats, count: int) -> Floats:
    """Logarithm of the product of I + generator/(start + i), i = 0, ..., count - 1; (Q, K, K)."""
    from scipy.special import digamma, zeta

    stop = start + count
    out = np.zeros_like(generator)
    power = np.broadcast_to(np.eye(generator.shape[-1]), generator.shape)
    for p in range(1, _ORDER + 1):
        power = power @ generator / start[:, None, None]
        sums = digamma(stop) - digamma(start) if p == 1 else zeta(p, start) - zeta(p, stop)
        scaled = (-1) ** (p + 1) / p * sums * start**p
        out += scaled[:, None, None] * power
    return out


def _integrated(gamma: Gamma, k: int, n: int) -> Floats:
    """Integrate over the concentration, by the trapezoidal rule in its logarithm.

    The rule converges exponentially; the step is halved until the answer stands. Below the first
    node K+ = 1 is certain to the accuracy asked for.
    """
    from scipy.special import gammainccinv, gammaincinv, gammaln

    shape, rate = gamma.shape, gamma.rate
    tiny = 1e-3 * _ACCURACY
    height = shape * np.log(shape) - shape - gammaln(shape)
    certain = tiny / (k * (1 + np.log(n)))  # so small a concentration founds no second cluster
    low = np.log(max(gammaincinv(shape, tiny) / rate, certain))
    high = max(np.log(gammainccinv(shape, tiny) / rate), low + 1)

    def total(nodes: Floats) -> Floats:
        relative = nodes + np.log(rate / shape)  # to the prior mean
        density = np.exp(height + shape * (relative - np.expm1(relative)))
        probabilities = _given(np.exp(nodes), k, n)
        probabilities[:, 0] -= 1  # falls to zero with the concentration; given back below
        return density @ probabilities

    step = min(0.5, 0.5 / np.sqrt(shape))
    count = int(np.ceil((high - low) / step))
    step = (high - low) / count
    found = step * total(low + step * np.arange(count + 1))
    for _ in range(_MAX_HALVINGS):
        step /= 2
        middle = low + step * (2 * np.arange(count) + 1)
        before, found, count = found, found / 2 + step * total(middle), 2 * count
        if np.abs(found - before).max() < _ACCURACY:
            break
    found[0] += 1
    return np.clip(found, 0, 1)
