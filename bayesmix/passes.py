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

All take the points of many draws, or of many starts, at once: a task is a part of the rows and some
of the points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
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
    "log_certainty",
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
_PARTS_BYTES = 1 << 25  # of all parts' statistics at one point
_SUMS_BYTES = 1 << 28  # of all parts' statistics together
_MOST_TASKS = 64  # that the draws of one part are dealt to
_TASK_ROWS = 5_000  # times draws: fewer are not worth a thread


@dataclass(frozen=True)
class Statistics:
    """What one pass returns; a stack of points has its axes in front."""

    log_likelihood: Any
    """Of all rows, (...): a float at one point."""
    sizes: Floats
    """S0, (..., K)."""
    first: Floats
    """S1 about the point's means, (..., K, D)."""
    second: Floats
    """S2 about the same means, in the structure's shape."""

    def __getitem__(self, points: Any) -> Statistics:
        """Those at some of many points."""
        given = self.log_likelihood, self.sizes, self.first, self.second
        return Statistics(*(a[points] for a in given))


def statistics(
    x: Rows,
    parameters: PassParameters,
    sample_weight: Floats | None = None,
    *,
    known: Moments | None = None,
    threads: int | None = None,
) -> Statistics:
    """Log-likelihood and responsibility-weighted moments at every point.

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
    points = parameters.stacked
    found, near = _statistics(x, points, None, sample_weight, known, threads)
    still = points.still_near(near, found)
    again = np.flatnonzero(np.any(still != near, axis=1))
    if len(again):
        better, _ = _statistics(x, points[again], still[again], sample_weight, known, threads)
        for name, part in vars(better).items():
            getattr(found, name)[again] = part
    if not parameters.draws_shape:
        return replace(found[0], log_likelihood=float(found.log_likelihood[0]))
    axes = parameters.draws_shape
    return Statistics(*(a.reshape(*axes, *a.shape[1:]) for a in vars(found).values()))


def _statistics(
    x: Rows,
    points: PassParameters,
    trusted: NDArray[np.bool_] | None,
    sample_weight: Floats | None,
    known: Moments | None,
    threads: int | None,
) -> tuple[Statistics, NDArray[np.bool_]]:
    """Walk over the rows; and say which components (S, K) were near, of those ``trusted``."""
    spared = known is not None and points.structure.name == "tied"
    trusted = np.ones(points.log_weights.shape, np.bool_) if trusted is None else trusted
    sums = _zero_sums(points)
    most = max(1, _SUMS_BYTES // (_MOST_PARTS * sums.second[0].nbytes))
    for first in range(0, len(trusted), most):
        some = slice(first, first + most)
        part = _summed(x, points[some], trusted[some], spared, threads, sample_weight=sample_weight)
        for whole, piece in zip(sums, part, strict=True):
            whole[some] = piece
    second = sums.second.reshape(points.precision_cholesky.shape)
    if known is not None and spared:
        near = sums.near.all(axis=1)
        second[near] += known.scatter_about(points.center[near])
    return Statistics(sums.log_likelihood, sums.sizes, sums.first, second), sums.near


def _summed(
    x: Rows,
    points: PassParameters,
    trusted: NDArray[np.bool_],
    scatter_known: bool,
    threads: int | None,
    sample_weight: Floats | None = None,
) -> kernels.Totals:
    """Log-likelihoods and moments of all rows, those of parts added in their order."""
    sums = _zero_sums(points)
    if isinstance(x, DaskRows):  # each partition on one thread: Dask's workers are the pool
        given = points, trusted, scatter_known, 1
        for part in x.map(_summed, *given, sample_weight=sample_weight):
            _add(sums, part)
        return sums
    for piece in _sources(x, sample_weight):
        _add_piece(sums, piece, points, trusted, scatter_known, threads)
    return sums


def _add(sums: kernels.Totals, part: kernels.Totals, draws: slice = slice(None)) -> None:
    for whole, own in zip(sums, part, strict=True):
        whole[draws] += own


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


def log_certainty(x: Rows, parameters: PassParameters, *, threads: int | None = None) -> Floats:
    """Log probability of the most probable component of every row, (..., n)."""
    return np.log(responsibilities(x, parameters, threads=threads).max(axis=-1))


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


def _zero_sums(points: PassParameters) -> kernels.Totals:
    s, k, d = points.means.shape
    second = np.zeros((s, *points.second_shape))
    near = np.zeros((s, k), np.bool_)
    return kernels.Totals(near, np.zeros(s), np.zeros((s, k)), np.zeros((s, k, d)), second)


def _add_piece(
    sums: kernels.Totals,
    piece: _Piece,
    points: PassParameters,
    trusted: NDArray[np.bool_],
    scatter_known: bool,
    threads: int | None,
) -> None:
    """Add what the rows of a piece give."""
    shape = points.means.shape[1:]
    block, bytes_each = kernels.block_size(*shape), 8 * math.prod(points.second_shape)
    given, centers = points.compiled_points(), np.ascontiguousarray(points.center)
    zeros = kernels.Totals(*(np.zeros_like(a[:1]) for a in sums))

    def add(draws: slice, start: int, stop: int) -> kernels.Totals:
        count = len(trusted[draws])
        own = kernels.Totals(*(np.repeat(a, count, axis=0) for a in zeros))
        kernels.totals(
            kernels.Points(*(a[draws] for a in given)),
            centers[draws],
            trusted[draws],
            points.point_memory(scatter_known=scatter_known),
            piece.source,
            start,
            stop,
            block,
            own,
        )
        return own

    tasks = _tasks(len(trusted), parts_of(len(piece.values), shape, bytes_each))
    nothing = slice(0, 0), 0, 0
    found = _run("sums over rows", points.structure, add, tasks, nothing, threads)
    for (draws, _, _), own in zip(tasks, found, strict=True):
        _add(sums, own, draws)


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
        found = _run("densities of rows", parameters.structure, walk, tasks, nothing, threads)
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

    words = f"the pass that finds {kernel}, with {structure.name} covariances"
    compile_once((kernel, structure.name), words, lambda: walk(*nothing))
    run_tasks(task, len(found), threads)
    return found
