"""Ctrl-C, noted: whether it came, and held back where work would be lost."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["noted_interrupt"]

_AROUND: list[list[int]] = []  # lists of the blocks that are entered, the outermost first


@contextmanager
def noted_interrupt(*, hold: bool) -> Iterator[list[int]]:
    """Collect SIGINTs in the list that is yielded; only the main thread gets them.

    Those that a block within this one holds back are in the list, too.

    A terminal sends Ctrl-C to forked children, too: they end at once and in silence.

    Parameters
    ----------
    hold : bool
        Whether to note only, or to raise KeyboardInterrupt as well.
    """
    noted: list[int] = []
    parent = os.getpid()
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() != parent:
            os._exit(128 + number)
        for each in _AROUND:
            each.append(number)
        if not hold:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, handle)
    _AROUND.append(noted)
    try:
        yield noted
    finally:
        _AROUND.pop()
        signal.signal(signal.SIGINT, before)
