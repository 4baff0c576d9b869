"""Truncated sticks in the Gibbs engine: the laws of weights and swaps, and which stick is which."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from numba import njit
from scipy import integrate, stats
from scipy.special import betaln, expit, logit, softmax

import bayesmix as bm
from bayesmix import weight_prior
from bayesmix.gibbs import Chain, prior_numbers
from bayesmix.kernels.gibbs import sticks
from bayesmix.truncation import truncation_error
from tests.exact_checks import assert_matches, assert_means
from tests.exact_kernel import assert_invariant, label_events
from tests.exact_partitions import exact_labelings, exact_posterior
from tests.exact_sticks import log_stick_labelings
from tests.fixtures_post import sample_quietly
from tests.gibbs_cells import few_rows
from tests.gibbs_engine import recorded
from tests.support import STICKS, blobs, random_prior

DRAWS = 4000
LEVEL = 1e-4
"""Of one test of a kernel; seeds are fixed, so that it either always fails or never."""
SIZES = np.array([3.0, 0.0, 9.0, 1.0, 0.0, 0.0])


def uniform(values) -> bool:
    return stats.kstest(values, "uniform").pvalue > LEVEL


@pytest.fixture(scope="module")
def draw_sticks():
    return njit(lambda sizes, c, d, out, g: sticks.draw_sticks(sizes, c, d, out, g))


@pytest.mark.parametrize(("concentration", "discount"), [(0.7, 0.0), (2.0, 0.4), (0.01, 0.9)])
def test_law_of_weights(draw_sticks, concentration, discount):
    """Pieces of what is left are the betas of the definition."""
    generator, logs = np.random.default_rng(1), np.empty((DRAWS, 6))
    for out in logs:
        draw_sticks(SIZES, concentration, discount, out, generator)
    weights = np.exp(logs)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-12)
    left = np.cumsum(weights[:, ::-1], axis=1)[:, ::-1]
    for k in range(5):
        law = stats.beta(1 - discount + SIZES[k],
                         concentration + (k + 1) * discount + SIZES[k + 1 :].sum())  # fmt: skip
        known = left[:, k] > 1e-300  # what underflows is recorded as the smallest number
        assert uniform(law.cdf(weights[known, k] / left[known, k])), k
        if known.mean() < 0.99:
            break


def test_no_weight_underflows(draw_sticks):
    generator, out = np.random.default_rng(2), np.empty(200)
    for concentration, discount in ((1e-6, 0.0), (1e-300, 0.0), (1e-3, 1 - 1e-15), (1e6, 0.5)):
        for sizes in (np.zeros(200), np.eye(200)[100] * 50):
            draw_sticks(sizes, concentration, discount, out, generator)
            assert np.exp(out).min() >= np.finfo(float).tiny
            assert np.exp(out).sum() == pytest.approx(1, rel=1e-12)


def log_labels(sizes, concentration, discount):
    """Log probability of labels of these sizes, by the definition."""
    k = np.arange(1, len(sizes))
    after = np.cumsum(sizes[::-1])[::-1][1:]
    a, b = 1 - discount, concentration + k * discount
    return (betaln(a + sizes[:-1], b + after) - betaln(a, b)).sum()


@pytest.fixture(scope="module")
def laws_drawn():
    """Kernel that keeps every tenth draw of concentration and discount given sizes."""

    @njit
    def run(sizes, prior, concentration, discount, generator, out):
        for i in range(len(out)):
            for _ in range(10):
                sticks.draw_stick_laws(sizes, prior, concentration, discount, generator)
            out[i] = concentration[0], discount[0]

    def found(sizes, weights):
        prior = prior_numbers(bm.Mixture(weights, random_prior(1)))
        discount = np.array([0.4 if weights.random_discount else weights.discount])
        out, generator = np.empty((DRAWS, 2)), np.random.default_rng(7)
        run(sizes, prior, np.full(len(sizes), 0.8), discount, generator, out)
        return out.T

    return found


@pytest.mark.parametrize("sizes", [SIZES, np.array([30.0, 25.0, 0.0]), np.array([4.0])])
@pytest.mark.parametrize("name", ["DP Gamma", "PY Gamma", "PY Beta"])
def test_law_of_concentration_or_discount(laws_drawn, name, sizes):
    """Steps of the slice sampler, thinned, against the law by quadrature."""
    weights = replace(STICKS[name], truncation=len(sizes))
    gamma, beta, (alpha, d) = (
        weights.random_concentration,
        weights.random_discount,
        laws_drawn(sizes, weights),
    )
    if gamma is not None:
        grid, values = np.linspace(-40, 10, 5001), np.log(alpha)
        logs = [log_labels(sizes, np.exp(t), weights.discount) for t in grid]
        logs += gamma.shape * grid - gamma.rate * np.exp(grid)
        assert (d == weights.discount).all()
    else:
        grid, values = np.linspace(-40, 25, 5001), logit(d)
        logs = [log_labels(sizes, weights.concentration, at) for at in expit(grid)]
        logs -= beta.a * np.log1p(np.exp(-grid)) + beta.b * np.log1p(np.exp(grid))
        assert (alpha == weights.concentration).all()
    cumulative = integrate.cumulative_simpson(np.exp(logs - logs.max()), x=grid, initial=0)
    assert uniform(np.interp(values, grid, cumulative / cumulative[-1]))


class TestSwaps:
    """Labels of four rows under the prior, before and after swaps."""

    RUNS = 150

    @staticmethod
    def transitions(states, concentration, discount, runs):
        swapped = njit(lambda sizes, c, d, g: sticks.draw_order(sizes, c, d, g))
        generator, t = np.random.default_rng(3), int(states.max()) + 1
        found = np.zeros((len(states), len(states)))
        powers = t ** np.arange(states.shape[1])
        index = np.argsort(states @ powers)
        for s, labels in enumerate(states):
            sizes = np.bincount(labels, minlength=t).astype(float)
            for _ in range(runs):
                names = np.argsort(swapped(sizes, concentration, discount, generator))
                found[s, index[names[labels] @ powers]] += 1
        return found / runs

    def check(self, stated, drawn):
        weights = bm.PitmanYor(*stated, truncation=4)
        states, log_p = log_stick_labelings(3, weights, 0.25)
        found = self.transitions(states, *drawn, self.RUNS)
        of_rows = (states[..., None] == np.arange(4)).reshape(len(states), -1)
        assert_invariant(np.exp(log_p), found, self.RUNS, of_rows.astype(float))
        assert (found.max(axis=1) < 1).all()  # nothing stays where it is
        partition = label_events(states)[:, :5] > 0
        assert (found[partition.argmax(axis=1)[:, None] != partition.argmax(axis=1)] == 0).all()

    @pytest.mark.parametrize("stated", [(0.8, 0.0), (0.3, 0.6)])
    def test_keep_the_law_of_labels(self, stated):
        self.check(stated, stated)

    def test_by_another_law_they_do_not(self):
        with pytest.raises(AssertionError, match="z ="):
            self.check((0.8, 0.3), (0.8, 0.0))


def sampled(mixture, x, draws=3000):
    return sample_quietly(mixture, x, sampler="gibbs", draws=draws, thin=2, random_seed=3)


def shares(post, t):
    """Share of rows on each stick but the last: no permutation of the components may change it."""
    label = post.allocation["label"].values
    return np.stack([(label == k).mean(axis=-1) for k in range(t - 1)])


def assert_labelings_match(post, x, mixture):
    labels, p = exact_labelings(x, mixture)
    t = mixture.n_components
    expected = np.stack([(labels == k).mean(axis=1) for k in range(t - 1)]) @ p
    assert_means(shares(post, t), expected)


SLOW = [pytest.param(n, marks=pytest.mark.slow) for n in STICKS if n != "PY Beta"]


@pytest.mark.parametrize("name", ["PY Beta", *SLOW])
def test_labelings_agree_with_enumeration(name):
    mixture, x = bm.Mixture(STICKS[name], random_prior(2), "full"), few_rows(6, 2)
    assert_labelings_match(sampled(mixture, x), x, mixture)


def test_a_wrong_discount_is_caught():
    x, prior = few_rows(6, 2), random_prior(2)
    post = sampled(bm.Mixture(replace(STICKS["PY"], discount=0.35), prior), x)
    with pytest.raises(AssertionError, match="z ="):
        assert_labelings_match(post, x, bm.Mixture(STICKS["PY"], prior))


@pytest.mark.parametrize("truncation", [1, 2, pytest.param(5, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["DP Gamma", pytest.param("PY", marks=pytest.mark.slow)])
def test_truncations(name, truncation):
    weights = replace(STICKS[name], truncation=truncation)
    mixture, x = bm.Mixture(weights, random_prior(1)), few_rows(6, 1)
    post = sampled(mixture, x)
    found = recorded(post)
    assert post.attrs["truncation_error"] == truncation_error(weights, 6)
    if truncation > 1:
        exact = exact_posterior(x, mixture)
        assert_matches(exact, found.labels, concentration=found.concentration)
        assert_labelings_match(post, x, mixture)
    elif found.concentration is not None:  # one component says nothing of it
        u = stats.gamma(2, scale=1 / 2).cdf(found.concentration)
        assert_means(np.stack([u, u**2]), [1 / 2, 1 / 3])


def test_the_order_of_sticks_mixes():
    """Two clusters that no row leaves are on any two sticks as often as they should be."""
    large = np.arange(40) < 30
    x = (np.where(large, -50.0, 50.0) + np.random.default_rng(1).normal(size=40))[:, None]
    prior = bm.NormalInverseWishart([0.0], 0.001, 30.0, [[30.0]])
    mixture = bm.Mixture(bm.DirichletProcess(1.0, truncation=4), prior)
    label = sampled(mixture, x).allocation["label"].values
    first, second = label[..., :1], label[..., -1:]
    whole = (label == np.where(large, first, second)).all(axis=-1)
    assert whole.mean() > 0.5
    places = list(permutations(range(4), 2))
    p = softmax([log_labels(np.bincount(np.repeat(own, (30, 10)), minlength=4), 1.0, 0.0)
                 for own in places])  # fmt: skip
    here = np.stack([whole & (first == a)[..., 0] & (second == b)[..., 0] for a, b in places])
    likely = p > 0.01
    assert_means((here - p[:, None, None] * whole)[likely], np.zeros(likely.sum()))


def test_swaps_take_all_of_a_component_along():
    """Rows, names and parameters: the point is on its rows after any number of sweeps."""
    x = blobs(90, 2, 3, seed=4)
    mixture = bm.Mixture(bm.PitmanYor(1.0, 0.2, truncation=6), bm.weakly_informative(x))
    chain = Chain.at(mixture, x, np.arange(90) % 3, np.random.default_rng(5))
    orders = set()
    for _ in range(50):
        chain.sweep()
        first = [int(chain.labels[i]) for i in range(3)]
        orders.add(tuple(first))
        for i, k in enumerate(first):
            assert np.abs(chain.means[k] - x[i::3].mean(axis=0)).max() < 1.5
    assert len(orders) > 5


def test_a_stopped_chain_goes_on():
    """With its discount: 30 draws and 30 more are 60."""
    x, mixture = blobs(40, 2, 3), bm.Mixture(STICKS["PY Gamma Beta"], random_prior(2))
    asked = {"sampler": "gibbs", "chains": 2, "tune": 5, "random_seed": 1}
    once = sample_quietly(mixture, x, draws=60, **asked)
    half = sample_quietly(mixture, x, draws=30, **asked)
    both = sample_quietly(mixture, x, draws=30, resume=half)
    for name in ("posterior", "allocation", "sample_stats", "sampler_state"):
        assert both[name].to_dataset().identical(once[name].to_dataset()), name


def test_random_laws_without_rows_to_tell_are_their_priors():
    """Prior draws of sticks and the engine's weights without rows agree in their log densities."""
    weights, sizes = STICKS["PY Gamma Beta"], np.zeros(3)
    kernel = njit(
        lambda sizes, prior, c, d, out, g: (
            sticks.draw_stick_laws(sizes, prior, c, d, g),
            sticks.draw_sticks(sizes, c[0], d[0], out, g),
        )
    )
    prior, generator = prior_numbers(bm.Mixture(weights, random_prior(1))), np.random.default_rng(6)
    concentration, discount, out = np.full(3, 0.5), np.full(1, 0.5), np.empty((DRAWS, 3))
    laws = np.empty((DRAWS, 2))
    for i in range(DRAWS):
        for _ in range(5):
            kernel(sizes, prior, concentration, discount, out[i], generator)
        laws[i] = concentration[0], discount[0]
    found = weight_prior.log_prior(weights, np.exp(out), *laws.T)
    drawn = weight_prior.draw(weights, DRAWS, np.random.default_rng(8))
    assert stats.ks_2samp(found, weight_prior.log_prior(weights, *drawn)).pvalue > LEVEL
