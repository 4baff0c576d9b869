"""NUTS under stick-breaking weights: which stick rows go to, and what a tree says of the cut."""

from __future__ import annotations

import numpy as np
import pytest

import bayesmix as bm
from bayesmix import schema
from bayesmix.truncation import truncation_error
from tests.exact_checks import assert_means
from tests.exact_partitions import exact_labelings
from tests.fixtures_post import sample_quietly
from tests.gibbs_cells import few_rows
from tests.support import STICKS, random_prior


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["full", pytest.param("tied", marks=pytest.mark.long)])
@pytest.mark.parametrize("name", ["DP", "PY Gamma", "PY Gamma Beta"])
def test_labelings_agree_with_enumeration(name, structure):
    """Share of rows on each stick: what no permutation of the components may change."""
    prior = bm.NormalInverseWishart([0.2, -0.1], 0.4, 5.5, [[1.5, 0.3], [0.3, 1.0]])
    mixture, x = bm.Mixture(STICKS[name], prior, structure), few_rows(6, 2)
    post = sample_quietly(mixture, x, sampler="nuts", draws=4000, random_seed=3)
    label = post.allocation["label"].values
    labels, p = exact_labelings(x, mixture)
    expected = np.stack([(labels == k).mean(axis=1) for k in range(2)]) @ p
    assert_means(np.stack([(label == k).mean(axis=-1) for k in range(2)]), expected)


@pytest.mark.parametrize("truncation", [None, 4])
def test_the_truncation_is_recorded(truncation):
    x, weights = few_rows(12, 2), bm.DirichletProcess(1.0, truncation)
    mixture = bm.Mixture(weights, random_prior(2))
    post = sample_quietly(mixture, x, sampler="nuts", draws=20, tune=50, chains=2, random_seed=3)
    bm.validate(post)
    used = schema.mixture_of(post).weights
    assert used.truncation == post.posterior.sizes["component"] == (truncation or 12)
    assert post.attrs["truncation_error"] == truncation_error(used, 12)
    assert {finding.check for finding in bm.diagnose(post)} >= {"truncation"}
