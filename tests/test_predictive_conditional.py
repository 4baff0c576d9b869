"""The law of some features given others, against regression and quadrature."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import integrate, stats

import bayesmix as bm
from bayesmix import memory, schema
from bayesmix.random_measure import random_measure
from tests.fixtures_post import OVERLAPPING, SEPARATED, parameters_of, planted
from tests.fixtures_varying import planted_varying
from tests.support import random_parameters, rows_of
from tests.test_predictive import conjugate_tree

conditional = bm.predictive.conditional
X = pd.DataFrame(rows_of(OVERLAPPING, 30), columns=["width", "height"])
GIVEN = pd.DataFrame({"height": [-2.0, 0.3, 1.1, 4.0]})
NAMES = (
    *("mean", "mean_sd", "mean_lower", "mean_upper"),
    *("predictive_sd", "predictive_lower", "predictive_upper"),
)


@pytest.fixture(scope="module")
def post():
    return planted(OVERLAPPING, X, draws=15)


def laws(tree, value):
    """Of width given height, at every draw: shares, means and sds of the components, (S, K)."""
    weights, means, covariances = (np.concatenate(a) for a in parameters_of(tree))
    c = covariances
    share = weights * stats.norm.pdf(value, means[..., 1], np.sqrt(c[..., 1, 1]))
    slope = c[..., 0, 1] / c[..., 1, 1]
    mean = means[..., 0] + slope * (value - means[..., 1])
    sd = np.sqrt(c[..., 0, 0] - slope * c[..., 0, 1])
    return share / share.sum(axis=1, keepdims=True), mean, sd


def test_against_a_loop(post):
    found = conditional(post, GIVEN, ci_prob=0.9)
    assert set(found.data_vars) == set(NAMES)
    assert found["mean"].dims == ("obs", "feature")
    assert found["feature"].values.tolist() == ["width"]
    for i, value in enumerate(GIVEN["height"]):
        share, mean, sd = laws(post, value)
        of_draws = (share * mean).sum(axis=1)
        own = found.isel(obs=i, feature=0)
        assert own["mean"] == pytest.approx(of_draws.mean(), rel=1e-10)
        assert own["mean_sd"] == pytest.approx(of_draws.std(), rel=1e-8)
        assert own["mean_lower"] == pytest.approx(np.quantile(of_draws, 0.05), rel=1e-9)
        second = (share * (mean**2 + sd**2)).sum(axis=1).mean()
        assert own["predictive_sd"] == pytest.approx(np.sqrt(second - of_draws.mean() ** 2))
        for name, tail in (("predictive_lower", 0.05), ("predictive_upper", 0.95)):
            below = (share * stats.norm.cdf(own[name].item(), mean, sd)).sum(axis=1).mean()
            assert below == pytest.approx(tail, abs=1e-9)


def test_one_draw_by_quadrature():
    """The joint density at the value, divided by its integral."""
    tree = planted(OVERLAPPING, X, chains=1, draws=1)
    found = conditional(tree, GIVEN, ci_prob=0.8).isel(feature=0)
    weights, means, covariances = (a[0, 0] for a in parameters_of(tree))

    def joint(y, value):
        each = [stats.multivariate_normal(m, c) for m, c in zip(means, covariances, strict=True)]
        return sum(w * f.pdf([y, value]) for w, f in zip(weights, each, strict=True))

    for i, value in enumerate(GIVEN["height"]):

        def integral(function, upper=15.0, value=value):
            whole = integrate.quad(
                lambda y: function(y) * joint(y, value), -12, upper, epsabs=1e-13
            )
            return whole[0]

        mass = integral(lambda y: 1)
        mean = integral(lambda y: y) / mass
        own = found.isel(obs=i)
        assert own["mean"] == pytest.approx(mean, rel=1e-6)
        variance = integral(lambda y, mean=mean: (y - mean) ** 2) / mass
        assert own["predictive_sd"] == pytest.approx(np.sqrt(variance), rel=1e-6)
        upper = own["predictive_upper"].item()
        assert integral(lambda y: 1, upper) / mass == pytest.approx(0.9, abs=1e-6)
        assert own["mean_sd"] == 0


def test_one_component_is_regression():
    """Conjugate: E[y | x] has the prior's and the rows' least squares, the new y is Student."""
    x = X.to_numpy()
    tree, student = conjugate_tree(x, 4000)
    found = conditional(tree, GIVEN.to_numpy(), features="x1", ci_prob=0.9).isel(feature=0)
    center, shape, dof = student.loc, student.shape, student.df
    slope = shape[0, 1] / shape[1, 1]
    expected = center[0] + slope * (GIVEN["height"] - center[1])
    error = found["mean_sd"] / np.sqrt(4000)
    assert np.all(np.abs(found["mean"] - expected) < 4.5 * error)
    squares = (GIVEN["height"] - center[1]) ** 2 / shape[1, 1]
    rest = (shape[0, 0] - slope * shape[0, 1]) * (dof + squares) / (dof + 1)
    law = stats.t(dof + 1, expected, np.sqrt(rest))
    density = law.pdf(law.ppf(0.95))
    wide = 4.5 * np.sqrt(0.05 / 4000) / density  # more than the draws' share of it
    assert np.all(np.abs(found["predictive_upper"] - law.ppf(0.95)) < wide)


def test_two_given_two_wanted():
    point = random_parameters("full", 3, 4)
    tree = planted(point, rows_of(point, 20), draws=4)
    given = rows_of(point, 20)[:5, [3, 1]]
    found = conditional(tree, given, features=["x3", "x1"])
    assert found["feature"].values.tolist() == ["x0", "x2"]
    weights, means, covariances = (np.concatenate(a) for a in parameters_of(tree))
    expected = np.zeros((5, 2))
    for w, mean, c in zip(weights, means, covariances, strict=True):
        share = np.array(
            [
                wk * stats.multivariate_normal(m[[3, 1]], ck[np.ix_([3, 1], [3, 1])]).pdf(given)
                for wk, m, ck in zip(w, mean, c, strict=True)
            ]
        )
        share = share / share.sum(axis=0)
        for k, (m, ck) in enumerate(zip(mean, c, strict=True)):
            slope = ck[np.ix_([0, 2], [3, 1])] @ np.linalg.inv(ck[np.ix_([3, 1], [3, 1])])
            line = m[[0, 2]] + (given - m[[3, 1]]) @ slope.T
            expected += share[k][:, None] * line / len(weights)
    np.testing.assert_allclose(found["mean"], expected, rtol=1e-9)


def test_blocks_of_rows_change_nothing(post, monkeypatch):
    whole = conditional(post, GIVEN)
    monkeypatch.setattr(memory, "BLOCK_BYTES", 1)
    for name, values in conditional(post, GIVEN).data_vars.items():
        np.testing.assert_allclose(values, whole[name], rtol=1e-12)


def test_far_quantiles_of_two_humps():
    """Newton's steps leave the bracket between two narrow humps; bisection brings them back."""
    point = OVERLAPPING._replace(
        weights=np.array([0.5, 0.5]),
        means=np.array([[0.0, 0.0], [1000.0, 0.0]]),
        covariances=np.array([np.eye(2), np.eye(2)]),
    )
    tree = planted(point, X, chains=1, draws=1, spread=0.0)
    found = conditional(tree, GIVEN[:2], ci_prob=0.5).isel(feature=0)
    np.testing.assert_allclose(found["predictive_lower"], stats.norm.ppf(0.5), atol=1e-5)
    np.testing.assert_allclose(found["predictive_upper"], 1000, atol=1e-5)


def test_of_a_varying_number_of_components():
    """Where the clusters have nearly all weight, nearly what they say alone."""
    x = rows_of(SEPARATED, 40)
    tree, _ = planted_varying(SEPARATED, x)
    at = {"given": [[0.2], [13.5]], "features": "x1", "random_seed": 1}
    found = conditional(tree, **at).isel(feature=0)
    alone = conditional(planted(SEPARATED, x), **at).isel(feature=0)
    upper = "predictive_upper"  # of the first, whose cluster every draw has
    assert found[upper][0].item() == pytest.approx(alone[upper][0].item(), abs=0.5)
    whole = random_measure(tree, np.random.default_rng(1)).whole()
    group = schema.posterior(whole.weights[None], whole.means[None], whole.covariances[None], "ab")
    fixed = xr.DataTree.from_dict({"posterior": group})
    same = conditional(fixed, at["given"], features="b").isel(feature=0)
    for name in NAMES:
        np.testing.assert_allclose(found[name], same[name], rtol=1e-9)


@pytest.mark.parametrize(
    ("given", "features", "message"),
    [
        (np.zeros((2, 1)), None, r"^given: expected a DataFrame, .*, got a ndarray; or name"),
        (X, None, r"^given: expected some of the features, got all 2"),
        (pd.DataFrame({"depth": [1.0]}), None, r"^features: expected distinct names among width"),
        (np.zeros((2, 2)), "width", r"^given: expected 1 column\(s\), width, got 2"),
        (X[["width"]], "height", r"^given: expected the columns height, got width"),
    ],
)
def test_bad_arguments(post, given, features, message):
    with pytest.raises(ValueError, match=message):
        conditional(post, given, features=features)
