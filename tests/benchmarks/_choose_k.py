"""What is measured of `choose_k` and `evidence`."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import bayesmix as bm
from tests.benchmarks._harness import (
    Criterion,
    Outcome,
    Settings,
    in_fresh_process,
    interleave,
    megabytes,
    resident_peak,
    seconds,
    times_record,
)
from tests.benchmarks._populations import OVERLAPPING, SEPARATED, population

AT_ONCE = 1e-3
"""Seconds that `choose_k` is given for its first answer: it has none to spare."""
MANY, FEWER = 100_000, 25_000
"""Rows between which memory may grow by the rows alone."""


def everything(asked_first: float, asked: float, settings: Settings) -> Outcome:
    """Seconds of the first answer and of the whole one, on faithful."""
    x = bm.datasets.load("faithful")
    most = 2 if settings.quick else 8
    said: dict[str, list[str]] = {"first answer": [], "everything": []}

    def call(name: str, **budget: float) -> float:
        seed = len(said[name]) + 1
        taken, choice = seconds(lambda: _choose(x, most, seed, **budget))
        said[name].append(choice.recommendation)
        return taken

    call("everything")  # compiles
    timers = {
        "first answer": lambda: call("first answer", seconds=AT_ONCE),
        "everything": lambda: call("everything"),
    }
    times = interleave(timers, settings.repeats, settings.generator)
    first, whole = (float(np.median(times[name])) for name in said)
    criteria = [
        Criterion("s", asked_first, first, at_most=True),
        Criterion("s", asked, whole, at_most=True),
    ]
    record = {"most": most, "recommendations": said, "timings": times_record(times)}
    return Outcome({"bayesmix": f"{first:.1f} s, {whole:.1f} s"}, criteria, record)


def planted_evidence(asked: float, error_asked: float, settings: Settings) -> Outcome:
    """Seconds for the evidence of K = 1, ..., 8 together, and the largest standard error."""
    n, numbers = (200, range(1, 3)) if settings.quick else (1000, range(1, 9))
    generator = np.random.default_rng(20240229)
    x = population(4, 3, OVERLAPPING, generator).rows(n, generator)
    prior = bm.weakly_informative(x)
    mixtures = [bm.Mixture(bm.Dirichlet(k), prior) for k in numbers]
    found: list[list[tuple[float, float]]] = []
    _evidences(mixtures[:2], x, 1)  # compiles

    def call() -> float:
        given = len(found) + 1
        taken, own = seconds(lambda: _evidences(mixtures, x, given))
        found.append([(each.log_evidence, each.se) for each in own])
        return taken

    times = interleave({"bayesmix": call}, settings.repeats, settings.generator)
    median = float(np.median(times["bayesmix"]))
    values = np.array(found)  # (repeats, K, 2)
    largest = float(values[..., 1].max())
    record: dict[str, Any] = {
        "n": n,
        "n_components": list(numbers),
        "log_evidence": values[..., 0].tolist(),
        "se": values[..., 1].tolist(),
        "timings": times_record(times),
    }
    if len(values) > 1:  # what repeats say the error is
        record["sd_between_repeats"] = values[..., 0].std(axis=0, ddof=1).tolist()
    criteria = [
        Criterion("s", asked, median, at_most=True),
        Criterion("nats", error_asked, largest, at_most=True),
    ]
    return Outcome({"bayesmix": f"{median:.1f} s, ± {largest:.2g}"}, criteria, record)


def _evidences(mixtures: list[bm.Mixture], x: Any, seed: int) -> list[bm.Evidence]:
    """Evidence of every number, each with that of one component fewer."""
    found: list[bm.Evidence] = []
    for mixture in mixtures:
        fewer = found[-1] if found else None
        found.append(bm.evidence(mixture, x, fewer=fewer, random_seed=seed, progressbar=False))
    return found


def many_rows(asked: float, bytes_asked: float, settings: Settings) -> Outcome:
    """Seconds of the first answer on many rows, and what its memory grows by beyond the rows."""
    most, fewer = settings.rows(MANY), settings.rows(FEWER) // (2 if settings.quick else 1)
    runs: dict[int, list[dict[str, Any]]] = {most: [], fewer: []}
    with TemporaryDirectory(dir=settings.folder) as name:
        for n in runs:
            path = Path(name) / f"{n}.npy"
            generator = np.random.default_rng(20240229)
            np.save(path, population(5, 5, SEPARATED, generator).rows(n, generator))
            repeats = settings.repeats if n == most else 1
            runs[n] = [in_fresh_process(_first_answer, path) for _ in range(repeats)]
    median = float(np.median([each["seconds"] for each in runs[most]]))
    beyond = {n: max(each["peak"] - each["bytes"] for each in runs[n]) for n in runs}
    grown = beyond[most] - beyond[fewer]
    criteria = [
        Criterion("s", asked, median, at_most=True),
        Criterion("bytes", bytes_asked, grown, at_most=True),
    ]
    cells = {"bayesmix": f"{median:.1f} s, + {megabytes(grown)}"}
    return Outcome(cells, criteria, {"runs": {str(n): own for n, own in runs.items()}})


def _first_answer(path: Path) -> dict[str, Any]:
    """What a call's first answer takes in this process, and its most memory ever."""
    x = np.load(path)
    started = time.perf_counter()
    choice = _choose(x, 8, 1, seconds=AT_ONCE)
    taken = time.perf_counter() - started
    return {
        "seconds": taken,
        "peak": resident_peak(),
        "bytes": x.nbytes,
        "recommendation": choice.recommendation,
    }


def _choose(x: Any, most: int, seed: int, **budget: float) -> bm.KChoice:
    return bm.choose_k(x, range(1, most + 1), random_seed=seed, progressbar=False, **budget)
