"""EM against the posterior: parameter by parameter, row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

from bayesmix.compared_tables import CONFIDENT
from bayesmix.comparison import Comparison
from bayesmix.plots.columns import separating_components
from bayesmix.plots.style import POINT_COLOR, axes_or_new, color, marker, plain, require_made
from bayesmix.schema import group
from bayesmix.wording import counted

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from bayesmix.compared_fit import FitGap
    from bayesmix.partition_spread import PartitionDistance

__all__ = ["compared", "confidence", "forest"]

_MAX_FEATURES = 4
_ROUNDING = 1e-9  # bits between partitions that are the same


def forest(comparison: Comparison) -> NDArray[np.object_]:
    """Draw posterior intervals with the point fit's value, one panel per parameter.

    Weights and means first, then standard deviations; of many features of the four that separate
    the components best.

    Returns
    -------
    ndarray of matplotlib Axes
    """
    require_made(comparison, Comparison, "comparison", "compare_to_posterior")
    table = comparison.components
    features = group(comparison.post, "posterior")["feature"].values.tolist()
    best = separating_components(comparison.post, _MAX_FEATURES)
    kinds = [f"{kind} {features[j]}" for kind in ("mean", "sd") for j in best]
    shown = ["weight", *kinds]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    n_components = table["component"].nunique()
    figure, grid = plt.subplots(
        rows,
        columns,
        figsize=(3.2 * columns, (0.9 + 0.32 * n_components) * rows),
        squeeze=False,
        layout="constrained",
    )
    for ax in grid.flat[len(shown) :]:
        ax.set_visible(False)
    for ax, parameter in zip(grid.flat, shown, strict=False):
        part = table[table["parameter"] == parameter]
        for i, (_, row) in enumerate(part.iterrows()):
            ax.plot([row["lower"], row["upper"]], [i, i], color=color(i), linewidth=3, alpha=0.5)
            ax.plot(row["mean"], i, marker=marker(i), color=color(i))
            ax.plot(row["point"], i, marker="|", color=POINT_COLOR, markersize=14, linewidth=0)
        ax.set_title(plain(parameter), fontsize="medium")
        ax.set_yticks(range(len(part)), [plain(name) for name in part["component"]])
        ax.set_ylim(len(part) - 0.5, -0.5)
    grid[0, 0].set_ylabel("component")
    cut = f"; {len(best)} of {len(features)} features" if len(best) < len(features) else ""
    words = f"posterior mean and interval; EM's value as a black bar{cut}"
    figure.suptitle(words, fontsize="medium")
    return grid


def confidence(comparison: Comparison, *, n_rows: int = 40, ax: Axes | None = None) -> Axes:
    """Draw the least certain rows: EM's probability of its component beside the posterior's.

    Parameters
    ----------
    comparison : Comparison
    n_rows : int, default 40
        How many rows, the least certain under the posterior first.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    require_made(comparison, Comparison, "comparison", "compare_to_posterior")
    ax = axes_or_new(ax, (8, 4))
    rows = comparison.memberships.sort_values("posterior_probability", kind="stable").head(n_rows)
    place = np.arange(len(rows))
    ax.axhline(CONFIDENT, color="0.5", linewidth=0.8, linestyle=":")
    for over, shade, shape, name in (
        (False, color(0), "o", "posterior, with interval"),
        (True, color(1), "s", f"the same, where EM is > {CONFIDENT:.0%} sure and it is not"),
    ):
        at = rows["overconfident"].to_numpy() == over
        if at.any():
            _intervals(ax, place[at], rows[at], color=shade, marker=shape, label=name)
    look: dict[str, Any] = {"marker": "_", "markersize": 9, "markeredgewidth": 1.8}
    look |= {"linestyle": "none", "color": POINT_COLOR, "label": "EM"}
    ax.plot(place, rows["point_probability"], **look)
    ax.set(
        ylim=(-0.03, 1.03),
        xlim=(-0.8, len(rows) - 0.2),
        ylabel="probability of EM's component",
        xlabel=f"the {len(rows)} least certain of {counted(len(comparison.memberships), 'row')}",
    )
    ax.set_xticks(place, [plain(name) for name in rows.index], rotation=90, fontsize="x-small")
    ax.legend(fontsize="small", loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False)
    return ax


def _intervals(
    ax: Axes, place: NDArray[np.int64], rows: pd.DataFrame, *, color: str, **look: Any
) -> None:
    """The posterior's probability of some rows, with its interval."""
    ends = rows["posterior_lower"], rows["posterior_upper"]
    ax.vlines(place, *ends, color=color, linewidth=3, alpha=0.4)
    probability = rows["posterior_probability"]
    ax.plot(place, probability, linestyle="none", markersize=5, color=color, **look)


def compared(comparison: Comparison) -> NDArray[np.object_]:
    """Draw rows, fit and partition of EM beside the posterior's draws.

    Returns
    -------
    ndarray of matplotlib Axes, shape (3,)
        `confidence`; log posterior or log-likelihood of the draws, EM's value and the law that
        theory expects of them below it; distances of the draws' partitions from EM's and from each
        other.
    """
    figure = plt.figure(figsize=(8, 7), layout="constrained")
    panels = figure.subplot_mosaic([["rows", "rows"], ["fit", "partition"]])
    confidence(comparison, ax=panels["rows"])
    _fit(comparison.fit, panels["fit"])
    _partition(comparison.partition, panels["partition"])
    return np.array([panels[name] for name in ("rows", "fit", "partition")], dtype=object)


def _fit(found: FitGap, ax: Axes) -> None:
    from scipy.stats import chi2

    ax.hist(found.draws, bins=30, density=True, color=color(0), alpha=0.4, label="draws")
    ax.axvline(found.point, color=POINT_COLOR, label="EM")
    below = np.linspace(0, chi2.ppf(0.999, found.n_parameters) / 2, 200)[1:]
    law = 2 * chi2.pdf(2 * below, found.n_parameters)
    ax.plot(
        found.point - below,
        law,
        color=color(1),
        linestyle="--",
        label=f"expected: EM − ½ χ²({found.n_parameters})",
    )
    ax.set(xlabel=f"{found.quantity}, nats", yticks=[])
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.ticklabel_format(useOffset=False, style="plain", axis="x")
    ax.legend(fontsize="small", loc="upper left")


def _partition(found: PartitionDistance, ax: Axes) -> None:
    both = np.concatenate([found.variation, found.variation_of_draws])
    top = both.max() if both.max() > _ROUNDING else 1.0
    bins = np.linspace(0, top, 31).tolist()
    ax.hist(
        found.variation_of_draws, bins, density=True, color=color(0), alpha=0.4, label="two draws"
    )
    ax.hist(
        found.variation,
        bins,
        density=True,
        histtype="step",
        color=POINT_COLOR,
        label="EM and a draw",
    )
    ax.set(xlabel="variation of information, bits", yticks=[])
    ax.legend(fontsize="small")
