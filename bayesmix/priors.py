"""Priors as frozen values of plain numbers: what is believed before the data.

Nothing here is evaluated; densities live beside the definitions that use them (`component_prior`,
`covariance.Structure.log_prior_covariances`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bayesmix.elicitation import clusters_of_components, dirichlet_concentration
from bayesmix.html.model import prior_html
from bayesmix.inputs import require_count
from bayesmix.prior_values import (
    GammaScale,
    center_of,
    dof_of,
    gamma_scale,
    plain,
    positive_definite,
    short,
)
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
        values = plain(self.concentration, "concentration", max_ndim=1)
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
        center = center_of(mean)
        d = len(center)
        if not 0 < float(mean_precision) < np.inf:
            raise ValueError(f"mean_precision: expected a number above 0, got {mean_precision}")
        scale = positive_definite(covariance_scale, d, "covariance_scale")
        object.__setattr__(self, "mean", center)
        object.__setattr__(self, "mean_precision", float(mean_precision))
        object.__setattr__(self, "dof", dof_of(dof, d))
        object.__setattr__(self, "covariance_scale", scale)

    @property
    def n_features(self) -> int:
        """Number of features D."""
        return len(self.mean)

    def __repr__(self) -> str:
        return (
            f"NormalInverseWishart(mean={short(self.mean)}, "
            f"mean_precision={self.mean_precision:g}, dof={self.dof:g}, "
            f"covariance_scale={short(self.covariance_scale)})"
        )

    def _repr_html_(self) -> str:
        return prior_html(self)


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
        center = center_of(mean)
        d = len(center)
        if (covariance_scale is None) == (scale_hyperprior is None):
            raise ValueError(
                "covariance_scale, scale_hyperprior: expected exactly one of them, got "
                f"{'neither' if covariance_scale is None else 'both'}; give covariance_scale=S, "
                "or scale_hyperprior=(shape, rate, floor)"
            )
        scale = hyperprior = None
        if covariance_scale is not None:
            scale = positive_definite(covariance_scale, d, "covariance_scale")
        if scale_hyperprior is not None:
            hyperprior = gamma_scale(scale_hyperprior, d)
        spread = positive_definite(mean_covariance, d, "mean_covariance")
        object.__setattr__(self, "mean", center)
        object.__setattr__(self, "mean_covariance", spread)
        object.__setattr__(self, "dof", dof_of(dof, d))
        object.__setattr__(self, "covariance_scale", scale)
        object.__setattr__(self, "scale_hyperprior", hyperprior)

    @property
    def n_features(self) -> int:
        """Number of features D."""
        return len(self.mean)

    def __repr__(self) -> str:
        if self.scale_hyperprior is None:
            scale = f"covariance_scale={short(self.covariance_scale)}"
        else:
            shape, rate, floor = self.scale_hyperprior
            scale = f"scale_hyperprior=({shape:g}, {short(rate)}, {short(floor)})"
        return (
            f"IndependentNormalInverseWishart(mean={short(self.mean)}, "
            f"mean_covariance={short(self.mean_covariance)}, dof={self.dof:g}, {scale})"
        )

    def _repr_html_(self) -> str:
        return prior_html(self)


ComponentPrior = NormalInverseWishart | IndependentNormalInverseWishart
