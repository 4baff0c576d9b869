"""Chains of any number of components, move by move, and the room that they take."""

import dataclasses

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.covariance import structure_of
from bayesmix.gibbs_varying import VaryingChain
from bayesmix.kernels.frames import Sums
from tests.exact import pair_indicators
from tests.exact_counts import distinct_sizes, log_joint_with_k
from tests.exact_kernel import (
    assert_invariant,
    assert_reversible,
    assert_unchanged,
    label_events,
    transition_matrix,
)
from tests.exact_partitions import exact_posterior
from tests.geweke import split_or_merge, sweep
from tests.gibbs_cells import cases, few_rows
from tests.support import STRUCTURES, blobs, random_independent_prior, random_prior
from tests.varying_cells import WEIGHTS, Cell, Named

CELLS = [
    *(Cell(weights, "conjugate", "full") for weights in WEIGHTS),
    Cell("DP", "conjugate", "spherical"),
    Cell("PY 0.5", "conjugate", "tied"),
    Cell("MFM dynamic", "conjugate", "diag"),
]


def given(mixture):
    """What is random of concentration and discount, at some value, and the prior given that."""
    weights, at = mixture.weights, {}
    if weights.random_concentration is not None:
        at["concentration"] = 0.7
    if weights.random_discount is not None:
        at["discount"] = 0.3
    return at, dataclasses.replace(mixture, weights=dataclasses.replace(weights, **at))


def check_kernel(cell, move, chain_class=Named, runs=300):
    mixture = cell.mixture(2)
    x, rng = few_rows(4, 2), np.random.default_rng(6)
    at, fixed = given(mixture)
    exact = exact_posterior(x, fixed)
    states, p = exact.partitions, exact.probability

    p_k = k_given(fixed.weights, exact)

    def chain_at(labels):
        k = {}
        if p_k is not None:
            p_here = p_k[exact.index(labels)]
            k = {"n_components": int(rng.choice(len(p_here), p=p_here)) + 1}
        return chain_class.at(mixture, x, labels, rng, **at, **k)

    found = transition_matrix(move, chain_at, states, runs)
    assert_invariant(p, found, runs, label_events(states))
    if move is split_or_merge:
        assert_reversible(p, found, runs, states)


def k_given(weights, exact):
    """P(K = k) given each partition, (P, K), or None."""
    if not isinstance(weights, bm.MixtureOfFiniteMixtures):
        return None
    sizes, inverse = distinct_sizes(exact.partitions)
    log = np.array([own[0] for own in log_joint_with_k(sizes, weights, exact.nodes)])[inverse]
    p = np.exp(log - log.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


FAST_MOVES = {
    Cell("PY Gamma Beta", "conjugate", "full"),
    Cell("MFM dynamic", "conjugate", "full"),
}


@pytest.mark.parametrize("cell", cases(FAST_MOVES, CELLS))
def test_splits_and_merges_leave_partitions_invariant(cell):
    """Given concentration and discount; K drawn given the partition."""
    check_kernel(cell, split_or_merge)


STATED = [cell for cell in CELLS if not WEIGHTS[cell.weights].random_concentration]
STATED = [cell for cell in STATED if not WEIGHTS[cell.weights].random_discount]
FAST_SWEEPS = {Cell("MFM dynamic", "conjugate", "full")}


@pytest.mark.parametrize("cell", cases(FAST_SWEEPS, STATED))
def test_sweeps_leave_partitions_invariant(cell):
    check_kernel(cell, sweep)


class HalvedSplits(Named):
    """Every second split is taken back: a ratio off by log 2."""

    def split_merge(self):
        before, inside = self.labels, self.state.labels.copy()
        accepted = super().split_merge()
        if self.labels.max() > before.max() and self.generator.random() < 0.5:
            self.state.labels[:] = inside
        return accepted


@pytest.mark.slow
def test_a_wrong_split_ratio_is_caught():
    with pytest.raises(AssertionError, match="z ="):
        check_kernel(Cell("DP", "conjugate", "full"), split_or_merge, HalvedSplits)


MANY = bm.MixtureOfFiniteMixtures(bm.UniformK(1, 90), 0.4)
"""Four rows hardly bound K: it is often more than 64 above the clusters."""
DYNAMIC = bm.MixtureOfFiniteMixtures(bm.UniformK(3, 90), 2.0, dynamic=True)


@pytest.mark.slow
@pytest.mark.parametrize("move", [split_or_merge, sweep])
@pytest.mark.parametrize("weights", [MANY, DYNAMIC], ids=["static", "dynamic"])
def test_moves_leave_partition_and_k_invariant(weights, move):
    mixture = bm.Mixture(weights, random_prior(1))
    x, rng = few_rows(4, 1), np.random.default_rng(7)
    exact = exact_posterior(x, mixture)
    p_k = k_given(weights, exact)
    start = rng.choice(len(exact.probability), size=10_000, p=exact.probability)
    before, after = [], []
    for s in start:
        labels, k = exact.partitions[s], int(rng.choice(90, p=p_k[s])) + 1
        chain = Named.at(mixture, x, labels, rng, n_components=k)
        before.append([*labels, k])
        move(chain)
        after.append([*chain.labels, chain.n_components])
    before, after = np.array(before), np.array(after)
    assert (before[:, -1] > 70).mean() > 0.02
    assert_unchanged(joint_events(before), joint_events(after))


def joint_events(states):
    labels, k = states[:, :-1], states[:, -1]
    t = labels.max(axis=1) + 1
    columns = [*pair_indicators(labels).T, *(t == np.arange(1, 4)[:, None]), k < t + 64]
    columns += [k == t, np.log(k), k > 40, *((t == j) * np.log(k) for j in range(1, 4))]
    return np.stack(columns, axis=1).astype(float)


def check_state(chain, x):
    """Hold labels and moments to the definition, about the state's means."""
    state, t = chain.state, chain.n_clusters
    np.testing.assert_array_equal(np.unique(state.labels), np.arange(t))
    one = (state.labels == np.arange(t)[:, None]).astype(float)
    delta = x - state.point.means[:t, None]
    np.testing.assert_array_equal(state.sums.sizes[:t], one.sum(axis=1))
    assert not state.sums.sizes[t:].any()
    first, scale = (one[..., None] * delta).sum(axis=1), np.abs(one[..., None] * delta).max()
    np.testing.assert_allclose(state.sums.first[:t], first, rtol=1e-9, atol=1e-10 * scale * len(x))
    second = structure_of(chain.structure.name).scatter(delta, one)
    found = state.sums.second if chain.structure.name == "tied" else state.sums.second[:t]
    atol = 1e-10 * scale**2 * len(x)
    np.testing.assert_allclose(found.reshape(second.shape), second, rtol=1e-9, atol=atol)


SLOW_OTHERS = [
    pytest.param(name, marks=() if name == "full" else pytest.mark.slow) for name in STRUCTURES
]


def many_clusters(structure):
    """A model that wants hundreds of clusters in rows all over the place."""
    x = np.random.default_rng(1).uniform(-10, 10, size=(1200, 2))
    prior = bm.NormalInverseWishart(np.zeros(2), 0.05, 22.0, 20.0 * np.eye(2))
    return bm.Mixture(bm.PitmanYor(500.0, 0.5), prior, structure), x


@pytest.mark.parametrize("structure", SLOW_OTHERS)
def test_room_grows(structure):
    """While rows move, in state and records: as many clusters as there are, and their moments."""
    mixture, x = many_clusters(structure)
    chain = VaryingChain.at(mixture, x, np.zeros(len(x), int), np.random.default_rng(2))
    check_state(chain, x)
    room, most = chain.room(12, labels=True), 0
    for _ in range(12):
        chain.draw(room, 0, 1, 1)
        check_state(chain, x)
        most = max(most, chain.n_clusters)
    assert most > 130
    own = room.records
    assert own.weights.shape[1] >= most
    for s in range(12):
        t = own.n_clusters[s]
        np.testing.assert_array_equal(np.unique(own.labels[s]), np.arange(t))
        assert np.isfinite(own.means[s, :t]).all()
        assert np.isfinite(own.covariances[s, : 1 if structure == "tied" else t]).all()
        assert np.isnan(own.weights[s, t:]).all()
    np.testing.assert_array_equal(own.labels[-1], chain.labels)


def enlarged(state, room):
    """A state with more memory, which no draw may depend on."""

    def wider(values):
        out = np.zeros((room, *values.shape[1:]), values.dtype)
        out[: len(values)] = values
        return out

    point, sums = state.point, state.sums
    shared = len(sums.second) == 1
    return state._replace(
        point=point._replace(
            log_weights=wider(point.log_weights),
            means=wider(point.means),
            factor=point.factor if shared else wider(point.factor),
            near=wider(point.near),
        ),
        sums=Sums(
            wider(sums.sizes), wider(sums.first), sums.second if shared else wider(sums.second)
        ),
    )


def advance(chain, left):
    """Sweeps and moves, in as many compiled calls as it takes."""
    while left > 0:
        left -= chain.tune(left)


def assert_same_state(one, other):
    a, b = one.saved(), other.saved()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.mark.parametrize("structure", SLOW_OTHERS)
def test_no_draw_depends_on_room(structure):
    """Ten features: blocks of rows depend on room, and with them what is added up first."""
    x = blobs(700, 10, 3)
    mixture = bm.Mixture(bm.PitmanYor(5.0, 0.5), random_prior(10), structure)
    chains = [
        VaryingChain.at(mixture, x, np.zeros(700, int), np.random.default_rng(3)) for _ in range(2)
    ]
    chains[1].state = enlarged(chains[1].state, 700)
    for chain in chains:
        advance(chain, 9)
    assert_same_state(*chains)


def test_a_chain_goes_on_whatever_room_it_had():
    """A start with more clusters than there will be leaves no trace."""
    x = blobs(700, 10, 3)
    mixture = bm.Mixture(bm.DirichletProcess(1.0), random_independent_prior(10, random_scale=True))
    chain = VaryingChain.at(mixture, x, np.arange(700) % 300, np.random.default_rng(4))
    while chain.n_clusters > 30:
        chain.tune(1)
    other = VaryingChain.restored(mixture, x, chain.saved())
    for each in (chain, other):
        advance(each, 7)
    assert_same_state(chain, other)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_room_is_used_up_by_the_last_row_of_a_block(seed):
    """Every row founds a cluster: the 49th uses up room for 64, the 32nd row since there was 32.

    Rows that follow are alone, and leave their places for a cluster that there is no room for.
    """
    n, d = 100, 620
    prior = bm.NormalInverseWishart(np.zeros(d), 1e12, d + 1e9, 1e9 * np.eye(d))
    mixture = bm.Mixture(bm.DirichletProcess(1e14), prior, "spherical")
    labels = np.zeros(n, int)
    labels[49:61] = np.arange(1, 13)
    chain = VaryingChain.at(mixture, np.zeros((n, d)), labels, np.random.default_rng(seed))
    chain.sweep()
    assert chain.n_clusters == n


@pytest.mark.parametrize("labels", [np.zeros(1, int), np.zeros(2, int), np.arange(2)])
def test_one_or_two_rows(labels):
    mixture = bm.Mixture(bm.PitmanYor(0.5, 0.25), random_prior(2))
    x = few_rows(len(labels), 2)
    chain = VaryingChain.at(mixture, x, labels, np.random.default_rng(5))
    for _ in range(20):
        chain.tune(1)
        check_state(chain, x)


def test_rows_may_want_more_components_than_the_prior_expects():
    """A prior probability of 1e-14 is little against the likelihood of clusters far apart."""
    rng = np.random.default_rng(31)
    x = 100.0 * np.repeat(np.arange(20), 30)[:, None] + rng.normal(size=(600, 1))
    prior = bm.IndependentNormalInverseWishart([1000.0], [[1e6]], 5.0, [[3.0]])
    weights = bm.MixtureOfFiniteMixtures(bm.ShiftedPoisson(1.0))
    assert weights.n_components.support() < 20
    chain = VaryingChain.at(
        bm.Mixture(weights, prior), x, np.repeat(np.arange(20), 30), np.random.default_rng(32)
    )
    chain.sweep(20)
    assert chain.n_clusters == 20
    assert chain.n_components >= 20
