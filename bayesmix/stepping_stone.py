r"""The evidence by tempering: from the prior to the posterior in steps between which chains swap.

With :math:`L = \log p(x \mid z, \theta)` and :math:`Z(\beta) = E_{\text{prior}}[e^{\beta L}]`,
Z(0) = 1 and Z(1) = p(x). Chains at neighboring inverse temperatures give the ratio r of their Z
from both sides (Bennett 1976), so that neither tail is left to luck: log r solves

.. math:: E_{\beta_t}\left[\frac{1}{1 + r e^{-\Delta L}}\right]
    = E_{\beta_{t+1}}\left[\frac{1}{1 + e^{\Delta L}/r}\right],
    \qquad \Delta = \beta_{t+1} - \beta_t.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmix.covariance import structure_of
from bayesmix.inputs import require_count
from bayesmix.priors import Dirichlet
from bayesmix.tempered import TemperedModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.mixture import Mixture
    from bayesmix.tempered import States

    Floats = NDArray[np.float64]

__all__ = ["SteppingStone", "stepping_stone"]

_POWER = 8  # of the first ladder: most of it near 0, where the prior's tails count
_PILOTS = (16, 16, 8, 8)  # shares of the sweeps, one over them, after which the ladder moves
_BURN_IN = 8
_LEAST_SWEEPS = 64
_LEAST_REJECTION = 1e-3  # so that no two temperatures become one


@dataclass(frozen=True, eq=False)
class SteppingStone:
    """An estimate of log p(x), and how it was reached; made by `stepping_stone`."""

    log_evidence: float
    """log p(x), nats."""
    se: float
    """Its Monte Carlo standard error, the autocorrelation of the chains in it."""
    temperatures: Floats
    """Inverse temperatures from 0 to 1, (T,)."""
    log_ratio: Floats
    """log Z of every temperature less that of the one before, (T - 1,); they add up."""
    log_ratio_se: Floats
    """Standard error of each, (T - 1,); neighbors share chains, so these do not."""
    swap_rate: Floats
    """Expected share of swaps accepted between neighbors, (T - 1,)."""


def stepping_stone(
    mixture: Mixture,
    x: Floats,
    *,
    temperatures: int = 32,
    sweeps: int = 4000,
    replicas: int = 2,
    generator: np.random.Generator,
    report: Callable[[int], None] = lambda made: None,
) -> SteppingStone:
    r"""Estimate the evidence of a finite mixture by parallel tempering.

    Labels and parameters are sampled by Gibbs sweeps with the likelihood
    :math:`p(x \mid z, \theta)` to the power :math:`\beta`, at all temperatures side by side;
    states of neighbors are swapped. Half of the sweeps place the temperatures, so that swaps are
    rejected equally often between all neighbors, and let chains forget where they started; the
    other half are what the estimate is made of. At temperature 0 draws are independent.

    Parameters
    ----------
    mixture : Mixture
        With Dirichlet weights and a component prior.
    x : (n, D) ndarray
    temperatures : int, default 32
        At least 3; two of them are 0 and 1.
    sweeps : int, default 4000
        Of every chain, at least 64.
    replicas : int, default 2
        Independent sets of chains.
    generator : Generator
    report : callable, optional
        Called with 1 after every sweep.

    Returns
    -------
    SteppingStone

    Raises
    ------
    ValueError
        If the weights are not Dirichlet, there is no component prior, or a number is too small.

    Notes
    -----
    The standard error is that of the mean of the estimate's influence function, summed over all
    temperatures at every sweep, with its autocorrelation and the replicas' distance in it. What no
    chain has visited is not in it.

    References
    ----------
    C. H. Bennett, "Efficient Estimation of Free Energy Differences from Monte Carlo Data", Journal
    of Computational Physics 22, 1976.

    A. Gelman and X.-L. Meng, "Simulating Normalizing Constants: From Importance Sampling to Bridge
    Sampling to Path Sampling", Statistical Science 13, 1998.

    W. Xie, P. O. Lewis, Y. Fan, L. Kuo and M.-H. Chen, "Improving Marginal Likelihood Estimation
    for Bayesian Phylogenetic Model Selection", Systematic Biology 60, 2011.

    S. Syed, A. Bouchard-Côté, G. Deligiannidis and A. Doucet, "Non-Reversible Parallel Tempering: A
    Scalable Highly Parallel MCMC Scheme", JRSS B 84, 2022.

    Examples
    --------
    >>> import bayesmix as bm
    >>> import numpy as np
    >>> from bayesmix.stepping_stone import stepping_stone
    >>> x = bm.datasets.load("galaxy")
    >>> mixture = bm.Mixture(bm.Dirichlet(3), bm.weakly_informative(x))
    >>> found = stepping_stone(
    ...     mixture, x.to_numpy(), generator=np.random.default_rng(1)
    ... )  # doctest: +SKIP
    >>> found.log_evidence, found.se  # doctest: +SKIP
    """
    weights = _require_finite(mixture)
    _require_enough(temperatures, sweeps, replicas)
    structure = structure_of(mixture.covariance_type)
    model = TemperedModel(weights, mixture.components, structure, x)
    beta = np.linspace(0, 1, temperatures) ** _POWER
    states = model.draw_prior(temperatures * replicas, generator)
    left = sweeps
    for share in _PILOTS:
        run = _run(model, states, beta, sweeps // share, generator, report)
        states, left = run.states, left - sweeps // share
        beta = _evened(beta, run.swap_rate)
    states = _run(model, states, beta, sweeps // _BURN_IN, generator, report).states
    left -= sweeps // _BURN_IN
    return _estimate(beta, _run(model, states, beta, left, generator, report))


class _Run(NamedTuple):
    """Where chains came to, and what they saw on their way."""

    states: States
    log_likelihood: Floats
    """(sweeps, T, R)"""
    swap_rate: Floats
    """(T - 1,)"""


def _run(
    model: TemperedModel,
    states: States,
    beta: Floats,
    sweeps: int,
    generator: np.random.Generator,
    report: Callable[[int], None],
) -> _Run:
    """Sweep and swap; the R states of each temperature stand side by side."""
    shape = len(beta), len(states.sizes) // len(beta)
    each, logs = np.repeat(beta[1:], shape[1]), np.empty((sweeps, *shape))
    for i in range(sweeps):
        moved = model.sweep(states[shape[1] :], each, generator)
        states = model.draw_prior(shape[1], generator).followed_by(moved)
        logs[i] = states.log_likelihood.reshape(shape)
        states = states[_swapped(_swap_chance(beta, logs[i]), i % 2, generator)]
        report(1)
    return _Run(states, logs, _swap_chance(beta, logs).mean(axis=(0, -1)))


def _swap_chance(beta: Floats, logs: Floats) -> Floats:
    """Probability that neighbors swap, (..., T - 1, R), from log-likelihoods (..., T, R)."""
    gain = -np.diff(beta)[:, None] * np.diff(logs, axis=-2)
    return np.exp(np.minimum(gain, 0))


def _swapped(chance: Floats, first: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Order of the states after swaps of every second pair, from pair ``first`` on."""
    order = np.arange((len(chance) + 1) * chance.shape[1]).reshape(-1, chance.shape[1])
    accepted = generator.random(chance[first::2].shape) < chance[first::2]
    low, high = order[first:-1:2], order[first + 1 :: 2]
    now = np.where(accepted, high, low), np.where(accepted, low, high)
    order[first:-1:2], order[first + 1 :: 2] = now
    return order.reshape(-1)


def _evened(beta: Floats, swap_rate: Floats) -> Floats:
    """Inverse temperatures between which swaps would be rejected equally often."""
    rejected = np.cumsum(np.append(0, np.maximum(1 - swap_rate, _LEAST_REJECTION)))
    even = np.linspace(0, rejected[-1], len(beta))
    return np.interp(even, rejected, beta ** (1 / _POWER)) ** _POWER


def _estimate(beta: Floats, run: _Run) -> SteppingStone:
    """Add the ratios of neighbors up."""
    from arviz_stats.base import array_stats

    scaled = np.diff(beta)[:, None] * np.stack(
        [run.log_likelihood[:, :-1], run.log_likelihood[:, 1:]]
    )
    pairs = [_log_ratio(*scaled[:, :, t]) for t in range(len(beta) - 1)]
    log_ratio = np.array([pair[0] for pair in pairs])
    errors = np.stack([pair[1] for pair in pairs], axis=-1)
    series = np.concatenate([errors, errors.sum(axis=-1, keepdims=True)], axis=-1)
    se = array_stats.mcse(series, chain_axis=1, draw_axis=0, method="mean")
    return SteppingStone(
        log_evidence=float(log_ratio.sum()),
        se=float(se[-1]),
        temperatures=beta,
        log_ratio=log_ratio,
        log_ratio_se=se[:-1],
        swap_rate=run.swap_rate,
    )


def _log_ratio(low: Floats, high: Floats) -> tuple[float, Floats]:
    """Log ratio of two neighbors' Z, and its influence function at every sweep, (sweeps, R).

    From the difference of the temperatures times L, at the lower and the higher of them.
    """
    from scipy.optimize import brentq
    from scipy.special import expit

    def excess(log_ratio: float) -> float:
        return float(expit(low - log_ratio).mean() - expit(log_ratio - high).mean())

    ends = min(low.min(), high.min()), max(low.max(), high.max())
    log_ratio = brentq(excess, *ends)
    up, down = expit(low - log_ratio), expit(log_ratio - high)
    slope = (up * (1 - up) + down * (1 - down)).mean()
    return log_ratio, (up - down) / slope


def _require_finite(mixture: Mixture) -> Dirichlet:
    """Refuse what is not a finite mixture with proper priors."""
    if not isinstance(mixture.weights, Dirichlet):
        raise ValueError(
            f"weights: expected Dirichlet weights, got {mixture.weights}; take Dirichlet(K), or "
            "bridge sampling, which takes truncated sticks"
        )
    if mixture.components is None:
        raise ValueError(
            "components: expected a component prior, got None, and without one there is no "
            "evidence; take for example weakly_informative(x)"
        )
    return mixture.weights


def _require_enough(temperatures: int, sweeps: int, replicas: int) -> None:
    """Refuse runs too short to place temperatures or to have a standard error."""
    require_count(replicas, "replicas")
    for name, value, least in (
        ("temperatures", temperatures, 3),
        ("sweeps", sweeps, _LEAST_SWEEPS),
    ):
        require_count(value, name)
        if value < least:
            raise ValueError(f"{name}: expected at least {least}, got {value}; take more")
