"""Success: how often a default fit ends at the best optimum that anyone finds, and how soon."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import comb
from typing import Any

import numpy as np

from tests.benchmarks._contenders import (
    CONTENDERS,
    CONTINUED,
    OURS,
    SCIKIT_LEARN,
    End,
    continued,
    default_fit,
    end_of,
    maximum_likelihood,
    warm_up,
)
from tests.benchmarks._data import rows_and_start
from tests.benchmarks._harness import (
    Criterion,
    Outcome,
    Settings,
    interleave,
    milliseconds,
    times_record,
)
from tests.benchmarks._populations import OVERLAPPING

SEEDS = 20
STARTS = 40
"""Single starts of scikit-learn; the timed ones are the first of them."""
DRAWN = 10
"""Starts that its ``n_init`` asks for."""
WITHIN = 1e-4
"""Nat per row below the best that still is the best."""


def single_starts(n: int, d: int, k: int, asked: float, settings: Settings) -> Outcome:
    """Time default fits of ours and of scikit-learn, and count those that succeed."""
    k, seeds, starts, drawn = (3, 1, 2, 2) if settings.quick else (k, SEEDS, STARTS, DRAWN)
    x, _ = rows_and_start("full", settings.rows(n), d, k, OVERLAPPING)
    models, times = _fits(x, k, seeds, starts, settings)
    problem = maximum_likelihood(x, k)
    ends = {name: [end_of(problem, model) for model in found] for name, found in models.items()}
    ends[CONTINUED] = [continued(problem, model) for model in models[SCIKIT_LEARN]]
    best = max(end.worth for found in ends.values() for end in found)
    hits = {name: successes(found, best, WITHIN) for name, found in ends.items()}
    rates = {name: float(found.mean()) for name, found in hits.items()}
    bounds = np.array([model.lower_bound_ for model in models[SCIKIT_LEARN]])
    many = f"n_init = {drawn}"
    rates[many] = best_of_drawn(bounds, hits[SCIKIT_LEARN], drawn)
    ratio = float(np.median(times[SCIKIT_LEARN]) / np.median(times[OURS]))
    criteria = [
        Criterion("× scikit-learn", asked, ratio),
        Criterion(f"success less {many}", 0.0, rates[OURS] - rates[many]),
    ]
    below = {name: [best - end.log_likelihood for end in found] for name, found in ends.items()}
    record = {
        "n": len(x),
        "d": d,
        "k": k,
        "best_per_row": best,
        "within": WITHIN,
        "success": rates,
        "below_best_per_row": below,
        "engines": times_record(times),
    }
    cells = {
        name: f"{milliseconds(float(np.median(times[name])))}\n{rates[name]:.0%} succeed"
        for name in times
    }
    return Outcome(cells, criteria, record, f"{CONTINUED} {rates[CONTINUED]:.0%}")


def _fits(
    x: np.ndarray, k: int, seeds: int, starts: int, settings: Settings
) -> tuple[dict[str, list[Any]], dict[str, np.ndarray]]:
    """Estimators of seeds 0, 1, ... by engine, and seconds of the first of them."""
    warm_up(x[: 100 * k], k)
    models: dict[str, list[Any]] = {name: [] for name in CONTENDERS}

    def fit_seconds(name: str) -> float:
        taken, model = default_fit(name, x, k, seed=len(models[name]))
        models[name].append(model)
        return taken

    timers: dict[str, Callable[[], float]] = {name: partial(fit_seconds, name) for name in models}
    times = interleave(timers, seeds, settings.generator)
    for _ in range(seeds, starts):
        fit_seconds(SCIKIT_LEARN)
    return models, times


def successes(ends: Sequence[End], best: float, within: float) -> np.ndarray:
    """Whether each ended at a genuine optimum within so much of the best."""
    worth = np.array([end.worth for end in ends])
    return np.isfinite(worth) & (worth >= best - within)


def best_of_drawn(bounds: np.ndarray, hits: np.ndarray, drawn: int) -> float:
    """Probability that the start with the highest bound, of so many drawn, is a success.

    Every set of that many of the starts, without replacement, is as probable. The start of rank r
    (0 is the highest bound of all) is the best of comb(n - 1 - r, drawn - 1) of the
    comb(n, drawn) sets; where the successes have the highest bounds, this is one minus the
    hypergeometric probability of drawing none.
    """
    n = len(bounds)
    ranked = hits[np.argsort(-bounds, kind="stable")]
    sets = sum(comb(n - 1 - r, drawn - 1) for r in range(n) if ranked[r])
    return sets / comb(n, drawn)
