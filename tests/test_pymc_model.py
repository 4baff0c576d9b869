"""What a model may be built from: ordered means, components of one's own, data of any kind."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import lgamma

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from pymc.distributions.transforms import ordered as pymc_ordered
from pytensor.compile.mode import Mode

import bayesmix as bm
from bayesmix import gaussian
from bayesmix.pymc_model import initial_values
from bayesmix.pymc_weights import STICKS as STICK_LOGITS
from tests.support import (
    STICKS,
    blobs,
    random_independent_prior,
    random_parameters,
    random_prior,
)

FAST = Mode(linker="py", optimizer="fast_compile")
STABLE = Mode(linker="py", optimizer="fast_run")
"""With PyTensor's rewrites for numerical stability."""
LINE = np.sort(blobs(40, 1, 3), axis=0)
PRIORS = {
    "NIW": lambda: random_prior(1),
    "independent": lambda: random_independent_prior(1),
    "random scale": lambda: random_independent_prior(1, random_scale=True),
}


def densities(model: pm.Model, mode: Mode = FAST) -> tuple[Callable, Callable]:
    """Value and gradient."""
    return model.compile_logp(mode=mode), model.compile_dlogp(mode=mode)


def deterministics(model: pm.Model, point: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    names = ("weights", "means", "covariances")
    given = model.replace_rvs_by_values([model[name] for name in names])
    function = model.compile_fn(given, inputs=model.value_vars, mode=FAST, on_unused_input="ignore")
    return dict(zip(names, function(point), strict=True))


def moved(model: pm.Model, seed: int = 0, by: float = 0.3) -> dict[str, np.ndarray]:
    """A point about where PyMC starts."""
    rng = np.random.default_rng(seed)
    start = model.initial_point(random_seed=0)
    return {name: value + by * rng.normal(size=value.shape) for name, value in start.items()}


def slow(case):
    """Leave a case to the slow tests."""
    return pytest.param(case, marks=pytest.mark.slow)


class TestOrdered:
    @pytest.mark.parametrize("weights", [slow("Dirichlet"), "DP"])
    @pytest.mark.parametrize("prior", PRIORS)
    def test_density_and_order(self, prior, weights):
        """K! times that of any order where they are in order, over the gaps' logarithms."""
        given = bm.Dirichlet(3) if weights == "Dirichlet" else STICKS["DP"]
        mixture = bm.Mixture(given, PRIORS[prior]())
        model, plain = bm.build_model(mixture, LINE, ordered=True), bm.build_model(mixture, LINE)
        values = moved(model)
        found = deterministics(model, values)["means"][:, 0]
        assert (np.diff(found) > 0).all()
        other = {name: v for name, v in values.items() if not name.startswith("means")}
        prior_value = mixture.components
        scale = np.ravel(prior_value.covariance_scale or prior_value.scale_hyperprior.held)
        unit = np.sqrt(scale / (prior_value.dof + 2))
        other["means_standardized__"] = ((found - prior_value.mean) / unit)[:, None]
        logps = [m.compile_logp(jacobian=False, mode=FAST) for m in (model, plain)]
        np.testing.assert_allclose(logps[0](values), logps[1](other) + lgamma(4), rtol=1e-12)
        jacobians = [
            m.compile_logp(mode=FAST)(v) - one(v)
            for m, v, one in zip((model, plain), (values, other), logps, strict=True)
        ]
        gaps = values["means_ordered__"][1:].sum()
        np.testing.assert_allclose(jacobians[0], jacobians[1] + gaps, rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize("weights", [slow("Dirichlet"), "DP Gamma"])
    @pytest.mark.parametrize("prior", PRIORS)
    def test_starts(self, prior, weights):
        given = bm.Dirichlet(3) if weights == "Dirichlet" else STICKS[weights]
        model = bm.build_model(bm.Mixture(given, PRIORS[prior]()), LINE, ordered=True)
        value, slope = densities(model)
        start = model.initial_point(random_seed=0)
        assert np.isfinite(value(start))
        assert np.isfinite(slope(start)).all()

    def test_draws_from_the_prior_are_in_order(self):
        model = bm.build_model(
            bm.Mixture(bm.Dirichlet(3), PRIORS["independent"]()), LINE, ordered=True
        )
        drawn = pm.draw(model["means"], 50, random_seed=1, mode=FAST)
        assert (np.diff(drawn[..., 0], axis=-1) > 0).all()
        tied = bm.Mixture(bm.Dirichlet(3), random_prior(1), "tied")
        drawn = pm.draw(bm.build_model(tied, LINE, ordered=True)["means"], 50, mode=FAST)
        assert (np.diff(drawn[..., 0], axis=-1) > 0).all()

    def test_draws_from_a_prior_that_ties_means_to_variances_are_refused(self):
        model = bm.build_model(bm.Mixture(bm.Dirichlet(3), random_prior(1)), LINE, ordered=True)
        with pytest.raises(
            NotImplementedError, match=r"alike given the covariances.*ordered=False"
        ):
            pm.draw(model["means"], mode=FAST)

    def test_is_for_one_feature_of_ours(self):
        mixture = bm.Mixture(bm.Dirichlet(2), random_prior(2))
        with pytest.raises(ValueError, match=r"expected one feature.*got 2 features; leave it out"):
            bm.build_model(mixture, blobs(20, 2, 2), ordered=True)
        with pytest.raises(ValueError, match=r"got components of your own.*inside components"):
            bm.build_model(bm.Mixture(bm.Dirichlet(2)), LINE, components=line, ordered=True)


def line(n_components: int, n_features: int) -> tuple:
    """The textbook mixture of two normals on a line."""
    mean = pm.Normal("mu", 0, 2, shape=n_components, transform=pymc_ordered)
    sd = pm.HalfNormal("sigma", 2, shape=n_components)
    return mean[:, None], sd[:, None, None]


def correlated(n_components: int, n_features: int) -> tuple:
    """Standard deviations and LKJ correlations."""
    mean = pm.Normal("means", 0, 5, dims=("component", "feature"))
    sd = pm.HalfNormal("sd", 2, dims=("component", "feature"))
    shape = (n_components, n_features, n_features)
    root = pm.LKJCorr("root", n=n_features, eta=2, shape=shape)
    return mean, sd[..., None] * root


def another_covariances(k: int, d: int) -> tuple:
    pm.HalfNormal("covariances", shape=(k, 1, 1))
    return pt.zeros((k, d)), np.tile(np.eye(d), (k, 1, 1))


def another_means(k: int, d: int) -> tuple:
    return 2 * pm.Normal("means", shape=(k, d)), np.tile(np.eye(d), (k, 1, 1))


MISTAKES = [
    (lambda k, d: pt.zeros((k, d)), TypeError, r"return \(means, cholesky factors"),
    (
        lambda k, d: (pt.zeros((k, d + 1)), pt.zeros((k, d, d))),
        ValueError,
        r"means of shape \(2, 3\), got \(2, 4\)",
    ),
    (
        lambda k, d: (pt.zeros((k, d)), pt.eye(d)),
        ValueError,
        r"Cholesky factors.*\(2, 3, 3\), got \(3, 3\)",
    ),
    (another_covariances, ValueError, r"'covariances' to be free.*rename it"),
    (another_means, ValueError, r"'means' to be free.*rename it"),
    (random_prior(3), TypeError, r"expected a function of \(n_components, n_features\), got Norm"),
]


class TestOwnComponents:
    def test_is_the_stock_model(self):
        """Scales sigma ~ HalfNormal(2), mu ~ Normal(0, 2) ordered, theta ~ Beta(5, 5)."""
        y = LINE[:, 0] / 3
        ours = bm.build_model(bm.Mixture(bm.Dirichlet(2, 5.0)), y[:, None], components=line)
        with pm.Model() as stock:
            weights = pm.Dirichlet("weights", [5.0, 5.0])
            mean = pm.Normal("mu", 0, 2, shape=2, transform=pymc_ordered)
            sd = pm.HalfNormal("sigma", 2, shape=2)
            pm.NormalMixture("x", weights, mean, sd, observed=y)
        assert [v.name for v in ours.value_vars] == [v.name for v in stock.value_vars]
        for seed in range(3):
            rng = np.random.default_rng(seed)
            point = {v.name: rng.normal(size=2) for v in ours.value_vars}
            point["weights_simplex__"] = rng.normal(size=1)
            for a, b in zip(densities(ours), densities(stock), strict=True):
                np.testing.assert_allclose(a(point), b(point), rtol=1e-9, atol=1e-9)

    @pytest.mark.slow
    @pytest.mark.parametrize("likelihood", ["op", "graph"])
    def test_correlated(self, likelihood):
        """Means and covariances by the schema's names, which the likelihood is made of."""
        x = blobs(30, 3, 2)
        mixture = bm.Mixture(bm.Dirichlet(2))
        model = bm.build_model(mixture, x, components=correlated, likelihood=likelihood)
        assert {"means", "covariances"} <= set(model.named_vars)
        assert model["means"] in model.free_RVs
        point = moved(model)
        rows = model.compile_fn(
            model.logp(vars=[model["x"]], sum=False)[0],
            inputs=model.value_vars,
            mode=FAST,
            on_unused_input="ignore",
        )
        parts = deterministics(model, point)
        expected = gaussian.log_density(x, *parts.values())
        np.testing.assert_allclose(rows(point), expected, rtol=1e-9)

    @pytest.mark.slow
    def test_gradient(self):
        mixture = bm.Mixture(STICKS["DP Gamma"])
        x = blobs(30, 3, 2)
        one, two = (
            densities(bm.build_model(mixture, x, components=correlated, likelihood=kind))[1]
            for kind in ("op", "graph")
        )
        point = moved(bm.build_model(mixture, x, components=correlated))
        np.testing.assert_allclose(one(point), two(point), rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize(("components", "error", "match"), MISTAKES)
    def test_mistakes(self, components, error, match):
        with pytest.raises(error, match=match):
            bm.build_model(bm.Mixture(bm.Dirichlet(2)), blobs(9, 3, 2), components=components)

    @pytest.mark.parametrize(
        "mixture",
        [
            bm.Mixture(bm.Dirichlet(2), random_prior(3)),
            bm.Mixture(bm.Dirichlet(2), covariance_type="diag"),
        ],
    )
    def test_one_prior_of_the_components(self, mixture):
        with pytest.raises(
            ValueError, match=r"(?s)leaves means and covariances to the function.*give"
        ):
            bm.build_model(mixture, blobs(9, 3, 2), components=correlated)


@cache
def stable(rows: str, weights: str, likelihood: str) -> tuple[pm.Model, Callable, Callable]:
    x = {
        "equal": np.full((20, 2), 7.5),
        "one": np.array([[1.0, 2.0]]),
        "plain": blobs(30, 2, 3),
    }[rows]
    given = {"Dirichlet": bm.Dirichlet(3), "sparse": bm.Dirichlet(3, bm.Gamma(1, 20))} | STICKS
    model = bm.build_model(bm.Mixture(given[weights], random_prior(2)), x, likelihood=likelihood)
    return model, *densities(model, STABLE)


@pytest.mark.parametrize("likelihood", ["op", "graph"])
class TestHardPlaces:
    """No gradient is no number."""

    @pytest.mark.parametrize("rows", [slow("equal"), "one"])
    def test_rows(self, rows, likelihood):
        model, value, slope = stable(rows, "Dirichlet", likelihood)
        for point in (model.initial_point(random_seed=0), moved(model, by=1.0)):
            assert np.isfinite(value(point))
            assert np.isfinite(slope(point)).all()

    @pytest.mark.parametrize("weights", ["Dirichlet", "sparse", "DP", "PY Gamma Beta"])
    @pytest.mark.parametrize("far", [40.0, *map(slow, (300.0, 800.0, -40.0, -300.0)), -800.0])
    def test_weights_of_nothing(self, weights, far, likelihood):
        model, value, slope = stable("plain", weights, likelihood)
        point = model.initial_point(random_seed=0)
        name = next(n for n in point if n.startswith(("weights", STICK_LOGITS)))
        point[name] = far * np.array([1.0, -0.5])
        assert np.isfinite(value(point))
        assert np.isfinite(slope(point)).all()


def test_more_features_than_rows():
    x = blobs(4, 9, 1)
    model = bm.build_model(bm.Mixture(bm.Dirichlet(2), bm.weakly_informative(x)), x)
    value, slope = densities(model)
    point = moved(model)
    assert np.isfinite(value(point))
    assert np.isfinite(slope(point)).all()


@pytest.mark.parametrize("structure", ["full", *map(slow, ("tied", "diag", "spherical"))])
def test_op_and_graph_are_one_model(structure):
    for prior in (random_prior(2), random_independent_prior(2, random_scale=True)):
        mixture = bm.Mixture(bm.Dirichlet(3), prior, structure)
        x = blobs(200, 2, 3)
        one, two = (bm.build_model(mixture, x, likelihood=kind) for kind in ("op", "graph"))
        point = moved(one)
        for a, b in zip(densities(one), densities(two), strict=True):
            np.testing.assert_allclose(
                a(point), b(point), rtol=1e-10, atol=1e-10 * np.abs(b(point)).max()
            )


def test_unknown_likelihood():
    with pytest.raises(ValueError, match='likelihood: expected "op" or "graph", got \'fast\''):
        bm.build_model(bm.Mixture(bm.Dirichlet(2), random_prior(1)), LINE, likelihood="fast")


def test_an_infinite_process_is_cut_where_the_rows_hardly_tell():
    mixture = bm.Mixture(bm.DirichletProcess(0.5), random_prior(1))
    model = bm.build_model(mixture, LINE)
    assert len(model.coords["component"]) == mixture.truncated(len(LINE)).n_components
    one = bm.Mixture(bm.DirichletProcess(0.5, truncation=1), random_prior(1))
    assert STICK_LOGITS not in bm.build_model(one, LINE).named_vars


def test_initial_values_are_a_point_of_the_model():
    for weights in (bm.Dirichlet(3, bm.Gamma(2, 2)), STICKS["PY Gamma Beta"]):
        mixture = bm.Mixture(weights, random_independent_prior(2, random_scale=True))
        model = bm.build_model(mixture, blobs(20, 2, 3))
        values = initial_values(mixture, *random_parameters("full", 3, 2))
        assert set(values) == {v.name for v in model.free_RVs}
        with pytensor.config.change_flags(mode="FAST_COMPILE", cxx=""):
            from pymc.initial_point import make_initial_point_fn

            point = make_initial_point_fn(model=model, overrides=values)(0)
        assert np.isfinite(model.compile_logp(mode=FAST)(point))
