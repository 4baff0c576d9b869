"""Rows in two dimensions with the components' ellipses: point fit over posterior draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from bayesmix.draws import data_of, draws_of, point_of
from bayesmix.membership import membership
from bayesmix.plots.style import POINT_COLOR, axes_or_new, color, column, marker
from bayesmix.relabel import relabel
from bayesmix.schema import group

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["clusters", "ellipse", "pairs"]

_N_ELLIPSES = 60
_UNSURE = 0.95
_MAX_FEATURES = 4
_MAX_ROWS = 5000


def clusters(
    post: xr.DataTree,
    point: Any = None,
    *,
    features: tuple[str, str] | None = None,
    coverage: float = 0.9,
    legend: bool = True,
    found: xr.Dataset | None = None,
    ax: Axes | None = None,
) -> Axes:
    r"""Draw the rows by their most probable component, under the components' ellipses.

    Filled markers are rows placed with at least 95 % probability, hollow ones the rest. Thin
    ellipses are draws of the posterior, the black one is the point fit.

    Parameters
    ----------
    post : DataTree
        With the groups ``posterior`` and ``observed_data``.
    point : DataTree or GaussianMixture, optional
        With the group ``point_estimate``, or a fitted estimator; the components follow its order
        unless ``post`` is relabeled already.
    features : pair of str, optional
        Which two; default the first two.
    coverage : float, default 0.9
        Probability inside each ellipse of its component.
    legend : bool, default True
    found : Dataset, optional
        Result of `membership`, to save computing it again.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage: expected a number between 0 and 1, got {coverage}")
    post = _relabeled(post, point)
    table = data_of(post)
    names = table.features[:2] if features is None else features
    if len(names) < 2:
        raise ValueError("clusters: expected two features, got one; use plots.density")
    at = [column(table, name) for name in names]
    ax = axes_or_new(ax)
    found = membership(post) if found is None else found
    rows = _thinned(len(table.values))
    _draw_rows(ax, table.values[rows][:, at], found.isel(obs=rows))
    draws = draws_of(post)
    spread = len(draws) > 1  # a single draw is the point itself
    chosen = np.linspace(0, len(draws) - 1, min(_N_ELLIPSES, len(draws)) * spread).astype(int)
    for k in range(draws.weights.shape[1]):
        outlines = [
            ellipse(draws.means[s, k][at], draws.covariances[s, k][np.ix_(at, at)], coverage)
            for s in chosen
        ]
        ax.add_collection(LineCollection(outlines, colors=color(k), linewidths=0.5, alpha=0.25))
    if point is not None:
        estimate = point_of(point)
        for mean, covariance in zip(
            estimate["means"].values, estimate["covariances"].values, strict=True
        ):
            outline = ellipse(mean[at], covariance[np.ix_(at, at)], coverage)
            ax.plot(*outline.T, color=POINT_COLOR, linewidth=1.6)
    ax.autoscale_view()
    ax.set(xlabel=names[0], ylabel=names[1])
    if legend:
        handles = _handles(found, coverage, with_point=point is not None, with_draws=spread)
        ax.legend(handles=handles, fontsize="small")
    return ax


def pairs(post: xr.DataTree, point: Any = None, *, coverage: float = 0.9) -> NDArray[np.object_]:
    """Draw `clusters` for every pair of the (at most four) features that separate best.

    Returns
    -------
    ndarray of matplotlib Axes
        Lower triangle; the unused axes are hidden.
    """
    post = _relabeled(post, point)
    names = _separating(post)
    size = len(names) - 1
    figure, grid = plt.subplots(
        size, size, figsize=(3.1 * size + 0.5, 2.8 * size), squeeze=False, layout="constrained"
    )
    found = membership(post)
    for i in range(size):
        for j in range(size):
            ax = grid[i, j]
            if j > i:
                ax.set_visible(False)
                continue
            pair = (names[j], names[i + 1])
            clusters(
                post,
                point,
                features=pair,
                coverage=coverage,
                legend=False,
                found=found,
                ax=ax,
            )
            ax.label_outer()
    handles = _handles(
        found, coverage, with_point=point is not None, with_draws=len(draws_of(post)) > 1
    )
    figure.legend(handles=handles, loc="upper right", fontsize="small")
    return grid


def _relabeled(post: xr.DataTree, point: Any) -> xr.DataTree:
    if "relabeling" in post.children:
        return post
    reference = None if point is None else point_of(point)
    return relabel(post, reference=reference)


def _separating(post: xr.DataTree) -> list[str]:
    """Features in the order of the data, the best separating ones if there are many."""
    draws = draws_of(post)
    names = [str(f) for f in group(post, "posterior")["feature"].values]
    means = draws.means.mean(axis=0)
    variances = np.diagonal(draws.covariances.mean(axis=0), axis1=-2, axis2=-1)
    spread = means.var(axis=0) / variances.mean(axis=0)
    best = np.sort(np.argsort(-spread)[:_MAX_FEATURES])
    return [names[j] for j in best]


def _thinned(n: int) -> NDArray[np.intp]:
    """Rows to draw: all, or evenly spaced ones where more would only make a blot."""
    return np.unique(np.linspace(0, n - 1, min(n, _MAX_ROWS)).astype(np.intp))


def _draw_rows(ax: Axes, x: Floats, found: xr.Dataset) -> None:
    label, sure = found["label"].values, found["label_probability"].values >= _UNSURE
    for k, name in enumerate(found["component"].values):
        for certain in (True, False):
            rows = (label == name) & (sure == certain)
            ax.scatter(
                x[rows, 0],
                x[rows, 1],
                s=18 if certain else 34,
                marker=marker(k),
                facecolors=color(k) if certain else "none",
                edgecolors="none" if certain else color(k),
                linewidths=1.4,
                alpha=0.55 if certain else 1,
                zorder=2 if certain else 4,
            )


def ellipse(mean: Floats, covariance: Floats, coverage: float) -> Floats:
    """Outline (m, 2) of the ellipse that holds ``coverage`` of a normal in two dimensions."""
    radius = np.sqrt(-2 * np.log(1 - coverage))
    angle = np.linspace(0, 2 * np.pi, 101)
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    return mean + radius * circle @ np.linalg.cholesky(covariance).T


def _handles(
    found: xr.Dataset, coverage: float, *, with_point: bool, with_draws: bool
) -> list[Line2D]:
    def dot(k: int, **kwargs: Any) -> Line2D:
        return Line2D([], [], linestyle="none", marker=marker(k), **kwargs)

    handles = [
        dot(k, color=color(k), label=f"component {name}")
        for k, name in enumerate(found["component"].values)
    ]
    if (found["label_probability"].values < _UNSURE).any():
        handles.append(
            dot(0, markerfacecolor="none", color="0.3", label=f"placed with < {_UNSURE:.0%}")
        )
    if with_draws:
        name = f"posterior draws, {coverage:.0%} inside"
        handles.append(Line2D([], [], color="0.5", linewidth=0.7, label=name))
    if with_point:
        handles.append(
            Line2D([], [], color=POINT_COLOR, linewidth=1.6, label=f"EM, {coverage:.0%} inside")
        )
    return handles
