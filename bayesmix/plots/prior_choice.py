"""How many clusters under several priors: bars beside each other, and a grid of two factors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from bayesmix.plots.style import axes_or_new, color

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from bayesmix.prior_choice_result import PriorChoice
    from bayesmix.prior_sensitivity import Sensitivity

__all__ = ["prior_choice", "prior_sensitivity"]

_SHOWN = 0.005  # probability from which on a number of clusters is worth a place
_DARK = 0.55  # of the color scale, from which on text is white


def prior_choice(found: PriorChoice) -> NDArray[np.object_]:
    """Draw the posterior of the number of clusters under each prior, the prior as an outline.

    Returns
    -------
    ndarray of matplotlib Axes, shape (number of priors,)
    """
    names = list(found.summary.index)
    figure, axes = plt.subplots(
        len(names),
        1,
        figsize=(6.4, 1.4 + 1.4 * len(names)),
        layout="constrained",
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for ax, name in zip(axes[:, 0], names, strict=True):
        _bars(ax, found.table.loc[name])
        ax.set(ylabel="probability")
        ax.set_title(name, loc="left", fontsize="medium")
    likely = found.table.index.get_level_values("k")[found.table["p"] >= _SHOWN]
    last = axes[-1, 0]
    last.set(xlabel="number of clusters", xlim=(0.45, likely.max() + 0.55), ylim=(0, None))
    last.set_xticks(np.arange(1, likely.max() + 1))
    figure.legend(*last.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return axes[:, 0]


def _bars(ax: Axes, table: pd.DataFrame) -> None:
    k, error = table.index.to_numpy(), 2 * table["p_mcse"]
    known = error.notna().to_numpy()
    ax.bar(k, table["p"], 0.7, color=color(0), label="posterior")
    ax.errorbar(
        k[known],
        table["p"][known],
        error[known],
        fmt="none",
        color="black",
        capsize=2,
        label="± 2 Monte Carlo errors",
    )
    ax.bar(k, table["p_prior"], 0.86, facecolor="none", edgecolor="0.35", ls="--", label="prior")


def prior_sensitivity(found: Sensitivity, *, ax: Axes | None = None) -> Axes:
    """Draw the grid of priors: most probable number of clusters, its probability, and the mean."""
    means = found.summary["mean"].unstack()
    means = means.reindex(index=found.table.index, columns=found.table.columns)
    rows, columns = means.shape
    ax = axes_or_new(ax, (1.8 + 1.5 * columns, 1.4 + 0.9 * rows))
    low, high = np.floor(np.nanmin(means)), np.floor(np.nanmax(means)) + 1
    image = ax.imshow(means, "Blues", vmin=low, vmax=high, aspect="auto", origin="lower")
    for (i, j), mean in np.ndenumerate(means.to_numpy(float)):
        number, _, probability = str(found.table.iat[i, j]).partition(" ")
        own = "white" if (mean - low) / (high - low) > _DARK else "black"
        ax.text(j, i, number, ha="center", va="bottom", color=own, fontsize="x-large")
        ax.text(j, i, probability, ha="center", va="top", color=own)
    ax.set_xticks(range(columns), [f"× {factor:g}" for factor in means.columns])
    ax.set_yticks(range(rows), [f"× {factor:g}" for factor in means.index])
    ax.set(
        xlabel="scale of the components' covariances",
        ylabel="concentration",
        title="Most probable number of clusters (its probability)",
    )
    ax.title.set_fontsize("medium")
    ax.figure.colorbar(image, ax=ax, label="posterior mean of the number")
    return ax
