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
from matplotlib.ticker import PercentFormatter

from bayesmix.plots.style import POINT_COLOR, color
from tests.exact_checks import LEVEL
from tests.pair_calibration import EDGES, Reliability, mean_and_error, study

N_DATA_SETS = 400
SIZES = (30, 100)
FIGURE = Path(__file__).parents[1] / "docs" / "calibration.png"

SHOWN_LEVEL = 0.01
"""Of the band: one run in a hundred leaves it somewhere."""

STYLES = {
    "EM": {"color": POINT_COLOR, "marker": "s"},
    "MAP-EM": {"color": color(1), "marker": "^"},
    "posterior": {"color": color(0), "marker": "o"},
}


def report(n: int, found: Mapping[str, Reliability]) -> None:
    """Print a row of the table for each method; errors in units of the last digit."""
    for name, reliability in found.items():
        scores = [mean_and_error(s) for s in (reliability.brier, reliability.log_score)]
        cells = [f"{mean:.3f} ({1000 * error:.0f})" for mean, error in scores]
        surest = [f"{v[-1]:.1%}" for v in (reliability.mean, reliability.share)]
        largest = f"{np.abs(reliability.z).max():.1f}"
        print(f"| {n} | {name} | {' | '.join([*cells, *surest, largest])} |", flush=True)


def draw_figure(found: Mapping[int, Mapping[str, Reliability]]) -> Figure:
    """Draw what was predicted against what was true, and below how often it was predicted."""
    figure, axes = plt.subplots(
        2,
        len(found),
        figsize=(9, 6.4),
        sharex=True,
        sharey="row",
        height_ratios=[3.4, 1],
        layout="constrained",
    )
    for (top, bottom), (n, methods) in zip(axes.T, found.items(), strict=True):
        _reliability(top, methods)
        _histogram(bottom, methods)
        top.set_title(f"data sets of {n} rows", fontsize="medium")
        bottom.set_xlabel("stated probability that two rows are together")
    _name_curves(axes[0, 0])
    axes[0, 0].set_ylabel("share of these pairs that are together")
    axes[1, 0].set_ylabel("share of all pairs")
    axes[1, 0].text(0.5, 0.3, "EM hardly ever doubts", ha="center", fontsize="small")
    figure.suptitle("What the posterior calls 70% sure is true 7 times in 10; EM is far too sure")
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
            ax.errorbar(own.mean, own.share, width, fmt="none", color=style["color"], alpha=0.4)
        ax.plot(own.mean, own.share, linewidth=1.2, markersize=5, **style)
    ticks = np.linspace(0, 1, 6)
    percent = PercentFormatter(1)
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xticks=ticks, yticks=ticks)
    ax.xaxis.set_major_formatter(percent)
    ax.yaxis.set_major_formatter(percent)


def _name_curves(ax: Axes) -> None:
    """Names beside the curves, where the other panel has them in the same colors."""
    for name, words, place in (
        ("posterior", "posterior", (0.6, 0.83)),
        ("EM", "EM, maximum likelihood", (0.04, 0.76)),
        ("MAP-EM", "EM, with the model's prior", (0.53, 0.42)),
    ):
        ax.text(*place, words, color=STYLES[name]["color"], weight="bold", fontsize="small")
    band = f"band: where a calibrated method is\nin all ten bins, {1 - SHOWN_LEVEL:.0%} of the time"
    ax.text(0.41, 0.03, f"{band};\nbars: the same error, for EM", color="0.35", fontsize="small")


def _histogram(ax: Axes, methods: Mapping[str, Reliability]) -> None:
    for name, style in STYLES.items():
        count = methods[name].count.sum(axis=0)
        ax.stairs(count / count.sum(), EDGES, color=style["color"], linewidth=1.4)
    ax.yaxis.set_major_formatter(PercentFormatter(1))


if __name__ == "__main__":
    results = {n: study(n, N_DATA_SETS) for n in SIZES}
    for n, found in results.items():
        report(n, found)
    draw_figure(results).savefig(FIGURE, dpi=150)
    sys.exit(not all(found["posterior"].is_calibrated(LEVEL) for found in results.values()))
