"""Traces of what no relabeling changes: do the chains agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from bayesmix.diagnostics import label_invariant
from bayesmix.plots.style import color

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["traces"]


def traces(post: xr.DataTree) -> NDArray[np.object_]:
    """Draw log-likelihood and largest weight against the draw, and as a histogram per chain.

    Returns
    -------
    ndarray of matplotlib Axes, shape (2, 2)
    """
    from arviz_stats import rhat

    found = label_invariant(post, random_seed=0)
    shown = {
        "log-likelihood": found["log_likelihood_total"],
        "largest weight": found["weights_sorted"].isel(rank=0),
    }
    _, grid = plt.subplots(
        2, 2, figsize=(9, 4.6), layout="constrained", sharey="row", width_ratios=[3, 1]
    )
    for (left, right), (name, values) in zip(grid, shown.items(), strict=True):
        bins = np.histogram_bin_edges(values.values, 30)
        for c, chain in enumerate(values.values):
            left.plot(chain, color=color(c), linewidth=0.5, alpha=0.7)
            right.hist(
                chain,
                bins=bins.tolist(),
                orientation="horizontal",
                histtype="step",
                color=color(c),
                label=f"chain {c}",
            )
        if np.ptp(values.values) <= 1e-12 * np.abs(values.values).max():
            title = "constant"
        elif len(values) < 2:
            title = "one chain"
        else:
            title = f"R-hat {float(rhat(values.values)):.3f}"
        left.set(ylabel=name, title=title)
        left.title.set_fontsize("medium")
        right.set_xticks([])
    grid[1, 0].set_xlabel("draw")
    grid[0, 1].legend(fontsize="x-small")
    return grid
