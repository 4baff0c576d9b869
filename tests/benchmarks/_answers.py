"""One question to every package: how many groups are in this table."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import bayesmix as bm
from tests.benchmarks._answer import MOST
from tests.benchmarks._harness import Outcome, Settings, interleave, seconds, times_record
from tests.benchmarks._mclust import Mclust
from tests.benchmarks._programs import HERE, r_script

PROGRAMS = ("bayesmix", "first", "scikit-learn", "variational", "mclust")


def ask(package: str, rows: Path) -> dict[str, Any]:
    """Answer of a package to the rows in a file, from a new process."""
    if package == "mclust":
        return json.loads(r_script("_answer.R", rows, MOST))
    command = [sys.executable, str(HERE / "_answer.py"), package, str(rows)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{package} ended with {done.returncode}: {done.stderr[-500:]}")
    return json.loads(done.stdout)


def answers(name: str, settings: Settings) -> Outcome:
    """Answers about a data set, and the seconds of whole processes."""
    programs = [each for each in PROGRAMS if each != "mclust" or Mclust.versions()]
    said: dict[str, Any] = {}

    def timed(package: str, rows: Path) -> float:
        taken, said[package] = seconds(partial(ask, package, rows))
        return taken

    with TemporaryDirectory(dir=settings.folder) as folder:
        rows = Path(folder) / "rows.csv"
        bm.datasets.load(name).to_csv(rows, index=False)
        timers = {package: partial(timed, package, rows) for package in programs}
        times = interleave(timers, settings.repeats, settings.generator)
    cells = {package: _cell(said[package], times[package]) for package in programs}
    peer = {"peer": Mclust.versions()} if "mclust" in said else {}
    return Outcome(cells, record={"engines": times_record(times, answer=said), **peer})


def _cell(answer: dict[str, Any], times: np.ndarray) -> str:
    how = answer.get("model") or (
        f"{answer['probability']:.2f}" if "probability" in answer else "components with rows"
    )
    return f"{answer['groups']} ({how}), {np.median(times):.1f} s"
