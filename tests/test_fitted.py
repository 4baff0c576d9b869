"""Criteria and outliers of known parameters."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

import bayesmix as bm

ROWS = np.array([[-1.0], [0.5], [1.4], [3.0]])


@pytest.fixture
def two() -> bm.GaussianMixture:
    """Two normals of sd 1 and 0.5 at 0 and 2."""
    return bm.GaussianMixture.from_parameters(
        [0.6, 0.4], [[0.0], [2.0]], [1.0, 0.25], covariance_type="spherical"
    )


def test_icl_by_hand(two):
    """Five parameters, and responsibilities from Bayes' rule."""
    joint = np.array([0.6, 0.4]) * norm.pdf(ROWS, [0.0, 2.0], [1.0, 0.5])
    density = joint.sum(axis=1)
    bic = -2 * np.log(density).sum() + 5 * np.log(4)
    resp = joint / density[:, None]
    assert two.bic(ROWS) == pytest.approx(bic, rel=1e-13)
    assert two.icl(ROWS) == pytest.approx(bic - 2 * np.log(resp.max(axis=1)).sum(), rel=1e-13)


def test_icl_is_bic_where_no_row_is_in_doubt(two):
    far = bm.GaussianMixture.from_parameters(
        [0.5, 0.5], [[0.0], [1e4]], [1.0, 1.0], covariance_type="spherical"
    )
    assert far.icl([[0.0], [1e4]]) == far.bic([[0.0], [1e4]])
    assert two.icl([[1.2]]) > two.bic([[1.2]])


def test_icl_counts_clusters_where_bic_counts_components(rng):
    """One heavy-tailed cluster: BIC takes two overlapping normals, ICL does not."""
    scale = np.repeat([1.0, 4.0], 300)
    x = (scale * rng.normal(size=600))[:, None]
    fits = [bm.GaussianMixture(k, n_init=5, random_state=1).fit(x) for k in (1, 2)]
    assert fits[1].bic(x) < fits[0].bic(x)
    assert fits[1].icl(x) > fits[0].icl(x)


def test_outliers_are_the_share_asked_for(faithful):
    fitted = bm.GaussianMixture(2, random_state=1).fit(faithful)
    mask = fitted.outliers(faithful)
    assert mask.shape == (272,)
    assert mask.dtype == bool
    assert mask.sum() == 14  # the 14 lowest of 272 lie below the quantile 5 %
    density = fitted.score_samples(faithful)
    assert density[mask].max() < density[~mask].min()
    threshold = np.percentile(density, 2)
    np.testing.assert_array_equal(fitted.outliers(faithful, 0.02), density < threshold)


def test_outliers_against_a_reference(two):
    reference = two.sample(1000)[0]
    rows = [[0.0], [2.0], [9.0], [-8.0]]
    assert two.outliers(rows, reference=reference).tolist() == [False, False, True, True]
    assert two.outliers(rows, 0, reference).tolist() == [False, False, True, True]
    assert two.outliers(rows).tolist() == [False, False, True, False]


def test_the_ends_of_the_range(two):
    assert not two.outliers(ROWS, 0).any()
    assert two.outliers(ROWS, 1).sum() == len(ROWS) - 1


@pytest.mark.parametrize("quantile", [-0.1, 1.1, 5, np.nan, None, "5%"])
def test_bounds_of_the_quantile(two, quantile):
    with pytest.raises(ValueError, match=r"^quantile: expected a number ") as caught:
        two.outliers(ROWS, quantile)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("far", [1e155, 1e200, 1e308])
def test_rows_whose_density_overflows_are_outliers(two, far):
    rows = np.r_[two.sample(95)[0], np.full((5, 1), far)]
    assert not np.isfinite(two.score_samples(rows)[95:]).any()
    expected = np.arange(100) >= 95
    for quantile in (0, 0.02, 0.05):
        np.testing.assert_array_equal(two.outliers(rows, quantile), expected)
    assert two.outliers(rows, 0.1).sum() == 10
    assert two.outliers(rows, 0.1)[95:].all()
    assert two.outliers(rows, 0.05, reference=rows[:95])[95:].all()
