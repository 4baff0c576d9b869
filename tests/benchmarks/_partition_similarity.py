"""Seconds of a dense similarity matrix against the matrix product that NumPy users write.

The product is that of the one-hot labels of all draws, float32, with its own transpose, which
NumPy hands to the BLAS as a symmetric update. Making the one-hot matrix is timed apart.
"""

from __future__ import annotations

import numpy as np

import bayesmix as bm
from tests.benchmarks._harness import (
    Criterion,
    Disagreement,
    Outcome,
    Row,
    Settings,
    interleave,
    median_ratio,
    milliseconds,
    seconds,
    times_record,
)
from tests.benchmarks._partition_draws import label_draws

ROUNDING = 1e-6
FASTER = 6


def dense(settings: Settings) -> Outcome:
    """Ratio of the product's time to that of all we do, from labels to the matrix."""
    draws = 200 if settings.quick else 2_000
    label = label_draws(settings.rows(10_000), draws)
    hot = one_hot(label)

    def ours() -> np.ndarray:
        return bm.similarity(label).to_dataarray().values

    def product() -> np.ndarray:
        return hot @ hot.T / np.float32(draws)

    apart = float(np.abs(ours() - product()).max())  # compiles
    if apart > ROUNDING:
        raise Disagreement(f"probabilities differ by {apart}")
    timers = {
        "bayesmix": lambda: seconds(ours)[0],
        "product": lambda: seconds(product)[0],
        "one-hot": lambda: seconds(lambda: one_hot(label))[0],
    }
    times = interleave(timers, settings.repeats, settings.generator)
    ratio = median_ratio(times["product"], times["bayesmix"])
    cells = {
        "bayesmix": milliseconds(float(np.median(times["bayesmix"]))),
        "NumPy": f"{milliseconds(float(np.median(times['product'])))}, one-hot + "
        f"{milliseconds(float(np.median(times['one-hot'])))}",
    }
    record = {
        "n": label.shape[1],
        "draws": draws,
        "columns": hot.shape[1],
        "largest_difference": apart,
        "ratio_with_one_hot": median_ratio(times["product"] + times["one-hot"], times["bayesmix"]),
        "timings": times_record(times),
    }
    return Outcome(cells, [Criterion("x", FASTER, ratio)], record)


def one_hot(label: np.ndarray) -> np.ndarray:
    """Labels (S, n) as columns of zeros and ones, float32 (n, all clusters of all draws)."""
    n_clusters = label.max(axis=1).astype(int) + 1
    start = np.append(0, np.cumsum(n_clusters))
    out = np.zeros((label.shape[1], start[-1]), np.float32)
    rows = np.arange(label.shape[1])
    for first, own in zip(start, label, strict=False):
        out[rows, first + own] = 1
    return out[:, out.any(axis=0)]


ROWS = (Row("similarity-1e4", "dense similarity, n = 1e4, 2,000 draws", dense),)
