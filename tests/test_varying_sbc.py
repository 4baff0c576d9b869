"""Simulation-based calibration of the engine for a varying number of components."""

import numpy as np
import pytest

from tests.calibration import assert_uniform, rank_of_first
from tests.geweke import full_transition
from tests.gibbs_cells import cases
from tests.varying_cells import Cell, Named
from tests.varying_joint import features, independent, joint_of, stack

CELLS = [
    Cell("DP Gamma", "random", "full"),
    Cell("PY Gamma Beta", "conjugate", "diag"),
    Cell("PY 0.5", "stated", "full"),
    Cell("MFM Gamma", "random", "full"),
    Cell("MFM dynamic Gamma", "conjugate", "spherical"),
    Cell("MFM few", "random", "tied"),
]
FAST = {CELLS[1]}
DRAWS = 31


def check(cell, size, n):
    mixture, rng = cell.mixture(2), np.random.default_rng(7)
    found = [rank(mixture, n, rng, burn=60, thin=3) for _ in range(size)]
    assert_uniform(np.array(found), DRAWS)


def rank(mixture, n, rng, *, burn, thin):
    """Rank of the truth's features among those of draws, (F,)."""
    truth = independent(mixture, n, 1, rng)
    start = rng.integers(0, 2, n)  # nothing known of the truth
    chain = Named.at(mixture, truth.x[0], np.unique(start, return_inverse=True)[1], rng)
    for _ in range(burn):
        full_transition(chain)
    points = [truth]
    for _ in range(DRAWS):
        for _ in range(thin):
            full_transition(chain)
        points.append(joint_of(chain, truth))
    return rank_of_first(features(stack(points), mixture), rng)


@pytest.mark.parametrize("cell", cases(FAST, CELLS))
def test_ranks_are_uniform(cell):
    check(cell, 60 if cell in FAST else 200, 10)


@pytest.mark.long
@pytest.mark.parametrize("cell", CELLS, ids="-".join)
def test_ranks_of_more_rows_are_uniform(cell):
    check(cell, 1000, 25)
