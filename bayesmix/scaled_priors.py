"""A prior whose concentration, or whose components' scale, is multiplied by a factor."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.priors import GammaScale, IndependentNormalInverseWishart, NormalInverseWishart
from bayesmix.scalar_priors import Gamma, require_positive

if TYPE_CHECKING:
    from bayesmix.priors import ComponentPrior
    from bayesmix.stick_priors import WeightPrior

__all__ = ["with_concentration", "with_scale"]


def with_concentration(weights: WeightPrior, factor: float) -> WeightPrior:
    """Weights whose concentration has the law of another's, multiplied; K stays as it is."""
    factor = require_positive(factor, "concentration")
    return replace(weights, concentration=_multiplied(weights.concentration, factor))


def _multiplied(concentration: Any, factor: float) -> Any:
    match concentration:
        case Gamma(shape=shape, rate=rate):
            return Gamma(shape, rate / factor)
        case tuple(each):
            return tuple(factor * number for number in each)
        case number:
            return factor * number


def with_scale(components: ComponentPrior, factor: float) -> ComponentPrior:
    """Components whose scale S has the law of another's, multiplied.

    A random S has its rate divided by the factor and its floor multiplied. Means that are spread
    in proportion to the covariances (`NormalInverseWishart`) spread with them.
    """
    factor = require_positive(factor, "scale")
    match components:
        case NormalInverseWishart(mean=mean, mean_precision=kappa, dof=dof, covariance_scale=scale):
            return NormalInverseWishart(mean, kappa, dof, factor * np.asarray(scale))
        case IndependentNormalInverseWishart(mean=mean, mean_covariance=spread, dof=dof):
            stated, random = components.covariance_scale, components.scale_hyperprior
            return IndependentNormalInverseWishart(
                *(mean, spread, dof),
                None if stated is None else factor * np.asarray(stated),
                None if random is None else _multiplied_scale(random, factor),
            )


def _multiplied_scale(prior: GammaScale, factor: float) -> GammaScale:
    rate = tuple(each / factor for each in prior.rate)
    return GammaScale(prior.shape, rate, tuple(factor * each for each in prior.floor))
