"""Stick-breaking priors are values: checked, frozen, hashable, printable."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import bayesmix as bm
from tests.support import STICKS


@pytest.mark.parametrize("value", [0, -1.5, np.nan, np.inf, "one", None, (1, 2)])
@pytest.mark.parametrize("name", ["a", "b"])
def test_beta_refuses(name, value):
    with pytest.raises(
        ValueError, match=f"^{name}: expected a finite number above 0, got"
    ) as caught:
        bm.Beta(**{"a": 1.0, "b": 2.0, name: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [0, -1.5, np.nan, np.inf, "one", None, (1, 2), bm.Beta(1, 2)])
@pytest.mark.parametrize("make", [bm.DirichletProcess, lambda c: bm.PitmanYor(c, 0.5)])
def test_a_concentration_that_is_none(make, value):
    match = "^concentration: expected a finite number above 0, or a Gamma, got"
    with pytest.raises(ValueError, match=match) as caught:
        make(value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [-0.1, 1.0, 1.5, np.nan, "half", None, bm.Gamma(1, 2)])
def test_a_discount_that_is_none(value):
    match = "^discount: expected a number of at least 0 and below 1, or a Beta, got"
    with pytest.raises(ValueError, match=match) as caught:
        bm.PitmanYor(1.0, value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [0, -3, 2.5, True, "ten"])
@pytest.mark.parametrize(
    "make",
    [
        lambda t: bm.DirichletProcess(1.0, truncation=t),
        lambda t: bm.PitmanYor(1.0, 0.5, truncation=t),
    ],
)
def test_a_truncation_that_is_none(make, value):
    with pytest.raises(ValueError, match=r"^truncation: expected a whole number of at least 1"):
        make(value)


@pytest.mark.parametrize("name", STICKS)
def test_values_are_values(name):
    prior = STICKS[name]
    again = dataclasses.replace(prior)
    assert again == prior
    assert hash(again) == hash(prior)
    assert repr(again) == repr(prior)
    assert not prior.exchangeable
    assert prior.n_components == prior.truncation == 3
    assert not prior.varying
    infinite = dataclasses.replace(prior, truncation=None)
    assert infinite.n_components is None
    assert infinite.varying
    with pytest.raises(dataclasses.FrozenInstanceError):
        prior.truncation = 4


@pytest.mark.parametrize("truncation", [None, 1, 7])
@pytest.mark.parametrize("name", STICKS)
def test_json_round_trip(name, truncation):
    mixture = bm.Mixture(dataclasses.replace(STICKS[name], truncation=truncation))
    back = bm.Mixture.from_dict(json.loads(mixture.to_json()))
    assert back == mixture
    assert repr(back) == repr(mixture)


def test_numbers_are_plain():
    prior = bm.PitmanYor(np.float32(2), np.int64(0), truncation=np.int16(4))
    assert [type(v) for v in dataclasses.astuple(prior)] == [float, float, int]
    assert repr(prior) == "PitmanYor(concentration=2.0, discount=0.0, truncation=4)"
    text = "DirichletProcess(concentration=Gamma(shape=2.0, rate=4.0), truncation=None)"
    assert repr(bm.DirichletProcess()) == text
    assert bm.Beta(np.int8(1), 3).mean == 0.25


def test_what_is_random():
    assert STICKS["DP"].random_concentration is None
    assert STICKS["PY"].random_concentration is None
    assert STICKS["PY"].random_discount is None
    assert STICKS["DP Gamma"].random_concentration == bm.Gamma(2, 2)
    assert STICKS["DP Gamma"].random_discount is None
    assert STICKS["PY Beta"].random_discount == bm.Beta(1.5, 3)
    assert bm.Dirichlet(2).random_discount is None


def test_stick_parameters():
    a, b = bm.PitmanYor(9.0, 0.1, truncation=4).stick_parameters(2.0, 0.25)
    np.testing.assert_array_equal(a, [0.75, 0.75, 0.75])
    np.testing.assert_array_equal(b, [2.25, 2.5, 2.75])
    a, b = STICKS["DP"].stick_parameters(np.array([[1.0], [2.0]]), 0.0)
    np.testing.assert_array_equal(a, [1, 1])
    np.testing.assert_array_equal(b, [[1, 1], [2, 2]])
    a, b = bm.DirichletProcess(truncation=1).stick_parameters(1.0, 0.0)
    assert a.shape == b.shape == (0,)


def test_infinitely_many_sticks_are_not_listed():
    with pytest.raises(ValueError, match=r"^truncation: expected a number.*give truncation=T"):
        bm.DirichletProcess().stick_parameters(1.0, 0.0)


def test_truncated_mixtures():
    prior = bm.NormalInverseWishart([0.0], 1.0, 3.0, 1.0)
    infinite = bm.Mixture(bm.DirichletProcess(1.0), prior, "diag")
    with pytest.raises(ValueError, match=r"^truncation: expected a number .* Mixture.truncated"):
        infinite.n_components  # noqa: B018
    found = infinite.truncated(272)
    assert found == bm.Mixture(bm.DirichletProcess(1.0, truncation=16), prior, "diag")
    assert found.truncated(10**6) is found
    finite = bm.Mixture(bm.Dirichlet(3))
    assert finite.truncated(5) is finite
