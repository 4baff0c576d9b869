"""Coordinates of NUTS: there and back, for every cell, one point or many."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.nuts_coordinates import Coordinates, Parameters
from tests.nuts_cells import CELLS, positions, target_of
from tests.support import STRUCTURES, random_parameters, random_prior


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: " ".join(map(str, cell)))
def test_there_and_back(cell):
    coordinates = target_of(*cell).coordinates
    given = positions(target_of(*cell), 6).reshape(2, 3, -1)
    point = coordinates.parameters(given)
    np.testing.assert_allclose(coordinates.position(point), given, rtol=0, atol=1e-9)
    one = coordinates.parameters(given[1, 2])
    for field in fields(Parameters):
        many = getattr(point, field.name)
        if many is None:
            assert getattr(one, field.name) is None
        else:
            np.testing.assert_allclose(getattr(one, field.name), many[1, 2], rtol=1e-12)
    np.testing.assert_allclose(point.weights.sum(axis=-1), 1, rtol=1e-14)
    again = coordinates.structure.dense(
        coordinates.structure.compact(point.covariances), *coordinates.shape
    )
    np.testing.assert_allclose(again, point.covariances, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_back_and_there(structure):
    point = random_parameters(structure, 3, 2)
    coordinates = Coordinates(bm.Mixture(bm.Dirichlet(3), random_prior(2), structure))
    found = coordinates.parameters(coordinates.position(Parameters(*point)))
    for name, value in zip(point._fields, point, strict=True):
        np.testing.assert_allclose(getattr(found, name), value, rtol=1e-10, atol=1e-12)


def test_one_component_has_no_coordinate_of_its_weight():
    coordinates = Coordinates(bm.Mixture(bm.Dirichlet(1), random_prior(1)))
    assert coordinates.parts["weights"] == 0
    np.testing.assert_array_equal(coordinates.parameters(np.zeros((2, 2))).weights, np.ones((2, 1)))
