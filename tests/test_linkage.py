"""Linkage of weighted points against SciPy on all the points that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, is_valid_linkage, linkage
from scipy.spatial.distance import squareform

from bayesmix.partitions.linkage import cuts, merges
from tests.exact_partitions import in_order_of_appearance

METHODS = ["average", "complete"]


def dissimilarity(u: int, *, seed: int = 0) -> np.ndarray:
    """Symmetric, no two alike in float32; (U, U)."""
    rng = np.random.default_rng([seed, u])
    values = rng.permutation(u * (u - 1) // 2) + 1 + rng.uniform(-0.1, 0.1, size=u * (u - 1) // 2)
    return squareform(values / max(len(values), 1)).reshape(u, u).astype(np.float32)


def ones(u: int) -> np.ndarray:
    return np.ones(u, np.int64)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("u", [2, 3, 10, 150])
def test_tree_is_that_of_scipy(u, method):
    d = dissimilarity(u)
    expected = linkage(squareform(d.astype(float)), method)
    tree = merges(d, ones(u), method)
    np.testing.assert_array_equal(tree.pair, expected[:, :2])
    np.testing.assert_allclose(tree.height, expected[:, 2], rtol=2e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("u", [2, 5, 40])
def test_weights_are_points_that_are_nowhere_apart(u, method):
    d = dissimilarity(u, seed=1)
    weight = np.random.default_rng(u).integers(1, 30, size=u)
    which = np.repeat(np.arange(u), weight)
    expected = linkage(squareform(d[np.ix_(which, which)].astype(float)), method)
    tree = merges(d.copy(), weight, method)
    np.testing.assert_allclose(tree.height, expected[-(u - 1) :, 2], rtol=1e-5)
    ks = np.arange(1, u + 1)
    found = cuts(tree, ks)
    for k, own in zip(ks, found, strict=True):
        cut = fcluster(expected, k, "maxclust")
        np.testing.assert_array_equal(*map(in_order_of_appearance, (own[which], cut)))


def test_weights_matter():
    """Two pairs at equal heights: where the first has the heavier point decides who comes next."""
    d = np.array([[0, 1, 4, 9], [1, 0, 8, 9], [4, 8, 0, 5], [9, 9, 5, 0]], np.float32)
    heights = [merges(d.copy(), np.array([w, 1, 1, 1]), "average").height for w in (1, 9)]
    np.testing.assert_allclose(heights[0], [1, 5, 7.5])
    np.testing.assert_allclose(heights[1], [1, 4.4, (10 * 9 + 5) / 11], rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_one_point(method):
    tree = merges(np.zeros((1, 1), np.float32), ones(1), method)
    assert tree.pair.shape == (0, 2)
    np.testing.assert_array_equal(cuts(tree, [1, 4]), [[0], [0]])


@pytest.mark.parametrize("method", METHODS)
def test_two_points(method):
    tree = merges(np.array([[0, 0.25], [0.25, 0]], np.float32), np.array([3, 1]), method)
    np.testing.assert_array_equal(tree.pair, [[0, 1]])
    np.testing.assert_array_equal(tree.height, [0.25])
    np.testing.assert_array_equal(cuts(tree, [1, 2, 3]), [[0, 0], [0, 1], [0, 1]])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("values", [1, 2, 5])
def test_ties_end_in_a_valid_tree(values, method):
    """Any order among equals will do, as long as every cluster is merged once."""
    u = 60
    rng = np.random.default_rng(values)
    d = squareform(rng.integers(values, size=u * (u - 1) // 2).astype(np.float32))
    tree = merges(d, rng.integers(1, 9, size=u), method)
    size = np.ones(2 * u - 1)
    for t, pair in enumerate(tree.pair):
        size[u + t] = size[pair].sum()
    full = np.column_stack([tree.pair, tree.height, size[u:]])
    assert is_valid_linkage(full)
    assert size[-1] == u


def test_cuts_are_labels_from_zero():
    tree = merges(dissimilarity(30), ones(30), "average")
    for k, own in zip([7, 1, 30, 99], cuts(tree, [7, 1, 30, 99]), strict=True):
        np.testing.assert_array_equal(np.unique(own), np.arange(min(k, 30)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("u", [31, 32, 33])
def test_one_point_after_the_other(method, u):
    """The deepest tree that there is: point i is as far as i from all before it."""
    each = np.arange(u, dtype=np.float32)
    tree = merges(
        np.maximum(each[:, None], each) * (1 - np.eye(u, dtype=np.float32)), ones(u), method
    )
    for k, own in zip([1, 2, 3, u], cuts(tree, [1, 2, 3, u]), strict=True):
        expected = np.maximum(np.arange(u) - (u - k), 0)
        np.testing.assert_array_equal(in_order_of_appearance(own), expected)
