"""Label switching undone: each draw's components matched to a reference point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from bayesmix import passes
from bayesmix.component_prior import log_prior
from bayesmix.covariance import structure_of
from bayesmix.draws import Draws, data_of, draws_of
from bayesmix.identification import identification
from bayesmix.inputs import as_generator, random_words
from bayesmix.matching import by_labels, by_parameters, by_responsibilities
from bayesmix.pass_parameters import PassParameters
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

_MOST_ROWS = 1000  # that Stephens' method and the check of the others look at


def relabel(
    post: xr.DataTree,
    method: Method = "auto",
    *,
    reference: xr.Dataset | None = None,
    n_clusters: int | None = None,
) -> xr.DataTree:
    r"""Permute the components of every draw to match a reference point.

    Where the prior itself tells the components apart (unequal concentrations), labels have a
    meaning and are kept. Broken sticks come in an order, but chains find clusters in different
    ones: they are matched, and the density of the weights then is no longer that of the draws'
    order.

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
          spread, from their mean over the draws, by rounds that start at the match of
          parameters (Stephens 2000);
        - ``"auto"``: ``"ecr"`` where some of the labels that the tree holds leave components
          without rows, whose parameters, drawn from the prior, would count as much as those of
          the others; else ``"parameters"``.

        Labels that the tree does not hold are drawn at the parameters.
    reference : Dataset, optional
        ``weights``, ``means`` and ``covariances`` of one point, for example the group
        ``point_estimate`` of `fit_em`; its labels are the most probable components. Default: the
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

        - ``method``, or "none" where labels have a meaning;
        - ``agreement``: share of draws for which another method finds the same permutation, ECR on
          at most 1,000 rows for the match of parameters, this one for the others; NaN where the
          tree has neither labels nor rows, or labels have a meaning;
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
    >>> post = bm.sample(mixture, x, random_seed=1)  # doctest: +SKIP
    >>> bm.relabel(post).relabeling.attrs["advice"]  # doctest: +SKIP
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
    post: xr.DataTree, method: Method, reference: xr.Dataset | None, *, labels: bool = True
) -> xr.DataTree:
    draws = draws_of(post)
    pivot = _best_draw(post, draws) if reference is None else _point(reference, post, draws)
    mixture = mixture_of(post)
    free = mixture is None or _may_permute(mixture)
    used: Method | Literal["none"] = "none"
    if free:
        used = _automatic(post, draws, pivot) if method == "auto" else method
        permutation, agreement = _matched(post, draws, pivot, used)
    else:
        permutation = np.tile(np.arange(draws.weights.shape[1]), (len(draws), 1))
        agreement = np.nan
    tree = _permuted(post, draws.by_chain(permutation), labels=labels)
    found = _relabeling(post, draws.by_chain(permutation))
    identified = identification(draws, permutation, lambda: _with_rows(post, draws))
    names = group(post, "posterior")["component"].values.tolist()
    advice = identified.advice(names) if free else _KEPT_AS_SAMPLED
    found.attrs |= {
        "method": used,
        "agreement": agreement,
        "non_permutation_rate": identified.non_permutation_rate,
        "advice": advice + _kept(found),
    }
    import xarray as xr

    tree["relabeling"] = xr.DataTree(found)
    return tree


_KEPT_AS_SAMPLED = "the prior tells the components apart, so their labels were kept as sampled"


@dataclass(frozen=True)
class _Pivot:
    """What draws are matched to."""

    weights: Floats
    means: Floats
    covariances: Floats
    draw: int | None = None
    """Which of the draws it is, if one of them."""


def _may_permute(mixture: Mixture) -> bool:
    return not isinstance(mixture.weights, Dirichlet) or mixture.weights.exchangeable


def _best_draw(post: xr.DataTree, draws: Draws) -> _Pivot:
    best = int(_density(post, draws).argmax())
    return _Pivot(draws.weights[best], draws.means[best], draws.covariances[best], best)


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


def _point(reference: xr.Dataset, post: xr.DataTree, draws: Draws) -> _Pivot:
    features = [str(f) for f in group(post, "posterior")["feature"].values]
    if "feature" in reference.coords:
        given = [str(f) for f in reference["feature"].values]
        if given != features:
            raise ValueError(
                f"reference: expected the features {', '.join(features)}, in this order as in the "
                f"posterior, got {', '.join(given)}"
            )
    weights, means, covariances = (reference[name].values for name in PARAMETERS)
    pivot = _Pivot(weights, means, covariances)
    if pivot.means.shape != draws.means.shape[1:]:
        raise ValueError(
            f"reference: expected means of shape {draws.means.shape[1:]}, as in the posterior, "
            f"got {pivot.means.shape}"
        )
    return pivot


def _automatic(post: xr.DataTree, draws: Draws, pivot: _Pivot) -> Method:
    posterior = group(post, "posterior")
    if "n_clusters" not in posterior or not _labeled(post, pivot):
        return "parameters"
    full = posterior["n_clusters"].values.min() == draws.weights.shape[1]
    return "parameters" if full else "ecr"


def _labeled(post: xr.DataTree, pivot: _Pivot) -> bool:
    """Whether the tree holds labels, and those of the pivot are to be had."""
    at_pivot = pivot.draw is not None or "observed_data" in post.children
    return "allocation" in post.children and at_pivot


def _matched(
    post: xr.DataTree, draws: Draws, pivot: _Pivot, method: Method
) -> tuple[Permutations, float]:
    """Permutations (S, K), and the share of them that the check finds too."""
    point = pivot.means, pivot.covariances
    match = by_parameters(draws, *point)
    match method:
        case "ecr":
            found = by_labels(draws, *point, *_labels(post, draws, pivot))
            return found, _share_alike(found, match)
        case "stephens":
            x = data_of(post).values
            found = by_responsibilities(x[_spread(len(x))], draws.parameters, match)
            return found, _share_alike(found, match)
    if not _labeled(post, pivot) and "observed_data" not in post.children:
        return match, np.nan
    check = by_labels(draws, *point, *_labels(post, draws, pivot, few=True))
    return match, _share_alike(match, check)


def _share_alike(one: Permutations, other: Permutations) -> float:
    return float((one == other).all(axis=1).mean())


def _labels(
    post: xr.DataTree, draws: Draws, pivot: _Pivot, *, few: bool = False
) -> tuple[Callable[[slice], NDArray[Any]], NDArray[Any]]:
    """Labels of some draws, made when asked for, and those at the pivot: of all rows or of few."""
    if "allocation" in post.children:
        stored = group(post, "allocation")["label"].transpose("chain", "draw", "obs").values
        flat = stored.reshape(len(draws), -1)
        rows = _spread(flat.shape[1], few=few)

        def labels(own: slice) -> NDArray[Any]:
            return flat[own].take(rows, axis=1)

    else:
        x = data_of(post).values
        rows = _spread(len(x), few=few)
        some = x[rows]
        keys = random_words(as_generator(0), (len(draws), 2))

        def labels(own: slice) -> NDArray[Any]:
            return passes.sampled_labels(some, draws.parameters[own], keys[own])

    if pivot.draw is not None:
        return labels, labels(slice(pivot.draw, pivot.draw + 1))[0]
    point = pivot.weights, pivot.means, pivot.covariances
    parameters = PassParameters.from_point(structure_of("full"), *point)
    return labels, passes.labels(data_of(post).values[rows], parameters)


def _spread(n: int, *, few: bool = True) -> NDArray[np.intp]:
    """All of n rows, or at most `_MOST_ROWS`."""
    most = _MOST_ROWS if few else n
    return np.linspace(0, n - 1, min(n, most)).round().astype(np.intp)


def _with_rows(post: xr.DataTree, draws: Draws) -> NDArray[np.bool_] | None:
    """Which components of a draw have rows, (S, K), where the tree holds labels."""
    if "allocation" not in post.children:
        return None
    stored = group(post, "allocation")["label"].transpose("chain", "draw", "obs").values
    k = draws.weights.shape[1]
    return np.stack([np.bincount(own, minlength=k) > 0 for own in stored.reshape(len(draws), -1)])


def _permuted(post: xr.DataTree, permutation: Permutations, *, labels: bool) -> xr.DataTree:
    """Permute parameters and labels, (chain, draw, component), or leave the labels out."""
    import xarray as xr

    tree, posterior = post.copy(), group(post, "posterior")
    index = xr.DataArray(permutation, dims=("chain", "draw", "component"))
    for name in PARAMETERS:
        variable = posterior[name]
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
        total = np.take_along_axis(earlier["permutation"].values, permutation, axis=-1)
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
