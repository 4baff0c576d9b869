"""Chains that disagree, mode by mode: which sit together, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["chains_by_mode", "describe_modes"]


def chains_by_mode(columns: Mapping[str, Floats], limit: float) -> list[list[int]]:
    """Group chains that agree, directly or through others.

    Parameters
    ----------
    columns : mapping
        Draws (chain, draw) of quantities that no relabeling changes.
    limit : float
        Two chains agree if R-hat of the pair is below this for every quantity.

    Returns
    -------
    list of list of int
        The first chain's group first.
    """
    from arviz_stats.base import array_stats
    from scipy.sparse.csgraph import connected_components

    values = np.stack(list(columns.values()), axis=-1)
    n = len(values)
    agree = np.eye(n, dtype=bool)
    for i in range(n):
        for j in range(i):
            with np.errstate(invalid="ignore", divide="ignore"):  # chains that stand still
                r_hat = array_stats.rhat(values[[i, j]], chain_axis=0, draw_axis=1)
            agree[i, j] = not np.any(r_hat > limit)
    _, label = connected_components(agree, directed=False)
    return [np.flatnonzero(label == mode).tolist() for mode in dict.fromkeys(label)]


def describe_modes(groups: list[list[int]], columns: Mapping[str, Floats]) -> str:
    """Say where each group of chains sits."""
    return "; ".join(
        f"chain{'s' if len(group) > 1 else ''} {', '.join(map(str, group))} at log-likelihood "
        f"{columns['log_likelihood_total'][group].mean():.1f} with "
        f"{columns['n_clusters'][group].mean():.3g} clusters"
        for group in groups
    )
