r"""Log densities of the components of many points under those of many labelings.

A labeling gives each component k the law of its covariance, an exponential family in the
precision P (`covariance_laws`), and that of its mean given P. There a basis B of the point's own
makes the precisions of prior and rows diagonal at once, :math:`P_0 = B B^\top` and
:math:`P = B \,\mathrm{diag}(b) B^\top`; with :math:`u = B^\top (\mu - m)` and the shift t of the
rows from the prior mean m,

.. math::

    \log p(\mu \mid P) = \log |\det B| + \tfrac12 \sum_i \log \frac{1 + n b_i}{2 \pi}
    - \tfrac12 \sum_i (1 + n b_i)
    \Bigl(u_i - \frac{n b_i}{1 + n b_i} (B^\top t)_i\Bigr)^2 .
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import njit

from bayesmix.kernels import lanes
from bayesmix.kernels.caching import cached
from bayesmix.priors import NormalInverseWishart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.component_given import ComponentsGiven
    from bayesmix.covariance import Structure
    from bayesmix.pass_parameters import PassParameters
    from bayesmix.priors import ComponentPrior

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]

__all__ = [
    "Laws",
    "Places",
    "covariance_laws",
    "covariance_statistics",
    "laws_of",
    "log_densities",
    "places_of",
]

LANES = lanes.NARROW
_LOG_2PI = float(np.log(2 * np.pi))


class Laws(NamedTuple):
    """Laws of K components given each of M labelings."""

    constant: Floats
    """(M, K)"""
    natural: Floats
    """Coefficients of the statistics of `Places`, (M, K, F)."""
    sizes: Floats
    """(M, K)"""
    shift: Floats
    """(M, K, D)"""

    def at(self, places: Any) -> Laws:
        """Laws at some places among labelings and components."""
        return Laws(*(np.ascontiguousarray(values[places]) for values in self))


class Places(NamedTuple):
    """The components of J points, as `log_densities` wants them."""

    statistics: Floats
    """(K, F, J)"""
    basis: Floats
    """B, (K, D, D, J)."""
    place: Floats
    """u, (K, D, J)."""
    precision: Floats
    """b, (K, D, J)."""


def laws_of(given: ComponentsGiven, concentrations: Floats | None) -> Laws:
    r"""Laws of components, and of weights as far as they are the components' own.

    That is :math:`w^{\alpha - 1} / \Gamma(\alpha)` by concentrations (M, K), if given. The one
    covariance of tied components is nobody's own and left out.
    """
    from scipy.special import gammaln

    constant = np.full(given.sizes.shape, -given.shift.shape[-1] / 2 * _LOG_2PI)
    natural = [np.ones((*constant.shape, 1))]
    if concentrations is not None:
        constant = constant - gammaln(concentrations)
        natural.append(concentrations[..., None] - 1)
    if given.structure.name != "tied":
        norm, of_covariances = covariance_laws(given)
        constant = constant + norm
        natural.append(of_covariances)
    found = constant, np.concatenate(natural, axis=-1), given.sizes, given.shift
    return Laws(*map(np.ascontiguousarray, found))


def places_of(prior: ComponentPrior, points: PassParameters, *, weighted: bool) -> Places:
    """Places of the components of J points; ``weighted`` if their laws hold weights."""
    structure, (k, d) = points.structure, points.means.shape[1:]
    log_determinant, basis, precision = _bases(prior, structure, points.precision_cholesky, (k, d))
    statistics = [log_determinant[..., None]]
    if weighted:
        statistics.append(points.log_weights[..., None])
    if structure.name != "tied":
        statistics.append(covariance_statistics(structure, points.precision_cholesky))
    place = (points.means - np.asarray(prior.mean))[..., None, :] @ basis
    found = np.concatenate(statistics, axis=-1), basis, place[..., 0, :], precision
    return Places(*(np.ascontiguousarray(np.moveaxis(values, 0, -1)) for values in found))


def _bases(
    prior: ComponentPrior, structure: Structure, factor: Floats, shape: tuple[int, int]
) -> tuple[Floats, Floats, Floats]:
    """log|det B| (J, K), B (J, K, D, D) and b (J, K, D) of components of ``shape`` (K, D).

    Where the mean's precision is that of rows, B is their factor; else it is that of the prior,
    turned to the axes of the rows.
    """
    dense = structure.dense(factor, *shape)
    if isinstance(prior, NormalInverseWishart):
        kappa = prior.mean_precision
        logs = structure.log_diagonal(factor, *shape) + np.log(kappa) / 2
        return logs.sum(axis=-1), np.sqrt(kappa) * dense, np.full(logs.shape, 1 / kappa)
    root = np.linalg.cholesky(prior.mean_covariance)
    turn, singular, _ = np.linalg.svd(root.T @ dense)  # of squares, small ones would be lost
    basis = np.linalg.solve(root.T, turn)
    log_determinant = np.full(dense.shape[:2], -np.log(np.diagonal(root)).sum())
    return log_determinant, basis, np.square(singular)


def covariance_laws(given: ComponentsGiven) -> tuple[Floats, Floats]:
    """Log norms and coefficients of the covariances' statistics: (M, K, ...), tied (M, ...)."""
    structure, scale, d = given.structure, given.scale, given.shift.shape[-1]
    norm = structure.log_norm(given.dof, scale, d)
    if structure.correlated:
        scale = scale * (2 - np.eye(d))  # what is below the diagonal stands for what is above
    count = structure.prior_count(given.dof, d)
    return norm, np.concatenate([count[..., None], -0.5 * _entries(structure, scale)], axis=-1)


def covariance_statistics(structure: Structure, factor: Floats) -> Floats:
    """Log of the determinant, and the entries, by factors of precisions: (J, K, ...), or (J, ...).

    One variance is its own determinant, for however many features it stands.
    """
    if structure.correlated:
        diagonal = np.diagonal(factor, axis1=-2, axis2=-1)
        precision = factor @ np.swapaxes(factor, -1, -2)
    else:
        diagonal, precision = _entries(structure, factor), np.square(factor)
    logs = np.log(diagonal).sum(axis=-1, keepdims=True)
    return np.concatenate([logs, _entries(structure, precision)], axis=-1)


def _entries(structure: Structure, values: Floats) -> Floats:
    """Entries on and below the diagonal, or variances, on one axis."""
    if structure.correlated:
        return values[(..., *np.tril_indices(values.shape[-1]))]
    return structure.diagonal(values)


def log_densities(laws: Laws, n_rows: Counts, places: Places, *, paired: bool = False) -> Floats:
    """Log densities of all components of J points under the first ``n_rows`` (M,) laws.

    Returns
    -------
    (M, K, K, J) ndarray
        By labeling, law, component and point; beyond ``n_rows`` it is not set. If ``paired``, of
        the component of the law's own name alone: (M, K, 1, J).
    """
    m, k = laws.constant.shape
    out = np.empty((m, k, 1 if paired else k, places.statistics.shape[-1]))
    _write(*laws, n_rows, *places, out)
    return out


def _make_write(fingerprint: str) -> Callable:
    def write(
        constant: Floats,
        natural: Floats,
        sizes: Floats,
        shift: Floats,
        n_rows: Counts,
        statistics: Floats,
        basis: Floats,
        place: Floats,
        precision: Floats,
        out: Floats,
    ) -> None:
        """Log densities (M, K, K or 1, J), eight points side by side."""
        fingerprint  # noqa: B018
        (n_components, n_statistics, n_points), width = statistics.shape, out.shape[2]
        for first in range(0, n_points, LANES):
            for m in range(len(out)):
                for i in range(n_rows[m]):
                    for j in range(width):
                        k = j if width == n_components else i
                        log = lanes.splat(constant[m, i])
                        for f in range(n_statistics):
                            at = (k * n_statistics + f) * n_points + first
                            own = lanes.load(statistics, at)
                            log = lanes.fma(lanes.splat(natural[m, i, f]), own, log)
                        log = log + _log_mean(
                            sizes[m, i],
                            shift[m, i],
                            k,
                            first,
                            basis,
                            place,
                            precision,
                        )
                        lanes.store(
                            out, ((m * n_components + i) * width + j) * n_points + first, log
                        )

    return write


@njit(nogil=True, error_model="numpy")
def _log_mean(
    size: float,
    shift: Floats,
    k: int,
    first: int,
    basis: Floats,
    place: Floats,
    precision: Floats,
) -> Any:
    """What the mean adds, but for log|det B| and powers of 2 pi."""
    d, n_points = place.shape[1:]
    n, one = lanes.splat(size), lanes.splat(1.0)
    log, distance = lanes.splat(0.0), lanes.splat(0.0)
    for i in range(d):
        rows = lanes.splat(0.0)
        for h in range(d):
            entry = lanes.load(basis, ((k * d + h) * d + i) * n_points + first)
            rows = lanes.fma(entry, lanes.splat(shift[h]), rows)
        at = (k * d + i) * n_points + first
        data = n * lanes.load(precision, at)
        both = one + data
        delta = lanes.load(place, at) - data / both * rows
        distance = lanes.fma(both * delta, delta, distance)
        log = log + lanes.log(both)
    return lanes.splat(0.5) * (log - distance)


_write = cached(_make_write)
