"""Fitted estimators side by side on the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.frozen import FrozenMixture, frozen
from bayesmix.inputs import as_table
from bayesmix.plots.clusters import ellipse
from bayesmix.plots.columns import chosen, separating
from bayesmix.plots.density import histogram
from bayesmix.plots.panels import panels
from bayesmix.plots.rows import (
    below,
    require_coverage,
    rows_drawn,
    rows_words,
    size_of_markers,
)
from bayesmix.plots.style import POINT_COLOR, color, marker

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Labels = NDArray[np.intp]

__all__ = ["fits"]

_COLUMNS = 4
_PLACES = 400
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

    Components of different panels have the same color where they share most rows: each fit is
    matched to the one with the most components that have rows. Mixtures have ellipses, or in one
    dimension densities; k-means has centers only, since it knows no spread. Components without
    rows are not drawn.

    Parameters
    ----------
    fits : mapping of str to estimator
        Names and fitted estimators with ``predict``, each with ``cluster_centers_`` or with
        ``weights_``, ``means_``, ``covariances_`` and ``covariance_type``: scikit-learn's
        KMeans, GaussianMixture and BayesianGaussianMixture, and ours.
    x : (n, D) array_like or DataFrame
        The rows.
    features : sequence of str, optional
        Which two to draw; default the two in which the clusters are farthest apart, or the only
        one.
    coverage : float, default 0.9
        Probability inside each ellipse of its component.

    Returns
    -------
    ndarray of matplotlib Axes, shape (number of fits,)
        Titles have the BIC (low is good) where the estimator knows one.

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
    labels = table.features[at[0]], "density; below it the rows"
    if len(at) == 2:
        labels = table.features[at[0]], table.features[at[1]]
    axes, columns = panels(len(parts), _COLUMNS, labels)
    for ax, part, colors in zip(axes, parts, _colors(parts), strict=True):
        _draw(ax, part, colors, table.values[:, at], at, coverage)
        ax.set_title(part.title, fontsize="medium")
    words = wrap(_words(parts, len(table.values), len(at), coverage), _LINE * columns)
    axes[0].figure.suptitle("\n".join(words), fontsize="medium")
    return axes


def _words(parts: list[_Fit], n: int, n_features: int, coverage: float) -> str:
    words = [rows_words(n)]
    if len(parts) > 1:
        words.append("the same color: clusters that share most rows")
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
    lines, occupied = [str(name)], len(np.unique(labels))
    if hasattr(fit, "bic"):
        lines.append(f"BIC {fit.bic(x):,.1f}")
    if occupied < k:
        lines.append(f"{occupied} of {k} components have rows")
    return "\n".join(lines)


def _most(parts: list[_Fit]) -> _Fit:
    """The fit with the most components that have rows."""
    return max(parts, key=lambda part: len(part.used))


def _colors(parts: list[_Fit]) -> list[dict[int, int]]:
    """Number of the color of every component that has rows, numbered as panels use them."""
    reference = _most(parts).labels
    matches = [_match(part, reference) for part in parts]
    order = dict.fromkeys(place for match in matches for place in match.values())
    number = {place: i for i, place in enumerate(order)}
    return [{k: number[place] for k, place in match.items()} for match in matches]


def _match(part: _Fit, reference: Labels) -> dict[int, int]:
    """To every component that has rows a cluster of the reference, so as to share most rows."""
    from scipy.optimize import linear_sum_assignment

    size = max(len(part.centers), int(reference.max()) + 1)
    together = np.zeros((size, size))
    np.add.at(together, (part.labels, reference), 1.0)
    places = linear_sum_assignment(together, maximize=True)[1]
    return {int(k): int(places[k]) for k in part.used}


def _draw(
    ax: Axes, fit: _Fit, colors: dict[int, int], x: Floats, at: list[int], coverage: float
) -> None:
    """Rows (n, 1) or (n, 2), and what the fit says of their clusters."""
    if len(at) == 1:
        x = _densities(ax, fit, colors, x[:, 0])
    elif fit.law is None:
        first, second = fit.centers[np.ix_(fit.used, at)].T
        ax.scatter(first, second, s=90, marker="x", color=POINT_COLOR, zorder=4)
    else:
        law = fit.law.marginal(at)
        for k, number in colors.items():
            outline = ellipse(law.means[k], law.covariances[k], coverage)
            ax.plot(*outline.T, color=color(number), linewidth=1.8, zorder=3)
    rows = rows_drawn(len(x))
    size = size_of_markers(len(rows))
    for k, number in colors.items():
        own = x[rows][fit.labels[rows] == k]
        look: dict[str, Any] = {"color": color(number), "marker": marker(number)}
        ax.scatter(own[:, 0], own[:, 1], s=size, alpha=0.5, linewidths=0, **look)


def _densities(ax: Axes, fit: _Fit, colors: dict[int, int], x: Floats) -> Floats:
    """Histogram, density and its weighted components, or centers; places of the rows below."""
    histogram(ax, x)
    top = ax.get_ylim()[1]
    if fit.law is None:
        ax.vlines(fit.centers[fit.used, 0], 0, top, color=POINT_COLOR, linewidth=1.2)
        return below(ax, x, top)
    margin = 0.1 * np.ptp(x)
    places = np.linspace(x.min() - margin, x.max() + margin, _PLACES)
    ax.plot(places, fit.law.pdf(places), color=POINT_COLOR, linewidth=2.6)
    for k, number in colors.items():
        one = FrozenMixture(np.ones(1), fit.law.means[[k]], fit.law.covariances[[k]])
        ax.plot(places, fit.law.weights[k] * one.pdf(places), color=color(number), linewidth=1.4)
    return below(ax, x, top)
