"""Whether components can be told apart at all, whatever their labels, and which ones cannot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from bayesmix.draws import Draws

    Floats = NDArray[np.float64]

__all__ = ["IDENTIFIED", "Identification", "identification"]

IDENTIFIED = 0.05  # non-permutation rate above which a component table misleads
_MOST_ROUNDS = 30
_MOST_POINTS = 20_000
_STEADY = 1e-3  # share of points below which it does not matter that they change their cluster
_SAME = 1e-9  # squared distance, in standard deviations, that makes no difference


@dataclass(frozen=True)
class Identification:
    """Which components, by their place, the draws tell apart."""

    non_permutation_rate: float
    """Share of draws whose components do not fall one each into the K clusters of all draws'."""
    n_components: int
    confused: tuple[int, ...] = ()
    """Components that share a cluster with another one of the same draw in too many draws."""
    often_empty: tuple[int, ...] = ()
    """Components that have no rows in too many draws."""

    def advice(self, names: Sequence[Any]) -> str:
        """Say in words what the component table is good for; names by place."""
        if self.non_permutation_rate <= IDENTIFIED:
            return "components are identified: the component table can be read"
        share = f"in {self.non_permutation_rate:.0%} of the draws they do not separate"
        if self.often_empty:
            verb = "has" if len(self.often_empty) == 1 else "have"
            share += f"; {_listed(names, self.often_empty)} often {verb} no rows"
        return f"{self._verdict(names)} ({share}): read partition(post), not the component table"

    def _verdict(self, names: Sequence[Any]) -> str:
        bad = sorted({*self.confused, *self.often_empty})
        good = sorted(set(range(self.n_components)) - set(bad))
        if not good and self.n_components > 2:
            return "no component is identified"
        if not bad:
            return "components are not identified in all draws"
        if len(good) < len(bad) and len(bad) > 2:
            return f"only {_listed(names, good)} {_verb(good)} identified"
        return f"{_listed(names, bad)} {_verb(bad)} not identified"


def identification(
    draws: Draws,
    permutation: NDArray[np.intp],
    occupied: Callable[[], NDArray[np.bool_] | None] = lambda: None,
) -> Identification:
    """Cluster the components of all draws, and see whether a draw has one in each cluster.

    The clusters are those of k-means on means, logarithms of standard deviations and Fisher's z of
    correlations, from the medians of each matched component on (Frühwirth-Schnatter 2011).

    Confused are the components of the pairs that share a cluster most often, as many as leave no
    more than `IDENTIFIED` of the draws with other pairs. A component without rows comes from
    the prior and may lie anywhere: of the others nothing is thought ill for what it lies near.

    Parameters
    ----------
    draws : Draws
    permutation : (S, K) ndarray
        Which of a draw's components stands at each place.
    occupied : callable
        Tells which of a draw's components, (S, K) in its own order, have rows, where that is
        known; asked only if components are not identified.
    """
    k = permutation.shape[1]
    if k == 1:
        return Identification(0.0, 1)
    cluster = _clusters(_features(draws), permutation)
    first, second = np.triu_indices(k, 1)
    shared = cluster[:, first] == cluster[:, second]
    rate = float(shared.any(axis=1).mean())
    if rate <= IDENTIFIED:
        return Identification(rate, k)
    empty: NDArray[np.intp] = np.empty(0, np.intp)
    if (own := occupied()) is not None:
        full = np.take_along_axis(own, permutation, axis=1)
        empty = np.flatnonzero((~full).mean(axis=0) > IDENTIFIED)
        shared &= full[:, first] & full[:, second]
    pairs = _needed(shared)
    confused = np.unique(np.concatenate([first[pairs], second[pairs]]))
    return Identification(rate, k, tuple(confused.tolist()), tuple(empty.tolist()))


def _needed(shared: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The most frequent pairs, as few as leave at most `IDENTIFIED` of the draws with others."""
    order = np.argsort(-shared.mean(axis=0), kind="stable")
    ranked = shared[:, order]
    behind = ranked.shape[1] - ranked[:, ::-1].argmax(axis=1)  # number of a draw's last pair
    last = np.where(ranked.any(axis=1), behind, 0)
    enough = int(np.quantile(last, 1 - IDENTIFIED, method="inverted_cdf"))
    return order[:enough]


def _features(draws: Draws) -> Floats:
    """What k-means sees of every component, (S, K, F): of order one, however few draws."""
    log_deviation = 0.5 * np.log(np.diagonal(draws.covariances, axis1=-2, axis2=-1))
    unit = np.exp(log_deviation.mean(axis=(0, 1)))
    center = np.median(draws.means, axis=(0, 1))
    parts = [(draws.means - center) / unit, log_deviation]
    row, column = np.tril_indices(draws.means.shape[2], -1)
    if draws.structure.name == "full" and len(row):
        scale = np.exp(log_deviation[..., row] + log_deviation[..., column])
        correlation = draws.covariances[..., row, column] / scale
        parts.append(np.arctanh(np.clip(correlation, -1 + 1e-12, 1 - 1e-12)))
    return np.concatenate(parts, axis=-1)


def _clusters(features: Floats, permutation: NDArray[np.intp]) -> NDArray[np.intp]:
    """Cluster of every draw's component at every place, (S, K).

    Lloyd's rounds see every so many-th draw where there are many. A cluster that loses all its
    points stays where it is; of clusters in one place the first takes the points.
    """
    s, k = permutation.shape
    points = np.take_along_axis(features, permutation[..., None], axis=1)
    centers = np.median(points, axis=0)
    some = points[:: max(1, s * k // _MOST_POINTS)].reshape(-1, points.shape[-1])
    cluster = np.full(len(some), -1)
    for _ in range(_MOST_ROUNDS):
        before, cluster = cluster, _nearest(some, centers)
        if (cluster != before).mean() < _STEADY:
            break
        own = np.eye(k)[cluster]
        sizes = own.sum(axis=0)[:, None]
        centers = np.where(sizes > 0, own.T @ some / np.maximum(sizes, 1), centers)
    return _nearest(points.reshape(s * k, -1), centers).reshape(s, k)


def _nearest(points: Floats, centers: Floats) -> NDArray[np.intp]:
    distance = np.square(centers).sum(axis=1) - 2 * points @ centers.T
    near = distance <= distance.min(axis=1, keepdims=True) + _SAME
    return near.argmax(axis=1)


def _listed(names: Sequence[Any], places: Sequence[int]) -> str:
    *some, last = (str(names[place]) for place in places)
    return f"components {', '.join(some)} and {last}" if some else f"component {last}"


def _verb(places: Sequence[int]) -> str:
    return "is" if len(places) == 1 else "are"
