"""Draws out of a tree: what is random comes along, and gives the log prior."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import bayesmix as bm
from bayesmix import gaussian, schema
from bayesmix.draws import draws_of, log_priors
from tests.support import (
    WEIGHTS,
    cells,
    mixture_of_cell,
    random_covariances,
    random_independent_prior,
)

SHAPE, K, D = (2, 5), 3, 2


def made_up(mixture: bm.Mixture) -> xr.DataTree:
    """Two chains of five made-up draws of a mixture, with what it has at random."""
    rng = np.random.default_rng(3)
    prior = mixture.components
    scale = rng.gamma(9, size=(*SHAPE, 1, 1)) * np.eye(D)
    covariances = np.array(
        [random_covariances(mixture.covariance_type, K, D, rng) for _ in range(10)]
    )
    posterior = schema.posterior(
        rng.dirichlet(np.full(K, 2.0), size=SHAPE),
        rng.normal(size=(*SHAPE, K, D)),
        covariances.reshape(*SHAPE, K, D, D),
        ("a", "b"),
        scale if prior.scale_hyperprior else None,
        rng.gamma(2, size=SHAPE) if mixture.weights.random_concentration else None,
        rng.uniform(size=SHAPE) if mixture.weights.random_discount else None,
    )
    tree = schema.root({"posterior": posterior}, mixture, 1, 0.0)
    if not isinstance(mixture.weights, bm.Dirichlet):
        tree.attrs["truncation_error"] = 0.0
    bm.validate(tree)
    return tree


FINITE = [cell for cell in cells("nuts") if not WEIGHTS[cell[0]].varying]


@pytest.mark.parametrize("cell", FINITE, ids=" ".join)
def test_log_priors_are_those_of_the_points(cell):
    weights, components, *_ = cell
    mixture = mixture_of_cell(cell, D)
    tree = made_up(mixture)
    draws = draws_of(tree)
    random_scale = components == "IndependentNormalInverseWishart"
    assert (draws.covariance_scale is not None) is random_scale
    random = ("Dirichlet(K, Gamma)", "DirichletProcess(T)", "PitmanYor(T)")
    assert (draws.concentration is not None) is (weights in random)
    assert (draws.discount is not None) is (weights == "PitmanYor(T)")
    names = [n for n in schema.SCHEMA["posterior"] if n in tree.posterior]
    expected = [
        [
            gaussian.log_prior(mixture, **{n: tree.posterior[n].values[chain, draw] for n in names})
            for draw in range(SHAPE[1])
        ]
        for chain in range(SHAPE[0])
    ]
    found = draws.by_chain(log_priors(draws, mixture))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_random_scale_that_the_draws_do_not_have_is_named():
    mixture = bm.Mixture(bm.Dirichlet(K), random_independent_prior(D, random_scale=True))
    tree = made_up(mixture)
    tree["posterior"] = tree["posterior"].to_dataset().drop_vars("covariance_scale")
    with pytest.raises(ValueError, match=r"expected a variable covariance_scale .*, got none"):
        log_priors(draws_of(tree), mixture)


def test_the_order_of_dims_does_not_matter():
    mixture = mixture_of_cell(
        ("Dirichlet(K, Gamma)", "IndependentNormalInverseWishart", "full", "gibbs"), D
    )
    tree = made_up(mixture)
    expected = log_priors(draws_of(tree), mixture)
    turned = tree["posterior"].to_dataset().transpose("feature_bis", "feature", "component", ...)
    tree["posterior"] = turned.transpose(..., "draw", "chain")
    np.testing.assert_array_equal(log_priors(draws_of(tree), mixture), expected)


def test_another_models_variables_of_these_names_are_left_alone():
    """A concentration per component, say, in a model of one's own."""
    tree = made_up(mixture_of_cell(("Dirichlet(K)", "NormalInverseWishart", "full", "nuts"), D))
    posterior = tree["posterior"].to_dataset()
    tree["posterior"] = posterior.assign(
        concentration=posterior["weights"],
        discount=posterior["means"],
        covariance_scale=posterior["covariances"],
    )
    draws = draws_of(tree)
    assert draws.concentration is None
    assert draws.discount is None
    assert draws.covariance_scale is None
