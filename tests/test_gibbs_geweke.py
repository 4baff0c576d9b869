"""Geweke's joint distribution test of the Gibbs engine, cell by cell."""

import numpy as np
import pytest

from tests.geweke import assert_keeps_joint, assert_same_joint, full_transition, split_or_merge
from tests.gibbs_cells import GRID, Cell, cases
from tests.gibbs_engine import Carried

INDEPENDENT = [cell for cell in GRID if cell.kind in ("stated", "random")]

FAST = {
    Cell("Dirichlet(K, Gamma)", "conjugate", "diag"),
    Cell("Dirichlet(K, below 1)", "random", "full"),
    Cell("Dirichlet(K, vector)", "stated", "spherical"),
    Cell("Dirichlet(K)", "random", "tied"),
}


@pytest.mark.parametrize("cell", cases(FAST, GRID))
def test_transitions_keep_the_joint_distribution(cell):
    rng = np.random.default_rng(1)
    assert_same_joint(Carried, cell.mixture(2), 6, rng, transition=full_transition)


@pytest.mark.parametrize("cell", cases({INDEPENDENT[0]}, INDEPENDENT))
def test_splits_and_merges_keep_the_joint_distribution(cell):
    """Where enumeration does not reach: means apart from covariances in two dimensions."""
    rng = np.random.default_rng(2)
    assert_keeps_joint(Carried, cell.mixture(2), 5, rng, split_or_merge, size=4000)
