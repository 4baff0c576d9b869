r"""How much of a stick-breaking prior a truncation cuts off, and where to cut.

After T - 1 sticks the expected mass left is, given concentration and discount,

.. math:: \prod_{k=1}^{T-1} \frac{\alpha + k d}{\alpha + k d + 1 - d};

random ones are integrated out.
"""

from __future__ import annotations

from itertools import count, islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmix.inputs import require_count
from bayesmix.priors import Gamma
from bayesmix.stick_priors import Beta, DirichletProcess, PitmanYor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from bayesmix.stick_priors import StickPrior

    Floats = NDArray[np.float64]

__all__ = ["MAX_COMPONENTS", "expected_tail", "truncation_error", "truncation_for"]

MAX_COMPONENTS = 1000
"""More than that many components cannot be afforded."""
MAX_ROWS_BEYOND = 0.01
"""Expected number of rows that the components cut off would have."""
_NEGLIGIBLE = 60.0  # nats


def truncation_for(weights: StickPrior, n: int) -> int:
    r"""Find the smallest T beyond whose first T - 1 components hardly a row is expected.

    That is n E[mass after T - 1 sticks] < 0.01, the expectation over the priors of concentration
    and discount too.

    Parameters
    ----------
    weights : DirichletProcess or PitmanYor
    n : int
        Number of rows.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If T would be above 1,000: a discount, or a random one's upper tail, is too large.

    Examples
    --------
    >>> import bayesmix as bm
    >>> from bayesmix.truncation import truncation_for
    >>> truncation_for(bm.DirichletProcess(1.0), 272)
    16
    """
    _require_sticks(weights)
    require_count(n, "n")
    # A larger concentration leaves more: what is too much at 0 needs no double integral.
    tail = _tail(_tails(_Rule.of(0.0), _discounts(weights.discount)), MAX_COMPONENTS)
    if n * tail < MAX_ROWS_BEYOND:
        for truncation, tail in enumerate(islice(_tails_of(weights), MAX_COMPONENTS), start=1):
            if n * tail < MAX_ROWS_BEYOND:
                return truncation
    raise ValueError(
        f"truncation: expected {weights} to need at most {MAX_COMPONENTS:,} components for {n:,} "
        f"row(s), but beyond them at least {n * tail:.2g} rows are expected, where less than "
        f"{MAX_ROWS_BEYOND:g} are harmless; state truncation=T as part of the model, or take a "
        "smaller discount or concentration, or a sparse Dirichlet(K, Gamma(...))"
    )


def expected_tail(weights: StickPrior, truncation: int) -> float:
    """Expected mass of all components after the first T - 1, accurate to 1e-10.

    Parameters
    ----------
    weights : DirichletProcess or PitmanYor
    truncation : int
        T, at least 1.

    Examples
    --------
    >>> import bayesmix as bm
    >>> from bayesmix.truncation import expected_tail
    >>> expected_tail(bm.DirichletProcess(1.0), 11) == 0.5**10
    True
    """
    _require_sticks(weights)
    require_count(truncation, "truncation")
    return _tail(_tails_of(weights), int(truncation))


def truncation_error(weights: StickPrior, n: int) -> float:
    """Expected number of n rows after the first T - 1 components of the untruncated process."""
    if weights.truncation is None:
        raise ValueError(f"truncation: expected a number of components, got None in {weights}")
    return n * expected_tail(weights, weights.truncation)


def _require_sticks(weights: StickPrior) -> None:
    if not isinstance(weights, DirichletProcess | PitmanYor):
        raise TypeError(
            f"weights: expected a DirichletProcess or PitmanYor, got {type(weights).__name__}"
        )


class _Rule(NamedTuple):
    """Nodes of a quadrature; weights sum to one."""

    values: Floats
    complements: Floats
    """One minus the values, for a discount without cancellation."""
    weights: Floats

    @classmethod
    def of(cls, value: float) -> _Rule:
        """One node."""
        return cls(np.array([value]), np.array([1 - value]), np.ones(1))


def _tails_of(weights: StickPrior) -> Iterator[float]:
    return _tails(_concentrations(weights.concentration), _discounts(weights.discount))


def _tails(concentration: _Rule, discount: _Rule) -> Iterator[float]:
    """Expected mass after 0, 1, 2, ... sticks."""
    node_weights = np.outer(concentration.weights, discount.weights)
    left = np.ones_like(node_weights)
    for k in count(1):
        yield float((node_weights * left).sum())
        b = concentration.values[:, None] + k * discount.values
        left *= b / (b + discount.complements)


def _tail(tails: Iterator[float], truncation: int) -> float:
    return next(islice(tails, truncation - 1, None))


def _concentrations(prior: float | Gamma) -> _Rule:
    if not isinstance(prior, Gamma):
        return _Rule.of(prior)
    from scipy.special import gammaln

    constant = prior.shape * np.log(prior.rate) - gammaln(prior.shape)
    t, weights = _trapezoid(
        lambda t: constant + prior.shape * t - prior.rate * np.exp(t),
        lambda t: t,
        np.log(prior.mean),
        min(0.125, 0.4 / np.sqrt(prior.shape)),
    )
    values = np.append(0.0, np.exp(t))
    return _Rule(values, 1 - values, weights)


def _discounts(prior: float | Beta) -> _Rule:
    if not isinstance(prior, Beta):
        return _Rule.of(prior)
    from scipy.special import betaln, expit, log_expit

    t, weights = _trapezoid(
        lambda t: prior.a * log_expit(t) + prior.b * log_expit(-t) - betaln(prior.a, prior.b),
        log_expit,
        np.log(prior.a / prior.b),
        min(0.25, 0.4 * np.sqrt(1 / prior.a + 1 / prior.b)),
    )
    return _Rule(np.append(0.0, expit(t)), np.append(1.0, expit(-t)), weights)


def _trapezoid(
    log_density: Callable[[Any], Any],
    log_value: Callable[[Any], Any],
    start: float,
    step: float,
) -> tuple[Floats, Floats]:
    """Nodes in an unbounded coordinate, and weights with one in front for the value 0.

    The rule converges exponentially for what dies at both ends. A function of the value less what
    it is at 0 does so however small the prior makes the value: mass below the nodes goes to 0.
    """

    def reach(log: Callable[[Any], Any], direction: int) -> float:
        width = step
        while log(start + direction * width) > log(start) - _NEGLIGIBLE:
            width *= 1.25
        return start + direction * width

    t = np.arange(reach(lambda t: log_density(t) + log_value(t), -1), reach(log_density, 1), step)
    weights = np.exp(log_density(t)) * step
    return t, np.append(1 - weights.sum(), weights)
