"""A word to who waits: the first use of a kernel on a machine compiles it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Hashable

__all__ = ["compile_once"]

_SILENT_SECONDS = 1.5
_compiled: set[Hashable] = set()


def compile_once(kernel: Hashable, words: str, run: Callable[[], object]) -> None:
    """Compile a kernel, or load it, by a ``run`` on next to nothing; later calls do nothing.

    If that takes long, say on stderr that ``words`` is compiled.
    """
    if kernel in _compiled:
        return
    message = f"bayesmix: compiling {words}; some seconds, once on this machine"
    timer = threading.Timer(_SILENT_SECONDS, print, [message], {"file": sys.stderr})
    timer.daemon = True
    timer.start()
    try:
        run()
        _compiled.add(kernel)
    finally:
        timer.cancel()
