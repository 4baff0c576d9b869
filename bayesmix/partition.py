"""One partition for the whole posterior, and how far the posterior reaches around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.inputs import as_generator, require_count
from bayesmix.label_draws import LabelDraws, label_draws
from bayesmix.membership import interval
from bayesmix.partitions.ball import CredibleBall, credible_ball
from bayesmix.partitions.candidates import candidates
from bayesmix.partitions.gathering import Gathering, gatherings
from bayesmix.partitions.losses import loss_of
from bayesmix.partitions.members import Members, members
from bayesmix.partitions.naming import renamed
from bayesmix.partitions.search import search
from bayesmix.partitions.signatures import signatures_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.inputs import RandomSeed

__all__ = ["Mode", "Partition", "partition"]

MOVING = 0.5
CERTAIN = 0.95
_DISTANCES = {
    "vi": "variation of information",
    "binder": "Binder's loss",
    "omari": "one minus the adjusted Rand index",
}


@dataclass(frozen=True, eq=False)
class Mode:
    """One of several partitions that the posterior gathers around."""

    labels: xr.DataArray
    """Cluster of every row, (obs); a cluster that is one of the estimate's has its number."""
    share: float
    """Share of the draws that are nearest to it."""
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
    """Whether `max_clusters` kept the search from opening a further cluster."""
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
        """Rows whose certainty is ahead of the next affinity by less than 0.5, least first."""
        ahead = (self.rows["certainty"] - self.rows["next_affinity"]).to_numpy()
        order = np.argsort(ahead, kind="stable")
        return self.rows.iloc[order[: (ahead < MOVING).sum()]]

    def sentences(self) -> list[str]:
        """The partition in words."""
        said = [self._estimate(), self._ball(), self._rows()]
        if self.modes:
            said.append(self._modes())
        return said

    def _estimate(self) -> str:
        most = ", the most allowed: ask for more by max_clusters" if self.capped else ""
        return (
            f"{_clusters(self.n_clusters)} lose least{most}: expected "
            f"{_DISTANCES[self.loss]} {self._amount(self.expected_loss)} over {self.n_draws:,} "
            f"draws ({self.runs[0]} of {self.runs[1]} runs of the search ended there)."
        )

    def _ball(self) -> str:
        ball = self.credible_ball
        fewest, most = ball.upper.n_clusters.min(), ball.lower.n_clusters.max()
        range_ = f"{fewest} to {most}" if fewest < most else str(most)
        return (
            f"{ball.prob:.0%} of the draws are within {self._amount(ball.radius)} of it, with "
            f"{range_} cluster{'s' if most > 1 else ''}."
        )

    def _rows(self) -> str:
        moving, n = len(self.moving), len(self.rows)
        firm = (self.rows["certainty"] >= CERTAIN).sum()
        return (
            f"{firm:,} of {n:,} rows are at least {CERTAIN:.0%} certain of their cluster; "
            f"{moving:,} may move, less than {MOVING} ahead of the next."
        )

    def _modes(self) -> str:
        each = [
            f"{_clusters(mode.n_clusters)} in {mode.share:.0%} of the draws" for mode in self.modes
        ]
        return f"The posterior gathers around {len(each)} partitions: {'; '.join(each)}."

    def _amount(self, value: float) -> str:
        return f"{value:.3g} bits" if self.loss == "vi" else f"{value:.3g}"

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
        from html import escape

        lines = "".join(f"<li>{escape(s)}</li>" for s in self.sentences())
        return f"<ul>{lines}</ul>" + self.table.to_html(float_format="{:.4g}".format)


def partition(
    post: Any,
    *,
    loss: str = "vi",
    costs: tuple[float, float] = (1.0, 1.0),
    n_runs: int = 16,
    max_clusters: int | None = None,
    ci_prob: float | None = None,
    random_seed: RandomSeed = None,
) -> Partition:
    r"""Find the partition of least expected loss, and the ball of draws around it.

    .. math:: c^* = \arg\min_c E[L(c, z) \mid x]

    with the mean over the draws of z, whatever their clusters are called and however many they are.
    Runs start at random, at hierarchical clusterings of the similarities and at the best draws;
    each moves row by row, takes clusters apart and merges them as long as that lowers the loss. The
    answer is never worse than what they start from.

    Parameters
    ----------
    post : DataTree or array_like of int
        A tree with the group ``allocation``; labels (S, n) or (chain, draw, n), from anywhere; or a
        tree with parameters and rows, at whose draws labels are drawn.
    loss : {"vi", "binder", "omari"}
        Variation of information; Binder's loss; one minus the adjusted Rand index.
    costs : (float, float)
        Of merging two rows (for variation of information: two clusters) that belong apart, and of
        splitting what belongs together; not for ``"omari"``.
    n_runs : int, default 16
        Random runs.
    max_clusters : int, optional
        Most clusters that the answer may have; default as many as memory for tables allows.
    ci_prob : float, optional
        Mass of the credible ball and of the intervals of sizes; default ArviZ's
        ``rcParams["stats.ci_prob"]``.
    random_seed : int, SeedSequence or Generator, optional

    Returns
    -------
    Partition

    Raises
    ------
    ValueError
        If there are no labels and none can be drawn, or an argument is out of its range.

    Notes
    -----
    Rows with the same labels in every draw are one column to the search; memory is that of the
    labels (one byte each below 257 clusters) and of tables of clusters against clusters.

    References
    ----------
    D. B. Dahl, D. J. Johnson and P. Müller, "Search algorithms and loss functions for Bayesian
    clustering", Journal of Computational and Graphical Statistics 31, 2022. S. Wade and Z.
    Ghahramani, "Bayesian cluster analysis: point estimation and credible balls", Bayesian Analysis
    13, 2018.

    Examples
    --------
    >>> import bayesmix as bm
    >>> draws = [[0, 0, 0, 1, 1], [0, 0, 0, 1, 1], [1, 1, 0, 0, 0], [2, 2, 2, 0, 1]]
    >>> bm.partition(draws, random_seed=1).labels.values.tolist()
    [0, 0, 0, 1, 1]
    """
    asked = loss_of(loss, costs)
    require_count(n_runs, "n_runs")
    if max_clusters is not None:
        require_count(max_clusters, "max_clusters")
    tails, generator = interval(ci_prob), as_generator(random_seed)
    draws = label_draws(post, generator)
    rows = signatures_of(draws.label)
    starts = candidates(rows, asked, max_clusters)
    found = search(
        rows, asked, starts, n_runs=n_runs, max_clusters=max_clusters, generator=generator
    )
    prob = round(tails[1] - tails[0], 12)
    columns, label = rows.split(found.label)
    firm = members(label, columns, tails)
    return Partition(
        labels=_named(found.label, draws),
        expected_loss=found.expected_loss,
        loss=asked.name,
        costs=(asked.merge, asked.split),
        n_draws=rows.n_draws,
        table=_table(found.label, firm),
        rows=_rows(found.label, firm, draws),
        credible_ball=credible_ball(label, columns, asked, prob),
        modes=_modes(gatherings(rows, asked, max_clusters, generator), found.label, draws),
        runs=(found.n_best, found.n_runs),
        capped=found.capped,
        ci_prob=prob,
    )


def _named(label: NDArray[np.int64], draws: LabelDraws) -> xr.DataArray:
    import xarray as xr

    return xr.DataArray(label, coords={"obs": draws.index}, dims="obs", name="label")


def _table(label: NDArray[np.int64], firm: Members) -> pd.DataFrame:
    import pandas as pd

    size = np.bincount(label)
    return pd.DataFrame(
        {
            "size": size,
            "certainty": np.bincount(label, firm.certainty) / size,
            "found": firm.found,
            "size_mean": firm.size_mean,
            "size_lower": firm.size_lower,
            "size_upper": firm.size_upper,
            "together": firm.together,
        },
        index=pd.RangeIndex(len(size), name="cluster"),
    )


def _rows(label: NDArray[np.int64], firm: Members, draws: LabelDraws) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "label": label,
            "certainty": firm.certainty,
            "next_label": firm.next_cluster,
            "next_affinity": firm.next_affinity,
        },
        index=pd.Index(draws.index, name="obs"),
    )


def _modes(found: list[Gathering], label: NDArray[np.int64], draws: LabelDraws) -> tuple[Mode, ...]:
    """Modes with the estimate's numbers where clusters are the same."""
    return tuple(
        Mode(_named(renamed(own.label, label), draws), own.share, own.expected_loss)
        for own in found
    )


def _clusters(n: int) -> str:
    return f"{n} cluster" if n == 1 else f"{n} clusters"
