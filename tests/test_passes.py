"""Law 2: the pass equals the reference in long double, whatever the blocks and the scale."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numba import njit
from scipy import stats

from bayesmix import gaussian, kernels, passes
from bayesmix.covariance import structure_of
from bayesmix.kernels import blocks, lanes
from bayesmix.moments import moments
from bayesmix.pass_parameters import PassParameters
from bayesmix.rows import Chunks
from tests.support import (
    EPS,
    Parameters,
    compact,
    random_covariances,
    random_parameters,
    rows_of,
)

WIDE = np.longdouble


def parameters_of(structure: str, point: Parameters) -> PassParameters:
    covariances = compact(structure, point.covariances)
    return PassParameters.from_point(
        structure_of(structure), point.weights, point.means, covariances
    )


def all_near(parameters) -> bool:
    """Whether the shared center is near every component, by the kernels' distance."""
    structure, factor = parameters.structure, parameters.precision_cholesky
    shift = parameters.means - np.exp(parameters.log_weights) @ parameters.means
    whitened = [structure.whiten(shift[k : k + 1], factor, k) for k in range(len(shift))]
    return bool(np.all(np.linalg.norm(whitened, axis=-1) <= kernels.NEAR))


def points_of(alone: list[PassParameters], order: str = "C") -> PassParameters:
    """The points of many draws."""
    names = "log_weights", "means", "precision_cholesky"
    stacked = (np.array([getattr(one, name) for one in alone], order=order) for name in names)
    return PassParameters(alone[0].structure, *stacked)


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
        case "narrow rows":  # all near the center by their own covariances, but see below
            point = point._replace(means=8 * point.means)
        case "empty component":
            weights = np.array([0.4, 0.6, 0.0])
            point = point._replace(weights=weights)
    x = rows_of(point, 203, seed=5)
    if name == "narrow rows":  # a millionth of the components' width
        x = point.means[np.arange(len(x)) % k] + 1e-6 * (x - x.mean(axis=0))
    if name == "far apart":  # some rows between the components, where no one is near
        x[:5] += 500 * np.sqrt(point.covariances.max())
    return x, point


CASES = (
    *("plain", "one feature", "offset", "large", "small", "mixed scales", "far apart"),
    "narrow rows",
)


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
    parameters = parameters_of(structure, point)
    check_law_2(structure, x, point, passes.statistics(x, parameters))
    known = moments(x)
    check_law_2(structure, x, point, passes.statistics(x, parameters, known=known))


@pytest.fixture(params=[32, 64, 256])
def block_rows(request, monkeypatch) -> int:
    """Rows of a block; a part for threads is one block."""
    monkeypatch.setattr(kernels, "block_size", lambda n_components, n_features: request.param)
    monkeypatch.setattr(passes, "_PART_BLOCKS", 1)
    return request.param


def test_blocks_are_whole_vectors_and_fit_the_scratch():
    for k in (1, 30, 3000):
        for d in range(1, 3000, 7):
            size = kernels.block_size(k, d)
            assert size >= lanes.WIDE
            assert size % lanes.WIDE == 0
            assert size == lanes.WIDE or 8 * size * (k + d) <= blocks._SCRATCH_BYTES


LAYOUTS = {
    "C": lambda x: x,
    "F": np.asfortranarray,
    "reversed rows": lambda x: x[::-1].copy()[::-1],
    "reversed columns": lambda x: x[:, ::-1].copy()[:, ::-1],
    "every other": lambda x: np.repeat(np.repeat(x, 2, axis=0), 2, axis=1)[::2, ::2],
    "inner columns": lambda x: np.pad(x, ((1, 1), (2, 3)), constant_values=np.nan)[1:-1, 2:-3],
    "byte-swapped": lambda x: x.astype(">f8"),
    "unaligned": lambda x: (
        np.frombuffer(b"0" + x.tobytes(), np.uint8)[1:].view(float).reshape(x.shape)
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_blocks_and_memory_order_do_not_matter(structure, block_rows, layout):
    x, point = case(structure, "offset")
    given = LAYOUTS[layout](x)
    np.testing.assert_array_equal(given, x)
    parameters = parameters_of(structure, point)
    assert len(passes.parts_of(len(x), parameters.means.shape)) == 1 + -(-len(x) // block_rows)
    found = passes.statistics(given, parameters)
    check_law_2(structure, x, point, found)
    assert_same(found, passes.statistics(x, parameters))


@pytest.mark.parametrize("layout", [*LAYOUTS, "float32"])
@pytest.mark.parametrize("d", [8, 11, 16])
def test_memory_order_of_many_features_does_not_matter(d, layout):
    """From eight features on, C-ordered float64 rows are loaded by tiles."""
    point = random_parameters("diag", 3, d, seed=3)
    x = rows_of(point, 203, seed=5).astype(np.float32).astype(float)
    given = x.astype(np.float32) if layout == "float32" else LAYOUTS[layout](x)
    parameters = parameters_of("diag", point)
    expected = passes.statistics(x, parameters)
    check_law_2("diag", x, point, expected)
    assert_same(passes.statistics(given, parameters), expected)
    np.testing.assert_array_equal(
        passes.log_density(given, parameters), passes.log_density(x, parameters)
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_memory_order_does_not_change_a_bit_of_the_moments(dtype, layout):
    x = (case("full", "plain")[0] + 1e4 / 3).astype(dtype).astype(float)
    given = LAYOUTS[layout](x)
    if dtype == np.float32 and layout in ("C", "F"):
        given = given.astype(np.float32)
    found, expected = moments(given), moments(x)
    for name in ("total", "origin", "shift", "covariance"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def assert_same(a: passes.Statistics, b: passes.Statistics) -> None:
    """Equal to the last bit."""
    for name in ("log_likelihood", "sizes", "first", "second"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize("threads", [2, 3, None])
def test_threads_do_not_change_a_bit(structure, block_rows, threads):
    x, point = case(structure, "far apart")
    parameters = parameters_of(structure, point)
    weight = np.linspace(0, 2, len(x))
    alone = passes.statistics(x, parameters, weight, threads=1)
    assert_same(alone, passes.statistics(x, parameters, weight, threads=threads))
    key = np.array([1, 2], np.uint64)
    for walk in (
        passes.log_likelihood,
        passes.log_density,
        passes.responsibilities,
        passes.labels,
        lambda *a, **k: passes.sampled_labels(*a, key, **k),
    ):
        same = walk(x, parameters, threads=1), walk(x, parameters, threads=threads)
        np.testing.assert_array_equal(*same)


@pytest.mark.parametrize("n_draws", [1, 2, 70])
@pytest.mark.parametrize("threads", [1, 3])
def test_many_points_at_once_are_each_alone(structure, n_draws, threads, block_rows, monkeypatch):
    """More draws than tasks, and fewer; the points in any memory order."""
    monkeypatch.setattr(passes, "_TASK_ROWS", 1)
    x, _ = case(structure, "plain")
    alone = [
        parameters_of(structure, random_parameters(structure, 3, 4, seed=s)) for s in range(n_draws)
    ]
    points = points_of(alone, order="F")
    keys = np.arange(2 * n_draws, dtype=np.uint64).reshape(n_draws, 2)
    for walk in (passes.log_density, passes.responsibilities, passes.labels, passes.log_likelihood):
        expected = [walk(x, one, threads=1) for one in alone]
        np.testing.assert_array_equal(walk(x, points, threads=threads), expected)
    expected = [
        passes.sampled_labels(x, one, key, threads=1) for one, key in zip(alone, keys, strict=True)
    ]
    found = passes.sampled_labels(x, points, keys, threads=threads)
    np.testing.assert_array_equal(found, expected)


def test_a_point_leaves_nothing_for_the_next(structure):
    """Near components and far ones in turn, in one task: what tied rows share is a point's own."""
    x, near = case(structure, "plain")
    _, far = case(structure, "far apart")
    alone = [parameters_of(structure, point) for point in (near, far, near, far)]
    assert all_near(alone[0])
    assert not all_near(alone[1])
    points = points_of(alone)
    assert len(passes._tasks(4, [0, len(x)])) == 1
    for walk in (passes.log_density, passes.responsibilities, passes.labels, passes.log_likelihood):
        np.testing.assert_array_equal(walk(x, points), [walk(x, one) for one in alone])
    known = moments(x)
    for given in (None, known):
        found = passes.statistics(x, points, known=given)
        for s, one in enumerate(alone):
            assert_same(found[s], passes.statistics(x, one, known=given))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("chunked", [False, True])
def test_statistics_at_many_points_are_each_alone(
    structure, weighted, chunked, block_rows, monkeypatch
):
    """Near components, far ones and some that hardly any row belongs to, in turn."""
    x, near = case(structure, "plain")
    _, far = case(structure, "far apart")
    light = near._replace(weights=np.array([0.4, 0.6 - 1e-13, 1e-13]), means=near.means / 8)
    alone = [parameters_of(structure, point) for point in (near, far, light, far, near)]
    points = points_of(alone, order="F")
    weight = np.linspace(0, 2, len(x)) ** 2 if weighted else None
    rows = Chunks([x[:64], x[64:65], x[65:]]) if chunked else x
    for known in (None, moments(rows, weight)):
        expected = [passes.statistics(rows, one, weight, known=known) for one in alone]
        for room in (passes._SUMS_BYTES, 1):  # all points in one walk, and one by one
            with monkeypatch.context() as patch:
                patch.setattr(passes, "_SUMS_BYTES", room)
                found = passes.statistics(rows, points, weight, known=known)
            assert found.sizes.shape == (5, 3)
            for s, one in enumerate(expected):
                assert_same(found[s], one)


@pytest.mark.parametrize("structure", ["full", "diag", "spherical"])
def test_a_point_that_is_gone_over_again_leaves_the_others_alone(structure):
    """Equal rows make a component, near as it is, too narrow for the shared center."""
    x = np.concatenate([np.random.default_rng(3).normal(size=(150, 4)), np.full((50, 4), 4.0)])
    plain = random_parameters(structure, 2, 4, seed=3)
    means = np.repeat([[0.0], [4.0]], 4, axis=1)
    eye = np.tile(np.eye(4), (2, 1, 1))
    narrow = Parameters(np.array([0.7, 0.3]), means, eye)
    alone = [parameters_of(structure, point) for point in (plain, narrow, plain, narrow)]
    points = points_of(alone)
    first, near = passes._statistics(x, points, None, None, None, 1)
    assert np.any(points.still_near(near, first)[1::2] != near[1::2], axis=1).all()
    found = passes.statistics(x, points)
    for s, one in enumerate(alone):
        assert_same(found[s], passes.statistics(x, one))


def test_no_draws(structure):
    one = parameters_of(structure, random_parameters(structure, 3, 4, seed=3))
    points = points_of([one])
    x, _ = case(structure, "plain")
    assert passes.log_density(x, points[:0]).shape == (0, len(x))
    assert passes.log_likelihood(x, points[:0]).shape == (0,)


def test_no_rows_at_many_points(structure):
    point = random_parameters(structure, 3, 4, seed=3)
    one = parameters_of(structure, point)
    points = points_of([one])
    none = np.empty((0, 4))
    assert passes.log_density(none, points).shape == (1, 0)
    assert passes.responsibilities(none, points).shape == (1, 0, 3)
    np.testing.assert_array_equal(passes.log_likelihood(none, points), [0.0])


def test_points_keep_the_axes_in_front(structure):
    x, _ = case(structure, "plain")
    alone = [parameters_of(structure, random_parameters(structure, 3, 4, seed=s)) for s in range(6)]
    flat = points_of(alone)
    given = flat.log_weights, flat.means, flat.precision_cholesky
    points = PassParameters(flat.structure, *(a.reshape(2, 3, *a.shape[1:]) for a in given))
    found = passes.log_density(x, points)
    assert found.shape == (2, 3, len(x))
    np.testing.assert_array_equal(found[1, 2], passes.log_density(x, alone[5]))
    assert passes.responsibilities(x, points).shape == (2, 3, len(x), 3)
    total = passes.log_likelihood(x, points)
    np.testing.assert_allclose(total, found.sum(axis=-1), rtol=1e-13)


@pytest.mark.parametrize("k", [1, 4, 7])
@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 8, 11, 33])
def test_every_number_of_features_and_components(structure, k, d):
    """Tiles of four by four leave strips and dots at every edge."""
    point = random_parameters(structure, k, d, seed=k + d)
    x = rows_of(point, 301, seed=5)
    check_law_2(structure, x, point, passes.statistics(x, parameters_of(structure, point)))


@pytest.mark.parametrize("distance", [20, 40, 1e4, 1e8])
def test_components_any_distance_apart(structure, distance):
    """The shared center serves near components; far ones are centered at their own means."""
    point = random_parameters(structure, 3, 4, seed=3)
    shift = distance * np.array([0, 0, 1])[:, None] * np.sqrt(point.covariances.max())
    point = point._replace(means=point.means + shift)
    x = rows_of(point, 203, seed=5)
    check_law_2(structure, x, point, passes.statistics(x, parameters_of(structure, point)))


@pytest.mark.parametrize("light", [1e-9, 1e-13, 1e-16, 1e-17])
def test_a_component_that_hardly_any_row_belongs_to_keeps_its_digits(structure, light):
    point = random_parameters(structure, 3, 4, seed=3)
    weights = np.array([0.4, 0.6 - light, light])
    point = point._replace(weights=weights, means=point.means / 8)
    x = rows_of(point._replace(weights=np.array([0.4, 0.6, 0.0])), 203, seed=5)
    check_law_2(structure, x, point, passes.statistics(x, parameters_of(structure, point)))


@pytest.mark.parametrize("lengths", [[203], [1, 202], [64, 64, 75], [100, 3, 100]])
def test_chunks_are_the_whole_table(structure, lengths):
    x, point = case(structure, "offset")
    parameters = parameters_of(structure, point)
    bounds = np.cumsum([0, *lengths])
    chunks = Chunks([x[a:b] for a, b in pairwise(bounds)])
    weight = np.linspace(0, 2, len(x))
    check_law_2(structure, x, point, passes.statistics(chunks, parameters, weight), weight)
    key = np.array([1, 2], np.uint64)
    for walk in (passes.log_density, passes.responsibilities, passes.labels):
        np.testing.assert_array_equal(walk(chunks, parameters), walk(x, parameters))
    total = passes.log_likelihood(chunks, parameters)
    np.testing.assert_allclose(total, passes.log_likelihood(x, parameters), rtol=1e-14)
    np.testing.assert_array_equal(
        passes.sampled_labels(chunks, parameters, key), passes.sampled_labels(x, parameters, key)
    )


def test_float32_rows_are_held_to_the_same_bounds(structure):
    x, point = case(structure, "plain")
    narrow = x.astype(np.float32)
    found = passes.statistics(narrow, parameters_of(structure, point))
    check_law_2(structure, narrow, point, found)
    assert_same(found, passes.statistics(narrow.astype(float), parameters_of(structure, point)))


@pytest.mark.parametrize("d", [2, 3, 6])
def test_tied_is_full_with_equal_factors_however_ill_conditioned(d):
    """What the factors' own rounding does to the density is the same for both."""
    point = random_parameters("tied", 5, d, seed=d)
    vectors = np.linalg.qr(np.random.default_rng(d).normal(size=(d, d)))[0]
    covariance = (vectors * np.geomspace(1e-10, 1, d)) @ vectors.T
    covariance = (covariance + covariance.T) / 2
    direction = vectors @ np.geomspace(1e-5, 1, d)  # means a few of their own sds apart
    point = point._replace(
        means=np.linspace(-4, 4, 5)[:, None] * direction,
        covariances=np.tile(covariance, (5, 1, 1)),
    )
    x = rows_of(point, 303, seed=5)
    tied, full = parameters_of("tied", point), parameters_of("full", point)
    assert all_near(tied)
    found, expected = passes.statistics(x, tied), passes.statistics(x, full)
    size = np.abs(passes.log_density(x, full)).sum()
    assert abs(found.log_likelihood - expected.log_likelihood) <= 1e-12 * size
    np.testing.assert_allclose(found.sizes, expected.sizes, rtol=1e-10)
    np.testing.assert_allclose(
        passes.responsibilities(x, tied), passes.responsibilities(x, full), rtol=1e-9, atol=1e-18
    )


@pytest.mark.parametrize("k", range(3))
def test_a_number_that_is_none_is_not_lost(structure, k):
    """Whichever component has it."""
    x, point = case(structure, "plain")
    parameters = parameters_of(structure, point)
    factor = parameters.precision_cholesky.copy()
    factor[k if structure != "tied" else 0] *= np.nan
    broken = replace(parameters, precision_cholesky=factor)
    assert np.isnan(passes.statistics(x, broken).log_likelihood)
    assert np.isnan(passes.log_density(x, broken)).all()


def test_rows_without_weight_say_nothing(structure):
    """Not even where the moments of all rows are taken from."""
    x, point = case(structure, "plain")
    parameters = parameters_of(structure, point)
    far = np.concatenate([np.full((1024, 4), 1e8), np.full((1, 4), 1e12), x])
    weight = np.append(np.zeros(1025), np.ones(len(x)))
    known = moments(far, weight)
    np.testing.assert_allclose(known.covariance, np.cov(x.T, bias=True), rtol=1e-12, atol=1e-12)
    check_law_2(structure, x, point, passes.statistics(far, parameters, weight, known=known))


def test_moments_are_the_same_by_every_kernel(structure):
    x, _ = case(structure, "offset")
    found, expected = moments(x, None, structure_of(structure)), moments(x)
    covariance = expected.covariance
    if structure in ("diag", "spherical"):
        covariance = np.diag(np.diag(covariance))
    np.testing.assert_allclose(found.covariance, covariance, rtol=1e-13)
    np.testing.assert_array_equal(found.shift, expected.shift)
    assert found.total == expected.total


@pytest.mark.parametrize("first", [1e4, 1e8])
def test_moments_of_rows_that_drift(first):
    """The first rows may be far from the others."""
    x = np.random.default_rng(3).normal(size=(50_000, 3))
    x[:1024] += first
    x[1024:2048] -= first
    wide = x.astype(WIDE)
    exact = (wide - wide.mean(axis=0)).T @ (wide - wide.mean(axis=0)) / len(x)
    np.testing.assert_allclose(moments(x).covariance, exact.astype(float), rtol=1e-12)


def test_row_weights_are_repeated_rows(structure, rng):
    x, point = case(structure, "plain")
    times = rng.integers(0, 4, size=len(x))
    parameters = parameters_of(structure, point)
    weighted = passes.statistics(x, parameters, times.astype(float))
    check_law_2(structure, np.repeat(x, times, axis=0), point, weighted)
    fractions = rng.uniform(size=len(x))
    for known in (None, moments(x, fractions)):
        found = passes.statistics(x, parameters, fractions, known=known)
        check_law_2(structure, x, point, found, fractions)


def test_row_weights_go_with_their_rows(structure, block_rows):
    x, point = case(structure, "plain")
    weight = np.linspace(0, 2, len(x)) ** 3
    parameters = parameters_of(structure, point)
    check_law_2(structure, x, point, passes.statistics(x, parameters, weight), weight)
    chunks = Chunks([x[:150], x[150:]])
    check_law_2(structure, x, point, passes.statistics(chunks, parameters, weight), weight)
    every_other = np.repeat(weight, 2)[::2]
    assert_same(
        passes.statistics(x, parameters, every_other), passes.statistics(x, parameters, weight)
    )


@pytest.mark.parametrize("row_weight", [None, np.linspace(0, 2, 203)])
@pytest.mark.parametrize("offset", [0, 1e8])
def test_moments_of_all_rows(offset, row_weight):
    point = random_parameters("full", 3, 4, seed=3)
    x = rows_of(point, 203, seed=5) + offset
    weight = np.ones(len(x)) if row_weight is None else row_weight
    found = moments(x, row_weight)
    total, mean, covariance = found.total, found.origin + found.shift, found.covariance
    wide = x.astype(WIDE)
    exact = (wide * weight[:, None]).sum(axis=0) / weight.sum()
    delta = wide - exact
    np.testing.assert_allclose(total, weight.sum(), rtol=203 * EPS)
    np.testing.assert_allclose(mean, exact.astype(float), rtol=4 * EPS, atol=1e3 * EPS)
    scatter = (delta.T * weight) @ delta / weight.sum()
    room = np.sqrt(np.outer(np.diag(scatter), np.diag(scatter)))
    assert np.all(np.abs(covariance - scatter) <= 1e3 * EPS * room)


@pytest.mark.parametrize("name", CASES)
def test_first_half_agrees_with_the_reference(structure, name, block_rows):
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


def test_the_first_of_equal_components_is_the_label(structure):
    point = random_parameters(structure, 3, 4, seed=3)
    twins = Parameters(*(np.concatenate([a, a[::-1]]) for a in point))
    twins = twins._replace(weights=twins.weights / 2)
    x = rows_of(point, 203, seed=5)
    label = passes.labels(x, parameters_of(structure, twins))
    np.testing.assert_array_equal(label, passes.labels(x, parameters_of(structure, point)))
    resp = passes.responsibilities(x, parameters_of(structure, twins))
    np.testing.assert_array_equal(resp[:, :3], resp[:, :2:-1])


def test_sampled_labels_have_the_responsibilities_as_frequencies(structure):
    x, point = case(structure, "plain")
    point = point._replace(means=point.means / 4)  # overlapping
    n = 10_000
    rows = x[[0, 50, 100, 150, 200]] / 4
    parameters = parameters_of(structure, point)
    statistic, freedom = 0.0, 0
    for i, (row, resp) in enumerate(
        zip(rows, passes.responsibilities(rows, parameters), strict=True)
    ):
        key = np.array([7, i], np.uint64)
        label = passes.sampled_labels(np.tile(row, (n, 1)), parameters, key)
        counts = np.bincount(label, minlength=3)
        likely = resp * n > 5  # where chi-square holds; the rest is pooled
        expected = np.append(resp[likely], resp[~likely].sum()) * n
        observed = np.append(counts[likely], counts[~likely].sum())
        statistic += (np.square(observed - expected) / np.maximum(expected, 1)).sum()
        freedom += likely.sum() - 1
    assert freedom >= 5
    assert statistic < stats.chi2(freedom).ppf(0.9999)


def test_sampled_labels_never_pick_an_empty_component(monkeypatch):
    point = random_parameters("full", 4, 2)
    point = point._replace(weights=np.array([0.0, 0.5, 0.5, 0.0]))
    x = rows_of(point, 20_000)
    label = passes.sampled_labels(x, parameters_of("full", point), np.array([1, 2], np.uint64))
    assert set(label) == {1, 2}


def test_rounding_never_draws_an_empty_component():
    """Probabilities that add to a little less than one, and the uniform number next to one."""
    size = 32
    with np.errstate(divide="ignore"):
        joint = np.log(np.repeat([0.5, 0.5 - 2.0**-52, 0.0], size))
    uniform, label = np.full(size, 1 - 2.0**-53), np.empty(size, np.int64)
    draw = njit(lambda given, u, out: blocks.choose_labels(given, np.zeros(size), 3, size, u, out))
    draw(joint, uniform, label)
    np.testing.assert_array_equal(label, 1)


@pytest.mark.parametrize("key", [[0, 0], [2**64 - 1, 2**63], [12345, 67890]])
def test_sampled_labels_follow_a_counter_based_stream_by_inversion(structure, key):
    x, point = case(structure, "plain")
    x = x[:-1]  # not a multiple of four
    parameters = parameters_of(structure, point)
    key = np.array(key, np.uint64)
    uniform = np.random.Generator(np.random.Philox(key=key)).random(len(x))
    cumulative = np.cumsum(passes.responsibilities(x, parameters), axis=1)
    expected = (cumulative < uniform[:, None]).sum(axis=1)
    np.testing.assert_array_equal(passes.sampled_labels(x, parameters, key), expected)


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
