r"""Gibbs sweeps of finite mixtures whose likelihood is tempered, at many temperatures at once.

At the inverse temperature :math:`\beta` labels z and parameters have the law

.. math:: p_\beta \propto p(\alpha)\, p(w \mid \alpha)\, p(z \mid w)\, p(\mu, \Sigma, S)\,
    p(x \mid z, \mu, \Sigma)^\beta,

so that weights and concentration given labels are those of :math:`\beta = 1`, components given
labels have sums multiplied by :math:`\beta`, and a row's label is drawn from
:math:`w_k N(x_i \mid \mu_k, \Sigma_k)^\beta`.
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

__all__ = ["States", "TemperedModel"]

_STEP = 1.0  # sd of the step in the logarithm of a random concentration


class States(NamedTuple):
    """What sweeps carry on, of S chains; labels only by their sums."""

    concentrations: Floats
    """Of the weights, (S, K)."""
    means: Floats
    """(S, K, D)"""
    covariance_scale: Floats
    """(S, D, D)"""
    sizes: Floats
    """Number of rows of every component, (S, K)."""
    first: Floats
    """Sums of rows less their component's mean, (S, K, D)."""
    second: Floats
    """Scatter about the means, in the structure's shape."""
    log_likelihood: Floats
    """log p(x | z, μ, Σ), (S,)."""

    def __getitem__(self, chains: NDArray[np.integer] | slice) -> States:  # type: ignore[override]
        """Some of the chains, in the order asked for."""
        return States(*(a[chains] for a in self))

    def followed_by(self, others: States) -> States:
        """These chains, then the others."""
        return States(*(np.concatenate(pair) for pair in zip(self, others, strict=True)))


@dataclass(frozen=True)
class TemperedModel:
    """A mixture with Dirichlet weights, and the rows it is to explain."""

    weights: Dirichlet
    components: ComponentPrior
    structure: Structure
    x: Floats
    """(n, D)"""

    def draw_prior(self, size: int, generator: np.random.Generator) -> States:
        """Draw independent states of temperature 0."""
        k, n = self.weights.n_components, len(self.x)
        weights, concentration, _ = weight_prior.draw(self.weights, size, generator)
        concentrations = np.broadcast_to(self.weights.concentrations, (size, k))
        if concentration is not None:
            concentrations = np.repeat(concentration[:, None], k, axis=1)
        given = self.components, self.structure, k, size, generator
        means, dense, scale = component_prior.draw(*given)
        if scale is None:
            scale = np.broadcast_to(self.components.covariance_scale, dense[:, 0].shape)
        edges = np.cumsum(weights, axis=1)[:, None, :-1]
        label = (generator.random((size, n, 1)) > edges).sum(axis=-1)
        covariances = self.structure.compact(dense)
        return self._states(concentrations, means, covariances, scale, label)

    def sweep(self, states: States, beta: Floats, generator: np.random.Generator) -> States:
        """Move every chain on at its own inverse temperature (S,), above 0."""
        concentrations = self._move_concentrations(states, generator)
        weights = weight_prior.draw_dirichlet(concentrations + states.sizes, generator)
        sums = LabelSums(*(_times(beta, a) for a in (states.sizes, states.first, states.second)))
        laws = components_given(
            self.components, self.structure, states.means, sums, states.covariance_scale
        )
        means, covariances = laws.draw(generator)
        scale = self._draw_scale(states, covariances, generator)
        label = self._draw_labels(weights, means, covariances, beta, generator)
        return self._states(concentrations, means, covariances, scale, label)

    def _states(
        self,
        concentrations: Floats,
        means: Floats,
        covariances: Floats,
        scale: Floats,
        label: NDArray[np.int64],
    ) -> States:
        """Gather what labels (S, n) and parameters amount to."""
        (k, d), structure = means.shape[1:], self.structure
        sums = label_sums(structure, self.x, label, means)
        factor = structure.precision_cholesky(covariances)
        logs = structure.log_diagonal(factor, k, d).sum(axis=-1) - 0.5 * d * LOG_2PI
        squares = structure.precisions(covariances) * sums.second
        inside = squares.reshape(len(squares), -1).sum(axis=1)
        log_likelihood = (sums.sizes * logs).sum(axis=1) - 0.5 * inside
        return States(concentrations, means, scale, *sums, log_likelihood)

    def _draw_labels(
        self,
        weights: Floats,
        means: Floats,
        covariances: Floats,
        beta: Floats,
        generator: np.random.Generator,
    ) -> NDArray[np.int64]:
        r"""Draw labels (S, n) with weights (S, K).

        :math:`N(x \mid \mu, \Sigma)^\beta \propto |\Sigma|^{(1 - \beta)/2} N(x \mid \mu,
        \Sigma/\beta)`: the pass draws them at other weights and covariances.
        """
        factor = self.structure.precision_cholesky(covariances)
        logs = self.structure.log_diagonal(factor, *means.shape[1:]).sum(axis=-1)
        log_weights = np.log(weights) - (1 - beta)[:, None] * logs
        log_weights = log_weights - np.logaddexp.reduce(log_weights, axis=1, keepdims=True)
        cooled = _times(np.sqrt(beta), factor)
        points = PassParameters(self.structure, log_weights, means, cooled)
        return passes.sampled_labels(self.x, points, random_words(generator, (len(beta), 2)))

    def _draw_scale(
        self, states: States, covariances: Floats, generator: np.random.Generator
    ) -> Floats:
        """Draw a random S (S, D, D) given covariances; a stated one stays."""
        if self.components.scale_hyperprior is None:
            return states.covariance_scale
        d, structure = self.components.n_features, self.structure
        shape, *others = structure.scale_hyperprior(self.components.scale_hyperprior)
        rate, floor = np.asarray(others)
        precisions = structure.diagonal(structure.precisions(covariances))
        count = precisions[0].size // precisions.shape[-1]
        dof = self.components.dof - (0 if structure.correlated else d - 1)
        rates = rate + 0.5 * precisions.reshape(len(precisions), count, -1).sum(axis=1)
        found = np.empty(rates.shape)
        words = "the law of a covariance scale"
        compile_once(
            "gamma above", words, lambda: _draw_above(generator, 1.0, rates[:0], floor, found)
        )
        _draw_above(generator, shape + 0.5 * count * dof, rates, floor, found)
        return found[..., None] * np.eye(d)

    def _move_concentrations(self, states: States, generator: np.random.Generator) -> Floats:
        """Take a Metropolis step of the logarithm of a random concentration, weights integrated."""
        prior = self.weights.random_concentration
        if prior is None:
            return states.concentrations
        from scipy.special import gammaln

        def log_density(c: Floats) -> Floats:
            """Of log c and the labels, (S,)."""
            each = gammaln(c + states.sizes) - gammaln(c)
            whole = gammaln(c.sum(axis=1)) - gammaln(c.sum(axis=1) + len(self.x))
            own: Floats = prior.shape * np.log(c[:, 0]) - prior.rate * c[:, 0]
            return own + whole + each.sum(axis=1)

        now = states.concentrations
        step = np.exp(_STEP * generator.standard_normal((len(now), 1)))
        moved = np.maximum(now * step, np.finfo(float).tiny)
        ratio = log_density(moved) - log_density(now)
        accepted = -generator.standard_exponential(len(now)) < ratio
        return np.where(accepted[:, None], moved, now)


def _times(factor: Floats, values: Floats) -> Floats:
    """Multiply by one factor for every chain (S,)."""
    return factor.reshape(-1, *[1] * (values.ndim - 1)) * values


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
