"""How sure EM is of every row against how sure the posterior is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from bayesmix.compared_tables import CONFIDENT
from bayesmix.partition_result import counted
from bayesmix.plots.rows import size_of_markers
from bayesmix.plots.style import axes_or_new, color, marker

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from bayesmix.comparison import Comparison

__all__ = ["responsibilities"]

_LEAST = 1e-3  # distance from 0 and 1 within which all probabilities are alike
_MANY = 13  # components, from which on their names take two columns
_TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)


def responsibilities(comparison: Comparison, *, ax: Axes | None = None) -> Axes:
    """Draw EM's probability of each row's component against the posterior's of the same one.

    Rows below the diagonal are those of which EM is too sure. Both axes are log odds, so that
    99 % and 99.9 % are as far apart as 90 % and 99 %; rows beyond 99.9 % or 0.1 % stand there. The
    shaded corner is where EM is more than 95 % sure and the posterior is not.

    Parameters
    ----------
    comparison : Comparison
        Result of `bayesmix.compare_to_posterior`.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
    >>> post = bm.sample(mixture, x, random_seed=1, progressbar=False)
    >>> em = bm.GaussianMixture(2, random_state=1).fit(x)
    >>> ax = bm.plots.responsibilities(bm.compare_to_posterior(em, post))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['0: 97 rows', '1: 175 rows']
    """
    ax = axes_or_new(ax, (5.6, 5.2))
    rows = comparison.memberships
    limits = _limits(rows)
    ax.set(xscale="logit", yscale="logit", xlim=limits, ylim=limits)
    ax.plot(limits, limits, color="0.5", linewidth=0.8)
    corner = [CONFIDENT, limits[1]]
    ax.fill_between(corner, limits[0], CONFIDENT, color="0.92", zorder=0)
    over = counted(comparison.n_overconfident, "row")
    words = f"EM > {CONFIDENT:.0%} sure,\nposterior not:\n{over}"
    look: dict[str, Any] = {"ha": "right", "va": "bottom", "fontsize": "small", "zorder": 4}
    box = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 2}
    ax.text(0.98, 0.02, words, transform=ax.transAxes, bbox=box, **look)
    names = comparison.point["component"].values
    for k, component in enumerate(names):
        own = rows[rows["point_label"] == component]
        both = own[["point_probability", "posterior_probability"]].to_numpy()
        at = np.clip(both, _LEAST, 1 - _LEAST)
        size = 1.5 * size_of_markers(len(rows))
        look = {"color": color(k), "marker": marker(k), "alpha": 0.6}
        label = f"{component}: {counted(len(own), 'row')}"
        ax.scatter(at[:, 0], at[:, 1], s=size, linewidths=0, zorder=3, label=label, **look)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(FixedLocator(_TICKS))
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())
        axis.set_major_formatter(lambda p, _: f"{100 * p:.3g}%")
    ax.set(xlabel="EM's probability of its component", ylabel="posterior probability of the same")
    columns = 1 + len(names) // _MANY
    ax.legend(title="EM's component", fontsize="small", loc="upper left", ncols=columns)
    return ax


def _limits(rows: pd.DataFrame) -> tuple[float, float]:
    """From the last tick below all probabilities to beyond the last one of all."""
    least = rows[["point_probability", "posterior_probability"]].to_numpy().min()
    ticks = [tick for tick in _TICKS[:-2] if tick <= least] or [_LEAST]
    return 0.8 * ticks[-1], 1 - _LEAST * 0.7
