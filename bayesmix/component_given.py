r"""Components given labels: the laws that Gibbs sampling draws from, of many labelings at once.

Covariances come first, then means given them. With :math:`n_k` rows of mean :math:`\bar x_k` and
the scatter :math:`W_k` about the center of the `LabelSums`,

.. math::

    \Sigma_k \sim \mathrm{IW}(\nu + n_k, S + W_k), \qquad
    \mu_k \mid \Sigma_k \sim N(\cdot) \propto N(\mu_k \mid m, V)
    \prod_{i: z_i = k} N(x_i \mid \mu_k, \Sigma_k);

under `NormalInverseWishart` the mean is integrated out of the first, so that the center plays no
part: :math:`W_k` is about :math:`\bar x_k`, and
:math:`\frac{\kappa n_k}{\kappa + n_k} (\bar x_k - m)(\bar x_k - m)^\top` is added. Sizes need not
be whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.priors import IndependentNormalInverseWishart, NormalInverseWishart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.covariance import Structure
    from bayesmix.label_sums import LabelSums
    from bayesmix.priors import ComponentPrior

    Floats = NDArray[np.float64]

__all__ = ["ComponentsGiven", "components_given"]


@dataclass(frozen=True)
class ComponentsGiven:
    """Laws of the components of S labelings."""

    prior: ComponentPrior
    structure: Structure
    dof: Floats
    """Degrees of freedom of every covariance's law, (S, K); tied (S,)."""
    scale: Floats
    """Its scale, in the structure's shape."""
    sizes: Floats
    """Number of rows, (S, K)."""
    shift: Floats
    """Mean of the rows less the prior mean m, (S, K, D); 0 without rows."""

    def __getitem__(self, labelings: Any) -> ComponentsGiven:
        """Laws of some labelings, or of one again and again."""
        given = self.dof, self.scale, self.sizes, self.shift
        return ComponentsGiven(self.prior, self.structure, *(a[labelings] for a in given))

    def draw(self, generator: np.random.Generator) -> tuple[Floats, Floats]:
        """Draw means (S, K, D), and covariances in the structure's shape, once per labeling."""
        d = self.shift.shape[-1]
        covariances = self.structure.draw(generator, self.dof, self.scale, d)
        return self.draw_means(covariances, generator), covariances

    def draw_means(self, covariances: Floats, generator: np.random.Generator) -> Floats:
        """Draw means (S, K, D) given covariances in the structure's shape."""
        dense = self.structure.dense(covariances, *self.shift.shape[-2:])
        noise = generator.standard_normal(self.shift.shape)[..., None]
        sizes = self.sizes[..., None, None]
        match self.prior:
            case NormalInverseWishart():
                rows = self.prior.mean_precision + sizes
                step = sizes / rows * self.shift[..., None]
                step = step + np.linalg.cholesky(dense) @ noise / np.sqrt(rows)
            case IndependentNormalInverseWishart():
                # V (Σ + nV)⁻¹ Σ is the covariance: nothing is inverted but what V bounds below
                spread = np.asarray(self.prior.mean_covariance)
                gain = np.linalg.solve(dense + sizes * spread, spread)
                covariance = dense @ gain
                covariance = (covariance + np.swapaxes(covariance, -1, -2)) / 2
                step = sizes * np.swapaxes(gain, -1, -2) @ self.shift[..., None]
                step = step + np.linalg.cholesky(covariance) @ noise
        means: Floats = np.asarray(self.prior.mean) + step[..., 0]
        return means


def components_given(
    prior: ComponentPrior,
    structure: Structure,
    center: Floats,
    sums: LabelSums,
    covariance_scale: Floats,
) -> ComponentsGiven:
    """Laws from sums about centers (S, K, D) and scale matrices (S, D, D) or (D, D)."""
    k, d = center.shape[-2:]
    sizes, m = sums.sizes, np.asarray(prior.mean)
    rows = np.maximum(sizes, np.finfo(float).tiny)[..., None]
    mean = sums.first / rows
    shift = np.where(sizes[..., None] > 0, center - m + mean, 0.0)  # no digit of mean is lost
    scatter = sums.second
    if isinstance(prior, NormalInverseWishart):
        kappa = prior.mean_precision
        scatter = scatter - structure.outer(mean, sizes)
        scatter = scatter + structure.outer(shift, kappa * sizes / (kappa + sizes))
    scale = structure.scales(covariance_scale, k) + scatter
    dof = prior.dof + structure.likelihood_count(sizes, d)
    return ComponentsGiven(prior, structure, dof, scale, sizes, shift)
