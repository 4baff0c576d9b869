"""Simulated overlap: success and time of a default fit against many starts of scikit-learn.

The log-likelihood at the optimum varies around that of the truth with a standard deviation of
sqrt(p / 2) nat in all, with p free parameters (half a chi-squared): 2.9 in the smallest cell, 17
parameters and 1,000 rows, so 3e-3 per row, and more in all others. `WITHIN` is a third of that:
optima that are closer are equally good as far as the rows can tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

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
from tests.benchmarks._data import seeded_population
from tests.benchmarks._harness import Criterion, Outcome, Settings, milliseconds
from tests.benchmarks._populations import MODERATE, OVERLAPPING, SEPARATED
from tests.benchmarks._success import successes

SPREADS = {"overlapping": OVERLAPPING, "moderate": MODERATE, "separated": SEPARATED}
COMPONENTS = (3, 10, 20)
FEATURES = (2, 10, 20)
DATA_SETS = 3
N_INIT = 20
"""Starts of scikit-learn."""
WITHIN = 1e-3
"""Nat per row below the best that still is the best."""


class Cell(NamedTuple):
    """One overlap, K and D."""

    overlap: str
    k: int
    d: int

    @property
    def n(self) -> int:
        """Number of rows."""
        return max(1000, 100 * self.k)

    def rows(self, seed: int) -> np.ndarray:
        """Rows (n, D) of a population of its own."""
        drawn, _ = seeded_population(self.k, self.d, SPREADS[self.overlap], seed=seed)
        return drawn.rows(self.n, np.random.default_rng([seed, self.n]))


@dataclass(frozen=True)
class Trial:
    """One data set: seconds of the fits, and where all ended."""

    seconds: dict[str, float]
    ends: dict[str, End]

    @property
    def best(self) -> float:
        """Log-likelihood per row of the best genuine optimum."""
        return max(end.worth for end in self.ends.values())

    def succeeded(self, name: str) -> bool:
        """Whether one ended there."""
        return bool(successes([self.ends[name]], self.best, WITHIN)[0])


def cells(settings: Settings) -> Iterator[Cell]:
    """All of them, or the smallest for each overlap."""
    first = slice(1) if settings.quick else slice(None)
    for each in product(SPREADS, COMPONENTS[first], FEATURES[first]):
        yield Cell(*each)


def overlap(asked: float, settings: Settings) -> Outcome:
    """Count the cells in which ours succeeds less often, and add up the seconds."""
    data_sets, n_init = (1, 2) if settings.quick else (DATA_SETS, N_INIT)
    generator = settings.generator
    warm_up(next(cells(settings)).rows(seed=0), 2)
    entries = [
        _entry(cell, [_trial(cell, seed, n_init, generator) for seed in range(data_sets)])
        for cell in cells(settings)
    ]
    total = {name: sum(sum(each["seconds"][name]) for each in entries) for name in CONTENDERS}
    rates = {
        name: np.array([each["success"][name] for each in entries])
        for name in (*CONTENDERS, CONTINUED)
    }
    worse = {name: int((rates[OURS] < rates[name]).sum()) for name in (SCIKIT_LEARN, CONTINUED)}
    criteria = [
        Criterion("cells succeed less", 0, worse[SCIKIT_LEARN], at_most=True),
        Criterion("× scikit-learn", asked, total[SCIKIT_LEARN] / total[OURS]),
    ]
    printed = {
        name: f"{milliseconds(total[name])}\n{rates[name].mean():.0%} succeed"
        for name in CONTENDERS
    }
    note = f"{CONTINUED} {rates[CONTINUED].mean():.0%}; ours less in {worse[CONTINUED]} cells"
    return Outcome(printed, criteria, {"within": WITHIN, "cells": entries}, note)


def _entry(cell: Cell, trials: Sequence[Trial]) -> dict[str, Any]:
    """Rates, seconds and what was missed in the data sets of one cell."""
    entry: dict[str, Any] = cell._asdict() | {
        "n": cell.n,
        "seconds": {name: [each.seconds[name] for each in trials] for name in CONTENDERS},
        "success": {},
        "below_best_per_row": {},
        "genuine": {},
    }
    for name in (*CONTENDERS, CONTINUED):
        ends = [each.ends[name] for each in trials]
        entry["success"][name] = float(np.mean([each.succeeded(name) for each in trials]))
        entry["below_best_per_row"][name] = [
            each.best - end.log_likelihood for each, end in zip(trials, ends, strict=True)
        ]
        entry["genuine"][name] = [end.genuine for end in ends]
    return entry


def _trial(cell: Cell, seed: int, n_init: int, generator: np.random.Generator) -> Trial:
    """Fit one data set by everyone, in random order."""
    x, options = cell.rows(seed), {OURS: {}, SCIKIT_LEARN: {"n_init": n_init}}
    problem = maximum_likelihood(x, cell.k)
    fits = {
        name: default_fit(name, x, cell.k, seed, **options[name])
        for name in map(str, generator.permutation(CONTENDERS))
    }
    ends = {name: end_of(problem, model) for name, (_, model) in fits.items()}
    ends[CONTINUED] = continued(problem, fits[SCIKIT_LEARN][1])
    return Trial({name: taken for name, (taken, _) in fits.items()}, ends)
