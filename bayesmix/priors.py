"""Priors as frozen values of plain numbers: what is believed before the data.

Nothing here is evaluated; densities live beside the definitions that use them (`component_prior`,
`covariance.Structure.log_prior_covariances`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from bayesmix.elicitation import clusters_of_components, dirichlet_concentration
from bayesmix.html.model import prior_html
from bayesmix.inputs import require_count
from bayesmix.scalar_priors import Gamma

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "ComponentPrior",
    "Dirichlet",
    "GammaScale",
    "IndependentNormalInverseWishart",
    "NormalInverseWishart",
]


@dataclass(frozen=True)
class Dirichlet:
    """Dirichlet prior on the mixture weights.

    Parameters
    ----------
    n_components : int
        Number of components K.
    concentration : float, sequence of K floats or Gamma, default 1.0
        Concentration of each component; a float stands for K equal ones, a `Gamma` for K equal
        ones of a random size: with a small mean, the sparse finite mixture, whose superfluous
        components stay empty.

    References
    ----------
    G. Malsiner-Walli, S. Frühwirth-Schnatter and B. Grün, "Model-based clustering based on sparse
    finite Gaussian mixtures", Statistics and Computing 26, 2016.

    Examples
    --------
    >>> import bayesmix as bm
    >>> bm.Dirichlet(2).concentrations
    array([1., 1.])
    >>> bm.Dirichlet(10, bm.Gamma(1, 20)).random_concentration
    Gamma(shape=1.0, rate=20.0)
    """

    n_components: int
    concentration: float | tuple[float, ...] | Gamma = 1.0
    random_discount: ClassVar[None] = None
    """`PitmanYor` has one."""
    varying: ClassVar[bool] = False
    """The number of components is fixed."""

    def __post_init__(self) -> None:
        require_count(self.n_components, "n_components")
        object.__setattr__(self, "n_components", int(self.n_components))
        if isinstance(self.concentration, Gamma):
            return
        values = _plain(self.concentration, "concentration", max_ndim=1)
        size = np.size(values)
        if isinstance(values, tuple) and size != self.n_components:
            raise ValueError(
                f"concentration: expected one number or {self.n_components} of them "
                f"(n_components), got {size}"
            )
        if not np.all(np.asarray(values) > 0):
            raise ValueError(f"concentration: expected numbers above 0, got {self.concentration!r}")
        object.__setattr__(self, "concentration", values)

    @classmethod
    def from_expected_clusters(
        cls, n_components: int, n: int, expected: float, *, shape: float | None = 2.0
    ) -> Dirichlet:
        r"""Return the sparse finite mixture of K components that expects so many clusters.

        The clusters are the components that have rows among n. The concentration a, which all
        components share, has a Gamma prior whose rate is solved for, so that
        :math:`E[K_+] = K\, E[1 - \prod_{i<n} (1 - a/(K a + i))]` is as expected; with shape 2 and
        many components it is the Dirichlet process that `DirichletProcess.from_expected_clusters`
        finds.

        Parameters
        ----------
        n_components : int
            Number of components K.
        n : int
            Number of rows.
        expected : float
            Prior mean of the number of clusters, above 1 and below what K even weights make for,
            :math:`K (1 - (1 - 1/K)^n)`.
        shape : float or None, default 2.0
            Of the Gamma prior, the smaller the vaguer; None states the concentration.

        Raises
        ------
        ValueError
            If the number of clusters is out of reach.

        References
        ----------
        S. Frühwirth-Schnatter and G. Malsiner-Walli, "From Here to Infinity: Sparse Finite versus
        Dirichlet Process Mixtures in Model-Based Clustering", ADAC 13, 2019.

        Examples
        --------
        >>> import bayesmix as bm
        >>> weights = bm.Dirichlet.from_expected_clusters(10, 272, 3)
        >>> weights.concentration.shape, round(weights.concentration.rate, 1)
        (2.0, 41.1)
        """
        like = cls(n_components)
        a = dirichlet_concentration(like.n_components, n, expected, shape)
        return replace(like, concentration=a)

    def expected_clusters(self, n: int) -> float:
        """Prior mean of the number of clusters, the components that have rows, among n rows.

        Raises
        ------
        ValueError
            If components have different concentrations.

        Examples
        --------
        >>> import bayesmix as bm
        >>> round(bm.Dirichlet(10, bm.Gamma(1, 20)).expected_clusters(272), 2)
        2.92
        """
        require_count(n, "n")
        if not self.exchangeable:
            raise ValueError(
                "weights: expected the same concentration for every component, got "
                f"{self.concentration!r}; average over draws of the weights instead"
            )
        shared = self.random_concentration or float(self.concentrations[0])
        return clusters_of_components(n, self.n_components, shared)

    @property
    def random_concentration(self) -> Gamma | None:
        """Prior of the concentration that all components share, or None where it is stated."""
        return self.concentration if isinstance(self.concentration, Gamma) else None

    @property
    def concentrations(self) -> NDArray[np.float64]:
        """One concentration per component, shape (K,); a random one at its prior mean."""
        prior = self.random_concentration
        values = np.asarray(self.concentration if prior is None else prior.mean, float)
        return np.broadcast_to(values, (self.n_components,)).copy()

    @property
    def exchangeable(self) -> bool:
        """Whether the prior is the same under every permutation of the components."""
        return bool(np.ptp(self.concentrations) == 0)

    def _repr_html_(self) -> str:
        return prior_html(self)


@dataclass(frozen=True, init=False, repr=False)
class NormalInverseWishart:
    r"""Conjugate prior of a component: covariance, and mean given the covariance.

    For the full structure :math:`\Sigma_k \sim \mathrm{IW}(\nu, S)` and
    :math:`\mu_k \mid \Sigma_k \sim N(m, \Sigma_k/\kappa)`; the other structures are the
    analogs listed in ``docs/notation.md``.

    Parameters
    ----------
    mean : sequence of D floats
        Prior mean m of every component mean, in the units of the data.
    mean_precision : float
        :math:`\kappa > 0`, how many observations the prior mean is worth.
    dof : float
        Degrees of freedom :math:`\nu > D - 1`; need not be whole.
    covariance_scale : (D, D) array_like
        Scale matrix S, positive definite; :math:`E[\Sigma] = S/(\nu - D - 1)`.

    Examples
    --------
    >>> import bayesmix as bm
    >>> bm.NormalInverseWishart([0.0, 0.0], 0.01, 4.0, [[1.0, 0.0], [0.0, 1.0]]).n_features
    2
    """

    mean: tuple[float, ...]
    mean_precision: float
    dof: float
    covariance_scale: tuple[tuple[float, ...], ...]
    scale_hyperprior: ClassVar[None] = None
    """The scale is stated; `IndependentNormalInverseWishart` has one with a prior."""

    def __init__(
        self, mean: ArrayLike, mean_precision: float, dof: float, covariance_scale: ArrayLike
    ) -> None:
        center = _center(mean)
        d = len(center)
        if not 0 < float(mean_precision) < np.inf:
            raise ValueError(f"mean_precision: expected a number above 0, got {mean_precision}")
        scale = _positive_definite(covariance_scale, d, "covariance_scale")
        object.__setattr__(self, "mean", center)
        object.__setattr__(self, "mean_precision", float(mean_precision))
        object.__setattr__(self, "dof", _dof(dof, d))
        object.__setattr__(self, "covariance_scale", scale)

    @property
    def n_features(self) -> int:
        """Number of features D."""
        return len(self.mean)

    def __repr__(self) -> str:
        return (
            f"NormalInverseWishart(mean={_short(self.mean)}, "
            f"mean_precision={self.mean_precision:g}, dof={self.dof:g}, "
            f"covariance_scale={_short(self.covariance_scale)})"
        )

    def _repr_html_(self) -> str:
        return prior_html(self)


class GammaScale(NamedTuple):
    """Prior of a covariance scale S = diag(s): s_j ~ Gamma(shape, rate_j) on s_j >= floor_j."""

    shape: float
    rate: tuple[float, ...]
    """Per feature, one over the data's units squared."""
    floor: tuple[float, ...]
    """Per feature, in the data's units squared."""

    @property
    def held(self) -> NDArray[np.float64]:
        """Where EM holds s: shape/rate, the mean without the floor, but at least the floor."""
        return np.maximum(self.shape / np.asarray(self.rate), self.floor)

    @property
    def pooled(self) -> GammaScale:
        """Prior of the one s of all features in S = s I: harmonic mean rate, mean floor."""
        rate = 1 / np.mean(1 / np.asarray(self.rate))
        return GammaScale(self.shape, (float(rate),), (float(np.mean(self.floor)),))


@dataclass(frozen=True, init=False, repr=False)
class IndependentNormalInverseWishart:
    r"""Prior of a component whose mean does not depend on its covariance.

    :math:`\mu_k \sim N(m, V)` in every structure; for the full one
    :math:`\Sigma_k \sim \mathrm{IW}(\nu, S)`, the others as listed in ``docs/notation.md``. S is
    stated, or has a prior of its own and is shared by all components.

    Parameters
    ----------
    mean : sequence of D floats
        Prior mean m of every component mean, in the units of the data.
    mean_covariance : (D, D) array_like
        Its prior covariance V, positive definite.
    dof : float
        Degrees of freedom :math:`\nu > D - 1`; need not be whole.
    covariance_scale : (D, D) array_like, optional
        Scale matrix S, positive definite; :math:`E[\Sigma] = S/(\nu - D - 1)`.
    scale_hyperprior : (shape, rate) or (shape, rate, floor), optional
        Instead of ``covariance_scale``: S = diag(s) with s_j ~ Gamma(shape, rate_j) restricted to
        s_j >= floor_j; rate and floor (default 0) are one number or D of them. The spherical
        structure has S = s I with one s: rate the harmonic mean of the rates, floor the mean of
        the floors.

    Raises
    ------
    ValueError
        If both or neither of ``covariance_scale`` and ``scale_hyperprior`` are given, a matrix is
        not positive definite, shapes disagree, or a number is out of range.

    References
    ----------
    S. Richardson and P. J. Green, "On Bayesian Analysis of Mixtures with an Unknown Number of
    Components", JRSS B 59, 1997.

    Examples
    --------
    >>> import bayesmix as bm
    >>> prior = bm.IndependentNormalInverseWishart(
    ...     [0.0, 0.0], [[9.0, 0.0], [0.0, 9.0]], 6.0, scale_hyperprior=(0.5, 1.0)
    ... )
    >>> prior.scale_hyperprior
    GammaScale(shape=0.5, rate=(1.0, 1.0), floor=(0.0, 0.0))
    """

    mean: tuple[float, ...]
    mean_covariance: tuple[tuple[float, ...], ...]
    dof: float
    covariance_scale: tuple[tuple[float, ...], ...] | None
    scale_hyperprior: GammaScale | None

    def __init__(
        self,
        mean: ArrayLike,
        mean_covariance: ArrayLike,
        dof: float,
        covariance_scale: ArrayLike | None = None,
        scale_hyperprior: Sequence[Any] | None = None,
    ) -> None:
        center = _center(mean)
        d = len(center)
        if (covariance_scale is None) == (scale_hyperprior is None):
            raise ValueError(
                "covariance_scale, scale_hyperprior: expected exactly one of them, got "
                f"{'neither' if covariance_scale is None else 'both'}; give covariance_scale=S, "
                "or scale_hyperprior=(shape, rate, floor)"
            )
        scale = hyperprior = None
        if covariance_scale is not None:
            scale = _positive_definite(covariance_scale, d, "covariance_scale")
        if scale_hyperprior is not None:
            hyperprior = _gamma_scale(scale_hyperprior, d)
        spread = _positive_definite(mean_covariance, d, "mean_covariance")
        object.__setattr__(self, "mean", center)
        object.__setattr__(self, "mean_covariance", spread)
        object.__setattr__(self, "dof", _dof(dof, d))
        object.__setattr__(self, "covariance_scale", scale)
        object.__setattr__(self, "scale_hyperprior", hyperprior)

    @property
    def n_features(self) -> int:
        """Number of features D."""
        return len(self.mean)

    def __repr__(self) -> str:
        if self.scale_hyperprior is None:
            scale = f"covariance_scale={_short(self.covariance_scale)}"
        else:
            shape, rate, floor = self.scale_hyperprior
            scale = f"scale_hyperprior=({shape:g}, {_short(rate)}, {_short(floor)})"
        return (
            f"IndependentNormalInverseWishart(mean={_short(self.mean)}, "
            f"mean_covariance={_short(self.mean_covariance)}, dof={self.dof:g}, {scale})"
        )

    def _repr_html_(self) -> str:
        return prior_html(self)


ComponentPrior = NormalInverseWishart | IndependentNormalInverseWishart


def _center(mean: ArrayLike) -> tuple[float, ...]:
    center: tuple[float, ...] = _plain(np.atleast_1d(np.asarray(mean, float)), "mean", max_ndim=1)
    return center


def _dof(dof: float, d: int) -> float:
    if not d - 1 < float(dof) < np.inf:
        raise ValueError(f"dof: expected more than D - 1 = {d - 1}, got {dof}")
    return float(dof)


def _positive_definite(values: ArrayLike, d: int, name: str) -> tuple[tuple[float, ...], ...]:
    matrix = np.atleast_2d(np.asarray(values, float))
    if matrix.shape != (d, d):
        raise ValueError(
            f"{name}: expected shape ({d}, {d}) to go with {d} prior means, got {matrix.shape}"
        )
    if not np.allclose(matrix, matrix.T, rtol=1e-10, atol=0):
        raise ValueError(f"{name}: expected a symmetric matrix")
    matrix = (matrix + matrix.T) / 2
    variances = np.diag(matrix)
    definite = bool(np.all(np.isfinite(matrix)) and np.all(variances > 0))
    if definite:  # eigenvalues of the correlations: the same in any units
        sd = np.sqrt(variances)
        definite = np.linalg.eigvalsh(matrix / np.outer(sd, sd))[0] > 1e-13
    if not definite:
        raise ValueError(f"{name}: expected a positive definite matrix")
    plain: tuple[tuple[float, ...], ...] = _plain(matrix, name, max_ndim=2)
    return plain


def _gamma_scale(values: Sequence[Any], d: int) -> GammaScale:
    """Check (shape, rate) or (shape, rate, floor); rate and floor are numbers or D of them."""
    try:
        given_shape, given_rate, given_floor = values if len(values) == 3 else (*values, 0.0)
        shape = float(given_shape)
        rate, floor = np.asarray(given_rate, float), np.asarray(given_floor, float)
    except (TypeError, ValueError):
        raise ValueError(
            f"scale_hyperprior: expected numbers (shape, rate, floor), got {values!r}"
        ) from None
    for name, array in (("rate", rate), ("floor", floor)):
        if array.shape not in ((), (d,)):
            raise ValueError(
                f"scale_hyperprior: expected one {name} or {d} of them to go with {d} prior "
                f"means, got shape {array.shape}"
            )
    in_range = 0 < shape < np.inf and np.all((rate > 0) & (rate < np.inf))
    if not (in_range and np.all((floor >= 0) & (floor < np.inf))):
        raise ValueError(
            "scale_hyperprior: expected shape and rate above 0 and a floor of at least 0, all "
            f"finite, got {values!r}"
        )
    if floor.any():
        from scipy.special import gammaincc

        if not np.all(gammaincc(shape, rate * floor) > 0):
            raise ValueError(
                "scale_hyperprior: expected a floor that the gamma distribution exceeds now and "
                f"then, got {values!r}; lower the floor or the rate"
            )
    rates, floors = (
        _plain(np.broadcast_to(a, d), "scale_hyperprior", max_ndim=1) for a in (rate, floor)
    )
    return GammaScale(shape, rates, floors)


def _short(values: Any) -> str:
    return np.array2string(np.asarray(values), precision=4, separator=", ", threshold=16)


def _plain(values: ArrayLike, name: str, *, max_ndim: int) -> Any:
    """Finite numbers as a float or nested tuples: hashable, comparable, printable."""
    array = np.asarray(values, dtype=float)
    if array.ndim > max_ndim:
        raise ValueError(f"{name}: expected at most {max_ndim} dimension(s), got {array.ndim}")
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name}: expected finite numbers, got {values!r}")
    if array.ndim == 0:
        return float(array)
    return tuple(_plain(row, name, max_ndim=max_ndim - 1) for row in array)
