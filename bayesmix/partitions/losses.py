r"""What it costs to report a partition c where z is true.

With :math:`m_{jk}` rows in cluster j of c and cluster k of z, and a function F of counts,

.. math::

    L(c, z) = \frac{1}{N} \Big(a \sum_j F(m_{j\cdot}) + b \sum_k F(m_{\cdot k})
    - (a + b) \sum_{jk} F(m_{jk})\Big),

a the cost of merging what belongs apart, b that of splitting what belongs together. Variation of
information has :math:`F(m) = m \log_2 m` and N = n; Binder's loss :math:`F(m) = m (m - 1) / 2` and
:math:`N = n^2 / 2`; the third is one minus the adjusted Rand index.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.partition_distances import bits, pairs, rand_of_sums

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["LOSSES", "Loss", "loss_of"]

_WORDS = {
    "vi": "variation of information",
    "binder": "Binder's loss",
    "omari": "one minus the adjusted Rand index",
}
LOSSES = tuple(_WORDS)


@dataclass(frozen=True)
class Loss:
    """A loss by name, with its two costs."""

    name: str
    merge: float = 1.0
    """Cost of putting together what belongs apart."""
    split: float = 1.0
    """Cost of putting apart what belongs together."""

    @property
    def unit(self) -> str:
        """Unit of its values; empty if they have none."""
        return "bits" if self.name == "vi" else ""

    @property
    def words(self) -> str:
        """What it is, with its costs unless both are one."""
        costs = "" if self.merge == self.split == 1 else f" at costs {self.merge:g}, {self.split:g}"
        return _WORDS[self.name] + costs

    def amount(self, value: float) -> str:
        """A value with its unit."""
        return f"{value:.3g} {self.unit}".strip()

    def expected(self, value: float) -> str:
        """A mean over draws, as part of a sentence."""
        if self.name == "omari":
            return f"an adjusted Rand index of {1 - value:.3g} with a draw"
        return f"{self.words} of {self.amount(value)} from a draw"

    def within(self, radius: float) -> str:
        """What draws within a radius are, as part of a sentence."""
        if self.name == "omari":
            return f"have an adjusted Rand index of at least {1 - radius:.3g} with it"
        return f"are within {self.amount(radius)} of it"

    @property
    def symmetric(self) -> Loss:
        """The same with equal costs: a distance."""
        return Loss(self.name)

    def of_counts(self, counts: ArrayLike) -> Floats:
        """F at counts of rows."""
        return bits(counts) if self.name == "vi" else pairs(counts)

    def from_sums(self, n: int, of_point: Any, of_draw: Any, joint: Any) -> Any:
        """Losses from sums of F over clusters of c, of z, and of their intersections."""
        if self.name == "omari":
            return 1 - rand_of_sums(n, of_point, of_draw, joint)
        total = self.merge * of_point + self.split * of_draw - (self.merge + self.split) * joint
        return np.maximum(total, 0) / (n if self.name == "vi" else n * n / 2)


def loss_of(name: str, costs: tuple[float, float] = (1.0, 1.0)) -> Loss:
    """Check a loss that a user asks for; costs of merging and of splitting."""
    if name not in LOSSES:
        raise ValueError(f"loss: expected one of {', '.join(LOSSES)}, got {name!r}")
    values = _numbers(costs)
    if values.shape != (2,) or not np.all(np.isfinite(values)) or not np.all(values > 0):
        raise ValueError(
            f"costs: expected two positive numbers, of merging and of splitting, got {costs!r}"
        )
    if name == "omari" and values[0] != values[1]:
        raise ValueError(
            "costs: expected equal ones, because the adjusted Rand index has none, got "
            f'{costs!r}; use loss="vi" or "binder"'
        )
    return Loss(name) if name == "omari" else Loss(name, float(values[0]), float(values[1]))


def _numbers(costs: Any) -> Floats:
    """Costs as an array, an empty one of what are no numbers."""
    try:
        values = np.asarray(costs)
    except ValueError:  # of different lengths
        return np.empty(0)
    return values.astype(float) if values.dtype.kind in "iuf" else np.empty(0)
