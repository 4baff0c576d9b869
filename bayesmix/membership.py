"""Who belongs where, and how sure: responsibilities averaged over the posterior."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix import passes
from bayesmix.draws import Draws, data_of, draws_of
from bayesmix.relabel import relabel
from bayesmix.schema import group

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["interval", "membership"]

_BLOCK_BYTES = 1 << 26


def membership(post: xr.DataTree, x_new: Any = None, *, ci_prob: float | None = None) -> xr.Dataset:
    r"""Posterior probability that each row belongs to each component.

    .. math:: P(z_i = k \mid x) = E[r_{ik}(\theta) \mid x]

    with its spread over the draws: how well the probability itself is known.

    Parameters
    ----------
    post : DataTree
        With the group ``posterior``; relabeled first unless it has the group ``relabeling``.
    x_new : (m, D) array_like or DataFrame, optional
        Rows to place; default the rows of the fit.
    ci_prob : float, optional
        Mass of the equal-tailed interval; default ArviZ's ``rcParams["stats.ci_prob"]``.

    Returns
    -------
    xarray.Dataset
        ``probability``, ``probability_sd``, ``probability_lower``, ``probability_upper``
        (obs, component); ``entropy`` (obs) of the probabilities, in bits; ``label``, the most
        probable component, and ``label_probability`` (obs).

    Raises
    ------
    ValueError
        If the tree has no posterior, or the rows do not have its features.

    Examples
    --------
    >>> import bayesmix as bm
    >>> post = bm.sample(mixture, x, random_seed=1)  # doctest: +SKIP
    >>> bm.membership(post).label_probability.min()  # doctest: +SKIP
    """
    import xarray as xr

    if "relabeling" not in post.children:
        post = relabel(post)
    table = data_of(post, x_new)
    draws = draws_of(post)
    tails = interval(ci_prob)
    mean, deviation, lower, upper = _moments(table.values, draws, tails)
    by_component = ("obs", "component")
    return xr.Dataset(
        {
            "probability": (by_component, mean),
            "probability_sd": (by_component, deviation),
            "probability_lower": (by_component, lower),
            "probability_upper": (by_component, upper),
            "entropy": ("obs", _entropy(mean), {"units": "bits"}),
            "label": ("obs", mean.argmax(axis=1)),
            "label_probability": ("obs", mean.max(axis=1)),
        },
        coords={"obs": table.index, "component": group(post, "posterior")["component"].values},
        attrs={"ci_prob": round(tails[1] - tails[0], 12)},
    )


def interval(ci_prob: float | None) -> tuple[float, float]:
    """Lower and upper tail probability of an equal-tailed interval; None is ArviZ's mass."""
    if ci_prob is None:
        from arviz_base import rcParams

        ci_prob = float(rcParams["stats.ci_prob"])
    if not 0 < ci_prob < 1:
        raise ValueError(f"ci_prob: expected a number between 0 and 1, got {ci_prob}")
    return (1 - ci_prob) / 2, (1 + ci_prob) / 2


def _moments(x: Floats, draws: Draws, tails: tuple[float, float]) -> list[Floats]:
    """Mean, standard deviation and two quantiles over draws, each (n, K); blocks of rows."""
    k = draws.weights.shape[1]
    size = max(1, _BLOCK_BYTES // (8 * k * len(draws)))
    out: list[list[Floats]] = []
    for start in range(0, len(x), size):
        rows = x[start : start + size]
        resp = passes.responsibilities(rows, draws.parameters)
        out.append([resp.mean(axis=0), resp.std(axis=0), *np.quantile(resp, tails, axis=0)])
    return [np.concatenate(parts) for parts in zip(*out, strict=True)]


def _entropy(probability: Floats) -> Floats:
    from scipy.special import entr

    return entr(probability).sum(axis=1) / np.log(2)
