"""The evidence against exact enumeration, closed forms, other estimators and the sampler of K."""

from __future__ import annotations

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest

import bayesmix as bm
from bayesmix.evidence_result import Evidence
from tests.exact import log_marginal
from tests.exact_partitions import exact_posterior
from tests.gibbs_cells import CELLS, STICK_CELLS, Cell, cases, few_rows
from tests.support import random_independent_prior, random_prior

QUICK = {"random_seed": 1, "progressbar": False}

FAST = [
    Cell("Dirichlet(K)", "conjugate", "full"),
    Cell("Dirichlet(K, Gamma)", "conjugate", "tied"),
    Cell("Dirichlet(K, vector)", "conjugate", "diag"),
    Cell("Dirichlet(K, below 1)", "random", "full"),
    Cell("Dirichlet(K)", "published", "spherical"),
    Cell("DP", "conjugate", "full"),
    Cell("PY Gamma Beta", "conjugate", "diag"),
]


MARKED = [
    pytest.param(*case.values, id=case.id, marks=pytest.mark.long) if case.marks and i % 3 else case
    for i, case in enumerate(cases(FAST, CELLS + STICK_CELLS))
]
"""One in three of the slow ones; the others are for a release."""


def close(found: Evidence, expected: float) -> bool:
    error = abs(found.log_evidence - expected)
    return error < 0.05 and error < 4 * found.se + 1e-9


class TestEnumeration:
    """All set partitions of a few rows, what is random by quadrature."""

    @pytest.mark.parametrize("cell", MARKED)
    def test_three_components(self, cell):
        d = 2 if cell.kind == "conjugate" else 1
        x, mixture = few_rows(6, d), cell.mixture(d)
        found = bm.evidence(mixture, x, draws=1000, target_se=0.01, **QUICK)
        assert found.se < 0.02
        assert close(found, exact_posterior(x, mixture).log_evidence)

    @pytest.mark.parametrize("k", [1, 2, 4])
    def test_other_numbers(self, k):
        x, mixture = few_rows(7, 1), bm.Mixture(bm.Dirichlet(k), random_prior(1))
        found = bm.evidence(mixture, x, draws=500, target_se=0.02, **QUICK)
        assert close(found, exact_posterior(x, mixture).log_evidence)

    def test_more_components_than_rows(self):
        x, mixture = few_rows(5, 1), bm.Mixture(bm.Dirichlet(12, 0.1), random_prior(1))
        found = bm.evidence(mixture, x, draws=500, **QUICK)
        assert close(found, exact_posterior(x, mixture).log_evidence)


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_one_component_is_exact(structure, offset):
    x = np.random.default_rng(1).normal(size=(50, 3)) * [1.0, 0.1, 20.0]
    prior = bm.NormalInverseWishart(np.full(3, offset), 0.5, 5.0, np.diag([1.0, 0.1, 90.0]))
    mixture = bm.Mixture(bm.Dirichlet(1), prior, structure)
    found = bm.evidence(mixture, x + offset, draws=20, **QUICK)
    centered = bm.NormalInverseWishart(np.zeros(3), 0.5, 5.0, prior.covariance_scale)
    expected = log_marginal(x, np.zeros(50, int), centered, structure)
    assert found.log_evidence == pytest.approx(expected, rel=1e-12 if offset == 0 else 1e-8)
    assert found.se < 1e-6


class TestNames:
    """A mode of K components stands for K! modes."""

    def test_chains_that_never_switch(self, faithful):
        mixture = bm.Mixture(bm.Dirichlet(2), bm.weakly_informative(faithful))
        post = bm.sample(mixture, faithful, draws=500, thin=5, **QUICK)
        named = bm.relabel(post)
        right = bm.evidence(mixture, post=post, random_seed=1)
        same = bm.evidence(mixture, post=named, random_seed=2)
        unlike = bm.Mixture(bm.Dirichlet(2, (1.0, 1 + 1e-9)), mixture.components)
        del named.attrs["bayesmix_model"]
        low = bm.evidence(unlike, post=named, random_seed=3)  # names are not summed over
        for found, expected in ((same, 0.0), (low, -np.log(2))):
            difference, se = found.bayes_factor(right)
            assert difference == pytest.approx(expected, abs=3 * se)
            assert se < 0.05


class TestNumberOfComponents:
    @pytest.mark.parametrize("dynamic", [False, pytest.param(True, marks=pytest.mark.slow)])
    def test_agrees_with_the_sampler_of_k(self, dynamic):
        """Same component prior, same concentration: P(K | x) two ways."""
        x = few_rows(20, 1) * 1.5
        prior, of_k = random_independent_prior(1, random_scale=True), bm.UniformK(1, 4)
        weights = bm.MixtureOfFiniteMixtures(of_k, 2.0, dynamic)
        post = bm.sample(bm.Mixture(weights, prior), x, draws=1000, thin=10, **QUICK)
        sampled = bm.n_clusters(post).loc[1:4]
        found = {
            k: bm.evidence(
                bm.Mixture(bm.Dirichlet(k, 2.0 / k if dynamic else 2.0), prior),
                x,
                draws=400,
                **QUICK,
            )
            for k in range(1, 5)
        }
        table = bm.p_n_components(found, of_k)
        error = np.hypot(table["p_se"], sampled["n_components_mcse"])
        z = (table["p"] - sampled["n_components"]) / error
        assert np.abs(z).max() < 4
        assert error.max() < 0.05

    def test_probabilities(self):
        mixture = bm.Mixture(bm.Dirichlet(1), random_prior(1))
        logs, se = np.array([-10.0, -9.0, -8.5]), np.array([0.05, 0.1, 0.02])
        found = {
            k: Evidence(log, error, "bridge", mixture, 5)
            for k, log, error in zip((2, 3, 7), logs, se, strict=True)
        }
        table = bm.p_n_components(found, bm.Geometric(0.5))
        assert table.index.tolist() == [2, 3, 7]
        expected = np.exp(logs) * 0.5 ** np.array([2, 3, 7])
        np.testing.assert_allclose(table["p"], expected / expected.sum(), rtol=1e-12)
        noisy = logs + se * np.random.default_rng(1).normal(size=(100_000, 3))
        p = np.exp(noisy) * 0.5 ** np.array([2, 3, 7])
        spread = (p / p.sum(axis=1, keepdims=True)).std(axis=0)
        np.testing.assert_allclose(table["p_se"], spread, rtol=0.03)
        flat = bm.p_n_components(found)
        np.testing.assert_allclose(flat["p"], np.exp(logs) / np.exp(logs).sum(), rtol=1e-12)


@pytest.fixture(scope="module")
def found():
    return bm.evidence(bm.Mixture(bm.Dirichlet(2), random_prior(1)), few_rows(8, 1), **QUICK)


class TestResult:
    def test_words(self, found):
        assert repr(found).startswith(f"log evidence {found.log_evidence:.3f} ± ")
        assert "by bridge sampling" in found._repr_html_()

    def test_error_above_what_was_asked(self):
        mixture = bm.Mixture(bm.Dirichlet(2), random_prior(1))
        found = bm.evidence(mixture, few_rows(8, 1), draws=20, target_se=1e-7, **QUICK)
        assert "The error is above 1e-07 nats" in repr(found)

    def test_repeats_with_the_seed(self, found):
        mixture = bm.Mixture(bm.Dirichlet(2), random_prior(1))
        assert bm.evidence(mixture, few_rows(8, 1), **QUICK).log_evidence == found.log_evidence

    def test_picture(self, found):
        """The line is the bridge's own, whatever the average with another way."""
        plt.switch_backend("agg")
        ax = replace(found, log_evidence=0.0).plot()
        line = ax.get_lines()[-1]
        assert line.get_xdata() == [found.bridge_log_evidence, found.bridge_log_evidence]
        assert found.bridge_log_evidence == pytest.approx(found.log_evidence, abs=0.2)
        low, high = ax.get_xlim()
        assert low < found.log_evidence < high
        assert len(ax.get_legend().get_texts()) == 3
        plt.close("all")

    def test_picture_without_a_target_at_any_proposal(self, found):
        plt.switch_backend("agg")
        nowhere = np.full(9, -np.inf)
        ax = replace(found, log_ratio_proposal=nowhere, bridge_log_evidence=-np.inf).plot()
        assert len(ax.get_legend().get_texts()) == 1
        assert np.isfinite(ax.get_xlim()).all()
        plt.close("all")

    def test_other_rows(self, found):
        other = bm.evidence(found.mixture, few_rows(8, 1) + 1e-9, draws=20, **QUICK)
        with pytest.raises(ValueError, match="same 8 rows, got one of 8 others"):
            found.bayes_factor(other)

    def test_stepping_stones_have_no_bridge(self):
        other = Evidence(
            0.0, 0.0, "stepping_stone", bm.Mixture(bm.Dirichlet(1), random_prior(1)), 9
        )
        with pytest.raises(ValueError, match="it has no bridge"):
            other.plot()


class TestBadInput:
    X = few_rows(8, 1)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"method": "chib"}, "method: expected one of"),
            ({"target_se": 0}, "target_se: expected"),
            ({"draws": 0}, "draws: expected"),
            ({"draws": 7}, "draws: expected at least 8"),
        ],
    )
    def test_options(self, options, message):
        with pytest.raises((ValueError, TypeError), match=message):
            bm.evidence(bm.Mixture(bm.Dirichlet(2), random_prior(1)), self.X, **options)

    @pytest.mark.parametrize(
        "weights", [bm.DirichletProcess(), bm.MixtureOfFiniteMixtures(bm.UniformK(1, 3))]
    )
    def test_varying(self, weights):
        with pytest.raises(ValueError, match="mixture: expected a fixed number of components"):
            bm.evidence(bm.Mixture(weights, random_prior(1)), self.X)

    def test_no_rows(self):
        with pytest.raises(ValueError, match="x: expected rows, or post="):
            bm.evidence(bm.Mixture(bm.Dirichlet(2), random_prior(1)))

    def test_no_prior(self):
        with pytest.raises(ValueError, match="a posterior needs a prior on the components"):
            bm.evidence(bm.Mixture(bm.Dirichlet(2)), self.X)

    def test_names_out_of_reach(self):
        mixture = bm.Mixture(bm.Dirichlet(30, 50.0), random_prior(1))
        rows = np.linspace(-100, 100, 120)[:, None]
        with pytest.raises(ValueError, match='method="stepping_stone"'):
            bm.evidence(mixture, rows, draws=20, **QUICK)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "k"), [("faithful", 3), pytest.param("galaxy", 4, marks=pytest.mark.long)]
)
def test_agrees_with_stepping_stones(data, k):
    x = bm.datasets.load(data)
    mixture = bm.Mixture(bm.Dirichlet(k), bm.weakly_informative(x))
    bridge = bm.evidence(mixture, x, **QUICK)
    stones = bm.evidence(mixture, x, method="stepping_stone", **QUICK)
    difference, se = stones.bayes_factor(bridge)
    assert abs(difference) < 4 * se
    assert se < 0.3
