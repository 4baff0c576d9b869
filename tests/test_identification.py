"""What cannot be told apart is reported, and by its name."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.stats import wishart
from sklearn.cluster import KMeans

import bayesmix as bm
from bayesmix import identification as module
from bayesmix.draws import draws_of
from bayesmix.identification import IDENTIFIED, Identification, identification
from tests.fixtures_post import (
    OVERLAPPING,
    SEPARATED,
    permuted,
    planted,
    point_dataset,
    random_permutations,
)
from tests.support import Parameters, rows_of

READ = ": read partition(post), not the component table"
FEATURES = ("x0", "x1")
METHODS = ("parameters", "ecr", "stephens")
ROWS_COUNT = ("auto", "ecr", "stephens")


def point_of(*groups: int) -> Parameters:
    """Components of `SEPARATED` by number; one that comes twice is two identical ones."""
    means = np.concatenate([SEPARATED.means, [[30.0, 0.0], [0.0, -30.0]]])
    covariances = np.concatenate([SEPARATED.covariances, [np.eye(2)] * 2])
    own = list(groups)
    return Parameters(np.full(len(own), 1 / len(own)), means[own], covariances[own])


def relabeled(point: Parameters, method: str = "auto", **options) -> xr.DataTree:
    tree = planted(point, rows_of(point, 60), draws=200, spread=0.1, **options)
    switched = permuted(tree, random_permutations(tree))
    return bm.relabel(switched, method, reference=point_dataset(point, FEATURES))


def advice(tree: xr.DataTree) -> str:
    return tree["relabeling"].attrs["advice"]


@pytest.mark.parametrize("method", METHODS)
def test_three_components_on_two_groups(method):
    """The two that share a group are named, the third is not."""
    tree = relabeled(point_of(0, 1, 1), method)
    rate = tree["relabeling"].attrs["non_permutation_rate"]
    assert rate > 0.2
    assert advice(tree) == (
        f"components 1 and 2 are not identified (in {rate:.0%} of the draws they do not "
        f"separate){READ}"
    )


def test_names_are_those_of_the_tree():
    tree = planted(point_of(1, 0, 1), rows_of(SEPARATED, 60), draws=200, spread=0.1)
    tree["posterior"] = xr.DataTree(
        tree["posterior"].to_dataset().assign_coords(component=["a", "b", "c"])
    )
    reference = point_dataset(point_of(1, 0, 1), FEATURES)
    assert advice(bm.relabel(tree, reference=reference)).startswith(
        "components a and c are not identified ("
    )


@pytest.mark.parametrize(
    ("groups", "verdict"),
    [
        ((0, 0, 1, 1, 2), "only component 4 is identified ("),
        ((0, 0, 0, 1, 2), "components 0, 1 and 2 are not identified ("),
        ((0, 0, 0, 0, 1, 2), "only components 4 and 5 are identified ("),
        ((0, 0, 0), "no component is identified ("),
        ((0, 0, 1, 1), "no component is identified ("),
        ((0, 1, 2, 3, 4), "components are identified: the component table can be read"),
    ],
)
def test_verdicts(groups, verdict):
    tree = relabeled(point_of(*groups))
    if groups == (0, 0, 0, 1, 2):  # three of five: more are not identified than are
        verdict = "only components 3 and 4 are identified ("
    assert advice(tree).startswith(verdict)


def test_components_that_differ_in_their_correlation_alone_are_identified():
    means, weights = np.zeros((2, 2)), np.array([0.5, 0.5])
    covariances = np.array([[[1.0, r], [r, 1.0]] for r in (0.8, -0.8)])
    tree = relabeled(Parameters(weights, means, covariances))
    assert tree["relabeling"].attrs["non_permutation_rate"] == 0


def test_several_modes_are_not_identified():
    """Half of the draws have two components in the first group, half in the second."""
    one, other = (
        planted(point_of(0, 0, 1), np.zeros((5, 2))),
        planted(point_of(0, 1, 1), np.zeros((5, 2))),
    )
    both = xr.concat(
        [one["posterior"].to_dataset(), other["posterior"].to_dataset()], dim="chain"
    ).assign_coords(chain=range(4))
    tree = bm.relabel(xr.DataTree.from_dict({"posterior": both}))
    assert tree["relabeling"].attrs["non_permutation_rate"] >= 0.25
    assert "not identified" in advice(tree) or "no component" in advice(tree)


def with_empty_ones(k: int = 7, draws: int = 300, *, labels: bool = True) -> xr.DataTree:
    """Three components with rows, the others from a wide prior: a sparse mixture's draws."""
    rng = np.random.default_rng(4)
    x = rows_of(SEPARATED, 90)
    tree = planted(SEPARATED, x, chains=1, draws=draws, spread=0.1)
    posterior, more = tree["posterior"].to_dataset(), k - 3
    size = (1, draws, more)
    prior = wishart(8, np.eye(2) / 8).rvs(draws * more, random_state=rng).reshape(*size, 2, 2)
    values = {
        "weights": np.full(size, 1e-9),
        "means": rng.normal(scale=8, size=(*size, 2)),
        "covariances": 4 * np.linalg.inv(prior),
    }
    wide = {
        name: (posterior[name].dims, np.concatenate([posterior[name].values, own], axis=2))
        for name, own in values.items()
    }
    group = xr.Dataset(wide, coords={n: posterior[n] for n in ("chain", "draw", "feature")})
    tree["posterior"] = xr.DataTree(group.assign_coords(component=np.arange(k)))
    if labels:
        nearest = np.square(x[:, None] - SEPARATED.means).sum(axis=-1).argmin(axis=1)
        label = np.tile(nearest.astype(np.int8), (1, draws, 1))
        tree["allocation"] = xr.DataTree(xr.Dataset({"label": (("chain", "draw", "obs"), label)}))
        clusters = group.assign(n_clusters=(("chain", "draw"), np.full((1, draws), 3)))
        tree["posterior"] = xr.DataTree(clusters.assign_coords(component=np.arange(k)))
    return permuted(tree, random_permutations(tree))


@pytest.mark.parametrize("labels", [True, False])
def test_auto_goes_by_rows_where_components_have_none(labels):
    """The match of parameters takes a few of the others for components without rows."""
    tree = with_empty_ones(labels=labels)
    if labels:
        tree["posterior"]["n_clusters"][0, 0] = 7  # but all others have three
    found = bm.relabel(tree)
    assert found["relabeling"].attrs["method"] == "ecr"
    assert found["relabeling"].attrs["agreement"] > 0.99
    assert bm.relabel(tree, "parameters")["relabeling"].attrs["agreement"] < 0.99
    probability = bm.membership(tree)["label_probability"]
    assert probability.min() > 0.99


@pytest.mark.parametrize("method", ROWS_COUNT)
def test_empty_components_do_not_speak_ill_of_the_others(method):
    tree = bm.relabel(with_empty_ones(), method)
    rate = tree["relabeling"].attrs["non_permutation_rate"]
    assert rate > 0.5
    filled = np.unique(tree["allocation"]["label"])
    assert len(filled) == 3
    empty = sorted(set(range(7)) - set(filled.tolist()))
    *some, last = map(str, filled)
    *others, end = map(str, empty)
    assert advice(tree) == (
        f"only components {', '.join(some)} and {last} are identified (in {rate:.0%} of the draws "
        f"they do not separate; components {', '.join(others)} and {end} often have no rows){READ}"
    )


def test_rate_is_that_of_k_means():
    """Against scikit-learn's, from the same start."""
    tree = planted(OVERLAPPING, rows_of(OVERLAPPING, 20), draws=300, spread=0.8)
    draws = draws_of(tree)
    identity = np.tile(np.arange(2), (len(draws), 1))
    features = module._features(draws)
    theirs = KMeans(2, init=np.median(features, axis=0), n_init=1, max_iter=300, tol=0)
    cluster = theirs.fit_predict(features.reshape(len(draws) * 2, -1)).reshape(-1, 2)
    share = (cluster[:, 0] == cluster[:, 1]).mean()
    assert identification(draws, identity).non_permutation_rate == share
    assert share > 0.1  # the test bites


def test_rounds_may_see_few_of_the_draws(monkeypatch):
    tree = relabeled(point_of(0, 1, 1))
    monkeypatch.setattr(module, "_MOST_POINTS", 120)
    few = relabeled(point_of(0, 1, 1))
    rates = [each["relabeling"].attrs["non_permutation_rate"] for each in (tree, few)]
    assert 0 < abs(rates[0] - rates[1]) < 0.1  # the cut between two equal components is elsewhere
    assert advice(few).startswith("components 1 and 2 are not identified (")


def test_features_do_not_depend_on_unit_or_origin():
    tree = planted(OVERLAPPING, rows_of(OVERLAPPING, 20), spread=0.5)
    posterior = tree["posterior"].to_dataset()
    scale = xr.DataArray([1e6, 1e-3], dims="feature")
    other = scale.rename(feature="feature_bis")
    posterior["means"] = posterior["means"] * scale + 1e9 * scale
    posterior["covariances"] = posterior["covariances"] * scale * other
    moved = module._features(draws_of(xr.DataTree.from_dict({"posterior": posterior})))
    still = module._features(draws_of(tree))
    differences = [np.diff(f.reshape(-1, f.shape[-1]), axis=0) for f in (moved, still)]
    # a standard deviation of 1 at an offset of 1e9 keeps six digits
    np.testing.assert_allclose(*differences, rtol=0, atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_needed_pairs(seed):
    """One by one, from the most frequent, until few draws are left with others."""
    rng = np.random.default_rng(seed)
    shared = rng.random((200, 10)) < rng.uniform(0, 0.2, size=10)
    order = sorted(range(10), key=lambda pair: (-shared[:, pair].mean(), pair))
    count = 0
    while shared[:, order[count:]].any(axis=1).mean() > IDENTIFIED:
        count += 1
    assert module._needed(shared).tolist() == order[:count]


def test_a_rate_that_no_component_explains():
    found = Identification(0.08, 4)
    assert found.advice(range(4)).startswith("components are not identified in all draws (in 8%")


def test_one_component_that_is_often_empty():
    found = Identification(0.2, 3, often_empty=(1,))
    assert found.advice("xyz") == (
        "component y is not identified (in 20% of the draws they do not separate; component y "
        f"often has no rows){READ}"
    )
