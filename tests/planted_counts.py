"""Trees of nothing but numbers of clusters."""

from __future__ import annotations

import numpy as np
import xarray as xr


def tree_of(clusters, **others) -> xr.DataTree:
    """A tree of nothing but numbers of clusters (chain, draw), and others like it."""
    names = {"n_clusters": clusters, **others}
    values = {name: (("chain", "draw"), np.asarray(v)) for name, v in names.items()}
    return xr.DataTree.from_dict({"posterior": xr.Dataset(values)})


def autocorrelated(rho: float, chains: int, draws: int, seed: int) -> np.ndarray:
    """Two-state chains with P(1) = 1/2 whose autocorrelation is rho**lag."""
    rng = np.random.default_rng(seed)
    state = rng.integers(0, 2, chains)
    out = np.empty((chains, draws), int)
    for s in range(draws):
        state = np.where(rng.random(chains) < (1 - rho) / 2, 1 - state, state)
        out[:, s] = state
    return out
