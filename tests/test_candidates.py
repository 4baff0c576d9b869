"""Partitions to start from, against SciPy's cuts of all pairs of rows, and all draws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from bayesmix.partitions.agreement import agreement_square
from bayesmix.partitions.candidates import candidates
from bayesmix.partitions.cut_losses import cut_losses
from bayesmix.partitions.linkage import MergeTree, cuts, merges
from bayesmix.partitions.losses import LOSSES, Loss, loss_of
from bayesmix.partitions.search import search
from bayesmix.partitions.signatures import Signatures, signatures_of
from bayesmix.partitions.tables import expected_loss

EVERY = [
    *(Loss(name) for name in LOSSES),
    *(loss_of(name, costs) for name in ("vi", "binder") for costs in [(1, 3), (4, 1)]),
]
every_loss = pytest.mark.parametrize("loss", EVERY, ids=lambda own: f"{own.name}-{own.split}")
METHODS = ["average", "complete"]
MOST_LINKED = "bayesmix.partitions.candidates._MOST_LINKED"


def draws(s: int, n: int, k: int, *, moved: float = 0.3) -> np.ndarray:
    """Labels (S, n): one partition into k, some of its rows moved."""
    rng = np.random.default_rng([s, n, k])
    return np.where(rng.random((s, n)) < moved, rng.integers(k + 1, size=(s, n)), np.arange(n) % k)


def repeated(z: np.ndarray) -> np.ndarray:
    """Some rows many times, others once."""
    rng = np.random.default_rng(len(z))
    return z[:, rng.permutation(np.repeat(np.arange(z.shape[1]), rng.integers(1, 6, z.shape[1])))]


def tree_of(rows: Signatures, method) -> MergeTree:
    return merges(1 - agreement_square(rows.label), rows.weight, method)


def cuts_of_rows(z: np.ndarray, method: str) -> list[np.ndarray]:
    """Labels (n,) of SciPy's cuts into every number of clusters."""
    apart = 1 - (z[:, :, None] == z[:, None, :]).mean(axis=0)
    tree = linkage(squareform(apart), method)
    return [fcluster(tree, k, "maxclust") - 1 for k in range(1, z.shape[1] + 1)]


def losses_of(labels, z: np.ndarray, loss: Loss) -> np.ndarray:
    rows = signatures_of(z).expanded()
    return np.array([expected_loss(own, rows, loss) for own in labels])


@every_loss
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("s", "n", "k"), [(1, 5, 2), (30, 25, 4), (130, 40, 9), (20, 60, 70)])
def test_losses_of_cuts_are_those_of_their_labels(loss, method, s, n, k):
    """Columns of many weights; more draws than a task has; more clusters than are often met."""
    rows = signatures_of(repeated(draws(s, n, k)))
    tree, u = tree_of(rows, method), len(rows)
    found = cut_losses(tree, rows, loss, u)
    expected = [expected_loss(own, rows, loss) for own in cuts(tree, np.arange(1, u + 1))]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_array_equal(cut_losses(tree, rows, loss, (u + 1) // 2), found[: (u + 1) // 2])


@every_loss
def test_losses_of_cuts_of_a_chain(loss):
    """The deepest tree that there is: one column after the other leaves."""
    rows = signatures_of(draws(20, 300, 5))
    pair = np.column_stack([np.append(0, 300 + np.arange(298)), np.arange(1, 300)])
    tree = MergeTree(np.sort(pair, axis=1), np.arange(299.0))
    expected = [expected_loss(own, rows, loss) for own in cuts(tree, np.arange(1, 301))]
    np.testing.assert_allclose(cut_losses(tree, rows, loss, 300), expected, atol=1e-12)


def test_losses_of_cuts_of_one_column():
    rows = signatures_of(np.zeros((3, 4), int))
    assert len(rows) == 1
    np.testing.assert_array_equal(cut_losses(tree_of(rows, "average"), rows, Loss("vi"), 1), [0])


@every_loss
@pytest.mark.parametrize(("s", "n", "k", "moved"), [(80, 60, 4, 0.3), (501, 90, 3, 0.5)])
def test_best_cuts_of_all_rows_are_among_them(loss, s, n, k, moved):
    """Whatever number of clusters they have; a search from them alone is no worse."""
    z = repeated(draws(s, n, k, moved=moved))
    rows = signatures_of(z)
    assert n <= len(rows) + 1 < z.shape[1]
    starts = candidates(rows, loss, None)
    found = losses_of((own[rows.of_row] for own in starts), z, loss)
    best = [losses_of(cuts_of_rows(z, method), z, loss).min() for method in METHODS]
    for expected in best:
        assert np.abs(found - expected).min() < 1e-10
    ends = search(rows, loss, starts, n_runs=1, generator=np.random.default_rng(0))
    assert ends.expected_loss <= min(*best, found.min()) + 1e-12


@pytest.mark.parametrize("name", LOSSES)
def test_cuts_may_have_many_more_clusters_than_draws(name):
    """Splits that cost next to nothing: every draw has two clusters, the best cut far more."""
    z = np.random.default_rng(0).integers(2, size=(40, 50))
    loss = loss_of(name) if name == "omari" else loss_of(name, (20, 1))
    rows = signatures_of(z)
    starts = candidates(rows, loss, None)
    found = losses_of((own[rows.of_row] for own in starts), z, loss)
    for method in METHODS:
        losses = losses_of(cuts_of_rows(z, method), z, loss)
        assert found.min() <= losses.min() + 1e-12
        if name != "omari":
            assert losses.argmin() + 1 > 20


@every_loss
def test_linked_columns_keep_their_cut(loss, monkeypatch):
    """Of more columns than are linked: a cut of the sample, and all others go where they belong."""
    z = draws(60, 200, 4, moved=0.7)
    rows = signatures_of(z)
    assert len(rows) == 200
    monkeypatch.setattr(MOST_LINKED, 50)
    at = np.linspace(0, 199, 50).astype(int)
    starts = candidates(rows, loss, None)
    few = signatures_of(z[:, at])
    expected = [own[few.of_row] for own in candidates(few, loss, None)[-4:]]
    for own, cut in zip(starts[-4:], expected, strict=True):
        np.testing.assert_array_equal(own[at], cut)
        together = (z[:, :, None] == z[:, None, at]).mean(axis=0)
        affinity = np.stack([together[:, cut == j].mean(axis=1) for j in range(cut.max() + 1)])
        others = np.setdiff1d(np.arange(200), at)
        chosen = affinity[own[others], others]
        np.testing.assert_allclose(chosen, affinity[:, others].max(axis=0), atol=1e-12)
    ends = search(rows, loss, starts, n_runs=1, generator=np.random.default_rng(0))
    assert ends.expected_loss <= losses_of(starts, z, loss).min() + 1e-12


@every_loss
def test_best_draws_come_first(loss):
    z = draws(60, 30, 4)
    rows = signatures_of(z)
    best = np.argsort(losses_of(rows.label[rows.of_row].T, z, loss), kind="stable")
    found = candidates(rows, loss, None)
    assert len(found) == 8
    for own, s in zip(found, best[:4], strict=False):
        np.testing.assert_array_equal(own, rows.label[:, s])


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("most", [1, 2, 4])
def test_what_has_more_clusters_is_left_out(name, most):
    z = draws(60, 30, 4)
    rows = signatures_of(z)
    found = candidates(rows, Loss(name), most)
    assert found
    assert max(own.max() + 1 for own in found) <= most
    best = losses_of((own[rows.of_row] for own in found), z, Loss(name)).min()
    for method in METHODS:
        some = losses_of(cuts_of_rows(z, method)[:most], z, Loss(name))
        assert best <= some.min() + 1e-12
