"""Curves along one feature: places that show every component, however narrow, and their heights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmix.draws import components_of, evenly

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.frozen import FrozenMixture

    Floats = NDArray[np.float64]

__all__ = ["component_heights", "components_along", "extent", "places", "spreads"]

_EVEN = 400
_MARGIN = 0.1  # of the rows' range, at either end
_NARROW = 4  # even steps in the standard deviation of a component that they draw well
_NEAR = np.linspace(-4, 4, 17)  # places about a narrower one, in standard deviations
_N_DRAWS = 10  # whose components are looked at
_LEAST = 1e-4  # weight of a component that is


def extent(values: Floats) -> tuple[float, float]:
    """Where curves over values (n,) begin and end."""
    margin = _MARGIN * float(np.ptp(values)) or 0.5  # the histogram of a constant has that
    return float(values.min()) - margin, float(values.max()) + margin


def places(low: float, high: float, means: Floats, deviations: Floats) -> Floats:
    """Places from low to high: even ones, and closer ones about components too narrow for these."""
    even, step = np.linspace(low, high, _EVEN, retstep=True)
    narrow = deviations < _NARROW * step
    near = np.ravel(means[narrow, None] + deviations[narrow, None] * _NEAR)
    return np.union1d(even, near[(near > low) & (near < high)])


def spreads(law: FrozenMixture) -> tuple[Floats, Floats]:
    """Means and standard deviations (K,) of the components of one feature."""
    return law.means[:, 0], np.sqrt(law.covariances[:, 0, 0])


def components_along(post: xr.DataTree, feature: int) -> tuple[Floats, Floats]:
    """Means and standard deviations of a feature in the components of some draws."""
    draws = components_of(post)
    at = evenly(len(draws), _N_DRAWS)
    some = draws.weights[at] > _LEAST
    variances = draws.covariances[at, :, feature, feature]
    return draws.means[at, :, feature][some], np.sqrt(variances[some])


def component_heights(law: FrozenMixture, at: Floats) -> Floats:
    """Densities (K, m) of the components of one feature, times their weights."""
    means, deviations = (values[:, None] for values in spreads(law))
    exponent = -0.5 * np.square((at - means) / deviations)
    return law.weights[:, None] * np.exp(exponent) / (np.sqrt(2 * np.pi) * deviations)
