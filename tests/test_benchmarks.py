"""The benchmarks run on small sizes and write what they promise; nothing is timed here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def bench(
    *args: str, name: str = "em", timeout: float = 120, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a benchmark in a process of its own: it sets threads for good."""
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", *args]
    env = os.environ | variables
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, env=env
    )


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict]:
    """What a quick run of two rows prints, and its JSON."""
    path = tmp_path_factory.mktemp("bench") / "new" / "em.json"
    done = bench("--quick", "--rows", "full-1e6x10,score_samples", "--json", str(path))
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(path.read_text(encoding="utf-8"))


def test_json_says_on_what_machine_and_with_what_it_was_measured(quick: tuple[str, dict]) -> None:
    found = quick[1]
    assert found["quick"]
    assert found["threads"] == 2
    assert {"cpu", "cores", "memory_gb", "system"} == set(found["machine"])
    assert {"before", "after"} == set(found["load"])
    assert {"python", "bayesmix", "numpy", "scikit-learn", "scikit-learn-intelex"} <= set(
        found["versions"]
    )
    assert any(library["user_api"] == "blas" for library in found["blas"])


def test_json_holds_times_and_the_agreement_that_was_checked_first(quick: tuple[str, dict]) -> None:
    iteration, scoring = quick[1]["rows"]
    assert iteration["effective_components"] > 2
    assert iteration["percent_of_matmul"] > 0
    for row in (iteration, scoring):
        assert len(row["engines"]["bayesmix"]["seconds"]) == 1
        assert row["engines"]["scikit-learn"]["agreement"] <= 1e-9


def test_quick_run_judges_nothing(quick: tuple[str, dict]) -> None:
    printed, found = quick
    verdicts = {each["verdict"] for row in found["rows"] for each in row["criteria"]}
    assert verdicts == {"not judged"}
    assert "PASS" not in printed
    assert "MISS" not in printed
    assert "full 1e6 × 10, K = 10" in printed


def test_unknown_row_is_named() -> None:
    done = bench("--rows", "memory,nonsense")
    assert done.returncode == 2
    assert "no row named nonsense; one of: full-1e6x10," in done.stderr


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict]:
    """What a quick run of Gibbs prints where no peer is installed, and its JSON."""
    folder = tmp_path_factory.mktemp("bench")
    rows = "sweep-1e5x5,sweep-1e6x10,ess-5e3x4,cores-faithful"
    nobody = {"PATH": str(folder), "BAYESMIX_PEERS_PYTHON": str(folder / "python")}
    path = folder / "gibbs.json"
    done = bench("--quick", "--rows", rows, "--json", str(path), name="gibbs", **nobody)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(path.read_text(encoding="utf-8"))


def test_gibbs_runs_without_its_peers_and_says_so(alone: tuple[str, dict]) -> None:
    printed, found = alone
    bayesm, _, numpyro, _ = found["rows"]
    assert all(each["measured"] is None for each in bayesm["criteria"] + numpyro["criteria"])
    assert "peer" not in bayesm
    assert "peer" not in numpyro
    assert printed.count("not installed") >= 6  # three cells, three ratios


def test_gibbs_records_one_chain_and_two(alone: tuple[str, dict]) -> None:
    bayesm, em, numpyro, cores = alone[1]["rows"]
    assert {"one chain", "two chains"} == set(bayesm["timings"])
    assert {"one chain", "two chains", "one core", "two cores"} == set(em["timings"])
    assert {"one core", "two cores"} == set(cores["timings"])
    assert all(each["measured"] > 0 for each in em["criteria"])
    assert numpyro["engines"]["bayesmix"]["least_ess"][0] > 0


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict]:
    """What a quick run of whole fits prints without mclust, and its rows by name."""
    folder = tmp_path_factory.mktemp("bench")
    path = folder / "em-search.json"
    rows = "search-1e5x10,grid-1e4x5,passes-faithful-tied,overlap"
    options = ("--quick", "--rows", rows, "--json", str(path))
    done = bench(*options, name="em_search", PATH=str(folder))
    assert done.returncode == 0, done.stderr
    found = json.loads(path.read_text(encoding="utf-8"))
    return done.stdout, {row["name"]: row for row in found["rows"]}


def test_search_runs_without_mclust_and_says_so(search: tuple[str, dict]) -> None:
    printed, rows = search
    grid = rows["grid-1e4x5"]
    assert grid["peer"] is None
    assert [each["measured"] for each in grid["criteria"]] == [None, None]
    assert printed.count("not installed") == 3  # a cell, a ratio, a count
    assert len(grid["engines"]["bayesmix"]["seconds"]) == 1


def test_search_records_where_fits_ended(search: tuple[str, dict]) -> None:
    rows = search[1]
    starts, overlap = rows["search-1e5x10"], rows["overlap"]
    assert len(starts["engines"]["scikit-learn"]["seconds"]) == 1
    assert len(starts["below_best_per_row"]["scikit-learn"]) == 2
    assert min(min(below) for below in starts["below_best_per_row"].values()) == 0
    assert {each["overlap"] for each in overlap["cells"]} == {
        "overlapping",
        "moderate",
        "separated",
    }
    assert all(max(each["success"].values()) == 1 for each in overlap["cells"])


def test_search_counts_passes_to_the_published_optimum(search: tuple[str, dict]) -> None:
    passes = search[1]["passes-faithful-tied"]
    assert passes["optimum"] == pytest.approx(-1126.316, abs=1e-3)
    for counts in passes["passes"].values():
        assert all(1 < fast < 20_000 and 1 < plain < 20_000 for plain, fast in counts)


@pytest.fixture(scope="module")
def unknown(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict]:
    """What a quick run without pyrichlet prints, and its rows by name."""
    folder = tmp_path_factory.mktemp("bench")
    path = folder / "unknown-k.json"
    rows = "galaxy,dp-1e5x5,py-1e4x2"
    options = ("--quick", "--rows", rows, "--json", str(path))
    nobody = {"BAYESMIX_PEERS_PYTHON": str(folder / "python")}
    done = bench(*options, name="unknown_k", timeout=600, **nobody)  # it may have to compile
    assert done.returncode == 0, done.stderr
    found = json.loads(path.read_text(encoding="utf-8"))
    return done.stdout, {row["name"]: row for row in found["rows"]}


def test_unknown_k_runs_without_its_peer_and_says_so(unknown: tuple[str, dict]) -> None:
    printed, rows = unknown
    assert [each["measured"] for each in rows["py-1e4x2"]["criteria"]] == [None]
    assert "peer" not in rows["py-1e4x2"]
    assert printed.count("not installed") == 2  # a cell, a ratio


def test_unknown_k_records_what_draws_are_worth(unknown: tuple[str, dict]) -> None:
    rows = unknown[1]
    for found in (rows["galaxy"], rows["py-1e4x2"]["engines"]["bayesmix"]):
        assert len(found["ess"]) == len(found["r_hat"]) == 1
        assert found["ess"][0] > 0


def test_chains_from_one_cluster_end_when_all_have_found_all(unknown: tuple[str, dict]) -> None:
    found = unknown[1]["dp-1e5x5"]
    assert found["rand_index_of_best_labels"] >= 0.97
    (run,) = found["runs"]
    assert min(run["trace"][-1][1]) >= 0.95
    assert all(min(index) < 0.95 for _, index in run["trace"][:-1])
    assert run["grown"] > 0


@pytest.mark.slow
def test_relabeling_is_timed_after_planted_permutations_were_undone(tmp_path: Path) -> None:
    path = tmp_path / "membership.json"
    rows = "relabel-parameters,relabel-ecr,relabel-stephens"
    done = bench("--quick", "--rows", rows, "--json", str(path), name="membership")
    assert done.returncode == 0, done.stderr
    for row in json.loads(path.read_text(encoding="utf-8"))["rows"]:
        assert row["draws"] == 400
        assert row["agreement"] == 1
        assert row["timings"]["bayesmix"]["median_seconds"] > 0


@pytest.mark.slow
def test_partitions_are_timed_and_held_to_cuts_and_draws(tmp_path: Path) -> None:
    path = tmp_path / "partition.json"
    rows = "vi-1e4,similarity-1e4"
    done = bench("--quick", "--rows", rows, "--json", str(path), name="partition", timeout=300)
    assert done.returncode == 0, done.stderr
    estimate, similarity = json.loads(path.read_text(encoding="utf-8"))["rows"]
    losses = estimate["expected_bits"]
    assert {"bayesmix", "best cut", "best draw"} == set(losses)
    assert losses["bayesmix"] <= min(losses.values()) + 1e-9
    assert estimate["peak_bytes"][0] > 0
    assert similarity["largest_difference"] <= 1e-6
    assert similarity["timings"]["product"]["median_seconds"] > 0
