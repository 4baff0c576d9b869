"""What data the prior expects, beside the data: a prior can be judged by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np

from bayesmix import component_prior
from bayesmix.component_counts import log_pmf_table
from bayesmix.covariance import structure_of
from bayesmix.finite_mixtures import MixtureOfFiniteMixtures
from bayesmix.frozen import FrozenMixture
from bayesmix.inputs import as_generator, as_table, require_count
from bayesmix.mixture import Mixture
from bayesmix.plots.columns import chosen
from bayesmix.plots.curves import places, spreads
from bayesmix.plots.density import CUT, ceiling, histogram
from bayesmix.plots.panels import panels
from bayesmix.plots.rows import rows_drawn, size_of_markers
from bayesmix.plots.style import POINT_COLOR, color, plain
from bayesmix.replicates import sample_prior_predictive
from bayesmix.schema import PARAMETERS, group
from bayesmix.wording import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.inputs import RandomSeed, Table

    Floats = NDArray[np.float64]

__all__ = ["prior_predictive"]

_JUDGED_BY = 100_000  # rows, each of its own draw, for widths and limits
_TAIL = 0.005  # share of the prior's rows that may lie beyond the picture, at either end
_MIDDLE = (0.05, 0.95)
_COLUMNS = 3


def prior_predictive(
    mixture: Mixture,
    x: Any,
    *,
    features: Sequence[str] | None = None,
    n_draws: int = 8,
    random_seed: RandomSeed = None,
) -> NDArray[np.object_]:
    """Draw data sets that the prior would make beside the data, within the same limits.

    Every draw of the prior is another mixture, and makes as many rows as the data have (at most
    5,000). One feature is drawn as the mixtures' densities over the data's histogram. The title
    says how much wider than the data the prior is: the range of the middle 90 % of its rows,
    of 100,000 draws, over that of the data. Limits leave out one in a hundred of
    the prior's rows along each axis.

    Parameters
    ----------
    mixture : Mixture
        With a component prior; a random number of components is drawn for every draw.
    x : (n, D) array_like or DataFrame
        The data.
    features : one or two str, optional
        Which to draw; default the first two.
    n_draws : int, default 8
        Data sets, or densities, that are drawn.
    random_seed : int, SeedSequence or Generator, optional

    Returns
    -------
    ndarray of matplotlib Axes
        The data first, then the prior's; of one feature shape (1,).

    Raises
    ------
    ValueError
        As `bayesmix.sample_prior_predictive`.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.weakly_informative(x))
    >>> len(bm.plots.prior_predictive(mixture, x, random_seed=1))
    9
    """
    require_count(n_draws, "n_draws")
    if not isinstance(mixture, Mixture):
        raise TypeError(
            f"mixture: expected a Mixture, got {type(mixture).__name__}; the data come second"
        )
    table = as_table(x)
    at = chosen(table, features, lambda most: list(range(most)))
    data = table.values[rows_drawn(len(table.values))][:, at]
    generator = as_generator(random_seed)
    of_features = _of_features(mixture, table, at)
    laws, made = _simulated(of_features, data, n_draws, generator)
    everything = _single_rows(of_features, generator)
    names = [plain(table.features[j]) for j in at]
    limits = _limits(data, everything)
    if len(at) == 1:
        axes = _densities(laws, data[:, 0], names[0], limits[:, 0])
    else:
        axes = _data_sets(data, made, names, limits)
    axes[0].figure.suptitle(_words(data, everything, names), fontsize="medium")
    return axes


def _of_features(mixture: Mixture, table: Table, at: list[int]) -> Mixture:
    """What the model expects of some features; one without a component prior is refused later."""
    if mixture.components is None:
        return mixture
    mixture.require_features(len(table.features))
    structure = structure_of(mixture.covariance_type)
    prior = component_prior.marginal(mixture.components, structure, np.array(at))
    return replace(mixture, components=prior)


def _simulated(
    mixture: Mixture, data: Floats, count: int, random_seed: RandomSeed
) -> tuple[list[FrozenMixture], Floats]:
    """Mixtures from the prior, and as many rows as the data at each, (count, n, q)."""
    if isinstance(mixture.weights, MixtureOfFiniteMixtures):
        return _of_any_number(mixture, mixture.weights, data, count, as_generator(random_seed))
    tree = sample_prior_predictive(mixture, data, draws=count, random_seed=random_seed)
    prior, rows = group(tree, "prior"), group(tree, "prior_predictive")["x"].values[0]
    values = zip(*(prior[name].values[0] for name in PARAMETERS), strict=True)
    return [FrozenMixture(*one) for one in values], rows


def _of_any_number(
    mixture: Mixture,
    weights: MixtureOfFiniteMixtures,
    data: Floats,
    count: int,
    generator: np.random.Generator,
) -> tuple[list[FrozenMixture], Floats]:
    """The same where the number of components is random: drawn first, those alike together."""
    probability = np.exp(log_pmf_table(weights.n_components))
    numbers = 1 + generator.choice(len(probability), count, p=probability / probability.sum())
    laws: dict[int, FrozenMixture] = {}
    rows = np.empty((count, *data.shape))
    for k in np.unique(numbers).tolist():
        own = np.flatnonzero(numbers == k)
        given = replace(mixture, weights=weights.given(k))
        some, rows[own] = _simulated(given, data, len(own), generator)
        laws.update(zip(own.tolist(), some, strict=True))
    return [laws[s] for s in range(count)], rows


def _single_rows(mixture: Mixture, generator: np.random.Generator) -> Floats:
    """Rows of as many draws, (m, q): all components have one prior, so any is that of a row."""
    prior, structure = mixture.components, structure_of(mixture.covariance_type)
    assert prior is not None  # `_simulated` refuses it
    means, covariances, _ = component_prior.draw(prior, structure, 1, _JUDGED_BY, generator)
    noise = generator.standard_normal((*means.shape, 1))
    return (means + (np.linalg.cholesky(covariances) @ noise)[..., 0])[:, 0]


def _words(data: Floats, made: Floats, names: list[str]) -> str:
    """How wide the prior is against the data, feature by feature."""
    wide = [np.ptp(np.quantile(rows, _MIDDLE, axis=0), axis=0) for rows in (made, data)]
    with np.errstate(divide="ignore"):
        ratios = wide[0] / wide[1]
    each = [f"{ratio:.2g} in {name}" for ratio, name in zip(ratios, names, strict=True)]
    share = f"{_MIDDLE[1] - _MIDDLE[0]:.0%}"
    return (
        f"range of the middle {share} of the prior's rows,\n"
        f"over that of the data: {', '.join(each)}"
    )


def _limits(data: Floats, made: Floats) -> Floats:
    """Lower and upper limits (2, q) that show all data, and nearly all that the prior makes."""
    low, high = np.quantile(made, [_TAIL, 1 - _TAIL], axis=0)
    low, high = np.minimum(low, data.min(axis=0)), np.maximum(high, data.max(axis=0))
    margin = 0.03 * (high - low)
    return np.stack([low - margin, high + margin])


def _densities(
    laws: list[FrozenMixture], data: Floats, name: str, limits: Floats
) -> NDArray[np.object_]:
    """Densities of some draws over the histogram of data (n,)."""
    ax = plt.subplots(figsize=(6.4, 4.8), layout="constrained")[1]
    histogram(ax, data)
    peak = 0.0
    for law in laws:
        at = places(limits[0], limits[1], *spreads(law))
        height = law.pdf(at)
        peak = max(peak, float(height.max()))
        label = None if law is not laws[0] else f"{counted(len(laws), 'draw')} of the prior"
        ax.plot(at, height, color=color(0), linewidth=1, alpha=0.7, label=label)
    ax.set(xlim=limits, xlabel=name, ylabel="density")
    if peak > (top := ceiling(data)):
        ax.set(ylim=(0, top), ylabel=f"density, {CUT}")
    ax.legend(fontsize="small")
    return np.array([ax], dtype=object)


def _data_sets(data: Floats, made: Floats, names: list[str], limits: Floats) -> NDArray[np.object_]:
    """Scatters of the data (n, 2), and of data sets (m, n, 2) that the prior makes."""
    size = 0.6 * size_of_markers(len(data))
    axes, _ = panels(len(made) + 1, _COLUMNS, (names[0], names[1]), (2.7, 2.4))
    for ax, rows in zip(axes, [data, *made], strict=True):
        first = ax is axes[0]
        look: dict[str, Any] = {"color": POINT_COLOR if first else color(0), "linewidths": 0}
        ax.scatter(rows[:, 0], rows[:, 1], s=size, alpha=0.6, **look)
        ax.set_title("the data" if first else "a draw of the prior", fontsize="small")
    axes[0].set(xlim=limits[:, 0], ylim=limits[:, 1])
    return axes
