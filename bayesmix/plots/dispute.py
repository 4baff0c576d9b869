"""Rows in dispute over all others, under the components of the point."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.dispute import Dispute
from bayesmix.frozen import FrozenMixture
from bayesmix.plots.clusters import ellipse
from bayesmix.plots.columns import chosen
from bayesmix.plots.curves import component_heights, extent, places, spreads
from bayesmix.plots.density import CUT, ceiling
from bayesmix.plots.rows import below, rows_drawn
from bayesmix.plots.style import POINT_COLOR, axes_or_new, color, marker, plain, require_made
from bayesmix.wording import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["disputed"]

_COVERAGE = 0.9


def disputed(
    dispute: Dispute, *, features: Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the rows of extra clusters in color over all others in grey, and the point's components.

    Ringed are other rows whose two clusters are not each other's counterparts. Components of two
    features are ellipses that hold 90 % of them; of one feature, densities with their weights, the
    rows below the axis.

    Parameters
    ----------
    dispute : Dispute
        Result of `bayesmix.disputed_rows`.
    features : one or two str, optional
        Default the two in which the rows of extra clusters are farthest from those around them.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    require_made(dispute, Dispute, "dispute", "disputed_rows")
    at = chosen(dispute.data, features, partial(_telling, dispute))
    ax = axes_or_new(ax)
    values = dispute.data.values[:, at]
    point = dispute.point.marginal(at)
    if len(at) == 1:
        values = _densities(ax, point, dispute.name, values[:, 0])
    else:
        _ellipses(ax, point, plain(dispute.name))
        ax.set_ylabel(plain(dispute.data.features[at[1]]))
    _rows(ax, values, dispute)
    ax.set_xlabel(plain(dispute.data.features[at[0]]))
    ax.legend(fontsize="small")
    return ax


def _telling(dispute: Dispute, most: int) -> list[int]:
    """Features, in their order, in which extra clusters and their parents differ most."""
    extra, values = dispute.rows["extra"].to_numpy(), dispute.data.values
    far = np.zeros(values.shape[1])
    of_parent = "label" if dispute.n_clusters[0] > dispute.n_clusters[1] else "point_label"
    for k, parent in dispute.table["parent"].items():
        own = extra == k
        rest = (dispute.rows[of_parent] == parent).to_numpy() & ~own
        apart = np.abs(values[own].mean(axis=0) - values[rest].mean(axis=0))
        far = np.maximum(far, apart / values[own | rest].std(axis=0))
    return sorted(np.argsort(-far, kind="stable")[:most].tolist())


def _rows(ax: Axes, values: Floats, dispute: Dispute) -> None:
    """Rows at their places (n, 2): grey, but those of extra clusters."""
    extra = dispute.rows["extra"].to_numpy()
    others = values[extra < 0]
    name = counted(len(others), "other row")
    _some(ax, others, name, s=12, color="0.75", linewidths=0, zorder=1)
    whose = "component" if dispute.n_clusters[0] > dispute.n_clusters[1] else "posterior's cluster"
    for k in dispute.table.index:
        own = values[extra == k]
        look: dict[str, Any] = {"color": color(k), "marker": marker(k), "linewidths": 0}
        name = f"{whose} {k}: {counted(len(own), 'row')}"
        _some(ax, own, name, s=24, alpha=0.8, zorder=2, **look)
    moved = values[(extra < 0) & ~dispute.rows["agrees"].to_numpy()]
    if len(moved):
        ring: dict[str, Any] = {"facecolors": "none", "edgecolors": POINT_COLOR}
        name = f"{counted(len(moved), 'row')} of these placed otherwise"
        _some(ax, moved, name, s=32, linewidths=0.8, **ring)


def _some(ax: Axes, places: Floats, name: str, **look: Any) -> None:
    """Rows (m, 2), or as many of them as there is room for."""
    shown = places[rows_drawn(len(places))]
    name += "" if len(shown) == len(places) else f", {len(shown):,} shown"
    ax.scatter(shown[:, 0], shown[:, 1], label=name, **look)


def _ellipses(ax: Axes, point: FrozenMixture, name: str) -> None:
    label: str | None = f"{name}, {_COVERAGE:.0%} of each component inside"
    for mean, covariance in zip(point.means, point.covariances, strict=True):
        outline = ellipse(mean, covariance, _COVERAGE)
        ax.plot(*outline.T, color=POINT_COLOR, linewidth=1.2, label=label, zorder=3)
        label = None


def _densities(ax: Axes, point: FrozenMixture, name: str, x: Floats) -> Floats:
    """Weighted densities of components of one feature, and their sum; places of rows below them."""
    at = places(*extent(x), *spreads(point))
    parts, whole = component_heights(point, at), point.pdf(at)
    first, *_ = ax.plot(at, parts.T, color=POINT_COLOR, linewidth=0.8)
    first.set_label(plain(f"{name}'s components"))
    label = plain(f"{name}'s mixture")
    ax.plot(at, whole, color=POINT_COLOR, linewidth=1.8, label=label)
    peak = float(whole.max())
    top = min(peak, ceiling(x))
    cut = f", {CUT}" if peak > top else ""
    ax.set(ylim=(-0.28 * top, 1.05 * top), ylabel=f"density{cut}; below it the rows")
    return below(ax, x, top)
