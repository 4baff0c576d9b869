"""Compact labels and distinct columns against NumPy, whatever numbers labels are."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from bayesmix import threads
from bayesmix.partitions import signatures
from bayesmix.partitions.signatures import Signatures, signatures_of
from tests.exact_partitions import in_order_of_appearance


def draws(s: int, n: int, k: int) -> np.ndarray:
    """Labels (S, n) from 0 to k - 1, every row twice."""
    z = np.random.default_rng([s, n, k]).integers(k, size=(s, n))
    return np.concatenate([z, z[:, ::-1]], axis=1)


def assert_signatures_of(rows: Signatures, z: np.ndarray) -> None:
    """Clusters in order of appearance, columns told once in order of appearance."""
    compact = np.array([in_order_of_appearance(own) for own in z])
    np.testing.assert_array_equal(rows.label[rows.of_row].T, compact)
    np.testing.assert_array_equal(rows.n_clusters, compact.max(axis=1) + 1)
    np.testing.assert_array_equal(rows.weight, np.bincount(rows.of_row))
    distinct, first = np.unique(compact.T, axis=0, return_index=True)
    assert len(rows) == len(distinct)
    np.testing.assert_array_equal(rows.label, compact.T[np.sort(first)])
    assert rows.label.dtype == np.min_scalar_type(compact.max())
    assert rows.label.flags.c_contiguous


TYPES = [np.int8, np.uint8, np.int16, np.int32, np.uint32, np.int64, np.uint64]


@pytest.mark.parametrize("kind", TYPES, ids=lambda own: own.__name__)
def test_labels_to_the_ends_of_their_type(kind):
    """Draws at either end of all numbers, draws from end to end, and draws in the middle."""
    ends, z = np.iinfo(kind), draws(4, 60, 5)
    low, high = ends.min + z.astype(object), ends.max - z.astype(object)
    apart = np.where(z < 2, low, high)
    for label in (low, high, apart, z, np.concatenate([low, z, apart, high])):
        assert_signatures_of(signatures_of(label.astype(kind)), label)


@pytest.mark.parametrize("n", [1, 50, 4097, 5000])
@pytest.mark.parametrize("width", [255, 256, 257, 4095, 4096, 4097, 40_000])
def test_labels_of_any_width(n, width):
    """On both sides of what is looked up in a table: the widest label, and the least, are there."""
    z = np.random.default_rng([n, width]).integers(width, size=(3, n))
    z[1, [0, -1]] = width - 1, 0
    for offset in (0, -7, 100_000):
        assert_signatures_of(signatures_of(z + offset), z)


def test_every_row_alone_in_some_draws():
    """More clusters than 16 bits can tell, next to a draw of one."""
    z = np.stack([np.zeros(70_000, int), np.random.default_rng(0).permutation(70_000)])
    rows = signatures_of(z - 5)
    np.testing.assert_array_equal(rows.n_clusters, [1, 70_000])
    np.testing.assert_array_equal(rows.label.T, [z[0], np.arange(70_000)])


@pytest.mark.parametrize("order", ["C", "F", "strided", "fixed"])
def test_labels_in_any_layout_are_left_alone(order):
    z = draws(70, 30, 4)
    label = np.asarray(z, order="F" if order == "F" else "C")
    if order == "strided":
        label = np.repeat(np.repeat(z, 2, axis=0), 3, axis=1)[::2, ::3]
    label.flags.writeable = order != "fixed"
    assert_signatures_of(signatures_of(label), z)
    np.testing.assert_array_equal(label, z)


@pytest.mark.parametrize(
    "label",
    [
        np.zeros((4, 9), np.int16, order=order)[::step]
        for order, step in [("C", 1), ("F", 1), ("C", 2)]
    ],
    ids=["C", "F", "strided"],
)
def test_nothing_is_compiled_by_threads(label, monkeypatch):
    """What threads call has been compiled before, for just these types and layouts."""
    known = [signatures._name, signatures._rename, signatures._digest]
    seen = []

    def run(task, count):
        before = [len(kernel.signatures) for kernel in known]
        for i in range(count):
            task(i)
        seen.append(before == [len(kernel.signatures) for kernel in known])

    for module in (signatures, threads):  # by itself, and by way of run_slices
        monkeypatch.setattr(module, "run_tasks", run)
    signatures_of(label)
    assert seen == [True] * 3


@pytest.mark.parametrize(
    ("shape", "least", "width"),
    [
        ((100, 20_000), -1, 15),
        ((100, 20_000), 5000, 15),
        ((100, 20_000), 0, 4000),
        ((500, 4096), 0, 4096),
        ((20_000, 50), 0, 4096),
        ((20_000, 50), -(2**40), 2**50),
    ],
)
def test_memory_is_of_the_order_of_compact_labels(shape, least, width):
    """A few bytes for each label, and not eight, whatever the labels are."""
    few = np.random.default_rng(0).integers(12, size=shape) * (width // 12) + least
    few[0, :2] = least, least + width - 1
    signatures_of(few[:3])
    tracemalloc.start()
    signatures_of(few)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * few.size + 100 * (shape[1] + 8 * shape[0])


def test_splits_of_columns_keep_their_rows():
    z, own = draws(9, 40, 3), np.arange(80) % 3
    rows = signatures_of(z)
    split, label = rows.split(own)
    np.testing.assert_array_equal(label[split.of_row], own)
    np.testing.assert_array_equal(split.label[split.of_row], rows.label[rows.of_row])
    np.testing.assert_array_equal(split.weight, np.bincount(split.of_row))
    assert len(split) == len(np.unique(np.stack([rows.of_row, own]), axis=1).T)
