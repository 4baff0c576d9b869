"""All pairs of features: clusters or contours below the diagonal, densities on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np

from bayesmix.draws import data_of
from bayesmix.membership import membership
from bayesmix.plots.clusters import clusters, handles_of_clusters
from bayesmix.plots.columns import column, separating_components
from bayesmix.plots.contours import contours, handles_of_contours
from bayesmix.plots.density import CUT, density, histogram
from bayesmix.plots.rows import ordered, require_coverage
from bayesmix.plots.style import axes_or_new, plain
from bayesmix.schema import chosen_clusters, varies

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["pairs"]

_MAX_FEATURES = 4
_N_DRAWS = 10  # of contours: panels are small
_WIDTH, _HEIGHT = 2.7, 2.4  # of a panel, in inches
_ENTRY = 0.2  # height of a line of the legend, in inches


def pairs(post: xr.DataTree, point: Any = None, *, coverage: float = 0.9) -> NDArray[np.object_]:
    """Draw every pair of the (at most four) features that separate best, and each one's density.

    Below the diagonal are `clusters`, or `contours` where the number of components varies;
    on it `density`, but only the data where draws were chosen by their number of clusters.

    Parameters
    ----------
    post, point
        As for `clusters`.
    coverage : float, default 0.9
        Probability inside the ellipses or contours.

    Returns
    -------
    ndarray of matplotlib Axes
        Square; those above the diagonal are hidden. One feature has its density alone, or the
        data where draws were chosen.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
    >>> post = bm.sample(mixture, x, random_seed=1, progressbar=False)
    >>> bm.plots.pairs(post).shape
    (2, 2)
    """
    require_coverage(coverage)
    post = post if varies(post) else ordered(post, point)
    names = _features(post)
    size = len(names)
    if size == 1:
        return _alone(post, point)
    figure, grid = plt.subplots(
        size,
        size,
        figsize=(_WIDTH * size + 0.8, _HEIGHT * size),
        sharex="col",
        layout="constrained",
    )
    draw, handles = _below(post, point, coverage)
    for (i, j), ax in np.ndenumerate(grid):
        if j > i:
            ax.set_visible(False)
            continue
        if j < i:
            draw((names[j], names[i]), ax)
        else:
            _diagonal(ax, post, point, names[i])
        ax.set_xlabel(plain(names[j]) if i == size - 1 else "")
        ax.set_ylabel(plain(names[i]) if j == 0 < i else "")
        ax.tick_params(labelleft=j == 0 < i)
    for handle, label in zip(*grid[0, 0].get_legend_handles_labels(), strict=True):
        handle.set_label(f"on the diagonal: {label}")
        handles.append(handle)
    _explain(figure, handles, size)
    return grid


def _explain(figure: Figure, handles: list[Any], size: int) -> None:
    """A legend above the diagonal, or where it is too long beside the panels."""
    place: dict[str, Any] = {"loc": "upper right"}
    if len(handles) * _ENTRY > _HEIGHT * (size - 1):
        columns = int(np.ceil(len(handles) * _ENTRY / figure.get_figheight()))
        figure.set_figwidth(figure.get_figwidth() + _WIDTH * columns)
        place = {"loc": "outside right upper", "ncols": columns}
    figure.legend(handles=handles, fontsize="small", **place)


def _alone(post: xr.DataTree, point: Any) -> NDArray[np.object_]:
    """The density of the only feature, as the only panel."""
    ax = axes_or_new(None)
    if chosen_clusters(post) is None:
        density(post, point, ax=ax)
    else:
        table = data_of(post)
        histogram(ax, table.values[:, 0])
        ax.set(xlabel=plain(table.features[0]), ylabel="density")
        ax.legend(fontsize="small")
    return np.array([[ax]], dtype=object)


def _features(post: xr.DataTree) -> list[str]:
    """All features, or of many those whose components are farthest apart."""
    names = data_of(post).features
    if len(names) <= _MAX_FEATURES:
        return list(names)
    return [names[j] for j in separating_components(post, _MAX_FEATURES)]


def _below(
    post: xr.DataTree, point: Any, coverage: float
) -> tuple[Callable[[tuple[str, str], Axes], Axes], list[Any]]:
    """What draws a pair of features, and what a legend says of it."""
    if varies(post):
        options: dict[str, Any] = {"coverage": coverage, "n_draws": _N_DRAWS, "legend": False}
        handles = handles_of_contours(post, [coverage], _N_DRAWS, point)
        return lambda pair, ax: contours(post, point, features=pair, ax=ax, **options), handles
    found = membership(post)
    options = {"coverage": coverage, "found": found, "legend": False}
    handles = handles_of_clusters(post, found, coverage, point)
    return lambda pair, ax: clusters(post, point, features=pair, ax=ax, **options), handles


def _diagonal(ax: Axes, post: xr.DataTree, point: Any, name: str) -> None:
    """Density of a feature without its legend, or where it cannot be had the data alone."""
    if chosen_clusters(post) is None:
        density(post, point, feature=name, legend=False, ax=ax)
        if CUT in ax.get_ylabel():  # which makes room for a name
            ax.set_title(CUT, fontsize="x-small", loc="right")
    else:
        table = data_of(post)
        histogram(ax, table.values[:, column(table, name)])
    ax.set_yticks([])
