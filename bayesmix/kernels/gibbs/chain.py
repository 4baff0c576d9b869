"""A chain as the kernels see it: the prior in numbers, and the state that a sweep moves."""

from __future__ import annotations

from typing import Any, NamedTuple

from bayesmix.kernels.frames import Sums

__all__ = ["Prior", "Records", "State"]


class Prior(NamedTuple):
    """What does not move; `priors` says what the names mean."""

    conjugate: bool
    """Whether a mean's covariance is that of its component, over ``mean_precision``."""
    mean: Any
    """(D,)."""
    mean_precision: float
    """Of the conjugate prior, else 0."""
    spread_precision: Any
    """Inverse of the independent prior's ``mean_covariance``, (D, D), else zeros."""
    dof: float
    scale_shape: float
    scale_rate: Any
    """One per free number of a random S; none if S is stated."""
    scale_floor: Any
    concentration_shape: float
    """0 for a stated concentration."""
    concentration_rate: float
    exchangeable: bool
    sticks: bool
    """Whether the weights break a stick, else they are Dirichlet."""
    discount_a: float
    """0 for a stated discount."""
    discount_b: float


class State(NamedTuple):
    """Arrays that kernels change in place: all that the next sweep depends on, but its generator.

    The labels were drawn at the point, and the moments are theirs about the point's means.
    """

    point: Any
    labels: Any
    """(n,)."""
    sums: Sums
    scale: Any
    """S, (D, D)."""
    concentration: Any
    """(K,); of sticks all the same."""
    discount: Any
    """Of sticks, (1,)."""
    key: Any
    """Two words that name the rows' random numbers."""
    sweeps: Any
    """How many were made, (1,)."""


class Records(NamedTuple):
    """What is kept of every draw; draws first."""

    weights: Any
    means: Any
    covariances: Any
    """In the structure's shape; spherical (S, K, 1), tied (S, 1, D, D)."""
    scale: Any
    """Diagonal of a random S, (S, D), else (S, 0)."""
    concentration: Any
    """(S,)."""
    discount: Any
    """(S,)."""
    log_likelihood: Any
    n_clusters: Any
    split_merge_tried: Any
    """Moves since the draw before."""
    split_merge_accepted: Any
    labels: Any
    """(S, n), or (S, 0)."""
