"""A bridge over draws: which chains it rests on."""

from __future__ import annotations

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.draws import draws_of
from bayesmix.evidence_bridge import Crossing
from tests.gibbs_cells import few_rows
from tests.support import random_prior

pytestmark = pytest.mark.filterwarnings("ignore:R-hat", "ignore:effective draws")
QUICK = {"random_seed": 1, "progressbar": False}


@pytest.mark.parametrize("concentration", [1.0, 1e-3])
def test_a_chain_where_there_is_no_mass(concentration):
    """One component for two groups; its density is boundless where the other's weight is tiny."""
    x = np.concatenate([few_rows(40, 1) - 8, few_rows(40, 1) + 8])
    mixture = bm.Mixture(bm.Dirichlet(2, concentration), random_prior(1))
    draws = draws_of(bm.sample(mixture, x, draws=40, chains=3, **QUICK))
    draws.weights[:40] = [1.0, 1e-300]
    draws.means[:40], draws.covariances[:40] = 0.0, 64.0
    crossing = Crossing.of(mixture, x, draws, np.random.default_rng(1))
    assert crossing.first[:, 0].tolist() == [40, 80]
    assert "1 of 3 chains stayed at a mode" in crossing.doubts[0]


@pytest.mark.parametrize("concentration", [1.0, 1e-3])
def test_chains_at_modes_that_both_have_mass(concentration):
    """Whether the last component has rows or not, with a weight of nothing."""
    x, mixture = few_rows(6, 1), bm.Mixture(bm.Dirichlet(3, concentration), random_prior(1))
    draws = draws_of(bm.sample(mixture, x, draws=40, chains=3, **QUICK))
    draws.weights[:40] = [0.5, 0.5, 1e-300]
    crossing = Crossing.of(mixture, x, draws, np.random.default_rng(1))
    assert len(crossing.first) == 3
    assert not crossing.doubts
