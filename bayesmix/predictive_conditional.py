r"""The law of some features given others: a mixture of regressions at every draw.

With x the features given and y the others, component k has

.. math::

    y \mid x, k \sim N\big(a_k + B_k x,\ \Sigma_{yy,k} - B_k \Sigma_{xy,k}\big), \qquad
    B_k = \Sigma_{yx,k} \Sigma_{xx,k}^{-1}, \quad a_k = \mu_{y,k} - B_k \mu_{x,k},

and the probability :math:`r_k(x) \propto w_k N(x \mid \mu_{x,k}, \Sigma_{xx,k})`.

References
----------
P. Müller, A. Erkanli and M. West, "Bayesian Curve Fitting Using Multivariate Normal Mixtures",
Biometrika 83, 1996.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix import passes
from bayesmix.inputs import as_generator
from bayesmix.membership import interval
from bayesmix.memory import blocks
from bayesmix.predictive_rows import columns_of, features_of, rows_of
from bayesmix.random_measure import marginal_draws, random_measure

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.draws import Draws
    from bayesmix.inputs import RandomSeed
    from bayesmix.mixture import Mixture
    from bayesmix.pass_parameters import PassParameters
    from bayesmix.predictive_rows import Features

    Floats = NDArray[np.float64]

__all__ = ["conditional"]

_TOLERANCE = 1e-9  # of a quantile, in standard deviations
_MOST_STEPS = 100
_TEMPORARIES = 6


def conditional(
    post: xr.DataTree,
    given: Any,
    *,
    features: Features = None,
    ci_prob: float | None = None,
    mixture: Mixture | None = None,
    random_seed: RandomSeed = None,
) -> xr.Dataset:
    r"""Law of the other features, given some: regression with all its uncertainty.

    Every draw is a mixture of linear regressions whose shares depend on x, so that
    :math:`E[y \mid x]` may be a curve, and the law of y skewed or of several humps.

    Values are conditions, not new rows: each draw counts the same, whatever it says of x.

    Parameters
    ----------
    post : DataTree
        With the group ``posterior``; where the number of components varies, all of its draws.
    given : (m, p) array_like or DataFrame
        Values of some features: of those that its columns name, or ``features`` does.
    features : str or sequence of str, optional
        What the columns of ``given`` are; needed for an array.
    ci_prob : float, optional
        Mass of both equal-tailed intervals; default ArviZ's ``rcParams["stats.ci_prob"]``.
    mixture : Mixture, optional
        The model of a tree that carries none; needed where the number of components varies.
    random_seed : int, SeedSequence or Generator, optional
        Draws the components without rows, where the number of components varies.

    Returns
    -------
    xarray.Dataset
        By (obs, feature), the features not given: ``mean``, E[y | x]; ``mean_sd``,
        ``mean_lower``, ``mean_upper``, the spread of E[y | x] over the draws: how well the
        regression is known; ``predictive_sd``, ``predictive_lower``, ``predictive_upper``, of a
        new y given x: standard deviation and quantiles of the mixture over components and draws,
        in the units of y.

    Raises
    ------
    ValueError
        If ``given`` has no named columns and ``features`` is None, all features are given, a name
        is not among them, the tree has no posterior, a model is missing, or the draws were chosen
        by their number of clusters.

    Examples
    --------
    >>> import pandas as pd
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
    >>> post = bm.sample(mixture, x, random_seed=1)
    >>> given = pd.DataFrame({"eruptions": [2.0, 4.5]})
    >>> found = bm.predictive.conditional(post, given)
    >>> found.sel(feature="waiting").predictive_upper.values.round(0)
    array([63., 90.])
    """
    import xarray as xr

    columns, others = _given_and_others(post, given, features)
    table = rows_of(post, given, columns, name="given")
    tails = interval(ci_prob)
    measure = random_measure(post, as_generator(random_seed), mixture=mixture)
    law = _Regressions.of(measure.whole(), columns, others)
    parts = [law.summary(table.values[own], tails) for own in blocks(len(table.values), law.bytes)]
    names = [
        *("mean", "mean_sd", "mean_lower", "mean_upper"),
        *("predictive_sd", "predictive_lower", "predictive_upper"),
    ]
    values = (np.concatenate(part) for part in zip(*parts, strict=True))
    own = features_of(post)
    return xr.Dataset(
        {name: (("obs", "feature"), value) for name, value in zip(names, values, strict=True)},
        coords={"obs": table.index, "feature": [own[j] for j in others]},
        attrs={"ci_prob": round(tails[1] - tails[0], 12), "given": [own[j] for j in columns]},
    )


@dataclass(frozen=True)
class _Regressions:
    """Of q features on p others: S draws, K components each."""

    of_given: PassParameters
    """The mixture of the features given."""
    intercept: Floats
    """Shape (S, K, q)."""
    slope: Floats
    """Shape (S, K, q, p)."""
    sd: Floats
    """Of each feature given x and the component, (S, K, q)."""

    @classmethod
    def of(cls, draws: Draws, columns: NDArray[np.intp], others: NDArray[np.intp]) -> _Regressions:
        covariances, c, o = draws.covariances, columns, others
        across = covariances[..., o[:, None], c]
        within = covariances[..., c[:, None], c]
        slope = np.swapaxes(np.linalg.solve(within, np.swapaxes(across, -1, -2)), -1, -2)
        variances = covariances[..., o, o] - (slope * across).sum(axis=-1)
        fitted = (slope @ draws.means[..., c, None])[..., 0]
        return cls(
            marginal_draws(draws, columns).parameters,
            draws.means[..., o] - fitted,
            slope,
            np.sqrt(variances),
        )

    @property
    def bytes(self) -> int:
        """Memory that a row takes."""
        s, k, q = self.intercept.shape
        return 8 * s * k * (q + _TEMPORARIES)

    def summary(self, x: Floats, tails: tuple[float, float]) -> list[Floats]:
        """What `conditional` returns, (m, q) each."""
        share = np.moveaxis(passes.responsibilities(x, self.of_given), 1, 0)  # (m, S, K)
        each = self.intercept + np.moveaxis(self.slope @ x.T, -1, 0)  # (m, S, K, q)
        mean = np.einsum("msk,mskq->msq", share, each)
        center = mean.mean(axis=1)
        second = np.square(each - center[:, None, None]) + np.square(self.sd)
        deviation = np.sqrt(np.einsum("msk,mskq->mq", share, second) / share.shape[1])
        of_mean = [mean.std(axis=1), *np.quantile(mean, tails, axis=1)]
        bounds = [
            np.stack(
                [
                    _quantile(tail, share, each[..., j], self.sd[..., j], center[:, j], wide)
                    for j, wide in enumerate(deviation.T)
                ],
                axis=1,
            )
            for tail in tails
        ]
        return [center, *of_mean, deviation, *bounds]


def _quantile(
    tail: float, share: Floats, means: Floats, sd: Floats, center: Floats, wide: Floats
) -> Floats:
    """Quantile (m,) of mixtures of normals, shares and means (m, S, K): Newton, kept in a bracket.

    Cantelli's inequality gives the bracket from the mean and the standard deviation.
    """
    low = center - wide * np.sqrt(1 / tail - 1)
    high = center + wide * np.sqrt(tail / (1 - tail))
    at, open_rows = np.clip(center, low, high), np.arange(len(center))
    for _ in range(_MOST_STEPS):
        below, density = _distribution(at[open_rows], share[open_rows], means[open_rows], sd)
        under = below < tail
        low[open_rows] = np.where(under, at[open_rows], low[open_rows])
        high[open_rows] = np.where(under, high[open_rows], at[open_rows])
        with np.errstate(divide="ignore", invalid="ignore"):
            step = at[open_rows] - (below - tail) / density
        inside = (step > low[open_rows]) & (step < high[open_rows])
        new = np.where(inside, step, (low[open_rows] + high[open_rows]) / 2)
        moved = np.abs(new - at[open_rows]) > _TOLERANCE * wide[open_rows]
        at[open_rows] = new
        open_rows = open_rows[moved]
        if not len(open_rows):
            break
    return at


def _distribution(at: Floats, share: Floats, means: Floats, sd: Floats) -> tuple[Floats, Floats]:
    """Distribution function and density of mixtures at one place each, (m,)."""
    from scipy.special import ndtr

    z = (at[:, None, None] - means) / sd
    below = np.einsum("msk,msk->m", share, ndtr(z))
    density = np.einsum("msk,msk->m", share, np.exp(-0.5 * z * z) / sd)
    n_draws = share.shape[1]
    return below / n_draws, density / (n_draws * np.sqrt(2 * np.pi))


def _given_and_others(
    post: xr.DataTree, given: Any, features: Features
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    if features is None:
        if not hasattr(given, "columns"):
            raise ValueError(
                f"given: expected a DataFrame, whose columns say which features, got a "
                f"{type(given).__name__}; or name its columns by features="
            )
        features = [str(name) for name in given.columns]
    columns = columns_of(post, features)
    assert columns is not None
    others = np.setdiff1d(np.arange(len(features_of(post))), columns)
    if not len(others):
        raise ValueError(
            f"given: expected some of the features, got all {len(columns)}; leave out those whose "
            "law is wanted"
        )
    return columns, others
