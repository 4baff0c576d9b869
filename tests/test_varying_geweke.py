"""Geweke's joint distribution test where the number of components varies.

Draws from the model, partition first, against chains that draw rows given all else and then take a
transition of the sampler at these rows (`tests.geweke`).
"""

import dataclasses

import numpy as np
import pytest

from tests.exact_checks import assert_z
from tests.geweke import Squash, full_transition
from tests.gibbs_cells import cases
from tests.prior_draws import draw_rows
from tests.varying_cells import Cell
from tests.varying_joint import Joint, chain_at, features, independent, joint_of, stack

CELLS = [
    Cell("DP Gamma", "random", "full"),
    Cell("PY Gamma Beta", "random", "full"),
    Cell("MFM dynamic Gamma", "random", "full"),
    Cell("MFM few", "conjugate", "full"),
    Cell("DP Gamma", "random", "tied"),
    Cell("PY Beta", "stated", "spherical"),
    Cell("MFM Gamma", "random", "diag"),
    Cell("PY 0.5", "conjugate", "tied"),
]
FAST = {CELLS[1], CELLS[2]}
N = 6


@pytest.mark.parametrize("cell", cases(FAST, CELLS))
def test_transitions_keep_the_joint_distribution(cell):
    mixture, rng, chains, draws = cell.mixture(2), np.random.default_rng(1), 120, 15
    reference = independent(mixture, N, 20_000, rng)
    values = features(reference, mixture)
    squash = Squash(values)
    exact = squash(values)
    found = successive(mixture, rng, chains, draws)
    means = squash(features(found, mixture)).reshape(chains, draws, -1).mean(axis=1)
    varies = (means != np.median(means, axis=0)).sum(axis=0) > 30
    own, their = exact[:, varies], means[:, varies]
    error = np.hypot(own.std(axis=0) / np.sqrt(len(own)), their.std(axis=0) / np.sqrt(chains))
    assert_z((their.mean(axis=0) - own.mean(axis=0)) / error)


def successive(mixture, rng, chains, draws):
    """Chains that draw rows, then take a transition."""
    found, starts = [], independent(mixture, N, chains, rng)
    for c in range(chains):
        at = Joint(*(value[c : c + 1] for value in vars(starts).values()))
        for _ in range(draws):
            at = dataclasses.replace(at, x=draw_rows(at.means, at.covariances, at.labels, rng))
            chain = chain_at(mixture, at, rng)
            full_transition(chain)
            at = joint_of(chain, at)
            found.append(at)
    return stack(found)
