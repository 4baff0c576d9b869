"""Mixtures of any number of components, and chains of them as the exactness tests see them."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

import bayesmix as bm
from bayesmix.gibbs_varying import VaryingChain
from tests.exact_partitions import in_order_of_appearance
from tests.gibbs_cells import prior_of_kind

GAMMA, BETA = bm.Gamma(2.0, 2.0), bm.Beta(1.5, 3.0)

WEIGHTS = {
    "DP": bm.DirichletProcess(0.8),
    "DP Gamma": bm.DirichletProcess(GAMMA),
    "PY 0.1": bm.PitmanYor(0.8, 0.1),
    "PY 0.25 Gamma": bm.PitmanYor(GAMMA, 0.25),
    "PY 0.5": bm.PitmanYor(0.8, 0.5),
    "PY Beta": bm.PitmanYor(0.8, BETA),
    "PY Gamma Beta": bm.PitmanYor(GAMMA, BETA),
    "MFM": bm.MixtureOfFiniteMixtures(bm.UniformK(1, 30), 0.7),
    "MFM few": bm.MixtureOfFiniteMixtures(bm.UniformK(2, 4), GAMMA),
    "MFM Gamma": bm.MixtureOfFiniteMixtures(bm.ShiftedPoisson(2.0), GAMMA),
    "MFM dynamic": bm.MixtureOfFiniteMixtures(bm.BetaNegativeBinomial(), 1.2, dynamic=True),
    "MFM dynamic Gamma": bm.MixtureOfFiniteMixtures(bm.BetaNegativeBinomial(), GAMMA, dynamic=True),
}
"""What may be stated and what random; of K, priors with and without a largest number."""


class Cell(NamedTuple):
    """Name of `WEIGHTS`, kind of component prior, covariance structure."""

    weights: str
    kind: str
    structure: str

    def mixture(self, d):
        """Make a mixture; "published" has one feature whatever ``d``."""
        return bm.Mixture(WEIGHTS[self.weights], prior_of_kind(self.kind, d), self.structure)


class Named(VaryingChain):
    """The engine's chain, its labels in order of appearance: components have no other names."""

    @property
    def labels(self):
        return in_order_of_appearance(super().labels)


@dataclass
class Draws:
    """What chains recorded, (chain, draw, ...); None where stated."""

    labels: np.ndarray
    concentration: np.ndarray | None
    discount: np.ndarray | None
    line_scale: np.ndarray | None
    n_components: np.ndarray | None
    records: list
    """Those of every chain."""


def drawn(mixture, x, seed, *, draws, thin=3, chains=2, moves=True, chain_class=VaryingChain):
    """Run chains from scattered labels, with or without moves between modes."""
    records = []
    for rng in np.random.default_rng(seed).spawn(chains):
        most = 3 if not isinstance(mixture.weights, bm.MixtureOfFiniteMixtures) else 2
        labels = in_order_of_appearance(rng.integers(0, most, len(x)))
        chain = chain_class.at(mixture, x, labels, rng)
        chain.sweep(50)
        room, origin, left = chain.room(draws, labels=True), chain.n_sweeps, draws * thin
        while left > 0:
            if moves:
                left -= chain.draw(room, origin, thin, left)
            else:
                chain._advance(left, keep=(room, origin, thin))
                left = 0
        records.append(room.records)
    weights = mixture.weights

    def stacked(name, there):
        return np.stack([getattr(own, name) for own in records]) if there else None

    scale = stacked("scale", mixture.components.scale_hyperprior is not None)
    return Draws(
        stacked("labels", True).astype(int),
        stacked("concentration", weights.random_concentration is not None),
        stacked("discount", weights.random_discount is not None),
        None if scale is None else scale[..., 0],
        stacked("n_components", isinstance(weights, bm.MixtureOfFiniteMixtures)),
        records,
    )
