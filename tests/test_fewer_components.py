"""The step from one component fewer, against enumeration and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import bayesmix as bm
from bayesmix.fewer_components import one_fewer, step_from_fewer
from tests.exact_partitions import exact_posterior
from tests.gibbs_cells import few_rows
from tests.support import random_prior

PRIOR = random_prior(1)


def exact_step(x, mixture):
    both = (exact_posterior(x, model).log_evidence for model in (mixture, one_fewer(mixture)))
    return next(both) - next(both)


def exact_average(x, mixture):
    """E[1 - K+/K] by enumeration: what draws are to average."""
    p = exact_posterior(x, mixture).p_n_clusters
    return 1 - p @ np.arange(1, len(p) + 1) / mixture.n_components


def planted(clusters):
    """A tree of nothing but numbers of clusters, (chain, draw)."""
    by_draw = {"n_clusters": (("chain", "draw"), np.asarray(clusters))}
    return xr.DataTree.from_dict({"posterior": xr.Dataset(by_draw)})


@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("concentration", [0.2, 1.0, 4.0])
def test_identity(k, concentration):
    """Without any sampling: exact probabilities in, the exact ratio out."""
    x, mixture = few_rows(6, 1), bm.Mixture(bm.Dirichlet(k, concentration), PRIOR)
    mean = exact_average(x, mixture)
    step = step_from_fewer(mixture, planted(np.full((2, 10), k * (1 - mean))), 6)
    assert step.log_ratio == pytest.approx(exact_step(x, mixture), abs=1e-9)
    assert step.se == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("concentration", [1.0, (2.0, 2.0, 2.0), bm.Gamma(2, 4)])
def test_draws(concentration):
    x, mixture = few_rows(7, 1), bm.Mixture(bm.Dirichlet(3, concentration), PRIOR)
    post = bm.sample(mixture, x, draws=2000, thin=5, random_seed=1, progressbar=False)
    step = step_from_fewer(mixture, post, 7)
    assert abs(step.log_ratio - exact_step(x, mixture)) < 4 * step.se
    assert step.se < 0.05


def test_one_fewer():
    given = bm.Mixture(bm.Dirichlet(3, (2.0, 2.0, 2.0)), PRIOR, "tied")
    assert one_fewer(given) == bm.Mixture(bm.Dirichlet(2, (2.0, 2.0)), PRIOR, "tied")
    for weights in (bm.Dirichlet(1), bm.Dirichlet(2, (1.0, 2.0)), bm.DirichletProcess(1.0, 3)):
        assert one_fewer(bm.Mixture(weights, PRIOR)) is None


@pytest.mark.parametrize(
    "clusters",
    [np.full((4, 100), 3), [[3, 2, 3]], np.where(np.arange(400).reshape(4, 100) == 7, 2, 3)],
)
def test_draws_that_do_not_tell(clusters):
    """Never empty, too few, or empty once."""
    mixture = bm.Mixture(bm.Dirichlet(3), PRIOR)
    assert step_from_fewer(mixture, planted(clusters), 7) is None
