"""A bridge over the draws of a tree: which build the proposal, which are crossed to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.bridge.estimate import bridge
from bayesmix.bridge.permanents import n_products
from bayesmix.bridge.proposal import Proposal
from bayesmix.bridge.target import log_given_weights, log_target, log_weight_prior
from bayesmix.cluster_counts import r_hat_of
from bayesmix.diagnostics import DIFFERENT_MODES
from bayesmix.draws import evenly

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.bridge.estimate import Bridge
    from bayesmix.draws import Draws
    from bayesmix.mixture import Mixture

    Floats = NDArray[np.float64]
    Places = NDArray[np.intp]

__all__ = ["FEWEST_LABELINGS", "Crossing", "Estimate"]

FEWEST_LABELINGS = 100
_MOST_LABELINGS = 1000
_MOST_POINTS = 2000  # of the posterior, and as many of the proposal
_MOST_ROWS = 400_000_000  # points times rows whose density is taken
_MOST_WORK = 2e11  # multiplications and additions, minutes of two processors
_FEWEST = 4  # draws of a chain that are crossed to, which its error takes
_FEWEST_PROPOSED = 500
_NO_MASS = 20.0  # nats
_ROUNDING = 1e-6  # nats that log ratios of an exact proposal differ by


@dataclass(frozen=True)
class Estimate:
    """One bridge, and what it rests on."""

    bridge: Bridge
    log_ratio: Floats
    """Log target less log proposal at posterior draws, (chain, draw)."""
    log_ratio_proposal: Floats
    """The same at draws of the proposal, (draw)."""

    @property
    def doubts(self) -> tuple[str, ...]:
        """Say whether the chains disagree."""
        moves = np.ptp(self.log_ratio) >= _ROUNDING
        r_hat = r_hat_of(self.log_ratio) if moves else np.nan
        if not r_hat > DIFFERENT_MODES:
            return ()
        return (
            f"The chains disagree (R-hat {r_hat:.2f}), so that the error is rough: take more "
            "draws, or thin more",
        )


@dataclass(frozen=True)
class Crossing:
    """The halves of the chains."""

    mixture: Mixture
    x: Floats
    draws: Draws
    first: Places
    """Of the draws that labelings are taken from, (chain, draw)."""
    second: Places
    """Of the draws that are crossed to, (chain, draw)."""
    log_at: Floats
    """Log target at these, (chain, draw)."""
    doubts: tuple[str, ...]
    """What was left out."""
    generator: np.random.Generator

    @classmethod
    def of(
        cls, mixture: Mixture, x: Floats, draws: Draws, generator: np.random.Generator
    ) -> Crossing:
        """Split every chain, and leave out those stuck where there is no mass."""
        first, second = _halves(draws, len(x))
        at = draws.parameters[second.ravel()]
        given_weights = log_given_weights(mixture, x, at).reshape(second.shape)
        kept = _with_mass(given_weights, draws, len(x))
        log_at = given_weights + log_weight_prior(mixture, at.log_weights).reshape(second.shape)
        told = _of_lost_chains(kept)
        return cls(mixture, x, draws, first[kept], second[kept], log_at[kept], told, generator)

    def estimate(self, labelings: int) -> Estimate:
        """Bridge by a proposal of so many labelings.

        Raises
        ------
        ValueError
            If the sum over names of the components is out of reach.
        """
        for_labels, for_points = self.generator.spawn(2)
        proposal = self._proposal(labelings, for_labels)
        _require_affordable(proposal, self.n_points)
        proposed = proposal.draw(self.n_points - self.second.size, for_points)
        at = self.draws.parameters[self.second.ravel()]
        ratio = self.log_at - proposal.log_density(at).reshape(self.log_at.shape)
        log_at_proposed = log_target(self.mixture, self.x, proposed)
        ratio_proposal = log_at_proposed - proposal.log_density(proposed)
        return Estimate(bridge(ratio, ratio_proposal), ratio, ratio_proposal)

    @property
    def n_points(self) -> int:
        """Of the posterior and of the proposal; the error of few of the former tells nothing."""
        return self.second.size + max(self.second.size, _FEWEST_PROPOSED)

    def affords(self, labelings: int) -> bool:
        """Whether there are draws for so many labelings, and it does not take minutes."""
        if labelings > min(_MOST_LABELINGS, self.first.size):
            return False
        if not self.mixture.weights.exchangeable:
            return True  # names are not summed over
        k = self.mixture.n_components
        at_most = n_products(k, np.full(labelings, k)).sum()
        return self.n_points * float(at_most) <= _MOST_WORK

    def least_error(self, se: float, labelings: int) -> float:
        """Error that the most labelings would leave, given the error of so many."""
        return se * float(np.sqrt(labelings / _MOST_LABELINGS))

    def _proposal(self, labelings: int, generator: np.random.Generator) -> Proposal:
        """Proposal of labels drawn anew at some draws, spread over the chains."""
        draws, own = self.draws, self.first.ravel()[evenly(self.first.size, labelings)]
        concentration, discount, scale = (
            None if values is None else values[own]
            for values in (draws.concentration, draws.discount, draws.covariance_scale)
        )
        points = draws.parameters[own]
        return Proposal.of(self.mixture, self.x, points, concentration, discount, scale, generator)


def _halves(draws: Draws, n: int) -> tuple[Places, Places]:
    """Places of the draws before and behind the middle of every chain, (chain, draw)."""
    places = draws.by_chain(np.arange(len(draws)))
    n_draws = places.shape[1]
    half = n_draws // 2
    points = max(FEWEST_LABELINGS, min(_MOST_POINTS, _MOST_ROWS // n))
    kept = evenly(n_draws - half, max(_FEWEST, points // len(places)))
    return places[:, :half], places[:, half:][:, kept]


def _with_mass(given_weights: Floats, draws: Draws, n: int) -> NDArray[np.bool_]:
    """Which chains are not stuck at a mode without a share, by `log_given_weights` (chain, draw).

    The prior density of weights has no say, which grows without bound as one goes to zero. The
    width of a mode can make up for a difference of p/2 log n nats, p the number of parameters:
    from as wide as the prior to what n rows leave.
    """
    p = draws.structure.n_mixture_parameters(*draws.means.shape[1:])
    best, level = given_weights.max(axis=1), np.median(given_weights, axis=1)
    kept: NDArray[np.bool_] = best >= level.max() - _NO_MASS - p / 2 * np.log(n)
    return kept


def _of_lost_chains(kept: NDArray[np.bool_]) -> tuple[str, ...]:
    if kept.all():
        return ()
    lost = np.count_nonzero(~kept)
    return (
        f"{lost} of {len(kept)} chains stayed at a mode without a share of the posterior, and are "
        "left out: take more draws to see whether there is a better one still",
    )


def _require_affordable(proposal: Proposal, n_points: int) -> None:
    work = proposal.work(n_points)
    if work > _MOST_WORK:
        raise ValueError(
            "mixture: expected fewer components that have rows, got a sum over names of the "
            f'components of {work:.1e} terms; take a smaller K, or method="stepping_stone"'
        )
