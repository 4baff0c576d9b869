"""What the posterior says of rows that are not there yet: densities, conditional laws, new rows.

Everything is an average over the draws of a tree, whichever sampler made it. Where the number of
components varies, a draw's mixture has those without rows as well (`random_measure`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.draw_summaries import summarize
from bayesmix.draws import data_of
from bayesmix.inputs import as_generator, require_count
from bayesmix.membership import interval
from bayesmix.memory import require_memory
from bayesmix.predictive_conditional import conditional
from bayesmix.predictive_rows import columns_of, rows_of
from bayesmix.predictive_sample import sample, tail_probability
from bayesmix.random_measure import random_measure
from bayesmix.replicates import log_likelihood_group

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.inputs import RandomSeed
    from bayesmix.mixture import Mixture
    from bayesmix.predictive_rows import Features

    Floats = NDArray[np.float64]

__all__ = [
    "conditional",
    "density",
    "grid",
    "log_density",
    "log_likelihood",
    "sample",
    "tail_probability",
]

_MARGIN = 0.1  # of the data's range, at either end
_MOST_POINTS = 1_000_000


def density(
    post: xr.DataTree,
    x: Any = None,
    *,
    features: Features = None,
    ci_prob: float | None = None,
    mixture: Mixture | None = None,
    random_seed: RandomSeed = None,
) -> xr.Dataset:
    r"""Posterior predictive density at rows, and how well it is known.

    .. math:: p(x \mid \mathrm{data}) = E\Big[\sum_k w_k N(x \mid \mu_k, \Sigma_k)\Big],

    the density of the next row, with the spread of the bracket over the draws.

    Parameters
    ----------
    post : DataTree
        With the group ``posterior``; where the number of components varies, all of its draws.
    x : (m, q) array_like or DataFrame, optional
        Where; default the rows of the fit. `grid` makes places for a curve.
    features : str or sequence of str, optional
        The marginal density of these features, the columns of ``x``; default all.
    ci_prob : float, optional
        Mass of the equal-tailed band, row by row; default ArviZ's ``rcParams["stats.ci_prob"]``.
    mixture : Mixture, optional
        The model of a tree that carries none; needed where the number of components varies.
    random_seed : int, SeedSequence or Generator, optional
        Draws the components without rows, where the number of components varies.

    Returns
    -------
    xarray.Dataset
        ``density``, ``density_sd``, ``density_lower``, ``density_upper`` (obs), per unit of volume
        of the features. Sd and band are those of the draws' densities: the band is pointwise.

        Where the number of components varies, ``density`` counts components without rows by their
        exact mean, what is left of the weights times the prior predictive density; sd and band
        come from draws of them, until less than 1e-8 of the weight is left, or there are 1,000.

    Raises
    ------
    ValueError
        If the tree has no posterior, the rows do not have its features, a name is not among them,
        a model is missing, or the draws were chosen by their number of clusters.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
    >>> post = bm.sample(mixture, x, random_seed=1)
    >>> at = bm.predictive.grid(post, features="eruptions")
    >>> found = bm.predictive.density(post, at, features="eruptions")
    >>> round(float(found.density.max()), 1)
    0.6
    """
    return _by_rows("density", np.exp, post, x, features, ci_prob, mixture, random_seed)


def log_density(
    post: xr.DataTree,
    x: Any = None,
    *,
    features: Features = None,
    ci_prob: float | None = None,
    mixture: Mixture | None = None,
    random_seed: RandomSeed = None,
) -> xr.Dataset:
    r"""Logarithm of the posterior predictive density, where it is too small for `density`.

    Parameters
    ----------
    post, x, features, ci_prob, mixture, random_seed
        As for `density`.

    Returns
    -------
    xarray.Dataset
        ``log_density`` (obs), the logarithm of the mean over the draws, in nats; and of the
        draws' log densities ``log_density_sd``, ``log_density_lower``, ``log_density_upper``. The
        logarithm of a mean is above the mean of logarithms: far from the data, where the draws
        disagree by orders of magnitude, it may lie above the interval.

    Raises
    ------
    ValueError
        As `density`.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
    >>> post = bm.sample(mixture, x, random_seed=1)
    >>> round(float(bm.predictive.log_density(post).log_density.min()))
    -8
    """
    return _by_rows("log_density", np.asarray, post, x, features, ci_prob, mixture, random_seed)


def grid(post: xr.DataTree, size: int = 200, *, features: Features = None) -> pd.DataFrame:
    """Places that cover the data with a tenth of their range beyond at either end.

    Parameters
    ----------
    post : DataTree
        With the group ``observed_data``.
    size : int, default 200
        Values of each feature, evenly spaced, at least 2.
    features : str or sequence of str, optional
        Default all: ``size`` to the power of their number are the rows, at most 1,000,000.

    Returns
    -------
    pandas.DataFrame
        Every combination, the last feature changing fastest.

    Raises
    ------
    ValueError
        If a name is not among the features, or there would be too few or too many rows.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
    >>> post = bm.sample(mixture, x, random_seed=1)
    >>> at = bm.predictive.grid(post, 50, features=["eruptions", "waiting"])
    >>> len(at)
    2500
    """
    import pandas as pd

    require_count(size, "size")
    if size < 2:
        raise ValueError(
            f"size: expected at least 2 values of each feature, got {size}: one would be the lower "
            "end alone; give your own rows for single places"
        )
    table = rows_of(post, None, columns_of(post, features))
    if (rows := size ** len(table.features)) > _MOST_POINTS:
        raise ValueError(
            f"size: expected at most {_MOST_POINTS:,} rows in all, got {rows:,}; give fewer "
            "values of each feature, or fewer features"
        )
    low, high = table.values.min(axis=0), table.values.max(axis=0)
    margin = _MARGIN * (high - low)
    axes = np.linspace(low - margin, high + margin, size).T
    places = np.meshgrid(*axes, indexing="ij")
    return pd.DataFrame({f: p.ravel() for f, p in zip(table.features, places, strict=True)})


def log_likelihood(
    post: xr.DataTree, *, mixture: Mixture | None = None, random_seed: RandomSeed = None
) -> xr.DataTree:
    """Add the log density of every row of the fit at every draw, as `arviz.loo` wants it.

    Parameters
    ----------
    post : DataTree
        With the groups ``posterior`` and ``observed_data``, of any sampler.
    mixture, random_seed
        As for `density`.

    Returns
    -------
    DataTree
        The tree with the group ``log_likelihood``: ``x (chain, draw, obs)`` in nats, labels
        summed out. Where the number of components varies, components without rows are drawn from
        the prior as in `density`, so that its sum over the rows is not what the sampler recorded
        as ``log_likelihood_total``.

    Raises
    ------
    ValueError
        As `density`, or if it would exceed 2 GiB.

    Examples
    --------
    >>> import arviz as az
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
    >>> post = bm.sample(mixture, x, random_seed=1)
    >>> round(float(az.loo(bm.predictive.log_likelihood(post)).elpd), -1)
    -1140.0
    """
    table = data_of(post)
    measure = random_measure(post, as_generator(random_seed), mixture=mixture)
    require_memory(
        8 * len(measure.clusters) * len(table.values),
        "log_likelihood: the log density of every row at every draw",
        "take fewer draws, such as post.isel(draw=slice(None, None, 10))",
    )
    tree = post.copy()
    tree["log_likelihood"] = log_likelihood_group(tree, measure, table)
    return tree


def _by_rows(
    name: str,
    scale: Callable[[Floats], Floats],
    post: xr.DataTree,
    x: Any,
    features: Features,
    ci_prob: float | None,
    mixture: Mixture | None,
    random_seed: RandomSeed,
) -> xr.Dataset:
    """Summarize what ``scale`` makes of log densities: their mean's, and the draws' spread."""
    import xarray as xr
    from scipy.special import logsumexp

    tails, columns = interval(ci_prob), columns_of(post, features)
    table = rows_of(post, x, columns)
    generator = as_generator(random_seed)
    measure = random_measure(post, generator, columns=columns, mixture=mixture)
    n_draws, n = len(measure.clusters), len(table.values)
    log_mean = np.empty(n)

    def values(own: slice) -> Floats:
        log, expected = measure.log_densities(table.values[own])
        log_mean[own] = logsumexp(expected, axis=0) - np.log(n_draws)
        return scale(log)[..., None]

    found = summarize(values, (n_draws, n, 1), tails)
    spread = {"sd": found.sd, "lower": found.lower, "upper": found.upper}
    return xr.Dataset(
        {name: ("obs", scale(log_mean))}
        | {f"{name}_{which}": ("obs", value[:, 0]) for which, value in spread.items()},
        coords={"obs": table.index},
        attrs={"ci_prob": round(tails[1] - tails[0], 12), "features": list(table.features)},
    )
