"""Choosing the number of clusters: the stages, their numbers, and what ends them early."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix import k_search
from bayesmix.k_tables import TABLE_COLUMNS
from tests.fixtures_post import SEPARATED
from tests.support import random_prior, rows_of

module = importlib.import_module("bayesmix.n_components")

X = pd.DataFrame(rows_of(SEPARATED, 90), columns=["a", "b"])
QUICK = {"draws": 60, "thin": 2, "progressbar": False}


@pytest.fixture(scope="module")
def chosen() -> bm.KChoice:
    return bm.choose_k(X, range(1, 5), random_seed=1, **QUICK)


class TestChooseK:
    """Three clusters that nothing could confuse."""

    def test_table(self, chosen):
        table = chosen.table
        assert table.index.name == "n_components"
        assert table.index[:4].tolist() == [1, 2, 3, 4]
        assert table.columns.tolist() == list(TABLE_COLUMNS)
        assert (
            table.loc[:4]
            .drop(columns=["p_n_components_mcse", "p_n_clusters_mcse"])
            .notna()
            .all(axis=None)
        )
        for name in ("p_n_clusters", "log_evidence", "elpd"):
            assert table[name].idxmax() == 3
        assert table["bic"].idxmin() == table["icl"].idxmin() == 3

    def test_every_number_is_a_function_of_its_own(self, chosen):
        table = chosen.table
        counted = bm.n_clusters(chosen.post)
        np.testing.assert_array_equal(table["p_n_clusters"], counted["n_clusters"][table.index])
        mcse = counted["n_components_mcse"][table.index]
        np.testing.assert_array_equal(table["p_n_components_mcse"], mcse)
        prior = bm.prior_n_clusters(chosen.mixture.weights, 90)[: len(table)]
        np.testing.assert_array_equal(table["p_n_clusters_prior"], prior)
        for k in range(1, 5):
            assert table.loc[k, "log_evidence"] == chosen.evidences[k].log_evidence
            assert table.loc[k, "elpd_se"] == chosen.loos[k].se
            em = bm.GaussianMixture(k, n_init=20, reg_covar=0, random_state=7).fit(X)
            expected = [em.bic(X), em.icl(X), em.aic(X)]
            np.testing.assert_allclose(table.loc[k, ["bic", "icl", "aic"]], expected, atol=0.01)

    def test_models(self, chosen):
        prior = bm.weakly_informative(X)
        mfm = bm.MixtureOfFiniteMixtures(bm.BetaNegativeBinomial(1, 4, 3), 1.0)
        assert chosen.mixture == bm.Mixture(mfm, prior)
        assert list(chosen.models.trees) == ["MFM", "sparse", "DP"]
        assert chosen.models.table["p"].groupby(level=0).idxmax().str[1].eq(3).all()
        for k, post in chosen.posts.items():
            assert bm.schema.mixture_of(post) == bm.Mixture(bm.Dirichlet(k, 1.0), prior)
            assert chosen.evidences[k].mixture == bm.Mixture(bm.Dirichlet(k, 1.0), prior)
        assert chosen.structures is None
        assert set(chosen.criteria.index.unique("covariance_type")) == {
            *("full", "tied", "diag", "spherical")
        }

    def test_words(self, chosen):
        said = chosen.recommendation
        assert said.startswith("3 clusters with probability ")
        for part in ("evidence is largest for K = 3", "LOO predicts new rows best", "BIC says 3"):
            assert part in said
        assert chosen.unfinished == ()
        bm.validate(chosen.post)

    def test_repeats_with_the_seed(self, chosen):
        again = bm.choose_k(X, range(1, 5), random_seed=1, **QUICK)
        pd.testing.assert_frame_equal(chosen.table, again.table)
        assert chosen.recommendation == again.recommendation

    def test_no_dispute_where_all_agree(self, chosen):
        assert "dispute" in repr(chosen.dispute(random_seed=1)).lower() or chosen.dispute(
            random_seed=1
        )


class TestEnds:
    def test_a_moment_gives_the_first_answer(self):
        found = bm.choose_k(X, [2, 3], seconds=1e-9, random_seed=1, **QUICK)
        assert found.post["posterior"].sizes["draw"] == 15
        assert found.table["p_n_clusters"].idxmax() == 3
        assert found.table[["log_evidence", "elpd", "bic"]].isna().all(axis=None)
        assert found.unfinished[0] == "EM's criteria"
        assert "Not come to: EM's criteria, evidence of K = 2 to 3," in found.recommendation
        assert list(found.models.trees) == ["MFM"]

    def test_an_interrupt_keeps_what_is_done(self, monkeypatch):
        monkeypatch.setattr(k_search, "loo", interrupt)
        found = bm.choose_k(X, [2, 3], random_seed=1, **QUICK)
        assert found.table.loc[[2, 3], ["log_evidence", "bic"]].notna().all(axis=None)
        assert found.unfinished == (
            *("predictions of K = 2", "predictions of K = 3", "the prior sparse", "the prior DP"),
        )

    def test_an_interrupt_before_the_first_answer(self, monkeypatch):
        monkeypatch.setattr(k_search, "sample", interrupt)
        with pytest.raises(KeyboardInterrupt):
            bm.choose_k(X, [2], random_seed=1, **QUICK)

    def test_interrupted_sampling_ends_it(self, monkeypatch):
        """`sample` returns the draws that it has."""
        monkeypatch.setattr(k_search, "sample", interrupted_after(3))
        found = bm.choose_k(X, [2, 3], random_seed=1, **QUICK)
        assert list(found.evidences) == [2]
        assert "evidence of K = 3" in found.unfinished

    def test_a_stage_that_fails_loses_nothing(self, monkeypatch):
        def fail(*_, **__):
            raise ValueError("too many")

        monkeypatch.setattr(k_search, "evidence", fail)
        found = bm.choose_k(X, [2, 3], random_seed=1, **QUICK)
        assert found.failed == dict.fromkeys(("evidence of K = 2", "evidence of K = 3"), "too many")
        assert found.unfinished == ()
        assert found.table["elpd"].notna().sum() == 2
        assert "Evidence of K = 2 failed (too many)" in found.recommendation

    def test_sampling_that_fails_loses_nothing(self, monkeypatch):
        def fail_for_three(mixture, *args, **options):
            if mixture.weights == bm.Dirichlet(3):
                raise FloatingPointError("singular")
            return bm.sample(mixture, *args, **options)

        monkeypatch.setattr(k_search, "sample", fail_for_three)
        found = bm.choose_k(X, [2, 3], random_seed=1, **QUICK)
        assert found.failed == {
            "evidence of K = 3": "singular",
            "predictions of K = 3": "there are no draws of it",
        }
        assert found.table.loc[2, ["log_evidence", "elpd"]].notna().all()

    def test_what_would_end_too_late_does_not_begin(self, monkeypatch):
        """Evidence of the second number, after that of the first has taken all the time."""
        clock = iter(np.arange(10_000.0))
        monkeypatch.setattr(k_search.time, "perf_counter", lambda: next(clock))
        search = k_search.Search(None, None, 105.0, "full", trees={"MFM": None})
        search.spent["evidence"] = 60.0
        assert not search._too_late_for("evidence of K = 3")
        assert search._too_late_for("evidence of K = 3, more exactly")
        assert not search._too_late_for("EM's criteria")

    def test_a_refinement_in_time_is_tried_after_one_that_is_not(self, monkeypatch):
        done = []
        search = k_search.Search(None, None, k_search.time.perf_counter() + 100, "full")
        search.trees["MFM"] = None
        search.spent |= {k_search.POSTERIOR: 1000.0, "evidence": 1.0}
        names = [f"{k_search.POSTERIOR}, more exactly", "evidence of K = 3, more exactly"]
        rounds = [(name, lambda name=name: done.append(name)) for name in names]
        nothing = [("first", lambda: None), ("second", lambda: None)]
        monkeypatch.setattr(search, "_planned", lambda: nothing)
        monkeypatch.setattr(search, "_refinements", lambda: iter(2 * rounds))
        monkeypatch.setattr(search, "_table", lambda: None)
        monkeypatch.setattr(search, "_found", lambda: search)
        monkeypatch.setattr(k_search, "first_words", lambda _: "")
        assert search.run(progressbar=False).left == []
        assert done == [names[1]] * 2

    def test_rough_results_are_refined(self, monkeypatch):
        monkeypatch.setattr(k_search.Search, "_is_rough", lambda *_: True)
        found = bm.choose_k(X, [1, 2], target_se=1e-9, random_seed=1, **QUICK)
        assert found.post["posterior"].sizes["draw"] == 8 * 60  # doubled in each of three rounds
        # exact for one component or nearly so; the other is doubled in each of two rounds
        assert found.posts[2]["posterior"].sizes["draw"] == 4 * 60


def interrupt(*_, **__):
    raise KeyboardInterrupt


def interrupted_after(times):
    """`sample`, whose trees say from some call on that they were interrupted."""
    calls = iter(range(1000))

    def sample(*args, **options):
        tree = bm.sample(*args, **options)
        if next(calls) >= times - 1:
            tree.attrs["interrupted"] = 1
        return tree

    return sample


class TestAsked:
    @pytest.fixture
    def asked(self, monkeypatch):
        """What is asked of the stages, by a call that ends there."""

        def ask(x=X, *args, **options):
            class Noted(Exception):
                pass

            def note(asked, generator, deadline, structure):
                raise Noted(asked, deadline, structure)

            monkeypatch.setattr(module, "Search", note)
            with pytest.raises(Noted) as noted:
                bm.choose_k(x, *args, **options)
            return noted.value.args[0]

        return ask

    @pytest.mark.parametrize(
        ("n", "draws", "thin"), [(90, 1000, 20), (4_000, 500, 5), (30_000, 100, 1)]
    )
    def test_effort_by_the_number_of_rows(self, asked, n, draws, thin):
        found = asked(rows_of(SEPARATED, n))
        assert (found.draws, found.thin) == (draws, thin)
        found = asked(rows_of(SEPARATED, n), draws=30, thin=3)
        assert (found.draws, found.thin) == (30, 3)

    def test_priors_of_the_users_own(self, asked):
        weights = bm.MixtureOfFiniteMixtures(bm.UniformK(1, 9), 2.0)
        found = asked(components=random_prior(2), weights=weights, covariance_type="diag")
        assert (found.components, found.weights) == (random_prior(2), weights)
        assert found.structures == ["diag"]

    @pytest.mark.parametrize(
        ("concentration", "dynamic", "expected"),
        [
            (2.0, False, 2.0),
            (2.0, True, 0.5),
            (bm.Gamma(2, 4), False, bm.Gamma(2, 4)),
            (bm.Gamma(2, 4), True, bm.Gamma(2, 16)),
        ],
    )
    def test_concentration_of_a_number_of_components(self, asked, concentration, dynamic, expected):
        weights = bm.MixtureOfFiniteMixtures(bm.UniformK(1, 9), concentration, dynamic)
        search = k_search.Search(asked(weights=weights), None, math.inf, "full")
        assert search._finite("tied", 4) == bm.Mixture(
            bm.Dirichlet(4, expected), bm.weakly_informative(X), "tied"
        )

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"k": 3}, "k: expected numbers of components, such as range"),
            ({"k": []}, "k: expected at least one"),
            ({"k": [0, 1]}, "k: expected"),
            ({"seconds": 0}, "seconds: expected a finite number above 0"),
            ({"target_se": -1}, "target_se: expected"),
            ({"covariance_type": ["full", "round"]}, "covariance_type: expected one or more of"),
            ({"covariance_type": []}, "covariance_type: expected one or more of"),
            ({"draws": 0}, "draws: expected"),
            ({"draws": 20}, "draws: expected at least 25 beside 4 chain"),
            ({"covariance_type": 3}, "covariance_type: expected one or more of"),
        ],
    )
    def test_bad_input(self, options, message):
        with pytest.raises((ValueError, TypeError), match=message):
            bm.choose_k(X, **options)

    def test_weights_of_another_kind(self):
        with pytest.raises(TypeError, match="expected a MixtureOfFiniteMixtures, got Dirichlet"):
            bm.choose_k(X, weights=bm.Dirichlet(3))

    def test_constant_columns(self):
        with pytest.raises(ValueError, match="column 'b' is constant"):
            bm.choose_k(X.assign(b=1.0))


def test_structures():
    """Spherical clusters: the structure with the fewest parameters wins, and is then the model."""
    x = np.random.default_rng(2).normal(size=(60, 3)) + 8 * (np.arange(60) % 2)[:, None]
    found = bm.choose_k(x, [1, 2], covariance_type=["full", "spherical"], random_seed=1, **QUICK)
    assert found.mixture.covariance_type == "spherical"
    assert found.structures["p"].sum() == pytest.approx(1)
    assert found.structures["p"].idxmax() == ("spherical", 2)
    expected = found.structures.xs("spherical")["log_evidence"]
    np.testing.assert_array_equal(found.table["log_evidence"].dropna(), expected)
    assert "Of the covariance structures spherical has posterior" in found.recommendation
    assert bm.schema.mixture_of(found.post) == found.mixture


def test_columns_that_determine_each_other():
    """Nothing for maximum likelihood, while a proper prior carries the posterior."""
    x = np.column_stack([np.arange(30.0), 2 * np.arange(30.0)])
    found = bm.choose_k(x, [1, 2], random_seed=1, **QUICK)
    assert set(found.em_status.values()) == {"singular"}
    assert found.table["bic"].isna().all()
    assert "BIC" not in found.recommendation
    with pytest.raises(ValueError, match="bic: expected a genuine optimum of EM"):
        found.dispute()
