"""What a prior of one number expects: of a positive one, of a share, of a number of components."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.html.elements import block, paragraph, table
from bayesmix.html.laws import kind, laws_of
from bayesmix.html.mathml import math
from bayesmix.html.numbers import number

__all__ = ["count_html", "scalar_html"]

_ENDS = (0.05, 0.95)
_MOST_NUMBERS = 8
_RARE = 0.005


def scalar_html(prior: Any) -> str:
    """What a notebook shows of a `Gamma` or a `Beta`."""
    sd, (lower, upper) = _SPREAD[kind(prior)](prior)
    said = (
        f"Mean {number(prior.mean)}, standard deviation {number(sd)}; nine tenths of the "
        f"probability are from {number(lower)} to {number(upper)}."
    )
    return block(type(prior).__name__, f"<p>{math(laws_of(prior)[0])}</p>", paragraph(said))


def count_html(prior: Any) -> str:
    """What a notebook shows of a prior on the number of components."""
    import pandas as pd

    k = np.arange(1, prior.support(_RARE) + 1)
    p = np.exp(prior.log_pmf(k))
    k, p = k[p > 0], p[p > 0]
    first = _most_probable(p)
    shown = slice(first, first + _MOST_NUMBERS)
    below, beyond = float(p[:first].sum()), 1 - float(p[: shown.stop].sum())
    others = {f"fewer than {k[shown][0]}": below, f"more than {k[shown][-1]}": beyond}
    rest = [f"; {which}: {number(mass)}" for which, mass in others.items() if mass > _RARE]
    return block(
        type(prior).__name__,
        f"<p>{math(laws_of(prior)[0])}</p>",
        table(
            pd.DataFrame([p[shown]], pd.Index(["P(K=k)"], name="k"), k[shown]),
            f"Probability of k components{''.join(rest)}.",
        ),
    )


def _most_probable(p: Any) -> int:
    """Where the numbers in a row begin that hold most of the probability."""
    held = np.convolve(p, np.ones(min(_MOST_NUMBERS, len(p))), "valid")
    return int(np.argmax(held > held.max() - 1e-12))


def _gamma(prior: Any) -> tuple[float, Any]:
    from scipy.special import gammaincinv

    return prior.shape**0.5 / prior.rate, gammaincinv(prior.shape, _ENDS) / prior.rate


def _beta(prior: Any) -> tuple[float, Any]:
    from scipy.special import betaincinv

    sd = (prior.mean * (1 - prior.mean) / (prior.a + prior.b + 1)) ** 0.5
    return sd, betaincinv(prior.a, prior.b, _ENDS)


_SPREAD = {"Gamma": _gamma, "Beta": _beta}
"""Standard deviation, and the ends of the central nine tenths."""
