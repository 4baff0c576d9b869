"""The overlap that a bridge rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from bayesmix.plots.style import axes_or_new, color

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayesmix.evidence_result import Evidence

__all__ = ["bridged"]

_BINS = 40
_TAIL = 0.01  # share of either side that may lie beyond the picture


def bridged(found: Evidence, ax: Axes | None = None) -> Axes:
    """Draw log target less log proposal at draws of the posterior and of the proposal.

    Where the outline covers the filled histogram the estimate is good; the line is the bridge's
    own, without the step from one component fewer. Draws where the target is zero are left out.

    Raises
    ------
    ValueError
        If the evidence is not of bridge sampling.
    """
    if found.log_ratio is None or found.log_ratio_proposal is None:
        raise ValueError(
            f"evidence: expected one by bridge sampling, got {found.method}; it has no bridge"
        )
    ax = axes_or_new(ax, (6.4, 3.6))
    posterior, proposal = found.log_ratio.ravel(), found.log_ratio_proposal
    proposal = proposal[np.isfinite(proposal)]
    drawn = [v for v in (posterior, proposal) if v.size]
    both = np.concatenate([np.quantile(v, [_TAIL, 1 - _TAIL]) for v in drawn])
    margin = 0.05 * np.ptp(both) + 1e-6
    bins = np.linspace(both.min() - margin, both.max() + margin, _BINS).tolist()
    styles: tuple[dict[str, Any], ...] = (
        {"histtype": "stepfilled", "alpha": 0.5, "label": "draws of the posterior"},
        {"histtype": "step", "linewidth": 1.8, "label": "draws of the proposal"},
    )
    for i, (values, style) in enumerate(zip(drawn, styles, strict=False)):
        ax.hist(values, bins, density=True, color=color(i), **style)
    if np.isfinite(estimate := found.bridge_log_evidence):
        ax.axvline(estimate, color="black", linewidth=1, label="log evidence by the bridge")
    ax.set(xlabel="log target less log proposal, nats", ylabel="density")
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.legend(fontsize="small")
    return ax
