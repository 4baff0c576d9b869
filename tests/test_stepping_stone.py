"""Evidence by stepping stones: against enumeration, closed forms, importance sampling and Gibbs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp

import bayesmix as bm
from bayesmix import stepping_stone as module
from bayesmix.covariance import structure_of
from bayesmix.gaussian import component_log_density, log_density
from bayesmix.partial_posteriors import PartialPosteriors
from bayesmix.stepping_stone import stepping_stone
from tests.exact import log_labels, log_marginal
from tests.exact_partitions import exact_posterior
from tests.gibbs_cells import Cell, cases, few_rows
from tests.support import STRUCTURES, random_independent_prior, random_prior

FAST = (
    Cell("Dirichlet(K)", "conjugate", "full"),
    Cell("Dirichlet(K, Gamma)", "random", "tied"),
    Cell("Dirichlet(K, vector)", "stated", "diag"),
    Cell("Dirichlet(K)", "published", "spherical"),
)
SLOW = tuple(
    Cell(weights, kind, structure)
    for kind, weights in (
        ("conjugate", "Dirichlet(K, Gamma)"),
        ("stated", "Dirichlet(K, below 1)"),
        ("random", "Dirichlet(K)"),
        ("published", "Dirichlet(K, vector)"),
    )
    for structure in STRUCTURES
)
FEW = {"steps": 3, "sweeps": 64, "replicas": 1}


def features_of(cell):
    """Enumeration takes independent means on a line only."""
    return 2 if cell.kind == "conjugate" else 1


@pytest.mark.parametrize("cell", cases(FAST, FAST + SLOW))
def test_against_enumeration(cell):
    d = features_of(cell)
    x, mixture = few_rows(6, d), cell.mixture(d)
    exact = exact_posterior(x, mixture).log_evidence
    rng = np.random.default_rng(1)
    found = stepping_stone(mixture, x, steps=6, sweeps=300, replicas=6, generator=rng)
    assert abs(found.log_evidence - exact) < 4 * found.se
    assert found.se < 0.3
    np.testing.assert_allclose(found.log_ratio.sum(), found.log_evidence)


def test_one_component_against_the_closed_form():
    rng = np.random.default_rng(3)
    x, prior = rng.normal(size=(30, 2)) @ [[1.0, 0.4], [0.0, 0.5]] + 1, random_prior(2)
    exact = log_marginal(x, np.zeros(30, int), prior, "full")
    mixture = bm.Mixture(bm.Dirichlet(1), prior)
    found = stepping_stone(mixture, x, steps=12, sweeps=600, replicas=4, generator=rng)
    assert abs(found.log_evidence - exact) < 4 * found.se < 0.5


def model_of(structure, n):
    d, weights = 2, bm.Dirichlet(2, bm.Gamma(2.0, 4.0))
    prior = random_independent_prior(d, random_scale=True)
    own = structure_of(structure)
    return PartialPosteriors(weights, prior, own, few_rows(n, d))


class TestPartialPosteriors:
    def test_log_likelihood_by_hand(self, structure):
        model = model_of(structure, 5)
        chains = model.draw_prior(3, np.random.default_rng(1))
        rows = np.array([[0.0, 0.25, 1.0], [1.5, 2.0, 4.75], [4.0, 4.5, 5.0]])
        found = model.log_likelihood(chains, rows)
        for s, j in np.ndindex(3, 3):
            dense = model.structure.dense(chains.covariances[s], 2, 2)
            whole = int(rows[s, j])
            at = chains.weights[s], chains.means[s], dense
            expected = log_density(model.x[:whole], *at).sum()
            if power := rows[s, j] - whole:
                logs = component_log_density(model.x[whole : whole + 1], chains.means[s], dense)[0]
                expected += logsumexp(np.log(chains.weights[s]) + power * logs)
            np.testing.assert_allclose(found[s, j], expected, rtol=1e-10, atol=1e-10)

    def test_law_given_part_of_a_row(self, structure):
        """Against the prior, weighted."""
        model, rng = model_of(structure, 4), np.random.default_rng(2)
        prior = model.draw_prior(20_000, rng)
        log_weight = model.log_likelihood(prior, np.full((20_000, 1), 3.3))[:, 0]
        weight = np.exp(log_weight - logsumexp(log_weight))
        chains = model.draw_prior(2_000, rng)
        for _ in range(20):
            chains = model.sweep(chains, np.full(2_000, 3.3), rng)
        for own, other in zip(features(model, chains), features(model, prior), strict=True):
            mean = weight @ other
            error = np.hypot(
                np.sqrt(np.square(weight) @ np.square(other - mean)), own.std() / np.sqrt(len(own))
            )
            assert abs(own.mean() - mean) < 4.5 * error

    @pytest.mark.parametrize("counts", [(9, 1), (6, 0)])
    def test_law_of_a_random_concentration(self, counts):
        """Against quadrature."""
        model, rng = model_of("diag", 4), np.random.default_rng(3)
        label, log = np.repeat([0, 1], counts), np.linspace(-12, 4, 2000)
        density = np.array([log_labels(label, np.full(2, c)) for c in np.exp(log)])
        weight = np.exp(density + 2 * log - 4 * np.exp(log))  # Gamma(2, 4)
        mean = weight @ log / weight.sum()
        sd = np.sqrt(weight @ np.square(log - mean) / weight.sum())
        now = np.ones((4_000, 2))
        for _ in range(40):
            now = model._move_concentrations(now, np.tile(counts, (4_000, 1)), rng)
        found = np.log(now[:, 0])
        assert np.array_equal(now[:, 0], now[:, 1])
        assert abs(found.mean() - mean) < 4 * sd / np.sqrt(4_000)
        assert abs(found.std() / sd - 1) < 0.06


def features(model, chains):
    """Bounded functions of everything that a chain carries, (S,) each."""
    factor = model.structure.precision_cholesky(chains.covariances)
    logs = model.structure.log_diagonal(factor, *chains.means.shape[1:])
    yield np.tanh(chains.means[:, 0, 0])
    yield np.tanh(chains.means.prod(axis=(1, 2)))
    yield np.tanh(logs[:, 0, 0])
    yield np.tanh(logs.sum(axis=(1, 2)) / 4)
    yield np.square(chains.weights).sum(axis=1)
    yield np.tanh(chains.concentrations[:, 0])
    yield np.tanh(np.log(chains.covariance_scale[:, 0, 0]))


class TestSteps:
    def test_ratio_of_gaussians(self):
        """Norms of exp(-x²/2) and exp(-2x²): their ratio is 1/2; the error is that of repeats."""
        rng = np.random.default_rng(4)
        draws = rng.normal(size=(2, 300, 400, 1)) * np.array([1.0, 0.5])[:, None, None, None]
        found = [module._log_ratio(*pair) for pair in np.moveaxis(-1.5 * draws**2, 1, 0)]
        values = np.array([value for value, _ in found])
        said = np.mean([error.std() / np.sqrt(error.size) for _, error in found])
        sd = values.std()
        assert abs(values.mean() - np.log(0.5)) < 4 * sd / np.sqrt(300)
        assert abs(sd / said - 1) < 4 / np.sqrt(600)
        assert max(abs(error.mean()) for _, error in found) < 1e-9

    @pytest.mark.parametrize("first", [0, 1])
    def test_swaps_are_of_neighbors(self, first):
        rng = np.random.default_rng(5)
        for chance in (np.zeros((4, 2)), np.ones((4, 2))):
            order = module._swapped(chance, first, rng).reshape(5, 2)
            expected = np.arange(5)
            if chance.all():
                pairs = [[1, 0, 3, 2, 4], [0, 2, 1, 4, 3]]
                expected = np.array(pairs[first])
            assert order.tolist() == (2 * expected[:, None] + np.arange(2)).tolist()

    def test_chance_of_a_swap(self):
        before, after = np.log([[[2.0]], [[8.0]]])
        assert module._swap_chance(np.stack([before, after])) == pytest.approx(0.25)
        assert module._swap_chance(np.stack([after, before])) == 1

    def test_evened(self):
        rows = np.array([0.0, 0.1, 2.0, 5.0, 10.0])
        np.testing.assert_allclose(module._rows_at(module._place(rows)), rows, atol=1e-12)
        same = module._evened(rows, np.full(4, 0.3))
        np.testing.assert_allclose(same, rows, atol=1e-12)
        moved = module._evened(rows, np.array([0.0, 1.0, 1.0, 1.0]))  # all is lost in the first
        assert moved[-2] < 0.1
        assert np.all(np.diff(moved) > 0)
        assert moved[[0, -1]].tolist() == [0, 10]

    def test_first_rows_are_spread(self):
        x = np.random.default_rng(6).normal(size=(200, 1)) * [1.0, 30.0]
        order = module._spread_order(x)
        assert sorted(order) == list(range(200))
        ranks = np.argsort(np.argsort(x[:, 1]))[order] / 200
        ranks = min(ranks, 1 - ranks, key=lambda own: own[0])  # the axis has no sign
        for m in (10, 50, 120):
            gap = np.abs(np.sort(ranks[:m]) - np.arange(m) / m).max()
            assert gap < 4 / m


class TestCalls:
    mixture = bm.Mixture(bm.Dirichlet(2), random_prior(1))

    def test_same_seed_same_answer_and_every_sweep_is_reported(self):
        made = []
        one, other = (
            stepping_stone(
                self.mixture,
                few_rows(5, 1),
                **FEW,
                generator=np.random.default_rng(1),
                report=made.append,
            )
            for _ in range(2)
        )
        assert one.log_evidence == other.log_evidence
        assert one.se == other.se
        assert made == [1] * 128
        assert one.rows.shape == (4,)
        assert one.log_ratio.shape == one.log_ratio_se.shape == one.swap_rate.shape == (3,)

    def test_rows_stay_as_they_are(self):
        x = few_rows(5, 1)
        x.setflags(write=False)
        stepping_stone(self.mixture, x, **FEW, generator=np.random.default_rng(1))

    @pytest.mark.parametrize(
        ("weights", "components", "match"),
        [
            (bm.DirichletProcess(1.0, truncation=3), random_prior(1), "bridge sampling"),
            (bm.MixtureOfFiniteMixtures(bm.Geometric(0.5)), random_prior(1), "Dirichlet"),
            (bm.Dirichlet(2), None, "component prior"),
        ],
    )
    def test_refuses_other_mixtures(self, weights, components, match):
        mixture = bm.Mixture(weights, components)
        with pytest.raises(ValueError, match=match):
            stepping_stone(mixture, few_rows(5, 1), generator=np.random.default_rng(1))

    @pytest.mark.parametrize("name", ["steps", "sweeps", "replicas"])
    def test_refuses_too_little(self, name):
        few = FEW | {name: 1 if name != "replicas" else 0}
        with pytest.raises(ValueError, match=name):
            stepping_stone(self.mixture, few_rows(5, 1), **few, generator=np.random.default_rng(1))


@pytest.mark.slow
def test_given_all_rows_the_law_is_that_of_gibbs_sampling(faithful):
    mixture = bm.Mixture(bm.Dirichlet(2), bm.weakly_informative(faithful))
    x, rng = faithful.to_numpy(), np.random.default_rng(7)
    model = module._model_of(mixture, x)
    chains, rows = model.draw_prior(400, rng), np.geomspace(1, len(x), 60)
    for given in (*rows, *np.full(40, len(x))):
        chains = model.sweep(chains, np.full(400, given), rng)
    own = model.log_likelihood(chains, np.full((400, 1), float(len(x))))[:, 0]
    post = bm.sample(mixture, faithful, sampler="gibbs", random_seed=1, progressbar=False)
    other = post["sample_stats/log_likelihood_total"].values.ravel()
    inside = own[own > other.min() - 5]  # some stay in a mode of next to no weight
    assert len(inside) > 360
    error = np.hypot(inside.std() / np.sqrt(len(inside)), other.std() / np.sqrt(len(other) / 4))
    assert abs(inside.mean() - other.mean()) < 4 * error


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # PyMC's own, of short runs
def test_sequential_monte_carlo_agrees():
    import pymc as pm

    rng = np.random.default_rng(5)
    x = np.where(np.arange(20) % 2, 1.5, -1.5)[:, None] + rng.normal(size=(20, 1))
    mixture = bm.Mixture(bm.Dirichlet(2), bm.weakly_informative(x))
    found = stepping_stone(mixture, x, steps=16, sweeps=2000, replicas=4, generator=rng)
    with bm.build_model(mixture, x, likelihood="graph"):
        trace = pm.sample_smc(
            draws=2000,
            chains=4,
            cores=1,
            random_seed=1,
            progressbar=False,
            compute_convergence_checks=False,
        )
    stages = trace["sample_stats/log_marginal_likelihood"].values.astype(float)
    ends = np.array([own[np.isfinite(own)][-1] for own in stages])
    error = np.hypot(found.se, ends.std(ddof=1) / np.sqrt(len(ends)))
    assert abs(ends.mean() - found.log_evidence) < 4 * error < 0.5


@pytest.mark.parametrize(
    ("r_hat", "swaps", "told"),
    [(1.0, 0.4, []), (2.0, 0.4, ["disagree"]), (np.nan, 0.02, ["swap"])],
)
def test_signs_of_a_missed_mode(r_hat, swaps, told):
    few = np.array([0.0, 1.0]), np.array([-1.0]), np.array([0.1])
    found = module.SteppingStone(-1.0, 0.1, *few, np.array([swaps]), r_hat)
    assert len(found.doubts) == len(told)
    for text, word in zip(found.doubts, told, strict=True):
        assert word in text
