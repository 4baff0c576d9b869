"""Geweke's joint distribution test of the Gibbs engine, cell by cell."""

import numpy as np
import pytest

import bayesmix as bm
from tests.geweke import assert_keeps_joint, assert_same_joint, full_transition, split_or_merge
from tests.gibbs_cells import GRID, Cell, cases
from tests.gibbs_engine import Carried
from tests.support import random_independent_prior

INDEPENDENT = [cell for cell in GRID if cell.kind in ("stated", "random")]

FAST = {
    Cell("Dirichlet(K, Gamma)", "conjugate", "diag"),
    Cell("Dirichlet(K, below 1)", "random", "full"),
}


@pytest.mark.parametrize("cell", cases(FAST, GRID))
def test_transitions_keep_the_joint_distribution(cell):
    rng = np.random.default_rng(1)
    assert_same_joint(Carried, cell.mixture(3), 6, rng, transition=full_transition)


@pytest.mark.parametrize("cell", cases({INDEPENDENT[0]}, INDEPENDENT))
def test_splits_and_merges_keep_the_joint_distribution(cell):
    """Where enumeration does not reach: means apart from covariances in three dimensions."""
    rng = np.random.default_rng(2)
    assert_keeps_joint(Carried, cell.mixture(3), 5, rng, split_or_merge, size=4000)


@pytest.mark.parametrize("concentration", [0.8, bm.Gamma(2.0, 2.0)])
def test_one_component_keeps_the_joint_distribution(concentration):
    prior = random_independent_prior(2, random_scale=True)
    mixture = bm.Mixture(bm.Dirichlet(1, concentration), prior)
    rng = np.random.default_rng(4)
    assert_same_joint(Carried, mixture, 4, rng, transition=full_transition, chains=60)
