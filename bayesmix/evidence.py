r"""The evidence log p(x) of a finite mixture, and what two of them say of each other.

Half of the posterior draws build a proposal, to which the other half is bridged: `bridge`. Another
estimator, `stepping_stone`, shares nothing with it but the model.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from bayesmix.bridge.estimate import bridge
from bayesmix.bridge.proposal import Proposal
from bayesmix.bridge.target import log_target
from bayesmix.diagnostics import CHECKABLE, DIFFERENT_MODES
from bayesmix.draws import Draws, data_of, draws_of, evenly
from bayesmix.inputs import as_generator, as_table, require_count
from bayesmix.mixture import require_mixture
from bayesmix.sampling import sample
from bayesmix.scalar_priors import require_positive
from bayesmix.stepping_stone import stepping_stone

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from bayesmix.component_counts import ComponentCount
    from bayesmix.inputs import RandomSeed, Table
    from bayesmix.mixture import Mixture

    Floats = NDArray[np.float64]

__all__ = ["Evidence", "evidence", "p_n_components"]

Method = Literal["bridge", "stepping_stone"]

_FEWEST_LABELINGS = 100
_MOST_LABELINGS = 1000
_MOST_POINTS = 2000  # of the posterior, and as many of the proposal
_MOST_WORK = 2e11  # multiplications and additions, minutes of two processors
_NO_MASS = 20.0  # nats
_TEMPERATURES, _SWEEPS, _REPLICAS = 32, 2000, 2


@dataclass(frozen=True, eq=False, repr=False)
class Evidence:
    """Evidence of a model; made by `evidence`."""

    log_evidence: float
    """log p(x), nats."""
    se: float
    """Its Monte Carlo standard error, nats."""
    method: Method
    mixture: Mixture
    n_rows: int
    warnings: tuple[str, ...] = ()
    """What speaks against trusting it, with a remedy each."""
    log_ratio: Floats | None = None
    """Of bridge sampling: log target less log proposal at the posterior draws, (chain, draw)."""
    log_ratio_proposal: Floats | None = None
    """The same at draws of the proposal, (draw)."""

    def bayes_factor(self, other: Evidence) -> tuple[float, float]:
        """Log Bayes factor in favor of this model, nats, and its Monte Carlo standard error.

        Raises
        ------
        ValueError
            If the other evidence is of another number of rows.
        """
        if self.n_rows != other.n_rows:
            raise ValueError(
                f"other: expected the evidence of the same {self.n_rows} rows, got one of "
                f"{other.n_rows}; models compare on the same data only"
            )
        return self.log_evidence - other.log_evidence, float(np.hypot(self.se, other.se))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the overlap that a bridge rests on: log ratios under either density."""
        from bayesmix.plots import bridged

        return bridged(self, ax)

    def __repr__(self) -> str:
        said = f"log evidence {self.log_evidence:.3f} ± {self.se:.2g} nats, by {self._words}"
        return ". ".join([said, *self.warnings])

    def _repr_html_(self) -> str:
        from html import escape

        return f"<p>{escape(repr(self))}</p>"

    @property
    def _words(self) -> str:
        return {"bridge": "bridge sampling", "stepping_stone": "stepping stones"}[self.method]


def evidence(
    mixture: Mixture,
    x: Any = None,
    *,
    post: xr.DataTree | None = None,
    method: Method = "bridge",
    target_se: float = 0.05,
    draws: int = 1000,
    chains: int = 4,
    random_seed: RandomSeed = None,
    progressbar: bool = True,
) -> Evidence:
    r"""Estimate the evidence :math:`\log p(x)`, the prior's average of the likelihood.

    Bridge sampling (Meng & Wong 1996) between the posterior and a proposal in closed form: the mean
    over some draws' labels of the law that the next Gibbs step would draw from. Where the weights
    are exchangeable it is summed over all K! names of the components, as the permanent of a K by K
    matrix, so that it does not matter whether the chains switch labels. A random covariance
    scale, concentration and discount are integrated out of the target.

    Parameters
    ----------
    mixture : Mixture
        With a component prior and a fixed number of components; truncated sticks too.
    x : (n, D) array_like or DataFrame, optional
        By default the rows of ``post``.
    post : DataTree, optional
        Draws of this mixture's posterior on these rows, by any sampler; by default Gibbs sampling.
        The first half of every chain builds the proposal.
    method : {"bridge", "stepping_stone"}, default "bridge"
        Stepping stones (Xie et al. 2011) temper the density of the rows given their labels and the
        parameters. They are slower and share no arithmetic with the bridge: a second opinion.
    target_se : float, default 0.05
        Nats. The proposal's 100 labelings are doubled up to 1,000 until the error is reached.
    draws, chains : int, default 1000 and 4
        Of the posterior, if ``post`` is not given.
    random_seed : int, SeedSequence or Generator, optional
    progressbar : bool, default True

    Returns
    -------
    Evidence

    Raises
    ------
    ValueError
        If the number of components varies, there are no draws to split, or the sum over names of
        the components is out of reach (more than about 14 components that all have rows).

    References
    ----------
    X.-L. Meng and W. H. Wong, "Simulating Ratios of Normalizing Constants via a Simple Identity: A
    Theoretical Exploration", Statistica Sinica 6, 1996.
    S. Frühwirth-Schnatter, "Estimating Marginal Likelihoods for Mixture and Markov Switching Models
    Using Bridge Sampling Techniques", Econometrics Journal 7, 2004.
    W. Xie, P. O. Lewis, Y. Fan, L. Kuo and M.-H. Chen, "Improving Marginal Likelihood Estimation
    for Bayesian Phylogenetic Model Selection", Systematic Biology 60, 2011.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> prior = bm.weakly_informative(x)
    >>> two, three = (
    ...     bm.evidence(bm.Mixture(bm.Dirichlet(k), prior), x, random_seed=1, progressbar=False)
    ...     for k in (2, 3)
    ... )
    >>> log_bayes_factor, se = three.bayes_factor(two)
    """
    _require_finite_mixture(mixture)
    if method not in get_args(Method):
        raise ValueError(f"method: expected one of {get_args(Method)}, got {method!r}")
    require_positive(target_se, "target_se")
    require_count(draws, "draws")
    require_count(chains, "chains")
    table = _rows(x, post)
    mixture.require_features(len(table.features))
    for_sampling, for_proposal = as_generator(random_seed).spawn(2)
    if method == "stepping_stone":
        return _by_stepping_stones(mixture, table, for_sampling, progressbar)
    if post is None:
        post = _sampled(mixture, table, draws, chains, for_sampling, progressbar)
    return _bridged(mixture, table, post, target_se, for_proposal)


def p_n_components(
    evidences: Mapping[int, Evidence], prior: ComponentCount | None = None
) -> pd.DataFrame:
    r"""Posterior probabilities of the number of components, from the evidence of each.

    .. math:: P(K \mid x) \propto p(x \mid K)\, p(K),

    among the numbers given. Under the same component prior and the same concentration it is that
    of a `MixtureOfFiniteMixtures`, whose K counts components without rows too.

    Parameters
    ----------
    evidences : mapping of int to Evidence
    prior : ComponentCount, optional
        Prior on K, by default all as likely.

    Returns
    -------
    DataFrame
        Index ``n_components``; ``p``, and ``p_se`` to first order in the evidences' errors.

    Examples
    --------
    >>> import bayesmix as bm
    >>> found = {k: bm.evidence(mixture_of(k), x) for k in range(1, 6)}  # doctest: +SKIP
    >>> bm.p_n_components(found, bm.BetaNegativeBinomial(1, 4, 3))  # doctest: +SKIP
    """
    import pandas as pd

    numbers = sorted(evidences)
    logs = np.array([evidences[k].log_evidence for k in numbers])
    if prior is not None:
        logs = logs + prior.log_pmf(numbers)
    p = np.exp(logs - logs.max())
    p = p / p.sum()
    variance = np.square([evidences[k].se for k in numbers])
    slopes = np.diag(p) - np.outer(p, p)  # of the probabilities in the log evidences
    se = np.sqrt(np.square(slopes) @ variance)
    index = pd.Index(numbers, name="n_components")
    return pd.DataFrame({"p": p, "p_se": se}, index)


def _require_finite_mixture(mixture: Mixture) -> None:
    require_mixture(mixture, "gibbs")
    if mixture.varying:
        raise ValueError(
            f"mixture: expected a fixed number of components, got {mixture.weights}; take "
            "Dirichlet(K), or truncated sticks; P(K | x) of a MixtureOfFiniteMixtures comes with "
            "sample and n_clusters"
        )


def _rows(x: Any, post: xr.DataTree | None) -> Table:
    if x is not None:
        return as_table(x)
    if post is None:
        raise ValueError("x: expected rows, or post= with its own, got neither")
    return data_of(post)


def _sampled(
    mixture: Mixture,
    table: Table,
    draws: int,
    chains: int,
    generator: np.random.Generator,
    progressbar: bool,
) -> xr.DataTree:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the bridge's own checks tell
        return sample(
            mixture,
            table,
            sampler="gibbs",
            draws=draws,
            chains=chains,
            thin=thinning(len(table.values)),
            random_seed=generator,
            progressbar=progressbar,
            store=("parameters",),
        )


def thinning(n: int) -> int:
    """Sweeps per draw: what a draw costs later is worth more than a few sweeps of n rows."""
    return max(1, min(10, 10_000 // n))


def _by_stepping_stones(
    mixture: Mixture, table: Table, generator: np.random.Generator, progressbar: bool
) -> Evidence:
    from bayesmix.progress import progress

    with progress("stepping stones", _SWEEPS * _REPLICAS, show=progressbar) as report:
        found = stepping_stone(
            mixture,
            table.values,
            temperatures=_NO_MASS = 20.0  # nats
_TEMPERATURES,
            sweeps=_SWEEPS,
            replicas=_REPLICAS,
            generator=generator,
            report=report,
        )
    return Evidence(found.log_evidence, found.se, "stepping_stone", mixture, len(table.values))


def _bridged(
    mixture: Mixture,
    table: Table,
    post: xr.DataTree,
    target_se: float,
    generator: np.random.Generator,
) -> Evidence:
    """Bridge the second half of every chain to labelings of the first, more of them as needed."""
    draws = draws_of(post, mixture)
    first, second = _halves(draws)
    log_at = log_target(mixture, table.values, draws.parameters[second.ravel()])
    kept = _chains_with_mass(log_at.reshape(second.shape), draws, len(table.values))
    told = _of_lost_chains(kept)
    log_at = log_at.reshape(second.shape)[kept].ravel()
    first, second = first[kept], second[kept]
    at = draws.parameters[second.ravel()]
    labelings = _FEWEST_LABELINGS
    while True:
        for_labels, for_points = generator.spawn(2)
        proposal = _proposal(mixture, table, draws, first, labelings, for_labels)
        _require_affordable(proposal, 2 * second.size)
        proposed = proposal.draw(second.size, for_points)
        ratio = (log_at - proposal.log_density(at)).reshape(second.shape)
        ratio_proposal = log_target(mixture, table.values, proposed)
        ratio_proposal = ratio_proposal - proposal.log_density(proposed)
        found = bridge(ratio, ratio_proposal)
        labelings *= 2
        enough = found.se <= target_se or labelings > min(_MOST_LABELINGS, first.size)
        if enough or not _affordable(proposal, 4 * second.size):
            break
    told = _doubts(ratio, found.se, target_se)
    n = len(table.values)
    return Evidence(found.log_evidence, found.se, "bridge", mixture, n, told, ratio, ratio_proposal)


def _halves(draws: Draws) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Places of the draws before and behind the middle of every chain, (chain, draw)."""
    places = draws.by_chain(np.arange(len(draws)))
    n_draws = places.shape[1]
    if n_draws < 2:
        raise ValueError(
            f"post: expected two draws per chain or more, to be split, got {n_draws}; sample more"
        )
    half = n_draws // 2
    kept = evenly(n_draws - half, max(1, _MOST_POINTS // len(places)))
    return places[:, :half], places[:, half:][:, kept]


def _proposal(
    mixture: Mixture,
    table: Table,
    draws: Draws,
    places: NDArray[np.intp],
    labelings: int,
    generator: np.random.Generator,
) -> Proposal:
    """Proposal of labels drawn anew at some draws, spread over the chains."""
    own = places.ravel()[evenly(places.size, labelings)]
    optional = (
        None if values is None else values[own]
        for values in (draws.concentration, draws.discount, draws.covariance_scale)
    )
    return Proposal.of(mixture, table.values, draws.parameters[own], *optional, generator)


def _affordable(proposal: Proposal, n_points: int) -> bool:
    return proposal.work(n_points) <= _MOST_WORK


def _require_affordable(proposal: Proposal, n_points: int) -> None:
    if not _affordable(proposal, n_points):
        raise ValueError(
            f"mixture: expected fewer components that have rows, got a sum over names of the "
            f"components of {proposal.work(n_points):.1e} terms; take a smaller K, or "
            'method="stepping_stone"'
        )


def _doubts(ratio: Floats, se: float, target_se: float) -> tuple[str, ...]:
    """Say where the error is above what was asked for, or chains disagree."""
    found = []
    if se > target_se:
        found.append(
            f"The error is above the {target_se:g} nats asked for: take more draws, or thin more"
        )
    if ratio.shape[1] >= CHECKABLE and len(ratio) > 1 and np.ptp(ratio) > 1e-6:
        from arviz_stats import rhat

        r_hat = float(rhat(ratio))
        if r_hat > DIFFERENT_MODES:
            found.append(
                f"The chains disagree (R-hat {r_hat:.2f}), so that the error is rough: take more "
                "draws, or thin more"
            )
    return tuple(found)
