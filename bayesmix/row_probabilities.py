"""Probability of each component for rows, at every draw: what memberships are averages of.

Where the number of components is fixed, that is the responsibility. Where draws were kept for their
number of clusters k, it is not: no row of the fit may leave its cluster empty, and a new row may
belong to a cluster of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bayesmix import passes
from bayesmix.draws import Draws
from bayesmix.new_component import NewComponent, new_component
from bayesmix.residual_law import by_draw, discount_and_strength, require_scale
from bayesmix.schema import BY_DRAW, group, mixture_of

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.mixture import Mixture
    from bayesmix.pass_parameters import PassParameters

    Floats = NDArray[np.float64]

__all__ = ["NewRows", "OwnRows", "Responsibilities"]


@dataclass(frozen=True)
class Responsibilities:
    """Of rows under a fixed number of components."""

    x: Floats
    parameters: PassParameters

    def __call__(self, rows: slice) -> Floats:
        """Probabilities (S, b, K) of some rows."""
        return passes.responsibilities(self.x[rows], self.parameters)


@dataclass(frozen=True)
class OwnRows:
    r"""Of rows of the fit, given the labels of the others and that there are k clusters.

    With the weights integrated out, row i goes to cluster j with a probability proportional to
    :math:`(n_j^{-i} - d) N(x_i \mid \mu_j, \Sigma_j)`, n without the row, d the discount of
    ``docs/varying.md``; alone in its cluster it stays.
    """

    x: Floats
    parameters: PassParameters
    """Weights proportional to n - d, the row counted."""
    label: NDArray[np.integer]
    """Shape (S, n)."""
    sizes: NDArray[np.int64]
    """Rows of every cluster, (S, K)."""
    discount: Floats
    """Shape (S,)."""

    @classmethod
    def of(cls, post: xr.DataTree, draws: Draws, x: Floats, mixture: Mixture | None) -> OwnRows:
        """Take labels and discounts out of a tree of draws with k clusters."""
        if "allocation" not in post.children:
            raise ValueError(
                "post: expected the group allocation, because a row of the fit cannot leave a "
                "cluster of its own, and only labels tell which do, got none; sample with "
                'store=("parameters", "allocation"), or give rows as x_new, which are placed as '
                "if they were not in the fit"
            )
        label = group(post, "allocation")["label"].transpose(*BY_DRAW, "obs").values
        label = label.reshape(len(draws), -1)
        k = draws.weights.shape[1]
        sizes = np.stack([np.bincount(own, minlength=k) for own in label])
        weights_prior = _require_mixture(post, mixture).weights
        discount, _ = discount_and_strength(post, weights_prior, len(draws))
        weights = sizes - discount[:, None]
        log_weights = np.log(weights / weights.sum(axis=1, keepdims=True))
        parameters = replace(draws.parameters, log_weights=log_weights)
        return cls(x, parameters, label, sizes, discount)

    def __call__(self, rows: slice) -> Floats:
        """Probabilities (S, b, K) of some rows."""
        found = passes.responsibilities(self.x[rows], self.parameters)
        label = self.label[:, rows].astype(np.intp)
        size = np.take_along_axis(self.sizes, label, axis=1)
        alone = size == 1
        share = 1 / np.where(alone, np.inf, size - self.discount[:, None])  # that is the row's own
        at = label[..., None]
        own = np.take_along_axis(found, at, axis=2)[..., 0]
        others = 1 - own * share
        found /= others[..., None]
        found[alone] = 0.0
        staying = np.where(alone, 1.0, own * (1 - share) / others)
        np.put_along_axis(found, at, staying[..., None], axis=2)
        return found


@dataclass(frozen=True)
class NewRows:
    """Of rows that are not in the fit: k clusters, and one that none of its rows belongs to."""

    x: Floats
    parameters: PassParameters
    dropped: Floats
    """Weight of all components without rows, (S,)."""
    unseen: NewComponent

    @classmethod
    def of(cls, post: xr.DataTree, draws: Draws, x: Floats, mixture: Mixture | None) -> NewRows:
        """Take what draws with k clusters left out from a tree."""
        relabeling, prior = group(post, "relabeling"), _require_mixture(post, mixture).components
        if prior is None:
            raise ValueError(
                "mixture: expected a component prior, because a new row may belong to a component "
                "without rows, got components=None"
            )
        if "dropped_mass" not in relabeling:
            raise ValueError(
                "post.relabeling: expected a variable dropped_mass with dims (chain, draw), got "
                "none; relabel(post, n_clusters=k) anew"
            )
        if draws.structure.name != "tied":
            require_scale(prior, draws.covariance_scale)
        unseen = new_component(
            prior,
            draws.structure,
            x,
            covariance_scale=draws.covariance_scale,
            covariances=draws.covariances,
            generator=np.random.default_rng(0),  # the same rows, the same numbers
        )
        dropped = np.maximum(relabeling["dropped_mass"].transpose(*BY_DRAW).values.reshape(-1), 0)
        if (k := by_draw(post, "n_components")) is not None:  # rounding is no component
            dropped = np.where(k > draws.weights.shape[1], dropped, 0.0)
        return cls(x, draws.parameters, dropped, unseen)

    def __call__(self, rows: slice) -> Floats:
        """Probabilities (S, b, K + 1) of some rows, the unseen cluster last."""
        x = self.x[rows]
        found = np.empty((len(self.dropped), len(x), self.parameters.means.shape[1] + 1))
        with np.errstate(divide="ignore"):  # nothing may have been dropped
            odds = np.log(self.dropped) - np.log1p(-self.dropped)
        log_odds = self.unseen.log_density(x) - passes.log_density(x, self.parameters)
        log_odds += odds[:, None]
        found[..., -1] = _logistic(log_odds)
        found[..., :-1] = passes.responsibilities(x, self.parameters)
        found[..., :-1] *= _logistic(-log_odds)[..., None]
        return found


def _logistic(log_odds: Floats) -> Floats:
    from scipy.special import expit

    return np.asarray(expit(log_odds))


def _require_mixture(post: xr.DataTree, mixture: Mixture | None) -> Mixture:
    found = mixture_of(post, mixture)
    if found is None:
        raise ValueError(
            "mixture: expected the Mixture that was sampled, because the tree does not carry it, "
            "got None"
        )
    return found
