"""Leave-one-out predictive densities: importance weights, and refits where these fail."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.draws import data_of
from bayesmix.held_out import counted_warnings, held_out_log_density, model_of
from bayesmix.inputs import as_generator, require_count
from bayesmix.memory import blocks
from bayesmix.progress import progress
from bayesmix.random_measure import random_measure

if TYPE_CHECKING:
    import xarray as xr
    from arviz_stats.utils import ELPDDataLOO
    from numpy.typing import NDArray

    from bayesmix.inputs import RandomSeed
    from bayesmix.mixture import Mixture
    from bayesmix.random_measure import RandomMeasure

    Floats = NDArray[np.float64]
    Places = NDArray[np.intp]

__all__ = ["loo"]

_FEWEST_DRAWS = 100  # below it the tail of importance weights is too short to be judged
_MOST_NAMED = 5


@dataclass(frozen=True)
class _Rows:
    """What is found of every row; nats, (n,)."""

    elpd: Floats
    lpd: Floats
    """Log density given all rows, itself among them."""
    pareto_k: Floats


def loo(
    post: xr.DataTree,
    *,
    mixture: Mixture | None = None,
    max_refits: int = 50,
    draws: int = 500,
    chains: int = 4,
    random_seed: RandomSeed = None,
    progressbar: bool = True,
) -> ELPDDataLOO:
    r"""Predictive density of every row given all others, without a fit for each.

    .. math:: \mathrm{elpd} = \sum_i \log p(x_i \mid x_{-i}), \quad
        p(x_i \mid x_{-i}) \approx \frac{\sum_s r_i^{(s)} p(x_i \mid \theta_s)}{\sum_s r_i^{(s)}},
        \quad r_i^{(s)} \propto \frac{1}{p(x_i \mid \theta_s)},

    with the labels summed out of :math:`p(x_i \mid \theta) = \sum_k w_k N(x_i \mid \mu_k,
    \Sigma_k)` and the importance weights r smoothed by a generalized Pareto law (PSIS, by ArviZ).
    Its shape k tells where that fails: above :math:`\min(1 - 1/\log_{10} S, 0.7)` for S draws a
    row is so influential that the weights say little, such as a row that has a component of its
    own. These rows are left out in earnest: the posterior is sampled anew without them, priors
    staying the numbers they are. If they are more than ``max_refits``, those of the largest shapes
    are, and the others keep their weights, which make too much of them, and their shape, which
    tells: ``warning`` is set, and such an elpd is not to be compared. (To leave out several such
    rows together is farther off, as they often hold a component up together.) The shape is an
    estimate, too: where few draws place a row elsewhere than in a component of its own it may look
    harmless; more draws tell.

    Parameters
    ----------
    post : DataTree
        With the groups ``posterior`` and ``observed_data``, of any sampler; refits use the same
        sampler.
    mixture : Mixture, optional
        The posterior's model, by default the tree's own.
    max_refits : int, default 50
        Rows to be left out in earnest, one by one; 0 for importance weights alone.
    draws, chains : int, default 500 and 4
        Of each refit.
    random_seed : int, SeedSequence or Generator, optional
        Of refits; and of components without rows, where the number of components varies.
    progressbar : bool, default True

    Returns
    -------
    arviz_stats.utils.ELPDDataLOO
        As `arviz.loo` returns, for `arviz.compare`: ``elpd``, ``se`` (over rows) and ``p`` (the
        effective number of parameters) in nats; of every row ``elpd_i``, ``p_loo_i`` and
        ``pareto_k``, which is 0 where a refit took the place of the weights. What it was before is
        in ``influence_pareto_k``; ``warning`` tells that some are above ``good_k`` still. Nothing
        is stored of size draws times rows.

    Raises
    ------
    ValueError
        If there are fewer than 100 draws, no model to sample again, or draws chosen by their
        number of clusters.
    KeyboardInterrupt
        If interrupted.

    Warns
    -----
    UserWarning
        If weights that fail were kept, as ``max_refits`` is too small.
    sklearn.exceptions.ConvergenceWarning
        If refits warned of convergence.

    References
    ----------
    A. Vehtari, A. Gelman and J. Gabry, "Practical Bayesian model evaluation using leave-one-out
    cross-validation and WAIC", Statistics and Computing 27, 2017.

    A. Vehtari, D. Simpson, A. Gelman, Y. Yao and J. Gabry, "Pareto Smoothed Importance Sampling",
    JMLR 25, 2024.

    Examples
    --------
    >>> import arviz as az
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> prior = bm.weakly_informative(x)
    >>> posts = {
    ...     str(k): bm.sample(bm.Mixture(bm.Dirichlet(k), prior), x, random_seed=1) for k in (1, 2)
    ... }
    >>> found = az.compare({k: bm.loo(post, random_seed=1) for k, post in posts.items()})
    >>> found.elpd.round(-1).to_dict()
    {'2': -1140.0, '1': -1290.0}
    """
    _require_arguments(post, max_refits, draws, chains)
    table, model = data_of(post), model_of(post, mixture) if max_refits else None
    for_atoms, for_refits = as_generator(random_seed).spawn(2)
    measure = random_measure(post, for_atoms, mixture=mixture)
    n_draws = len(measure.clusters)
    found, good_k = _weighted(measure, table.values, progressbar), _good_k(n_draws)
    bad, kept = _to_refit(found.pareto_k, good_k, max_refits)
    _warn_of(kept, bad.size + kept.size, good_k, table.index)
    elpd, pareto_k = found.elpd.copy(), found.pareto_k.copy()
    if model is not None and bad.size:
        how = {"draws": draws, "chains": chains, "sampler": post.attrs.get("sampler", "auto")}
        elpd[bad] = _refitted(model, table.values, bad, for_refits, how, progressbar)
        pareto_k[bad] = 0.0
    final = _Rows(elpd, found.lpd, pareto_k)
    return _as_arviz(final, found.pareto_k, table.index, n_draws, good_k)


def _require_arguments(post: Any, max_refits: Any, draws: Any, chains: Any) -> None:
    if not hasattr(post, "children"):
        raise ValueError(
            f"post: expected a DataTree, as sample returns, got {type(post).__name__}; sample first"
        )
    whole = isinstance(max_refits, (int, np.integer)) and not isinstance(max_refits, bool)
    if not whole or max_refits < 0:
        raise ValueError(
            f"max_refits: expected a whole number of at least 0, got {max_refits!r}; 0 is for "
            "importance weights alone"
        )
    require_count(draws, "draws")
    require_count(chains, "chains")


def _good_k(n_draws: int) -> float:
    """Largest shape that so many draws can bear."""
    if n_draws < _FEWEST_DRAWS:
        raise ValueError(
            f"post: expected at least {_FEWEST_DRAWS} draws, for the tails of importance weights, "
            f"got {n_draws}; sample more"
        )
    return min(1 - 1 / float(np.log10(n_draws)), 0.7)


def _to_refit(pareto_k: Floats, good_k: float, max_refits: int) -> tuple[Places, Places]:
    """Rows whose weights fail: those with the largest shapes, to be refitted; and the others."""
    badness = np.where(np.isnan(pareto_k), np.inf, pareto_k)
    worst = np.argsort(-badness, kind="stable")[: np.count_nonzero(badness > good_k)]
    return np.sort(worst[:max_refits]), np.sort(worst[max_refits:])


def _weighted(measure: RandomMeasure, x: Floats, progressbar: bool) -> _Rows:
    """Estimate by importance weights, some rows of (n, D) at a time."""
    from arviz_stats.base import array_stats

    n, n_draws = len(x), len(measure.clusters)
    elpd, lpd, pareto_k = np.empty((3, n))
    with progress("leave-one-out", n, show=progressbar, unit="rows") as advance:
        for own in blocks(n, 8 * n_draws):
            log = np.moveaxis(measure.clusters.by_chain(measure.log_density(x[own])), -1, 0)
            efficiency = array_stats.ess(_relative(log), method="mean") / n_draws
            for i, values, share in zip(range(own.start, own.stop), log, efficiency, strict=True):
                r_eff = share if np.isfinite(share) else 1.0  # a density that never changes
                elpd[i], pareto_k[i], p = array_stats.loo(values, r_eff=r_eff)
                lpd[i] = elpd[i] + p
                advance(1)
    return _Rows(elpd, lpd, pareto_k)


def _relative(log: Floats) -> Floats:
    """Densities of rows (b, chain, draw) from their logarithms, 1 the largest of a row."""
    density: Floats = np.exp(log - log.max(axis=(1, 2), keepdims=True))
    return density


def _refitted(
    model: Mixture,
    x: Floats,
    rows: Places,
    generator: np.random.Generator,
    how: Mapping[str, Any],
    progressbar: bool,
) -> Floats:
    """Log density of some rows, each given all others, (number of rows,)."""
    log, warned = np.empty(rows.size), {"refits": 0}
    with progress("refits", rows.size, show=progressbar, unit="refits") as advance:
        for j, (i, own) in enumerate(zip(rows, generator.spawn(rows.size), strict=True)):
            with counted_warnings("refits", warned):
                (log[j],) = held_out_log_density(model, np.delete(x, i, 0), x[[i]], own, how)
            advance(1)
    if warned["refits"]:
        from sklearn.exceptions import ConvergenceWarning

        warnings.warn(
            f"{warned['refits']} of {rows.size} refits warned of convergence; raise draws",
            ConvergenceWarning,
            stacklevel=3,
        )
    return log


def _warn_of(kept: Places, n_bad: int, good_k: float, index: NDArray[Any]) -> None:
    """Say where what is returned is not leave-one-out as it should be."""
    if not kept.size:
        return
    named = ", ".join(str(name) for name in index[kept[:_MOST_NAMED]])
    more = f" and {kept.size - _MOST_NAMED} more" if kept.size > _MOST_NAMED else ""
    warnings.warn(
        f"max_refits: importance weights fail (Pareto k above {good_k:.2f}) for "
        f"row{'s' if kept.size > 1 else ''} {named}{more}, and are kept; their densities are "
        f"likely too high; allow {n_bad} refit{'s' if n_bad > 1 else ''}",
        UserWarning,
        stacklevel=3,
    )


def _as_arviz(
    found: _Rows, weighted_k: Floats, index: NDArray[Any], n_draws: int, good_k: float
) -> ELPDDataLOO:
    import xarray as xr
    from arviz_stats.base import array_stats
    from arviz_stats.utils import ELPDDataLOO

    def of_rows(values: Floats) -> xr.DataArray:
        return xr.DataArray(values, {"obs": index}, "obs")

    p = found.lpd - found.elpd
    elpd, se, p_total, _ = array_stats.loo_summary(found.elpd, p)
    return ELPDDataLOO(
        elpd=float(elpd),
        se=float(se),
        p=float(p_total),
        n_samples=n_draws,
        n_data_points=len(index),
        scale="log",
        warning=bool((found.pareto_k > good_k).any()),
        good_k=good_k,
        elpd_i=of_rows(found.elpd),
        pareto_k=of_rows(found.pareto_k),
        p_loo_i=of_rows(p),
        influence_pareto_k=of_rows(weighted_k),
    )
