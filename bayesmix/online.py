r"""Online EM: a mixture learned from a stream of batches, each looked at once.

Only the statistics of the rows are kept, per unit of weight: :math:`s = (S_0, S_1, S_2) / N`. A
batch of weight :math:`m` moves them toward its own by a step that shrinks with the weight
:math:`N` seen so far, :math:`M` being the largest batch among them,

.. math::

    s \leftarrow (1 - \gamma) s + \gamma\, s_{\text{batch}}, \qquad
    \gamma = \min\left(\tfrac12, 2\, \frac{m}{N} \left(\frac{N}{M}\right)^{0.4}\right),

and an M-step leads to the next parameters. Batch number t of equal ones has the step
:math:`2 t^{-0.6}`, at first one half; a batch cut in two moves the statistics about as far as the
whole.

What is reported are not the last parameters but those of averaged statistics,

.. math:: \bar s \leftarrow (1 - \rho) \bar s + \rho\, s, \qquad \rho = \min(1, 2 m / N),

in which s counts in proportion to m N: that forgets the beginning like the square of its share of
the stream. A weighted average of statistics is the statistics of weighted rows, so its covariances
are positive definite and it does not depend on where the data lie or in which units. To the first
order it is the average of the parameters, too: the M-step is smooth, and the squared errors it
leaves, of size :math:`\gamma`, vanish faster than the statistical error, as 0.6 > 1/2.

References
----------
O. Cappé and E. Moulines, "On-line Expectation–Maximization Algorithm for Latent Data Models",
JRSS B 71, 2009.

O. Shamir and T. Zhang, "Stochastic Gradient Descent for Non-smooth Optimization:
Convergence Results and Optimal Averaging Schemes", ICML 2013 (averages that forget the beginning).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.component_prior import held_scale
from bayesmix.passes import Statistics, statistics
from bayesmix.priors import IndependentNormalInverseWishart, NormalInverseWishart
from bayesmix.problem import Point, Problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.covariance import Structure
    from bayesmix.rows import Rows

    Floats = NDArray[np.float64]

__all__ = ["Averages", "Stream", "begin", "implied", "update"]

_EXPONENT = 0.6
_GAIN = 2.0  # larger steps leave a poor start sooner; the average takes their noise away
_LARGEST_STEP = 0.5  # a batch that a component has few rows of cannot make it collapse at once
_LEAST_SHARE = 1e-10  # of a component that the stream has left: rows can find it again


@dataclass(frozen=True)
class Averages:
    """Statistics of rows per unit of weight, each component's about its own mean."""

    shares: Floats
    """S0, shape (K,), with sum one."""
    centers: Floats
    """Means of the rows, about which S1 is zero, (K, D)."""
    within: Floats
    """S2 about them, in the structure's shape."""

    @classmethod
    def of(cls, structure: Structure, center: Floats, found: Statistics) -> Averages:
        """Take the statistics of a pass about ``center`` (K, D)."""
        shift = _ratio(found.first, found.sizes)
        within = found.second - structure.outer(shift, found.sizes)
        total = found.sizes.sum()
        return cls(found.sizes / total, center + shift, within / total)

    def moved(self, structure: Structure, other: Averages, step: float) -> Averages:
        """Average with others, of weight ``step``: a sum of scatters, nothing is subtracted.

        References
        ----------
        T. F. Chan, G. H. Golub and R. J. LeVeque, "Algorithms for Computing the Sample Variance",
        The American Statistician 37, 1983.
        """
        old, new = (1 - step) * self.shares, step * other.shares
        shares, apart = old + new, other.centers - self.centers
        part = _ratio(new[:, None], shares)
        between = structure.outer(apart, old * part[:, 0])
        within = (1 - step) * self.within + step * other.within + between
        return Averages(shares, self.centers + part * apart, within)

    def kept(self, structure: Structure) -> Averages:
        """The same with a least share for every component, its covariance as it was."""
        raised = np.divide(
            np.maximum(self.shares, _LEAST_SHARE),
            self.shares,
            out=np.ones_like(self.shares),
            where=self.shares > 0,
        )
        within = self.within
        if structure.name != "tied":
            within = within * raised.reshape((-1,) + (1,) * (within.ndim - 1))
        return replace(self, shares=self.shares * raised, within=within)

    def point(self, problem: Problem, weight: float, before: Point) -> Point:
        """M-step, as if the rows had this weight in all."""
        found = Statistics(
            np.nan, weight * self.shares, np.zeros_like(self.centers), weight * self.within
        )
        return problem.maximize(self.centers, found, before.covariances)


@dataclass(frozen=True)
class Stream:
    """What online EM knows of the rows so far."""

    problem: Problem
    """Structure and prior; without rows."""
    point: Point
    """Where the next batch's responsibilities are taken."""
    running: Averages
    estimate: Point
    """Of the averaged statistics: what is reported."""
    averaged: Averages
    weight: float
    """Total weight of the rows seen, the start's included."""
    largest: float
    """Weight of the largest batch, the start's included."""
    n_rows: int
    n_batches: int
    prequential: float = np.nan
    """Mean log density of a row under `point` as it was before its batch; NaN before any."""
    scored: float = 0.0
    """Weight of the rows in that mean."""


def begin(problem: Problem, point: Point) -> Stream:
    """Start a stream where EM ended on the rows of a problem; they count as the first batch."""
    own = implied(problem, point).kept(problem.structure)
    n, d = problem.x.shape
    bare = replace(problem, x=np.empty((0, d)), sample_weight=None)
    return Stream(bare, point, own, point, own, problem.total, problem.total, n, 1)


def update(stream: Stream, x: Rows, sample_weight: Floats | None = None) -> Stream:
    """Take in one batch.

    Parameters
    ----------
    stream : Stream
    x : (m, D) ndarray or Chunks
    sample_weight : (m,) ndarray, optional
        A weight of 2 is the row twice.

    Returns
    -------
    Stream
        A new one.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the batch leads to a covariance that is singular or not finite.
    """
    problem = replace(stream.problem, x=x, sample_weight=sample_weight)
    found = statistics(x, stream.point.parameters, sample_weight)
    if not np.isfinite(found.log_likelihood):
        raise np.linalg.LinAlgError("the density of the batch is not finite")
    structure, own = problem.structure, problem.total
    weight, largest = stream.weight + own, max(stream.largest, own)
    batch = Averages.of(structure, stream.point.means, found)
    running = stream.running.moved(structure, batch, _step(own, weight, largest)).kept(structure)
    averaged = stream.averaged.moved(structure, running, min(1.0, 2 * own / weight))
    point = running.point(problem, weight, stream.point)
    estimate = averaged.point(problem, weight, stream.estimate)
    _ = point.parameters, estimate.parameters  # singular ones are refused before they are kept
    scored = stream.scored + own
    before = stream.prequential if stream.scored else 0.0
    return Stream(
        problem=stream.problem,
        point=point,
        running=running,
        estimate=estimate,
        averaged=averaged,
        weight=weight,
        largest=largest,
        n_rows=stream.n_rows + x.shape[0],
        n_batches=stream.n_batches + 1,
        prequential=before + (found.log_likelihood - own * before) / scored,
        scored=scored,
    )


def _step(own: float, weight: float, largest: float) -> float:
    """Step of a batch of weight ``own``, ``weight`` being the total with it."""
    return min(_LARGEST_STEP, _GAIN * own / weight * (weight / largest) ** (1 - _EXPONENT))


def implied(problem: Problem, point: Point) -> Averages:
    r"""Statistics of which a point is the M-step: those of the rows where EM has converged.

    With n_k rows of a component, the mean's equation is solved for :math:`S_{1k}` about
    :math:`\mu_k`, which is :math:`\kappa (\mu_k - m)` under `NormalInverseWishart` and
    :math:`\Sigma_k V^{-1} (\mu_k - m)` under `IndependentNormalInverseWishart`, then that of the
    covariances for their scatter.
    """
    prior, structure, d = problem.prior, problem.structure, problem.x.shape[1]
    total, excess = problem.total, problem.concentrations - 1
    sizes = np.maximum(point.weights * (total + excess.sum()) - excess, 0)
    first, rows = np.zeros_like(point.means), sizes
    match prior:
        case NormalInverseWishart():
            first = prior.mean_precision * (point.means - np.asarray(prior.mean))
            rows = sizes + 1
        case IndependentNormalInverseWishart():
            pull = np.linalg.solve(
                np.asarray(prior.mean_covariance), (point.means - np.asarray(prior.mean)).T
            )
            first = np.einsum("kij,jk->ki", point.dense_covariances, pull)
    count = np.asarray(structure.likelihood_count(rows, d))
    if prior is not None:
        count = count + structure.prior_count(prior.dof, d)
    bare = structure.ridge(point.covariances, -problem.reg_covar)
    second = bare * (count / total).reshape(count.shape + (1,) * (bare.ndim - count.ndim))
    if prior is not None:
        second = second - structure.prior_scale(held_scale(prior, structure)) / total
    if isinstance(prior, NormalInverseWishart):  # the means' own density is scatter about m
        own = np.full_like(sizes, 1 / (prior.mean_precision * total))
        second = second - structure.outer(first, own)
    found = Statistics(np.nan, sizes / total, first / total, second)
    return Averages.of(structure, point.means, found)


def _ratio(values: Floats, sizes: Floats) -> Floats:
    """Values (K, ...) over sizes (K,); zero where there is nothing."""
    below = np.broadcast_to(sizes[:, None], values.shape)
    return np.divide(values, below, out=np.zeros_like(values), where=below > 0)
