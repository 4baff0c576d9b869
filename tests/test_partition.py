"""One partition for a posterior: from any source of labels, its numbers by their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm
from tests.exact_partitions import exact_posterior, in_order_of_appearance, set_partitions
from tests.fixtures_post import OVERLAPPING, SEPARATED, completed, model, planted, sample_quietly
from tests.support import blobs, rows_of

LOSSES = ("vi", "binder", "omari")


def noisy(truth: np.ndarray, draws: int, share: float, seed: int = 0) -> np.ndarray:
    """Draws about a partition: some rows elsewhere, names of clusters at random, (S, n)."""
    rng = np.random.default_rng(seed)
    k = truth.max() + 1
    label = np.tile(truth, (draws, 1))
    moved = rng.uniform(size=label.shape) < share
    label[moved] = rng.integers(k, size=moved.sum())
    return np.stack([rng.permutation(k)[own] for own in label])


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(in_order_of_appearance(a), in_order_of_appearance(b))


def by_definition(loss: str, label: np.ndarray, draws: np.ndarray) -> float:
    """Expected loss: by the distances of partitions, or by pairs."""
    if loss == "vi":
        return float(bm.variation_of_information(label, draws).mean())
    if loss == "omari":
        return 1 - float(bm.adjusted_rand_index(label, draws).mean())
    together = draws[:, :, None] == draws[:, None, :]
    return float((together != (label[:, None] == label)).mean())


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return np.repeat([0, 1, 2], [30, 20, 10])


@pytest.fixture(scope="module")
def found(truth) -> bm.Partition:
    return bm.partition(noisy(truth, 200, 0.1), random_seed=1)


@pytest.mark.parametrize("loss", LOSSES)
def test_finds_what_draws_scatter_about(truth, loss):
    draws = noisy(truth, 200, 0.1)
    found = bm.partition(draws, loss=loss, random_seed=1)
    np.testing.assert_array_equal(found.labels, truth)
    assert found.expected_loss == pytest.approx(by_definition(loss, truth, draws), rel=1e-12)
    assert found.n_clusters == 3
    assert found.n_draws == 200
    assert not found.capped


def test_omari_is_the_mean_of_scikit_learn(truth):
    draws = noisy(truth, 30, 0.2)
    found = bm.partition(draws, loss="omari", random_seed=1)
    expected = np.mean([1 - adjusted_rand_score(own, found.labels) for own in draws])
    assert found.expected_loss == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("prior", ["dp", "finite"])
def test_least_loss_of_all_partitions_of_a_posterior(loss, prior):
    x = np.random.default_rng(5).normal(size=(7, 1)).round(3)
    x[4:] += 1.5
    weights = bm.DirichletProcess(1.0) if prior == "dp" else bm.Dirichlet(3)
    mixture = bm.Mixture(weights, bm.NormalInverseWishart([0.5], 0.3, 4, [[2.0]]))
    exact = exact_posterior(x, mixture)
    rng = np.random.default_rng(0)
    draws = exact.partitions[rng.choice(len(exact.partitions), 300, p=exact.probability)]
    found = bm.partition(draws, loss=loss, random_seed=1)
    every = [by_definition(loss, own, draws) for own in set_partitions(7)]
    assert found.expected_loss == pytest.approx(min(every), abs=1e-12)


def test_costs_decide_between_merging_and_splitting():
    """Two halves, together in 40 % of the draws."""
    together, apart = np.zeros(10, int), np.repeat([0, 1], 5)
    draws = np.stack([together] * 40 + [apart] * 60)
    for loss in ("vi", "binder"):
        assert bm.partition(draws, loss=loss, random_seed=1).n_clusters == 2
        assert bm.partition(draws, loss=loss, costs=(1, 4), random_seed=1).n_clusters == 1
        assert bm.partition(draws, loss=loss, costs=(4, 1), random_seed=1).n_clusters == 2


def test_costs_weigh_pairs():
    draws = noisy(np.repeat([0, 1], 6), 50, 0.2)
    found = bm.partition(draws, loss="binder", costs=(3, 0.5), random_seed=1)
    own = found.labels.values[:, None] == found.labels.values
    theirs = draws[:, :, None] == draws[:, None, :]
    expected = 3 * (own & ~theirs).mean() + 0.5 * (~own & theirs).mean()
    assert found.expected_loss == pytest.approx(expected, rel=1e-12)


def sources(label: np.ndarray) -> dict[str, object]:
    """The same 4 x 50 draws in every form that they may come in."""
    by_chain = label.reshape(4, 50, -1)
    array = xr.DataArray(by_chain, dims=("chain", "draw", "obs"))
    tree = xr.DataTree.from_dict({"allocation": xr.Dataset({"label": array})})
    turned = xr.DataTree.from_dict(
        {"allocation": xr.Dataset({"label": array.transpose("obs", "draw", "chain")})}
    )
    return {
        "chains": by_chain,
        "lists": label.tolist(),
        "DataArray": array,
        "tree": tree,
        "turned": turned,
        "int8": label.astype(np.int8),
        "far names": 10**6 * label.astype(np.int64) - 5,
    }


@pytest.mark.parametrize("source", sources(np.zeros((200, 1), int)))
def test_any_source_of_labels_gives_the_same(truth, found, source):
    own = bm.partition(sources(noisy(truth, 200, 0.1))[source], random_seed=1)
    np.testing.assert_array_equal(own.labels, found.labels)
    assert own.expected_loss == found.expected_loss
    np.testing.assert_array_equal(own.certainty, found.certainty)


def test_draws_labels_where_none_are_stored():
    x = rows_of(SEPARATED, 60, seed=3)
    group = np.square(x[:, None] - SEPARATED.means).sum(axis=-1).argmin(axis=1)
    tree = planted(SEPARATED, x)
    found = bm.partition(tree, random_seed=1)
    assert same_partition(found.labels.values, group)
    assert found.expected_loss == pytest.approx(0, abs=1e-12)
    overlapping = planted(OVERLAPPING, rows_of(OVERLAPPING, 60, seed=3))
    one, same, other = (bm.partition(overlapping, random_seed=seed) for seed in (1, 1, 2))
    assert one.expected_loss == same.expected_loss != other.expected_loss


def test_varying_numbers_of_clusters():
    x = blobs(40, 2, 3, seed=2)
    mixture = bm.Mixture(bm.DirichletProcess(1.0), bm.weakly_informative(x))
    post = sample_quietly(mixture, x, draws=100, tune=100, chains=2, random_seed=1)
    found = bm.partition(post, random_seed=1)
    draws = post["allocation"]["label"].values.reshape(-1, 40)
    assert found.expected_loss == pytest.approx(by_definition("vi", found.labels.values, draws))
    k = int(np.bincount(post["posterior"]["n_clusters"].values.ravel()).argmax())
    chosen = bm.partition(bm.relabel(post, n_clusters=k), random_seed=1)
    assert chosen.n_draws == (post["posterior"]["n_clusters"] == k).sum()


def test_rows_keep_their_names(truth):
    x = rows_of(SEPARATED, 30, seed=3)
    post = completed(planted(SEPARATED, x), model("full", 3))
    names = [f"row {i}" for i in range(30)]
    for group in ("allocation", "observed_data"):
        post[group] = xr.DataTree(post[group].to_dataset().assign_coords(obs=names))
    found = bm.partition(post, random_seed=1)
    assert found.labels["obs"].values.tolist() == names
    assert found.certainty["obs"].values.tolist() == names
    assert found.rows.index.tolist() == names


def test_tables_agree_with_the_labels(found, truth):
    assert found.table["size"].tolist() == [30, 20, 10]
    assert found.rows["label"].tolist() == truth.tolist()
    for cluster, own in found.rows.groupby("label"):
        assert own["certainty"].mean() == pytest.approx(found.table.loc[cluster, "certainty"])
    assert (found.table["size_lower"] <= found.table["size_upper"]).all()
    np.testing.assert_array_equal(found.certainty, found.rows["certainty"])


def test_certainty_is_similarity_to_the_own_cluster(found, truth):
    together = bm.similarity(noisy(truth, 200, 0.1)).to_dataarray().values
    for i in (0, 35, 59):
        mates = np.flatnonzero((truth == truth[i]) & (np.arange(60) != i))
        assert found.certainty[i] == pytest.approx(together[i, mates].mean(), abs=1e-6)


def test_rows_that_move_are_those_in_between():
    """The last row is in the other cluster in two draws of five; all others stay."""
    a = np.r_[np.repeat([0, 1], 10), 0]
    b = np.r_[np.repeat([0, 1], 10), 1]
    found = bm.partition(np.stack([a, a, a, b, b] * 8), loss="binder", random_seed=1)
    assert found.moving.index.tolist() == [20]
    assert found.moving["certainty"].tolist() == pytest.approx([0.6])
    assert found.moving["next_affinity"].tolist() == pytest.approx([0.4])


@pytest.mark.parametrize(("elsewhere", "moves"), [(8, True), (7, True), (6, False), (0, False)])
def test_a_row_moves_when_the_next_cluster_has_it_half_as_often(elsewhere, moves):
    """Of 20 draws it is in its own cluster in 12, in another in some, alone in the others."""
    stays, leaves, alone = (np.r_[np.repeat([0, 1], 9), own] for own in (0, 1, 2))
    draws = [stays] * 12 + [leaves] * elsewhere + [alone] * (8 - elsewhere)
    found = bm.partition(draws, loss="binder", random_seed=1)
    assert found.moving.index.tolist() == [18] * moves
    assert found.rows["next_affinity"][18] == pytest.approx(elsewhere / 20)


def test_those_that_move_stand_with_the_least_ahead_first(truth):
    moving = bm.partition(noisy(truth, 30, 0.5), loss="binder", random_seed=1).moving
    ahead = (moving["certainty"] - moving["next_affinity"]).to_numpy()
    assert len(ahead) > 5
    assert np.all(np.diff(ahead) >= 0)


def test_rows_of_a_single_cluster_do_not_move():
    draws = [[0, 0, 0, 0]] * 3 + [[0, 1, 2, 3]]
    found = bm.partition(draws, random_seed=1)
    assert found.rows["next_label"].tolist() == [-1] * 4
    assert found.moving.empty


def test_two_partitions_are_told_apart():
    """A third of the draws splits what the others hold together; a few rows are noise in both."""
    whole, halves = np.repeat([0, 1], 30), np.r_[np.repeat([0, 2], 15), np.ones(30, int)]
    draws = np.concatenate([noisy(whole, 80, 0.03), noisy(halves, 40, 0.03, seed=1)])
    found = bm.partition(draws, random_seed=1)
    assert [mode.n_clusters for mode in found.modes] == [2, 3]
    assert [mode.share for mode in found.modes] == pytest.approx([2 / 3, 1 / 3])
    assert same_partition(found.modes[0].labels.values, whole)
    assert same_partition(found.modes[1].labels.values, halves)
    assert found.modes[1].expected_loss == pytest.approx(
        by_definition("vi", halves, draws[80:]), rel=1e-9
    )
    assert found.sentences()[-1] == (
        "The posterior gathers around 2 partitions: 2 clusters in 67% of the draws; 3 clusters in "
        "33% of the draws."
    )
    same, new = found.modes
    np.testing.assert_array_equal(same.labels, found.labels)
    np.testing.assert_array_equal(new.labels[30:], found.labels[30:])
    assert not set(new.labels.values[:15]) & set(found.labels.values[30:])


def test_rows_that_move_together_make_no_modes():
    """A fifth of the first cluster is in the second in 40 % of the draws."""
    a = np.repeat([0, 1], 30)
    b = np.where(np.arange(60) < 6, 1, a)
    found = bm.partition(np.stack([a, a, a, b, b] * 20), random_seed=1)
    assert found.modes == ()
    assert found.moving.index.tolist() == list(range(6))


def test_one_cloud_of_partitions_has_no_modes(found):
    assert found.modes == ()


def test_the_ball_holds_what_was_asked(found):
    for prob in (0.5, 0.89):
        draws = noisy(np.repeat([0, 1], 9), 80, 0.1)
        ball = bm.partition(draws, ci_prob=prob, random_seed=1).credible_ball
        assert ball.prob == prob
        assert (ball.distance <= ball.radius + 1e-12).mean() >= prob
        assert (ball.distance < ball.radius - 1e-12).mean() < prob


def test_unequal_costs_leave_the_ball_a_distance():
    draws = noisy(np.repeat([0, 1], 9), 80, 0.1)
    found = bm.partition(draws, costs=(1, 2), random_seed=1)
    expected = bm.variation_of_information(found.labels.values, draws)
    np.testing.assert_allclose(found.credible_ball.distance, expected, atol=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_same_seed_same_answer(truth, loss):
    draws = noisy(truth, 60, 0.4)
    one, other = (bm.partition(draws, loss=loss, random_seed=4) for _ in range(2))
    np.testing.assert_array_equal(one.labels, other.labels)
    assert one.runs == other.runs


@pytest.mark.parametrize("loss", LOSSES)
def test_orders_and_names_do_not_matter(truth, loss):
    draws = noisy(truth, 100, 0.2)
    expected = bm.partition(draws, loss=loss, random_seed=1)
    rng = np.random.default_rng(0)
    rows, order = rng.permutation(len(truth)), rng.permutation(len(draws))
    turned = bm.partition(draws[order][:, rows] * 3 - 4, loss=loss, random_seed=2)
    assert turned.expected_loss == pytest.approx(expected.expected_loss, rel=1e-12)
    assert same_partition(turned.labels.values, expected.labels.values[rows])
    np.testing.assert_allclose(turned.certainty, expected.certainty.values[rows], atol=1e-12)
    assert turned.credible_ball.radius == pytest.approx(expected.credible_ball.radius, abs=1e-12)


def test_most_clusters_allowed(truth):
    draws = noisy(truth, 60, 0.1)
    found = bm.partition(draws, max_clusters=2, random_seed=1)
    assert found.n_clusters == 2


@pytest.mark.parametrize("label", [[[0, 1, 1]], [[0], [0]], [[3]]])
def test_few_draws_and_few_rows(label):
    found = bm.partition(label, random_seed=1)
    assert same_partition(found.labels.values, np.array(label[0]))
    assert found.expected_loss == 0
    assert found.credible_ball.radius == 0
    assert str(found)


PAIR, OTHER = np.r_[np.repeat([0, 1], 10), 0], np.r_[np.repeat([0, 1], 10), 1]


def sentences(draws: list[np.ndarray], **arguments: object) -> list[str]:
    """In words, with R for the numbers of runs."""
    found = bm.partition(draws, random_seed=1, **arguments)
    assert 1 <= found.runs[0] <= found.runs[1]
    runs = f"{found.runs[0]} of {found.runs[1]} runs"
    return [sentence.replace(runs, "R") for sentence in found.sentences()]


def test_says_one_row_that_moves():
    """Binder's loss of 16 draws of 40 that put 20 pairs wrong, of 441 both ways round."""
    assert sentences([PAIR, PAIR, PAIR, OTHER, OTHER] * 8, loss="binder") == [
        "2 clusters lose least: Binder's loss of 0.0363 from a draw, on average over 40 draws (R "
        "of the search ended there).",
        "100% of the draws, with 2 clusters, are within 0.0907 of it.",
        "20 of 21 rows are together with the others of their cluster in at least 95% of the draws, "
        "on average.",
        "1 row may move: it is together with the rows of another cluster more than half as often "
        "as with those of its own.",
    ]


def test_says_several_rows_that_move():
    b = np.where(np.arange(60) < 6, 1, np.repeat([0, 1], 30))
    a = np.repeat([0, 1], 30)
    assert sentences([a, a, a, b, b] * 20, loss="omari")[3] == (
        "6 rows may move: they are together with the rows of another cluster more than half as "
        "often as with those of their own."
    )


def test_says_several_clusters_and_no_row_that_moves(found):
    loss, radius = found.expected_loss, found.credible_ball.radius
    inside = np.mean(found.credible_ball.distance <= radius + 1e-12)
    certain = (found.rows["certainty"] >= 0.95).sum()
    assert found.sentences() == [
        f"3 clusters lose least: variation of information of {loss:.3g} bits from a draw, on "
        f"average over 200 draws ({found.runs[0]} of {found.runs[1]} runs of the search ended "
        "there).",
        f"{inside:.0%} of the draws, with 3 clusters, are within {radius:.3g} bits of it.",
        f"{certain} of 60 rows are together with the others of their cluster in at least 95% of "
        "the draws, on average.",
        "No row moves between clusters.",
    ]
    assert found._repr_html_().count("<li>") == 4


def test_says_one_cluster_of_one_row():
    assert sentences([[0]]) == [
        "1 cluster loses least: variation of information of 0 bits from a draw, on average over 1 "
        "draw (R of the search ended there).",
        "100% of the draws, with 1 cluster, are within 0 bits of it.",
        "1 of 1 row is together with the others of their cluster in at least 95% of the draws, on "
        "average.",
        "No row moves between clusters.",
    ]


def test_says_that_more_clusters_may_lose_less(truth):
    found = sentences([truth, truth, truth * 0], max_clusters=2, loss="omari")
    index = (2 * adjusted_rand_score(truth, np.minimum(truth, 1)) + 0) / 3
    assert found[0] == (
        f"2 clusters, the most allowed, lose least: an adjusted Rand index of {index:.3g} with a "
        "draw, on average over 3 draws (R of the search ended there). More lose less; raise "
        "max_clusters."
    )
    assert found[1] == (
        "100% of the draws, with 1 to 3 clusters, have an adjusted Rand index of at least 0 with "
        "it."
    )


def test_says_the_costs(truth):
    assert sentences([truth] * 3, costs=(1, 2.5))[0].startswith(
        "3 clusters lose least: variation of information at costs 1, 2.5 of 0 bits from a draw"
    )


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        (1, "Cluster 0 comes apart: two of its rows are together in 75% of the draws."),
        (2, "Clusters 0 (75%) and 1 (75%) come apart: so often are two of their rows together."),
        (
            5,
            "Clusters 0 (75%), 1 (75%), 2 (75%) and 2 more come apart: so often are two of their "
            "rows together.",
        ),
    ],
)
def test_says_which_clusters_come_apart(blocks, said):
    """In one draw of four every row is alone."""
    whole = np.repeat(np.arange(blocks), 4)
    assert said in sentences([whole, whole, whole, np.arange(len(whole))])
    assert not any("apart" in own for own in sentences([whole] * 4))


@pytest.mark.parametrize("ci_prob", [0.5, 0.9])
def test_sizes_of_a_cluster_over_the_draws_that_have_it(truth, ci_prob):
    draws = noisy(truth, 60, 0.3)
    found = bm.partition(draws, ci_prob=ci_prob, random_seed=1)
    for k in range(found.n_clusters):
        own, sizes = found.labels.values == k, []
        for draw in draws:
            theirs = [draw == name for name in np.unique(draw)]
            sizes += [c.sum() for c in theirs if (c & own).sum() > 0.5 * (c | own).sum()]
        lower, upper = np.quantile(sizes, [(1 - ci_prob) / 2, (1 + ci_prob) / 2])
        assert found.table.loc[k, "size_lower"] == pytest.approx(lower)
        assert found.table.loc[k, "size_upper"] == pytest.approx(upper)
        assert found.table.loc[k, "size_mean"] == pytest.approx(np.mean(sizes))
        assert found.table.loc[k, "found"] == pytest.approx(len(sizes) / 60)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": "rand"}, "loss: expected one of vi, binder, omari, got 'rand'"),
        ({"costs": (1, 0)}, "costs: expected two positive numbers"),
        ({"loss": "omari", "costs": (1, 2)}, "costs: expected equal ones"),
        ({"n_runs": 0}, "n_runs: expected"),
        ({"max_clusters": 0}, "max_clusters: expected"),
        ({"ci_prob": 2}, "ci_prob: expected"),
        ({"ci_prob": "a"}, "ci_prob: expected a number between 0 and 1, got 'a'"),
        ({"costs": "ab"}, "costs: expected two positive numbers, .* got 'ab'"),
        ({"costs": ("1", "2")}, "costs: expected two positive numbers, .* got "),
        ({"costs": [[1], [1, 2]]}, "costs: expected two positive numbers, .* got "),
    ],
)
def test_says_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        bm.partition([[0, 0, 1], [0, 1, 1]], **arguments)
