"""The whole line, model to labels, against enumeration: no sampler shared, no density shared."""

import numpy as np
import pytest
from arviz_stats import mcse
from scipy.stats import norm

import bayesmix as bm
from tests.exact import labelings, pair_indicators

N_CHECKS = 4 * (2 * 21 + 1 + 21)
# Two-sided level 1e-3 over all checks of this file together.
LIMIT = norm.isf(1e-3 / (2 * N_CHECKS))


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(5).normal(size=(7, 2)) + np.repeat([[-1.0], [1.0]], [3, 4], axis=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:. of 10000 transitions diverged")  # of a few rows, rare
@pytest.mark.parametrize("concentration", [1.0, (0.7, 2.0)], ids=["equal", "vector"])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_nuts_agrees_with_enumeration(rows, covariance_type, concentration):
    prior = bm.NormalInverseWishart([0.2, -0.1], 0.4, 5.5, [[1.5, 0.3], [0.3, 1.0]])
    mixture = bm.Mixture(bm.Dirichlet(2, concentration), prior, covariance_type)
    post = bm.sample(mixture, rows, random_seed=11, draws=2500, progressbar=False)
    labels, probability = labelings(rows, mixture)
    label = post.allocation["label"].values
    pairs = pair_indicators(label)
    exact = probability @ pair_indicators(labels)
    for p in range(pairs.shape[-1]):
        estimate = pairs[..., p].astype(float)
        error = float(mcse(estimate))
        assert abs(estimate.mean() - exact[p]) < LIMIT * error
    both = (np.ptp(labels, axis=1) > 0).astype(float)
    estimate = (post.posterior["n_clusters"].values == 2).astype(float)
    assert abs(estimate.mean() - probability @ both) < LIMIT * float(mcse(estimate))
