"""How many clusters: every way of asking, one after the other, as far as time allows."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from bayesmix.component_counts import BetaNegativeBinomial
from bayesmix.data_priors import weakly_informative
from bayesmix.finite_mixtures import MixtureOfFiniteMixtures
from bayesmix.grid import numbers_of
from bayesmix.inputs import as_generator, as_table, require_count, require_varying
from bayesmix.k_search import Asked, Search
from bayesmix.mixture import CovarianceType
from bayesmix.prior_choice import thin_for
from bayesmix.priors import ComponentPrior
from bayesmix.scalar_priors import require_positive

if TYPE_CHECKING:
    from bayesmix.inputs import RandomSeed
    from bayesmix.k_choice import KChoice

__all__ = ["choose_k"]

_FEWEST, _FEWEST_EACH = 100, 8  # draws of all chains, of each
_WORK = 2_000_000  # draws of a chain times rows, by default


def choose_k(
    x: Any,
    k: Iterable[int] = range(1, 9),
    *,
    weights: MixtureOfFiniteMixtures | None = None,
    components: ComponentPrior | None = None,
    covariance_type: CovarianceType | Iterable[CovarianceType] = "full",
    draws: int | None = None,
    thin: int | None = None,
    chains: int = 4,
    target_se: float = 0.05,
    seconds: float | None = None,
    random_seed: RandomSeed = None,
    progressbar: bool = True,
) -> KChoice:
    r"""Ask the data how many clusters there are.

    The answer is the posterior of the number of clusters K₊, the components that have rows, under a
    mixture of finite mixtures (Miller & Harrison 2018): the number of components K has a prior,
    and given K the weights are Dirichlet(α, ..., α). Beside it stand the same under a sparse finite
    mixture and a Dirichlet process; for every K in ``k`` the evidence p(x | K) under the same
    component prior and concentration, see `evidence`, and the expected log predictive density of a
    new row, see `loo`; and for contrast BIC, ICL and AIC of EM's best optimum, see `fit_grid`.

    Stages follow each other: a first answer from a quarter of the draws, the criteria, the
    evidence, the whole posterior, predictions, the other priors; then what is not exact enough is
    refined, the posterior first. Ctrl-C, or the end of the time, ends that, and what is done is
    returned.

    None of it is free of assumptions. A cluster is what one Gaussian makes: where clusters have
    heavier tails or other shapes, more rows find more components, whatever the criterion (Cai,
    Campbell & Broderick 2021). The wider the component prior, the fewer clusters; see
    `sensitivity`. Under a Dirichlet process of fixed concentration the number of clusters grows
    with n whatever the truth (Miller & Harrison 2014).

    Parameters
    ----------
    x : (n, D) array_like or DataFrame
        The data, used as they are.
    k : iterable of int, default range(1, 9)
        Numbers of components for evidence, predictions and EM. The posterior is not bound to them.
    weights : MixtureOfFiniteMixtures, optional
        Prior on K and on the weights; default ``MixtureOfFiniteMixtures(
        BetaNegativeBinomial(1, 4, 3), 1.0)``: K has the mean 2 (Frühwirth-Schnatter et al. 2021),
        weights are uniform on the simplex.
    components : NormalInverseWishart or IndependentNormalInverseWishart, optional
        Prior on the components; default `weakly_informative`.
    covariance_type : {"full", "tied", "diag", "spherical"} or several of them, default "full"
        Of several, all as likely before, the one of the largest evidence (numbers of components
        weighed by their prior) is chosen first.
    draws : int, optional
        Draws kept per chain; default 1000, of more than 2,000 rows fewer, at least 100.
    thin : int, optional
        Sweeps per draw of the posterior of K₊: clusters come and go slowly. Default 20 up to 1,000
        rows, less for more rows, 1 from 20,000 on.
    chains : int, default 4
        Started far apart.
    target_se : float, default 0.05
        Standard error, nats, to which each evidence is refined.
    seconds : float, optional
        Time budget: after the first answer no stage begins that would not end within it, if it
        takes what the last of its kind took. A few give the first answer alone. By default stages
        end with at most three rounds of refinement of the posterior and two of the evidence; with a
        budget at most four of both, and what is refined depends on the machine.
    random_seed : int, SeedSequence or Generator, optional
    progressbar : bool, default True
        The first answer is printed above it.

    Returns
    -------
    KChoice

    Raises
    ------
    ValueError
        If k is not whole numbers of at least 1, or the data cannot carry the fit.
    KeyboardInterrupt
        If interrupted before the first answer.

    References
    ----------
    J. W. Miller and M. T. Harrison, "Inconsistency of Pitman-Yor Process Mixtures for the Number of
    Components", JMLR 15, 2014; "Mixture Models with a Prior on the Number of Components", JASA
    113, 2018.

    S. Frühwirth-Schnatter, G. Malsiner-Walli and B. Grün, "Generalized Mixtures of Finite Mixtures
    and Telescoping Sampling", Bayesian Analysis 16, 2021.

    D. Cai, T. Campbell and T. Broderick, "Finite Mixture Models Do Not Reliably Learn the Number of
    Components", ICML 2021.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("galaxy")
    >>> choice = bm.choose_k(x, random_seed=1)  # doctest: +SKIP
    >>> choice.table[["p_n_clusters", "log_evidence", "elpd", "bic"]]  # doctest: +SKIP
    """
    numbers, structures = numbers_of(k, "k"), _structures(covariance_type)
    table = as_table(x)
    require_varying(table, "clusters need rows that differ")
    weights = _weights(weights)
    require_positive(target_se, "target_se")
    require_count(chains, "chains")
    n = len(table.values)
    if seconds is not None:
        require_positive(seconds, "seconds")
    if draws is None:
        draws = max(100, min(1000, _WORK // n))
    require_count(draws, "draws")
    if draws * chains < _FEWEST or draws < _FEWEST_EACH:
        raise ValueError(
            f"draws: expected at least {max(_FEWEST_EACH, -(-_FEWEST // chains))} beside {chains} "
            f"chain(s), as evidence and predictions take {_FEWEST} in all, got {draws}"
        )
    asked = Asked(
        table,
        numbers,
        structures,
        weights,
        weakly_informative(table) if components is None else components,
        draws,
        thin_for(n) if thin is None else thin,
        chains,
        target_se,
    )
    deadline = time.perf_counter() + (np.inf if seconds is None else seconds)
    search = Search(asked, as_generator(random_seed), deadline, structures[0])
    with warnings.catch_warnings():
        from sklearn.exceptions import ConvergenceWarning

        warnings.simplefilter("ignore", ConvergenceWarning)  # told in the recommendation
        return search.run(progressbar)


def _structures(given: CovarianceType | Iterable[CovarianceType]) -> list[CovarianceType]:
    """Check covariance structures: one, or several without repeats."""
    known = get_args(CovarianceType)
    found: list[Any] = (
        [given] if isinstance(given, str) or not isinstance(given, Iterable) else [*given]
    )
    if not found or any(one not in known for one in found):
        raise ValueError(f"covariance_type: expected one or more of {known}, got {given!r}")
    return list(dict.fromkeys(found))


def _weights(given: MixtureOfFiniteMixtures | None) -> MixtureOfFiniteMixtures:
    if given is None:
        return MixtureOfFiniteMixtures(BetaNegativeBinomial(1, 4, 3), 1.0)
    if not isinstance(given, MixtureOfFiniteMixtures):
        raise TypeError(
            f"weights: expected a MixtureOfFiniteMixtures, got {type(given).__name__}; other "
            "priors compare by compare_priors"
        )
    return given
