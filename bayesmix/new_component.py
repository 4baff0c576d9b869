r"""A component that has no rows yet: the density of a row under it, its parameters integrated out.

Covariance and mean come from the component prior, given what a draw knows of it: a random S, or the
one covariance of tied components. Without tied covariances all structures give the covariance the
shape S/u, u chi-square with :math:`\nu - D + 1` degrees of freedom (full: because a normal density
averaged over an inverse Wishart is one averaged over such u; diag: one u per feature). Hence a row
is Student under `NormalInverseWishart`, and

.. math:: p(x) = \int N(x \mid m, V + S/u)\, \chi^2_{\nu - D + 1}(u)\, du

under `IndependentNormalInverseWishart`: one integral, by the trapezoid rule in log u, which is a
mixture of normals that the pass evaluates. The one exception is diag with a V that is not diagonal:
there the D numbers u do not separate, and draws of them take the place of nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesmix import passes
from bayesmix.covariance import STRUCTURES
from bayesmix.memory import blocks
from bayesmix.pass_parameters import PassParameters
from bayesmix.priors import IndependentNormalInverseWishart, NormalInverseWishart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.covariance import Structure
    from bayesmix.priors import ComponentPrior

    Floats = NDArray[np.float64]

__all__ = ["NewComponent", "log_density", "new_component"]

_LEFT_OUT = 1e-10  # of an integral, at either end
_STEP = 0.7  # of the rule, in standard deviations of log u
_LONGEST_STEP = 0.4
_MONTE_CARLO = 4096  # draws of covariances together, if every draw of the posterior has enough
_FEWEST = 16


@dataclass(frozen=True)
class NewComponent:
    """Independent groups of features, each with its density at every draw."""

    parts: tuple[_Student | _Normals, ...]

    def log_density(self, x: Floats) -> Floats:
        """Log density of rows (n, D) at every draw, (S, n); (1, n) where all draws know the same.

        That of a row does not depend on the others.
        """
        first, *others = self.parts
        log = first.log_density(x)
        for part in others:
            log += part.log_density(x)
        return log


def log_density(
    prior: ComponentPrior,
    structure: Structure,
    x: Floats,
    *,
    covariance_scale: Floats | None = None,
    covariances: Floats | None = None,
    generator: np.random.Generator,
) -> Floats:
    """Log density of every row under a component without rows, at every draw.

    For rows in blocks use `new_component`, of which this is one call.

    Parameters
    ----------
    prior : NormalInverseWishart or IndependentNormalInverseWishart
    structure : Structure
    x : (n, D) ndarray
    covariance_scale : (S, D, D) ndarray, optional
        Where S is random: its draws.
    covariances : (S, K, D, D) ndarray, optional
        Draws of the components', dense; needed, and used, where they are tied.
    generator : Generator
        Used for diag with correlated prior means alone, where the density, not its logarithm, is
        unbiased; all else is exact to seven digits.

    Returns
    -------
    (S, n) ndarray
        Or (1, n) where S is stated and covariances are not tied: the same at every draw.

    Raises
    ------
    ValueError
        If the draws of a random S, or of tied covariances, are missing.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesmix.covariance import structure_of
    >>> from bayesmix.new_component import log_density
    >>> from bayesmix.priors import NormalInverseWishart
    >>> prior = NormalInverseWishart([0.0], 1.0, 3.0, [[3.0]])
    >>> rng = np.random.default_rng(1)
    >>> log_density(prior, structure_of("full"), np.zeros((1, 1)), generator=rng).round(4)
    array([[-1.3475]])
    """
    own = new_component(
        prior,
        structure,
        x,
        covariance_scale=covariance_scale,
        covariances=covariances,
        generator=generator,
    )
    return own.log_density(x)


def new_component(
    prior: ComponentPrior,
    structure: Structure,
    x: Floats,
    *,
    covariance_scale: Floats | None = None,
    covariances: Floats | None = None,
    generator: np.random.Generator,
) -> NewComponent:
    """What `log_density` evaluates, for the same arguments: rows may then come in any blocks.

    Of ``x`` it takes how far rows are from the prior mean, which the quadrature has to reach.
    """
    if structure.name == "tied":
        return NewComponent((_of_tied(prior, covariances),))
    scale = _scale_of(prior, structure, covariance_scale)
    match prior:
        case NormalInverseWishart():
            groups = _groups(structure, prior.n_features)
            return NewComponent(tuple(_student(prior, scale, own) for own in groups))
        case IndependentNormalInverseWishart():
            spread = np.asarray(prior.mean_covariance)
            if structure.name == "diag" and not _diagonal(spread):
                return NewComponent((_by_draws(prior, scale, generator),))
            far = np.abs(x - np.asarray(prior.mean)).max(axis=0, initial=0.0)
            groups = _groups(structure, prior.n_features)
            return NewComponent(tuple(_by_quadrature(prior, scale, far, own) for own in groups))


@dataclass(frozen=True)
class _Student:
    """Student density with ``dof`` degrees of freedom on some features."""

    features: slice
    mean: Floats
    dof: float
    root: Floats
    """Cholesky factor of the scale matrix, (d, d)."""

    def log_density(self, x: Floats) -> Floats:
        from scipy.special import gammaln

        d = len(self.mean)
        z = (x[:, self.features] - self.mean).T
        for i in range(d):  # forward substitution, in the same order whatever the number of rows
            for j in range(i):
                z[i] -= self.root[i, j] * z[j]
            z[i] /= self.root[i, i]
        constant = gammaln((self.dof + d) / 2) - gammaln(self.dof / 2)
        constant -= d / 2 * np.log(self.dof * np.pi) + np.log(np.diag(self.root)).sum()
        squares = sum(np.square(own) for own in z)
        log: Floats = constant - (self.dof + d) / 2 * np.log1p(squares / self.dof)
        return log[None]


@dataclass(frozen=True)
class _Normals:
    """Mixture of J normals on some features: covariances base + factor_j spread_sj."""

    features: slice
    mean: Floats
    log_weights: Floats
    """Shape (J,)."""
    base: Floats
    """Shape (d, d)."""
    factor: Floats
    """Shape (J,)."""
    spread: Floats
    """Shape (S, 1 or J, d, d)."""

    def log_density(self, x: Floats) -> Floats:
        rows = np.ascontiguousarray(x[:, self.features])
        out = np.empty((len(self.spread), len(rows)))
        d = len(self.mean)
        for own in blocks(len(out), 8 * len(self.factor) * d * d):
            out[own] = passes.log_density(rows, self._parameters(own))
        return out

    def _parameters(self, draws: slice) -> PassParameters:
        dense = self.base + self.factor[:, None, None] * self.spread[draws]
        shape = dense.shape[:2]
        structure = STRUCTURES["diag" if _diagonal(dense) else "full"]
        return PassParameters(
            structure,
            np.broadcast_to(self.log_weights, shape),
            np.broadcast_to(self.mean, (*shape, len(self.mean))),
            structure.precision_cholesky(structure.compact(dense)),
        )


def _of_tied(prior: ComponentPrior, covariances: Floats | None) -> _Normals:
    if covariances is None:
        raise ValueError(
            "covariances: expected an array (S, K, D, D), because all components share one "
            "covariance, that of the draw, got None"
        )
    one, none = np.ones(1), np.zeros((prior.n_features,) * 2)
    match prior:
        case NormalInverseWishart():
            base, factor = none, one + 1 / prior.mean_precision
        case IndependentNormalInverseWishart():
            base, factor = np.asarray(prior.mean_covariance), one
    mean = np.asarray(prior.mean)
    return _Normals(slice(None), mean, np.zeros(1), base, factor, covariances[:, :1])


def _scale_of(prior: ComponentPrior, structure: Structure, random: Floats | None) -> Floats:
    """S as the structure uses it, (S, D, D) or stated (1, D, D)."""
    if prior.scale_hyperprior is None:
        random = np.asarray(prior.covariance_scale)[None]
    elif random is None:
        raise ValueError(
            "covariance_scale: expected an array (S, D, D), because the component prior has a "
            "scale_hyperprior, got None"
        )
    of_one = structure.prior_scale(random)[:, None]
    return structure.dense(of_one, 1, prior.n_features)[:, 0]


def _groups(structure: Structure, d: int) -> list[slice]:
    """Features that share a u: all, or in diag each its own."""
    return [slice(j, j + 1) for j in range(d)] if structure.name == "diag" else [slice(None)]


def _chi_square_dof(prior: ComponentPrior) -> float:
    return prior.dof - prior.n_features + 1


def _student(prior: NormalInverseWishart, scale: Floats, features: slice) -> _Student:
    dof, mean = _chi_square_dof(prior), np.asarray(prior.mean)[features]
    matrix = scale[0, features, features] * (1 + 1 / prior.mean_precision) / dof
    return _Student(features, mean, dof, np.linalg.cholesky(matrix))


def _by_quadrature(
    prior: IndependentNormalInverseWishart, scale: Floats, far: Floats, features: slice
) -> _Normals:
    base = np.asarray(prior.mean_covariance)[features, features]
    own = scale[:, features, features]
    precision = np.abs(np.linalg.inv(own)).max(axis=0)
    squares = far[features] @ precision @ far[features]
    ratio = (precision * np.abs(base)).sum()
    u, log_weights = _nodes(_chi_square_dof(prior), len(base), float(squares), float(ratio))
    mean = np.asarray(prior.mean)[features]
    return _Normals(features, mean, log_weights, base, 1 / u, own[:, None])


def _by_draws(
    prior: IndependentNormalInverseWishart, scale: Floats, generator: np.random.Generator
) -> _Normals:
    draws = max(_FEWEST, -(-_MONTE_CARLO // len(scale)))
    base = np.asarray(prior.mean_covariance)
    own = STRUCTURES["diag"].draw_covariances(generator, draws, prior.dof, scale)
    log_weights = np.full(draws, -np.log(draws))
    spread = STRUCTURES["diag"].dense(own, draws, len(base))
    return _Normals(slice(None), np.asarray(prior.mean), log_weights, base, np.ones(draws), spread)


def _nodes(dof: float, d: int, squares: float, ratio: float) -> tuple[Floats, Floats]:
    r"""Nodes u and log weights for rows of d features, up to ``squares`` from the mean, by S.

    What is integrated over log u behaves as :math:`u^a e^{-u (1 + y^2)/2}`, a = (dof + d)/2, where
    V/S, at most ``ratio``, is small against 1/u, and else like the chi-square density. It has no
    singularity within pi of the line.
    """
    from scipy.special import chdtri, gammainccinv, gammaincinv

    a = (dof + d) / 2
    near = max(chdtri(dof, 1 - _LEFT_OUT), _LEFT_OUT ** (1 / a) / (1 + ratio))
    low = min(near, 2 * gammaincinv(a, _LEFT_OUT) / (1 + squares))
    high = 2 * gammainccinv(a, _LEFT_OUT)
    step = min(_STEP / np.sqrt(a), _LONGEST_STEP)
    logs = np.arange(np.log(low), np.log(high) + step, step)
    return np.exp(logs), np.log(step) + _log_chi_square_density(np.exp(logs), dof)


def _log_chi_square_density(u: Floats, dof: float) -> Floats:
    """Log density of log u, which underflows where far rows need it."""
    from scipy.special import gammaln

    half = dof / 2
    log: Floats = half * np.log(u / 2) - u / 2 - gammaln(half)
    return log


def _diagonal(matrices: Floats) -> bool:
    return not np.any(matrices[..., ~np.eye(matrices.shape[-1], dtype=bool)])
