"""Posteriors that several test files share: sampled once, or planted by hand around a point."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from sklearn.exceptions import ConvergenceWarning

import bayesmix as bm
from bayesmix import gaussian, schema
from bayesmix.cluster_counts import r_hat_of
from bayesmix.inputs import as_table
from bayesmix.k_choice import KChoice
from bayesmix.k_tables import TABLE_COLUMNS, add_evidences, add_predictions
from bayesmix.k_words import words
from tests.support import Parameters, blobs, rows_of

DRAWS, CHAINS = 300, 2

SEPARATED = Parameters(
    np.array([0.5, 0.3, 0.2]),
    np.array([[0.0, 0.0], [12.0, 3.0], [-5.0, 14.0]]),
    np.array([[[1.0, 0.3], [0.3, 1.0]], [[2.0, -0.5], [-0.5, 1.0]], [[0.5, 0.0], [0.0, 3.0]]]),
)
"""Components that no draw near them could confuse."""

OVERLAPPING = Parameters(
    np.array([0.55, 0.45]),
    np.array([[0.0, 0.0], [2.0, 1.0]]),
    np.array([[[1.0, 0.3], [0.3, 1.0]], [[1.5, -0.4], [-0.4, 0.8]]]),
)
"""Components between which many rows are uncertain, while the components are not."""


def frame() -> pd.DataFrame:
    """Sixty rows in two groups that overlap a little."""
    return pd.DataFrame(blobs(60, 2, 2, seed=1).round(6), columns=["width", "height"])


def model(structure: str, n_components: int = 2) -> bm.Mixture:
    """The mixture that the report fits to `frame`."""
    prior = bm.fraley_raftery(frame(), n_components)
    return bm.Mixture(bm.Dirichlet(n_components), prior, structure)


def sample_quietly(*args: Any, **options: Any) -> xr.DataTree:
    """Sample, without the warning that so few draws deserve."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return bm.sample(*args, progressbar=False, **options)


@cache
def sampled(structure: str) -> xr.DataTree:
    """Sample `model` on `frame` by NUTS, once per session; not to be changed in place."""
    return sample_quietly(
        model(structure),
        frame(),
        sampler="nuts",
        draws=DRAWS,
        tune=DRAWS,
        chains=CHAINS,
        random_seed=1,
    )


def planted(
    point: Parameters,
    x: Any,
    *,
    chains: int = 2,
    draws: int = 40,
    spread: float = 0.03,
    seed: int = 0,
) -> xr.DataTree:
    """Make a tree of draws around a point, as a user's own sampler might: no engine, no labels.

    Everything moves by about ``spread``, relative to its component's standard deviations.
    """
    rng = np.random.default_rng([seed, chains, draws])
    size = (chains, draws)
    weights = point.weights * np.exp(spread * rng.normal(size=(*size, *point.weights.shape)))
    deviation = np.sqrt(np.diagonal(point.covariances, axis1=-2, axis2=-1))
    means = point.means + spread * deviation * rng.normal(size=(*size, *point.means.shape))
    d = point.means.shape[-1]
    factor = np.linalg.cholesky(point.covariances) @ (
        np.eye(d) + spread * rng.normal(size=(*size, *point.covariances.shape))
    )
    covariances = factor @ np.swapaxes(factor, -1, -2)
    covariances = (covariances + np.swapaxes(covariances, -1, -2)) / 2
    table = as_table(x)
    group = schema.posterior(
        weights / weights.sum(axis=-1, keepdims=True), means, covariances, table.features
    )
    return xr.DataTree.from_dict({"posterior": group, "observed_data": schema.observed_data(table)})


def completed(tree: xr.DataTree, mixture: bm.Mixture, *, seed: int = 0) -> xr.DataTree:
    """Add what `sample` adds to its draws: labels, densities and attributes."""
    rng = np.random.default_rng(seed)
    x, draws = tree["observed_data"]["x"].values, parameters_of(tree)
    resp = gaussian.responsibilities(x, *draws)
    uniform = rng.uniform(size=(*resp.shape[:-1], 1))
    label = (resp.cumsum(axis=-1)[..., :-1] < uniform).sum(axis=-1).astype(np.int8)
    occupied = (label[..., None] == np.arange(resp.shape[-1])).any(axis=-2).sum(axis=-1)
    group = tree["posterior"].to_dataset()
    coords = {"chain": group["chain"], "draw": group["draw"]}
    by_draw = ("chain", "draw")
    stats = {
        "lp": (by_draw, gaussian.log_posterior(mixture, x, *draws)),
        "log_likelihood_total": (by_draw, gaussian.log_likelihood(x, *draws)),
        "diverging": (by_draw, np.zeros(resp.shape[:2], bool)),
    }
    obs = {"obs": tree["observed_data"]["obs"].values}
    groups = {
        "posterior": group.assign(n_clusters=(by_draw, occupied)),
        "observed_data": tree["observed_data"].to_dataset(),
        "allocation": xr.Dataset({"label": ((*by_draw, "obs"), label)}, coords | obs),
        "sample_stats": xr.Dataset(stats, coords),
    }
    return schema.root(groups, mixture, seed, 1.0)


def parameters_of(tree: xr.DataTree) -> Parameters:
    """Weights, means and covariances of every draw."""
    return Parameters(*(tree["posterior"][name].values for name in Parameters._fields))


def point_dataset(point: Parameters, features: tuple[str, ...]) -> xr.Dataset:
    """Turn a point into a group, as `relabel` takes it for a reference."""
    return schema.point_estimate(*point, features)


def posterior_of(
    point: Parameters, features: tuple[str, ...], n: int = 150, **options: Any
) -> xr.DataTree:
    """Draws around a point for n rows drawn from it, relabeled to its order."""
    table = pd.DataFrame(rows_of(point, n), columns=list(features))
    tree = planted(point, table, **{"chains": 2, "draws": 50, "spread": 0.05} | options)
    return bm.relabel(tree, reference=point_dataset(point, features))


def permuted(tree: xr.DataTree, permutation: np.ndarray) -> xr.DataTree:
    """Put component ``permutation[c, s, k]`` of draw s at place k, labels along with it."""
    index = xr.DataArray(permutation, dims=("chain", "draw", "component"))
    group = tree["posterior"].to_dataset()
    for name in Parameters._fields:
        dims = group[name].dims
        group[name] = group[name].isel(component=index).transpose(*dims).variable
    out = tree.copy()
    out["posterior"] = xr.DataTree(group)
    if "allocation" in tree.children:
        label = tree["allocation"]["label"]
        moved = np.empty_like(label.values)
        for c, s in np.ndindex(label.shape[:2]):
            place = {int(old): new for new, old in enumerate(permutation[c, s])}
            moved[c, s] = [place[int(old)] for old in label.values[c, s]]
        allocation = tree["allocation"].to_dataset()
        out["allocation"] = xr.DataTree(allocation.assign(label=(label.dims, moved)))
    return out


def random_permutations(tree: xr.DataTree, seed: int = 0) -> np.ndarray:
    """Draw one permutation of the components per draw, (chain, draw, component)."""
    sizes = tree["posterior"].sizes
    identity = np.broadcast_to(
        np.arange(sizes["component"]), (sizes["chain"], sizes["draw"], sizes["component"])
    )
    return np.random.default_rng(seed).permuted(identity, axis=-1)


def made_choice(clusters: Any, k: range = range(1, 7), **others: Any) -> KChoice:
    """Make what `choose_k` returns of numbers of clusters (chain, draw), and of others' answers.

    Nothing is sampled or fitted; EM prefers two components.
    """
    mixture = bm.Mixture(
        bm.MixtureOfFiniteMixtures(bm.BetaNegativeBinomial()), bm.weakly_informative([0.0, 1, 3])
    )
    by_draw = {"n_clusters": (("chain", "draw"), np.asarray(clusters))}
    post = xr.DataTree.from_dict({"posterior": xr.Dataset(by_draw)})
    index = pd.RangeIndex(1, k[-1] + 1, name="n_components")
    table = pd.DataFrame(np.nan, index, list(TABLE_COLUMNS))
    counted = bm.n_clusters(post)
    table["p_n_clusters"] = counted["n_clusters"].reindex(index).fillna(0.0)
    table["p_n_clusters_mcse"] = counted["n_clusters_mcse"].reindex(index)
    table["p_n_clusters_prior"] = bm.prior_n_clusters(mixture.weights, 90)[: k[-1]]
    table["bic"] = table["icl"] = table["aic"] = np.abs(index - 2.0)
    status = others.get("em_status", dict.fromkeys(k, "converged"))
    own = table[["bic", "icl", "aic"]].assign(
        status=pd.Series(status).reindex(index, fill_value="converged")
    )
    criteria = pd.concat({"full": own}, names=["covariance_type"])
    given: dict[str, Any] = {
        **{
            "models": None,
            "posts": {},
            "evidences": {},
            "loos": {},
            "structures": None,
            "failed": {},
        },
        **{"criteria": criteria, "em_status": dict.fromkeys(k, "converged"), "unfinished": ()},
    }
    r_hat, given = r_hat_of(np.asarray(clusters)), given | others
    add_evidences(table, given["evidences"], mixture.weights.n_components)
    add_predictions(table, given["loos"])
    found = KChoice(table, "", mixture, post, r_hat, **given)
    return replace(found, recommendation=words(found))


def fake_choice(x: Any, k: range = range(1, 9), **_: Any) -> KChoice:
    """Stand in for `choose_k`: two clusters in every draw, no genuine optimum for most."""
    status = dict.fromkeys(k, "converged") | {k[-1]: "singular"}
    found = made_choice(np.full((4, 100), 2), k, em_status=status)
    for criteria, last in ((found.table, k[-1]), (found.criteria, ("full", k[-1]))):
        criteria.loc[last, ["bic", "icl", "aic"]] = np.nan
    return replace(found, recommendation="2 clusters, <for sure>.")


def cut_short(mixture: bm.Mixture, x: Any, **options: Any) -> xr.DataTree:
    """Stand in for `sample` that is interrupted after 30 draws of two chains."""
    tree = fake_sample(mixture, x, **options).isel(chain=slice(2), draw=slice(30))
    tree.attrs["interrupted"] = 1
    return tree


def fake_sample(mixture: bm.Mixture, x: Any, *, draws: int = 40, **_: Any) -> xr.DataTree:
    """Stand in for `sample` where only what is done with its result matters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        group = bm.fit_em(mixture, x, random_seed=0)["point_estimate"]
    point = Parameters(*(group[name].values for name in Parameters._fields))
    return completed(planted(point, x, chains=4, draws=min(draws, 40), spread=0.1), mixture)
