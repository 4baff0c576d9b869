"""Priors derived from the data, by hand and under changes of units."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from tests.support import EPS


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


def test_richardson_green_by_hand():
    """Range 8 around 6; IG(2, β) with β = S/2 ~ Gamma(0.2, 10/R²)."""
    prior = bm.richardson_green([2.0, 3.0, 3.0, 10.0])
    assert prior == bm.IndependentNormalInverseWishart(
        6.0, 64.0, 4.0, scale_hyperprior=(0.2, 5 / 64, 0.0)
    )
    assert prior.scale_hyperprior.held == pytest.approx(2 * 0.2 * 64 / 10)
    assert bm.richardson_green(pd.DataFrame({"a": [2.0, 3.0, 10.0]})) == prior


def test_weakly_informative_by_hand():
    x = pd.DataFrame(
        {
            "a": [0.0, 1.0, 1.0, 4.0, 8.0, 10.0],  # range 10, median 2.5, gaps 1, 3, 4, 2
            "b": [5.0, 5.0, 5.0, 5.5, 5.0, 5.25],  # range 0.5, median 5, gaps 0.25, 0.25
        }
    )
    prior = bm.weakly_informative(x)
    assert prior == bm.IndependentNormalInverseWishart(
        [2.5, 5.0],
        np.diag([100.0, 0.25]),
        6.0,
        scale_hyperprior=(0.5, (0.1, 40.0), (6.25, 0.0625)),
    )
    # R²/20 in each, the second lifted to its floor
    np.testing.assert_allclose(prior.scale_hyperprior.held, [6.25, 0.0625], rtol=4 * EPS)


def test_weakly_informative_expects_a_sixtieth_of_the_squared_range(iris):
    prior = bm.weakly_informative(iris)
    square = np.ptp(iris.to_numpy(), axis=0) ** 2
    held = prior.scale_hyperprior.held
    np.testing.assert_allclose(held, square / 20, rtol=16 * EPS)
    np.testing.assert_allclose(held / (prior.dof - 4 - 1), square / 60, rtol=16 * EPS)


def test_data_derived_priors_move_with_the_data():
    """Powers of two and whole numbers keep every value exact, so the priors are equal."""
    x = np.random.default_rng(0).integers(0, 64, size=(30, 2)) / 8
    scale, shift = np.array([2.0**-20, 2.0**12]), np.array([4.0, -64.0])
    plain, moved = bm.weakly_informative(x), bm.weakly_informative((x + shift) * scale)
    shape, rate, floor = plain.scale_hyperprior
    assert moved == bm.IndependentNormalInverseWishart(
        (plain.mean + shift) * scale,
        plain.mean_covariance * np.outer(scale, scale),
        plain.dof,
        scale_hyperprior=(shape, rate / scale**2, floor * scale**2),
    )
    column, a, b = x[:, 0], scale[0], shift[0]
    plain, moved = bm.richardson_green(column), bm.richardson_green((column + b) * a)
    shape, rate, _ = plain.scale_hyperprior
    assert moved == bm.IndependentNormalInverseWishart(
        (plain.mean[0] + b) * a,
        plain.mean_covariance[0][0] * a**2,
        4.0,
        scale_hyperprior=(shape, rate[0] / a**2),
    )


@pytest.mark.parametrize("make", [bm.weakly_informative, bm.richardson_green])
@pytest.mark.parametrize(
    ("x", "match"),
    [
        (pd.DataFrame({"a": [7.0, 7.0]}), "column 'a' is constant.*from the range.*proper prior"),
        ([1.0], "expected at least 2 rows .*got 1"),
        ([1.0, np.nan], "NaN"),
        (np.empty((0, 1)), "at least one row and one column"),
    ],
)
def test_data_derived_priors_refuse(make, x, match):
    with pytest.raises(ValueError, match=match) as caught:
        make(x)
    assert "\n" not in str(caught.value)


def test_richardson_green_takes_one_feature(iris):
    with pytest.raises(ValueError, match=r"x: expected one feature, got 4; use weakly_inf"):
        bm.richardson_green(iris)


MAKERS = [lambda x: bm.fraley_raftery(x, 2), bm.weakly_informative, bm.richardson_green]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("values", [[0, 1e200, 2e200], [0, 1e-200, 2e-200], [-1.7e308, 1.7e308]])
def test_extreme_scales_are_named(make, values):
    with pytest.raises(ValueError, match=r"^x: the squared range of column 'x0' .* rescale it"):
        make(values)


@pytest.mark.parametrize("make", MAKERS)
def test_chunks_are_not_taken(make, faithful):
    for chunks in ([faithful], lambda: [faithful], [faithful.to_numpy()] * 2):
        with pytest.raises(ValueError, match=r"^x: chunks are not taken here; give a sample of"):
            make(chunks)
