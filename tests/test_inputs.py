"""Law 8 at the door: tables, row weights and seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.inputs import (
    Table,
    as_generator,
    as_table,
    as_weights,
    require_count,
    require_full_rank,
)

GOOD = np.arange(6.0).reshape(3, 2)


@pytest.mark.parametrize(
    ("x", "match"),
    [
        (
            [[1.0, np.nan], [2.0, 3.0]],
            r"column 'x1' has 1 value\(s\) that are NaN \(first in row 0",
        ),
        (
            [[1.0, 2.0], [np.inf, 3.0]],
            r"column 'x0' has 1 value\(s\) that are inf \(first in row 1",
        ),
        (pd.DataFrame({"a": [1.0, None]}), "column 'a' has 1 .*NaN.*drop or impute"),
        (pd.DataFrame({"a": [1.0], "b": ["text"]}), "column 'b' is not numeric .*leave it out"),
        (pd.DataFrame({"a": pd.to_datetime(["2020-01-01"])}), "column 'a' is not numeric"),
        (pd.DataFrame({"a": pd.Categorical(["u", "v"])}), "column 'a' is not numeric"),
        (pd.DataFrame({"a": [1, "2"]}, dtype=object), "column 'a' is not numeric"),
        (pd.DataFrame({"a": [1 + 2j]}), "column 'a' is not numeric"),
        (pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}), "column 'a' has 1 .*NaN"),
        (
            pd.DataFrame([[1.0, 2.0]], columns=["a", "a"]),
            "expected distinct column names, got a, a",
        ),
        (
            pd.DataFrame({"a": []}, dtype=float),
            r"at least one row and one column, got shape \(0, 1",
        ),
        (np.empty((0, 2)), r"got shape \(0, 2\)"),
        (np.empty((3, 0)), r"got shape \(3, 0\)"),
        ([], r"at least one row and one column, got shape \(0, 1\)"),
        (np.zeros((2, 2, 2)), "expected a table of rows and columns, got 3 dimensions"),
        (1.0, "expected a table of rows and columns, got 0 dimensions"),
        ("faithful", "expected numbers, got an array of dtype <U8"),
        ([["a", "b"]], "expected numbers, got an array of dtype"),
        (np.array([[1, 2]], dtype=object), r"dtype object; convert it with astype\(float\)"),
        ([[1.0, None]], "dtype object"),
        (None, "dtype object"),
        (np.array([[1 + 1j]]), "expected real numbers, got complex ones"),
        (np.array([["2020-01-01"]], dtype="datetime64[D]"), "expected numbers, got an array"),
    ],
)
def test_bad_tables_get_one_line(x, match):
    with pytest.raises(ValueError, match=match) as caught:
        as_table(x)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("x: ")
    with pytest.raises(ValueError, match=r"^x_new: "):
        as_table(x, name="x_new")
    # the same door everywhere
    with pytest.raises(ValueError, match=match):
        bm.fit_em(bm.Mixture(bm.Dirichlet(1)), x)
    with pytest.raises(ValueError, match=match):
        bm.fraley_raftery(x, 1)


@pytest.mark.parametrize(
    ("x", "features"),
    [
        (GOOD, ("x0", "x1")),
        (GOOD.tolist(), ("x0", "x1")),
        (np.asfortranarray(GOOD), ("x0", "x1")),
        (GOOD.astype(np.float32), ("x0", "x1")),
        (GOOD.astype(np.uint8), ("x0", "x1")),
        (GOOD.astype(np.longdouble), ("x0", "x1")),
        (pd.DataFrame(GOOD, columns=["b", 7]), ("b", "7")),
        (pd.DataFrame(GOOD.astype(int), columns=["a", "b"]).convert_dtypes(), ("a", "b")),
    ],
)
def test_tables_are_widened_and_named(x, features):
    table = as_table(x)
    assert table.values.dtype == np.float64
    assert table.values.flags.c_contiguous
    np.testing.assert_array_equal(table.values, GOOD)
    assert table.features == features
    np.testing.assert_array_equal(table.index, range(3))
    assert as_table(table) is table


def test_one_dimension_is_one_feature():
    for x in (np.arange(3.0), [0.0, 1.0, 2.0]):
        table = as_table(x)
        assert table.values.shape == (3, 1)
        assert table.features == ("x0",)
    table = as_table(pd.Series([1.0, 2.0], name="height", index=["p", "q"]))
    assert table.features == ("height",)
    assert table.values.shape == (2, 1)
    np.testing.assert_array_equal(table.index, ["p", "q"])


def test_booleans_count_as_numbers():
    np.testing.assert_array_equal(as_table([[True, False]]).values, [[1.0, 0.0]])


def test_the_argument_is_neither_changed_nor_shared():
    x = GOOD.copy()
    as_table(x).values[:] = -1
    np.testing.assert_array_equal(x, GOOD)
    frame = pd.DataFrame(GOOD)
    np.testing.assert_array_equal(as_table(frame).values, frame)


@pytest.mark.parametrize(
    ("weights", "match"),
    [
        ([1.0, 2.0], r"expected shape \(3,\), got \(2,\)"),
        ([[1.0, 2.0, 3.0]], r"expected shape \(3,\), got \(1, 3\)"),
        (1.0, r"expected shape \(3,\), got \(\)"),
        ([1.0, -1e-9, 1.0], "expected finite weights of at least 0"),
        ([1.0, np.nan, 1.0], "expected finite weights of at least 0"),
        ([1.0, np.inf, 1.0], "expected finite weights of at least 0"),
        ([0, 0, 0], "at least one weight above 0, got only zeros"),
        (["a", "b", "c"], "expected numbers, got an array of dtype <U1"),
        ([1.0, None, 1.0], "expected numbers, got an array of dtype object"),
        ([1 + 1j, 1, 1], "expected numbers, got an array of dtype complex128"),
    ],
)
def test_bad_row_weights(weights, match):
    with pytest.raises(ValueError, match="^sample_weight: .*" + match) as caught:
        as_weights(weights, 3)
    assert "\n" not in str(caught.value)


def test_row_weights():
    assert as_weights(None, 3) is None
    found = as_weights([0, 1, 2], 3)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [0, 1, 2])


@pytest.mark.parametrize("seed", [0, np.int64(3), np.random.SeedSequence(3), None])
def test_seeds(seed):
    assert isinstance(as_generator(seed), np.random.Generator)


def test_generators_pass_through_and_equal_seeds_agree():
    generator = np.random.default_rng(1)
    assert as_generator(generator) is generator
    assert as_generator(5).random() == as_generator(np.int32(5)).random()


@pytest.mark.parametrize(
    ("seed", "error", "match"),
    [
        (-1, ValueError, "expected a number of at least 0, got -1"),
        (np.int64(-7), ValueError, "expected a number of at least 0, got -7"),
        (np.random.RandomState(0), TypeError, r"RandomState; use numpy.random.default_rng\(seed\)"),
        ("7", TypeError, "expected None, an int, a SeedSequence or a numpy Generator, got '7'"),
        (1.5, TypeError, "got 1.5"),
    ],
)
def test_bad_seeds(seed, error, match):
    with pytest.raises(error, match="^random seed: .*" + match):
        as_generator(seed)


@pytest.mark.parametrize("value", [0, -1, 2.0, "2", None, np.nan])
def test_bad_counts(value):
    with pytest.raises(ValueError, match=f"^draws: expected a whole number .*got {value!r}"):
        require_count(value, "draws")


def test_table_is_frozen():
    table = Table(GOOD, ("a", "b"), np.arange(3))
    with pytest.raises(AttributeError):
        table.features = ()


@pytest.mark.parametrize("scale", [1e160, 1e-170])
def test_scales_beyond_floating_point_are_named(scale):
    x = scale * np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 5.0]])
    with pytest.raises(ValueError, match=r"^x: the squares of its values are beyond .* rescale"):
        require_full_rank(as_table(x), "a test")
