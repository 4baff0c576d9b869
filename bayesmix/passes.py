r"""The pass: the only place where data are touched.

For parameters (log weights, means :math:`m_k`, Cholesky factors of the precisions) one walk over
the rows gives the log-likelihood and the statistics

.. math::

    S_{0k} = \sum_i r_{ik}, \qquad S_{1k} = \sum_i r_{ik} (x_i - m_k), \qquad
    S_{2k} = \sum_i r_{ik} (x_i - m_k)(x_i - m_k)^\top,

with :math:`S_2` in the shape of the covariance structure. They are EM's M-step, and by Fisher's
identity the gradient of the log-likelihood. `log_density`, `responsibilities`, `labels` and
`sampled_labels` are the first half of the same walk.

Rows are an array of float64 or float32 in any memory order, a memory map among them, or
`rows.Chunks`. They are cut into parts that depend on their number alone, threads take parts as
they come free, and the parts' statistics are added in their order: results are the same to the
last bit for any number of threads. Memory beyond the output does not grow with the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmix import kernels
from bayesmix.compiling import compile_once
from bayesmix.covariance import Structure
from bayesmix.kernels import Output
from bayesmix.rows import Rows, pieces
from bayesmix.threads import run_tasks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.moments import Moments

    Floats = NDArray[np.float64]

__all__ = [
    "PassParameters",
    "Statistics",
    "labels",
    "log_density",
    "parts_of",
    "responsibilities",
    "sampled_labels",
    "source_of",
    "statistics",
]

_PART_BLOCKS = 16  # blocks of the smallest part worth a thread
_MOST_PARTS = 64
_PARTS_BYTES = 1 << 25  # of all parts' statistics together


@dataclass(frozen=True)
class PassParameters:
    """One point as the pass wants it."""

    structure: Structure
    log_weights: Floats
    """Shape (K,); minus infinity for an empty component."""
    means: Floats
    """Shape (K, D)."""
    precision_cholesky: Floats
    """In the structure's shape."""

    @classmethod
    def from_point(
        cls, structure: Structure, weights: Floats, means: Floats, covariances: Floats
    ) -> PassParameters:
        """Build from weights, means and covariances in the structure's shape."""
        with np.errstate(divide="ignore"):
            log_weights = np.log(weights)
        return cls(structure, log_weights, means, structure.precision_cholesky(covariances))

    @cached_property
    def center(self) -> Floats:
        """Mean of the mixture: what rows are centered at."""
        return np.exp(self.log_weights) @ self.means

    @cached_property
    def near(self) -> NDArray[np.bool_]:
        """Whether rows about `center` serve a component, (K,); tied: all or none."""
        shift, structure = self.means - self.center, self.structure
        factor = self.precision_cholesky
        lengths = [
            np.square(structure.whiten(shift[k : k + 1], factor, k)).sum()
            for k in range(len(shift))
        ]
        return self._together(np.array(lengths) <= kernels.NEAR**2)

    def still_near(self, found: Statistics) -> NDArray[np.bool_]:
        """Which components are `near` by the spread of their rows, too, (K,)."""
        dense = self.structure.dense(found.second, *self.means.shape)
        spread = np.diagonal(dense, axis1=-2, axis2=-1)
        moved = found.sizes[:, None] * np.square(self.means - self.center)
        return self._together(self.near & ~np.any(spread < kernels.NARROW_ROWS * moved, axis=1))

    def _together(self, near: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.repeat(near.all(), len(near)) if self.structure.name == "tied" else near

    def compiled_point(
        self, near: NDArray[np.bool_] | None = None, *, scatter_known: bool = False
    ) -> Any:
        """The point in the type of its kernel."""
        near = self.near if near is None else near
        factor = self.precision_cholesky
        if not self.structure.correlated:
            k, d = self.means.shape
            factor = np.broadcast_to(factor.reshape(k, -1), (k, d))
        given = (self.log_weights, self.means, factor, self.center)
        # copies: one memory order and writable, so one compiled kernel
        weights, means, factor, center = (np.array(a, float, order="C") for a in given)
        near = np.array(near)
        match self.structure.name:
            case "full":
                return kernels.FullPoint(weights, means, factor, center, near)
            case "tied":
                return kernels.TiedPoint(weights, means, factor, center, near, scatter_known)
            case _:
                return kernels.VariancesPoint(weights, means, factor, center, near)

    @property
    def second_shape(self) -> tuple[int, ...]:
        """Shape of the second moments inside the kernel."""
        k, d = self.means.shape
        shapes = {"full": (k, d, d), "tied": (1, d, d), "diag": (k, d), "spherical": (k, 1)}
        return shapes[self.structure.name]


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
    x : (n, D) ndarray or Chunks
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
    point = parameters.compiled_point(near, scatter_known=spared)
    log_likelihood, sums = 0.0, _zero_sums(parameters)
    for piece in _sources(x, sample_weight):
        for found, own in _partial_sums(piece, parameters, point, threads):
            log_likelihood += found
            for whole, part in zip(sums, own, strict=True):
                whole += part
    second = sums.second.reshape(parameters.precision_cholesky.shape)
    if known is not None and spared:
        second = second + known.scatter_about(parameters.center)
    return Statistics(log_likelihood, sums.sizes, sums.first, second)


def log_density(x: Rows, parameters: PassParameters, *, threads: int | None = None) -> Floats:
    """Log density of every row under the mixture, (n,)."""
    out = np.empty((x.shape[0], 1))
    _walk_rows(x, parameters, Output.LOG_DENSITY, threads, values=out)
    return out[:, 0]


def responsibilities(x: Rows, parameters: PassParameters, *, threads: int | None = None) -> Floats:
    """Probability of each component for every row, (n, K)."""
    out = np.empty((x.shape[0], len(parameters.means)))
    _walk_rows(x, parameters, Output.RESPONSIBILITIES, threads, values=out)
    return out


def labels(x: Rows, parameters: PassParameters, *, threads: int | None = None) -> NDArray[np.int64]:
    """Most probable component of every row, the first of equal ones, (n,)."""
    out = np.empty(x.shape[0], np.int64)
    _walk_rows(x, parameters, Output.LABEL, threads, labels=out)
    return out


def sampled_labels(
    x: Rows,
    parameters: PassParameters,
    key: NDArray[np.uint64],
    *,
    threads: int | None = None,
) -> NDArray[np.int64]:
    """Draw a component for every row from its responsibilities, (n,).

    Row i is drawn by inversion with number i of the counter-based generator
    ``numpy.random.Generator(numpy.random.Philox(key=key))``, so draws depend on the key and the
    row alone. A key is two uint64, new for every draw of labels.
    """
    out = np.empty(x.shape[0], np.int64)
    _walk_rows(x, parameters, Output.SAMPLED_LABEL, threads, labels=out, key=key)
    return out


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

    n, bytes_each = len(piece.values), 8 * int(np.prod(parameters.second_shape))
    return _over_parts("statistics", parameters, n, add, threads, bytes_each)


def _over_parts(
    kernel: str,
    parameters: PassParameters,
    n: int,
    walk: Callable[[int, int], Any],
    threads: int | None,
    bytes_each: int = 1,
) -> list[Any]:
    """Compile a kernel, then return what it makes of every part of n rows, in their order."""
    bounds = parts_of(n, parameters.means.shape, bytes_each)
    found: list[Any] = [None] * (len(bounds) - 1)

    def task(i: int) -> None:
        found[i] = walk(bounds[i], bounds[i + 1])

    structure = parameters.structure.name
    words = f"the pass for {structure} covariances"
    compile_once((kernel, structure), words, lambda: walk(0, 0))
    run_tasks(task, len(found), threads)
    return found


def _walk_rows(
    x: Rows,
    parameters: PassParameters,
    output: Output,
    threads: int | None,
    *,
    values: Floats | None = None,
    labels: NDArray[np.int64] | None = None,
    key: NDArray[np.uint64] | None = None,
) -> None:
    """Write what `Output` says of every row to ``values`` or ``labels``."""
    values = np.empty((0, 1)) if values is None else values
    labels = np.empty(0, np.int64) if labels is None else labels
    key0, key1 = np.zeros(2, np.uint64) if key is None else key
    point = parameters.compiled_point()
    for piece in _sources(x):
        stop = piece.start + len(piece.values)
        stream = kernels.Stream(key0, key1, piece.start)
        out = values[piece.start : stop], labels[piece.start : stop]
        _walk_piece(piece, parameters, point, threads, int(output), stream, *out)


def _walk_piece(
    piece: _Piece, parameters: PassParameters, point: Any, threads: int | None, *output: Any
) -> None:
    size = kernels.block_size(*parameters.means.shape)

    def walk(start: int, stop: int) -> None:
        kernels.rows(point, piece.source, start, stop, size, *output)

    _over_parts("rows", parameters, len(piece.values), walk, threads)
