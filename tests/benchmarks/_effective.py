"""Effective draws: how soon in a fresh process, and how many a second, NumPyro's beside ours."""

from __future__ import annotations

import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import xarray as xr
from sklearn.exceptions import ConvergenceWarning

from tests.benchmarks import _cold
from tests.benchmarks._agreement import (
    Quantities,
    label_invariant,
    largest_r_hat,
    least_ess,
    require_convergence,
    require_same_posterior,
)
from tests.benchmarks._harness import (
    ABSENT,
    Criterion,
    Disagreement,
    Outcome,
    Settings,
    interleave,
    median_ratio,
    seconds,
    times_record,
)
from tests.benchmarks._peers import NumPyro
from tests.benchmarks._problems import Problem, dealt, firm

ENOUGH = 400
"""Effective draws that the fresh process is to make."""


def cold(asked: float, settings: Settings) -> Outcome:
    """Time a process from its start to its end; its draws are those of this process."""
    draws, post = _enough_draws()
    expected = _cold.checksum(post)
    command = [sys.executable, "-m", "tests.benchmarks._cold", str(draws)]

    def process() -> float:
        call = partial(subprocess.run, command, capture_output=True, text=True, check=True)
        taken, done = seconds(call)
        if float(done.stdout) != expected:
            raise Disagreement("a fresh process does not draw what this one does")
        return taken

    process()  # warms the files
    times = interleave({"bayesmix": process}, settings.repeats, settings.generator)
    median = float(np.median(times["bayesmix"]))
    record = {
        "draws_per_chain": draws,
        "least_ess": least_ess(label_invariant(post)),
        "timings": times_record(times),
    }
    criteria = [Criterion("s", asked, median, at_most=True)]
    return Outcome({"bayesmix": f"{median:.2f} s"}, criteria, record)


class _Runs:
    """Calls of one sampler: what they took and what their draws are worth."""

    def __init__(self, sample: Any) -> None:
        self.sample = sample
        self.seconds: list[float] = []
        self.found: list[Quantities] = []
        sample(0)  # compiles

    def rate(self) -> float:
        """Effective draws per second of one more call."""
        taken, post = self.sample(len(self.seconds) + 1)
        self.seconds.append(taken)
        self.found.append(label_invariant(post))
        return least_ess(self.found[-1]) / taken

    def record(self, rates: np.ndarray) -> dict[str, Any]:
        """All calls, in their order."""
        return {
            "ess_per_second": rates.tolist(),
            "seconds": self.seconds,
            "least_ess": [least_ess(found) for found in self.found],
            "largest_r_hat": [largest_r_hat(found) for found in self.found],
        }


def against_numpyro(
    n: int, d: int, k: int, spread: float, asked: float | None, settings: Settings
) -> Outcome:
    """Effective draws per second of calls after the first."""
    problem = dealt(1000 if settings.quick else n, d, k, spread)
    draws = 100 if settings.quick else 1000
    record: dict[str, Any] = {"n": len(problem.x), "d": d, "k": k, "spread": spread}
    runs = {"bayesmix": _Runs(partial(problem.sample, draws=draws))}
    if (versions := NumPyro.versions()) is None:
        rates = _rates(runs, settings)
    else:
        with TemporaryDirectory() as folder:
            firm_agreement = _firm_agreement(d, k, Path(folder), settings)
            method, trials = _better_method(problem, Path(folder))
            options = {"draws": draws, "tune": draws // 2, "chain_method": method}
            with NumPyro(problem, Path(folder), **options) as peer:
                runs["NumPyro"] = _Runs(peer.sample)
                rates = _rates(runs, settings)
        record |= {"peer": versions, "trial_seconds": trials, **options}
        record["agreement"] = [firm_agreement, *_agreement(runs, settings)]
    record["engines"] = {name: runs[name].record(rates[name]) for name in runs}
    cells = {"NumPyro": ABSENT}
    cells |= {name: f"{np.median(values):,.0f} ESS/s" for name, values in rates.items()}
    if asked is None:
        return Outcome(cells, record=record)
    ratio = median_ratio(rates["bayesmix"], rates["NumPyro"]) if versions else None
    return Outcome(cells, [Criterion("× NumPyro", asked, ratio)], record)


def _rates(runs: dict[str, _Runs], settings: Settings) -> dict[str, np.ndarray]:
    timers = {name: each.rate for name, each in runs.items()}
    return interleave(timers, settings.repeats, settings.generator)


def _firm_agreement(d: int, k: int, folder: Path, settings: Settings) -> float:
    """Largest difference of posterior means, in standard errors, where the prior counts."""
    problem, draws = firm(d, k), 200 if settings.quick else 1000
    with NumPyro(problem, folder, draws=draws, tune=draws, chain_method="parallel") as peer:
        theirs = label_invariant(peer.sample(1)[1])
    ours = label_invariant(problem.sample(1, draws=draws)[1])
    return require_same_posterior("NumPyro", theirs, ours)


def _agreement(runs: dict[str, _Runs], settings: Settings) -> list[float]:
    """The same of every repeat, once the peer's chains have converged."""
    if not settings.quick:
        for found in runs["NumPyro"].found:
            require_convergence("NumPyro", found)
    pairs = zip(runs["NumPyro"].found, runs["bayesmix"].found, strict=True)
    return [require_same_posterior("NumPyro", *pair) for pair in pairs]


def _better_method(problem: Problem, folder: Path) -> tuple[str, dict[str, float]]:
    """Find NumPyro's faster way to run chains, by second calls with few draws."""
    trials = {}
    for method in ("parallel", "vectorized"):
        with NumPyro(problem, folder, draws=50, tune=50, chain_method=method) as peer:
            peer.sample(1)
            trials[method] = peer.sample(2)[0]
    return min(trials, key=lambda method: trials[method]), trials


def _enough_draws() -> tuple[int, xr.DataTree]:
    """Draws per chain that are worth `ENOUGH` effective ones, found by doubling."""
    draws = 125
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # too few, at first
        while least_ess(label_invariant(post := _cold.sample(draws))) < ENOUGH:
            draws *= 2
    return draws, post
