"""Weights of a broken stick in order of size: what the data make of a process, beside its prior."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.draws import components_of
from bayesmix.inputs import require_count
from bayesmix.membership import interval
from bayesmix.plots.style import axes_or_new, color, marker
from bayesmix.residual_law import broken
from bayesmix.scalar_priors import Beta, Gamma
from bayesmix.schema import mixture_of
from bayesmix.stick_priors import StickPrior

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["sticks"]

_SIMULATED = 2_000  # prior draws: a mean weight is known to 0.01
_APART = 0.14  # of the prior from the posterior, in ranks


def sticks(post: xr.DataTree, *, n_shown: int = 10, ax: Axes | None = None) -> Axes:
    r"""Draw the largest weights of a stick-breaking process, posterior beside prior.

    At every draw the weights are put in order of size; the first place is the largest weight, of
    whichever component. Drawn are the mean and the equal-tailed interval of ArviZ's mass, over the
    draws and over 2,000 simulations of the prior with a seed of their own (random concentration and
    discount are drawn too). The last place holds all other components together: smaller ones, and
    of an infinite process those without rows.

    Parameters
    ----------
    post : DataTree
        Draws under `DirichletProcess` or `PitmanYor` weights, truncated or not.
    n_shown : int, default 10
        Weights with a place of their own; fewer where no draw has so many.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the model of the draws is not known, or has other weights.

    Examples
    --------
    >>> import bayesmix as bm
    >>> post = bm.sample(mixture, x, random_seed=1)  # doctest: +SKIP
    >>> bm.plots.sticks(post)  # doctest: +SKIP
    """
    require_count(n_shown, "n_shown")
    mixture = mixture_of(post)
    if mixture is None or not isinstance(mixture.weights, StickPrior):
        found = "no model" if mixture is None else type(mixture.weights).__name__
        raise ValueError(
            "post: expected draws under DirichletProcess or PitmanYor weights, got "
            f"{found}; other weights are in plots.traces and plots.n_clusters"
        )
    weights = components_of(post).weights
    shown = min(n_shown, weights.shape[1])
    ax = axes_or_new(ax, (6.4, 4.0))
    prior = _prior_weights(mixture.weights, np.random.default_rng(0))
    _intervals(ax, _largest(weights, shown), -_APART, 0, "posterior", color(0))
    _intervals(ax, _largest(prior, shown), _APART, 5, "prior", "0.45")
    ax.set_xticks(range(shown + 1), [*map(str, range(1, shown + 1)), "all\nothers"])
    ax.axvline(shown - 0.5, color="0.6", linewidth=0.8, linestyle=":")
    lower, upper = interval(None)
    ax.set(
        xlabel="component, the largest first",
        ylabel="weight",
        ylim=(0, None),
        title=f"Weights in order of size (mean and {upper - lower:.0%} interval)",
    )
    ax.title.set_fontsize("medium")
    ax.legend(fontsize="small", loc="upper right")
    return ax


def _intervals(ax: Axes, values: Floats, shift: float, mark: int, label: str, own: str) -> None:
    """Mean and interval of every column of values (S, J)."""
    lower, upper = np.quantile(values, interval(None), axis=0)
    mean, place = values.mean(axis=0), np.arange(values.shape[1]) + shift
    style: dict[str, Any] = {"color": own, "label": label}
    ax.vlines(place, lower, upper, color=own, linewidth=1.5)
    ax.plot(place, mean, marker(mark), markersize=5, linestyle="none", **style)


def _largest(weights: Floats, shown: int) -> Floats:
    """The largest weights of every draw, and what all others have, (S, shown + 1)."""
    most = -np.sort(-weights, axis=1)[:, :shown]
    most = np.pad(most, ((0, 0), (0, shown - most.shape[1])))
    return np.column_stack([most, np.maximum(0.0, 1 - most.sum(axis=1))])


def _prior_weights(prior: StickPrior, generator: np.random.Generator) -> Floats:
    """Weights that the process breaks off before any data, (S, J)."""
    alpha = _drawn(prior.concentration, generator)
    d = _drawn(prior.discount, generator)
    if prior.truncation is None:
        return broken(np.ones(_SIMULATED), d, alpha, generator)[0]
    v = generator.beta(*prior.stick_parameters(alpha[:, None], d[:, None]))
    rest = np.cumprod(np.column_stack([np.ones(_SIMULATED), 1 - v]), axis=1)
    weights: Floats = rest * np.column_stack([v, np.ones(_SIMULATED)])
    return weights


def _drawn(value: float | Gamma | Beta, generator: np.random.Generator) -> Floats:
    """Numbers as a prior draws them, or as often the same as stated, (S,)."""
    match value:
        case Gamma(shape, rate):
            return generator.gamma(shape, 1 / rate, _SIMULATED)
        case Beta(a, b):
            return generator.beta(a, b, _SIMULATED)
    return np.full(_SIMULATED, value)
