r"""The pass: the only place where data are touched.

For parameters (log weights, means :math:`m_k`, Cholesky factors of the precisions) one walk over
the rows gives the log-likelihood and the statistics

.. math::

    S_{0k} = \sum_i r_{ik}, \qquad S_{1k} = \sum_i r_{ik} (x_i - m_k), \qquad
    S_{2k} = \sum_i r_{ik} (x_i - m_k)(x_i - m_k)^\top,

with :math:`S_2` in the shape of the covariance structure. They are EM's M-step, and by Fisher's
identity the gradient of the log-likelihood. `log_likelihood`, `log_density`, `responsibilities`,
`labels` and `sampled_labels` are the first half of the same walk.

Rows are an array of float64 or float32 in any memory order, a memory map among them,
`rows.Chunks`, or `dask_rows.DaskRows`, whose statistics are summed where the rows are. They are
cut into parts that depend on their number alone, threads take parts as they come free, and the
parts' statistics are added in their order: results are the same to the last bit for any number of
threads. Memory beyond the output does not grow with the rows.

All but `statistics` take the points of many draws at once: a task is a part of the rows and some of
the draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmix import kernels
from bayesmix.compiling import compile_once
from bayesmix.covariance import Structure
from bayesmix.dask_rows import DaskRows
from bayesmix.kernels import Output
from bayesmix.pass_parameters import PassParameters
from bayesmix.rows import Rows, pieces
from bayesmix.threads import run_tasks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.moments import Moments

    Floats = NDArray[np.float64]

__all__ = [
    "Statistics",
    "labels",
    "log_density",
    "log_likelihood",
    "parts_of",
    "responsibilities",
    "sampled_labels",
    "source_of",
    "statistics",
]

_PART_BLOCKS = 16  # blocks of the smallest part worth a thread
_MOST_PARTS = 64
_PARTS_BYTES = 1 << 25  # of all parts' statistics together
_MOST_TASKS = 64  # that the draws of one part are dealt to
_TASK_ROWS = 5_000  # times draws: fewer are not worth a thread


@dataclass(frozen=True)
class Statistics:
    """What one pass returns."""

    log_likelihood: float
    sizes: Floats
    """S0, shape (K,)."""
    first: Floats
    """S1 about the means that the pass was given, shape (K, D)."""
    second: Floats
    """S2 about the same means, in the structure's shape."""


def statistics(
    x: Rows,
    parameters: PassParameters,
    sample_weight: Floats | None = None,
    *,
    known: Moments | None = None,
    threads: int | None = None,
) -> Statistics:
    """Log-likelihood and responsibility-weighted moments.

    Parameters
    ----------
    x : (n, D) ndarray, Chunks or DaskRows
    parameters : PassParameters
    sample_weight : (n,) ndarray, optional
        Row weights; a weight of 2 is the row twice.
    known : Moments, optional
        Of the same rows and weights; spares tied covariances some work.
    threads : int, optional
        By default all processors that the process may use. The result does not depend on it.
    """
    found = _statistics(x, parameters, parameters.near, sample_weight, known, threads)
    near = parameters.still_near(found)
    if np.array_equal(near, parameters.near):
        return found
    return _statistics(x, parameters, near, sample_weight, known, threads)


def _statistics(
    x: Rows,
    parameters: PassParameters,
    near: NDArray[np.bool_],
    sample_weight: Floats | None,
    known: Moments | None,
    threads: int | None,
) -> Statistics:
    """One walk, components that are ``near`` about the shared center."""
    spared = known is not None and parameters.structure.name == "tied" and bool(near.all())
    log_likelihood, sums = _summed(x, parameters, near, spared, threads, sample_weight)
    second = sums.second.reshape(parameters.precision_cholesky.shape)
    if known is not None and spared:
        second = second + known.scatter_about(parameters.center)
    return Statistics(log_likelihood, sums.sizes, sums.first, second)


def _summed(
    x: Rows,
    parameters: PassParameters,
    near: NDArray[np.bool_],
    scatter_known: bool,
    threads: int | None,
    sample_weight: Floats | None = None,
) -> tuple[float, kernels.Sums]:
    """Log-likelihood and moments, added in the order of the rows."""
    parts: Iterable[tuple[float, kernels.Sums]]
    if isinstance(x, DaskRows):  # each partition on one thread: Dask's workers are the pool
        parts = x.map(_summed, parameters, near, scatter_known, 1, sample_weight=sample_weight)
    else:
        point = parameters.compiled_point(near, scatter_known=scatter_known)
        pieces = _sources(x, sample_weight)
        walks = (_partial_sums(piece, parameters, point, threads) for piece in pieces)
        parts = chain.from_iterable(walks)
    log_likelihood, sums = 0.0, _zero_sums(parameters)
    for found, own in parts:
        log_likelihood += found
        for whole, part in zip(sums, own, strict=True):
            whole += part
    return log_likelihood, sums


def log_likelihood(x: Rows, parameters: PassParameters, *, threads: int | None = None) -> Floats:
    """Log density of all rows together at every point, (...)."""
    found = np.zeros((parameters.n_draws, 1, 1))
    _walk_rows(x, parameters, Output.LOG_LIKELIHOOD, threads, values=found)
    return found.reshape(parameters.draws_shape)


def log_density(x: Rows, parameters: PassParameters, *, threads: int | None = None) -> Floats:
    """Log density of every row under the mixture, (..., n)."""
    out = np.empty((parameters.n_draws, x.shape[0], 1))
    _walk_rows(x, parameters, Output.LOG_DENSITY, threads, values=out)
    return out.reshape(*parameters.draws_shape, x.shape[0])


def responsibilities(x: Rows, parameters: PassParameters, *, threads: int | None = None) -> Floats:
    """Probability of each component for every row, (..., n, K)."""
    out = np.empty((parameters.n_draws, x.shape[0], parameters.means.shape[-2]))
    _walk_rows(x, parameters, Output.RESPONSIBILITIES, threads, values=out)
    return out.reshape(*parameters.draws_shape, *out.shape[1:])


def labels(x: Rows, parameters: PassParameters, *, threads: int | None = None) -> NDArray[np.int64]:
    """Most probable component of every row, the first of equal ones, (..., n)."""
    out = np.empty((parameters.n_draws, x.shape[0]), np.int64)
    _walk_rows(x, parameters, Output.LABEL, threads, labels=out)
    return out.reshape(*parameters.draws_shape, x.shape[0])


def sampled_labels(
    x: Rows,
    parameters: PassParameters,
    key: NDArray[np.uint64],
    *,
    threads: int | None = None,
) -> NDArray[np.int64]:
    """Draw a component for every row from its responsibilities, (..., n).

    Row i is drawn by inversion with number i of the counter-based generator
    ``numpy.random.Generator(numpy.random.Philox(key=key))``, so draws depend on the key and the
    row alone. A key is two uint64, new for every draw of labels: (..., 2).
    """
    out, keys = np.empty((parameters.n_draws, x.shape[0]), np.int64), key.reshape(-1, 2)
    _walk_rows(x, parameters, Output.SAMPLED_LABEL, threads, labels=out, keys=keys)
    return out.reshape(*parameters.draws_shape, x.shape[0])


class _Piece(NamedTuple):
    """Rows in memory, as a kernel takes them."""

    values: NDArray[np.floating]
    weight: Floats | None
    start: int
    """Of its first row among all rows."""
    source: kernels.Source
    """Addresses of ``values`` and ``weight``, valid as long as these live."""


def _sources(x: Rows, sample_weight: Floats | None = None) -> Iterator[_Piece]:
    if sample_weight is not None:
        sample_weight = np.ascontiguousarray(sample_weight, float)
    for values, weight, start in pieces(x, sample_weight):
        yield _Piece(values, weight, start, source_of(values, weight))


def source_of(values: NDArray[np.floating], weight: Floats | None = None) -> kernels.Source:
    """Where rows and their weights lie, as long as both live."""
    row_stride, column_stride = values.strides
    return kernels.Source(
        address=values.ctypes.data,
        row_stride=row_stride,
        column_stride=column_stride,
        single=values.dtype == np.float32,
        n_features=values.shape[1],
        weight_address=0 if weight is None else weight.ctypes.data,
    )


def parts_of(n: int, shape: tuple[int, int], bytes_each: int = 1) -> list[int]:
    """Bounds of the parts of n rows for means of ``shape``: never a matter of threads."""
    block = kernels.block_size(*shape)
    most = min(_MOST_PARTS, max(2, _PARTS_BYTES // bytes_each))
    blocks = max(_PART_BLOCKS, -(-n // (block * most)))
    return [*range(0, n, block * blocks), n]


def _zero_sums(parameters: PassParameters) -> kernels.Sums:
    k, d = parameters.means.shape
    return kernels.Sums(np.zeros(k), np.zeros((k, d)), np.zeros(parameters.second_shape))


def _partial_sums(
    piece: _Piece, parameters: PassParameters, point: Any, threads: int | None
) -> list[tuple[float, kernels.Sums]]:
    """Log-likelihood and moments of every part."""
    size = kernels.block_size(*parameters.means.shape)

    def add(start: int, stop: int) -> tuple[float, kernels.Sums]:
        sums = _zero_sums(parameters)
        return kernels.statistics(point, piece.source, start, stop, size, sums), sums

    bytes_each = 8 * int(np.prod(parameters.second_shape))
    parts = pairwise(parts_of(len(piece.values), parameters.means.shape, bytes_each))
    return _run("statistics", parameters.structure, add, [*parts], (0, 0), threads)


def _walk_rows(
    x: Rows,
    parameters: PassParameters,
    output: Output,
    threads: int | None,
    *,
    values: Floats | None = None,
    labels: NDArray[np.int64] | None = None,
    keys: NDArray[np.uint64] | None = None,
) -> None:
    """Write what `Output` says at every point to ``values`` (S, n, ...) or ``labels`` (S, n).

    Log-likelihoods are added to ``values`` (S, 1, 1).
    """
    points, shape = parameters.compiled_points(), parameters.means.shape[-2:]
    n_points = parameters.n_draws
    values = np.empty((n_points, 0, 1)) if values is None else values
    labels = np.empty((n_points, 0), np.int64) if labels is None else labels
    keys = np.zeros((n_points, 2), np.uint64) if keys is None else np.array(keys, order="C")
    summed, block = output == Output.LOG_LIKELIHOOD, kernels.block_size(*shape)
    for piece in _sources(x):

        def walk(draws: slice, start: int, stop: int, piece: _Piece = piece) -> Floats:
            own = np.zeros_like(values[draws]) if summed else values[draws]
            kernels.rows(
                kernels.Points(*(a[draws] for a in points)),
                parameters.point_memory(),
                piece.source,
                start,
                stop,
                block,
                int(output),
                keys[draws],
                piece.start,
                own,
                labels[draws],
            )
            return own

        tasks = _tasks(n_points, parts_of(len(piece.values), shape))
        nothing = slice(0, 0), 0, 0
        found = _run("rows", parameters.structure, walk, tasks, nothing, threads)
        if summed:
            for (draws, _, _), own in zip(tasks, found, strict=True):
                values[draws] += own


def _tasks(n_points: int, bounds: list[int]) -> list[tuple[slice, int, int]]:
    """Points and rows of every task, rows outermost."""
    rows = max(1, bounds[-1] // max(1, len(bounds) - 1))
    size = max(-(-n_points // _MOST_TASKS), -(-_TASK_ROWS // rows))
    draws = [slice(first, first + size) for first in range(0, n_points, size)]
    return [(own, start, stop) for start, stop in pairwise(bounds) for own in draws]


def _run(
    kernel: str,
    structure: Structure,
    walk: Callable[..., Any],
    tasks: Sequence[tuple[Any, ...]],
    nothing: tuple[Any, ...],
    threads: int | None,
) -> list[Any]:
    """Compile a kernel by a task of ``nothing``, then return what ``walk`` makes of the tasks."""
    found: list[Any] = [None] * len(tasks)

    def task(i: int) -> None:
        found[i] = walk(*tasks[i])

    words = f"the pass for {structure.name} covariances"
    compile_once((kernel, structure.name), words, lambda: walk(*nothing))
    run_tasks(task, len(found), threads)
    return found
