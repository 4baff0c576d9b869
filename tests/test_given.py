"""Estimators of known parameters: what they can do at once, where `fit` starts, what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

import bayesmix as bm
from tests.support import STRUCTURES, compact, random_parameters, rows_of


def known(structure: str, k: int = 3, d: int = 2, **parameters) -> bm.GaussianMixture:
    weights, means, covariances = random_parameters(structure, k, d)
    return bm.GaussianMixture.from_parameters(
        weights, means, compact(structure, covariances), covariance_type=structure, **parameters
    )


@pytest.mark.parametrize("d", [1, 2])
def test_it_does_what_a_fit_does(structure, d):
    x = rows_of(random_parameters(structure, 3, d), 300)
    fitted = bm.GaussianMixture(
        3, covariance_type=structure, init_params="k-means++", n_init=3, random_state=1
    ).fit(x)
    given = bm.GaussianMixture.from_parameters(
        fitted.weights_,
        fitted.means_,
        fitted.covariances_,
        covariance_type=structure,
        random_state=1,
    )
    check_is_fitted(given)
    assert given.n_features_in_ == d
    for name in ("weights_", "covariances_", "precisions_", "precisions_cholesky_"):
        np.testing.assert_allclose(getattr(given, name), getattr(fitted, name), rtol=1e-14)
    for name in ("score_samples", "predict", "predict_proba", "bic", "aic", "icl", "outliers"):
        expected = getattr(fitted, name)(x)
        np.testing.assert_allclose(getattr(given, name)(x), expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(given.sample(50)[0], fitted.sample(50)[0], rtol=1e-12)


def test_nothing_says_that_a_fit_took_place(structure):
    given = known(structure)
    for name in ("converged_", "n_iter_", "lower_bound_", "lower_bounds_", "starts_"):
        assert not hasattr(given, name)


def test_fit_starts_there_and_so_does_a_clone_s(structure):
    x = rows_of(random_parameters(structure, 3, 2), 300)
    given = known(structure, tol=0, max_iter=1, reg_covar=0)
    copy = clone(given)
    assert not hasattr(copy, "weights_")
    before = given.score(x)
    for estimator in (given, copy):
        with pytest.warns(ConvergenceWarning, match="not converged"):
            estimator.fit(x)
        trace = estimator.starts_[0].trace
        assert trace[0] / len(x) == pytest.approx(before, rel=1e-12)
    np.testing.assert_array_equal(given.means_, copy.means_)


def test_its_start_is_a_copy():
    weights, means, covariances = random_parameters("full", 2, 2)
    given = bm.GaussianMixture.from_parameters(weights, means, covariances)
    given.means_[:] = 0
    np.testing.assert_array_equal(given.means_init, means)
    assert not np.shares_memory(given.weights_, weights)


def test_tree(structure, tmp_path):
    given = known(structure)
    tree = given.to_datatree()
    bm.validate(tree)
    assert set(tree.children) == {"point_estimate"}
    np.testing.assert_array_equal(tree["point_estimate"]["means"], given.means_)
    tree.to_netcdf(tmp_path / "known.nc", engine="h5netcdf")
    bm.validate(bm.load(tmp_path / "known.nc"))


def test_single_precision_is_enough(structure):
    """These weights sum to 1 - 7e-9, and the matrices are symmetric to 1e-8 only."""
    _, means, covariances = random_parameters(structure, 3, 2)
    weights = np.array([0.1, 0.2, 0.7], dtype=np.float32)
    matrices = compact(structure, covariances * (1 + 1e-8 * np.tri(2)))
    given = bm.GaussianMixture.from_parameters(
        weights, means.astype(np.float32), matrices, covariance_type=structure
    )
    assert given.weights_.sum() == pytest.approx(1, abs=1e-15)
    if given.covariances_.ndim == 3:
        np.testing.assert_array_equal(given.covariances_, np.swapaxes(given.covariances_, 1, 2))
    bm.validate(given.to_datatree())


def test_columns_of_a_frame_name_the_features(faithful):
    fitted = bm.GaussianMixture(2, random_state=1).fit(faithful)
    means = pd.DataFrame(fitted.means_, columns=faithful.columns)
    given = bm.GaussianMixture.from_parameters(fitted.weights_, means, fitted.covariances_)
    assert given.feature_names_in_.tolist() == ["eruptions", "waiting"]
    np.testing.assert_array_equal(given.predict(faithful), fitted.predict(faithful))
    with pytest.raises(ValueError, match="feature names should match"):
        given.predict(faithful[["waiting", "eruptions"]])
    features = given.to_datatree()["point_estimate"]["feature"].values.tolist()
    assert features == ["eruptions", "waiting"]


def test_unnamed_columns_name_nothing():
    means = pd.DataFrame([[0.0, 1.0]])
    given = bm.GaussianMixture.from_parameters([1], means, [np.eye(2)])
    assert not hasattr(given, "feature_names_in_")


GOOD = {
    "weights": [0.5, 0.5],
    "means": [[0.0, 1.0], [2.0, 3.0]],
    "covariances": [np.eye(2), np.eye(2)],
}
SHAPES = {"full": "2, 2, 2", "tied": "2, 2", "diag": "2, 2", "spherical": "2,"}


@pytest.mark.parametrize("covariance_type", STRUCTURES)
def test_a_wrong_shape_of_covariances(covariance_type):
    message = rf"^covariances: expected shape \({SHAPES[covariance_type]}\), got \(3, 1\)$"
    with pytest.raises(ValueError, match=message):
        bm.GaussianMixture.from_parameters(
            **(GOOD | {"covariances": np.ones((3, 1))}), covariance_type=covariance_type
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": [0.5, 0.4]}, "weights: expected weights of at least 0 that sum to one, got a"),
        ({"weights": [1.5, -0.5]}, "weights: expected weights of at least 0 that sum to one"),
        ({"weights": [1.5, -0.5]}, r".* got a smallest weight of -0\.5$"),
        ({"weights": [0.2, 0.3, 0.5]}, r"weights: expected shape \(2,\), got \(3,\)"),
        ({"weights": 1.0}, r"weights: expected shape \(2,\), got \(\)"),
        ({"means": [0.0, 1.0]}, r"means: expected shape \(n_components, n_features\), got \(2,\);"),
        ({"means": np.ones((2, 0))}, r"means: expected shape \(n_components, n_features\), got"),
        ({"means": [[0.0, 1.0], [2.0]]}, "means: expected an array, got rows of unequal length"),
        ({"means": [[0.0, np.nan], [2.0, 3.0]]}, "means: expected finite numbers, got NaN or inf"),
        ({"means": [["a", "b"], ["c", "d"]]}, "means: expected numbers, got an array of dtype"),
        (
            {"covariances": [np.eye(2), [[1, 2], [2, 1]]]},
            "covariances: expected symmetric, positive definite covariances",
        ),
        (
            {"covariances": [np.eye(2), [[1, 0.5], [0, 1]]]},
            "covariances: expected symmetric, positive definite covariances",
        ),
        (
            {"covariances": [np.eye(2), np.zeros((2, 2))]},
            "covariances: expected symmetric, positive definite covariances",
        ),
        (
            {"covariances": [1.0, 0.0], "covariance_type": "spherical"},
            "covariances: expected symmetric, positive definite covariances",
        ),
        (
            {"covariance_type": "banded"},
            "covariance_type: expected one of full, tied, diag, spherical, got 'banded'",
        ),
    ],
)
def test_bad_parameters_get_one_line(options, message):
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        bm.GaussianMixture.from_parameters(**(GOOD | options))
    assert "\n" not in str(caught.value)


def test_parameters_of_the_constructor_only():
    with pytest.raises(TypeError, match="unexpected keyword argument 'n_clusters'"):
        bm.GaussianMixture.from_parameters(**GOOD, n_clusters=2)
    for name, value in {"n_components": 2, "weights_init": [0.5, 0.5], "means_init": None}.items():
        message = f"^from_parameters: got multiple values for '{name}', which .* leave it out$"
        with pytest.raises(TypeError, match=message):
            bm.GaussianMixture.from_parameters(**GOOD, **{name: value})


def test_tree_with_a_random_scale(structure, faithful):
    prior = bm.weakly_informative(faithful)
    tree = known(structure, prior=prior).to_datatree()
    bm.validate(tree)
    fitted = bm.GaussianMixture(3, covariance_type=structure, prior=prior, random_state=1)
    expected = fitted.fit(faithful).to_datatree()["point_estimate"]["covariance_scale"]
    np.testing.assert_array_equal(tree["point_estimate"]["covariance_scale"], expected)


def test_the_prior_is_for_as_many_features(faithful):
    message = r"^means: expected 1 column\(s\), the number of features of the component"
    prior = bm.fraley_raftery(faithful[["waiting"]], 2)
    with pytest.raises(ValueError, match=message):
        bm.GaussianMixture.from_parameters(**GOOD, prior=prior)
    with pytest.raises(ValueError, match=r"^prior: expected None or a component prior"):
        bm.GaussianMixture.from_parameters(**GOOD, prior="flat")


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
@pytest.mark.parametrize("smallest", [1e-8, 1e-9, 1e-12])
def test_fit_starts_exactly_there_where_covariances_are_ill_conditioned(
    covariance_type, smallest, rng
):
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    covariance = (axes * [1, 0.1, smallest]) @ axes.T
    covariance = (covariance + covariance.T) / 2
    given = bm.GaussianMixture.from_parameters(
        [0.5, 0.5],
        [[0.0, 0, 0], [1, 1, 1]],
        covariance if covariance_type == "tied" else [covariance] * 2,
        covariance_type=covariance_type,
        max_iter=1,
        reg_covar=0,
        tol=0,
        random_state=1,
    )
    x = given.sample(200)[0]
    before = given.score_samples(x).sum()
    precise = given.precisions_
    np.testing.assert_array_equal(precise, np.swapaxes(precise, -1, -2))
    restored = bm.GaussianMixture(
        2, **{n: v for n, v in given.get_params().items() if n != "n_components"}
    )
    for estimator in (given, clone(given), clone(clone(given)), restored):
        with pytest.warns(ConvergenceWarning, match="EM: "):
            estimator.fit(x)
        # precisions alone keep the point to cond * eps
        rel = 1e-13 if estimator is not restored else 1e-15 / smallest * 10
        assert estimator.starts_[0].trace[0] == pytest.approx(before, rel=rel)


def test_a_changed_start_counts():
    x = rows_of(random_parameters("full", 3, 2), 300)
    given = known("full", tol=0, max_iter=1, reg_covar=0)
    moved = given.means_init + 1
    for estimator in (clone(given).set_params(means_init=moved), given):
        if estimator is given:
            given.means_init += 1  # in place
        with pytest.warns(ConvergenceWarning, match="not converged"):
            estimator.fit(x)
        other = bm.GaussianMixture.from_parameters(
            given.weights_init, moved, random_parameters("full", 3, 2).covariances
        )
        assert estimator.starts_[0].trace[0] == pytest.approx(other.score(x) * 300, rel=1e-10)


def test_a_singular_start_is_named(rng):
    """Positive definite, but the inverse is not so to working precision."""
    precision = [[1e8 + 1, 1e4, 0], [1e4, 1e8 + 1, 1e4], [0, 1e4, 1]]
    estimator = bm.GaussianMixture(1, random_state=1, precisions_init=[precision])
    with pytest.raises(ValueError, match=r"^precisions_init: the covariances of this") as caught:
        estimator.fit(rng.normal(size=(50, 3)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "start", [{}, {"means_init": [[0.0], [1.0], [2.0]]}, {"weights_init": [0.2, 0.3, 0.5]}]
)
def test_too_few_distinct_rows_for_the_rest_of_a_start(start):
    x = np.repeat([[0.0], [1.0]], 5, axis=0)
    with pytest.raises(ValueError, match=r"^x: every start is singular, .* the 3 components"):
        bm.GaussianMixture(3, random_state=1, **start).fit(x)
