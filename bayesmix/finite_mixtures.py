r"""Mixtures of finite mixtures: a symmetric Dirichlet whose number of components K is random."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from bayesmix.component_counts import BetaNegativeBinomial, ComponentCount, log_pmf_table
from bayesmix.elicitation import clusters_of_counts, component_count
from bayesmix.html.model import prior_html
from bayesmix.inputs import require_count
from bayesmix.priors import Dirichlet
from bayesmix.scalar_priors import Gamma, require_positive

__all__ = ["MixtureOfFiniteMixtures"]


@dataclass(frozen=True)
class MixtureOfFiniteMixtures:
    r"""Prior on the weights of a random number of components.

    :math:`K \sim p(K)`; given K, :math:`w \sim \mathrm{Dirichlet}_K(\gamma, \ldots, \gamma)` with
    :math:`\gamma = \alpha` (static) or :math:`\gamma = \alpha/K` (dynamic), :math:`\alpha` the
    concentration. K counts components without rows too.

    Parameters
    ----------
    n_components : ShiftedPoisson, BetaNegativeBinomial, Geometric or UniformK
        Prior on K; what little it may put above 100,000 is left out.
    concentration : float or Gamma, default 1.0
        :math:`\alpha > 0`, or its prior.
    dynamic : bool, default False
        Whether components share the concentration: superfluous ones then tend to be empty, as in
        a sparse Dirichlet.

    References
    ----------
    J. W. Miller and M. T. Harrison, "Mixture Models with a Prior on the Number of Components",
    JASA 113, 2018.
    S. Frühwirth-Schnatter, G. Malsiner-Walli and B. Grün, "Generalized Mixtures of Finite Mixtures
    and Telescoping Sampling", Bayesian Analysis 16, 2021.

    Examples
    --------
    >>> import bayesmix as bm
    >>> bm.MixtureOfFiniteMixtures(bm.UniformK(1, 30)).concentration
    1.0
    """

    n_components: ComponentCount
    concentration: float | Gamma = 1.0
    dynamic: bool = False
    varying: ClassVar[bool] = True
    """The number of components is a parameter."""
    exchangeable: ClassVar[bool] = True
    random_discount: ClassVar[None] = None
    """`PitmanYor` has one."""

    def __post_init__(self) -> None:
        if not isinstance(self.n_components, ComponentCount):
            raise TypeError(
                "n_components: expected a prior such as UniformK(1, 30), got "
                f"{self.n_components!r}; for a number of components use Dirichlet"
            )
        log_pmf_table(self.n_components)
        if not isinstance(self.concentration, Gamma):
            value = require_positive(self.concentration, "concentration", or_prior="a Gamma")
            object.__setattr__(self, "concentration", value)
        if not isinstance(self.dynamic, bool):
            raise TypeError(f"dynamic: expected True or False, got {self.dynamic!r}")

    @classmethod
    def from_expected_clusters(
        cls,
        n: int,
        expected: float,
        *,
        concentration: float | Gamma = 1.0,
        dynamic: bool = False,
    ) -> MixtureOfFiniteMixtures:
        r"""Return the mixture of finite mixtures that expects so many clusters among n rows.

        The concentration is as stated; what is solved for is the prior on the number of components,
        of the family that Frühwirth-Schnatter, Malsiner-Walli and Grün (2021) recommend:
        :math:`K - 1 \sim \mathrm{BNB}(1, 4, c)`, with :math:`E[K] = 1 + c/3`. One component stays
        the most probable number and the tail falls like :math:`K^{-4}`, so that no number near the
        expected one is ruled out. E[K+] is below E[K] by the components without rows, few unless
        the concentration is small or shared (Greve et al. 2022).

        Parameters
        ----------
        n : int
            Number of rows.
        expected : float
            Prior mean of the number of clusters, above 1; under a dynamic concentration below that
            of the Dirichlet process of this concentration.
        concentration : float or Gamma, default 1.0
        dynamic : bool, default False

        Raises
        ------
        ValueError
            If the number of clusters is out of reach.

        References
        ----------
        S. Frühwirth-Schnatter, G. Malsiner-Walli and B. Grün, "Generalized Mixtures of Finite
        Mixtures and Telescoping Sampling", Bayesian Analysis 16, 2021.

        J. Greve, B. Grün, G. Malsiner-Walli and S. Frühwirth-Schnatter, "Spying on the Prior of the
        Number of Data Clusters and the Partition Distribution in Bayesian Cluster Analysis",
        Australian & New Zealand Journal of Statistics 64, 2022.

        Examples
        --------
        >>> import bayesmix as bm
        >>> weights = bm.MixtureOfFiniteMixtures.from_expected_clusters(272, 4)
        >>> round(weights.n_components.c, 2)
        9.39
        """
        like = cls(BetaNegativeBinomial(), concentration, dynamic)
        found = component_count(n, expected, like.concentration, dynamic)
        return replace(like, n_components=found)

    def expected_clusters(self, n: int) -> float:
        """Prior mean of the number of clusters, the components that have rows, among n rows.

        Examples
        --------
        >>> import bayesmix as bm
        >>> round(bm.MixtureOfFiniteMixtures(bm.UniformK(1, 3)).expected_clusters(4), 3)
        1.533
        """
        require_count(n, "n")
        return clusters_of_counts(n, self.n_components, self.concentration, self.dynamic)

    def given(self, n_components: int) -> Dirichlet:
        """Prior on the weights given the number of components.

        Parameters
        ----------
        n_components : int
            At least 1.

        Returns
        -------
        Dirichlet
            Of the concentration as stated or, where it is dynamic, of its share alpha / K.

        Raises
        ------
        ValueError
            If the number is not a whole one of at least 1.

        Examples
        --------
        >>> import bayesmix as bm
        >>> bm.MixtureOfFiniteMixtures(bm.UniformK(1, 9), bm.Gamma(2, 4), dynamic=True).given(3)
        Dirichlet(n_components=3, concentration=Gamma(shape=2.0, rate=12.0))
        """
        require_count(n_components, "n_components")
        whole, k = self.concentration, n_components
        if not self.dynamic:
            return Dirichlet(k, whole)
        shared = Gamma(whole.shape, whole.rate * k) if isinstance(whole, Gamma) else whole / k
        return Dirichlet(k, shared)

    @property
    def random_concentration(self) -> Gamma | None:
        """Prior of the concentration, or None where it is stated."""
        return self.concentration if isinstance(self.concentration, Gamma) else None

    def _repr_html_(self) -> str:
        return prior_html(self)
