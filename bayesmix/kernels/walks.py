"""The compiled walks over consecutive rows."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

from bayesmix.kernels.blocks import (
    aligned,
    choose_labels,
    compiled,
    largest,
    load_weights,
    log_density,
    normalize,
    responsibilities,
)
from bayesmix.kernels.caching import cached
from bayesmix.kernels.frames import Place, Sums, copy, scratch_of
from bayesmix.kernels.philox import Stream, uniforms
from bayesmix.kernels.structures import add_moments, fill, finish, load, mark_near, prepare, take

__all__ = ["Output", "rows", "statistics", "totals"]


class Output(IntEnum):
    """What `rows` finds at every point, for every row but for the first."""

    LOG_LIKELIHOOD = 0
    LOG_DENSITY = 1
    RESPONSIBILITIES = 2
    LABEL = 3
    SAMPLED_LABEL = 4


@compiled
def _labels(found: Any, start: int, count: int, labels: Any) -> None:
    for r in range(count):
        labels[start + r] = int(found[r])


@compiled
def _densities(found: Any, start: int, count: int, values: Any) -> None:
    for r in range(count):
        values[start + r, 0] = found[r]


@compiled
def _probabilities(scratch: Any, start: int, count: int, values: Any) -> None:
    for r in range(count):
        for k in range(values.shape[1]):
            values[start + r, k] = scratch.joint[k * scratch.size + r]


def _make_statistics(fingerprint: str) -> Callable:
    def statistics(point: Any, source: Any, start: int, stop: int, size: int, sums: Any) -> float:
        fingerprint  # noqa: B018 - what a function captures is part of its key in the cache
        frame = prepare(point)
        k, d = point.means.shape
        scratch = scratch_of(k, d, size)
        log_likelihood = 0.0
        for first in range(start, stop, size):
            place = Place(source, first, min(size, stop - first))
            fill(point, frame, place, scratch)
            load_weights(source, first, place.length, scratch.per_row)
            log_likelihood += normalize(scratch.joint, scratch.common, scratch.per_row, k, size)
            add_moments(point, frame, place, scratch, sums)
        finish(point, frame, sums)
        return log_likelihood

    return statistics


def _make_totals(fingerprint: str) -> Callable:
    def totals(
        points: Any,
        centers: Any,
        trusted: Any,
        point: Any,
        source: Any,
        start: int,
        stop: int,
        size: int,
        sums: Any,
    ) -> None:
        fingerprint  # noqa: B018
        for s in range(len(points.log_weights)):
            load(points, s, point)
            copy(centers[s], point.center)
            mark_near(point)
            for k in range(len(point.near)):
                point.near[k] = point.near[k] and trusted[s, k]
                sums.near[s, k] = point.near[k]
            own = Sums(sums.sizes[s], sums.first[s], sums.second[s])
            sums.log_likelihood[s] = statistics(point, source, start, stop, size, own)

    return totals


@compiled
def _rows_at(
    point: Any,
    source: Any,
    start: int,
    stop: int,
    scratch: Any,
    output: int,
    stream: Any,
    values: Any,
    labels: Any,
) -> None:
    """What `rows` does at one point."""
    frame, k, size = prepare(point), len(point.means), scratch.size
    found, uniform = aligned(size), scratch.per_row
    for first in range(start, stop, size):
        at, count = stream.first_row + first, min(size, stop - first)
        fill(point, frame, Place(source, first, count), scratch)
        if output == Output.LOG_LIKELIHOOD:
            log_density(scratch.joint, scratch.common, k, size, found)
            for r in range(count):
                values[0, 0] += found[r]
        elif output == Output.LOG_DENSITY:
            log_density(scratch.joint, scratch.common, k, size, found)
            _densities(found, at, count, values)
        elif output == Output.LABEL:
            largest(scratch.joint, k, size, found)
            _labels(found, at, count, labels)
        elif output == Output.RESPONSIBILITIES:
            responsibilities(scratch.joint, k, size)
            _probabilities(scratch, at, count, values)
        else:
            uniforms(stream, first, count, uniform)
            own = labels[at : at + count]
            choose_labels(scratch.joint, scratch.common, k, size, uniform, own)


def _make_rows(fingerprint: str) -> Callable:
    def rows(
        points: Any,
        point: Any,
        source: Any,
        start: int,
        stop: int,
        size: int,
        output: int,
        keys: Any,
        origin: int,
        values: Any,
        labels: Any,
    ) -> None:
        fingerprint  # noqa: B018
        k, d = point.means.shape
        scratch = scratch_of(k, d, size)
        for s in range(len(points.log_weights)):
            take(points, s, point)
            stream = Stream(keys[s, 0], keys[s, 1], origin)
            _rows_at(point, source, start, stop, scratch, output, stream, values[s], labels[s])

    return rows


statistics = cached(_make_statistics)
"""``statistics(point, source, start, stop, size, sums)`` adds the moments of rows start to stop
about the point's means to zeroed ``sums``, block by block of ``size`` rows, and returns their
log-likelihood."""
totals = cached(_make_totals)
"""``totals(points, centers, trusted, point, source, start, stop, size, sums)`` finds the same at
every one of `Points`, with the memory of ``point``, about ``centers`` (S, D) where components are
near and ``trusted`` (S, K), and writes it to zeroed `Totals`."""
rows = cached(_make_rows)
"""``rows(points, point, source, start, stop, size, output, keys, origin, values, labels)`` writes
what `Output` says of the source's rows start to stop at every one of `Points`, with the memory of
``point``. Row i of the source is row ``origin + i`` of ``values`` (S, n, 1 or K) or ``labels``
(S, n), and in the random numbers of ``keys`` (S, 2). Log-likelihoods are added to ``values``
(S, 1, 1)."""
