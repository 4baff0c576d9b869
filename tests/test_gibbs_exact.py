"""The Gibbs engine against enumeration: what `sample` records, and each move by itself."""

import dataclasses

import numpy as np
import pytest

import bayesmix as bm
from tests.exact_checks import assert_matches, assert_z, label_residual, label_residuals
from tests.exact_kernel import (
    assert_invariant,
    assert_reversible,
    assert_unchanged,
    exact_states,
    label_events,
    move_states,
    state_events,
    transition_matrix,
)
from tests.exact_partitions import exact_labelings, exact_posterior
from tests.exact_sticks import is_sticks
from tests.geweke import split_or_merge, sweep
from tests.gibbs_cells import CELLS, GRID, STICK_CELLS, Cell, cases, few_rows
from tests.gibbs_engine import Carried, recorded
from tests.support import random_prior

CONJUGATE = [cell for cell in GRID if cell.kind == "conjugate"]
ON_A_LINE = [cell for cell in GRID if cell.kind != "conjugate"]


def enumerable(cell, n):
    """A mixture that can be enumerated, and rows."""
    mixture = cell.mixture(3 if cell.kind == "conjugate" else 1)
    return mixture, few_rows(n, mixture.components.n_features)


FAST = {
    Cell("Dirichlet(K, Gamma)", "conjugate", "full"),
    Cell("Dirichlet(K, vector)", "random", "tied"),
    Cell("Dirichlet(K, below 1)", "conjugate", "spherical"),
    Cell("Dirichlet(K)", "published", "full"),
    Cell("PY Gamma", "conjugate", "spherical"),
}


@pytest.mark.parametrize("cell", cases(FAST, CELLS + STICK_CELLS))
def test_sample_matches_enumeration(cell):
    """An alarm is checked by ten times the draws: short runs know too little of rare events."""
    mixture, x = enumerable(cell, 7)
    try:
        assert_recorded_matches(sampled(mixture, x), mixture, x)
    except AssertionError:
        assert_recorded_matches(sampled(mixture, x, draws=20_000), mixture, x)


def sampled(mixture, x, draws=2000):
    options = {"thin": 3, "random_seed": 5, "progressbar": False}
    return recorded(bm.sample(mixture, x, sampler="gibbs", draws=draws, **options))


def assert_recorded_matches(found, mixture, x):
    assert_matches(
        exact_posterior(x, mixture),
        found.labels,
        concentration=found.concentration,
        discount=found.discount,
        covariance_scale=found.line_scale,
    )
    points = found.weights, found.means, found.covariances
    assert_z(np.array([label_residual(x, *points, found.labels)]))


def test_a_wrong_dof_and_late_labels_are_caught():
    mixture, x = enumerable(Cell("Dirichlet(K, Gamma)", "conjugate", "full"), 7)
    wrong = dataclasses.replace(mixture, components=random_prior(3, dof=5.7))
    with pytest.raises(AssertionError, match="total variation"):
        assert_recorded_matches(sampled(wrong, x), mixture, x)
    found = sampled(mixture, x)
    found.labels = np.roll(found.labels, -1, axis=1)
    with pytest.raises(AssertionError, match="z ="):
        assert_recorded_matches(found, mixture, x)


def check_kernel(cell, move, chain_class=Carried):
    """Given what is random of the weights' prior: a split or a merge does not change it."""
    mixture, x = enumerable(cell, 4)
    weights, at = mixture.weights, {}
    if weights.random_concentration is not None:
        at["concentration"] = 0.7
    if weights.random_discount is not None:
        at["discount"] = 0.3
    fixed = dataclasses.replace(mixture, weights=dataclasses.replace(weights, **at))
    states, p = exact_labelings(x, fixed)
    runs, rng = 100, np.random.default_rng(6)
    found = transition_matrix(
        move, lambda labels: chain_class.at(mixture, x, labels, rng, **at), states, runs
    )
    events = label_events(states)
    if not weights.exchangeable:
        of_rows = (states[..., None] == np.arange(3)).reshape(len(states), -1)
        events = np.concatenate([events, of_rows], axis=1)
    assert_invariant(p, found, runs, events)
    if move is split_or_merge or not is_sticks(weights):  # swaps, then labels: not reversible
        assert_reversible(p, found, runs, states)


FAST_MOVES = {
    Cell("Dirichlet(K, Gamma)", "conjugate", "spherical"),
    Cell("PY Gamma Beta", "conjugate", "diag"),
}


@pytest.mark.parametrize("cell", cases(FAST_MOVES, CONJUGATE))
def test_splits_and_merges_leave_labelings_invariant(cell):
    check_kernel(cell, split_or_merge)


class HalvedSplits(Carried):
    """Every second split is taken back: a ratio off by log 2."""

    def split_merge(self):
        before = self.labels
        accepted = super().split_merge()
        if len(set(self.labels)) > len(set(before)) and self.generator.random() < 0.5:
            self.state.labels[:] = before
        return accepted


@pytest.mark.slow
def test_a_wrong_split_ratio_is_caught():
    with pytest.raises(AssertionError, match="z ="):
        check_kernel(CONJUGATE[0], split_or_merge, HalvedSplits)


STATED = [cell for cell in CONJUGATE if "Gamma" not in cell.weights]


@pytest.mark.parametrize("cell", cases({STATED[0], Cell("PY", "conjugate", "tied")}, STATED))
def test_sweeps_leave_labelings_invariant(cell):
    """From labels to parameters to labels: reversible like the moves, but for swaps of sticks."""
    check_kernel(cell, sweep)


FAST_STATES = {
    Cell("Dirichlet(K, vector)", "stated", "full"),
    Cell("Dirichlet(K, Gamma)", "random", "tied"),
    Cell("PY Beta", "stated", "diag"),
}


@pytest.mark.parametrize("move", [split_or_merge, sweep])
@pytest.mark.parametrize("cell", cases(FAST_STATES, ON_A_LINE))
def test_moves_leave_exact_states_exact(cell, move):
    mixture, x = enumerable(cell, 5)
    rng = np.random.default_rng(7)
    states = exact_states(x, mixture, 4000, rng)
    moved = move_states(Carried, mixture, x, states, move, rng)
    assert_unchanged(state_events(states), state_events(moved))


@pytest.mark.filterwarnings("ignore:R-hat is:sklearn.exceptions.ConvergenceWarning")  # short runs
def test_labels_of_many_rows_are_independent_draws(structure):
    """Over rows, sweeps and chains: no random number serves twice."""
    mixture = Cell("Dirichlet(K)", "conjugate", structure).mixture(2)
    x = np.random.default_rng(8).normal(size=(3000, 2)) * [1.0, 1.5]
    post = bm.sample(
        mixture, x, sampler="gibbs", draws=60, tune=20, chains=2, random_seed=9, progressbar=False
    )
    found = recorded(post)
    points = found.weights, found.means, found.covariances
    residual, variance = label_residuals(x, *points, found.labels)
    total = residual.sum(axis=-1) / np.sqrt(variance.sum(axis=-1))  # standard normal
    z = [
        total.sum() / np.sqrt(total.size),
        (np.square(total).sum() - total.size) / np.sqrt(2 * total.size),
    ]
    neighbors = [
        lambda values: values[:, 1:] * values[:, :-1],
        lambda values: values[0] * values[1],
        lambda values: values[..., 1:] * values[..., :-1],
    ]
    z += [pairs(residual).sum() / np.sqrt(pairs(variance).sum()) for pairs in neighbors]
    assert_z(np.array(z))
