"""Memberships in draws chosen by their number of clusters: against enumeration, and by the law."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pytest
import xarray as xr
from scipy.special import gammaln, logsumexp, softmax
from scipy.stats import multivariate_normal

import bayesmix as bm
from bayesmix.covariance import structure_of
from bayesmix.new_component import log_density
from tests.exact_partitions import exact_posterior
from tests.fixtures_post import SEPARATED, sample_quietly
from tests.fixtures_varying import VARYING, planted_varying, varying_mixture
from tests.support import STRUCTURES, rows_of

FEW = np.array([[0.0], [0.4], [0.2], [3.2], [7.0], [7.5], [7.2]])
BETWEEN = 3
"""The row of `FEW` that may belong to either of two clusters, to the left or to the right."""
PRIOR = bm.NormalInverseWishart([3.5], 0.05, 12.0, [[16.0]])
DRAWS = 3000


@cache
def chosen(name: str, structure: str = "full", *, random_scale: bool = False) -> xr.DataTree:
    """Planted draws with three clusters of 12 rows; not to be changed in place."""
    mixture = varying_mixture(VARYING[name], structure, random_scale=random_scale)
    tree, _ = planted_varying(SEPARATED, rows_of(SEPARATED, 12), mixture)
    return bm.relabel(tree, n_clusters=3)


def discounts(tree: xr.DataTree, name: str) -> np.ndarray:
    posterior = tree["posterior"]
    match name:
        case "MFM":
            found = -1.0
        case "MFM, random":
            found = -posterior["concentration"].values / posterior["n_components"].values
        case "PY":
            found = posterior["discount"].values
        case _:
            found = 0.0
    return np.broadcast_to(found, (1, posterior.sizes["draw"]))[0]


def log_densities(x: np.ndarray, tree: xr.DataTree, s: int) -> np.ndarray:
    """Of rows under the components of draw s, (n, K)."""
    means, covariances = (tree["posterior"][v].values[0, s] for v in ("means", "covariances"))
    pairs = zip(means, covariances, strict=True)
    return np.stack([multivariate_normal(*pair).logpdf(x) for pair in pairs], axis=-1)


@pytest.mark.parametrize("name", VARYING)
def test_own_rows_follow_the_law_of_partitions(name):
    """Each row moved to every cluster, its others kept: partition probability times density."""
    tree = chosen(name)
    x, labels = tree["observed_data"]["x"].values, tree["allocation"]["label"].values[0]
    d, k = discounts(tree, name), 3
    expected = np.full((len(labels), len(x), k), -np.inf)
    for s, i, j in product(range(len(labels)), range(len(x)), range(k)):
        moved = labels[s].copy()
        moved[i] = j
        sizes = np.bincount(moved, minlength=k)
        if np.all(sizes > 0):  # there are k clusters
            expected[s, i, j] = gammaln(sizes - d[s]).sum()
    for s in range(len(labels)):
        expected[s] += log_densities(x, tree, s)
    expected = softmax(expected, axis=-1)
    found = bm.membership(tree, ci_prob=0.8)
    assert any(np.any(np.bincount(own) == 1) for own in labels)
    np.testing.assert_allclose(found["probability"], expected.mean(axis=0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(found["probability_sd"], expected.std(axis=0), rtol=0, atol=1e-12)
    upper = np.quantile(expected, 0.9, axis=0)
    np.testing.assert_allclose(found["probability_upper"], upper, rtol=0, atol=1e-12)


def test_a_row_alone_in_its_cluster_stays():
    tree = chosen("DP, stated")
    label = tree["allocation"]["label"]
    lonely = xr.full_like(label, 0)
    lonely[..., 4], lonely[..., 7] = 1, 2
    tree = tree.copy()
    tree["allocation"] = xr.DataTree(xr.Dataset({"label": lonely}))
    found = bm.membership(tree)
    for row, cluster in ((4, 1), (7, 2)):
        assert found["probability"].values[row, cluster] == 1
        assert found["probability_sd"].values[row, cluster] == 0
        assert found["entropy"].values[row] == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "weights",
    [
        bm.DirichletProcess(1.0),
        bm.PitmanYor(bm.Gamma(2.0, 2.0), bm.Beta(1.5, 3.0)),
        bm.MixtureOfFiniteMixtures(bm.UniformK(1, 10), bm.Gamma(2.0, 2.0), dynamic=True),
        bm.MixtureOfFiniteMixtures(bm.UniformK(1, 10), 0.7),
    ],
    ids=["DP", "PY", "MFM dynamic", "MFM"],
)
def test_own_rows_against_enumeration(weights):
    """Given two clusters: with the row at the left end, and how often labels say so."""
    mixture = bm.Mixture(weights, PRIOR)
    exact = exact_posterior(FEW, mixture)
    two = exact.n_clusters == 2
    p = exact.probability * two / exact.probability[two].sum()
    together = p @ (exact.partitions == exact.partitions[:, :1])
    unclear = p[exact.partitions[:, 0] == exact.partitions[:, -1]].sum()  # the clusters' names
    assert unclear < 0.005
    assert 0.05 < together[BETWEEN] < 0.95
    post = sample_quietly(mixture, FEW, draws=DRAWS, chains=2, thin=5, random_seed=1, tune=500)
    tree = bm.relabel(post, n_clusters=2)
    found = bm.membership(tree)
    n = tree["posterior"].sizes["draw"]
    labels = tree["allocation"]["label"].values[0]
    left = int(found["label"][0])
    frequency = (labels == left).mean(axis=0)
    probability = found["probability"].values[:, left]
    error = np.sqrt(np.maximum(together * (1 - together), 1e-4) / (n / 4))  # thinned draws
    assert np.all(np.abs(frequency - together) < 4 * error + unclear)
    assert np.all(np.abs(probability - together) < 4 * error + unclear)


@pytest.mark.parametrize("name", VARYING)
@pytest.mark.parametrize("structure", ["full", "tied"])
def test_new_rows_may_found_a_cluster(name, structure):
    tree = chosen(name, structure)
    new = np.concatenate([rows_of(SEPARATED, 4, seed=3), [[40.0, -40.0], [5.0, 5.0]]])
    posterior = tree["posterior"]
    dropped = tree["relabeling"]["dropped_mass"].values[0].copy()
    if "n_components" in posterior:
        dropped[posterior["n_components"].values[0] == 3] = 0
    draws = posterior.sizes["draw"]
    mixture = varying_mixture(VARYING[name], structure)
    unseen = log_density(
        mixture.components,
        structure_of(structure),
        new,
        covariances=posterior["covariances"].values[0],
        generator=np.random.default_rng(0),
    )
    unseen = np.broadcast_to(unseen, (draws, len(new)))
    expected = np.empty((draws, len(new), 4))
    for s in range(draws):
        weights = posterior["weights"].values[0, s] * (1 - dropped[s])
        expected[s, :, :3] = np.log(weights) + log_densities(new, tree, s)
        with np.errstate(divide="ignore"):
            expected[s, :, 3] = np.log(dropped[s]) + unseen[s]
    expected = softmax(expected, axis=-1)
    found = bm.membership(tree, new)
    assert found["component"].values.tolist() == [0, 1, 2, -1]
    np.testing.assert_allclose(found["probability"], expected.mean(axis=0), rtol=0, atol=1e-9)
    np.testing.assert_allclose(found["probability_sd"], expected.std(axis=0), rtol=0, atol=1e-9)
    most = expected.mean(axis=0).argmax(axis=1)
    np.testing.assert_array_equal(found["label"], np.array([0, 1, 2, -1])[most])
    assert found["label"].values[4] == -1 or "MFM" in name


def test_without_leftover_no_cluster_is_founded():
    """A mixture of as many components as there are clusters, and a row far from all of them."""
    tree = chosen("MFM").copy()
    posterior = tree["posterior"].to_dataset()
    posterior["n_components"] = xr.full_like(posterior["n_components"], 3)
    tree["posterior"] = xr.DataTree(posterior)
    found = bm.membership(tree, [[1e4, -1e4]])
    assert found["probability"].sel(component=-1).item() == 0


def test_random_scale_of_a_new_cluster_is_the_draw_s():
    tree = chosen("DP", random_scale=True)
    prior = varying_mixture(random_scale=True).components
    new = np.array([[40.0, -40.0], [5.0, 5.0]])
    posterior = tree["posterior"]
    scale, dropped = posterior["covariance_scale"].values[0], tree["relabeling"]["dropped_mass"]
    unseen = log_density(
        prior,
        structure_of("full"),
        new,
        covariance_scale=scale,
        generator=np.random.default_rng(0),
    )
    p = np.empty_like(unseen)
    for s in range(len(p)):
        weights = posterior["weights"].values[0, s] * (1 - dropped.values[0, s])
        seen = np.log(weights) + log_densities(new, tree, s)
        both = np.stack([logsumexp(seen, axis=1), np.log(dropped.values[0, s]) + unseen[s]])
        p[s] = softmax(both, axis=0)[1]
    found = bm.membership(tree, new)["probability"].sel(component=-1)
    np.testing.assert_allclose(found, p.mean(axis=0), rtol=0, atol=1e-9)


def test_what_is_missing_is_named():
    tree = chosen("DP").copy()
    without_labels = tree.drop_nodes("allocation")
    with pytest.raises(ValueError, match="expected the group allocation, because a row of the fit"):
        bm.membership(without_labels)
    bare = tree.copy()
    mixture = varying_mixture(VARYING["DP"])
    del bare.attrs["bayesmix_model"]
    for new in (None, [[0.0, 1.0]]):
        with pytest.raises(ValueError, match=r"^mixture: expected the Mixture that was sampled"):
            bm.membership(bare, new)
        expected = bm.membership(tree, new)
        xr.testing.assert_identical(bm.membership(bare, new, mixture=mixture), expected)
    no_prior = bm.Mixture(bm.Dirichlet(2))
    with pytest.raises(ValueError, match=r"^mixture: expected a component prior"):
        bm.membership(tree, [[0.0, 1.0]], mixture=no_prior)
    relabeling = tree["relabeling"].to_dataset()
    bare["relabeling"] = xr.DataTree(relabeling.drop_vars("dropped_mass"))
    with pytest.raises(ValueError, match="expected a variable dropped_mass"):
        bm.membership(bare, [[0.0, 1.0]], mixture=mixture)


def test_blocks_of_rows_do_not_matter(monkeypatch):
    tree = chosen("PY")
    new = rows_of(SEPARATED, 30, seed=2)
    whole = bm.membership(tree), bm.membership(tree, new)
    monkeypatch.setattr("bayesmix.memory.BLOCK_BYTES", 1)
    for before, rows in zip(whole, (None, new), strict=True):
        xr.testing.assert_identical(bm.membership(tree, rows), before)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_stated_model_is_as_good_as_the_tree_s_own(structure):
    """Its covariance structure too."""
    tree, x_new = chosen("MFM", structure), np.array([[1.0, 2.0], [40.0, -9.0]])
    bare = tree.copy()
    bare.attrs = {}
    mixture = varying_mixture(VARYING["MFM"], structure)
    for rows in (None, x_new):
        expected, found = bm.membership(tree, rows), bm.membership(bare, rows, mixture=mixture)
        xr.testing.assert_identical(found, expected)


def test_what_the_tree_lacks_is_named():
    """In words of the tree, which is what the caller has."""
    for name, random_scale, lacking, rows in (
        ("PY", False, "discount", None),
        ("MFM", True, "covariance_scale", np.zeros((1, 2))),
    ):
        tree = chosen(name, random_scale=random_scale).copy()
        tree["posterior"] = tree["posterior"].to_dataset().drop_vars(lacking)
        with pytest.raises(ValueError, match=rf"^post.posterior: expected a variable {lacking}, "):
            bm.membership(tree, rows)
