"""How many clusters: their posterior, and a table that sets it beside what EM's criteria say."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.cluster_counts import n_clusters, r_hat_of
from bayesmix.data_priors import weakly_informative
from bayesmix.diagnostics import CHECKABLE, DIFFERENT_MODES, RHAT_LIMIT
from bayesmix.grid import fit_grid, numbers_of
from bayesmix.inputs import Table, as_generator, as_table, require_varying
from bayesmix.label_draws import occupied
from bayesmix.mixture import CovarianceType, Mixture
from bayesmix.prior_clusters import prior_n_clusters
from bayesmix.priors import ComponentPrior, Dirichlet
from bayesmix.sampling import sample
from bayesmix.scalar_priors import Gamma

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.inputs import RandomSeed

    Floats = NDArray[np.float64]

__all__ = ["KChoice", "choose_k"]

TABLE_COLUMNS = (
    *("p_n_components", "p_n_clusters", "p_n_clusters_mcse", "p_n_clusters_prior"),
    *("log_evidence", "log_evidence_se", "elpd", "elpd_se", "bic", "icl", "aic"),
)
_CRITERIA = ("bic", "icl", "aic")
_STATUS = {"unconfirmed": "converged", "too few rows": "more components than rows"}
_TOUCHES = 0.05  # probability of as many clusters as components above which K was too small


@dataclass(frozen=True, eq=False, repr=False)
class KChoice:
    """What is known about the number of clusters; made by `choose_k`."""

    table: pd.DataFrame
    """Index ``n_components`` = 1, ..., max(k). ``p_n_clusters`` is the posterior probability that
    there are so many clusters, with ``p_n_clusters_mcse`` (see `n_clusters`) and
    ``p_n_clusters_prior`` beside it. ``bic``, ``icl`` and ``aic`` are those of EM's maximum
    likelihood with so many components, low is good; NaN where EM found no genuine optimum.
    ``p_n_components``, ``log_evidence``, ``log_evidence_se``, ``elpd`` and ``elpd_se`` are not
    computed yet: NaN."""
    recommendation: str
    """The answer, and what speaks against trusting it, in words."""
    mixture: Mixture
    """The model of the posterior, with all its priors."""
    post: xr.DataTree
    """Draws of that model, without labels."""
    r_hat: float
    """Of the number of clusters; NaN where it never changed."""
    em_status: dict[int, str]
    """How EM ended for each number of components: "converged", or why there are no criteria."""

    def plot(self) -> NDArray[np.object_]:
        """Draw the posterior and the prior of the number of clusters, and EM's criteria.

        Returns
        -------
        ndarray of matplotlib Axes, shape (2,)
        """
        from bayesmix.plots import choice

        return choice(self)

    def __repr__(self) -> str:
        return f"KChoice({self.recommendation!r})"

    def _repr_html_(self) -> str:
        from html import escape

        shown = self.table.dropna(axis="columns", how="all")
        table = shown.to_html(float_format="{:.4g}".format, na_rep="–")
        return f"<p>{escape(self.recommendation)}</p>{table}"


def choose_k(
    x: Any,
    k: Iterable[int] = range(1, 9),
    *,
    components: ComponentPrior | None = None,
    covariance_type: CovarianceType = "full",
    draws: int = 1000,
    thin: int | None = None,
    chains: int = 4,
    random_seed: RandomSeed = None,
    progressbar: bool = True,
) -> KChoice:
    r"""Ask the data how many clusters there are.

    A sparse finite mixture (Malsiner-Walli et al. 2016) of K = max(k) components leaves those it
    does not need without rows; the posterior of how many have rows is the answer. Beside it stand
    BIC, ICL and AIC of EM's best optimum for each number of components, see `fit_grid`.

    The weights have the prior Dirichlet(a, ..., a) with :math:`a \sim \mathrm{Gamma}(2, 4K)`.
    For many components that is a Dirichlet process whose concentration K a has the prior
    Gamma(2, 4) of Escobar & West (1995); Frühwirth-Schnatter & Malsiner-Walli (2019) match the
    two classes so. It leaves the number of clusters open: for 272 rows and K = 8 the prior
    probabilities of 1 to 5 clusters are 0.19, 0.26, 0.23, 0.17, 0.10. Sparser ones, such as
    Gamma(1, 200), put 0.82 on a single cluster. The prior is in the table, to be judged with it.

    Parameters
    ----------
    x : (n, D) array_like or DataFrame
        The data, used as they are.
    k : iterable of int, default range(1, 9)
        Numbers of components for EM. The largest is the most clusters that the posterior can
        have.
    components : NormalInverseWishart or IndependentNormalInverseWishart, optional
        Prior on the components; default `weakly_informative`. The wider it is, the fewer clusters
        the posterior has.
    covariance_type : {"full", "tied", "diag", "spherical"}, default "full"
    draws : int, default 1000
        Draws kept per chain.
    thin : int, optional
        Sweeps per draw kept: clusters come and go slowly. Default 20 up to 1,000 rows, less for
        more rows, 1 from 20,000 on.
    chains : int, default 4
        Started far apart: at optima of EM, in one cluster, in many.
    random_seed : int, SeedSequence or Generator, optional
    progressbar : bool, default True

    Returns
    -------
    KChoice

    Raises
    ------
    ValueError
        If k is not whole numbers of at least 1, or the data cannot carry the fit.

    References
    ----------
    M. D. Escobar and M. West, "Bayesian Density Estimation and Inference Using Mixtures", JASA 90,
    1995.

    G. Malsiner-Walli, S. Frühwirth-Schnatter and B. Grün, "Model-Based Clustering Based on Sparse
    Finite Gaussian Mixtures", Statistics and Computing 26, 2016.

    S. Frühwirth-Schnatter and G. Malsiner-Walli, "From Here to Infinity: Sparse Finite versus
    Dirichlet Process Mixtures in Model-Based Clustering", ADAC 13, 2019.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("galaxy")
    >>> bm.choose_k(x, random_seed=1).table["p_n_clusters"]  # doctest: +SKIP
    """
    numbers = numbers_of(k, "k")
    table = as_table(x)
    require_varying(table, "clusters need rows that differ")
    prior = weakly_informative(table) if components is None else components
    most = numbers[-1]
    mixture = Mixture(Dirichlet(most, Gamma(2, 4 * most)), prior, covariance_type)
    for_em, for_chains = as_generator(random_seed).spawn(2)
    with warnings.catch_warnings():
        from sklearn.exceptions import ConvergenceWarning

        warnings.simplefilter("ignore", ConvergenceWarning)  # told in the recommendation
        criteria = _criteria(table, numbers, covariance_type, for_em)
        post = sample(
            mixture,
            table,
            sampler="gibbs",
            draws=draws,
            thin=max(1, min(20, 20_000 // len(table.values))) if thin is None else thin,
            chains=chains,
            store=("parameters",),
            random_seed=for_chains,
            progressbar=progressbar,
        )
    found = _table(post, mixture, len(table.values), criteria)
    ends = zip(numbers, criteria["status"], strict=True)
    em_status = {k: _STATUS.get(status, status) for k, status in ends}
    r_hat = r_hat_of(occupied(post))
    return KChoice(found, _recommend(found, r_hat, em_status), mixture, post, r_hat, em_status)


def _criteria(
    table: Table, numbers: list[int], covariance_type: CovarianceType, rng: np.random.Generator
) -> pd.DataFrame:
    """BIC, ICL and AIC of EM's genuine optima, and how each fit ended, by number of components."""
    return fit_grid(table, numbers, [covariance_type], random_seed=rng).droplevel(0)


def _table(post: xr.DataTree, mixture: Mixture, n: int, criteria: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    found = n_clusters(post)
    table = pd.DataFrame(
        np.nan, index=pd.Index(found.index, name="n_components"), columns=list(TABLE_COLUMNS)
    )
    table["p_n_clusters"] = found["n_clusters"]
    table["p_n_clusters_mcse"] = found["n_clusters_mcse"]
    table["p_n_clusters_prior"] = prior_n_clusters(mixture.weights, n)
    table.loc[criteria.index, list(_CRITERIA)] = criteria[list(_CRITERIA)]
    return table


def _recommend(table: pd.DataFrame, r_hat: float, em_status: dict[int, str]) -> str:
    """Say in words how many clusters, how sure that is, and what BIC says."""
    p, error, prior, bic = (
        table[name].to_numpy(float)
        for name in ("p_n_clusters", "p_n_clusters_mcse", "p_n_clusters_prior", "bic")
    )
    first, second = np.argsort(-p, kind="stable")[:2] if len(p) > 1 else (0, 0)
    unknown = "in every draw" if p[first] == 1 else "Monte Carlo error unknown"
    sure = f"Monte Carlo error {error[first]:.2g}" if np.isfinite(error[first]) else unknown
    said = [
        f"{_clusters(first + 1)}: posterior probability {p[first]:.2f} ({sure}), prior "
        f"{prior[first]:.2f}"
    ]
    if second != first and p[second] >= 0.01:
        said[0] += f"; next {_clusters(second + 1)}, {p[second]:.2f}"
    if r_hat > DIFFERENT_MODES:
        said.append(
            f"Do not trust it yet: the chains disagree (R-hat {r_hat:.2f}); take more draws, or "
            "thin more"
        )
    elif r_hat > RHAT_LIMIT:
        said.append(
            f"The chains have not quite met (R-hat {r_hat:.3f}, above {RHAT_LIMIT}), so that its "
            "error is rough; take more draws, or thin more"
        )
    elif np.isnan(r_hat) and p[first] < 1:
        said.append(
            f"It is not checked: R-hat takes two chains or more, of at least {CHECKABLE} draws"
        )
    if len(p) > 1 and p[-1] >= _TOUCHES:
        said.append(
            f"As many clusters as components, {len(p)}, have probability {p[-1]:.2f}: there may "
            "be more; raise max(k)"
        )
    if np.isfinite(bic).any():
        choice = int(np.nanargmin(bic))
        said.append(f"BIC of EM {'also ' if choice == first else ''}prefers {choice + 1}")
    return ". ".join([*said, *_without_criteria(em_status)]) + "."


def _without_criteria(em_status: dict[int, str]) -> list[str]:
    missing: dict[str, list[str]] = {}
    for k, status in em_status.items():
        if status != "converged":
            missing.setdefault(status, []).append(str(k))
    return [
        f"EM found no genuine optimum for K = {', '.join(numbers)} ({status})"
        for status, numbers in missing.items()
    ]


def _clusters(k: int) -> str:
    return "1 cluster" if k == 1 else f"{k} clusters"
