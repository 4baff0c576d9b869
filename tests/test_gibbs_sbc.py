"""Simulation-based calibration of the Gibbs engine."""

import numpy as np
import pytest

from tests.calibration import assert_uniform, ranks
from tests.geweke import full_transition
from tests.gibbs_cells import CELLS, Cell, cases
from tests.gibbs_engine import Carried

SOME = [c for c in CELLS if c.weights in ("Dirichlet(K)", "Dirichlet(K, Gamma)")]
FAST = {Cell("Dirichlet(K)", "conjugate", "diag")}


def check(cell, size, n):
    draws, rng = 31, np.random.default_rng(3)
    found = ranks(
        Carried,
        cell.mixture(2),
        n,
        rng,
        transition=full_transition,
        size=size,
        draws=draws,
        burn=40,
        thin=3,
    )
    assert_uniform(found, draws)


SLOW = [c for c in SOME if c in FAST or c.weights == "Dirichlet(K, Gamma)"]
"""The others are among the long ones alone."""
SLOW += [Cell("PY Gamma Beta", "conjugate", "diag")]


@pytest.mark.parametrize("cell", cases(FAST, SLOW))
def test_ranks_are_uniform(cell):
    check(cell, 100 if cell in FAST else 200, 10)


@pytest.mark.long
@pytest.mark.parametrize("cell", SOME, ids="-".join)
def test_ranks_of_more_rows_are_uniform(cell):
    check(cell, 1000, 25)
