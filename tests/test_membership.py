"""Memberships are responsibilities averaged over the posterior, and nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesmix as bm
from bayesmix import gaussian, memory
from tests.fixtures_post import (
    OVERLAPPING,
    SEPARATED,
    completed,
    parameters_of,
    permuted,
    planted,
    random_permutations,
    sample_quietly,
    sampled,
)
from tests.support import random_parameters, random_prior, rows_of

FEATURES = ["east", "north"]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    index = [f"row {i}" for i in range(30)]
    return pd.DataFrame(rows_of(OVERLAPPING, 30), columns=FEATURES, index=index)


@pytest.fixture(scope="module")
def relabeled(rows) -> xr.DataTree:
    return bm.relabel(planted(OVERLAPPING, rows, draws=50, spread=0.1))


def responsibilities(tree: xr.DataTree, x: np.ndarray) -> np.ndarray:
    """Of every draw, (S, n, K), from the reference definition."""
    resp = gaussian.responsibilities(x, *parameters_of(tree))
    return resp.reshape(-1, *resp.shape[2:])


def test_moments_over_the_draws(relabeled, rows):
    resp = responsibilities(relabeled, rows.to_numpy())
    found = bm.membership(relabeled, ci_prob=0.8)
    expected = {
        "probability": resp.mean(axis=0),
        "probability_sd": resp.std(axis=0),
        "probability_lower": np.quantile(resp, 0.1, axis=0),
        "probability_upper": np.quantile(resp, 0.9, axis=0),
    }
    for name, values in expected.items():
        assert found[name].dims == ("obs", "component")
        # the pass and the reference round differently: 1e-12 of probabilities of at most one
        np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-12)
    assert found["probability_sd"].values.max() > 0.01  # the draws do differ
    assert found.attrs["ci_prob"] == 0.8
    assert found["obs"].values.tolist() == rows.index.tolist()


def test_label_and_entropy(relabeled, rows):
    found = bm.membership(relabeled)
    p = responsibilities(relabeled, rows.to_numpy()).mean(axis=0)
    np.testing.assert_array_equal(found["label"], p.argmax(axis=1))
    np.testing.assert_allclose(found["label_probability"], p.max(axis=1), rtol=1e-12)
    entropy = [-sum(q * np.log2(q) for q in row if q > 0) for row in p]
    np.testing.assert_allclose(found["entropy"], entropy, rtol=1e-9, atol=1e-12)
    assert found["entropy"].attrs["units"] == "bits"


def test_entropy_of_equal_components_is_one_bit(rows):
    same = OVERLAPPING._replace(
        weights=np.array([0.5, 0.5]), means=np.zeros((2, 2)), covariances=np.array([np.eye(2)] * 2)
    )
    found = bm.membership(planted(same, rows, spread=0.0))
    np.testing.assert_allclose(found["entropy"], 1, rtol=1e-12)


def test_mass_of_the_interval_is_arviz_own(relabeled):
    from arviz_base import rc_context

    with rc_context({"stats.ci_prob": 0.5}):
        found = bm.membership(relabeled)
    assert found.attrs["ci_prob"] == 0.5
    xr.testing.assert_identical(found, bm.membership(relabeled, ci_prob=0.5))


@pytest.mark.parametrize("ci_prob", [0, 1, -0.5, 95, np.nan])
def test_bad_mass_of_the_interval(relabeled, ci_prob):
    with pytest.raises(ValueError, match="ci_prob: expected a number between 0 and 1, got"):
        bm.membership(relabeled, ci_prob=ci_prob)


def test_blocks_of_rows_do_not_matter(relabeled, monkeypatch):
    whole = bm.membership(relabeled)
    monkeypatch.setattr(memory, "BLOCK_BYTES", 8 * 2 * 100 * 7)  # 7 rows of 30
    xr.testing.assert_identical(bm.membership(relabeled), whole)
    monkeypatch.setattr(memory, "BLOCK_BYTES", 1)
    xr.testing.assert_identical(bm.membership(relabeled), whole)


def test_switched_labels_are_put_right_first():
    x = rows_of(SEPARATED, 30)
    tree = completed(planted(SEPARATED, x), bm.Mixture(bm.Dirichlet(3), random_prior(2)))
    switched = permuted(tree, random_permutations(tree))
    found, expected = bm.membership(switched), bm.membership(bm.relabel(switched))
    xr.testing.assert_identical(found, expected)
    assert found["label_probability"].values.min() > 0.99


def test_new_rows(relabeled):
    new = rows_of(OVERLAPPING, 7, seed=1)
    found = bm.membership(relabeled, new)
    expected = responsibilities(relabeled, new).mean(axis=0)
    np.testing.assert_allclose(found["probability"], expected, rtol=0, atol=1e-12)
    assert found["obs"].values.tolist() == list(range(7))
    named = pd.DataFrame(new, columns=FEATURES, index=list("abcdefg"))
    assert bm.membership(relabeled, named)["obs"].values.tolist() == list("abcdefg")


@pytest.mark.parametrize(
    ("x_new", "message"),
    [
        (np.zeros((3, 1)), r"x_new: expected 2 column\(s\), as in the fit, got 1"),
        (np.zeros((3, 3)), r"x_new: expected 2 column\(s\), as in the fit, got 3"),
        (np.full((3, 2), np.nan), "x_new: column 'x0' has 3 value"),
        ([["a", "b"]], "x_new: expected numbers"),
        (
            pd.DataFrame(np.zeros((3, 2)), columns=FEATURES[::-1]),
            "x_new: expected the columns east, north, as in the fit, got north, east",
        ),
    ],
    ids=["narrow", "wide", "nan", "text", "other order"],
)
def test_bad_new_rows(relabeled, x_new, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        bm.membership(relabeled, x_new)


def test_a_tree_without_data_needs_rows(relabeled):
    bare = relabeled.copy()
    del bare["observed_data"]
    with pytest.raises(ValueError, match="expected the group observed_data, as sample returns"):
        bm.membership(bare)
    new = rows_of(OVERLAPPING, 7, seed=1)
    xr.testing.assert_identical(bm.membership(bare, new), bm.membership(relabeled, new))


def test_structures_of_the_tree_are_used(structure):
    """Draws of a diagonal, tied or spherical mixture, through the structure's own pass."""
    tree = bm.relabel(sampled(structure))
    x = tree["observed_data"]["x"].values
    expected = responsibilities(tree, x).mean(axis=0)
    np.testing.assert_allclose(bm.membership(tree)["probability"], expected, rtol=0, atol=1e-12)


def test_one_component():
    point = random_parameters("full", 1, 2)
    found = bm.membership(planted(point, rows_of(point, 9)))
    assert (found["probability"] == 1).all()
    assert (found["entropy"] == 0).all()


def test_components_without_rows_are_matched_as_relabel_does(rows):
    apart = np.concatenate([rows.to_numpy() - 50, rows.to_numpy() + 50])
    model = bm.Mixture(bm.Dirichlet(4, 0.01), bm.weakly_informative(apart))
    post = sample_quietly(model, apart, draws=100, chains=2, random_seed=1)
    assert post["posterior"]["n_clusters"].min() < 4
    first = bm.relabel(post)
    assert first["relabeling"].attrs["method"] == "ecr"
    xr.testing.assert_identical(bm.membership(post), bm.membership(first))
