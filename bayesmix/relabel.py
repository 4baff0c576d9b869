"""Label switching undone: each draw's components matched to a reference point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from bayesmix.component_prior import log_prior
from bayesmix.draws import Draws, draws_of, has_rows, point_of
from bayesmix.identification import IDENTIFIED, Identification, identification
from bayesmix.matching import by_labels, by_parameters, by_responsibilities
from bayesmix.pivot import (
    Pivot,
    filled,
    have_labels,
    labels_of_draws,
    some_rows,
    stored_labels,
)
from bayesmix.priors import Dirichlet
from bayesmix.schema import PARAMETERS, chosen_clusters, group, mixture_of
from bayesmix.selection import draws_with

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.mixture import Mixture

    Floats = NDArray[np.float64]
    Permutations = NDArray[np.intp]

__all__ = ["relabel", "relabeled_parameters"]

Method = Literal["auto", "parameters", "ecr", "stephens"]


def relabel(
    post: xr.DataTree,
    method: Method = "auto",
    *,
    reference: Any = None,
    n_clusters: int | None = None,
) -> xr.DataTree:
    r"""Permute the components of every draw to match a reference point.

    Where the prior itself tells components apart (unequal concentrations), labels have a meaning,
    and only those that it does not are permuted among themselves. Broken sticks come in an order,
    but chains find clusters in different ones: they are matched, and the density of the weights
    then is no longer that of the draws' order.

    Parameters
    ----------
    post : DataTree
        With the group ``posterior``.
    method : {"auto", "parameters", "ecr", "stephens"}
        What the permutation of a draw makes as small, or as large, as it can (Hungarian method):

        - ``"parameters"``: the sum over components of the Kullback-Leibler divergence from the
          draw's component to the reference's;
        - ``"ecr"``: the number of rows with the same label as at the reference (Papastamoulis and
          Iliopoulos 2010); of equal permutations that with the least divergence;
        - ``"stephens"``: the divergence of the responsibilities of at most 1,000 rows, evenly
          spread, from their mean over the draws, by rounds that start at the match of ``"auto"``
          (Stephens 2000);
        - ``"auto"``: ``"ecr"`` where some draw leaves components without rows, whose parameters,
          drawn from the prior, would count as much as those of the others; else ``"parameters"``.

        Labels that the tree does not hold are drawn at the parameters, for at most 1,000 rows.
    reference : Dataset, DataTree or estimator, optional
        ``weights``, ``means`` and ``covariances`` of one point, a tree of `fit_em` or a fitted
        mixture; its labels are the most probable components. Default: the
        draw with the highest ``sample_stats.lp``; under `n_clusters` the one with the highest
        density of rows and components; or the first draw where a tree has no ``lp``.
    n_clusters : int, optional
        Where the number of components varies, and only there: keep the draws with so many
        clusters, drop their components without rows, and divide the weights of the others by
        their sum. Densities are those of all draws, so this is not for them.

    Returns
    -------
    xarray.DataTree
        The same tree with ``posterior`` and ``allocation`` permuted, and a group ``relabeling``:
        ``permutation (chain, draw, component)``, which of the draw's components now stands at
        each place; attributes

        - ``method``, or "none" where every label has a meaning;
        - ``agreement``: share of draws in which another method gives all rows the same labels: for
          the match of parameters ECR on at most 1,000 rows, for ECR a round of Stephens' method,
          for that the match it started from; NaN where the tree has no rows, or every label has a
          meaning;
        - ``moved``: share of draws permuted;
        - ``non_permutation_rate``: share of draws whose components do not fall one each into the K
          clusters of all component draws (Frühwirth-Schnatter 2011);
        - ``advice``: which components are not identified, and what to read then;
        - ``dropped_mass``: under `n_clusters` what the weights lacked on average, else 0.

        Under `n_clusters` the draws kept of all chains follow one another in one chain, since each
        has another number of them: ``sampled_chain`` and ``sampled_draw`` say where they come
        from, ``dropped_mass (chain, draw)`` what the weights of each lacked, the attribute
        ``kept`` which share of all draws they are. Convergence is judged on the tree they were
        taken from.

    Raises
    ------
    ValueError
        If the tree lacks parameters, or the labels and rows that a method asks for; if the
        reference has other components or features.

    References
    ----------
    S. Frühwirth-Schnatter, "Dealing with label switching under model uncertainty", in Mixtures:
    Estimation and Applications, Wiley 2011. P. Papastamoulis and G. Iliopoulos, "An artificial
    allocations based solution to the label switching problem", JCGS 19, 2010. M. Stephens,
    "Dealing with label switching in mixture models", JRSS B 62, 2000.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
    >>> post = bm.sample(mixture, x, random_seed=1)
    >>> bm.relabel(post).relabeling.attrs["advice"]
    'components are identified: the component table can be read'
    """
    if method not in get_args(Method):
        raise ValueError(f"method: expected one of {', '.join(get_args(Method))}, got {method!r}")
    if n_clusters is not None:
        post = draws_with(post, n_clusters)
    return _relabeled(post, method, reference)


def relabeled_parameters(post: xr.DataTree) -> xr.DataTree:
    """What `relabel` makes of a tree but its labels: to permute these takes time and memory."""
    return _relabeled(post, "auto", None, labels=False)


def _relabeled(
    post: xr.DataTree, method: Method, reference: Any, *, labels: bool = True
) -> xr.DataTree:
    draws = draws_of(post)
    pivot = _best_draw(post, draws) if reference is None else _point(reference, post, draws)
    allowed = _allowed(mixture_of(post), draws.weights.shape[1])
    free = np.count_nonzero(allowed) > len(allowed) or len(allowed) == 1
    used: Method | Literal["none"] = "none"
    if free:
        permutation, used, agreement = _matched(post, draws, pivot, method, allowed)
    else:
        permutation = np.tile(np.arange(draws.weights.shape[1]), (len(draws), 1))
        agreement = np.nan
    tree = _permuted(post, draws.by_chain(permutation), labels=labels)
    found = _relabeling(post, draws.by_chain(permutation))
    identified = identification(draws, permutation, lambda: _with_rows(post, draws))
    names = group(post, "posterior")["component"].values.tolist()
    advice = identified.advice(names) if free else _kept_as_sampled(identified)
    found.attrs |= {
        "method": used,
        "agreement": agreement,
        "non_permutation_rate": identified.non_permutation_rate,
        "advice": advice + _kept(found),
    }
    import xarray as xr

    tree["relabeling"] = xr.DataTree(found)
    return tree


def _kept_as_sampled(identified: Identification) -> str:
    kept = "the prior tells the components apart, so their labels were kept as sampled"
    if (rate := identified.non_permutation_rate) <= IDENTIFIED:
        return kept
    return f"{kept}; in {rate:.0%} of the draws they do not separate all the same"


def _allowed(mixture: Mixture | None, k: int) -> NDArray[np.bool_]:
    """Which component may stand at which place, (K, K): those of the same prior."""
    if mixture is None or not isinstance(mixture.weights, Dirichlet):
        return np.ones((k, k), np.bool_)
    if mixture.weights.random_concentration is not None:
        return np.ones((k, k), np.bool_)
    each = mixture.weights.concentrations
    return each[:, None] == each


def _best_draw(post: xr.DataTree, draws: Draws) -> Pivot:
    best = int(_density(post, draws).argmax())
    return Pivot(draws.weights[best], draws.means[best], draws.covariances[best], best)


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


def _point(reference: Any, post: xr.DataTree, draws: Draws) -> Pivot:
    import xarray as xr

    point = reference if isinstance(reference, xr.Dataset) else point_of(reference)
    posterior = group(post, "posterior")
    if "feature" in point.coords and "feature" in posterior.coords:
        given, features = ([str(f) for f in d["feature"].values] for d in (point, posterior))
        if given != features:
            raise ValueError(
                f"reference: expected the features {', '.join(features)}, in this order as in the "
                f"posterior, got {', '.join(given)}"
            )
    own = {name: point[name].transpose(*dims).values for name, dims in PARAMETERS.items()}
    pivot = Pivot(own["weights"], own["means"], own["covariances"])
    if pivot.means.shape != draws.means.shape[1:]:
        raise ValueError(
            f"reference: expected means of shape {draws.means.shape[1:]}, as in the posterior, "
            f"got {pivot.means.shape}"
        )
    return pivot


def _matched(
    post: xr.DataTree, draws: Draws, pivot: Pivot, method: Method, allowed: NDArray[np.bool_]
) -> tuple[Permutations, Method, float]:
    """Permutations (S, K), the method that found them, and in which share the check agrees."""
    point = pivot.means, pivot.covariances
    if not have_labels(post, pivot) and method in ("auto", "parameters"):
        return by_parameters(draws, *point, allowed), "parameters", np.nan
    full = filled(post, draws, pivot)

    def match(method: Method, *, few: bool) -> Permutations:
        if method == "parameters":
            return by_parameters(draws, *point, allowed)
        return by_labels(draws, *point, *labels_of_draws(post, draws, pivot, few=few), allowed)

    automatic: Method = "parameters" if full.all() else "ecr"
    method = automatic if method == "auto" else method
    if method == "parameters":
        found, check = match("parameters", few=False), match("ecr", few=True)
    elif method == "stephens":
        check = match(automatic, few=False)
        found = by_responsibilities(some_rows(post), draws.parameters, check, allowed)
    else:
        found = match("ecr", few=False)
        if not has_rows(post):
            return found, method, np.nan
        x = some_rows(post)
        check = by_responsibilities(x, draws.parameters, found, allowed, most_rounds=1)
    return found, method, _share_alike(found, check, full)


def _share_alike(one: Permutations, other: Permutations, full: NDArray[np.bool_]) -> float:
    """Share of the draws whose components with rows stand at the same places."""
    places = (np.argsort(permutation, axis=1) for permutation in (one, other))
    return float((np.equal(*places) | ~full).all(axis=1).mean())


def _with_rows(post: xr.DataTree, draws: Draws) -> NDArray[np.bool_] | None:
    """Which components of a draw have rows, (S, K), where the tree holds labels."""
    if "allocation" not in post.children:
        return None
    k = draws.weights.shape[1]
    return np.stack([np.bincount(own, minlength=k) > 0 for own in stored_labels(post, draws)])


def _permuted(post: xr.DataTree, permutation: Permutations, *, labels: bool) -> xr.DataTree:
    """Permute what components have and labels, (chain, draw, component), or leave these out."""
    import xarray as xr

    tree, posterior = post.copy(), group(post, "posterior")
    index = xr.DataArray(permutation, dims=("chain", "draw", "component"))
    for name, variable in posterior.data_vars.items():
        if {"chain", "draw", "component"} <= set(variable.dims):  # a user's own as well
            posterior[name] = variable.isel(component=index).transpose(*variable.dims).variable
    tree["posterior"] = xr.DataTree(posterior)
    if "allocation" not in post.children:
        return tree
    if not labels:
        return tree.drop_nodes("allocation")
    tree["allocation"] = xr.DataTree(_permuted_labels(group(post, "allocation"), permutation))
    return tree


def _permuted_labels(allocation: xr.Dataset, permutation: Permutations) -> xr.Dataset:
    label = allocation["label"]
    inverse = np.argsort(permutation, axis=-1).astype(label.dtype)
    values, moved = label.values, np.empty(label.shape, label.dtype)
    for at in np.ndindex(permutation.shape[:2]):  # indexing all at once takes four times as long
        inverse[at].take(values[at], out=moved[at], mode="clip")
    return allocation.assign(label=(label.dims, moved))


def _relabeling(post: xr.DataTree, permutation: Permutations) -> xr.Dataset:
    """The group of that name: what was done, on top of what had been done before."""
    import xarray as xr

    posterior = group(post, "posterior")
    earlier = group(post, "relabeling") if "relabeling" in post.children else xr.Dataset()
    total = permutation
    if "permutation" in earlier:
        total = np.take_along_axis(
            earlier["permutation"].transpose("chain", "draw", "component").values,
            permutation,
            axis=-1,
        )
    found = earlier.assign(permutation=(("chain", "draw", "component"), total)).assign_coords(
        {c: posterior[c].values for c in ("chain", "draw", "component")}
    )
    identity = np.arange(permutation.shape[-1])
    found.attrs["moved"] = float((total != identity).any(axis=-1).mean())
    found.attrs.setdefault("dropped_mass", 0.0)
    return found


def _kept(relabeling: xr.Dataset) -> str:
    if "n_clusters" not in relabeling.attrs:
        return ""
    k, share = relabeling.attrs["n_clusters"], relabeling.attrs["kept"]
    return f"; of the {share:.0%} of the draws that have {k} cluster{'s' if k > 1 else ''}"
