"""How many clusters: posterior and prior side by side, EM's criteria below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np

from bayesmix.plots.style import color, marker

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from bayesmix.n_components import KChoice

__all__ = ["choice"]

_WIDTH = 0.4
_SHOWN = 0.005  # shares from here on have their number above the bar
_PRIOR_COLOR = "0.72"


def choice(found: KChoice) -> NDArray[np.object_]:
    """Draw the posterior and the prior of the number of clusters, and EM's criteria below.

    Returns
    -------
    ndarray of matplotlib Axes, shape (2,)
    """
    _, axes = plt.subplots(
        2, 1, figsize=(6.4, 5.6), layout="constrained", sharex=True, height_ratios=[3, 2]
    )
    _probabilities(axes[0], found.table)
    _criteria(axes[1], found.table, list(found.em_status))
    axes[1].set_xticks(found.table.index)
    return axes


def _probabilities(ax: Axes, table: pd.DataFrame) -> None:
    k = table.index.to_numpy()
    posterior, error = table["p_n_clusters"], 2 * table["p_n_clusters_mcse"]
    ax.bar(k - _WIDTH / 2, posterior, _WIDTH, color=color(0), label="posterior")
    known = error.notna().to_numpy()
    ax.errorbar(
        k[known] - _WIDTH / 2,
        posterior[known],
        error[known],
        fmt="none",
        color="black",
        capsize=2,
        label="± 2 Monte Carlo errors",
    )
    for place, share, top in zip(k, posterior, posterior + error.fillna(0), strict=True):
        if share >= _SHOWN:
            ax.text(place - _WIDTH / 2, top + 0.02, f"{share:.2f}", ha="center", fontsize="small")
    ax.bar(
        k + _WIDTH / 2,
        table["p_n_clusters_prior"],
        _WIDTH,
        color=_PRIOR_COLOR,
        hatch="///",
        edgecolor="white",
        label="prior",
    )
    ax.set(
        ylabel="probability",
        ylim=(0, 1.1),  # an error bar may go beyond
        xlabel="number of clusters",
        title="Number of clusters: the model's posterior beside its prior",
    )
    ax.tick_params(labelbottom=True)
    ax.title.set_fontsize("medium")
    ax.legend(fontsize="small")


def _criteria(ax: Axes, table: pd.DataFrame, tried: list[int]) -> None:
    k = table.index.to_numpy()
    for i, name in enumerate(("bic", "icl"), start=1):
        values = table[name].to_numpy(float)
        style: dict[str, Any] = {"color": color(i), "marker": marker(i)}
        ax.plot(k, values, markersize=5, linewidth=1, label=name.upper(), **style)
        if np.isfinite(values).any():
            best = np.nanargmin(values)
            ax.plot(k[best], values[best], markersize=11, fillstyle="none", **style)
    missing = [number for number in tried if number not in table.index[table["bic"].notna()]]
    if missing:
        ax.plot(
            missing,
            np.full(len(missing), 0.06),
            "x",
            color="0.3",
            transform=ax.get_xaxis_transform(),
            label="no genuine optimum",
        )
    ax.set(
        ylabel="criterion, low is good",
        xlabel="number of components",
        title="What the criteria of EM's fits say (the lowest is ringed)",
    )
    ax.margins(y=0.15)
    ax.title.set_fontsize("medium")
    ax.legend(fontsize="small")
