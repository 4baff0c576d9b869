"""How the benchmark of whole fits counts passes and successes."""

from __future__ import annotations

from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest

from tests.benchmarks._contenders import End, end_of, maximum_likelihood
from tests.benchmarks._grid import worse_models
from tests.benchmarks._passes import CountedRows, passes_to
from tests.benchmarks._success import best_of_drawn, successes


def test_best_of_drawn_starts_is_counted_over_all_sets() -> None:
    """Successes are not the starts of the highest bounds here."""
    bounds = np.random.default_rng(1).normal(size=7)
    hits = np.isin(np.argsort(-bounds), [1, 2, 5])
    sets = list(combinations(range(7), 3))
    won = [hits[max(chosen, key=lambda i: bounds[i])] for chosen in sets]
    assert 0 < np.mean(won) < 1
    assert best_of_drawn(bounds, hits, 3) == pytest.approx(np.mean(won))


def test_best_of_drawn_starts_is_hypergeometric_where_success_is_the_bound() -> None:
    bounds = np.arange(40.0)
    none = np.prod([(36 - i) / (40 - i) for i in range(10)])
    assert best_of_drawn(bounds, bounds >= 36, 10) == pytest.approx(1 - none)


def test_success_is_a_genuine_optimum_near_the_best() -> None:
    ends = [End(-1.0, True), End(-1.2, True), End(-0.5, False), End(np.nan, False)]
    assert successes(ends, -1.0, 0.1).tolist() == [True, False, False, False]
    assert not successes(ends[2:], -np.inf, 0.1).any()


def test_component_on_a_few_rows_is_not_genuine() -> None:
    x = np.random.default_rng(1).normal(size=(200, 2))
    problem = maximum_likelihood(x, 2)

    def end(weight: float, mean: np.ndarray, variance: float) -> End:
        """Of a standard normal component and another one."""
        model = SimpleNamespace(
            covariance_type="full",
            weights_=np.array([1 - weight, weight]),
            means_=np.array([np.zeros(2), mean]),
            covariances_=np.array([np.eye(2), variance * np.eye(2)]),
        )
        return end_of(problem, model)

    assert not end(0.005, x[0], 1e-3).genuine
    both = end(0.5, np.zeros(2), 1.0)
    assert both.genuine
    density = -np.log(2 * np.pi) - np.square(x).sum(axis=1) / 2
    assert both.log_likelihood == pytest.approx(density.mean())


def test_models_are_worse_in_any_repeat_and_left_out_without_a_peer() -> None:
    differences = np.zeros((2, 1, 5))
    differences[1, 0, 0] = -1e-4
    differences[0, 0, 1] = -np.inf
    differences[0, 0, 2] = np.nan
    differences[:, 0, 3] = -1e-6, 1.0
    assert worse_models(differences) == 2


def test_readings_broken_off_count_in_part() -> None:
    rows = CountedRows(np.zeros((10, 2)), chunks=4)
    assert [len(chunk) for chunk in rows()] == [3, 3, 3, 1]
    next(rows())
    assert rows.passes == 1.3


def test_passes_end_at_the_optimum_or_never() -> None:
    assert passes_to(np.array([-3, -2, -1.000000001, -1]), -1) == 3
    assert passes_to(np.array([-3, -2, -1.1]), -1) == np.inf
