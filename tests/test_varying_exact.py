"""Gibbs sampling of any number of components against enumeration: all that a chain records."""

import dataclasses

import numpy as np
import pytest
import xarray as xr
from arviz_stats.base import array_stats

import bayesmix as bm
from bayesmix.gibbs_varying import VaryingChain
from tests.exact_checks import MIN_EXPECTED, assert_matches, assert_means, assert_z
from tests.exact_partitions import exact_posterior
from tests.gibbs_cells import cases, few_rows
from tests.reference_gibbs import log_joint
from tests.support import random_prior
from tests.varying_cells import WEIGHTS, Cell, drawn

CELLS = [
    *(Cell(weights, "conjugate", "full") for weights in WEIGHTS),
    Cell("DP", "conjugate", "spherical"),
    Cell("PY Gamma Beta", "conjugate", "tied"),
    Cell("MFM dynamic Gamma", "conjugate", "diag"),
    Cell("DP Gamma", "stated", "tied"),
    Cell("PY 0.5", "stated", "full"),
    Cell("PY Beta", "random", "diag"),
    Cell("MFM", "random", "full"),
    Cell("MFM Gamma", "random", "tied"),
    Cell("DP", "published", "full"),
    Cell("MFM dynamic", "published", "spherical"),
]
FAST = {
    Cell("DP Gamma", "conjugate", "full"),
    Cell("PY Gamma Beta", "conjugate", "full"),
    Cell("MFM few", "conjugate", "full"),
    Cell("MFM dynamic Gamma", "conjugate", "full"),
    Cell("MFM", "random", "full"),
}


def enumerable(cell, n=7):
    """A mixture that can be enumerated, and rows."""
    mixture = cell.mixture(2 if cell.kind == "conjugate" else 1)
    return mixture, few_rows(n, mixture.components.n_features)


def check_draws(cell, moves):
    """Check an alarm by ten times the draws: short runs know too little of rare events."""
    mixture, x = enumerable(cell)
    exact = exact_posterior(x, mixture)
    try:
        assert_drawn_match(exact, drawn(mixture, x, 21, draws=2500, moves=moves))
    except AssertionError:
        assert_drawn_match(exact, drawn(mixture, x, 6, draws=40_000, moves=moves))


@pytest.mark.parametrize("cell", cases(FAST, CELLS))
def test_draws_match_enumeration(cell):
    check_draws(cell, moves=True)


@pytest.mark.parametrize("cell", cases({Cell("PY 0.25 Gamma", "conjugate", "full")}, CELLS))
def test_draws_without_moves_match_enumeration(cell):
    check_draws(cell, moves=False)


def assert_drawn_match(exact, found):
    assert_matches(
        exact,
        found.labels,
        concentration=found.concentration,
        discount=found.discount,
        covariance_scale=found.line_scale,
    )
    if found.n_components is not None:
        assert_numbers_match(exact.p_n_components, found.n_components)


def assert_numbers_match(p, found):
    """P(K = k), wherever both that and its opposite are seen often enough."""
    indicators = (found == np.arange(1, len(p) + 1)[:, None, None]).astype(float)
    varies = np.ptp(indicators, axis=(1, 2)) > 0
    ess = array_stats.ess(indicators[varies], method="mean", chain_axis=1, draw_axis=2)
    varies[varies] = np.minimum(p, 1 - p)[varies] * np.minimum(ess, found.size) > MIN_EXPECTED
    assert_means(indicators[varies], p[varies])


def test_a_wrong_dof_and_a_wrong_prior_of_k_are_caught():
    mixture, x = enumerable(Cell("MFM few", "conjugate", "full"))
    exact = exact_posterior(x, mixture)
    wrong = dataclasses.replace(mixture, components=random_prior(2, dof=5.7))
    with pytest.raises(AssertionError, match="total variation"):
        assert_drawn_match(exact, drawn(wrong, x, 5, draws=4000))
    shifted = bm.MixtureOfFiniteMixtures(bm.UniformK(2, 5), mixture.weights.concentration)
    wrong = dataclasses.replace(mixture, weights=shifted)
    with pytest.raises(AssertionError, match="z ="):
        assert_numbers_match(exact.p_n_components, drawn(wrong, x, 5, draws=4000).n_components)


@pytest.mark.parametrize("name", ["PY Gamma Beta", "MFM dynamic Gamma", "MFM few"])
def test_weights_are_dirichlet_given_the_labels(name):
    """Of the first row's cluster, and of all components without rows: independent residuals."""
    mixture, x = enumerable(Cell(name, "conjugate", "full"))
    found = drawn(mixture, x, 7, draws=4000)
    z = []
    for own in found.records:
        draws, n = np.arange(len(own.labels)), len(x)
        k = own.n_components
        dynamic = getattr(WEIGHTS[name], "dynamic", False)
        each = own.concentration / np.maximum(k, 1) if dynamic else own.concentration
        discount = np.where(k > 0, -each, own.discount)
        strength = np.where(k > 0, k * each, own.concentration)
        first = own.labels[:, 0]
        size = (own.labels == first[:, None]).sum(axis=1)
        weight = own.weights[draws, first]
        rest = 1 - np.nansum(own.weights, axis=1)
        for value, a in (
            (weight, size - discount),
            (rest, strength + discount * own.n_clusters),
        ):
            b = strength + n - a
            inside = a > 1e-9
            residual = (value - a / (a + b))[inside]
            variance = (a * b / (a + b) ** 2 / (a + b + 1))[inside]
            z.append(residual.sum() / np.sqrt(variance.sum()))
            np.testing.assert_allclose(value[~inside], 0, atol=1e-12)
    assert_z(np.array(z))


def test_records_are_consistent():
    """Clusters numbered 0, 1, ..., NaN after them; the log-likelihood that of what is recorded."""
    mixture, x = enumerable(Cell("MFM few", "conjugate", "full"))
    (own,) = drawn(mixture, x, 8, draws=300, chains=1).records
    complete = own.n_components == own.n_clusters
    assert 30 < complete.sum() < 270
    for s in range(300):
        t = own.n_clusters[s]
        assert sorted(set(own.labels[s])) == list(range(t))
        for values in (own.weights, own.means, own.covariances):
            assert np.isfinite(values[s, :t]).all()
            assert np.isnan(values[s, t:]).all()
        point = own.weights[s, :t], own.means[s, :t], own.covariances[s, :t]
        each = np.logaddexp.reduce(log_joint(x, *(v[None] for v in point))[0], axis=-1)
        if complete[s]:
            assert own.log_likelihood[s] == pytest.approx(each.sum(), rel=1e-10)
        else:
            assert own.log_likelihood[s] > each.sum() - 1e-10  # empty ones may weigh nothing


@pytest.mark.parametrize("structure", ["full", pytest.param("tied", marks=pytest.mark.slow)])
def test_rows_far_apart(structure):
    """Densities vanish, relative to a row's largest: so may all of them once its place is gone.

    A hundred standard deviations are between most rows, and few new components are near any.
    """
    x = np.array([[0.0], [3.5], [60.0], [63.9], [-150.0], [100.0], [103.7]])
    prior = bm.IndependentNormalInverseWishart([0.0], [[1e4]], 30.0, [[15.0]])
    mixture = bm.Mixture(bm.PitmanYor(0.3, 0.2), prior, structure)
    exact = exact_posterior(x, mixture, step=0.1)
    assert (exact.probability > 0.01).sum() >= 4  # pairs may or may not be together
    assert_drawn_match(exact, drawn(mixture, x, 9, draws=8000))


def test_a_row_leaves_for_a_far_singleton():
    """Its old place is gone, and with it what its densities were relative to."""
    x = np.array([[0.0], [1e9], [-1e9], [2e9], [0.1]])
    prior = bm.IndependentNormalInverseWishart([0.0], [[1e18]], 200.0, [[100.0]])
    mixture = bm.Mixture(bm.DirichletProcess(1.0), prior, "full")
    chain = VaryingChain.at(mixture, x, np.arange(5), np.random.default_rng(1))
    for _ in range(200):
        chain.sweep()
        assert np.isfinite(chain.log_likelihood)
        assert chain.labels[0] != chain.labels[1] != chain.labels[2]
        assert chain.n_clusters in (4, 5)


def sampled(mixture, x, **options):
    options = {"draws": 50, "tune": 20, "chains": 3, "random_seed": 10, "cores": 1} | options
    return bm.sample(mixture, x, sampler="gibbs", progressbar=False, **options)


SHORT = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@SHORT
def test_draws_do_not_depend_on_cores():
    mixture, x = Cell("PY Gamma Beta", "conjugate", "full").mixture(2), few_rows(60, 2)
    one, other = (sampled(mixture, x, cores=cores) for cores in (1, 2))
    for name in ("posterior", "components", "allocation", "sample_stats", "sampler_state"):
        xr.testing.assert_identical(one[name].to_dataset(), other[name].to_dataset())


@SHORT
@pytest.mark.slow
def test_a_long_truncation_agrees():
    """Forty components by stick breaking are as good as infinitely many."""
    x = np.asarray(bm.datasets.load("galaxy"), float).reshape(-1, 1)
    prior = bm.weakly_informative(x)
    values = [
        agreed(bm.Mixture(bm.DirichletProcess(1.0, truncation=t), prior), x) for t in (None, 40)
    ]
    assert_same_means(*values)


@SHORT
@pytest.mark.slow
def test_a_mixture_of_one_finite_mixture_agrees():
    """K that is certain: a Dirichlet of so many."""
    x = few_rows(80, 2)
    prior = random_prior(2)
    certain = bm.MixtureOfFiniteMixtures(bm.UniformK(5, 5), 0.6)
    values = [agreed(bm.Mixture(weights, prior), x) for weights in (certain, bm.Dirichlet(5, 0.6))]
    assert_same_means(*values)


def agreed(mixture, x):
    """Numbers of clusters and the log-likelihoods, (quantity, chain, draw)."""
    post = sampled(mixture, x, draws=2000, tune=500, chains=4, thin=10, cores=2)
    label = post.allocation["label"].values
    t = np.array([[len(np.unique(z)) for z in own] for own in label])
    log_likelihood = post.sample_stats["log_likelihood_total"].values
    return np.stack([t, t**2, log_likelihood]).astype(float)


def assert_same_means(one, other):
    error = [
        array_stats.mcse(values, method="mean", chain_axis=1, draw_axis=2)
        for values in (one, other)
    ]
    difference = one.mean(axis=(1, 2)) - other.mean(axis=(1, 2))
    assert_z(difference / np.hypot(*error))
