"""Members of a partition against matrices of pairs, and against sets of rows."""

from __future__ import annotations

import numpy as np
import pytest

from bayesmix.partitions.members import Members, members
from bayesmix.partitions.signatures import Signatures, each_row, signatures_of

TAILS = 0.1, 0.8
CASES = [(1, 1, 1, 1), (2, 1, 1, 1), (6, 3, 2, 6), (9, 70, 3, 4), (40, 130, 4, 5), (60, 9, 1, 20)]
ROWS = ["certainty", "next_cluster", "next_affinity"]


def draws(n: int, s: int, k: int, *, seed: int = 0) -> np.ndarray:
    """Labels (S, n): one partition into k, a third of its rows moved, some to new clusters."""
    rng = np.random.default_rng([seed, n, s, k])
    moved = rng.random((s, n)) < 1 / 3
    return np.where(moved, rng.integers(k + 2, size=(s, n)), np.arange(n) % k)


def estimate(n: int, k: int) -> np.ndarray:
    """Labels (n,) of k clusters, the last of one row."""
    label = np.random.default_rng([1, n, k]).permutation(np.arange(n) % max(k - 1, 1))
    label[0] = k - 1
    return np.unique(label, return_inverse=True)[1]


def clusters(label: np.ndarray) -> list[set[int]]:
    """Rows of every cluster, in the order of their labels."""
    return [set(np.flatnonzero(label == own).tolist()) for own in np.unique(label)]


def at_columns(label: np.ndarray, rows: Signatures) -> np.ndarray:
    """Labels of distinct columns from those of rows; equal columns must have one."""
    own = label[np.unique(rows.of_row, return_index=True)[1]]
    np.testing.assert_array_equal(own[rows.of_row], label)
    return own


def by_row(label: np.ndarray, z: np.ndarray) -> Members:
    """What is found from draws (S, n), one column for each row."""
    rows = signatures_of(z).expanded()
    return members(label, rows, TAILS)


def assert_same(found: Members, expected: Members, order: np.ndarray, name: np.ndarray) -> None:
    """Rows in ``order``, clusters j by the name ``name[j]``."""
    for field in ("certainty", "next_affinity"):
        np.testing.assert_allclose(getattr(found, field), getattr(expected, field)[order])
    for field in ("found", "size_mean", "size_lower", "size_upper", "together"):
        np.testing.assert_allclose(getattr(found, field)[name], getattr(expected, field))


@pytest.mark.parametrize(("n", "s", "k", "j"), CASES)
def test_affinities_are_means_of_pairs(n, s, k, j):
    label, z = estimate(n, j), draws(n, s, k)
    found = by_row(label, z)
    similar = (z[:, :, None] == z[:, None, :]).mean(axis=0)
    for i in range(n):
        other = np.arange(n) != i
        affinity = [
            similar[i, other & (label == j)].mean() if np.any(other & (label == j)) else np.nan
            for j in range(label.max() + 1)
        ]
        alone = ((z == z[:, [i]]).sum(axis=1) == 1).mean()
        own = affinity.pop(label[i])
        assert found.certainty[i] == pytest.approx(alone if np.isnan(own) else own)
        assert found.next_affinity[i] == pytest.approx(max(affinity, default=0))
        if affinity:
            next_cluster = found.next_cluster[i]
            at = next_cluster - (next_cluster > label[i])
            assert next_cluster != label[i]
            assert affinity[at] == pytest.approx(max(affinity))
        else:
            assert found.next_cluster[i] == -1


@pytest.mark.parametrize(("n", "s", "k", "j"), CASES)
def test_clusters_are_found_where_sets_of_rows_agree(n, s, k, j):
    label, z = estimate(n, j), draws(n, s, k)
    found = by_row(label, z)
    for i, own in enumerate(clusters(label)):
        others = [other for draw in z for other in clusters(draw)]
        sizes = [len(other) for other in others if len(own & other) / len(own | other) > 0.5]
        assert found.found[i] == pytest.approx(len(sizes) / s)
        got = found.size_mean[i], found.size_lower[i], found.size_upper[i]
        expected = [np.mean(sizes), *np.quantile(sizes, TAILS)] if sizes else [np.nan] * 3
        np.testing.assert_allclose(got, expected)


def test_cases_find_some_clusters_and_miss_others():
    """Else what is said above of means and of NaN is said of nothing."""
    some = [by_row(estimate(n, j), draws(n, s, k)).found for n, s, k, j in CASES]
    found = np.concatenate(some)
    assert np.any(found == 0)
    assert np.any((found > 0.2) & (found < 0.9))


@pytest.mark.parametrize(("n", "s", "k", "j"), CASES)
def test_together_is_the_mean_over_pairs(n, s, k, j):
    label, z = estimate(n, j), draws(n, s, k)
    found = by_row(label, z).together
    similar = (z[:, :, None] == z[:, None, :]).mean(axis=0)
    for i, cluster in enumerate(clusters(label)):
        own = list(cluster)
        pairs = similar[np.ix_(own, own)][np.triu_indices(len(own), 1)]
        assert found[i] == pytest.approx(pairs.mean() if len(pairs) else np.nan, nan_ok=True)


def test_by_hand():
    """Rows 0, 1 | 2, 3, 4 in half of the draws, row 2 with the first two in the others."""
    z = np.array([[0, 0, 1, 1, 1], [0, 0, 0, 1, 1]] * 2)
    found = by_row(np.array([0, 0, 1, 1, 1]), z)
    np.testing.assert_allclose(found.certainty, [1, 1, 0.5, 0.75, 0.75])
    np.testing.assert_allclose(found.next_affinity, [1 / 6, 1 / 6, 0.5, 0, 0])
    np.testing.assert_array_equal(found.next_cluster, [1, 1, 0, 0, 0])
    np.testing.assert_allclose(found.found, [1, 1])  # overlaps of 2/3 are more than half
    np.testing.assert_allclose(found.size_mean, [2.5, 2.5])
    np.testing.assert_allclose(found.together, [1, (1 + 0.5 + 0.5) / 3])


def test_rows_that_never_move():
    z = np.repeat([[0, 0, 1, 1]], 5, axis=0)
    found = by_row(z[0], z)
    np.testing.assert_array_equal(found.certainty, 1)
    np.testing.assert_array_equal(found.next_cluster, [1, 1, 0, 0])
    np.testing.assert_array_equal(found.next_affinity, 0)


def test_equal_columns_count_as_often_as_they_occur():
    rng = np.random.default_rng(3)
    which = rng.permutation(np.repeat(np.arange(12), rng.integers(1, 9, size=12)))
    z, label = draws(12, 50, 3)[:, which], (np.arange(12) % 4)[which]
    rows = signatures_of(z)
    assert len(rows) < rows.n
    found, expected = members(at_columns(label, rows), rows, TAILS), by_row(label, z)
    for field in Members.__dataclass_fields__:
        np.testing.assert_allclose(getattr(found, field), getattr(expected, field), err_msg=field)


def test_orders_and_names_do_not_matter():
    label, z = estimate(40, 5), draws(40, 60, 4)
    expected = by_row(label, z)
    rng = np.random.default_rng(5)
    order, name = rng.permutation(40), rng.permutation(5)
    assert_same(by_row(label[order], z[:, order]), expected, order, np.arange(5))
    assert_same(by_row(label, rng.permutation(z)), expected, np.arange(40), np.arange(5))
    assert_same(by_row(label, 100 - 3 * z), expected, np.arange(40), np.arange(5))
    renamed = by_row(name[label], z)
    assert_same(renamed, expected, np.arange(40), name)


def test_more_columns_than_a_task_takes():
    """All rows alike but for their places: every block of them says the same."""
    z = np.tile(draws(5, 3, 2), 1000)
    rows = each_row(z.T.astype(np.uint8), z.max(axis=1) + 1)
    label = np.tile([0, 0, 1, 1, 2], 1000)
    found = members(label, rows, TAILS)
    for field in ROWS:
        blocks = getattr(found, field).reshape(1000, 5)
        np.testing.assert_array_equal(blocks, np.broadcast_to(blocks[0], blocks.shape))
