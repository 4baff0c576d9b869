r"""Weight priors at work: their density, with that of a random concentration and discount.

In the measure of ``docs/notation.md``: the first K - 1 weights, concentration and discount in
their own coordinates. With what is left of the stick after k pieces,
:math:`R_k = \sum_{l>k} w_l` and :math:`R_0 = 1`, the pieces are :math:`v_k = w_k/R_{k-1}` and

.. math::

    \log p(w) = \sum_{k<T} (a_k - 1) \log w_k + (b_k - 1) \log R_k
    - (a_k + b_k - 1) \log R_{k-1} - \log B(a_k, b_k).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.finite_mixtures import MixtureOfFiniteMixtures
from bayesmix.priors import Dirichlet
from bayesmix.stick_priors import Sticks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.scalar_priors import Beta, Gamma
    from bayesmix.stick_priors import StickPrior, WeightPrior

    Floats = NDArray[np.floating]

__all__ = [
    "draw",
    "draw_dirichlet",
    "draw_sticks",
    "fixed",
    "log_dirichlet",
    "log_dirichlet_norm",
    "log_prior",
    "log_sticks",
    "sticks_of",
]

_TINY = np.finfo(float).tiny
_LEAST = 1e-300  # an exponential variable over it is a number


def log_prior(
    prior: WeightPrior,
    weights: Floats,
    concentration: Floats | float | None = None,
    discount: Floats | float | None = None,
) -> Floats:
    """Log density of the weights, and of concentration and discount where they are random, (...).

    Parameters
    ----------
    prior : Dirichlet, DirichletProcess or PitmanYor
    weights : (..., K) ndarray
    concentration, discount : (...) ndarray or float, optional
        Where they are random, and only there.

    Raises
    ------
    ValueError
        If concentration or discount are missing where they are random or given where they are
        stated, or if there are infinitely many weights or a random number of them.
    """
    prior = fixed(prior)
    _require_where_random("concentration", prior.random_concentration, concentration, "a Gamma")
    _require_where_random("discount", prior.random_discount, discount, "a Beta")
    logs: Any = 0.0
    if prior.random_concentration is not None:
        concentration, density = _gamma(prior.random_concentration, concentration)
        logs = logs + density
    if prior.random_discount is not None:
        discount, density = _beta(prior.random_discount, discount)
        logs = logs + density
    if isinstance(prior, Dirichlet):
        each = prior.concentrations
        if concentration is not None:
            each = np.repeat(np.asarray(concentration)[..., None], prior.n_components, axis=-1)
        return logs + log_dirichlet(each, weights)
    sticks = sticks_of(prior, concentration, discount)
    # Underflown weights count as the smallest number: a piece of nothing has no density.
    return logs + log_sticks(sticks, np.log(np.maximum(weights, _TINY)))


def draw(
    prior: WeightPrior, size: int, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Draw weights (S, K) from their prior, with concentration and discount (S,) where random."""
    prior = fixed(prior)
    gamma, beta = prior.random_concentration, prior.random_discount
    concentration = discount = None
    if gamma is not None:  # neither may round to where there is no law of the weights
        concentration = np.maximum(generator.gamma(gamma.shape, 1 / gamma.rate, size), _LEAST)
    if beta is not None:
        discount = np.clip(generator.beta(beta.a, beta.b, size), _LEAST, 1 - 2.0**-53)
    if isinstance(prior, Dirichlet):
        each = np.broadcast_to(prior.concentrations, (size, prior.n_components))
        if concentration is not None:
            each = np.repeat(concentration[:, None], prior.n_components, axis=1)
        return draw_dirichlet(each, generator), concentration, None
    sticks = sticks_of(prior, concentration, discount)
    every = (np.broadcast_to(a, (size, a.shape[-1])) for a in sticks)
    return _normalized(draw_sticks(Sticks(*every), generator)), concentration, discount


def sticks_of(
    prior: StickPrior, concentration: Floats | float | None, discount: Floats | float | None
) -> Sticks:
    """Sticks (..., T - 1) by concentration and discount (...), None where they are stated."""
    given = (
        stated if value is None else value
        for stated, value in (
            (prior.concentration, concentration),
            (prior.discount, discount),
        )
    )
    return prior.stick_parameters(*(np.asarray(value)[..., None] for value in given))


def draw_sticks(sticks: Sticks, generator: np.random.Generator) -> NDArray[np.float64]:
    """Draw the logarithms of weights (S, T), which do not underflow, by sticks (S, T - 1)."""
    piece, rest = (_log_gamma_draws(shape, generator) for shape in sticks)
    both = np.logaddexp(piece, rest)
    left = np.cumsum(rest - both, axis=1)  # logarithm of what is left of the stick
    nothing = np.zeros((len(left), 1))
    return np.hstack([piece - both, nothing]) + np.hstack([nothing, left])


def draw_dirichlet(
    concentrations: NDArray[np.float64], generator: np.random.Generator
) -> NDArray[np.float64]:
    """Draw weights (..., K), none of which underflows, by their concentrations."""
    return _normalized(_log_gamma_draws(concentrations, generator))


def log_dirichlet(concentrations: Floats, weights: Floats) -> Floats:
    """Log density of weights (..., K) on their first K - 1 coordinates, (...).

    The concentrations (..., K) may have batch axes of their own.
    """
    from scipy.special import xlogy

    return log_dirichlet_norm(concentrations) + xlogy(concentrations - 1, weights).sum(axis=-1)


def log_dirichlet_norm(concentrations: Floats) -> NDArray[np.float64]:
    """What the log density adds to the sum of (concentration - 1) log weight, (...)."""
    from scipy.special import gammaln

    norm: NDArray[np.float64] = np.asarray(gammaln(concentrations.sum(axis=-1)), float)
    return norm - gammaln(concentrations).sum(axis=-1)


def log_sticks(sticks: Sticks, log_weights: Floats) -> Floats:
    """Log density of weights (..., T), by their logarithms, given sticks (..., T - 1), (...)."""
    from scipy.special import betaln

    a, b = sticks
    left = np.logaddexp.accumulate(log_weights[..., ::-1], axis=-1)[..., ::-1]
    logs = (a - 1) * log_weights[..., :-1] + (b - 1) * left[..., 1:]
    return (logs - (a + b - 1) * left[..., :-1] - betaln(a, b)).sum(axis=-1)


def _log_gamma_draws(shape: Floats, generator: np.random.Generator) -> NDArray[np.float64]:
    """Logarithms of Gamma(shape, 1) draws, which do not underflow where a shape is small."""
    boost = generator.standard_exponential(shape.shape) / shape
    return np.log(generator.standard_gamma(shape + 1)) - boost


def _normalized(logs: Floats) -> NDArray[np.float64]:
    weights: NDArray[np.float64] = np.exp(logs - logs.max(axis=-1, keepdims=True))
    return np.maximum(weights / weights.sum(axis=-1, keepdims=True), _TINY)


def _gamma(prior: Gamma, given: Any) -> tuple[Floats, Floats]:
    """Values inside the support, and the log density of those given."""
    from scipy.special import gammaln

    given = np.asarray(given, float)
    inside = given > 0
    value = np.where(inside, given, 1.0)
    logs = prior.shape * np.log(prior.rate) - gammaln(prior.shape)
    logs = logs + (prior.shape - 1) * np.log(value) - prior.rate * value
    return value, np.where(inside, logs, -np.inf)


def _beta(prior: Beta, given: Any) -> tuple[Floats, Floats]:
    """Values inside the support, and the log density of those given."""
    from scipy.special import betaln

    given = np.asarray(given, float)
    inside = (given > 0) & (given < 1)
    value = np.where(inside, given, 0.5)
    logs = (prior.a - 1) * np.log(value) + (prior.b - 1) * np.log1p(-value)
    return value, np.where(inside, logs - betaln(prior.a, prior.b), -np.inf)


def fixed(prior: WeightPrior) -> Dirichlet | StickPrior:
    """The prior, unless its number of components is random, which is a ValueError."""
    if isinstance(prior, MixtureOfFiniteMixtures):
        raise ValueError(
            "weights: expected a prior with a fixed number of components, or truncated sticks, "
            f"got {prior}; take Dirichlet(K)"
        )
    return prior


def _require_where_random(name: str, prior: Gamma | Beta | None, given: Any, kind: str) -> None:
    if (prior is None) is not (given is None):
        raise ValueError(
            f"{name}: expected None, because the prior of the weights states it, got a "
            f"value; leave it out, or give that prior {kind}"
            if prior is None
            else f"{name}: expected a value, because its prior is {prior}, got None; give "
            f"the point's {name}"
        )
