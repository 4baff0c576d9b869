"""Rows that the pass reads: an array, chunks that are read anew for every pass, or Dask's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bayesmix.dask_rows import DaskRows
from bayesmix.inputs import Table, as_table, is_dask, require_finite

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Chunks", "Rows", "are_chunks", "as_rows", "pieces", "take"]


class Chunks:
    """A table that is too large for memory, as chunks of rows.

    Parameters
    ----------
    chunks : callable or iterable
        A callable that returns a new iterator of chunks at every call, or an iterable that can be
        read more than once. A chunk is an array (m, D) or a DataFrame; chunks may differ in m,
        and those without rows are skipped. Arrays of float64 and float32 are not copied.
    name : str
        What errors call it.

    Raises
    ------
    ValueError
        If there are no rows, a chunk is no table, chunks differ in their columns, a value is not
        finite, or the source can be read only once.
    """

    def __init__(
        self, chunks: Callable[[], Iterable[Any]] | Iterable[Any], name: str = "x"
    ) -> None:
        if not callable(chunks) and iter(chunks) is chunks:
            raise ValueError(
                f"{name}: expected chunks that can be read again for every iteration, got an "
                f"iterator ({type(chunks).__name__}) that can be read once; give a function that "
                "returns a new one"
            )
        self._chunks = chunks
        self._name = name
        self._length: int | None = None  # until all have been read once
        self._columns: list[Any] | None = None
        self.features: tuple[str, ...] = ()
        self._length = sum(len(values) for values in self)
        if self._length == 0:
            found = "only empty ones" if self.features else "none"
            raise ValueError(f"{name}: expected at least one chunk of rows, got {found}")

    def __len__(self) -> int:
        return self._length or 0

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of features."""
        return len(self), len(self.features)

    @property
    def header(self) -> pd.DataFrame | Floats:
        """A table of no rows like the first chunk: a DataFrame's columns, or an array's width."""
        if self._columns is None:
            return np.empty((0, len(self.features)))
        import pandas as pd

        return pd.DataFrame(columns=self._columns)

    def __iter__(self) -> Iterator[Floats]:
        found, chunks = 0, self._read()
        try:
            for i, chunk in enumerate(chunks):
                values = self._checked(chunk, f"{self._name}, chunk {i}")
                found += len(values)
                if found > (self._length or found):  # before anyone writes beyond what was counted
                    break
                if len(values):
                    yield values
        finally:  # a reader of a file holds it open when it is left before its end
            if chunks is not self._chunks and hasattr(chunks, "close"):
                chunks.close()
        if self._length not in (None, found):
            raise ValueError(
                f"{self._name}: expected the same {self._length} rows at every reading, got {found}"
            )

    def _read(self) -> Iterable[Any]:
        chunks = self._chunks() if callable(self._chunks) else self._chunks
        if not hasattr(chunks, "__iter__"):
            raise ValueError(
                f"{self._name}: expected a function that returns chunks of rows, such as "
                f"lambda: [x], got one that returns {type(chunks).__name__}"
            )
        return chunks

    def _checked(self, chunk: Any, name: str) -> Floats:
        """Numbers of one chunk, no copy of float64 or float32 ones; the first says the columns."""
        shape = np.shape(chunk)
        if len(shape) != 2:
            raise ValueError(
                f"{name}: expected a table (m, D), got shape {shape}; give a function that "
                "returns a list of chunks, such as lambda: [x]"
            )
        columns = getattr(chunk, "columns", None)
        if not self.features:
            if shape[1] == 0:
                raise ValueError(f"{name}: expected at least one column, got shape {shape}")
            if columns is None:
                self.features = tuple(f"x{j}" for j in range(shape[1]))
            else:
                self._columns = list(columns)
                self.features = tuple(str(c) for c in columns)
        if columns is not None and self._columns not in (None, list(columns)):
            raise ValueError(
                f"{name}: expected the columns of the first chunk, {self._columns}, got "
                f"{list(columns)}"
            )
        if shape[1] != len(self.features):
            raise ValueError(
                f"{name}: expected {len(self.features)} column(s), as in the first chunk, got "
                f"{shape[1]}"
            )
        if shape[0] == 0:
            return np.empty(shape)
        if isinstance(chunk, np.ndarray) and chunk.dtype in (np.float64, np.float32):
            values = np.asarray(chunk)
            require_finite(values, self.features, name)
            return values
        return as_table(chunk, name=name).values


type Rows = NDArray[np.float64] | Chunks | DaskRows
"""What the pass reads; an array may be float32, too."""


def as_rows(x: Any, name: str = "x") -> Table:
    """Check a table of numbers as `as_table` does, a source of chunks, or a collection of Dask's.

    Returns
    -------
    Table
        With `Chunks` for values, and no index, if x is a source of chunks: a callable, a list of
        two-dimensional chunks, or any other iterable that is no table itself. With `DaskRows`
        likewise, if x is a Dask array or DataFrame.
    """
    if is_dask(x):
        values: DaskRows | Chunks = DaskRows(x, name)
    elif are_chunks(x):
        values = Chunks(x, name)
    else:
        return as_table(x, name=name)
    return Table(cast("Any", values), values.features, np.empty(0, int), name)


def are_chunks(x: Any) -> bool:
    """Whether x is a source of chunks rather than a table."""
    if is_dask(x):
        return False
    if isinstance(x, (list, tuple)):
        return bool(x) and all(_dimensions(chunk) == 2 for chunk in x)
    marks = ("shape", "__array__", "columns", "__dataframe__")
    table = any(hasattr(x, mark) for mark in marks) or isinstance(x, (str, bytes, dict, Table))
    return callable(x) or (hasattr(x, "__iter__") and not table)


def _dimensions(chunk: Any) -> int | None:
    try:
        return np.ndim(chunk)
    except ValueError:  # ragged
        return None


def pieces(
    x: Rows, sample_weight: Floats | None = None
) -> Iterator[tuple[Floats, Floats | None, int]]:
    """Read rows as arrays of native float64 or float32, with weights and their first row."""
    start = 0
    for values in (x,) if isinstance(x, np.ndarray) else x:
        if values.dtype not in (np.float64, np.float32):  # byte-swapped ones are neither
            values = values.astype(float)
        if not values.flags.aligned:
            values = values.copy()
        stop = start + len(values)
        weight = None if sample_weight is None else sample_weight[start:stop]
        yield np.asarray(values), weight, start
        start = stop


def take(x: Rows, index: NDArray[np.intp]) -> Floats:
    """Rows of the given, ascending numbers."""
    if isinstance(x, DaskRows):
        return x.take(index)
    if isinstance(x, np.ndarray):
        return np.asarray(x[index], float, order="C")
    found = []
    for values, _, start in pieces(x):
        inside = index[(index >= start) & (index < start + len(values))] - start
        found.append(np.asarray(values[inside], float, order="C"))
    return np.concatenate(found)
