"""Where EM starts: responsibilities (n, K) from seeds, merges, slices, k-means or chance.

All but "kmeans" and "random" depend on the rows and their weights only through weighted
quantities, and on the columns only through distances after whitening: a weight of 2 is the row
twice, neither the order of the rows nor the scale of the columns matters. Of many rows a random
sample is looked at, of which the former is true on average.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from bayesmix.rows import Rows, take

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Method", "Seeds", "sample_rows", "whiten"]

Method = Literal["kmeans", "k-means++", "random", "random_from_data", "centers", "merges", "slices"]

_LLOYD = 10  # iterations of k-means
_MERGED_ROWS = 400  # that are merged, one by one


def sample_rows(
    x: Rows, size: int, generator: np.random.Generator, sample_weight: Floats | None = None
) -> tuple[Floats, Floats | None]:
    """Rows with their weights: all that have any, or a sample where they are more than ``size``."""
    n = x.shape[0]
    if sample_weight is None:
        index = np.arange(n) if n <= size else np.sort(generator.choice(n, size, replace=False))
        return take(x, index), None
    weighted = np.flatnonzero(sample_weight)
    if len(weighted) <= size:
        return take(x, weighted), sample_weight[weighted]
    share = sample_weight[weighted] / sample_weight[weighted].sum()
    index, times = np.unique(generator.choice(weighted, size, p=share), return_counts=True)
    return take(x, index), times.astype(float)


@dataclass(frozen=True)
class Seeds:
    """Rows to draw starts from."""

    x: Floats
    """Shape (n, D)."""
    n_components: int
    sample_weight: Floats | None = None

    def responsibilities(self, method: Method, generator: np.random.Generator) -> Floats:
        """Draw one start.

        Parameters
        ----------
        method : Method
            "kmeans": k-means on the raw columns, as in scikit-learn. "k-means++": seeds drawn in
            proportion to their squared distance from the seeds so far, after whitening.
            "random_from_data": rows drawn as seeds. "random": uniform responsibilities. "centers":
            k-means after whitening. "merges": Ward's hierarchical merges of some whitened rows.
            "slices": of random size, across a random direction.
        generator : numpy.random.Generator

        Returns
        -------
        (n, K) ndarray
            Rows sum to one.
        """
        match method:
            case "kmeans":
                nearest = _kmeans(self.x, self.n_components, generator, self.sample_weight)
            case "k-means++":
                nearest = self._seeded(generator, spread=True)
            case "random_from_data":
                nearest = self._seeded(generator, spread=False)
            case "centers":
                nearest = self._centered(self._seeded(generator, spread=True))
            case "merges":
                nearest = self._merged(generator)
            case "slices":
                nearest = self._sliced(generator)
            case "random":
                resp = generator.uniform(size=(len(self.x), self.n_components))
                return resp / resp.sum(axis=1, keepdims=True)
        return np.eye(self.n_components)[nearest]

    @cached_property
    def _white(self) -> Floats:
        return whiten(self.x, self.sample_weight)

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        """Rows in an order of their own."""
        return np.lexsort(self.x.T)

    @cached_property
    def _weight(self) -> Floats:
        return np.ones(len(self.x)) if self.sample_weight is None else self.sample_weight

    def _draw(self, chance: Floats, size: int, generator: np.random.Generator) -> NDArray[np.intp]:
        """Rows drawn in proportion to ``chance`` (n,), their order aside."""
        cumulative = np.cumsum(chance[self._order])
        drawn = generator.uniform(size=size) * cumulative[-1]
        place = np.searchsorted(cumulative, drawn, side="right")
        return self._order[np.minimum(place, len(self.x) - 1)]

    def _seeded(self, generator: np.random.Generator, *, spread: bool) -> NDArray[np.intp]:
        """Label every row by the nearest of K seed rows."""
        nearest = np.zeros(len(self.x), dtype=np.intp)
        closest = np.full(len(self.x), np.inf)
        for k in range(self.n_components):
            far = closest if spread else closest > 0
            chance = self._weight if k == 0 else self._weight * far
            if not chance.any():  # fewer distinct rows than components
                chance = self._weight
            seed = self._white[self._draw(chance, 1, generator)]
            distance = np.square(self._white - seed).sum(axis=1)
            nearest[distance < closest] = k
            closest = np.minimum(closest, distance)
        return nearest

    def _centered(self, labels: NDArray[np.intp]) -> NDArray[np.intp]:
        """Label every row by the nearest mean of labels, and so on."""
        for _ in range(_LLOYD):
            member = np.eye(self.n_components)[labels] * self._weight[:, None]
            sizes = member.sum(axis=0)
            centers = (member.T @ self._white)[sizes > 0] / sizes[sizes > 0, None]
            labels = self._nearest(centers)
        return labels

    def _nearest(self, centers: Floats) -> NDArray[np.intp]:
        """Label every row by the nearest center."""
        squares = np.square(centers).sum(axis=1) - 2 * self._white @ centers.T
        return squares.argmin(axis=1)

    def _merged(self, generator: np.random.Generator) -> NDArray[np.intp]:
        """Label every row by the nearest of K groups of rows, merged one by one."""
        from scipy.cluster.hierarchy import fcluster, linkage

        some = self._white[self._draw(self._weight, _MERGED_ROWS, generator)]
        groups = fcluster(linkage(some, "ward"), self.n_components, "maxclust") - 1
        centers = np.stack([some[groups == g].mean(axis=0) for g in range(groups.max() + 1)])
        return self._nearest(centers)

    def _sliced(self, generator: np.random.Generator) -> NDArray[np.intp]:
        """Label every row by its slice across the line through two random rows."""
        first, second = self._white[self._draw(self._weight, 2, generator)]
        places, place = np.unique(self._white @ (second - first), return_inverse=True)
        rank = np.cumsum(np.bincount(place, self._weight, len(places)))
        sizes = generator.dirichlet(np.ones(self.n_components))
        return np.searchsorted(np.cumsum(sizes)[:-1], rank / rank[-1] - 1e-9)[place]


def whiten(x: Floats, sample_weight: Floats | None = None) -> Floats:
    """Rotate and scale the rows to unit covariance, leaving out directions without variation."""
    delta = x - np.average(x, axis=0, weights=sample_weight)
    deviation = np.sqrt(np.average(np.square(delta), axis=0, weights=sample_weight))
    scaled = delta / np.where(deviation > 0, deviation, 1)
    weight = np.ones(len(x)) if sample_weight is None else sample_weight
    correlation = (scaled.T * weight) @ scaled / weight.sum()
    values, vectors = np.linalg.eigh(correlation)
    keep = values > 1e-10 * max(values[-1], 1e-300)
    return scaled @ (vectors[:, keep] / np.sqrt(values[keep]))


def _kmeans(
    x: Floats, n_components: int, generator: np.random.Generator, sample_weight: Floats | None
) -> NDArray[np.intp]:
    from sklearn.cluster import KMeans

    seed = int(generator.integers(2**31 - 1))
    model = KMeans(n_clusters=n_components, n_init=1, random_state=seed)
    with warnings.catch_warnings():  # fewer distinct rows than components: EM says so
        warnings.filterwarnings("ignore", "Number of distinct clusters")
        return np.asarray(model.fit(x, sample_weight=sample_weight).labels_, dtype=np.intp)
