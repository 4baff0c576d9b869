"""Credible balls by their definition: every draw's distance, and the farthest of those inside."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm
from bayesmix.partitions.ball import Bound, CredibleBall, credible_ball
from bayesmix.partitions.losses import LOSSES, Loss, loss_of
from bayesmix.partitions.signatures import signatures_of
from tests.exact_partitions import in_order_of_appearance, set_partitions


def ball(label: np.ndarray, z: np.ndarray, loss: Loss, prob: float) -> CredibleBall:
    """One column for each row: the estimate may tell apart what no draw does."""
    return credible_ball(label, signatures_of(z).expanded(), loss, prob)


def distance(a: np.ndarray, b: np.ndarray, loss: str) -> float:
    """By scikit-learn, or pair by pair: ordered pairs of rows that only one puts together."""
    if loss == "vi":
        return float(bm.variation_of_information(a, b))
    if loss == "omari":
        return 1 - float(adjusted_rand_score(a, b))
    return float(((a[:, None] == a) != (b[:, None] == b)).mean())


def partitions(labels: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(own.tolist()) for own in in_order_of_appearance(labels)}


def check_bound(found: Bound, some: np.ndarray, far: np.ndarray, z: np.ndarray) -> None:
    """The bound is the farthest of some draws, all of them, each once."""
    expected = some[np.isclose(far[some], far[some].max(), rtol=0, atol=1e-9)]
    assert partitions(found.labels) == partitions(z[expected])
    assert len(found.labels) == len(partitions(found.labels))
    assert partitions(z[found.draws]) == partitions(found.labels)
    assert found.distance == pytest.approx(far[some].max(), abs=1e-12)
    np.testing.assert_array_equal([len(set(own)) for own in found.labels], found.n_clusters)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("n", [1, 2, 5, 7])
def test_by_definition(loss, n):
    """Few values of the distance, so that many draws are as far as others."""
    rng, every = np.random.default_rng(n), set_partitions(n)
    for prob in (0.05, 0.5, 0.83, 1.0):
        some = every[rng.integers(len(every), size=12)]
        z = some[rng.integers(len(some), size=60)]
        label = every[rng.integers(len(every))]
        found = ball(label, z, loss_of(loss), prob)
        far = np.array([distance(label, own, loss) for own in z])
        np.testing.assert_allclose(found.distance, far, atol=1e-12)
        radii = [r for r in np.unique(far) if np.mean(far <= r + 1e-9) >= prob - 1e-9]
        assert found.radius == pytest.approx(min(radii), abs=1e-12)
        inside = np.flatnonzero(far <= found.radius + 1e-9)
        assert found.share == pytest.approx(len(inside) / len(z))
        assert found.share >= prob
        k = np.array([len(np.unique(own)) for own in z])
        np.testing.assert_array_equal(found.n_clusters, k)
        check_bound(found.horizontal, inside, far, z)
        check_bound(found.upper, inside[k[inside] == k[inside].min()], far, z)
        check_bound(found.lower, inside[k[inside] == k[inside].max()], far, z)


def test_by_hand():
    """Four rows, two pairs: of ten draws one splits a pair, one all, one puts all together."""
    pairs, split, apart, one = [0, 0, 1, 1], [0, 0, 1, 2], [0, 1, 2, 3], [0, 0, 0, 0]
    z = np.array([pairs] * 7 + [split, apart, one])
    half, nine, whole = (ball(np.array(pairs), z, loss_of("vi"), p) for p in (0.5, 0.8, 1))
    assert (half.radius, nine.radius, whole.radius) == (0, 0.5, 1)
    np.testing.assert_array_equal(half.horizontal.labels, [pairs])
    np.testing.assert_array_equal(nine.horizontal.labels, [[0, 0, 2, 3]])  # half is not more
    np.testing.assert_array_equal(nine.upper.labels, [pairs])
    np.testing.assert_array_equal(nine.lower.draws, [7])
    np.testing.assert_array_equal(whole.horizontal.draws, [8, 9])  # one bit either way
    np.testing.assert_array_equal(whole.upper.labels, [[2, 2, 2, 2]])  # half of it is neither pair
    np.testing.assert_array_equal(whole.lower.labels, [[2, 3, 4, 5]])
    np.testing.assert_allclose(whole.distance[-3:], [(2 * log2(2)) / 4, 1, 1])


def test_bounds_have_the_names_of_the_estimate():
    label = np.repeat([0, 1, 2], [10, 6, 4])
    z = np.repeat([5, 7, 7, 0, 3, 1], [9, 1, 5, 1, 2, 2])[None]  # 9; 1 + 5; 1; 2; 2 rows
    found = ball(label, z, loss_of("vi"), 1.0).horizontal.labels[0]
    np.testing.assert_array_equal(found, np.repeat([0, 1, 1, 5, 3, 4], [9, 1, 5, 1, 2, 2]))


@pytest.mark.parametrize("loss", LOSSES)
def test_twenty_of_many_that_are_as_far(loss):
    """Another row leaves in every draw: 40 bounds."""
    label = np.repeat(np.arange(4), 10)
    z = np.tile(label, (400, 1))
    z[np.arange(400), np.arange(400) % 40] = 9
    found = ball(label, z, loss_of(loss), 0.95)
    assert found.horizontal.labels.shape == (20, 40)
    moved = found.horizontal.labels != label
    np.testing.assert_array_equal(moved.sum(axis=1), 1)
    np.testing.assert_array_equal(found.horizontal.labels[moved], 4)


def test_rounding_does_not_tell_equal_distances_apart():
    """One of nine clusters of seven broken into three and four: sums in nine orders."""
    label = np.repeat(np.arange(9), 7)
    z = np.tile(label, (9, 1))
    for j, own in enumerate(z):
        own[7 * j : 7 * j + 3] = 9
    found = ball(label, z, loss_of("vi"), 0.1)
    assert len(np.unique(found.distance)) > 1
    np.testing.assert_allclose(found.distance, found.radius, atol=1e-14)
    np.testing.assert_array_equal(found.horizontal.draws, np.arange(9))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("s", [1, 30])
def test_draws_all_equal(loss, s):
    z = np.tile([3, 3, 1, 2, 1], (s, 1))
    found = ball(np.array([0, 0, 1, 2, 1]), z, loss_of(loss), 0.95)
    assert found.radius == 0
    for bound in (found.horizontal, found.upper, found.lower):
        np.testing.assert_array_equal(bound.labels, [[0, 0, 1, 2, 1]])
        assert (bound.distance, *bound.n_clusters, *bound.draws) == (0, 3, 0)


def test_share_is_not_rounded_up():
    """0.07 of 100 draws is 7, whatever floating point says."""
    label = np.array([0, 0, 1, 1])
    z = np.array([label] * 7 + [[0, 0, 0, 1]] * 93)
    assert ball(label, z, loss_of("vi"), 0.07).radius == 0
    assert ball(label, z, loss_of("vi"), 0.071).radius > 0


def test_unequal_costs_measure_the_distance_of_equal_ones():
    rng = np.random.default_rng(4)
    z = rng.integers(3, size=(50, 12))
    found, equal = (ball(z[0] * 0, z, loss_of("vi", costs), 0.9) for costs in ((5, 1), (1, 1)))
    np.testing.assert_array_equal(found.distance, equal.distance)
    assert found.radius == equal.radius


def test_equal_columns_count_as_often_as_they_occur():
    rng = np.random.default_rng(6)
    which = rng.permutation(np.repeat(np.arange(6), [1, 9, 2, 7, 3, 1]))
    z = rng.integers(3, size=(40, 6))[:, which]
    label = (np.arange(6) % 3)[which]
    rows = signatures_of(z)
    own = label[np.unique(rows.of_row, return_index=True)[1]]
    found = credible_ball(own, rows, loss_of("vi"), 0.8)
    expected = ball(label, z, loss_of("vi"), 0.8)
    np.testing.assert_allclose(found.distance, expected.distance, atol=1e-12)
    for edge in ("horizontal", "upper", "lower"):
        got, want = getattr(found, edge), getattr(expected, edge)
        np.testing.assert_array_equal(got.labels, want.labels)
        np.testing.assert_array_equal(got.draws, want.draws)
