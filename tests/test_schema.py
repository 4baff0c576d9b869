"""Law 9: trees follow the schema and survive netCDF; faults are named."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesmix as bm
from bayesmix import schema
from tests.support import (
    STICKS,
    STRUCTURES,
    blobs,
    random_covariances,
    random_independent_prior,
    random_prior,
)

N, K, D = 40, 3, 2
RANDOM = tuple(f"{s}, random scale" for s in STRUCTURES)


def em_tree(structure: str = "full", prior=None, **options) -> xr.DataTree:
    mixture = bm.Mixture(bm.Dirichlet(K), prior or random_prior(D), structure)
    x = pd.DataFrame(blobs(N, D, K), columns=["a", "b"])
    return bm.fit_em(mixture, x, **{"n_init": 3, "random_seed": 4, **options})


def made_up_draws(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Draw two chains of five points: weights, means, covariances."""
    weights = rng.dirichlet(np.ones(K), size=(2, 5))
    means = rng.normal(size=(2, 5, K, D))
    covariances = random_covariances("full", 10 * K, D, rng).reshape(2, 5, K, D, D)
    return weights, means, covariances


def sparse_tree() -> xr.DataTree:
    """Made-up draws with everything random that can be, and the state of a sampler."""
    rng = np.random.default_rng(1)
    scale = rng.gamma(5, size=(2, 5, D, 1)) * np.eye(D)
    draws = schema.posterior(
        *made_up_draws(rng), ("a", "b"), scale, concentration=rng.gamma(2, size=(2, 5))
    )
    state = xr.Dataset(
        {"label": (("chain", "obs"), np.zeros((2, N), np.int8)), "seen": ("chain", [3, 4])}
    )
    prior = random_independent_prior(D, random_scale=True)
    mixture = bm.Mixture(bm.Dirichlet(K, bm.Gamma(1, 20)), prior)
    tree = schema.root({"posterior": draws, "sampler_state": state}, mixture, 4, 1.5)
    tree.attrs["sampler"] = "gibbs"
    return tree


def sticks_tree() -> xr.DataTree:
    """Made-up draws under truncated weights whose concentration and discount are random."""
    rng = np.random.default_rng(2)
    draws = schema.posterior(
        *made_up_draws(rng),
        ("a", "b"),
        concentration=rng.gamma(2, size=(2, 5)),
        discount=rng.uniform(size=(2, 5)),
    )
    mixture = bm.Mixture(STICKS["PY Gamma Beta"], random_prior(D))
    tree = schema.root({"posterior": draws}, mixture, 4, 1.5)
    tree.attrs["truncation_error"] = 0.25
    return tree


def draws_tree() -> xr.DataTree:
    """Made-up draws with every group of the schema that is not a sampler's own."""
    rng = np.random.default_rng(0)
    draws = schema.posterior(*made_up_draws(rng), ("a", "b"))
    em = em_tree()
    sample = {"chain": [0, 1], "draw": range(5)}
    scalar = xr.DataArray(rng.normal(size=(2, 5)), coords=sample, dims=("chain", "draw"))
    label = scalar.expand_dims(obs=N, axis=2).astype(np.int8)
    groups = {
        "posterior": draws.assign(n_clusters=scalar.astype(np.int8)),
        "allocation": xr.Dataset({"label": label}),
        "sample_stats": xr.Dataset({"lp": scalar, "log_likelihood_total": scalar}),
        "log_likelihood": xr.Dataset({"x": label.astype(float)}),
        "relabeling": xr.Dataset({"permutation": scalar.expand_dims(component=K, axis=2)}),
        **{name: em[name].to_dataset() for name in em.children},
    }
    return schema.root(groups, schema.mixture_of(em), 4, 1.5)


@pytest.fixture(scope="module")
def trees() -> dict[str, xr.DataTree]:
    random = random_independent_prior(D, random_scale=True)
    return {
        **{s: em_tree(s) for s in STRUCTURES},
        **{f"{s}, random scale": em_tree(s, random) for s in STRUCTURES},
        "stated scale": em_tree("full", random_independent_prior(D)),
        "draws": draws_tree(),
        "sparse": sparse_tree(),
        "sticks": sticks_tree(),
    }


@pytest.fixture(params=[*STRUCTURES, *RANDOM, "stated scale", "draws", "sparse", "sticks"])
def tree(request, trees) -> xr.DataTree:
    return trees[request.param].copy(deep=True)


def test_trees_validate_and_survive_netcdf(tree, tmp_path):
    bm.validate(tree)
    path = tmp_path / "tree.nc"
    tree.to_netcdf(path)
    loaded = bm.load(str(path))
    for node in loaded.subtree:
        assert all(v.variable._in_memory for v in node.data_vars.values())
    assert loaded.identical(tree)
    assert schema.mixture_of(loaded) == schema.mixture_of(tree)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_random_scale_is_stored_where_em_holds_it(trees, structure):
    """Shape / rate, at least the floor; one number for spherical."""
    assert "covariance_scale" not in trees["stated scale"].point_estimate
    tree = trees[f"{structure}, random scale"]
    found = tree.point_estimate["covariance_scale"]
    assert found.dims == ("feature", "feature_bis")
    shape, rate, floor = schema.mixture_of(tree).components.scale_hyperprior
    mean = shape / np.asarray(rate)
    assert mean[0] > floor[0]  # the first is held at its mean, the second at its floor
    assert mean[1] < floor[1]
    expected = [mean[0], floor[1]]
    if structure == "spherical":
        expected = [max(mean.mean(), np.mean(floor))] * 2
    np.testing.assert_allclose(found, np.diag(expected), rtol=1e-15)
    draws = bm.as_draws(tree).posterior["covariance_scale"]
    assert draws.dims == ("chain", "draw", "feature", "feature_bis")


@pytest.mark.parametrize(
    ("name", "change", "match"),
    [
        (
            "full, random scale",
            lambda point: point.drop_vars("covariance_scale"),
            "point_estimate: expected a variable 'covariance_scale', because the model has a "
            "scale_hyperprior, got none",
        ),
        (
            "full",
            lambda point: point.assign(covariance_scale=(("feature", "feature_bis"), np.eye(D))),
            "point_estimate: expected no variable 'covariance_scale', .*, got one",
        ),
        (
            "full, random scale",
            lambda point: point.assign(covariance_scale=point["covariance_scale"] + 0.1),
            "point_estimate.covariance_scale: expected diagonal matrices",
        ),
        (
            "full, random scale",
            lambda point: point.assign(covariance_scale=-point["covariance_scale"]),
            "point_estimate.covariance_scale: expected diagonal matrices with finite entries",
        ),
        (
            "full, random scale",
            lambda point: point.assign(covariance_scale=point["covariance_scale"] * np.nan),
            "point_estimate.covariance_scale: expected diagonal matrices with finite entries",
        ),
        (
            "full, random scale",
            lambda point: point.assign(covariance_scale=point["covariance_scale"][0]),
            r"point_estimate.covariance_scale: expected dims \('feature', 'feature_bis'\)",
        ),
    ],
)
def test_faulty_scales_are_named(trees, name, change, match):
    tree = trees[name].copy(deep=True)
    tree["point_estimate"] = xr.DataTree(change(tree.point_estimate.to_dataset()))
    with pytest.raises(ValueError, match=match) as caught:
        bm.validate(tree)
    assert "\n" not in str(caught.value)


def test_dims_coords_and_attributes(trees):
    tree = trees["full"]
    assert set(tree.children) == {"point_estimate", "optimization", "observed_data"}
    for group in tree.children:
        found = {str(n): v.dims for n, v in tree[group].data_vars.items()}
        assert found == {
            name: dims for name, dims in schema.SCHEMA[group].items() if name != "covariance_scale"
        }
    point = tree.point_estimate
    assert list(point["feature"].values) == list(point["feature_bis"].values) == ["a", "b"]
    assert point["weights"].dims == ("component",)
    assert point["means"].dims == ("component", "feature")
    assert point["covariances"].dims == ("component", "feature", "feature_bis")
    assert list(point["component"].values) == [0, 1, 2]
    assert tree.observed_data["obs"].to_index().equals(pd.RangeIndex(N))
    assert tree.attrs["random_seed"] == 4
    assert tree.attrs["seconds"] > 0
    assert json.loads(tree.attrs["versions"])["bayesmix"] == bm.__version__
    status = tree.optimization["status"]
    assert status.dtype == np.int8
    names = dict(
        zip(status.attrs["flag_values"], status.attrs["flag_meanings"].split(), strict=True)
    )
    assert names[status.values[tree.optimization.attrs["best_restart"]]] == "converged"
    trace = tree.optimization["objective_trace"].values
    length = np.isfinite(trace).sum(axis=1)
    np.testing.assert_array_equal(length - 1, tree.optimization["n_iter"])
    last = trace[np.arange(len(trace)), length - 1]
    np.testing.assert_array_equal(last, tree.optimization["objective"])


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (pd.Index([f"row {i}" for i in range(N)]), None),
        (pd.Index(range(100, 100 + N)), None),
        (pd.Index(np.linspace(0, 1, N)), None),
        (pd.date_range("2020-01-01", periods=N), None),
        (pd.Index([1, "a"] * (N // 2), dtype=object), ["1", "a"] * (N // 2)),
        (pd.Index([True, False] * (N // 2)), ["True", "False"] * (N // 2)),
        (
            pd.MultiIndex.from_product([["p", "q"], range(N // 2)]),
            [str((g, i)) for g in "pq" for i in range(N // 2)],
        ),
    ],
    ids=["text", "integer", "float", "date", "mixed", "boolean", "multi"],
)
def test_any_index_survives(index, expected, tmp_path):
    x = pd.DataFrame(blobs(N, D, K), index=index, columns=["a", 7])
    tree = bm.fit_em(
        bm.Mixture(bm.Dirichlet(K), random_prior(D)), x, n_init=2, max_iter=500, random_seed=1
    )
    tree.to_netcdf(tmp_path / "tree.nc")
    loaded = bm.load(tmp_path / "tree.nc")
    found = loaded.observed_data["obs"].to_index()
    assert list(found) == list(index if expected is None else expected)
    assert list(loaded.observed_data["feature"].values) == ["a", "7"]
    np.testing.assert_array_equal(loaded.observed_data["x"], x)


@pytest.mark.parametrize(
    ("seed", "kept"),
    [
        (np.int64(5), 5),
        (True, 1),
        (2**80, str(2**80)),
        (None, "None"),
        (np.random.SeedSequence(3), "SeedSequence"),
        (np.random.default_rng(3), "Generator(PCG64)"),
    ],
)
def test_any_seed_survives(seed, kept, tmp_path):
    tree = em_tree(random_seed=seed)
    tree.to_netcdf(tmp_path / "tree.nc")
    found = bm.load(tmp_path / "tree.nc").attrs["random_seed"]
    assert found == kept or str(found).startswith(str(kept))


# One fault planted at a time


def drop_attribute(tree):
    del tree.attrs["seconds"]


def drop_variable(tree):
    tree["optimization"] = tree["optimization"].to_dataset().drop_vars("objective")


def set_values(name, change, group="point_estimate"):
    def fault(tree):
        dataset = tree[group].to_dataset().copy(deep=True)
        change(dataset[name].values)
        tree[group] = dataset

    return fault


def transpose_means(tree):
    dataset = tree["point_estimate"].to_dataset()
    tree["point_estimate"] = dataset.assign(means=dataset["means"].transpose())


def drop_from_posterior(tree, name):
    tree["posterior"] = tree["posterior"].to_dataset().drop_vars(name)


def no_parameters(tree):
    del tree["point_estimate"]


def another_model(tree):
    tree.attrs["bayesmix_model"] = bm.Mixture(bm.Dirichlet(K + 1), random_prior(D)).to_json()


def assign(index, value):
    def change(array):
        array[index] = value

    return change


FAULTS = {
    "attribute missing": (drop_attribute, "expected the attributes seconds"),
    "variable missing": (drop_variable, r"optimization: expected a variable 'objective'"),
    "wrong dims": (transpose_means, r"point_estimate.means: expected dims \('component', 'feat"),
    "no parameters": (no_parameters, "expected a group point_estimate or posterior, got"),
    "wrong model": (another_model, "expected 4 components, as in the model, got 3"),
    "NaN": (set_values("means", assign((0, 1), np.nan)), "means: expected finite values"),
    "negative weight": (
        set_values("weights", assign(slice(None), [-0.5, 0.5, 1.0])),
        "weights: expected weights of at",
    ),
    "weights off one": (set_values("weights", lambda a: a.__imul__(1.01)), "that sum to one"),
    "asymmetric": (
        set_values("covariances", lambda a: a.__setitem__((0, 0, 1), a[0, 1, 0] + 1e-3)),
        "covariances: expected symmetric matrices",
    ),
    "zero variance": (
        set_values("covariances", assign((0, 0, 0), 0.0)),
        "covariances: expected variances above 0",
    ),
    "indefinite": (
        set_values("covariances", assign(0, [[1.0, 2.0], [2.0, 1.0]])),
        "covariances: expected positive definite matrices",
    ),
}
DRAWS_FAULTS = {
    "statistic without draws": (
        lambda tree: tree.__setitem__(
            "sample_stats", tree["sample_stats"].to_dataset().assign(step=("chain", [0.1, 0.2]))
        ),
        r"sample_stats.step: expected dims starting \('chain', 'draw'\)",
    ),
    "draw not finite": (
        set_values("means", assign((1, 4, 2, 1), np.inf), group="posterior"),
        "posterior.means: expected finite values",
    ),
    "draw indefinite": (
        set_values("covariances", assign((1, 4, 2), [[1.0, 2.0], [2.0, 1.0]]), group="posterior"),
        "posterior.covariances: expected positive definite",
    ),
    "label missing": (
        lambda tree: tree.__setitem__(
            "allocation", tree["allocation"].to_dataset().rename(label="z")
        ),
        "allocation: expected a variable 'label'",
    ),
}


SPARSE_FAULTS = {
    "no concentration": (
        lambda tree: drop_from_posterior(tree, "concentration"),
        "posterior: expected a variable 'concentration', because the model has a random "
        "concentration, got none",
    ),
    "no scale": (
        lambda tree: drop_from_posterior(tree, "covariance_scale"),
        "posterior: expected a variable 'covariance_scale', because the model has a scale_hyper",
    ),
    "stated concentration": (
        lambda tree: tree.attrs.update(
            bayesmix_model=bm.Mixture(bm.Dirichlet(K), schema.mixture_of(tree).components).to_json()
        ),
        "posterior: expected no variable 'concentration', because the model has no random "
        "concentration, got one",
    ),
    "concentration of zero": (
        set_values("concentration", assign((1, 2), 0.0), group="posterior"),
        "posterior.concentration: expected finite values above 0",
    ),
    "concentration not finite": (
        set_values("concentration", assign((1, 2), np.nan), group="posterior"),
        "posterior.concentration: expected finite values above 0",
    ),
    "concentration per component": (
        lambda tree: tree.__setitem__(
            "posterior",
            tree.posterior.to_dataset().assign(concentration=tree.posterior["weights"]),
        ),
        r"posterior.concentration: expected dims \('chain', 'draw'\), got",
    ),
    "state without chains": (
        lambda tree: tree.__setitem__("sampler_state", xr.Dataset({"step": ("obs", [0.1])})),
        r"sampler_state.step: expected 'chain' as the first dim, got dims \('obs',\)",
    ),
    "state of all chains": (
        lambda tree: tree.__setitem__("sampler_state", xr.Dataset({"step": 0.1})),
        r"sampler_state.step: expected 'chain' as the first dim, got dims \(\)",
    ),
}


def another_weight_prior(name):
    def change(tree):
        mixture = dataclasses.replace(schema.mixture_of(tree), weights=STICKS[name])
        tree.attrs["bayesmix_model"] = mixture.to_json()

    return change


STICKS_FAULTS = {
    "no discount": (
        lambda tree: drop_from_posterior(tree, "discount"),
        "posterior: expected a variable 'discount', because the model has a random discount, got n",
    ),
    "stated discount": (
        another_weight_prior("PY Gamma"),
        "posterior: expected no variable 'discount', because the model has no random discount",
    ),
    "stated concentration": (
        another_weight_prior("PY Beta"),
        "posterior: expected no variable 'concentration', because the model has no random conc",
    ),
    "Dirichlet process": (
        another_weight_prior("DP Gamma"),
        "posterior: expected no variable 'discount', because the model has no random discount",
    ),
    "discount of one": (
        set_values("discount", assign((0, 3), 1.0), group="posterior"),
        "posterior.discount: expected values between 0 and 1",
    ),
    "discount of zero": (
        set_values("discount", assign((0, 3), 0.0), group="posterior"),
        "posterior.discount: expected values between 0 and 1",
    ),
    "concentration not finite": (
        set_values("concentration", assign((1, 2), np.inf), group="posterior"),
        "posterior.concentration: expected finite values above 0",
    ),
    "no truncation error": (
        lambda tree: tree.attrs.pop("truncation_error"),
        "tree: expected the attribute truncation_error, a finite number .*, got None",
    ),
    "truncation error not a number": (
        lambda tree: tree.attrs.update(truncation_error=np.nan),
        "tree: expected the attribute truncation_error, a finite number .*, got nan",
    ),
    "another truncation": (
        lambda tree: tree.attrs.update(
            bayesmix_model=bm.Mixture(bm.DirichletProcess(truncation=4)).to_json()
        ),
        "posterior.weights: expected 4 components, as in the model, got 3",
    ),
    "infinite": (
        lambda tree: tree.attrs.update(bayesmix_model=bm.Mixture(bm.DirichletProcess()).to_json()),
        "tree: expected a group components, because the number of components varies in the model",
    ),
}


@pytest.mark.parametrize("name", STICKS_FAULTS)
def test_validate_rejects_in_draws_of_sticks(name, trees):
    fault, match = STICKS_FAULTS[name]
    check_rejected(trees["sticks"], fault, match)


def test_only_sticks_are_truncated(trees):
    def fault(tree):
        tree.attrs["truncation_error"] = 0.1

    match = "tree: expected no attribute truncation_error, because the model has no truncation"
    check_rejected(trees["draws"], fault, match)


@pytest.mark.parametrize("name", SPARSE_FAULTS)
def test_validate_rejects_in_sparse_draws(name, trees):
    fault, match = SPARSE_FAULTS[name]
    check_rejected(trees["sparse"], fault, match)


@pytest.mark.parametrize("name", FAULTS)
def test_validate_rejects(name, trees):
    fault, match = FAULTS[name]
    check_rejected(trees["full"], fault, match)


@pytest.mark.parametrize("name", DRAWS_FAULTS)
def test_validate_rejects_in_draws(name, trees):
    fault, match = DRAWS_FAULTS[name]
    check_rejected(trees["draws"], fault, match)


def check_rejected(tree, fault, match):
    broken = tree.copy(deep=True)
    fault(broken)
    with pytest.raises(ValueError, match=match) as caught:
        bm.validate(broken)
    assert "\n" not in str(caught.value)
    bm.validate(tree)


@pytest.mark.parametrize("missing", [("sample_stats", "lp"), ("posterior", "n_clusters")])
def test_what_may_be_left_out(missing, trees):
    group, name = missing
    tree = trees["draws"].copy(deep=True)
    tree[group] = tree[group].to_dataset().drop_vars(name)
    bm.validate(tree)


def test_load_says_what_is_wrong(trees, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"load: expected a file, found none at .*none.nc"):
        bm.load(tmp_path / "none.nc")
    with pytest.raises(FileNotFoundError, match="load: expected a file"):
        bm.load(tmp_path)
    text = tmp_path / "text.nc"
    text.write_text("eruptions,waiting\n3.6,79\n")
    with pytest.raises(ValueError, match=r"load: expected a netCDF file.*text.nc is none"):
        bm.load(text)
    foreign = tmp_path / "foreign.nc"
    xr.Dataset({"a": ((), 1.0)}).to_netcdf(foreign, engine="h5netcdf")
    with pytest.raises(ValueError, match="expected the attributes bayesmix_model, versions"):
        bm.load(foreign)
    broken = trees["full"].copy(deep=True)
    FAULTS["wrong model"][0](broken)
    broken.to_netcdf(tmp_path / "broken.nc")
    with pytest.raises(ValueError, match="expected 4 components"):
        bm.load(tmp_path / "broken.nc")


def test_groups_of_others_pass(trees):
    """ArviZ and PyMC users add groups of their own."""
    tree = trees["full"].copy(deep=True)
    tree["predictions"] = xr.Dataset({"x": ("anything", [1.0])})
    bm.validate(tree)


def test_as_draws(trees):
    tree = trees["tied"]
    draws = bm.as_draws(tree)
    posterior = draws.posterior
    assert posterior["means"].dims == ("chain", "draw", "component", "feature")
    assert posterior.sizes["chain"] == posterior.sizes["draw"] == 1
    for name in ("weights", "means", "covariances"):
        np.testing.assert_array_equal(
            posterior[name].values[0, 0], tree.point_estimate[name].values
        )
    with pytest.raises(
        ValueError, match=r"expected the group point_estimate.*got groups posterior"
    ):
        bm.as_draws(draws)


def test_mixture_of_a_plain_tree():
    assert schema.mixture_of(xr.DataTree()) is None


def test_what_is_no_tree_is_refused_with_what_to_do_about_it():
    unfitted = bm.GaussianMixture(1)
    with pytest.raises(TypeError, match=r"post: expected the whole DataTree .*; fit first"):
        bm.membership(unfitted)
    with pytest.raises(
        TypeError, match=r"got GaussianMixture; sample a posterior of its model, or"
    ):
        bm.membership(unfitted.fit(np.arange(5.0)[:, None]))
