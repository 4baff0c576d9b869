"""Summaries over draws against NumPy's own, which sorts."""

from __future__ import annotations

import numpy as np
import pytest

from bayesmix import memory
from bayesmix.draw_summaries import summarize

MAKERS = {
    "uniform": lambda rng, size: rng.random(size),
    "near 0 and 1": lambda rng, size: rng.beta(0.01, 0.02, size),
    "ties": lambda rng, size: rng.random(size).round(1),
    "constant": lambda rng, size: np.full(size, 0.3),
    "trend": lambda rng, size: np.sort(rng.random(size), axis=0),
}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("draws", [1, 2, 7, 100, 101, 1000])
@pytest.mark.parametrize("tail", [1e-9, 0.03, 0.25, 0.5 - 1e-12])
def test_against_numpy(kind, draws, tail, monkeypatch):
    values = MAKERS[kind](np.random.default_rng(draws), (draws, 23, 3))
    found = summarize(lambda rows: values[:, rows].copy(), values.shape, (tail, 1 - tail))
    expected = {
        "mean": values.mean(axis=0),
        "sd": values.std(axis=0),
        "lower": np.quantile(values, tail, axis=0),
        "upper": np.quantile(values, 1 - tail, axis=0),
    }
    for name, own in expected.items():
        np.testing.assert_allclose(getattr(found, name), own, rtol=1e-12, atol=1e-13)
    monkeypatch.setattr(memory, "BLOCK_BYTES", 8 * 3 * draws * 5)  # 5 rows
    again = summarize(lambda rows: values[:, rows].copy(), values.shape, (tail, 1 - tail))
    np.testing.assert_array_equal(again, found)
