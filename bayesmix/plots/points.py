"""A point fit in a picture: it has to be of the features that the picture is of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bayesmix.draws import point_of
from bayesmix.frozen import FrozenMixture, frozen
from bayesmix.schema import group

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

    from bayesmix.inputs import Table

__all__ = ["law_of", "reference_of"]


def law_of(point: Any, table: Table, at: list[int]) -> FrozenMixture:
    """A point's law of some features, by their places in a table."""
    _require_features(point_of(point), table.features)
    return frozen(point).marginal(at)


def reference_of(point: Any, post: xr.DataTree) -> xr.Dataset:
    """A point that components of a posterior can follow in their order."""
    found, posterior = point_of(point), group(post, "posterior")
    if "feature" in posterior.coords:
        _require_features(found, [str(name) for name in posterior["feature"].values])
    k = found.sizes["component"]
    if (expected := posterior.sizes.get("component", k)) != k:
        raise ValueError(
            f"point: expected {expected} components, as in the posterior, got {k}; fit as many, or "
            "compare densities by plots.contours or plots.density"
        )
    return found


def _require_features(point: xr.Dataset, expected: Sequence[str]) -> None:
    """Refuse a point of others, of another order where it knows their names."""
    named = "feature" in point.coords
    given = [str(name) for name in point["feature"].values] if named else []
    if point.sizes["feature"] == len(expected) and given in ([], list(expected)):
        return
    got = ", ".join(given) if named else f"{point.sizes['feature']} without names"
    raise ValueError(
        f"point: expected the features {', '.join(expected)}, in this order, got {got}; fit it to "
        "the columns of the posterior"
    )
