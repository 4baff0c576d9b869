r"""Gibbs sampling of a mixture whose number of components varies: one chain.

The Dirichlet process, the Pitman-Yor process and mixtures of finite mixtures are one family of
partitions (`kernels.gibbs.urn`). A sweep draws what is random of K, concentration and discount
given the partition, covariances, means and a random S given the labels, and new labels row by row
with the weights integrated out, where a row may found a cluster at one of a few draws from the
prior (`kernels.gibbs.seating`). That is exact for all of them, at any discount: nothing is
truncated. Of a sweep that is kept, weights of the clusters are drawn given their labels; what they
leave is that of all other components. Every few sweeps a split or merge of clusters is tried first.

References
----------
R. M. Neal, "Markov Chain Sampling Methods for Dirichlet Process Mixture Models", JCGS 9, 2000
(algorithm 8). S. Favaro and Y. W. Teh, "MCMC for Normalized Random Measure Mixture Models",
Statistical Science 28, 2013 (draws of the prior used again). S. Frühwirth-Schnatter, G.
Malsiner-Walli and B. Grün, "Generalized Mixtures of Finite Mixtures and Telescoping Sampling",
Bayesian Analysis 16, 2021 (K given the partition). J. W. Miller and M. T. Harrison, "Mixture Models
with a Prior on the Number of Components", JASA 113, 2018.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix import kernels
from bayesmix.compiling import compile_once
from bayesmix.component_counts import log_pmf_table
from bayesmix.component_prior import held_scale
from bayesmix.covariance import structure_of
from bayesmix.finite_mixtures import MixtureOfFiniteMixtures
from bayesmix.gibbs import (
    affordable_sweeps,
    dense_covariances,
    group_means,
    not_finite,
    prior_numbers,
    sweeps_between_moves,
)
from bayesmix.inputs import random_words
from bayesmix.kernels import gibbs as compiled
from bayesmix.pass_parameters import PassParameters
from bayesmix.passes import source_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.covariance import Structure
    from bayesmix.mixture import Mixture

    Floats = NDArray[np.float64]

__all__ = ["VaryingChain", "VaryingRoom", "compile_varying"]

_LABEL = np.int16
_TUNING_EVERY = 2  # sweeps between two tries to split or merge, which find the clusters
_WIDTH = 8  # components of a record at first


@dataclass
class VaryingRoom:
    """Room for draws, which grows with the number of components."""

    records: compiled.VaryingRecords


@dataclass
class VaryingChain:
    """One chain on rows in memory."""

    structure: Structure
    x: Floats
    prior: compiled.Prior
    law: compiled.Law
    state: compiled.VaryingState
    generator: np.random.Generator

    def __post_init__(self) -> None:
        self._last = self.room(1, labels=False)

    @classmethod
    def at(
        cls,
        mixture: Mixture,
        x: Floats,
        labels: NDArray[np.integer],
        generator: np.random.Generator,
        *,
        means: Floats | None = None,
        covariance_scale: Floats | None = None,
        concentration: float | None = None,
        discount: float | None = None,
        n_components: int | None = None,
    ) -> VaryingChain:
        """State at given labels (n,).

        Parameters
        ----------
        mixture : Mixture
        x : (n, D) ndarray
        labels : (n,) ndarray of integers
        generator : Generator
            The chain's own.
        means : (K, D) ndarray, optional
            By label: means that the first covariances are drawn given, if the prior is not
            conjugate; by default those of the labels' rows.
        covariance_scale : (D, D) ndarray, optional
            A random S; by default at its prior mean.
        concentration, discount : float, optional
            Random ones; by default at their prior means.
        n_components : int, optional
            K of a mixture of finite mixtures; by default the number of clusters, or the least that
            its prior allows.
        """
        structure, prior = structure_of(mixture.covariance_type), mixture.components
        assert prior is not None  # what `require_mixture` has checked
        if covariance_scale is None:
            covariance_scale = held_scale(prior, structure)
        used = int(labels.max()) + 1
        if used > np.iinfo(_LABEL).max // 4:
            raise ValueError(
                f"labels: expected fewer than 8,192 clusters to start from, got {used}"
            )
        if means is None:
            means = group_means(x, labels, used, np.asarray(prior.mean))
        law = _law(mixture)
        state = _state(structure, x.shape[1], used + 1, len(labels))  # a sweep takes more room
        state.point.means[:used] = means
        state.labels[:] = labels
        state.scale[...] = covariance_scale
        state.concentration[0] = _start(mixture.weights.concentration, concentration)
        state.discount[0] = _start(getattr(mixture.weights, "discount", 0.0), discount)
        state.key[:] = random_words(generator, 2)
        if len(law.log_p_components):
            allowed = np.flatnonzero(np.isfinite(law.log_p_components)) + 1
            least = max(len(np.unique(labels)), int(allowed[0]))
            state.n_components[0] = least if n_components is None else n_components
        chain = cls(structure, x, prior_numbers(mixture), law, state, generator)
        chain._advance(0)  # the moments of the labels
        return chain

    def room(self, draws: int, *, labels: bool) -> VaryingRoom:
        """Room for draws, with or without their labels."""
        d, second = self.x.shape[1], self.state.sums.second
        random_scale = len(self.prior.scale_rate) > 0
        width = 1 if self.structure.name == "tied" else _WIDTH
        return VaryingRoom(
            compiled.VaryingRecords(
                weights=np.full((draws, _WIDTH), np.nan),
                means=np.full((draws, _WIDTH, d), np.nan),
                covariances=np.full((draws, width, *second.shape[1:]), np.nan),
                scale=np.empty((draws, d if random_scale else 0)),
                concentration=np.empty(draws),
                discount=np.empty(draws),
                n_components=np.zeros(draws, np.int64),
                n_clusters=np.zeros(draws, np.int64),
                log_likelihood=np.empty(draws),
                split_merge_tried=np.zeros(draws, np.int64),
                split_merge_accepted=np.zeros(draws, np.int64),
                labels=np.empty((draws, len(self.x) if labels else 0), _LABEL),
            )
        )

    @property
    def n_sweeps(self) -> int:
        """Sweeps made so far."""
        return int(self.state.sweeps[0])

    def tune(self, limit: int) -> int:
        """Make sweeps that are not kept, trying to split or merge often; return how many."""
        count = min(limit, affordable_sweeps(self.state))
        self._advance(count, every=_TUNING_EVERY)
        return count

    def draw(self, into: VaryingRoom, origin: int, thin: int, limit: int) -> int:
        """Make sweeps, keep every ``thin``-th after number ``origin``; return how many."""
        count = min(limit, affordable_sweeps(self.state))
        every = sweeps_between_moves(len(self.x), tuning=False)
        self._advance(count, every=every, keep=(into, origin, thin))
        return count

    def sweep(self, count: int = 1) -> None:
        """Make sweeps; the last one's point and labels are the chain's."""
        self._advance(count)

    def split_merge(self) -> bool:
        """Try one move of the labels between modes; whether it was accepted."""
        before = int(self._last.records.split_merge_accepted[0])
        self._advance(1, every=1, sweep=False)
        return int(self._last.records.split_merge_accepted[0]) > before

    def _advance(
        self,
        count: int,
        *,
        every: int = 0,
        sweep: bool = True,
        keep: tuple[VaryingRoom, int, int] | None = None,
    ) -> None:
        # without `keep` the last sweep alone, for the chain's own properties
        into, origin, thin = keep or (self._last, self.n_sweeps, max(count, 1))
        k, d = self.state.point.means.shape
        plan = compiled.Plan(
            steps=count,
            every=every if len(self.x) > 1 else 0,
            sweep=sweep,
            thin=thin,
            origin=origin,
            block=kernels.block_size(k, d),
            pair_block=kernels.block_size(2, d),
        )
        self.state, into.records, found = compiled.advance_varying(
            self.state,
            self.prior,
            self.law,
            source_of(self.x),
            self.generator,
            plan,
            into.records,
            (self.n_sweeps - origin) // thin,
        )
        if found == np.inf:
            raise ValueError(
                f"weights: expected at most {compiled.MOST_ROOM:,} clusters, as many as labels can "
                f"name, and there were more in sweep {self.n_sweeps}; use a prior with a smaller "
                "discount or concentration"
            )
        if not np.isfinite(found):
            raise not_finite(found, self.n_sweeps)

    @property
    def n_clusters(self) -> int:
        """Clusters now."""
        return int(np.count_nonzero(self.state.sums.sizes))

    @property
    def n_components(self) -> int | None:
        """K of a mixture of finite mixtures."""
        return int(self.state.n_components[0]) if len(self.law.log_p_components) else None

    @property
    def weights(self) -> Floats:
        """Weights of the last sweep's clusters, (K+,)."""
        return self._last.records.weights[0, : self._n_last].copy()

    @property
    def means(self) -> Floats:
        """Means of the last sweep's clusters, (K+, D)."""
        return self._last.records.means[0, : self._n_last].copy()

    @property
    def covariances(self) -> Floats:
        """Covariances of the last sweep's clusters, (K+, D, D)."""
        dense = dense_covariances(self.structure, self._last.records)
        return dense[0, : self._n_last].copy()

    @property
    def _n_last(self) -> int:
        return int(self._last.records.n_clusters[0])

    @property
    def covariance_scale(self) -> Floats | None:
        """A random S, (D, D)."""
        return self.state.scale.copy() if len(self.prior.scale_rate) else None

    @property
    def concentration(self) -> float | None:
        """A random concentration."""
        return float(self.state.concentration[0]) if self.law.concentration_shape else None

    @property
    def discount(self) -> float | None:
        """A random discount."""
        return float(self.state.discount[0]) if self.law.discount_a else None

    @property
    def labels(self) -> NDArray[np.integer]:
        """Labels drawn at these parameters, or moved since, (n,)."""
        return self.state.labels.copy()

    @property
    def log_likelihood(self) -> float:
        """Log-likelihood of the last sweep's parameters.

        What empty components weigh together is spread over the few that the sweep drew.
        """
        return float(self._last.records.log_likelihood[0])

    def saved(self) -> dict[str, NDArray[Any]]:
        """All that the next sweep depends on, the generator as JSON; only occupied components."""
        state, k = self.state, self.n_clusters
        return {
            "label": state.labels,
            "means": state.point.means[:k],
            "sizes": state.sums.sizes[:k],
            "first": state.sums.first[:k],
            "second": state.sums.second[:k],
            "scale": state.scale,
            "concentration": state.concentration[0],
            "discount": state.discount[0],
            "n_components": state.n_components[0],
            "key": state.key,
            "sweeps": state.sweeps[0],
            "generator": np.array(json.dumps(self.generator.bit_generator.state)),
        }

    @classmethod
    def restored(cls, mixture: Mixture, x: Floats, saved: Mapping[str, Any]) -> VaryingChain:
        """Chain that goes on where the one with this `saved` state stopped."""
        generator = np.random.default_rng()
        generator.bit_generator.state = json.loads(str(saved["generator"]))
        chain = cls.at(mixture, x, saved["label"], np.random.default_rng())
        chain.generator = generator
        state, k = chain.state, len(saved["sizes"])
        state.point.means[:k] = saved["means"]
        state.sums.sizes[:k], state.sums.first[:k] = saved["sizes"], saved["first"]
        state.sums.second[: len(saved["second"])] = saved["second"]
        state.scale[...] = saved["scale"]
        for name in ("concentration", "discount", "n_components", "sweeps"):
            getattr(state, name)[0] = saved[name]
        state.key[:] = saved["key"]
        return chain


def compile_varying(mixture: Mixture) -> None:
    """Compile, or load, what chains of a mixture run: a sweep and a move on two rows of nothing."""
    structure = mixture.covariance_type
    words = f"Gibbs sampling of any number of components with {structure} covariances"

    def run() -> None:
        assert mixture.components is not None
        rows = np.tile(np.asarray(mixture.components.mean), (2, 1))
        chain = VaryingChain.at(mixture, rows, np.zeros(2, int), np.random.default_rng(0))
        chain.sweep()

    compile_once(("varying", structure), words, run)


def _state(structure: Structure, d: int, k: int, n: int) -> compiled.VaryingState:
    """A state with room for k components, no rows in any."""
    unit = structure.average(np.eye(d), k)  # until the first sweep
    point = PassParameters(structure, np.zeros(k), np.zeros((k, d)), unit)
    return compiled.VaryingState(
        point.compiled_point(),
        np.zeros(n, _LABEL),
        kernels.Sums(np.zeros(k), np.zeros((k, d)), np.zeros(point.second_shape)),
        np.zeros((d, d)),
        np.zeros(1),
        np.zeros(1),
        np.zeros(1, np.int64),
        np.zeros(2, np.uint64),
        np.zeros(1, np.uint64),
    )


def _law(mixture: Mixture) -> compiled.Law:
    """Numbers of a prior on partitions as kernels want them."""
    weights, log_p, dynamic = mixture.weights, np.empty(0), False
    if isinstance(weights, MixtureOfFiniteMixtures):
        log_p, dynamic = np.array(log_pmf_table(weights.n_components)), weights.dynamic
    gamma, beta = weights.random_concentration, weights.random_discount
    return compiled.Law(
        log_p,
        np.cumsum(np.exp(log_p)),
        dynamic,
        concentration_shape=0.0 if gamma is None else gamma.shape,
        concentration_rate=0.0 if gamma is None else gamma.rate,
        discount_a=0.0 if beta is None else beta.a,
        discount_b=0.0 if beta is None else beta.b,
    )


def _start(stated: Any, given: float | None) -> float:
    """A number as given, as stated, or the mean of its prior."""
    if given is not None:
        return given
    return stated if isinstance(stated, float) else stated.mean
