"""Label switching undone: each draw's components matched to a reference point."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmix.component_prior import log_prior
from bayesmix.draws import Draws, draws_of
from bayesmix.priors import Dirichlet
from bayesmix.schema import chosen_clusters, group, mixture_of
from bayesmix.selection import draws_with

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.mixture import Mixture

    Floats = NDArray[np.float64]

__all__ = ["IDENTIFIED", "relabel"]

IDENTIFIED = 0.05  # non-permutation rate above which a component table misleads


def relabel(
    post: xr.DataTree, *, reference: xr.Dataset | None = None, n_clusters: int | None = None
) -> xr.DataTree:
    r"""Permute the components of every draw to match a reference point.

    The match minimizes the sum over components of the Kullback-Leibler divergence from the
    draw's component to the reference's (Hungarian method). Where the prior itself tells the
    components apart (unequal concentrations), labels have a meaning and are kept. Broken sticks
    come in an order, but chains find clusters in different ones: they are matched, and the density
    of the weights then is no longer that of the draws' order.

    Parameters
    ----------
    post : DataTree
        With the group ``posterior``.
    reference : Dataset, optional
        ``weights``, ``means`` and ``covariances`` of one point, for example the group
        ``point_estimate`` of `fit_em`. Default: the draw with the highest ``sample_stats.lp``;
        under `n_clusters` the one with the highest density of rows and components; or the first
        draw where a tree has no ``lp``.
    n_clusters : int, optional
        Where the number of components varies, and only there: keep the draws with so many
        clusters, drop their components without rows, and divide the weights of the others by
        their sum. Densities are those of all draws, so this is not for them.

    Returns
    -------
    xarray.DataTree
        The same tree with ``posterior`` and ``allocation`` permuted, and a group ``relabeling``:
        ``permutation (chain, draw, component)``, which of the draw's components now stands at
        each place; attributes ``method``, ``moved`` (share of draws permuted), ``dropped_mass``,
        ``non_permutation_rate`` (share of draws whose components do not fall one each into the K
        clusters of all component draws; Frühwirth-Schnatter 2011) and ``advice``. Under
        `n_clusters` the draws kept of all chains follow one another in one chain, since each has
        another number of them: ``sampled_chain`` and ``sampled_draw`` say where they come from,
        the attribute ``kept`` which share of all draws they are, ``dropped_mass`` what their
        weights lacked on average. Convergence is judged on the tree they were taken from.

    References
    ----------
    S. Frühwirth-Schnatter, "Dealing with label switching under model uncertainty", in Mixtures:
    Estimation and Applications, Wiley 2011.

    Examples
    --------
    >>> import bayesmix as bm
    >>> post = bm.sample(mixture, x, random_seed=1)  # doctest: +SKIP
    >>> bm.relabel(post).relabeling.attrs["advice"]  # doctest: +SKIP
    """
    import xarray as xr

    if n_clusters is not None:
        post = draws_with(post, n_clusters)
    draws = draws_of(post)
    features = [str(f) for f in group(post, "posterior")["feature"].values]
    target = _reference(post, draws) if reference is None else _point(reference, draws, features)
    mixture = mixture_of(post)
    free = mixture is None or _may_permute(mixture)
    if free:
        permutation = _match(_divergence(draws, *target))
    else:
        permutation = np.tile(np.arange(draws.weights.shape[1]), (len(draws), 1))
    tree = post.copy()
    posterior = group(post, "posterior")
    by_chain = draws.by_chain(permutation)
    index = xr.DataArray(by_chain, dims=("chain", "draw", "component"))
    for name in ("weights", "means", "covariances"):
        variable = posterior[name]
        posterior[name] = variable.isel(component=index).transpose(*variable.dims).variable
    tree["posterior"] = xr.DataTree(posterior)
    if "allocation" in post.children:
        tree["allocation"] = xr.DataTree(_permuted_labels(group(post, "allocation"), by_chain))
    rate = _non_permutation_rate(draws, permutation)
    identity = np.arange(permutation.shape[1])
    earlier = group(post, "relabeling") if "relabeling" in post.children else xr.Dataset()
    total = by_chain
    if "permutation" in earlier:
        total = np.take_along_axis(earlier["permutation"].values, by_chain, axis=-1)
    found = earlier.assign(permutation=(("chain", "draw", "component"), total)).assign_coords(
        {c: posterior[c].values for c in ("chain", "draw", "component")}
    )
    found.attrs |= {
        "method": "parameters" if free else "none",
        "non_permutation_rate": rate,
        "moved": float((total != identity).any(axis=-1).mean()),
        "dropped_mass": earlier.attrs.get("dropped_mass", 0.0),
        "advice": _advice(rate, free) + _kept(earlier),
    }
    tree["relabeling"] = xr.DataTree(found)
    return tree


def _may_permute(mixture: Mixture) -> bool:
    return not isinstance(mixture.weights, Dirichlet) or mixture.weights.exchangeable


def _reference(post: xr.DataTree, draws: Draws) -> tuple[Floats, Floats]:
    best = int(_density(post, draws).argmax())
    return draws.means[best], draws.covariances[best]


def _density(post: xr.DataTree, draws: Draws) -> Floats:
    """Log density of every draw, (S,), up to a constant; zeros where a tree does not tell it."""
    stats = group(post, "sample_stats") if "sample_stats" in post.children else {}
    if "lp" in stats:
        return stats["lp"].transpose("chain", "draw").values.reshape(-1)
    if chosen_clusters(post) is None or "log_likelihood_total" not in stats:
        return np.zeros(len(draws))
    rows = stats["log_likelihood_total"].transpose("chain", "draw").values.reshape(-1)
    mixture = mixture_of(post)
    if mixture is None or mixture.components is None:
        return rows
    covariances = draws.structure.compact(draws.covariances)
    factor = draws.structure.precision_cholesky(covariances)
    return rows + log_prior(
        mixture.components, draws.structure, draws.means, factor, draws.covariance_scale
    )


def _point(reference: xr.Dataset, draws: Draws, features: list[str]) -> tuple[Floats, Floats]:
    means, covariances = reference["means"].values, reference["covariances"].values
    if "feature" in reference.coords:
        given = [str(f) for f in reference["feature"].values]
        if given != features:
            raise ValueError(
                f"reference: expected the features {', '.join(features)}, in this order as in the "
                f"posterior, got {', '.join(given)}"
            )
    if means.shape != draws.means.shape[1:]:
        raise ValueError(
            f"reference: expected means of shape {draws.means.shape[1:]}, as in the posterior, "
            f"got {means.shape}"
        )
    return means, covariances


def _divergence(draws: Draws, means: Floats, covariances: Floats) -> Floats:
    """Twice KL(draw's component j || reference component k) + D, shape (S, j, k)."""
    precision = np.linalg.inv(covariances)
    delta = draws.means[:, :, None, :] - means
    mahalanobis = np.einsum("sjka,kab,sjkb->sjk", delta, precision, delta, optimize=True)
    trace = np.einsum("kab,sjab->sjk", precision, draws.covariances, optimize=True)
    log_determinants = np.linalg.slogdet(covariances)[1]
    own = np.linalg.slogdet(draws.covariances)[1]
    return mahalanobis + trace + log_determinants - own[:, :, None]


def _match(cost: Floats) -> NDArray[np.intp]:
    """Best permutation per draw: entry k is the draw's component for place k."""
    from scipy.optimize import linear_sum_assignment

    return np.stack([linear_sum_assignment(c.T)[1] for c in cost])


def _permuted_labels(allocation: xr.Dataset, permutation: NDArray[np.intp]) -> xr.Dataset:
    label = allocation["label"]
    inverse = np.argsort(permutation, axis=-1).astype(label.dtype)
    chains, draws, _ = label.shape
    at = np.arange(chains)[:, None, None], np.arange(draws)[None, :, None]
    return allocation.assign(label=(label.dims, inverse[(*at, label.values)]))


def _non_permutation_rate(draws: Draws, permutation: NDArray[np.intp]) -> float:
    """Cluster all component draws by k-means; a draw fails if two of its own share a cluster."""
    from scipy.cluster.vq import ClusterError, kmeans2

    k = permutation.shape[1]
    if k == 1:
        return 0.0
    rows = np.arange(len(draws))[:, None]
    variances = np.diagonal(draws.covariances, axis1=-2, axis2=-1)
    unit = np.sqrt(variances.mean(axis=(0, 1)))
    features = np.concatenate([draws.means / unit, 0.5 * np.log(variances)], axis=-1)
    matched = features[rows, permutation]
    try:
        _, cluster = kmeans2(
            matched.reshape(len(draws) * k, -1),
            matched.mean(axis=0),
            minit="matrix",
            missing="raise",
        )
    except ClusterError:  # one cluster too few for any draw to have one each
        return 1.0
    sorted_clusters = np.sort(cluster.reshape(len(draws), k), axis=1)
    return float((sorted_clusters != np.arange(k)).any(axis=1).mean())


def _advice(rate: float, free: bool) -> str:
    if not free:
        return "the prior tells the components apart, so their labels were kept as sampled"
    if rate <= IDENTIFIED:
        return "components are identified: the component table can be read"
    return (
        f"in {rate:.0%} of the draws the components do not separate (they overlap, are empty, or "
        "the posterior has several modes): read the label-invariant quantities and the "
        "memberships, not the component table"
    )


def _kept(relabeling: xr.Dataset) -> str:
    if "n_clusters" not in relabeling.attrs:
        return ""
    k, share = relabeling.attrs["n_clusters"], relabeling.attrs["kept"]
    return f"; of the {share:.0%} of the draws that have {k} cluster{'s' if k > 1 else ''}"
