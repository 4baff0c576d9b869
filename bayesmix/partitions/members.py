r"""How sure rows are of their clusters, and how firm the clusters are.

With :math:`p_{il}` the share of draws in which rows i and l are together, the affinity of row i to
cluster j is the mean of :math:`p_{il}` over the other rows l of j. A cluster is found in a draw if
one of the draw's shares with it more than half of their union (Hennig 2007); no two clusters of one
partition can be found in the same cluster of another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Members"]


@dataclass(frozen=True, eq=False)
class Members:
    """Rows and clusters of one partition against the draws; J clusters, n rows."""

    certainty: Floats
    """Affinity of every row to its own cluster, (n,); for a row alone, the share of draws in which
    it is alone."""
    next_cluster: NDArray[np.int64]
    """The other cluster that every row has the highest affinity to, (n,); -1 if there is none."""
    next_affinity: Floats
    """That affinity, (n,); 0 if there is none."""
    found: Floats
    """Share of draws in which each cluster is found, (J,)."""
    size_mean: Floats
    """Mean size of what it is found as, over those draws, (J,); NaN if it never is, as below."""
    size_lower: Floats
    """Lower end of the equal-tailed interval of that size, (J,)."""
    size_upper: Floats
    """Its upper end, (J,)."""
    together: Floats
    """Mean over pairs of its rows of the share of draws in which they are together, (J,); NaN of
    one row."""
