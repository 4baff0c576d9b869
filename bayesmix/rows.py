"""Rows that the pass reads: an array, or chunks that are read anew for every pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bayesmix.inputs import Table, as_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Chunks", "Rows", "are_chunks", "as_rows", "pieces", "take"]


class Chunks:
    """A table that is too large for memory, as chunks of rows.

    Parameters
    ----------
    chunks : callable or iterable
        A callable that returns a new iterator of chunks at every call, or an iterable that can be
        read more than once. A chunk is an array (m, D) or a DataFrame; chunks may differ in m.
    name : str
        What errors call it.

    Raises
    ------
    ValueError
        If there are no rows, chunks differ in their columns, a value is not finite, or the source
        can be read only once.
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
        tables = self._tables()
        first = next(tables, None)
        if first is None:
            raise ValueError(f"{name}: expected at least one chunk of rows, got none")
        self.features = first.features
        self._length = len(first.values) + sum(len(self._checked(table)) for table in tables)

    def __len__(self) -> int:
        return self._length

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of features."""
        return len(self), len(self.features)

    def __iter__(self) -> Iterator[Floats]:
        found = 0
        for table in self._tables():
            values = self._checked(table)
            found += len(values)
            if found > self._length:  # before anyone writes beyond the end of what was counted
                raise ValueError(
                    f"{table.name}: expected the same {self._length} rows in all at every "
                    f"reading, got at least {found}"
                )
            yield values
        if found < self._length:
            raise ValueError(
                f"{self._name}: expected the same {self._length} rows at every reading, got {found}"
            )

    def _checked(self, table: Table) -> Floats:
        """Values of a chunk that has the columns of the first."""
        if len(table.features) != len(self.features):
            raise ValueError(
                f"{table.name}: expected {len(self.features)} column(s), as in the first chunk, "
                f"got {len(table.features)}"
            )
        if table.features != self.features:
            raise ValueError(
                f"{table.name}: expected columns {', '.join(self.features)}, as in the first "
                f"chunk, got {', '.join(table.features)}"
            )
        return table.values

    def _tables(self) -> Iterator[Table]:
        chunks = self._chunks() if callable(self._chunks) else self._chunks
        if not hasattr(chunks, "__iter__"):
            raise ValueError(
                f"{self._name}: expected a function that returns an iterator of chunks, got one "
                f"that returns {type(chunks).__name__}"
            )
        for i, chunk in enumerate(chunks):
            name = f"{self._name}, chunk {i}"
            if _dimensions(chunk) in (0, 1):  # rows of an array, not chunks
                raise ValueError(
                    f"{name}: expected a table of rows and columns, got {np.ndim(chunk)} "
                    "dimension(s)"
                )
            yield as_table(chunk, name=name)


type Rows = NDArray[np.float64] | Chunks
"""What the pass reads; an array may be float32, too."""


def as_rows(x: Any, name: str = "x") -> Table:
    """Check a table of numbers as `as_table` does, or a source of chunks.

    Returns
    -------
    Table
        With `Chunks` for values, and no index, if x is a source of chunks: a callable, a list of
        two-dimensional chunks, or any other iterable that is no table itself.
    """
    if not are_chunks(x):
        return as_table(x, name=name)
    chunks = Chunks(x, name)
    return Table(cast("Any", chunks), chunks.features, np.empty(0, int), name)


def are_chunks(x: Any) -> bool:
    """Whether x is a source of chunks rather than a table."""
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
    for values in x if isinstance(x, Chunks) else (x,):
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
    found = []
    for values, _, start in pieces(x):
        inside = index[(index >= start) & (index < start + len(values))] - start
        found.append(np.asarray(values[inside], float, order="C"))
    return np.concatenate(found)
