"""Many models at once: their optima, criteria, and what the table says where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.ascent import run
from bayesmix.grid import _Grid
from bayesmix.inputs import as_table
from bayesmix.optima import Status
from bayesmix.problem import problem_of
from bayesmix.search import Engine, start_point
from tests.support import blobs

STRUCTURES = ["full", "tied", "diag", "spherical"]


@pytest.fixture(scope="module")
def table():
    return bm.fit_grid(bm.datasets.load("faithful"), range(1, 5), random_seed=1)


def test_known_optima(table):
    found = table["log_likelihood"]
    assert found["full", 2] == pytest.approx(-1130.264, abs=2e-3)
    assert found["tied", 3] == pytest.approx(-1126.316, abs=5e-3)
    assert set(table["status"]) <= {"converged", "unconfirmed"}


def test_a_larger_model_is_no_worse(table):
    """Nested models: a lower likelihood would be a failed fit."""
    found = table["log_likelihood"].unstack("covariance_type")
    assert np.all(np.diff(found, axis=0) > 0)
    assert np.all(found["full"] >= found[["tied", "diag"]].max(axis=1) - 1e-2)
    assert np.all(found["diag"] >= found["spherical"] - 1e-2)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_criteria_are_those_of_the_estimator(table, structure):
    x = bm.datasets.load("faithful")
    em = bm.GaussianMixture(2, covariance_type=structure, reg_covar=0, random_state=1).fit(x)
    row = table.loc[structure, 2]
    assert row["n_parameters"] == em._n_parameters()
    for name in ("bic", "aic", "icl"):
        assert row[name] == pytest.approx(getattr(em, name)(x), abs=2e-2)


def test_one_component_is_the_normal_distribution(structure):
    x = blobs(50, 3, 2)
    covariance = np.cov(x, rowvar=False, bias=True)
    match structure:
        case "diag":
            covariance = covariance * np.eye(3)
        case "spherical":
            covariance = np.trace(covariance) / 3 * np.eye(3)
    expected = -25 * (np.linalg.slogdet(2 * np.pi * covariance)[1] + 3)
    found = bm.fit_grid(x, [1], [structure], random_seed=1)
    assert found["log_likelihood"].item() == pytest.approx(expected, rel=1e-9)
    assert found["icl"].item() == pytest.approx(found["bic"].item())


def test_a_weight_of_two_is_the_row_twice():
    x = blobs(150, 2, 2)
    times = np.arange(150) % 3
    asked = {"n_components": [1, 2], "covariance_types": ["full", "tied"], "tol": 1e-9}
    weighted = bm.fit_grid(x, **asked, random_seed=1, sample_weight=times)
    repeated = bm.fit_grid(np.repeat(x, times, axis=0), **asked, random_seed=1)
    for name in ("log_likelihood", "bic", "icl"):
        np.testing.assert_allclose(weighted[name], repeated[name], atol=1e-3)


def test_chunks_and_rows_in_memory_agree():
    x = blobs(9_000, 2, 3)
    whole, parts = (
        bm.fit_grid(rows, [2, 3], ["diag"], random_seed=1) for rows in (x, np.array_split(x, 4))
    )
    np.testing.assert_allclose(whole["log_likelihood"], parts["log_likelihood"], rtol=1e-7)
    np.testing.assert_allclose(whole["icl"], parts["icl"], rtol=1e-6)


def test_models_without_an_optimum_say_why():
    x = np.column_stack([blobs(40, 2, 2), np.zeros(40)])
    x[:, 2] = x[:, 0] + x[:, 1]
    found = bm.fit_grid(x, [1, 2, 50], ["full", "diag"], random_seed=1)
    assert list(found.loc["full", "status"]) == ["singular", "singular", "too few rows"]
    assert found.loc["diag", "status"][1] == "converged"
    assert found.loc["full"].drop(columns=["status", "n_parameters"]).isna().all(axis=None)


def test_a_sample_without_a_column_is_no_error():
    x = np.column_stack([blobs(20_000, 2, 2), np.zeros(20_000)])
    x[:3, 2] = [1.0, 2.0, 3.0]
    found = bm.fit_grid(x, [2], ["tied"], random_seed=1)
    assert found["status"].item() in ("converged", "unconfirmed")


@pytest.mark.parametrize("there", [1, 2])
@pytest.mark.parametrize("sizes", [[600], [300, 600]])
def test_a_lone_best_of_five_is_unconfirmed(sizes, there):
    """Run on to all rows it does not confirm itself."""
    cell, x = ("diag", 2), blobs(600, 2, 2)
    mixture = bm.Mixture(bm.Dirichlet(2), covariance_type="diag")
    stages = [{cell: problem_of(mixture, as_table(x[:size]))} for size in sizes]
    problem = stages[0][cell]
    start = start_point(problem, np.eye(2)[(x[: sizes[0], 0] > 0).astype(int)])
    good = run(problem, start, max_iter=1000, tol=1e-6)
    low = good.objective - 100.0
    worse = replace(good, objective=low, penalized=low)
    fits = [replace(good) for _ in range(there)] + [replace(worse) for _ in range(5 - there)]
    grid = _Grid(Engine(1000, True, np.random.default_rng(1)), stages, 1e-6, {cell: fits})
    grid.ends[cell] = grid._near_end(cell)
    end = grid._end(cell, None)
    assert end.status is (Status.UNCONFIRMED if there == 1 else Status.CONVERGED)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_components": 3}, "n_components: expected numbers of components, such as range"),
        ({"n_components": []}, "n_components: expected at least one"),
        ({"n_components": [0]}, "n_components: expected"),
        ({"covariance_types": "full"}, "covariance_types: expected some of full, tied"),
        ({"covariance_types": ["round"]}, "covariance_types: expected some of .* got 'round'"),
        ({"covariance_types": []}, "covariance_types: expected at least one"),
        ({"max_iter": 0}, "max_iter: expected"),
        ({"tol": -1}, "tol: expected"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        bm.fit_grid(blobs(20, 2, 2), **arguments)
