"""Leave-one-out densities against enumeration, closed forms and ArviZ."""

from __future__ import annotations

import importlib
import warnings

import arviz as az
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.exceptions import ConvergenceWarning

import bayesmix as bm
from bayesmix import held_out, memory
from bayesmix.loo import loo
from tests.exact_partitions import exact_posterior
from tests.fixtures_post import OVERLAPPING, sample_quietly
from tests.support import random_prior, rows_of

module = importlib.import_module("bayesmix.loo")
OUTLIER = 6
X = np.append(np.random.default_rng(0).normal(size=6), 9.0)[:, None]
PRIOR = bm.NormalInverseWishart([0.0], 0.37, 2.7, [[1.0]])
WEIGHTS = {
    "Dirichlet": bm.Dirichlet(2),
    "DirichletProcess": bm.DirichletProcess(1.0),
    "MixtureOfFiniteMixtures": bm.MixtureOfFiniteMixtures(bm.Geometric(0.3), 1.0),
}
QUIET = {"progressbar": False, "random_seed": 1}


def exact(x: np.ndarray, mixture: bm.Mixture) -> np.ndarray:
    """Log density of every row given all others, over all partitions of either, (n,)."""
    whole = exact_posterior(x, mixture).log_evidence
    parts = [exact_posterior(np.delete(x, i, 0), mixture).log_evidence for i in range(len(x))]
    return whole - np.array(parts)


@pytest.fixture(scope="module")
def two():
    """Draws of two components on the rows with the outlier."""
    return sample_quietly(bm.Mixture(WEIGHTS["Dirichlet"], PRIOR), X, random_seed=1)


@pytest.fixture(scope="module")
def frame():
    return pd.DataFrame(rows_of(OVERLAPPING, 45), index=[f"row{i}" for i in range(45)])


@pytest.mark.parametrize(
    ("weights", "error"),
    [("Dirichlet", 0.16), ("DirichletProcess", 0.016), ("MixtureOfFiniteMixtures", 0.06)],
)
def test_a_row_that_weights_cannot_leave_out_is_refitted(weights, error):
    """Standard errors of the refit: measured over 12 seeds. Of the other rows at most 0.018."""
    mixture = bm.Mixture(WEIGHTS[weights], PRIOR)
    post = sample_quietly(mixture, X, random_seed=1)
    with pytest.warns(UserWarning, match="importance weights fail"):
        alone = loo(post, max_refits=0, **QUIET)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = loo(post, draws=2000, **QUIET)
    expected = exact(X, mixture)
    assert alone.pareto_k[OUTLIER] > alone.good_k
    assert alone.elpd_i[OUTLIER] > expected[OUTLIER] + 0.6
    assert abs(found.elpd_i[OUTLIER] - expected[OUTLIER]) < 4 * error
    np.testing.assert_allclose(found.elpd_i[:OUTLIER], expected[:OUTLIER], atol=0.072)
    np.testing.assert_array_equal(found.elpd_i[:OUTLIER], alone.elpd_i[:OUTLIER])
    assert found.pareto_k[OUTLIER] == 0
    np.testing.assert_array_equal(found.influence_pareto_k, alone.pareto_k)
    assert alone.warning
    assert not found.warning


def test_one_component_has_closed_forms(frame):
    """A Student t given the other rows, where no weight fails; Gibbs draws are independent."""
    prior = random_prior(2)
    post = sample_quietly(bm.Mixture(bm.Dirichlet(1), prior), frame, random_seed=1)
    found, x = loo(post, **QUIET), frame.to_numpy()
    weights = np.exp(-bm.predictive.log_likelihood(post).log_likelihood["x"].values)
    errors = weights.std(axis=(0, 1)) / weights.mean(axis=(0, 1)) / np.sqrt(4000)
    for i, row in enumerate(x):
        others = np.delete(x, i, 0)
        n, kappa, nu = 44, prior.mean_precision + 44, prior.dof + 44
        shift = others.mean(axis=0) - prior.mean
        scale = (
            np.asarray(prior.covariance_scale)
            + (n - 1) * np.cov(others.T)
            + prior.mean_precision * n / kappa * np.outer(shift, shift)
        )
        mean = (prior.mean_precision * np.asarray(prior.mean) + others.sum(axis=0)) / kappa
        law = stats.multivariate_t(mean, scale * (kappa + 1) / kappa / (nu - 1), nu - 1)
        assert found.elpd_i[i] == pytest.approx(law.logpdf(row), abs=4.5 * errors[i])
    assert found.elpd_i["obs"].values.tolist() == frame.index.tolist()


def test_it_is_what_arviz_returns(frame):
    """The same numbers but for the length of the tail, which ArviZ takes from labeled draws."""
    mixture = bm.Mixture(bm.Dirichlet(2), random_prior(2))
    post = sample_quietly(mixture, frame, draws=500, random_seed=1)
    found = loo(post, **QUIET)
    expected = az.loo(bm.predictive.log_likelihood(post), pointwise=True, reff=1.0)
    np.testing.assert_allclose(found.elpd_i, expected.elpd_i, atol=0.02)
    np.testing.assert_allclose(found.pareto_k, expected.pareto_k, atol=0.25)
    assert found.p == pytest.approx(expected.p, abs=0.1)
    np.testing.assert_allclose(found.p_loo_i.sum(), found.p)
    assert found.se == pytest.approx(np.sqrt(45 * found.elpd_i.values.var(ddof=1)))
    assert found.good_k == expected.good_k
    assert type(found) is type(expected)
    assert str(found).splitlines()[0] == str(expected).splitlines()[0]


def test_numbers_of_components_are_compared_row_by_row(frame):
    found = {}
    for k in (1, 2):
        mixture = bm.Mixture(bm.Dirichlet(k), random_prior(2))
        found[str(k)] = loo(sample_quietly(mixture, frame, draws=300, random_seed=1), **QUIET)
    table = az.compare(found, round_to="none")
    difference = (found["2"].elpd_i - found["1"].elpd_i).values
    worse = table.loc[table["rank"] == 1].iloc[0]
    assert worse["elpd_diff"] == pytest.approx(-abs(difference.sum()))
    assert worse["dse"] == pytest.approx(np.sqrt(45 * difference.var()), rel=0.02)


@pytest.mark.filterwarnings("ignore:max_refits")
@pytest.mark.parametrize("weights", ["Dirichlet", "DirichletProcess"])
def test_blocks_of_rows_are_no_matter(weights, monkeypatch):
    post = sample_quietly(bm.Mixture(WEIGHTS[weights], PRIOR), X[:OUTLIER], draws=50, random_seed=1)
    options = {"max_refits": 0, **QUIET}
    whole = loo(post, **options)
    monkeypatch.setattr(memory, "BLOCK_BYTES", 2 * 8 * 200)
    parts = loo(post, **options)
    np.testing.assert_allclose(parts.elpd_i, whole.elpd_i, rtol=1e-12)
    np.testing.assert_allclose(parts.pareto_k, whole.pareto_k, rtol=1e-9)


def planted_k(monkeypatch, values):
    """Weights that fail where they are told to; what they estimate is their row's position."""

    def weighted(measure, x, progressbar):
        at = np.arange(float(len(x)))
        return module._Rows(at, at + 1, np.array(values))

    monkeypatch.setattr(module, "_weighted", weighted)


@pytest.mark.parametrize(
    ("max_refits", "refitted"), [(5, [0, 2, 3, 4, 6]), (3, [3, 4, 6]), (2, [3, 4])]
)
def test_the_worst_rows_are_left_out_one_by_one(max_refits, refitted, two, monkeypatch):
    """The others keep their weights, and the shape that tells so."""
    shapes = [0.9, 0.1, 0.8, np.nan, np.inf, 0.2, 1.5]
    planted_k(monkeypatch, shapes)
    seen = []

    def density(model, train, test, generator, how):
        assert sorted([*train[:, 0], *test[:, 0]]) == sorted(X[:, 0])
        assert how == {"draws": 7, "chains": 3, "sampler": "gibbs"}
        (row,) = test[:, 0]
        seen.append(row)
        return 100 + test[:, 0]

    monkeypatch.setattr(module, "held_out_log_density", density)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = loo(two, max_refits=max_refits, draws=7, chains=3, **QUIET)
    assert seen == X[refitted, 0].tolist()
    weighted = np.setdiff1d(np.arange(7), refitted)
    np.testing.assert_allclose(found.elpd_i[refitted], 100 + X[refitted, 0])
    np.testing.assert_allclose(found.p_loo_i[refitted], np.array(refitted) - 99 - X[refitted, 0])
    assert found.elpd_i[weighted].values.tolist() == weighted.tolist()
    np.testing.assert_array_equal(found.pareto_k[refitted], 0)
    np.testing.assert_array_equal(found.pareto_k[weighted], np.array(shapes)[weighted])
    assert found.warning == (max_refits < 5)
    assert found.elpd == pytest.approx(float(found.elpd_i.sum()))
    kept = ", ".join(str(i) for i in (0, 2, 3, 4, 6) if i not in refitted)
    assert [str(warning.message) for warning in caught] == [
        f"max_refits: importance weights fail (Pareto k above 0.70) for rows {kept}, and are kept; "
        "their densities are likely too high; allow 5 refits"
    ] * (max_refits < 5)


def test_refits_that_warn_are_counted(two, monkeypatch):
    planted_k(monkeypatch, [0.9, 0.8, *[0.0] * 5])

    def density(model, train, test, generator, how):
        if test[0] == X[0]:
            warnings.warn("the chains disagree", ConvergenceWarning, stacklevel=1)
        return np.zeros(len(test))

    monkeypatch.setattr(module, "held_out_log_density", density)
    with pytest.warns(ConvergenceWarning, match="^1 of 2 refits warned of convergence; raise"):
        loo(two, **QUIET)


def test_an_interrupted_refit_is_no_answer(two, monkeypatch):
    planted_k(monkeypatch, [0.9, *[0.0] * 6])
    cut = two.copy()
    cut.attrs["interrupted"] = 1
    monkeypatch.setattr(held_out, "sample", lambda *args, **options: cut)
    with pytest.raises(KeyboardInterrupt):
        loo(two, **QUIET)


def test_the_same_seed_is_the_same_answer(two):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        first, again, other = (
            loo(two, random_seed=seed, draws=50, chains=2, progressbar=False) for seed in (3, 3, 4)
        )
    np.testing.assert_array_equal(first.elpd_i, again.elpd_i)
    np.testing.assert_array_equal(first.elpd_i[:OUTLIER], other.elpd_i[:OUTLIER])
    assert first.elpd_i[OUTLIER] != other.elpd_i[OUTLIER]


def without_model(tree):
    found = tree.copy()
    found.attrs = {}
    return found


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (without_model, {}, "post: expected the attribute bayesmix_model, .* pass mixture="),
        (
            lambda tree: tree.isel(draw=slice(20)),
            {},
            "post: expected at least 100 draws, .* got 80",
        ),
        (None, {"max_refits": -1}, "max_refits: expected a whole number of at least 0, got -1"),
        (None, {"max_refits": False}, "max_refits: expected a whole number"),
        (lambda tree: 3, {}, "post: expected"),
        (None, {"draws": 0}, "draws: expected"),
        (None, {"chains": 0}, "chains: expected"),
    ],
)
def test_bad_arguments(change, options, message, two):
    with pytest.raises(ValueError, match=f"^{message}"):
        loo(two if change is None else change(two), **(QUIET | options))


def test_weights_alone_need_no_model(two):
    with pytest.warns(UserWarning, match="for row 6, and are kept; their densities are likely"):
        found = loo(without_model(two), max_refits=0, **QUIET)
    assert np.isfinite(found.elpd)
