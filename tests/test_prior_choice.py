"""The number of clusters under several priors: tables, words, seeds, interrupts."""

from __future__ import annotations

import importlib
import signal

import numpy as np
import pytest
import xarray as xr

import bayesmix as bm
from bayesmix.interrupts import noted_interrupt
from bayesmix.prior_choice import compare_priors, thin_for
from bayesmix.prior_choice_result import PriorChoice
from tests.exact_partitions import exact_posterior
from tests.gibbs_cells import few_rows
from tests.planted_counts import tree_of
from tests.support import random_prior

module = importlib.import_module("bayesmix.prior_choice")

PRIOR = random_prior(1)
WEIGHTS = {
    "sparse": bm.Dirichlet(5, 0.3),
    "MFM": bm.MixtureOfFiniteMixtures(bm.UniformK(1, 6)),
    "DP": bm.DirichletProcess(bm.Gamma(2, 4)),
}
MIXTURES = {name: bm.Mixture(weights, PRIOR) for name, weights in WEIGHTS.items()}
N = 30


def draws_of(p, seed=0, shape=(4, 500)) -> xr.DataTree:
    """Independent draws of a number of clusters with given probabilities."""
    numbers = 1 + np.arange(len(p))
    return tree_of(np.random.default_rng(seed).choice(numbers, size=shape, p=p))


TREES = {
    "sparse": draws_of([0.1, 0.6, 0.3], 1),
    "MFM": draws_of([0.1, 0.5, 0.2, 0.2], 2),
    "DP": draws_of([0.05, 0.7, 0.25], 3),
}


class TestTables:
    def test_posterior_beside_prior(self):
        found = PriorChoice.of(MIXTURES, TREES, N)
        assert found.table.index.names == ["prior", "k"]
        for name, weights in WEIGHTS.items():
            own, before = found.table.loc[name], bm.prior_n_clusters(weights, N)
            assert own.index.tolist() == [1, 2, 3, 4]
            numbers = TREES[name]["posterior"]["n_clusters"].values
            shares = [(numbers == k).mean() for k in own.index]
            np.testing.assert_allclose(own["p"], shares)
            np.testing.assert_array_equal(own["p_prior"], before[:4])
            expected = np.sqrt(own["p"] * (1 - own["p"]) / numbers.size)
            np.testing.assert_allclose(own["p_mcse"].fillna(0), expected, rtol=0.15)

    def test_summary(self):
        found = PriorChoice.of(MIXTURES, TREES, N)
        row, numbers = found.summary.loc["MFM"], TREES["MFM"]["posterior"]["n_clusters"].values
        assert row["n_clusters"] == 2
        assert row["mean"] == numbers.mean()
        assert (row["lower"], row["upper"]) == (1, 4)
        assert 0.99 < row["r_hat"] < 1.01
        assert row["prior_mode"] == 1 + bm.prior_n_clusters(WEIGHTS["MFM"], N).argmax()
        for name in ("p", "p_mcse", "p_prior"):
            assert row[name] == found.table.loc[("MFM", 2), name]

    def test_fewer_components_than_clusters_elsewhere(self):
        """What a prior rules out has probability 0 before and after."""
        few = MIXTURES | {"two": bm.Mixture(bm.Dirichlet(2), PRIOR)}
        found = PriorChoice.of(few, TREES | {"two": draws_of([0.5, 0.5])}, N)
        own = found.table.loc["two"]
        assert own["p"].iloc[2:].tolist() == own["p_prior"].iloc[2:].tolist() == [0, 0]

    @pytest.mark.parametrize("trees", [{}, {"other": TREES["DP"]}])
    def test_trees_without_a_mixture(self, trees):
        with pytest.raises(ValueError, match=r"trees: expected at least one, named .*sparse, MFM"):
            PriorChoice.of(MIXTURES, trees, N)


class TestWords:
    def test_priors_that_agree(self):
        found = PriorChoice.of(MIXTURES, TREES, N)
        p = found.summary["p"]
        assert found.sentences() == [
            "2 clusters are the most probable number under all 3 priors: sparse "
            f"{p['sparse']:.2f}, MFM {p['MFM']:.2f}, DP {p['DP']:.2f}."
        ]

    def test_priors_that_do_not(self):
        trees = TREES | {"DP": draws_of([0.0, 0.03, 0.97])}
        assert PriorChoice.of(MIXTURES, trees, N).sentences() == [
            "The most probable number of clusters, and the range with nine tenths of the "
            "probability: sparse 2 (1 to 3), MFM 2 (1 to 4), DP 3 (3 to 3)."
        ]

    def test_one_prior(self):
        only = {"DP": MIXTURES["DP"]}
        said = PriorChoice.of(only, {"DP": draws_of([1.0])}, N).sentences()
        assert said == ["1 cluster is the most probable number: DP 1.00."]

    def cautions(self, tree, weights=None):
        mixtures = MIXTURES | ({"DP": bm.Mixture(weights, PRIOR)} if weights else {})
        return PriorChoice.of(mixtures, TREES | {"DP": tree}, N).cautions()

    def test_chains_that_disagree(self):
        apart = tree_of(np.repeat([[2], [3]], 100, axis=1))
        assert self.cautions(apart) == [
            "Not to be trusted yet, as the chains disagree (R-hat above 1.1); take more draws, or "
            "thin more: DP."
        ]

    def test_chains_that_have_not_quite_met(self):
        near = tree_of(np.random.default_rng(0).binomial(1, [[0.3], [0.5]], (2, 200)) + 1)
        assert self.cautions(near) == [
            "The chains have not quite met (R-hat above 1.01), so that errors are rough: DP."
        ]

    def test_one_chain_is_not_checked(self):
        (said,) = self.cautions(draws_of([0.5, 0.5], shape=(1, 100)))
        assert said.startswith("Not checked")
        assert said.endswith(": DP.")

    @pytest.mark.parametrize("weights", [bm.DirichletProcess(1.0), bm.PitmanYor(1.0, 0.1)])
    def test_a_stated_concentration_of_a_process(self, weights):
        (said,) = self.cautions(TREES["DP"], weights)
        assert said.startswith("Clusters get ever more as rows come in")
        assert said.endswith(": DP.")

    def test_a_truncated_one_has_so_many_components(self):
        assert self.cautions(TREES["DP"], bm.DirichletProcess(1.0, truncation=5)) == []

    def test_an_interrupt(self):
        trees = {"sparse": TREES["sparse"], "MFM": draws_of([0.5, 0.5])}
        trees["MFM"].attrs["interrupted"] = 1
        found = PriorChoice.of(MIXTURES, trees, N)
        assert found.cautions() == ["Interrupted before all draws were made: MFM, DP."]

    def test_of_many_priors_their_number_is_told(self):
        many = {f"prior {i}": MIXTURES["DP"] for i in range(7)}
        apart = tree_of(np.repeat([[2], [3]], 100, axis=1))
        trees = {name: apart if i < 5 else TREES["DP"] for i, name in enumerate(many)}
        found = PriorChoice.of(many, trees, N)
        assert found.cautions()[0].endswith("thin more: 5 of 7 priors.")
        assert found.sentences()[0].endswith(", 3 more.")

    def test_table_first_sentences_first_on_a_page(self):
        found = PriorChoice.of(MIXTURES, TREES, N)
        assert repr(found).splitlines()[-1] == found.sentences()[0]
        assert "prior_mode" in repr(found).splitlines()[0]
        html = found._repr_html_()
        assert html.index(found.sentences()[0]) < html.index("</table>")


class FakeSample:
    """Trees in the place of posteriors, or an interrupt; keeps how it was called."""

    def __init__(self, *outcomes) -> None:
        self.outcomes, self.calls = iter(outcomes), []

    def __call__(self, mixture, x, **options):
        self.calls.append((mixture, x, options))
        outcome = next(self.outcomes)
        if outcome is KeyboardInterrupt:
            raise KeyboardInterrupt
        if outcome.attrs.get("interrupted"):
            with noted_interrupt(hold=True):
                signal.raise_signal(signal.SIGINT)
        return outcome


@pytest.fixture
def fake(monkeypatch):
    def plant(*outcomes) -> FakeSample:
        found = FakeSample(*outcomes)
        monkeypatch.setattr(module, "sample", found)
        return found

    return plant


X = np.random.default_rng(4).normal(size=(N, 1))


class TestComparePriors:
    def test_every_mixture_is_sampled_as_asked(self, fake):
        made = fake(*TREES.values())
        found = compare_priors(MIXTURES, X, draws=7, chains=2, random_seed=1, progressbar=False)
        assert [mixture for mixture, _, _ in made.calls] == list(MIXTURES.values())
        assert list(found.trees) == list(MIXTURES)
        assert found.mixtures == MIXTURES
        for _, _, options in made.calls:
            assert options["store"] == ("parameters",)
            assert (options["draws"], options["chains"], options["thin"]) == (7, 2, 20)

    def test_thinning_is_less_for_more_rows(self):
        assert [thin_for(n) for n in (1, 1_000, 4_000, 10**6)] == [20, 20, 5, 1]

    def test_a_mixture_s_seed_does_not_depend_on_the_others(self, fake):
        def seeds(mixtures, seed):
            made = fake(*TREES.values())
            compare_priors(mixtures, X, random_seed=seed, progressbar=False)
            return [options["random_seed"].random() for _, _, options in made.calls]

        first = seeds(MIXTURES, 3)
        assert len(set(first)) == 3
        assert seeds(dict(list(MIXTURES.items())[:2]), 3) == first[:2]
        assert seeds(MIXTURES | {"sparse": MIXTURES["DP"]}, 3) == first
        assert seeds(MIXTURES, 4) != first

    def test_an_interrupt_keeps_what_is_done(self, fake):
        fake(TREES["sparse"], KeyboardInterrupt)
        found = compare_priors(MIXTURES, X, random_seed=1, progressbar=False)
        assert list(found.trees) == list(found.summary.index) == ["sparse"]
        assert found.cautions()[-1].endswith(": MFM, DP.")

    def test_after_draws_cut_short_nothing_more_is_sampled(self, fake):
        cut = draws_of([0.5, 0.5])
        cut.attrs["interrupted"] = 1
        made = fake(TREES["sparse"], cut)
        found = compare_priors(MIXTURES, X, random_seed=1, progressbar=False)
        assert len(made.calls) == 2
        assert list(found.summary.index) == ["sparse", "MFM"]

    def test_an_interrupt_before_any_draw(self, fake):
        fake(KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            compare_priors(MIXTURES, X, random_seed=1, progressbar=False)

    def test_progress_counts_priors(self, fake, capsys):
        fake(*TREES.values())
        compare_priors(MIXTURES, X, random_seed=1)
        shown = capsys.readouterr().err
        assert "Gibbs, 3 priors" in shown
        assert "100 %" in shown

    @pytest.mark.parametrize(
        ("mixtures", "said"),
        [
            ({}, "mixtures: expected names and their mixtures"),
            (MIXTURES["DP"], "mixtures: expected names and their mixtures"),
            ({"DP": bm.DirichletProcess()}, "mixtures: expected names and their mixtures"),
            ({"ML": bm.Mixture(bm.Dirichlet(2))}, "a posterior needs a prior on the components"),
            ({"wide": bm.Mixture(bm.Dirichlet(2), random_prior(2))}, "expected 2 column"),
            ({"uneven": bm.Mixture(bm.Dirichlet(2, (1, 2)), PRIOR)}, "same concentration"),
        ],
    )
    def test_what_cannot_be_compared_is_said_before_sampling(self, fake, mixtures, said):
        made = fake()
        with pytest.raises(ValueError, match=said):
            compare_priors(mixtures, X, random_seed=1)
        assert not made.calls


def test_posteriors_are_those_of_enumeration():
    """Within Monte Carlo error, under each of three priors."""
    x = few_rows(6, 1)
    found = compare_priors(MIXTURES, x, draws=500, thin=3, random_seed=5, progressbar=False)
    for name, mixture in MIXTURES.items():
        own = found.table.loc[name]
        exact = exact_posterior(x, mixture).p_n_clusters
        assert len(own) >= 5
        expected = np.pad(exact, (0, 10))[: len(own)]
        error = own["p_mcse"].fillna(0.001)
        assert (np.abs(own["p"] - expected) < 4.5 * error).all(), name
