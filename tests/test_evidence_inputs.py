"""Draws, rows and results that do not belong together are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

import bayesmix as bm
from bayesmix.fewer_components import one_fewer
from tests.gibbs_cells import few_rows
from tests.support import random_independent_prior, random_prior

pytestmark = pytest.mark.filterwarnings("ignore:R-hat", "ignore:effective draws")
QUICK = {"random_seed": 1, "progressbar": False}
X = few_rows(8, 2)
MIXTURE = bm.Mixture(bm.Dirichlet(2), random_prior(2))


@pytest.fixture(scope="module")
def post():
    return bm.sample(MIXTURE, X, draws=20, sampler="gibbs", **QUICK)


@pytest.fixture(scope="module")
def bare(post):
    """As a tree of another program, which does not tell its model."""
    tree = post.copy()
    del tree.attrs["bayesmix_model"]
    return tree


@pytest.mark.parametrize(
    "other",
    [
        replace(MIXTURE, covariance_type="diag"),
        replace(MIXTURE, weights=bm.Dirichlet(2, 0.9)),
        replace(MIXTURE, components=random_prior(2, seed=5)),
    ],
)
def test_another_mixture(post, other):
    with pytest.raises(ValueError, match="post: expected draws of mixture"):
        bm.evidence(other, post=post)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (replace(MIXTURE, weights=bm.Dirichlet(3)), "post: expected 3 components"),
        (bm.Mixture(bm.Dirichlet(2), random_prior(3)), "features"),
        (replace(MIXTURE, covariance_type="diag"), "post: expected diag covariances"),
        (replace(MIXTURE, covariance_type="tied"), "post: expected tied covariances"),
        (replace(MIXTURE, weights=bm.Dirichlet(2, bm.Gamma(1, 2))), "variable concentration"),
        (replace(MIXTURE, weights=bm.PitmanYor(1.0, bm.Beta(1, 2), 2)), "variable discount"),
        (
            replace(MIXTURE, components=random_independent_prior(2, random_scale=True)),
            "variable covariance_scale",
        ),
    ],
)
def test_another_mixture_of_a_tree_without_a_model(bare, other, message):
    with pytest.raises(ValueError, match=message):
        bm.evidence(other, post=bare)


def test_other_rows(post):
    assert bm.evidence(MIXTURE, X, post=post, random_seed=1).n_rows == 8
    for other in (X[:7], X[::-1]):
        with pytest.raises(ValueError, match="x: expected the rows of post, 8 by 2"):
            bm.evidence(MIXTURE, other, post=post)


def test_too_few_draws(post):
    with pytest.raises(ValueError, match="at least 8 draws per chain, which are split, got 7"):
        bm.evidence(MIXTURE, post=post.isel(draw=slice(7)))
    least = bm.evidence(MIXTURE, post=post.isel(draw=slice(8)), random_seed=1)
    assert least.se > 0
    assert len(least.log_ratio_proposal) == 500


def test_another_step(post):
    given = {"post": post, "random_seed": 1}
    one = bm.evidence(one_fewer(MIXTURE), X, draws=20, **QUICK)
    assert bm.evidence(MIXTURE, fewer=one, **given).mixture == MIXTURE
    shifted = bm.evidence(one_fewer(MIXTURE), X + 1, draws=20, **QUICK)
    with pytest.raises(ValueError, match="evidence of the same rows"):
        bm.evidence(MIXTURE, fewer=shifted, **given)
    with pytest.raises(ValueError, match="the same model with one component fewer"):
        bm.evidence(MIXTURE, fewer=replace(one, mixture=MIXTURE), **given)
    with pytest.raises(ValueError, match="there is no step"):
        bm.evidence(one.mixture, X, fewer=one)
    with pytest.raises(ValueError, match="stepping stones take no step"):
        bm.evidence(MIXTURE, X, fewer=one, method="stepping_stone")
