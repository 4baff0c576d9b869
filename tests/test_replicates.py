"""Rows and parameters drawn from the prior, rows drawn from the posterior, density of every row."""

import arviz as az
import numpy as np
import pytest
from scipy import stats

import bayesmix as bm
from bayesmix import gaussian, memory, replicates
from bayesmix.schema import mixture_of
from tests import prior_draws
from tests.fixtures_post import sample_quietly
from tests.support import (
    STICKS,
    STRUCTURES,
    WEIGHTS,
    blobs,
    random_independent_prior,
    random_prior,
)

PRIORS = {
    "conjugate": random_prior(2),
    "stated": random_independent_prior(2),
    "random": random_independent_prior(2, random_scale=True),
}
FINITE = {name: prior for name, prior in WEIGHTS.items() if not prior.varying}
X = blobs(30, 2, 2)
DRAWS = 2000


def drawn(mixture, draws=DRAWS, x=X, seed=3):
    return bm.sample_prior_predictive(mixture, x, draws=draws, random_seed=seed)


def parameters(tree):
    """Parameters of the one chain by name."""
    return {str(name): variable.values[0] for name, variable in tree["prior"].data_vars.items()}


def assert_same_laws(mixture):
    """Parameters have the laws of draws made without the package."""
    found, independent = parameters(drawn(mixture)), vars(reference(mixture))
    assert set(found) == {n for n, v in independent.items() if v is not None} - {"labels", "x"}
    for name, values in found.items():
        both = [np.reshape(v, (DRAWS, -1)) for v in (values, independent[name])]
        moving = np.ptp(both[0], axis=0) > 0  # zeros beside a diagonal stand still
        np.testing.assert_array_equal(moving, np.ptp(both[1], axis=0) > 0)
        for one, other in zip(both[0].T[moving], both[1].T[moving], strict=True):
            assert stats.ks_2samp(one, other).pvalue > 1e-5, name


def reference(mixture):
    return prior_draws.draw(mixture, 1, DRAWS, np.random.default_rng(4))


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("kind", PRIORS)
def test_components_have_the_prior_of_the_table(kind, structure):
    assert_same_laws(bm.Mixture(bm.Dirichlet(2), PRIORS[kind], structure))


@pytest.mark.parametrize("weights", [*FINITE.values(), *STICKS.values()], ids=repr)
def test_weights_have_their_prior(weights):
    assert_same_laws(bm.Mixture(weights, PRIORS["conjugate"], "spherical"))


def test_another_law_is_told_apart():
    mixture = bm.Mixture(bm.Dirichlet(3, 0.5), PRIORS["conjugate"], "spherical")
    found = parameters(drawn(mixture))["weights"]
    other = parameters(drawn(bm.Mixture(bm.Dirichlet(3, 0.8), mixture.components, "spherical")))
    assert stats.ks_2samp(found[:, 0], other["weights"][:, 0]).pvalue < 1e-5


def test_weights_of_small_concentrations_do_not_vanish():
    weights = parameters(drawn(bm.Mixture(bm.Dirichlet(3, 1e-4), PRIORS["conjugate"])))["weights"]
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_allclose(weights.mean(axis=0), 1 / 3, atol=4.5 * np.sqrt(2 / 9 / DRAWS))


def test_an_infinite_process_is_cut_where_rows_hardly_tell():
    tree = drawn(bm.Mixture(bm.DirichletProcess(1.0), PRIORS["conjugate"]), draws=5)
    assert tree["prior"].sizes["component"] == 13  # 30 rows: 30 / 2**12 < .01
    assert mixture_of(tree).weights.truncation == 13


def test_rows_are_those_of_the_parameters():
    """The distribution function of each draw's own mixture, at its rows, is uniform."""
    x = np.zeros((40, 1))
    prior = bm.NormalInverseWishart([1.0], 0.2, 5.0, [[2.0]])
    tree = drawn(bm.Mixture(bm.Dirichlet(3), prior), draws=200, x=x)
    values = parameters(tree)
    sd = np.sqrt(values["covariances"][:, None, :, 0, 0])
    rows = tree["prior_predictive"]["x"].values[0]
    each = stats.norm.cdf(rows, values["means"][:, None, :, 0], sd)
    assert (
        stats.kstest((values["weights"][:, None] * each).sum(axis=-1).ravel(), "uniform").pvalue
        > 1e-4
    )


def test_rows_are_correlated_as_the_covariances_say():
    prior = bm.NormalInverseWishart([0.0, 0.0], 1e6, 1e6, 1e6 * np.array([[4.0, 1.8], [1.8, 1.0]]))
    rows = drawn(bm.Mixture(bm.Dirichlet(2), prior), draws=400)["prior_predictive"]["x"].values
    flat = rows.reshape(-1, 2)
    found, n = np.corrcoef(flat.T)[0, 1], len(flat)
    np.testing.assert_allclose(found, 0.9, atol=4.5 * (1 - 0.81) / np.sqrt(n) + 1e-3)


ALL = ("parameters", "allocation", *replicates.ON_REQUEST)
OPTIONS = {"draws": 400, "tune": 100, "chains": 2, "random_seed": 1}


@pytest.fixture(scope="module")
def mixture():
    return bm.Mixture(bm.Dirichlet(2), PRIORS["conjugate"])


@pytest.fixture(scope="module")
def tree(mixture):
    return sample_quietly(mixture, X, store=ALL, **OPTIONS)


class TestStoredOnRequest:
    def test_groups(self, tree):
        assert {*replicates.ON_REQUEST} <= set(tree.children)
        bm.validate(tree)
        assert tree["prior"].sizes["draw"] == 800

    def test_density_of_every_row(self, tree):
        values = (tree["posterior"][name].values for name in ("weights", "means", "covariances"))
        expected = gaussian.log_density(X, *values)
        np.testing.assert_allclose(tree["log_likelihood"]["x"].values, expected, rtol=1e-9)

    def test_arviz_takes_it(self, tree):
        assert np.isfinite(az.loo(tree).elpd)

    def test_new_rows_are_those_of_the_draws(self, tree):
        rows = tree["posterior_predictive"]["x"]
        assert rows.dims == ("chain", "draw", "obs", "feature")
        means = (tree["posterior"]["weights"] * tree["posterior"]["means"]).sum("component")
        spread = rows.values.std(axis=2) / np.sqrt(len(X))
        assert np.all(
            np.abs(rows.mean("obs") - means.transpose(*rows.dims[:2], "feature")) < 5 * spread
        )

    def test_through_a_file(self, tree, tmp_path):
        tree.to_netcdf(tmp_path / "post.nc")
        bm.load(tmp_path / "post.nc")

    def test_nothing_more_than_asked(self, mixture):
        tree = sample_quietly(
            mixture, X, draws=5, tune=5, chains=1, random_seed=1, store=("prior_predictive",)
        )
        assert {"prior_predictive"} == set(tree.children) & set(replicates.ON_REQUEST)

    def test_draws_are_those_without_them(self, mixture, tree):
        plain = sample_quietly(mixture, X, **OPTIONS)
        np.testing.assert_array_equal(plain["posterior"]["means"], tree["posterior"]["means"])

    def test_same_seed_same_rows(self, mixture, tree):
        again = sample_quietly(mixture, X, store=ALL, **OPTIONS)
        for name in ("posterior_predictive", "prior_predictive"):
            np.testing.assert_array_equal(again[name]["x"], tree[name]["x"])

    def test_resumed_for_all_draws(self, mixture, tree):
        more = bm.sample(mixture, X, draws=15, resume=tree, progressbar=False)
        for name in replicates.ON_REQUEST:
            assert more[name].sizes["draw"] == (830 if name.startswith("prior") else 415)
        total = more["log_likelihood"]["x"].sum("obs")
        np.testing.assert_allclose(total, more["sample_stats"]["log_likelihood_total"], rtol=1e-9)

    def test_beyond_the_budget(self, mixture, monkeypatch):
        monkeypatch.setattr(memory, "BUDGET_BYTES", 8 * 30 * 2 * 40 - 1)
        with pytest.raises(ValueError, match=r"^store: the group posterior_predictive would take"):
            bm.sample(mixture, X, draws=20, chains=2, store=("posterior_predictive",))

    def test_prior_beyond_the_budget(self, mixture, monkeypatch):
        monkeypatch.setattr(memory, "BUDGET_BYTES", 8 * 20 * X.size - 1)
        with pytest.raises(ValueError, match=r"^draws: as many rows as the data .* GiB; use fewer"):
            bm.sample_prior_predictive(mixture, X, draws=20)
        bm.sample_prior_predictive(mixture, X, draws=19)

    def test_an_interrupt_keeps_what_is_sampled(self, mixture, monkeypatch):
        def interrupted(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(replicates, "log_likelihood_group", interrupted)
        tree = sample_quietly(
            mixture, X, draws=5, tune=5, chains=1, random_seed=1, store=("log_likelihood",)
        )
        assert tree.attrs["interrupted"] == 1
        bm.validate(tree)


def test_a_mixture_without_component_prior():
    with pytest.raises(ValueError, match=r"^mixture: expected a prior on the components, got none"):
        bm.sample_prior_predictive(bm.Mixture(bm.Dirichlet(2)), X)


def test_data_of_another_width():
    with pytest.raises(ValueError, match=r"^x: expected 2 column"):
        bm.sample_prior_predictive(bm.Mixture(bm.Dirichlet(2), PRIORS["conjugate"]), X[:, :1])


def test_a_prior_too_wild_to_draw_from():
    prior = bm.NormalInverseWishart([0.0, 0.0], 0.1, 1.05, np.eye(2))
    with pytest.raises(np.linalg.LinAlgError, match=r"its dof of 1.05 is hardly above 1; give"):
        drawn(bm.Mixture(bm.Dirichlet(2), prior))
