"""Chunks of rows: what counts as one, what is refused, what is read without a copy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.rows import Chunks
from tests.support import blobs

X = blobs(60, 2, 2)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (lambda: X, r"x, chunk 0: expected a table \(m, D\), got shape \(2,\); give a function "),
        (lambda: [X, X[:, 0]], r"x, chunk 1: expected a table \(m, D\), got shape \(60,\)"),
        (lambda: pd.DataFrame(X), r"x, chunk 0: expected a table \(m, D\), got shape \(\)"),
        (lambda: [None], r"x, chunk 0: expected a table \(m, D\), got shape \(\)"),
        (lambda: None, r"x: expected a function that returns chunks of rows, .* NoneType"),
        (lambda: [X, X[:, :1]], r"x, chunk 1: expected 2 column\(s\), .* got 1"),
        (lambda: [X, np.empty((0, 3))], r"x, chunk 1: expected 2 column\(s\), .* got 3"),
        (lambda: [np.empty((0, 2))], "x: expected at least one chunk of rows, got only empty ones"),
        (lambda: [], "x: expected at least one chunk of rows, got none"),
        (lambda: [np.empty((3, 0))], "x, chunk 0: expected at least one column"),
        (
            lambda: [pd.DataFrame(X, columns=["a", "b"]), pd.DataFrame(X, columns=["b", "a"])],
            r"x, chunk 1: expected the columns of the first chunk, \['a', 'b'\], got \['b', 'a'\]",
        ),
        (lambda: [X, [[1.0, np.nan]]], "x, chunk 1: column 'x1' has 1 .*NaN"),
        (lambda: [X, np.float32([[np.inf, 0]])], "x, chunk 1: column 'x0' has 1 .*inf"),
        (lambda: [X.astype(str)], "x, chunk 0: expected numbers"),
    ],
)
def test_bad_chunks_get_one_line(source, message):
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        Chunks(source)
    assert "\n" not in str(caught.value)


def test_a_function_that_hands_out_one_iterator_is_found_out():
    once = iter([X])
    chunks = Chunks(lambda: once)
    with pytest.raises(ValueError, match="the same 60 rows at every reading, got 0"):
        list(chunks)


def test_empty_chunks_are_skipped():
    empty = pd.DataFrame({"a": [], "b": []})
    frames = [empty, pd.DataFrame(X, columns=["a", "b"]), empty]
    chunks = Chunks(lambda: frames)
    assert chunks.shape == (60, 2)
    assert chunks.features == ("a", "b")
    assert [len(values) for values in chunks] == [60]
    assert Chunks([np.empty((0, 2)), X]).features == ("x0", "x1")


def test_arrays_are_only_counted_beside_frames():
    assert len(Chunks([pd.DataFrame(X, columns=["a", "b"]), X])) == 120
    assert len(Chunks([X, pd.DataFrame(X, columns=["a", "b"])])) == 120


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_arrays_of_floats_are_not_copied(kind):
    arrays = [X.astype(kind), np.asfortranarray(X, dtype=kind)]
    for given, read in zip(arrays, Chunks(arrays), strict=True):
        assert read.dtype == kind
        assert np.shares_memory(given, read)


def test_a_source_may_refill_one_buffer():
    def source():
        buffer = np.empty((1, 2))
        for row in X:
            buffer[0] = row
            yield buffer

    fits = [bm.GaussianMixture(2, random_state=1).fit(rows).lower_bound_ for rows in (source, X)]
    assert fits[0] == pytest.approx(fits[1], rel=1e-12)


FRAME = pd.DataFrame(X, columns=["a", "b"])


def test_frames_name_the_features_and_are_held_to_the_names():
    estimator = bm.GaussianMixture(2, random_state=1).fit(lambda: [FRAME])
    assert estimator.feature_names_in_.tolist() == ["a", "b"]
    assert estimator.to_datatree()["point_estimate"]["feature"].values.tolist() == ["a", "b"]
    np.testing.assert_array_equal(estimator.predict(lambda: [FRAME]), estimator.predict(FRAME))
    for rows in (FRAME[["b", "a"]], lambda: [FRAME[["b", "a"]]]):
        with pytest.raises(ValueError, match="feature names should match"):
            estimator.predict(rows)
    for unnamed in (X, lambda: [X]):
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            estimator.predict(unnamed)


@pytest.mark.parametrize("rows", [lambda: [X], lambda: [pd.DataFrame(X)]])
def test_a_fit_to_unnamed_chunks_forgets_names(rows):
    estimator = bm.GaussianMixture(2, random_state=1).fit(FRAME)
    estimator.fit(rows)
    assert not hasattr(estimator, "feature_names_in_")
    assert estimator.n_features_in_ == 2
    with pytest.raises(ValueError, match="2 features as input"):
        estimator.predict(lambda: [X[:, :1]])


def test_a_reader_left_before_its_end_is_closed():
    closed = []

    class Reader:
        def __iter__(self):
            return iter([X, X])

        def close(self):
            closed.append(self)

    rows = iter(Chunks(Reader))
    made = len(closed)  # counting the rows has read one to its end
    next(rows)
    rows.close()
    assert made == 1
    assert len(closed) == 2
