"""The harness at work on the reference sampler: what is right passes, planted errors are caught."""

import numpy as np
import pytest
from scipy.stats import gamma, kstest, wishart

from tests import calibration, geweke
from tests.exact import labelings
from tests.exact_checks import assert_matches, assert_z, label_residual, total_variation_limit
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
from tests.exact_partitions import exact_posterior
from tests.gibbs_cells import Cell, few_rows
from tests.gibbs_runs import run
from tests.prior_draws import dirichlet, inverse_wishart, truncated_gamma
from tests.reference_gibbs import Chain

CELLS = [
    Cell("Dirichlet(K, Gamma)", "random", "tied"),
    Cell("Dirichlet(K, vector, some below 1)", "conjugate", "full"),
]


class WrongDof(Chain):
    def _dof(self, counts):
        return super()._dof(counts) + 1


class ForgetsDof(Chain):
    """The degrees of freedom of the prior are not in those after the rows."""

    def _dof(self, counts):
        return super()._dof(counts) - self.mixture.components.dof + self.x.shape[1]


class HalvedSplits(Chain):
    """The probability of a split is off by log 2."""

    def _log_split(self, n_empty, n_others):
        return super()._log_split(n_empty, n_others) + np.log(2)


class ForgetsEmpty(Chain):
    """The number of components that a split can use is not in its ratio."""

    def _log_split(self, n_empty, n_others):
        return super()._log_split(1, n_others)


class Late(Chain):
    """Labels drawn in the next sweep are recorded with the parameters of this one."""

    def sweep(self, count=1):
        super().sweep(count)
        weights, means, covariances = self.weights, self.means, self.covariances
        super().sweep()
        self.weights, self.means, self.covariances = weights, means, covariances


def on_a_line(cell):
    return cell.mixture(1), few_rows(5, 1)


@pytest.mark.parametrize("cell", CELLS, ids="-".join)
def test_reference_matches_enumeration(cell):
    mixture, x = on_a_line(cell)
    found = run(Chain, mixture, x, 1, draws=600)
    exact = exact_posterior(x, mixture)
    assert_matches(
        exact,
        found.labels,
        concentration=found.concentration,
        covariance_scale=found.line_scale,
    )
    parts = found.weights, found.means, found.covariances, found.labels
    assert_z(np.array([label_residual(x, *parts)]))


def test_enumeration_catches_a_wrong_dof():
    mixture, x = on_a_line(CELLS[0])
    found = run(WrongDof, mixture, x, 1, draws=600)
    with pytest.raises(AssertionError, match="z ="):
        assert_matches(exact_posterior(x, mixture), found.labels, covariance_scale=found.line_scale)


def test_total_variation_of_exact_draws_stays_below_its_limit():
    mixture, x = on_a_line(CELLS[1])
    exact, rng = exact_posterior(x, mixture), np.random.default_rng(3)
    draws = rng.choice(len(exact.probability), size=(1, 2000), p=exact.probability)
    assert_matches(exact, exact.partitions[draws])
    wrong = exact.probability**0.8
    draws = rng.choice(len(wrong), size=(1, 2000), p=wrong / wrong.sum())
    with pytest.raises(AssertionError, match="total variation"):
        assert_matches(exact, exact.partitions[draws])
    assert total_variation_limit(exact, 8000) < 0.6 * total_variation_limit(exact, 2000)


@pytest.mark.parametrize("weights", ["Dirichlet(K)", "Dirichlet(K, vector)"])
def test_residual_catches_labels_recorded_one_sweep_late(weights):
    mixture, x = on_a_line(Cell(weights, "conjugate", "full"))
    found = run(Chain, mixture, x, 1, draws=600, thin=1)
    points = found.weights, found.means, found.covariances
    late = [values[:, :-1] for values in points]
    assert_matches(exact_posterior(x, mixture), found.labels)  # the labels alone are right
    assert_z(np.array([label_residual(x, *points, found.labels)]))
    assert abs(label_residual(x, *late, found.labels[:, 1:])) > 6
    # Labels from the sweep before are as good, unless components were renamed in between:
    # parameters are drawn given them.
    early = label_residual(x, *(values[:, 1:] for values in points), found.labels[:, :-1])
    assert (abs(early) > 6) == mixture.weights.exchangeable


def test_geweke_passes_the_reference_and_catches_a_wrong_dof():
    mixture = CELLS[0].mixture(2)
    geweke.assert_same_joint(Chain, mixture, 5, np.random.default_rng(1), chains=40)
    with pytest.raises(AssertionError, match="z ="):
        geweke.assert_same_joint(WrongDof, mixture, 5, np.random.default_rng(1), chains=40)


def test_geweke_catches_labels_recorded_one_sweep_late():
    mixture = Cell("Dirichlet(K)", "conjugate", "full").mixture(2)
    with pytest.raises(AssertionError, match="z ="):
        geweke.assert_same_joint(Late, mixture, 5, np.random.default_rng(1), chains=40)


def on_table(chain_class, states, p):
    """The chain class with its target looked up: thousands of moves take a second."""
    table = dict(zip(map(tuple, states.tolist()), np.log(p), strict=True))

    class OnTable(chain_class):
        def _log_target(self, labels):
            return table[tuple(labels.tolist())]

    return OnTable


@pytest.mark.parametrize("chain_class", [Chain, HalvedSplits, ForgetsEmpty])
def test_kernel_tests_catch_wrong_split_ratios(chain_class):
    mixture, x, runs = CELLS[1].mixture(2), few_rows(4, 2), 150
    states, p = labelings(x, mixture)
    rng, chain_class_on_table = np.random.default_rng(4), on_table(chain_class, states, p)
    found = transition_matrix(
        geweke.split_or_merge,
        lambda labels: chain_class_on_table.at(mixture, x, labels, rng),
        states,
        runs,
    )
    if chain_class is Chain:
        assert_invariant(p, found, runs, label_events(states))
        assert_reversible(p, found, runs, states)
        return
    with pytest.raises(AssertionError, match="z ="):
        assert_invariant(p, found, runs, label_events(states))
    with pytest.raises(AssertionError, match="z ="):
        assert_reversible(p, found, runs, states)


@pytest.mark.parametrize("structure", ["full", "tied"])
def test_exact_states_stay_exact_under_a_sweep(structure):
    mixture = Cell("Dirichlet(K, Gamma)", "random", structure).mixture(1)
    x, rng = few_rows(4, 1), np.random.default_rng(2)
    states = exact_states(x, mixture, 1500, rng)
    moved = move_states(Chain, mixture, x, states, geweke.sweep, rng)
    assert_unchanged(state_events(states), state_events(moved))
    if structure == "full":
        moved = move_states(WrongDof, mixture, x, states, geweke.sweep, rng)
        with pytest.raises(AssertionError, match="z ="):
            assert_unchanged(state_events(states), state_events(moved))


@pytest.mark.slow
def test_calibration_passes_the_reference_and_catches_a_forgotten_dof():
    mixture, settings = CELLS[0].mixture(2), {"size": 60, "draws": 15, "burn": 10, "thin": 2}
    rng = np.random.default_rng(6)
    settings["transition"] = geweke.sweep
    calibration.assert_uniform(calibration.ranks(Chain, mixture, 5, rng, **settings), 15)
    with pytest.raises(AssertionError, match="leave their bands"):
        calibration.assert_uniform(calibration.ranks(ForgetsDof, mixture, 5, rng, **settings), 15)


def test_bands_cover_as_often_as_they_say():
    size, draws, level = 80, 31, 0.1
    at, lower, upper = calibration.bands(size, draws, level)
    ranks = np.random.default_rng(7).integers(0, draws + 1, size=(size, 20_000))
    below = np.stack([(ranks < a).sum(axis=0) for a in at], axis=-1)
    covered = ((below >= lower) & (below <= upper)).all(axis=-1).mean()
    exact = calibration.coverage(lower, upper, calibration._steps(size, at / (draws + 1)))
    assert_z(np.array([(covered - exact) / np.sqrt(exact * (1 - exact) / 20_000)]))
    assert 1 - level <= exact < 1 - level / 2


def test_draws_from_the_prior_have_their_distributions():
    rng, scale, size = np.random.default_rng(8), np.array([[2.0, 0.5], [0.5, 1.0]]), 4000
    precision = np.linalg.inv(
        inverse_wishart(np.full(size, 4.3), np.tile(scale, (size, 1, 1)), rng)
    )
    expected = wishart.rvs(4.3, np.linalg.inv(scale), size=size, random_state=rng)
    for i, j in ((0, 0), (0, 1), (1, 1)):
        assert kstest(precision[:, i, j], expected[:, i, j]).pvalue > 1e-4
    drawn = truncated_gamma(np.full(size, 0.7), 2.0, 0.4, rng)
    low = gamma.cdf(0.4, 0.7, scale=0.5)

    def cdf(value):
        return (gamma.cdf(value, 0.7, scale=0.5) - low) / (1 - low)

    assert kstest(drawn, cdf).pvalue > 1e-4
    weights = dirichlet(np.tile([0.3, 1.0, 2.5], (size, 1)), rng)
    assert kstest(weights[:, 0], "beta", args=(0.3, 3.5)).pvalue > 1e-4
    assert kstest(weights[:, 2], "beta", args=(2.5, 1.3)).pvalue > 1e-4
