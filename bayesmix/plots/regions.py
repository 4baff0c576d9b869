"""Regions of highest density of a law of two features: their thresholds, and a surface to cut."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bayesmix import predictive
from bayesmix.inputs import as_generator
from bayesmix.predictive_rows import columns_of
from bayesmix.random_measure import random_measure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.frozen import FrozenMixture

    Floats = NDArray[np.float64]

__all__ = ["Box", "Law", "law_of_draws", "law_of_point"]

_NEW_ROWS = 10_000  # by which a threshold is known to about half a percent of coverage
_EVEN = 40  # places along either axis
_CLOSE = 110  # more, where new rows are
_BULK = 0.9  # least share of new rows that limits are made by
_FAR = 3  # widths of the regions, from them
_MARGIN = 0.1


@dataclass(frozen=True, eq=False)
class Box:
    """Limits of a picture."""

    low: Floats
    """Shape (2,)."""
    high: Floats
    """Shape (2,)."""

    @classmethod
    def around(cls, laws: Sequence[Law], x: Floats, share: float) -> Box:
        """Around regions of a share, 90 % at least, and rows (n, 2) not too far from them.

        One wild row would else make a speck of everything.
        """
        bulk = np.concatenate([law.densest(max(share, _BULK)) for law in laws])
        low, width = bulk.min(axis=0), np.ptp(bulk, axis=0)
        near = cls(low - _FAR * width, low + (1 + _FAR) * width).holds(x)
        shown = np.concatenate([bulk, x[near]])
        margin = _MARGIN * np.ptp(shown, axis=0)
        return cls(shown.min(axis=0) - margin, shown.max(axis=0) + margin)

    def holds(self, x: Floats) -> NDArray[np.bool_]:
        """Which rows (n, 2) are inside, (n,)."""
        inside: NDArray[np.bool_] = ((x >= self.low) & (x <= self.high)).all(axis=1)
        return inside


@dataclass(frozen=True, eq=False)
class Law:
    """A law of two features."""

    log_density: Callable[[Floats], Floats]
    """Of rows (n, 2), (n,)."""
    rows: Floats
    """Drawn from it, (m, 2)."""

    @cached_property
    def heights(self) -> Floats:
        """Log densities of its rows, (m,)."""
        return self.log_density(self.rows)

    def densest(self, share: float) -> Floats:
        """A share of its rows, those of highest density."""
        return self.rows[self.heights >= np.quantile(self.heights, 1 - share)]

    def depths(self, shares: Sequence[float]) -> list[float]:
        """Depths above which the regions of highest density with these shares are, ascending."""
        thresholds = np.quantile(self.heights, [1 - share for share in shares])
        return np.unique(self._depth(thresholds)).tolist()

    def surface(self, box: Box) -> tuple[Floats, Floats, Floats]:
        """Places along both axes of a box, and depths there: the second feature along the rows.

        Most places are where its rows are, the others even: narrow regions have many.
        """
        own = self.rows[box.holds(self.rows)]
        places = np.linspace(box.low, box.high, _EVEN)
        if len(own):
            close = np.quantile(own, np.linspace(0, 1, _CLOSE), axis=0)
            places = np.concatenate([places, close])
        first, second = map(np.unique, places.T)
        at = np.stack(np.meshgrid(first, second), axis=-1)
        depth = self._depth(self.log_density(at.reshape(-1, 2)))
        return first, second, depth.reshape(at.shape[:2])

    def _depth(self, log: Floats) -> Floats:
        """Root of how far log densities are below the highest: straight along rays of a normal.

        Contours are drawn by straight lines between places, so that they are where they should be.
        """
        depth: Floats = np.sqrt(np.maximum(self.heights.max() - log, 0))
        return depth


def law_of_draws(post: xr.DataTree, names: Sequence[str]) -> Law:
    """The mean density of a tree's draws."""
    new = predictive.sample(post, _NEW_ROWS, random_seed=0)[list(names)].to_numpy()
    measure = random_measure(post, as_generator(0), columns=columns_of(post, names))

    def log_density(x: Floats) -> Floats:
        from scipy.special import logsumexp

        expected = measure.log_densities(np.ascontiguousarray(x))[1]
        return np.asarray(logsumexp(expected, axis=0) - np.log(len(expected)))

    return Law(log_density, new)


def law_of_point(law: FrozenMixture) -> Law:
    """That of a point."""
    return Law(law.logpdf, law.rvs(_NEW_ROWS, random_state=0))
