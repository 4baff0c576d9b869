r"""Stick-breaking priors on the weights: the Dirichlet process and the Pitman-Yor process.

A stick of length one is broken again and again, :math:`w_k = v_k \prod_{l<k} (1 - v_l)` with

.. math:: v_k \sim \mathrm{Beta}(1 - d,\ \alpha + k d), \qquad k = 1, 2, \ldots

A truncation at T takes the rest of the stick as the last piece, :math:`v_T = 1`: exactly T
components. Their weights are not exchangeable, since pieces tend to get smaller.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from bayesmix.elicitation import clusters_of_sticks, stick_concentration
from bayesmix.finite_mixtures import MixtureOfFiniteMixtures
from bayesmix.html.model import prior_html
from bayesmix.inputs import require_count
from bayesmix.priors import Dirichlet
from bayesmix.scalar_priors import Beta, Gamma, require_positive

__all__ = ["DirichletProcess", "PitmanYor", "StickPrior", "Sticks", "WeightPrior"]


class Sticks(NamedTuple):
    """Parameters of v_k ~ Beta(a_k, b_k), k = 1, ..., T - 1."""

    a: Any
    b: Any


class _StickBreaking:
    """What both processes have in common."""

    concentration: float | Gamma
    truncation: int | None
    exchangeable: ClassVar[bool] = False
    """Pieces are broken off one after another: their places are not alike."""

    @property
    def n_components(self) -> int | None:
        """Number of components T, or None for the infinite process."""
        return self.truncation

    @property
    def varying(self) -> bool:
        """Whether the number of components is not fixed."""
        return self.truncation is None

    @property
    def random_concentration(self) -> Gamma | None:
        """Prior of the concentration, or None where it is stated."""
        return self.concentration if isinstance(self.concentration, Gamma) else None

    def expected_clusters(self, n: int) -> float:
        """Prior mean of the number of clusters, the components that have rows, among n rows.

        Raises
        ------
        ValueError
            If the stick is truncated; `prior_n_clusters` sums that up.

        Examples
        --------
        >>> import bayesmix as bm
        >>> bm.DirichletProcess(1.0).expected_clusters(4)  # 1 + 1/2 + 1/3 + 1/4
        2.083333333333333
        """
        require_count(n, "n")
        if not self.varying:
            raise ValueError(
                f"truncation: expected None, got {self.truncation}; use prior_n_clusters"
            )
        discount = self.discount  # type: ignore[attr-defined]  # each process has one
        return clusters_of_sticks(n, self.concentration, discount)

    def stick_parameters(self, concentration: Any, discount: Any) -> Sticks:
        r"""Parameters of the sticks given concentration and discount.

        Parameters
        ----------
        concentration, discount : number, or (..., 1) array or tensor
            Whatever broadcasts against (T - 1,); for a Dirichlet process the discount is 0.

        Returns
        -------
        Sticks
            :math:`a_k = 1 - d` and :math:`b_k = \alpha + k d`, (..., T - 1).

        Raises
        ------
        ValueError
            If the process is infinite.
        """
        if self.truncation is None:
            raise ValueError(
                f"truncation: expected a number of components, got None in {self}, which has "
                "infinitely many sticks; give truncation=T"
            )
        k = np.arange(1.0, self.truncation)
        return Sticks(1 - discount + 0 * k, concentration + discount * k)

    def _repr_html_(self) -> str:
        return prior_html(self)

    def _check(self) -> None:
        if not isinstance(self.concentration, Gamma):
            value = require_positive(self.concentration, "concentration", or_prior="a Gamma")
            object.__setattr__(self, "concentration", value)
        if self.truncation is not None:
            require_count(self.truncation, "truncation")
            object.__setattr__(self, "truncation", int(self.truncation))


@dataclass(frozen=True)
class DirichletProcess(_StickBreaking):
    r"""Dirichlet process prior on the weights of infinitely many components, or of T.

    :math:`v_k \sim \mathrm{Beta}(1, \alpha)`. Among n rows about :math:`\alpha \log(1 + n/\alpha)`
    components are occupied.

    Parameters
    ----------
    concentration : float or Gamma, default Gamma(2, 4)
        :math:`\alpha > 0`, or its prior.
    truncation : int, optional
        Number of components T. None is the infinite process; engines that cannot sample it take
        the smallest T that the rows hardly tell from it (`Mixture.truncated`).

    References
    ----------
    H. Ishwaran and L. F. James, "Gibbs Sampling Methods for Stick-Breaking Priors", JASA 96, 2001.

    Examples
    --------
    >>> import bayesmix as bm
    >>> bm.DirichletProcess(2.0, truncation=4).stick_parameters(2.0, 0.0).b
    array([2., 2., 2.])
    """

    concentration: float | Gamma = field(default=Gamma(2.0, 4.0))
    truncation: int | None = None
    discount: ClassVar[float] = 0.0
    """That of the Pitman-Yor process which this one is."""
    random_discount: ClassVar[None] = None

    def __post_init__(self) -> None:
        self._check()

    @classmethod
    def from_expected_clusters(
        cls, n: int, expected: float, *, shape: float | None = 2.0
    ) -> DirichletProcess:
        r"""Return the process that expects so many clusters among n rows.

        The concentration has a Gamma prior whose rate is solved for, as Escobar and West (1995)
        make it random, so that :math:`E[K_+] = E[\sum_{i<n} \alpha/(\alpha + i)]` is as expected.
        With a stated concentration the number of clusters is nearly Poisson, its standard deviation
        below the square root of its mean: most priors mean to say less. Nor does it then settle on
        the number of components as rows come in (Miller and Harrison, 2014).

        Parameters
        ----------
        n : int
            Number of rows.
        expected : float
            Prior mean of the number of clusters, above 1 and below n.
        shape : float or None, default 2.0
            Of the Gamma prior, the smaller the vaguer; None states the concentration.

        Raises
        ------
        ValueError
            If the number of clusters is out of reach.

        References
        ----------
        M. D. Escobar and M. West, "Bayesian Density Estimation and Inference Using Mixtures", JASA
        90, 1995.

        J. W. Miller and M. T. Harrison, "Inconsistency of Pitman-Yor Process Mixtures for the
        Number of Components", JMLR 15, 2014.

        Examples
        --------
        >>> import bayesmix as bm
        >>> import numpy as np
        >>> weights = bm.DirichletProcess.from_expected_clusters(272, 4)
        >>> weights.concentration.shape, round(weights.concentration.rate, 3)
        (2.0, 3.563)
        >>> float((bm.prior_n_clusters(weights, 272) * np.arange(1, 273)).sum().round(5))
        4.0
        """
        return cls(stick_concentration(n, expected, 0.0, shape))


@dataclass(frozen=True)
class PitmanYor(_StickBreaking):
    r"""Pitman-Yor process prior on the weights of infinitely many components, or of T.

    :math:`v_k \sim \mathrm{Beta}(1 - d, \alpha + k d)`. With a discount d > 0 the sizes of clusters
    fall like a power, and their number grows like :math:`n^d`; the sticks that a truncation needs
    grow like a power too.

    Parameters
    ----------
    concentration : float or Gamma
        :math:`\alpha > 0`, or its prior.
    discount : float or Beta
        d in [0, 1), or its prior; 0 is the Dirichlet process.
    truncation : int, optional
        Number of components T; None is the infinite process.

    References
    ----------
    J. Pitman and M. Yor, "The Two-Parameter Poisson-Dirichlet Distribution Derived from a Stable
    Subordinator", Annals of Probability 25, 1997.

    Examples
    --------
    >>> import bayesmix as bm
    >>> bm.PitmanYor(1.0, 0.25, truncation=4).stick_parameters(1.0, 0.25)
    Sticks(a=array([0.75, 0.75, 0.75]), b=array([1.25, 1.5 , 1.75]))
    """

    concentration: float | Gamma
    discount: float | Beta
    truncation: int | None = None

    def __post_init__(self) -> None:
        self._check()
        if isinstance(self.discount, Beta):
            return
        try:
            value = float(self.discount)
        except (TypeError, ValueError):
            value = np.nan
        if not 0 <= value < 1:
            raise ValueError(
                f"discount: expected a number of at least 0 and below 1, or a Beta, got "
                f"{self.discount!r}"
            )
        object.__setattr__(self, "discount", value)

    @classmethod
    def from_expected_clusters(
        cls, n: int, expected: float, discount: float | Beta, *, shape: float | None = 2.0
    ) -> PitmanYor:
        r"""Return the process of a given discount that expects so many clusters among n rows.

        The concentration has a Gamma prior whose rate is solved for, as in
        `DirichletProcess.from_expected_clusters`. The discount alone makes for about
        :math:`n^d/\Gamma(1 + d)` clusters: fewer are out of reach.

        Parameters
        ----------
        n : int
            Number of rows.
        expected : float
            Prior mean of the number of clusters.
        discount : float or Beta
            d, or its prior.
        shape : float or None, default 2.0
            Of the Gamma prior, the smaller the vaguer; None states the concentration.

        Raises
        ------
        ValueError
            If the number of clusters is out of reach.

        References
        ----------
        J. Pitman, "Combinatorial Stochastic Processes", Springer 2006, section 3.3.

        Examples
        --------
        >>> import bayesmix as bm
        >>> weights = bm.PitmanYor.from_expected_clusters(100, 12, 0.25, shape=None)
        >>> round(weights.concentration, 3), weights.discount
        (1.422, 0.25)
        """
        like = cls(1.0, discount)
        return replace(like, concentration=stick_concentration(n, expected, like.discount, shape))

    @property
    def random_discount(self) -> Beta | None:
        """Prior of the discount, or None where it is stated."""
        return self.discount if isinstance(self.discount, Beta) else None


StickPrior = DirichletProcess | PitmanYor
WeightPrior = Dirichlet | DirichletProcess | PitmanYor | MixtureOfFiniteMixtures
