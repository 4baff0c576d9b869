r"""How much of a stick-breaking prior a truncation cuts off, and where to cut.

After T - 1 sticks the expected mass left is, given concentration and discount,

.. math:: \prod_{k=1}^{T-1} \frac{\alpha + k d}{\alpha + k d + 1 - d};

random ones are integrated out.
"""

from __future__ import annotations

from itertools import count, islice
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.inputs import require_count
from bayesmix.quadrature import Rule, concentrations, discounts
from bayesmix.stick_priors import DirichletProcess, PitmanYor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bayesmix.stick_priors import StickPrior

__all__ = ["MAX_COMPONENTS", "expected_tail", "truncation_error", "truncation_for"]

MAX_COMPONENTS = 1000
"""More than that many components cannot be afforded."""
MAX_ROWS_BEYOND = 0.01
"""Expected number of rows that the components cut off would have."""


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
    tail = _tail(_tails(Rule.of(0.0), discounts(weights.discount)), MAX_COMPONENTS)
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


def _tails_of(weights: StickPrior) -> Iterator[float]:
    return _tails(concentrations(weights.concentration), discounts(weights.discount))


def _tails(concentration: Rule, discount: Rule) -> Iterator[float]:
    """Expected mass after 0, 1, 2, ... sticks."""
    node_weights = np.outer(concentration.weights, discount.weights)
    left = np.ones_like(node_weights)
    for k in count(1):
        yield float((node_weights * left).sum())
        b = concentration.values[:, None] + k * discount.values
        left *= b / (b + discount.complements)


def _tail(tails: Iterator[float], truncation: int) -> float:
    return next(islice(tails, truncation - 1, None))
