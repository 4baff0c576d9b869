"""A partition found for a posterior: its tables, and what they say in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.html.elements import block, sentences, table
from bayesmix.partitions.losses import Loss
from bayesmix.wording import counted

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.partitions.ball import CredibleBall

__all__ = ["Mode", "Partition", "by_doubt"]

CERTAIN = 0.95
FIRM = 0.8  # two rows of a cluster together less often than this: it comes apart
_MOST_NAMED = 3


@dataclass(frozen=True, eq=False)
class Mode:
    """One of several partitions that the posterior gathers around."""

    labels: xr.DataArray
    """Cluster of every row, (obs); a cluster that is one of the estimate's has its number."""
    share: float
    """Share of the draws, those nearest to the draw in its middle."""
    expected_loss: float
    """Mean loss over these draws."""

    @property
    def n_clusters(self) -> int:
        """Number of its clusters."""
        return len(np.unique(self.labels.values))


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
    """How many runs of the search ended at the least loss, of how many."""
    capped: bool
    """Whether it has as many clusters as were allowed, and one more was seen to lose less."""
    ci_prob: float
    """Mass of the intervals in `table`."""

    @property
    def n_clusters(self) -> int:
        """Number of clusters of the estimate."""
        return len(self.table)

    @property
    def certainty(self) -> xr.DataArray:
        """Mean share of draws in which a row is together with the others of its cluster, (obs)."""
        return self.labels.copy(data=self.rows["certainty"].to_numpy()).rename("certainty")

    @property
    def moving(self) -> pd.DataFrame:
        """Rows together with another cluster more than half as often as with their own, in draws.

        Those first whose own cluster is the least ahead. Rows of one cluster alone do not move.
        """
        order, count = by_doubt(self.rows)
        return self.rows.iloc[order[:count]]

    def sentences(self) -> list[str]:
        """The partition in words."""
        said = [self._estimate(), self._ball(), self._certain(), self._moving()]
        if (self.table["together"] < FIRM).any():
            said.append(self._apart())
        return [*said, self._modes()] if self.modes else said

    def _estimate(self) -> str:
        most, ask = "", ""
        if self.capped:
            most, ask = ", the most allowed,", " More lose less; raise max_clusters."
        lose = "loses" if self.n_clusters == 1 else "lose"
        return (
            f"{counted(self.n_clusters, 'cluster')}{most} {lose} least: "
            f"{Loss(self.loss, *self.costs).expected(self.expected_loss)}, on average over "
            f"{counted(self.n_draws, 'draw')} ({self.runs[0]} of {counted(self.runs[1], 'run')} of "
            f"the search ended there).{ask}"
        )

    def _ball(self) -> str:
        ball = self.credible_ball
        fewest, most = int(ball.upper.n_clusters.min()), int(ball.lower.n_clusters.max())
        range_ = f"{fewest} to {most} clusters" if fewest < most else counted(most, "cluster")
        near = Loss(self.loss).within(ball.radius)
        return f"{ball.share:.0%} of the draws, with {range_}, {near}."

    def _certain(self) -> str:
        certain = (self.rows["certainty"] >= CERTAIN).sum()
        return (
            f"{certain:,} of {counted(len(self.rows), 'row')} {'is' if certain == 1 else 'are'} "
            f"together with the others of their cluster in at least {CERTAIN:.0%} of the draws, on "
            "average."
        )

    def _moving(self) -> str:
        count = len(self.moving)
        if not count:
            return "No row moves between clusters."
        they, own = ("it is", "its own") if count == 1 else ("they are", "their own")
        return (
            f"{counted(count, 'row')} may move: {they} together with the rows of another cluster "
            f"more than half as often as with those of {own}."
        )

    def _apart(self) -> str:
        loose = self.table["together"][self.table["together"] < FIRM]
        each = [f"{k} ({share:.0%})" for k, share in loose.iloc[:_MOST_NAMED].items()]
        if len(loose) > _MOST_NAMED:
            each.append(f"{len(loose) - _MOST_NAMED:,} more")
        if len(each) > 1:
            names = f"{', '.join(each[:-1])} and {each[-1]}"
            return f"Clusters {names} come apart: so often are two of their rows together."
        return (
            f"Cluster {loose.index[0]} comes apart: two of its rows are together in "
            f"{loose.iloc[0]:.0%} of the draws."
        )

    def _modes(self) -> str:
        each = [
            f"{counted(mode.n_clusters, 'cluster')} in {mode.share:.0%} of the draws"
            for mode in self.modes
        ]
        return f"The posterior gathers around {len(each)} partitions: {'; '.join(each)}."

    def plot(self) -> NDArray[np.object_]:
        """Draw distances of the draws, the bounds of the ball, and the rows that move.

        Returns
        -------
        ndarray of matplotlib Axes, shape (3,)
        """
        from bayesmix.plots import partitioned

        return partitioned(self)

    def __repr__(self) -> str:
        return "\n".join(self.sentences())

    def _repr_html_(self) -> str:
        return block(
            "One partition for the posterior",
            sentences(self.sentences()),
            table(self.table, "Clusters of the estimate, and what the draws make of them."),
        )


def by_doubt(rows: pd.DataFrame) -> tuple[NDArray[np.intp], int]:
    """Positions of rows (n,), those that move first, least ahead first; and how many move."""
    own, other = rows["certainty"].to_numpy(), rows["next_affinity"].to_numpy()
    moves = (rows["next_label"].to_numpy() >= 0) & (other > own / 2 + 1e-12)
    return np.lexsort((own - other, ~moves)), int(moves.sum())
