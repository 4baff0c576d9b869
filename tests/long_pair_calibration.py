"""Calibration of the posterior and of EM: the table of LONG.md and the figure of the documents.

    python -m tests.long_pair_calibration

Data sets of 30 and of 100 rows are drawn from the prior of `tests.pair_calibration`; judged is the
probability that two rows belong together, and that a row's most probable label is right. Ends in
failure if the posterior is not calibrated.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bayesmix.plots.style import POINT_COLOR, color
from tests.exact_checks import LEVEL
from tests.pair_calibration import EDGES, Reliability, mean_and_error, study

N_DATA_SETS = 400
SIZES = (30, 100)
FIGURE = Path(__file__).parents[1] / "docs" / "calibration.png"

SHOWN_LEVEL = 0.01
"""Of the band: one run in a hundred leaves it somewhere."""

STYLES = {
    "EM": {"color": POINT_COLOR, "marker": "s", "label": "EM"},
    "MAP-EM": {"color": color(1), "marker": "^", "label": "EM with the same prior"},
    "posterior": {"color": color(0), "marker": "o", "label": "posterior"},
}


def report(n: int, found: Mapping[str, Reliability]) -> None:
    """Print a row of the table for each method."""
    for name, reliability in found.items():
        scores = [mean_and_error(s) for s in (reliability.brier, reliability.log_score)]
        cells = [f"{mean:.4f} ({10_000 * error:.0f})" for mean, error in scores]
        gaps = f"{reliability.share[0]:.3f}", f"{reliability.share[-1]:.3f}"
        means = f"{reliability.mean[0]:.3f}", f"{reliability.mean[-1]:.3f}"
        largest = f"{np.abs(reliability.z).max():.1f}"
        print(f"| {n} | {name} |", *cells, *means, *gaps, largest, sep=" | ")


def draw_figure(found: Mapping[int, Mapping[str, Reliability]]) -> Figure:
    """Draw what was predicted against what was true, and below how often it was predicted."""
    figure, axes = plt.subplots(
        2,
        len(found),
        figsize=(8.6, 5.6),
        sharex=True,
        sharey="row",
        height_ratios=[3.2, 1],
        layout="constrained",
    )
    for (top, bottom), (n, methods) in zip(axes.T, found.items(), strict=True):
        _reliability(top, methods)
        _histogram(bottom, methods)
        top.set_title(f"data sets of {n} rows", fontsize="medium")
        bottom.set_xlabel("probability given to “these two rows\nare from the same component”")
    axes[0, 0].set_ylabel("share of such pairs that are")
    axes[1, 0].set_ylabel("share of pairs")
    figure.suptitle("What the posterior calls 70 % comes true in 70 % of cases; EM is far too sure")
    return figure


def _reliability(ax: Axes, methods: Mapping[str, Reliability]) -> None:
    ax.axline((0, 0), slope=1, color="0.6", linewidth=0.8)
    for name, style in STYLES.items():
        own = methods[name]
        width = own.half_widths(SHOWN_LEVEL)
        if name == "posterior":
            ax.fill_between(
                own.mean, own.mean - width, own.mean + width, color=style["color"], alpha=0.2
            )
        else:
            ax.errorbar(own.mean, own.share, width, fmt="none", color=style["color"], alpha=0.5)
        ax.plot(own.mean, own.share, linewidth=1.2, markersize=5, **style)
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    ax.legend(fontsize="small")


def _histogram(ax: Axes, methods: Mapping[str, Reliability]) -> None:
    for name, style in STYLES.items():
        count = methods[name].count.sum(axis=0)
        ax.stairs(count / count.sum(), EDGES, color=style["color"], linewidth=1.4)


if __name__ == "__main__":
    results = {n: study(n, N_DATA_SETS) for n in SIZES}
    for n, found in results.items():
        report(n, found)
    draw_figure(results).savefig(FIGURE, dpi=150)
    sys.exit(not all(found["posterior"].is_calibrated(LEVEL) for found in results.values()))
