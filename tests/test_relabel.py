"""Label switching that was planted is undone, and what cannot be undone is said."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import xarray as xr

import bayesmix as bm
from tests.fixtures_post import (
    OVERLAPPING,
    SEPARATED,
    completed,
    parameters_of,
    permuted,
    planted,
    point_dataset,
    random_permutations,
)
from tests.support import Parameters, random_parameters, random_prior, rows_of

X = rows_of(SEPARATED, 50)
POINT = point_dataset(SEPARATED, ("x0", "x1"))


@pytest.fixture(scope="module")
def straight():
    """Draws whose components already stand in the order of `SEPARATED`."""
    mixture = bm.Mixture(bm.Dirichlet(3), random_prior(2))
    return completed(planted(SEPARATED, X), mixture)


@pytest.fixture(scope="module")
def switched(straight):
    return permuted(straight, random_permutations(straight))


def assert_same_draws(tree, expected):
    for name in Parameters._fields:
        np.testing.assert_array_equal(tree["posterior"][name], expected["posterior"][name])
    if "allocation" in expected.children:
        np.testing.assert_array_equal(tree["allocation"]["label"], expected["allocation"]["label"])


def test_planted_permutations_are_undone(straight, switched):
    planted_order = random_permutations(straight)
    assert not np.array_equal(switched["posterior"]["means"], straight["posterior"]["means"])
    tree = bm.relabel(switched, reference=POINT)
    assert_same_draws(tree, straight)
    bm.validate(tree)
    found = tree["relabeling"]["permutation"].values
    np.testing.assert_array_equal(found, np.argsort(planted_order, axis=-1))
    attrs = tree["relabeling"].attrs
    assert attrs["moved"] == (planted_order != np.arange(3)).any(axis=-1).mean()
    assert attrs["non_permutation_rate"] == 0
    assert attrs["dropped_mass"] == 0
    assert attrs["advice"] == "components are identified: the component table can be read"


def test_arguments_are_left_alone(switched):
    before = switched.copy(deep=True)
    bm.relabel(switched)
    assert switched.identical(before)


def test_permutation_says_what_was_done(switched):
    tree = bm.relabel(switched)
    again = permuted(switched, tree["relabeling"]["permutation"].values)
    assert_same_draws(tree, again)


def test_default_reference_is_the_draw_of_highest_density(straight, switched):
    tree = bm.relabel(switched)
    lp = switched["sample_stats"]["lp"].values
    c, s = np.unravel_index(lp.argmax(), lp.shape)
    order = random_permutations(straight)[c, s]
    np.testing.assert_array_equal(tree["relabeling"]["permutation"][c, s], np.arange(3))
    assert_same_draws(tree, permuted(straight, np.broadcast_to(order, (2, 40, 3))))


def test_a_tree_of_the_users_own_model(straight, switched):
    """Only parameters, in another order of dims, as a model written by hand may give them."""
    bare = switched.copy()
    for group in ("allocation", "sample_stats", "observed_data"):
        del bare[group]
    bare.attrs = {}
    posterior = bare["posterior"].to_dataset().drop_vars("n_clusters")
    bare["posterior"].dataset = posterior.transpose("component", "draw", ...)
    tree = bm.relabel(bare)
    assert set(tree.children) == {"posterior", "relabeling"}
    assert tree["posterior"]["means"].dims[0] == "component"
    order = random_permutations(straight)[0, 0]  # without lp the first draw is the reference
    expected = permuted(straight, np.broadcast_to(order, (2, 40, 3)))
    for name in Parameters._fields:
        found = tree["posterior"][name].transpose("chain", "draw", ...)
        np.testing.assert_array_equal(found, expected["posterior"][name])


def test_relabeling_composes(switched):
    first = bm.relabel(switched, reference=POINT)
    swapped = POINT.isel(component=[2, 0, 1])
    second = bm.relabel(first, reference=swapped)
    total = second["relabeling"]["permutation"].values
    assert_same_draws(second, permuted(switched, total))
    assert_same_draws(second, bm.relabel(switched, reference=swapped))
    assert second["relabeling"].attrs["moved"] == (total != np.arange(3)).any(axis=-1).mean()


def kullback_leibler(mean, covariance, other_mean, other_covariance):
    """Divergence of one normal from another, as in any textbook."""
    inverse = np.linalg.inv(other_covariance)
    delta = other_mean - mean
    log_ratio = np.log(np.linalg.det(other_covariance) / np.linalg.det(covariance))
    return 0.5 * (np.trace(inverse @ covariance) + delta @ inverse @ delta + log_ratio - len(mean))


@pytest.mark.parametrize("seed", range(3))
def test_the_match_minimizes_the_divergence(seed):
    """Against all permutations, where components overlap and the best one is not obvious."""
    point = random_parameters("full", 4, 2, seed)
    point = point._replace(means=point.means / 4)
    tree = planted(point, X, draws=10, spread=0.9, seed=seed)
    found = bm.relabel(tree, "parameters", reference=point_dataset(point, ("x0", "x1")))
    permutation = found["relabeling"]["permutation"].values
    assert found["relabeling"].attrs["moved"] > 0.1  # the test bites
    _, means, covariances = parameters_of(tree)
    for c, s in np.ndindex(2, 10):
        cost = np.array(
            [
                [
                    kullback_leibler(mean, covariance, *other)
                    for other in zip(point.means, point.covariances, strict=True)
                ]
                for mean, covariance in zip(means[c, s], covariances[c, s], strict=True)
            ]
        )
        total = {p: sum(cost[p[k], k] for k in range(4)) for p in permutations(range(4))}
        assert tuple(permutation[c, s]) == min(total, key=total.get)


IDENTICAL = OVERLAPPING._replace(means=np.zeros((2, 2)), covariances=np.array([np.eye(2)] * 2))


@pytest.mark.parametrize(
    ("point", "spread", "low", "high"),
    [
        (SEPARATED, 0.03, 0, 0),
        (OVERLAPPING, 0.03, 0, 0),
        (IDENTICAL, 0.3, 0.2, 0.6),  # one cloud of draws, cut anywhere by k-means
        (IDENTICAL, 0, 1, 1),  # one point, which two clusters cannot share
    ],
    ids=["separated", "overlapping", "identical", "identical draws"],
)
def test_non_permutation_rate(point, spread, low, high):
    tree = bm.relabel(planted(point, X, chains=2, draws=200, spread=spread))
    attrs = tree["relabeling"].attrs
    assert low <= attrs["non_permutation_rate"] <= high
    identified = attrs["advice"].startswith("components are identified")
    assert identified == (high == 0)
    if not identified:
        assert attrs["advice"] == (
            "components 0 and 1 are not identified "
            f"(in {attrs['non_permutation_rate']:.0%} of the draws they do not separate): read "
            "partition(post), not the component table"
        )


def test_one_component():
    point = random_parameters("full", 1, 3)
    tree = bm.relabel(planted(point, rows_of(point, 20)))
    assert tree["relabeling"].attrs["non_permutation_rate"] == 0
    assert tree["relabeling"].attrs["moved"] == 0


def test_survives_netcdf(switched, tmp_path):
    tree = bm.relabel(switched)
    tree.to_netcdf(tmp_path / "relabeled.nc", engine="h5netcdf")
    loaded = bm.load(tmp_path / "relabeled.nc")
    assert_same_draws(loaded, tree)
    assert loaded["relabeling"].attrs["advice"] == tree["relabeling"].attrs["advice"]


def test_a_reference_of_another_shape(switched):
    other = point_dataset(OVERLAPPING, ("x0", "x1"))
    with pytest.raises(ValueError, match=r"^reference: expected means of shape \(3, 2\), .*got"):
        bm.relabel(switched, reference=other)


def test_a_tree_without_a_posterior(switched):
    with pytest.raises(ValueError, match="tree: expected the group posterior, as sample returns"):
        bm.relabel(switched.filter(lambda node: node.name not in ("posterior",)))


@pytest.mark.parametrize("missing", Parameters._fields)
def test_a_posterior_without_a_parameter(switched, missing):
    tree = switched.copy()
    tree["posterior"].dataset = tree["posterior"].to_dataset().drop_vars(missing)
    with pytest.raises(ValueError, match=f"{missing} missing; register them as deterministics"):
        bm.relabel(tree)


def test_broken_sticks_are_matched(straight, switched):
    """They come in an order, but not every chain in the same one."""
    tree = switched.copy()
    weights = bm.DirichletProcess(1.0, truncation=3)
    tree.attrs["bayesmix_model"] = bm.Mixture(weights, random_prior(2)).to_json()
    assert_same_draws(bm.relabel(tree, reference=POINT), straight)


def test_labels_with_a_meaning_are_kept(switched):
    """Unequal concentrations tell the components apart; permuting would change the density."""
    tree = switched.copy()
    weights = bm.Dirichlet(3, (20.0, 2.0, 1.0))
    tree.attrs["bayesmix_model"] = bm.Mixture(weights, random_prior(2)).to_json()
    kept = bm.relabel(tree)
    xr.testing.assert_equal(kept["posterior"].to_dataset(), switched["posterior"].to_dataset())
    assert kept["relabeling"].attrs["method"] == "none"
    assert kept["relabeling"].attrs["moved"] == 0
    assert "tells the components apart" in kept["relabeling"].attrs["advice"]
