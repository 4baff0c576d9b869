"""What every method of relabeling minimizes, against all permutations and plain loops."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import xarray as xr

import bayesmix as bm
from bayesmix import gaussian, matching, memory
from bayesmix.draws import draws_of
from tests.fixtures_post import (
    OVERLAPPING,
    SEPARATED,
    completed,
    parameters_of,
    permuted,
    planted,
    point_dataset,
    random_permutations,
    sample_quietly,
)
from tests.support import Parameters, random_parameters, random_prior, rows_of

METHODS = ("auto", "parameters", "ecr", "stephens")
FEATURES = ("x0", "x1")
X = rows_of(SEPARATED, 50)
POINT = point_dataset(SEPARATED, FEATURES)
NEAR = random_parameters("full", 4, 2, 3)
NEAR = NEAR._replace(means=NEAR.means / 3)
"""Components among which the best permutation is not obvious."""


def with_labels(point: Parameters, x: np.ndarray, **options) -> xr.DataTree:
    mixture = bm.Mixture(bm.Dirichlet(len(point.weights)), random_prior(2))
    return completed(planted(point, x, **options), mixture)


def without(tree: xr.DataTree, *groups: str) -> xr.DataTree:
    return tree.filter(lambda node: node.name not in groups)


@pytest.fixture(scope="module")
def straight():
    return with_labels(SEPARATED, X)


@pytest.fixture(scope="module")
def near():
    x = rows_of(NEAR, 60)
    tree = with_labels(NEAR, x, draws=12, spread=0.5)
    return permuted(tree, random_permutations(tree)), x


def found_by(tree: xr.DataTree) -> np.ndarray:
    """Permutations (S, K)."""
    found = tree["relabeling"]["permutation"].values
    return found.reshape(-1, found.shape[-1])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("labels", ["stored", "drawn"])
@pytest.mark.parametrize("weights", [bm.Dirichlet(3), bm.DirichletProcess(1.0, truncation=3)])
def test_planted_permutations_are_undone(straight, method, labels, weights):
    planted_order = random_permutations(straight)
    switched = permuted(straight, planted_order)
    switched.attrs["bayesmix_model"] = bm.Mixture(weights, random_prior(2)).to_json()
    if isinstance(weights, bm.DirichletProcess):
        switched.attrs["truncation_error"] = 0.1
    if labels == "drawn":
        switched = without(switched, "allocation")
    tree = bm.relabel(switched, method, reference=POINT)
    bm.validate(tree)
    np.testing.assert_array_equal(
        tree["relabeling"]["permutation"], np.argsort(planted_order, axis=-1)
    )
    for name in Parameters._fields:
        np.testing.assert_array_equal(tree["posterior"][name], straight["posterior"][name])
    if labels == "stored":
        np.testing.assert_array_equal(tree["allocation"]["label"], straight["allocation"]["label"])
    attrs = tree["relabeling"].attrs
    assert attrs["method"] == ("parameters" if method == "auto" else method)
    assert attrs["agreement"] == 1


@pytest.mark.parametrize("method", METHODS)
def test_the_reference_draw_is_left_alone(straight, method):
    switched = permuted(straight, random_permutations(straight))
    tree = bm.relabel(switched, method)
    best = switched["sample_stats"]["lp"].values.argmax()
    np.testing.assert_array_equal(found_by(tree)[best], np.arange(3))
    np.testing.assert_array_equal(found_by(tree), found_by(bm.relabel(switched, "parameters")))


def divergences(draws: Parameters, point: Parameters) -> np.ndarray:
    """Kullback-Leibler divergences (S, j, k), as in any textbook."""
    s, k = draws.weights.shape
    out = np.empty((s, k, k))
    for index in np.ndindex(out.shape):
        at, place = index[:2], index[2]
        inverse = np.linalg.inv(point.covariances[place])
        delta = point.means[place] - draws.means[at]
        ratio = np.linalg.det(point.covariances[place]) / np.linalg.det(draws.covariances[at])
        trace = np.trace(inverse @ draws.covariances[at])
        out[index] = 0.5 * (trace + delta @ inverse @ delta + np.log(ratio) - len(delta))
    return out


def flat(tree: xr.DataTree) -> Parameters:
    return Parameters(*(a.reshape(-1, *a.shape[2:]) for a in parameters_of(tree)))


def test_ecr_is_the_best_of_all_permutations(near):
    """Most rows with the label of the reference, then the least divergence."""
    tree, x = near
    pivot = gaussian.responsibilities(x, *NEAR).argmax(axis=-1)
    found = found_by(bm.relabel(tree, "ecr", reference=point_dataset(NEAR, FEATURES)))
    label = tree["allocation"]["label"].values.reshape(-1, len(x))
    divergence = divergences(flat(tree), NEAR)
    for s, own in enumerate(label):
        value = {
            p: (
                -sum(((own == p[k]) & (pivot == k)).sum() for k in range(4)),
                sum(divergence[s, p[k], k] for k in range(4)),
            )
            for p in permutations(range(4))
        }
        assert tuple(found[s]) == min(value, key=value.get)
    assert len(np.unique(found, axis=0)) > 1  # the test bites


def test_ecr_leaves_components_without_rows_to_the_parameters(near):
    """All rows in one component: the others may stand anywhere as far as rows go."""
    tree, x = near
    tree = tree.copy()
    label = np.zeros_like(tree["allocation"]["label"].values)
    dims = tree["allocation"]["label"].dims
    tree["allocation"] = xr.DataTree(tree["allocation"].to_dataset().assign(label=(dims, label)))
    point = point_dataset(NEAR, FEATURES)
    found = found_by(bm.relabel(tree, "ecr", reference=point))
    most = np.bincount(gaussian.responsibilities(x, *NEAR).argmax(axis=-1)).argmax()
    divergence = divergences(flat(tree), NEAR)
    for s, own in enumerate(found):
        value = {
            p: sum(divergence[s, p[k], k] for k in range(4))
            for p in permutations(range(4))
            if p[most] == 0
        }
        assert tuple(own) == min(value, key=value.get)


def objective(resp: np.ndarray, order: np.ndarray) -> tuple[float, np.ndarray]:
    """Stephens' sum for permutations (S, K), and the means; from the definition."""
    stood = np.take_along_axis(resp, order[:, None, :], axis=-1)
    mean = stood.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(stood > 0, stood * np.log(stood / mean), 0)
    return terms.sum(), mean


def test_stephens_ends_where_no_permutation_is_better(near):
    tree, x = near
    point = point_dataset(NEAR, FEATURES)
    start = found_by(bm.relabel(tree, "parameters", reference=point))
    found = found_by(bm.relabel(tree, "stephens", reference=point))
    resp = gaussian.responsibilities(x, *flat(tree))
    before, (after, mean) = objective(resp, start)[0], objective(resp, found)
    assert after < before - 1  # nats: the test bites
    for s, own in enumerate(found):
        value = {p: -(resp[s][:, p] * np.log(mean)).sum() for p in permutations(range(4))}
        assert value[tuple(own)] <= min(value.values()) + 1e-8


def test_stephens_never_goes_up(near, monkeypatch):
    """Every round, seen through the permutations that it starts with."""
    tree, x = near
    resp = gaussian.responsibilities(x, *flat(tree))
    rounds = []
    improved = matching._improved

    def watched(cost, current, *how):
        rounds.append(current.copy())
        return improved(cost, current, *how)

    monkeypatch.setattr(matching, "_improved", watched)
    bm.relabel(tree, "stephens")
    values = [objective(resp, own)[0] for own in rounds]
    assert len(values) > 2
    assert (np.diff(values)[:-1] < 0).all()
    assert values[-1] <= values[-2]


@pytest.mark.parametrize("method", METHODS)
def test_blocks_of_draws_do_not_matter(near, method, monkeypatch):
    tree = without(near[0], "allocation")
    whole = found_by(bm.relabel(tree, method))
    monkeypatch.setattr(memory, "BLOCK_BYTES", 8 * 60 * 4 * 5)  # five draws of 24
    np.testing.assert_array_equal(found_by(bm.relabel(tree, method)), whole)
    monkeypatch.setattr(memory, "BLOCK_BYTES", 1)
    np.testing.assert_array_equal(found_by(bm.relabel(tree, method)), whole)


def test_stephens_holds_a_block_of_responsibilities_of_few_rows(monkeypatch):
    tree = planted(OVERLAPPING, rows_of(OVERLAPPING, 2500), draws=300, spread=0.1)
    made = []
    responsibilities = matching.passes.responsibilities

    def watched(x, parameters):
        resp = responsibilities(x, parameters)
        made.append(resp.shape)
        return resp

    monkeypatch.setattr(matching.passes, "responsibilities", watched)
    monkeypatch.setattr(memory, "BLOCK_BYTES", 8 * 1000 * 2 * 50)
    bm.relabel(tree, "stephens")
    assert {shape[1:] for shape in made} == {(1000, 2)}
    assert max(shape[0] for shape in made) == 50
    assert sum(shape[0] for shape in made) % 600 == 0  # whole rounds


def test_agreement_is_the_share_of_draws_with_the_same_labels(near):
    tree, x = near
    label = tree["allocation"]["label"].values.reshape(-1, len(x))
    found = {method: bm.relabel(tree, method) for method in METHODS}
    auto, one, two, three = (found_by(found[method]) for method in METHODS)

    def share(order, other):
        """Of draws whose rows get the same labels."""
        both = (np.argsort(o, axis=1) for o in (order, other))
        new = [np.take_along_axis(places, label, axis=1) for places in both]
        return (new[0] == new[1]).all(axis=1).mean()

    resp = gaussian.responsibilities(x, *flat(tree))
    mean = np.mean([r[:, order] for r, order in zip(resp, two, strict=True)], axis=0)
    cost = -(resp.transpose(0, 2, 1) @ np.log(mean))
    orders = np.array(list(permutations(range(4))))
    totals = cost[:, orders, np.arange(4)].sum(axis=-1)
    checks = {
        "parameters": share(one, two),
        "ecr": share(two, orders[totals.argmin(axis=1)]),
        "stephens": share(three, auto),
    }
    for method, expected in checks.items():
        assert found[method]["relabeling"].attrs["agreement"] == expected
        assert 0 < expected < 1  # the test bites


def test_the_check_looks_at_few_rows(monkeypatch):
    tree = with_labels(OVERLAPPING, rows_of(OVERLAPPING, 1500), draws=20)
    seen = []
    assigned = matching._assigned
    monkeypatch.setattr(matching, "_assigned", lambda c, how: [seen.append(c), assigned(c, how)][1])
    assert bm.relabel(tree)["relabeling"].attrs["agreement"] == 1
    shares = seen[-1].sum(axis=(1, 2)) + 1000  # of divergences: each of four less than a third
    assert ((shares > 0) & (shares < 4 / 3)).all()


def test_a_tree_with_neither_labels_nor_rows_cannot_be_checked(straight):
    bare = without(straight, "allocation", "observed_data")
    tree = bm.relabel(bare)
    assert np.isnan(tree["relabeling"].attrs["agreement"])
    for method in ("ecr", "stephens"):
        with pytest.raises(ValueError, match="expected the group observed_data, as sample returns"):
            bm.relabel(bare, method)


def test_stored_labels_need_no_rows(straight):
    switched = permuted(straight, random_permutations(straight))
    bare = without(switched, "observed_data")
    assert bm.relabel(bare)["relabeling"].attrs["agreement"] == 1
    assert np.isnan(bm.relabel(bare, reference=POINT)["relabeling"].attrs["agreement"])
    np.testing.assert_array_equal(
        found_by(bm.relabel(bare, "ecr")), found_by(bm.relabel(switched, "ecr"))
    )


@pytest.mark.parametrize("method", METHODS)
def test_labels_with_a_meaning_are_kept(straight, method):
    tree = permuted(straight, random_permutations(straight))
    weights = bm.Dirichlet(3, (20.0, 2.0, 1.0))
    tree.attrs["bayesmix_model"] = bm.Mixture(weights, random_prior(2)).to_json()
    kept = bm.relabel(tree, method)
    xr.testing.assert_equal(kept["posterior"].to_dataset(), tree["posterior"].to_dataset())
    assert kept["relabeling"].attrs["method"] == "none"
    assert np.isnan(kept["relabeling"].attrs["agreement"])


@pytest.mark.parametrize("method", METHODS)
def test_labels_are_permuted_among_those_of_one_prior(straight, method):
    """The first keeps its name, the other two are matched."""
    rng = np.random.default_rng(2)
    order = np.stack([1 + rng.permuted(np.tile([0, 1], (size, 1)), axis=1) for size in (40, 40)])
    draws = straight["posterior"].sizes
    order = np.resize(order, (draws["chain"], draws["draw"], 2))
    order = np.concatenate([np.zeros_like(order[..., :1]), order], axis=-1)
    tree = permuted(straight, order)
    weights = bm.Dirichlet(3, (20.0, 1.0, 1.0))
    tree.attrs["bayesmix_model"] = bm.Mixture(weights, random_prior(2)).to_json()
    found = bm.relabel(tree, method, reference=straight_reference(straight))
    xr.testing.assert_equal(found["posterior"].to_dataset(), straight["posterior"].to_dataset())
    turned = bm.relabel(permuted(straight, np.roll(order, 1, axis=-1)), method)
    assert turned["relabeling"].attrs["method"] != "none"  # no model: all may change places


def straight_reference(tree):
    return tree["posterior"].to_dataset()[["weights", "means", "covariances"]].isel(chain=0, draw=0)


def test_what_a_user_keeps_by_component_is_permuted_too(straight):
    tree = permuted(straight, random_permutations(straight))
    posterior = tree["posterior"].to_dataset()
    tree["posterior"] = xr.DataTree(posterior.assign(twice=2 * posterior["means"]))
    found = bm.relabel(tree)["posterior"].to_dataset()
    xr.testing.assert_equal(found["twice"], 2 * found["means"])


def test_labels_out_of_range_are_named(straight):
    tree = straight.copy()
    label = tree["allocation"].to_dataset()
    tree["allocation"] = xr.DataTree(label.assign(label=label["label"] + 1))
    with pytest.raises(ValueError, match=r"label: expected whole numbers from 0 to 2.*got 1 to 3"):
        bm.relabel(tree)


def test_rows_of_another_name_are_not_needed(straight):
    tree = straight.drop_nodes("allocation")
    tree["observed_data"] = xr.DataTree(tree["observed_data"].to_dataset().rename(x="y"))
    assert np.isnan(bm.relabel(tree)["relabeling"].attrs["agreement"])


@pytest.mark.parametrize("method", METHODS)
def test_one_component(method):
    point = random_parameters("full", 1, 2)
    tree = bm.relabel(planted(point, rows_of(point, 20)), method)
    assert tree["relabeling"].attrs["moved"] == 0
    assert tree["relabeling"].attrs["agreement"] == 1


def test_unknown_method(straight):
    with pytest.raises(
        ValueError, match=r"^method: expected one of auto, parameters, ecr, stephens, got 'kl'$"
    ):
        bm.relabel(straight, "kl")


@pytest.mark.parametrize(("name", "k", "least"), [("faithful", 2, 1), ("iris", 3, 0.95)])
def test_methods_agree_on_classic_data(name, k, least):
    """On iris but for the few draws in which a component has hardly any rows."""
    x = bm.datasets.load(name)
    mixture = bm.Mixture(bm.Dirichlet(k), bm.weakly_informative(x))
    post = sample_quietly(mixture, x, draws=250, tune=250, chains=2, random_seed=1)
    found = {method: bm.relabel(post, method) for method in METHODS[1:]}
    for one in found.values():
        assert one["relabeling"].attrs["agreement"] >= least
        assert one["relabeling"].attrs["moved"] > 0.4  # Gibbs draws have random names
        for other in found.values():
            assert (found_by(one) == found_by(other)).all(axis=1).mean() >= least


def test_draws_of_one_point_are_matched_to_it():
    """Divergence zero of every component from itself."""
    draws = draws_of(planted(SEPARATED, X, spread=0))
    found = matching.by_parameters(
        draws, SEPARATED.means, SEPARATED.covariances, np.ones((3, 3), np.bool_)
    )
    np.testing.assert_array_equal(found, np.tile(np.arange(3), (len(draws), 1)))
