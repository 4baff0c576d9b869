"""Priors are values: checked, frozen, hashable, printable."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import bayesmix as bm
from tests.support import random_independent_prior, random_prior

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
        ((0, bm.Gamma(1, 1)), "n_components: expected a whole number of at least 1, got 0"),
    ],
)
def test_dirichlet_refuses(arguments, match):
    with pytest.raises(ValueError, match=match) as caught:
        bm.Dirichlet(*arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [0, -1.5, np.nan, np.inf, "one", None, (1, 2)])
@pytest.mark.parametrize("name", ["shape", "rate"])
def test_gamma_refuses(name, value):
    with pytest.raises(
        ValueError, match=f"^{name}: expected a finite number above 0, got"
    ) as caught:
        bm.Gamma(**{"shape": 1, "rate": 1, name: value})
    assert str(caught.value).endswith(repr(value))


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
    ("change", "match"),
    [
        ({"covariance_scale": None}, "expected exactly one of them, got neither; give cov"),
        ({"scale_hyperprior": (1, 1)}, "expected exactly one of them, got both; give cov"),
        ({"covariance_scale": np.eye(3)}, r"covariance_scale: expected shape \(2, 2\).*\(3, 3\)"),
        ({"covariance_scale": -np.eye(2)}, "covariance_scale: expected a positive definite"),
        ({"mean_covariance": np.eye(3)}, r"mean_covariance: expected shape \(2, 2\).*\(3, 3\)"),
        ({"mean_covariance": [[1, 2], [2, 1]]}, "mean_covariance: expected a positive definite"),
        ({"mean_covariance": [[1, 1], [1, 1]]}, "mean_covariance: expected a positive definite"),
        ({"mean_covariance": [[1, 0.5], [0.4, 1]]}, "mean_covariance: expected a symmetric"),
        ({"mean_covariance": np.full((2, 2), np.nan)}, "mean_covariance: expected"),
        ({"dof": 1.0}, "dof: expected more than D - 1 = 1, got 1.0"),
        ({"mean": [0.0, np.nan]}, "mean: expected finite numbers"),
    ],
)
def test_independent_normal_inverse_wishart_refuses(change, match):
    arguments = {"mean": [0, 1], "mean_covariance": EYE, "dof": 3.5, "covariance_scale": EYE}
    bm.IndependentNormalInverseWishart(**arguments)
    with pytest.raises(ValueError, match=match) as caught:
        bm.IndependentNormalInverseWishart(**{**arguments, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("hyperprior", "match"),
    [
        (1.0, r"expected numbers \(shape, rate, floor\), got 1.0"),
        ((1.0,), r"expected numbers \(shape, rate, floor\), got \(1.0,\)"),
        ((1, 1, 0, 0), r"expected numbers \(shape, rate, floor\)"),
        ("flat", r"expected numbers \(shape, rate, floor\), got 'flat'"),
        (("a", 1), r"expected numbers \(shape, rate, floor\)"),
        ((1, (1, 2, 3)), r"expected one rate or 2 of them to go with 2 .*got shape \(3,\)"),
        ((1, 1, EYE), r"expected one floor or 2 of them .*got shape \(2, 2\)"),
        ((0, 1), r"shape and rate above 0 and a floor of at least 0, all finite, got \(0, 1\)"),
        ((np.inf, 1), "shape and rate above 0"),
        ((1, (1, 0)), "shape and rate above 0"),
        ((1, (1, np.nan)), "shape and rate above 0"),
        ((1, 1, -0.1), "a floor of at least 0"),
        ((1, 1, np.inf), "a floor of at least 0"),
        ((1, 1, (0, 900)), "a floor that the gamma distribution exceeds.*; lower the floor"),
    ],
)
def test_scale_hyperprior_refuses(hyperprior, match):
    with pytest.raises(ValueError, match=f"^scale_hyperprior: .*{match}") as caught:
        bm.IndependentNormalInverseWishart([0, 1], EYE, 3.5, scale_hyperprior=hyperprior)
    assert "\n" not in str(caught.value)


def test_scale_hyperprior_is_a_tuple_with_names():
    """One number stands for every feature; mean and floor, per feature and pooled."""

    def made(*hyperprior):
        prior = bm.IndependentNormalInverseWishart([0, 1], EYE, 3.5, scale_hyperprior=hyperprior)
        return prior.scale_hyperprior

    assert made(0.5, 2) == (0.5, (2.0, 2.0), (0.0, 0.0))
    assert made(0.5, (2, 4), 0.3) == made(0.5, np.array([2, 4]), [0.3, 0.3])
    found = made(3, (1, 4), (0.25, 2))
    np.testing.assert_array_equal(found.held, [3, 2])
    # means 3 and 3/4 of the two s; their mean is 3 over the harmonic mean 8/5 of the rates
    assert found.pooled == (3.0, (1.6,), (1.125,))
    np.testing.assert_allclose(found.pooled.held, [(3 + 0.75) / 2], rtol=1e-15)


@pytest.mark.parametrize("seed", range(20))
def test_definiteness_does_not_depend_on_the_units(seed):
    """Eigenvalues of the matrix itself would be rounding where units are 1e18 apart."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(4, 4))
    matrix = root @ root.T + 0.01 * np.eye(4)
    sd = 10 ** rng.uniform(-9, 9, size=4)
    matrix = matrix * np.outer(sd, sd)
    bm.NormalInverseWishart(np.zeros(4), 1, 6, matrix)
    bm.IndependentNormalInverseWishart(np.zeros(4), matrix, 6, matrix)
    matrix[0, 1] = matrix[1, 0] = 1.01 * np.sqrt(matrix[0, 0] * matrix[1, 1])
    with pytest.raises(ValueError, match="covariance_scale: expected a positive definite matrix"):
        bm.NormalInverseWishart(np.zeros(4), 1, 6, matrix)


@pytest.mark.parametrize(
    ("make", "other"),
    [
        (lambda: bm.Dirichlet(3, np.array([1, 2, 3])), bm.Dirichlet(3, (1.0, 2.0, 4.0))),
        (lambda: bm.Dirichlet(3, 2), bm.Dirichlet(3)),
        (lambda: bm.Gamma(2, np.float64(4)), bm.Gamma(4, 2)),
        (lambda: bm.Dirichlet(3, bm.Gamma(2, 4)), bm.Dirichlet(3, bm.Gamma(2, 5))),
        (lambda: bm.Dirichlet(3, bm.Gamma(2, 4)), bm.Dirichlet(3, 0.5)),
        (lambda: random_prior(2), random_prior(2, seed=1)),
        (lambda: random_independent_prior(2), random_independent_prior(2, seed=1)),
        (
            lambda: random_independent_prior(2, random_scale=True),
            random_independent_prior(2, seed=1, random_scale=True),
        ),
        (lambda: random_independent_prior(2), random_independent_prior(2, random_scale=True)),
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
    text = repr(bm.Dirichlet(2, bm.Gamma(1, 20)))
    assert text == "Dirichlet(n_components=2, concentration=Gamma(shape=1.0, rate=20.0))"
    text = repr(bm.NormalInverseWishart([0.0, 1.0], 0.1, 3.5, EYE))
    for part in ("mean=[0., 1.]", "mean_precision=0.1", "dof=3.5", "covariance_scale="):
        assert part in text
    text = repr(bm.IndependentNormalInverseWishart([0.0, 1.0], EYE, 3.5, EYE))
    for part in ("mean=[0., 1.]", "mean_covariance=[[1., 0.]", "dof=3.5", "covariance_scale=[[1"):
        assert part in text
    assert "scale_hyperprior" not in text
    text = repr(bm.IndependentNormalInverseWishart(0, 1, 3, scale_hyperprior=(0.5, 2, 0.25)))
    assert text.endswith("dof=3, scale_hyperprior=(0.5, [2.], [0.25]))")


def test_concentrations_are_a_copy():
    prior = bm.Dirichlet(3, (1.0, 2.0, 3.0))
    prior.concentrations[0] = 9
    np.testing.assert_array_equal(prior.concentrations, [1, 2, 3])
    np.testing.assert_array_equal(bm.Dirichlet(3, 0.5).concentrations, [0.5, 0.5, 0.5])


def test_random_concentration():
    gamma = bm.Gamma(3, 12)
    assert gamma.mean == 0.25
    prior = bm.Dirichlet(4, gamma)
    assert prior.random_concentration is gamma
    np.testing.assert_array_equal(prior.concentrations, [0.25] * 4)
    assert bm.Dirichlet(4, 0.25).random_concentration is None


def test_exchangeable():
    assert bm.Dirichlet(3, 0.3).exchangeable
    assert bm.Dirichlet(3, bm.Gamma(2, 4)).exchangeable
    assert bm.Dirichlet(3, (2.0, 2.0, 2.0)).exchangeable
    assert not bm.Dirichlet(3, (2.0, 2.0, 1.0)).exchangeable


def test_one_feature_may_be_given_as_numbers():
    prior = bm.NormalInverseWishart(0.5, 0.1, 2.0, 3.0)
    assert prior == bm.NormalInverseWishart([0.5], 0.1, 2.0, [[3.0]])
    assert prior.n_features == 1
    independent = bm.IndependentNormalInverseWishart(0.5, 4.0, 2.0, 3.0)
    assert independent == bm.IndependentNormalInverseWishart([0.5], [[4.0]], 2.0, [[3.0]])
    assert independent.n_features == 1
