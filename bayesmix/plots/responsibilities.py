"""How sure EM is of every row against how sure the posterior is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from bayesmix.compared_tables import CONFIDENT
from bayesmix.comparison import Comparison
from bayesmix.plots.rows import rows_drawn, rows_words, size_of_markers
from bayesmix.plots.style import axes_or_new, color, marker, plain, require_made
from bayesmix.wording import counted

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["responsibilities"]

_LEAST = 1e-3  # distance from 0 and 1 within which all probabilities are alike
_KEY = 5.0  # side of a marker in the legend, in points
_MANY = 13  # components, from which on their names take two columns
_TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)


def responsibilities(comparison: Comparison, *, ax: Axes | None = None) -> Axes:
    """Draw EM's probability of each row's component against the posterior's of the same one.

    Rows below the diagonal are those of which EM is too sure. Both axes are log odds, so that
    99 % and 99.9 % are as far apart as 90 % and 99 %; rows beyond 99.9 % or 0.1 % stand there. The
    shaded corner is where EM is more than 95 % sure and the posterior is not. Of more than 5,000
    rows so many are drawn; numbers in words are of all.

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
    require_made(comparison, Comparison, "comparison", "compare_to_posterior")
    ax = axes_or_new(ax, (5.6, 5.2))
    _ground(ax, _limits(comparison.memberships), comparison.n_overconfident)
    names, rows = comparison.point["component"].values, comparison.memberships
    shown = rows.iloc[rows_drawn(len(rows))]
    size = 1.5 * size_of_markers(len(shown))
    for k, component in enumerate(names):
        own = shown[shown["point_label"] == component]
        both = own[["point_probability", "posterior_probability"]].to_numpy()
        at = np.clip(both, _LEAST, 1 - _LEAST)
        look: dict[str, Any] = {"color": color(k), "marker": marker(k), "alpha": 0.6}
        count = int((rows["point_label"] == component).sum())
        label = f"{plain(component)}: {counted(count, 'row')}"
        ax.scatter(at[:, 0], at[:, 1], s=size, linewidths=0, zorder=3, label=label, **look)
    if len(shown) < len(rows):
        ax.plot([], [], linestyle="none", label=rows_words(len(rows)))
    columns = 1 + len(names) // _MANY
    look = {"loc": "upper left", "ncols": columns, "markerscale": _KEY / np.sqrt(size)}
    ax.legend(title="EM's component", fontsize="small", **look)
    return ax


def _ground(ax: Axes, limits: tuple[float, float], n_overconfident: int) -> None:
    """Both axes in log odds, the diagonal, and the corner of rows that EM is too sure of."""
    ax.set(xscale="logit", yscale="logit", xlim=limits, ylim=limits)
    ax.set(xlabel="EM's probability of its component", ylabel="posterior probability of the same")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(FixedLocator(_TICKS))
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())
        axis.set_major_formatter(lambda p, _: f"{100 * p:.3g}%")
    ax.plot(limits, limits, color="0.5", linewidth=0.8)
    corner = [CONFIDENT, limits[1]]
    ax.fill_between(corner, limits[0], CONFIDENT, color="0.92", zorder=0)
    words = f"EM > {CONFIDENT:.0%} sure,\nposterior not:\n{counted(n_overconfident, 'row')}"
    look: dict[str, Any] = {"ha": "right", "va": "bottom", "fontsize": "small", "zorder": 4}
    box = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 2}
    ax.text(0.98, 0.02, words, transform=ax.transAxes, bbox=box, **look)


def _limits(rows: pd.DataFrame) -> tuple[float, float]:
    """From the last tick below all probabilities to beyond the last one of all."""
    least = rows[["point_probability", "posterior_probability"]].to_numpy().min()
    ticks = [tick for tick in _TICKS[:-2] if tick <= least] or [_LEAST]
    return 0.8 * ticks[-1], 1 - _LEAST * 0.7
