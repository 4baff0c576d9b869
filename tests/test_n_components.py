"""The number of clusters: shares and their errors, the table, and the words about it."""

from __future__ import annotations

import importlib

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.container import BarContainer

import bayesmix as bm
from bayesmix import plots, schema
from tests.fixtures_post import SEPARATED
from tests.planted_counts import autocorrelated, tree_of
from tests.support import random_prior, rows_of

module = importlib.import_module("bayesmix.n_components")

COLUMNS = [
    *("p_n_components", "p_n_clusters", "p_n_clusters_mcse", "p_n_clusters_prior"),
    *("log_evidence", "log_evidence_se", "elpd", "elpd_se", "bic", "icl", "aic"),
]
NOT_YET = ["p_n_components", "log_evidence", "log_evidence_se", "elpd", "elpd_se"]


class FakeSample:
    """Numbers of clusters in the place of a posterior; keeps how it was called."""

    def __init__(self, clusters) -> None:
        self.clusters = np.asarray(clusters)

    def __call__(self, mixture, x, **options):
        self.mixture, self.x, self.options = mixture, x, options
        tree = tree_of(self.clusters)
        tree.attrs.update(schema.root_attrs(mixture, 1, 0.0))
        return tree


@pytest.fixture
def chains(monkeypatch):
    """Have `choose_k` find these numbers of clusters."""

    def plant(clusters) -> FakeSample:
        fake = FakeSample(clusters)
        monkeypatch.setattr(module, "sample", fake)
        return fake

    return plant


MIXED = np.random.default_rng(3).choice([2, 3, 4], p=[0.1, 0.8, 0.1], size=(4, 500))
X = pd.DataFrame(rows_of(SEPARATED, 90), columns=["a", "b"])


class TestChooseK:
    def test_table(self, chains):
        chains(MIXED)
        found = bm.choose_k(X, range(1, 6), random_seed=1)
        table = found.table
        assert table.index.name == "n_components"
        assert table.index.tolist() == [1, 2, 3, 4, 5]
        assert table.columns.tolist() == COLUMNS
        assert table[NOT_YET].isna().all(axis=None)
        shares = np.bincount(MIXED.ravel(), minlength=6)[1:] / MIXED.size
        np.testing.assert_allclose(table["p_n_clusters"], shares)
        expected = bm.n_clusters(found.post)["n_clusters_mcse"].to_numpy()
        np.testing.assert_array_equal(table["p_n_clusters_mcse"], expected)
        prior = bm.prior_n_clusters(found.mixture.weights, 90)
        np.testing.assert_array_equal(table["p_n_clusters_prior"], prior)

    def test_criteria_are_those_of_maximum_likelihood(self, chains):
        chains(MIXED)
        table = bm.choose_k(X, range(1, 6), random_seed=1).table
        for k in (1, 3):
            em = bm.GaussianMixture(k, n_init=20, reg_covar=0, random_state=7).fit(X)
            expected = [em.bic(X), em.icl(X), em.aic(X)]
            np.testing.assert_allclose(table.loc[k, ["bic", "icl", "aic"]], expected, atol=0.01)

    def test_model_and_call(self, chains):
        fake = chains(np.full((3, 50), 2))
        found = bm.choose_k(
            X, [4, 2], covariance_type="diag", draws=50, chains=3, random_seed=1, progressbar=False
        )
        assert fake.options["sampler"] == "gibbs"
        assert (fake.options["draws"], fake.options["chains"]) == (50, 3)
        assert fake.options["progressbar"] is False
        assert fake.options["store"] == ("parameters",)
        assert found.mixture is fake.mixture
        prior = bm.weakly_informative(X)
        assert found.mixture == bm.Mixture(bm.Dirichlet(4, bm.Gamma(2, 16)), prior, "diag")
        assert list(found.em_status) == [2, 4]
        assert found.table["bic"].notna().tolist() == [False, True, False, True]

    @pytest.mark.parametrize(("n", "asked", "thin"), [(90, None, 20), (4_000, None, 5), (90, 3, 3)])
    def test_thinning(self, chains, n, asked, thin):
        fake = chains(np.full((2, 50), 2))
        bm.choose_k(rows_of(SEPARATED, n), [2], thin=asked, random_seed=1)
        assert fake.options["thin"] == thin

    def test_a_prior_of_the_users_own(self, chains):
        fake = chains(np.full((2, 50), 2))
        bm.choose_k(X, [3], components=random_prior(2), random_seed=1)
        assert fake.mixture.components == random_prior(2)

    def test_repeats_with_the_seed(self, chains):
        fake = chains(MIXED)
        first = bm.choose_k(X, [3, 9], random_seed=4)
        stream = fake.options["random_seed"].random()
        again = bm.choose_k(X, [3, 9], random_seed=4)
        pd.testing.assert_frame_equal(first.table, again.table)
        assert stream == fake.options["random_seed"].random()

    def test_singular_fits_have_no_criteria(self, chains):
        """Three rows each thrice: three components collapse onto them."""
        chains(np.full((4, 50), 3))
        x = np.repeat([[0.0], [1.0], [5.0]], 3, axis=0)
        found = bm.choose_k(x, [1, 3, 12], random_seed=1)
        assert found.em_status[1] == "converged"
        assert found.em_status[3] == "singular"
        assert found.em_status[12] == "more components than rows"
        assert found.table.loc[[3, 12], ["bic", "icl", "aic"]].isna().all(axis=None)
        assert "EM found no genuine optimum for K = 3 (singular)" in found.recommendation
        assert "for K = 12 (more components than rows)" in found.recommendation

    @pytest.mark.parametrize(
        "x",
        [
            np.column_stack([np.arange(30.0), 2 * np.arange(30.0)]),
            np.random.default_rng(0).normal(size=(5, 7)),
        ],
    )
    def test_columns_that_determine_each_other(self, chains, x):
        """Nothing for maximum likelihood, while a proper prior carries the posterior."""
        chains(np.full((4, 50), 2))
        found = bm.choose_k(x, [1, 2], random_seed=1)
        assert set(found.em_status.values()) == {"singular"}
        assert found.table["bic"].isna().all()
        assert "BIC of EM" not in found.recommendation
        plt.switch_backend("agg")
        found.plot()
        plt.close("all")

    @pytest.mark.parametrize(
        ("k", "message"),
        [
            (3, "k: expected numbers of components, such as range"),
            ("12", "k: expected numbers of components"),
            ([], "k: expected at least one"),
            ([0, 1], "k: expected"),
            ([1.5], "k: expected"),
        ],
    )
    def test_bad_numbers(self, k, message):
        with pytest.raises((ValueError, TypeError), match=message):
            bm.choose_k(X, k)

    def test_constant_columns(self):
        with pytest.raises(ValueError, match="column 'b' is constant"):
            bm.choose_k(X.assign(b=1.0))


class TestRecommendation:
    def said(self, chains, clusters, k=range(1, 7)) -> bm.KChoice:
        chains(clusters)
        return bm.choose_k(X, k, random_seed=1)

    def test_sure(self, chains):
        found = self.said(chains, np.full((4, 100), 3))
        prior = found.table.loc[3, "p_n_clusters_prior"]
        assert found.recommendation == (
            f"3 clusters: posterior probability 1.00 (in every draw), prior {prior:.2f}. BIC of EM "
            "also prefers 3."
        )
        assert np.isnan(found.r_hat)

    def test_less_sure(self, chains):
        found = self.said(chains, MIXED)
        share, error = found.table.loc[3, ["p_n_clusters", "p_n_clusters_mcse"]]
        assert f"probability {share:.2f} (Monte Carlo error {error:.2g})" in found.recommendation
        assert "; next " in found.recommendation
        assert "do not" not in found.recommendation.lower()
        assert found.r_hat < 1.01

    def test_chains_that_have_not_quite_met(self, chains):
        clusters = 2 + autocorrelated(0.95, 4, 500, seed=2)
        found = self.said(chains, clusters)
        assert 1.01 < found.r_hat < 1.1
        assert f"not quite met (R-hat {found.r_hat:.3f}, above 1.01)" in found.recommendation

    @pytest.mark.parametrize("clusters", [MIXED[:1], [[2, 3, 3], [3, 3, 2]]])
    def test_what_cannot_be_checked(self, chains, clusters):
        found = self.said(chains, clusters)
        assert "not checked: R-hat takes two chains or more, of at least 4" in found.recommendation
        assert "in every draw" not in found.recommendation

    @pytest.mark.parametrize("apart", [0, 30])
    def test_chains_that_disagree(self, chains, apart):
        clusters = np.repeat([[2], [2], [3], [3]], 100, axis=1)
        clusters[:, :apart] = 3
        found = self.said(chains, clusters)
        assert found.r_hat == np.inf if apart == 0 else found.r_hat > 1.1
        assert "Do not trust it yet: the chains disagree" in found.recommendation

    def test_as_many_clusters_as_components(self, chains):
        found = self.said(chains, np.where(MIXED == 4, 4, 3), range(1, 5))
        assert "As many clusters as components, 4, have probability 0.1" in found.recommendation
        assert "raise max(k)" in found.recommendation

    def test_bic_may_differ(self, chains):
        found = self.said(chains, np.full((4, 100), 1))
        assert found.recommendation.startswith("1 cluster: ")
        assert "BIC of EM prefers 3" in found.recommendation

    def test_one_component(self, chains):
        found = self.said(chains, np.full((4, 100), 1), [1])
        assert "raise max(k)" not in found.recommendation
        assert "next" not in found.recommendation

    def test_html(self, chains):
        found = self.said(chains, MIXED)
        assert repr(found) == f"KChoice({found.recommendation!r})"
        html = found._repr_html_()
        assert found.recommendation in html
        assert "p_n_clusters_prior" in html
        assert "elpd" not in html  # nothing to show yet
        assert "nan" not in html.lower().replace("n_n", "")


class TestPicture:
    @pytest.fixture
    def axes(self, chains):
        plt.switch_backend("agg")
        chains(MIXED)
        found = bm.choose_k(X, range(1, 6), random_seed=1)
        found.table.loc[[2, 5], ["bic", "icl", "aic"]] = np.nan
        yield found, found.plot()
        plt.close("all")

    def test_bars(self, axes):
        found, (top, _) = axes
        posterior, prior = (c for c in top.containers if isinstance(c, BarContainer))
        for bars, name, side in ((posterior, "p_n_clusters", -1), (prior, "p_n_clusters_prior", 1)):
            np.testing.assert_allclose([b.get_height() for b in bars], found.table[name])
            offset = [b.get_x() + b.get_width() / 2 for b in bars] - found.table.index
            assert np.all(np.sign(offset) == side)
        texts = {t.get_text() for t in top.texts}
        assert texts == {f"{p:.2f}" for p in found.table["p_n_clusters"] if p > 0}

    def test_criteria(self, axes):
        found, (_, bottom) = axes
        lines = {line.get_label(): line for line in bottom.get_lines()}
        np.testing.assert_allclose(lines["BIC"].get_ydata(), found.table["bic"])
        np.testing.assert_allclose(lines["ICL"].get_ydata(), found.table["icl"])
        assert lines["no genuine optimum"].get_xdata().tolist() == [2, 5]
        rings = [line for line in bottom.get_lines() if line.get_fillstyle() == "none"]
        assert [ring.get_xdata()[0] for ring in rings] == [
            *(found.table[name].idxmin() for name in ("bic", "icl"))
        ]

    def test_labels(self, axes):
        _, (top, bottom) = axes
        assert (top.get_xlabel(), bottom.get_xlabel()) == (
            *("number of clusters", "number of components"),
        )
        assert top.get_ylabel() == "probability"
        assert bottom.get_ylabel() == "criterion, low is good"
        assert bottom.get_xticks().tolist() == [1, 2, 3, 4, 5]

    def test_the_same_by_name(self, axes):
        found, _ = axes
        assert plots.choice(found).shape == (2,)


def test_sampled():
    """Three clusters that nothing could confuse, by the engine itself."""
    found = bm.choose_k(X, range(1, 5), draws=200, thin=5, random_seed=1, progressbar=False)
    bm.validate(found.post)
    assert found.post.attrs["sampler"] == "gibbs"
    assert found.table["p_n_clusters"].idxmax() == 3
    assert found.recommendation.startswith("3 clusters: ")
    again = bm.choose_k(X, range(1, 5), draws=200, thin=5, random_seed=1, progressbar=False)
    pd.testing.assert_frame_equal(found.table, again.table)
