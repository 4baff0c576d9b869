"""EM against the posterior: parameter by parameter, row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from bayesmix.comparison import CONFIDENT
from bayesmix.plots.style import POINT_COLOR, axes_or_new, color, marker

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from bayesmix.comparison import Comparison

__all__ = ["confidence", "forest"]

_MAX_PANELS = 9


def forest(comparison: Comparison) -> NDArray[np.object_]:
    """Draw posterior intervals with the point fit's value, one panel per parameter.

    Weights and means first, then standard deviations; at most nine panels.

    Returns
    -------
    ndarray of matplotlib Axes
    """
    table = comparison.components
    shown = [p for p in table["parameter"].unique() if not p.startswith("correlation")]
    shown = shown[:_MAX_PANELS]
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
        part = table[table["parameter"] == parameter].reset_index(drop=True)
        for i, row in part.iterrows():
            ax.plot([row["lower"], row["upper"]], [i, i], color=color(i), linewidth=3, alpha=0.5)
            ax.plot(row["mean"], i, marker=marker(i), color=color(i))
            ax.plot(row["point"], i, marker="|", color=POINT_COLOR, markersize=14, linewidth=0)
        ax.set(title=parameter, yticks=range(len(part)), yticklabels=part["component"])
        ax.set_ylim(len(part) - 0.5, -0.5)
        ax.title.set_fontsize("medium")
    grid[0, 0].set_ylabel("component")
    figure.suptitle("posterior mean and interval; EM's value as a black bar", fontsize="medium")
    return grid


def confidence(comparison: Comparison, *, ax: Axes | None = None) -> Axes:
    """Draw each row's probability of its label: EM's against the posterior's, with interval.

    Rows below the diagonal are placed with more confidence by EM than the posterior supports.

    Parameters
    ----------
    comparison : Comparison
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    ax = axes_or_new(ax, (5.6, 5.2))
    rows = comparison.memberships.sort_values("overconfident")
    ax.axhline(CONFIDENT, color="0.6", linewidth=0.8, linestyle=":")
    ax.axvline(CONFIDENT, color="0.6", linewidth=0.8, linestyle=":")
    low = min(rows["point_probability"].min(), rows["posterior_lower"].min()) - 0.02
    ax.plot([low, 1], [low, 1], color="0.6", linewidth=0.8)
    for over, shade, name in (
        (False, color(0), "rows"),
        (True, color(1), f"EM > {CONFIDENT:.0%}, posterior not"),
    ):
        part = rows[rows["overconfident"] == over]
        ax.vlines(
            part["point_probability"],
            part["posterior_lower"],
            part["posterior_upper"],
            color=shade,
            linewidth=0.9,
            alpha=0.5,
        )
        ax.plot(
            part["point_probability"],
            part["posterior_probability"],
            linestyle="none",
            marker="s" if over else "o",
            markersize=4,
            color=shade,
            label=f"{name} ({len(part)})",
        )
    ax.set(
        xlim=(low, 1.01),
        ylim=(low, 1.01),
        aspect="equal",
        xlabel="EM: probability of the row's component",
        ylabel="posterior: probability of that component, with interval",
    )
    ax.legend(fontsize="small", loc="upper left")
    return ax
