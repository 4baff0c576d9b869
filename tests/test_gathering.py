"""Several partitions of one posterior: told apart by clusters, with the shares of all draws."""

from __future__ import annotations

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.partitions import gathering
from bayesmix.partitions.gathering import gatherings
from bayesmix.partitions.losses import loss_of
from bayesmix.partitions.signatures import signatures_of
from tests.exact_partitions import in_order_of_appearance

WHOLE = np.repeat([0, 1], 30)
HALVES = np.r_[np.repeat([0, 2], 15), np.ones(30, int)]


def noisy(truth: np.ndarray, draws: int, seed: int = 0) -> np.ndarray:
    """Draws about a partition, 3 % of the rows elsewhere, (draws, n)."""
    rng = np.random.default_rng(seed)
    label = np.tile(truth, (draws, 1))
    moved = rng.uniform(size=label.shape) < 0.03
    label[moved] = rng.integers(truth.max() + 1, size=moved.sum())
    return label


def found(draws: np.ndarray, *, loss: str = "vi", most: int | None = None) -> list:
    rows = signatures_of(draws)
    return gatherings(rows, loss_of(loss), most, np.random.default_rng(1))


@pytest.mark.parametrize("loss", ["vi", "binder", "omari"])
def test_shares_and_losses_are_those_of_all_draws(loss, monkeypatch):
    """Of 600 draws every third splits a cluster: thinned evenly, they would be another share."""
    monkeypatch.setattr(gathering, "_MOST_DRAWS", 100)
    draws = noisy(WHOLE, 600)
    draws[::3] = noisy(HALVES, 200, seed=1)
    first, second = found(draws, loss=loss)
    assert (first.share, second.share) == pytest.approx((2 / 3, 1 / 3))
    for own, truth, which in (
        (first, WHOLE, np.arange(600) % 3 > 0),
        (second, HALVES, slice(0, None, 3)),
    ):
        np.testing.assert_array_equal(
            in_order_of_appearance(own.label), in_order_of_appearance(truth)
        )
        if loss == "vi":
            expected = bm.variation_of_information(truth, draws[which]).mean()
            assert own.expected_loss == pytest.approx(expected, rel=1e-10)


def test_no_partition_has_more_clusters_than_allowed():
    draws = np.concatenate([noisy(np.repeat([0, 1, 2, 3], 15), 60), noisy(WHOLE[::-1] * 0, 60)])
    assert [own.label.max() + 1 for own in found(draws)] == [1, 4]
    assert [own.label.max() + 1 for own in found(draws, most=2)] == [1, 2]


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 0, 2], [2, 1, 0]])
def test_same_clusters_by_way_of_others_are_the_same(order):
    """A border that moves by 5 rows of 40, and again; a third cluster is another matter."""
    cuts = [np.repeat([0, 1], [k, 40 - k]) for k in (20, 15, 10)]
    rows = signatures_of(np.stack([cuts[i] for i in order]))
    assert gathering._same_clusters(rows).tolist() == [0, 0, 0]
    other = np.repeat([0, 1, 2], [20, 10, 10])
    rows = signatures_of(np.stack([cuts[0], other, cuts[1]]))
    assert gathering._same_clusters(rows).tolist() == [0, 1, 0]


def test_one_cloud_is_no_gathering():
    assert found(noisy(WHOLE, 100)) == []
