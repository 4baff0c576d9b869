"""Trees that others made: what is read from parameters and rows does not depend on their origin."""

from __future__ import annotations

import warnings
from functools import cache

import arviz as az
import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
import xarray as xr

import bayesmix as bm
from bayesmix import gaussian
from bayesmix.diagnostics import label_invariant
from tests.fixtures_post import frame, model, sample_quietly, sampled

ROWS = frame()
NAMES = ("weights", "means", "covariances")
DIMS = {
    "weights": ["component"],
    "means": ["component", "feature"],
    "covariances": ["component", "feature", "feature_bis"],
    "x": ["obs", "feature"],
}


def log_density(value, weights, means, sd):
    """Rows under a mixture of independent normals, as a user of PyMC may write it."""
    rows = pm.logp(pm.Normal.dist(means, sd), value[:, None, :]).sum(axis=-1)
    return pm.math.logsumexp(pt.log(weights) + rows, axis=-1)


@cache
def of_pymc(*, named: bool = True) -> xr.DataTree:
    """Sample a model that knows nothing of bayesmix, its dims named as bayesmix has them or not."""
    component, feature, other = (
        ("component", "feature", "feature_bis") if named else ("c", "f", "g")
    )
    columns = list(ROWS.columns)
    coords = {component: [0, 1], feature: columns, other: columns, "obs": ROWS.index}
    with pm.Model(coords=coords), warnings.catch_warnings():
        weights = pm.Dirichlet("weights", np.ones(2), dims=component)
        center = ROWS.mean().to_numpy()
        means = pm.Normal("means", center, 10.0, dims=(component, feature))
        sd = pm.HalfNormal("sd", 5.0, dims=(component, feature))
        covariances = sd[:, :, None] ** 2 * np.eye(2)
        pm.Deterministic("covariances", covariances, dims=(component, feature, other))
        pm.CustomDist(
            "x",
            weights,
            means,
            sd,
            logp=log_density,
            signature="(k),(k,d),(k,d)->(d)",
            observed=ROWS.to_numpy(),
            dims=("obs", feature),
        )
        warnings.simplefilter("ignore", RuntimeWarning)  # trajectories that leave the numbers
        return pm.sample(
            draws=60,
            tune=100,
            chains=2,
            cores=1,
            nuts_sampler="pymc",
            random_seed=1,
            progressbar=False,
            compute_convergence_checks=False,
            quiet=True,
        )


@cache
def of_gibbs() -> xr.DataTree:
    return sample_quietly(model("full"), ROWS, sampler="gibbs", draws=60, chains=2, random_seed=1)


MAKERS = {"gibbs": of_gibbs, "nuts": lambda: sampled("full"), "pymc": of_pymc}


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("nuts", "pymc")]


@pytest.fixture(params=["gibbs", *SLOW], scope="module")
def tree(request) -> xr.DataTree:
    return MAKERS[request.param]()


def arrays_of(tree: xr.DataTree) -> dict[str, np.ndarray]:
    return {name: tree["posterior"][name].values for name in NAMES}


def by_hand(tree: xr.DataTree, tmp_path) -> xr.DataTree:
    """Nothing but arrays, without coordinates."""
    posterior = {n: (("chain", "draw", *DIMS[n]), v) for n, v in arrays_of(tree).items()}
    x = ROWS.to_numpy()
    observed = xr.Dataset({"x": (("obs", "feature"), x)})
    return xr.DataTree.from_dict({"posterior": xr.Dataset(posterior), "observed_data": observed})


def by_arviz(tree: xr.DataTree, tmp_path) -> xr.DataTree:
    groups = {"posterior": arrays_of(tree), "observed_data": {"x": ROWS.to_numpy()}}
    return az.from_dict(groups, dims=DIMS)


def turned(tree: xr.DataTree, tmp_path) -> xr.DataTree:
    """Dims in another order, and variables of the user's own."""
    other = tree.copy()
    posterior = tree["posterior"].to_dataset().transpose("feature_bis", "feature", ...)
    own = posterior["weights"].rename(component="mine") ** 2
    other["posterior"] = xr.DataTree(posterior.assign(own=own).transpose(..., "draw", "chain"))
    return other


def saved(tree: xr.DataTree, tmp_path) -> xr.DataTree:
    """Written and read: a tree of bayesmix by `load`, another as xarray does it."""
    path = tmp_path / "tree.nc"
    tree.to_netcdf(path, engine="h5netcdf")
    if "bayesmix_model" in tree.attrs:
        return bm.load(path)
    with xr.open_datatree(path, engine="h5netcdf") as file:
        return file.load()


def by_hand_and_saved(tree: xr.DataTree, tmp_path) -> xr.DataTree:
    return saved(by_hand(tree, tmp_path), tmp_path)


FORMS = (by_hand, by_arviz, turned, saved, by_hand_and_saved)


@pytest.fixture(params=FORMS, ids=lambda form: form.__name__, scope="module")
def other(request, tree, tmp_path_factory) -> xr.DataTree:
    """The same draws in another form; not to be changed in place."""
    return request.param(tree, tmp_path_factory.mktemp("trees"))


@cache
def em() -> xr.DataTree:
    return bm.fit_em(model("full"), ROWS, random_seed=1)


def point(*, named: bool) -> xr.Dataset:
    group = em()["point_estimate"].to_dataset()
    return group if named else group.drop_vars(("feature", "feature_bis"))


def reference_for(tree: xr.DataTree) -> xr.Dataset:
    return point(named="width" in tree["posterior"].to_dataset()["feature"].values)


def ordered(dataset: xr.Dataset, name: str) -> np.ndarray:
    return dataset[name].transpose("chain", "draw", ...).values


def test_components_and_memberships(tree, other):
    """After a match to the same reference they are the same numbers."""
    expected = bm.relabel(tree, reference=point(named=True))
    found = bm.relabel(other, reference=reference_for(other))
    for name in NAMES:
        one, two = (t["posterior"].to_dataset() for t in (expected, found))
        dims = ("chain", "draw", *DIMS[name])
        np.testing.assert_array_equal(two[name].transpose(*dims), one[name].transpose(*dims))
    one, two = (bm.membership(t) for t in (expected, found))
    for name in ("probability", "probability_sd", "entropy", "label", "label_probability"):
        np.testing.assert_allclose(two[name], one[name], rtol=0, atol=1e-12, err_msg=name)


def test_memberships_are_means_of_responsibilities(tree):
    relabeled = bm.relabel(tree)
    values = [ordered(relabeled["posterior"].to_dataset(), name) for name in NAMES]
    resp = gaussian.responsibilities(ROWS.to_numpy(), *values)
    found = bm.membership(relabeled)["probability"]
    np.testing.assert_allclose(found, resp.mean(axis=(0, 1)), rtol=0, atol=1e-12)


def test_new_rows(other):
    """Rows that repeat old ones get their probabilities."""
    relabeled = bm.relabel(other)
    old = bm.membership(relabeled)["probability"].values[5:9]
    new = bm.membership(relabeled, ROWS.to_numpy()[5:9])["probability"]
    np.testing.assert_allclose(new, old, rtol=0, atol=1e-12)


def test_label_invariant_quantities(tree, other):
    one, two = (label_invariant(t, random_seed=1) for t in (tree, other))
    for name in ("log_likelihood_total", "weight_entropy", "weights_sorted", "log_density_points"):
        np.testing.assert_allclose(ordered(two, name), ordered(one, name), rtol=1e-9, err_msg=name)
    assert two["n_clusters"].shape == one["n_clusters"].shape


def test_summary(tree, other):
    one, two = bm.summary(tree), bm.summary(other)
    rows = [name for name in one.index if str(name).startswith(("log_", "weight"))]
    rows = [name for name in rows if not str(name).startswith("weights[")]
    assert len(rows) >= 8
    for column, tolerance in {"mean": 1e-6, "sd": 1e-6, "ess_bulk": 1e-2, "r_hat": 1e-2}.items():
        # the last two rank draws, and rounding ranks the pair about the median
        np.testing.assert_allclose(two.loc[rows, column], one.loc[rows, column], rtol=tolerance)
    assert len(two) == len(one)
    assert two.attrs["advice"]


def test_findings(tree, other):
    """The same verdict of R-hat, and every warning says what to do."""
    one, two = ({f.check: f for f in bm.diagnose(t)} for t in (tree, other))
    assert {"r_hat", "ess", "identification"} <= set(two)
    assert two["r_hat"].severity == one["r_hat"].severity
    assert two["identification"].severity == one["identification"].severity
    assert all(f.remedy for f in two.values() if f.severity == "warning")


def test_number_of_clusters(tree, other):
    """Labels that a tree lacks are drawn: both shares are those of so many draws."""
    one, two = (bm.n_clusters(t)["n_clusters"] for t in (tree, other))
    n = tree["posterior"].sizes["chain"] * tree["posterior"].sizes["draw"]
    error = np.sqrt(2 * one * (1 - one) / n) + 1 / n
    assert two.sum() == pytest.approx(1)
    assert (np.abs(two.reindex(one.index, fill_value=0) - one) < 5 * error).all()


def test_comparison(tree, other):
    unnamed = em().copy()
    unnamed["point_estimate"] = xr.DataTree(reference_for(other))
    one, two = bm.compare_to_posterior(em(), tree), bm.compare_to_posterior(unnamed, other)
    columns = ["point", "mean", "sd", "lower", "upper", "z"]
    np.testing.assert_allclose(two.components[columns], one.components[columns], rtol=1e-9)
    rows = ["point_probability", "posterior_probability", "label_probability"]
    np.testing.assert_allclose(two.memberships[rows], one.memberships[rows], rtol=0, atol=1e-12)
    assert two.n_overconfident == one.n_overconfident


def test_predictions(tree, other):
    rows = ROWS.to_numpy()[:4]
    one, two = (bm.predictive.density(t, rows) for t in (tree, other))
    for name in one.data_vars:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-9, err_msg=name)
    feature = tree["posterior"].to_dataset()["feature"].values[:1]
    of_other = other["posterior"].to_dataset()["feature"].values[:1]
    one = bm.predictive.conditional(tree, rows[:, :1], features=feature)
    two = bm.predictive.conditional(other, rows[:, :1], features=[str(of_other[0])])
    for name in one.data_vars:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-6, err_msg=name)


def test_similarity_and_partition(tree, other):
    """Of responsibilities the same numbers; of labels, drawn where a tree lacks them, near ones."""
    one, two = (bm.similarity(t, method="responsibilities").to_dataarray() for t in (tree, other))
    np.testing.assert_allclose(two, one, rtol=0, atol=1e-6)
    found = bm.partition(other, random_seed=1)
    if "allocation" in tree.children:  # it is enough
        tree = xr.DataTree.from_dict({"allocation": tree["allocation"].to_dataset()})
    expected = bm.partition(tree, random_seed=1)
    assert bm.adjusted_rand_index(found.labels.values, expected.labels.values) > 0.9
    own = found.labels.values[:, None] == found.labels.values
    assert found.certainty.mean() == pytest.approx(one.values[own].mean(), abs=0.05)


class TestWhatIsMissing:
    """One line: expected, got, what to do."""

    @pytest.fixture
    def bare(self, tmp_path) -> xr.DataTree:
        return by_hand(of_gibbs(), tmp_path)

    @pytest.mark.parametrize(
        "function",
        [bm.relabel, bm.membership, bm.summary, label_invariant],
        ids=lambda f: f.__name__,
    )
    def test_dims_of_other_names(self, bare, function):
        bare["posterior"] = bare["posterior"].to_dataset().rename(component="cluster")
        with pytest.raises(
            ValueError, match=r"\(chain, draw, component\).*cluster.*give them these names"
        ):
            function(bare)

    def test_which_renaming_helps(self, bare):
        expected = bm.membership(bare)
        names = {"component": "cluster", "feature": "axis", "feature_bis": "axis_too"}
        posterior = bare["posterior"].to_dataset().rename(names)
        bare["posterior"] = posterior.rename({new: old for old, new in names.items()})
        assert bm.membership(bare).equals(expected)

    def test_covariances(self, bare):
        del bare["posterior"]["covariances"]
        with pytest.raises(ValueError, match=r"covariances missing; register"):
            bm.membership(bare)

    def test_rows(self, bare):
        del bare["observed_data"]
        bm.relabel(bare)
        with pytest.raises(ValueError, match="expected the group observed_data"):
            bm.membership(bare)
        assert bm.membership(bare, ROWS.to_numpy()).sizes["obs"] == len(ROWS)

    def test_rows_of_another_name(self, bare):
        bare["observed_data"] = bare["observed_data"].to_dataset().rename(x="y")
        with pytest.raises(ValueError, match=r"variable x with dims \(obs, feature\), got y"):
            bm.membership(bare)

    def test_rows_of_other_dims(self, bare):
        bare["observed_data"] = bare["observed_data"].to_dataset().rename(obs="x_dim_0")
        message = r"x with dims \(obs, feature\), got x \(x_dim_0, feature\); rename"
        with pytest.raises(ValueError, match=message):
            bm.membership(bare)

    def test_columns_in_another_order(self):
        tree = of_gibbs().copy()
        expected = bm.membership(tree)
        rows = tree["observed_data"].to_dataset()
        tree["observed_data"] = xr.DataTree(rows.isel(feature=[1, 0]))
        xr.testing.assert_identical(bm.membership(tree), expected)

    def test_columns_that_are_missing(self, bare):
        bare["observed_data"] = bare["observed_data"].to_dataset().isel(feature=[0])
        with pytest.raises(ValueError, match="expected 2 features, as the means have, got 1"):
            bm.membership(bare)

    def test_columns_of_other_names(self):
        tree = of_gibbs().copy()
        rows = tree["observed_data"].to_dataset()
        tree["observed_data"] = xr.DataTree(rows.assign_coords(feature=["one", "two"]))
        with pytest.raises(ValueError, match=r"expected the features .* got one, two"):
            bm.membership(tree)

    def test_a_file_of_another_package(self, bare, tmp_path):
        bare.to_netcdf(tmp_path / "bare.nc", engine="h5netcdf")
        with pytest.raises(ValueError, match=r"xarray\.open_datatree"):
            bm.load(tmp_path / "bare.nc")


@pytest.mark.slow
def test_a_model_with_dims_of_its_own():
    """Renamed as the error says, its tree is like any other."""
    tree = of_pymc(named=False)
    with pytest.raises(ValueError, match=r"got \(chain, draw, c\); give them"):
        bm.membership(tree)
    names = {"c": "component", "f": "feature", "g": "feature_bis"}
    tree["posterior"] = tree["posterior"].to_dataset().rename(names)
    tree["observed_data"] = tree["observed_data"].to_dataset().rename(f="feature")
    assert bm.membership(tree)["probability"].sizes["obs"] == len(ROWS)


def test_who_passes_no_tree_is_told_what_to_pass() -> None:
    """A model, data or a group in place of a fit: one sentence, whatever is asked of it."""
    post = sampled("full")
    questions = [bm.diagnose, bm.summary, bm.membership, bm.relabel, bm.n_clusters]
    questions += [bm.predictive.density, bm.predictive.log_density, bm.validate]
    for wrong in (model("full"), ROWS, post["posterior"].to_dataset(), None):
        for ask in questions:
            kind = type(wrong).__name__
            with pytest.raises((TypeError, ValueError), match=rf"expected .*got .*{kind}"):
                ask(wrong)


def test_a_point_is_no_posterior() -> None:
    em = bm.fit_em(model("full"), ROWS, random_seed=1)
    for ask in (bm.diagnose, bm.summary, bm.membership):
        with pytest.raises(ValueError, match="expected the group posterior, as sample returns"):
            ask(em)
