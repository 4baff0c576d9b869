"""PyMC's own tools on the model, and what bayesmix makes of their results."""

from __future__ import annotations

import importlib.util

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytest
import xarray as xr

import bayesmix as bm
from bayesmix import gaussian, plots
from bayesmix.diagnostics import label_invariant
from bayesmix.pymc_model import initial_values
from tests.support import Parameters, rows_of

TRUTH = Parameters(
    np.array([0.4, 0.6]), np.array([[0.0, 0.0], [6.0, 3.0]]), np.tile(np.eye(2), (2, 1, 1))
)
ROWS = pd.DataFrame(
    rows_of(TRUTH, 60), columns=["a", "b"], index=pd.RangeIndex(10, 70), dtype=float
)
QUIET = {"progressbar": False, "random_seed": 1}


@pytest.fixture(scope="module", autouse=True)
def interpreted():
    """Python runs the graphs: here compiling them would take much longer."""
    with pytensor.config.change_flags(mode="FAST_COMPILE", cxx=""):
        yield


@pytest.fixture(autouse=True)
def agg():
    plt.switch_backend("agg")
    yield
    plt.close("all")


def mixture(weights: bm.Dirichlet | bm.DirichletProcess | None = None) -> bm.Mixture:
    return bm.Mixture(weights or bm.Dirichlet(2), bm.weakly_informative(ROWS))


def sample(model: pm.Model, **options) -> xr.DataTree:
    settings = {"draws": 25, "tune": 25, "chains": 2, "cores": 1, "nuts_sampler": "pymc"} | QUIET
    return pm.sample(
        model=model, compute_convergence_checks=False, quiet=True, **settings | options
    )


@pytest.fixture(scope="module")
def model(interpreted) -> pm.Model:
    return bm.build_model(mixture(), ROWS)


@pytest.fixture(scope="module")
def em(interpreted) -> xr.DataTree:
    return bm.fit_em(mixture(), ROWS, random_seed=1)


@pytest.fixture(scope="module")
def start(em) -> dict[str, np.ndarray]:
    point = em["point_estimate"]
    return initial_values(
        mixture(), *(point[name].values for name in ("weights", "means", "covariances"))
    )


@pytest.fixture(scope="module")
def post(model, start) -> xr.DataTree:
    return sample(model, initvals=start, init="adapt_diag")


def log_likelihoods(tree: xr.DataTree, rows: np.ndarray) -> np.ndarray:
    """By the reference, (draw, row)."""
    stacked = tree["posterior"].to_dataset().stack(sample=("chain", "draw"))
    ordered = [stacked[n].transpose("sample", ...) for n in ("weights", "means", "covariances")]
    return gaussian.log_density(rows, *(v.values for v in ordered))


class TestPictures:
    def test_mermaid(self, model):
        text = pm.model_to_mermaid(model)
        for line in ("weights ~ Dirichlet", "x ~ GaussianMixture", "means --> x", "weights --> x"):
            assert line in text

    @pytest.mark.skipif(
        importlib.util.find_spec("graphviz") is None, reason="needs the package graphviz"
    )
    def test_graphviz(self, model):
        assert "GaussianMixture" in pm.model_to_graphviz(model).source

    def test_table_and_text(self, model):
        assert [row for row in model.table().columns[0].cells if "weights" in str(row)]
        assert "x ~ GaussianMixture" in model.str_repr()


class TestForward:
    def test_prior_predictive(self, model):
        tree = pm.sample_prior_predictive(50, model=model, random_seed=1)
        prior = tree["prior"]
        assert tree["prior_predictive"]["x"].dims == ("chain", "draw", "obs", "feature")
        np.testing.assert_allclose(prior["weights"].sum("component"), 1)
        assert np.linalg.eigvalsh(prior["covariances"].values).min() > 0

    def test_posterior_predictive(self, model, post):
        with model:
            tree = pm.sample_posterior_predictive(post, **QUIET)
        x = tree["posterior_predictive"]["x"]
        assert x.dims == ("chain", "draw", "obs", "feature")
        assert list(x["obs"].values) == list(ROWS.index)
        # the mean of 80 x 60 rows with standard deviations of about 3
        error = 5 * ROWS.std() / np.sqrt(60)
        assert (abs(x.mean(("chain", "draw", "obs")) - ROWS.mean()) < error).all()

    @pytest.mark.parametrize("k", [1, 3])
    def test_rows_drawn_are_those_of_the_mixture(self, structure, k):
        """Their mean and covariance at one point, within five standard errors."""
        n, scale = 20_000, np.array([[1.0, 1.8], [1.8, 4.0]])
        prior = bm.NormalInverseWishart([0.0, 0.0], 10.0, 30.0, scale)
        model = bm.build_model(bm.Mixture(bm.Dirichlet(k), prior, structure), np.zeros((n, 2)))
        drawn = pm.sample_prior_predictive(1, model=model, random_seed=3)
        one = drawn["prior"].isel(chain=0, draw=0)
        weights, means = one["weights"].values, one["means"].values
        x = drawn["prior_predictive"]["x"].values[0, 0]
        center = weights @ means
        spread = np.einsum("k,kij->ij", weights, one["covariances"].values)
        spread += np.einsum("k,ki,kj->ij", weights, means - center, means - center)
        sd = np.sqrt(np.diag(spread))
        assert (np.abs(x.mean(axis=0) - center) < 5 * sd / np.sqrt(n)).all()
        # of normal rows the product of two features varies by at most 2 sd_i² sd_j²
        assert (np.abs(np.cov(x.T) - spread) < 5 * np.sqrt(2 / n) * np.outer(sd, sd)).all()

    def test_log_likelihood(self, model, post):
        with model:
            tree = pm.compute_log_likelihood(post.copy(), progressbar=False)
        found = tree["log_likelihood"]["x"]
        assert found.dims == ("chain", "draw", "obs")
        expected = log_likelihoods(post, ROWS.to_numpy()).reshape(found.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-9)

    def test_other_rows(self, post):
        """set_data with another number of rows: predictions, and the density of the new rows."""
        model = bm.build_model(mixture(), ROWS)
        new = ROWS.to_numpy()[:7]
        with model:
            pm.set_data({"x_data": new}, coords={"obs": np.arange(7)})
            drawn = pm.sample_posterior_predictive(post, predictions=True, **QUIET)
            assert drawn["predictions"]["x"].sizes["obs"] == 7
            tree = pm.compute_log_likelihood(post.copy(), progressbar=False)
        expected = log_likelihoods(post, new)
        found = tree["log_likelihood"]["x"].values.reshape(expected.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-9)


class TestInterventions:
    def test_do(self, model):
        held = pm.do(model, {"weights": np.array([1.0, 0.0])})
        assert "weights" not in [v.name for v in held.free_RVs]
        drawn = pm.sample_prior_predictive(2, model=held, random_seed=1)
        assert drawn["prior_predictive"]["x"].sizes["obs"] == len(ROWS)

    def test_observe(self, model):
        seen = pm.observe(model, {"means": TRUTH.means})
        free = {v.name for v in model.free_RVs}
        assert {v.name for v in seen.free_RVs} == free - {"means"}
        assert np.isfinite(seen.compile_logp()(seen.initial_point()))


class TestSearches:
    @pytest.mark.slow
    def test_the_mode_is_that_of_em(self):
        """Both maximize the density in the parameters, but for the measure of the covariances."""
        prior = bm.fraley_raftery(ROWS, 2)
        mix = bm.Mixture(bm.Dirichlet(2), prior, "spherical")
        point = bm.fit_em(mix, ROWS, random_seed=1)["point_estimate"]
        values = initial_values(
            mix, *(point[n].values for n in ("weights", "means", "covariances"))
        )
        found = pm.find_MAP(
            model=bm.build_model(mix, ROWS),
            initvals=values,
            jitter=0,
            return_inferencedata=True,
            **QUIET,
        )
        np.testing.assert_allclose(
            found["posterior"]["means"][0, 0], point["means"], atol=0.02 * float(ROWS.std().max())
        )
        assert_readable(found)

    @pytest.mark.slow
    def test_smc(self, model):
        with model:
            found = pm.sample_smc(60, chains=2, cores=1, compute_convergence_checks=False, **QUIET)
        evidence = [
            np.ravel(v)[-1] for v in found["sample_stats"]["log_marginal_likelihood"].values
        ]
        assert np.isfinite(np.asarray(evidence, float)).all()
        assert_readable(found)

    @pytest.mark.slow
    def test_variational(self, model, start):
        found = pm.fit(500, model=model, start=start, **QUIET).sample(80, random_seed=1)
        assert_readable(found)


def assert_readable(tree: xr.DataTree) -> None:
    """Every function takes the tree as it is."""
    quantities = {str(n).partition("[")[0] for n in bm.summary(tree).index}
    assert {"log_likelihood_total", "weights_sorted", "log_density_points"} <= quantities
    bm.diagnose(tree)
    relabeled = bm.relabel(tree)
    assert bm.membership(relabeled)["probability"].sizes["obs"] == len(ROWS)
    assert bm.n_clusters(tree).index.max() <= 2
    plots.clusters(relabeled)
    plots.density(relabeled, feature="a")


class TestResults:
    def test_are_read(self, post):
        assert_readable(post)
        plots.traces(post)

    def test_are_compared(self, post, em):
        bm.compare_to_posterior(em, post)

    @pytest.mark.slow
    def test_sticks_are_read(self):
        weights = bm.DirichletProcess(bm.Gamma(2, 4), truncation=2)
        model = bm.build_model(mixture(weights), ROWS)
        tree = pm.fit(300, model=model, **QUIET).sample(80, random_seed=1)
        assert_readable(tree)
        assert set(tree["posterior"]) >= {"concentration", "stick_logits", "weights"}

    def test_label_invariant(self, post):
        found = label_invariant(post, random_seed=1)
        expected = log_likelihoods(post, ROWS.to_numpy()).sum(axis=-1)
        np.testing.assert_allclose(
            found["log_likelihood_total"].values.ravel(), expected, rtol=1e-9
        )


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["nutpie", "pymc"])
def test_compiled_sampling(sampler):
    """PyMC's default sampler and its own, on compiled graphs: the same posterior as Gibbs'."""
    with pytensor.config.change_flags(mode="Mode"):
        model = bm.build_model(mixture(), ROWS)
        tree = sample(model, draws=400, tune=400, nuts_sampler=sampler)
    other = bm.sample(mixture(), ROWS, sampler="gibbs", draws=2000, random_seed=1)
    for name in ("log_likelihood_total", "weight_entropy"):
        one, two = (label_invariant(t, random_seed=1)[name] for t in (tree, other))
        error = np.hypot(*(float(az.mcse(v.to_dataset(name="v"))["v"]) for v in (one, two)))
        assert abs(float(one.mean() - two.mean())) < 5 * error
