"""R's mclust under Rscript: a grid of models, or one model with its parameters."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bayesmix.covariance import structure_of
from bayesmix.problem import Point
from tests.benchmarks._programs import r_script, r_versions

MODELS = {"full": "VVV", "tied": "EEE", "diag": "VVI", "spherical": "VII"}
"""What mclust calls the covariance types: volume, shape and orientation, E(qual), V(arying)."""


class Fitted(NamedTuple):
    """Parameters that mclust returns, and the total log-likelihood that it finds there."""

    log_likelihood: float
    point: Point


class Mclust:
    """mclust by its defaults, a process per question; rows (n, D) go there in a file."""

    def __init__(self, x: np.ndarray, folder: Path) -> None:
        self.n_features, self.folder = x.shape[1], folder
        np.concatenate([x.shape, x.T.ravel()]).tofile(folder / "rows")

    def grid(self, n_components: int, seed: int) -> tuple[float, dict[str, np.ndarray]]:
        """Seconds of mclustBIC, and total log-likelihoods of 1, ..., K components by type.

        At the parameters that mclust returns; NaN where it gives none.
        """
        printed, values = self._ask("grid", n_components, seed, *MODELS.values())
        parts = values.reshape(len(MODELS), n_components)
        return float(printed), dict(zip(MODELS, parts, strict=True))

    def fit(self, covariance_type: str, n_components: int, seed: int) -> Fitted:
        """One model; the same seed is the same fit as in the grid."""
        _, values = self._ask("fit", n_components, seed, MODELS[covariance_type])
        k, d, structure = n_components, self.n_features, structure_of(covariance_type)
        total, weights, means, covariances = np.split(values, np.cumsum([1, k, k * d]))
        dense = structure.compact(covariances.reshape(k, d, d))
        return Fitted(float(total[0]), Point(structure, weights, means.reshape(k, d), dense))

    def _ask(self, what: str, k: int, seed: int, *names: str) -> tuple[str, np.ndarray]:
        output = self.folder / "output"
        given: list[Any] = [self.folder / "rows", what, k, seed, output, *names]
        return r_script("_mclust.R", *given), np.fromfile(output)

    @staticmethod
    @cache
    def versions() -> dict[str, str] | None:
        """Versions of R and mclust; None without either."""
        return r_versions("mclust")
