"""Rows in two dimensions with the components' ellipses: point fit over posterior draws."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from bayesmix.draws import data_of, draws_of, evenly
from bayesmix.plots.columns import chosen, separating_components
from bayesmix.plots.points import law_of
from bayesmix.plots.rows import (
    add_legend,
    ordered,
    placed,
    require_coverage,
    rows_drawn,
    rows_words,
    size_of_markers,
)
from bayesmix.plots.style import POINT_COLOR, axes_or_new, color, marker, plain, point_name

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from bayesmix.draws import Draws

    Floats = NDArray[np.float64]

__all__ = ["clusters", "ellipse", "handles_of_clusters"]

_N_ELLIPSES = 60
_UNSURE = 0.95
_SHOWN = (0.05, 0.95)  # of the ends of a component's ellipses


def clusters(
    post: xr.DataTree,
    point: Any = None,
    *,
    features: Sequence[str] | None = None,
    coverage: float = 0.9,
    legend: bool = True,
    found: xr.Dataset | None = None,
    ax: Axes | None = None,
) -> Axes:
    r"""Draw the rows by their most probable component, under the components' ellipses.

    Filled markers are rows placed with at least 95 % probability, hollow ones the rest. Thin
    ellipses are draws of the posterior, the black one is the point fit. Of more than 5,000 rows so
    many are drawn.

    Parameters
    ----------
    post : DataTree
        With the groups ``posterior`` and ``observed_data``.
    point : DataTree or GaussianMixture, optional
        With the group ``point_estimate``, or a fitted estimator; the components follow its order
        unless ``post`` is relabeled already.
    features : sequence of two str, optional
        Which two; default the two that separate the components best.
    coverage : float, default 0.9
        Probability inside each ellipse of its component.
    legend : bool, default True
    found : Dataset, optional
        Result of `bayesmix.membership` for the rows of the fit, to save computing it again; with a
        point, of a tree that was relabeled to it.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    require_coverage(coverage)
    post = ordered(post, point)
    table = data_of(post)
    at = chosen(table, features, partial(separating_components, post))
    if len(at) < 2:
        raise ValueError("clusters: expected two features, got one; use plots.density")
    ax = axes_or_new(ax)
    found = placed(post, found)
    rows = rows_drawn(len(table.values))
    _draw_rows(ax, table.values[rows][:, at], found.isel(obs=rows))
    occupied = np.isin(found["component"].values, found["label"].values)
    _draw_posterior(ax, draws_of(post), at, coverage, occupied)
    if point is not None:
        estimate = law_of(point, table, at)
        for mean, covariance in zip(estimate.means, estimate.covariances, strict=True):
            ax.plot(*ellipse(mean, covariance, coverage).T, color=POINT_COLOR, linewidth=1.6)
    ax.set(xlabel=plain(table.features[at[0]]), ylabel=plain(table.features[at[1]]))
    if legend:
        handles = handles_of_clusters(post, found, coverage, point)
        add_legend(ax, handles)
    return ax


def _draw_rows(ax: Axes, x: Floats, found: xr.Dataset) -> None:
    """Rows (n, 2) by component, filled where they are surely placed."""
    label, sure = found["label"].values, found["label_probability"].values >= _UNSURE
    size = size_of_markers(len(x))
    for k, name in enumerate(found["component"].values):
        for certain in (True, False):
            rows = (label == name) & (sure == certain)
            ax.scatter(
                x[rows, 0],
                x[rows, 1],
                s=size if certain else 1.9 * size,
                marker=marker(k),
                facecolors=color(k) if certain else "none",
                edgecolors="none" if certain else color(k),
                linewidths=0.08 * size,
                alpha=0.55 if certain else 1,
                zorder=2 if certain else 4,
            )


def _draw_posterior(
    ax: Axes, draws: Draws, at: list[int], coverage: float, occupied: NDArray[np.bool_]
) -> None:
    """Ellipses of some draws, by component.

    Room is made for most of those of components that have rows, (K,): others may be anywhere.
    """
    if len(draws) == 1:  # is the point itself
        return
    covariances = draws.covariances[..., at, :][..., at]
    for k in range(draws.weights.shape[1]):
        outlines = [
            ellipse(draws.means[s, k, at], covariances[s, k], coverage)
            for s in evenly(len(draws), _N_ELLIPSES)
        ]
        lines = LineCollection(outlines, colors=color(k), linewidths=0.5, alpha=0.25)
        ax.add_collection(lines, autolim=False)
        if occupied[k]:
            low, high = np.min(outlines, axis=1), np.max(outlines, axis=1)
            least, most = np.quantile(low, _SHOWN[0], axis=0), np.quantile(high, _SHOWN[1], axis=0)
            ax.update_datalim([least, most])
    ax.autoscale_view()


def ellipse(mean: Floats, covariance: Floats, coverage: float) -> Floats:
    """Outline (m, 2) of the ellipse that holds ``coverage`` of a normal in two dimensions."""
    radius = np.sqrt(-2 * np.log(1 - coverage))
    angle = np.linspace(0, 2 * np.pi, 101)
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    return mean + radius * circle @ np.linalg.cholesky(covariance).T


def handles_of_clusters(
    post: xr.DataTree, found: xr.Dataset, coverage: float, point: Any = None
) -> list[Line2D]:
    """What a legend of `clusters` says."""

    def dot(k: int, **kwargs: Any) -> Line2D:
        return Line2D([], [], linestyle="none", marker=marker(k), **kwargs)

    handles = [
        dot(k, color=color(k), label=f"component {plain(name)}")
        for k, name in enumerate(found["component"].values)
    ]
    if (found["label_probability"].values < _UNSURE).any():
        unsure = f"placed with < {_UNSURE:.0%}"
        handles.append(dot(0, markerfacecolor="none", color="0.3", label=unsure))
    if len(draws_of(post)) > 1:
        name = f"posterior draws, {coverage:.0%} inside"
        handles.append(Line2D([], [], color="0.5", linewidth=0.7, label=name))
    if point is not None:
        name = f"{point_name(point)}, {coverage:.0%} inside"
        handles.append(Line2D([], [], color=POINT_COLOR, linewidth=1.6, label=name))
    n = found.sizes["obs"]
    if len(rows_drawn(n)) < n:
        handles.append(Line2D([], [], linestyle="none", label=rows_words(n)))
    return handles
