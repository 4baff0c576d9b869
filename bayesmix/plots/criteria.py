"""EM's criteria by number of components: curves, their lowest points, and fits that are none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayesmix.plots.style import axes_or_new, color, marker

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["criteria"]

Criterion = Literal["bic", "aic", "icl"]
_STYLES = {"bic": "-", "icl": "--", "aic": ":"}
_LOWEST = 0.03  # of the height, where fits without a criterion are marked
_STEP = 0.035


def criteria(
    table: pd.DataFrame, *, criteria: Sequence[Criterion] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw criteria of `fit_grid` by number of components, low is good.

    One line per covariance structure (color and marker) and criterion (line style); the lowest of
    each criterion is ringed. Fits that are no confirmed, converged optimum are hollow. Where EM
    found no genuine optimum there is no criterion: a cross at the bottom, and a gap in the line.

    Parameters
    ----------
    table : DataFrame
        Result of `bayesmix.fit_grid`.
    criteria : sequence of {"bic", "aic", "icl"}, optional
        Default all three where there is one structure, ``["bic"]`` where there are several.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the table is not of `fit_grid`, or a criterion is unknown.

    Examples
    --------
    >>> import bayesmix as bm
    >>> table = bm.fit_grid(bm.datasets.load("faithful"), range(1, 4), ["full"], random_seed=1)
    >>> bm.plots.criteria(table).get_ylabel()
    'criterion, low is good'
    """
    _require_grid(table)
    structures = list(table.index.unique("covariance_type"))
    if criteria is None:
        criteria = ["bic"] if len(structures) > 1 else ["bic", "icl", "aic"]
    _require_criteria(criteria)
    ax = axes_or_new(ax)
    groups = table.groupby(level="covariance_type", sort=False)
    for i, (structure, rows) in enumerate(groups):
        own = rows.droplevel("covariance_type")
        for j, name in enumerate(criteria):
            number = i if len(structures) > 1 else j
            label = _label(str(structure) if len(structures) > 1 else "", name, len(criteria))
            _curve(ax, own, name, number, label)
        if own["bic"].isna().any():
            _missing(ax, own, i)
    for name in criteria:
        _ring(ax, table[name])
    _dressed(ax, table, structures, criteria)
    return ax


def _require_grid(table: Any) -> None:
    names = list(getattr(getattr(table, "index", None), "names", []))
    if names != ["covariance_type", "n_components"] or "status" not in table:
        raise ValueError(
            "table: expected what bayesmix.fit_grid returns, with the index (covariance_type, "
            f"n_components), got {type(table).__name__} with the index {names}"
        )


def _require_criteria(criteria: Sequence[str]) -> None:
    unknown = [name for name in criteria if name not in _STYLES]
    if isinstance(criteria, str) or not criteria or unknown:
        raise ValueError(f"criteria: expected some of {list(_STYLES)}, got {criteria!r}")


def _label(structure: str, name: str, n_criteria: int) -> str:
    if not structure:
        return name.upper()
    return structure if n_criteria == 1 else f"{structure}, {name.upper()}"


def _curve(ax: Axes, own: pd.DataFrame, name: str, number: int, label: str) -> None:
    """One criterion of one structure; hollow where the optimum is in doubt."""
    style: dict[str, Any] = {"color": color(number), "marker": marker(number), "markersize": 5}
    ax.plot(own.index, own[name], linestyle=_STYLES[name], linewidth=1, label=label, **style)
    doubtful = own[_doubtful(own)]
    if len(doubtful):
        ax.plot(doubtful.index, doubtful[name], linestyle="none", markerfacecolor="white", **style)


def _missing(ax: Axes, own: pd.DataFrame, number: int) -> None:
    """Crosses at the bottom where a structure has no genuine optimum."""
    k = own.index[own["bic"].isna()]
    ax.plot(
        k,
        np.full(len(k), _LOWEST + _STEP * number),
        "x",
        color=color(number),
        transform=ax.get_xaxis_transform(),
    )


def _ring(ax: Axes, values: pd.Series) -> None:
    if values.isna().all():
        return
    _, k = values.index[int(np.nanargmin(values))]
    ax.plot(k, values.min(), "o", markersize=13, fillstyle="none", color="black")


def _dressed(ax: Axes, table: pd.DataFrame, structures: list[str], criteria: Sequence[str]) -> None:
    """Labels, ticks and the key."""
    k = table.index.unique("n_components").to_numpy()
    ax.set_xticks(k[:: 1 + len(k) // 20])
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    one = len(criteria) == 1
    ax.set(
        xlabel="number of components",
        ylabel=f"{criteria[0].upper()}, low is good" if one else "criterion, low is good",
    )
    if len(structures) == 1:
        ax.set_title(f"{structures[0]} covariances", fontsize="medium")
    ax.margins(y=0.15)
    _key(ax, "lowest", marker="o", markersize=10, fillstyle="none")
    if table["bic"].isna().any():
        _key(ax, "no genuine optimum", marker="x")
    if (doubtful := table["status"][_doubtful(table)]).size:
        said = ", ".join(doubtful.unique()).replace("_", " ")
        _key(ax, said, marker="o", markersize=5, fillstyle="none")
    ax.legend(fontsize="small")


def _doubtful(table: pd.DataFrame) -> pd.Series:
    """Fits that have criteria, but are no confirmed, converged optimum."""
    return table["status"].ne("converged") & table["bic"].notna()


def _key(ax: Axes, label: str, **style: Any) -> None:
    """A line of the key that belongs to no curve."""
    ax.plot([], [], linestyle="none", color="black", label=label, **style)
