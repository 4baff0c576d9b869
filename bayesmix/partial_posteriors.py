r"""Gibbs sweeps of the posteriors given the first rows, of many numbers of rows at once.

A number of rows t need not be whole: with m the whole rows in it the law of the parameters is

.. math::

    p_t(\theta) \propto p(\theta) \prod_{i \le m} \sum_k w_k N(x_i \mid \mu_k, \Sigma_k)
    \; \sum_k w_k N(x_{m+1} \mid \mu_k, \Sigma_k)^{t - m},

so that the last row enters by a power that rises from 0 to 1. Given labels it counts as a row of
the weights, and as that share of a row of its component. All rows at one power instead would meet
a phase transition: separate components would have to form at once, out of one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmix import component_prior, passes, weight_prior
from bayesmix.compiling import compile_once
from bayesmix.component_given import components_given
from bayesmix.covariance import LOG_2PI
from bayesmix.inputs import random_words
from bayesmix.kernels.caching import cached
from bayesmix.kernels.gibbs.variates import gamma_above
from bayesmix.label_sums import LabelSums, label_sums
from bayesmix.pass_parameters import PassParameters

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.covariance import Structure
    from bayesmix.priors import ComponentPrior, Dirichlet

    Floats = NDArray[np.float64]

__all__ = ["Chains", "PartialPosteriors"]

_STEP = 1.0  # sd of the step of the logarithm of a random concentration


class Chains(NamedTuple):
    """Where S chains are."""

    concentrations: Floats
    """Of the weights, (S, K)."""
    weights: Floats
    """(S, K)"""
    means: Floats
    """(S, K, D)"""
    covariances: Floats
    """(S, ...) in the structure's shape."""
    covariance_scale: Floats
    """(S, D, D)"""

    def at(self, places: NDArray[np.integer] | slice) -> Chains:
        """Chains at some places, in the order asked for."""
        return Chains(*(a[places] for a in self))

    def followed_by(self, others: Chains) -> Chains:
        """These chains, then the others."""
        return Chains(*(np.concatenate(pair) for pair in zip(self, others, strict=True)))


@dataclass(frozen=True)
class PartialPosteriors:
    """A mixture with Dirichlet weights, and rows in the order in which they enter."""

    weights: Dirichlet
    components: ComponentPrior
    structure: Structure
    x: Floats
    """(n, D)"""

    def draw_prior(self, size: int, generator: np.random.Generator) -> Chains:
        """Draw independent parameters given no row."""
        k, d = self.weights.n_components, self.components.n_features
        weights, concentration, _ = weight_prior.draw(self.weights, size, generator)
        concentrations = np.broadcast_to(self.weights.concentrations, (size, k))
        if concentration is not None:
            concentrations = np.repeat(concentration[:, None], k, axis=1)
        means, dense, scale = component_prior.draw(
            self.components, self.structure, k, size, generator
        )
        if scale is None:
            scale = np.broadcast_to(np.asarray(self.components.covariance_scale), (size, d, d))
        return Chains(concentrations, weights, means, self.structure.compact(dense), scale)

    def sweep(self, chains: Chains, rows: Floats, generator: np.random.Generator) -> Chains:
        """Move every chain on, each given its own number of rows (S,)."""
        last, power = self._last_row(rows)
        label = passes.sampled_labels(
            self.x, self._points(chains), random_words(generator, (len(rows), 2))
        )
        own = [labels[:m] for labels, m in zip(label, last, strict=True)]
        sums = label_sums(self.structure, self.x, own, chains.means)
        of_last = self._draw_label(chains, last, power, generator)
        counts = sums.sizes + of_last
        share = power[:, None] * of_last
        delta = self.x[last][:, None] - chains.means
        first = sums.first + share[..., None] * delta
        second = sums.second + self.structure.outer(delta, share)
        sums = LabelSums(sums.sizes + share, first, second)
        concentrations = self._move_concentrations(chains.concentrations, counts, generator)
        laws = components_given(
            self.components, self.structure, chains.means, sums, chains.covariance_scale
        )
        means, covariances = laws.draw(generator)
        scale = self._draw_scale(chains.covariance_scale, covariances, generator)
        weights = weight_prior.draw_dirichlet(concentrations + counts, generator)
        return Chains(concentrations, weights, means, covariances, scale)

    def log_likelihood(self, chains: Chains, rows: Floats) -> Floats:
        """Log-likelihood of every chain at several numbers of rows each, (S, J)."""
        last, power = self._last_row(rows)
        total = np.zeros((len(rows), len(self.x)))
        density = passes.log_density(self.x, self._points(chains))
        np.cumsum(density[:, :-1], axis=1, out=total[:, 1:])
        whole = np.take_along_axis(total, last, axis=1)
        return whole + np.logaddexp.reduce(self._log_terms(chains, last, power), axis=-1)

    def _points(self, chains: Chains) -> PassParameters:
        """Where the chains are, for the pass."""
        _, weights, means, covariances, _ = chains
        return PassParameters.from_point(self.structure, weights, means, covariances)

    def _last_row(self, rows: Floats) -> tuple[NDArray[np.int64], Floats]:
        """Index and power of the last of so many rows."""
        last = np.minimum(rows.astype(np.int64), len(self.x) - 1)
        return last, rows - last

    def _log_terms(self, chains: Chains, last: NDArray[np.int64], power: Floats) -> Floats:
        """Sum log w_k and power log N(x | μ_k, Σ_k) for rows (S, J), (S, J, K)."""
        k, d = chains.means.shape[1:]
        factor = self.structure.precision_cholesky(chains.covariances)
        logs = self.structure.log_diagonal(factor, k, d).sum(axis=-1)[:, None]
        delta = self.x[last][:, :, None] - chains.means[:, None]
        inside = np.stack(
            [
                np.square(self.structure.whiten(delta[:, :, j], factor, j)).sum(axis=-1)
                for j in range(k)
            ],
            axis=-1,
        )
        log_density = logs - 0.5 * (inside + d * LOG_2PI)
        log_terms: Floats = np.log(chains.weights)[:, None] + power[..., None] * log_density
        return log_terms

    def _draw_label(
        self,
        chains: Chains,
        last: NDArray[np.int64],
        power: Floats,
        generator: np.random.Generator,
    ) -> Floats:
        """Draw the component of every chain's last row (S,), as a row of zeros and a one (S, K)."""
        log_terms = self._log_terms(chains, last[:, None], power[:, None])[:, 0]
        best = (log_terms + generator.gumbel(size=log_terms.shape)).argmax(axis=1)
        return np.eye(log_terms.shape[1])[best]

    def _draw_scale(
        self, scale: Floats, covariances: Floats, generator: np.random.Generator
    ) -> Floats:
        """Draw a random S (S, D, D) given covariances; a stated one stays."""
        if self.components.scale_hyperprior is None:
            return scale
        d, structure = self.components.n_features, self.structure
        shape, *others = structure.scale_hyperprior(self.components.scale_hyperprior)
        rate, floor = np.asarray(others)
        precisions = structure.diagonal(structure.precisions(covariances))  # (S, K or 1, D or 1)
        dof = self.components.dof - (0 if structure.correlated else d - 1)
        shape = shape + 0.5 * dof * precisions.shape[1]
        rates = rate + 0.5 * precisions.sum(axis=1)
        found = np.empty(rates.shape)

        def draw(rates: Floats) -> None:
            _draw_above(generator, shape, rates, floor, found)

        compile_once("gamma above", "the law of a covariance scale", lambda: draw(rates[:0]))
        draw(rates)
        return found[..., None] * np.eye(d)

    def _move_concentrations(
        self, now: Floats, counts: Floats, generator: np.random.Generator
    ) -> Floats:
        """Take a Metropolis step of the logarithm of a random concentration, weights integrated."""
        prior = self.weights.random_concentration
        if prior is None:
            return now
        from scipy.special import gammaln

        def log_density(c: Floats) -> Floats:
            """Of log c and the labels, (S,)."""
            whole, each = c.sum(axis=1), gammaln(c + counts) - gammaln(c)
            labels = gammaln(whole) - gammaln(whole + counts.sum(axis=1)) + each.sum(axis=1)
            own: Floats = prior.shape * np.log(c[:, 0]) - prior.rate * c[:, 0]
            return own + labels

        step = np.exp(_STEP * generator.standard_normal((len(now), 1)))
        moved = np.maximum(now * step, np.finfo(float).tiny)
        accepted = -generator.standard_exponential(len(now)) < log_density(moved) - log_density(now)
        return np.where(accepted[:, None], moved, now)


def _make_draw_above(fingerprint: str) -> Callable:
    def draw_above(
        generator: np.random.Generator, shape: float, rate: Floats, floor: Floats, out: Floats
    ) -> None:
        """Fill (S, m) with gamma numbers of at least their floor (m,)."""
        fingerprint  # noqa: B018
        for i in range(len(rate)):
            for j in range(len(floor)):
                out[i, j] = gamma_above(generator, shape, rate[i, j], floor[j])

    return draw_above


_draw_above = cached(_make_draw_above)
