"""Modes of draws against brute force over all sets of medoids, planted ones, and none."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics import silhouette_score

from bayesmix.partitions.draw_distances import draw_distances
from bayesmix.partitions.losses import LOSSES, Loss
from bayesmix.partitions.medoids import modes
from bayesmix.partitions.signatures import signatures_of


def moved(label: np.ndarray, share: float, s: int, *, seed: int = 0) -> np.ndarray:
    """Draws (S, n) of a partition, each row sent to a random cluster with a probability."""
    rng = np.random.default_rng([seed, s])
    other = rng.integers(label.max() + 1, size=(s, len(label)))
    return np.where(rng.random(other.shape) < share, other, label)


def distance(z: np.ndarray, loss: str = "vi") -> np.ndarray:
    return draw_distances(signatures_of(z), Loss(loss), np.arange(len(z)))


def points(sizes: list[int], spread: float, seed: int) -> np.ndarray:
    """Distances of points around as many centers as there are sizes, at random on a square."""
    rng = np.random.default_rng([seed, len(sizes)])
    centers = np.repeat(rng.random((len(sizes), 2)), sizes, axis=0)
    x = centers + spread * rng.normal(size=centers.shape)
    return cdist(x, x)


THREE = np.repeat(np.arange(3), 60)
FOUR = np.where(np.arange(180) < 30, 3, THREE)  # the first of the three split in two


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("sizes", [[9, 7], [8, 6, 4], [3, 4, 5, 6]])
def test_brute_force(sizes, seed):
    """Of all sets of two to four medoids, by sums and by scikit-learn's silhouettes."""
    d = points(sizes, 0.06, seed)
    best = {}
    for k in (2, 3, 4):
        sets = list(combinations(range(len(d)), k))
        medoid = min(sets, key=lambda own: d[list(own)].min(axis=0).sum())
        label = d[list(medoid)].argmin(axis=0)
        best[silhouette_score(d, label, metric="precomputed")] = sorted(medoid)
    found = modes(d, most=4)
    if max(best) > 0.5:
        assert found.silhouette == pytest.approx(max(best))
        assert sorted(found.medoid) == best[max(best)]
        np.testing.assert_array_equal(found.label, d[found.medoid].argmin(axis=0))
        assert np.all(np.diff(np.bincount(found.label)) <= 0)
    else:
        assert len(found.medoid) == 1


@pytest.mark.parametrize("loss", LOSSES)
def test_planted_modes(loss):
    """A cluster split in two in a quarter of the draws, one whole in the others."""
    z = np.concatenate([moved(FOUR, 0.005, 30), moved(THREE, 0.005, 90)])
    found = modes(distance(z, loss))
    np.testing.assert_array_equal(found.label, np.repeat([1, 0], [30, 90]))
    assert found.silhouette > 0.5
    assert found.medoid[0] >= 30 > found.medoid[1]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("share", [0.002, 0.02, 0.1, 0.5, 1.0])
def test_one_blob(loss, share):
    d = distance(moved(THREE, share, 150), loss)
    found = modes(d)
    np.testing.assert_array_equal(found.label, 0)
    np.testing.assert_array_equal(found.medoid, [d.sum(axis=1).argmin()])
    assert found.silhouette == 0


@pytest.mark.parametrize("loss", LOSSES)
def test_a_difference_smaller_than_the_spread_is_none(loss):
    nearly = np.where(np.arange(180) < 2, 1, THREE)
    z = np.concatenate([moved(THREE, 0.1, 60), moved(nearly, 0.1, 60, seed=1)])
    assert len(modes(distance(z, loss)).medoid) == 1


def test_two_partitions_one_row_apart():
    z = np.repeat([[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1, 1, 1]], [40, 60], axis=0)
    found = modes(distance(z))
    np.testing.assert_array_equal(found.label, np.repeat([1, 0], [40, 60]))
    assert found.silhouette == 1


def test_few_draws_are_no_mode():
    """4 draws of 100 are outliers, 5 a mode; others are found beside outliers."""
    for few, count in ((4, 1), (5, 2)):
        z = np.concatenate([moved(THREE, 0.005, 100 - few), moved(FOUR, 0.005, few)])
        assert len(modes(distance(z)).medoid) == count
    odd = np.arange(180) % 2
    z = np.concatenate([moved(THREE, 0.005, 58), moved(FOUR, 0.005, 40), odd[None], odd[None]])
    found = modes(distance(z))
    np.testing.assert_array_equal(found.label[:98], np.repeat([0, 1], [58, 40]))
    assert len(found.medoid) == 2


@pytest.mark.parametrize("b", [1, 2, 3, 30])
def test_draws_all_equal(b):
    found = modes(np.zeros((b, b)))
    assert (found.medoid.tolist(), found.silhouette) == ([0], 0)
    np.testing.assert_array_equal(found.label, np.zeros(b))


def test_order_of_draws_does_not_matter():
    z = np.concatenate([moved(FOUR, 0.005, 30), moved(THREE, 0.005, 90)])
    order = np.random.default_rng(2).permutation(120)
    found, expected = modes(distance(z[order])), modes(distance(z))
    np.testing.assert_array_equal(found.label, expected.label[order])
    np.testing.assert_array_equal(z[order[found.medoid]], z[expected.medoid])  # equal draws tie
