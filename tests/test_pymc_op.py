"""The likelihood as one operation: value and gradient are those of the plain graph."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode

from bayesmix import gaussian
from bayesmix.covariance import structure_of
from bayesmix.pass_parameters import PassParameters
from bayesmix.pymc_op import MixtureDensity, WeightedMoments
from bayesmix.pymc_structures import arithmetic_of
from tests.support import STRUCTURES, Parameters, compact, random_parameters, rows_of

K = 3
PERFORM = Mode(linker="py", optimizer="fast_compile")
MODES = {"perform": PERFORM, "numba": Mode(linker="numba", optimizer="fast_compile")}
EXACT = 1e-10
"""The bound that is promised, relative to the largest entry."""


class Compiled(NamedTuple):
    """Value and gradient in rows, log weights, means, factor."""

    op: Callable
    graph: Callable


def inputs_of(structure: str, point: Parameters) -> list[np.ndarray]:
    factor = structure_of(structure).precision_cholesky(compact(structure, point.covariances))
    return [np.log(point.weights), point.means, np.ascontiguousarray(factor)]


def symbols(structure: str, d: int) -> list:
    shapes = ((None, d), (K,), (K, d), arithmetic_of(structure, K, d).factor_shape)
    return [pt.TensorType("float64", shape)() for shape in shapes]


@cache
def compiled(structure: str, d: int, weighted: bool, mode: str) -> Compiled:
    """The sum of the rows' densities, or one with a weight for each."""
    given = symbols(structure, d)
    weight = pt.vector("weight")
    candidates = (
        MixtureDensity(structure, K, d)(*given)[0],
        arithmetic_of(structure, K, d).log_density(*given),
    )
    functions = []
    for rows in candidates:
        total = (rows * weight).sum() if weighted else 2.0 * rows.sum()
        wanted = given if weighted else given[1:]  # the rows' gradient needs no second walk
        results = [total, *pt.grad(total, wanted)]
        more = [weight] if weighted else []
        functions.append(pytensor.function([*given, *more], results, mode=MODES[mode]))
    return Compiled(*functions)


def assert_close(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=EXACT * np.abs(b).max())


def assert_same(structure: str, found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    """The operation has no gradient above the diagonal, where the factor has no numbers."""
    if structure in ("full", "tied"):
        expected = [*expected[:-1], np.tril(expected[-1])]
    assert_close(found, expected)


CASES = [("perform", d) for d in (1, 2, 5)] + [pytest.param("numba", 2, marks=pytest.mark.slow)]


@pytest.mark.parametrize(("mode", "d"), CASES)
class TestAgainstTheGraph:
    def test_sum(self, structure, mode, d):
        this = compiled(structure, d, False, mode)
        for seed in range(3):
            point = random_parameters(structure, K, d, seed)
            x = rows_of(point, 1000, seed)
            given = [x, *inputs_of(structure, point)]
            assert_same(structure, this.op(*given), this.graph(*given))

    def test_a_cotangent_per_row(self, structure, mode, d, rng):
        """Of either sign, sums of zero included: the walk itself knows positive weights only."""
        this = compiled(structure, d, True, mode)
        point = random_parameters(structure, K, d)
        x = rows_of(point, 1000)
        for weight in (rng.normal(size=1000), rng.random(1000), -rng.random(1000), np.zeros(1000)):
            given = [x, *inputs_of(structure, point), weight]
            assert_same(structure, this.op(*given), this.graph(*given))
        alternating = np.tile([1.0, -1.0], 500)
        given = [x, *inputs_of(structure, point), alternating]
        assert_same(structure, this.op(*given), this.graph(*given))


def test_rows_are_the_reference(structure):
    point = random_parameters(structure, K, 4)
    x = rows_of(point, 700)
    given = symbols(structure, 4)
    found = pytensor.function(given, MixtureDensity(structure, K, 4)(*given)[0], mode=PERFORM)(
        x, *inputs_of(structure, point)
    )
    np.testing.assert_allclose(found, gaussian.log_density(x, *point), rtol=1e-12)


@pytest.mark.parametrize("order", ["F", "reversed", "every other"])
def test_rows_in_any_order_of_memory(structure, order):
    point = random_parameters(structure, K, 3)
    plain = rows_of(point, 500)
    wide = np.zeros((1000, 3))
    wide[::2] = plain
    x = {
        "F": np.asfortranarray(plain),
        "reversed": np.ascontiguousarray(plain[:, ::-1])[:, ::-1],
        "every other": wide[::2],
    }[order]
    op = MixtureDensity(structure, K, 3)
    parameters = inputs_of(structure, point)
    for a, b in zip(op.walk(None, x, *parameters), op.walk(None, plain, *parameters), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("offset", "apart"), [(0.0, 5000.0), (1e8, 5000.0), (0.0, 20.0)])
def test_components_far_apart_and_rows_far_narrower_than_theirs(structure, offset, apart):
    """As the pass: about each component's mean where the shared center would cost digits."""
    from bayesmix import passes

    covariances = np.tile(np.eye(2), (K, 1, 1))
    means = offset + np.array([[0.0, 0.0], [apart, 1.0], [0.0, 20.0]])
    point = Parameters(np.full(K, 1 / K), means, covariances)
    rng = np.random.default_rng(1)
    x = means[rng.integers(K, size=600)] + 1e-6 * rng.normal(size=(600, 2))
    parameters = inputs_of(structure, point)
    found = MixtureDensity(structure, K, 2).walk(None, x, *parameters)
    expected = passes.statistics(x, PassParameters(structure_of(structure), *parameters))
    wanted = (expected.sizes, expected.first, expected.second)
    assert abs(found[0].sum() - expected.log_likelihood) < 1e-12 * np.abs(found[0]).sum()
    for a, b in zip(found[1:], wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * np.abs(b).max())


class TestNoNumbers:
    """What is no number does not come out as one, and gradients stay numbers."""

    @pytest.mark.parametrize("broken", [0, 1, 2])
    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_parameters(self, structure, broken, bad):
        point = random_parameters(structure, K, 2)
        parameters = [a.copy() for a in inputs_of(structure, point)]
        parameters[broken][(0,) * parameters[broken].ndim] = bad
        rows, *moments = MixtureDensity(structure, K, 2).walk(None, rows_of(point, 20), *parameters)
        assert np.isnan(rows).all()
        for moment in moments:
            assert (moment == 0).all()

    def test_a_row(self, structure):
        point = random_parameters(structure, K, 2)
        x = rows_of(point, 20)
        x[3, 1] = np.nan
        rows = MixtureDensity(structure, K, 2).walk(None, x, *inputs_of(structure, point))[0]
        assert np.isnan(rows[3])

    def test_an_empty_component(self, structure):
        point = random_parameters(structure, K, 2)
        x = rows_of(point, 50)
        weights = np.array([0.0, 0.4, 0.6])
        with np.errstate(divide="ignore"):
            parameters = [np.log(weights), *inputs_of(structure, point)[1:]]
        rows, sizes, first, _ = MixtureDensity(structure, K, 2).walk(None, x, *parameters)
        np.testing.assert_allclose(rows, gaussian.log_density(x, weights, *point[1:]), rtol=1e-12)
        assert sizes[0] == 0
        assert (first[0] == 0).all()

    def test_no_weight_at_all(self, structure):
        point = random_parameters(structure, K, 2)
        parameters = [np.full(K, -np.inf), *inputs_of(structure, point)[1:]]
        found = MixtureDensity(structure, K, 2).walk(None, rows_of(point, 9), *parameters)
        assert (found[0] == -np.inf).all()
        for moment in found[1:]:
            assert np.isfinite(moment).all()


def test_second_derivatives_are_refused():
    given = symbols("full", 2)
    total = MixtureDensity("full", K, 2)(*given)[0].sum()
    slope = pt.grad(total, given[2])
    with pytest.raises(NotImplementedError, match=r'second ones.*likelihood="graph"'):
        pt.grad(slope.sum(), given[2])


def test_axes_are_checked():
    with pytest.raises(TypeError, match=r"expected inputs of \(2, 1, 2, 2\) axes.*\(2, 1, 2, 3\)"):
        MixtureDensity("tied", K, 2)(*symbols("full", 2))


def test_one_walk_where_a_number_goes_to_every_row():
    """A broadcast cotangent needs no walk of its own, however it is written."""
    given = symbols("full", 2)
    scale, weight = pt.scalar("scale"), pt.vector("weight")

    def walks(total):
        graph = pytensor.function(
            [*given, scale, weight],
            pt.grad(total, given[1:]),
            on_unused_input="ignore",
            mode=PERFORM,
        )
        return sum(isinstance(n.op, WeightedMoments) for n in graph.maker.fgraph.apply_nodes)

    rows = MixtureDensity("full", K, 2)(*given)[0]
    for total in (rows.sum(), 3.0 * rows.sum(), (scale * rows).sum(), rows.sum() * scale**2):
        assert walks(total) == 0
    known = {rows: pt.full((given[0].shape[0],), 2.0)}
    slopes = pt.grad(None, given[1:], known_grads=known)
    graph = pytensor.function(given, slopes, mode=PERFORM)
    assert not any(isinstance(n.op, WeightedMoments) for n in graph.maker.fgraph.apply_nodes)
    assert walks((rows * weight).sum()) == 1
    assert walks(rows[0]) == 1


def test_every_structure_has_an_operation():
    assert {arithmetic_of(s, K, 2).covariance_type for s in STRUCTURES} == set(STRUCTURES)
