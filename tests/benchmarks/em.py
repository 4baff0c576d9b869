"""EM against scikit-learn and oneDAL: same data, same start, same iterations, two threads.

The time of an iteration is the difference between a long and a short fit, divided by the
iterations between them. What a fit does once cancels, and so does the last pass, which bayesmix
and scikit-learn make at the parameters that they return and oneDAL does not. Before anything is
timed, the log-likelihoods after the same iterations must agree to a relative 1e-9. No covariance
is regularized by anyone, so oneDAL is held to the same tolerance as scikit-learn.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tests.benchmarks._data import rows_and_start, rows_on_disk, seeded_population
from tests.benchmarks._engines import (
    ENGINES,
    SHORT,
    WARM_ROWS,
    Engine,
    engines_for,
    estimator,
    iteration_seconds,
    peak_of_fit,
)
from tests.benchmarks._harness import (
    ABSENT,
    Criterion,
    Disagreement,
    Outcome,
    Row,
    Settings,
    in_fresh_process,
    interleave,
    matmul_gflops,
    median_ratio,
    megabytes,
    milliseconds,
    run,
    seconds,
    times_record,
)
from tests.benchmarks._populations import OVERLAPPING, SEPARATED, Start, effective_components

OURS, SCIKIT_LEARN, ONEDAL = ENGINES
PACKAGES = (
    "bayesmix",
    "numpy",
    "scipy",
    "numba",
    "scikit-learn",
    "scikit-learn-intelex",
    "daal",
    "threadpoolctl",
)
AT_MOST = 20
"""Iterations between the short fit and the long one."""
WORTH = 1.2
"""Seconds that these are to take."""
TOLERANCE = 1e-9
"""Relative, of log-likelihoods and what is computed from them."""


def main() -> int:
    """Run from the command line."""
    return run("em", ROWS, tuple(ENGINES), PACKAGES)


def iteration(
    covariance_type: str,
    n: int,
    d: int,
    k: int,
    asked: dict[str, float],
    settings: Settings,
    *,
    spread: float = OVERLAPPING,
) -> Outcome:
    """Time one iteration of each engine; ``asked`` by peer, or "matmul" in percent."""
    x, start = rows_and_start(covariance_type, settings.rows(n), d, k, spread)
    engines = engines_for(covariance_type)
    fits = {name: partial(e.fit, x, start) for name, e in engines.items() if e.installed}
    for name in fits:
        engines[name].fit(x[:WARM_ROWS], start, SHORT)
    steps, agreement = _plan(fits, engines)
    timers = {name: partial(iteration_seconds, fits[name], steps[name]) for name in fits}
    times = interleave(timers, settings.repeats, settings.generator)
    speed = _speed(covariance_type, x, k, times[OURS], settings)
    record = {
        "n": len(x),
        "d": d,
        "k": k,
        "covariance_type": covariance_type,
        "effective_components": _sharing(x, start),
        "engines": times_record(times, iterations=steps, agreement=agreement),
        **speed,
    }
    criteria = _speed_ups(times, asked)
    if "matmul" in asked:
        criteria.append(Criterion("% of matmul", asked["matmul"], speed["percent_of_matmul"]))
    return Outcome(_time_cells(times, engines), criteria, record)


def scoring(method: str, n: int, d: int, k: int, asked: float, settings: Settings) -> Outcome:
    """Time a method of fitted estimators with the same parameters."""
    x, start = rows_and_start("full", settings.rows(n), d, k, OVERLAPPING)
    names = (OURS, SCIKIT_LEARN)
    models = {name: estimator(name, x[:WARM_ROWS], start, SHORT) for name in names}
    call = {name: partial(getattr(models[name], method), x) for name in names}
    ours, peer = call[OURS](), call[SCIKIT_LEARN]()
    difference = float(np.abs(ours - peer).max() / np.abs(peer).max())
    _require_agreement(method, difference)
    del ours, peer
    timers = {name: partial(_call_seconds, call[name]) for name in names}
    times = interleave(timers, settings.repeats, settings.generator)
    record = {
        "n": len(x),
        "d": d,
        "k": k,
        "engines": times_record(times, agreement={SCIKIT_LEARN: difference}),
    }
    criteria = _speed_ups(times, {SCIKIT_LEARN: asked})
    return Outcome(_time_cells(times, {name: ENGINES[name] for name in names}), criteria, record)


def fit_memory(n: int, d: int, k: int, asked: float, settings: Settings) -> Outcome:
    """Peak memory of a fit beyond the data, each engine in a process of its own."""
    drawn, start = seeded_population(k, d, OVERLAPPING)
    peaks: dict[str, int] = {}
    with rows_on_disk(drawn, settings.rows(n), settings) as path:
        if path is None:
            return Outcome(note="skipped: too little space in the folder")
        for name in (name for name, engine in ENGINES.items() if engine.installed):
            peak = in_fresh_process(peak_of_fit, name, path, None, start, 2)
            if peak is None:
                return Outcome(note="skipped: the kernel does not tell anonymous memory")
            peaks[name] = peak
    ratio = peaks[SCIKIT_LEARN] / max(peaks[OURS], os.sysconf("SC_PAGE_SIZE"))
    cells = {name: megabytes(peaks[name]) if name in peaks else ABSENT for name in ENGINES}
    record = {"n": settings.rows(n), "d": d, "k": k, "extra_peak_bytes": peaks}
    return Outcome(cells, [Criterion("× less than scikit-learn", asked, ratio)], record)


def memory_mapped(
    n: int, d: int, k: int, asked: float, asked_megabytes: float, settings: Settings
) -> Outcome:
    """Time an iteration over a file against one over a tenth of it in memory."""
    drawn, start = seeded_population(k, d, OVERLAPPING)
    with rows_on_disk(drawn, settings.rows(n), settings) as path:
        if path is None:
            return Outcome(note="skipped: too little space in the folder")
        mapped = np.load(path, mmap_mode="r")
        data = {"mapped": mapped, "in_memory": np.array(mapped[: len(mapped) // 10])}
        engine = Engine(ENGINES[OURS].fit, fewest=2)
        engine.fit(data["in_memory"][:WARM_ROWS], start, SHORT)
        fits = {name: partial(engine.fit, x, start) for name, x in data.items()}
        steps = {name: _steps(fits[name], engine)[0] for name in fits}  # warms the page cache
        timers = {name: partial(iteration_seconds, fits[name], steps[name]) for name in fits}
        times = interleave(timers, settings.repeats, settings.generator)
        peak = in_fresh_process(peak_of_fit, OURS, path, "r", start, 2)
    ratio = median_ratio(times["mapped"], times["in_memory"])
    criteria = [Criterion("× 1e6 in memory", asked, ratio, at_most=True)]
    if peak is not None:
        unit = "MB anonymous"
        criteria.append(Criterion(unit, asked_megabytes, peak / 1e6, at_most=True))
    record = {
        "n": settings.rows(n),
        "d": d,
        "k": k,
        "timings": times_record(times, iterations=steps),
        "extra_peak_bytes": {OURS: peak},
    }
    return Outcome({OURS: milliseconds(float(np.median(times["mapped"])))}, criteria, record)


def _plan(
    fits: dict[str, Callable[[int], Any]], engines: dict[str, Engine]
) -> tuple[dict[str, int], dict[str, float]]:
    """Iterations to time by engine, and how far each peer's log-likelihood is from ours."""
    steps, values = {}, {}
    for name, fit in fits.items():
        steps[name], values[name] = _steps(fit, engines[name])
    agreement = {}
    for name in [name for name in fits if name != OURS]:
        common = sorted(values[OURS].keys() & values[name].keys())
        ours = np.array([values[OURS][i] for i in common])
        peer = np.array([values[name][i] for i in common])
        agreement[name] = float(np.abs(ours / peer - 1).max()) if common else np.nan
        _require_agreement(name, agreement[name])
    return steps, agreement


def _steps(fit: Callable[[int], Any], engine: Engine) -> tuple[int, dict[int, float]]:
    """Iterations that take about `WORTH` seconds, and log-likelihoods met while finding out."""
    short, _ = seconds(partial(fit, SHORT))
    long, fitted = seconds(partial(fit, SHORT + engine.fewest))
    each = np.clip((long - short) / engine.fewest, 1e-6, short)
    return int(np.clip(round(WORTH / each), engine.fewest, AT_MOST)), fitted.log_likelihoods


def _call_seconds(call: Callable[[], Any]) -> float:
    """Mean of three calls: the result's pages are touched for the first time in each."""
    return seconds(lambda: [call() is None for _ in range(3)])[0] / 3


def _require_agreement(what: str, difference: float) -> None:
    if not difference <= TOLERANCE:
        raise Disagreement(f"{what}: off by {difference:.1e}, relative, from bayesmix")


def _sharing(x: np.ndarray, start: Start) -> float:
    """Effective number of components per row after the short fit to some of the rows."""
    rows = x[:WARM_ROWS]
    return effective_components(estimator(OURS, rows, start, SHORT).predict_proba(rows))


def _speed(
    covariance_type: str, x: np.ndarray, k: int, times: np.ndarray, settings: Settings
) -> dict[str, float]:
    """Operations per second against those of a matrix product; full covariances only."""
    if covariance_type != "full":
        return {}
    n, d = x.shape
    ours = float(2e-9 * n * k * d * (d + 1) / np.median(times))
    best = matmul_gflops(512) if settings.quick else matmul_gflops()
    return {"gflops": ours, "matmul_gflops": best, "percent_of_matmul": 100 * ours / best}


def _speed_ups(times: dict[str, np.ndarray], asked: dict[str, float]) -> list[Criterion]:
    return [
        Criterion(
            f"× {name}",
            asked[name],
            median_ratio(times[name], times[OURS]) if name in times else None,
        )
        for name in (SCIKIT_LEARN, ONEDAL)
        if name in asked
    ]


def _time_cells(times: dict[str, np.ndarray], engines: dict[str, Engine]) -> dict[str, str]:
    return {
        name: milliseconds(float(np.median(times[name]))) if name in times else ABSENT
        for name in engines
    }


def _asked(
    scikit_learn: float, onedal: float | None = None, matmul: float | None = None
) -> dict[str, float]:
    asked = {SCIKIT_LEARN: scikit_learn, ONEDAL: onedal, "matmul": matmul}
    return {name: value for name, value in asked.items() if value is not None}


def _iteration_row(
    covariance_type: str, n: int, d: int, k: int, asked: dict[str, float], **more: float
) -> Row:
    apart = ", separated" if more else ""
    size = f"{n:.0e}".replace("e+0", "e")
    return Row(
        f"{covariance_type}-{size}x{d}{'-separated' if apart else ''}",
        f"{covariance_type} {size} × {d}, K = {k}{apart}",
        partial(iteration, covariance_type, n, d, k, asked, **more),
    )


ROWS = (
    _iteration_row("full", 1_000_000, 10, 10, _asked(30, 3, 35)),
    _iteration_row("full", 1_000_000, 10, 10, {}, spread=SEPARATED),
    _iteration_row("full", 100_000, 32, 16, _asked(9, 2, 45)),
    _iteration_row("full", 100_000, 100, 10, _asked(4, 1.2)),
    _iteration_row("tied", 1_000_000, 10, 10, _asked(60)),
    _iteration_row("tied", 100_000, 32, 16, _asked(45)),
    _iteration_row("diag", 1_000_000, 10, 10, _asked(15, 2)),
    _iteration_row("spherical", 1_000_000, 10, 10, _asked(15)),
    *(
        Row(
            method,
            f"{method}, full 1e6 × 10, K = 10",
            partial(scoring, method, 1_000_000, 10, 10, asked),
        )
        for method, asked in (("score_samples", 20), ("predict_proba", 12))
    ),
    Row(
        "memory",
        "peak memory, full 1e6 × 10, K = 10",
        partial(fit_memory, 1_000_000, 10, 10, 20),
    ),
    Row(
        "memory-mapped",
        "memory-mapped full 1e7 × 10, K = 10",
        partial(memory_mapped, 10_000_000, 10, 10, 12, 300),
    ),
)

if __name__ == "__main__":
    sys.exit(main())
