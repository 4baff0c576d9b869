"""What the benchmarks share: clock, memory, machine, verdicts, the table and the JSON."""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import platform
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.table import Column, Table
from threadpoolctl import threadpool_info, threadpool_limits

from tests.benchmarks import THREADS, _page
from tests.benchmarks._page import RESULTS

ABSENT = "not installed"
WIDTH = 180


class Disagreement(Exception):
    """Engines that are to be compared do not compute the same thing."""


@dataclass(frozen=True)
class Settings:
    """What the command line chooses."""

    quick: bool
    repeats: int
    seed: int
    folder: Path

    def rows(self, n: int) -> int:
        """Number of rows: all, or a hundredth, but enough for a covariance per component."""
        return max(n // 100, 5000) if self.quick else n

    @property
    def generator(self) -> np.random.Generator:
        """Order of the engines; the same in every row of the table."""
        return np.random.default_rng(self.seed)


@dataclass(frozen=True)
class Criterion:
    """One demand: a number measured against the one asked for."""

    unit: str
    asked: float
    measured: float | None
    """None if the peer is not installed."""
    at_most: bool = False

    def verdict(self) -> Literal["PASS", "MISS", "not judged"]:
        """PASS or MISS; nothing can be said without the peer."""
        if self.measured is None:
            return "not judged"
        met = self.measured <= self.asked if self.at_most else self.measured >= self.asked
        return "PASS" if met else "MISS"


@dataclass(frozen=True)
class Outcome:
    """What one row of the table found; ``cells`` are printed, ``record`` goes into the JSON."""

    cells: dict[str, str] = field(default_factory=dict)
    criteria: list[Criterion] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    name: str
    label: str
    measure: Callable[[Settings], Outcome]


def seconds[T](function: Callable[[], T]) -> tuple[float, T]:
    """Wall-clock time of a call, and its result."""
    gc.collect()
    started = time.perf_counter()
    result = function()
    return time.perf_counter() - started, result


def interleave(
    timers: dict[str, Callable[[], float]], repeats: int, generator: np.random.Generator
) -> dict[str, np.ndarray]:
    """Call every timer once per repeat, in random order; values (repeats,) by name."""
    found: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(repeats):
        for name in generator.permutation(list(timers)):
            found[name].append(timers[name]())
    return {name: np.array(values) for name, values in found.items()}


def median_ratio(above: np.ndarray, below: np.ndarray) -> float:
    """Median of the ratios within each repeat: what slows both engines alike cancels."""
    return float(np.median(above / below))


def matmul_gflops(size: int = 2048, repeats: int = 5) -> float:
    """Best speed of a float64 matrix product: what the machine can do."""
    a, b = np.random.default_rng(0).normal(size=(2, size, size))
    best = min(seconds(lambda: a @ b)[0] for _ in range(repeats + 1))
    return 2e-9 * size**3 / best


def anonymous_bytes() -> int | None:
    """Memory of this process that no file backs, now; None where the kernel does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    found = [line.split()[1] for line in lines if line.startswith("RssAnon:")]
    return 1024 * int(found[0]) if found else None


def peak_growth(function: Callable[[], Any]) -> int | None:
    """Bytes by which anonymous memory rose at its peak, looked at every 2 ms of a call."""
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)  # else what was freed earlier would be used again, unseen
    before = peak = anonymous_bytes()
    if before is None:
        return None
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.002):
            peak = max(peak, anonymous_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        function()
    finally:
        done.set()
        watcher.join()
    return peak - before


def resident_peak() -> int:
    """Most bytes that this process ever had resident."""
    # not ru_maxrss: a process inherits that of the one that started it
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])


def in_fresh_process[T](function: Callable[..., T], *args: Any) -> T:
    """Result of a module's function, called in an interpreter that has done nothing before."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def times_record(times: dict[str, np.ndarray], **more: dict[str, Any]) -> dict[str, Any]:
    """Seconds by engine, with whatever else is known by engine."""
    return {
        name: {
            "median_seconds": float(np.median(values)),
            "seconds": values.tolist(),
            **{key: found[name] for key, found in more.items() if name in found},
        }
        for name, values in times.items()
    }


def milliseconds(value: float) -> str:
    """Time in seconds as the table prints it."""
    return f"{1e3 * value:,.0f} ms" if value >= 0.1 else f"{1e3 * value:.3g} ms"


def megabytes(value: float) -> str:
    """Bytes as the table prints them."""
    return f"{value / 1e6:,.1f} MB"


def run(
    name: str,
    rows: Sequence[Row],
    engines: Sequence[str],
    packages: Sequence[str],
    argv: Sequence[str] | None = None,
) -> int:
    """Measure the rows asked for, print the table, write the JSON; 1 if engines disagree."""
    options = _options(name, [row.name for row in rows], argv)
    chosen = [row for row in rows if row.name in options.rows]
    repeats = options.repeats or (1 if options.quick else 5)
    settings = Settings(options.quick, repeats, options.seed, options.folder)
    console, progress = Console(width=WIDTH), Console(stderr=True)
    started, load = time.time(), os.getloadavg()
    outcomes = []
    hold_threads()
    with threadpool_limits(THREADS):
        for row in chosen:
            progress.print(f"{time.time() - started:4.0f} s  {row.label}", highlight=False)
            outcomes.append(measure(row, settings))
    console.print(_table(chosen, outcomes, engines, settings))
    if options.json:
        entries = [_entry(*pair, settings) for pair in zip(chosen, outcomes, strict=True)]
        found = {
            "benchmark": name,
            **_circumstances(settings, started, load, packages),
            "rows": entries,
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(found, indent=1, ensure_ascii=False)
        options.json.write_text(text + "\n", encoding="utf-8")
        if options.json.parent == RESULTS:
            _page.write()
    return int(any("disagreement" in outcome.record for outcome in outcomes))


def hold_threads() -> None:
    """Keep this process to as many processors as threads, for engines that ask for neither."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])


def machine() -> dict[str, Any]:
    """Processor, cores, memory and system."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": model[0] if model else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Versions of Python and of distributions."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = ABSENT
    return found


def blas() -> list[dict[str, Any]]:
    """Libraries with threads of their own that this process has loaded."""
    keys = ("user_api", "internal_api", "version", "threading_layer", "architecture", "num_threads")
    return [{key: each[key] for key in keys if key in each} for each in threadpool_info()]


def _options(name: str, names: list[str], argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"make bench NAME={name}")
    parser.add_argument("--quick", action="store_true", help="small sizes, once, nothing judged")
    parser.add_argument("--rows", metavar="A,B", help=f"some of: {', '.join(names)}")
    parser.add_argument("--repeats", type=int, help="default: 5, or 1 with --quick")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the engines")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help=f"where to write; a full run writes results/{name}.json, others nothing unless told",
    )
    parser.add_argument(
        "--folder", type=Path, default=Path(gettempdir()), help="for data on disk, 1 GB"
    )
    options = parser.parse_args(argv)
    if not options.json and not options.quick and not options.rows:
        options.json = RESULTS / f"{name}.json"
    options.rows = options.rows.split(",") if options.rows else names
    if unknown := set(options.rows) - set(names):
        parser.error(f"no row named {', '.join(sorted(unknown))}; one of: {', '.join(names)}")
    return options


def measure(row: Row, settings: Settings) -> Outcome:
    """Measure one row, or say how engines differ."""
    try:
        return row.measure(settings)
    except Disagreement as error:
        return Outcome(record={"disagreement": str(error)}, note=f"DIFFERS: {error}")


def _table(
    rows: Sequence[Row], outcomes: Sequence[Outcome], engines: Sequence[str], settings: Settings
) -> Table:
    caption = "small sizes: nothing is judged" if settings.quick else None
    heads = [Column(head, no_wrap=True) for head in ("row", *engines, "measured", "asked", "")]
    table = Table(*heads, caption=caption)
    for row, outcome in zip(rows, outcomes, strict=True):
        measured, asked, verdicts = [], [], []
        for each in outcome.criteria:
            measured.append(ABSENT if each.measured is None else f"{each.measured:.3g} {each.unit}")
            asked.append(f"{'≤' if each.at_most else '≥'} {each.asked:g}")
            verdicts.append(_colored("not judged" if settings.quick else each.verdict()))
        cells = [outcome.cells.get(engine, "–") for engine in engines]
        table.add_row(
            row.label,
            *cells,
            "\n".join([*measured, outcome.note] if outcome.note else measured),
            "\n".join(asked),
            "\n".join(verdicts),
            end_section=True,
        )
    return table


def _colored(verdict: str) -> str:
    color = {"PASS": "green", "MISS": "red"}.get(verdict)
    return f"[{color}]{verdict}[/{color}]" if color else verdict


def _circumstances(
    settings: Settings, started: float, load: tuple[float, ...], packages: Sequence[str]
) -> dict[str, Any]:
    """When, how, on what and with what the rows were measured."""
    return {
        "utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(time.time() - started, 1),
        "quick": settings.quick,
        "repeats": settings.repeats,
        "seed": settings.seed,
        "threads": THREADS,
        "machine": machine(),
        "load": {"before": load, "after": os.getloadavg()},
        "versions": versions(packages),
        "blas": blas(),
    }


def _entry(row: Row, outcome: Outcome, settings: Settings) -> dict[str, Any]:
    """One row of the table as the JSON keeps it."""
    criteria = [
        asdict(each) | {"verdict": "not judged" if settings.quick else each.verdict()}
        for each in outcome.criteria
    ]
    note = {"note": outcome.note} if outcome.note else {}
    return {"name": row.name, "label": row.label, "criteria": criteria, **outcome.record, **note}
