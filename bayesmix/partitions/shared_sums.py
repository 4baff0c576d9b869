"""What a partition shares with every draw: F summed over the intersections of their clusters."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.compiling import compile_once
from bayesmix.kernels.caching import cached

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["compile_sums", "shared_sums"]


def compile_sums() -> None:
    """Compile before threads use it."""
    start, shared = np.zeros(1, np.int64), np.zeros((1, 1), np.int32)
    compile_once(
        "shared sums", "sums over partitions", lambda: shared_sums(start, np.zeros(1), shared)
    )


def _make_shared_sums(fingerprint: str) -> Callable:
    def shared_sums(start: NDArray[np.int64], value: Floats, shared: NDArray[np.int32]) -> Floats:
        """Sums (S,) of F, by its values at counts, over tables (R, J) in which most cells are 0."""
        fingerprint  # noqa: B018
        out = np.zeros(len(start) - 1)
        for s in range(len(out)):
            for r in range(start[s], start[s + 1]):
                for count in shared[r]:
                    if count > 1:  # F is 0 at 0 and 1
                        out[s] += value[count]
        return out

    return shared_sums


shared_sums = cached(_make_shared_sums)
