r"""Gibbs sampling of a finite mixture: one chain, its state and its moves.

A sweep draws, in this order, new names of the components (where they are exchangeable; those that
break a stick trade places), what is random of concentration and discount and the weights given the
labels, covariances and means given the labels, a random S given the covariances; then one pass over
the rows gives the log-likelihood at these parameters and new labels. What is stored of a sweep are
the parameters and the labels drawn at them. Every few sweeps a split or merge of components is
tried first.

Under `NormalInverseWishart` the means are integrated out of the covariances' draw; under
`IndependentNormalInverseWishart` covariances are drawn given the means of the sweep before.

References
----------
J. Diebolt and C. P. Robert, "Estimation of Finite Mixture Distributions through Bayesian
Sampling", JRSS B 56, 1994. S. Frühwirth-Schnatter, "Markov Chain Monte Carlo Estimation of
Classical and Dynamic Switching and Mixture Models", JASA 96, 2001 (random names). S. Jain and R. M.
Neal, "Splitting and Merging Components of a Nonconjugate Dirichlet Process Mixture Model", Bayesian
Analysis 2, 2007.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix import kernels
from bayesmix.compiling import compile_once
from bayesmix.component_prior import held_scale
from bayesmix.covariance import structure_of
from bayesmix.inputs import random_words
from bayesmix.kernels import gibbs as compiled
from bayesmix.pass_parameters import PassParameters
from bayesmix.passes import parts_of, source_of
from bayesmix.priors import Dirichlet, NormalInverseWishart
from bayesmix.stick_priors import StickPrior

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.covariance import Structure
    from bayesmix.mixture import Mixture
    from bayesmix.stick_priors import WeightPrior

    Floats = NDArray[np.float64]

__all__ = [
    "Chain",
    "affordable_sweeps",
    "compile_moves",
    "dense_covariances",
    "group_means",
    "not_finite",
    "prior_numbers",
    "sweeps_between_moves",
]

_CHUNK = 100_000
_WORK_AT_A_TIME = 1_000_000
"""Rows times sweeps of one compiled call, which nothing interrupts; a parameter is a few rows."""
_ROWS_PER_PARAMETER = 4


def sweeps_between_moves(n_rows: int, *, tuning: bool) -> int:
    """Sweeps between two tries to split or merge, each of which costs as much as a few.

    More rows seldom let one through once the chain has settled.
    """
    every = min(max(10, n_rows // 100), 100)
    return max(every // 10, 2) if tuning else every


@dataclass
class Chain:
    """One chain on rows in memory."""

    structure: Structure
    x: Floats
    prior: compiled.Prior
    state: compiled.State
    generator: np.random.Generator

    def __post_init__(self) -> None:
        self._bounds = np.array(parts_of(len(self.x), self.state.point.means.shape))
        self._last = self.room(1, labels=False)
        for values in (self._last.weights, self._last.means, self._last.covariances):
            values.fill(np.nan)  # until the first sweep

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
    ) -> Chain:
        """State at given labels (n,).

        Parameters
        ----------
        mixture : Mixture
        x : (n, D) ndarray
        labels : (n,) ndarray of integers
        generator : Generator
            The chain's own.
        means : (K, D) ndarray, optional
            Means that the first covariances are drawn given, if the prior is not conjugate; by
            default those of the labels' rows.
        covariance_scale : (D, D) ndarray, optional
            A random S; by default at its prior mean.
        concentration : float, optional
            A random concentration; by default at its prior mean.
        discount : float, optional
            A random discount of sticks; by default at its prior mean.
        """
        structure, prior = structure_of(mixture.covariance_type), mixture.components
        k, d = mixture.n_components, x.shape[1]
        # what `require_mixture` has checked
        assert prior is not None
        if covariance_scale is None:
            covariance_scale = held_scale(prior, structure)
        concentrations, held = _held_weights(mixture.weights)
        if concentration is not None:
            concentrations = np.full(k, concentration)
        if means is None:
            means = group_means(x, labels, k, np.asarray(prior.mean))
        unit = structure.average(np.eye(d), k)  # until the first sweep
        point = PassParameters(structure, np.full(k, -np.log(k)), means, unit)
        state = compiled.State(
            point.compiled_point(),
            np.array(labels, np.min_scalar_type(-k)),
            kernels.Sums(np.zeros(k), np.zeros((k, d)), np.zeros(point.second_shape)),
            np.array(covariance_scale, float),
            np.array(concentrations, float),
            np.array([held if discount is None else discount]),
            random_words(generator, 2),
            np.zeros(1, np.uint64),
        )
        chain = cls(structure, x, prior_numbers(mixture), state, generator)
        chain._advance(0)  # the moments of the labels
        return chain

    def room(self, draws: int, *, labels: bool) -> compiled.Records:
        """Room for draws, with or without their labels."""
        k, d = self.state.point.means.shape
        random_scale = len(self.prior.scale_rate) > 0
        n_labels = len(self.state.labels) if labels else 0
        return compiled.Records(
            weights=np.empty((draws, k)),
            means=np.empty((draws, k, d)),
            covariances=np.empty((draws, *self.state.sums.second.shape)),
            scale=np.empty((draws, d if random_scale else 0)),
            concentration=np.empty(draws),
            discount=np.empty(draws),
            log_likelihood=np.empty(draws),
            n_clusters=np.empty(draws, np.int64),
            split_merge_tried=np.zeros(draws, np.int64),
            split_merge_accepted=np.zeros(draws, np.int64),
            labels=np.empty((draws, n_labels), self.state.labels.dtype),
        )

    @property
    def n_sweeps(self) -> int:
        """Sweeps made so far."""
        return int(self.state.sweeps[0])

    def tune(self, limit: int) -> int:
        """Make sweeps that are not kept, trying to split or merge often; return how many."""
        count = min(limit, affordable_sweeps(self.state))
        self._advance(count, every=sweeps_between_moves(len(self.x), tuning=True))
        return count

    def draw(self, into: compiled.Records, origin: int, thin: int, limit: int) -> int:
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
        before = int(self._last.split_merge_accepted[0])
        self._advance(1, every=1, sweep=False)
        return int(self._last.split_merge_accepted[0]) > before

    def _advance(
        self,
        count: int,
        *,
        every: int = 0,
        sweep: bool = True,
        keep: tuple[compiled.Records, int, int] | None = None,
    ) -> None:
        k, d = self.state.point.means.shape
        # without `keep` the last sweep alone, for the chain's own properties
        into, origin, thin = keep or (self._last, self.n_sweeps, max(count, 1))
        plan = compiled.Plan(
            steps=count,
            every=every if k > 1 and len(self.x) > 1 else 0,
            sweep=sweep,
            thin=thin,
            origin=origin,
            block=kernels.block_size(k, d),
            pair_block=kernels.block_size(2, d),
        )
        log_likelihood = compiled.advance(
            self.state,
            self.prior,
            source_of(self.x),
            self._bounds,
            self.generator,
            plan,
            into,
            (self.n_sweeps - origin) // thin,
        )
        if not np.isfinite(log_likelihood):
            raise not_finite(log_likelihood, self.n_sweeps)

    @property
    def weights(self) -> Floats:
        """Weights of the last sweep, (K,)."""
        return self._last.weights[0].copy()

    @property
    def means(self) -> Floats:
        """Means of the last sweep, (K, D)."""
        return self._last.means[0].copy()

    @property
    def covariances(self) -> Floats:
        """Covariances of the last sweep, (K, D, D)."""
        return dense_covariances(self.structure, self._last)[0].copy()

    @property
    def covariance_scale(self) -> Floats | None:
        """A random S, (D, D)."""
        return self.state.scale.copy() if len(self.prior.scale_rate) else None

    @property
    def concentration(self) -> float | None:
        """A random concentration."""
        random = self.prior.concentration_shape > 0
        return float(self.state.concentration[0]) if random else None

    @property
    def discount(self) -> float | None:
        """A random discount."""
        return float(self.state.discount[0]) if self.prior.discount_a > 0 else None

    @property
    def labels(self) -> NDArray[np.integer]:
        """Labels drawn at these parameters, or moved since, (n,)."""
        return self.state.labels.copy()

    @property
    def log_likelihood(self) -> float:
        """Log-likelihood of the last sweep's parameters."""
        return float(self._last.log_likelihood[0])

    def saved(self) -> dict[str, NDArray[Any]]:
        """All that the next sweep depends on, the generator as JSON."""
        state = self.state
        return {
            "label": state.labels,
            "means": state.point.means,
            "sizes": state.sums.sizes,
            "first": state.sums.first,
            "second": state.sums.second.ravel(),
            "scale": state.scale,
            "concentrations": state.concentration,
            "discount": state.discount[0],
            "key": state.key,
            "sweeps": state.sweeps[0],
            "generator": np.array(json.dumps(self.generator.bit_generator.state)),
        }

    @classmethod
    def restored(cls, mixture: Mixture, x: Floats, saved: Mapping[str, Any]) -> Chain:
        """Chain that goes on where the one with this `saved` state stopped."""
        generator = np.random.default_rng()
        generator.bit_generator.state = json.loads(str(saved["generator"]))
        chain = cls.at(mixture, x, saved["label"], np.random.default_rng())
        chain.generator = generator
        state = chain.state
        for name, out in (
            ("means", state.point.means),
            ("sizes", state.sums.sizes),
            ("first", state.sums.first),
            ("second", state.sums.second),
            ("scale", state.scale),
            ("concentrations", state.concentration),
            ("discount", state.discount),
            ("key", state.key),
            ("sweeps", state.sweeps),
        ):
            out[...] = np.reshape(saved[name], out.shape)
        return chain


def affordable_sweeps(state: compiled.State | compiled.VaryingState) -> int:
    """Sweeps of one compiled call."""
    parameters = state.point.means.size + state.sums.second.size
    work = len(state.labels) + _ROWS_PER_PARAMETER * parameters
    return max(1, _WORK_AT_A_TIME // work)


def not_finite(log_likelihood: float, n_sweeps: int) -> FloatingPointError:
    """Say what made a log-likelihood no number."""
    return FloatingPointError(
        f"the log-likelihood became {log_likelihood} in sweep {n_sweeps}: a covariance is "
        "singular to working precision, or values overflow; rescale the columns, use a component "
        "prior with a larger covariance_scale, or, where values repeat and the prior has a "
        "scale_hyperprior, give that a floor"
    )


def compile_moves(mixture: Mixture) -> None:
    """Compile, or load, what chains of a mixture run: a sweep and a move on two rows of nothing."""
    k, structure = mixture.n_components, mixture.covariance_type
    label_type = np.min_scalar_type(-k)
    words = f"Gibbs sampling for {structure} covariances"
    if label_type != np.int8:
        words += " of more than 128 components"

    def run() -> None:
        assert mixture.components is not None
        rows = np.tile(np.asarray(mixture.components.mean), (2, 1))
        chain = Chain.at(mixture, rows, np.zeros(2, int), np.random.default_rng(0))
        chain.sweep()

    compile_once(("gibbs", structure, label_type.char), words, run)


def dense_covariances(
    structure: Structure, records: compiled.Records | compiled.VaryingRecords
) -> Floats:
    """Covariances of records, (S, K, D, D)."""
    n, k, d = records.means.shape
    shape = structure.average(np.eye(d), k).shape
    return structure.dense(records.covariances.reshape(n, *shape), k, d)


def group_means(x: Floats, labels: NDArray[np.integer], k: int, empty: Floats) -> Floats:
    """Means of the labels' rows, (K, D); where there are none, ``empty``."""
    center = np.asarray(x[0], float)
    sizes, sums = np.zeros(k), np.zeros((k, len(center)))
    for start in range(0, len(x), _CHUNK):
        rows = np.asarray(x[start : start + _CHUNK], float) - center
        own = labels[start : start + _CHUNK]
        sizes += np.bincount(own, minlength=k)
        for j, column in enumerate(rows.T):
            sums[:, j] += np.bincount(own, column, minlength=k)
    means = center + sums / np.maximum(sizes, 1)[:, None]
    means[sizes == 0] = empty
    return means


def _held_weights(prior: WeightPrior) -> tuple[Floats, float]:
    """Concentrations (K,) and discount (0 of a Dirichlet), at their prior means where random."""
    if isinstance(prior, Dirichlet):
        return prior.concentrations, 0.0
    assert isinstance(prior, StickPrior)  # what `require_mixture` has checked
    assert prior.truncation is not None
    concentration, discount = (
        given if isinstance(given, float) else given.mean
        for given in (prior.concentration, prior.discount)
    )
    return np.full(prior.truncation, float(concentration)), float(discount)


def prior_numbers(mixture: Mixture) -> compiled.Prior:
    """Numbers of a mixture's priors as kernels want them."""
    prior, structure = mixture.components, structure_of(mixture.covariance_type)
    assert prior is not None
    d = prior.n_features
    hyper = prior.scale_hyperprior
    shape, rate, floor = (0.0, (), ()) if hyper is None else structure.scale_hyperprior(hyper)
    mean_precision, spread_precision = 0.0, np.zeros((d, d))
    if isinstance(prior, NormalInverseWishart):
        mean_precision = prior.mean_precision
    else:
        spread_precision = np.linalg.inv(prior.mean_covariance)
    random, beta = mixture.weights.random_concentration, mixture.weights.random_discount
    return compiled.Prior(
        conjugate=isinstance(prior, NormalInverseWishart),
        mean=np.array(prior.mean),
        mean_precision=mean_precision,
        spread_precision=spread_precision,
        dof=prior.dof,
        scale_shape=shape,
        scale_rate=np.array(rate, float),
        scale_floor=np.array(floor, float),
        concentration_shape=0.0 if random is None else random.shape,
        concentration_rate=0.0 if random is None else random.rate,
        exchangeable=mixture.weights.exchangeable,
        sticks=isinstance(mixture.weights, StickPrior) and not mixture.varying,
        discount_a=0.0 if beta is None else beta.a,
        discount_b=0.0 if beta is None else beta.b,
    )
