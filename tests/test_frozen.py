"""The frozen view of a mixture, beside SciPy's own distributions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import kstest, multivariate_normal, norm
from sklearn.mixture import GaussianMixture as SklearnMixture

import bayesmix as bm
from bayesmix.frozen import FrozenMixture
from tests.support import STRUCTURES, Parameters, blobs, compact, random_parameters

TILES = {
    1: ((), (1,), (6,), (1, 1), (6, 1), (2, 3, 1), (3, 1, 1), (0,), (0, 1)),
    2: ((2,), (1, 2), (6, 2), (2, 3, 2), (3, 1, 2), (1, 1, 2), (0, 2)),
}
SIZES = (1, 5, 0, None, (), (5,), (2, 3), (3, 1), (1, 1), (0, 2))


def frozen_of(parameters: Parameters, structure: str = "full") -> FrozenMixture:
    weights, means, covariances = parameters
    return bm.frozen(
        bm.GaussianMixture.from_parameters(
            weights, means, compact(structure, covariances), covariance_type=structure
        )
    )


def pair(d: int) -> tuple[FrozenMixture, object]:
    """One component, in both libraries."""
    parameters = random_parameters("full", 1, d)
    return frozen_of(parameters), multivariate_normal(
        parameters.means[0], parameters.covariances[0]
    )


@pytest.mark.parametrize(("d", "shape"), [(d, shape) for d in TILES for shape in TILES[d]])
@pytest.mark.parametrize("method", ["logpdf", "pdf"])
def test_one_component_is_the_normal_of_scipy(d, shape, method, rng):
    ours, theirs = pair(d)
    x = rng.normal(scale=2, size=shape)
    found, expected = getattr(ours, method)(x), getattr(theirs, method)(x)
    assert type(found) is type(expected)
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("d", [1, 2])
def test_mean_and_covariance_have_the_shapes_of_scipy(d):
    ours, theirs = pair(d)
    assert ours.mean.shape == theirs.mean.shape
    assert ours.cov.shape == theirs.cov.shape
    np.testing.assert_allclose(ours.mean, theirs.mean, rtol=1e-14)
    np.testing.assert_allclose(ours.cov, theirs.cov, rtol=1e-13)


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_draws_have_the_shapes_of_scipy(d, size):
    ours, theirs = pair(d)
    found, expected = ours.rvs(size, random_state=1), theirs.rvs(size, random_state=1)
    assert np.shape(found) == np.shape(expected)
    assert isinstance(found, float) is isinstance(expected, float)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("d", [1, 3])
def test_several_components_sum(structure, d, rng):
    parameters = random_parameters(structure, 3, d)
    x = rng.normal(scale=4, size=(50, d))
    terms = [
        np.log(w) + multivariate_normal(m, c).logpdf(x) for w, m, c in zip(*parameters, strict=True)
    ]
    found = frozen_of(parameters, structure).logpdf(x)
    np.testing.assert_allclose(found, logsumexp(terms, axis=0), rtol=1e-12)


def test_far_points_and_missing_values():
    ours, theirs = pair(1)
    x = [np.inf, -np.inf, np.nan, 0.0]
    np.testing.assert_allclose(ours.logpdf(x), theirs.logpdf(x), rtol=1e-12)
    assert ours.logpdf([1e200]) == -np.inf
    assert ours.pdf([1e200]) == 0
    assert frozen_of(random_parameters("full", 2, 2)).logpdf([np.inf, 0]) == -np.inf


def test_moments_are_those_of_the_draws():
    uneven = random_parameters("full", 3, 2)._replace(weights=np.array([0.1, 0.2, 0.7]))
    ours = frozen_of(uneven)
    n = 40_000
    draws = ours.rvs(n, random_state=1)
    delta = draws - ours.mean
    error = draws.std(axis=0) / np.sqrt(n)
    assert np.all(np.abs(delta.mean(axis=0)) < 4 * error)
    products = delta[:, :, None] * delta[:, None, :]
    assert np.all(np.abs(products.mean(axis=0) - ours.cov) < 4 * products.std(axis=0) / np.sqrt(n))


def test_marginal_integrates_the_other_features_out():
    """Of features 2 and 0, in this order: the density summed over feature 1."""
    whole = frozen_of(random_parameters("full", 3, 3))
    marginal = whole.marginal([2, 0])
    along = np.linspace(-30, 30, 4001)
    for c, a in [(0.0, 0.0), (1.5, -2.0)]:
        points = np.column_stack([np.full_like(along, a), along, np.full_like(along, c)])
        expected = np.trapezoid(whole.pdf(points), along)
        np.testing.assert_allclose(marginal.pdf([c, a]), expected, rtol=1e-9)


@pytest.mark.parametrize(
    "features", [[], [3], [-1], [0, 0], [True], np.array([True, False, True]), ["a"], [0.0], 1, "0"]
)
def test_places_that_are_none_are_refused(features):
    whole = frozen_of(random_parameters("full", 2, 3))
    with pytest.raises(ValueError, match=r"^features: expected different places among 0 to 2, got"):
        whole.marginal(features)


def test_draws_follow_the_density():
    parameters = Parameters(
        np.array([0.3, 0.7]), np.array([[-2.0], [3.0]]), np.array([[[0.5]], [[4.0]]])
    )
    draws = frozen_of(parameters).rvs(5000, random_state=2)

    def cdf(x):
        sds = np.sqrt(parameters.covariances[:, 0, 0])
        return norm.cdf(x[:, None], parameters.means[:, 0], sds) @ parameters.weights

    assert kstest(draws, cdf).pvalue > 0.01


def test_components_come_in_random_order():
    """Runs of equal components among far apart ones are as many as coin tosses give."""
    n = 4000
    parameters = Parameters(
        np.array([0.5, 0.5]), np.array([[-50.0], [50.0]]), np.array([[[1.0]], [[1.0]]])
    )
    side = frozen_of(parameters).rvs(n, random_state=3) > 0
    changes = np.count_nonzero(side[1:] != side[:-1])
    assert abs(changes - n / 2) < 4 * np.sqrt(n) / 2


@pytest.mark.parametrize("kind", ["int", "Generator", "RandomState"])
def test_seeds(kind):
    ours = frozen_of(random_parameters("full", 2, 2))
    seed = {
        "int": lambda: 7,
        "Generator": lambda: np.random.default_rng(7),
        "RandomState": lambda: np.random.RandomState(7),
    }[kind]
    np.testing.assert_array_equal(ours.rvs(4, seed()), ours.rvs(4, seed()))
    assert not np.array_equal(ours.rvs(4), ours.rvs(4))


@pytest.mark.parametrize("structure", STRUCTURES)
def test_every_kind_of_point(structure):
    x = blobs(200, 2, 2)
    theirs = SklearnMixture(2, covariance_type=structure, random_state=0).fit(x)
    np.testing.assert_allclose(bm.frozen(theirs).logpdf(x), theirs.score_samples(x), rtol=1e-9)
    ours = bm.GaussianMixture(2, covariance_type=structure, random_state=0).fit(x)
    np.testing.assert_allclose(bm.frozen(ours).logpdf(x), ours.score_samples(x), rtol=1e-12)
    tree = bm.fit_em(bm.Mixture(bm.Dirichlet(2), None, structure), x, random_seed=1)
    total = bm.frozen(tree).logpdf(x).sum()
    assert total == pytest.approx(tree["point_estimate"].attrs["log_likelihood"], rel=1e-12)


@pytest.mark.parametrize("shape", [(), (3,), (5, 1), (5, 3)])
def test_another_width_is_refused(shape):
    ours, _ = pair(2)
    with pytest.raises(ValueError, match=r"^x: expected points of 2 feature\(s\) along the last"):
        ours.logpdf(np.zeros(shape))


@pytest.mark.parametrize("point", [bm.GaussianMixture(2), SklearnMixture(2), 3])
def test_what_is_no_fitted_mixture_is_refused(point):
    with pytest.raises(ValueError, match=r"^point: expected a fitted GaussianMixture or a tree"):
        bm.frozen(point)


def test_it_is_a_value():
    ours, _ = pair(2)
    with pytest.raises(AttributeError):
        ours.weights = np.ones(1)
