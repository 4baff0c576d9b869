"""Label switching, before and after it is undone: one band per component, or all colors mixed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import matplotlib.pyplot as plt
import numpy as np

from bayesmix.draws import evenly, require_posterior
from bayesmix.identification import IDENTIFIED
from bayesmix.plots.style import color, marker, plain
from bayesmix.relabel import relabel
from bayesmix.schema import chosen_clusters, group

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["switching"]

Variable = Literal["means", "weights"]
_MOST_DRAWS = 1_500  # with a point of their own


def switching(
    post: xr.DataTree,
    relabeled: xr.DataTree | None = None,
    *,
    variable: Variable = "means",
    feature: str | None = None,
) -> NDArray[np.object_]:
    """Draw a parameter of every component by draw, as sampled and after `relabel`.

    Each chain follows the one before it. As sampled a component's name says nothing: its color
    jumps between bands, or all colors are in every band. Relabeled, colors keep to their bands
    where components are identified; where they still mix, the parameters of a component are no
    summary of anything.

    Parameters
    ----------
    post : DataTree
        Draws as sampled, of a fixed number of components.
    relabeled : DataTree, optional
        What `relabel` made of them; default ``relabel(post)``.
    variable : {"means", "weights"}, default "means"
    feature : str, optional
        Of the means; default the one in which the relabeled components are farthest apart.

    Returns
    -------
    ndarray of matplotlib Axes, shape (2,)
        As sampled, relabeled.

    Raises
    ------
    ValueError
        If the number of components varies, post was relabeled before, or there is no such feature.

    Examples
    --------
    >>> import bayesmix as bm
    >>> post = bm.sample(mixture, x, random_seed=1)  # doctest: +SKIP
    >>> bm.plots.switching(post)  # doctest: +SKIP
    """
    if variable not in get_args(Variable):
        raise ValueError(f"variable: expected 'means' or 'weights', got {variable!r}")
    if "relabeling" in post.children:
        raise ValueError(
            "post: expected draws as they were sampled, got relabeled ones; pass the tree that "
            "relabel was given"
        )
    before = require_posterior(post)
    relabeled = relabel(post) if relabeled is None else relabeled
    _require_relabeled(relabeled, before.sizes)
    after = group(relabeled, "posterior")
    if variable == "means":
        name = _feature(after, feature)
        values = [found["means"].sel(feature=name) for found in (before, after)]
        said = f"mean of {plain(name)}"
    else:
        values, said = [before["weights"], after["weights"]], "weight"
    figure, axes = plt.subplots(
        2, 1, figsize=(8, 5.4), layout="constrained", sharex=True, sharey=True
    )
    for ax, own, title in zip(axes, values, _titles(relabeled), strict=True):
        _bands(ax, own.transpose("chain", "draw", "component"))
        ax.set_title(title, loc="left", fontsize="medium")
        ax.set_ylabel(said)
    chains = before.sizes["chain"]
    axes[1].set_xlabel("draw" if chains == 1 else f"draw, {chains} chains one after the other")
    handles, names = axes[1].get_legend_handles_labels()
    figure.legend(
        handles,
        names,
        loc="outside right upper",
        title="component",
        fontsize="small",
        markerscale=3,
    )
    return axes


def _require_relabeled(tree: xr.DataTree, sizes: Any) -> None:
    """Refuse what is not the relabeled tree of draws of these sizes."""
    if "relabeling" not in tree.children or chosen_clusters(tree) is not None:
        raise ValueError("relabeled: expected what relabel(post) returns, for all draws of post")
    own = group(tree, "posterior").sizes
    if any(own[name] != sizes[name] for name in ("chain", "draw", "component")):
        raise ValueError(
            f"relabeled: expected the draws of post, {dict(sizes)}, got {dict(own)}; pass "
            "relabel(post)"
        )


def _feature(posterior: xr.Dataset, feature: str | None) -> Any:
    """The feature asked for, or that whose components are farthest apart in posterior sds."""
    names = posterior["feature"].values
    if feature is None:
        means = posterior["means"].transpose("chain", "draw", "component", "feature").values
        centers, spread = means.mean(axis=(0, 1)), means.std(axis=(0, 1)).mean(axis=0)
        return names[(np.ptp(centers, axis=0) / np.maximum(spread, 1e-300)).argmax()]
    if feature not in names:
        raise ValueError(f"feature: expected one of {', '.join(map(str, names))}, got {feature!r}")
    return feature


def _titles(relabeled: xr.DataTree) -> tuple[str, str]:
    attrs = group(relabeled, "relabeling").attrs
    said = f"Relabeled (method {attrs['method']}): {attrs['moved']:.0%} of the draws renamed"
    if attrs["non_permutation_rate"] > IDENTIFIED:
        said += f"\nin {attrs['non_permutation_rate']:.0%} of the draws components do not separate"
    return "As sampled", said


def _bands(ax: Axes, values: xr.DataArray) -> None:
    """Points of all draws, colored by component; lines between chains."""
    chains, draws, _ = values.shape
    stacked = values.values.reshape(chains * draws, -1)
    shown = evenly(len(stacked), _MOST_DRAWS)
    for k, name in enumerate(values["component"].values):
        ax.plot(
            shown,
            stacked[shown, k],
            linestyle="none",
            marker=marker(k),
            markersize=2,
            color=color(k),
            alpha=0.6,
            label=plain(name),
            rasterized=True,
        )
    for border in range(draws, chains * draws, draws):
        ax.axvline(border - 0.5, color="0.6", linewidth=0.8)
    ax.margins(x=0)
