"""Who belongs where, and how sure: probabilities averaged over the posterior."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.draw_summaries import summarize
from bayesmix.draws import data_of, draws_of, require_posterior
from bayesmix.relabel import relabeled_parameters
from bayesmix.row_probabilities import NewRows, OwnRows, Responsibilities
from bayesmix.schema import chosen_clusters, group

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.mixture import Mixture

    Floats = NDArray[np.float64]

__all__ = ["NEW", "interval", "membership"]

NEW = -1
"""Component of rows that belong to a cluster without rows of the fit."""


def membership(
    post: xr.DataTree,
    x_new: Any = None,
    *,
    ci_prob: float | None = None,
    mixture: Mixture | None = None,
) -> xr.Dataset:
    r"""Posterior probability that each row belongs to each component.

    .. math:: P(z_i = k \mid x) = E[p_{ik} \mid x]

    with its spread over the draws: how well the probability itself is known. At a draw
    :math:`p_{ik}` is the responsibility. It is another where ``relabel(post, n_clusters=k)`` chose
    draws with k clusters, and that is for

    - rows of the fit: the probability given the labels of all other rows, weights integrated out,
      and that there are k clusters, so that a row alone in its cluster stays;
    - rows in `x_new`: as of a row that comes next, which may belong to a cluster that no row of the
      fit belongs to; a further component, -1, is that. A row of the fit given once more in `x_new`
      is such a row: it no longer has a place of its own. With a fixed number of components both
      agree to the last bit.

    Parameters
    ----------
    post : DataTree
        With the group ``posterior``; relabeled first unless it has the group ``relabeling``.
    x_new : (m, D) array_like or DataFrame, optional
        Rows to place; default the rows of the fit.
    ci_prob : float, optional
        Mass of the equal-tailed interval; default ArviZ's ``rcParams["stats.ci_prob"]``.
    mixture : Mixture, optional
        The model, default the tree's own: its covariance structure, and where draws with k clusters
        were chosen its priors.

    Returns
    -------
    xarray.Dataset
        ``probability``, ``probability_sd``, ``probability_lower``, ``probability_upper``
        (obs, component); ``entropy`` (obs) of the probabilities, in bits; ``label``, the most
        probable component, and ``label_probability`` (obs), the probability that this label is
        right.

    Raises
    ------
    ValueError
        If the tree has no posterior, or the rows do not have its features; where draws with k
        clusters were chosen, if it has no labels of the rows of the fit, or for new rows neither
        the tree nor `mixture` tells the component prior.

    Notes
    -----
    Rows go block by block, at all draws: memory beyond the result is tens of megabytes. Quantiles
    are exact.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
    >>> post = bm.sample(mixture, x, random_seed=1)
    >>> round(float(bm.membership(post).label_probability.min()), 1)
    0.8
    """
    import xarray as xr

    tails = interval(ci_prob)
    require_posterior(post)
    table = data_of(post, x_new)
    if "relabeling" not in post.children:
        post = relabeled_parameters(post)
    draws, component = draws_of(post, mixture), group(post, "posterior")["component"].values
    values: Callable[[slice], Floats]
    if chosen_clusters(post) is None:
        values = Responsibilities(table.values, draws.parameters)
    elif x_new is None:
        values = OwnRows.of(post, draws, table.values, mixture)
    else:
        values = NewRows.of(post, draws, table.values, mixture)
        component = np.append(component, NEW)
    shape = len(draws), len(table.values), len(component)
    found = summarize(values, shape, tails)
    by_component = ("obs", "component")
    return xr.Dataset(
        {
            "probability": (by_component, found.mean),
            "probability_sd": (by_component, found.sd),
            "probability_lower": (by_component, found.lower),
            "probability_upper": (by_component, found.upper),
            "entropy": ("obs", _entropy(found.mean), {"units": "bits"}),
            "label": ("obs", component[found.mean.argmax(axis=1)]),
            "label_probability": ("obs", found.mean.max(axis=1)),
        },
        coords={"obs": table.index, "component": component},
        attrs={"ci_prob": round(tails[1] - tails[0], 12)},
    )


def interval(ci_prob: float | None) -> tuple[float, float]:
    """Lower and upper tail probability of an equal-tailed interval; None is ArviZ's mass."""
    if ci_prob is None:
        from arviz_base import rcParams

        ci_prob = float(rcParams["stats.ci_prob"])
    if not isinstance(ci_prob, (int, float, np.number)) or not 0 < ci_prob < 1:
        raise ValueError(f"ci_prob: expected a number between 0 and 1, got {ci_prob!r}")
    return (1 - ci_prob) / 2, (1 + ci_prob) / 2


def _entropy(probability: Floats) -> Floats:
    from scipy.special import entr

    return entr(probability).sum(axis=1) / np.log(2)
