r"""The proposal: what one Gibbs transition draws parameters from, averaged over labelings.

Given labels, weights and components are independent with laws of closed form. Over M labelings,
and where the weights are exchangeable over all names of components,

.. math::

    q(\theta) = \frac1M \sum_m \frac{1}{K!} \sum_\rho
    \Gamma(\textstyle\sum_k \alpha_{mk})
    \prod_k \frac{w_{\rho(k)}^{\alpha_{mk} - 1}}{\Gamma(\alpha_{mk})}
    \, p(\Sigma_{\rho(k)}, \mu_{\rho(k)} \mid m, k), \qquad \alpha_{mk} = e_{mk} + n_{mk},

so that the sum over names is a permanent. Weights by broken sticks keep their names. The measure
is that of ``docs/notation.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.bridge.component_laws import (
    covariance_laws,
    covariance_statistics,
    laws_of,
    log_densities,
    places_of,
)
from bayesmix.bridge.permanents import LANES, LogSums, add_permanents, n_products, subsets_of
from bayesmix.compiling import compile_once
from bayesmix.component_given import ComponentsGiven, components_given
from bayesmix.inputs import random_words
from bayesmix.label_sums import LabelSums, label_sums
from bayesmix.memory import blocks
from bayesmix.pass_parameters import PassParameters
from bayesmix.passes import sampled_labels
from bayesmix.priors import Dirichlet
from bayesmix.stick_priors import Sticks
from bayesmix.threads import run_slices
from bayesmix.weight_prior import draw_sticks, fixed, log_sticks, sticks_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from bayesmix.mixture import Mixture
    from bayesmix.stick_priors import WeightPrior

    Floats = NDArray[np.float64]
    Density = Callable[[PassParameters], Floats]

__all__ = ["Proposal"]

_TASK_POINTS = 8 * LANES
_BLOCK_NUMBERS = 1 << 17  # densities, so that they stay near a processor


@dataclass(frozen=True, eq=False)
class Proposal:
    """Laws of parameters given M labelings, to draw from and to evaluate."""

    components: ComponentsGiven
    sticks: Sticks
    """Of the weights, in the order of the components' names, (M, K - 1)."""
    concentrations: Floats | None
    """Of the weights, (M, K), where names do not matter; None where they do."""

    @classmethod
    def of(
        cls,
        mixture: Mixture,
        x: Floats,
        points: PassParameters,
        concentration: Floats | None,
        discount: Floats | None,
        covariance_scale: Floats | None,
        generator: np.random.Generator,
    ) -> Proposal:
        """Draw labels of rows (n, D) at M points, one Gibbs step, and take the laws given them.

        Parameters
        ----------
        mixture : Mixture
            With a component prior and a fixed number of components.
        x : (n, D) ndarray
        points : PassParameters
            M draws of the posterior.
        concentration, discount : (M,) ndarray or None
            At the same draws; None where the prior of the weights states them.
        covariance_scale : (M, D, D) ndarray or None
            The same, of the component prior.
        generator : Generator
        """
        prior = mixture.components
        if prior is None:
            raise ValueError("mixture: expected a component prior, got None; give components=...")
        sums = _sums_of_drawn_labels(x, points, generator)
        scale = np.asarray(
            prior.covariance_scale if covariance_scale is None else covariance_scale, float
        )
        components = components_given(prior, points.structure, points.means, sums, scale)
        return cls(
            components, *_weights_given(mixture.weights, sums.sizes, concentration, discount)
        )

    @property
    def n_labelings(self) -> int:
        """Number of labelings M."""
        return len(self.components.sizes)

    def work(self, n_points: int) -> float:
        """Multiply-adds of the permanents that the density of so many points takes."""
        if self.concentrations is None:
            return 0.0
        n_occupied = (self.components.sizes > 0).sum(axis=1)
        products = n_products(self.components.sizes.shape[1], n_occupied)
        return float(n_points) * float(products.sum())

    def draw(self, size: int, generator: np.random.Generator) -> PassParameters:
        """Draw ``size`` points, from the labelings in turn."""
        labeling = np.arange(size) % self.n_labelings
        log_weights = draw_sticks(Sticks(*(a[labeling] for a in self.sticks)), generator)
        means, covariances = self.components[labeling].draw(generator)
        structure = self.components.structure
        factor = structure.precision_cholesky(covariances)
        points = PassParameters(structure, log_weights, means, factor)
        return points if self.concentrations is None else _renamed(points, generator)

    def log_density(self, points: PassParameters) -> Floats:
        """Log density of J points, (J,)."""
        alpha = self.concentrations
        density = self._named() if alpha is None else self._unnamed(alpha)
        out = np.empty(points.n_draws)

        def task(own: slice) -> None:
            count = own.stop - own.start  # the last point again and again up to whole vectors
            places = own.start + np.arange(-(-count // LANES) * LANES).clip(max=count - 1)
            out[own] = density(points[places])[:count]

        words = "the density of Gibbs transitions"
        compile_once(("proposal", alpha is None), words, lambda: density(points[:0]))
        run_slices(task, len(out), _TASK_POINTS)
        return out

    def _named(self) -> Density:
        """Density where components keep their names."""
        laws, sticks = laws_of(self.components, None), Sticks(*(a[:, None] for a in self.sticks))
        n_laws = np.full(self.n_labelings, laws.constant.shape[1])
        of_tied, prior = self._of_tied(), self.components.prior

        def density(points: PassParameters) -> Floats:
            places = places_of(prior, points, weighted=False)
            logs = log_densities(laws, n_laws, places, paired=True).sum(axis=(1, 2))
            logs = logs + of_tied(points) + log_sticks(sticks, points.log_weights)
            return np.logaddexp.reduce(logs, axis=0) - np.log(self.n_labelings)

        return density

    def _unnamed(self, alpha: Floats) -> Density:
        """Density averaged over all names: components with rows first, all others are one."""
        from scipy.special import gammaln

        k, occupied = alpha.shape[1], self.components.sizes > 0
        order = np.argsort(~occupied, axis=1, kind="stable")
        laws = laws_of(self.components, alpha).at((np.arange(len(order))[:, None], order))
        n_occupied = occupied.sum(axis=1)
        subsets = subsets_of(k, int(n_occupied.max()))
        of_tied, prior = self._of_tied(), self.components.prior
        constant = gammaln(alpha.sum(axis=1)) - gammaln(k + 1) - np.log(self.n_labelings)

        def density(points: PassParameters) -> Floats:
            places = places_of(prior, points, weighted=True)
            common = constant[:, None] + of_tied(points)
            sums = LogSums.of_nothing(points.n_draws)
            step = max(1, _BLOCK_NUMBERS // (k * k * _TASK_POINTS))
            for first in range(0, self.n_labelings, step):
                own = slice(first, first + step)
                n_laws = np.minimum(n_occupied[own] + 1, k)  # all without rows have one law
                logs = log_densities(laws.at(own), n_laws, places)
                add_permanents(sums, logs, common[own], n_occupied[own], subsets)
            return sums.logs

        return density

    def _of_tied(self) -> Density:
        """Log density of the one covariance of tied components, (M, J); 0 without."""
        structure = self.components.structure
        if structure.name != "tied":
            return lambda points: np.zeros((self.n_labelings, points.n_draws))
        norm, natural = covariance_laws(self.components)

        def density(points: PassParameters) -> Floats:
            statistics = covariance_statistics(structure, points.precision_cholesky)
            return norm[:, None] + np.einsum("mf,jf->mj", natural, statistics)

        return density


def _sums_of_drawn_labels(
    x: Floats, points: PassParameters, generator: np.random.Generator
) -> LabelSums:
    """Sums of rows by labels drawn at the points, about the points' means."""
    keys = random_words(generator, (points.n_draws, 2))
    parts = []
    for own in blocks(points.n_draws, 8 * len(x)):
        label = sampled_labels(x, points[own], keys[own])
        parts.append(label_sums(points.structure, x, label, points.means[own]))
    return LabelSums(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _weights_given(
    prior: WeightPrior, sizes: Floats, concentration: Floats | None, discount: Floats | None
) -> tuple[Sticks, Floats | None]:
    """Sticks given sizes (M, K); and concentrations, where names do not matter."""
    prior = fixed(prior)
    if isinstance(prior, Dirichlet):
        each = prior.concentrations if concentration is None else concentration[:, None]
        alpha = each + sizes
        return Sticks(alpha[:, :-1], _behind(alpha)), alpha if prior.exchangeable else None
    a, b = sticks_of(prior, concentration, discount)
    return Sticks(a + sizes[:, :-1], b + _behind(sizes)), None


def _behind(values: Floats) -> Floats:
    """Sums of what is behind each column but the last, (M, K - 1)."""
    return np.cumsum(values[:, :0:-1], axis=1)[:, ::-1]


def _renamed(points: PassParameters, generator: np.random.Generator) -> PassParameters:
    """Components under names at random, at each of J points."""
    j, k = points.log_weights.shape
    name = generator.permuted(np.tile(np.arange(k), (j, 1)), axis=1)
    own, factor = (np.arange(j)[:, None], name), points.precision_cholesky
    return PassParameters(
        points.structure,
        points.log_weights[own],
        points.means[own],
        factor if points.structure.name == "tied" else factor[own],
    )
