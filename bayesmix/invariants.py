"""What no relabeling of the components changes: the quantities that R-hat and ESS judge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix import gaussian
from bayesmix.draws import Draws, components_of, data_of, evenly, log_likelihoods
from bayesmix.label_draws import occupied
from bayesmix.schema import group, varies

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.inputs import RandomSeed

    Floats = NDArray[np.float64]

__all__ = ["label_invariant"]

_N_POINTS = 5
_MOST_RANKS = 5  # weights that are followed where the number of components varies
_PIECE_NUMBERS = 1_000_000


def label_invariant(
    post: xr.DataTree, *, points: Any = None, random_seed: RandomSeed = None
) -> xr.Dataset:
    r"""Compute the quantities that no relabeling changes: the set that R-hat and ESS judge.

    Parameters
    ----------
    post : DataTree
        With the groups ``posterior`` and ``observed_data``, and ``components`` where their number
        varies.
    points : (m, D) array_like, optional
        Where the mixture density is followed; default 5 rows of the data, evenly spaced in the
        order of their first column.
    random_seed : int, SeedSequence or Generator, optional
        Draws labels where the tree holds none, for the number of clusters.

    Returns
    -------
    xarray.Dataset
        By (chain, draw): ``log_likelihood_total``; ``n_clusters``, the occupied components;
        ``weight_entropy`` in nats; ``weights_sorted`` (rank), largest first;
        ``log_density_points`` (point).

        Where the number of components varies, the weights are those of the clusters, whose sum is
        below one: the entropy is that of their shares in it, the weights are the largest that
        every draw has, at most 5, and the density lacks what the components without rows would
        add. Then what is random of ``n_components``, ``concentration``, ``discount`` and (by
        feature) ``covariance_scale`` is in the set too.
    """
    import xarray as xr

    draws = components_of(post)
    table = data_of(post)
    at = _default_points(table.values) if points is None else data_of(post, points).values
    density = _log_density_at(at, draws)
    clusters = occupied(post, random_seed).reshape(-1)
    sorted_weights = -np.sort(-draws.weights, axis=1)
    if varies(post):
        sorted_weights = sorted_weights[:, : min(_MOST_RANKS, clusters.min())]
    values: dict[str, tuple[tuple[str, ...], NDArray[Any]]] = {
        "log_likelihood_total": ((), _log_likelihood(post, draws, table.values)),
        "n_clusters": ((), clusters),
        "weight_entropy": ((), _entropy(draws.weights)),
        "weights_sorted": (("rank",), sorted_weights),
        "log_density_points": (("point",), density),
    }
    found = {
        name: (("chain", "draw", *dims), draws.by_chain(value))
        for name, (dims, value) in values.items()
    }
    posterior = group(post, "posterior")
    if varies(post):
        found |= _hyperparameters(posterior)
    return xr.Dataset(
        found,
        coords={
            "chain": posterior["chain"].values,
            "draw": posterior["draw"].values,
            "rank": np.arange(1, sorted_weights.shape[1] + 1),
            "point": np.arange(len(at)),
        },
    )


def _default_points(x: Floats) -> Floats:
    order = np.lexsort(x.T[::-1])
    return x[order[evenly(len(x), _N_POINTS)]]


def _log_density_at(points: Floats, draws: Draws) -> Floats:
    """Mixture density at a few points for every draw, (S, m): all draws at once, in pieces."""
    s, k, d = draws.means.shape
    step = max(1, _PIECE_NUMBERS // (len(points) * k * d))
    pieces = [slice(start, start + step) for start in range(0, s, step)]
    return np.concatenate(
        [
            gaussian.log_density(points, draws.weights[p], draws.means[p], draws.covariances[p])
            for p in pieces
        ]
    )


def _log_likelihood(post: xr.DataTree, draws: Draws, x: Floats) -> Floats:
    if "sample_stats" in post.children and "log_likelihood_total" in post["sample_stats"]:
        stored = group(post, "sample_stats")["log_likelihood_total"]
        return stored.transpose("chain", "draw").values.reshape(-1)
    return log_likelihoods(draws, x)


def _entropy(weights: Floats) -> Floats:
    from scipy.special import entr

    return entr(weights / weights.sum(axis=1, keepdims=True)).sum(axis=1)


def _hyperparameters(posterior: xr.Dataset) -> dict[str, Any]:
    """What a draw has one of, whatever its number of components."""
    names = ("n_components", "concentration", "discount")
    import xarray as xr

    found: dict[str, Any] = {name: posterior[name].variable for name in names if name in posterior}
    if "covariance_scale" in posterior:
        values = posterior["covariance_scale"].transpose("chain", "draw", ...).values
        diagonal = np.diagonal(values, axis1=-2, axis2=-1)
        dims = ("chain", "draw", "feature")
        found["covariance_scale"] = xr.DataArray(diagonal, {"feature": posterior["feature"]}, dims)
    return found
