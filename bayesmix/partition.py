"""One partition for the whole posterior: what is asked, what is searched, what is put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.inputs import as_generator, require_count
from bayesmix.label_draws import LabelDraws, label_draws
from bayesmix.membership import interval
from bayesmix.partition_result import Mode, Partition
from bayesmix.partitions.ball import credible_ball
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

__all__ = ["partition"]


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
    post : DataTree, Dataset, DataArray, DataFrame or array_like of int
        A tree with the group ``allocation``; labels (S, n) or (chain, draw, n), from anywhere; or a
        tree with parameters and rows, at whose draws labels are drawn. Columns of a frame (S, n)
        are the rows; a dataset has a variable ``label``.
    loss : {"vi", "binder", "omari"}
        Variation of information; Binder's loss; one minus the adjusted Rand index.
    costs : (float, float)
        Of merging two rows (for variation of information: two clusters) that belong apart, and of
        splitting what belongs together; not for ``"omari"``.
    n_runs : int, default 16
        Random runs.
    max_clusters : int, optional
        Most clusters that the answer may have; default as many as tables of 256 MiB have room for,
        and at least twice as many as any draw has.
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
    labels (one byte each below 257 clusters) and of tables of clusters against clusters. Above
    4,000 distinct columns the hierarchical clusterings are of 4,000 of them, the others put where
    they are most often; where distinct columns times the square of the draws exceed 2e9, which
    draws are best is told by some of both.

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
