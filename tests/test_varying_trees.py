"""Trees whose number of components varies: their schema, and what reads or refuses them."""

from __future__ import annotations

import dataclasses
from itertools import product

import arviz_stats
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import bayesmix as bm
from bayesmix import gaussian, plots
from bayesmix.chain_starts import dispersed_labels
from bayesmix.diagnostics import convergence, label_invariant
from bayesmix.inputs import as_table
from bayesmix.replicates import add_groups
from bayesmix.schema import mixture_of
from tests.fixtures_post import SEPARATED, point_dataset, sample_quietly
from tests.fixtures_varying import MFM, PROCESS, VARYING, planted_varying, varying_mixture
from tests.support import STRUCTURES, Parameters, random_parameters, rows_of

POINT = Parameters(
    np.array([0.42, 0.3, 0.2, 0.08]),
    np.concatenate([SEPARATED.means, [[25.0, -20.0]]]),
    np.concatenate([SEPARATED.covariances, [np.eye(2)]]),
)
"""Components that no draw near them could confuse."""
X = rows_of(POINT, 60)


@pytest.fixture(scope="module")
def both():
    return planted_varying(POINT, X)


@pytest.fixture(scope="module")
def tree(both) -> xr.DataTree:
    return both[0]


@pytest.fixture(scope="module")
def of_process() -> xr.DataTree:
    mixture = varying_mixture(VARYING["PY"], random_scale=True)
    return planted_varying(POINT, X, mixture)[0]


@pytest.fixture(scope="module")
def three(tree) -> xr.DataTree:
    return bm.relabel(tree, n_clusters=3)


def findings(tree: xr.DataTree) -> dict[str, bm.diagnostics.Finding]:
    return {finding.check: finding for finding in bm.diagnose(tree)}


class TestSchema:
    @pytest.mark.parametrize(
        ("name", "structure"),
        [*product(["PY"], STRUCTURES), *product(sorted(VARYING.keys() - {"PY"}), ["full"])],
    )
    def test_trees_validate_and_survive_netcdf(self, name, structure, tmp_path):
        mixture = varying_mixture(VARYING[name], structure, random_scale=name == "PY")
        point = random_parameters(structure, 4, 2)
        tree, _ = planted_varying(point, rows_of(point, 40), mixture, draws=9)
        bm.validate(tree)
        tree.to_netcdf(tmp_path / "tree.nc")
        loaded = bm.load(tmp_path / "tree.nc")
        assert loaded.identical(tree)
        assert mixture_of(loaded) == mixture
        random = {
            "concentration": mixture.weights.random_concentration is not None,
            "discount": name == "PY",
            "covariance_scale": name == "PY",
            "n_components": name.startswith("MFM"),
            "n_clusters": True,
        }
        assert set(tree["posterior"].data_vars) == {n for n, there in random.items() if there}
        assert "lp" not in tree["sample_stats"]
        assert "truncation_error" not in tree.attrs

    def test_holds_what_was_recorded(self, both):
        tree, found = both
        width = max(own.n_clusters[:40].max() for own in found)
        assert tree["components"].sizes["component"] == width
        for c, own in enumerate(found):
            for s, t in enumerate(own.n_clusters[:40]):
                draw = tree["components"].to_dataset().isel(chain=c, draw=s)
                np.testing.assert_array_equal(draw["weights"][:t], own.weights[s, :t])
                np.testing.assert_array_equal(draw["means"][:t], own.means[s, :t])
                np.testing.assert_array_equal(draw["covariances"][:t], own.covariances[s, :t])
                assert np.isnan(draw["weights"][t:]).all()
                assert np.isnan(draw["covariances"][t:]).all()
            np.testing.assert_array_equal(tree["allocation"]["label"][c], own.labels[:40])
            np.testing.assert_array_equal(tree["posterior"]["n_clusters"][c], own.n_clusters[:40])
        assert tree["allocation"]["label"].dtype == np.int8

    def test_tied_covariances_are_padded_too(self):
        point = random_parameters("tied", 4, 2)
        tree, _ = planted_varying(point, rows_of(point, 40), varying_mixture(MFM, "tied"))
        own = np.arange(4) < tree["posterior"]["n_clusters"].values[..., None]
        np.testing.assert_array_equal(
            np.isfinite(tree["components"]["covariances"][..., 0, 0]), own
        )


def planted_value(group, name, at, value):
    def change(tree):
        values = tree[group][name].values.copy()
        values[at] = value
        tree[group] = xr.DataTree(
            tree[group].to_dataset().assign({name: (tree[group][name].dims, values)})
        )

    return change


def without(group, name):
    def change(tree):
        tree[group] = xr.DataTree(tree[group].to_dataset().drop_vars(name))

    return change


def of_model(weights):
    def change(tree):
        mixture = dataclasses.replace(mixture_of(tree), weights=weights)
        tree.attrs["bayesmix_model"] = mixture.to_json()

    return change


FAULTS = {
    "NaN in a cluster": (
        planted_value("components", "means", (0, 3, 0), np.nan),
        "components.means: expected finite values in the first n_clusters components",
    ),
    "a value after the last": (
        planted_value("posterior", "n_clusters", (1, 2), 1),
        "components.weights: expected finite values in the first n_clusters components",
    ),
    "more clusters than there is room": (
        planted_value("posterior", "n_clusters", (1, 2), 5),
        "posterior.n_clusters: expected numbers from 1 to 4, .* got 2 to 5",
    ),
    "too heavy": (
        planted_value("components", "weights", (0, 0, 0), 1.2),
        "components.weights: expected weights of at least 0 whose sum is at most one",
    ),
    "negative": (
        planted_value("components", "weights", (0, 0, 0), -0.1),
        "components.weights: expected weights of at least 0",
    ),
    "not positive definite": (
        planted_value("components", "covariances", (0, 0, 0), np.ones((2, 2))),
        "components.covariances: expected positive definite matrices",
    ),
    "no n_clusters": (
        without("posterior", "n_clusters"),
        "posterior: expected a variable 'n_clusters' beside the group components",
    ),
    "no n_components": (
        without("posterior", "n_components"),
        "posterior: expected a variable 'n_components', because the model has a prior on it",
    ),
    "n_components of a process": (
        of_model(bm.DirichletProcess(1.0)),
        "posterior: expected no variable 'n_components', because the model has no prior on it",
    ),
    "no means": (without("components", "means"), "components: expected a variable 'means'"),
    "weights in the posterior too": (
        lambda tree: tree["posterior"].update({"weights": tree["components"]["weights"]}),
        "posterior: expected no weights, means or covariances beside the group components",
    ),
    "a model with a fixed number": (
        of_model(bm.Dirichlet(4)),
        "tree: expected no group components, because the model has 4 components",
    ),
    "a truncation": (
        lambda tree: tree.attrs.update(truncation_error=0.1),
        "tree: expected no attribute truncation_error",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_validate_rejects(name, tree):
    fault, match = FAULTS[name]
    broken = tree.copy(deep=True)
    fault(broken)
    with pytest.raises(ValueError, match=f"^{match}") as caught:
        bm.validate(broken)
    assert "\n" not in str(caught.value)


class TestNumbers:
    def test_of_a_mixture_of_finite_mixtures(self, tree):
        table = bm.n_clusters(tree)
        for name in ("n_clusters", "n_components"):
            values = tree["posterior"][name].values
            most = tree["posterior"]["n_components"].values.max()
            assert list(table.index) == list(range(1, most + 1))
            np.testing.assert_allclose(table[name], [(values == k).mean() for k in table.index])
            inside = (table[name] > 0) & (table[name] < 1)
            assert (table[f"{name}_mcse"][inside] > 0).all()

    def test_of_a_process(self, of_process):
        table = bm.n_clusters(of_process)
        assert list(table.index) == [1, 2, 3, 4]
        assert table["n_clusters"].sum() == pytest.approx(1)
        assert table[["n_components", "n_components_mcse"]].isna().all(axis=None)


class TestLabelInvariant:
    def test_values(self, both):
        tree, found = both
        at = np.array([[0.0, 0.0], [5.0, 5.0]])
        invariant = label_invariant(tree, points=at)
        least = min(own.n_clusters[:40].min() for own in found)
        assert invariant.sizes["rank"] == least
        for c, own in enumerate(found):
            for s, t in enumerate(own.n_clusters[:40]):
                draw = invariant.isel(chain=c, draw=s)
                weights = own.weights[s, :t]
                shares = weights / weights.sum()
                expected = {
                    "log_likelihood_total": own.log_likelihood[s],
                    "n_clusters": t,
                    "n_components": own.n_components[s],
                    "weight_entropy": -(shares * np.log(shares)).sum(),
                    "weights_sorted": np.sort(weights)[::-1][:least],
                    "log_density_points": gaussian.log_density(
                        at, weights, own.means[s, :t], own.covariances[s, :t]
                    ),
                }
                assert set(expected) == set(invariant.data_vars)
                for name, value in expected.items():
                    np.testing.assert_allclose(draw[name], value, rtol=1e-12, err_msg=name)

    def test_has_what_is_random_of_the_prior(self, of_process):
        found, posterior = label_invariant(of_process), of_process["posterior"]
        for name in ("concentration", "discount"):
            np.testing.assert_array_equal(found[name], posterior[name])
        scale = posterior["covariance_scale"].values
        np.testing.assert_array_equal(found["covariance_scale"][..., 1], scale[..., 1, 1])
        assert found["covariance_scale"]["feature"].values.tolist() == ["x0", "x1"]

    def test_at_most_five_weights(self):
        point = random_parameters("full", 9, 2)
        tree, _ = planted_varying(point, rows_of(point, 40))
        assert tree["posterior"]["n_clusters"].min() == 7
        assert label_invariant(tree).sizes["rank"] == 5

    def test_summary_has_no_components(self, tree):
        table = bm.summary(tree)
        assert "n_components" in table.index
        assert not table.index.str.startswith("means").any()
        share = (tree["posterior"]["n_clusters"] == 3).mean()
        assert table.attrs["advice"] == (
            "components are not shown: relabel(post, n_clusters=3) keeps the draws with 3, the "
            f"most probable number ({float(share):.0%})"
        )

    def test_diagnose(self, tree):
        found = findings(tree)
        assert found["identification"].severity == "ok"
        assert "relabel(post, n_clusters=3)" in found["identification"].message
        assert "truncation" not in found

    def test_chains_that_disagree(self, tree):
        moved = tree.copy(deep=True)
        moved["posterior"]["n_components"][0] += 5
        (finding,) = (f for f in convergence(moved) if f.check == "r_hat")
        assert finding.severity == "warning"
        assert "for n_components" in finding.message

    def test_improper_with_every_group_of_equal_values(self):
        """Sixty pairs of equal rows: more of them than the components of any draw."""
        prior = bm.IndependentNormalInverseWishart(
            [0.0, 0.0], 9 * np.eye(2), 6.0, scale_hyperprior=(8.0, (1.0, 1.0))
        )
        x = np.repeat(X, 2, axis=0)
        tree, _ = planted_varying(POINT, x, bm.Mixture(MFM, prior))
        assert findings(tree)["improper"].severity == "warning"


class TestRelabel:
    def test_is_a_tree_of_a_fixed_number(self, three, tree, tmp_path):
        bm.validate(three)
        three.to_netcdf(tmp_path / "three.nc")
        assert bm.load(tmp_path / "three.nc").identical(three)
        assert not {"components", "sampler_state"} & three.children.keys()
        assert three["posterior"]["means"].shape[2:] == (3, 2)
        assert three.attrs == tree.attrs

    def test_keeps_the_draws_with_so_many(self, three, both):
        """In the order of `SEPARATED` up to one permutation, weights divided by their sum."""
        _, found = both
        relabeling = three["relabeling"]
        kept = [(c, s) for c, own in enumerate(found) for s in range(40) if own.n_clusters[s] == 3]
        origin = np.stack([relabeling["sampled_chain"][0], relabeling["sampled_draw"][0]], axis=1)
        np.testing.assert_array_equal(origin, kept)
        assert relabeling.attrs["kept"] == len(kept) / 120
        assert relabeling.attrs["n_clusters"] == 3
        left = [1 - found[c].weights[s, :3].sum() for c, s in kept]
        np.testing.assert_allclose(relabeling["dropped_mass"][0], left, rtol=0, atol=1e-15)
        assert relabeling.attrs["dropped_mass"] == pytest.approx(np.mean(left))
        order = relabeling["permutation"].values[0]
        for i, (c, s) in enumerate(kept):
            own, posterior = found[c], three["posterior"].to_dataset().isel(chain=0, draw=i)
            weights = own.weights[s, :3] / own.weights[s, :3].sum()
            np.testing.assert_allclose(posterior["weights"], weights[order[i]], rtol=1e-14)
            np.testing.assert_array_equal(posterior["means"], own.means[s, order[i]])
            np.testing.assert_array_equal(posterior["covariances"], own.covariances[s, order[i]])
            label = three["allocation"]["label"].values[0, i]
            np.testing.assert_array_equal(order[i][label], own.labels[s])
            assert posterior["n_components"] == own.n_components[s]
            assert three["sample_stats"]["log_likelihood_total"][0, i] == own.log_likelihood[s]
        assert relabeling.attrs["non_permutation_rate"] == 0
        spread = three["posterior"]["means"].std(("chain", "draw"))
        assert (spread < 0.2).all()

    def test_advice_says_of_how_many(self, three, tree):
        share = float((tree["posterior"]["n_clusters"] == 3).mean())
        assert three["relabeling"].attrs["advice"] == (
            "components are identified: the component table can be read; of the "
            f"{share:.0%} of the draws that have 3 clusters"
        )

    @pytest.mark.parametrize("share", [0.0, 1.0], ids=["of components", "of rows too"])
    def test_the_reference_is_the_draw_of_highest_density(self, tree, share):
        tree = tree.copy(deep=True)
        tree["sample_stats"]["log_likelihood_total"] *= share
        three = bm.relabel(tree, n_clusters=3)
        components = three["posterior"].to_dataset()
        prior = mixture_of(three).components
        density = three["sample_stats"]["log_likelihood_total"].values[0] + [
            gaussian.log_prior(
                bm.Mixture(bm.Dirichlet(3), prior),
                *(components[name].values[0, i] for name in Parameters._fields),
            )
            for i in range(components.sizes["draw"])
        ]  # a flat prior on the weights is a constant
        order = three["relabeling"]["permutation"].values[0]
        np.testing.assert_array_equal(order[density.argmax()], [0, 1, 2])
        assert (order[density.argmin()] != [0, 1, 2]).any()

    def test_what_reads_it(self, three):
        found = bm.membership(three)
        np.testing.assert_allclose(found["probability"].sum("component"), 1, rtol=1e-12)
        table = bm.summary(three)
        assert "weights[2]" in table.index
        assert table.attrs["advice"] == three["relabeling"].attrs["advice"]
        assert bm.n_clusters(three)["n_clusters"][3] == 1
        checks = findings(three)
        assert checks["r_hat"].severity == "ok"
        assert "the tree they come from" in checks["r_hat"].message
        plots.clusters(three)
        plt.close("all")

    def test_again_with_a_reference(self, three):
        again = bm.relabel(three, reference=point_dataset(SEPARATED, ("x0", "x1")))
        bm.validate(again)
        near = again["posterior"]["means"].mean(("chain", "draw"))
        np.testing.assert_allclose(near, SEPARATED.means, atol=0.1)
        for name in ("n_clusters", "kept", "dropped_mass"):
            assert again["relabeling"].attrs[name] == three["relabeling"].attrs[name]
        assert again["relabeling"].attrs["advice"] == three["relabeling"].attrs["advice"]
        xr.testing.assert_identical(
            again["relabeling"]["sampled_draw"], three["relabeling"]["sampled_draw"]
        )

    def test_of_a_process_with_a_random_scale(self, of_process):
        three = bm.relabel(of_process, n_clusters=3)
        bm.validate(three)
        assert "concentration" in three["posterior"]
        assert three["posterior"]["covariance_scale"].dims[-2:] == ("feature", "feature_bis")
        assert bm.n_clusters(three)["n_components"].isna().all()

    @pytest.mark.parametrize(
        ("k", "message"),
        [
            (9, "n_clusters: expected a number that some draw has, from 2 to 4, got 9; relabel"),
            (0, "n_clusters: expected"),
        ],
    )
    def test_errors(self, tree, k, message):
        with pytest.raises(ValueError, match=f"^{message}"):
            bm.relabel(tree, n_clusters=k)

    def test_only_where_it_varies(self, three):
        with pytest.raises(ValueError, match=r"^n_clusters: expected None, because every draw has"):
            bm.relabel(three, n_clusters=3)


REFUSED = {
    "relabel": bm.relabel,
    "membership": bm.membership,
    "clusters": plots.clusters,
    "membership picture": plots.membership,
    "replicates": lambda tree: add_groups(
        tree,
        {"posterior_predictive"},
        mixture_of(tree),
        as_table(X),
        np.random.default_rng(1),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_fixed_components_refuses(name, tree):
    match = r"^post: expected the same components in every draw, got 2 to 4 of them; relabel\(post,"
    with pytest.raises(ValueError, match=match) as caught:
        REFUSED[name](tree)
    assert "\n" not in str(caught.value)
    plt.close("all")


def test_density_is_drawn_with_components_without_rows(tree):
    ax = plots.density(tree)
    at, drawn = ax.get_lines()[0].get_data()
    found = bm.predictive.density(tree, at, features=str(ax.get_xlabel()), random_seed=1)
    np.testing.assert_allclose(drawn, found["density"], rtol=1e-9)
    plt.close("all")


def test_traces_are_drawn(tree):
    plots.traces(tree)
    plt.close("all")


@pytest.mark.slow
def test_of_faithful_by_a_dirichlet_process():
    """From start to memberships: the two kinds of eruption, from chains that agree."""
    x = bm.datasets.load("faithful")
    mixture = bm.Mixture(bm.DirichletProcess(0.5), bm.fraley_raftery(x, 2))
    post = sample_quietly(mixture, x, draws=1500, thin=2, random_seed=3)
    bm.validate(post)
    assert label_invariant(post).pipe(arviz_stats.rhat)["n_clusters"] < 1.05
    two = bm.relabel(post, n_clusters=2)
    assert two["relabeling"].attrs["non_permutation_rate"] < 0.02
    means = np.sort(two["posterior"]["means"].mean(("chain", "draw")).values, axis=0)
    np.testing.assert_allclose(means, [[2.04, 54.5], [4.29, 80.0]], rtol=0.03)
    sizes = np.bincount(bm.membership(two)["label"].values)
    assert abs(sizes.min() - 97) <= 5


class TestRequests:
    @pytest.mark.parametrize("name", ["log_likelihood", "posterior_predictive", "prior"])
    def test_groups_on_request_are_refused(self, name):
        with pytest.raises(
            ValueError, match=r"^store: expected .* varies in DirichletProcess, got"
        ):
            bm.sample(varying_mixture(PROCESS), X, store=("parameters", name))

    def test_budget_says_that_it_guesses(self):
        match = r"^draws: parameters of every draw, if the widest has 30 clusters, would take"
        with pytest.raises(ValueError, match=match):
            bm.sample(varying_mixture(PROCESS), X, draws=2_000_000, store=("parameters",))


class TestStarts:
    def test_are_far_apart(self):
        mixture = bm.Mixture(PROCESS, bm.weakly_informative(X))
        labels = dispersed_labels(mixture, as_table(X), 6, np.random.default_rng(1))
        numbers = [len(np.unique(own)) for own in labels]
        assert numbers[1] == numbers[4] == 1
        assert 6 <= numbers[2] <= 12  # that of seeds in 60 rows, none to spare
        assert 6 <= numbers[5] <= 12
        truth = gaussian.responsibilities(X, *POINT).argmax(axis=-1)
        together = labels[0][:, None] == labels[0]
        np.testing.assert_array_equal(together, truth[:, None] == truth)

    def test_no_more_than_the_prior_allows(self):
        weights = bm.MixtureOfFiniteMixtures(bm.UniformK(1, 3))
        labels = dispersed_labels(
            varying_mixture(weights), as_table(X), 6, np.random.default_rng(1)
        )
        numbers = [len(np.unique(own)) for own in labels]
        assert max(numbers) == numbers[2] == 3

    @pytest.mark.parametrize("weights", [PROCESS, bm.Dirichlet(6, 0.2)])
    def test_of_many_rows(self, weights):
        """Where a sample settles: not in one cluster, not in twenty, each from rows of its own."""
        x = rows_of(POINT, 12_000)
        mixture = bm.Mixture(weights, bm.weakly_informative(x))
        labels = dispersed_labels(mixture, as_table(x), 3, np.random.default_rng(1))
        truth = gaussian.responsibilities(x, *POINT).argmax(axis=-1)
        for own in labels:
            assert len(np.unique(own)) <= 6
            assert bm.adjusted_rand_index(own, truth) > 0.9
        assert not np.array_equal(labels[0], labels[1])

    @pytest.mark.parametrize("n", [1, 2, 7])
    def test_of_few_rows(self, n):
        labels = dispersed_labels(varying_mixture(), as_table(X[:n]), 4, np.random.default_rng(1))
        assert all(own.shape == (n,) for own in labels)
