r"""From K components to one fewer: their evidences differ by how often a component is empty.

Labels z that leave one of K exchangeable components empty are labels of K - 1 components, and rows
do not know of a component without any. With :math:`p(z \mid K)` of a Dirichlet of concentration α,

.. math::

    \frac{p(x \mid K - 1)}{p(x \mid K)} = E\Big[\frac{1 - K_+/K}{c(\alpha)} \,\Big|\, x, K\Big],
    \qquad c(\alpha) = \frac{p(z \mid K)}{p(z \mid K - 1)} =
    \frac{\Gamma(K\alpha)\,\Gamma((K - 1)\alpha + n)}{\Gamma(K\alpha + n)\,\Gamma((K - 1)\alpha)},

an average over draws of the posterior of K components. It is exact where a bridge is worst: many
components, of which rows need few.

References
----------
A. Nobile, "On the Posterior Distribution of the Number of Components in a Finite Mixture", Annals
of Statistics 32, 2004.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmix.diagnostics import CHECKABLE
from bayesmix.label_draws import occupied
from bayesmix.priors import Dirichlet
from bayesmix.schema import group

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.mixture import Mixture

    Floats = NDArray[np.float64]

__all__ = ["Step", "one_fewer", "step_from_fewer"]

_TRUSTED_SE = 0.15  # nats, above which draws with an empty component are too rare to tell


class Step(NamedTuple):
    """How far the log evidence is above that of one component fewer."""

    log_ratio: float
    se: float


def one_fewer(mixture: Mixture) -> Mixture | None:
    """Return the model with one component fewer, where its evidence is a step away; else None."""
    weights = mixture.weights
    if not isinstance(weights, Dirichlet) or weights.n_components == 1 or not weights.exchangeable:
        return None
    given = weights.concentration
    fewer = given[1:] if isinstance(given, tuple) else given
    return replace(mixture, weights=Dirichlet(weights.n_components - 1, fewer))


def step_from_fewer(mixture: Mixture, post: xr.DataTree, n: int) -> Step | None:
    """Estimate log p(x | K) - log p(x | K - 1) by draws of the first; None if they do not tell."""
    k, clusters = mixture.n_components, occupied(post, random_seed=0)
    empty = 1 - clusters / k
    if clusters.shape[1] < CHECKABLE or not (empty > 0).any():
        return None
    logs = -_log_c(_concentration(mixture, post), k, n)
    terms = empty * np.exp(logs - np.max(logs))
    mean = terms.mean()
    se = _error(terms) / mean
    step = Step(float(-np.max(logs) - np.log(mean)), float(se))
    return step if se < _TRUSTED_SE else None


def _concentration(mixture: Mixture, post: xr.DataTree) -> Floats:
    """Of every draw (chain, draw), or one number for all."""
    if mixture.weights.random_concentration is None:
        weights = mixture.weights
        assert isinstance(weights, Dirichlet)
        return weights.concentrations[:1]
    drawn: Floats = group(post, "posterior")["concentration"].transpose("chain", "draw").values
    return drawn


def _log_c(concentration: Floats, k: int, n: int) -> Floats:
    from scipy.special import gammaln

    more, fewer = k * concentration, (k - 1) * concentration
    log: Floats = gammaln(more) + gammaln(fewer + n) - gammaln(more + n) - gammaln(fewer)
    return log


def _error(terms: Floats) -> float:
    """Standard error of the mean over draws (chain, draw)."""
    if np.ptp(terms) == 0:
        return 0.0
    from arviz_stats import mcse

    return float(mcse(terms))
