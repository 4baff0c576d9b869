"""Mixtures to draw rows from, overlapping or well separated, and where EM starts on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

OVERLAPPING = 2.5
"""Typical distance between two means, in standard deviations: responsibilities are shared."""
MODERATE = 4.0
"""The same, for clusters that touch."""
SEPARATED = 10.0
"""The same, far enough that nearly every row belongs to one component."""


@dataclass(frozen=True)
class Start:
    """Weights (K,), means (K, D) and covariances in scikit-learn's shape for the type."""

    covariance_type: str
    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    @property
    def precisions(self) -> np.ndarray:
        """Inverses of the covariances, in the same shape."""
        if self.covariance_type in ("diag", "spherical"):
            return 1 / self.covariances
        inverse = np.linalg.inv(self.covariances)
        return (inverse + np.swapaxes(inverse, -1, -2)) / 2


@dataclass(frozen=True)
class Population:
    """Weights (K,), means (K, D), factors F of the covariances F F' (K, D, D) and a typical F."""

    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray
    typical: np.ndarray

    @property
    def covariances(self) -> np.ndarray:
        """Covariances (K, D, D)."""
        return self.factors @ np.swapaxes(self.factors, -1, -2)

    def rows(
        self, n: int, generator: np.random.Generator, labels: np.ndarray | None = None
    ) -> np.ndarray:
        """Draw rows, (n, D), and their labels too unless they are given."""
        z = generator.normal(size=(n, self.means.shape[1]))
        if labels is None:
            labels = generator.choice(len(self.weights), size=n, p=self.weights)
        for k, (mean, factor) in enumerate(zip(self.means, self.factors, strict=True)):
            own = labels == k
            z[own] = mean + z[own] @ factor.T
        return z

    def start(self, covariance_type: str, generator: np.random.Generator) -> Start:
        """Equal weights, the means moved by half a standard deviation, one covariance for all."""
        k, d = self.means.shape
        step = generator.normal(size=(k, d)) * 0.5 / np.sqrt(d)
        covariance = self.typical @ self.typical.T
        variances = np.diag(covariance)
        covariances = {
            "full": np.repeat(covariance[None], k, axis=0),
            "tied": covariance,
            "diag": np.repeat(variances[None], k, axis=0),
            "spherical": np.repeat(variances.mean(), k),
        }[covariance_type]
        means = self.means + step @ self.typical.T
        return Start(covariance_type, np.full(k, 1 / k), means, covariances)


def population(k: int, d: int, spread: float, generator: np.random.Generator) -> Population:
    """Random means and covariances; ``spread`` is the typical distance between two means.

    The covariances differ from a typical one by relative steps of order 1/D, as their log
    densities add up D² such differences.
    """
    typical = np.linalg.cholesky(_wishart(d, generator) + 0.3 * np.eye(d))
    tilt = np.eye(d) + generator.normal(size=(k, d, d)) / d
    means = generator.normal(size=(k, d)) * spread / np.sqrt(2 * d)
    return Population(
        generator.dirichlet(np.full(k, 10.0)), means @ typical.T, typical @ tilt, typical
    )


def effective_components(responsibilities: np.ndarray) -> float:
    """Mean over rows of exp(entropy): 1 if every row belongs to one component."""
    r = responsibilities
    entropy = -(r * np.log(np.where(r > 0, r, 1))).sum(axis=1)
    return float(np.exp(entropy).mean())


def _wishart(d: int, generator: np.random.Generator) -> np.ndarray:
    root = generator.normal(size=(d, 2 * d))
    return root @ root.T / (2 * d)
