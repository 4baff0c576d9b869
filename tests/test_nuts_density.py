"""The compiled density: value against the reference and PyMC, gradient against differences."""

from __future__ import annotations

import numpy as np
import pytensor
import pytest
from pytensor.compile.mode import Mode
from scipy import special

import bayesmix as bm
from bayesmix import gaussian
from bayesmix.ascent import run
from bayesmix.inputs import as_table
from bayesmix.kernels.nuts import special as compiled_special
from bayesmix.nuts_coordinates import Parameters
from bayesmix.nuts_target import Target
from bayesmix.problem import problem_of
from bayesmix.search import start_point
from tests.nuts_cells import (
    CELLS,
    COMPONENTS,
    K,
    differences,
    log_volume,
    positions,
    target_of,
)
from tests.support import STRUCTURES, blobs, random_independent_prior, random_prior

slow = pytest.mark.slow


def log_posterior(target: Target, position: np.ndarray) -> float:
    """The reference, in its own measure."""
    point = target.coordinates.parameters(position)
    return float(
        gaussian.log_posterior(
            target.coordinates.mixture,
            target.held[1],
            point.weights,
            point.means,
            point.covariances,
            point.covariance_scale,
            point.concentration,
            point.discount,
        )
    )


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: " ".join(map(str, cell)))
def test_value_and_gradient(cell):
    """Law 1: the reference's density times the volume element, which differences tell."""
    target = target_of(*cell)
    (position,) = positions(target)
    value, gradient = target(position)
    expected = log_posterior(target, position) + log_volume(target.coordinates, position)
    np.testing.assert_allclose(value, expected, rtol=1e-8)
    slopes = differences(lambda z: np.array(target(z)[0]), position)
    np.testing.assert_allclose(gradient, slopes, rtol=0, atol=1e-8 * np.abs(slopes).max())


FAST = Mode(linker="py", optimizer="fast_compile")


@pytest.mark.parametrize(
    "cell",
    [
        pytest.param(cell, marks=() if cell[:2] == ("PY Gamma Beta", "random scale") else slow)
        for cell in CELLS
        if cell[0] in ("Dirichlet(K)", "PY Gamma Beta") or cell[1:3] == ("conjugate", "full")
    ],
    ids=lambda cell: " ".join(map(str, cell)),
)
@pytensor.config.change_flags(cxx="")
def test_value_and_gradient_are_those_of_the_pymc_model(cell):
    """In the same coordinates, in the same order."""
    target = target_of(*cell)
    model = bm.build_model(target.coordinates.mixture, target.held[1])
    start = model.initial_point()
    assert sum(np.size(v) for v in start.values()) == target.coordinates.n
    logp, dlogp = model.compile_logp(mode=FAST), model.compile_dlogp(mode=FAST)
    sizes = [np.size(start[v.name]) for v in model.value_vars]
    for position in positions(target, 3):
        parts = np.split(position, np.cumsum(sizes)[:-1])
        values = {
            v.name: part.reshape(np.shape(start[v.name]))
            for v, part in zip(model.value_vars, parts, strict=True)
        }
        value, gradient = target(position)
        np.testing.assert_allclose(value, logp(values), rtol=1e-9)
        slopes = dlogp(values)
        np.testing.assert_allclose(gradient, slopes, rtol=0, atol=1e-9 * np.abs(slopes).max())


@pytest.mark.parametrize("prior", [random_prior, random_independent_prior])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_mode_of_em_is_where_the_gradient_is_that_of_the_volume(structure, prior):
    mixture = bm.Mixture(bm.Dirichlet(2, (1.5, 3.0)), prior(2), structure)
    x = blobs(50, 2, 1) + 4.0 * (np.arange(50)[:, None] % 2)  # apart: no weight is 0 at the mode
    problem = problem_of(mixture, as_table(x))
    start = start_point(problem, np.eye(2)[np.arange(50) % 2])
    fit = run(problem, start, max_iter=20_000, tol=1e-15)
    target = Target.of(mixture, x)
    mode = Parameters(fit.point.weights, fit.point.means, fit.point.dense_covariances)
    position = target.coordinates.position(mode)
    slopes = differences(lambda z: np.array(log_volume(target.coordinates, z)), position)
    # EM's last gain of 1e-10 nats leaves sqrt(1e-10 n)
    assert np.abs(target(position)[1] - slopes).max() < 1e-5 * len(x)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_components_far_from_the_center(offset):
    """A thousand standard deviations apart, and far from zero."""
    x = blobs(40, 2, 1) + 1e3 * (np.arange(40)[:, None] % 2) + offset
    prior = bm.NormalInverseWishart(x.mean(axis=0), 1e-6, 5.0, np.eye(2))
    target = Target.of(bm.Mixture(bm.Dirichlet(2), prior), x)
    means = np.stack([x[::2].mean(axis=0), x[1::2].mean(axis=0)])
    point = Parameters(np.full(2, 0.5), means, np.stack([np.eye(2), 2 * np.eye(2)]))
    position = target.coordinates.position(point)
    value, gradient = target(position)
    slopes = differences(lambda z: np.array(target(z)[0]), position, 1e-4)
    np.testing.assert_allclose(gradient, slopes, rtol=0, atol=1e-6 * np.abs(slopes).max())
    expected = log_posterior(target, position) + log_volume(target.coordinates, position)
    np.testing.assert_allclose(value, expected, rtol=1e-6)


@pytest.mark.parametrize("weights", ["Dirichlet(K)", "Dirichlet(K, Gamma)", "PY Gamma Beta"])
@pytest.mark.parametrize("size", [50.0, 800.0, 1e6])
def test_extreme_logits_have_a_finite_density(weights, size):
    """Weights of 0 to working precision: value and gradient are still those of each other."""
    target = target_of(weights, "conjugate", "full", 2)
    parts = target.coordinates.parts
    begin = parts["concentration"] + parts["discount"]
    for signs in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        position = positions(target)[0]
        position[begin : begin + K - 1] = size * np.array(signs)
        value, gradient = target(position)
        assert np.isfinite(value)
        assert np.all(np.isfinite(gradient))
        slopes = differences(lambda z: np.array(target(z)[0]), position, 2e-3)
        np.testing.assert_allclose(
            gradient, slopes, rtol=0, atol=1e-6 * np.abs(slopes).max() + 1e-12 * abs(value)
        )


@pytest.mark.parametrize("components", COMPONENTS)
@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("size", [-2000.0, 2000.0, np.nan])
def test_what_is_not_finite_is_a_rejection_and_not_an_error(structure, components, size):
    target = target_of("PY Gamma Beta", components, structure, 2)
    for i in range(target.coordinates.n):
        position = positions(target)[0]
        position[i] = size
        value, gradient = target(position)
        assert np.isfinite(value) or (value == -np.inf and not gradient.any())
        assert np.all(np.isfinite(gradient))


def test_rows_in_any_layout_have_one_density():
    x = blobs(30, 2, K)
    mixture = bm.Mixture(bm.Dirichlet(K), random_prior(2))
    reference = Target.of(mixture, x)
    position = positions(reference)[0]
    wide = np.repeat(x, 2, axis=1)[:, ::2]
    for same in (np.asfortranarray(x), wide):
        value, gradient = Target.of(mixture, same)(position)
        assert value == reference(position)[0]
        np.testing.assert_array_equal(gradient, reference(position)[1])


def test_digamma():
    x = np.concatenate([np.geomspace(1e-8, 1e8, 400), np.linspace(1.3, 1.6, 20)])
    found = [compiled_special.digamma.py_func(value) for value in x]
    np.testing.assert_allclose(found, special.digamma(x), rtol=1e-13, atol=1e-14)
