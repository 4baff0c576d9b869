"""What `membership` takes of time and memory.

Draws are real: Gibbs sampling of fewer rows of the same population, so that the tree has no labels
of all rows. The call runs in a process of its own that has read draws and rows from disk; its
memory is the most that the process ever had resident, imports, draws and rows included.
"""

from __future__ import annotations

import time
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import xarray as xr

import bayesmix as bm
from bayesmix import schema
from bayesmix.inputs import as_table
from tests.benchmarks._harness import (
    Criterion,
    Outcome,
    Row,
    Settings,
    in_fresh_process,
    megabytes,
    resident_peak,
    times_record,
)
from tests.benchmarks._populations import MODERATE, population

COMPONENTS, FEATURES, CHAINS = 5, 5, 4
SAMPLED = 5_000
"""Rows that the draws have seen."""


def place_rows(
    n: int, draws: int, asked: float | None, bytes_asked: float, settings: Settings
) -> Outcome:
    """Seconds and peak memory of memberships of n rows, of so many draws together."""
    n, times, peaks = settings.rows(n), [], []
    x, post = _rows(n), _posterior(draws)
    bm.membership(post, x[:10])  # compiles
    with TemporaryDirectory(dir=settings.folder) as name:
        folder = Path(name)
        post.to_netcdf(folder / "post.nc", engine="h5netcdf")
        np.save(folder / "x.npy", x)
        for _ in range(settings.repeats):
            taken, peak = in_fresh_process(_placed, folder)
            times.append(taken)
            peaks.append(peak)
    median = float(np.median(times))
    criteria = [Criterion("bytes", bytes_asked, max(peaks), at_most=True)]
    if asked is not None:
        criteria.insert(0, Criterion("s", asked, median, at_most=True))
    timings = times_record({"bayesmix": np.array(times)})
    record = {"n": n, "draws": draws, "peak_bytes": peaks, "timings": timings}
    return Outcome({"bayesmix": f"{median:.1f} s, {megabytes(max(peaks))}"}, criteria, record)


def _placed(folder: Path) -> tuple[float, int]:
    """Seconds of a call in this process, and the most memory it ever had."""
    post, x = bm.load(folder / "post.nc"), np.load(folder / "x.npy")
    post["observed_data"] = xr.DataTree(schema.observed_data(as_table(x)))
    started = time.perf_counter()
    found = bm.membership(post)
    taken = time.perf_counter() - started
    assert found.sizes["obs"] == len(x)
    return taken, resident_peak()


def _rows(n: int) -> np.ndarray:
    drawn = population(COMPONENTS, FEATURES, MODERATE, np.random.default_rng(20240229))
    return drawn.rows(n, np.random.default_rng(n), np.arange(n) % COMPONENTS)


@cache
def _posterior(draws: int) -> xr.DataTree:
    x = _rows(SAMPLED)
    mixture = bm.Mixture(bm.Dirichlet(COMPONENTS), bm.weakly_informative(x))
    return bm.sample(
        mixture,
        x,
        draws=draws // CHAINS,
        chains=CHAINS,
        store=("parameters",),
        random_seed=1,
        progressbar=False,
    )


ROWS = (
    Row(
        "membership-1e5",
        "membership, 4,000 draws, 1e5 × 5, K = 5",
        partial(place_rows, 100_000, 4_000, 30, 500e6),
    ),
    Row(
        "membership-1e6",
        "membership, 500 draws, 1e6 × 5, K = 5",
        partial(place_rows, 1_000_000, 500, None, 4e9),
    ),
)
