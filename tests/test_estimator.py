"""The scikit-learn face of EM: its interface, its numbers, and what it says when it cannot."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.mixture import GaussianMixture as SklearnMixture
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import bayesmix as bm
from tests.support import EPS, STRUCTURES, blobs, compact, random_parameters, rows_of

N_ITER = 8
ATTRIBUTES = (
    "weights_",
    "means_",
    "covariances_",
    "precisions_",
    "precisions_cholesky_",
)


# check_sample_weight_equivalence fits 15 rows of 10 features, where the likelihood is unbounded.
@pytest.mark.filterwarnings("ignore:EM. singular:sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([bm.GaussianMixture()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def start_of(structure: str, k: int = 3, d: int = 2) -> dict[str, np.ndarray]:
    """Weights, means and precisions to start from, in the structure's shape."""
    weights, means, covariances = random_parameters(structure, k, d)
    precisions = np.linalg.inv(covariances)
    return {
        "weights_init": weights,
        "means_init": means,
        "precisions_init": compact(structure, precisions),
    }


def few_steps(cls: type, structure: str, x: np.ndarray, n_iter: int = N_ITER, **options):
    """Fit for a fixed number of plain iterations, which both implementations complain about."""
    plain = {"accelerate": False} if cls is bm.GaussianMixture else {}
    estimator = cls(
        3,
        covariance_type=structure,
        tol=0,
        max_iter=n_iter,
        random_state=0,
        **(start_of(structure) | plain | options),
    )
    with pytest.warns(ConvergenceWarning, match="(not converged: raise|did not converge)"):
        return estimator.fit(x)


@pytest.fixture(scope="module")
def pair_of_fits() -> dict[str, tuple[bm.GaussianMixture, SklearnMixture, np.ndarray]]:
    x = rows_of(random_parameters("full", 3, 2), 400)
    return {
        s: (few_steps(bm.GaussianMixture, s, x), few_steps(SklearnMixture, s, x), x)
        for s in STRUCTURES
    }


class TestParity:
    """From the same start, after as many iterations: scikit-learn's numbers.

    It adds 10 eps to every component's size: 1e-8 is far above that and far below an error.
    """

    @pytest.mark.parametrize("name", ATTRIBUTES)
    def test_parameters(self, pair_of_fits, structure, name):
        ours, theirs, _ = pair_of_fits[structure]
        expected = getattr(theirs, name)
        size = np.abs(expected).max()
        np.testing.assert_allclose(getattr(ours, name), expected, rtol=1e-8, atol=1e-10 * size)

    @pytest.mark.parametrize("name", ["score_samples", "predict_proba", "predict"])
    def test_rows(self, pair_of_fits, structure, name):
        ours, theirs, x = pair_of_fits[structure]
        found, expected = getattr(ours, name)(x), getattr(theirs, name)(x)
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-12)

    @pytest.mark.parametrize("name", ["score", "bic", "aic"])
    def test_scores(self, pair_of_fits, structure, name):
        ours, theirs, x = pair_of_fits[structure]
        assert getattr(ours, name)(x) == pytest.approx(getattr(theirs, name)(x), rel=1e-8)

    def test_history(self, pair_of_fits, structure):
        """Theirs is the bound before each step, ours the one after it."""
        ours, theirs, x = pair_of_fits[structure]
        assert ours.n_iter_ == theirs.n_iter_ == N_ITER
        np.testing.assert_allclose(ours.lower_bounds_[:-1], theirs.lower_bounds_[1:], rtol=1e-8)
        assert ours.lower_bound_ == ours.lower_bounds_[-1]
        assert ours.lower_bound_ == pytest.approx(ours.score(x), rel=1e-12)
        assert ours.converged_ is False


def test_parameters_are_those_of_scikit_learn():
    theirs = SklearnMixture().get_params()
    assert set(bm.GaussianMixture().get_params()) == set(theirs) | {"prior", "accelerate"}


def test_a_weight_counts_rows(structure, rng):
    x = rows_of(random_parameters("full", 3, 2), 200)
    counts = rng.integers(1, 4, size=len(x))
    start = start_of(structure)
    weighted = bm.GaussianMixture(3, covariance_type=structure, max_iter=N_ITER, tol=0, **start)
    repeated = clone(weighted)
    with pytest.warns(ConvergenceWarning, match="not converged"):
        weighted.fit(x, sample_weight=counts)
    with pytest.warns(ConvergenceWarning, match="not converged"):
        repeated.fit(np.repeat(x, counts, axis=0))
    for name in ATTRIBUTES:  # sums in another order, over few iterations
        expected = getattr(repeated, name)
        np.testing.assert_allclose(
            getattr(weighted, name), expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max()
        )
    assert weighted.lower_bound_ == pytest.approx(repeated.lower_bound_, rel=1e-12)


def test_a_weight_counts_rows_in_the_random_start(rng):
    x = blobs(60, 2, 2)
    counts = rng.integers(1, 4, size=len(x))
    estimator = bm.GaussianMixture(2, init_params="k-means++", random_state=3)
    weighted = clone(estimator).fit(x, sample_weight=counts)
    repeated = estimator.fit(np.repeat(x, counts, axis=0))
    np.testing.assert_allclose(weighted.means_, repeated.means_, rtol=1e-9)


@pytest.mark.parametrize("make", [lambda x: bm.fraley_raftery(x, 2), bm.weakly_informative])
def test_prior_leads_to_the_optimum_of_fit_em(faithful, structure, make):
    prior = make(faithful)
    tree = bm.fit_em(bm.Mixture(bm.Dirichlet(2), prior, structure), faithful, random_seed=1)
    estimator = bm.GaussianMixture(
        2, covariance_type=structure, prior=prior, n_init=10, random_state=1
    ).fit(faithful)
    group = tree["point_estimate"]
    order = np.argsort(estimator.means_[:, 0])
    own = estimator.to_datatree()["point_estimate"]
    for name in ("weights", "means", "covariances"):  # the same starts; sums in another order
        expected = group[name].values
        np.testing.assert_allclose(own[name].values[order], expected, rtol=1e-11, atol=1e-11)
    assert ("covariance_scale" in own) is (prior.scale_hyperprior is not None)
    assert ("covariance_scale" in own) is ("covariance_scale" in group)
    objective = group.attrs["objective"] / len(faithful)
    assert estimator.lower_bound_ == pytest.approx(objective, rel=1e-13)


def test_samples_have_the_moments_of_the_mixture(structure):
    x = rows_of(random_parameters(structure, 3, 2), 400)
    estimator = few_steps(bm.GaussianMixture, structure, x)
    rows, label = estimator.sample(20_000)
    assert rows.shape == (20_000, 2)
    assert (np.diff(label) >= 0).all()
    size = np.bincount(label)
    frequency, weights = size / len(rows), estimator.weights_
    assert np.all(np.abs(frequency - weights) < 5 * np.sqrt(weights * (1 - weights) / len(rows)))
    dense = estimator.to_datatree()["point_estimate"]["covariances"].values
    for k, (mean, covariance) in enumerate(zip(estimator.means_, dense, strict=True)):
        own = rows[label == k]
        variance = np.diag(covariance)
        assert np.all(np.abs(own.mean(axis=0) - mean) < 5 * np.sqrt(variance / size[k]))
        # Var of a sample covariance of normal rows: (s_ii s_jj + s_ij^2) / n
        error = np.sqrt((np.outer(variance, variance) + covariance**2) / size[k])
        assert np.all(np.abs(np.cov(own.T) - covariance) < 5 * error)


def test_sampling_repeats_with_an_int_and_moves_on_with_a_generator(faithful):
    fixed = bm.GaussianMixture(2, random_state=1).fit(faithful)
    np.testing.assert_array_equal(fixed.sample(5)[0], fixed.sample(5)[0])
    moving = bm.GaussianMixture(2, random_state=np.random.default_rng(1)).fit(faithful)
    assert not np.array_equal(moving.sample(5)[0], moving.sample(5)[0])
    legacy = bm.GaussianMixture(2, random_state=np.random.RandomState(1)).fit(faithful)
    np.testing.assert_allclose(legacy.lower_bound_, fixed.lower_bound_, rtol=1e-5)


def test_pipeline_and_grid_search(faithful):
    pipeline = make_pipeline(StandardScaler(), bm.GaussianMixture(random_state=1, n_init=3))
    search = GridSearchCV(pipeline, {"gaussianmixture__n_components": [1, 2]}, cv=3)
    search.fit(faithful)
    assert search.best_params_ == {"gaussianmixture__n_components": 2}
    best = search.best_estimator_
    assert np.bincount(best.predict(faithful)).tolist() in ([97, 175], [175, 97])
    np.testing.assert_allclose(best.predict_proba(faithful).sum(axis=1), 1, rtol=0, atol=4 * EPS)
    assert best.score(faithful) == pytest.approx(best.score_samples(faithful).mean())


def test_clone_keeps_parameters_and_forgets_the_fit(faithful):
    prior = bm.fraley_raftery(faithful, 2)
    fitted = bm.GaussianMixture(2, prior=prior, tol=1e-5, random_state=1).fit(faithful)
    other = clone(fitted)
    assert other.get_params() == fitted.get_params()
    assert not hasattr(other, "weights_")
    random_scale = bm.GaussianMixture(2, prior=bm.weakly_informative(faithful))
    assert clone(random_scale).get_params() == random_scale.get_params()


def test_pickle(faithful):
    fitted = bm.GaussianMixture(2, prior=bm.fraley_raftery(faithful, 2), random_state=1)
    fitted.fit(faithful)
    other = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(other.predict_proba(faithful), fitted.predict_proba(faithful))
    assert other.to_datatree().identical(fitted.to_datatree())


def test_fit_predict_labels_as_predict_does(faithful):
    estimator = bm.GaussianMixture(2, random_state=1)
    label = estimator.fit_predict(faithful)
    np.testing.assert_array_equal(label, estimator.predict(faithful))
    np.testing.assert_array_equal(label, estimator.predict_proba(faithful).argmax(axis=1))


def test_warm_start_continues(structure):
    x = rows_of(random_parameters("full", 3, 2), 400)
    whole = few_steps(bm.GaussianMixture, structure, x, 8)
    halves = few_steps(bm.GaussianMixture, structure, x, 4, warm_start=True)
    with pytest.warns(ConvergenceWarning, match="not converged"):
        halves.fit(x)
    for name in ATTRIBUTES:
        np.testing.assert_array_equal(getattr(halves, name), getattr(whole, name))
    assert halves.lower_bounds_ == whole.lower_bounds_[4:]


@pytest.mark.parametrize(
    "change", [{"n_components": 3}, {"covariance_type": "diag"}, {"covariance_type": "tied"}]
)
def test_warm_start_refuses_another_shape(faithful, change):
    estimator = bm.GaussianMixture(2, warm_start=True, random_state=1).fit(faithful)
    with pytest.raises(ValueError, match=r"^warm_start: expected .* set warm_start=False"):
        estimator.set_params(**change).fit(faithful)


def test_warm_start_refuses_another_width(faithful):
    estimator = bm.GaussianMixture(2, warm_start=True, random_state=1).fit(faithful)
    with pytest.raises(ValueError, match=r"^warm_start: expected .* set warm_start=False"):
        estimator.fit(faithful[["waiting"]])


GOOD = {"weights_init": [0.5, 0.5], "means_init": [[2.0, 55.0], [4.0, 80.0]]}


def test_a_partial_start_is_completed(faithful):
    given = bm.GaussianMixture(2, max_iter=1, tol=0, random_state=1, **GOOD)
    with pytest.warns(ConvergenceWarning, match="not converged"):
        given.fit(faithful)
    assert given.means_[0, 0] < given.means_[1, 0]
    swapped = {name: values[::-1] for name, values in GOOD.items()}
    other = clone(given).set_params(**swapped)
    with pytest.warns(ConvergenceWarning, match="not converged"):
        other.fit(faithful)
    assert other.means_[0, 0] > other.means_[1, 0]


IDENTITY = np.eye(2).tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights_init": [0.5, 0.4]}, "weights_init: expected weights of at least 0 that sum"),
        ({"weights_init": [1.5, -0.5]}, "weights_init: expected weights of at least 0 that sum"),
        ({"weights_init": [1.0]}, r"weights_init: expected shape \(2,\), got \(1,\)"),
        ({"weights_init": [np.nan, 1.0]}, "weights_init: expected "),
        ({"means_init": [[1.0], [2.0]]}, r"means_init: expected shape \(2, 2\), got \(2, 1\)"),
        ({"means_init": [[np.nan, 1.0], [2.0, 3.0]]}, "means_init: expected finite numbers"),
        ({"means_init": [["a", "b"], ["c", "d"]]}, "means_init: expected numbers"),
        ({"precisions_init": IDENTITY}, r"precisions_init: expected shape \(2, 2, 2\)"),
        (
            {"precisions_init": [[[1, 0], [0, -1]]] * 2},
            "precisions_init: expected symmetric, positive definite",
        ),
        (
            {"precisions_init": [[[1, 0.5], [0, 1]]] * 2},
            "precisions_init: expected symmetric, positive definite",
        ),
        (
            {"precisions_init": [[1, 2], [2, 1]], "covariance_type": "tied"},
            "precisions_init: expected symmetric, positive definite",
        ),
        (
            {"precisions_init": [[1, 0], [1, 1]], "covariance_type": "diag"},
            "precisions_init: expected symmetric, positive definite",
        ),
        (
            {"precisions_init": [0, 1], "covariance_type": "spherical"},
            "precisions_init: expected symmetric, positive definite",
        ),
        ({"n_components": 0}, "n_components: expected a whole number of at least 1, got 0"),
        ({"n_components": 1.5}, "n_components: expected a whole number of at least 1, got 1.5"),
        ({"max_iter": 0}, "max_iter: expected a whole number of at least 1, got 0"),
        ({"n_init": 0}, "n_init: expected a whole number of at least 1, got 0"),
        ({"verbose": 2, "verbose_interval": 0}, "verbose_interval: expected a whole number of at"),
        ({"verbose_interval": 1.5}, "verbose_interval: expected a whole number of at least 1"),
        ({"tol": -1}, "tol: expected a number of at least 0, got -1"),
        ({"tol": None}, "tol: expected a number of at least 0, got None"),
        ({"reg_covar": -1}, "reg_covar: expected a number of at least 0, got -1"),
        ({"reg_covar": np.nan}, "reg_covar: expected a number of at least 0, got nan"),
        ({"covariance_type": "banded"}, "covariance_type: expected one of full, tied, diag, sph"),
        ({"init_params": "magic"}, r"init_params: expected one of .*k-means\+\+"),
        ({"prior": "flat"}, "prior: expected None or a component prior"),
        (
            {"prior": bm.NormalInverseWishart([0.0], 0.1, 3.0, [[1.0]])},
            r"x: expected 1 column\(s\), the number of features of the component prior, got 2",
        ),
        ({"n_components": 300}, r"Expected n_samples >= n_components .* use fewer components"),
        ({"random_state": -1}, "random seed: expected a number of at least 0, got -1"),
    ],
)
def test_bad_arguments_get_one_line(faithful, options, message):
    estimator = bm.GaussianMixture(**({"n_components": 2} | options))
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        estimator.fit(faithful)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1.0], r"sample_weight: expected shape \(272,\), got \(1,\)"),
        (-np.ones(272), "sample_weight: expected finite weights of at least 0"),
        (np.zeros(272), "sample_weight: expected at least one weight above 0"),
    ],
)
def test_bad_weights(faithful, weight, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        bm.GaussianMixture(2).fit(faithful, sample_weight=weight)


@pytest.mark.parametrize(
    "call",
    [
        lambda estimator, x: estimator.predict(x),
        lambda estimator, x: estimator.predict_proba(x),
        lambda estimator, x: estimator.score_samples(x),
        lambda estimator, x: estimator.score(x),
        lambda estimator, x: estimator.bic(x),
        lambda estimator, x: estimator.aic(x),
        lambda estimator, x: estimator.icl(x),
        lambda estimator, x: estimator.outliers(x),
        lambda estimator, _: estimator.sample(),
        lambda estimator, _: estimator.to_datatree(),
    ],
)
def test_not_fitted(faithful, call):
    with pytest.raises(NotFittedError):
        call(bm.GaussianMixture(2), faithful)


@pytest.mark.parametrize("n_samples", [0, -1, 2.5, "3", None])
def test_sample_wants_a_count(faithful, n_samples):
    fitted = bm.GaussianMixture(2, random_state=1).fit(faithful)
    with pytest.raises(ValueError, match=r"^n_samples: expected a whole number of at least 1, got"):
        fitted.sample(n_samples)


def test_verbose_prints_starts_and_objectives(faithful, capsys):
    starts = {"init_params": "k-means++", "n_init": 2, "random_state": 1}
    bm.GaussianMixture(2, **starts).fit(faithful)
    assert capsys.readouterr().out == ""
    bm.GaussianMixture(2, **starts, verbose=1).fit(faithful)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:8] for line in lines] == ["start 1:", "start 2:"]
    assert re.fullmatch(r"start 1: converged after \d+ iterations, -4\.15\d+ per row", lines[0])
    one = starts | {"n_init": 1}
    fitted = bm.GaussianMixture(2, **one, verbose=2, verbose_interval=3).fit(faithful)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == fitted.n_iter_ // 3 + 1
    assert lines[0] == f"  iteration 3: {fitted.lower_bounds_[2]:.6f} per row"


@pytest.mark.parametrize(
    "make", [lambda x: None, lambda x: bm.fraley_raftery(x, 2), bm.weakly_informative]
)
def test_tree_of_a_fit(faithful, structure, make, tmp_path):
    prior = make(faithful)
    fitted = bm.GaussianMixture(
        2,
        covariance_type=structure,
        init_params="k-means++",
        prior=prior,
        n_init=2,
        random_state=1,
    ).fit(faithful)
    tree = fitted.to_datatree()
    bm.validate(tree)
    assert tree["point_estimate"]["feature"].values.tolist() == ["eruptions", "waiting"]
    np.testing.assert_array_equal(tree["point_estimate"]["means"], fitted.means_)
    assert tree["optimization"].sizes["restart"] == 2
    tree.to_netcdf(tmp_path / "fit.nc", engine="h5netcdf")
    bm.validate(bm.load(tmp_path / "fit.nc"))


def test_names_of_features(faithful):
    fitted = bm.GaussianMixture(2, random_state=1).fit(faithful)
    assert fitted.feature_names_in_.tolist() == ["eruptions", "waiting"]
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(faithful[["waiting", "eruptions"]])
    with pytest.raises(ValueError, match="expecting 2 features"):
        bm.GaussianMixture(2, random_state=1).fit(faithful.to_numpy()).predict([[1.0]])
    unnamed = bm.GaussianMixture(2, random_state=1).fit(faithful.to_numpy()).to_datatree()
    assert unnamed["point_estimate"]["feature"].values.tolist() == ["x0", "x1"]


def test_a_singular_fit_warns_and_has_not_converged():
    x = np.r_[blobs(40, 2, 1), np.full((6, 2), 50.0)]
    fitted = bm.GaussianMixture(2, n_init=1, random_state=0, reg_covar=1e-9)
    with pytest.warns(ConvergenceWarning, match="EM: singular: .* give a component prior"):
        fitted.fit(x)
    assert not fitted.converged_


@pytest.mark.parametrize("prior", [None, bm.NormalInverseWishart([0, 0], 0.1, 4.0, np.eye(2))])
def test_rows_whose_covariance_overflows_are_named(prior, structure, faithful):
    estimator = bm.GaussianMixture(2, covariance_type=structure, prior=prior, random_state=1)
    with pytest.raises(ValueError, match=r"^x: the covariance of the rows overflows; rescale"):
        estimator.fit(1e160 * faithful.to_numpy())


@pytest.mark.parametrize("prior", [None, bm.NormalInverseWishart([0, 0], 0.1, 4.0, np.eye(2))])
def test_a_wild_row_without_weight_does_nothing(prior, structure, faithful):
    estimator = bm.GaussianMixture(2, covariance_type=structure, prior=prior, random_state=1)
    x = faithful.to_numpy()
    alone = estimator.fit(x).means_
    for wild in (1e12, 1e200):
        rows, weight = np.r_[x, [[wild, wild]]], np.r_[np.ones(272), 0]
        found = estimator.fit(rows, sample_weight=weight)
        assert found.converged_
        np.testing.assert_allclose(found.means_, alone, rtol=1e-9)
