"""Points, priors, data and mixtures that the tests share; everything is made from a fixed seed."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

import bayesmix as bm
from bayesmix.covariance import structure_of
from bayesmix.mixture import CAPABILITIES

STRUCTURES = ("full", "tied", "diag", "spherical")
EPS = float(np.finfo(float).eps)

CONCENTRATIONS = {
    "Dirichlet(K)": 1.0,
    "Dirichlet(K, above 1)": 2.5,
    "Dirichlet(K, below 1)": 0.5,
    "Dirichlet(K, vector)": (1.0, 2.0, 3.5),
    "Dirichlet(K, vector, some below 1)": (0.5, 1.0, 2.0),
    "Dirichlet(K, Gamma)": bm.Gamma(2.0, 2.0),
}
"""One concentration for each Dirichlet in the capability table, for K = 3."""

WEIGHTS = {
    **{name: bm.Dirichlet(3, concentration) for name, concentration in CONCENTRATIONS.items()},
    "DirichletProcess": bm.DirichletProcess(bm.Gamma(2.0, 4.0)),
    "DirichletProcess(T)": bm.DirichletProcess(bm.Gamma(2.0, 2.0), truncation=3),
    "PitmanYor": bm.PitmanYor(bm.Gamma(2.0, 4.0), bm.Beta(1.0, 29.0)),
    "PitmanYor(T)": bm.PitmanYor(bm.Gamma(2.0, 2.0), bm.Beta(1.5, 3.0), truncation=3),
    "MixtureOfFiniteMixtures": bm.MixtureOfFiniteMixtures(
        bm.BetaNegativeBinomial(1.0, 4.0, 3.0), bm.Gamma(2.0, 2.0), dynamic=True
    ),
}
"""One prior for each row of the capability table: with three components, infinitely many, or a
number of them that is random."""

STICKS = {
    "DP": bm.DirichletProcess(0.8, truncation=3),
    "DP Gamma": WEIGHTS["DirichletProcess(T)"],
    "PY": bm.PitmanYor(0.8, 0.3, truncation=3),
    "PY Gamma": bm.PitmanYor(bm.Gamma(2.0, 2.0), 0.3, truncation=3),
    "PY Beta": bm.PitmanYor(0.8, bm.Beta(1.5, 3.0), truncation=3),
    "PY Gamma Beta": WEIGHTS["PitmanYor(T)"],
}
"""Three components by stick breaking: what may be stated, and what random."""


class Parameters(NamedTuple):
    """Weights (K,), means (K, D) and dense covariances (K, D, D)."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray


def random_covariances(structure: str, k: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Draw dense covariances (k, d, d) that have the structure; condition numbers below 1e3."""
    root = rng.normal(size=(k, d, d))
    matrices = root @ np.swapaxes(root, -1, -2) + 0.3 * np.eye(d)
    matrices = (matrices + np.swapaxes(matrices, -1, -2)) / 2
    match structure:
        case "tied":
            matrices = np.repeat(matrices[:1], k, axis=0)
        case "diag":
            matrices = matrices * np.eye(d)
        case "spherical":
            matrices = matrices[:, :1, :1] * np.eye(d)
    return matrices


def random_parameters(structure: str, k: int, d: int, seed: int = 0) -> Parameters:
    """Draw a valid point."""
    rng = np.random.default_rng([seed, k, d])
    weights = rng.dirichlet(np.full(k, 3.0))
    return Parameters(
        weights, rng.normal(scale=2, size=(k, d)), random_covariances(structure, k, d, rng)
    )


def random_prior(d: int, seed: int = 0, *, dof: float | None = None) -> bm.NormalInverseWishart:
    """Draw a component prior; its degrees of freedom are not whole."""
    rng = np.random.default_rng([seed, d])
    scale = random_covariances("full", 1, d, rng)[0]
    return bm.NormalInverseWishart(rng.normal(size=d), 0.37, d + 1.7 if dof is None else dof, scale)


def random_independent_prior(
    d: int, seed: int = 0, *, random_scale: bool = False, dof: float | None = None
) -> bm.IndependentNormalInverseWishart:
    """Draw a prior with independent means; a random scale has floors below and above its mean."""
    rng = np.random.default_rng([seed, d, 7])
    spread, scale = 4 * random_covariances("full", 2, d, rng)
    return bm.IndependentNormalInverseWishart(
        rng.normal(size=d),
        spread,
        d + 2.3 if dof is None else dof,
        None if random_scale else scale / 3,
        (0.7, 0.5 + rng.random(d), np.linspace(0.1, 2.5, d)) if random_scale else None,
    )


def rows_of(parameters: Parameters, n: int, seed: int = 0) -> np.ndarray:
    """Draw n rows from a mixture."""
    rng = np.random.default_rng([seed, n])
    k, d = parameters.means.shape
    label = rng.choice(k, size=n, p=parameters.weights)
    noise = np.linalg.cholesky(parameters.covariances)[label] @ rng.normal(size=(n, d, 1))
    return parameters.means[label] + noise[..., 0]


def blobs(n: int, d: int, k: int, seed: int = 0) -> np.ndarray:
    """Draw n rows from k clusters that overlap a little, with correlated features."""
    rng = np.random.default_rng([seed, n, d, k])
    centers = rng.normal(scale=4, size=(k, d))
    mixing = np.eye(d) + 0.4 * np.tri(d, k=-1)
    return centers[np.arange(n) % k] + rng.normal(size=(n, d)) @ mixing.T


def mixture_of_cell(cell: tuple[str, str, str, str], d: int) -> bm.Mixture:
    """Make a mixture (K = 3, infinite or random) that falls into a cell of `CAPABILITIES`."""
    weights, components, structure, _ = cell
    priors = {
        "none": lambda d: None,
        "NormalInverseWishart": random_prior,
        "IndependentNormalInverseWishart": partial(random_independent_prior, random_scale=True),
    }
    return bm.Mixture(WEIGHTS[weights], priors[components](d), structure)


def cells(engine: str, *, fits: bool = True) -> list[tuple[str, str, str, str]]:
    """List the cells of the capability table that an engine fits, or refuses."""
    return [key for key, value in CAPABILITIES.items() if key[3] == engine and value.fits is fits]


def compact(structure: str, covariances: np.ndarray) -> np.ndarray:
    """Bring dense covariances into the structure's shape."""
    return structure_of(structure).compact(covariances)
