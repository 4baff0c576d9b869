"""A grid of models, 1 to 9 components by four structures: ours against mclust's."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

import bayesmix as bm
from bayesmix.problem import Point
from tests.benchmarks._contenders import OURS, maximum_likelihood
from tests.benchmarks._data import rows_and_start
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
from tests.benchmarks._mclust import MODELS, Mclust
from tests.benchmarks._populations import OVERLAPPING

MCLUST = "mclust"
COMPONENTS = range(1, 10)
NO_OPTIMUM = ("singular", "spurious", "non_finite")
"""Statuses of ours by which a model has no log-likelihood to compare."""
AT_MOST = 3
"""Repeats: mclust takes tens of seconds for each."""
WITHIN = 1e-5
"""Nat per row by which an optimum may be lower: mclust's own tolerance, relative."""
TOLERANCE = 1e-8
"""Relative, of mclust's log-likelihood and ours at the same parameters."""


def grid(n: int, d: int, k: int, asked: float, settings: Settings) -> Outcome:
    """Time both grids on rows of k clusters, and count the models in which ours ends lower."""
    x, _ = rows_and_start("full", settings.rows(n), d, k, OVERLAPPING)
    components = range(1, 4) if settings.quick else COMPONENTS
    _our_grid(x[:500], components, seed=0)  # compiles
    versions = Mclust.versions()
    with TemporaryDirectory() as folder:
        peer = Mclust(x, Path(folder)) if versions else None
        checked = {"agreement": agreement(peer, x, components[-1])} if peer else {}
        found, times = _grids(x, components, peer, settings)
    speed, worse, record = None, None, {"n": len(x), "d": d, "k": k, "peer": versions, **checked}
    note = ""
    if peer:
        speed = median_ratio(times[MCLUST], times[OURS])
        differences = found[OURS] - found[MCLUST]
        worse, better = worse_models(differences), worse_models(-differences)
        missing = int(np.isnan(differences).any(axis=0).sum())
        note = f"{better} better, {missing} left out, of {differences[0].size}"
        record["ours_less_theirs_per_row"] = dict(
            zip(MODELS, differences.swapaxes(0, 1).tolist(), strict=True)
        )
    criteria = [
        Criterion(f"× {MCLUST}", asked, speed),
        Criterion("models worse", 0, worse, at_most=True),
    ]
    cells = {
        name: milliseconds(float(np.median(times[name]))) if name in times else ABSENT
        for name in (OURS, MCLUST)
    }
    return Outcome(cells, criteria, record | {"engines": times_record(times)}, note)


def _grids(
    x: np.ndarray, components: range, peer: Mclust | None, settings: Settings
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Log-likelihoods per row (repeat, type, K) and seconds (repeat,); the seed is the repeat."""
    found: dict[str, list[np.ndarray]] = {OURS: [], MCLUST: []}

    def our_seconds() -> float:
        taken, totals = _our_grid(x, components, seed=len(found[OURS]))
        found[OURS].append(totals / len(x))
        return taken

    def their_seconds(peer: Mclust) -> float:
        taken, totals = peer.grid(components[-1], seed=len(found[MCLUST]))
        found[MCLUST].append(np.array([totals[name] for name in MODELS]) / len(x))
        return taken

    timers = {OURS: our_seconds} | ({MCLUST: partial(their_seconds, peer)} if peer else {})
    times = interleave(timers, min(settings.repeats, AT_MOST), settings.generator)
    return {name: np.array(found[name]) for name in times}, times


def worse_models(differences: np.ndarray) -> int:
    """Models that end lower in any repeat, from differences per row (repeat, type, K).

    One without a log-likelihood of ours is worse (-inf); one without theirs is left out (NaN).
    """
    return int(np.any(differences < -WITHIN, axis=0).sum())


def agreement(peer: Mclust, x: np.ndarray, n_components: int) -> float:
    """Relative difference of log-likelihoods at mclust's parameters, at most of all types.

    Raises
    ------
    Disagreement
        If it is more than `TOLERANCE`.
    """
    found = 0.0
    for covariance_type in MODELS:
        theirs = peer.fit(covariance_type, n_components, seed=0)
        difference = abs(_log_likelihood(x, theirs.point) / theirs.log_likelihood - 1)
        if not difference <= TOLERANCE:
            raise Disagreement(
                f"{MCLUST}, {covariance_type}: off by {difference:.1e}, relative, from bayesmix"
            )
        found = max(found, difference)
    return found


def _our_grid(x: np.ndarray, components: range, seed: int) -> tuple[float, np.ndarray]:
    """Seconds of a grid, and its total log-likelihoods (type, K), -inf where there is none."""
    types = tuple(MODELS)
    call = partial(
        bm.fit_grid, x, n_components=components, covariance_types=types, random_seed=seed
    )
    taken, table = seconds(call)
    order = pd.MultiIndex.from_product([types, components])
    table = table.reindex(order)
    genuine = ~table["status"].isin(NO_OPTIMUM) & table["log_likelihood"].notna()
    totals = table["log_likelihood"].where(genuine, -np.inf).to_numpy(float)
    return taken, totals.reshape(len(types), len(components))


def _log_likelihood(x: np.ndarray, point: Point) -> float:
    problem = maximum_likelihood(x, len(point.weights), point.structure.name, reg_covar=0.0)
    return float(problem.expect(point)[0].log_likelihood)
