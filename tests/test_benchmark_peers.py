"""Peers of the benchmarks: what they are told, how their answers are read and judged."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import bayesmix as bm
from tests.benchmarks._agreement import (
    Quantity,
    judged,
    label_invariant,
    least_ess,
    require_convergence,
    require_same_posterior,
    together,
)
from tests.benchmarks._grid import TOLERANCE, agreement
from tests.benchmarks._harness import Disagreement
from tests.benchmarks._mclust import MODELS, Mclust
from tests.benchmarks._peers import PYTHON, Bayesm, NumPyro, Pyrichlet
from tests.benchmarks._problems import Problem, dealt, firm

D, K, SWEEPS = 2, 3, 12


@pytest.fixture(scope="module")
def problem() -> Problem:
    return firm(D, K)


def draws(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights (sweep, K), means and upper triangular roots of the precisions."""
    weights = generator.dirichlet(np.ones(K), size=SWEEPS)
    means = generator.normal(size=(SWEEPS, K, D))
    roots = np.triu(generator.normal(size=(SWEEPS, K, D, D))) + 3 * np.eye(D)
    return weights, means, roots


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put an Rscript on the PATH that runs lines of Python."""

    def install(text: str) -> Path:
        path = tmp_path / "Rscript"
        path.write_text(f"#!{sys.executable}\nimport sys\n{text}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        return tmp_path

    return install


def test_bayesm_gets_the_rows_column_by_column_after_the_prior(
    problem: Problem, tmp_path: Path
) -> None:
    Bayesm(problem, tmp_path)
    found = np.fromfile(tmp_path / "problem")
    prior = problem.mixture.components
    n = len(problem.x)
    np.testing.assert_array_equal(found[:5], [n, D, K, prior.mean_precision, prior.dof])
    np.testing.assert_array_equal(found[5 : 5 + D], prior.mean)
    scale, rest = np.split(found[5 + D :], [D * D])
    np.testing.assert_array_equal(scale.reshape(D, D), prior.covariance_scale)
    np.testing.assert_array_equal(rest[:K], problem.mixture.weights.concentrations)
    np.testing.assert_array_equal(rest[K:].reshape(D, n).T, problem.x)


def test_draws_of_bayesm_become_a_tree(
    problem: Problem, program: Callable[[str], Path], tmp_path: Path
) -> None:
    weights, means, roots = draws(np.random.default_rng(1))
    points = np.concatenate([means, roots.reshape(SWEEPS, K, -1)], axis=2)
    np.concatenate([weights.ravel(), points.ravel()]).tofile(tmp_path / "expected")
    program(f"import shutil; shutil.copy({str(tmp_path / 'expected')!r}, sys.argv[5])")
    found = Bayesm(problem, tmp_path).draws(SWEEPS, burn=2)["posterior"]
    assert dict(found.sizes)["chain"] == 2
    np.testing.assert_array_equal(found["weights"].values.reshape(-1, K), weights[2:])
    np.testing.assert_array_equal(found["means"].values.reshape(-1, K, D), means[2:])
    covariances = found["covariances"].values.reshape(-1, K, D, D)
    precisions = np.einsum("skij,sklj->skil", roots, roots)[2:]
    identity = np.broadcast_to(np.eye(D), covariances.shape)
    np.testing.assert_allclose(covariances @ precisions, identity, atol=1e-12)


def test_seconds_of_bayesm_are_a_difference_of_two_runs(
    problem: Problem, program: Callable[[str], Path], tmp_path: Path
) -> None:
    each = "(0.01 if 'MALLOC_TRIM_THRESHOLD_' in os.environ else 0.02)"
    program(f"import os\nfor sweeps in sys.argv[4:]: print(0.1 + {each} * int(sweeps))")
    peer = Bayesm(problem, tmp_path)
    assert peer.sweep_seconds(5, 45) == pytest.approx(0.02)
    assert peer.sweep_seconds(5, 45, keep_memory=True) == pytest.approx(0.01)


def test_error_of_a_peer_is_shown(
    problem: Problem, program: Callable[[str], Path], tmp_path: Path
) -> None:
    program("sys.exit('no such mixture')")
    with pytest.raises(RuntimeError, match="Rscript ended with 1: no such mixture"):
        Bayesm(problem, tmp_path).sweep_seconds(1, 2)


def test_rows_are_dealt_as_labels_of_bayesm_start() -> None:
    problem = dealt(1000, 2, 4, spread=50.0)
    assert problem.labels[:5].tolist() == [0, 1, 2, 3, 0]
    centers = problem.start["means"]
    nearest = np.square(problem.x[:, None] - centers).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, problem.labels)


@pytest.mark.parametrize(
    ("weights", "discount"), [(bm.DirichletProcess(2.0), 0.0), (bm.PitmanYor(2.0, 0.25), 0.25)]
)
def test_pyrichlet_gets_prior_and_labels_and_answers_with_clusters(
    problem: Problem,
    program: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    weights: bm.DirichletProcess | bm.PitmanYor,
    discount: float,
) -> None:
    program(
        "import shutil; shutil.copy(sys.argv[2], sys.argv[2] + '.seen')\n"
        "import numpy\n"
        "numpy.savez(sys.argv[3], n_clusters=[[3, 4]] * 2, seconds=float(sys.argv[5]))"
    )
    monkeypatch.setenv(PYTHON, str(tmp_path / "Rscript"))
    prior = problem.mixture.components
    infinite = replace(problem, mixture=bm.Mixture(weights, prior))
    taken, found = Pyrichlet(infinite, tmp_path).n_clusters(seed=1, seconds=2.0)
    assert taken == 2
    np.testing.assert_array_equal(found, [[3, 4], [3, 4]])
    with np.load(tmp_path / "problem.npz.seen") as seen:
        assert seen["concentration"] == 2
        assert seen["discount"] == discount
        assert seen["dof"] == prior.dof
        np.testing.assert_array_equal(seen["covariance_scale"], prior.covariance_scale)
        np.testing.assert_array_equal(seen["labels"], problem.labels)


def tree(problem: Problem, generator: np.random.Generator) -> xr.DataTree:
    """Four chains of independent draws."""
    means = generator.normal(size=(4, 200, K, D))
    weights = generator.dirichlet(np.ones(K), size=(4, 200))
    return problem.tree(weights, means, np.broadcast_to(np.eye(D), (4, 200, K, D, D)))


def test_trees_of_peers_are_ours(problem: Problem) -> None:
    bm.validate(tree(problem, np.random.default_rng(1)))


def test_what_never_moved_is_not_judged(problem: Problem) -> None:
    found = label_invariant(tree(problem, np.random.default_rng(1)))
    assert {"log_likelihood_total[0]", "weights_sorted[2]", "weight_entropy[0]"} <= found.keys()
    still = problem.tree(
        np.full((4, 9, K), 1 / K), np.zeros((4, 9, K, D)), np.ones((4, 9, K, 1, 1)) * np.eye(D)
    )
    assert not label_invariant(still).keys() - {"n_clusters[0]"}
    assert 400 < least_ess(found) < 1600


def test_runs_together_are_judged_by_all_their_chains() -> None:
    """Runs whose own chains agree, at different places or not moving at all."""
    draws = np.random.default_rng(1).normal(size=(3, 4, 200))
    runs = [{"a": own, "b": own, "c": np.zeros((4, 200))} for own in draws]
    runs[2] = {"a": draws[2] + 1, "b": np.zeros((4, 200)), "c": np.zeros((4, 200))}
    found = judged(together(runs))
    assert found.keys() == {"a", "b"}
    assert max(judged(run)["a"].r_hat for run in runs) < 1.05
    assert found["a"].r_hat > 1.1
    assert found["b"].r_hat > 1.1
    assert found["a"].mean == pytest.approx(np.mean([run["a"].mean() for run in runs]))


def test_posteriors_agree_up_to_monte_carlo_error() -> None:
    ours = {"a": Quantity(400, 1, 0.0, 0.03), "b": Quantity(400, 1, 5.0, 0.3)}
    same = {"a": Quantity(400, 1, 0.1, 0.04), "b": Quantity(400, 1, 5.0, 0.4), "c": ours["a"]}
    assert require_same_posterior("peer", same, ours) == pytest.approx(2)
    apart = same | {"b": Quantity(400, 1, 8.0, 0.4)}
    with pytest.raises(Disagreement, match=r"peer: b has the mean 8, bayesmix 5, 6\.0 standard"):
        require_same_posterior("peer", apart, ours)


def test_undefined_mean_is_no_agreement() -> None:
    ours = dict.fromkeys("abc", Quantity(400, 1, 0.0, 0.03))
    for name in "abc":
        theirs = ours | {name: Quantity(np.nan, np.nan, np.nan, 0.03)}
        with pytest.raises(Disagreement, match=f"peer: {name} has the mean nan"):
            require_same_posterior("peer", theirs, ours)
        with pytest.raises(Disagreement, match="peer: R-hat nan"):
            require_convergence("peer", theirs)
        assert np.isnan(least_ess(theirs))


def test_chains_that_disagree_are_not_timed() -> None:
    require_convergence("peer", {"a": Quantity(400, 1.009, 0, 1)})
    with pytest.raises(Disagreement, match=r"peer: R-hat 1\.020, not below 1\.01"):
        require_convergence("peer", {"a": Quantity(9, 1.02, 0, 1), "b": Quantity(9, 1, 0, 1)})


def test_mclust_gets_the_rows_column_by_column(tmp_path: Path) -> None:
    x = np.arange(8.0).reshape(4, D)
    Mclust(x, tmp_path)
    found = np.fromfile(tmp_path / "rows")
    np.testing.assert_array_equal(found[:2], [4, D])
    np.testing.assert_array_equal(found[2:].reshape(D, 4).T, x)


def test_grid_of_mclust_is_read_model_by_model(
    program: Callable[[str], Path], tmp_path: Path
) -> None:
    program(
        "import array\n"
        "count = int(sys.argv[4]) * len(sys.argv[7:])\n"
        "values = [float('nan'), *map(float, range(1, count))]\n"
        "array.array('d', values).tofile(open(sys.argv[6], 'wb'))\n"
        "print(1.5)"
    )
    taken, found = Mclust(np.eye(4, D), tmp_path).grid(K, seed=1)
    assert taken == 1.5
    assert list(found) == list(MODELS)
    assert np.isnan(found["full"][0])
    np.testing.assert_array_equal(found["diag"], [6, 7, 8])


@pytest.mark.slow
@pytest.mark.skipif(Mclust.versions() is None, reason="mclust is not installed")
def test_log_likelihood_of_mclust_is_ours_at_its_parameters(
    problem: Problem, tmp_path: Path
) -> None:
    peer = Mclust(problem.x, tmp_path)
    assert agreement(peer, problem.x, K) <= TOLERANCE
    _, found = peer.grid(K, seed=0)
    for covariance_type, totals in found.items():
        again = peer.fit(covariance_type, K, seed=0).log_likelihood
        assert totals[-1] == pytest.approx(again, rel=1e-12)


@pytest.mark.slow
@pytest.mark.skipif(Mclust.versions() is None, reason="mclust is not installed")
def test_log_likelihood_of_mclust_at_other_rows_is_no_agreement(
    problem: Problem, tmp_path: Path
) -> None:
    with pytest.raises(Disagreement, match="mclust, full: off by"):
        agreement(Mclust(problem.x, tmp_path), problem.x + 1e-3, K)


@pytest.mark.slow
@pytest.mark.skipif(Bayesm.versions() is None, reason="bayesm is not installed")
def test_bayesm_agrees(problem: Problem, tmp_path: Path) -> None:
    theirs = label_invariant(Bayesm(problem, tmp_path).draws(4100, burn=100))
    require_same_posterior("bayesm", theirs, label_invariant(problem.sample(1)[1]))


@pytest.mark.slow
@pytest.mark.skipif(NumPyro.versions() is None, reason="NumPyro is not installed")
def test_numpyro_agrees(problem: Problem, tmp_path: Path) -> None:
    options = {"draws": 500, "tune": 500, "chain_method": "parallel"}
    with NumPyro(problem, tmp_path, **options) as peer:
        theirs = label_invariant(peer.sample(1)[1])
    require_same_posterior("NumPyro", theirs, label_invariant(problem.sample(1)[1]))
