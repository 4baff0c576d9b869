"""Peers of the samplers: bayesm in R, NumPyro and pyrichlet in a Python of their own, PyMC in ours.

They get rows and prior in a file and are asked for draws or for seconds. Draws of components come
back as trees of ours, so that the same code judges everyone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import xarray as xr

from tests.benchmarks._problems import Problem
from tests.benchmarks._programs import HERE, r_script, r_versions, versions

PYTHON = "BAYESMIX_PEERS_PYTHON"
"""Variable that names the interpreter with NumPyro or pyrichlet; without it, this one is tried."""
KEEP = {"MALLOC_MMAP_THRESHOLD_": "1000000000", "MALLOC_TRIM_THRESHOLD_": "4000000000"}
"""Variables by which glibc keeps what is freed, instead of fetching zeroed pages again."""


class Bayesm:
    """R's bayesm, a process per question; it starts with the labels 0, 1, ..., K - 1, 0, 1, ..."""

    def __init__(self, problem: Problem, folder: Path) -> None:
        self.problem, self.folder = problem, folder
        (n, d), k, prior = problem.x.shape, problem.mixture.n_components, problem.prior
        names = ("mean_precision", "dof", "mean", "covariance_scale", "concentration")
        numbers = [prior[name].ravel() for name in names]
        np.concatenate([[n, d, k], *numbers, problem.x.T.ravel()]).tofile(folder / "problem")

    def sweep_seconds(self, short: int, long: int, *, keep_memory: bool = False) -> float:
        """Seconds per sweep, by the difference of two runs in one process."""
        variables = KEEP if keep_memory else {}
        first, second = map(float, self._ask("seconds", short, long, **variables).split())
        return (second - first) / (long - short)

    def draws(self, sweeps: int, burn: int) -> xr.DataTree:
        """Draws of one chain cut into two, so that R-hat compares its halves."""
        self._ask("draws", sweeps, self.folder / "draws")
        d, k = self.problem.x.shape[1], self.problem.mixture.n_components
        weights, points = np.split(np.fromfile(self.folder / "draws"), [sweeps * k])
        means, roots = np.split(points.reshape(sweeps * k, d + d * d), [d], axis=1)
        parts = weights.reshape(-1, k), means.reshape(-1, k, d), roots.reshape(-1, k, d, d)
        return self.problem.tree(*(np.stack(np.split(part[burn:], 2)) for part in parts))

    def _ask(self, what: str, *more: Any, **variables: str) -> str:
        return r_script("_bayesm.R", self.folder / "problem", what, *more, **variables)

    @staticmethod
    @cache
    def versions() -> dict[str, str] | None:
        """Versions of R and bayesm; None without either."""
        return r_versions("bayesm")


class _Process:
    """A process that compiles once and answers lines until it is left."""

    def __init__(
        self, problem: Problem, folder: Path, what: str, *, draws: int = 0, tune: int = 0
    ) -> None:
        self.problem, self.draws = problem, folder / "draws.npz"
        path = folder / "problem.npz"
        numbers = problem.prior | problem.start
        np.savez(path, x=problem.x, draws=draws, tune=tune, **numbers)
        self.process = subprocess.Popen(
            [*self.command(), str(path), what],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @staticmethod
    def command() -> list[str]:
        """What to run."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()

    def ask(self, *words: Any) -> float:
        """Seconds that the process answers a line with."""
        assert self.process.stdin
        assert self.process.stdout
        print(*words, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{type(self).__name__}'s process ended; its error is above")
        return float(answer)

    def sample(self, seed: int) -> tuple[float, xr.DataTree]:
        """Seconds of a run, and its draws."""
        taken = self.ask(seed, self.draws)
        with np.load(self.draws) as found:
            tree = self.problem.tree(found["weights"], found["means"], found["factor"])
        return taken, tree


class NumPyro(_Process):
    """NumPyro's NUTS: "parallel" or "vectorized" chains, or its "gradient"."""

    @staticmethod
    def command() -> list[str]:
        """An interpreter of its own and a script."""
        return [_peers_python(), str(HERE / "_numpyro.py")]

    @staticmethod
    @cache
    def versions() -> dict[str, str] | None:
        """Versions of NumPyro and JAX; None without either."""
        asked = "import jax, numpyro; print(numpyro.__version__, jax.__version__)"
        return versions([_peers_python(), "-c", asked], ("numpyro", "jax"))


class PyMC(_Process):
    """PyMC's own distributions: "list" or "batched" components, or the "gradient-" of either."""

    @staticmethod
    def command() -> list[str]:
        """Our interpreter and a script."""
        return [sys.executable, str(HERE / "_pymc.py")]


class Pyrichlet:
    """pyrichlet's slice sampler of Dirichlet and Pitman-Yor processes, a process per run."""

    def __init__(self, problem: Problem, folder: Path) -> None:
        self.path, self.draws = folder / "problem.npz", folder / "draws.npz"
        prior, weights = problem.mixture.components, problem.mixture.weights
        names = ("mean", "mean_precision", "dof", "covariance_scale")
        numbers = {name: np.asarray(getattr(prior, name), float) for name in names}
        numbers["concentration"] = np.asarray(weights.concentration)
        numbers["discount"] = np.asarray(getattr(weights, "discount", 0.0))
        np.savez(self.path, x=problem.x, labels=problem.labels, **numbers)

    def n_clusters(self, seed: int, seconds: float) -> tuple[float, np.ndarray]:
        """Seconds that draws took, and how many clusters they have (chain, draw)."""
        script = [_peers_python(), HERE / "_pyrichlet.py", self.path, self.draws, seed, seconds]
        one_each = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        subprocess.run(list(map(str, script)), check=True, env=os.environ | one_each)
        with np.load(self.draws) as found:
            return float(found["seconds"]), found["n_clusters"]

    @staticmethod
    @cache
    def versions() -> dict[str, str] | None:
        """Versions of pyrichlet and NumPy; None without either."""
        asked = (
            "import numpy, pyrichlet; from importlib.metadata import version; "
            "print(version('pyrichlet'), numpy.__version__)"
        )
        return versions([_peers_python(), "-c", asked], ("pyrichlet", "numpy"))


def _peers_python() -> str:
    return os.environ.get(PYTHON) or sys.executable
