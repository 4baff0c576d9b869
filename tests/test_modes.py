"""Chains are grouped by the mode that they sit in."""

import numpy as np
import pytest
import xarray as xr

import bayesmix as bm
from bayesmix.diagnostics import diagnose
from bayesmix.modes import chains_by_mode, describe_modes
from tests.fixtures_post import completed, planted
from tests.support import blobs, random_parameters, random_prior

LIMIT = 1.1
POINTS = ((0, 1), (1, 1), (2, 2))
"""Seed of the noise, and of the point, of three chains."""


def noise(*centers, draws=400):
    rng = np.random.default_rng(1)
    return np.array(centers)[:, None] + rng.normal(size=(len(centers), draws))


def test_chains_that_agree_are_one_group():
    assert chains_by_mode({"a": noise(0, 0, 0)}, LIMIT) == [[0, 1, 2]]


def test_groups_by_any_quantity():
    columns = {"a": noise(0, 5, 0, 5), "b": noise(0, 0, 7, 0)}
    assert chains_by_mode(columns, LIMIT) == [[0], [1, 3], [2]]


def test_chains_agree_through_others():
    columns = {"a": noise(0, 0.55, 1.1)}
    assert chains_by_mode({"a": columns["a"][[0, 2]]}, LIMIT) == [[0], [1]]
    assert chains_by_mode(columns, LIMIT) == [[0, 1, 2]]


@pytest.mark.parametrize(("second", "groups"), [(2.0, [[0, 1]]), (3.0, [[0], [1]])])
def test_chains_that_stand_still(second, groups):
    assert chains_by_mode({"a": np.tile([[2.0], [second]], 50)}, LIMIT) == groups


def test_words():
    columns = {
        "log_likelihood_total": np.array([[-10.0, -12.0], [-20.0, -20.0]]),
        "n_clusters": np.array([[2, 2], [3, 4]]),
    }
    assert describe_modes([[0], [1]], columns) == (
        "chain 0 at log-likelihood -11.0 with 2 clusters; "
        "chain 1 at log-likelihood -20.0 with 3.5 clusters"
    )


def test_diagnose_reports_modes():
    """Two chains of one point, one of another."""
    x = blobs(60, 2, 3)
    chains = [planted(random_parameters("full", 3, 2, seed), x, seed=i) for i, seed in POINTS]
    parts = [chain["posterior"].to_dataset().isel(chain=[0]) for chain in chains]
    tree = chains[0].copy(deep=True)
    tree["posterior"] = xr.DataTree(xr.concat(parts, dim="chain").assign_coords(chain=range(3)))
    tree = completed(tree, bm.Mixture(bm.Dirichlet(3), random_prior(2)))
    found = next(finding for finding in diagnose(tree) if finding.check == "r_hat")
    assert "the chains disagree, chains 0, 1 at log-likelihood" in found.message
    assert "; chain 2 at log-likelihood" in found.message
