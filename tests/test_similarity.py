"""Similarity against its definition, against enumeration, and part by part against the whole."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesmix as bm
from bayesmix import gaussian, memory, threads
from bayesmix.partitions.agreement import agreement, agreement_square
from bayesmix.similarity import Similarity
from tests.exact_partitions import exact_posterior, set_partitions
from tests.fixtures_post import (
    OVERLAPPING,
    SEPARATED,
    parameters_of,
    permuted,
    planted,
    random_permutations,
    sample_quietly,
)
from tests.fixtures_varying import planted_varying
from tests.support import random_parameters, rows_of

ROWS = pd.DataFrame(rows_of(OVERLAPPING, 30), index=[f"row {i}" for i in range(30)])
FEW = np.array([[0.0], [0.4], [0.2], [3.2], [7.0], [7.5], [7.2]])
PAIRS = tuple(np.array(list(combinations(range(7), 2))).T)


def labels(draws: int, n: int, k: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, draws, n]).integers(k, size=(draws, n))


def shares(label: np.ndarray) -> np.ndarray:
    """By definition, (n, n)."""
    return np.mean(label[:, :, None] == label[:, None, :], axis=0)


@cache
def tree(draws: int = 40) -> xr.DataTree:
    """Draws without labels; not to be changed in place."""
    return planted(OVERLAPPING, ROWS, draws=draws, spread=0.2)


def averaged(post: xr.DataTree) -> np.ndarray:
    """Products of responsibilities by definition, (n, n)."""
    resp = gaussian.responsibilities(post["observed_data"]["x"].values, *parameters_of(post))
    found = np.einsum("csik,cslk->il", resp, resp) / (resp.shape[0] * resp.shape[1])
    np.fill_diagonal(found, 1)
    return found


def source(name: str) -> Similarity:
    match name:
        case "labels":
            return bm.similarity(labels(90, 40))
        case "collapsed":
            return bm.similarity(labels(5, 40, k=2))  # 32 columns at most
        case _:
            return bm.similarity(tree(draws=8))


SOURCES = ("labels", "collapsed", "responsibilities")


@pytest.mark.parametrize("draws", [1, 2, 63, 64, 65, 255, 300])
@pytest.mark.parametrize("n", [1, 3, 30])
def test_shares_of_draws(draws, n):
    label = labels(draws, n)
    found = bm.similarity(label)
    assert (found.n, found.n_draws, found.method) == (n, draws, "labels")
    np.testing.assert_allclose(found.to_dataarray(), shares(label), rtol=1e-7)


@pytest.mark.parametrize("k", [2, 16, 17, 300, 70_000])
def test_any_number_of_clusters(k):
    """As many bits as it takes, and one, two or four bytes."""
    label = labels(30, 300, k=k)
    if k == 70_000:  # one draw that has them all
        label = np.append(np.tile(label, 234), np.arange(70_200)[None], axis=0)
    found = bm.similarity(label)
    rows, columns = np.arange(0, found.n, found.n // 60), np.arange(0, found.n, found.n // 50)
    expected = np.mean(label[:, rows, None] == label[:, None, columns], axis=0)
    np.testing.assert_allclose(found.block(rows, columns), expected, rtol=1e-7)
    assert expected.max() > 0


def test_more_rows_than_a_tile():
    label = labels(70, 600, k=3)
    whole = agreement_square(np.ascontiguousarray(label.T.astype(np.uint8)))
    np.testing.assert_allclose(whole, shares(label), rtol=1e-7)
    one, other = (
        np.ascontiguousarray(label[:, own].T.astype(np.uint16))
        for own in (slice(0, 300), slice(20, 600))
    )
    np.testing.assert_array_equal(agreement(one, other), whole[:300, 20:])


def test_one_side_with_more_bits():
    few, many = labels(70, 9, k=3).astype(np.uint8), labels(70, 8, k=200).astype(np.uint8)
    expected = np.mean(few[:, :, None] == many[:, None], axis=0)
    few, many = (np.ascontiguousarray(label.T) for label in (few, many))
    np.testing.assert_allclose(agreement(few, many), expected, rtol=1e-7)
    np.testing.assert_allclose(agreement(many, few), expected.T, rtol=1e-7)


def test_every_partition_by_its_probability():
    """Draws in proportion to a posterior over all partitions of five rows: their pairs' own."""
    partitions = set_partitions(5)
    times = np.random.default_rng(1).integers(9, size=len(partitions))
    found = bm.similarity(partitions.repeat(times, axis=0)).to_dataarray().values
    together = partitions[:, :, None] == partitions[:, None, :]
    np.testing.assert_allclose(found, np.tensordot(times / times.sum(), together, 1), rtol=1e-7)


@cache
def of_few() -> tuple[bm.Mixture, xr.DataTree]:
    mixture = bm.Mixture(bm.Dirichlet(3), bm.NormalInverseWishart([3.5], 0.05, 12.0, [[16.0]]))
    options = {"sampler": "gibbs", "draws": 4000, "chains": 2, "random_seed": 1}
    return mixture, sample_quietly(mixture, FEW, **options)


@pytest.mark.parametrize("method", ["labels", "responsibilities"])
def test_the_exact_posterior(method):
    """Sampled, in 40 stretches that hardly depend on each other."""
    mixture, post = of_few()
    expected = exact_posterior(FEW, mixture).p_pairs
    found = []
    for start in range(0, 4000, 100):
        own = {"draw": slice(start, start + 100)}
        groups = {name: node.to_dataset() for name, node in post.children.items()}
        part = {name: g.isel(own, missing_dims="ignore") for name, g in groups.items()}
        whole = bm.similarity(xr.DataTree.from_dict(part), method=method).to_dataarray()
        found.append(whole.values[PAIRS])
    z = (np.mean(found, axis=0) - expected) / (np.std(found, axis=0, ddof=1) / 40**0.5)
    assert np.abs(z).max() < 4.5
    assert np.ptp(expected) > 0.5


def test_responsibilities_by_definition(structure):
    post = planted(random_parameters(structure, 3, 2), ROWS, spread=0.3)
    found = bm.similarity(post)
    assert (found.n, found.n_draws, found.method) == (30, 80, "responsibilities")
    assert found.index.tolist() == ROWS.index.tolist()
    np.testing.assert_allclose(found.to_dataarray(), averaged(post), rtol=0, atol=1e-6)


def test_labels_drawn_are_responsibilities_on_average():
    expected, runs = averaged(tree()), 300
    found = np.stack(
        [bm.similarity(tree(), method="labels", random_seed=i).to_dataarray() for i in range(runs)]
    ).astype(float)
    spread = found.std(axis=0) / np.sqrt(runs)
    np.testing.assert_array_equal(np.diagonal(spread), 0)
    np.fill_diagonal(spread, 1)
    z = (found.mean(axis=0) - expected)[np.triu_indices(30, 1)] / spread[np.triu_indices(30, 1)]
    assert np.abs(z).max() < 4.5  # 435 of them
    assert 0.7 < z.std() < 1.3


def test_labels_are_drawn_by_the_seed():
    one, same, other = (
        bm.similarity(tree(), method="labels", random_seed=seed).to_dataarray()
        for seed in (1, 1, 2)
    )
    xr.testing.assert_identical(one, same)
    assert np.any(one != other)


@pytest.mark.parametrize("method", ["labels", "responsibilities"])
def test_one_component(method):
    point = random_parameters("full", 1, 2)
    found = bm.similarity(planted(point, rows_of(point, 9)), method=method)
    assert np.all(found.to_dataarray() == 1)


def test_order_of_draws_and_names_of_labels_do_not_matter():
    label = labels(90, 40)
    expected = bm.similarity(label).to_dataarray()
    rng = np.random.default_rng(1)
    names = rng.permuted(np.tile([-5, 0, 7, 10**9], (90, 1)), axis=1)
    renamed = np.take_along_axis(names, label, axis=1)[rng.permutation(90)]
    xr.testing.assert_identical(bm.similarity(renamed).to_dataarray(), expected)
    switched = permuted(tree(), random_permutations(tree()))
    found, same = (bm.similarity(post).to_dataarray() for post in (switched, tree()))
    np.testing.assert_allclose(found, same, rtol=0, atol=1e-6)


def test_rows_in_another_order():
    label, order = labels(90, 40), np.random.default_rng(1).permutation(40)
    found = bm.similarity(label[:, order]).to_dataarray().values
    expected = bm.similarity(label).to_dataarray().values[np.ix_(order, order)]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("size", [None, 1, 1600], ids=["whole", "one by one", "in blocks"])
class TestParts:
    """What the whole matrix has, whatever the blocks."""

    @pytest.fixture(autouse=True)
    def blocks(self, size, monkeypatch):
        if size is not None:
            monkeypatch.setattr(memory, "BLOCK_BYTES", size)
            monkeypatch.setattr(import_module("bayesmix.similarity"), "_COLUMNS", 20)

    @pytest.fixture
    def whole(self, name) -> np.ndarray:
        return source(name).to_dataarray().values.astype(float)

    def test_symmetric_with_ones_on_the_diagonal(self, whole):
        np.testing.assert_array_equal(whole, whole.T)
        np.testing.assert_array_equal(np.diagonal(whole), 1)
        assert whole.max() <= 1

    def test_rows_and_blocks(self, name, whole):
        found = source(name)
        np.testing.assert_allclose(found.row(-2), whole[-2], atol=1e-6)
        np.testing.assert_allclose(found.block(slice(3, 9)), whole[3:9, 3:9], atol=1e-6)
        mask = np.arange(found.n) % 3 == 0
        some = found.block(mask, [5, 0, 5])
        np.testing.assert_allclose(some, whole[mask][:, [5, 0, 5]], atol=1e-6)
        assert some.dims == ("obs", "obs_bis")
        np.testing.assert_array_equal(some["obs"], found.index[mask])
        np.testing.assert_array_equal(some["obs_bis"], found.index[[5, 0, 5]])
        np.testing.assert_array_equal(found.row(4)["obs"], found.index)
        assert found.block(mask & False, mask).shape == (0, mask.sum())

    def test_products(self, name, whole):
        found, v = source(name), np.random.default_rng(1).normal(size=(len(whole), 3))
        np.testing.assert_allclose(found.matvec(v), whole @ v, rtol=0, atol=2e-5)
        np.testing.assert_allclose(found.matvec(v[:, 0]), whole @ v[:, 0], rtol=0, atol=2e-5)
        operator = found.to_linear_operator()
        np.testing.assert_array_equal(operator @ v, found.matvec(v))
        np.testing.assert_array_equal(operator.T @ v, found.matvec(v))

    def test_neighbors(self, name, whole):
        found = source(name).nearest(n_neighbors=7)
        order = np.argsort(np.where(np.eye(len(whole)), 1, -whole), axis=1, kind="stable")[:, :7]
        near = np.take_along_axis(whole, order, axis=1)
        np.testing.assert_allclose(found["probability"], near, rtol=0, atol=1e-6)
        if name != "responsibilities":  # counts are exact, and ties
            np.testing.assert_array_equal(found["neighbor"], order)
        at = np.take_along_axis(whole, found["neighbor"].values, axis=1)
        np.testing.assert_allclose(at, near, rtol=0, atol=1e-6)
        assert np.all(found["neighbor"].values != np.arange(len(whole))[:, None])
        some = source(name).nearest([4, -1], n_neighbors=1)
        np.testing.assert_array_equal(some["neighbor"], found["neighbor"][[4, -1], :1])
        assert some["probability"].dims == ("obs", "rank")
        assert source(name).nearest([], n_neighbors=2)["neighbor"].shape == (0, 2)


def test_all_other_rows_by_their_probability():
    label = labels(500, 200, k=2)
    found = bm.similarity(label).nearest(n_neighbors=199)
    expected = np.argsort(np.where(np.eye(200), -2, -shares(label)), axis=1, kind="stable")
    np.testing.assert_array_equal(found["neighbor"], expected[:, 1:])


@pytest.mark.parametrize("method", ["labels", "responsibilities"])
def test_threads_do_not_matter(method, monkeypatch):
    """Of more rows and draws than one task takes."""
    post = labels(300, 600) if method == "labels" else tree()
    n, found = bm.similarity(post).n, []
    v = np.random.default_rng(1).normal(size=(n, 2))
    for count in (1, 2, 3):
        monkeypatch.setattr(threads, "available_threads", lambda count=count: count)
        own = bm.similarity(post)
        found.append((own.to_dataarray(), own.block(slice(9, 30), slice(0, n)), own.matvec(v)))
    for one, *others in zip(*found, strict=True):
        for other in others:
            np.testing.assert_array_equal(one, other)


def test_a_tree_of_labels_alone():
    label = labels(12, 6).reshape(3, 4, 6)
    stored = xr.DataArray(label, dims=("chain", "draw", "obs"), coords={"obs": list("abcdef")})
    post = xr.DataTree.from_dict({"allocation": xr.Dataset({"label": stored})})
    found = bm.similarity(post).to_dataarray()
    np.testing.assert_allclose(found, shares(label.reshape(12, 6)), rtol=1e-7)
    assert found["obs_bis"].values.tolist() == list("abcdef")


def test_a_file_holds_it(tmp_path):
    found = bm.similarity(tree()).to_dataarray()
    found.to_netcdf(tmp_path / "similarity.nc")
    with xr.open_dataarray(tmp_path / "similarity.nc") as opened:
        xr.testing.assert_identical(opened, found)


def test_a_varying_number_of_clusters_needs_labels():
    post, _ = planted_varying(SEPARATED, rows_of(SEPARATED, 12))
    for own in (post, bm.relabel(post, n_clusters=3)):
        expected = shares(own["allocation"]["label"].values.reshape(-1, 12))
        np.testing.assert_allclose(bm.similarity(own).to_dataarray(), expected, rtol=1e-7)
        with pytest.raises(ValueError, match=r'^method: expected "labels", because where the num'):
            bm.similarity(own, method="responsibilities")
        bare = own.drop_nodes("allocation")
        for method in ("responsibilities", "labels", "auto"):
            with pytest.raises(
                ValueError, match=r"^post: expected the group allocation, .* store="
            ):
                bm.similarity(bare, method=method)


def test_it_says_what_it_is():
    assert repr(bm.similarity(labels(2000, 5))).startswith(
        "<Similarity of 5 rows, from the labels of 2,000 draws>"
    )


def test_refusals():
    found = bm.similarity(labels(9, 40))
    with pytest.raises(ValueError, match=r"^max_bytes: expected at least 6,400, what 40 x 40 prob"):
        found.to_dataarray(max_bytes=6399)
    assert found.to_dataarray(max_bytes=6400).shape == (40, 40)
    with pytest.raises(ValueError, match=r"^v: expected shape \(40,\) or \(40, m\), got \(3,\)"):
        found.matvec([1, 2, 3])
    with pytest.raises(ValueError, match=r"^n_neighbors: expected at most 39, .* got 40"):
        found.nearest(n_neighbors=40)
    with pytest.raises(ValueError, match=r"^n_neighbors: expected a whole number of at least 1"):
        found.nearest(n_neighbors=0)
    with pytest.raises(IndexError, match=r"^rows: expected positions from 0 to 39, .* got 40"):
        found.block(40)
    with pytest.raises(IndexError, match=r"^columns: expected positions from 0 to 39, .* got 'a'"):
        found.block(3, "a")
    with pytest.raises(IndexError, match=r"^rows: expected positions .*; names are not positions$"):
        found.block(["a", "b"])
    for wrong in (None, "1GB"):
        with pytest.raises(ValueError, match=r"^max_bytes: expected a number of at least 0, got "):
            found.to_dataarray(max_bytes=wrong)
    for wrong in (["a"] * 40, [1j] * 40):
        with pytest.raises(ValueError, match=r"^v: expected real numbers, got an array of dtype "):
            found.matvec(wrong)
    with pytest.raises(ValueError, match=r"^i: expected the position of one row, .*; use block"):
        found.row(slice(2))
    with pytest.raises(ValueError, match=r"^method: expected one of auto, labels, resp.* got 'x'"):
        bm.similarity(labels(9, 40), method="x")
    with pytest.raises(ValueError, match=r'^method: expected "labels", because labels alone have'):
        bm.similarity(labels(9, 40), method="responsibilities")


def test_positions_as_a_tuple_are_a_list():
    found = bm.similarity(labels(9, 40))
    xr.testing.assert_identical(found.block((0, 7)), found.block([0, 7]))


def test_of_few_rows_all_others_are_neighbors():
    assert bm.similarity(labels(9, 4)).nearest().sizes["rank"] == 3
    assert bm.similarity(labels(9, 40)).nearest().sizes["rank"] == 10
