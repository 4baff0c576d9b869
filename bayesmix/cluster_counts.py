"""The number of clusters in the draws of a tree: its posterior, and whether chains agree on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.diagnostics import CHECKABLE
from bayesmix.label_draws import occupied
from bayesmix.schema import group, mixture_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["n_clusters", "r_hat_of"]


def n_clusters(post: xr.DataTree) -> pd.DataFrame:
    """Tabulate the posterior of the number of clusters K+, and of components K.

    Clusters are the components that have rows. A fixed K has all its mass in one place.

    Parameters
    ----------
    post : DataTree
        With ``n_clusters`` in its posterior, or labels; else, labels are drawn at every draw of
        the parameters.

    Returns
    -------
    DataFrame
        Index ``k`` = 1, 2, ..., K, or the largest number in any draw; columns ``n_clusters`` and
        ``n_components``, the probabilities that there are k, each with its Monte Carlo standard
        error (``_mcse``), by ArviZ, over all chains. Where no draw has k, or every draw has it,
        the draws do not tell the error, which is not zero, and it is NaN: S effective draws miss
        what has less than about 3/S. An infinite process has NaN for the number of components.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
    >>> post = bm.sample(mixture, x, random_seed=1)
    >>> int(bm.n_clusters(post)["n_clusters"].idxmax())
    2
    """
    import pandas as pd

    posterior = group(post, "posterior")
    index: NDArray[np.int64]
    clusters = occupied(post, random_seed=0)
    if "n_components" in posterior:
        components = posterior["n_components"].transpose("chain", "draw").values
        index = np.arange(1, int(max(clusters.max(), components.max())) + 1)
        p_components = _shares(components, index)
    elif (mixture := mixture_of(post)) is not None and mixture.varying:
        index = np.arange(1, int(clusters.max()) + 1)
        p_components = np.full(len(index), np.nan), np.full(len(index), np.nan)
    else:
        index = np.arange(1, max(_fixed_components(post), int(clusters.max())) + 1)
        p_components = (index == index[-1]).astype(float), np.zeros(len(index))
    columns = [*_shares(clusters, index), *p_components]
    names = ["n_clusters", "n_clusters_mcse", "n_components", "n_components_mcse"]
    return pd.DataFrame(dict(zip(names, columns, strict=True)), pd.Index(index, name="k"))


def _fixed_components(post: xr.DataTree) -> int:
    mixture, sizes = mixture_of(post), group(post, "posterior").sizes
    if mixture is not None:
        return mixture.n_components
    return int(sizes.get("component", 0))


def _shares(values: NDArray[Any], index: NDArray[Any]) -> tuple[Floats, Floats]:
    """Share of the draws (chain, draw) with each of some values, and its standard error."""
    hits = [values == k for k in index]
    return np.array([h.mean() for h in hits]), np.array([_mcse(h) for h in hits])


def _mcse(hit: NDArray[np.bool_]) -> float:
    """Standard error of a share over chains; NaN where it is 0 or 1."""
    if hit.all() or not hit.any() or hit.shape[1] < CHECKABLE:
        return np.nan
    chains = hit.mean(axis=1)
    if np.all((chains == 0) | (chains == 1)):  # each chain stays where it began: one draw each
        return float(chains.std(ddof=1) / np.sqrt(len(chains)))
    from arviz_stats import mcse

    return float(mcse(hit.astype(float)))


def r_hat_of(values: NDArray[Any]) -> float:
    """R-hat of numbers (chain, draw): infinite if chains stay apart, NaN if it never moves."""
    if np.ptp(values) == 0 or len(values) < 2 or values.shape[1] < CHECKABLE:
        return np.nan
    if np.all(np.ptp(values, axis=1) == 0):
        return np.inf
    from arviz_stats import rhat

    with np.errstate(invalid="ignore", divide="ignore"):  # chains that stand still, apart
        return float(rhat(values.astype(float)))
