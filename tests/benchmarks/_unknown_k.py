"""What is measured where the number of clusters is unknown."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import xarray as xr
from scipy.stats import multivariate_normal
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm
from bayesmix.gibbs_run import run_chains
from bayesmix.gibbs_varying import VaryingChain, compile_varying
from bayesmix.mixture import WeightPrior
from tests.benchmarks._agreement import Quantity, judged, require_same_posterior
from tests.benchmarks._harness import (
    ABSENT,
    THREADS,
    Criterion,
    Outcome,
    Settings,
    interleave,
    median_ratio,
    megabytes,
    peak_growth,
    times_record,
)
from tests.benchmarks._peers import Pyrichlet
from tests.benchmarks._populations import MODERATE, SEPARATED, Population, population
from tests.benchmarks._problems import Problem, dealt, firm

SIZES = 150, 35, 30
"""Rows of the unequal clusters, as many as the thyroid data have."""
APART = 3.5
"""Typical distance of their means, in standard deviations: near enough that two may be one."""
FEW = 60
"""Rows on which the peer is checked: it mixes slowly on more."""
CHECKED = 30.0
"""Seconds that it has for that."""
MOST_RUNS = 2
"""Beside a peer, however many repeats are asked for: a run takes minutes."""
TURN = 10
"""Sweeps between two looks at the labels."""
ALIKE = 0.95
"""Adjusted Rand index that all chains are to reach."""
MOST_DRAWS = 32_000
"""Per chain; where these are not enough, seconds are those of as many as it would take."""
PATIENCE = 300.0
"""Seconds after which they are given up."""


def unequal(asked: float, settings: Settings) -> Outcome:
    """Seconds of calls that make enough effective draws of K+; how many draws, by doubling."""
    problem, draws = unequal_clusters(), 125
    enough, most = (100, 1000) if settings.quick else (1000, MOST_DRAWS)
    while n_clusters(problem.sample(0, draws=draws)[1]).ess < enough and draws < most:
        draws *= 2
    found: list[Quantity] = []

    def call() -> float:
        taken, post = problem.sample(len(found) + 1, draws=draws)
        found.append(n_clusters(post))
        worth = found[-1].ess
        return taken * max(1.0, enough / worth) if worth else np.inf

    times = interleave({"bayesmix": call}, settings.repeats, settings.generator)
    median = float(np.median(times["bayesmix"]))
    record = {"draws": draws, **_judged_record(found), "timings": times_record(times)}
    cells = {"bayesmix": f"{median:.2f} s, 4 × {draws:,}"}
    return Outcome(cells, [Criterion("s", asked, median, at_most=True)], record)


def galaxy(asked: float, settings: Settings) -> Outcome:
    """Seconds of calls after the first, and what the draws of K+ are worth."""
    x = bm.datasets.load("galaxy")
    weights = bm.MixtureOfFiniteMixtures(bm.UniformK(1, 30))
    mixture = bm.Mixture(weights, bm.richardson_green(x))
    problem = Problem(x.to_numpy(), np.zeros(len(x), int), mixture)
    draws = 200 if settings.quick else 20_000
    problem.sample(0, draws=100)  # compiles
    found: list[Quantity] = []

    def call() -> float:
        taken, post = problem.sample(len(found) + 1, draws=draws)
        found.append(n_clusters(post))
        return taken

    times = interleave({"bayesmix": call}, settings.repeats, settings.generator)
    median = float(np.median(times["bayesmix"]))
    record = {"draws": draws, **_judged_record(found), "timings": times_record(times)}
    effective = np.median([each.ess for each in found])
    cells = {"bayesmix": f"{median:.1f} s, {effective:,.0f} effective"}
    return Outcome(cells, [Criterion("s", asked, median, at_most=True)], record)


def from_one_cluster(asked: float, bytes_asked: float, settings: Settings) -> Outcome:
    """Seconds until four chains that start in one cluster have found all, and what memory grew."""
    drawn = population(10, 5, SEPARATED, np.random.default_rng(20240229))
    n = settings.rows(100_000)
    truth = np.arange(n) % 10
    x = drawn.rows(n, np.random.default_rng(n), truth)
    mixture = bm.Mixture(bm.DirichletProcess(), bm.weakly_informative(x))
    compile_varying(mixture)
    runs: list[dict[str, Any]] = []

    def run() -> float:
        runs.append(_watched(mixture, x, truth, seed=len(runs)))
        return runs[-1]["seconds"]

    times = interleave({"bayesmix": run}, settings.repeats, settings.generator)
    median = float(np.median(times["bayesmix"]))
    grown = [each["grown"] for each in runs]
    memory = None if None in grown else max(grown)
    best = adjusted_rand_score(truth, best_labels(drawn, x))
    record = {"n": n, "rand_index_of_best_labels": best, "runs": runs}
    criteria = [
        Criterion("s", asked, median, at_most=True),
        Criterion("bytes", bytes_asked, memory, at_most=True),
    ]
    size = "" if memory is None else f", + {megabytes(memory)}"
    return Outcome({"bayesmix": f"{median:.1f} s{size}"}, criteria, record)


def against_peer(weights: WeightPrior, asked: float, settings: Settings) -> Outcome:
    """Effective draws of K+ per second, of two cores."""
    n, budget, draws = (1000, 2.0, 200) if settings.quick else (10_000, 240.0, 8000)
    problem = _with_weights(dealt(n, 2, 4, MODERATE), weights)
    record: dict[str, Any] = {"n": n, "draws": draws}
    found: dict[str, list[Quantity]] = {"bayesmix": []}
    problem.sample(0, draws=50)  # compiles

    def ours() -> float:
        taken, post = problem.sample(len(found["bayesmix"]) + 1, draws=draws)
        found["bayesmix"].append(n_clusters(post))
        return found["bayesmix"][-1].ess / taken

    with TemporaryDirectory() as folder:
        timers = {"bayesmix": ours}
        if versions := Pyrichlet.versions():
            record |= {"peer": versions, "agreement": _agreement(weights, Path(folder))}
            peer, found["pyrichlet"] = Pyrichlet(problem, Path(folder)), []

            def theirs() -> float:
                taken, values = peer.n_clusters(len(found["pyrichlet"]) + 1, budget)
                found["pyrichlet"].append(judge(values))
                return found["pyrichlet"][-1].ess / taken

            timers["pyrichlet"] = theirs
        repeats = min(settings.repeats, MOST_RUNS)
        rates = interleave(timers, repeats, settings.generator)
    record["engines"] = {
        name: {"ess_per_second": rates[name].tolist(), **_judged_record(found[name])}
        for name in rates
    }
    ratio = median_ratio(rates["bayesmix"], rates["pyrichlet"]) if "pyrichlet" in rates else None
    cells = {"pyrichlet": ABSENT}
    cells |= {name: f"{np.median(values):,.3g} ESS/s" for name, values in rates.items()}
    return Outcome(cells, [Criterion("× pyrichlet", asked, ratio)], record)


def unequal_clusters() -> Problem:
    """Rows of three clusters that overlap, and a static mixture of finite mixtures for them."""
    drawn = population(3, 5, APART, np.random.default_rng(20240229))
    labels = np.repeat(np.arange(3), SIZES)
    x = drawn.rows(len(labels), np.random.default_rng(len(labels)), labels)
    weights = bm.MixtureOfFiniteMixtures(bm.BetaNegativeBinomial(1, 4, 3))
    return Problem(x, labels, bm.Mixture(weights, bm.weakly_informative(x)))


def judge(values: np.ndarray) -> Quantity:
    """What draws of K+ (chain, draw) are worth: nothing where they never moved."""
    still = Quantity(0.0, np.nan, float(values.mean()), np.nan)
    with np.errstate(invalid="ignore"):  # R-hat of chains that stand still
        return judged({"n_clusters": values}).get("n_clusters", still)


def n_clusters(post: xr.DataTree) -> Quantity:
    """What a tree's draws of K+ are worth."""
    return judge(post["posterior"]["n_clusters"].values)


def best_labels(drawn: Population, x: np.ndarray) -> np.ndarray:
    """Labels (n,) that are wrong least often, of clusters with equally many rows."""
    pairs = zip(drawn.means, drawn.covariances, strict=True)
    return np.argmax([multivariate_normal(*pair).logpdf(x) for pair in pairs], axis=0)


def _watched(mixture: bm.Mixture, x: np.ndarray, truth: np.ndarray, seed: int) -> dict[str, Any]:
    """Run four chains from one cluster until they have found all, or for too long."""
    generators = np.random.default_rng(seed).spawn(4)
    start = np.zeros(len(x), int)
    chains = [VaryingChain.at(mixture, x, start, generator) for generator in generators]
    turn = {"tune": TURN - 1, "draws": 1, "thin": 1, "cores": THREADS, "keep_labels": False}
    trace: list[tuple[float, list[float]]] = []

    def run() -> None:
        started = time.perf_counter()
        while not trace or (min(trace[-1][1]) < ALIKE and trace[-1][0] < PATIENCE):
            run_chains(chains, **turn, report=lambda sweeps: None)
            index = [float(adjusted_rand_score(truth, chain.labels)) for chain in chains]
            trace.append((time.perf_counter() - started, index))

    grown = peak_growth(run)
    reached = min(trace[-1][1]) >= ALIKE
    return {
        "seconds": trace[-1][0] if reached else np.inf,
        "sweeps": TURN * len(trace),
        "n_clusters": [chain.n_clusters for chain in chains],
        "grown": grown,
        "trace": trace,
    }


def _with_weights(problem: Problem, weights: WeightPrior) -> Problem:
    return replace(problem, mixture=bm.Mixture(weights, problem.mixture.components))


def _agreement(weights: WeightPrior, folder: Path) -> float:
    """Difference of the means of K+ on few rows, where the prior counts, in standard errors."""
    few = _with_weights(firm(2, 2), weights)
    few = replace(few, x=few.x[:FEW], labels=few.labels[:FEW])
    _, theirs = Pyrichlet(few, folder).n_clusters(1, CHECKED)
    _, ours = few.sample(1, draws=5000)
    pair = judge(theirs), n_clusters(ours)
    return require_same_posterior("pyrichlet", *({"n_clusters": each} for each in pair))


def _judged_record(found: list[Quantity]) -> dict[str, list[float]]:
    """Of each call, in their order."""
    return {
        "ess": [each.ess for each in found],
        "r_hat": [each.r_hat for each in found],
        "mean": [each.mean for each in found],
        "mcse": [each.mcse for each in found],
    }
