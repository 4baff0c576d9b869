"""Seconds and memory of finding a partition, held to hierarchical cuts and to the draws.

The call runs in a process of its own that has read the labels from disk. Nothing counts before
the loss it reports is what a count of labels gives, and no cut and no draw looked at has a lower
one.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import bayesmix as bm
from tests.benchmarks._harness import (
    Criterion,
    Disagreement,
    Outcome,
    Row,
    Settings,
    in_fresh_process,
    megabytes,
    resident_peak,
    times_record,
)
from tests.benchmarks._partition_draws import label_draws

ROUNDING = 1e-9
MOST_LINKED = 10_000
"""Rows up to which cuts of hierarchical trees are looked at: these need all pairs of rows."""
CUTS = range(8, 25)
DRAWS_TRIED = 20


def find(
    n: int, draws: int, asked: float, bytes_asked: float | None, settings: Settings
) -> Outcome:
    """Seconds and peak memory of `partition` by variation of information, all inclusive."""
    n, draws = settings.rows(n), draws // 10 if settings.quick else draws
    label = label_draws(n, draws)
    bm.partition(label[:20, :200], random_seed=1)  # compiles
    times, peaks = [], []
    with TemporaryDirectory(dir=settings.folder) as name:
        path = Path(name) / "label.npy"
        np.save(path, label)
        for _ in range(settings.repeats):
            taken, peak, said, found = in_fresh_process(_found, path)
            times.append(taken)
            peaks.append(peak)
    median = float(np.median(times))
    criteria = [Criterion("s", asked, median, at_most=True)]
    if bytes_asked is not None:
        criteria.append(Criterion("bytes", bytes_asked, max(peaks), at_most=True))
    record = {
        "n": n,
        "draws": draws,
        "n_clusters": int(found.max()) + 1,
        "expected_bits": _held_to_others(found, said, label),
        "peak_bytes": peaks,
        "timings": times_record({"bayesmix": np.array(times)}),
    }
    return Outcome({"bayesmix": f"{median:.1f} s, {megabytes(max(peaks))}"}, criteria, record)


def _found(path: Path) -> tuple[float, int, float, np.ndarray]:
    """Seconds of a call in this process, its most memory ever, the loss it reports, its labels."""
    label = np.load(path)
    started = time.perf_counter()
    found = bm.partition(label, random_seed=1)
    taken = time.perf_counter() - started
    return taken, resident_peak(), found.expected_loss, found.labels.values


def _held_to_others(found: np.ndarray, said: float, label: np.ndarray) -> dict[str, float]:
    """Expected losses in bits: of the answer, the best cut and the best draw looked at."""
    losses = {"bayesmix": expected_variation(found, label)}
    if abs(losses["bayesmix"] - said) > ROUNDING:
        raise Disagreement(f"expected loss {said}, counted {losses['bayesmix']}")
    tried = label[np.linspace(0, len(label) - 1, DRAWS_TRIED).astype(int)]
    losses["best draw"] = min(expected_variation(own, label) for own in tried)
    if label.shape[1] <= MOST_LINKED:
        cuts = _cuts(label)
        losses["best cut"] = min(expected_variation(own, label) for own in cuts)
    if losses["bayesmix"] > min(losses.values()) + ROUNDING:
        raise Disagreement(f"a cut or a draw loses less: {losses}")
    return losses


def expected_variation(point: np.ndarray, label: np.ndarray) -> float:
    """Mean variation of information in bits of labels (n,) and draws (S, n), by counts."""
    point, wide = point.astype(np.int64), int(label.max()) + 1
    own = _bits(np.bincount(point))
    total = 0.0
    for draw in label:
        joint = np.bincount(point * wide + draw)
        total += own + _bits(np.bincount(draw)) - 2 * _bits(joint)
    return total / label.size


def _bits(counts: np.ndarray) -> float:
    """Sum of m log2 m."""
    m = counts[counts > 0]
    return float(m @ np.log2(m))


def _cuts(label: np.ndarray) -> list[np.ndarray]:
    """Labels of cuts of trees that SciPy grows from how seldom rows are together."""
    from scipy.cluster.hierarchy import cut_tree, linkage

    n = label.shape[1]
    pairs = np.triu_indices(n, 1)
    apart = 1 - bm.similarity(label).to_dataarray().values[pairs]
    trees = linkage(apart, "average"), linkage(apart, "complete")
    return [own for tree in trees for own in cut_tree(tree, list(CUTS)).T]


ROWS = (
    Row(
        "vi-1e4",
        "partition by VI, n = 1e4, 1,000 draws of 10 to 20 clusters",
        partial(find, 10_000, 1_000, 10, None),
    ),
    Row(
        "vi-1e6",
        "partition by VI, n = 1e6, 500 draws of 10 to 20 clusters",
        partial(find, 1_000_000, 500, 180, 4e9),
    ),
)
