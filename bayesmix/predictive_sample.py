"""New rows from the posterior predictive distribution; how far out rows are among such rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix import passes
from bayesmix.draws import Draws
from bayesmix.inputs import as_generator, require_count
from bayesmix.memory import blocks
from bayesmix.predictive_rows import columns_of, features_of, rows_of
from bayesmix.random_measure import random_measure

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.inputs import RandomSeed
    from bayesmix.mixture import Mixture
    from bayesmix.predictive_rows import Features

    Floats = NDArray[np.float64]

__all__ = ["RESOLVED", "sample", "tail_probability"]

RESOLVED = 1e-5
"""Tail probability below which `tail_probability` knows only that it is small."""

_NEW_ROWS = 100_000  # of all draws together, at least
_FEWEST = 10  # at each draw


def sample(
    post: xr.DataTree,
    size: int,
    *,
    mixture: Mixture | None = None,
    random_seed: RandomSeed = None,
) -> pd.DataFrame:
    """Draw new rows from the posterior predictive distribution.

    Each row comes from the mixture of a draw of its own, chosen at random, so that rows are as
    spread as the next row is uncertain. A replicate of the whole table at every draw is
    ``bm.sample(..., store=["posterior_predictive"])``.

    Parameters
    ----------
    post : DataTree
        With the group ``posterior``; where the number of components varies, all of its draws.
    size : int
        Number of rows.
    mixture : Mixture, optional
        The model of a tree that carries none; needed where the number of components varies.
    random_seed : int, SeedSequence or Generator, optional

    Returns
    -------
    pandas.DataFrame
        With the features of the fit.

    Raises
    ------
    ValueError
        If ``size`` is not a whole number of at least 1, the tree has no posterior, a model is
        missing, or the draws were chosen by their number of clusters.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
    >>> post = bm.sample(mixture, x, random_seed=1)
    >>> bm.predictive.sample(post, 1000, random_seed=2).shape
    (1000, 2)
    """
    import pandas as pd

    require_count(size, "size")
    generator = as_generator(random_seed)
    measure = random_measure(post, generator, mixture=mixture)
    features = features_of(post)
    which = generator.integers(len(measure.clusters), size=size)
    out = np.empty((size, len(features)))
    for own, draws in measure.complete():
        at = np.flatnonzero((which >= own.start) & (which < own.stop))
        for some in blocks(len(at), 8 * len(features) ** 2):
            out[at[some]] = _new_rows(draws, which[at[some]] - own.start, generator)
    return pd.DataFrame(out, columns=list(features))


def tail_probability(
    post: xr.DataTree,
    x: Any = None,
    *,
    features: Features = None,
    mixture: Mixture | None = None,
    random_seed: RandomSeed = None,
) -> xr.Dataset:
    r"""Posterior predictive probability of a new row with a density at most as high as each row's.

    .. math:: E\big[P\big(f_\theta(x^{\mathrm{new}}) \le f_\theta(x_i) \mid \theta\big)\big],
              \qquad f_\theta = \sum_k w_k N(\cdot \mid \mu_k, \Sigma_k),

    averaged over the draws of :math:`\theta`: small where hardly a new row would be as far out.
    Among n rows that the model made, n p have a probability below p: in a table of 1,000 rows
    expect ten below 0.01, and ask for less than 0.05/n before calling one row an outlier. A row
    of the fit had its part in the posterior that it is judged by, which errs on its side.

    Parameters
    ----------
    post : DataTree
        With the group ``posterior``; where the number of components varies, all of its draws.
    x : (m, q) array_like or DataFrame, optional
        Rows; default those of the fit.
    features : str or sequence of str, optional
        Judge by the marginal law of these features, the columns of ``x``; default all.
    mixture : Mixture, optional
        The model of a tree that carries none; needed where the number of components varies.
    random_seed : int, SeedSequence or Generator, optional
        Draws new rows.

    Returns
    -------
    xarray.Dataset
        ``tail_probability`` (obs), and ``tail_probability_mcse`` (obs), its standard error, as if
        draws were independent. One component: exact at every draw, by the chi-square distribution.
        Else at least 100,000 new rows, the same for all rows, are drawn, as many at every draw:
        below 1e-5 the probability is known to be small, and no more; 0 is less than one in as many,
        and a standard error of 0 beside it is no certainty: neither resolves less than 1e-5.

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
    >>> p = bm.predictive.tail_probability(post, random_seed=2).tail_probability
    >>> sorted(p.to_series().nsmallest(2).index)
    [5, 243]
    """
    import xarray as xr

    columns = columns_of(post, features)
    table = rows_of(post, x, columns)
    generator = as_generator(random_seed)
    measure = random_measure(post, generator, columns=columns, mixture=mixture)
    n_draws, n = len(measure.clusters), len(table.values)
    each = max(_FEWEST, -(-_NEW_ROWS // n_draws))
    total, squares = np.zeros(n), np.zeros(n)
    mixed = False
    for _, draws in measure.complete():
        mixed = _mixed(draws)
        heights = _sorted_log_densities(draws, each, generator) if mixed else None
        for own in blocks(n, 8 * len(draws)):
            log = passes.log_density(table.values[own], draws.parameters)
            found = _chi_square_tail(log, draws) if heights is None else _share_below(log, heights)
            total[own] += found.sum(axis=0)
            squares[own] += np.square(found).sum(axis=0)
    mean = total / n_draws
    between = np.maximum(squares / n_draws - np.square(mean), 0)
    # with several draws the spread between them has that of the new rows in it
    within = mean * (1 - mean) / each if mixed and n_draws == 1 else 0.0
    return xr.Dataset(
        {
            "tail_probability": ("obs", mean),
            "tail_probability_mcse": ("obs", np.sqrt((between + within) / n_draws)),
        },
        coords={"obs": table.index},
        attrs={"features": list(table.features)},
    )


def _new_rows(draws: Draws, which: NDArray[np.intp], generator: np.random.Generator) -> Floats:
    """One new row of the mixture of every draw ``which`` (m,): (m, D)."""
    bounds = np.cumsum(draws.weights[which], axis=1)
    label = (bounds[:, :-1] <= generator.uniform(0, bounds[:, -1])[:, None]).sum(axis=1)
    pairs = which * draws.weights.shape[1] + label
    used, place = np.unique(pairs, return_inverse=True)  # rows of one component share its factor
    roots = np.linalg.cholesky(draws.covariances[np.divmod(used, draws.weights.shape[1])])
    noise = roots[place] @ generator.standard_normal((len(which), draws.means.shape[-1], 1))
    return draws.means[which, label] + noise[..., 0]


def _mixed(draws: Draws) -> bool:
    return draws.weights.shape[1] > 1


def _sorted_log_densities(draws: Draws, each: int, generator: np.random.Generator) -> Floats:
    """Log densities of new rows of every draw under its own mixture, ascending, (S, each)."""
    out = np.empty((len(draws), each))
    for s, own in enumerate(out):
        rows = _new_rows(draws, np.full(each, s), generator)
        own[:] = passes.log_density(rows, draws.parameters[s], threads=1)
    return np.sort(out, axis=1)


def _share_below(log: Floats, heights: Floats) -> Floats:
    """Share of a draw's heights (S, m) at most as high as each of its log densities (S, n)."""
    places = (np.searchsorted(own, at, side="right") for own, at in zip(heights, log, strict=True))
    return np.stack(list(places)) / heights.shape[1]


def _chi_square_tail(log: Floats, draws: Draws) -> Floats:
    """The same for one normal: its density is below another where it is farther from the mean."""
    from scipy.special import chdtrc

    d = draws.means.shape[-1]
    height = -0.5 * (d * np.log(2 * np.pi) + np.linalg.slogdet(draws.covariances[:, 0])[1])
    return chdtrc(d, np.maximum(2 * (height[:, None] - log), 0))
