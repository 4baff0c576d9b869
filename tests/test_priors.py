"""Priors are values: checked, frozen, hashable, printable."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from tests.support import EPS, random_prior

EYE = [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((0,), "n_components: expected a whole number of at least 1, got 0"),
        ((-3,), "n_components: expected a whole number of at least 1, got -3"),
        ((2.5,), "n_components: expected a whole number of at least 1, got 2.5"),
        ((True,), "n_components: expected a whole number of at least 1, got True"),
        ((2, 0.0), "concentration: expected numbers above 0, got 0.0"),
        ((2, (1.0, -1.0)), "concentration: expected numbers above 0"),
        ((2, (1.0, 2.0, 3.0)), r"concentration: expected one number or 2 of them .*, got 3"),
        ((2, np.inf), "concentration: expected finite numbers, got inf"),
        ((2, np.nan), "concentration: expected finite numbers, got nan"),
        ((2, EYE), r"concentration: expected at most 1 dimension\(s\), got 2"),
    ],
)
def test_dirichlet_refuses(arguments, match):
    with pytest.raises(ValueError, match=match) as caught:
        bm.Dirichlet(*arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"covariance_scale": np.eye(3)}, r"covariance_scale: expected shape \(2, 2\).*\(3, 3\)"),
        ({"covariance_scale": [[1.0, 0.5], [0.4, 1.0]]}, "expected a symmetric matrix"),
        ({"covariance_scale": [[1.0, 2.0], [2.0, 1.0]]}, "expected a positive definite matrix"),
        ({"covariance_scale": [[1.0, 0.0], [0.0, 0.0]]}, "expected a positive definite matrix"),
        ({"covariance_scale": [[1.0, 0.0], [0.0, np.inf]]}, "expected a positive definite matrix"),
        ({"mean_precision": 0.0}, "mean_precision: expected a number above 0, got 0.0"),
        ({"mean_precision": np.nan}, "mean_precision: expected a number above 0, got nan"),
        ({"mean_precision": np.inf}, "mean_precision: expected a number above 0, got inf"),
        ({"dof": 1.0}, "dof: expected more than D - 1 = 1, got 1.0"),
        ({"dof": np.inf}, "dof: expected more than D - 1 = 1, got inf"),
        ({"dof": np.nan}, "dof: expected more than D - 1 = 1, got nan"),
        ({"mean": [0.0, np.nan]}, "mean: expected finite numbers"),
        ({"mean": EYE}, r"mean: expected at most 1 dimension\(s\), got 2"),
    ],
)
def test_normal_inverse_wishart_refuses(change, match):
    arguments = {"mean": [0.0, 1.0], "mean_precision": 0.1, "dof": 3.5, "covariance_scale": EYE}
    bm.NormalInverseWishart(**arguments)
    with pytest.raises(ValueError, match=match) as caught:
        bm.NormalInverseWishart(**{**arguments, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "other"),
    [
        (lambda: bm.Dirichlet(3, np.array([1, 2, 3])), bm.Dirichlet(3, (1.0, 2.0, 4.0))),
        (lambda: bm.Dirichlet(3, 2), bm.Dirichlet(3)),
        (lambda: random_prior(2), random_prior(2, seed=1)),
    ],
)
def test_priors_are_values(make, other):
    one, two = make(), make()
    assert one is not two
    assert one == two
    assert hash(one) == hash(two)
    assert one != other
    json.dumps(dataclasses.asdict(one))
    for field in dataclasses.fields(one):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(one, field.name, 1)


def test_repr_says_what_is_in_it():
    assert repr(bm.Dirichlet(2)) == "Dirichlet(n_components=2, concentration=1.0)"
    text = repr(bm.NormalInverseWishart([0.0, 1.0], 0.1, 3.5, EYE))
    for part in ("mean=[0., 1.]", "mean_precision=0.1", "dof=3.5", "covariance_scale="):
        assert part in text


def test_concentrations_are_a_copy():
    prior = bm.Dirichlet(3, (1.0, 2.0, 3.0))
    prior.concentrations[0] = 9
    np.testing.assert_array_equal(prior.concentrations, [1, 2, 3])
    np.testing.assert_array_equal(bm.Dirichlet(3, 0.5).concentrations, [0.5, 0.5, 0.5])


def test_exchangeable():
    assert bm.Dirichlet(3, 0.3).exchangeable
    assert bm.Dirichlet(3, (2.0, 2.0, 2.0)).exchangeable
    assert not bm.Dirichlet(3, (2.0, 2.0, 1.0)).exchangeable


def test_one_feature_may_be_given_as_numbers():
    prior = bm.NormalInverseWishart(0.5, 0.1, 2.0, 3.0)
    assert prior == bm.NormalInverseWishart([0.5], 0.1, 2.0, [[3.0]])
    assert prior.n_features == 1


@pytest.mark.parametrize("k", [1, 2, 5])
def test_fraley_raftery_formula(iris, k):
    x = iris.to_numpy()
    prior = bm.fraley_raftery(iris, k)
    assert prior.dof == 6
    assert prior.mean_precision == 0.01
    np.testing.assert_allclose(prior.mean, x.mean(axis=0), rtol=16 * EPS)
    delta = x - x.mean(axis=0)
    scale = delta.T @ delta / 149 / k ** (2 / 4)
    np.testing.assert_allclose(prior.covariance_scale, scale, rtol=1e4 * EPS)


def test_fraley_raftery_moves_with_the_data(faithful):
    x = faithful.to_numpy()
    plain, moved = bm.fraley_raftery(x, 2), bm.fraley_raftery(1e6 * x + 1e8, 2)
    np.testing.assert_allclose(moved.mean, 1e6 * np.asarray(plain.mean) + 1e8, rtol=16 * EPS)
    # the offset is 1e8 / 1e6 = 100 standard deviations: rounding of the rows, eps times that
    np.testing.assert_allclose(
        moved.covariance_scale, 1e12 * np.asarray(plain.covariance_scale), rtol=1e5 * EPS
    )


@pytest.mark.parametrize(
    ("x", "match"),
    [
        (pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": 7.0}), "column 'b' is constant.*drop it"),
        ([[1.0, 2.0]], "expected at least 2 rows .*got 1"),
        ([[1.0, 2.0], [2.0, 3.0]], r"2 row\(s\) and 2 column\(s\) is singular"),
        (np.outer(np.arange(9.0), [1, 2]), "is singular.*drop columns that others determine"),
        (np.empty((0, 2)), "at least one row and one column"),
    ],
)
def test_fraley_raftery_refuses(x, match):
    with pytest.raises(ValueError, match=match) as caught:
        bm.fraley_raftery(x, 2)
    assert "\n" not in str(caught.value)
