"""Folds that neither EM nor the sampler has seen, against closed forms."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as SklearnMixture

import bayesmix as bm
from tests.fixtures_post import OVERLAPPING, completed, planted, sample_quietly
from tests.support import random_prior, rows_of

X = pd.DataFrame(rows_of(OVERLAPPING, 45), columns=["east", "north"])
ONE = bm.Mixture(bm.Dirichlet(1), random_prior(2))
DRAWS, CHAINS = 500, 2


def tree_of(mixture: bm.Mixture) -> object:
    """A tree that says which rows and which model; its draws do not matter here."""
    point = OVERLAPPING if mixture.n_components == 2 else type(OVERLAPPING)(
        np.ones(1), OVERLAPPING.means[:1], OVERLAPPING.covariances[:1]
    )  # fmt: skip
    return completed(planted(point, X, draws=5), mixture)


@pytest.fixture(scope="module")
def found():
    em = bm.fit_em(bm.Mixture(bm.Dirichlet(1)), X, random_seed=1)
    options = {"draws": DRAWS, "chains": CHAINS, "random_seed": 1, "progressbar": False}
    return bm.cross_validate(em, tree_of(ONE), **options)


def conjugate(train: np.ndarray) -> tuple[np.ndarray, float, float, np.ndarray]:
    """Mean, kappa, dof and scale of the normal-inverse-Wishart posterior."""
    prior, n = ONE.components, len(train)
    center, kappa = np.asarray(prior.mean), prior.mean_precision
    shift = train.mean(axis=0) - center
    scale = (
        np.asarray(prior.covariance_scale)
        + (n - 1) * np.cov(train.T)
        + kappa * n / (kappa + n) * np.outer(shift, shift)
    )
    mean = (kappa * center + train.sum(axis=0)) / (kappa + n)
    return mean, kappa + n, prior.dof + n, scale


def test_one_component_has_closed_forms(found):
    """EM: the normal of the other rows' moments. Posterior: a Student t, averaged by DRAWS."""
    x, fold = X.to_numpy(), found.rows["fold"].to_numpy()
    assert np.bincount(fold).tolist() == [9] * 5
    rng = np.random.default_rng(1)
    for f in range(5):
        train, test, own = x[fold != f], x[fold == f], found.rows[fold == f]
        normal = stats.multivariate_normal(train.mean(axis=0), np.cov(train.T, bias=True))
        np.testing.assert_allclose(own["em"], normal.logpdf(test), rtol=1e-6)
        mean, kappa, nu, scale = conjugate(train)
        shape = scale * (kappa + 1) / kappa / (nu - 1)
        exact = stats.multivariate_t(mean, shape, nu - 1).logpdf(test)
        draws = stats.invwishart(nu, scale).rvs(500, random_state=rng)
        density = np.exp(
            [
                stats.multivariate_normal(rng.multivariate_normal(mean, one / kappa), one).logpdf(
                    test
                )
                for one in draws
            ]
        )
        error = density.std(axis=0) / np.exp(exact) / np.sqrt(DRAWS * CHAINS)
        assert np.all(np.abs(own["posterior"] - exact) < 4.5 * error)


def test_totals(found):
    rows, table = found.rows, found.table
    difference = rows["posterior"] - rows["em"]
    assert found.difference == pytest.approx(difference.sum())
    assert found.difference_se == pytest.approx(np.sqrt(45 * difference.var()))
    assert table["log_density"].tolist() == pytest.approx(
        [rows["em"].sum(), rows["posterior"].sum(), difference.sum()]
    )
    assert table.index.tolist() == ["em", "posterior", "difference"]
    assert table.loc["difference", "se"] == pytest.approx(found.difference_se)
    sentence = found.sentences()[0]
    better = "better" if difference.sum() > 0 else "worse"
    assert f"predicts {better} than EM by {abs(difference.sum()):.2f} ± " in sentence
    small, large = (
        replace(found, rows=rows.assign(em=rows["em"] + (difference.mean() - shift)))
        for shift in (0.01, 3 * difference.std() / np.sqrt(45))
    )
    assert small.sentences()[0].endswith("nats in 45 rows, which may be chance.")
    assert large.sentences()[0].endswith("nats in 45 rows.")
    assert "<table" in found._repr_html_()
    assert found._repr_html_().count("<li>") == len(found.sentences())


@pytest.mark.parametrize("cls", [bm.GaussianMixture, SklearnMixture])
def test_estimators_are_cloned(cls):
    """Fitted anew to each fold's other rows, as they were asked to; themselves left alone."""
    estimator = cls(2, covariance_type="diag", random_state=3, max_iter=500).fit(X)
    means = estimator.means_.copy()
    options = {"draws": 20, "chains": 2, "folds": 3, "progressbar": False}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of draws so few it says, and does not warn
        found = bm.cross_validate(estimator, tree_of(ONE), random_seed=2, **options)
    assert found.warned["Sampling"] == 3
    assert "Sampling warned of convergence in 3 of 3 folds." in found.sentences()
    np.testing.assert_array_equal(estimator.means_, means)
    x, fold = X.to_numpy(), found.rows["fold"].to_numpy()
    for f in range(3):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            other = cls(2, covariance_type="diag", random_state=3, max_iter=500).fit(x[fold != f])
        expected = other.score_samples(x[fold == f])
        np.testing.assert_allclose(found.rows["em"][fold == f], expected, rtol=1e-12)
    again = bm.cross_validate(estimator, tree_of(ONE), random_seed=2, **options)
    pd.testing.assert_frame_equal(found.rows, again.rows)


def without_model(tree):
    tree.attrs = {}
    return tree


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (without_model, {}, "post: expected the attribute bayesmix_model, .* pass mixture="),
        (None, {"folds": 1}, "folds: expected from 2 to 45, the number of rows, got 1"),
        (None, {"folds": 46}, "folds: expected from 2 to 45, the number of rows, got 46"),
        (None, {"folds": 2.5}, "folds: expected"),
    ],
)
def test_bad_arguments(change, options, message):
    tree = tree_of(ONE) if change is None else change(tree_of(ONE))
    em = bm.fit_em(ONE, X, random_seed=1)
    with pytest.raises(ValueError, match=f"^{message}"):
        bm.cross_validate(em, tree, **options)
    with pytest.raises(ValueError, match=r"^point: expected a fitted GaussianMixture"):
        bm.cross_validate(bm.GaussianMixture(2), tree)


def test_a_number_of_components_that_varies():
    """Two rows to learn from: one cluster or two, enumerated with Student t densities."""
    prior, alpha = random_prior(1), 1.5
    x = np.array([[0.3], [1.9], [0.8], [-0.6]])
    mixture = bm.Mixture(bm.DirichletProcess(alpha), prior)
    tree = sample_quietly(mixture, x, draws=10, chains=2, random_seed=1)
    em = bm.GaussianMixture(1, random_state=1).fit(x)
    options = {"folds": 2, "draws": 2000, "chains": 2, "progressbar": False}
    found = bm.cross_validate(em, tree, random_seed=1, **options).rows

    def given(rows, at):
        """Density of a row given those of its cluster, which may be none."""
        n, kappa = len(rows), prior.mean_precision
        scale = prior.covariance_scale[0][0]
        mean = (kappa * prior.mean[0] + np.sum(rows)) / (kappa + n)
        if n:
            off = np.mean(rows) - prior.mean[0]
            scale = scale + n * np.var(rows) + kappa * n / (kappa + n) * off**2
        kappa, nu = kappa + n, prior.dof + n
        return stats.t(nu, mean, np.sqrt(scale * (kappa + 1) / (kappa * nu))).pdf(at)

    for f in range(2):
        a, b = x[found["fold"] != f, 0]
        together = given([], a) * given([a], b) / (1 + alpha)
        apart = given([], a) * given([], b) * alpha / (1 + alpha)
        at = x[found["fold"] == f, 0]
        one = (2 * given([a, b], at) + alpha * given([], at)) / (2 + alpha)
        two = (given([a], at) + given([b], at) + alpha * given([], at)) / (2 + alpha)
        exact = (together * one + apart * two) / (together + apart)
        np.testing.assert_allclose(
            found["posterior"][found["fold"] == f], np.log(exact), atol=0.05
        )  # 5 standard errors
