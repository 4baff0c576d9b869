"""The rows that EM is timed on: one seeded population per size, in memory or on disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tests.benchmarks._harness import Settings
from tests.benchmarks._populations import Population, Start, population


def seeded_population(
    k: int, d: int, spread: float, covariance_type: str = "full", *, seed: int = 20240229
) -> tuple[Population, Start]:
    """Draw a population, always the same, and where EM starts on it."""
    generator = np.random.default_rng(seed)
    drawn = population(k, d, spread, generator)
    return drawn, drawn.start(covariance_type, generator)


def rows_and_start(
    covariance_type: str, n: int, d: int, k: int, spread: float
) -> tuple[np.ndarray, Start]:
    """Rows (n, D) of a population, always the same, and where EM starts on them."""
    drawn, start = seeded_population(k, d, spread, covariance_type)
    return drawn.rows(n, np.random.default_rng(n)), start


@contextmanager
def rows_on_disk(drawn: Population, n: int, settings: Settings) -> Iterator[Path | None]:
    """Path of an .npy file of n rows, written block by block; None if the disk is too full."""
    d, block = drawn.means.shape[1], 1_000_000
    if shutil.disk_usage(settings.folder).free < 1.2 * 8 * n * d:
        yield None
        return
    with TemporaryDirectory(dir=settings.folder) as folder:
        path = Path(folder, "rows.npy")
        generator = np.random.default_rng(n)
        file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float64, shape=(n, d))
        for first in range(0, n, block):
            file[first : first + block] = drawn.rows(min(block, n - first), generator)
        file.flush()
        del file
        yield path
