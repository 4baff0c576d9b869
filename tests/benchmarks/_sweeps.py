"""Seconds per sweep: one chain on one core, two chains on two, with bayesm or EM beside them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bayesmix.gibbs import Chain
from bayesmix.gibbs_run import run_chains
from tests.benchmarks import THREADS
from tests.benchmarks._agreement import label_invariant, require_same_posterior
from tests.benchmarks._engines import ENGINES, SHORT, iteration_seconds
from tests.benchmarks._harness import (
    ABSENT,
    Criterion,
    Disagreement,
    Outcome,
    Settings,
    interleave,
    median_ratio,
    milliseconds,
    seconds,
    times_record,
)
from tests.benchmarks._peers import Bayesm
from tests.benchmarks._populations import OVERLAPPING, Start
from tests.benchmarks._problems import Problem, dealt, firm

ONE, TWO = "one chain", "two chains"
BAYESM, KEPT = "bayesm", "bayesm, memory kept"
WORTH = 1.0
"""Seconds that the sweeps of a chain are to take."""


def against_bayesm(n: int, d: int, k: int, asked: float, settings: Settings) -> Outcome:
    """Time a sweep of ours and one of bayesm's."""
    problem = dealt(settings.rows(n), d, k, OVERLAPPING)
    timers = _sweep_timers(problem)
    record: dict[str, Any] = {"n": len(problem.x), "d": d, "k": k}
    with TemporaryDirectory() as folder:
        if versions := Bayesm.versions():
            record |= {"peer": versions, "agreement": _bayesm_agreement(d, k, settings)}
            peer = partial(Bayesm(problem, Path(folder)).sweep_seconds, 5, 45)
            timers |= {BAYESM: peer, KEPT: partial(peer, keep_memory=True)}
        times = interleave(timers, settings.repeats, settings.generator)
    criteria = [
        Criterion(
            f"× bayesm, {name}",
            asked,
            median_ratio(times[BAYESM], times[name]) if BAYESM in times else None,
        )
        for name in (ONE, TWO)
    ]
    cells = {"bayesmix": _cell(times, ONE, TWO), "bayesm": _cell(times, BAYESM, KEPT)}
    return Outcome(cells, criteria, record | {"timings": times_record(times)})


def against_em(n: int, d: int, k: int, asked: float, settings: Settings) -> Outcome:
    """Time a sweep, and an iteration of EM and a random number per row on as many cores."""
    problem = dealt(settings.rows(n), d, k, OVERLAPPING)
    fit = partial(ENGINES["bayesmix"].fit, problem.x, Start("full", **problem.start))
    fit(SHORT)

    def iteration(threads: int) -> float:
        with _threads(threads):
            return iteration_seconds(fit, 10) + _random_seconds(len(problem.x), threads)

    beside = {ONE: "one core", TWO: "two cores"}
    timers = _sweep_timers(problem)
    timers |= {cores: partial(iteration, i) for i, cores in enumerate(beside.values(), 1)}
    times = interleave(timers, settings.repeats, settings.generator)
    criteria = [
        Criterion(f"× EM, {name}", asked, median_ratio(times[name], times[cores]), at_most=True)
        for name, cores in beside.items()
    ]
    cells = {"bayesmix": _cell(times, ONE, TWO), "EM": _cell(times, *beside.values())}
    record = {"n": len(problem.x), "d": d, "k": k, "timings": times_record(times)}
    return Outcome(cells, criteria, record)


def two_cores(
    problem: Callable[[Settings], Problem], draws: int, asked: float, settings: Settings
) -> Outcome:
    """Time the draws of two chains, moves between modes included, on one core and on two."""
    given, draws = problem(settings), draws // 10 if settings.quick else draws
    found = {}

    def draw_seconds(cores: int) -> float:
        chains = _two_chains(given)
        options = {"tune": 0, "draws": draws, "thin": 1, "cores": cores, "keep_labels": False}
        taken, (kept, _, _) = seconds(
            partial(run_chains, chains, **options, report=lambda sweeps: None)
        )
        found[cores] = np.array([each.means for each in kept])
        return taken / draws

    draw_seconds(1)  # compiles
    timers = {"one core": partial(draw_seconds, 1), "two cores": partial(draw_seconds, 2)}
    times = interleave(timers, settings.repeats, settings.generator)
    if not np.array_equal(found[1], found[2]):
        raise Disagreement("the draws depend on the number of cores")
    speed_up = median_ratio(times["one core"], times["two cores"])
    record = {"n": len(given.x), "draws": draws, "timings": times_record(times)}
    criteria = [Criterion("× one core", asked, speed_up)]
    return Outcome({"bayesmix": _cell(times, *timers)}, criteria, record)


def _two_chains(problem: Problem) -> list[Chain]:
    return [
        Chain.at(problem.mixture, problem.x, problem.labels, np.random.default_rng(seed))
        for seed in range(2)
    ]


def _sweep_timers(problem: Problem) -> dict[str, Callable[[], float]]:
    """Seconds per sweep of a chain alone, and of two side by side, halved."""
    chains = _two_chains(problem)
    chains[0].sweep(2)  # compiled
    count = max(2, round(2 * WORTH / seconds(partial(chains[0].sweep, 2))[0]))
    sweeps = [partial(chain.sweep, count) for chain in chains]
    return {
        ONE: lambda: seconds(sweeps[0])[0] / count,
        TWO: lambda: seconds(partial(_side_by_side, sweeps))[0] / (2 * count),
    }


def _side_by_side(tasks: Sequence[Callable[[], Any]]) -> None:
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _bayesm_agreement(d: int, k: int, settings: Settings) -> float:
    """Largest difference from bayesm's posterior means, in standard errors."""
    problem, draws = firm(d, k), 200 if settings.quick else 1000
    with TemporaryDirectory() as folder:
        theirs = Bayesm(problem, Path(folder)).draws(4 * draws + 100, burn=100)
    _, ours = problem.sample(1, draws=draws)
    return require_same_posterior("bayesm", label_invariant(theirs), label_invariant(ours))


def _random_seconds(n: int, threads: int) -> float:
    """Seconds of a uniform number per row, drawn by so many threads."""
    out = np.empty((threads, n // threads))
    draws = [
        partial(np.random.Generator(np.random.Philox(i)).random, out=row)
        for i, row in enumerate(out)
    ]
    _side_by_side(draws)  # touches the memory
    return seconds(partial(_side_by_side, draws))[0]


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Hold the pass to so many threads."""
    os.environ["OMP_NUM_THREADS"] = str(count)
    try:
        yield
    finally:
        os.environ["OMP_NUM_THREADS"] = str(THREADS)


def _cell(times: dict[str, np.ndarray], *names: str) -> str:
    return "\n".join(
        milliseconds(float(np.median(times[name]))) if name in times else ABSENT for name in names
    )
