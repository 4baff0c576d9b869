"""The draws that are the best estimates themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmix.partitions.draw_distances import draw_distances
from bayesmix.partitions.signatures import evenly
from bayesmix.partitions.tables import expected_loss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.partitions.losses import Loss
    from bayesmix.partitions.signatures import Signatures

__all__ = ["best_draws"]

_MOST_COUNTS = 2_000_000_000  # a column counted for two draws; some seconds of one processor
_ENOUGH_ROWS = 4096  # to screen by, before draws are left out
_SCREENED = 2  # draws looked at in full for each that is asked for


def best_draws(rows: Signatures, loss: Loss, count: int) -> NDArray[np.intp]:
    """Draws of least expected loss, the best first; (count,), or fewer if there are fewer draws.

    Where all draws against all others take too long, they are screened on evenly spread rows
    against evenly spread draws; the losses of those that look best are exact.
    """
    s = rows.n_draws
    every = np.arange(s)
    if len(rows) * s**2 <= _MOST_COUNTS:
        return draw_distances(rows, loss, every).mean(axis=1).argsort(kind="stable")[:count]
    few = rows.spread(max(_MOST_COUNTS // s**2, _ENOUGH_ROWS))
    n_true = min(s, max(_MOST_COUNTS // (s * len(few)), 1))
    true = evenly(s, n_true)
    look_best = draw_distances(few, loss, every, true).mean(axis=1).argsort(kind="stable")
    some = look_best[: _SCREENED * count]
    exact = [expected_loss(rows.label[:, own], rows, loss) for own in some]
    return some[np.argsort(exact, kind="stable")[:count]]
