"""Losses between draws against distances of two partitions, and against expected losses."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm
from bayesmix.partitions.draw_candidates import best_draws
from bayesmix.partitions.draw_distances import draw_distances
from bayesmix.partitions.losses import LOSSES, Loss, loss_of
from bayesmix.partitions.signatures import signatures_of
from bayesmix.partitions.tables import draw_losses, expected_loss


def draws(s: int, n: int, k: int = 4) -> np.ndarray:
    """Labels (S, n): one partition into k, a third of its rows moved."""
    rng = np.random.default_rng([s, n, k])
    moved = rng.random((s, n)) < 1 / 3
    return np.where(moved, rng.integers(k + 1, size=(s, n)), np.arange(n) % k)


def by_pairs(a: np.ndarray, b: np.ndarray) -> float:
    """Binder's loss of equal costs: ordered pairs of rows that only one puts together."""
    return float(((a[:, None] == a) != (b[:, None] == b)).mean())


DISTANCES = {
    "vi": bm.variation_of_information,
    "binder": by_pairs,
    "omari": lambda a, b: 1 - adjusted_rand_score(a, b),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("s", "n", "k"), [(1, 1, 1), (5, 1, 1), (6, 40, 4), (9, 30, 12)])
def test_distances_of_every_two(loss, s, n, k):
    """Twelve clusters have more cells than rows: both ways of clearing a table."""
    z = draws(s, n, k)
    found = draw_distances(signatures_of(z), Loss(loss), np.arange(s))
    expected = [[DISTANCES[loss](a, b) for b in z] for a in z]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.diag(found), 0)


@pytest.mark.parametrize("loss", [*(Loss(name) for name in LOSSES), loss_of("vi", (1, 3))])
@pytest.mark.parametrize("b", [1, 3, 4, 9])
def test_some_reported_where_others_are_true(loss, b):
    """Draws in any order and more than once, with costs as they are stated."""
    rows = signatures_of(draws(12, 25))
    some, others = np.array([7, 0, 7]), np.arange(b)[::-1]
    found = draw_distances(rows, loss, some, others)
    for own, s in zip(found, some, strict=True):
        expected = draw_losses(rows.label[:, s], rows, loss)[others]
        np.testing.assert_allclose(own, expected, atol=1e-12)


@pytest.mark.parametrize("name", ["vi", "binder"])
def test_unequal_costs_between_the_same_draws(name):
    rows, every = signatures_of(draws(12, 25)), np.arange(12)
    loss, turned = loss_of(name, (1, 3)), loss_of(name, (3, 1))
    found = draw_distances(rows, loss, every)
    np.testing.assert_allclose(found, draw_distances(rows, loss, every, every), atol=1e-12)
    np.testing.assert_allclose(found.T, draw_distances(rows, turned, every), atol=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_equal_columns_count_as_often_as_they_occur(loss):
    which = np.repeat(np.arange(10), np.arange(1, 11))
    rows = signatures_of(draws(15, 10)[:, which])
    found, expected = (
        draw_distances(own, Loss(loss), np.arange(15)) for own in (rows, rows.expanded())
    )
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_spread_rows_are_a_sample():
    """Fewer rows than there are distinct columns; otherwise everything, which costs no more."""
    z = np.repeat(draws(15, 40)[:, np.arange(120) ** 2 % 37], 3, axis=1)
    rows, every = signatures_of(z), np.arange(15)
    assert len(rows) == 19
    for count in (1, 2, 9, 18):
        few, at = rows.spread(count), np.linspace(0, 359, count).astype(int)
        np.testing.assert_array_equal(few.label[few.of_row].T, rows.label[rows.of_row].T[:, at])
        np.testing.assert_array_equal(few.weight, np.bincount(few.of_row))
        expected = draw_distances(signatures_of(z[:, at]), Loss("vi"), every)
        np.testing.assert_allclose(draw_distances(few, Loss("vi"), every), expected, atol=1e-12)
    for count in (19, 360, 1000):
        assert rows.spread(count) is rows


@pytest.mark.parametrize("loss", [*(Loss(name) for name in LOSSES), loss_of("vi", (1, 3))])
def test_losses_are_those_of_pairs_of_draws(loss):
    """Clusters of more columns than draws have clusters, and of fewer; draws of many tasks."""
    for s, n, k in [(150, 40, 2), (9, 30, 12), (70, 6, 6)]:
        rows, every = signatures_of(draws(s, n, k)), np.arange(s)
        found = [draw_losses(rows.label[:, t], rows, loss) for t in (0, s - 1)]
        expected = draw_distances(rows, loss, every[[0, -1]], every)
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_memory_of_distances_is_that_of_one_table(monkeypatch):
    """A million cells of four bytes in every thread, where tables are larger than columns."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    rows = signatures_of(np.tile(np.arange(1000), (5, 1)))
    draw_distances(rows, Loss("vi"), np.arange(2))
    tracemalloc.start()
    found = draw_distances(rows, Loss("vi"), np.arange(5))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6e6
    np.testing.assert_array_equal(found, 0)


def test_memory_of_losses_is_that_of_some_draws():
    """Tables of all draws at once would be 320 MB of integers, and as much of numbers."""
    rows = signatures_of(np.tile(np.arange(100), (4000, 1)))
    draw_losses(np.zeros(len(rows), int), rows, Loss("vi"))
    tracemalloc.start()
    draw_losses(np.arange(len(rows)), rows, Loss("vi"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e7


@pytest.mark.parametrize("loss", [*(Loss(name) for name in LOSSES), loss_of("binder", (1, 4))])
def test_best_draws_are_those_of_least_expected_loss(loss):
    z = draws(60, 30)
    rows = signatures_of(z)
    losses = [expected_loss(own, rows, loss) for own in rows.label.T]
    np.testing.assert_array_equal(best_draws(rows, loss, 5), np.argsort(losses)[:5])
    assert len(best_draws(rows, loss, 100)) == 60


@pytest.mark.parametrize("name", LOSSES)
def test_screened_draws_are_the_best(name, monkeypatch):
    """On fewer rows and against fewer draws than there are: three with fewer rows moved."""
    z, plain = draws(100, 3000), np.arange(3000) % 4
    for share, s in zip((0.03, 0.1, 0.2), (57, 8, 91), strict=True):
        z[s] = np.where(np.random.default_rng(s).random(3000) < share, z[s], plain)
    rows, loss = signatures_of(z), Loss(name)
    monkeypatch.setattr("bayesmix.partitions.draw_candidates._MOST_COUNTS", 100 * 500 * 40)
    monkeypatch.setattr("bayesmix.partitions.draw_candidates._ENOUGH_ROWS", 500)
    np.testing.assert_array_equal(best_draws(rows, loss, 3), [57, 8, 91])
