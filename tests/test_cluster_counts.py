"""The number of clusters in draws: shares and their errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesmix as bm
from tests.fixtures_post import OVERLAPPING, SEPARATED, completed, planted
from tests.planted_counts import autocorrelated, tree_of
from tests.support import random_prior, rows_of


class TestNClusters:
    def test_shares(self):
        clusters = np.array([[1, 2, 2, 3, 2, 2], [2, 2, 4, 2, 3, 3]])
        table = bm.n_clusters(tree_of(clusters))
        assert table.index.name == "k"
        assert table.index.tolist() == [1, 2, 3, 4]
        assert table.columns.tolist() == [
            *("n_clusters", "n_clusters_mcse", "n_components", "n_components_mcse")
        ]
        np.testing.assert_allclose(table["n_clusters"], np.array([1, 7, 3, 1]) / 12)

    @pytest.mark.parametrize("rho", [0.0, 0.9])
    def test_the_error_is_that_of_the_share(self, rho):
        """Over repetitions, and at the known variance of such chains."""
        runs = [
            bm.n_clusters(tree_of(1 + autocorrelated(rho, 4, 1000, seed))).loc[1]
            for seed in range(60)
        ]
        table = pd.DataFrame(runs)
        expected = np.sqrt(0.25 * (1 + rho) / (1 - rho) / 4000)
        assert table["n_clusters"].std() == pytest.approx(expected, rel=4 / np.sqrt(120))
        assert table["n_clusters_mcse"].mean() == pytest.approx(expected, rel=0.1)

    def test_what_never_came_has_no_known_error(self):
        table = bm.n_clusters(tree_of(np.full((4, 100), 2)))
        assert table["n_clusters"].tolist() == [0, 1]
        assert table["n_clusters_mcse"].isna().all()

    def test_chains_that_stay_apart_count_as_one_draw_each(self):
        clusters = np.repeat([[1], [2], [2], [2]], 100, axis=1)
        found = bm.n_clusters(tree_of(clusters)).loc[1]
        assert found["n_clusters"] == 0.25
        assert found["n_clusters_mcse"] == pytest.approx(np.sqrt(0.25 * 0.75 / 3))

    def test_too_few_draws_have_no_known_error(self):
        assert bm.n_clusters(tree_of([[1, 2, 1]]))["n_clusters_mcse"].isna().all()

    def test_a_random_number_of_components(self):
        clusters, components = np.full((2, 50), 2), np.tile([3, 4, 4, 4, 4], (2, 10))
        table = bm.n_clusters(tree_of(clusters, n_components=components))
        np.testing.assert_allclose(table["n_components"], [0, 0, 0.2, 0.8])
        assert table["n_components_mcse"].loc[3] > 0
        assert table["n_clusters"].tolist() == [0, 1, 0, 0]

    @pytest.mark.parametrize("fields", ["all", "labels", "parameters"])
    def test_stored_counted_or_drawn(self, fields):
        mixture = bm.Mixture(bm.Dirichlet(3), random_prior(2))
        tree = completed(planted(SEPARATED, rows_of(SEPARATED, 9), draws=30), mixture)
        clusters = tree["posterior"]["n_clusters"].values
        if fields != "all":
            tree["posterior"].dataset = tree["posterior"].to_dataset().drop_vars("n_clusters")
        if fields == "parameters":
            del tree["allocation"]
        table = bm.n_clusters(tree)
        assert table.index.tolist() == [1, 2, 3]
        assert table["n_components"].tolist() == [0, 0, 1]
        assert table["n_components_mcse"].tolist() == [0, 0, 0]
        expected = np.bincount(clusters.ravel(), minlength=4)[1:] / clusters.size
        np.testing.assert_allclose(table["n_clusters"], expected)  # no row is in doubt

    def test_drawn_labels_repeat(self):
        tree = planted(OVERLAPPING, rows_of(OVERLAPPING, 2))
        pd.testing.assert_frame_equal(bm.n_clusters(tree), bm.n_clusters(tree))
        assert 0.01 < bm.n_clusters(tree).loc[1, "n_clusters"] < 0.99

    def test_names_what_is_missing(self):
        with pytest.raises(ValueError, match="expected the group posterior"):
            bm.n_clusters(xr.DataTree())
        with pytest.raises(ValueError, match="weights, means, covariances missing"):
            bm.n_clusters(xr.DataTree.from_dict({"posterior": xr.Dataset()}))
