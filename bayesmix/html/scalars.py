"""What a prior of one number expects: of a positive one, of a share, of a number of components."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.html.elements import block, number, paragraph, table
from bayesmix.html.laws import laws_of
from bayesmix.html.mathml import math

__all__ = ["count_html", "scalar_html"]

_ENDS = (0.05, 0.95)
_MOST_NUMBERS = 8
_RARE = 0.005


def scalar_html(prior: Any) -> str:
    """What a notebook shows of a `Gamma` or a `Beta`."""
    sd, (lower, upper) = _SPREAD[type(prior).__name__](prior)
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
    k, p = (values[p > 0][:_MOST_NUMBERS] for values in (k, p))
    beyond = 1 - float(p.sum())
    more = f"; more than {k[-1]}: {number(beyond)}" if beyond > _RARE else ""
    return block(
        type(prior).__name__,
        f"<p>{math(laws_of(prior)[0])}</p>",
        table(
            pd.DataFrame([p], pd.Index(["P(K=k)"], name="k"), k),
            f"Probability of k components{more}.",
        ),
    )


def _gamma(prior: Any) -> tuple[float, Any]:
    from scipy.special import gammaincinv

    return prior.shape**0.5 / prior.rate, gammaincinv(prior.shape, _ENDS) / prior.rate


def _beta(prior: Any) -> tuple[float, Any]:
    from scipy.special import betaincinv

    sd = (prior.mean * (1 - prior.mean) / (prior.a + prior.b + 1)) ** 0.5
    return sd, betaincinv(prior.a, prior.b, _ENDS)


_SPREAD = {"Gamma": _gamma, "Beta": _beta}
"""Standard deviation, and the ends of the central nine tenths."""
