"""Components without rows: their weights, their law, and the density that they add."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import bayesmix as bm
from bayesmix import component_prior, new_component, random_measure, residual_law, schema
from bayesmix.covariance import structure_of
from tests.exact_draws import exact_tree
from tests.exact_partitions import exact_posterior
from tests.fixtures_post import SEPARATED, planted, sample_quietly
from tests.fixtures_varying import MFM, planted_varying, varying_mixture
from tests.support import STRUCTURES, random_independent_prior, random_prior, rows_of

S = 2000
X = np.array([[-1.3], [-0.9], [0.2], [1.8], [2.1]])
LINE = bm.NormalInverseWishart([0.3], 0.2, 3.0, [[1.5]])
AT = np.array([[-6.0], [-1.0], [0.5], [2.0], [25.0]])
WEIGHTS = {
    "DP": bm.DirichletProcess(0.8),
    "PY": bm.PitmanYor(0.8, 0.25),
    "PY, heavy": bm.PitmanYor(2.0, 0.6),
    "MFM": bm.MixtureOfFiniteMixtures(bm.UniformK(1, 30), 0.7),
    "MFM few": bm.MixtureOfFiniteMixtures(bm.UniformK(2, 4), 1.3),
    "MFM dynamic": bm.MixtureOfFiniteMixtures(bm.BetaNegativeBinomial(), 1.2, dynamic=True),
}

SLOW = {"PY", "PY, heavy"}  # as many as 1,000 atoms at every draw


def rng(seed=1):
    return np.random.default_rng(seed)


def log_predictive(x, at, mixture):
    """Log density of one more row, exactly: two evidences by enumeration."""
    before = exact_posterior(x, mixture).log_evidence
    return [exact_posterior(np.vstack([x, row]), mixture).log_evidence - before for row in at]


class TestWeights:
    """Of a stick of length one that is all that is left."""

    def broken(self, discount, strength, s=S):
        left = np.ones(s)
        return residual_law.broken(left, np.full(s, discount), np.full(s, strength), rng())[0]

    @pytest.mark.parametrize(("d", "theta"), [(0.0, 0.7), (0.3, 1.5), (-0.5, 2.0), (-2.0, 10.0)])
    def test_chance_that_two_rows_meet(self, d, theta):
        """Sum of squares: an urn's second row joins the first with (1 - d)/(1 + theta)."""
        found = np.square(self.broken(d, theta)).sum(axis=1)
        error = found.std() / np.sqrt(S)
        assert abs(found.mean() - (1 - d) / (1 + theta)) < 4.5 * error

    def test_of_finitely_many_they_are_dirichlet(self):
        found, other = self.broken(-0.5, 2.5), rng(2).dirichlet(np.full(5, 0.5), size=S)
        assert found.shape == (S, 5)
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-7)
        for rank in (0, 2, 4):
            one, two = (np.sort(w, axis=1)[:, rank] for w in (found, other))
            assert stats.ks_2samp(one, two).pvalue > 1e-4

    def test_until_little_is_left_or_there_are_many(self):
        process, heavy = self.broken(0.0, 1.0), self.broken(0.6, 1.0, s=50)
        assert np.all(1 - process.sum(axis=1) < 1e-7)
        assert process.shape[1] < 80
        assert heavy.shape[1] == 1000
        assert np.all(1 - heavy.sum(axis=1) > 1e-4)

    def test_nothing_left(self):
        weights, left = residual_law.broken(np.zeros(3), np.zeros(3), np.ones(3), rng())
        assert weights.shape == (3, 0)
        assert not left.any()

    def test_what_they_leave(self):
        """K components leave nothing; else it is what is missing from the sum."""
        for discount, strength in ((0.0, 1.0), (0.6, 1.0), (-0.5, 2.5), (-2.0, 2.0)):
            given = np.full(50, discount), np.full(50, strength)
            weights, left = residual_law.broken(np.full(50, 0.3), *given, rng())
            np.testing.assert_allclose(weights.sum(axis=1) + left, 0.3, rtol=1e-13)
            if discount == -2.0:
                assert not left.any()


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("kind", ["conjugate", "stated", "random"])
def test_marginal_prior_is_that_of_the_features(kind, structure):
    prior = {
        "conjugate": random_prior(3),
        "stated": random_independent_prior(3),
        "random": random_independent_prior(3, random_scale=True),
    }[kind]
    columns, own = np.array([2, 0]), structure_of(structure)
    part = component_prior.marginal(prior, own, columns)
    whole = component_prior.draw(prior, own, 1, S, rng(1))
    some = component_prior.draw(part, own, 1, S, rng(2))
    at = np.ix_(columns, columns)
    for i, j in ((0, 0), (1, 1), (0, 1)):
        one, other = whole[1][:, 0][:, at[0], at[1]][:, i, j], some[1][:, 0, i, j]
        if np.ptp(one) > 0:
            assert stats.ks_2samp(one, other).pvalue > 1e-4
    for j, column in enumerate(columns):
        assert stats.ks_2samp(whole[0][:, 0, column], some[0][:, 0, j]).pvalue > 1e-4


class TestAtoms:
    @pytest.fixture(params=[("full", True), ("tied", False), ("diag", False)], ids=str)
    def measure(self, request):
        structure, random = request.param
        mixture = varying_mixture(bm.DirichletProcess(3.0), structure, random_scale=random)
        x = rows_of(SEPARATED, 40)
        tree, _ = planted_varying(SEPARATED, x, mixture, draws=30)
        return random_measure.random_measure(tree, rng(), mixture=mixture)

    def test_their_density_is_that_of_a_new_component(self, measure):
        """Averaged over atoms and draws, weight by weight."""
        at = np.array([[0.0, 1.0], [4.0, -3.0]])
        differences = []
        for seed in range(50):
            seeds = np.random.SeedSequence(seed).generate_state(2, np.uint64)
            rest = random_measure.replace(measure.rest, seeds=seeds)
            own = random_measure.RandomMeasure(measure.clusters, rest)
            log, expected = own.log_densities(at)
            known = np.exp(random_measure.passes.log_density(at, measure.clusters.parameters))
            differences.append(
                (np.exp(log) - known).sum(axis=0) / (np.exp(expected) - known).sum(axis=0)
            )
        mean, error = np.mean(differences, axis=0), np.std(differences, axis=0) / np.sqrt(50)
        assert np.all(np.abs(mean - 1) < 4.5 * error + 1e-6)

    def test_weights_sum_to_one(self, measure):
        np.testing.assert_allclose(measure.extended().weights.sum(axis=1), 1, atol=1e-7)
        np.testing.assert_allclose(measure.whole().weights.sum(axis=1), 1, rtol=1e-14)

    @pytest.mark.parametrize("measure", [("tied", False)], indirect=True, ids=str)
    def test_tied_atoms_share_the_covariance(self, measure):
        covariances = measure.whole().covariances
        np.testing.assert_array_equal(
            covariances, np.broadcast_to(measure.clusters.covariances[:, :1], covariances.shape)
        )

    def test_blocks_of_draws_together(self, measure, monkeypatch):
        monkeypatch.setattr(random_measure, "_BLOCK_BYTES", 8 * 1000 * 7 * 11)
        own = random_measure.RandomMeasure(
            measure.clusters,
            random_measure.replace(measure.rest, seeds=np.arange(10, 20).astype(np.uint64)),
        )
        at = np.array([[0.0, 1.0], [4.0, -3.0]])
        assert len(own._blocks) == 9
        log = random_measure.passes.log_density(at, own.extended().parameters)
        np.testing.assert_allclose(np.exp(own.log_density(at)), np.exp(log), rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in WEIGHTS],
)
def test_density_of_one_more_row_is_exact(name):
    """Draws of the exact posterior of five rows give the density that enumeration gives."""
    mixture = bm.Mixture(WEIGHTS[name], LINE)
    tree = exact_tree(X, mixture, S)
    bm.validate(tree)
    expected = np.exp(log_predictive(X, AT, mixture))
    found = bm.predictive.density(tree, AT, random_seed=1)
    measure = random_measure.random_measure(tree, rng(1))
    log, averaged = measure.log_densities(AT)
    for values in (np.exp(log), np.exp(averaged)):
        error = values.std(axis=0) / np.sqrt(S)
        assert np.all(np.abs(values.mean(axis=0) - expected)[:4] < 4.5 * error[:4])
    np.testing.assert_allclose(found["density"], np.exp(averaged).mean(axis=0))
    error = np.exp(averaged).std(axis=0) / np.sqrt(S)
    assert np.all(np.abs(found["density"] - expected) < 4.5 * error)
    far = found["density"][4] / expected[4]
    assert far == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    "name", ["DP", pytest.param("PY", marks=pytest.mark.slow), "MFM few", "MFM dynamic"]
)
def test_two_more_rows_may_meet_in_a_new_component(name):
    """Mean product of a draw's densities at two places far from the rows: their joint density."""
    mixture = bm.Mixture(WEIGHTS[name], LINE)
    x, pair = X[:2], np.array([[6.0], [6.2]])
    tree = exact_tree(x, mixture, 10_000)
    log = random_measure.random_measure(tree, rng(1)).log_density(pair).sum(axis=1)
    evidence = exact_posterior(np.vstack([x, pair]), mixture).log_evidence
    expected = np.exp(evidence - exact_posterior(x, mixture).log_evidence)
    error = np.exp(log).std() / np.sqrt(10_000)
    assert error < 0.2 * expected
    assert abs(np.exp(log).mean() - expected) < 4 * error


def test_far_out_all_is_prior():
    """Far from all rows the density is what the weights leave times the prior predictive one."""
    mixture = bm.Mixture(
        bm.DirichletProcess(0.8), bm.NormalInverseWishart([0.0], 0.01, 3.0, [[0.1]])
    )
    x, at = np.zeros((5, 1)) + 0.01 * X, np.array([[30.0]])
    tree = exact_tree(x, mixture, 500)
    left = 1 - tree["components"]["weights"].sum("component").mean().item()
    new = new_component.log_density(mixture.components, structure_of("full"), at, generator=rng())
    found = bm.predictive.log_density(tree, at, random_seed=1)["log_density"].item()
    exact = log_predictive(x, at, mixture)[0]
    assert found == pytest.approx(np.log(left) + new[0, 0], abs=0.01)
    assert found == pytest.approx(exact, abs=0.1)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("varying", [False, True])
def test_a_stated_model_is_as_good_as_the_tree_s_own(structure, varying):
    """Its covariance structure too."""
    x = rows_of(SEPARATED, 40)
    mixture = varying_mixture(bm.DirichletProcess(1.0), structure)
    if varying:
        tree, _ = planted_varying(SEPARATED, x, mixture, draws=10)
    else:
        mixture = bm.Mixture(bm.Dirichlet(3), mixture.components, structure)
        tree = planted(SEPARATED, x, draws=10)
        tree.attrs["bayesmix_model"] = mixture.to_json()
    bare = tree.copy()
    bare.attrs = {}
    measure = random_measure.random_measure(bare, rng(), mixture=mixture)
    assert measure.clusters.structure.name == structure
    at = np.array([[0.0, 1.0], [4.0, -3.0]])
    expected = bm.predictive.density(tree, at, random_seed=1)
    found = bm.predictive.density(bare, at, mixture=mixture, random_seed=1)
    assert found.identical(expected)


class TestRefusals:
    def test_a_tree_without_a_model(self):
        tree, _ = planted_varying(SEPARATED, rows_of(SEPARATED, 40))
        mixture = schema.mixture_of(tree)
        del tree.attrs["bayesmix_model"]
        with pytest.raises(ValueError, match=r"^mixture: expected the model, .*, got None"):
            bm.predictive.density(tree)
        bm.predictive.density(tree, random_seed=1, mixture=mixture)

    def test_draws_with_so_many_clusters(self):
        tree, _ = planted_varying(SEPARATED, rows_of(SEPARATED, 40))
        with pytest.raises(
            ValueError, match=r"^post: expected all draws, got those with 3 cl.*whole"
        ):
            bm.predictive.density(bm.relabel(tree, n_clusters=3))

    def test_a_random_number_that_the_tree_lacks(self):
        mixture = varying_mixture(bm.DirichletProcess(bm.Gamma(2, 4)))
        tree, _ = planted_varying(SEPARATED, rows_of(SEPARATED, 40), mixture)
        tree["posterior"] = tree["posterior"].to_dataset().drop_vars("concentration")
        with pytest.raises(ValueError, match=r"expected a variable concentration, because"):
            random_measure.extended(tree, rng())

    def test_a_number_of_components_that_the_tree_lacks(self):
        tree, _ = planted_varying(SEPARATED, rows_of(SEPARATED, 40))
        tree["posterior"] = tree["posterior"].to_dataset().drop_vars("n_components")
        with pytest.raises(ValueError, match=r"^post.posterior: expected a variable n_components"):
            random_measure.extended(tree, rng())

    def test_a_random_scale_that_the_tree_lacks(self):
        mixture = varying_mixture(MFM, random_scale=True)
        tree, _ = planted_varying(SEPARATED, rows_of(SEPARATED, 40), mixture)
        tree["posterior"] = tree["posterior"].to_dataset().drop_vars("covariance_scale")
        with pytest.raises(ValueError, match=r"expected a variable covariance_scale, because"):
            random_measure.extended(tree, rng())


def test_rounding_of_the_weights_is_no_component():
    """Of three components, all with rows, nothing is left for far rows."""
    mixture = varying_mixture(bm.MixtureOfFiniteMixtures(bm.UniformK(3, 3)))
    tree, _ = planted_varying(SEPARATED, rows_of(SEPARATED, 40), mixture, chains=1)
    tree = tree.isel(draw=np.flatnonzero(tree["posterior"]["n_clusters"][0] == 3))
    posterior, own = tree["posterior"].to_dataset(), tree["components"].to_dataset()
    posterior["n_components"] = posterior["n_clusters"]
    own["weights"] = own["weights"] / own["weights"].sum("component")
    assert np.any(own["weights"].values.sum(axis=-1) < 1)
    tree["posterior"], tree["components"] = xr.DataTree(posterior), xr.DataTree(own)
    fixed = xr.DataTree.from_dict(
        {"posterior": own, "observed_data": tree["observed_data"].to_dataset()}
    )
    at = np.array([[0.0, 1.0], [60.0, -60.0], [1e3, 1e3]])
    expected = bm.predictive.log_density(fixed, at)
    found = bm.predictive.log_density(tree, at, random_seed=1)
    for name in expected.data_vars:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-10)
    assert not random_measure.random_measure(tree, rng()).whole().weights[:, 3:].any()


def test_a_fixed_number_of_components_is_as_it_is():
    tree = planted(SEPARATED, rows_of(SEPARATED, 40))
    weights = tree["posterior"]["weights"].values.reshape(-1, 3)
    np.testing.assert_array_equal(random_measure.extended(tree, rng()).weights, weights)


SAMPLED = {
    "DP": (bm.DirichletProcess(bm.Gamma(2.0, 2.0)), LINE),
    "PY": (bm.PitmanYor(bm.Gamma(2.0, 2.0), bm.Beta(1.5, 3.0)), LINE),
    "MFM": (bm.MixtureOfFiniteMixtures(bm.ShiftedPoisson(2.0), bm.Gamma(2.0, 2.0)), LINE),
    "random scale": (
        bm.DirichletProcess(0.8),
        bm.IndependentNormalInverseWishart([0.3], [[4.0]], 4.0, scale_hyperprior=(0.7, 0.5, 0.1)),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLED)
def test_density_of_sampled_draws_is_exact(name):
    """All that is random of a model, through the sampler."""
    mixture = bm.Mixture(*SAMPLED[name])
    tree = sample_quietly(mixture, X, draws=4000, chains=2, thin=5, random_seed=3)
    measure = random_measure.random_measure(tree, rng(1))
    expected = np.exp(log_predictive(X, AT[:4], mixture))
    for log in measure.log_densities(AT[:4]):
        values = measure.clusters.by_chain(np.exp(log))
        halves = values.reshape(40, -1, 4).mean(axis=1)  # batch means: draws are correlated
        error = halves.std(axis=0, ddof=1) / np.sqrt(40)
        assert np.all(np.abs(values.mean(axis=(0, 1)) - expected) < 4.5 * error)
