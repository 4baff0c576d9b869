r"""The evidence log p(x) of a finite mixture.

Half of the posterior draws build a proposal, to which the other half is bridged: `bridge`. Another
estimator, `stepping_stone`, shares nothing with it but the model.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from bayesmix.draws import draws_of
from bayesmix.evidence_bridge import FEWEST_LABELINGS, Crossing
from bayesmix.evidence_inputs import (
    FEWEST_DRAWS,
    fingerprint_of,
    require_finite_mixture,
    require_own,
    rows_of,
)
from bayesmix.evidence_result import Evidence, Method
from bayesmix.fewer_components import one_fewer, step_from_fewer
from bayesmix.inputs import as_generator, require_count
from bayesmix.sampling import sample
from bayesmix.scalar_priors import require_positive
from bayesmix.stepping_stone import stepping_stone

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

    from bayesmix.bridge.estimate import Bridge
    from bayesmix.fewer_components import Step
    from bayesmix.inputs import RandomSeed, Table
    from bayesmix.mixture import Mixture


__all__ = ["evidence", "thinning"]

_APART = 4.0  # standard errors
_FAR = 2.0  # times the error asked for: a bridge that stays so far from it is not built on
_SWEEPS = 3000
_ROUGH = 0.2  # nats that stepping stones come to at no error of theirs


def evidence(
    mixture: Mixture,
    x: Any = None,
    *,
    post: xr.DataTree | None = None,
    fewer: Evidence | None = None,
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

    With more components than the rows need the bridge grows long, and another way short: the
    evidence of one component fewer is a step away, by how often a component is empty (Nobile 2004).
    Where the bridge alone misses ``target_se`` the two are averaged by their precision.

    Parameters
    ----------
    mixture : Mixture
        With a component prior and a fixed number of components; truncated sticks too.
    x : (n, D) array_like or DataFrame, optional
        By default the rows of ``post``.
    post : DataTree, optional
        Draws of this mixture's posterior on these rows, by any sampler; by default Gibbs sampling.
        The first half of every chain builds the proposal. Where one component fewer is of help
        (below) as many draws of that are sampled, without a progress bar. Stepping stones take
        nothing but its rows.
    fewer : Evidence, optional
        Of the same model with one component fewer, to step from; by default it is computed, if it
        is needed.
    method : {"bridge", "stepping_stone"}, default "bridge"
        Stepping stones from the prior to the posterior, on which rows enter one after another, are
        slower and share no estimate with the bridge: a second opinion. Dirichlet weights only. A
        mode that their chains have missed is seen only where the two are compared.
    target_se : float, default 0.05
        Nats. Until it is reached the proposal's 100 labelings are doubled up to 1,000. Stepping
        stones, which are rougher, warn above it and 0.2.
    draws, chains : int, default 1000 and 4
        Of the posterior, if ``post`` is not given; at least 8 draws. Stepping stones make sweeps of
        their own, always as many.
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
    A. Nobile, "On the Posterior Distribution of the Number of Components in a Finite Mixture",
    Annals of Statistics 32, 2004.
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
    require_finite_mixture(mixture)
    if method not in get_args(Method):
        raise ValueError(f"method: expected one of {get_args(Method)}, got {method!r}")
    require_positive(target_se, "target_se")
    _require_draws(draws)
    require_count(chains, "chains")
    table = rows_of(x, post)
    mixture.require_features(len(table.features))
    _require_fewer(fewer, mixture, fingerprint_of(table.values))
    for_sampling, for_proposal, for_fewer = as_generator(random_seed).spawn(3)
    if method == "stepping_stone":
        if fewer is not None:
            raise ValueError(
                "fewer: expected None, as stepping stones take no step from one component fewer, "
                "got an evidence; leave it out"
            )
        return _by_stepping_stones(mixture, table, target_se, for_sampling, progressbar)
    given = post is not None
    if post is None:
        post = _sampled(mixture, table, draws, chains, for_sampling, progressbar)
    require_own(post, mixture)
    n_draws, n_chains = post["posterior"].sizes["draw"], post["posterior"].sizes["chain"]

    def of_fewer() -> Evidence:
        model = one_fewer(mixture)
        assert model is not None  # there is no step from it
        return evidence(
            model,
            table,
            target_se=target_se,
            draws=n_draws,
            chains=n_chains,
            random_seed=for_fewer,
            progressbar=progressbar and not given,
        )

    return _by_bridge(mixture, table, post, target_se, fewer, of_fewer, for_proposal)


def _require_draws(draws: int) -> None:
    require_count(draws, "draws")
    if draws < FEWEST_DRAWS:
        raise ValueError(
            f"draws: expected at least {FEWEST_DRAWS}, which are split, got {draws}; take more"
        )


def _require_fewer(fewer: Evidence | None, mixture: Mixture, data: str) -> None:
    if fewer is None:
        return
    expected = one_fewer(mixture)
    if expected is None:
        raise ValueError(
            f"fewer: expected None, as there is no step to {mixture.weights} from one component "
            "fewer, got an evidence; leave it out"
        )
    if fewer.mixture != expected:
        raise ValueError(
            "fewer: expected the evidence of the same model with one component fewer, got that of "
            f"{fewer.mixture}; leave it out"
        )
    if fewer.data != data:
        raise ValueError("fewer: expected the evidence of the same rows, got others; leave it out")


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
    mixture: Mixture,
    table: Table,
    target_se: float,
    generator: np.random.Generator,
    progressbar: bool,
) -> Evidence:
    from bayesmix.progress import progress

    with progress("stepping stones", _SWEEPS, show=progressbar) as report:
        found = stepping_stone(
            mixture,
            table.values,
            sweeps=_SWEEPS,
            generator=generator,
            report=report,
        )
    told = (*found.doubts, *_missed(found.se, max(target_se, _ROUGH)))
    return Evidence(
        found.log_evidence,
        found.se,
        "stepping_stone",
        mixture,
        len(table.values),
        told,
        data=fingerprint_of(table.values),
    )


def _by_bridge(
    mixture: Mixture,
    table: Table,
    post: xr.DataTree,
    target_se: float,
    fewer: Evidence | None,
    of_fewer: Callable[[], Evidence],
    generator: np.random.Generator,
) -> Evidence:
    """Bridge with more and more labelings, and step from one component fewer, as needed."""
    n = len(table.values)
    crossing = Crossing.of(mixture, table.values, draws_of(post, mixture), generator)
    step = step_from_fewer(mixture, post, n) if one_fewer(mixture) is not None else None
    labelings, told, known = FEWEST_LABELINGS, crossing.doubts, fewer
    while True:
        found = crossing.estimate(labelings)
        log_evidence, se, _ = found.bridge
        apart: tuple[str, ...] = ()
        if step is not None and known is None and se > target_se:
            known = of_fewer()
        if step is not None and known is not None:
            log_evidence, se, apart = _averaged(found.bridge, known, step)
        at_best = crossing.least_error(found.bridge.se, labelings)
        labelings *= 2
        if se <= target_se or not crossing.affords(labelings):
            break
        if step is not None and at_best > _FAR * target_se:
            break
    told += (*apart, *found.doubts, *_missed(se, target_se))
    return Evidence(
        log_evidence,
        se,
        "bridge",
        mixture,
        n,
        told,
        found.bridge.log_evidence,
        found.bridge.se,
        found.log_ratio,
        found.log_ratio_proposal,
        fingerprint_of(table.values),
    )


def _averaged(found: Bridge, fewer: Evidence, step: Step) -> tuple[float, float, tuple[str, ...]]:
    """Average of a bridge and a step by their precision, its error, and whether they disagree.

    As if independent, although they share draws: of errors that go together at all one goes up
    mostly where the other goes down, so that the error is rather too large.
    """
    stepped, se = fewer.log_evidence + step.log_ratio, float(np.hypot(fewer.se, step.se))
    precision = np.array([found.se, se]) ** -2.0
    mean = float(precision @ [found.log_evidence, stepped] / precision.sum())
    apart = abs(found.log_evidence - stepped)
    told: tuple[str, ...] = ()
    if apart > _APART * np.hypot(found.se, se):
        told = (
            f"The bridge and the step from one component fewer are {apart:.2f} nats apart, more "
            "than their errors say: take more draws, or thin more",
        )
    return mean, float(precision.sum() ** -0.5), told


def _missed(se: float, target_se: float) -> tuple[str, ...]:
    if se <= target_se:
        return ()
    return (f"The error is above {target_se:g} nats: take more draws, or compare the other method",)
