"""How many clusters: every answer by their number, one panel each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np

from bayesmix.k_choice import KChoice
from bayesmix.k_words import CRITERIA
from bayesmix.plots.criteria import criteria
from bayesmix.plots.numbers import BAR_WIDTH, posterior_bars, prior_bars
from bayesmix.plots.style import color, marker, require_made

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["choice"]

_SHOWN = 0.005  # shares from here on have their number above the bar
_FAR = 30.0  # nats below the best that are drawn at their place
_ROOM = 1.25  # above the bars, for numbers and the legend
_MANY = 10  # numbers, from which on what is above the bars is in a smaller type
_OTHERS = {"sparse": "sparse finite mixture", "DP": "Dirichlet process"}


def choice(found: KChoice) -> NDArray[np.object_]:
    """Draw what every criterion says of the number of clusters, or of components.

    Returns
    -------
    ndarray of matplotlib Axes
        One of two: the posterior, and EM's criteria; between them, where they were computed, the
        evidence and the predictions.
    """
    require_made(found, KChoice, "found", "choose_k")
    shown = [name for name in ("log_evidence", "elpd") if found.table[name].notna().sum() > 1]
    size = (9.6, 6.4) if shown else (6.4, 5.6)
    table = _worth_showing(found)
    _, grid = plt.subplots(2, 2 if shown else 1, figsize=size, layout="constrained", squeeze=False)
    axes = grid.ravel()
    _probabilities(axes[0], table, found)
    for ax, name in zip(axes[1:], shown, strict=False):
        _relative(ax, found, name)
    last = axes[1 + len(shown)]
    _criteria(last, found)
    for ax in axes[2 + len(shown) :]:
        ax.remove()
    for ax in axes[: 2 + len(shown)]:
        ax.set_xticks(_ticks(table))
        ax.set_xlim(0.4, table.index[-1] + 0.6)
        ax.title.set_fontsize("medium")
    return axes[: 2 + len(shown)]


def _worth_showing(found: KChoice) -> pd.DataFrame:
    """The table up to the last number that was asked for, or has a share to be seen."""
    table = found.table
    asked = table[["log_evidence", "elpd", "bic"]].notna().any(axis=1)
    likely = (table["p_n_clusters"] >= _SHOWN) | asked | table.index.isin(list(found.em_status))
    return table.loc[: table.index[likely.to_numpy()].max()]


def _ticks(table: pd.DataFrame) -> NDArray[np.int64]:
    """Every number, or so many that they do not touch."""
    k = table.index.to_numpy()
    return k[:: 1 + len(k) // 16]


def _probabilities(ax: Axes, table: pd.DataFrame, found: KChoice) -> None:
    k = table.index.to_numpy()
    posterior, mcse = table["p_n_clusters"], table["p_n_clusters_mcse"]
    posterior_bars(ax, k - BAR_WIDTH / 2, posterior, mcse, "posterior")
    prior_bars(ax, k, table["p_n_clusters_prior"].to_numpy(), "prior")
    highest = np.maximum(posterior + 2 * mcse.fillna(0), _other_models(ax, table, found))
    size = "x-small" if len(k) > _MANY else "small"
    for place, share, top in zip(k, posterior, highest, strict=True):
        if share >= _SHOWN:
            ax.annotate(
                f"{share:.2f}",
                (place - BAR_WIDTH / 2, top),
                (0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=size,
            )
    ax.set(
        ylabel="probability",
        ylim=(0, _ROOM * max(highest.max(), table["p_n_clusters_prior"].max())),
        xlabel="number of clusters",
        title="Number of clusters (black: ± 2 Monte Carlo errors)",
    )
    ax.legend(fontsize="small")


def _other_models(ax: Axes, table: pd.DataFrame, found: KChoice) -> NDArray[np.float64]:
    """Mark the posteriors under other priors on the bars; return how high they reach."""
    highest = np.zeros(len(table))
    if found.models is None:
        return highest
    for i, (name, label) in enumerate(_OTHERS.items(), start=1):
        if name in found.models.trees:
            p = found.models.table["p"].xs(name)
            p = p.reindex(table.index).fillna(0.0)
            highest = np.maximum(highest, p.to_numpy())
            style: dict[str, Any] = {"color": color(i), "marker": marker(i)}
            ax.plot(p.index, p, linestyle="none", markersize=5, label=label, **style)
    return highest


def _relative(ax: Axes, found: KChoice, name: str) -> None:
    """Draw log evidence or elpd of every number of components, relative to the best."""
    values, error = _of_evidence(found) if name == "log_evidence" else _of_predictions(found)
    low = values < -_FAR
    style: dict[str, Any] = {"color": color(0), "marker": marker(0)}
    shown = values[~low]
    ax.errorbar(shown.index, shown, 2 * error[~low], capsize=3, linewidth=1, markersize=5, **style)
    ax.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    if low.any():
        ax.plot(
            values.index[low],
            np.full(int(low.sum()), 0.04),
            "v",
            color="0.3",
            transform=ax.get_xaxis_transform(),
            label=f"more than {_FAR:g} nats below",
        )
        ax.legend(fontsize="small")
    title, errors = {
        "log_evidence": ("Log evidence, less the best", "Monte Carlo"),
        "elpd": ("LOO: prediction of new rows, less the best", "standard"),
    }[name]
    ax.set(xlabel="number of components", ylabel=f"nats (± 2 {errors} errors)", title=title)
    ax.margins(y=0.15)


def _of_evidence(found: KChoice) -> tuple[pd.Series, pd.Series]:
    values = found.table["log_evidence"].dropna()
    return values - values.max(), found.table["log_evidence_se"][values.index]


def _of_predictions(found: KChoice) -> tuple[pd.Series, pd.Series]:
    """Differences of the rows' elpd to those of the best, with the errors of the differences."""
    import pandas as pd

    each = pd.DataFrame({k: np.ravel(loo.elpd_i) for k, loo in sorted(found.loos.items())})
    each = each.sub(each[each.sum().idxmax()], axis=0)
    return each.sum(), each.std() * np.sqrt(len(each))


def _criteria(ax: Axes, found: KChoice) -> None:
    """EM's criteria under the covariance structure of the answer, where they were come to."""
    if found.criteria is None:
        why = "failed" if CRITERIA in found.failed else "not come to"
        ax.text(0.5, 0.5, why, transform=ax.transAxes, ha="center")
        ax.set_yticks([])
    else:
        own = found.criteria.loc[[found.mixture.covariance_type]]
        criteria(own, criteria=["bic", "icl"], ax=ax)
    ax.set(xlabel="number of components", title="For contrast, EM's criteria")
