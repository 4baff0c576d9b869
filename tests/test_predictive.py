"""Densities, new rows, tail probabilities and log-likelihoods, on trees of any sampler."""

import types

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import bayesmix as bm
from bayesmix import memory, predictive_sample, schema
from bayesmix.draws import draws_of
from bayesmix.inputs import as_table
from tests.fixtures_post import OVERLAPPING, SEPARATED, completed, parameters_of, planted
from tests.fixtures_varying import planted_varying
from tests.support import STRUCTURES, random_parameters, rows_of

predictive = bm.predictive
X = pd.DataFrame(rows_of(OVERLAPPING, 30), columns=["width", "height"])
PRIOR = bm.NormalInverseWishart([0.5, 0.2], 0.3, 5.0, [[2.0, 0.5], [0.5, 1.0]])


@pytest.fixture(scope="module")
def post():
    """As a user's own sampler makes it: no model, no labels."""
    return planted(OVERLAPPING, X, draws=20)


def by_hand(tree, x, columns=slice(None)):
    """Density of rows at every draw, (S, n), one normal after the other."""
    found = []
    weights, means, covariances = (np.concatenate(a) for a in parameters_of(tree))
    for own in zip(weights, means, covariances, strict=True):
        each = [
            w * stats.multivariate_normal(m[columns], c[columns][:, columns]).pdf(x)
            for w, m, c in zip(*own, strict=True)
        ]
        found.append(np.sum(each, axis=0))
    return np.array(found)


def conjugate_tree(x, draws, seed=0):
    """Independent draws of the posterior of one component."""
    n, d = x.shape
    center, kappa = np.asarray(PRIOR.mean), PRIOR.mean_precision
    shift = x.mean(axis=0) - center
    delta = x - x.mean(axis=0)
    scale = np.asarray(PRIOR.covariance_scale) + delta.T @ delta
    scale = scale + kappa * n / (kappa + n) * np.outer(shift, shift)
    rng = np.random.default_rng(seed)
    covariances = (
        stats.invwishart(PRIOR.dof + n, scale).rvs(draws, random_state=rng).reshape(-1, d, d)
    )
    noise = np.linalg.cholesky(covariances / (kappa + n)) @ rng.standard_normal((draws, d, 1))
    means = (kappa * center + n * x.mean(axis=0)) / (kappa + n) + noise[..., 0]
    table = as_table(x)
    group = schema.posterior(
        np.ones((1, draws, 1)), means[None, :, None], covariances[None, :, None], table.features
    )
    groups = {"posterior": group, "observed_data": schema.observed_data(table)}
    dof = PRIOR.dof + n - d + 1
    shape = scale * (kappa + n + 1) / ((kappa + n) * dof)
    middle = (kappa * center + n * x.mean(axis=0)) / (kappa + n)
    return xr.DataTree.from_dict(groups), stats.multivariate_t(middle, shape, dof)


class TestDensity:
    def test_mean_sd_and_band(self, post):
        found, draws = predictive.density(post, ci_prob=0.8), by_hand(post, X)
        np.testing.assert_allclose(found["density"], draws.mean(axis=0), rtol=1e-10)
        np.testing.assert_allclose(found["density_sd"], draws.std(axis=0), rtol=1e-8)
        for name, q in (("lower", 0.1), ("upper", 0.9)):
            expected = np.quantile(draws, q, axis=0)
            np.testing.assert_allclose(found[f"density_{name}"], expected, rtol=1e-10)
        assert found.attrs["ci_prob"] == 0.8
        assert found.sizes == {"obs": 30}

    def test_log_density(self, post):
        found, draws = predictive.log_density(post, ci_prob=0.8), by_hand(post, X)
        np.testing.assert_allclose(found["log_density"], np.log(draws.mean(axis=0)), rtol=1e-10)
        np.testing.assert_allclose(found["log_density_sd"], np.log(draws).std(axis=0), rtol=1e-8)
        expected = np.quantile(np.log(draws), 0.9, axis=0)
        np.testing.assert_allclose(found["log_density_upper"], expected, rtol=1e-10)

    def test_far_out_the_logarithm_is_finite(self, post):
        at = [[300.0, -300.0]]
        assert predictive.density(post, at)["density"].item() == 0
        assert -1e6 < predictive.log_density(post, at)["log_density"].item() < -1e4

    @pytest.mark.parametrize("structure", STRUCTURES)
    def test_marginal_of_some_features(self, structure):
        point = random_parameters(structure, 2, 3)
        x = rows_of(point, 20)
        mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2), structure)
        tree = schema.as_draws(
            xr.DataTree.from_dict(
                {"point_estimate": schema.point_estimate(*point, ("x0", "x1", "x2"))}
            )
        )
        tree["observed_data"] = xr.DataTree(schema.observed_data(as_table(x)))
        tree.attrs["bayesmix_model"] = mixture.to_json()
        found = predictive.density(tree, features=["x2", "x0"])
        expected = by_hand(tree, x[:, [2, 0]], [2, 0])[0]
        np.testing.assert_allclose(found["density"], expected, rtol=1e-10)

    def test_one_feature_by_its_name(self, post):
        at = [0.0, 1.0, 2.0]
        found = predictive.density(post, at, features="height")["density"]
        np.testing.assert_allclose(found, by_hand(post, at, [1]).mean(axis=0), rtol=1e-10)

    def test_one_component_is_a_student(self):
        tree, student = conjugate_tree(X.to_numpy(), 4000)
        at = X.to_numpy()[:8]
        found = predictive.density(tree, at)
        error = found["density_sd"] / np.sqrt(4000)
        assert np.all(np.abs(found["density"] - student.pdf(at)) < 4.5 * error)

    def test_blocks_of_rows_change_nothing(self, post, monkeypatch):
        whole = predictive.density(post)
        monkeypatch.setattr(memory, "BLOCK_BYTES", 8 * 40 * 7)
        xr.testing.assert_identical(predictive.density(post), whole)

    def test_through_a_file(self, post, tmp_path):
        post.to_netcdf(tmp_path / "post.nc")
        xr.testing.assert_allclose(
            predictive.density(xr.open_datatree(tmp_path / "post.nc")), predictive.density(post)
        )

    def test_mass_on_a_grid_is_one(self, post):
        at = predictive.grid(post, 400, features="width")
        wide = pd.DataFrame({"width": np.linspace(-8, 12, 2000)})
        assert list(at.columns) == ["width"]
        found = predictive.density(post, wide, features="width")["density"]
        assert np.trapezoid(found, wide["width"]) == pytest.approx(1, abs=1e-6)

    def test_a_module(self):
        assert isinstance(bm.predictive, types.ModuleType)


class TestGrid:
    def test_covers_the_data(self, post):
        at = predictive.grid(post, 5)
        assert at.shape == (25, 2)
        low, high = X.min() - 0.1 * np.ptp(X, axis=0), X.max() + 0.1 * np.ptp(X, axis=0)
        np.testing.assert_allclose(at.min(), low)
        np.testing.assert_allclose(at.max(), high)
        assert at["height"].nunique() == 5
        assert np.all(at["height"][:5].diff()[1:] > 0)

    def test_one_place_is_none(self, post):
        with pytest.raises(ValueError, match=r"^size: expected at least 2 values .*, got 1"):
            predictive.grid(post, 1)

    def test_too_many_rows(self, post):
        with pytest.raises(ValueError, match=r"^size: expected at most 1,000,000 rows in all, got"):
            predictive.grid(post, 1001)


class TestRefusals:
    @pytest.mark.parametrize(
        ("x", "features", "message"),
        [
            (None, ["depth"], r"^features: expected distinct names among width, height, got depth"),
            (None, ["width", "width"], r"^features: expected distinct names"),
            (None, [], r"^features: .* got none"),
            (np.zeros((2, 3)), None, r"^x: expected 2 column\(s\), width, height, got 3"),
            (X[["height", "width"]], None, r"^x: expected the columns width, height, got height"),
            (X, "width", r"^x: expected the columns width, got width, height; put"),
            ([[np.nan, 1.0]], None, r"^x: column 'x0' has 1 value"),
        ],
    )
    def test_bad_rows_and_features(self, post, x, features, message):
        with pytest.raises(ValueError, match=message):
            predictive.density(post, x, features=features)

    def test_no_posterior(self):
        with pytest.raises(ValueError, match="expected the group posterior"):
            predictive.density(xr.DataTree())


class TestSample:
    def test_rows_have_the_predictive_law(self, post):
        rows = predictive.sample(post, 20_000, random_seed=1)
        assert list(rows.columns) == ["width", "height"]
        weights, means, covariances = (np.concatenate(a) for a in parameters_of(post))
        for j, name in enumerate(rows):
            at = np.sort(rows[name])[::40]
            sd = np.sqrt(covariances[..., j, j])
            each = stats.norm.cdf(at[:, None, None], means[..., j], sd)
            expected = (each * weights).sum(axis=-1).mean(axis=-1)
            share = (np.arange(len(at)) * 40 + 1) / 20_000
            assert np.abs(share - expected).max() < 1.95 / np.sqrt(20_000)  # Kolmogorov, 0.1 %
        center = np.einsum("sk,ski->si", weights, means)
        second = np.einsum("sk,ski,skj->ij", weights, means, means) / len(weights)
        mean = center.mean(axis=0)
        expected = np.einsum("sk,skij->ij", weights, covariances) / len(weights)
        expected = expected + second - np.outer(mean, mean)
        np.testing.assert_allclose(rows.cov(), expected, atol=4.5 * 4 / np.sqrt(20_000))

    def test_same_seed_same_rows(self, post):
        one, other = (predictive.sample(post, 10, random_seed=4) for _ in range(2))
        pd.testing.assert_frame_equal(one, other)

    def test_size(self, post):
        with pytest.raises(ValueError, match=r"^size: expected a whole number"):
            predictive.sample(post, 0)


def test_new_rows_factorize_each_component_once(post, monkeypatch):
    draws, original, sizes = draws_of(post), np.linalg.cholesky, []

    def watched(matrices):
        sizes.append(len(matrices))
        return original(matrices)

    monkeypatch.setattr(np.linalg, "cholesky", watched)
    rng = np.random.default_rng(1)
    predictive_sample._new_rows(draws, np.full(1000, 3), rng)
    assert sizes == [2]


class TestTailProbability:
    def test_one_component_by_the_chi_square(self):
        tree, _ = conjugate_tree(X.to_numpy(), 50)
        found = predictive.tail_probability(tree)
        expected = []
        for mean, covariance in zip(*(a[0, :, 0] for a in parameters_of(tree)[1:]), strict=True):
            delta = X.to_numpy() - mean
            squares = np.einsum("ni,ij,nj->n", delta, np.linalg.inv(covariance), delta)
            expected.append(stats.chi2.sf(squares, 2))
        np.testing.assert_allclose(found["tail_probability"], np.mean(expected, axis=0), rtol=1e-9)
        np.testing.assert_allclose(
            found["tail_probability_mcse"], np.std(expected, axis=0) / np.sqrt(50), rtol=1e-6
        )

    def test_two_components_by_quadrature(self, post):
        """One feature: where the density is at most as high, summed over a fine line."""
        found = predictive.tail_probability(post, features="width", random_seed=1)
        line = np.linspace(-9, 11, 20_001)
        on_line, own = by_hand(post, line, [0]), by_hand(post, X["width"], [0])
        expected = [
            [(heights * (heights <= at)).sum() * 1e-3 for at in rows]
            for heights, rows in zip(on_line, own, strict=True)
        ]
        error = 4.5 * np.sqrt(0.25 / predictive_sample._NEW_ROWS)
        np.testing.assert_allclose(
            found["tail_probability"], np.mean(expected, axis=0), atol=error + 1e-3
        )

    def test_standard_error_of_one_draw_is_the_spread_over_seeds(self, post, monkeypatch):
        monkeypatch.setattr(predictive_sample, "_NEW_ROWS", 1000)
        one = post.isel(chain=[0], draw=[0])
        found = [predictive.tail_probability(one, X[:8], random_seed=s) for s in range(100)]
        spread = np.std([own["tail_probability"] for own in found], axis=0, ddof=1)
        error = np.mean([own["tail_probability_mcse"] for own in found], axis=0)
        np.testing.assert_allclose(error, spread, rtol=4.5 / np.sqrt(200))

    def test_standard_error_of_many_draws_has_all_of_the_spread(self, monkeypatch):
        """Other draws and other new rows."""
        monkeypatch.setattr(predictive_sample, "_NEW_ROWS", 800)
        trees = [planted(OVERLAPPING, X, draws=20, spread=0.1, seed=s) for s in range(100)]
        found = [
            predictive.tail_probability(tree, X[:8], random_seed=s) for s, tree in enumerate(trees)
        ]
        spread = np.std([own["tail_probability"] for own in found], axis=0, ddof=1)
        error = np.mean([own["tail_probability_mcse"] for own in found], axis=0)
        np.testing.assert_allclose(error, spread, rtol=4.5 / np.sqrt(200))

    def test_an_outlier_is_told(self, post):
        found = predictive.tail_probability(post, [[0.0, 0.0], [15.0, -9.0]], random_seed=1)
        assert found["tail_probability"][0] > 0.3
        assert found["tail_probability"][1] < 1e-4

    def test_of_rows_of_the_model_it_is_uniform(self, post):
        rows = predictive.sample(post, 3000, random_seed=5)
        found = predictive.tail_probability(post, rows, random_seed=6)["tail_probability"]
        assert stats.kstest(found, "uniform").pvalue > 1e-4


class TestLogLikelihood:
    def test_every_row_at_every_draw(self, post):
        tree = predictive.log_likelihood(post)
        found = tree["log_likelihood"]["x"]
        assert found.dims == ("chain", "draw", "obs")
        np.testing.assert_allclose(
            found.values.reshape(40, -1), np.log(by_hand(post, X)), rtol=1e-9
        )
        assert "log_likelihood" not in post.children

    def test_loo_of_one_component_is_exact(self):
        """Each row under the Student density given the others."""
        x = X.to_numpy()
        tree, _ = conjugate_tree(x, 4000)
        found = az.loo(predictive.log_likelihood(tree), pointwise=True)
        expected = [
            conjugate_tree(np.delete(x, i, axis=0), 1)[1].logpdf(x[i]) for i in range(len(x))
        ]
        assert found.elpd == pytest.approx(np.sum(expected), abs=0.15)
        np.testing.assert_allclose(found.elpd_i, expected, atol=0.1)

    def test_of_a_varying_number_of_components(self):
        tree, _ = planted_varying(SEPARATED, rows_of(SEPARATED, 30))
        found = predictive.log_likelihood(tree, random_seed=1)
        total = found["log_likelihood"]["x"].sum("obs")
        own = tree["sample_stats"]["log_likelihood_total"]
        assert total.shape == own.shape
        all_clusters = tree["posterior"]["n_clusters"].values == 3  # nearly all of the weight
        assert np.all(np.abs(total - own).values[all_clusters] < 2)
        bm.validate(found)

    def test_beyond_the_budget(self, post, monkeypatch):
        monkeypatch.setattr(memory, "BUDGET_BYTES", 8 * 40 * 30 - 1)
        with pytest.raises(ValueError, match=r"^log_likelihood: .* GiB; take fewer draws"):
            predictive.log_likelihood(post)

    def test_a_tree_of_ours_stays_valid(self, post):
        mixture = bm.Mixture(bm.Dirichlet(2), PRIOR)
        bm.validate(predictive.log_likelihood(completed(post, mixture)))
