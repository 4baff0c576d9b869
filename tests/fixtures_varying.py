"""Trees of a varying number of components, planted by hand: no engine, no chain."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

import bayesmix as bm
from bayesmix import gaussian, schema
from bayesmix.inputs import as_table
from bayesmix.kernels.gibbs import VaryingRecords
from bayesmix.sampling_request import Request
from bayesmix.sampling_varying import varying_tree
from tests.support import Parameters, compact, random_independent_prior, random_prior, rows_of

PROCESS = bm.DirichletProcess(bm.Gamma(2.0, 4.0))
MFM = bm.MixtureOfFiniteMixtures(bm.UniformK(1, 30))
VARYING = {
    "DP": PROCESS,
    "DP, stated": bm.DirichletProcess(1.0),
    "PY": bm.PitmanYor(bm.Gamma(2.0, 4.0), bm.Beta(1.0, 29.0)),
    "MFM": MFM,
    "MFM, random": bm.MixtureOfFiniteMixtures(bm.Geometric(0.2), bm.Gamma(1.0, 2.0), dynamic=True),
}


def varying_mixture(
    weights: Any = MFM, structure: str = "full", *, random_scale: bool = False
) -> bm.Mixture:
    """A model of two features whose number of components varies."""
    prior = random_independent_prior(2, random_scale=True) if random_scale else random_prior(2)
    return bm.Mixture(weights, prior, structure)


def planted_records(
    point: Parameters, structure: str, x: np.ndarray, *, draws: int, width: int, seed: int
) -> VaryingRecords:
    """Draws around the first of a point's components, as many as it has, or one or two fewer.

    They stand in random order, and the weights leave up to 0.02.
    """
    rng = np.random.default_rng(seed)
    most, d = point.means.shape
    shape = {"full": (width, d, d), "tied": (1, d, d), "diag": (width, d), "spherical": (width, 1)}
    found = VaryingRecords(
        weights=np.full((draws, width), np.nan),
        means=np.full((draws, width, d), np.nan),
        covariances=np.full((draws, *shape[structure]), np.nan),
        scale=rng.gamma(3.0, size=(draws, 1)) * np.ones(d),
        concentration=rng.gamma(2.0, size=draws),
        discount=rng.beta(1.0, 9.0, size=draws),
        n_components=np.zeros(draws, np.int64),
        n_clusters=most - rng.choice(3, p=[0.25, 0.6, 0.15], size=draws),
        log_likelihood=np.empty(draws),
        split_merge_tried=rng.integers(2, size=draws),
        split_merge_accepted=np.zeros(draws, np.int64),
        labels=np.zeros((draws, len(x)), np.int16),
    )
    found.n_components[:] = found.n_clusters + rng.poisson(0.4, size=draws)
    deviation = np.sqrt(np.diagonal(point.covariances, axis1=-2, axis2=-1))
    for s, t in enumerate(found.n_clusters):
        order = rng.permutation(t)
        weights = point.weights[order] * np.exp(0.03 * rng.normal(size=t))
        found.weights[s, :t] = weights / weights.sum() * (1 - rng.uniform(0, 0.02))
        found.means[s, :t] = (point.means + 0.03 * deviation * rng.normal(size=(most, d)))[order]
        stretch = np.exp(0.03 * rng.normal())
        own = compact(structure, stretch * point.covariances[order])
        if structure == "tied":
            found.covariances[s, 0] = own
        else:
            found.covariances[s, :t] = own.reshape(t, *shape[structure][1:])
        dense = stretch * point.covariances[order]
        at = found.weights[s, :t], found.means[s, :t], dense
        found.labels[s] = gaussian.responsibilities(x, *at).argmax(axis=-1)
        found.labels[s, rng.permutation(len(x))[:t]] = np.arange(t)  # none without rows
        found.log_likelihood[s] = gaussian.log_likelihood(x, *at)
    return found


def planted_varying(
    point: Parameters,
    x: Any,
    mixture: bm.Mixture | None = None,
    *,
    chains: int = 3,
    draws: int = 40,
    seed: int = 0,
) -> tuple[xr.DataTree, list[VaryingRecords]]:
    """A tree as `sample` makes it, and the records it is made of."""
    mixture = varying_mixture() if mixture is None else mixture
    table = as_table(x)
    found = [
        planted_records(
            point,
            mixture.covariance_type,
            table.values,
            draws=draws + 3,  # room for more than there are
            width=len(point.means) + c,
            seed=100 * seed + c,
        )
        for c in range(chains)
    ]
    if mixture.components.scale_hyperprior is None:
        found = [own._replace(scale=np.empty((len(own.scale), 0))) for own in found]
    asked = Request(mixture, table, draws, None, chains, None, 1, True, False)
    tree = varying_tree(asked, found, draws)
    tree.attrs.update(schema.root_attrs(mixture, seed, 1.0) | {"sampler": "gibbs"})
    return tree, found


def varying_line() -> xr.DataTree:
    """Draws of three components of one feature, and of one or two fewer."""
    means = np.array([[0.0], [9.0], [18.0]])
    point = Parameters(np.full(3, 1 / 3), means, np.ones((3, 1, 1)))
    x = pd.DataFrame(rows_of(point, 60), columns=["length"])
    return planted_varying(point, x, bm.Mixture(MFM, random_prior(1)), chains=2, draws=15)[0]
