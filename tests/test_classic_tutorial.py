"""The code of the classic tutorials, run unchanged with scikit-learn's class and with ours."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.mixture
from scipy.stats import chi2
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm

CLASSES = (sklearn.mixture.GaussianMixture, bm.GaussianMixture)

# Theirs stops at a gain of 1e-3 per row, ours at 1e-6: ask both for the optimum itself.
TO_THE_END = {"tol": 1e-8, "max_iter": 5000}

pytestmark = pytest.mark.parametrize("GaussianMixture", CLASSES, ids=("scikit-learn", "bayesmix"))


@pytest.fixture(scope="module")
def stripes() -> tuple[np.ndarray, np.ndarray]:
    """Three groups stretched in one direction, (400, 2), and who belongs where."""
    rng = np.random.default_rng(3)
    turn = np.deg2rad(35)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    centers = np.array([[-1.0, -2.6], [1.0, 0.0], [0.0, 2.6]])
    truth = np.repeat([0, 1, 2], [160, 120, 120])
    return (centers[truth] + rng.normal(size=(400, 2)) * [3.0, 0.5]) @ rotation.T, truth


@pytest.fixture(scope="module")
def moons() -> np.ndarray:
    """Two crescents, (600, 2)."""
    rng = np.random.default_rng(3)
    angle = np.pi * rng.uniform(size=600)
    arcs = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    upper = np.arange(600)[:, None] < 300
    return np.where(upper, arcs, [1.0, 0.5] - arcs) + rng.normal(scale=0.07, size=(600, 2))


@pytest.fixture(scope="module")
def expected(stripes):
    """What scikit-learn finds by covariance type, to compare both with."""
    return {
        kind: sklearn.mixture.GaussianMixture(
            3, covariance_type=kind, n_init=10, random_state=0, **TO_THE_END
        ).fit(stripes[0])
        for kind in ("full", "tied")
    }


def test_stretched_groups_beat_k_means(GaussianMixture, stripes, expected):
    x, truth = stripes
    label = GaussianMixture(3, n_init=4, random_state=0, **TO_THE_END).fit_predict(x)
    kmeans = KMeans(3, n_init=10, random_state=0).fit_predict(x)
    assert adjusted_rand_score(truth, label) > 0.9
    assert adjusted_rand_score(truth, kmeans) < 0.4
    assert adjusted_rand_score(expected["full"].predict(x), label) > 0.98


def test_soft_and_hard_labels(GaussianMixture, stripes, expected):
    x, _ = stripes
    gmm = GaussianMixture(3, n_init=4, random_state=0, **TO_THE_END).fit(x)
    probability = gmm.predict_proba(x)
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(probability.argmax(axis=1), gmm.predict(x))
    uncertainty = 1 - probability.max(axis=1)
    assert uncertainty.max() <= 2 / 3
    theirs = 1 - expected["full"].predict_proba(x).max(axis=1)
    np.testing.assert_allclose(uncertainty, theirs, atol=2e-3)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_ellipses_hold_what_they_say(GaussianMixture, stripes, covariance_type):
    x, _ = stripes
    gmm = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(x)
    rows, label = gmm.sample(3000)
    shape = {"full": (3, 2, 2), "tied": (2, 2), "diag": (3, 2), "spherical": (3,)}
    assert gmm.covariances_.shape == shape[covariance_type]
    inside = 0
    for k in range(3):
        match covariance_type:
            case "full":
                covariance = gmm.covariances_[k]
            case "tied":
                covariance = gmm.covariances_
            case _:
                covariance = gmm.covariances_[k] * np.eye(2)
        delta = rows[label == k] - gmm.means_[k]
        distance = np.einsum("nd,nd->n", delta @ np.linalg.inv(covariance), delta)
        inside += np.count_nonzero(distance < chi2.ppf(0.9, df=2))
    assert abs(inside / 3000 - 0.9) < 4 * np.sqrt(0.9 * 0.1 / 3000)


def test_tied_is_the_structure_that_made_the_data(GaussianMixture, stripes):
    x, _ = stripes
    bic = {
        kind: GaussianMixture(3, covariance_type=kind, n_init=4, random_state=0).fit(x).bic(x)
        for kind in ("full", "tied", "diag", "spherical")
    }
    assert min(bic, key=bic.get) == "tied"


@pytest.mark.parametrize("init_params", ["k-means++", "kmeans", "random_from_data"])
def test_starts_of_every_kind_find_one_optimum(GaussianMixture, stripes, expected, init_params):
    x, _ = stripes
    gmm = GaussianMixture(3, n_init=4, init_params=init_params, random_state=0, **TO_THE_END).fit(x)
    assert gmm.converged_
    assert gmm.score(x) == pytest.approx(expected["full"].score(x), abs=1e-5)


@pytest.mark.filterwarnings(  # of more components than there are groups
    "ignore:EM. converged, but only one start:sklearn.exceptions.ConvergenceWarning"
)
def test_criteria_choose_three(GaussianMixture, stripes, expected):
    x, _ = stripes
    numbers = np.arange(1, 6)
    models = [
        GaussianMixture(k, covariance_type="tied", n_init=4, random_state=0).fit(x) for k in numbers
    ]
    bic, aic = np.array([[m.bic(x), m.aic(x)] for m in models]).T
    assert numbers[np.argmin(bic)] == 3
    assert numbers[np.argmin(aic)] == 3
    assert bic[2] == pytest.approx(expected["tied"].bic(x), abs=1)
    assert aic[2] == pytest.approx(expected["tied"].aic(x), abs=1)


def test_outliers_are_the_rows_of_lowest_density(GaussianMixture, stripes, expected):
    x, _ = stripes
    gmm = GaussianMixture(3, covariance_type="tied", n_init=4, random_state=0, **TO_THE_END).fit(x)
    density = gmm.score_samples(x)
    unusual = density < np.percentile(density, 4)
    assert unusual.sum() == 16
    other = expected["tied"].score_samples(x)
    np.testing.assert_array_equal(unusual, other < np.percentile(other, 4))


# Ten components of a crescent can be placed in many ways.
@pytest.mark.filterwarnings(
    "ignore:EM. converged, but only one start:sklearn.exceptions.ConvergenceWarning"
)
def test_new_rows_come_from_the_density(GaussianMixture, moons):
    """Of ten components: the moments of the crescents, and rows near them."""
    gmm = GaussianMixture(10, n_init=3, random_state=0).fit(moons)
    rows, label = gmm.sample(400)
    assert rows.shape == (400, 2)
    assert label.shape == (400,)
    error = moons.std(axis=0) / np.sqrt(400)
    assert np.all(np.abs(rows.mean(axis=0) - moons.mean(axis=0)) < 4 * error)
    distance = np.sqrt(np.square(rows[:, None] - moons).sum(axis=-1)).min(axis=1)
    assert np.quantile(distance, 0.95) < 0.15
    assert gmm.bic(moons) < GaussianMixture(2, n_init=3, random_state=0).fit(moons).bic(moons)


def test_the_attributes_of_tutorials(GaussianMixture, stripes):
    x, _ = stripes
    gmm = GaussianMixture(n_components=3, covariance_type="full", random_state=42).fit(x)
    assert gmm.weights_.shape == (3,)
    assert gmm.means_.shape == (3, 2)
    assert gmm.weights_.sum() == pytest.approx(1)
    assert gmm.converged_
    assert gmm.n_iter_ >= 1
    np.testing.assert_allclose(
        gmm.precisions_cholesky_ @ np.swapaxes(gmm.precisions_cholesky_, 1, 2),
        gmm.precisions_,
        rtol=1e-9,
    )
    np.testing.assert_allclose(gmm.precisions_, np.linalg.inv(gmm.covariances_), rtol=1e-9)
    assert gmm.lower_bound_ == pytest.approx(gmm.score(x), abs=1e-3)
