"""What EM maximizes, and the points it moves between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix import component_prior
from bayesmix.covariance import Structure, structure_of
from bayesmix.inputs import require_full_rank, require_varying
from bayesmix.mixture import Mixture, require_mixture
from bayesmix.moments import Moments, moments
from bayesmix.pass_parameters import PassParameters
from bayesmix.passes import Statistics, statistics
from bayesmix.priors import Dirichlet
from bayesmix.rows import Rows
from bayesmix.weight_prior import log_dirichlet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.inputs import Table
    from bayesmix.priors import ComponentPrior

    Floats = NDArray[np.float64]

__all__ = ["Point", "Problem", "problem_of"]


@dataclass(frozen=True, eq=False)
class Point:
    """Weights (K,), means (K, D) and covariances in the structure's shape; or a stack of such."""

    structure: Structure
    weights: Floats
    means: Floats
    covariances: Floats

    @cached_property
    def parameters(self) -> PassParameters:
        """The same point as the pass wants it; LinAlgError if a covariance is singular."""
        return PassParameters.from_point(self.structure, self.weights, self.means, self.covariances)

    @cached_property
    def dense_covariances(self) -> Floats:
        """Covariances of shape (..., K, D, D)."""
        return self.structure.dense(self.covariances, *self.means.shape[-2:])

    @property
    def laid_flat(self) -> tuple[Floats, ...]:
        """The arrays of a stack, one row per point: views of arrays in order."""
        given = self.weights, self.means, self.covariances
        return tuple(np.require(a, float, ["C", "W"]).reshape(len(a), -1) for a in given)

    def __getitem__(self, points: Any) -> Point:
        """Some of a stack of points."""
        given = self.weights, self.means, self.covariances
        return Point(self.structure, *(a[points] for a in given))

    def recast(self, structure: Structure) -> Point:
        """One point with the nearest covariances of another structure."""
        dense = self.dense_covariances
        if structure.name == "tied":
            covariances = np.einsum("k,kij->ij", self.weights, dense)
        else:
            covariances = np.concatenate([structure.average(one, 1) for one in dense])
        return replace(self, structure=structure, covariances=covariances)

    @classmethod
    def stack(cls, points: Sequence[Point]) -> Point:
        """Points of one structure and size with an axis in front."""
        names = ("weights", "means", "covariances")
        own = (np.stack([getattr(point, name) for point in points]) for name in names)
        return cls(points[0].structure, *own)

    def ordered(self) -> Point:
        """The same point with its components in the order of their means."""
        order = np.lexsort(self.means.T[::-1])
        covariances = self.structure.compact(self.dense_covariances[order])
        return replace(
            self, weights=self.weights[order], means=self.means[order], covariances=covariances
        )


@dataclass(frozen=True, eq=False)
class Problem:
    """What EM maximizes: data, structure and prior."""

    x: Rows
    structure: Structure
    n_components: int
    concentrations: Floats
    prior: ComponentPrior | None = None
    reg_covar: float = 0.0
    sample_weight: Floats | None = None

    @cached_property
    def total(self) -> float:
        """Number of rows, or their total weight."""
        return float(self.x.shape[0] if self.sample_weight is None else self.sample_weight.sum())

    @property
    def n_parameters(self) -> int:
        """Number of free parameters."""
        return self.structure.n_mixture_parameters(self.n_components, self.x.shape[1])

    @cached_property
    def n_rows(self) -> int:
        """Number of rows that have weight."""
        weight = self.sample_weight
        return int(self.x.shape[0] if weight is None else np.count_nonzero(weight))

    @cached_property
    def rows_per_weight(self) -> float:
        """Rows that a unit of weight stands for; 1 without weights."""
        return self.n_rows / self.total

    @cached_property
    def data_moments(self) -> Moments:
        """Mean of all rows, and their covariance as far as the structure looks at it."""
        return moments(self.x, self.sample_weight, self.structure)

    @cached_property
    def reference_covariance(self) -> Floats:
        """What a collapse is measured against: the data in this structure, (D, D)."""
        average = self.structure.average(self.data_moments.covariance, 1)
        return self.structure.dense(average, 1, self.x.shape[1])[0]

    def expect(self, point: Point) -> tuple[Statistics, Any]:
        """E-step: the statistics at a point, or a stack of them, and the objective there, (...)."""
        found = statistics(self.x, point.parameters, self.sample_weight, known=self.data_moments)
        return found, found.log_likelihood + self.log_prior(point)

    def without_ridge(self, point: Point) -> Floats:
        """Dense covariances (..., K, D, D) less ``reg_covar``: what the rows alone give them."""
        bare = self.structure.ridge(point.covariances, -self.reg_covar)
        return self.structure.dense(bare, *point.means.shape[-2:])

    def log_prior(self, point: Point) -> Any:
        """Log prior density of a point, (...); zero for maximum likelihood."""
        if self.prior is None:
            return 0.0
        factor = point.parameters.precision_cholesky
        return log_dirichlet(self.concentrations, point.weights) + component_prior.log_prior(
            self.prior, self.structure, point.means, factor
        )

    def keeps_components(self, found: Statistics) -> NDArray[np.bool_]:
        """Whether every component has what the M-step needs, (...): rows, or a prior."""
        if self.prior is not None:
            return np.ones(found.sizes.shape[:-1], np.bool_)
        return np.asarray(np.all(found.sizes > 1e-12 * self.total, axis=-1))

    def maximize(
        self, center: Floats, found: Statistics, covariances: Floats | None = None
    ) -> Point:
        """M-step: where statistics about ``center`` (..., K, D) and the covariances so far lead."""
        sizes = found.sizes
        if not np.all(self.keeps_components(found)):
            raise np.linalg.LinAlgError("a component lost all its rows")
        means, covariances = component_prior.conditional_mode(
            self.prior, self.structure, center, found, covariances
        )
        if self.reg_covar:
            covariances = self.structure.ridge(covariances, self.reg_covar)
        counts = np.maximum(sizes + self.concentrations - 1, 0)
        weights = counts / counts.sum(axis=-1, keepdims=True)
        return Point(self.structure, weights, means, covariances)


def problem_of(
    mixture: Mixture,
    table: Table,
    sample_weight: Floats | None = None,
    *,
    reg_covar: float = 0.0,
) -> Problem:
    """Check that EM can fit this mixture to these data, and state what it maximizes.

    ``reg_covar`` keeps a maximum-likelihood fit off singular covariances, whatever the data; a
    component prior does so by itself and needs none.
    """
    require_mixture(mixture, "em")
    n, d = table.values.shape
    mixture.require_features(d)
    structure = structure_of(mixture.covariance_type)
    if mixture.components is None:
        if reg_covar == 0:
            check = require_full_rank if structure.correlated else require_varying
            check(table, "maximum likelihood is unbounded there")
        if n < mixture.n_components:
            raise ValueError(
                "Expected n_samples >= n_components for maximum likelihood, but got n_components "
                f"= {mixture.n_components}, n_samples = {n}; use fewer components, or give a "
                "component prior"
            )
    weights = mixture.weights
    assert isinstance(weights, Dirichlet)  # all that EM fits
    return Problem(
        table.values,
        structure,
        weights.n_components,
        weights.concentrations,
        mixture.components,
        reg_covar=reg_covar if mixture.components is None else 0.0,
        sample_weight=sample_weight,
    )
