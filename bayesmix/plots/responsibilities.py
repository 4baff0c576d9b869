"""How sure EM is of every row against how sure the posterior is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from bayesmix.compared_tables import CONFIDENT
from bayesmix.partition_result import counted
from bayesmix.plots.rows import add_legend, size_of_markers
from bayesmix.plots.style import axes_or_new, color, marker

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayesmix.comparison import Comparison

__all__ = ["responsibilities"]

_LEAST = 1e-3  # distance from 0 and 1 within which all probabilities are alike
_TICKS = (0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999)


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
    >>> comparison = bm.compare_to_posterior(em, post)  # doctest: +SKIP
    >>> bm.plots.responsibilities(comparison)  # doctest: +SKIP
    """
    ax = axes_or_new(ax, (5.6, 5.2))
    rows = comparison.memberships
    limits = _LEAST * 0.7, 1 - _LEAST * 0.7
    ax.set(xscale="logit", yscale="logit", xlim=limits, ylim=limits)
    ax.plot(limits, limits, color="0.5", linewidth=0.8)
    over = comparison.n_overconfident
    name = f"EM > {CONFIDENT:.0%} sure, posterior not: {counted(over, 'row')}"
    corner = [CONFIDENT, limits[1]]
    shaded = ax.fill_between(corner, limits[0], CONFIDENT, color="0.9", zorder=0, label=name)
    handles: list[Any] = [shaded]
    for k, component in enumerate(comparison.point["component"].values):
        own = rows[rows["point_label"] == component]
        both = own[["point_probability", "posterior_probability"]].to_numpy()
        at = np.clip(both, _LEAST, 1 - _LEAST)
        label = f"component {component} of EM: {counted(len(own), 'row')}"
        size = 1.5 * size_of_markers(len(rows))
        look: dict[str, Any] = {
            "color": color(k),
            "marker": marker(k),
            "alpha": 0.6,
            "linewidths": 0,
        }
        handles.append(ax.scatter(at[:, 0], at[:, 1], s=size, label=label, zorder=3, **look))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(FixedLocator(_TICKS))
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())
        axis.set_major_formatter(lambda p, _: f"{100 * p:.3g}%")
    ax.set(xlabel="EM's probability of its component", ylabel="posterior probability of the same")
    add_legend(ax, handles, len(rows))
    return ax
