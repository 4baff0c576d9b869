"""The words about the number of clusters, on answers made by hand."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.evidence_result import Evidence
from bayesmix.k_words import first_words, words
from tests.fixtures_post import made_choice
from tests.planted_counts import autocorrelated

MIXED = np.random.default_rng(3).choice([2, 3, 4], p=[0.1, 0.8, 0.1], size=(4, 500))
SURE = np.full((4, 100), 3)


def evidences(logs, se=0.05, **others):
    mixture = bm.Mixture(bm.Dirichlet(2), bm.weakly_informative([0.0, 1, 3]))
    return {k: Evidence(log, se, "bridge", mixture, 90, **others) for k, log in logs.items()}


def loos(*levels):
    """ELPD of K = 1, 2, ...: rows of mean level, which vary."""
    noise = np.random.default_rng(1).normal(size=(len(levels), 90))
    each = [level + row - row.mean() for level, row in zip(levels, noise, strict=True)]
    return {
        k: SimpleNamespace(elpd=e.sum(), se=3.0, elpd_i=e, warning=k == 4)
        for k, e in enumerate(each, 1)
    }


class TestAnswer:
    def test_sure(self):
        found = made_choice(SURE)
        prior = found.table.loc[3, "p_n_clusters_prior"]
        expected = (
            f"3 clusters with probability 1.00 (in every draw; prior {prior:.2f}). BIC says 2"
        )
        assert found.recommendation.startswith(expected)
        assert np.isnan(found.r_hat)

    def test_less_sure(self):
        found = made_choice(MIXED)
        share, error = found.table.loc[3, ["p_n_clusters", "p_n_clusters_mcse"]]
        next_best = found.table["p_n_clusters"].nlargest(2)
        said = f"probability {share:.2f} (Monte Carlo error {error:.2g}; prior"
        assert said in found.recommendation
        assert f", {next_best.index[1]} with {next_best.iloc[1]:.2f}" in found.recommendation
        assert "do not" not in found.recommendation.lower()
        assert found.r_hat < 1.01

    def test_two_numbers_that_errors_do_not_tell_apart(self):
        clusters = np.random.default_rng(3).choice([3, 4], size=(4, 200))
        said = made_choice(clusters).recommendation
        assert re.match(r"[34] clusters with .*, not told apart from [34] with 0\.[45]", said)

    def test_one_cluster(self):
        assert made_choice(np.ones((4, 100), int)).recommendation.startswith("1 cluster with")

    def test_first(self):
        table = made_choice(MIXED).table
        assert first_words(table).startswith("So far: 3 clusters with probability 0.")


class TestDoubts:
    def test_chains_that_have_not_quite_met(self):
        found = made_choice(2 + autocorrelated(0.95, 4, 500, seed=2))
        assert 1.01 < found.r_hat < 1.1
        assert f"not quite met (R-hat {found.r_hat:.3f}, above 1.01)" in found.recommendation

    @pytest.mark.parametrize("clusters", [MIXED[:1], [[2, 3, 3], [3, 3, 2]]])
    def test_what_cannot_be_checked(self, clusters):
        said = made_choice(clusters).recommendation
        assert "It is not checked: R-hat takes two chains or more, of at least 4" in said
        assert "in every draw" not in said

    @pytest.mark.parametrize("apart", [0, 30])
    def test_chains_that_disagree(self, apart):
        clusters = np.repeat([[2], [2], [3], [3]], 100, axis=1)
        clusters[:, :apart] = 3
        found = made_choice(clusters)
        assert found.r_hat == np.inf if apart == 0 else found.r_hat > 1.1
        assert "Do not trust it yet: the chains disagree" in found.recommendation

    def test_what_was_not_come_to(self):
        of_k = ["evidence of K = 1", "evidence of K = 2", "evidence of K = 8"]
        left = ("EM's criteria", *of_k, "predictions of K = 3", "the prior DP")
        said = made_choice(SURE, unfinished=left).recommendation
        assert said.endswith(
            "Not come to: EM's criteria, evidence of K = 1 to 8, predictions of K = 3 and the "
            "prior DP."
        )


class TestOthers:
    def test_evidence_tells_apart(self):
        logs = {1: -90.0, 2: -80.0, 3: -77.5, 4: -99.0}
        said = made_choice(MIXED, evidences=evidences(logs)).recommendation
        assert "The evidence is largest for K = 3, by 2.50 ± 0.071 nats over 2; with" in said
        prior = np.exp(bm.BetaNegativeBinomial().log_pmf([2, 3]))
        share = np.exp(2.5) * prior[1] / (np.exp(2.5) * prior[1] + prior[0])
        assert f"the prior of K it gives K = 3 probability {share:.2f}." in said

    def test_the_largest_asked_for(self):
        said = made_choice(SURE, evidences=evidences({2: -80.0, 3: -77.5})).recommendation
        assert "largest for K = 3, the largest asked for, by" in said

    def test_evidences_and_draws_of_k_that_disagree(self):
        found = made_choice(SURE, evidences=evidences({2: -80.0, 3: -75.0, 4: -90.0}))
        assert "not what the draws of K say" not in found.recommendation  # there are none
        found.table.loc[2:4, ["p_n_components", "p_n_components_mcse"]] = [
            *([0.6, 0.02], [0.3, 0.02], [0.1, 0.01]),
        ]
        assert "not what the draws of K say" in words(found)
        found.table.loc[2:4, "p_n_components"] = found.table.loc[2:4, "p_by_evidence"]
        assert "not what the draws of K say" not in words(found)

    def test_evidence_that_does_not_tell_apart(self):
        said = made_choice(SURE, evidences=evidences({2: -80.0, 3: -79.9}, 0.1)).recommendation
        assert "over 2, which the Monte Carlo error does not tell apart" in said

    def test_evidence_in_doubt(self):
        found = evidences({2: -80.0}) | evidences({3: -70.0}, warnings=("no",))
        said = made_choice(SURE, evidences=found).recommendation
        assert "That of K = 3 is not certain yet" in said

    def test_one_evidence_compares_with_nothing(self):
        assert "evidence" not in made_choice(SURE, evidences=evidences({2: -80.0})).recommendation

    def test_predictions(self):
        said = made_choice(SURE, loos=loos(-3.0, -2.0, -1.99, -2.01)).recommendation
        assert "LOO predicts new rows best with K = 3, not told apart from 2 and 4" in said
        assert "Its importance weights fail for some rows of K = 4; see loos" in said
        said = made_choice(SURE, loos=loos(-3.0, -2.0, -1.0)).recommendation
        assert "best with K = 3, the largest asked for." in said

    def test_stages_that_failed(self):
        said = made_choice(SURE, failed={"evidence of K = 9": "too many"}).recommendation
        assert said.endswith("Evidence of K = 9 failed (too many).")

    def test_structures(self):
        index = pd.MultiIndex.from_product(
            [["full", "tied"], [1, 2]], names=["covariance_type", "n_components"]
        )
        structures = pd.DataFrame({"p": [0.2, 0.5, 0.1, 0.2]}, index)
        said = made_choice(SURE, structures=structures).recommendation
        assert "Of the covariance structures full has posterior probability 0.70" in said
        said = made_choice(SURE, structures=structures * np.nan).recommendation
        assert "covariance structures" not in said

    def test_models(self):
        p = {"MFM": [0, 0, 1], "sparse": [0, 0.6, 0.4], "DP": [0, 0.2, 0.8]}
        table = pd.concat({name: pd.DataFrame({"p": own}, [1, 2, 3]) for name, own in p.items()})
        summary = pd.DataFrame({"r_hat": [1.0, 1.0, 1.2]}, list(p))
        models = SimpleNamespace(table=table, summary=summary, trees=dict.fromkeys(p))
        said = made_choice(SURE, models=models).recommendation
        expected = (
            "A sparse finite mixture says 2 (0.60), a Dirichlet process says 3 (0.80; R-hat 1.20)"
        )
        assert expected in said

    def test_criteria_of_another_structure(self):
        found = made_choice(SURE)
        other = found.criteria.drop(columns="status").rename({"full": "tied"}, level=0) - 5
        said = made_choice(SURE, criteria=pd.concat([found.criteria, other])).recommendation
        assert "BIC says 2, ICL says 2 (BIC over all structures 2, tied)" in said

    def test_no_genuine_optimum(self):
        status = {1: "converged", 2: "singular", 3: "singular", 12: "more components than rows"}
        said = made_choice(SURE, em_status=status).recommendation
        assert "EM found no genuine optimum for K = 2, 3 (singular)" in said
        assert "for K = 12 (more components than rows)" in said


def test_html():
    found = made_choice(MIXED)
    assert repr(found) == f"KChoice({found.recommendation!r})"
    html = found._repr_html_()
    assert found.recommendation in html
    assert "p_n_clusters_prior" in html
    assert "elpd</th>" not in html  # nothing to show
    assert "nan" not in html.lower().replace("n_n", "")
