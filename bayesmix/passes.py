r"""The pass: the only place where data are touched.

For parameters (log weights, means :math:`m_k`, Cholesky factors of the precisions) one blocked
walk over the rows gives the log-likelihood and the statistics

.. math::

    S_{0k} = \sum_i r_{ik}, \qquad S_{1k} = \sum_i r_{ik} (x_i - m_k), \qquad
    S_{2k} = \sum_i r_{ik} (x_i - m_k)(x_i - m_k)^\top,

with :math:`S_2` in the shape of the covariance structure. They are EM's M-step, and by Fisher's
identity the gradient of the log-likelihood. Memory beyond the output is O(block).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.covariance import LOG_2PI, Structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = [
    "PassParameters",
    "Statistics",
    "labels",
    "log_density",
    "responsibilities",
    "sampled_labels",
    "statistics",
    "statistics_of_responsibilities",
]

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class PassParameters:
    """One point as the pass wants it."""

    structure: Structure
    log_weights: Floats
    """Shape (K,); minus infinity for an empty component."""
    means: Floats
    """Shape (K, D)."""
    precision_cholesky: Floats
    """In the structure's shape."""

    @classmethod
    def from_point(
        cls, structure: Structure, weights: Floats, means: Floats, covariances: Floats
    ) -> PassParameters:
        """Build from weights, means and covariances in the structure's shape."""
        with np.errstate(divide="ignore"):
            log_weights = np.log(weights)
        return cls(structure, log_weights, means, structure.precision_cholesky(covariances))


@dataclass(frozen=True)
class Statistics:
    """What one pass returns."""

    log_likelihood: float
    sizes: Floats
    """S0, shape (K,)."""
    first: Floats
    """S1 about the means that the pass was given, shape (K, D)."""
    second: Floats
    """S2 about the same means, in the structure's shape."""


def statistics(
    x: Floats, parameters: PassParameters, sample_weight: Floats | None = None
) -> Statistics:
    """Log-likelihood and responsibility-weighted moments.

    Parameters
    ----------
    x : (n, D) ndarray
    parameters : PassParameters
    sample_weight : (n,) ndarray, optional
        Row weights; a weight of 2 is the row twice.
    """
    total = _Accumulator(parameters)
    for rows in _blocks(x, parameters):
        joint, delta = _joint(x[rows], parameters)
        density = _logsumexp(joint)
        weight = np.exp(joint - density)
        if sample_weight is not None:
            weight *= sample_weight[rows]
            density = density * sample_weight[rows]
        total.add(float(density.sum()), weight, delta)
    return total.result()


def statistics_of_responsibilities(
    x: Floats, structure: Structure, resp: Floats, sample_weight: Floats | None = None
) -> tuple[Floats, Statistics]:
    """Moments under given responsibilities (n, K), about the weighted mean of all rows.

    Returns
    -------
    center : (K, D) ndarray
        What the moments are taken about.
    statistics : Statistics
        Its log-likelihood is not a number.
    """
    mean = np.average(x, axis=0, weights=sample_weight)
    center = np.repeat(mean[None], resp.shape[1], axis=0)
    nothing = np.zeros(0)
    parameters = PassParameters(structure, nothing, center, nothing)
    total = _Accumulator(parameters)
    for rows in _blocks(x, parameters):
        weight = resp[rows].T
        if sample_weight is not None:
            weight = weight * sample_weight[rows]
        total.add(np.nan, weight, x[rows] - center[:, None, :])
    return center, total.result()


def log_density(x: Floats, parameters: PassParameters) -> Floats:
    """Log density of every row under the mixture, (n,)."""
    out = np.empty(len(x))
    for rows in _blocks(x, parameters):
        out[rows] = _logsumexp(_joint(x[rows], parameters)[0])
    return out


def responsibilities(x: Floats, parameters: PassParameters) -> Floats:
    """Probability of each component for every row, (n, K)."""
    out = np.empty((len(x), len(parameters.means)))
    for rows in _blocks(x, parameters):
        joint, _ = _joint(x[rows], parameters)
        out[rows] = np.exp(joint - _logsumexp(joint)).T
    return out


def labels(x: Floats, parameters: PassParameters) -> NDArray[np.intp]:
    """Most probable component of every row, (n,)."""
    out = np.empty(len(x), dtype=np.intp)
    for rows in _blocks(x, parameters):
        out[rows] = _joint(x[rows], parameters)[0].argmax(axis=0)
    return out


def sampled_labels(x: Floats, parameters: PassParameters, uniform: Floats) -> NDArray[np.intp]:
    """Draw a component for every row from its responsibilities, (n,), one uniform per row."""
    out = np.empty(len(x), dtype=np.intp)
    last = len(parameters.means) - 1
    for rows in _blocks(x, parameters):
        joint, _ = _joint(x[rows], parameters)
        cumulative = np.cumsum(np.exp(joint - joint.max(axis=0)), axis=0)
        drawn = (cumulative <= uniform[rows] * cumulative[-1]).sum(axis=0)
        out[rows] = np.minimum(drawn, last)
    return out


class _Accumulator:
    def __init__(self, parameters: PassParameters) -> None:
        k, d = parameters.means.shape
        self.structure = parameters.structure
        self.log_likelihood = 0.0
        self.sizes = np.zeros(k)
        self.first = np.zeros((k, d))
        self.second = np.zeros_like(self.structure.scatter(np.zeros((k, 1, d)), np.zeros((k, 1))))

    def add(self, log_likelihood: float, weight: Floats, delta: Floats) -> None:
        self.log_likelihood += log_likelihood
        self.sizes += weight.sum(axis=1)
        self.first += (weight[:, None, :] @ delta)[:, 0, :]
        self.second = self.second + self.structure.scatter(delta, weight)

    def result(self) -> Statistics:
        return Statistics(self.log_likelihood, self.sizes, self.first, self.second)


def _blocks(x: Floats, parameters: PassParameters) -> Iterator[slice]:
    k, d = parameters.means.shape
    size = max(16, _BLOCK_BYTES // (8 * k * (d + 1)))
    for start in range(0, len(x), size):
        yield slice(start, start + size)


def _joint(x: Floats, parameters: PassParameters) -> tuple[Floats, Floats]:
    """Log joint density of rows and components (K, m), and rows minus means (K, m, D)."""
    structure, factor = parameters.structure, parameters.precision_cholesky
    k, d = parameters.means.shape
    constant = parameters.log_weights - 0.5 * d * LOG_2PI
    constant = constant + structure.log_diagonal(factor, k, d).sum(axis=-1)
    delta = x - parameters.means[:, None, :]
    joint = np.empty((k, len(x)))
    for j in range(k):
        z = structure.whiten(delta[j], factor, j)
        joint[j] = constant[j] - 0.5 * np.einsum("md,md->m", z, z)
    return joint, delta


def _logsumexp(joint: Floats) -> Floats:
    top = joint.max(axis=0)
    return top + np.log(np.exp(joint - top).sum(axis=0))
