r"""The evidence by stepping stones: rows enter one after another, and every step has a ratio.

With :math:`Z_t` the norm of the posterior given t rows (see `partial_posteriors`), :math:`Z_0 = 1`
and :math:`Z_n = p(x)`. Chains at neighboring numbers of rows s < t give the ratio of their norms
from both sides (Bennett 1976), so that neither tail is left to luck: with :math:`U_{st}` the
log-likelihood of what enters between them, :math:`r = \log Z_t - \log Z_s` solves

.. math::

    E_s\left[\frac{1}{1 + e^{r - U_{st}}}\right] = E_t\left[\frac{1}{1 + e^{U_{st} - r}}\right].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmix.covariance import structure_of
from bayesmix.inputs import require_count
from bayesmix.partial_posteriors import Chains, PartialPosteriors
from bayesmix.priors import Dirichlet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.mixture import Mixture

    Floats = NDArray[np.float64]

__all__ = ["SteppingStone", "stepping_stone"]

_PILOTS = (16, 16, 16, 16, 8)  # one over the shares of the sweeps after which steps move
_BURN_IN = 8  # the same, before anything counts
_LEAST_SWEEPS = 64
_LEAST_REJECTION = 1e-3  # so that no two steps become one
_LEAST_SWAPS = 0.1
_APART = 1.1  # R-hat above which sets of chains are elsewhere, not just short
_POWER = 4  # of even steps within a row: most of what it says comes at small powers


@dataclass(frozen=True, eq=False)
class SteppingStone:
    """An estimate of log p(x), and how it was reached; made by `stepping_stone`."""

    log_evidence: float
    """log p(x), nats."""
    se: float
    """Its Monte Carlo standard error, the autocorrelation of the chains in it."""
    rows: Floats
    """Numbers of rows that the chains are given, from 0 to n, (T,); parts of a row are powers."""
    log_ratio: Floats
    """log Z of each less that of the one before, (T - 1,); they add up."""
    log_ratio_se: Floats
    """Standard error of each, (T - 1,); neighbors share chains, so that squares do not add up."""
    swap_rate: Floats
    """Expected share of swaps accepted between neighbors, (T - 1,)."""
    r_hat: float
    """Of what the estimate averages, between the replicas; not a number for one."""

    @property
    def doubts(self) -> tuple[str, ...]:
        """What speaks against trusting it."""
        told: tuple[str, ...] = ()
        if self.r_hat > _APART:
            told += (f"The sets of chains disagree (R-hat {self.r_hat:.2f}): compare the bridge",)
        if self.swap_rate.min() < _LEAST_SWAPS:
            told += (
                f"Chains swap states at only {self.swap_rate.min():.0%} of the sweeps at the "
                "hardest step, so that they may have missed a mode: compare the bridge",
            )
        return told


def stepping_stone(
    mixture: Mixture,
    x: Floats,
    *,
    generator: np.random.Generator,
    steps: int = 48,
    sweeps: int = 3000,
    replicas: int = 4,
    report: Callable[[int], None] = lambda made: None,
) -> SteppingStone:
    r"""Estimate the evidence of a finite mixture from the posteriors given its first rows.

    Gibbs sampling given 0 to all n rows, in an order that spreads them, runs side by side; states
    of neighbors are swapped: what many rows do not let go of, few rows do. Half of the sweeps place
    the numbers of rows, so that swaps are rejected equally often between all neighbors, and let
    chains forget where they started; the other half are what the estimate is made of. Given no
    row draws are independent.

    Parameters
    ----------
    mixture : Mixture
        With Dirichlet weights and a component prior.
    x : (n, D) ndarray
    generator : Generator
    steps : int, default 48
        From no row to all rows, at least 2.
    sweeps : int, default 3000
        Of every chain, at least 64.
    replicas : int, default 4
        Independent sets of chains.
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
    steps at every sweep, with its autocorrelation and the distance of the replicas in it. What no
    chain has visited is not in it. A cluster that forms only once nearly all rows are in, such as
    the third species of iris, may take many thousands of sweeps: the estimate is then too low by
    nats with a standard error of tenths. Low swap rates near the end are a sign of it.

    One power of the likelihood of all rows, given labels, in place of fewer rows would not do:
    chains hardly ever cross from powers at which one component explains everything to those at
    which several do.

    References
    ----------
    C. H. Bennett, "Efficient Estimation of Free Energy Differences from Monte Carlo Data", Journal
    of Computational Physics 22, 1976.

    N. Chopin, "A Sequential Particle Filter Method for Static Models", Biometrika 89, 2002.

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
    model = _model_of(mixture, x[_spread_order(x)])
    _require_enough(steps, sweeps, replicas)
    rows = _rows_at(np.linspace(0, np.log1p(len(x)), steps + 1))
    rows[-1] = len(x)
    chains, left = model.draw_prior((steps + 1) * replicas, generator), sweeps
    for share in _PILOTS:
        run = _run(model, chains, rows, sweeps // share, generator, report)
        chains, left = run.chains, left - sweeps // share
        rows = _evened(rows, run.swap_rate)
    chains = _run(model, chains, rows, sweeps // _BURN_IN, generator, report).chains
    left -= sweeps // _BURN_IN
    return _estimate(rows, _run(model, chains, rows, left, generator, report))


def _spread_order(x: Floats) -> NDArray[np.intp]:
    """Order of rows such that the first few, however many, are spread over all of them.

    They are taken along the main axis, at places that the golden section spreads.
    """
    scaled = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), np.finfo(float).tiny)
    along = scaled @ np.linalg.svd(scaled, full_matrices=False)[2][0]
    places, _ = np.modf(np.arange(len(x)) * (np.sqrt(5) - 1) / 2)
    return np.argsort(along)[np.argsort(np.argsort(places))]


class _Run(NamedTuple):
    """Where chains came to, and what they saw on their way."""

    chains: Chains
    log_density: Floats
    """Of what the next (0) and the last (1) step let in, at the state before the step and after
    it, (2, sweeps, T - 1, R)."""
    swap_rate: Floats
    """(T - 1,)"""


def _run(
    model: PartialPosteriors,
    chains: Chains,
    rows: Floats,
    sweeps: int,
    generator: np.random.Generator,
    report: Callable[[int], None],
) -> _Run:
    """Sweep and swap; the R chains given equally many rows stand side by side."""
    replicas = len(chains.weights) // len(rows)
    near = np.stack([np.append(0, rows[:-1]), rows, np.append(rows[1:], rows[-1])], axis=-1)
    near = np.repeat(near, replicas, axis=0)
    seen = np.empty((2, sweeps, len(rows) - 1, replicas))
    for i in range(sweeps):
        moved = model.sweep(chains.at(slice(replicas, None)), near[replicas:, 1], generator)
        chains = model.draw_prior(replicas, generator).followed_by(moved)
        entered = np.diff(model.log_likelihood(chains, near), axis=1).reshape(-1, replicas, 2)
        seen[:, i] = entered[:-1, :, 1], entered[1:, :, 0]
        chains = chains.at(_swapped(_swap_chance(seen[:, i]), i % 2, generator))
        report(1)
    return _Run(chains, seen, _swap_chance(seen).mean(axis=(0, -1)))


def _swap_chance(seen: Floats) -> Floats:
    """Probability that neighbors swap, (..., T - 1, R)."""
    chance: Floats = np.exp(np.minimum(seen[0] - seen[1], 0))
    return chance


def _swapped(chance: Floats, first: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Order of the chains after swaps of every second pair, from pair ``first`` on."""
    order = np.arange(chance.size + chance.shape[1]).reshape(-1, chance.shape[1])
    low, high = order[first:-1:2], order[first + 1 :: 2]
    accepted = generator.random(low.shape) < chance[first::2]
    now = np.where(accepted, high, low), np.where(accepted, low, high)
    order[first:-1:2], order[first + 1 :: 2] = now
    return order.reshape(-1)


def _evened(rows: Floats, swap_rate: Floats) -> Floats:
    """Numbers of rows between which swaps would be rejected equally often."""
    rejected = np.cumsum(np.append(0, np.maximum(1 - swap_rate, _LEAST_REJECTION)))
    even = np.linspace(0, rejected[-1], len(rows))
    found = _rows_at(np.interp(even, rejected, _place(rows)))
    return np.append(found[:-1], rows[-1])


def _place(rows: Floats) -> Floats:
    """Where numbers of rows are on a scale on which steps are about even."""
    part, whole = np.modf(rows)
    return np.log1p(whole + part ** (1 / _POWER))


def _rows_at(place: Floats) -> Floats:
    """Inverse of `_place`."""
    part, whole = np.modf(np.expm1(place))
    return whole + part**_POWER


def _estimate(rows: Floats, run: _Run) -> SteppingStone:
    """Add the ratios of neighbors up."""
    from arviz_stats import rhat
    from arviz_stats.base import array_stats

    pairs = [_log_ratio(*run.log_density[:, :, t]) for t in range(len(rows) - 1)]
    log_ratio = np.array([found for found, _ in pairs])
    errors = np.stack([error for _, error in pairs], axis=-1)
    every = np.concatenate([errors, errors.sum(axis=-1, keepdims=True)], axis=-1)
    se = array_stats.mcse(every, chain_axis=1, draw_axis=0, method="mean")
    return SteppingStone(
        log_evidence=float(log_ratio.sum()),
        se=float(se[-1]),
        rows=rows,
        log_ratio=log_ratio,
        log_ratio_se=se[:-1],
        swap_rate=run.swap_rate,
        r_hat=float(rhat(every[..., -1].T)) if every.shape[1] > 1 else np.nan,
    )


def _log_ratio(before: Floats, after: Floats) -> tuple[float, Floats]:
    """Log ratio of two neighbors' norms, and its influence function (sweeps, R), mean 0.

    From the log-likelihood of what enters between them, at draws of either.
    """
    from scipy.optimize import brentq
    from scipy.special import expit

    def excess(log_ratio: float) -> float:
        return float(expit(before - log_ratio).mean() - expit(log_ratio - after).mean())

    both = np.stack([before, after])
    log_ratio = brentq(excess, both.min(), both.max())
    up, down = expit(before - log_ratio), expit(log_ratio - after)
    slope = (up * (1 - up) + down * (1 - down)).mean()
    return log_ratio, (up - down) / slope


def _model_of(mixture: Mixture, x: Floats) -> PartialPosteriors:
    """Take a finite mixture with proper priors apart, refuse any other."""
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
    structure = structure_of(mixture.covariance_type)
    return PartialPosteriors(mixture.weights, mixture.components, structure, x)


def _require_enough(steps: int, sweeps: int, replicas: int) -> None:
    """Refuse runs too short to place steps or to have a standard error."""
    for name, value, least in (
        ("steps", steps, 2),
        ("sweeps", sweeps, _LEAST_SWEEPS),
        ("replicas", replicas, 1),
    ):
        require_count(value, name)
        if value < least:
            raise ValueError(f"{name}: expected at least {least}, got {value}; take more")
