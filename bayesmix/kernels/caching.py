"""Where compiled kernels are kept from one process to the next."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from numba import cfunc, njit

__all__ = ["cached", "cached_callback", "fingerprint_of"]


@cache
def fingerprint_of() -> str:
    """Digest of all sources that a kernel is made of; numba looks at one file only."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def cached(make: Callable[[str], Callable]) -> Any:
    """Compile what ``make`` returns for the fingerprint that it captures, or load it."""
    function = make(fingerprint_of())
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


def cached_callback(make: Callable[[str], Callable], signature: Any) -> Any:
    """Compile what ``make`` returns for the fingerprint to a C function, or load it."""
    function = make(fingerprint_of())
    try:
        return cfunc(signature, error_model="numpy", cache=True)(function)
    except (RuntimeError, OSError):  # nowhere to write a cache
        return cfunc(signature, error_model="numpy")(function)
