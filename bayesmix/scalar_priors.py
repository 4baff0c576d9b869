"""Priors of one number, as frozen values of plain numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.html.scalars import scalar_html

__all__ = ["Beta", "Gamma", "require_positive"]


@dataclass(frozen=True)
class Gamma:
    """Gamma prior on a positive number; mean shape/rate, variance shape/rate².

    Parameters
    ----------
    shape, rate : float
        Both above 0; the rate is one over the unit of the number.

    Examples
    --------
    >>> import bayesmix as bm
    >>> bm.Gamma(2, 4).mean
    0.5
    """

    shape: float
    rate: float

    def __post_init__(self) -> None:
        for name in ("shape", "rate"):
            object.__setattr__(self, name, require_positive(getattr(self, name), name))

    @property
    def mean(self) -> float:
        """Prior mean."""
        return self.shape / self.rate

    def _repr_html_(self) -> str:
        return scalar_html(self)


@dataclass(frozen=True)
class Beta:
    """Beta prior on a number in (0, 1); mean a/(a + b).

    Parameters
    ----------
    a, b : float
        Both above 0.

    Examples
    --------
    >>> import bayesmix as bm
    >>> bm.Beta(1, 3).mean
    0.25
    """

    a: float
    b: float

    def __post_init__(self) -> None:
        for name in ("a", "b"):
            object.__setattr__(self, name, require_positive(getattr(self, name), name))

    @property
    def mean(self) -> float:
        """Prior mean."""
        return self.a / (self.a + self.b)

    def _repr_html_(self) -> str:
        return scalar_html(self)


def require_positive(value: Any, name: str, *, or_prior: str = "") -> float:
    """Return a finite number above 0, or say what else was expected."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not 0 < number < np.inf:
        other = f", or {or_prior}" if or_prior else ""
        raise ValueError(f"{name}: expected a finite number above 0{other}, got {value!r}")
    return number
