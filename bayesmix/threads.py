"""A pool of threads for compiled work: shared by all callers, made anew in forked children."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

__all__ = ["available_threads", "run_slices", "run_tasks"]


class _Job:
    """Work that a helper may take up; lighter than a future, as it is often done in no time."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.work = work
        self.taken, self.running = threading.Lock(), threading.Lock()
        self.running.acquire()
        self.error: BaseException | None = None

    def run(self) -> None:
        if not self.taken.acquire(blocking=False):
            return
        try:
            self.work()
        except BaseException as error:  # the caller's to raise
            self.error = error
        finally:
            self.running.release()

    def close(self) -> None:
        """Keep helpers from taking it up, or wait until the one that has is done."""
        if self.taken.acquire(blocking=False):
            del self.work  # it stays in the queue until a helper is free
        else:
            self.running.acquire()


class _Pool:
    """Helpers that idle until a caller has more tasks than it can do alone."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.jobs: SimpleQueue[_Job] = SimpleQueue()
        self.helpers = 0

    def submit(self, work: Callable[[], None], times: int) -> list[_Job]:
        with self.lock:
            while self.helpers < min(times, max(1, available_threads() - 1)):
                name = f"bayesmix_{self.helpers}"
                try:
                    threading.Thread(target=self._help, name=name, daemon=True).start()
                except RuntimeError:  # the interpreter is shutting down: the caller works alone
                    break
                self.helpers += 1
        jobs = [_Job(work) for _ in range(times)]
        for job in jobs:
            self.jobs.put(job)
        return jobs

    def _help(self) -> None:
        while True:
            self.jobs.get().run()


_pool = _Pool()


def _forget_pool() -> None:
    global _pool
    _pool = _Pool()  # a forked child has none of the helpers


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

    jobs = _pool.submit(work, threads - 1)
    try:
        work()
    finally:
        # After an error, too: nothing goes on behind the caller's back, but for the task that a
        # helper is at when an interrupt ends the wait for it.
        for job in jobs:
            job.close()
    for job in jobs:
        if job.error is not None:
            raise job.error


def run_slices(task: Callable[[slice], None], n: int, size: int) -> None:
    """Call ``task`` with places 0 to n - 1 in slices of at most ``size``, as `run_tasks` does."""
    run_tasks(lambda i: task(slice(size * i, min(size * (i + 1), n))), -(-n // size))
