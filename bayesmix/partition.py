"""One partition for the whole posterior, and how far the posterior reaches around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayesmix.partitions.ball import CredibleBall

__all__ = ["Mode", "Partition"]


@dataclass(frozen=True, eq=False)
class Mode:
    """One of several partitions that the posterior gathers around."""

    labels: xr.DataArray
    """Cluster of every row, (obs); numbers as in the estimate where clusters are the same."""
    share: float
    """Share of the draws that are nearest to it."""
    expected_loss: float
    """Mean loss over these draws."""


@dataclass(frozen=True, eq=False, repr=False)
class Partition:
    """The partition of least expected loss, and its uncertainty."""

    labels: xr.DataArray
    """Cluster of every row, (obs): 0 the largest."""
    expected_loss: float
    """Mean loss over the draws: bits of variation of information; Binder's loss, the share of pairs
    of rows (a row with itself among them) put wrong; or one minus the adjusted Rand index."""
    loss: str
    """``"vi"``, ``"binder"`` or ``"omari"``."""
    costs: tuple[float, float]
    """Of merging what belongs apart, and of splitting what belongs together."""
    n_draws: int
    certainty: xr.DataArray
    """Mean share of draws in which a row is together with the other rows of its cluster, (obs)."""
    table: pd.DataFrame
    """One row per cluster: ``size``; ``certainty``, the mean of its rows; ``found``, the share of
    draws that have it; ``size_mean``, ``size_lower``, ``size_upper`` over those draws;
    ``together``, how often two of its rows are together."""
    rows: pd.DataFrame
    """One row per row of the data: ``label``, ``certainty``, ``next_label`` (-1 if there is one
    cluster only), ``next_affinity``: how often it is together with rows of that cluster."""
    credible_ball: CredibleBall
    modes: tuple[Mode, ...]
    """Where the posterior gathers around several partitions: these, most draws first; else none."""
    runs: tuple[int, int]
    """How many runs of the search reached the least loss, of how many."""
    ci_prob: float

    @property
    def n_clusters(self) -> int:
        """Number of clusters of the estimate."""
        return len(self.table)

    @property
    def moving(self) -> pd.DataFrame:
        """Rows whose certainty is below 0.9 or that have a nearer cluster, least certain first."""
        raise NotImplementedError
