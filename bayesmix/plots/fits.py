"""Fitted estimators side by side on the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.frozen import FrozenMixture, frozen
from bayesmix.inputs import as_table
from bayesmix.plots.clusters import ellipse
from bayesmix.plots.columns import chosen, separating
from bayesmix.plots.curves import component_heights, extent, places, spreads
from bayesmix.plots.density import CUT, ceiling, histogram
from bayesmix.plots.panels import panels
from bayesmix.plots.rows import (
    below,
    require_coverage,
    rows_drawn,
    rows_words,
    size_of_markers,
)
from bayesmix.plots.style import POINT_COLOR, color, marker, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Labels = NDArray[np.intp]

__all__ = ["fits"]

_COLUMNS = 4
_LINE = 44  # letters that stand above a column


@dataclass(frozen=True)
class _Fit:
    """What a picture needs to know of an estimator."""

    title: str
    labels: Labels
    """Of all rows, (n,)."""
    centers: Floats
    """Shape (K, D)."""
    law: FrozenMixture | None
    """None where it has centers alone."""

    def marginal(self, features: list[int]) -> _Fit:
        """What it says of some features."""
        law = None if self.law is None else self.law.marginal(features)
        return replace(self, centers=self.centers[:, features], law=law)

    @property
    def used(self) -> Labels:
        """Components that have rows."""
        return np.unique(self.labels)


def fits(
    fits: Mapping[str, Any],
    x: Any,
    *,
    features: Sequence[str] | None = None,
    coverage: float = 0.9,
) -> NDArray[np.object_]:
    r"""Draw fitted estimators on the same rows, one panel each.

    A cluster has the color of the first one, panel by panel, with which it shares more than half
    of the rows that are in either, else a new color: so no two clusters of a panel can have claim
    to the same. Mixtures have ellipses, or in one dimension densities, cut where they are three
    times as high as the highest bar of the histogram; k-means has centers only, since it knows no
    spread. Components without rows are not drawn.

    Parameters
    ----------
    fits : mapping of str to estimator
        Names and fitted estimators with ``predict``, each with ``cluster_centers_`` or with
        ``weights_``, ``means_``, ``covariances_`` and ``covariance_type``: scikit-learn's
        KMeans, GaussianMixture and BayesianGaussianMixture, and ours.
    x : (n, D) array_like or DataFrame
        The rows.
    features : one or two str, optional
        Which to draw; default the two in which the clusters are farthest apart, or the only one.
    coverage : float, default 0.9
        Probability inside each ellipse of its component.

    Returns
    -------
    ndarray of matplotlib Axes, shape (number of fits,)
        Titles have the BIC (low is good) where the estimator knows one; a fit of ours that is at
        no genuine optimum, such as a singular one, has none.

    Raises
    ------
    ValueError
        If there is no fit, or one is not fitted, or none of these.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> names = ["full", "tied", "diag", "spherical"]
    >>> found = {name: bm.GaussianMixture(2, covariance_type=name).fit(x) for name in names}
    >>> bm.plots.fits(found, x)[0].get_title()
    'full\nBIC 2,322.2'
    """
    require_coverage(coverage)
    table = as_table(x)
    parts = _read(fits, x)
    at = chosen(table, features, partial(separating, table.values, _most(parts).labels))
    names = [plain(table.features[j]) for j in at]
    labels = (names[0], names[1]) if len(at) == 2 else (names[0], "density; below it the rows")
    axes, columns = panels(len(parts), _COLUMNS, labels)
    parts = [part.marginal(at) for part in parts]
    words = [_words(parts, len(table.values), len(at), coverage)]
    values, colors = table.values[:, at], _colors(parts)
    if len(at) == 2:
        for ax, part, numbers in zip(axes, parts, colors, strict=True):
            _outlines(ax, part, numbers, coverage)
            _rows(ax, part, numbers, values)
    elif _lines(axes, parts, colors, values[:, 0]):
        words.append(CUT)
    for ax, part in zip(axes, parts, strict=True):
        ax.set_title(part.title, fontsize="medium")
    lines = wrap("; ".join(words), _LINE * columns)
    axes[0].figure.suptitle("\n".join(lines), fontsize="medium")
    return axes


def _words(parts: list[_Fit], n: int, n_features: int, coverage: float) -> str:
    words = [rows_words(n)]
    if len(parts) > 1:
        words.append("the same color: clusters that share more than half of their rows")
    if any(part.law for part in parts):
        inside = f"{coverage:.0%} of a component inside its ellipse"
        words.append(inside if n_features == 2 else "black: density")
    if not all(part.law for part in parts):
        words.append("black cross: center" if n_features == 2 else "black line: center")
    return "; ".join(words)


def _read(fits: Mapping[str, Any], x: Any) -> list[_Fit]:
    """What there is to draw of every estimator."""
    if not isinstance(fits, Mapping) or not fits:
        raise ValueError(
            f"fits: expected names and fitted estimators, got {fits!r}; give a dict such as "
            '{"k-means": KMeans(2).fit(x)}'
        )
    found = []
    for name, fit in fits.items():
        law = _law(name, fit)
        centers = np.asarray(fit.cluster_centers_, float) if law is None else law.means
        labels = np.asarray(fit.predict(x), np.intp)
        found.append(_Fit(_title(name, fit, x, labels, len(centers)), labels, centers, law))
    return found


def _law(name: str, fit: Any) -> FrozenMixture | None:
    if hasattr(fit, "predict") and hasattr(fit, "cluster_centers_"):
        return None
    if hasattr(fit, "predict") and hasattr(fit, "covariances_"):
        return frozen(fit)
    raise ValueError(
        f"fits[{name!r}]: expected a fitted estimator with predict, and cluster_centers_ or "
        f"covariances_, got {type(fit).__name__}; call fit first"
    )


def _title(name: str, fit: Any, x: Any, labels: Labels, k: int) -> str:
    lines, occupied = [plain(name)], len(np.unique(labels))
    if (unusable := getattr(fit, "_unusable", None)) is not None:
        lines.append(f"{unusable.status.name.lower().replace('_', ' ')}: no BIC")
    elif hasattr(fit, "bic"):
        lines.append(f"BIC {fit.bic(x):,.1f}")
    if occupied < k:
        lines.append(f"{occupied} of {k} components have rows")
    return "\n".join(lines)


def _most(parts: list[_Fit]) -> _Fit:
    """The fit with the most components that have rows."""
    return max(parts, key=lambda part: len(part.used))


def _colors(parts: list[_Fit]) -> list[dict[int, int]]:
    """Number of the color of every component that has rows, numbered as panels use them."""
    first: list[NDArray[np.bool_]] = []  # rows of the first cluster of every color
    found = []
    for part in parts:
        numbers = {}
        for k in part.used.tolist():
            own = part.labels == k
            number = next((i for i, other in enumerate(first) if _alike(own, other)), len(first))
            if number == len(first):
                first.append(own)
            numbers[k] = number
        found.append(numbers)
    return found


def _alike(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> bool:
    """Whether two clusters share more than half of the rows that are in either."""
    return bool(2 * (one & other).sum() > (one | other).sum())


def _rows(ax: Axes, fit: _Fit, colors: dict[int, int], x: Floats) -> None:
    """Rows at their places (n, 2)."""
    rows = rows_drawn(len(x))
    size = size_of_markers(len(rows))
    for k, number in colors.items():
        own = x[rows][fit.labels[rows] == k]
        look: dict[str, Any] = {"color": color(number), "marker": marker(number)}
        ax.scatter(own[:, 0], own[:, 1], s=size, alpha=0.5, linewidths=0, **look)


def _outlines(ax: Axes, fit: _Fit, colors: dict[int, int], coverage: float) -> None:
    """Ellipses of components that have rows, or centers."""
    if fit.law is None:
        first, second = fit.centers[fit.used].T
        ax.scatter(first, second, s=90, marker="x", color=POINT_COLOR, zorder=4)
        return
    for k, number in colors.items():
        outline = ellipse(fit.law.means[k], fit.law.covariances[k], coverage)
        ax.plot(*outline.T, color=color(number), linewidth=1.8, zorder=3)


def _lines(
    axes: NDArray[np.object_], parts: list[_Fit], colors: list[dict[int, int]], x: Floats
) -> bool:
    """Histogram, densities or centers, and rows below them; whether high peaks are cut."""
    highest = ceiling(x)
    peaks = map(_densities, axes, parts, colors, repeat(x))
    cut = max(peaks) > highest
    top = highest if cut else axes[0].get_ylim()[1]
    axes[0].set_ylim(-0.28 * top, top)
    for ax, part, numbers in zip(axes, parts, colors, strict=True):
        if part.law is None:
            ax.vlines(part.centers[part.used, 0], 0, top, color=POINT_COLOR, linewidth=1.2)
        _rows(ax, part, numbers, below(ax, x, top))
    return cut


def _densities(ax: Axes, fit: _Fit, colors: dict[int, int], x: Floats) -> float:
    """Histogram, density and its components, times their weights; the highest peak."""
    histogram(ax, x)
    if fit.law is None:
        return 0.0
    at = places(*extent(x), *spreads(fit.law))
    whole = fit.law.pdf(at)
    ax.plot(at, whole, color=POINT_COLOR, linewidth=2.6)
    heights = component_heights(fit.law, at)
    for k, number in colors.items():
        ax.plot(at, heights[k], color=color(number), linewidth=1.4)
    return float(whole.max())
