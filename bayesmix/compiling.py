"""A word to who waits: the first use of a kernel on a machine compiles it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["announced"]

_SILENT_SECONDS = 1.5
_done: set[str] = set()


@contextmanager
def announced(what: str) -> Iterator[None]:
    """Say on stderr that ``what`` is compiled if the block takes long, once in a process."""
    if what in _done:
        yield
        return
    message = f"bayesmix: compiling {what}; some seconds, once on this machine"
    timer = threading.Timer(_SILENT_SECONDS, print, [message], {"file": sys.stderr})
    timer.daemon = True
    timer.start()
    try:
        yield
        _done.add(what)
    finally:
        timer.cancel()
