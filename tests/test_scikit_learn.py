"""The estimator inside scikit-learn: pipelines, searches, cross-validation, copies, its page."""

from __future__ import annotations

import io
import pickle

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import bayesmix as bm
from tests.support import Parameters, rows_of

GRID = {"n_components": [1, 2, 3], "covariance_type": ["full", "tied", "spherical"]}


@pytest.fixture(scope="module")
def two_blobs() -> np.ndarray:
    """Rows of two components with one covariance."""
    covariance = np.array([[1.0, 0.7], [0.7, 1.0]])
    means = np.array([[0.0, 0.0], [4.0, -4.0]])
    return rows_of(Parameters(np.array([0.4, 0.6]), means, np.stack([covariance] * 2)), 400)


def negative_bic(estimator, x, y=None):
    """BIC as a scorer: high is good."""
    return -estimator.bic(x)


def test_search_by_bic(two_blobs):
    """On the rows of the fit, as BIC is meant, the model that made them wins."""
    everything = np.arange(len(two_blobs))
    search = GridSearchCV(
        bm.GaussianMixture(init_params="k-means++", n_init=3, random_state=1),
        GRID,
        scoring=negative_bic,
        cv=[(everything, everything)],
        error_score="raise",
    ).fit(two_blobs)
    assert search.best_params_ == {"n_components": 2, "covariance_type": "tied"}
    assert -search.best_score_ == pytest.approx(search.best_estimator_.bic(two_blobs))


def test_search_by_the_default_score(two_blobs):
    search = GridSearchCV(
        bm.GaussianMixture(init_params="k-means++", n_init=3, random_state=1),
        GRID,
        cv=5,
        error_score="raise",
    ).fit(two_blobs)
    assert search.best_params_["n_components"] == 2
    assert search.best_params_["covariance_type"] in ("full", "tied")
    assert search.score(two_blobs) == pytest.approx(search.best_estimator_.score(two_blobs))


def test_cross_validation_is_the_mean_density_of_rows_left_out(two_blobs):
    estimator = bm.GaussianMixture(2, random_state=1)
    folds = KFold(4)
    found = cross_val_score(estimator, two_blobs, cv=folds, error_score="raise")
    expected = [
        clone(estimator).fit(two_blobs[train]).score(two_blobs[test])
        for train, test in folds.split(two_blobs)
    ]
    np.testing.assert_array_equal(found, expected)


def test_a_pipeline_scales_and_names(faithful):
    pipeline = make_pipeline(StandardScaler(), bm.GaussianMixture(2, n_init=3, random_state=1))
    pipeline.set_output(transform="pandas")
    label = pipeline.fit_predict(faithful)
    inner = pipeline[-1]
    assert inner.feature_names_in_.tolist() == ["eruptions", "waiting"]
    np.testing.assert_allclose(inner.weights_ @ inner.means_, 0, atol=1e-6)
    np.testing.assert_array_equal(label, pipeline.predict(faithful))
    raw = bm.GaussianMixture(2, n_init=3, random_state=1).fit(faithful)
    scale = np.log(pipeline[0].scale_).sum()
    np.testing.assert_allclose(  # the same model in other units, but for reg_covar
        pipeline.score_samples(faithful) - scale, raw.score_samples(faithful), atol=1e-4
    )


def test_weights_reach_the_last_step(faithful):
    weight = np.arange(len(faithful)) % 3
    pipeline = Pipeline([("mixture", bm.GaussianMixture(2, random_state=1))])
    pipeline.fit(faithful, mixture__sample_weight=weight)
    alone = bm.GaussianMixture(2, random_state=1).fit(faithful, sample_weight=weight)
    np.testing.assert_array_equal(pipeline[-1].means_, alone.means_)
    unweighted = bm.GaussianMixture(2, random_state=1).fit(faithful)
    assert not np.allclose(alone.means_, unweighted.means_, rtol=1e-6)


@pytest.mark.parametrize("how", ["pickle", "joblib"])
def test_a_round_trip_keeps_the_fit(faithful, how):
    fitted = bm.GaussianMixture(2, n_init=2, random_state=1).fit(faithful)
    file = io.BytesIO()
    {"pickle": pickle, "joblib": joblib}[how].dump(fitted, file)
    file.seek(0)
    other = {"pickle": pickle, "joblib": joblib}[how].load(file)
    assert other.get_params() == fitted.get_params()
    np.testing.assert_array_equal(other.score_samples(faithful), fitted.score_samples(faithful))
    np.testing.assert_array_equal(other.sample(5)[0], fitted.sample(5)[0])
    assert repr(other.starts_) == repr(fitted.starts_)
    assert other.to_datatree().identical(fitted.to_datatree())


def test_a_clone_fits_to_the_same_numbers(faithful):
    fitted = bm.GaussianMixture(2, random_state=1).fit(faithful)
    again = clone(fitted).fit(faithful)
    np.testing.assert_array_equal(again.means_, fitted.means_)


def test_the_page_shows_what_was_changed_and_whether_it_is_fitted(faithful):
    estimator = bm.GaussianMixture(2, random_state=1)
    before = estimator._repr_html_()
    after = estimator.fit(faithful)._repr_html_()
    assert "GaussianMixture" in before
    assert "Not fitted" in before
    assert "Not fitted" not in after
    assert repr(estimator) == "GaussianMixture(n_components=2, random_state=1)"


def test_starts_read_well(faithful):
    fitted = bm.GaussianMixture(2, random_state=1).fit(faithful)
    assert len(fitted.starts_) == 10
    n_iter = fitted.starts_[0].n_iter
    expected = f"Fit(status=converged, objective=-1130.264, n_iter={n_iter})"
    assert repr(fitted.starts_[0]) == expected


@pytest.mark.parametrize("covariance_type", ["full", "diag"])
def test_without_a_ridge_the_data_must_carry_the_fit(covariance_type):
    x = np.column_stack([np.arange(20.0), np.ones(20)])
    estimator = bm.GaussianMixture(2, covariance_type=covariance_type, reg_covar=0)
    with pytest.raises(ValueError, match=r"^X: column 'x1' is constant .*; drop it, or state"):
        estimator.fit(x)
