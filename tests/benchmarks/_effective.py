"""Effective draws: how soon in a fresh process, and how many a second, NumPyro's beside ours."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import xarray as xr
from sklearn.exceptions import ConvergenceWarning

import bayesmix as bm
from tests.benchmarks import _cold
from tests.benchmarks._agreement import (
    Quantities,
    Values,
    judged,
    label_invariant,
    largest_r_hat,
    least_ess,
    require_convergence,
    require_same_posterior,
    together,
    values_of,
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
from tests.benchmarks._peers import NumPyro, PyMC
from tests.benchmarks._populations import SEPARATED
from tests.benchmarks._problems import Problem, dealt, faithful, firm

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


def first_call(asked: float, of_stock: float, settings: Settings) -> Outcome:
    """Time a process from its start to its end, ours by NUTS and PyMC's own on the same model."""
    draws = 100 if settings.quick else 1000
    ours = [sys.executable, "-m", "tests.benchmarks._cold", str(draws), "nuts"]

    def process(command: list[str], line: str = "") -> float:
        call = partial(
            subprocess.run, command, input=line, capture_output=True, text=True, check=True
        )
        return seconds(call)[0]

    with TemporaryDirectory() as folder:
        with PyMC(faithful(), Path(folder), "list", draws=draws, tune=1000) as peer:
            stock, line = [*peer.command(), folder + "/problem.npz", "list"], f"1 {peer.draws}\n"
        timers = {
            "bayesmix": partial(process, ours),
            "PyMC": partial(process, stock, line),
        }
        for timer in timers.values():
            timer()  # warms files and caches
        times = interleave(timers, settings.repeats, settings.generator)
    ratio = median_ratio(times["bayesmix"], times["PyMC"])
    medians = {name: float(np.median(values)) for name, values in times.items()}
    criteria = [
        Criterion("s", asked, medians["bayesmix"], at_most=True),
        Criterion("of PyMC", of_stock, ratio, at_most=True),
    ]
    cells = {name: f"{median:.2f} s" for name, median in medians.items()}
    return Outcome(cells, criteria, {"draws": draws, "timings": times_record(times)})


def stick_breaking(asked: float, settings: Settings) -> Outcome:
    """Seconds until NUTS has sampled a truncated Dirichlet process, its chains agreeing."""
    x = dealt(200 if settings.quick else 2000, 2, 4, SEPARATED).x
    weights = bm.DirichletProcess(bm.Gamma(2, 4), truncation=20)
    mixture = bm.Mixture(weights, bm.weakly_informative(x))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # judged below
        call = partial(bm.sample, mixture, x, sampler="nuts", random_seed=1, progressbar=False)
        taken, post = seconds(partial(call, draws=50) if settings.quick else call)
    found = label_invariant(post)
    divergences = int(post["sample_stats"]["diverging"].sum())
    record = {
        "seconds": taken,
        "largest_r_hat": largest_r_hat(found),
        "least_ess": least_ess(found),
        "divergences": divergences,
    }
    criteria = [
        Criterion("s", asked, taken, at_most=True),
        Criterion("R-hat", 1.01, largest_r_hat(found), at_most=True),
    ]
    return Outcome({"bayesmix": f"{taken:.0f} s, {divergences} divergences"}, criteria, record)


class _Runs:
    """Calls of one sampler: what they took and what their draws are worth."""

    def __init__(self, sample: Any) -> None:
        self.sample = sample
        self.seconds: list[float] = []
        self.values: list[Values] = []
        self.found: list[Quantities] = []
        sample(0)  # compiles

    def rate(self) -> float:
        """Effective draws per second of one more call."""
        taken, post = self.sample(len(self.seconds) + 1)
        self.seconds.append(taken)
        self.values.append(values_of(post))
        self.found.append(judged(self.values[-1]))
        return least_ess(self.found[-1]) / taken

    def record(self, rates: np.ndarray) -> dict[str, Any]:
        """All calls, in their order."""
        return {
            "ess_per_second": rates.tolist(),
            "seconds": self.seconds,
            "least_ess": [least_ess(found) for found in self.found],
            "largest_r_hat": [largest_r_hat(found) for found in self.found],
        }


@dataclass(frozen=True)
class Race:
    """One posterior, sampled by one of our samplers and by its peers."""

    problem: Callable[[Settings], Problem]
    sampler: Literal["gibbs", "nuts"]
    asked: dict[str, float]
    """How many times a peer's effective draws per second; of those not named nothing is asked."""
    stock: bool = False
    """Whether PyMC's own distributions take part."""
    draws: int = 1000
    """Per chain and run: more where it takes more to bring R-hat below the limit."""


def race(given: Race, settings: Settings) -> Outcome:
    """Effective draws per second of calls after the first."""
    problem = given.problem(settings)
    draws = 100 if settings.quick else given.draws
    (n, d), k = problem.x.shape, problem.mixture.n_components
    record: dict[str, Any] = {"n": n, "d": d, "k": k, "sampler": given.sampler, "draws": draws}
    runs = {"bayesmix": _Runs(partial(problem.sample, sampler=given.sampler, draws=draws))}
    with ExitStack() as stack:
        if (versions := NumPyro.versions()) is not None:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            record["agreement"] = [_firm_agreement(d, k, folder, settings, given.sampler)]
            method, trials = _better_method(problem, folder)
            peer = NumPyro(problem, folder, method, draws=draws, tune=draws // 2)
            runs["NumPyro"] = _Runs(stack.enter_context(peer).sample)
            record |= {"peer": versions, "trial_seconds": trials, "chain_method": method}
        if given.stock:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            peer = PyMC(problem, folder, "list", draws=draws, tune=draws)
            runs["PyMC"] = _Runs(stack.enter_context(peer).sample)
        rates = _rates(runs, settings)
    if not settings.quick:
        for name, each in runs.items():
            if name != "bayesmix" or given.sampler == "nuts":  # sweeps are cheap and correlated
                require_convergence(name, judged(together(each.values)))
    record["agreement"] = record.get("agreement", []) + _agreement(runs)
    record["engines"] = {name: runs[name].record(rates[name]) for name in runs}
    cells = {"NumPyro": ABSENT}
    cells |= {name: f"{np.median(values):,.0f} ESS/s" for name, values in rates.items()}
    criteria = [
        Criterion(
            f"× {name}",
            asked,
            median_ratio(rates["bayesmix"], rates[name]) if name in rates else None,
        )
        for name, asked in given.asked.items()
    ]
    return Outcome(cells, criteria, record)


def _rates(runs: dict[str, _Runs], settings: Settings) -> dict[str, np.ndarray]:
    timers = {name: each.rate for name, each in runs.items()}
    return interleave(timers, settings.repeats, settings.generator)


def _firm_agreement(d: int, k: int, folder: Path, settings: Settings, sampler: str) -> float:
    """Largest difference of posterior means, in standard errors, where the prior counts."""
    problem, draws = firm(d, k), 200 if settings.quick else 1000
    with NumPyro(problem, folder, "parallel", draws=draws, tune=draws) as peer:
        theirs = label_invariant(peer.sample(1)[1])
    ours = label_invariant(problem.sample(1, sampler=sampler, draws=draws)[1])
    return require_same_posterior("NumPyro", theirs, ours)


def _agreement(runs: dict[str, _Runs]) -> list[float]:
    """The same of every repeat of every peer."""
    found = []
    for name in runs.keys() - {"bayesmix"}:
        pairs = zip(runs[name].found, runs["bayesmix"].found, strict=True)
        found += [require_same_posterior(name, *pair) for pair in pairs]
    return found


def _better_method(problem: Problem, folder: Path) -> tuple[str, dict[str, float]]:
    """Find NumPyro's faster way to run chains, by second calls with few draws."""
    trials = {}
    for method in ("parallel", "vectorized"):
        with NumPyro(problem, folder, method, draws=50, tune=50) as peer:
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
