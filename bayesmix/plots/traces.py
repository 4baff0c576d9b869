"""Traces of what no relabeling changes: do the chains agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from bayesmix.cluster_counts import r_hat_of
from bayesmix.diagnostics import CHECKABLE, RHAT_LIMIT, above_limit, label_invariant
from bayesmix.plots.style import color
from bayesmix.schema import chosen_clusters

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["traces"]


def traces(post: xr.DataTree) -> NDArray[np.object_]:
    """Draw log-likelihood and largest weight against the draw, and as a histogram per chain.

    The title says whether the chains agree, by R-hat, where it can be judged.

    Returns
    -------
    ndarray of matplotlib Axes, shape (2, 2)
    """
    joined = chosen_clusters(post) is not None
    found = label_invariant(post, random_seed=0)
    shown = {
        "log-likelihood, nats": found["log_likelihood_total"],
        "largest weight": found["weights_sorted"].isel(rank=0),
    }
    _, grid = plt.subplots(
        2, 2, figsize=(9.6, 4.6), layout="constrained", sharey="row", width_ratios=[3, 1]
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
                label="all chains" if joined else f"chain {c}",
            )
        said = "not judged: these draws join chains" if joined else _verdict(values.values)
        left.set(ylabel=name, title=said)
        left.title.set_fontsize("medium")
        left.margins(x=0)
        left.ticklabel_format(useOffset=False, style="plain", axis="y")
        right.set_xticks([])
    grid[1, 0].set_xlabel("draw")
    grid[1, 1].set_xlabel("draws of each value")
    grid[0, 1].legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return grid


def _verdict(values: NDArray[np.float64]) -> str:
    """Whether chains (chain, draw) agree, by R-hat."""
    if np.ptp(values) <= 1e-12 * np.abs(values).max():
        return "constant"
    if len(values) < 2:
        return "one chain"
    found = r_hat_of(values)
    if np.isnan(found):
        return f"not judged: R-hat takes at least {CHECKABLE} draws of every chain"
    if found <= RHAT_LIMIT:
        return f"R-hat is {found:.3f}: the chains agree"
    return above_limit(found)
