"""Vectors inside kernels: exp and log against long double, and the moves between lanes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numba import njit

from bayesmix.kernels import lanes

WIDE = np.longdouble
TINY = np.finfo(float).tiny  # the smallest normal number


@njit
def _exp(x, out):
    for g in range(0, len(x), lanes.NARROW):
        lanes.store(out, g, lanes.exp(lanes.load(x, g)))


@njit
def _log(x, out):
    for g in range(0, len(x), lanes.WIDE):
        lanes.store(out, g, lanes.log(lanes.load_wide(x, g)))


@njit
def _transposed(x, out):
    rows = (
        lanes.load(x, 0),
        lanes.load(x, 8),
        lanes.load(x, 16),
        lanes.load(x, 24),
        lanes.load(x, 32),
        lanes.load(x, 40),
        lanes.load(x, 48),
        lanes.load(x, 56),
    )
    for i, column in enumerate(lanes.transpose(rows)):
        lanes.store(out, 8 * i, column)


@njit
def _pairs(a, b, larger, chosen):
    x, bound = lanes.load(a, 0), lanes.load(b, 0)
    lanes.store(larger, 0, lanes.maximum(x, bound))
    lanes.store(chosen, 0, lanes.select_above(x, bound, lanes.splat(1.0), lanes.splat(0.0)))


@njit
def _totals(x):
    return lanes.total(lanes.load(x, 0)), lanes.total(lanes.load_wide(x, 0))


@njit
def _arithmetic(a, b, out):
    x, y = lanes.load(a, 0), lanes.load(b, 0)
    lanes.store(out, 0, lanes.fma(x, y, x - y) / (x * y + y))


def applied(function: Callable, x: np.ndarray) -> np.ndarray:
    """Apply a wrapper to numbers of any count."""
    padded = np.ones(-(-len(x) // lanes.WIDE) * lanes.WIDE)
    padded[: len(x)] = x
    out = np.full_like(padded, -7.0)
    function(padded, out)
    return out[: len(x)]


def ulps(found: np.ndarray, exact: np.ndarray) -> float:
    """Largest error in units in the last place of the exact value."""
    unit = np.spacing(np.abs(exact).astype(float))
    return float((np.abs(found - exact) / unit).max())


def neighbors(x: np.ndarray) -> np.ndarray:
    """Numbers, and those just below and above."""
    return np.concatenate([np.nextafter(x, -np.inf), x, np.nextafter(x, np.inf)])


def test_exp_is_within_one_unit_in_the_last_place(rng):
    halves = np.arange(-2042, 2020) * (np.log(2) / 2)  # where the reduced argument is largest
    small = np.concatenate([10.0 ** np.arange(-300, 0), -(10.0 ** np.arange(-300, 0))])
    x = np.concatenate([rng.uniform(-708, 700, 200_000), rng.uniform(-2, 2, 50_000)])
    x = np.concatenate([x, neighbors(halves), small, [0.0, -0.0, -708.0, 700.0]])
    x = x[(x >= -708) & (x <= 700)]
    assert ulps(applied(_exp, x), np.exp(x.astype(WIDE))) <= 1
    np.testing.assert_array_equal(applied(_exp, np.array([0.0, -0.0])), 1.0)


def test_exp_is_zero_below_its_range_and_never_denormal():
    below = np.array([np.nextafter(-708, -np.inf), -708.5, -745, -1e5, -1e300, -np.inf])
    found = applied(_exp, below)
    np.testing.assert_array_equal(found, 0.0)
    assert not np.signbit(found).any()
    edge = np.concatenate([np.linspace(-760, -700, 10_001), neighbors(np.array([-708.0]))])
    found = applied(_exp, edge)
    assert np.all((found == 0) | (found >= TINY))
    np.testing.assert_array_equal(found > 0, edge >= -708)


@pytest.mark.parametrize("function", [_exp, _log])
def test_what_is_beside_does_not_matter(function):
    x = np.array([3.0, 1e-300, np.nan, np.inf, 700.0, 2.0, -np.inf, 1.0])
    alone = np.array([applied(function, x[i : i + 1])[0] for i in range(len(x))])
    np.testing.assert_array_equal(applied(function, x), alone)


def test_exp_of_what_is_no_number_is_none():
    assert np.isnan(applied(_exp, np.array([np.nan, -np.nan, np.inf - np.inf]))).all()


def test_log_is_within_two_units_in_the_last_place(rng):
    powers = 2.0 ** np.arange(-1019, 1023)
    borders = np.concatenate([powers, powers * np.sqrt(0.5)])  # where the mantissa is cut
    near_one = 1 + np.arange(-1000, 1001) * 2.0**-53
    x = np.concatenate([10 ** rng.uniform(-307, 308, 200_000), rng.uniform(0.5, 2, 50_000)])
    x = np.concatenate([x, neighbors(borders), near_one, [1e-307, 1e308, TINY]])
    exact = np.log(x.astype(WIDE))
    found = applied(_log, x)
    zero = x == 1
    assert zero.any()
    np.testing.assert_array_equal(found[zero], 0.0)
    assert ulps(found[~zero], exact[~zero]) <= 2


def test_transpose_turns_eight_rows_into_eight_columns(rng):
    x = rng.normal(size=(8, 8))
    out = np.empty(64)
    _transposed(x.ravel(), out)
    np.testing.assert_array_equal(out.reshape(8, 8), x.T)


def test_comparisons_with_what_is_no_number():
    a = np.array([1.0, 2.0, 3.0, np.nan, 1.0, np.nan, -np.inf, np.inf])
    b = np.array([2.0, 1.0, 3.0, 1.0, np.nan, np.nan, np.nan, -np.inf])
    larger, chosen = np.empty(8), np.empty(8)
    _pairs(a, b, larger, chosen)
    np.testing.assert_array_equal(larger, [2, 2, 3, 1, np.nan, np.nan, np.nan, np.inf])
    np.testing.assert_array_equal(chosen, [0, 1, 0, 0, 0, 0, 0, 1])


def test_total_adds_all_lanes():
    x = 2.0 ** np.arange(lanes.WIDE)  # every subset has a sum of its own
    assert _totals(x) == (2.0**8 - 1, 2.0**32 - 1)


def test_arithmetic_is_lane_by_lane(rng):
    a, b = rng.normal(size=(2, 8))
    out = np.empty(8)
    _arithmetic(a, b, out)
    np.testing.assert_allclose(out, (a * b + (a - b)) / (a * b + b), rtol=1e-13)
