"""Dask's arrays and DataFrames: the same fit as in memory, wherever the partitions are."""

from __future__ import annotations

import operator
import os
import signal
import sys
import time
import uuid
from functools import partial, reduce
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import bayesmix as bm
from bayesmix import passes
from bayesmix.covariance import structure_of
from bayesmix.dask_rows import DaskRows
from bayesmix.pass_parameters import PassParameters
from tests.support import blobs, random_parameters

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")

X = blobs(300, 3, 3)
FRAME = pd.DataFrame(X, columns=list("abc"))
WEIGHT = np.linspace(0, 2, len(X))
ARRAY = da.from_array(X, chunks=((70, 0, 130, 100), (2, 1)))
UNKNOWN = ARRAY[ARRAY[:, 0] > -np.inf]
TABLES = {
    "array": ARRAY,
    "unknown sizes": UNKNOWN,
    "frame": dd.from_pandas(FRAME, npartitions=3),
    "nullable frame": dd.from_pandas(FRAME.astype({"b": "Float64"}), npartitions=3),
}
ESTIMATOR = bm.GaussianMixture(3, init_params="k-means++", random_state=1)
MIXTURE = bm.Mixture(bm.Dirichlet(3))
ATTRIBUTES = ("weights_", "means_", "covariances_", "lower_bound_")


@pytest.fixture(autouse=True)
def in_this_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


def bits(fit: Any) -> list[bytes]:
    return [np.asarray(getattr(fit, name)).tobytes() for name in ATTRIBUTES]


def assert_equal_fits(found: Any, expected: Any) -> None:
    assert found.n_iter_ == expected.n_iter_
    for name in ATTRIBUTES:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-9)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["", "weighted"])
def test_a_fit_is_that_of_the_table_in_memory(structure, weight):
    plain = clone(ESTIMATOR).set_params(covariance_type=structure)
    fits = [clone(plain).fit(x, sample_weight=weight) for x in (ARRAY, X)]
    assert_equal_fits(*fits)
    walked = clone(plain).fit([X[:70], X[70:200], X[200:]], sample_weight=weight)
    assert_equal_fits(fits[0], walked)


@pytest.mark.parametrize("table", TABLES)
def test_every_kind_of_table_is_fitted_and_predicted(table):
    x = TABLES[table]
    named = "frame" in table
    given = FRAME if named else X
    fit, expected = (clone(ESTIMATOR).fit(rows) for rows in (x, given))
    assert_equal_fits(fit, expected)
    assert list(getattr(fit, "feature_names_in_", [])) == list(given.columns if named else [])
    for method in ("predict", "predict_proba", "score_samples", "outliers"):
        lazy, known = getattr(expected, method)(x), getattr(expected, method)(given)
        assert isinstance(lazy, da.Array)
        assert lazy.dtype == known.dtype
        assert lazy.shape[1:] == known.shape[1:]
        np.testing.assert_array_equal(lazy.compute(), known)
    for method in ("score", "bic", "aic", "icl"):
        assert getattr(fit, method)(x) == pytest.approx(getattr(expected, method)(given), rel=1e-12)


def test_predictions_keep_the_chunks_and_compute_nothing():
    def fail(block: np.ndarray) -> np.ndarray:
        raise AssertionError("computed")

    fit = clone(ESTIMATOR).fit(X)
    x = ARRAY.map_blocks(fail, dtype=float, meta=np.empty((0, 0)))
    assert fit.predict(x).chunks == ((70, 0, 130, 100),)
    assert fit.predict_proba(x).chunks == ((70, 0, 130, 100), (3,))
    assert fit.score_samples(x).chunks == ((70, 0, 130, 100),)
    with pytest.raises(AssertionError, match="computed"):
        fit.predict(x).compute()


@pytest.mark.parametrize("weight", [None, da.from_array(WEIGHT, chunks=50)])
def test_a_tree_has_no_data_and_no_partition_comes_to_the_caller(weight, monkeypatch):
    monkeypatch.setattr(DaskRows, "__iter__", None)
    known = None if weight is None else WEIGHT
    parts = bm.fit_em(MIXTURE, TABLES["frame"], n_init=2, random_seed=1, sample_weight=weight)
    whole = bm.fit_em(MIXTURE, FRAME, n_init=2, random_seed=1, sample_weight=known)
    assert set(parts.children) == {"point_estimate", "optimization"}
    assert parts.point_estimate.feature.values.tolist() == ["a", "b", "c"]
    for name in ("weights", "means", "covariances"):
        np.testing.assert_allclose(
            parts.point_estimate[name], whole.point_estimate[name], rtol=1e-9
        )


def test_statistics_are_added_in_the_order_of_the_partitions():
    """Partitions that end in any order lead to the bits of a sum by hand."""

    def late(block: np.ndarray, block_id: tuple[int, ...]) -> np.ndarray:
        time.sleep(0.002 * (block_id[0] * 7 % 5))
        return block

    point, full = random_parameters("full", 3, 3), structure_of("full")
    parameters = PassParameters.from_point(full, *point)
    slow = da.from_array(X, chunks=(10, 3)).map_blocks(late, meta=np.empty((0, 0)))
    cuts = [slice(i, i + 10) for i in range(0, 300, 10)]
    parts = [passes.statistics(X[cut], parameters, WEIGHT[cut]) for cut in cuts]
    for scheduler in ("synchronous", "threads"):
        with dask.config.set(scheduler=scheduler, num_workers=4):
            found = passes.statistics(DaskRows(slow), parameters, WEIGHT)
        for name in ("log_likelihood", "sizes", "first", "second"):
            by_hand = reduce(operator.add, (getattr(part, name) for part in parts))
            np.testing.assert_array_equal(getattr(found, name), by_hand)


def test_partitions_are_read_as_they_are_and_in_order():
    rows = DaskRows(ARRAY.astype(np.float32))
    assert [len(values) for values in rows] == [70, 130, 100]
    assert {values.dtype for values in rows} == {np.dtype(np.float32)}
    assert rows.map(len) == [70, 0, 130, 100]
    index = np.array([0, 69, 70, 299])
    np.testing.assert_array_equal(rows.take(index), np.float32(X[index]))
    ints = DaskRows(da.from_array(np.arange(6).reshape(3, 2), chunks=2))
    assert [values.dtype for values in ints] == [np.dtype(float)] * 2
    np.testing.assert_array_equal(np.concatenate(list(ints)), np.arange(6).reshape(3, 2))


def test_only_partitions_with_rows_to_take_are_read():
    read = []

    def noted(block: np.ndarray, block_id: tuple[int, ...]) -> np.ndarray:
        read.append(block_id[0])
        return block

    rows = DaskRows(da.from_array(X, chunks=(100, 3)).map_blocks(noted, meta=np.empty((0, 0))))
    read.clear()
    np.testing.assert_array_equal(rows.take(np.array([150, 160])), X[[150, 160]])
    assert read == [1]


def spoiled(value: float) -> np.ndarray:
    x = X.copy()
    x[250, 1] = value
    return x


SPOILED = da.from_array(spoiled(np.nan), chunks=100)
BAD = {
    "NaN": (SPOILED, "x, partition 2: column 'x1' has 1 .* NaN"),
    "inf": (da.from_array(spoiled(np.inf), chunks=100), "x, partition 2: column 'x1' has 1 .* inf"),
    "NaN in a frame": (
        dd.from_pandas(pd.DataFrame(spoiled(np.nan), columns=list("abc")), npartitions=3),
        "x, partition 2: column 'b' has 1 .* NaN",
    ),
    "text": (TABLES["frame"].assign(s="a"), "x: column 's' is not numeric"),
    "complex": (ARRAY.astype(complex), "x: expected numbers in NumPy arrays, .* complex128"),
    "masked": (da.ma.masked_less(ARRAY, 0), "x: expected numbers in NumPy arrays, .* MaskedArray"),
    "vector": (ARRAY[:, 0], r"x: expected a table \(n, D\) .* shape \(300,\)"),
    "series": (TABLES["frame"]["a"], "x: expected a Dask array .* got a Dask Series"),
    "delayed": (dask.delayed(X), "x: expected a Dask array .* got a Dask Delayed"),
    "no rows": (ARRAY[:0], "x: expected at least one row"),
    "constant": (ARRAY * np.array([1, 0, 1]), "x: column 'x1' is constant"),
    "dependent": (da.concatenate([ARRAY, ARRAY[:, :1]], axis=1), "x: the covariance of its 300"),
    "same names": (
        dd.from_pandas(FRAME.rename(columns={"b": "1", "c": 1}), npartitions=1),
        "x: expected distinct column names",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_get_one_line(case):
    x, message = BAD[case]
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        bm.fit_em(MIXTURE, x)
    assert "\n" not in str(caught.value)


def test_a_lazy_prediction_names_what_is_not_finite():
    lazy = clone(ESTIMATOR).fit(X).predict(SPOILED)
    with pytest.raises(ValueError, match=r"^X, partition 2: column 'x1' has 1 .* NaN"):
        lazy.compute()


def test_tables_are_held_to_the_fit():
    fit = clone(ESTIMATOR).fit(TABLES["frame"])
    with pytest.raises(ValueError, match="in the same order as they were in fit"):
        fit.predict(TABLES["frame"][["b", "a", "c"]])
    with pytest.raises(ValueError, match="X has 2 features, but GaussianMixture is expecting 3"):
        clone(ESTIMATOR).fit(X).predict(ARRAY[:, :2])
    with pytest.raises(ValueError, match=r"sample_weight: expected shape \(300,\), got \(299,\)"):
        fit.fit(TABLES["frame"], sample_weight=da.ones(299))


def test_a_source_of_other_rows_at_every_reading_is_found_out():
    lengths = iter([100, 100, 90])

    def source(_: np.ndarray) -> np.ndarray:
        return X[: next(lengths)]

    x = da.from_array(np.zeros((1, 3))).map_blocks(source, meta=np.empty((0, 0)), dtype=float)
    with pytest.raises(
        ValueError, match=r"^X: expected the same 100 rows of a partition .* got 90"
    ):
        clone(ESTIMATOR).fit(x)


@pytest.mark.parametrize("call", [bm.weakly_informative, partial(bm.choose_k, k=[1])])
@pytest.mark.parametrize("table", ["array", "frame"])
def test_what_needs_a_table_in_memory_says_so(call, table):
    with pytest.raises(ValueError, match=r"^x: expected a table in memory, .*x\.compute\(\)"):
        call(TABLES[table])


def test_sampling_needs_a_table_in_memory():
    mixture = bm.Mixture(bm.Dirichlet(2), bm.weakly_informative(X))
    with pytest.raises(ValueError, match=r"^x: expected a table in memory, got a Dask Array"):
        bm.sample(mixture, ARRAY)


def test_fits_of_arrays_never_import_dask(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "dask"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError):
        import dask.array  # noqa: F401
    fit = clone(ESTIMATOR).fit(X)
    fit.fit([X[:50], X[50:]]).predict(FRAME.to_numpy())


def end_once(flag: str, function: Any, values: np.ndarray, *arguments: Any) -> Any:
    """Kill the worker that comes first with the partition of the last rows, then do the work."""
    if values[-1].tolist() == X[-1].tolist():
        try:
            Path(flag).touch(exist_ok=False)
        except FileExistsError:
            pass
        else:
            os.kill(os.getpid(), signal.SIGKILL)
    return function(values, *arguments)


def noted(folder: Path, block: np.ndarray) -> np.ndarray:
    """Leave a file for every reading of a partition."""
    (folder / f"{uuid.uuid4()}.read").touch()
    return block


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_worker_killed_within_an_iteration_changes_nothing(monkeypatch, tmp_path):
    distributed = pytest.importorskip("distributed")
    source, plain, calls = da.from_array(X, chunks=(50, 3)), DaskRows.map, []
    expected = [clone(ESTIMATOR).fit(rows, sample_weight=WEIGHT) for rows in (source, X)]
    x, flag = source.map_blocks(partial(noted, tmp_path), dtype=float), tmp_path / "killed"
    for file in tmp_path.iterdir():  # from finding out what the function returns
        file.unlink()

    def map_and_kill(self: DaskRows, function: Any, *arguments: Any, **more: Any) -> list[Any]:
        calls.append(function)
        if len(calls) == 4:
            function = partial(end_once, str(flag), function)
        return plain(self, function, *arguments, **more)

    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True}
    with (
        dask.config.set(scheduler=None),
        distributed.LocalCluster(**options, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        before = set(client.run(os.getpid).values())
        assert len(before) == 2
        undisturbed = clone(ESTIMATOR).fit(x, sample_weight=WEIGHT)
        assert len(list(tmp_path.glob("*.read"))) == 6  # once: persisted
        assert set(client.run(os.getpid).values()) == before
        monkeypatch.setattr(DaskRows, "map", map_and_kill)
        killed = clone(ESTIMATOR).fit(x, sample_weight=WEIGHT)
        client.wait_for_workers(2, timeout=60)
        after = set(client.run(os.getpid).values())
        assert 12 < len(list(tmp_path.glob("*.read"))) <= 18
        labels = killed.predict(x).compute()
    assert flag.exists()
    assert len(calls) > 6
    assert len(before & after) == 1
    assert bits(killed) == bits(undisturbed) == bits(expected[0])
    assert_equal_fits(killed, expected[1])
    np.testing.assert_array_equal(labels, expected[1].predict(X))
