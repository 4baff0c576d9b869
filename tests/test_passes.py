"""Law 2: the pass equals the reference in long double, whatever the blocks and the scale."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bayesmix import gaussian, passes
from bayesmix.covariance import structure_of
from tests.support import (
    EPS,
    Parameters,
    compact,
    random_covariances,
    random_parameters,
    rows_of,
)

WIDE = np.longdouble


def parameters_of(structure: str, point: Parameters) -> passes.PassParameters:
    covariances = compact(structure, point.covariances)
    return passes.PassParameters.from_point(
        structure_of(structure), point.weights, point.means, covariances
    )


def case(structure: str, name: str) -> tuple[np.ndarray, Parameters]:
    """Rows and a point in hard and easy positions, as ``float64`` numbers."""
    k, d = (3, 4) if name != "one feature" else (3, 1)
    point = random_parameters(structure, k, d, seed=3)
    match name:
        case "offset":  # 1e8 standard deviations from zero
            point = point._replace(means=point.means + 1e8 * np.sqrt(point.covariances[0, 0, 0]))
        case "large" | "small":
            scale = 1e8 if name == "large" else 1e-8
            point = point._replace(
                means=point.means * scale, covariances=point.covariances * scale**2
            )
        case "mixed scales" if structure != "spherical":
            scale = np.array([1e8, 1e-8, 1.0, 1e4])
            covariances = point.covariances
            if structure == "full":  # correlated pairs of features keep comparable scales
                scale = np.array([1e8, 1e8, 1e-8, 1e-8])
            point = point._replace(
                means=point.means * scale, covariances=covariances * np.outer(scale, scale)
            )
        case "far apart":
            shift = 1000 * np.arange(k)[:, None] * np.sqrt(point.covariances.max())
            point = point._replace(means=point.means + shift)
        case "empty component":
            weights = np.array([0.4, 0.6, 0.0])
            point = point._replace(weights=weights)
    x = rows_of(point, 203, seed=5)
    if name == "far apart":  # some rows between the components, where no one is near
        x[:5] += 500 * np.sqrt(point.covariances.max())
    return x, point


CASES = ("plain", "one feature", "offset", "large", "small", "mixed scales", "far apart")


def check_law_2(
    structure: str,
    x: np.ndarray,
    point: Parameters,
    found: passes.Statistics,
    row_weight: np.ndarray | None = None,
) -> None:
    """Hold statistics to the bounds of law 2 against the reference."""
    weight = np.ones(len(x)) if row_weight is None else row_weight
    wide = [np.asarray(a, WIDE) for a in (x, *point)]
    density = gaussian.log_density(*wide)
    resp = gaussian.responsibilities(*wide).T * weight  # (K, n)
    delta = wide[0] - wide[2][:, None, :]  # (K, n, D)
    scatter = structure_of(structure).scatter
    ones = np.broadcast_to(weight.astype(WIDE), resp.shape)

    def close(value, exact, inner, outer):
        assert value.shape == exact.shape
        assert np.all(np.abs(value - exact) <= 1e-10 * inner + 1e-18 * outer)

    def first(r, z):
        return (r[..., None] * z).sum(axis=1)

    exact = (weight * density).sum()
    assert abs(found.log_likelihood - exact) <= 1e-12 * (weight * np.abs(density)).sum()
    close(found.sizes, resp.sum(axis=1), resp.sum(axis=1), ones.sum(axis=1))
    size = np.abs(delta)
    close(found.first, first(resp, delta), first(resp, size), first(ones, size))
    close(found.second, scatter(delta, resp), scatter(size, resp), scatter(size, ones))


@pytest.mark.parametrize("name", [*CASES, "empty component"])
def test_statistics_equal_the_reference(structure, name):
    x, point = case(structure, name)
    check_law_2(structure, x, point, passes.statistics(x, parameters_of(structure, point)))


@pytest.mark.parametrize("block_bytes", [1, 5000, 1 << 30])
@pytest.mark.parametrize("layout", ["C", "F", "reversed"])
def test_blocks_and_memory_order_do_not_matter(structure, block_bytes, layout, monkeypatch):
    x, point = case(structure, "offset")
    given = {"C": x, "F": np.asfortranarray(x), "reversed": x[::-1].copy()[::-1]}[layout]
    monkeypatch.setattr(passes, "_BLOCK_BYTES", block_bytes)
    parameters = parameters_of(structure, point)
    starts = [rows.start for rows in passes._blocks(given, parameters)]
    assert (len(starts) == 1) is (block_bytes == 1 << 30)
    check_law_2(structure, x, point, passes.statistics(given, parameters))


def test_float32_rows_are_held_to_the_same_bounds(structure):
    x, point = case(structure, "plain")
    narrow = x.astype(np.float32)
    found = passes.statistics(narrow.astype(float), parameters_of(structure, point))
    check_law_2(structure, narrow, point, found)


def test_row_weights_are_repeated_rows(structure, rng):
    x, point = case(structure, "plain")
    times = rng.integers(0, 4, size=len(x))
    parameters = parameters_of(structure, point)
    weighted = passes.statistics(x, parameters, times.astype(float))
    check_law_2(structure, np.repeat(x, times, axis=0), point, weighted)
    fractions = rng.uniform(size=len(x))
    found = passes.statistics(x, parameters, fractions)
    check_law_2(structure, x, point, found, fractions)


@pytest.mark.parametrize("row_weight", [None, np.linspace(0, 2, 203)])
def test_statistics_of_given_responsibilities(structure, row_weight):
    """The same moments, about the weighted mean of the rows, at an offset of 1e8."""
    x, point = case(structure, "offset")
    resp = gaussian.responsibilities(x, *point)
    center, found = passes.statistics_of_responsibilities(
        x, structure_of(structure), resp, row_weight
    )
    weight = np.ones(len(x)) if row_weight is None else row_weight
    mean = (x.astype(WIDE) * weight[:, None]).sum(axis=0) / weight.sum()
    np.testing.assert_allclose(center, np.tile(mean.astype(float), (3, 1)), rtol=16 * EPS)
    delta = x.astype(WIDE) - center.astype(WIDE)[:, None, :]
    r = resp.T.astype(WIDE) * weight
    # all terms of S0 and S2 are positive: eps per operation, a few hundred of them
    np.testing.assert_allclose(found.sizes, r.sum(axis=1), rtol=1e3 * EPS)
    tolerance = 1e3 * EPS * (r[..., None] * np.abs(delta)).sum(axis=1)
    assert np.all(np.abs(found.first - (r[..., None] * delta).sum(axis=1)) <= tolerance)
    scatter = structure_of(structure).scatter
    tolerance = 1e3 * EPS * scatter(np.abs(delta), r)
    assert np.all(np.abs(found.second - scatter(delta, r)) <= tolerance)
    assert np.isnan(found.log_likelihood)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("block_bytes", [1, 1 << 30])
def test_first_half_agrees_with_the_reference(structure, name, block_bytes, monkeypatch):
    monkeypatch.setattr(passes, "_BLOCK_BYTES", block_bytes)
    x, point = case(structure, name)
    parameters = parameters_of(structure, point)
    wide = [np.asarray(a, WIDE) for a in (x, *point)]
    density = gaussian.log_density(*wide)
    joint = gaussian.component_log_density(wide[0], *wide[2:])
    # a log density is a sum of squares: eps times its size, times the condition number (1e3)
    room = 1e4 * EPS * (1 + np.abs(joint).min(axis=1))
    assert np.all(np.abs(passes.log_density(x, parameters) - density) <= room)
    resp = passes.responsibilities(x, parameters)
    assert resp.shape == (len(x), 3)
    exact = gaussian.responsibilities(*wide)
    # exp turns the absolute error of log densities up to 750 apart into a relative one
    assert np.all(np.abs(resp - exact) <= (room[:, None] + 1e3 * EPS * 750) * exact + 1e-300)
    # the normalizer is rounded at its own size, and exp makes that a relative error
    assert np.all(np.abs(resp.sum(axis=1) - 1) <= EPS * (8 + np.abs(density)))
    label = passes.labels(x, parameters)
    np.testing.assert_array_equal(label, resp.argmax(axis=1))
    np.testing.assert_array_equal(label, exact.argmax(axis=1))


def test_sampled_labels_have_the_responsibilities_as_frequencies(structure, rng):
    x, point = case(structure, "plain")
    point = point._replace(means=point.means / 4)  # overlapping
    n = 10_000
    rows = x[[0, 50, 100, 150, 200]] / 4
    parameters = parameters_of(structure, point)
    statistic, freedom = 0.0, 0
    for row, resp in zip(rows, passes.responsibilities(rows, parameters), strict=True):
        label = passes.sampled_labels(np.tile(row, (n, 1)), parameters, rng.uniform(size=n))
        counts = np.bincount(label, minlength=3)
        likely = resp * n > 5  # where chi-square holds; the rest is pooled
        expected = np.append(resp[likely], resp[~likely].sum()) * n
        observed = np.append(counts[likely], counts[~likely].sum())
        statistic += (np.square(observed - expected) / np.maximum(expected, 1)).sum()
        freedom += likely.sum() - 1
    assert freedom >= 5
    assert statistic < stats.chi2(freedom).ppf(0.9999)


def test_sampled_labels_never_pick_an_empty_component():
    point = random_parameters("full", 4, 2)
    point = point._replace(weights=np.array([0.0, 0.5, 0.5, 0.0]))
    uniform = np.array([0.0, np.nextafter(0, 1), 0.5, np.nextafter(1, 0)])
    x = rows_of(point, 200).repeat(4, axis=0)
    label = passes.sampled_labels(x, parameters_of("full", point), np.tile(uniform, 200))
    assert set(label) <= {1, 2}


def test_sampled_labels_follow_the_uniforms_by_inversion(structure, rng):
    x, point = case(structure, "plain")
    parameters = parameters_of(structure, point)
    uniform = rng.uniform(size=len(x))
    cumulative = np.cumsum(passes.responsibilities(x, parameters), axis=1)
    expected = (cumulative < uniform[:, None]).sum(axis=1)
    np.testing.assert_array_equal(passes.sampled_labels(x, parameters, uniform), expected)


def test_random_points_are_what_they_seem(structure, rng):
    """Factors of the precisions: lower triangular, inverse of the covariance."""
    dense = random_covariances(structure, 3, 4, rng)
    engine = structure_of(structure)
    factor = engine.dense(engine.precision_cholesky(engine.compact(dense)), 3, 4)
    assert np.all(np.triu(factor, 1) == 0)
    identity = factor @ np.swapaxes(factor, -1, -2) @ dense
    # eps times the condition number, 1e3 at most
    np.testing.assert_allclose(identity, np.tile(np.eye(4), (3, 1, 1)), atol=1e4 * EPS)
    logs = engine.log_diagonal(engine.precision_cholesky(engine.compact(dense)), 3, 4)
    np.testing.assert_allclose(logs.sum(-1), -0.5 * np.linalg.slogdet(dense)[1], rtol=1e4 * EPS)
