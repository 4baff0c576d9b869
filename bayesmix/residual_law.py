r"""How components without rows share the weight that the clusters leave over.

All priors whose K varies are laws of partitions with a discount d and a strength :math:`\theta`
(``docs/notation.md``: :math:`d = -\gamma`, :math:`\theta = K \gamma` for K components), and after t
clusters break the same stick,

.. math:: v_j \sim \mathrm{Beta}(1 - d,\ \theta + (t + j) d), \qquad j = 1, 2, \ldots,

of what is left over; K components end with the stick whose second parameter is 0.

References
----------
J. Pitman, "Some Developments of the Blackwell-MacQueen Urn Scheme", IMS Lecture Notes 30, 1996,
corollary 20.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmix.finite_mixtures import MixtureOfFiniteMixtures
from bayesmix.schema import group

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.priors import ComponentPrior
    from bayesmix.stick_priors import WeightPrior

    Floats = NDArray[np.float64]

__all__ = ["MOST_ATOMS", "broken", "by_draw", "discount_and_strength", "has_rest", "require_scale"]

MOST_ATOMS = 1_000
_LEAST = 1e-8  # weight that is worth an atom
_STICKS = 40  # broken at a time


def discount_and_strength(
    post: xr.DataTree, weights: WeightPrior, n_draws: int
) -> tuple[Floats, Floats]:
    """The two numbers of the law of partitions at every draw, (S,) each.

    Raises
    ------
    ValueError
        If the tree lacks one of the numbers that are random under the prior of the weights.
    """

    def value(name: str) -> Floats:
        if getattr(weights, f"random_{name}") is not None:
            return _required(post, name)
        return np.full(n_draws, getattr(weights, name, 0.0))

    concentration = value("concentration")
    if not isinstance(weights, MixtureOfFiniteMixtures):
        return value("discount"), concentration
    components = _required(post, "n_components")
    each = concentration / components if weights.dynamic else concentration
    return -each, components * each


def has_rest(discount: Floats, strength: Floats) -> NDArray[np.bool_]:
    """Whether there is a component without rows, given the strength of what is left over.

    Of K components that strength is a multiple of -d, up to rounding.
    """
    found: NDArray[np.bool_] = strength > np.maximum(-discount, 0) / 2
    return found


def broken(
    left: Floats, discount: Floats, strength: Floats, generator: np.random.Generator
) -> tuple[Floats, Floats]:
    """Weights of atoms (s, J), J as few as all draws need, and what they leave, (s,).

    Those not worth an atom are 0; where the components end, nothing is left.
    """
    pieces: list[Floats] = []
    n_atoms = 0
    while n_atoms < MOST_ATOMS and np.any(left > _LEAST):
        j = np.arange(n_atoms + 1, n_atoms + 1 + _STICKS)
        b = strength[:, None] + j * discount[:, None]
        more = has_rest(discount[:, None], b)
        sticks = np.where(more, generator.beta(1 - discount[:, None], np.where(more, b, 1)), 1.0)
        after = left[:, None] * np.cumprod(1 - sticks, axis=1)
        before = np.hstack([left[:, None], after[:, :-1]])
        pieces.append(np.where(before > _LEAST, before * sticks, 0.0))
        last = np.minimum((after > _LEAST).sum(axis=1, keepdims=True), _STICKS - 1)
        ended = np.take_along_axis(after, last, axis=1)[:, 0]
        left, n_atoms = np.where(left > _LEAST, ended, left), n_atoms + _STICKS
    if not pieces:
        return np.empty((len(left), 0)), left
    weights = np.hstack(pieces)
    return weights[:, : np.flatnonzero(weights.any(axis=0))[-1] + 1], left


def require_scale(prior: ComponentPrior, scale: Floats | None) -> None:
    """Refuse draws without the scale matrix that is random under the component prior."""
    if prior.scale_hyperprior is not None and scale is None:
        raise ValueError(
            "post.posterior: expected a variable covariance_scale, because the model has a "
            "scale_hyperprior, got none"
        )


def by_draw(post: xr.DataTree, name: str) -> Floats | None:
    """What every draw has one of, (S, ...); None where the tree has none."""
    posterior = group(post, "posterior")
    if name not in posterior:
        return None
    values = posterior[name].transpose("chain", "draw", ...).values
    return values.reshape(-1, *values.shape[2:]).astype(float)


def _required(post: xr.DataTree, name: str) -> Floats:
    if (found := by_draw(post, name)) is None:
        raise ValueError(
            f"post.posterior: expected a variable {name}, because the model has a prior "
            "on it, got none"
        )
    return found
