"""The compiled walks over consecutive rows, and where they are cached."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import Any

from numba import njit

from bayesmix.kernels.blocks import (
    aligned,
    compiled,
    drawn,
    largest,
    load_block,
    load_weights,
    log_density,
    normalize,
    responsibilities,
)
from bayesmix.kernels.frames import Place, Scratch
from bayesmix.kernels.philox import uniforms
from bayesmix.kernels.structures import add_joint, add_moments, finish, prepare

__all__ = ["Output", "rows", "statistics"]


class Output(IntEnum):
    """What `rows` finds for every row."""

    LOG_DENSITY = 0
    RESPONSIBILITIES = 1
    LABEL = 2
    SAMPLED_LABEL = 3


@compiled
def _scratch(n_components: int, n_features: int, size: int) -> Any:
    width = n_features * size
    joint, common, per_row = aligned(n_components * size), aligned(size), aligned(size)
    common[:] = 0.0
    return Scratch(aligned(width), aligned(width), aligned(width), joint, common, per_row, size)


@compiled
def _fill(point: Any, frame: Any, place: Any, scratch: Any) -> None:
    """Load a block and compute its log joint densities."""
    source, start, length = place
    load_block(source, start, length, point.center, scratch.block, scratch.size)
    add_joint(point, frame, place, scratch)


@compiled
def _labels(found: Any, start: int, count: int, labels: Any) -> None:
    for r in range(count):
        labels[start + r] = int(found[r])


@compiled
def _probabilities(scratch: Any, start: int, count: int, values: Any) -> None:
    for r in range(count):
        for k in range(values.shape[1]):
            values[start + r, k] = scratch.joint[k * scratch.size + r]


def _fingerprint() -> str:
    """Digest of all sources that a kernel is made of; numba looks at one file only."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _cached(make: Callable[[str], Callable]) -> Any:
    function = make(_fingerprint())
    try:
        kernel = njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:  # nowhere to write a cache: compile anew in every process
        return njit(nogil=True, error_model="numpy")(function)
    save = kernel._cache.save_overload

    def save_if_possible(*args: Any) -> None:
        with suppress(OSError):  # a full disk, or a folder that has gone
            save(*args)

    kernel._cache.save_overload = save_if_possible
    return kernel


def _make_statistics(fingerprint: str) -> Callable:
    def statistics(point: Any, source: Any, start: int, stop: int, size: int, sums: Any) -> float:
        fingerprint  # noqa: B018 - what a function captures is part of its key in the cache
        frame = prepare(point)
        k, d = point.means.shape
        scratch = _scratch(k, d, size)
        log_likelihood = 0.0
        for first in range(start, stop, size):
            place = Place(source, first, min(size, stop - first))
            _fill(point, frame, place, scratch)
            load_weights(source, first, place.length, scratch.per_row)
            log_likelihood += normalize(scratch.joint, scratch.common, scratch.per_row, k, size)
            add_moments(point, frame, place, scratch, sums)
        finish(point, frame, sums)
        return log_likelihood

    return statistics


def _make_rows(fingerprint: str) -> Callable:
    def rows(
        point: Any,
        source: Any,
        start: int,
        stop: int,
        size: int,
        output: int,
        stream: Any,
        values: Any,
        labels: Any,
    ) -> None:
        fingerprint  # noqa: B018
        frame = prepare(point)
        k, d = point.means.shape
        scratch = _scratch(k, d, size)
        found, uniform = aligned(size), scratch.per_row
        for first in range(start, stop, size):
            count = min(size, stop - first)
            _fill(point, frame, Place(source, first, count), scratch)
            if output == Output.LOG_DENSITY:
                log_density(scratch.joint, scratch.common, k, size, found)
                values[first : first + count, 0] = found[:count]
            elif output == Output.LABEL:
                largest(scratch.joint, k, size, found)
                _labels(found, first, count, labels)
            else:
                responsibilities(scratch.joint, k, size)
                if output == Output.RESPONSIBILITIES:
                    _probabilities(scratch, first, count, values)
                else:
                    uniforms(stream, first, count, uniform)
                    drawn(scratch.joint, k, size, uniform, found)
                    _labels(found, first, count, labels)

    return rows


statistics = _cached(_make_statistics)
"""``statistics(point, source, start, stop, size, sums)`` adds the moments of rows start to stop
about the point's means to zeroed ``sums``, block by block of ``size`` rows, and returns their
log-likelihood."""
rows = _cached(_make_rows)
"""``rows(point, source, start, stop, size, output, stream, values, labels)`` writes what `Output`
says of rows start to stop to ``values`` (n, 1 or K) or ``labels`` (n,)."""
