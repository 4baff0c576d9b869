"""Rows of a Dask array or DataFrame: they stay where they are, and work goes to them.

A partition is a task, on one thread, wherever Dask runs it; what the tasks return comes back in the
order of the partitions. Sums over them do not depend on scheduling, on the number of workers, or on
work done twice because a worker was lost. Dask is imported by those who use it, never here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmix.inputs import numeric_frame, require_finite

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["DaskRows", "LazyRows", "total"]


class LazyRows:
    """A table of Dask's as partitions of NumPy rows; nothing is computed.

    Parameters
    ----------
    x : dask.array.Array or dask.dataframe.DataFrame
        Shape (n, D), D known; n may be unknown. Columns in several chunks are brought together.
        float64 and float32 stay as they are, other numbers become float64.
    name : str
        What errors call it.

    Raises
    ------
    ValueError
        If it is no table, its chunks are no NumPy arrays, or a column is not numeric.
    """

    def __init__(self, x: Any, name: str = "x") -> None:
        from dask.array import Array

        self.name = name
        if isinstance(x, Array):
            self.array = self._of_array(x)
        elif type(x).__module__.startswith("dask.dataframe") and x.ndim == 2:
            self.array = self._of_frame(x)
        else:
            raise ValueError(
                f"{name}: expected a Dask array (n, D) or DataFrame, got a Dask "
                f"{type(x).__name__}; make one of it, as to_frame() or dask.array.from_delayed do"
            )

    def _of_frame(self, x: Any) -> Any:
        meta, name = x._meta, self.name
        if len(meta.columns) == 0:
            raise ValueError(f"{name}: expected at least one column, got a DataFrame without")
        numeric_frame(meta, name)
        self.header = meta
        self.features = tuple(str(column) for column in meta.columns)
        if len(set(self.features)) < len(self.features):
            raise ValueError(
                f"{name}: expected distinct column names, got {', '.join(self.features)}"
            )
        kind = np.float32 if all(dtype == np.float32 for dtype in meta.dtypes) else np.float64
        like = np.empty((0, len(self.features)), kind)
        return x.map_partitions(_numbers, kind, name, meta=like, enforce_metadata=False)

    def _of_array(self, x: Any) -> Any:
        if x.ndim != 2 or not x.shape[1] >= 1:  # an unknown width is NaN
            raise ValueError(
                f"{self.name}: expected a table (n, D) with at least one column, got a Dask array "
                f"of shape {x.shape}; x[:, None] makes a table of one feature, "
                "x.compute_chunk_sizes() finds sizes that are not known"
            )
        if x.dtype.kind not in "biuf" or type(x._meta) is not np.ndarray:
            raise ValueError(
                f"{self.name}: expected numbers in NumPy arrays, got chunks of "
                f"{type(x._meta).__name__}, dtype {x.dtype}; convert them with x.map_blocks"
            )
        self.header = np.empty((0, x.shape[1]))
        self.features = tuple(f"x{j}" for j in range(x.shape[1]))
        if x.numblocks[1] > 1:
            x = x.rechunk({1: -1})
        return x if x.dtype in (np.float64, np.float32) else x.astype(np.float64)

    header: pd.DataFrame | Floats
    """A table of no rows: a DataFrame's columns, or an array's width."""
    features: tuple[str, ...]

    def map(self, function: Callable[[Floats], Any], like: NDArray[Any]) -> Any:
        """What a function makes of every row, a Dask array: ``like`` has its dtype and width.

        Values that are not finite are found when it is computed.
        """
        import dask

        wide = like.ndim == 2
        call = partial(_checked_call, function, self.features, self.name)
        return self.array.map_blocks(
            _called,
            call=dask.delayed(call, traverse=False),  # one copy for all partitions
            dtype=like.dtype,
            meta=like,
            chunks=(self.array.chunks[0], *((like.shape[1],) if wide else ())),
            drop_axis=None if wide else 1,
        )


class DaskRows:
    """A table of Dask's that the pass reads where its partitions are.

    Rows are counted and checked once, by the workers. With a client of Dask's distributed
    scheduler the partitions are persisted on the cluster as long as this lives; Dask computes
    those anew that a lost worker held. Without one they are computed anew at every reading.

    Parameters
    ----------
    x, name
        As for `LazyRows`.

    Raises
    ------
    ValueError
        As `LazyRows` does, and if there are no rows, a value is not finite, or another number of
        rows comes at a later reading.
    """

    def __init__(self, x: Any, name: str = "x") -> None:
        import dask

        lazy = LazyRows(x, name)
        self.header, self.features, self._name = lazy.header, lazy.features, name
        self._distributed = _runs_on_client(lazy.array)
        (self._array,) = (dask.persist if self._distributed else dask.optimize)(lazy.array)
        self._weights: tuple[Floats, Any] | None = None
        self._lengths: tuple[int, ...] = ()  # until all have been read once
        found = self._run(_inspected, (self.features,), self._array)
        for i, (_, problem) in enumerate(found):
            if problem:
                raise ValueError(f"{name}, partition {i}: {problem}")
        self._lengths = tuple(length for length, _ in found)
        self._array = self._of_known_lengths()
        if len(self) == 0:
            raise ValueError(f"{name}: expected at least one row, got empty partitions only")

    def _of_known_lengths(self) -> Any:
        from dask.array import Array

        old = self._array
        return Array(old.dask, old.name, (self._lengths, old.chunks[1]), meta=old)

    def __len__(self) -> int:
        return sum(self._lengths)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of features."""
        return len(self), len(self.features)

    def __iter__(self) -> Iterator[Floats]:
        """Partitions that have rows, one at a time, in the memory of the caller."""
        for i, length in enumerate(self._lengths):
            if length:
                yield self._run(_itself, (), self._array.blocks[i])[0]

    def map(
        self, function: Callable[..., Any], *arguments: Any, sample_weight: Floats | None = None
    ) -> list[Any]:
        """What ``function(rows, *arguments)`` returns for every partition, in their order.

        With weights (n,) it is called with a partition's own as last argument. Function and
        arguments must be such that Dask can send them to another process.
        """
        if sample_weight is None:
            return self._run(function, arguments, self._array)
        if self._weights is None or self._weights[0] is not sample_weight:
            self._weights = sample_weight, self._sent(sample_weight, self._lengths)
        return self._run(function, arguments, self._array, self._weights[1])

    def take(self, index: NDArray[np.intp]) -> Floats:
        """Rows of the given, ascending numbers; only partitions that hold one are read."""
        bounds = np.cumsum([0, *self._lengths])
        counts = np.diff(np.searchsorted(index, bounds))
        wanted = np.flatnonzero(counts)
        if not len(wanted):
            return np.empty((0, len(self.features)))
        inside = self._sent(index - np.repeat(bounds[:-1], counts), tuple(counts[wanted]))
        return np.concatenate(self._run(_rows_of, (), self._array.blocks[wanted], inside))

    def _sent(self, values: NDArray[Any], lengths: tuple[int, ...]) -> Any:
        """Numbers (n,) as a Dask array (n, 1) whose chunks go with the partitions."""
        from dask.array import from_array

        lazy = from_array(values[:, None], chunks=(lengths, (1,)))
        if not self._distributed:
            return lazy
        with warnings.catch_warnings():  # in the graph, so that no worker has the only copy
            warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
            return lazy.persist()

    def _run(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], array: Any, own: Any = None
    ) -> list[Any]:
        """Call a function on the partitions of an array, each with its ``own`` numbers if any."""
        import dask
        from dask.array import map_blocks

        lengths = array.chunks[0] if self._lengths else None
        call = dask.delayed(_Call(function, arguments, self._name, lengths), traverse=False)
        found = map_blocks(
            _boxed,
            *((array,) if own is None else (array, own)),
            call=call,
            dtype=object,
            meta=np.empty(0, object),
            chunks=((1,) * array.numblocks[0],),
            drop_axis=1,
        )
        return list(found.compute())


def total(column: Any) -> tuple[float, int]:
    """Sum and length of a Dask array (n,), whose n may be unknown."""
    parts = column.map_blocks(
        _sum_and_length,
        dtype=float,
        meta=np.empty((0, 2)),
        chunks=((1,) * column.numblocks[0], (2,)),
        new_axis=1,
    ).compute()
    return float(parts[:, 0].sum()), int(parts[:, 1].sum())


def _runs_on_client(x: Any) -> bool:
    """Whether Dask would compute x by a client of its distributed scheduler."""
    from dask.base import get_scheduler

    owner = getattr(get_scheduler(collections=[x]), "__self__", None)
    return type(owner).__module__.partition(".")[0] == "distributed"


# What follows runs where the rows are.


def _numbers(frame: Any, kind: type, name: str) -> NDArray[np.floating]:
    return numeric_frame(frame, name).astype(kind, copy=False)


class _Call(NamedTuple):
    """What is done with every partition of a table."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    name: str
    lengths: tuple[int, ...] | None

    def on(self, i: int, values: Floats, *own: Floats) -> Any:
        if self.lengths and len(values) != self.lengths[i]:  # else weights were read beyond
            raise ValueError(
                f"{self.name}: expected the same {self.lengths[i]} rows of a partition at every "
                f"reading, got {len(values)}; persist the collection, or make its source repeatable"
            )
        return self.function(values, *self.arguments, *(numbers[:, 0] for numbers in own))


def _boxed(values: Floats, *own: Floats, call: _Call, block_id: tuple[int, ...]) -> Any:
    """An array whose only item is what the call returns, of any type."""
    box = np.empty(1, object)
    box[0] = call.on(block_id[0], values, *own)
    return box


def _checked_call(
    function: Callable[[Floats], Any],
    features: tuple[str, ...],
    name: str,
    values: Floats,
    i: int,
) -> Any:
    require_finite(values, features, f"{name}, partition {i}")
    return function(values)


def _called(
    values: Floats, *, call: Callable[[Floats, int], Any], block_id: tuple[int, ...]
) -> Any:
    return call(values, block_id[0])


def _inspected(values: Floats, features: tuple[str, ...]) -> tuple[int, str]:
    """Length, and what is wrong with the first column that is not finite."""
    try:
        require_finite(values, features, "")
    except ValueError as error:
        return len(values), str(error).removeprefix(": ")
    return len(values), ""


def _itself(values: Floats) -> Floats:
    return values


def _rows_of(values: Floats, index: NDArray[np.intp]) -> Floats:
    return np.asarray(values[index], float, order="C")


def _sum_and_length(values: Floats) -> Floats:
    return np.array([[values.sum(), len(values)]])
