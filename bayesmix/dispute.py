"""Rows in dispute: those of a cluster that EM has and the posterior has not, or the reverse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix import passes
from bayesmix.covariance import structure_of
from bayesmix.draws import data_of
from bayesmix.frozen import FrozenMixture, frozen
from bayesmix.html.elements import block, sentences, table
from bayesmix.partition import partition as partition_of
from bayesmix.partition_distances import adjusted_rand_index
from bayesmix.partition_result import FIRM, Partition
from bayesmix.pass_parameters import PassParameters
from bayesmix.similarity import Similarity, similarity
from bayesmix.wording import counted, initial

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from bayesmix.inputs import RandomSeed, Table

    Floats = NDArray[np.float64]
    Labels = NDArray[np.integer[Any]]

__all__ = ["Dispute", "disputed_rows"]

_COLUMNS = ("size", "parent", "shared", "rest", "together", "within", "point_probability")
_MOST_NAMED = 5


@dataclass(frozen=True, eq=False, repr=False)
class Dispute:
    """Where a point's partition and the posterior's part; made by `disputed_rows`."""

    table: pd.DataFrame
    """One row per extra cluster, of whichever has more clusters. Index ``extra``, its number;
    ``size``; ``parent``, the other's cluster that most of its rows are in, ``shared`` of them;
    ``rest``, how many other rows the parent has; ``together``, the mean posterior probability that
    a row of the one is together with a row of the other; ``within``, the same of two of its own
    rows, NaN of one row; ``point_probability``, the mean of its rows' at the point."""
    rows: pd.DataFrame
    """One row per row of the data, index ``obs``: ``point_label`` and ``point_probability``, the
    most probable component at the point; ``label``, the posterior's cluster; ``extra``, the extra
    cluster that it is in, or -1; ``together``, the posterior probability that such a row is
    together with the parent's other rows, on average, else NaN; ``agrees``, whether its two
    clusters are each other's counterparts."""
    adjusted_rand_index: float
    """Of the two partitions: 1 if they are the same."""
    name: str
    """What the point is called in words."""
    point: FrozenMixture
    data: Table
    cautions: tuple[str, ...] = ()
    """What speaks against trusting it."""

    @property
    def n_clusters(self) -> tuple[int, int]:
        """Number of clusters that have rows: of the point, of the posterior."""
        return self.rows["point_label"].nunique(), self.rows["label"].nunique()

    def sentences(self) -> list[str]:
        """The dispute in words."""
        said = [self._numbers(), *(self._extra(k) for k in self.table.index)]
        moved = self.rows.index[~self.rows["agrees"] & (self.rows["extra"] < 0)]
        if len(moved):
            are = "is" if len(moved) == 1 else "are"
            beside = " beside these" if len(self.table) else ""
            said.append(
                f"{counted(len(moved), 'row')}{beside} ({_named(moved)}) {are} placed otherwise; "
                f"adjusted Rand index {self.adjusted_rand_index:.2f}."
            )
        if empty := len(self.point.weights) - self.n_clusters[0]:
            said.append(
                f"{counted(empty, 'component')} of {self.name} {'is' if empty == 1 else 'are'} the "
                "most probable of no row, and not counted."
            )
        return [*said, *self.cautions]

    def _numbers(self) -> str:
        point, posterior = self.n_clusters
        if point == posterior:
            also = ", of the same rows" if self.rows["agrees"].all() else ""
            return (
                f"{self.name} and the posterior have {counted(point, 'cluster')} each{also}: no "
                "cluster is in dispute."
            )
        return f"{self.name} has {counted(point, 'cluster')}, the posterior {posterior}."

    def _extra(self, k: int) -> str:
        own = self.table.loc[k].to_dict()
        of_point = self.n_clusters[0] > self.n_clusters[1]
        whose = f"{self.name}'s component", "the posterior's cluster"
        extra, parent = whose if of_point else whose[::-1]
        size, shared = int(own["size"]), int(own["shared"])
        there = "all" if shared == size else f"{shared:,}"
        said = (
            f"{initial(extra)} {k} has {counted(size, 'row')} "
            f"({_named(self.rows.index[self.rows['extra'] == k])}), {there} in {parent} "
            f"{int(own['parent'])}"
        )
        said += (
            f": with the {counted(int(own['rest']), 'other row')} there they are together with "
            f"posterior probability {own['together']:.2f}"
        )
        if np.isfinite(own["within"]):
            said += f", with each other with {own['within']:.2f}"
        drawn = not of_point or 2 * shared <= size
        return f"{said}. {_verdict(own['together'], drawn)}"

    def plot(self, *, features: Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
        """Draw the rows in dispute over all others, under the point's components.

        Parameters
        ----------
        features : one or two str, optional
            Default the two in which the rows of extra clusters are farthest from their parents'.
        ax : matplotlib Axes, optional
        """
        from bayesmix.plots import disputed

        return disputed(self, features=features, ax=ax)

    def __repr__(self) -> str:
        return "\n".join(self.sentences())

    def _repr_html_(self) -> str:
        extra = "Clusters that one of the two partitions has and the other has not."
        shown = [table(self.table, extra)] if len(self.table) else []
        return block("Clusters in dispute", sentences(self.sentences()), *shown)


def disputed_rows(
    point: Any,
    post: xr.DataTree,
    *,
    partition: Partition | ArrayLike | None = None,
    name: str = "EM",
    random_seed: RandomSeed = None,
) -> Dispute:
    r"""Find the rows of a cluster that EM has and the posterior has not, or the reverse.

    Every row goes to its most probable component at the point. Clusters of the two partitions are
    matched one to one, so that the shares of their unions that they have in common are greatest in
    sum; whichever partition has more clusters has some left, the *extra* ones. The other's cluster
    with most of an extra's rows is its parent, and what it rests on is judged by the posterior
    probability :math:`P_{il}` (`similarity`) that its rows i are together with the parent's other
    rows l: near 1 the posterior sees no border there, near 0 it is sure of one.

    Parameters
    ----------
    point : DataTree or GaussianMixture
        A tree of `fit_em` or a fitted estimator, such as the one that BIC chose.
    post : DataTree
        Draws with ``observed_data``, of any sampler; with labels (``allocation``) where the number
        of components varies.
    partition : Partition or (n,) array_like of int, optional
        The posterior's clusters; default `bayesmix.partition` of ``post``.
    name : str, default "EM"
        What to call the point, such as "BIC".
    random_seed : int, SeedSequence or Generator, optional
        Of `bayesmix.partition`.

    Returns
    -------
    Dispute

    Raises
    ------
    ValueError
        If the point has another number of features, the partition another number of rows, or there
        is no way to the labels of draws.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
    >>> post = bm.sample(mixture, x, random_seed=1)
    >>> em = bm.GaussianMixture(3, random_state=1).fit(x)
    >>> print(bm.disputed_rows(em, post, name="EM"))
    EM has 3 clusters, the posterior 2.
    EM's component 1 has 42 rows (1, 10, 13, 16, 20 and 37 more), all in the ...
    """
    import pandas as pd

    table, fitted = data_of(post), frozen(point)
    if fitted.dim != table.values.shape[1]:
        raise ValueError(
            f"point: expected {table.values.shape[1]} feature(s), as the rows of post have, got "
            f"{fitted.dim}; fit it to the same rows"
        )
    probability = _responsibilities(fitted, table.values)
    if partition is None:
        partition = partition_of(post, random_seed=random_seed)
    one, other = probability.argmax(axis=1), _labels(partition, len(table.values))
    many = len(np.unique(one)) > len(np.unique(other))
    finer, coarser = (one, other) if many else (other, one)
    parents, agrees = _matched(finer, coarser)
    extra = np.where(np.isin(finer, list(parents)), finer, -1)
    rows = {
        "point_label": one,
        "point_probability": probability.max(axis=1),
        "label": other,
        "extra": extra,
        "together": np.nan,
        "agrees": agrees,
    }
    frame = pd.DataFrame(rows, pd.Index(table.index, name="obs"))
    found = _judged(frame, parents, coarser, similarity(post) if parents else None)
    rand = adjusted_rand_index(one, other)
    return Dispute(*found, rand, name, fitted, table)


def _responsibilities(point: FrozenMixture, x: Floats) -> Floats:
    given = point.weights, point.means, point.covariances
    return passes.responsibilities(x, PassParameters.from_point(structure_of("full"), *given))


def _labels(partition: Partition | ArrayLike, n: int) -> Labels:
    own = partition.labels.values if isinstance(partition, Partition) else np.asarray(partition)
    if own.shape != (n,) or own.dtype.kind not in "iu":
        raise ValueError(
            f"partition: expected one whole number for each of the {n:,} rows of post, got "
            f"{own.dtype} of shape {own.shape}; pass what bayesmix.partition returns"
        )
    return own


def _matched(finer: Labels, coarser: Labels) -> tuple[dict[int, int], NDArray[np.bool_]]:
    """Extra clusters of the finer with their parents; and which rows (n,) are in counterparts.

    A parent has other rows: if all were in the extra, to match the two would have been better.
    """
    from scipy.optimize import linear_sum_assignment

    (one, at), (other, across) = (np.unique(z, return_inverse=True) for z in (finer, coarser))
    counts = np.zeros((len(one), len(other)))
    np.add.at(counts, (at, across), 1)
    union = counts.sum(axis=1, keepdims=True) + counts.sum(axis=0) - counts
    own, partner = linear_sum_assignment(-counts / union)
    extra = np.setdiff1d(np.arange(len(one)), own)
    counterpart = np.full(len(one), -1)
    counterpart[own] = partner
    parents = {int(one[j]): int(other[counts[j].argmax()]) for j in extra}
    return parents, counterpart[at] == across


def _judged(
    rows: pd.DataFrame, parents: dict[int, int], coarser: Labels, alike: Similarity | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Table of extra clusters, and the rows with how often they are with their parents'."""
    import pandas as pd

    rows, table = rows.copy(), []
    for k, parent in parents.items():
        assert alike is not None
        own = (rows["extra"] == k).to_numpy()
        in_parent = coarser == parent
        rest, size = in_parent & ~own, own.sum()
        sums = alike.matvec(np.column_stack([rest, own]).astype(float))[own]
        rows.loc[own, "together"] = sums[:, 0] / rest.sum()
        within = (sums[:, 1].mean() - 1) / (size - 1) if size > 1 else np.nan  # but for itself
        means = rows.loc[own, ["together", "point_probability"]].mean()
        shared = (own & in_parent).sum()
        table.append((size, parent, shared, rest.sum(), means.iloc[0], within, means.iloc[1]))
    index = pd.Index(list(parents), name="extra")
    return pd.DataFrame(table, index, list(_COLUMNS)), rows


def _verdict(together: float, drawn: bool) -> str:
    """What rows that are together so often say of a border, which the partition may have drawn."""
    if together >= FIRM:
        beside = ", although its partition has one" if drawn else ""
        return f"The posterior sees no border there{beside}."
    if together <= 1 - FIRM:
        beside = "" if drawn else ", although its partition has none"
        return f"The posterior sees a border there{beside}."
    return "The posterior is in doubt whether there is a border."


def _named(names: pd.Index) -> str:
    """The first of some rows, and how many more there are."""
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(str(name) for name in names[:_MOST_NAMED]) + more
