"""What Gibbs sampling is timed on: rows with labels to start from, and their mixture."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from sklearn.exceptions import ConvergenceWarning

import bayesmix as bm
from bayesmix import schema
from bayesmix.inputs import as_table
from tests.benchmarks._harness import Settings, seconds
from tests.benchmarks._populations import SEPARATED, population


@dataclass(frozen=True)
class Problem:
    """Rows, labels to start from, and a mixture with full covariances and the conjugate prior."""

    x: np.ndarray
    labels: np.ndarray
    mixture: bm.Mixture

    @property
    def prior(self) -> dict[str, np.ndarray]:
        """Numbers of the prior, by the names they have in ours."""
        names = ("mean_precision", "dof", "mean", "covariance_scale")
        found = {name: np.asarray(getattr(self.mixture.components, name), float) for name in names}
        return found | {"concentration": self.mixture.weights.concentrations}

    @property
    def start(self) -> dict[str, np.ndarray]:
        """Weights, means and covariances of the labelled rows."""
        groups = [self.x[self.labels == k] for k in range(self.mixture.n_components)]
        return {
            "weights": np.array([len(rows) for rows in groups]) / len(self.x),
            "means": np.array([rows.mean(axis=0) for rows in groups]),
            "covariances": np.array([np.cov(rows.T) for rows in groups]),
        }

    def tree(self, weights: np.ndarray, means: np.ndarray, factors: np.ndarray) -> xr.DataTree:
        """Tree of a peer's draws (chain, draw, ...); precisions are F F' of the factors F."""
        table = as_table(self.x)
        covariances = np.linalg.inv(factors @ np.swapaxes(factors, -1, -2))
        groups = {
            "posterior": schema.posterior(weights, means, covariances, table.features),
            "observed_data": schema.observed_data(table),
        }
        return schema.root(groups, self.mixture, None, 0.0)

    def sample(self, seed: int, **options: Any) -> tuple[float, xr.DataTree]:
        """Seconds of a call of `bayesmix.sample`, and what it returned."""
        options = {"sampler": "gibbs", "random_seed": seed, "progressbar": False, **options}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # draws are judged by who asked
            return seconds(partial(bm.sample, self.mixture, self.x, **options))


def dealt(n: int, d: int, k: int, spread: float) -> Problem:
    """Rows dealt to the components in turn, as bayesm's first labels are."""
    drawn = population(k, d, spread, np.random.default_rng(20240229))
    labels = np.arange(n) % k
    x = drawn.rows(n, np.random.default_rng(n), labels)
    return Problem(x, labels, bm.Mixture(bm.Dirichlet(k), bm.fraley_raftery(x, k)))


def rows(n: int, d: int, k: int, spread: float) -> Callable[[Settings], Problem]:
    """What `dealt` makes of so many rows, or of fewer where the command line wants it quick."""
    return lambda settings: dealt(min(n, 1000) if settings.quick else n, d, k, spread)


def firm(d: int, k: int) -> Problem:
    """Few rows, clusters apart, a prior that weighs as much as they do: errors in it show."""
    few = dealt(60 * k, d, k, SEPARATED)
    dof = 4 * d
    scale = dof * np.cov(few.x.T) / k ** (2 / d)
    prior = bm.NormalInverseWishart(few.x.mean(axis=0), 5.0, dof, scale)
    return replace(few, mixture=bm.Mixture(bm.Dirichlet(k, 20.0), prior))


def faithful() -> Problem:
    """Old Faithful with two components, its labels those of short and long waits."""
    x = bm.datasets.load("faithful")
    labels = (x["waiting"] > x["waiting"].mean()).to_numpy(int)
    return Problem(x.to_numpy(), labels, bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2)))
