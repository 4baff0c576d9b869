"""Where labels of draws come from: arrays, trees that hold them, trees that do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["LabelDraws"]


@dataclass(frozen=True, eq=False)
class LabelDraws:
    """Labels of n rows at S draws, those of all chains one after another."""

    label: NDArray[np.integer[Any]]
    """Shape (S, n); a view of what is stored where that is possible."""
    index: NDArray[Any]
    """Names of the rows, (n,)."""
    n_chains: int
