"""Moments of all rows, by one component's pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.covariance import STRUCTURES, Structure
from bayesmix.dask_rows import DaskRows
from bayesmix.pass_parameters import PassParameters
from bayesmix.passes import statistics
from bayesmix.rows import Rows, pieces

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Moments", "moments"]

_FAR_ORIGIN = 1e6
"""Squared distance of the mean from the origin, in variances, that costs digits likewise."""


@dataclass(frozen=True)
class Moments:
    """Moments of all rows."""

    total: float
    """Number of rows, or their total weight."""
    origin: Floats
    """A point amid the rows, (D,)."""
    shift: Floats
    """Mean less origin, (D,): a mean far from zero is not rounded."""
    covariance: Floats
    """Shape (D, D), divisor `total`."""

    def scatter_about(self, center: Floats) -> Floats:
        """Sum of outer products of the rows less ``center`` (..., D), (..., D, D)."""
        shift = (self.origin - center) + self.shift
        return self.total * (self.covariance + shift[..., :, None] * shift[..., None, :])


def moments(
    x: Rows, sample_weight: Floats | None = None, structure: Structure | None = None
) -> Moments:
    """Total weight, mean and covariance of the rows.

    With a structure, by its kernel, so that no other need be compiled: for diag and spherical the
    covariance is that of uncorrelated features.
    """
    kernel = STRUCTURES["tied"] if structure is None else structure
    if not kernel.correlated:
        kernel = STRUCTURES["diag"]
    found = _moments_about(_amid(x, sample_weight), x, sample_weight, kernel)
    far = np.square(found.shift) > _FAR_ORIGIN * np.diag(found.covariance)
    if not far.any():
        return found
    return _moments_about(found.origin + found.shift, x, sample_weight, kernel)


def _moments_about(
    origin: Floats, x: Rows, sample_weight: Floats | None, structure: Structure
) -> Moments:
    d = len(origin)
    unit = structure.average(np.eye(d), 1)
    found = statistics(x, PassParameters(structure, np.zeros(1), origin[None], unit), sample_weight)
    total, shift = float(found.sizes[0]), found.first[0] / found.sizes[0]
    outer = structure.dense(structure.outer(shift[None], np.ones(1)), 1, d)[0]
    covariance = structure.dense(found.second, 1, d)[0] / total - outer
    return Moments(total, origin, shift, covariance)


def _amid(x: Rows, sample_weight: Floats | None) -> Floats:
    """Mean of the first rows that have weight, (D,)."""
    if isinstance(x, DaskRows):  # some rows are enough, without their partition
        found = np.arange(len(x)) if sample_weight is None else np.flatnonzero(sample_weight)
        return x.take(found[:1024]).mean(axis=0)
    for values, weight, _ in pieces(x, sample_weight):
        some = slice(1024) if weight is None else np.flatnonzero(weight)[:1024]
        first = np.ascontiguousarray(values[some])  # a mean depends on memory order
        if len(first):
            return first.mean(axis=0, dtype=float)
    raise ValueError("sample_weight: expected at least one weight above 0, got only zeros")
