r"""Which of a draw's components stands at which place: what a match costs, and the cheapest one.

A cost :math:`c_{jk}` says how badly the draw's component j stands at place k; the Hungarian method
finds the permutation of least total cost. Draws are taken block by block, so that memory beyond
the permutations does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix import passes
from bayesmix.memory import blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.draws import Draws
    from bayesmix.pass_parameters import PassParameters

    Floats = NDArray[np.float64]
    Permutations = NDArray[np.intp]
    Cost = Callable[[slice], Floats]
    """Of some draws, (S, K, K)."""
    Allowed = NDArray[np.bool_]
    """Which of the draw's components may stand at which place, (K, K)."""

__all__ = ["by_labels", "by_parameters", "by_responsibilities"]

_LEAST_GAIN = 1e-10  # nats per row for which a permutation is given up: far above rounding
_LOG_NEVER = -1e290  # of a mean of zero: finite, so that nothing times it is nothing


def by_parameters(
    draws: Draws, means: Floats, covariances: Floats, allowed: Allowed
) -> Permutations:
    """Match by the Kullback-Leibler divergence of the draw's component from the point's.

    Parameters
    ----------
    draws : Draws
    means, covariances : ndarray
        Of the point, shapes (K, D) and (K, D, D), the data's units and their squares.
    allowed : (K, K) ndarray of bool
        Which component may stand at which place; the identity always may.

    Returns
    -------
    ndarray
        Shape (S, K): entry k is the draw's component for place k.
    """
    cost = _divergence(draws, means, covariances)
    return _cheapest(cost, draws, draws.means[0].size, allowed)


def by_labels(
    draws: Draws,
    means: Floats,
    covariances: Floats,
    labels: Callable[[slice], NDArray[Any]],
    label: NDArray[Any],
    allowed: Allowed,
) -> Permutations:
    """Match by the rows on which a draw's labels and those of the point agree.

    Where several permutations have the same agreement, as of components without rows, it is
    `by_parameters` that chooses among them (ECR; Papastamoulis and Iliopoulos 2010).

    Parameters
    ----------
    draws : Draws
    means, covariances : ndarray
        Of the point.
    labels : callable
        Gives the labels of some draws, (S, n).
    label : (n,) ndarray
        Those at the point.
    allowed : (K, K) ndarray of bool

    Returns
    -------
    ndarray
        As of `by_parameters`.
    """
    k, divergence = draws.weights.shape[1], _divergence(draws, means, covariances)

    def cost(own: slice) -> Floats:
        cell = labels(own).astype(np.intp, order="C")
        s = len(cell)
        cell *= k
        cell += label
        cell += k * k * np.arange(s)[:, None]
        together = np.bincount(cell.ravel(), minlength=s * k * k).reshape(s, k, k)
        between = divergence(own)
        most = between.max(axis=(1, 2), keepdims=True)
        return between / ((k + 1) * most) - together  # all K shares together are less than a row

    return _cheapest(cost, draws, len(label), allowed)


def by_responsibilities(
    x: Floats,
    parameters: PassParameters,
    start: Permutations,
    allowed: Allowed,
    *,
    most_rounds: int | None = None,
) -> Permutations:
    r"""Match by the divergence of responsibilities from their mean over the draws (Stephens 2000).

    .. math:: \sum_s \sum_i \sum_k r^s_{i \pi_s(k)} \log (r^s_{i \pi_s(k)} / \bar r_{ik})

    falls with every round, in which first the permutations :math:`\pi_s` are chosen given the
    means :math:`\bar r`, then the means given the permutations, until no permutation changes. Every
    round computes responsibilities anew, so that they are never held together.

    Parameters
    ----------
    x : (n, D) ndarray
    parameters : PassParameters
        S points.
    start : (S, K) ndarray
        The permutations of the first mean.
    allowed : (K, K) ndarray of bool
    most_rounds : int, optional
        By default as many as it takes.

    Returns
    -------
    ndarray
        As of `by_parameters`.
    """
    found = start
    mean = np.zeros((len(x), start.shape[1]))
    for own in blocks(len(start), 8 * mean.size):
        mean += _sum_of(passes.responsibilities(x, parameters[own]), found[own])
    for _ in count() if most_rounds is None else range(most_rounds):
        before, found = found, found.copy()
        with np.errstate(divide="ignore"):
            log_mean = np.maximum(np.log(mean / len(start)), _LOG_NEVER)
        mean = np.zeros_like(mean)
        for own in blocks(len(start), 8 * mean.size):
            resp = passes.responsibilities(x, parameters[own])
            cost = -(resp.transpose(0, 2, 1) @ log_mean)
            found[own] = _improved(cost, before[own], _LEAST_GAIN * len(x), allowed)
            mean += _sum_of(resp, found[own])
        if np.array_equal(found, before):
            break
    return found


def _divergence(draws: Draws, means: Floats, covariances: Floats) -> Cost:
    """Twice the divergence, without what is the same for every permutation: determinants, D."""
    whitening = np.linalg.inv(np.linalg.cholesky(covariances))
    precision = np.swapaxes(whitening, -1, -2) @ whitening
    flat = precision.reshape(len(precision), -1).T

    def cost(own: slice) -> Floats:
        s, k, d = draws.means[own].shape
        out = (draws.covariances[own].reshape(s * k, d * d) @ flat).reshape(s, k, k)
        for place, (mean, whiten) in enumerate(zip(means, whitening, strict=True)):
            white = (draws.means[own] - mean) @ whiten.T
            out[:, :, place] += np.square(white).sum(axis=-1)
        return out

    return cost


def _cheapest(cost: Cost, draws: Draws, numbers: int, allowed: Allowed) -> Permutations:
    """Best permutation per draw; a draw's cost takes so many numbers, or K squared."""
    s, k = draws.weights.shape
    bytes_each = 8 * max(numbers, k * k)
    return np.concatenate([_assigned(cost(own), allowed) for own in blocks(s, bytes_each)])


def _assigned(cost: Floats, allowed: Allowed) -> Permutations:
    from scipy.optimize import linear_sum_assignment

    if not allowed.all():
        cost = np.where(allowed, cost, np.inf)
    found = np.empty(cost.shape[:2], np.intp)
    for own, of_draw in zip(found, cost.transpose(0, 2, 1), strict=True):
        own[:] = linear_sum_assignment(of_draw)[1]
    return found


def _improved(cost: Floats, current: Permutations, gain: float, allowed: Allowed) -> Permutations:
    """Best permutations where they are better by at least a gain, else the current ones."""
    best = _assigned(cost, allowed)
    better = _total(cost, best) < _total(cost, current) - gain
    return np.where(better[:, None], best, current)


def _total(cost: Floats, permutation: Permutations) -> Floats:
    return np.take_along_axis(cost, permutation[:, None, :], axis=1)[:, 0].sum(axis=-1)


def _sum_of(resp: Floats, permutation: Permutations) -> Floats:
    """Sum over draws of permuted responsibilities, (n, K)."""
    standing = np.eye(permutation.shape[1])[permutation]  # (S, place, component)
    return np.tensordot(resp, standing, axes=([0, 2], [0, 2]))
