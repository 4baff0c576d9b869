"""Compiled kernels are kept on disk, the user is told when one is made, and no disk is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core import caching

import bayesmix as bm
from bayesmix import compiling
from bayesmix.kernels import caching as kernel_caching

HOME = Path(bm.__file__).parents[1]
SENTENCE = (
    "bayesmix: compiling the pass that finds sums over rows, with diag covariances; some seconds, "
    "once on this machine"
)

PASS = """
import sys
import time
import numpy as np
from bayesmix import compiling, kernels, passes
from bayesmix.covariance import structure_of
from bayesmix.pass_parameters import PassParameters

compiling._SILENT_SECONDS = float(sys.argv[1])
run_tasks = passes.run_tasks

def run_tasks_of_many_rows(*args):
    run_tasks(*args)
    time.sleep(float(sys.argv[2]))

passes.run_tasks = run_tasks_of_many_rows
one = np.ones((1, 2))
point = PassParameters.from_point(structure_of("diag"), np.ones(1), one, one)
passes.statistics(np.random.default_rng(1).normal(size=(300, 2)), point)
print(sum(kernels.totals.stats.cache_hits.values()))
"""

FIT = """
import numpy as np
import bayesmix as bm

x = np.random.default_rng(1).normal(size=(300, 2))
print(bm.GaussianMixture(1, covariance_type="tied").fit(x).converged_)
"""


def run_script(script: str, cache: Path, *arguments: str) -> tuple[str, str]:
    """Run Python with a cache folder of its own; what it prints, and what goes to stderr."""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *arguments],
        cwd=HOME,
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip(), ended.stderr.strip()


def test_the_first_process_compiles_and_says_so_and_the_second_need_not(tmp_path):
    assert run_script(PASS, tmp_path, "0.01", "0") == ("0", SENTENCE)
    threshold = compiling._SILENT_SECONDS
    # a pass that takes longer than that without compiling is no reason to say so
    assert run_script(PASS, tmp_path, str(threshold), str(threshold + 0.3)) == ("1", "")


def test_a_cache_folder_that_cannot_be_made_does_not_stop_a_fit(tmp_path):
    (tmp_path / "file").touch()
    fitted, _ = run_script(FIT, tmp_path / "file" / "folder")
    assert fitted == "True"


def _make(fingerprint):
    def plus_one(x):
        fingerprint  # noqa: B018
        return x + 1

    return plus_one


def test_without_any_place_for_a_cache_kernels_live_in_memory(monkeypatch):
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    function = kernel_caching.cached(_make)
    assert function(1) == 2
    assert not function.stats.cache_path


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), PermissionError(13)])
def test_a_cache_that_cannot_be_written_does_not_stop_a_call(error, monkeypatch, tmp_path):
    def fails(*args: object) -> None:
        raise error

    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(caching.IndexDataCacheFile, "save", fails)
    assert kernel_caching.cached(_make)(1) == 2


def test_a_kernel_is_told_from_those_of_other_sources(monkeypatch, tmp_path):
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path))
    hits = []
    for digest in ("one", "one", "other"):
        monkeypatch.setattr(kernel_caching, "fingerprint_of", lambda digest=digest: digest)
        function = kernel_caching.cached(_make)
        function(1)
        hits.append(sum(function.stats.cache_hits.values()))
    assert hits == [0, 1, 0]
