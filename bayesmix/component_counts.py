"""Priors on the number of components K = 1, 2, ..., as frozen values of plain numbers.

Two of them act on K - 1, as in Frühwirth-Schnatter, Malsiner-Walli and Grün (2021).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.html.scalars import count_html
from bayesmix.inputs import require_count
from bayesmix.scalar_priors import require_positive

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = [
    "MAX_SUPPORT",
    "BetaNegativeBinomial",
    "ComponentCount",
    "Geometric",
    "ShiftedPoisson",
    "UniformK",
    "log_pmf_table",
]

MAX_SUPPORT = 100_000
"""No table of a prior on K goes further."""
_BEYOND = 1e-3  # prior probability that may be beyond it
_ROUNDING = 1e-9  # of a sum of that many probabilities


class ComponentCount(ABC):
    """A prior on the number of components."""

    def log_pmf(self, k: ArrayLike) -> Floats:
        """Log probability that K = k, the shape of k; minus infinity where that cannot be."""
        k = np.asarray(k)
        inside = (k >= 1) & (k == np.floor(k))
        log = self._log_pmf(np.where(inside, k, 1).astype(float))
        return np.where(inside, log, -np.inf)

    def support(self, tail: float = 1e-12) -> int:
        """Largest K worth a table: the smallest with P(K > k) <= tail, but at most 100,000."""
        p = np.exp(self.log_pmf(np.arange(1, MAX_SUPPORT + 1)))
        beyond = max(0.0, 1 - float(p.sum()))
        if beyond < _ROUNDING and p[-1] == 0:
            beyond = 0.0
        above = np.append(np.cumsum(p[:0:-1])[::-1], 0.0) + beyond
        return int(np.argmax(above <= tail)) + 1 if beyond <= tail else MAX_SUPPORT

    def _repr_html_(self) -> str:
        return count_html(self)

    @abstractmethod
    def _log_pmf(self, k: Floats) -> Floats:
        """Log probability at whole numbers from 1 on."""


@dataclass(frozen=True)
class ShiftedPoisson(ComponentCount):
    """K - 1 ~ Poisson(rate).

    Parameters
    ----------
    rate : float
        Above 0; K has the mean 1 + rate.

    Examples
    --------
    >>> import bayesmix as bm
    >>> import numpy as np
    >>> np.exp(bm.ShiftedPoisson(2.0).log_pmf([1, 2, 3])).round(3)
    array([0.135, 0.271, 0.271])
    """

    rate: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", require_positive(self.rate, "rate"))

    def _log_pmf(self, k: Floats) -> Floats:
        from scipy.special import gammaln

        return (k - 1) * np.log(self.rate) - self.rate - gammaln(k)


@dataclass(frozen=True)
class BetaNegativeBinomial(ComponentCount):
    r"""K - 1 ~ BNB(a, b, c): a Poisson variable, its rate a Gamma(a, .) one whose rate is random.

    .. math::

        P(K = k) = \frac{\Gamma(a + k - 1)}{\Gamma(a)\, \Gamma(k)} \cdot
        \frac{B(a + b,\, c + k - 1)}{B(b, c)},

    of mean :math:`E[K] = 1 + a c/(b - 1)` for b > 1. The tail falls like :math:`k^{-b}`.

    Parameters
    ----------
    a, b, c : float
        All above 0: :math:`a_\lambda, a_\pi, b_\pi` of the reference, which recommends the default.

    References
    ----------
    S. Frühwirth-Schnatter, G. Malsiner-Walli and B. Grün, "Generalized Mixtures of Finite Mixtures
    and Telescoping Sampling", Bayesian Analysis 16, 2021.

    Examples
    --------
    >>> import bayesmix as bm
    >>> import numpy as np
    >>> np.exp(bm.BetaNegativeBinomial().log_pmf([1, 2, 3])).round(3)
    array([0.571, 0.214, 0.095])
    """

    a: float = 1.0
    b: float = 4.0
    c: float = 3.0

    def __post_init__(self) -> None:
        for name in ("a", "b", "c"):
            object.__setattr__(self, name, require_positive(getattr(self, name), name))

    def _log_pmf(self, k: Floats) -> Floats:
        from scipy.special import betaln

        # Gamma(a + m)/(Gamma(a) m!) = 1/((a + m) B(a, m + 1)), which does not cancel.
        m = k - 1
        log = betaln(self.a + self.b, self.c + m) - betaln(self.b, self.c)
        return log - np.log(self.a + m) - betaln(self.a, m + 1)


@dataclass(frozen=True)
class Geometric(ComponentCount):
    """P(K = k) = p (1 - p)^(k - 1).

    Parameters
    ----------
    p : float
        Between 0 and 1; K has the mean 1/p.

    Examples
    --------
    >>> import bayesmix as bm
    >>> import numpy as np
    >>> np.exp(bm.Geometric(0.5).log_pmf([1, 2, 3]))
    array([0.5  , 0.25 , 0.125])
    """

    p: float

    def __post_init__(self) -> None:
        value = require_positive(self.p, "p")
        if value >= 1:
            raise ValueError(f"p: expected a number above 0 and below 1, got {self.p!r}")
        object.__setattr__(self, "p", value)

    def _log_pmf(self, k: Floats) -> Floats:
        return np.log(self.p) + (k - 1) * np.log1p(-self.p)


@dataclass(frozen=True)
class UniformK(ComponentCount):
    """K = low, low + 1, ..., high, each as likely.

    Parameters
    ----------
    low, high : int
        Both ends included; at most 100,000.

    Examples
    --------
    >>> import bayesmix as bm
    >>> import numpy as np
    >>> np.exp(bm.UniformK(2, 5).log_pmf([1, 2, 5, 6]))
    array([0.  , 0.25, 0.25, 0.  ])
    """

    low: int
    high: int

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            require_count(getattr(self, name), name)
            object.__setattr__(self, name, int(getattr(self, name)))
        if not self.low <= self.high <= MAX_SUPPORT:
            raise ValueError(
                f"high: expected at least low = {self.low} and at most {MAX_SUPPORT:,}, "
                f"got {self.high}"
            )

    def _log_pmf(self, k: Floats) -> Floats:
        inside = (k >= self.low) & (k <= self.high)
        return np.where(inside, -np.log(self.high - self.low + 1), -np.inf)


@cache
def log_pmf_table(prior: ComponentCount, tail: float = 1e-12) -> Floats:
    """Log probabilities of K = 1, 2, ..., ``prior.support(tail)``, given that it is no larger.

    Raises
    ------
    ValueError
        If more than a thousandth of the prior is beyond 100,000 components.
    """
    log = prior.log_pmf(np.arange(1, prior.support(tail) + 1))
    total = float(np.exp(log).sum())
    if total < 1 - max(_BEYOND, tail):
        raise ValueError(
            f"n_components: expected a prior with hardly a chance of more than {MAX_SUPPORT:,} "
            f"components, got {prior}, which gives them {1 - total:.2g}; make smaller numbers "
            "of components more likely"
        )
    log -= np.log(total)
    log.flags.writeable = False
    return log
