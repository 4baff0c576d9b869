"""Where EM starts: responsibilities (n, K) from seeds, k-means or chance.

Seeding ("k-means++", "random_from_data") depends on the rows and their weights only through
weighted quantities: a weight of 2 is the row twice, and the order of the rows does not matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from bayesmix.rows import Rows, take

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["InitParams", "sample_rows", "start_responsibilities", "whiten"]

InitParams = Literal["kmeans", "k-means++", "random", "random_from_data"]

_SAMPLE_ROWS = 20_000  # a start needs no more; per component at least _ROWS_EACH
_ROWS_EACH = 100


def sample_rows(
    x: Rows,
    n_components: int,
    generator: np.random.Generator,
    sample_weight: Floats | None = None,
) -> tuple[Floats, Floats | None]:
    """Rows to look for a start in, with their weights: all, or a random sample of many."""
    n = x.shape[0]
    size = max(_SAMPLE_ROWS, _ROWS_EACH * n_components)
    if n <= size:
        return take(x, np.arange(n)), sample_weight
    if sample_weight is None:
        return take(x, np.sort(generator.choice(n, size, replace=False))), None
    counted = np.flatnonzero(sample_weight)  # a row of weight zero is no row
    index = np.sort(generator.choice(counted, min(size, len(counted)), replace=False))
    return take(x, index), sample_weight[index]


def start_responsibilities(
    method: InitParams,
    x: Floats,
    n_components: int,
    generator: np.random.Generator,
    sample_weight: Floats | None = None,
) -> Floats:
    """Draw one start.

    Parameters
    ----------
    method : {"kmeans", "k-means++", "random", "random_from_data"}
        k-means on the raw columns, as in scikit-learn; seeds drawn in proportion to their squared
        distance from the seeds so far, after whitening; uniform responsibilities; rows drawn at
        random as seeds.
    x : (n, D) ndarray
    n_components : int
    generator : numpy.random.Generator
    sample_weight : (n,) ndarray, optional

    Returns
    -------
    (n, K) ndarray
        Rows sum to one.
    """
    match method:
        case "kmeans":
            nearest = _kmeans(x, n_components, generator, sample_weight)
        case "k-means++" | "random_from_data":
            spread = method == "k-means++"
            nearest = _seeded(x, n_components, generator, sample_weight, spread=spread)
        case "random":
            resp = generator.uniform(size=(len(x), n_components))
            return resp / resp.sum(axis=1, keepdims=True)
    return np.eye(n_components)[nearest]


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
    return np.asarray(model.fit(x, sample_weight=sample_weight).labels_, dtype=np.intp)


def _seeded(
    x: Floats,
    n_components: int,
    generator: np.random.Generator,
    sample_weight: Floats | None,
    *,
    spread: bool,
) -> NDArray[np.intp]:
    """Label every row by the nearest of K seed rows."""
    white = whiten(x, sample_weight)
    order = np.lexsort(x.T)
    weight = np.ones(len(x)) if sample_weight is None else sample_weight
    nearest = np.zeros(len(x), dtype=np.intp)
    closest = np.full(len(x), np.inf)
    for k in range(n_components):
        chance = weight if k == 0 else weight * (closest if spread else closest > 0)
        if not chance.any():  # fewer distinct rows than components
            chance = weight
        cumulative = np.cumsum(chance[order])
        drawn = np.searchsorted(cumulative, generator.uniform() * cumulative[-1], side="right")
        seed = white[order[min(drawn, len(x) - 1)]]
        distance = np.square(white - seed).sum(axis=1)
        nearest[distance < closest] = k
        closest = np.minimum(closest, distance)
    return nearest
