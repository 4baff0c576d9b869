"""Rows: chunks that are read anew, and tables that stay on disk."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

import bayesmix as bm
from bayesmix import passes, search, starts
from bayesmix.covariance import structure_of
from bayesmix.pass_parameters import PassParameters
from bayesmix.problem import Problem
from bayesmix.rows import Chunks, are_chunks, as_rows, pieces, take
from tests.support import blobs

HOME = Path(bm.__file__).parents[1]
MATRIX = np.eye(2)


class Readable:
    """An iterable that can be read again."""

    def __init__(self, chunks: list[Any]) -> None:
        self.chunks = chunks

    def __iter__(self) -> Iterator[Any]:
        return iter(self.chunks)


class Shaped:
    """What a tensor of another library looks like: iterable, with a shape."""

    shape = (2, 2)

    def __init__(self, values: list[list[float]]) -> None:
        self.values = values

    def __iter__(self) -> Iterator[list[float]]:
        return iter(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, i: int) -> list[float]:
        return self.values[i]


def cut(x: Any, *lengths: int) -> list[Any]:
    """Cut a table into chunks, the last of what is left."""
    return [x[a:b] for a, b in pairwise(np.cumsum([0, *lengths, len(x) - sum(lengths)]))]


@pytest.fixture
def x() -> np.ndarray:
    return blobs(300, 3, 3)


SOURCES: dict[str, Callable[[list[Any]], Any]] = {
    "function": lambda chunks: lambda: iter(chunks),
    "generator function": lambda chunks: lambda: (chunk for chunk in chunks),
    "list": lambda chunks: chunks,
    "tuple": tuple,
    "iterable": Readable,
    "frames": lambda chunks: [pd.DataFrame(chunk, columns=list("abc")) for chunk in chunks],
    "lists": lambda chunks: lambda: (chunk.tolist() for chunk in chunks),
}


@pytest.mark.parametrize("source", SOURCES)
def test_chunks_are_read_anew_every_time(source, x):
    table = as_rows(SOURCES[source](cut(x, 1, 100)))
    chunks = table.values
    assert isinstance(chunks, Chunks)
    assert table.features == chunks.features
    assert table.features == (("a", "b", "c") if source == "frames" else ("x0", "x1", "x2"))
    assert (len(chunks), chunks.shape) == (300, (300, 3))
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate(list(chunks)), x)
        assert [start for _, _, start in pieces(chunks)] == [0, 1, 101]


def test_weights_are_cut_like_the_rows(x):
    weight = np.arange(300.0)
    for values, own, start in pieces(Chunks(cut(x, 1, 100)), weight):
        np.testing.assert_array_equal(own, weight[start : start + len(values)])
        np.testing.assert_array_equal(values, x[start : start + len(values)])


def test_kernels_get_aligned_native_floats(x):
    unaligned = np.frombuffer(b"0" + x.tobytes(), np.uint8)[1:].view(float).reshape(x.shape)
    assert not unaligned.flags.aligned
    for given in (x, unaligned, x.astype(">f8"), x.astype(np.float32), x.astype(">f4")):
        (values, weight, start), *rest = pieces(given)
        assert values.flags.aligned
        assert values.dtype.isnative
        assert values.dtype in (np.float64, np.float32)
        assert (weight, start, rest) == (None, 0, [])
        np.testing.assert_array_equal(values, given)
    assert next(pieces(x))[0] is x


def message_of(function: Callable[..., Any], *args: Any) -> str:
    """Message of the ValueError, which is one line."""
    with pytest.raises(ValueError, match=r"\S") as caught:
        function(*args)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("once", [iter, lambda chunks: (chunk for chunk in chunks)])
def test_iterators_that_can_be_read_once_are_refused(once, x):
    assert "can be read once; give a function" in message_of(as_rows, once(cut(x, 10)))
    for chunks in ([x], cut(x, 10)):  # a function that returns the same iterator every time
        same = once(chunks)
        message = message_of(lambda same=same: list(as_rows(lambda: same).values))
        assert message.startswith("x: expected")
        assert "every reading" in message


def test_unequal_chunks_are_refused_by_their_number(x):
    assert message_of(as_rows, [x, x[:, :2]]) == (
        "x, chunk 1: expected 3 column(s), as in the first chunk, got 2"
    )
    frame = pd.DataFrame(x, columns=list("abc"))
    message = message_of(as_rows, [frame, frame, frame[["b", "a", "c"]]], "X")
    assert message == (
        "X, chunk 2: expected the columns of the first chunk, ['a', 'b', 'c'], got ['b', 'a', 'c']"
    )


@pytest.mark.parametrize("empty", [lambda: iter([]), Readable([])])
def test_no_chunks_are_refused(empty):
    assert message_of(as_rows, empty) == "x: expected at least one chunk of rows, got none"


@pytest.mark.parametrize("returned", [MATRIX, MATRIX[0], [[1.0, 2.0]], [1.0]], ids=str)
def test_rows_are_no_chunks(returned):
    message = message_of(as_rows, lambda: returned)
    assert message.startswith("x, chunk 0: expected a table (m, D), got shape ")


def test_a_function_that_returns_no_iterator_is_refused():
    assert message_of(as_rows, lambda: None) == (
        "x: expected a function that returns chunks of rows, such as lambda: [x], got one that "
        "returns NoneType"
    )


def test_bad_values_are_refused_by_the_number_of_their_chunk(x):
    chunks = cut(x, 10, 20, 30, 40)
    bad = chunks[3].copy()
    bad[7, 1] = np.nan
    message = message_of(as_rows, [*chunks[:3], bad, chunks[4]])
    assert message.startswith("x, chunk 3: column 'x1' has 1 value(s) that are NaN (first in row 7")
    assert "'b' is not numeric" in message_of(as_rows, [pd.DataFrame({"b": ["text"]})])


@pytest.mark.parametrize("change", [1, -1])
def test_another_number_of_rows_at_a_later_reading_is_refused(change, x):
    readings = 0

    def source() -> Iterator[np.ndarray]:
        nonlocal readings
        readings += 1
        yield x[:100]
        yield x[: 100 + (change if readings > 1 else 0)]

    chunks = Chunks(source)
    point = PassParameters.from_point(
        structure_of("diag"), np.ones(1), np.zeros((1, 3)), np.ones((1, 3))
    )
    assert message_of(passes.log_density, chunks, point) == (
        f"x: expected the same 200 rows at every reading, got {200 + change}"
    )


def test_more_rows_than_announced_never_reach_the_reader(x):
    """A kernel writes where it is told to: rows too many would be written past the end."""
    readings = 0

    def source() -> Iterator[np.ndarray]:
        nonlocal readings
        readings += 1
        yield from [x] * min(readings, 2)

    seen = []
    with pytest.raises(ValueError, match="the same 300 rows"):
        seen.extend(values for values in Chunks(source))
    assert [len(values) for values in seen] == [300]


@pytest.mark.parametrize(
    "table",
    [
        np.arange(6.0).reshape(3, 2),
        np.arange(4.0),
        [[1, 2], [3, 4]],
        [1.0, 2.0],
        pd.DataFrame({"a": [1, 2], "b": [3, 4]}, index=["r", "s"]),
        pd.Series([1.0, 2.0], name="s"),
        Shaped([[1.0, 2.0], [3.0, 4.0]]),
    ],
    ids=lambda table: type(table).__name__,
)
def test_a_table_is_checked_as_a_table(table):
    found, expected = as_rows(table, "t"), bm.inputs.as_table(table, name="t")
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.index, expected.index)
    assert (found.features, found.name) == (expected.features, "t")
    assert as_rows(found) is found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([[1, 2], [3, 4]], False),
        (([1, 2], [3, 4]), False),
        ([1, 2], False),
        ([], False),
        ([[1, 2], [3]], False),
        ([[1, [2, 3]], [4, 5]], False),
        ([MATRIX, MATRIX], True),
        ([MATRIX], True),
        ((MATRIX, MATRIX[:1]), True),
        ([MATRIX, MATRIX[0]], False),
        ([pd.DataFrame(MATRIX)], True),
        ([MATRIX.tolist()], True),
        (pd.DataFrame(MATRIX), False),
        (pd.Series([1, 2]), False),
        (MATRIX, False),
        (MATRIX.view(np.memmap), False),
        (lambda: iter([MATRIX]), True),
        (iter([MATRIX]), True),
        (Readable([MATRIX]), True),
        ("text", False),
        (b"text", False),
        ({"a": [1, 2]}, False),
        (sparse.csr_matrix(MATRIX), False),
        (sparse.coo_array(MATRIX), False),
        (Shaped([[1.0, 2.0]]), False),
        (None, False),
        (1.0, False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_chunks_are_told_from_tables(value, expected):
    assert are_chunks(value) is expected


@pytest.mark.parametrize("index", [[], [0], [299], [0, 9, 10, 11, 150, 299], list(range(300))])
def test_rows_are_taken_from_where_they_lie(index, x):
    index = np.array(index, np.intp)
    for rows in (x, Chunks(cut(x, 10, 1)), x.astype(np.float32), np.asfortranarray(x)):
        found = take(rows, index)
        assert found.dtype == float
        assert found.flags.c_contiguous  # what is summed in memory order has one
        np.testing.assert_array_equal(found, np.asarray(x, getattr(rows, "dtype", float))[index])
    copy = take(x, np.arange(300))
    copy[:] = 0
    assert x.any()


def memory_map(folder: Path, x: np.ndarray) -> np.ndarray:
    np.save(folder / "x.npy", x)
    return np.load(folder / "x.npy", mmap_mode="r")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("structure", ["full", "tied"])
def test_a_memory_map_gives_what_memory_gives(structure, dtype, order, x, tmp_path):
    memory = np.asarray(x + 1e4, dtype, order=order)
    on_disk = memory_map(tmp_path, memory)
    assert isinstance(on_disk, np.memmap)
    table = as_rows(on_disk)
    assert np.shares_memory(table.values, on_disk)
    assert table.values.dtype == dtype
    mixture = bm.Mixture(bm.Dirichlet(3), covariance_type=structure)
    trees = [bm.fit_em(mixture, rows, n_init=3, random_seed=1) for rows in (memory, on_disk)]
    for name in ("weights", "means", "covariances"):
        np.testing.assert_array_equal(*(tree.point_estimate[name] for tree in trees))
    fits = [
        bm.GaussianMixture(3, covariance_type=structure, random_state=1).fit(rows)
        for rows in (memory, on_disk)
    ]
    for method in ("predict", "score_samples", "predict_proba"):
        np.testing.assert_array_equal(
            *(getattr(fit, method)(rows) for fit, rows in zip(fits, (memory, on_disk), strict=True))
        )
    np.testing.assert_array_equal(fits[0].covariances_, fits[1].covariances_)


def test_bad_values_in_a_memory_map_are_refused(x, tmp_path):
    x[-1, 0] = np.inf
    assert "column 'x0' has 1 value(s) that are inf" in message_of(as_rows, memory_map(tmp_path, x))


MEMORY = """
import sys, threading, warnings
from pathlib import Path
import numpy as np
import bayesmix as bm

warnings.simplefilter("ignore")

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024

def fits(x):
    mixture = bm.Mixture(bm.Dirichlet(2), covariance_type="diag")
    bm.fit_em(mixture, x, n_init=1, max_iter=1, random_seed=1)
    bm.GaussianMixture(2, covariance_type="diag", max_iter=1, random_state=1).fit(x)

x = np.load(sys.argv[1], mmap_mode="r")
fits(x[:1000])
before, peak, done = anonymous(), 0.0, threading.Event()

def watch():
    global peak
    while not done.wait(0.005):
        peak = max(peak, anonymous())

watcher = threading.Thread(target=watch)
watcher.start()
fits(x)
done.set()
watcher.join()
print(x.nbytes / 2**20, peak - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_a_memory_map_is_not_copied(tmp_path):
    n, d = 2_600_000, 20
    target = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", shape=(n, d))
    rows = blobs(20_000, d, 2)
    for start in range(0, n, len(rows)):
        target[start : start + len(rows)] = rows
    del target
    ended = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path / "x.npy")],
        cwd=HOME,
        capture_output=True,
        text=True,
        timeout=120,
    )
    (tmp_path / "x.npy").unlink()
    assert ended.returncode == 0, ended.stderr
    size, used = map(float, ended.stdout.split())
    assert size > 390
    assert used < 160  # the largest sample that is searched takes 64


@pytest.mark.parametrize("weighted", [False, True])
def test_chunks_lead_to_the_optimum_of_the_whole_table(structure, weighted, x):
    weight = np.linspace(0.5, 2, len(x)) if weighted else None
    given = bm.GaussianMixture(3, covariance_type=structure, random_state=1).fit(x).means_
    whole = bm.GaussianMixture(3, covariance_type=structure, means_init=given, random_state=1)
    parts = bm.GaussianMixture(3, covariance_type=structure, means_init=given, random_state=1)
    chunks = cut(x, 1, 100)
    whole.fit(x, sample_weight=weight)
    parts.fit(lambda: iter(chunks), sample_weight=weight)
    for name in ("weights_", "means_", "covariances_", "lower_bound_"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-9)
    np.testing.assert_array_equal(parts.predict(chunks), whole.predict(x))
    np.testing.assert_allclose(parts.score_samples(chunks), whole.score_samples(x), rtol=1e-9)
    np.testing.assert_allclose(
        parts.predict_proba(Readable(chunks)), whole.predict_proba(x), rtol=1e-9, atol=1e-12
    )
    np.testing.assert_array_equal(parts.fit_predict(chunks, sample_weight=weight), whole.predict(x))


@pytest.mark.parametrize("weighted", [False, True])
def test_a_tree_of_chunks_has_no_data_and_is_saved(structure, weighted, x, tmp_path):
    weight = np.linspace(0.5, 2, len(x)) if weighted else None
    mixture = bm.Mixture(bm.Dirichlet(3), covariance_type=structure)
    frame = pd.DataFrame(x, columns=list("abc"))
    arguments = {"n_init": 3, "random_seed": 1, "sample_weight": weight}
    whole = bm.fit_em(mixture, frame, **arguments)
    parts = bm.fit_em(mixture, cut(frame, 1, 100), **arguments)
    assert "observed_data" in whole.children
    assert set(parts.children) == {"point_estimate", "optimization"}
    parts.to_netcdf(tmp_path / "parts.nc", engine="h5netcdf")
    again = bm.load(tmp_path / "parts.nc")
    assert set(again.children) == set(parts.children)
    for name in ("weights", "means", "covariances"):
        expected = whole.point_estimate[name]
        np.testing.assert_allclose(parts.point_estimate[name], expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_array_equal(again.point_estimate[name], parts.point_estimate[name])
    assert list(again.point_estimate.feature.values) == ["a", "b", "c"]


def test_chunks_are_held_to_the_fit(x):
    fit = bm.GaussianMixture(2, covariance_type="diag", random_state=1).fit(x)
    assert message_of(fit.predict, cut(x[:, :2], 100)) == (
        "X has 2 features, but GaussianMixture is expecting 3 features as input."
    )
    named = bm.GaussianMixture(2, covariance_type="diag", random_state=1)
    frame = pd.DataFrame(x, columns=list("abc"))
    named.fit(cut(frame, 100))
    with pytest.raises(ValueError, match="in the same order as they were in fit"):
        named.predict(cut(frame[["b", "a", "c"]], 100))
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        found = named.predict(cut(x, 100))
    np.testing.assert_array_equal(found, named.predict(frame))
    with pytest.raises(ValueError, match=r"sample_weight: expected shape \(300,\), got \(200,\)"):
        fit.fit(cut(x, 100), sample_weight=np.ones(200))
    with pytest.raises(ValueError, match="column 'x1' is constant"):
        bm.fit_em(
            bm.Mixture(bm.Dirichlet(2), covariance_type="diag"), cut(x * [1, 0, 1], 100), n_init=1
        )


def test_names_of_columns_are_those_of_the_last_fit(x):
    fit = bm.GaussianMixture(2, covariance_type="diag", random_state=1)
    fit.fit(pd.DataFrame(x, columns=list("abc")))
    fit.fit(cut(x[:, :2], 100))
    assert not hasattr(fit, "feature_names_in_")
    assert list(fit.to_datatree().point_estimate.feature.values) == ["x0", "x1"]
    fit.fit(cut(pd.DataFrame(x, columns=list("cba")), 100))
    assert list(fit.feature_names_in_) == ["c", "b", "a"]
    assert list(fit.to_datatree().point_estimate.feature.values) == ["c", "b", "a"]


def test_a_fit_to_chunks_that_stops_early_says_so(x):
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        bm.GaussianMixture(3, max_iter=1, random_state=1).fit(cut(x, 100))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_start_is_looked_for_in_all_of_few_rows(chunked, weighted, x, rng):
    weight = np.linspace(0, 2, len(x)) if weighted else None
    rows = Chunks(cut(x, 10)) if chunked else x
    found, own = starts.sample_rows(rows, len(x), rng, weight)
    some = slice(None) if weight is None else weight > 0
    np.testing.assert_array_equal(found, x[some])
    if weighted:
        np.testing.assert_array_equal(own, weight[some])
    else:
        assert own is None


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_start_is_looked_for_in_some_of_many_rows(chunked, weighted, rng, monkeypatch):
    monkeypatch.setattr(search, "_SAMPLE_ROWS", 100)
    monkeypatch.setattr(search, "_ROWS_EACH", 10)
    number = np.arange(1000.0)
    x = np.column_stack([number, -number])
    weight = number / 7 if weighted else None
    rows = Chunks(cut(x, 10, 500)) if chunked else x
    drawn = []
    for _ in range(20):
        found, own = starts.sample_rows(rows, 100, rng, weight)
        assert np.all(np.diff(found[:, 0]) > 0)  # in the order of the rows, none twice
        np.testing.assert_array_equal(found[:, 1], -found[:, 0])
        times = np.ones(len(found)) if own is None else own
        assert (own is not None) is weighted
        assert times.sum() == 100
        drawn.append(np.average(found[:, 0], weights=times))
    # weights in proportion to the number: 2/3 of 1,000. The standard error is 6.5 or less
    assert abs(np.mean(drawn) - (666.3 if weighted else 499.5)) < 33
    assert len(set(drawn)) == 20
    for k, size in ((3, 100), (20, 200)):
        problem = Problem(rows, structure_of("full"), k, np.ones(k), sample_weight=weight)
        sample = search.sampled(problem, rng)
        assert isinstance(sample.x, np.ndarray)
        assert sample.total == size


def test_a_start_is_looked_for_among_rows_that_count(monkeypatch, rng):
    monkeypatch.setattr(search, "_SAMPLE_ROWS", 100)
    monkeypatch.setattr(search, "_ROWS_EACH", 10)
    x = blobs(5000, 2, 2)
    weight = np.zeros(5000)
    weight[rng.choice(5000, 60, replace=False)] = 1.5
    found, own = starts.sample_rows(x, 100, rng, weight)
    np.testing.assert_array_equal(found, x[weight > 0])
    np.testing.assert_array_equal(own, 1.5)
    fit = bm.GaussianMixture(2, random_state=1).fit(x, sample_weight=weight)
    assert np.isfinite(fit.lower_bound_)
