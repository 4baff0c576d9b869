"""Simulation-based calibration of NUTS, on one feature."""

import numpy as np
import pytest

import bayesmix as bm
from tests.calibration import assert_uniform, quantities, rank_of_first
from tests.fixtures_post import sample_quietly
from tests.prior_draws import Points, draw
from tests.support import random_independent_prior, random_prior

DRAWS, THIN, ROWS = 31, 10, 10
MIXTURES = {
    "finite": bm.Mixture(bm.Dirichlet(2), random_prior(1)),
    "random scale": bm.Mixture(bm.Dirichlet(2), random_independent_prior(1, random_scale=True)),
    "Dirichlet process": bm.Mixture(
        bm.DirichletProcess(bm.Gamma(2.0, 2.0), truncation=4), random_prior(1)
    ),
}


def sampled(mixture, x, seed):
    """Draws of one chain, far enough apart."""
    tree = sample_quietly(
        mixture, x, sampler="nuts", draws=DRAWS, thin=THIN, tune=300, chains=1, random_seed=seed
    )
    values = {str(name): v.values[0] for name, v in tree["posterior"].data_vars.items()}
    return Points(
        *(values.get(name) for name in ("weights", "means", "covariances", "covariance_scale")),
        concentration=values.get("concentration"),
        labels=tree["allocation"]["label"].values[0].astype(int),
        x=np.repeat(x[None], DRAWS, axis=0),
    )


def ranks(mixture, size, rng, prior_of_truth=None):
    """Rank (size, quantity) of the truth among the draws; ties at random."""
    found = []
    for seed in range(size):
        truth = draw(prior_of_truth or mixture, ROWS, 1, rng)
        points = Points.stack([truth, sampled(mixture, truth.x[0], seed)])
        found.append(rank_of_first(quantities(points, mixture), rng))
    return np.array(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["finite", "Dirichlet process"])
def test_ranks_are_uniform(name):
    assert_uniform(ranks(MIXTURES[name], 60, np.random.default_rng(3)), DRAWS)


@pytest.mark.slow
def test_another_prior_is_caught():
    truth = bm.Mixture(bm.Dirichlet(2, 8.0), random_prior(1))
    found = ranks(MIXTURES["finite"], 60, np.random.default_rng(3), prior_of_truth=truth)
    with pytest.raises(AssertionError, match="leave their bands"):
        assert_uniform(found, DRAWS)


@pytest.mark.long
@pytest.mark.parametrize("name", MIXTURES)
def test_ranks_of_more_tables_are_uniform(name):
    assert_uniform(ranks(MIXTURES[name], 1000, np.random.default_rng(4)), DRAWS)
