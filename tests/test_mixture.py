"""The model as a value, and the table of capabilities beside it."""

from __future__ import annotations

import dataclasses
import json
from itertools import product

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.mixture import CAPABILITIES
from tests.support import (
    STRUCTURES,
    WEIGHTS,
    mixture_of_cell,
    random_independent_prior,
    random_prior,
)

ENGINES = ("em", "nuts", "gibbs")
COMPONENTS = ("none", "NormalInverseWishart", "IndependentNormalInverseWishart")


@pytest.mark.parametrize("cell", CAPABILITIES, ids=" ".join)
def test_json_round_trip(cell):
    mixture = mixture_of_cell(cell, 2)
    back = bm.Mixture.from_dict(json.loads(json.dumps(mixture.to_dict())))
    assert back == mixture
    assert hash(back) == hash(mixture)
    assert bm.Mixture.from_dict(json.loads(mixture.to_json())) == mixture


@pytest.mark.parametrize("cell", CAPABILITIES, ids=" ".join)
def test_a_mixture_falls_into_its_cell(cell):
    mixture = mixture_of_cell(cell, 2)
    engine = cell[3]
    capability = mixture.capability(engine)
    assert capability is CAPABILITIES[cell]
    assert capability.engine == engine
    assert capability.fits is (capability.reason == "")
    if capability.fits:
        mixture.require(engine)
        assert capability.mode or engine != "em"
    else:
        with pytest.raises(ValueError, match="; ") as caught:
            mixture.require(engine)
        assert str(caught.value) == capability.reason
        assert "\n" not in capability.reason


def test_the_table_is_complete():
    keys = product(WEIGHTS, COMPONENTS, STRUCTURES, ENGINES)
    assert set(CAPABILITIES) == set(keys)


@pytest.mark.parametrize("cell", CAPABILITIES, ids=" ".join)
def test_what_the_table_says(cell):
    """Stated again from DESIGN §4, on the priors themselves."""
    weights, components, _, engine = cell
    capability = CAPABILITIES[cell]
    prior = WEIGHTS[weights]
    random_k = isinstance(prior, bm.MixtureOfFiniteMixtures)
    sticks = isinstance(prior, bm.DirichletProcess | bm.PitmanYor)
    stated = isinstance(prior, bm.Dirichlet) and prior.random_concentration is None
    values = prior.concentrations if stated else np.array([np.nan])  # no number at all
    likelihood = components == "none"
    match engine:
        case "em":
            fits = bool((values == 1).all()) if likelihood else bool((values >= 1).all())
        case "nuts":
            fits = not likelihood and not random_k
        case _:
            fits = not likelihood
    assert capability.fits is fits
    assert capability.mode is bool((values == 1).all() if likelihood else (values >= 1).all())
    assert capability.exchangeable is (not sticks and (not stated or bool(np.ptp(values) == 0)))
    assert capability.exact is (engine == "gibbs" or not (sticks and prior.truncation is None))
    assert capability.enumerable is (components == "NormalInverseWishart")


@pytest.mark.parametrize("cell", CAPABILITIES, ids=" ".join)
def test_no_reason_sends_to_an_engine_that_refuses_too(cell):
    weights, components, structure, _ = cell
    reason = CAPABILITIES[cell].reason
    for name, other in (('sampler="nuts"', "nuts"), ('sampler="gibbs"', "gibbs"), ("fit_em", "em")):
        if name in reason:
            assert CAPABILITIES[weights, components, structure, other].fits
    if reason and components != "none":
        assert "sampler=" in reason


@pytest.mark.parametrize("random_scale", [False, True])
def test_independent_means_survive_json(random_scale):
    prior = random_independent_prior(3, random_scale=random_scale)
    mixture = bm.Mixture(bm.Dirichlet(2), prior)
    back = bm.Mixture.from_dict(json.loads(mixture.to_json()))
    assert back == mixture
    assert back.components.scale_hyperprior == prior.scale_hyperprior
    assert repr(back) == repr(mixture)


def test_a_prior_within_a_prior_survives_json():
    mixture = bm.Mixture(bm.Dirichlet(4, bm.Gamma(1.5, 30)))
    values = mixture.to_dict()
    assert values["weights"]["concentration"] == {"class": "Gamma", "shape": 1.5, "rate": 30.0}
    back = bm.Mixture.from_dict(json.loads(json.dumps(values)))
    assert back.weights.random_concentration == bm.Gamma(1.5, 30)
    assert repr(back) == repr(mixture)
    values["weights"]["concentration"]["class"] = "Cauchy"
    with pytest.raises(ValueError, match=r"prior: expected one of Dirichlet, .*got 'Cauchy'"):
        bm.Mixture.from_dict(values)


@pytest.mark.parametrize(
    "weights",
    [
        bm.Dirichlet(1, bm.Gamma(1, 1)),
        bm.Dirichlet(1),
        bm.Dirichlet(1, (0.5,)),
        bm.Dirichlet(4, (3.0,) * 4),
    ],
)
def test_every_dirichlet_has_a_cell(weights):
    for engine in ENGINES:
        bm.Mixture(weights, random_prior(2)).capability(engine)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ((2,), TypeError, r"weights: expected a prior such as Dirichlet\(2\), got 2"),
        ((bm.Gamma(1, 1),), TypeError, r"weights: expected a prior such as Dirichlet\(2\), got G"),
        ((bm.Dirichlet(2), "flat"), TypeError, "components: expected None or.*got 'flat'"),
        ((bm.Dirichlet(2), None, "round"), ValueError, "expected one of full, .*got 'round'"),
        ((bm.Dirichlet(2), None, ["full"]), ValueError, "covariance_type: expected one of full"),
    ],
)
def test_refuses(arguments, error, match):
    with pytest.raises(error, match=match) as caught:
        bm.Mixture(*arguments)
    assert "\n" not in str(caught.value)


def test_frozen_and_compared_by_value():
    one, two = (bm.Mixture(bm.Dirichlet(2), random_prior(2), "tied") for _ in range(2))
    assert one == two
    assert len({one, two}) == 1
    assert one != dataclasses.replace(two, covariance_type="full")
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.covariance_type = "full"
    assert one.n_components == 2


def test_a_varying_number_of_components():
    assert [bm.Mixture(weights).varying for weights in WEIGHTS.values()] == [
        *(False,) * 6,
        *(True, False, True, False, True),
    ]
    mixture = bm.Mixture(WEIGHTS["MixtureOfFiniteMixtures"], random_prior(2))
    for call in (lambda: mixture.n_components, lambda: mixture.truncated(10)):
        with pytest.raises(ValueError, match=r"^weights: expected a fixed number .* is random; "):
            call()


def test_features_of_the_prior_are_checked():
    mixture = bm.Mixture(bm.Dirichlet(2), random_prior(2))
    mixture.require_features(2)
    with pytest.raises(ValueError, match=r"x: expected 2 column\(s\).*got 3"):
        mixture.require_features(3)
    bm.Mixture(bm.Dirichlet(2)).require_features(3)


def test_a_dict_of_an_unknown_prior_is_refused():
    values = bm.Mixture(bm.Dirichlet(2)).to_dict()
    values["weights"]["class"] = "Horseshoe"
    with pytest.raises(ValueError, match=r"prior: expected one of Dirichlet, .*got 'Horseshoe'"):
        bm.Mixture.from_dict(values)
