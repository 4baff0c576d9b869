"""Passes over the rows: of EM with and without acceleration, and of a whole default fit."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

import bayesmix as bm
from bayesmix.ascent import run
from bayesmix.problem import Problem
from bayesmix.search import random_start
from bayesmix.starts import Method
from tests.benchmarks._contenders import OURS, default_fit, maximum_likelihood
from tests.benchmarks._data import rows_on_disk, seeded_population
from tests.benchmarks._engines import WARM_ROWS
from tests.benchmarks._harness import (
    Criterion,
    Outcome,
    Settings,
    in_fresh_process,
    megabytes,
    milliseconds,
    peak_growth,
)
from tests.benchmarks._populations import OVERLAPPING

JUDGED: Method = "k-means++"
STARTS: tuple[Method, ...] = (JUDGED, "kmeans", "random")
SEEDS = 5
TRIED = 20
"""Seeds among which those are looked for from which plain EM finds the optimum."""
FAR = 20_000
"""Iterations after which EM without a tolerance has reached rounding."""
WITHIN = 1e-8
"""Nat below the optimum, all rows together, that counts as there."""
CHUNKS = 10


def to_the_optimum(k: int, asked: float, settings: Settings) -> Outcome:
    """Count passes on faithful, tied, until nothing is left to gain, from the same starts."""
    x = bm.datasets.load("faithful").to_numpy()
    problem = maximum_likelihood(x, k, "tied", reg_covar=0.0)
    tried = 2 if settings.quick else TRIED
    traces = {kind: [_traces(problem, kind, seed) for seed in range(tried)] for kind in STARTS}
    optimum = max(float(each.plain[-1]) for found in traces.values() for each in found)
    counts = {}
    for kind, found in traces.items():
        there = [each for each in found if each.plain[-1] >= optimum - WITHIN][:SEEDS]
        counts[kind] = [[passes_to(trace, optimum) for trace in each] for each in there]
    ratios = {
        kind: float(np.median([fast / slow for slow, fast in counts[kind]])) for kind in counts
    }
    slow, fast = (float(each) for each in np.median(counts[JUDGED], axis=0))
    record = {"n": len(x), "k": k, "optimum": optimum, "passes": counts, "ratios": ratios}
    note = ", ".join(f"{ratios[kind]:.3g} from {kind}" for kind in STARTS if kind != JUDGED)
    return Outcome(
        {OURS: f"{fast:g} passes\n{slow:g} plain"},
        [Criterion("× plain passes", asked, ratios[JUDGED], at_most=True)],
        record,
        note,
    )


class Traces(NamedTuple):
    """Objectives after every pass from one start."""

    plain: np.ndarray
    accelerated: np.ndarray


def passes_to(trace: np.ndarray, optimum: float) -> float:
    """Passes until the objective is there; infinite if it never is."""
    there = np.flatnonzero(trace >= optimum - WITHIN)
    return float(there[0] + 1) if len(there) else np.inf


def _traces(problem: Problem, kind: Method, seed: int) -> Traces:
    start = random_start(problem, kind, np.random.default_rng(seed))
    walk = partial(run, problem, start, max_iter=FAR, tol=0.0)
    return Traces(walk(accelerate=False).trace, walk(accelerate=True).trace)


def whole_fit(n: int, d: int, k: int, asked: float, settings: Settings) -> Outcome:
    """Count how often a default fit reads a file, then time one and watch its memory."""
    drawn, _ = seeded_population(k, d, OVERLAPPING)
    with rows_on_disk(drawn, settings.rows(n), settings) as path:
        if path is None:
            return Outcome(note="skipped: too little space in the folder")
        mapped = np.load(path, mmap_mode="r")
        rows = CountedRows(mapped, CHUNKS)
        _, counted = default_fit(OURS, rows, k, seed=1)
        known = bm.GaussianMixture.from_parameters(drawn.weights, drawn.means, drawn.covariances)
        truth = float(known.score(mapped))
        fit = in_fresh_process(_watched_fit, path, k)
    above = fit.log_likelihood - truth
    record = {
        "n": settings.rows(n),
        "d": d,
        "k": k,
        "passes": rows.passes,
        "seconds": fit.seconds,
        "extra_peak_bytes": fit.peak,
        "above_truth_per_row": {"mapped": above, "chunks": counted.lower_bound_ - truth},
    }
    peak = "" if fit.peak is None else f"\n{megabytes(fit.peak)} anonymous"
    return Outcome(
        {OURS: milliseconds(fit.seconds) + peak},
        [Criterion("passes", asked, rows.passes, at_most=True)],
        record,
        f"{above:+.1e} nat per row above the truth",
    )


class CountedRows:
    """A source of chunks that counts the rows handed out, whoever asks and whatever for."""

    def __init__(self, x: np.ndarray, chunks: int) -> None:
        self.x, self.step, self.handed_out = x, -(-len(x) // chunks), 0

    def __call__(self) -> Iterator[np.ndarray]:
        for first in range(0, len(self.x), self.step):
            chunk = self.x[first : first + self.step]
            self.handed_out += len(chunk)
            yield chunk

    @property
    def passes(self) -> float:
        """Readings of all rows; one that was broken off counts in part."""
        return self.handed_out / len(self.x)


class Watched(NamedTuple):
    """What a fit took and where it ended, per row."""

    seconds: float
    peak: int | None
    log_likelihood: float


def _watched_fit(path: Path, k: int) -> Watched:
    """Fit a memory-mapped file by default, after a fit to a few of its rows."""
    x = np.load(path, mmap_mode="r")
    default_fit(OURS, np.array(x[:WARM_ROWS]), k, seed=1)
    found = []
    peak = peak_growth(lambda: found.append(default_fit(OURS, x, k, seed=1)))
    taken, model = found[0]
    return Watched(taken, peak, float(model.lower_bound_))
