"""Distances of partitions against scikit-learn, against their definitions, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, mutual_info_score

import bayesmix as bm

DISTANCES = [bm.variation_of_information, bm.adjusted_rand_index]


def labels(*shape: int, k: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).integers(k, size=shape, dtype=np.int8)


def variation(a: np.ndarray, b: np.ndarray) -> float:
    """H(a) + H(b) - 2 I(a, b) in bits: the information of labels about themselves is entropy."""
    entropies = mutual_info_score(a, a) + mutual_info_score(b, b)
    return (entropies - 2 * mutual_info_score(a, b)) / np.log(2)


@pytest.mark.parametrize("n", [1, 2, 7, 200])
@pytest.mark.parametrize("k", [1, 3, 9])
def test_agree_with_scikit_learn(n, k):
    a, b = labels(n, k=k), labels(30, n, k=5, seed=1)
    found = bm.variation_of_information(a, b)
    np.testing.assert_allclose(found, [variation(a, own) for own in b], atol=1e-12)
    expected = [adjusted_rand_score(a, own) for own in b]
    np.testing.assert_allclose(bm.adjusted_rand_index(a, b), expected, atol=1e-12)


def test_by_hand():
    """Two clusters of two; the second broken into two of one."""
    a, b = [0, 0, 1, 1], [0, 0, 1, 2]
    assert bm.variation_of_information(a, b) == 0.5  # H(b | a): half the rows, one bit each
    # pairs together: 2 of 6 in a, 1 in b, 1 in both; by chance 2 * 1/6
    assert bm.adjusted_rand_index(a, b) == pytest.approx((1 - 1 / 3) / (1.5 - 1 / 3), rel=1e-14)


@pytest.mark.parametrize("distance", DISTANCES)
def test_names_of_labels_do_not_matter(distance):
    a, b = labels(50), labels(6, 50, seed=1)
    names = np.array([-300, 7, 10**9, 12])
    expected = distance(a, b)
    np.testing.assert_allclose(distance(names[a], b), expected, atol=1e-14)
    np.testing.assert_allclose(distance(a, names[b]), expected, atol=1e-14)
    np.testing.assert_allclose(distance(b, a), expected, atol=1e-15)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("kind", ["uint8", "int16", "uint64"])
def test_any_integer_type(distance, kind):
    a, b = labels(50), labels(6, 50, seed=1)
    np.testing.assert_array_equal(distance(a.astype(kind), b.astype(kind)), distance(a, b))
    np.testing.assert_array_equal(distance(a, b.astype(kind)), distance(a, b))


@pytest.mark.parametrize("distance", DISTANCES)
def test_axes_in_front_broadcast(distance):
    a, b = labels(3, 1, 40), labels(5, 40, seed=1)
    found = distance(a, b)
    assert found.shape == (3, 5)
    assert found[2, 4] == distance(a[2, 0], b[4])
    assert isinstance(distance(a[2, 0], b[4]), float)


def test_extremes():
    """All rows alone against all together; labels in blocks of one partition."""
    n = 3000
    alone, together = np.arange(n), np.zeros((400, n), np.int8)
    np.testing.assert_allclose(bm.variation_of_information(alone, together), np.log2(n), rtol=1e-12)
    np.testing.assert_array_equal(bm.adjusted_rand_index(alone, together), 0)
    shuffled = np.random.default_rng(1).permutation(n)
    for distance, value in zip(DISTANCES, (0, 1), strict=True):
        assert distance(alone, shuffled) == value  # the same partition by other names
        assert distance(together[0], together[1]) == value


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([0, 1], [0, 1, 1], "b: expected labels of 2 rows, as a has, got 3"),
        ([0.0, 1.0], [0, 1], "a: expected whole numbers, .* got an array of float64"),
        ([0, 1], 3, "b: expected whole numbers, the labels of at least one row, got an array of"),
        (2, [0, 1], "a: expected whole numbers"),
        (np.empty(0, int), np.empty(0, int), r"a: expected .* with shape \(0,\)"),
    ],
)
def test_bad_labels(distance, a, b, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        distance(a, b)
