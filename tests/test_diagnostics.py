"""What is judged does not depend on the labels, and what is wrong is found and named."""

from __future__ import annotations

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesmix as bm
from bayesmix import gaussian
from bayesmix.diagnostics import APART, above_limit, label_invariant, written_r_hat
from bayesmix.draws import count_clusters
from bayesmix.partition_spread import chain_distance
from tests.fixtures_post import (
    OVERLAPPING,
    SEPARATED,
    completed,
    parameters_of,
    permuted,
    planted,
    random_permutations,
    sampled,
)
from tests.support import Parameters, random_parameters, random_prior, rows_of

X = rows_of(SEPARATED, 40)
MIXTURE = bm.Mixture(bm.Dirichlet(3), random_prior(2))


@pytest.fixture(scope="module")
def bare() -> xr.DataTree:
    """Draws alone, as from a user's own model."""
    return planted(SEPARATED, X)


@pytest.fixture(scope="module")
def whole(bare) -> xr.DataTree:
    return completed(bare, MIXTURE)


@pytest.fixture(scope="module")
def steady() -> xr.DataTree:
    """Independent draws, enough of them for every check to pass."""
    return completed(planted(SEPARATED, X, chains=4, draws=500, spread=0.1), MIXTURE)


def findings(tree: xr.DataTree) -> dict[str, bm.diagnostics.Finding]:
    return {finding.check: finding for finding in bm.diagnose(tree)}


class TestLabelInvariant:
    def test_values(self, whole):
        draws = parameters_of(whole)
        found = label_invariant(whole)
        expected = {
            "log_likelihood_total": gaussian.log_likelihood(X, *draws),
            "weight_entropy": -(draws.weights * np.log(draws.weights)).sum(axis=-1),
            "weights_sorted": np.sort(draws.weights, axis=-1)[..., ::-1],
        }
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-12)
        label = whole["allocation"]["label"].values
        occupied = [[len(np.unique(own)) for own in chain] for chain in label]
        np.testing.assert_array_equal(found["n_clusters"], occupied)
        assert found["rank"].values.tolist() == [1, 2, 3]

    def test_default_points_are_five_rows_across_the_first_feature(self, whole):
        order = X[np.argsort(X[:, 0])]
        at = order[[0, 10, 20, 29, 39]]  # 0, 9.75, 19.5, 29.25, 39: halves to even
        found = label_invariant(whole)["log_density_points"]
        expected = gaussian.log_density(at, *parameters_of(whole))
        np.testing.assert_allclose(found, expected, rtol=1e-12)

    def test_points_of_the_users_own(self, whole):
        at = np.array([[0.0, 0.0], [5.0, 5.0]])
        found = label_invariant(whole, points=at)["log_density_points"]
        expected = gaussian.log_density(at, *parameters_of(whole))
        np.testing.assert_allclose(found, expected, rtol=1e-12)

    @pytest.mark.parametrize("fields", ["all", "labels", "none"])
    def test_no_permutation_changes_it(self, whole, fields):
        """Stored, from the labels, or drawn: the number of clusters included."""
        tree = whole.copy()
        if fields != "all":
            tree["posterior"].dataset = tree["posterior"].to_dataset().drop_vars("n_clusters")
            del tree["sample_stats"]
        if fields == "none":
            del tree["allocation"]
        switched = permuted(tree, random_permutations(tree))
        found, expected = (
            label_invariant(switched, random_seed=1),
            label_invariant(tree, random_seed=1),
        )
        for name in expected:  # sums over components in another order
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-12, err_msg=name)

    def test_what_is_missing_is_derived(self, bare, whole):
        derived, stored = label_invariant(bare, random_seed=1), label_invariant(whole)
        np.testing.assert_allclose(
            derived["log_likelihood_total"], stored["log_likelihood_total"], rtol=1e-12
        )
        assert set(np.unique(derived["n_clusters"])) <= {1, 2, 3}

    def test_drawn_labels_repeat_with_the_seed(self):
        tree = planted(OVERLAPPING, rows_of(OVERLAPPING, 2))  # often one cluster, often two
        first, again, other = (
            label_invariant(tree, random_seed=seed)["n_clusters"].values for seed in (1, 1, 2)
        )
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)
        assert 1.0 < first.mean() < 2.0

    def test_needs_the_data(self, bare):
        tree = bare.copy()
        del tree["observed_data"]
        with pytest.raises(ValueError, match="expected the group observed_data"):
            label_invariant(tree)


def test_count_clusters():
    label = np.array([[[0, 0, 1], [2, 2, 2]], [[0, 1, 2], [1, 1, 0]]])
    np.testing.assert_array_equal(count_clusters(label, 4), [[2, 1], [3, 2]])


class TestSummary:
    def test_agrees_with_arviz(self, steady):
        table = bm.summary(steady, ci_prob=0.8)
        found = label_invariant(steady)
        names = ["log_likelihood_total", "weight_entropy", "weights_sorted", "log_density_points"]
        expected = arviz_stats.summary(found[names], ci_prob=0.8, ci_kind="eti", round_to="none")
        own = table.loc[expected.index, expected.columns]
        pd.testing.assert_frame_equal(own.astype(float), expected.astype(float), rtol=1e-12)
        values = found["log_likelihood_total"].values
        row = table.loc["log_likelihood_total"]
        assert row["mean"] == pytest.approx(values.mean(), rel=1e-12)
        assert row["r_hat"] == pytest.approx(arviz_stats.rhat(values), rel=1e-12)
        assert row["eti80_lb"] == pytest.approx(np.quantile(values, 0.1), rel=1e-3)

    def test_constant_quantities_are_called_so(self, whole):
        table = bm.summary(whole)
        row = table.loc["n_clusters"]
        assert row["note"] == "constant"
        assert row[["ess_bulk", "ess_tail", "r_hat"]].isna().all()
        moving = table.loc[table["note"] == "", ["ess_bulk", "ess_tail", "r_hat"]]
        assert (table.loc["non_permutation_rate", ["mean", "note"]]
                == [0, "components can be read"]).all()  # fmt: skip
        assert len(moving) > 20
        assert moving.notna().all(axis=None)

    def test_components_are_relabeled(self, whole):
        switched = permuted(whole, random_permutations(whole))
        table = bm.summary(switched)
        means = sorted(table.loc[f"means[{k}, x0]", "mean"] for k in range(3))
        np.testing.assert_allclose(means, [-5, 0, 12], atol=0.05)
        assert table.attrs["advice"].startswith("components are identified")

    def test_components_that_do_not_separate_are_left_out(self):
        table = bm.summary(inseparable())
        relabeled = bm.relabel(inseparable())["relabeling"].attrs
        row = table.iloc[-1]
        assert row.name == "non_permutation_rate"
        assert row["mean"] == relabeled["non_permutation_rate"] > 0.05
        assert row["note"] == "components are not shown"
        assert "arviz.summary(relabel(post)) lists them" in table.attrs["advice"]
        assert not table.index.str.match(r"(weights|means|covariances)\[").any()

    def test_components_that_the_prior_names_are_shown(self):
        """Whether or not they separate."""
        tree = completed(inseparable(), bm.Mixture(bm.Dirichlet(2, (1.0, 2.0)), random_prior(2)))
        table = bm.summary(tree)
        assert table.loc["non_permutation_rate", "mean"] > 0.05
        assert "means[1, x0]" in table.index


def inseparable() -> xr.DataTree:
    """Draws of two components at one place."""
    same = OVERLAPPING._replace(
        means=np.zeros((2, 2)), covariances=np.array([np.eye(2), np.eye(2)])
    )
    return planted(same, X, spread=0.3)


class TestDiagnose:
    def test_nothing_to_find(self, steady):
        found = findings(steady)
        assert {f.severity for f in found.values()} == {"ok"}
        assert found.keys() == {"r_hat", "ess", "partitions", "divergences", "identification"}
        assert str(found["divergences"]) == "no divergences"
        assert found["r_hat"].message.endswith("; constant: n_clusters")

    def test_chains_that_disagree(self, bare):
        tree = bare.copy(deep=True)
        tree["posterior"]["means"][1] += 1.0
        finding = findings(tree)["r_hat"]
        assert finding.severity == "warning"
        table = bm.summary(tree)
        label_free = table[~table.index.str.match(r"(weights|means|covariances)\[")]
        worst = label_free["r_hat"]
        assert f"R-hat is {worst.max():.3f} for {worst.idxmax()}, above 1.01" in finding.message
        assert "run more draws" in finding.remedy

    @pytest.mark.parametrize(
        ("r_hat", "said"),
        [
            (1.0104, "1.0104, above 1.01: the chains have not quite met"),
            (1.0100001, "1.0100001, above 1.01: the chains have not quite met"),
            (1.0987, "1.099, above 1.01: the chains have not quite met"),
            (1.234, "1.234, above 1.01: the chains disagree"),
            (np.inf, "inf, above 1.01: the chains disagree"),
        ],
    )
    def test_r_hat_above_its_limit_reads_so(self, r_hat, said):
        assert above_limit(r_hat) == f"R-hat is {said}"
        assert written_r_hat(1.01) == "1.010"

    def test_chains_that_have_not_quite_met_do_not_disagree(self, steady):
        tree = steady.copy(deep=True)
        tree["posterior"]["means"][1] += 0.1
        finding = findings(tree)["r_hat"]
        assert finding.message.endswith("above 1.01: the chains have not quite met")

    def test_switching_alone_is_no_fault(self, steady):
        switched = permuted(steady, random_permutations(steady))
        assert findings(switched)["r_hat"].severity == "ok"

    def test_too_few_draws(self, whole):
        finding = findings(whole)["ess"]
        assert finding.severity == "warning"
        assert "below 200" in finding.message
        assert finding.remedy == "run more draws"

    def test_draws_that_hang_together(self, steady):
        """As many draws, but each repeated 50 times."""
        tree = steady.isel(draw=np.repeat(np.arange(10), 50))
        assert findings(tree)["ess"].severity == "warning"

    def test_one_chain(self, steady):
        finding = findings(steady.isel(chain=[0]))["r_hat"]
        assert (finding.severity, finding.remedy) == ("warning", "run at least two")

    @pytest.mark.parametrize("count", [1, 7])
    def test_divergences(self, steady, count):
        tree = steady.copy(deep=True)
        tree["sample_stats"]["diverging"][0, :count] = True
        finding = findings(tree)["divergences"]
        assert finding.severity == "warning"
        assert finding.message == f"{count} of 2000 transitions diverged"
        assert "tighter component prior" in finding.remedy

    def test_tree_depth(self, steady):
        tree = steady.copy()
        stats = tree["sample_stats"].to_dataset()
        tree["sample_stats"].dataset = stats.assign(reached_max_treedepth=~stats["diverging"])
        assert findings(tree)["tree depth"].message.startswith("2000 transitions reached")

    def test_components_that_cannot_be_told_apart(self):
        finding = findings(inseparable())["identification"]
        assert finding.severity == "warning"
        assert "choose_k" in finding.remedy
        assert finding.message.startswith("components 0 and 1 are not identified")

    def test_interrupted(self, steady):
        tree = steady.isel(draw=slice(123))
        tree.attrs["interrupted"] = 1
        finding = findings(tree)["interrupted"]
        assert finding.severity == "warning"
        assert "4 chains of 123 draws were kept" in finding.message

    def test_a_tree_of_the_users_own_model(self, bare):
        found = findings(bare)
        assert found.keys() == {"r_hat", "ess", "partitions", "identification"}

    def test_a_point_repeated(self):
        point = random_parameters("full", 2, 2)
        tree = planted(point, rows_of(point, 20), spread=0)
        group = tree["posterior"].to_dataset()
        constant = (("chain", "draw"), np.full((2, 40), 2))
        tree["posterior"].dataset = group.assign(n_clusters=constant)
        finding = findings(tree)["mixing"]
        assert finding.message == "every label-invariant quantity is constant"

    def test_chains_that_stand_still_apart(self, whole):
        """No draw of a chain differs from the next, and the chains differ: R-hat is infinite."""
        tree = whole.copy(deep=True)
        apart = np.broadcast_to([[1], [2]], (2, tree["posterior"].sizes["draw"]))
        group = tree["posterior"].to_dataset()
        tree["posterior"].dataset = group.assign(n_clusters=(("chain", "draw"), apart))
        finding = findings(tree)["r_hat"]
        assert finding.severity == "warning"
        assert "R-hat is inf for n_clusters" in finding.message

    def test_what_the_sampler_gives(self, structure):
        found = findings(sampled(structure))
        assert found.keys() == {"r_hat", "ess", "partitions", "divergences", "identification"}
        assert found["identification"].severity == "ok"


class TestPartitions:
    """Chains in different modes, between which nothing differs but who is with whom."""

    @pytest.fixture
    def square(self) -> xr.DataTree:
        """Rows on the corners of a square: left against right, or bottom against top."""
        rng = np.random.default_rng(1)
        x = rng.choice([-3.0, 3.0], size=(80, 2)) + rng.normal(size=(80, 2))
        x = np.concatenate([x, x[:, ::-1]])  # the two answers mirror each other
        covariances = np.array([np.diag([1.0, 10.0])] * 2)
        means = np.array([[-3.0, 0.0], [3.0, 0.0]])
        tree = planted(Parameters(np.array([0.5, 0.5]), means, covariances), x, chains=4, draws=200)
        posterior = tree["posterior"].to_dataset()
        mirrored = posterior.copy(deep=True)
        mirrored["means"].values[:] = posterior["means"].values[..., ::-1]
        mirrored["covariances"].values[:] = posterior["covariances"].values[..., ::-1, ::-1]
        tree["posterior"] = xr.DataTree(xr.where(posterior["chain"] < 2, posterior, mirrored))
        return tree

    def test_different_modes_with_the_same_numbers(self, square):
        points = [[0.0, 0.0], [3.0, 3.0]]
        found = label_invariant(square, points=points, random_seed=1)
        rhat = arviz_stats.rhat(found[["log_likelihood_total", "weight_entropy"]])
        assert max(rhat.values()).item() < 1.01
        finding = findings(square)["partitions"]
        assert finding.severity == "warning"
        assert "several modes" in finding.remedy

    def test_numbers(self, square):
        """Mean distances of pairs of five draws from the middle of eight parts of each chain."""
        tree = completed(square, bm.Mixture(bm.Dirichlet(2), random_prior(2)))
        label = tree["allocation"]["label"].values
        middle = [0.25 + 0.5 * i / 6 for i in range(1, 6)]
        at = [(c, b, int(25 * (b + part))) for c in range(4) for b in range(8) for part in middle]
        same, other = [], []
        for c, b, s in at:
            for e, f, t in at:
                if (c, b) < (e, f):
                    own = same if c == e else other
                    own.append((c, s, e, t))
        mean = []
        for own in (same, other):
            c, s, e, t = np.transpose(own)
            mean.append(bm.variation_of_information(label[c, s], label[e, t]).mean())
        found = chain_distance(tree)
        assert [found.within, found.between] == pytest.approx(mean, rel=1e-9)
        assert found.p_value == 1 / 2000  # no other arrangement of 32 parts is so far apart

    def test_healthy_chains_raise_no_alarm(self):
        """Of independent draws the p-value is uniform: one in 200 below the limit."""
        x = rows_of(OVERLAPPING, 60)
        found = [
            chain_distance(planted(OVERLAPPING, x, chains=chains, draws=80, spread=0.2, seed=seed))
            for chains in (2, 4)
            for seed in range(30)
        ]
        p = np.array([own.p_value for own in found])
        assert (p < APART).sum() <= 2  # of 60, expected 0.3: P(more) = 0.004
        assert abs(p.mean() - 0.5) < 4 * np.sqrt(1 / 12 / len(p))

    def test_one_chain_or_few_draws_are_not_judged(self, steady):
        assert chain_distance(steady.isel(chain=[0])) is None
        assert chain_distance(steady.isel(draw=slice(15))) is None
        assert chain_distance(steady.isel(draw=slice(16))) is not None


class TestTruncation:
    @pytest.fixture
    def sticks(self, whole) -> xr.DataTree:
        """Two chains of 40 draws of three sticks, the last of them empty."""
        tree = whole.copy(deep=True)
        mixture = bm.Mixture(bm.DirichletProcess(1.0, truncation=3), random_prior(2))
        tree.attrs["bayesmix_model"] = mixture.to_json()
        label = tree["allocation"]["label"].values
        label[label == 2] = 1
        return tree

    def test_an_empty_last_stick_is_fine(self, sticks):
        finding = findings(sticks)["truncation"]
        assert str(finding) == "the last of 3 components has rows in 0.0% of the draws"
        assert finding.severity == "ok"

    def test_rows_on_the_last_stick(self, sticks):
        label = sticks["allocation"]["label"].values
        label[0, 0] = 2  # one draw of eighty, and the others empty: not all at once
        finding = findings(sticks)["truncation"]
        assert finding.severity == "warning"
        assert str(finding) == (
            "the last of 3 components has rows in 1.2% of the draws: the truncation takes part in "
            "this posterior; give a larger one, such as truncation=6"
        )

    def test_the_last_stick_by_another_name(self, sticks):
        """After `relabel` it need not be the last component."""
        label = sticks["allocation"]["label"].values
        label[0, 0] = 2
        best = sticks["posterior"].to_dataset().isel(chain=0, draw=0, component=[1, 2, 0])
        relabeled = bm.relabel(sticks, reference=best)
        assert relabeled["relabeling"].attrs["moved"] == 1
        assert findings(relabeled)["truncation"].message == findings(sticks)["truncation"].message

    def test_all_occupied_at_once(self, sticks):
        label = sticks["allocation"]["label"].values
        label[:, :20, :3] = [0, 1, 2]
        label[:, 20:22] = 2
        message = findings(sticks)["truncation"].message
        assert "has rows in 55.0% of the draws, all of them at once in 50.0%: the" in message

    def test_labels_that_are_not_there_are_drawn(self, sticks):
        tree = sticks.drop_nodes("allocation")
        message = findings(tree)["truncation"].message
        assert "has rows in 100.0% of the draws, all of them at once in 100.0%: the" in message


@pytest.mark.parametrize("draws", [1, 2, 3, 4])
def test_few_draws_are_a_finding_not_an_error(draws):
    found = findings(sampled("full").isel(draw=slice(draws)))
    assert found["ess"].severity == "warning"
    assert ("too few" in found["ess"].message) == (draws < 4)


def test_chains_in_different_modes_leave_the_components_unjudged():
    """Each chain by itself looks identified; together they are two answers."""
    tree = planted(SEPARATED, X, spread=0.01)
    posterior = tree["posterior"].to_dataset()
    shift = xr.where(posterior["chain"] == 0, 3.0, 0.0) * (posterior["component"] == 0)
    tree["posterior"] = xr.DataTree(posterior.assign(means=(posterior["means"] + shift)))
    found = findings(tree.drop_nodes([n for n in ("sample_stats",) if n in tree.children]))
    assert found["r_hat"].severity == "warning"
    assert found["identification"].message.startswith("components are not judged")
    assert all(finding.remedy for finding in found.values() if finding.severity == "warning")
    table = bm.summary(tree)
    assert table.loc["components", "note"] == "not shown: the chains disagree"
    assert not any(str(name).startswith("means") for name in table.index)


def test_a_finding_reads_as_a_sentence():
    finding = bm.diagnostics.Finding("warning", "ess", "few draws", "run more")
    assert str(finding) == "few draws; run more"
    assert str(bm.diagnostics.Finding("ok", "ess", "many draws")) == "many draws"
