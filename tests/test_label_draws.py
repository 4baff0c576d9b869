"""Labels of draws, whatever they come in: the same labels, rows and chains come out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesmix as bm
from bayesmix.draws import draws_of, sampled_allocation
from bayesmix.label_draws import holds_labels, label_draws, occupied
from tests.fixtures_post import OVERLAPPING, SEPARATED, completed, planted
from tests.fixtures_varying import planted_varying
from tests.support import random_prior, rows_of

LABEL = np.random.default_rng(0).integers(-2, 5, size=(3, 4, 6))
NAMES = list("abcdef")
ROWS = pd.DataFrame(rows_of(OVERLAPPING, 25), index=[f"row {i}" for i in range(25)])


def dims(*names: str) -> xr.DataArray:
    full = xr.DataArray(LABEL, dims=("chain", "draw", "obs"), coords={"obs": NAMES})
    return full.transpose(*names)


def only_labels(label: xr.DataArray) -> xr.DataTree:
    return xr.DataTree.from_dict({"allocation": xr.Dataset({"label": label})})


GIVEN = {
    "array": LABEL,
    "lists": LABEL.tolist(),
    "whole floats": LABEL.astype(float),
    "one byte": LABEL.astype(np.int8),
    "dims": dims("chain", "draw", "obs"),
    "dims in another order": dims("obs", "draw", "chain"),
    "stacked dims": dims("obs", "chain", "draw").stack(sample=("chain", "draw")),
    "dataset": xr.Dataset({"label": dims("draw", "chain", "obs")}),
    "tree": only_labels(dims("chain", "draw", "obs")),
    "tree in another order": only_labels(dims("obs", "chain", "draw")),
}


@pytest.mark.parametrize("name", GIVEN)
def test_the_same_labels_in_any_form(name):
    found = label_draws(GIVEN[name])
    np.testing.assert_array_equal(found.label, LABEL.reshape(12, 6))
    assert found.label.dtype.kind == "i"
    assert found.n_chains == (1 if name == "stacked dims" else 3)
    named = isinstance(GIVEN[name], (xr.DataArray, xr.Dataset, xr.DataTree))
    assert found.index.tolist() == (NAMES if named else list(range(6)))
    np.testing.assert_array_equal(
        found.by_chain, LABEL if found.n_chains == 3 else LABEL.reshape(1, 12, 6)
    )
    assert holds_labels(GIVEN[name])


@pytest.mark.parametrize(
    "given", [LABEL[1], dims("chain", "draw", "obs")[1], dims("obs", "chain", "draw")[..., 1].T]
)
def test_one_chain_or_one_draw_of_each(given):
    found = label_draws(given)
    np.testing.assert_array_equal(found.label, np.asarray(given))
    assert found.n_chains == (1 if len(given) == 4 else 3)


def test_stored_labels_are_not_copied():
    for given in (LABEL, dims("chain", "draw", "obs"), only_labels(dims("chain", "draw", "obs"))):
        assert np.shares_memory(label_draws(given).label, LABEL)


def test_a_file_gives_the_same(tmp_path):
    tree = only_labels(dims("obs", "chain", "draw"))
    tree.to_netcdf(tmp_path / "post.nc")
    with xr.open_datatree(tmp_path / "post.nc") as opened:
        found = label_draws(opened)
    np.testing.assert_array_equal(found.label, LABEL.reshape(12, 6))
    assert found.index.tolist() == NAMES


def test_labels_that_are_not_stored_are_drawn():
    tree = planted(OVERLAPPING, ROWS, draws=7)
    found = label_draws(tree, 5)
    expected = sampled_allocation(draws_of(tree), ROWS.to_numpy(), np.random.default_rng(5))
    np.testing.assert_array_equal(found.label, expected)
    np.testing.assert_array_equal(label_draws(tree, np.random.default_rng(5)).label, expected)
    assert found.n_chains == 2
    assert found.index.tolist() == ROWS.index.tolist()
    assert np.any(label_draws(tree, 6).label != expected)
    assert not holds_labels(tree)


def test_stored_labels_are_not_drawn():
    tree = completed(planted(OVERLAPPING, ROWS), bm.Mixture(bm.Dirichlet(2), random_prior(2)))
    stored = tree["allocation"]["label"].values.reshape(80, 25)
    np.testing.assert_array_equal(label_draws(tree, 1).label, stored)


def test_draws_of_a_varying_number_and_those_chosen_among_them():
    tree, _ = planted_varying(SEPARATED, rows_of(SEPARATED, 12))
    stored = tree["allocation"]["label"].values
    found = label_draws(tree)
    np.testing.assert_array_equal(found.by_chain, stored)
    chosen = bm.relabel(tree, n_clusters=3)
    np.testing.assert_array_equal(
        label_draws(chosen).by_chain, chosen["allocation"]["label"].values
    )
    for bare in (tree, chosen):
        with pytest.raises(ValueError, match=r'^post: .* sample with store=\("parameters", "all'):
            label_draws(bare.drop_nodes("allocation"))


def test_clusters_are_counted_where_they_are_not_stored():
    tree = completed(planted(OVERLAPPING, ROWS), bm.Mixture(bm.Dirichlet(2), random_prior(2)))
    stored = occupied(tree)
    del tree["posterior"]["n_clusters"]
    assert "n_clusters" not in tree["posterior"]
    np.testing.assert_array_equal(occupied(tree), stored)
    assert occupied(tree.drop_nodes("allocation"), 1).shape == stored.shape


@pytest.mark.parametrize(
    ("post", "message"),
    [
        ([0, 1, 1], r"post: expected labels of shape .* got \(3,\); one partition alone is no dr"),
        (np.zeros((2, 2, 2, 2), int), r"post: .* got \(2, 2, 2, 2\); give one row of labels per"),
        (np.zeros((0, 3), int), r"post: .* at least one row at one draw, got shape \(0, 3\)"),
        (np.zeros((3, 0), int), r"post: .* at least one row at one draw, got shape \(3, 0\)"),
        ([[0.0, 0.5]], "post: expected whole numbers, .* got 0.5; are these draws of parameters"),
        ([[0.0, np.inf]], "post: expected whole numbers, .* got inf"),
        ([[0.0, np.nan]], "post: expected a label for every row at every draw, got 1 that is NaN"),
        ([["a", "b"]], "post: expected whole numbers, .* got <U1; number the clusters"),
        ([[0, 1], [0]], "post: expected labels of the same rows at every draw, got lists of diff"),
        (dims("chain", "draw", "obs")[0, 0], r"post: .* got \(obs\); one partition alone is no"),
        (dims("obs", "chain", "draw")[0], r"post: expected dims .* got \(chain, draw\); rename"),
        (
            only_labels(dims("chain", "draw", "obs").rename(obs="row")),
            r"post.allocation.label: expected dims .* got \(chain, draw, row\); rename them",
        ),
        (
            xr.DataTree.from_dict({"allocation": xr.Dataset({"z": dims("chain", "draw", "obs")})}),
            "post.allocation: expected a variable label .* got z; rename it",
        ),
        (np.array([[0, np.nan], [np.nan, 1]]), "post: .* got 2 that are NaN; leave those draws"),
        ([[0, None], [0, 1]], "post: expected a label for every row .* got 1 that is missing"),
        (
            pd.DataFrame({"a": [0, pd.NA], "b": [1, 1]}, dtype="Int64"),
            "post: expected a label for every row .* got 1 that is missing",
        ),
        (
            np.ma.masked_equal([[0, 1], [1, 1]], 0),
            "post: expected a label for every row .* got 1 that is masked",
        ),
        (
            np.array([["a", 1]], dtype=object),
            "post: expected whole numbers, .* number the clusters",
        ),
        (
            xr.Dataset({"z": dims("chain", "draw", "obs")}),
            "post: expected a variable label .* got z; rename it",
        ),
        (
            xr.DataTree.from_dict(
                {"posterior": xr.Dataset({"z": (("chain", "draw", "z_dim_0"), LABEL)})}
            ),
            r"post: expected the group allocation, got whole numbers z in the posterior; .* pass "
            r'post.posterior\["z"\].rename\(z_dim_0="obs"\)$',
        ),
        (
            xr.DataTree.from_dict(
                {"point_estimate": xr.Dataset({"weights": ("component", [1.0])})}
            ),
            "post: expected draws, got a point of fit_em; sample first$",
        ),
        (xr.DataTree(), "tree: expected the group posterior"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_what_is_no_draws_of_labels(post, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        label_draws(post)


@pytest.mark.parametrize(
    "post",
    [
        None,
        3,
        {"label": LABEL},
        bm.GaussianMixture(2),
        bm.Mixture(bm.Dirichlet(2), random_prior(2)),
    ],
)
def test_things_without_rows(post):
    message = f"^post: expected a tree or labels of draws, got {type(post).__name__}; pass the tree"
    with pytest.raises(ValueError, match=message):
        label_draws(post)


def test_names_of_files_are_to_be_loaded():
    with pytest.raises(ValueError, match=r"got str; bm.load\('post.nc'\) reads one$"):
        label_draws("post.nc")


def test_results_are_no_labels():
    for given in (bm.similarity(LABEL), bm.partition(LABEL, random_seed=1)):
        with pytest.raises(ValueError, match=r"^post: expected a tree or labels of draws, got "):
            label_draws(given)


@pytest.mark.parametrize("dtype", ["int64", "Int64", "object"])
def test_columns_of_a_frame_are_the_rows(dtype):
    found = label_draws(pd.DataFrame(LABEL[0], columns=NAMES, dtype=dtype))
    np.testing.assert_array_equal(found.label, LABEL[0])
    assert found.index.tolist() == NAMES


def test_masked_arrays_with_nothing_masked():
    np.testing.assert_array_equal(label_draws(np.ma.array(LABEL)).by_chain, LABEL)
