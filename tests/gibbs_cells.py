"""Cells of the capability table that Gibbs fits, each as a mixture with three components.

A cell of the table has more than one kind of prior where the scale may be random or stated; the
fourth kind is Richardson and Green's on a line, its numbers frozen.
"""

from typing import NamedTuple

import numpy as np
import pytest

import bayesmix as bm
from tests.support import CONCENTRATIONS, STICKS, cells, random_independent_prior, random_prior

KINDS = {
    "NormalInverseWishart": ("conjugate",),
    "IndependentNormalInverseWishart": ("stated", "random", "published"),
}


WEIGHTS = {name: bm.Dirichlet(3, given) for name, given in CONCENTRATIONS.items()} | STICKS


class Cell(NamedTuple):
    """Row of the weights' table or of `STICKS`, kind of component prior, covariance structure."""

    weights: str
    kind: str
    structure: str

    def mixture(self, d):
        """Make a mixture; "published" has one feature whatever ``d``."""
        return bm.Mixture(WEIGHTS[self.weights], prior_of_kind(self.kind, d), self.structure)


def prior_of_kind(kind, d):
    """Component prior of d features; "published" is Richardson and Green's, of one."""
    priors = {
        "conjugate": lambda: random_prior(d),
        "stated": lambda: random_independent_prior(d),
        "random": lambda: random_independent_prior(d, random_scale=True),
        "published": lambda: bm.IndependentNormalInverseWishart(
            [0.3], [[9.0]], 4.0, scale_hyperprior=(0.2, 5 / 9)
        ),
    }
    return priors[kind]()


CELLS = [
    Cell(weights, kind, structure)
    for weights, components, structure, _ in cells("gibbs")
    for kind in KINDS[components]
    if weights in CONCENTRATIONS
]

STICK_CELLS = [
    Cell("DP", "conjugate", "full"),
    Cell("PY", "conjugate", "tied"),
    Cell("PY Gamma", "conjugate", "spherical"),
    Cell("PY Gamma Beta", "conjugate", "diag"),
    Cell("DP Gamma", "random", "tied"),
    Cell("PY Beta", "stated", "diag"),
    Cell("PY", "published", "full"),
]
"""All that may be random of truncated sticks, every kind and every structure, but not crossed."""

GRID = [
    cell
    for cell in CELLS
    if cell.weights not in ("Dirichlet(K, above 1)", "Dirichlet(K, vector, some below 1)")
] + STICK_CELLS
"""Without the weights that are to Gibbs what others are."""


def cases(fast, among=CELLS):
    """Parameters for pytest: cells named in ``fast`` as they are, all others marked slow."""
    unknown = set(fast) - set(among)
    assert not unknown, f"no such cells: {unknown}"
    return [
        pytest.param(cell, id="-".join(cell), marks=() if cell in fast else pytest.mark.slow)
        for cell in among
    ]


def few_rows(n, d):
    """Rows in two groups that overlap, so that many partitions are likely."""
    rng = np.random.default_rng([5, n, d])
    return rng.normal(size=(n, d)) + np.where(np.arange(n) % 2, 1.2, -1.0)[:, None]
