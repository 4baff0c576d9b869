"""Threads: every task once, the same numbers for all callers, and children that are forked."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

import bayesmix as bm
from bayesmix import passes
from bayesmix import threads as threads_module
from bayesmix.covariance import structure_of
from bayesmix.pass_parameters import PassParameters
from bayesmix.threads import available_threads, run_slices, run_tasks
from tests.support import compact, random_parameters, rows_of

HOME = Path(bm.__file__).parents[1]


def run_script(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python with its own processes; a hang is an error."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=HOME,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("threads", [None, 1, 2, 3, 8])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 64, 1000])
def test_every_task_is_done_once(count, threads):
    done: list[int] = []
    run_tasks(done.append, count, threads)
    assert sorted(done) == list(range(count))


@pytest.mark.parametrize(("n", "size"), [(0, 4), (3, 4), (8, 4), (9, 4), (5, 1)])
def test_slices_cover_every_place_once(n, size):
    done: list[slice] = []
    run_slices(done.append, n, size)
    places = [place for own in done for place in range(own.start, own.stop)]
    assert sorted(places) == list(range(n))
    assert all(0 < own.stop - own.start <= size for own in done)


def test_tasks_run_side_by_side(monkeypatch):
    monkeypatch.setattr("bayesmix.threads._pool", type(threads_module._pool)())
    monkeypatch.setattr("bayesmix.threads.available_threads", lambda: 3)
    meeting = threading.Barrier(3, timeout=30)  # broken unless three are there at once
    run_tasks(lambda i: meeting.wait(), 3)


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_of_the_caller_stops_what_has_not_begun(threads):
    caller, begun = threading.current_thread(), []
    held = threading.Event()

    def task(i: int) -> None:
        begun.append(i)
        if threading.current_thread() is caller:
            held.set()
            raise ValueError("task failed")
        held.wait(30)  # the helper's first task lasts until the caller has failed

    with pytest.raises(ValueError, match="task failed"):
        run_tasks(task, 100, threads)
    assert len(begun) <= 1 + threads


def test_an_error_of_a_helper_stops_what_has_not_begun():
    caller, begun = threading.current_thread(), []
    raised = threading.Event()

    def task(i: int) -> None:
        begun.append(i)
        if threading.current_thread() is not caller:
            raised.set()
            raise ValueError("task failed")
        assert raised.wait(30)
        threading.Event().wait(0.05)  # time for the helper to end

    with pytest.raises(ValueError, match="task failed"):
        run_tasks(task, 100, 2)
    assert len(begun) < 10


def test_an_interrupt_reaches_the_caller_and_the_pool_lives_on():
    def task(i: int) -> None:
        raise KeyboardInterrupt

    for threads in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            run_tasks(task, 10, threads)
    test_every_task_is_done_once(100, 2)


def test_work_that_nobody_took_up_is_not_held(monkeypatch):
    """A helper that is busy elsewhere leaves the job in the queue."""
    monkeypatch.setattr("bayesmix.threads._pool", type(threads_module._pool)())
    monkeypatch.setattr("bayesmix.threads.available_threads", lambda: 2)
    busy, free = threading.Barrier(3, timeout=30), threading.Event()

    def long(i: int) -> None:
        busy.wait()
        free.wait(30)

    def task(i: int) -> None:
        pass

    other = threading.Thread(target=run_tasks, args=(long, 2, 2))
    other.start()
    busy.wait()
    try:
        run_tasks(task, 4, 2)
        held = weakref.ref(task)
        del task
        gc.collect()
        assert held() is None
    finally:
        free.set()
        other.join()


def test_tasks_may_have_tasks():
    done = []
    run_tasks(lambda i: run_tasks(lambda j: done.append((i, j)), 5, 2), 4, 2)
    assert sorted(done) == [(i, j) for i in range(4) for j in range(5)]


@pytest.mark.parametrize(
    ("given", "limit"),
    [
        *[("1", 1), ("2", 2), (" 1 ", 1), ("2,4", 2)],
        *[(text, None) for text in ("1000000", "", "0", "-1", "two", "²")],
    ],
)
def test_omp_num_threads_is_a_limit(monkeypatch, given, limit):
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(6)), raising=False)
    assert available_threads() == (6 if limit is None else limit)


def test_without_omp_num_threads_all_processors_serve(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 5, 7}, raising=False)
    assert available_threads() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_threads() == 1


def test_concurrent_callers_get_what_one_gets(structure, monkeypatch):
    monkeypatch.setattr(passes, "_PART_BLOCKS", 1)
    point = random_parameters(structure, 3, 4, seed=3)
    x = rows_of(point, 5000, seed=5)
    covariances = compact(structure, point.covariances)
    parameters = PassParameters.from_point(
        structure_of(structure), point.weights, point.means, covariances
    )
    alone = passes.statistics(x, parameters, threads=1)
    label = passes.labels(x, parameters, threads=1)
    together = threading.Barrier(8)

    def call(i: int) -> None:
        together.wait(60)
        for _ in range(5):
            found = passes.statistics(x, parameters, threads=1 + i % 3)
            assert found.log_likelihood == alone.log_likelihood
            for name in ("sizes", "first", "second"):
                np.testing.assert_array_equal(getattr(found, name), getattr(alone, name))
            np.testing.assert_array_equal(passes.labels(x, parameters, threads=1 + i % 3), label)

    with ThreadPoolExecutor(8) as callers:
        for future in [callers.submit(call, i) for i in range(8)]:
            future.result()


FORKED = """
import multiprocessing, os, threading, warnings
import numpy as np
import bayesmix.passes as passes
from bayesmix.covariance import structure_of
from bayesmix.pass_parameters import PassParameters
from bayesmix.threads import run_tasks

warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
passes._PART_BLOCKS = 1
x = np.random.default_rng(1).normal(size=(20_000, 2))
mean, ones = np.array([[-1.0, 0.0], [1.0, 0.0]]), np.ones((2, 2))
point = PassParameters.from_point(structure_of("diag"), np.full(2, 0.5), mean, ones)

def found():
    sums = passes.statistics(x, point, threads=2)
    return sums.log_likelihood, sums.second.tobytes(), passes.labels(x, point, threads=2).tobytes()

def in_child(function):
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if function() else 3)
        finally:  # an error
            os._exit(4)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def has_helpers():
    meeting = threading.Barrier(2, timeout=20)
    run_tasks(lambda i: meeting.wait(), 2, 2)
    return True

mine = found()
assert in_child(lambda: found() == mine and found() == mine) == 0
assert in_child(has_helpers) == 0, "a forked child works alone"
stop = threading.Event()
def keep_busy():
    while not stop.is_set():
        run_tasks(lambda i: None, 4, 2)
busy = [threading.Thread(target=keep_busy) for _ in range(2)]
for thread in busy:
    thread.start()
assert [in_child(lambda: found() == mine) for _ in range(10)] == [0] * 10
stop.set()
for thread in busy:
    thread.join()
with multiprocessing.get_context("fork").Pool(2) as pool:
    for result in [pool.apply_async(found) for _ in range(4)]:
        assert result.get(60) == mine
assert found() == mine
print("same")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_forked_children_compute_the_same():
    ended = run_script(FORKED)
    assert (ended.returncode, ended.stdout.strip()) == (0, "same"), ended.stderr


def test_a_grid_search_in_processes_fits(faithful):
    grid = {"n_components": [1, 2], "covariance_type": ["diag"]}
    found = [
        GridSearchCV(bm.GaussianMixture(random_state=1), grid, cv=2, n_jobs=n_jobs).fit(faithful)
        for n_jobs in (2, None)
    ]
    assert found[0].best_params_ == found[1].best_params_
    scores = [search.cv_results_["mean_test_score"] for search in found]
    np.testing.assert_array_equal(*scores)
