"""What a prior on the weights says about the number of clusters K+, before any data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayesmix.inputs import require_count
from bayesmix.prior_clusters_partitions import n_clusters_of_partitions
from bayesmix.prior_clusters_sticks import n_clusters_of_sticks
from bayesmix.priors import Dirichlet
from bayesmix.stick_priors import DirichletProcess, PitmanYor, WeightPrior

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["prior_n_clusters"]


def prior_n_clusters(weights: WeightPrior, n: int) -> Floats:
    r"""Compute the prior probabilities of the number of clusters K+ among n rows.

    The clusters are the components that have rows. K+ is a Markov chain over the rows: with k
    clusters among i rows the next row founds one with probability

    .. math:: \frac{\theta + k d}{\theta + i},

    for a Pitman-Yor process of concentration :math:`\theta` and discount d, a Dirichlet process
    (d = 0), and K components of concentration a, where :math:`d = -a` and :math:`\theta = K a`.
    What is random of K, concentration and discount is summed out. A truncated stick is another
    law, added up piece by piece.

    Parameters
    ----------
    weights : Dirichlet, DirichletProcess, PitmanYor or MixtureOfFiniteMixtures
        A Dirichlet with the same concentration for every component, a number or a `Gamma`.
    n : int
        Number of rows: 100,000 take seconds; where concentration or discount are random a minute
        if they are to be told finely (hundreds of clusters, a discount next to 0 or 1), minutes if
        K has a heavy tail as well; with a truncation as many as the sums are done with in seconds.

    Returns
    -------
    (K,) ndarray
        P(K+ = k) for k = 1, ..., K; where the number of components is not fixed, for k = 1, ..., n.
        Accurate to 1e-9, and to 1e-8 where n or the concentration exceed 100,000. Zero beyond 64
        or 1,024 clusters where all but about 1e-9 is within.

    Raises
    ------
    ValueError
        If the components of a Dirichlet have different concentrations, or n is too large for a
        truncated stick.

    References
    ----------
    S. Frühwirth-Schnatter and G. Malsiner-Walli, "From Here to Infinity: Sparse Finite versus
    Dirichlet Process Mixtures in Model-Based Clustering", ADAC 13, 2019.
    A. Gnedin and J. Pitman, "Exchangeable Gibbs Partitions and Stirling Triangles", Journal of
    Mathematical Sciences 138, 2006.

    Examples
    --------
    >>> import bayesmix as bm
    >>> bm.prior_n_clusters(bm.Dirichlet(3), 4).round(3)
    array([0.2, 0.6, 0.2])
    >>> bm.prior_n_clusters(bm.DirichletProcess(1.0), 4).round(3)
    array([0.25 , 0.458, 0.25 , 0.042])
    >>> bm.prior_n_clusters(bm.MixtureOfFiniteMixtures(bm.UniformK(1, 3)), 4).round(3)
    array([0.533, 0.4  , 0.067, 0.   ])
    """
    if not isinstance(weights, WeightPrior):
        raise TypeError(
            f"weights: expected a prior such as Dirichlet(2), got {type(weights).__name__}"
        )
    require_count(n, "n")
    if isinstance(weights, DirichletProcess | PitmanYor) and not weights.varying:
        return n_clusters_of_sticks(weights, int(n))
    if isinstance(weights, Dirichlet) and not weights.exchangeable:
        raise ValueError(
            "weights: expected the same concentration for every component, got "
            f"{weights.concentration!r}; average over draws of the weights instead"
        )
    return n_clusters_of_partitions(weights, int(n))
