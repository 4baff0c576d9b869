"""How far apart a posterior's partitions are: chain from chain, and all of them from a point's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix import passes
from bayesmix.draws import data_of, draws_of, evenly
from bayesmix.inputs import random_words
from bayesmix.label_draws import holds_labels, label_draws
from bayesmix.partition_distances import adjusted_rand_index, variation_of_information
from bayesmix.schema import chosen_clusters, group, varies

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["ChainDistance", "PartitionDistance", "chain_distance", "distance_from"]

_BLOCKS = 8  # of each chain's draws: they, not draws, change places
_BLOCK_DRAWS = 5
_MOST_DRAWS = 320  # of all chains
_MOST_ROWS = 1_000
_PERMUTATIONS = 1_999
_MOST_POINT_DRAWS = 1_000
_MOST_LABELS = 200_000_000


@dataclass(frozen=True)
class ChainDistance:
    """Mean variation of information between draws, in bits."""

    between: float
    """Of draws of different chains."""
    within: float
    """Of draws of one chain, from different parts of it."""
    p_value: float
    """How probable so large a difference is if parts of chains may change places."""


@dataclass(frozen=True, eq=False)
class PartitionDistance:
    """A point's partition against those of draws, all of the same rows."""

    variation: Floats
    """Variation of information between the point's partition and every draw's, bits, (S,)."""
    rand: Floats
    """Their adjusted Rand index, (S,)."""
    variation_of_draws: Floats
    """Variation of information between every draw and the one half of all draws away, bits, (S,).

    Of several chains that is a draw of another chain, of one chain one far apart in it.
    """
    rand_of_draws: Floats
    """Their adjusted Rand index, (S,)."""
    n_clusters: int | None = None
    """Number of clusters that the draws were chosen by, None where they are all."""


def chain_distance(post: xr.DataTree) -> ChainDistance | None:
    r"""Compare partitions of different chains with those of one chain.

    Every chain is cut into 8 parts, and a part is stood for by up to 5 draws from its middle half,
    so that draws of neighboring parts are far from each other. If all chains sample one posterior,
    parts are exchangeable: the difference of the two means is held to those after parts have
    changed places at random.

    Returns
    -------
    ChainDistance or None
        None with one chain, fewer than 16 draws in each, or no labels where the number of
        components varies. At most 1,000 rows are looked at, and 320 draws, or 8 of each chain if
        those are more.

    References
    ----------
    M. J. Anderson, "A new method for non-parametric multivariate analysis of variance", Austral
    Ecology 26, 2001.
    """
    sizes = group(post, "posterior").sizes
    chains, draws = sizes["chain"], sizes["draw"]
    if chains < 2 or draws < 2 * _BLOCKS or not _has_partitions(post):
        return None
    each = max(1, min(_BLOCK_DRAWS, draws // (2 * _BLOCKS), _MOST_DRAWS // (chains * _BLOCKS)))
    places = (np.arange(_BLOCKS)[:, None] + np.linspace(0.25, 0.75, each + 2)[1:-1]) / _BLOCKS
    at = draws * np.arange(chains)[:, None] + (places.ravel() * draws).astype(int)
    label = _partitions(post, at.ravel(), _MOST_ROWS)
    parts = chains * _BLOCKS
    distance = variation_of_information(label[:, None], label)
    of_parts = distance.reshape(parts, each, parts, each).mean(axis=(1, 3))
    np.fill_diagonal(of_parts, 0)
    chain = np.arange(parts) // _BLOCKS
    generator = np.random.default_rng(0)
    shuffled = generator.permuted(np.tile(chain, (_PERMUTATIONS, 1)), axis=1)
    inside, *others = (_inside(of_parts, own) for own in (chain, *shuffled))
    n_inside = chains * _BLOCKS * (_BLOCKS - 1)
    n_between = parts * (parts - _BLOCKS)
    as_close = sum(other <= inside + 1e-12 * of_parts.sum() for other in others)
    return ChainDistance(
        float((of_parts.sum() - inside) / n_between),
        float(inside / n_inside),
        float((1 + as_close) / (1 + _PERMUTATIONS)),
    )


def _inside(distance: Floats, chain: NDArray[np.intp]) -> Any:
    """Sum of the distances of parts of the same chain."""
    return distance[chain[:, None] == chain].sum()


def distance_from(label: NDArray[np.integer], post: xr.DataTree) -> PartitionDistance:
    """Compare one partition (n,) with those of at most 1,000 draws, spread over the chains."""
    sizes = group(post, "posterior").sizes
    total = sizes["chain"] * sizes["draw"]
    most = min(_MOST_POINT_DRAWS, max(100, _MOST_LABELS // len(label)))
    drawn = _partitions(post, evenly(total, most), len(label))
    far = np.roll(drawn, len(drawn) // 2, axis=0)
    return PartitionDistance(
        variation_of_information(label, drawn),
        adjusted_rand_index(label, drawn),
        variation_of_information(drawn, far),
        adjusted_rand_index(drawn, far),
        chosen_clusters(post),
    )


def _has_partitions(post: xr.DataTree) -> bool:
    return holds_labels(post) or not varies(post)


def _partitions(
    post: xr.DataTree, draws: NDArray[np.intp], most_rows: int
) -> NDArray[np.integer[Any]]:
    """Labels of some draws, evenly spaced rows of them: as stored, else drawn, (S, rows)."""
    rows = evenly(group(post, "observed_data").sizes["obs"], most_rows)
    if holds_labels(post):
        return label_draws(post).label[draws[:, None], rows]
    keys = random_words(np.random.default_rng(0), (len(draws), 2))
    return passes.sampled_labels(data_of(post).values[rows], draws_of(post).parameters[draws], keys)
