"""How often two rows are in one cluster: the matrix of that, and its parts, never stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from bayesmix.draws import data_of, draws_of
from bayesmix.html.elements import block, paragraph, table
from bayesmix.inputs import require_count, require_nonnegative
from bayesmix.label_draws import holds_labels, label_draws, require_parameters
from bayesmix.memory import BUDGET_BYTES, blocks
from bayesmix.partitions.signatures import signatures_of
from bayesmix.schema import chosen_clusters, varies
from bayesmix.similarity_sources import OfLabels, OfResponsibilities

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray
    from scipy.sparse.linalg import LinearOperator

    from bayesmix.inputs import RandomSeed
    from bayesmix.partition_result import Partition

    Floats = NDArray[np.float64]
    Shares = NDArray[np.float32]
    Places = NDArray[np.intp]

__all__ = ["Similarity", "similarity"]

Method = Literal["auto", "labels", "responsibilities"]
_SHOWN = 5  # rows in a notebook
_COLUMNS = 1 << 12  # that the neighbors of some rows are looked for among, at least


def similarity(post: Any, *, method: Method = "auto", random_seed: RandomSeed = None) -> Similarity:
    r"""Posterior probability that two rows are in one cluster.

    From labels it is the share of the draws in which they are; from responsibilities
    :math:`r_{ik}` the same with the labels averaged out (Rao-Blackwell), which has less Monte
    Carlo error:

    .. math::

        P_{il} = \frac{1}{S} \sum_s 1\{z_i^{(s)} = z_l^{(s)}\} \quad\text{or}\quad
        P_{il} = \frac{1}{S} \sum_s \sum_k r_{ik}^{(s)} r_{lk}^{(s)}, \quad P_{ii} = 1.

    Neither depends on the names of components. The Monte Carlo standard deviation of a probability
    is at most :math:`1/(2\sqrt{S})`, S the effective number of draws.

    Parameters
    ----------
    post : DataTree, Dataset, DataArray, DataFrame or array_like
        Draws, of any sampler: a tree with ``allocation.label``, or with the parameters of a fixed
        number of components and the rows; or labels: an array with dims among chain, draw, sample
        and obs, a dataset with such a variable ``label``, a frame (S, n) whose columns are the
        rows, or whole numbers of shape (S, n) or (chain, draw, n).
    method : {"auto", "labels", "responsibilities"}, default "auto"
        Labels where they are given or stored, else responsibilities. These need the parameters of
        a fixed number of components, not one that draws were chosen by.
    random_seed : int, SeedSequence or Generator, optional
        For ``method="labels"`` where none are stored: they are drawn.

    Returns
    -------
    Similarity

    Raises
    ------
    ValueError
        If labels are no whole numbers, or of no rows or no draws; if there is no way to the
        probabilities by this method.

    References
    ----------
    A. Fritsch and K. Ickstadt, "Improved criteria for clustering based on the posterior similarity
    matrix", Bayesian Analysis 4, 2009.

    Examples
    --------
    >>> import bayesmix as bm
    >>> found = bm.similarity([[0, 0, 1], [0, 0, 0], [5, 5, 2], [0, 1, 1]])
    >>> found.row(0).values.tolist()
    [1.0, 0.75, 0.25]
    """
    if method not in get_args(Method):
        raise ValueError(f"method: expected one of {', '.join(get_args(Method))}, got {method!r}")
    if method == "auto":
        method = "labels" if holds_labels(post) else "responsibilities"
    if method == "labels":
        found = label_draws(post, random_seed)
        return Similarity(OfLabels(signatures_of(found.label)), found.index)
    _require_fixed(post)
    table = data_of(post)
    return Similarity(OfResponsibilities(table.values, draws_of(post).parameters), table.index)


@dataclass(frozen=True, eq=False, repr=False)
class Similarity:
    """Probabilities that rows are together, an (n, n) matrix told part by part.

    Rows are given by position, as NumPy does: whole numbers, negative ones from the end, slices or
    masks. What is returned has their names in its coordinates.
    """

    source: OfLabels | OfResponsibilities
    """What probabilities are computed from."""
    index: NDArray[Any]
    """Names of the rows, (n,)."""

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.index)

    @property
    def n_draws(self) -> int:
        """Number of draws."""
        return self.source.n_draws

    @property
    def method(self) -> str:
        """``"labels"`` or ``"responsibilities"``."""
        return self.source.method

    def __repr__(self) -> str:
        return (
            f"<Similarity of {self.n:,} rows, from the {self.method} of {self.n_draws:,} draws>\n"
            "row(i), block(rows), nearest(), to_dataarray(); matvec(v)"
        )

    def _repr_html_(self) -> str:
        import pandas as pd

        names = self.index[:_SHOWN]
        values = self.block(slice(_SHOWN)).values
        first = pd.DataFrame(values, pd.Index(names, name="obs"), names)
        count = f"{self.n:,} rows, from the {self.method} of {self.n_draws:,} draws."
        return block(
            "How often two rows are together",
            paragraph(
                f"{count} The whole matrix is not stored: ask row(i), block(rows), nearest()."
            ),
            table(first, "Probability that two rows are in one cluster: the first rows."),
        )

    def row(self, i: int) -> xr.DataArray:
        """Probability that row i is together with every row, (obs)."""
        import xarray as xr

        own = self._places(i, "i")
        if len(own) != 1:
            raise ValueError(f"i: expected the position of one row, got {i!r}; use block")
        values = self.source.block(own, np.arange(self.n))[0]
        return xr.DataArray(values, {"obs": self.index}, "obs", "similarity")

    def block(self, rows: Any, columns: Any = None) -> xr.DataArray:
        """Probabilities of some rows with others, (obs, obs_bis); by default with each other."""
        one = self._places(rows, "rows")
        other = one if columns is None else self._places(columns, "columns")
        return self._named(self.source.block(one, other), one, other)

    def matvec(self, v: ArrayLike) -> Floats:
        """The matrix times a vector (n,) or vectors (n, m); the matrix is not made."""
        given = np.asarray(v)
        if given.dtype.kind not in "biuf":
            raise ValueError(f"v: expected real numbers, got an array of dtype {given.dtype}")
        values = given.astype(float)
        if values.ndim not in (1, 2) or len(values) != self.n:
            raise ValueError(f"v: expected shape ({self.n},) or ({self.n}, m), got {values.shape}")
        return self.source.matvec(values.reshape(self.n, -1)).reshape(values.shape)

    def to_linear_operator(self) -> LinearOperator:
        """The matrix as SciPy's solvers take it, such as ``scipy.sparse.linalg.eigsh``."""
        from scipy.sparse.linalg import LinearOperator

        shape, engine = (self.n, self.n), self.matvec  # symmetric
        return LinearOperator(shape, engine, engine, engine, dtype=np.float64, rmatmat=engine)

    def nearest(self, rows: Any = None, n_neighbors: int | None = None) -> xr.Dataset:
        """Rows that every row is most often together with, itself left out.

        Parameters
        ----------
        rows : optional
            By position; default all.
        n_neighbors : int, optional
            Default 10, or all others if they are fewer.

        Returns
        -------
        xarray.Dataset
            ``neighbor``, positions, and ``probability`` (obs, rank); of equal ones the first row
            first.
        """
        import xarray as xr

        if n_neighbors is None:
            n_neighbors = max(min(10, self.n - 1), 1)
        require_count(n_neighbors, "n_neighbors")
        if n_neighbors >= self.n:
            raise ValueError(
                f"n_neighbors: expected at most {self.n - 1}, the number of other rows, got "
                f"{n_neighbors}"
            )
        own = np.arange(self.n) if rows is None else self._places(rows, "rows")
        shape, by_rank = (len(own), n_neighbors), ("obs", "rank")
        neighbor, probability = np.empty(shape, np.intp), np.empty(shape, np.float32)
        for part in blocks(len(own), 8 * _COLUMNS):
            neighbor[part], probability[part] = self._nearest(own[part], n_neighbors)
        values = {"neighbor": (by_rank, neighbor), "probability": (by_rank, probability)}
        return xr.Dataset(values, {"obs": self.index[own], "rank": np.arange(n_neighbors)})

    def _nearest(self, rows: Places, n_neighbors: int) -> tuple[Places, Shares]:
        """Neighbors of some rows and their probabilities, (b, n_neighbors)."""
        best = np.full((len(rows), n_neighbors), -1)
        for part in blocks(self.n, 8 * len(rows)):
            columns = np.arange(part.start, part.stop)
            shares = self.source.block(rows, columns)
            # bits of what is not negative grow with it: one number to sort by, first row first
            key = shares.view(np.int32).astype(np.int64) << 32 | (self.n - 1 - columns)
            key[rows[:, None] == columns] = -1
            both = np.concatenate([best, key], axis=1)
            both.partition(-n_neighbors, axis=1)
            best = both[:, -n_neighbors:]
        best = np.sort(best, axis=1)[:, ::-1]
        neighbor = self.n - 1 - (best & 0xFFFFFFFF)
        return neighbor, (best >> 32).astype(np.int32).view(np.float32)

    def to_dataarray(self, max_bytes: int = BUDGET_BYTES) -> xr.DataArray:
        """The whole matrix, float32 (obs, obs_bis).

        Parameters
        ----------
        max_bytes : int, default 2 GiB
            Most memory that making it may take.

        Raises
        ------
        ValueError
            If it takes more.
        """
        require_nonnegative(max_bytes, "max_bytes")
        needed = self.source.square_bytes
        if needed > max_bytes:
            raise ValueError(
                f"max_bytes: expected at least {needed:,}, what {self.n:,} x {self.n:,} "
                f"probabilities take, got {max_bytes:,}; use row, block or nearest, or give "
                f"max_bytes={needed}"
            )
        every = np.arange(self.n)
        return self._named(self.source.square(), every, every)

    def plot(self, partition: Partition | None = None, *, ax: Axes | None = None) -> Axes:
        """Draw it as a heat map, rows in the order of a partition."""
        from bayesmix.plots import similarity as draw

        return draw(self, partition, ax=ax)

    def _places(self, rows: Any, name: str) -> Places:
        """Positions that users mean, (b,)."""
        try:
            own = list(rows) if isinstance(rows, tuple) else rows
            return np.arange(self.n)[own].ravel()
        except IndexError as error:
            raise IndexError(
                f"{name}: expected positions from 0 to {self.n - 1}, a slice or a mask of "
                f"{self.n} rows, got {rows!r}; names are not positions"
            ) from error

    def _named(self, values: Shares, rows: Places, columns: Places) -> xr.DataArray:
        import xarray as xr

        coords = {"obs": self.index[rows], "obs_bis": self.index[columns]}
        return xr.DataArray(values, coords, ("obs", "obs_bis"), "similarity")


def _require_fixed(post: Any) -> None:
    """Refuse what has no responsibilities, or such as are not probabilities of the rows' labels."""
    import xarray as xr

    if not isinstance(post, xr.DataTree):
        raise ValueError(
            'method: expected "labels", because labels alone have no responsibilities, got '
            '"responsibilities"; give the tree with parameters and rows'
        )
    if not holds_labels(post):
        require_parameters(post)
    elif varies(post) or chosen_clusters(post) is not None:
        raise ValueError(
            'method: expected "labels", because where the number of components varies, or draws '
            "were chosen by it, responsibilities are not the probabilities of rows, got "
            '"responsibilities"; leave method out'
        )
