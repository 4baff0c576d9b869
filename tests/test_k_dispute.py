"""The dispute of a choice: EM is the table's, the partition has the number of the answer."""

from __future__ import annotations

import importlib
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from sklearn.exceptions import ConvergenceWarning

import bayesmix as bm
from bayesmix import schema
from bayesmix.inputs import as_table
from bayesmix.k_choice import KChoice

module = importlib.import_module("bayesmix.k_dispute")

TWO, THREE = np.repeat([0, 1], [7, 5]), np.repeat([0, 1, 2], [4, 3, 5])
X = np.array([0.0, 3.0, 10.0])[THREE, None] + np.tile([-0.1, 0, 0.1], 4)[:, None]


def choice(draws, numbers, log_likelihood=-20.0, r_hat=1.0):
    """A choice with labels (S, n) and planted tables, BIC's number the least of those given."""
    import pandas as pd

    observed = schema.observed_data(as_table(X))
    label = xr.Dataset({"label": (("chain", "draw", "obs"), np.array(draws)[None])})
    post = xr.DataTree.from_dict(
        {
            "observed_data": observed,
            "allocation": label.assign_coords(obs=observed["obs"]),
            "posterior": xr.Dataset(
                {"n_clusters": (("chain", "draw"), [[len(np.unique(z)) for z in draws]])}
            ),
        }
    )
    counts = np.bincount([len(np.unique(z)) for z in draws], minlength=5)[1:]
    index = pd.RangeIndex(1, 5, name="n_components")
    bic = pd.Series(numbers).reindex(index)
    table = pd.DataFrame({"p_n_clusters": counts / counts.sum(), "bic": bic}, index)
    criteria = pd.DataFrame(
        {"log_likelihood": log_likelihood},
        pd.MultiIndex.from_product([["full"], index], names=["covariance_type", "n_components"]),
    )
    mixture = bm.Mixture(bm.MixtureOfFiniteMixtures(bm.Geometric(0.3)), bm.weakly_informative(X))
    given = dict.fromkeys(
        ("recommendation", "models", "posts", "evidences", "loos", "structures", "em_status")
    )
    return KChoice(
        **(given | {"recommendation": ""}),
        table=table,
        mixture=mixture,
        post=post,
        r_hat=r_hat,
        criteria=criteria,
        unfinished=(),
        failed={},
    )


@pytest.fixture
def em(monkeypatch):
    """Have EM end at three planted clusters, as likely as told for each number of starts."""

    def plant(heights, warn=()):
        asked = []

        def fitted(x, k, structure, n_init):
            asked.append((n_init, k, structure))
            if n_init in warn:
                warnings.warn("not an optimum", ConvergenceWarning, stacklevel=1)
            return SimpleNamespace(
                weights_=np.full(3, 1 / 3),
                means_=np.array([[0.0], [3.0], [10.0]]),
                covariances_=np.full((3, 1, 1), 0.25),
                covariance_type="full",
                score=lambda x: heights[n_init] / len(x),
            )

        monkeypatch.setattr(module, "_fitted", fitted)
        return asked

    return plant


def test_the_partition_has_the_number_of_the_answer(em):
    """Six draws of ten keep rows 0 to 6 together, with one cluster or two; but most have three."""
    em({20: -20.0})
    draws = [THREE] * 4 + [TWO] * 3 + [0 * TWO] * 3
    assert bm.partition(np.array(draws), random_seed=1).labels.values.max() == 1
    found = choice(draws, {3: 1.0, 2: 2.0}).dispute(random_seed=1)
    assert found.n_clusters == (3, 3)
    assert found.cautions == ()
    assert bm.adjusted_rand_index(found.rows["label"].to_numpy(), THREE) == 1


def test_how_often_rows_are_together_is_told_by_all_draws(em):
    em({20: -20.0})
    found = choice([THREE] * 4 + [TWO] * 6, {3: 1.0}).dispute(random_seed=1)
    assert found.n_clusters == (3, 2)
    assert found.table["together"].tolist() == pytest.approx([0.6])


def test_a_partition_with_another_number_is_named(em):
    """Four clusters in every draw, though the fourth, one row, is another every time."""
    em({20: -20.0})
    draws = [np.where(np.arange(12) == i, 3, THREE) for i in range(12)]
    found = choice(draws, {3: 1.0}).dispute(random_seed=1)
    assert found.sentences()[-1] == (
        "The posterior's partition of least loss has 3 clusters, although 4 is the most probable "
        "number."
    )


def test_chains_that_disagree_are_named(em):
    em({20: -20.0})
    found = choice([THREE], {3: 1.0}, r_hat=1.3).dispute(random_seed=1)
    assert found.sentences()[-1].startswith(
        "Do not trust the posterior's side yet: the chains disagree (R-hat 1.30)"
    )


def test_em_takes_more_starts_until_it_is_as_likely_as_the_tables(em):
    asked = em({20: -27.0, 60: -20.04, 180: 0.0}, warn=[20])
    found = choice([THREE], {3: 1.0, 4: 2.0}).dispute(random_seed=1)
    assert asked == [(20, 3, "full"), (60, 3, "full")]
    assert found.cautions == ()


def test_an_optimum_that_is_not_found_again_is_named(em):
    asked = em({20: -30.0, 60: -25.0, 180: -28.0}, warn=[60])
    found = choice([THREE], {3: 1.0}).dispute(random_seed=1)
    assert len(asked) == 3
    assert found.cautions == (
        "EM did not find the optimum of the table again (log likelihood -25.00, not -20.00, with "
        "K = 3): the criterion rests on other components than these.",
        "EM with K = 3 warned of convergence: its components are not certain.",
    )


def test_nothing_to_compare_with():
    found = choice([THREE], {})
    with pytest.raises(ValueError, match="bic: expected a genuine optimum of EM, found none"):
        found.dispute()
    with pytest.raises(ValueError, match="not come to; give choose_k more time"):
        replace(found, criteria=None).dispute()
    with pytest.raises(ValueError, match="criterion: expected 'bic', 'icl' or 'aic', got 'dic'"):
        found.dispute("dic")
