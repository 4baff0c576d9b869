"""A pool of threads for compiled work: shared by all callers, made anew in forked children."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

__all__ = ["available_threads", "run_tasks"]


class _Pool:
    """Helpers that idle until a caller has more tasks than it can do alone."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.executor: ThreadPoolExecutor | None = None

    def submit(self, function: Callable[[], None], times: int) -> list[Future[None]]:
        with self.lock:
            if self.executor is None:
                self.executor = ThreadPoolExecutor(
                    max(1, available_threads() - 1), thread_name_prefix="bayesmix"
                )
            try:
                return [self.executor.submit(function) for _ in range(times)]
            except RuntimeError:  # the interpreter is shutting down: the caller works alone
                return []


_pool = _Pool()


def _forget_pool() -> None:
    global _pool
    _pool = _Pool()  # a forked child has the executor, but none of its threads


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def available_threads() -> int:
    """Processors that this process may use, or fewer by the variable ``OMP_NUM_THREADS``."""
    if hasattr(os, "sched_getaffinity"):
        found = len(os.sched_getaffinity(0))
    else:
        found = os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # a list is one per level
    return min(found, int(limit)) if limit.isdecimal() and int(limit) > 0 else found


def run_tasks(task: Callable[[int], None], count: int, threads: int | None = None) -> None:
    """Call ``task(0)`` to ``task(count - 1)``, the caller and the pool's threads side by side.

    Parameters
    ----------
    task : callable
        Spends its time without the interpreter's lock.
    count : int
    threads : int, optional
        At most so many, the caller included; by default `available_threads`.
    """
    if threads is None and count > 1:
        threads = available_threads()
    threads = min(count, threads or 1)
    if threads <= 1:
        for i in range(count):
            task(i)
        return
    todo = iter(range(count))
    lock = threading.Lock()

    def work() -> None:
        try:
            while True:
                with lock:
                    i = next(todo, None)
                if i is None:
                    return
                task(i)
        finally:  # after an error or an interrupt, too: what has not begun never will
            with lock:
                for _ in todo:
                    pass

    helpers = _pool.submit(work, threads - 1)
    try:
        work()
    finally:
        for helper in helpers:
            helper.cancel()
        # After an error, too: nothing goes on behind the caller's back.
        wait([helper for helper in helpers if not helper.cancelled()])
    for helper in helpers:
        if not helper.cancelled():
            helper.result()
