r"""The whole mixture at every draw, where the number of components varies: with those without rows.

Given the partition of the rows in t clusters, what their weights leave over is shared by components
that no row told anything about (`residual_law`). The components themselves, *atoms*, come from the
component prior, given what the draw knows of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bayesmix import component_prior, new_component, passes
from bayesmix.draws import Draws, components_of, draws_of
from bayesmix.inputs import random_words
from bayesmix.memory import require_memory
from bayesmix.residual_law import (
    MOST_ATOMS,
    broken,
    by_draw,
    discount_and_strength,
    has_rest,
    require_scale,
)
from bayesmix.schema import chosen_clusters, group, mixture_of, varies

if TYPE_CHECKING:
    from collections.abc import Iterator

    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.mixture import Mixture
    from bayesmix.priors import ComponentPrior

    Floats = NDArray[np.float64]

__all__ = ["RandomMeasure", "extended", "marginal_draws", "random_measure"]

_BLOCK_BYTES = 1 << 26


@dataclass(frozen=True)
class _Rest:
    """What the components without rows are known by, at every draw."""

    prior: ComponentPrior
    discount: Floats
    """Shape (S,); negative for K components."""
    strength: Floats
    """Of what is left over, :math:`\\theta + t d`, shape (S,)."""
    scale: Floats
    """Scale matrices of the prior, (S, D, D)."""
    seeds: NDArray[np.uint64]
    """Of every block of draws."""


@dataclass(frozen=True)
class RandomMeasure:
    """The mixture at S draws: clusters, and atoms drawn when a block of draws is asked for."""

    clusters: Draws
    """Weights sum to one less what the components without rows have."""
    rest: _Rest | None = None
    """None where the number of components is fixed."""

    def log_density(self, x: Floats) -> Floats:
        """Log density of rows at every draw, (S, n)."""
        if self.rest is None:
            return passes.log_density(x, self.clusters.parameters)
        out = np.empty((len(self.clusters), len(x)))
        for own, draws, left in self._extensions():
            known = passes.log_density(x, draws.parameters)
            out[own] = self._with_new(known, draws, left, x, own)
        return out

    def log_densities(self, x: Floats) -> tuple[Floats, Floats]:
        """The same, and with the atoms averaged out: all of them are one new component."""
        log = self.log_density(x)
        if self.rest is None:
            return log, log
        expected = passes.log_density(x, self.clusters.parameters)
        for own in self._blocks:
            draws = self._clusters(own)
            expected[own] = self._with_new(expected[own], draws, self._left(draws, own), x, own)
        return log, expected

    def complete(self) -> Iterator[tuple[slice, Draws]]:
        """Blocks of draws whose weights sum to one: what is left goes to one more atom."""
        if self.rest is None:
            total = self.clusters.weights.sum(axis=1, keepdims=True)
            yield (
                slice(0, len(self.clusters)),
                replace(self.clusters, weights=self.clusters.weights / total),
            )
            return
        for own, generator in self._seeded():
            draws, left = self._extended(own, generator)
            atoms = self._atoms(draws, own, 1, generator)
            yield own, _joined(draws, *atoms, weights=left[:, None])

    def whole(self) -> Draws:
        """All draws at once, whose weights sum to one as in `complete`."""
        return _stacked([draws for _, draws in self.complete()])

    def extended(self) -> Draws:
        """All draws with their atoms; weights sum to one less what is left."""
        return _stacked([draws for _, draws, _ in self._extensions()])

    @cached_property
    def _blocks(self) -> list[slice]:
        d = self.clusters.means.shape[-1]
        size = max(1, _BLOCK_BYTES // (8 * MOST_ATOMS * (1 + d + d * d)))
        s = len(self.clusters)
        return [slice(start, min(start + size, s)) for start in range(0, s, size)]

    def _seeded(self) -> Iterator[tuple[slice, np.random.Generator]]:
        assert self.rest is not None
        for own, seed in zip(self._blocks, self.rest.seeds, strict=False):
            yield own, np.random.default_rng(int(seed))

    def _extensions(self) -> Iterator[tuple[slice, Draws, Floats]]:
        """Blocks of draws with their atoms, and what is left: the same every time."""
        if self.rest is None:
            yield slice(0, len(self.clusters)), self.clusters, np.zeros(len(self.clusters))
            return
        for own, generator in self._seeded():
            yield own, *self._extended(own, generator)

    def _clusters(self, own: slice) -> Draws:
        given = self.clusters
        parts = given.weights[own], given.means[own], given.covariances[own]
        return Draws(given.structure, 1, *parts)

    def _left(self, draws: Draws, own: slice) -> Floats:
        """What the weights of clusters leave, (s,): rounding of their sum is no component."""
        assert self.rest is not None
        some = has_rest(self.rest.discount[own], self.rest.strength[own])
        return np.where(some, np.maximum(1 - draws.weights.sum(axis=1), 0.0), 0.0)

    def _extended(self, own: slice, generator: np.random.Generator) -> tuple[Draws, Floats]:
        assert self.rest is not None
        draws, rest = self._clusters(own), self.rest
        left = self._left(draws, own)
        weights, left = broken(left, rest.discount[own], rest.strength[own], generator)
        atoms = self._atoms(draws, own, weights.shape[1], generator)
        return _joined(draws, *atoms, weights), left

    def _atoms(
        self, draws: Draws, own: slice, count: int, generator: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """Means and dense covariances of new components, given what the draws know."""
        assert self.rest is not None
        rest, d, structure = self.rest, draws.means.shape[-1], draws.structure
        if structure.name == "tied":
            covariances = np.repeat(draws.covariances[:, :1], count, axis=1)
        else:
            scale = rest.scale[own]
            drawn = structure.draw_covariances(generator, count, rest.prior.dof, scale)
            covariances = structure.dense(drawn, count, d)
        return component_prior.draw_means(rest.prior, covariances, generator), covariances

    def _with_new(self, known: Floats, draws: Draws, left: Floats, x: Floats, own: slice) -> Floats:
        """Add to log densities (s, n) what is left of the weights, as a new component."""
        assert self.rest is not None
        rest = self.rest
        if not left.any():
            return known
        random = rest.prior.scale_hyperprior is not None
        new = new_component.log_density(
            rest.prior,
            draws.structure,
            x,
            covariance_scale=rest.scale[own] if random else None,
            covariances=draws.covariances if draws.structure.name == "tied" else None,
            generator=np.random.default_rng(int(rest.seeds[-1])),
        )
        with np.errstate(divide="ignore"):
            return np.logaddexp(known, np.log(left)[:, None] + new)


def random_measure(
    post: xr.DataTree,
    generator: np.random.Generator,
    *,
    columns: NDArray[np.intp] | None = None,
    mixture: Mixture | None = None,
) -> RandomMeasure:
    """Take the mixture of every draw out of a tree.

    Parameters
    ----------
    post : DataTree
        With a group ``posterior``, and ``components`` where the number of components varies.
    generator : Generator
        Draws the atoms; seldom used where the number of components is fixed.
    columns : (q,) ndarray of int, optional
        Only the marginal law of these features.
    mixture : Mixture, optional
        The model, for the prior of new components; default the tree's own.

    Raises
    ------
    ValueError
        If the draws were chosen by their number of clusters, or the number of components varies
        and there is no model.
    """
    if (k := chosen_clusters(post)) is not None:
        raise ValueError(
            f"post: expected all draws, got those with {k} clusters, whose weights leave out the "
            "components without rows; give the whole tree, before relabel(post, n_clusters=...)"
        )
    if not varies(post):
        return RandomMeasure(marginal_draws(draws_of(post, mixture), columns))
    mixture = mixture_of(post, mixture)
    if mixture is None or mixture.components is None or not mixture.varying:
        raise ValueError(
            "mixture: expected the model, with the prior of components without rows, because the "
            f"number of components varies, got {mixture}; give mixture=, as it was sampled"
        )
    scale = by_draw(post, "covariance_scale")
    clusters = replace(components_of(post, mixture), covariance_scale=scale)
    rest = _rest(post, mixture, clusters, columns)
    measure = RandomMeasure(marginal_draws(clusters, columns), rest)
    seeds = random_words(generator, len(measure._blocks) + 1)
    return replace(measure, rest=replace(rest, seeds=seeds))


def extended(
    post: xr.DataTree, generator: np.random.Generator, *, mixture: Mixture | None = None
) -> Draws:
    r"""Draws of a tree with the components that have no rows, where their number varies.

    Atoms are added until less than 1e-8 of the weight is left, or there are 1,000.

    Parameters
    ----------
    post : DataTree
    generator : Generator
    mixture : Mixture, optional
        As for `random_measure`.

    Returns
    -------
    Draws
        Weights sum to one less what is left, to be taken as the weight of a new component
        (`new_component.log_density`); shorter draws are filled up with components of weight 0. Of
        a tree with a fixed number of components: its draws.

    Raises
    ------
    ValueError
        As `random_measure` does, or if they would exceed 2 GiB.

    Examples
    --------
    >>> import numpy as np
    >>> import bayesmix as bm
    >>> from bayesmix.random_measure import extended
    >>> x = bm.datasets.load("galaxy")
    >>> model = bm.Mixture(bm.DirichletProcess(1.0), bm.weakly_informative(x))
    >>> options = {"thin": 20, "random_seed": 1, "progressbar": False}
    >>> post = bm.sample(model, x, **options)
    >>> measure = extended(post, np.random.default_rng(1))
    >>> bool(measure.weights.sum(axis=1).min() > 1 - 1e-7)
    True
    """
    return random_measure(post, generator, mixture=mixture).extended()


def _rest(
    post: xr.DataTree, mixture: Mixture, clusters: Draws, columns: NDArray[np.intp] | None
) -> _Rest:
    prior = mixture.components
    assert prior is not None
    discount, strength = discount_and_strength(post, mixture.weights, len(clusters))
    n_clusters = np.isfinite(_components(post)).sum(axis=1)
    scale = clusters.covariance_scale
    require_scale(prior, scale)
    if columns is not None:
        prior = component_prior.marginal(prior, clusters.structure, columns)
        scale = None if scale is None else scale[:, columns[:, None], columns]
    if scale is None:
        d = prior.n_features
        scale = np.broadcast_to(np.asarray(prior.covariance_scale), (len(clusters), d, d))
    seeds = np.empty(0, np.uint64)
    return _Rest(prior, discount, strength + n_clusters * discount, scale, seeds)


def _joined(draws: Draws, means: Floats, covariances: Floats, weights: Floats) -> Draws:
    return replace(
        draws,
        weights=np.hstack([draws.weights, weights]),
        means=np.hstack([draws.means, means]),
        covariances=np.hstack([draws.covariances, covariances]),
    )


def _stacked(parts: list[Draws]) -> Draws:
    """Draws of several blocks, filled up to the most components with copies of no weight."""
    if len(parts) == 1:
        return parts[0]
    width, d = max(part.weights.shape[1] for part in parts), parts[0].means.shape[-1]
    total = sum(len(part) for part in parts)
    require_memory(
        8 * total * width * (1 + d + d * d),
        "post: all draws with the components that have no rows",
        "take fewer draws, such as post.isel(draw=slice(None, None, 10))",
    )

    def filled(part: Draws) -> Draws:
        missing = width - part.weights.shape[1]
        means = np.repeat(part.means[:, :1], missing, axis=1)
        covariances = np.repeat(part.covariances[:, :1], missing, axis=1)
        return _joined(part, means, covariances, np.zeros((len(part), missing)))

    whole = [filled(part) for part in parts]
    names = "weights", "means", "covariances"
    given = (np.concatenate([getattr(part, name) for part in whole]) for name in names)
    return Draws(parts[0].structure, 1, *given)


def marginal_draws(draws: Draws, columns: NDArray[np.intp] | None) -> Draws:
    """Weights and components of some features; None for all."""
    if columns is None:
        return draws
    covariances = draws.covariances[..., columns[:, None], columns]
    return Draws(
        draws.structure, draws.n_chains, draws.weights, draws.means[..., columns], covariances
    )


def _components(post: xr.DataTree) -> Floats:
    """Weights of every draw's clusters, NaN after its last, (S, width)."""
    weights = group(post, "components")["weights"].transpose("chain", "draw", "component").values
    return weights.reshape(-1, weights.shape[-1])
