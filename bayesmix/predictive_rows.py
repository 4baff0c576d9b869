"""Which rows and which of a tree's features a prediction is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.draws import data_of, require_posterior
from bayesmix.inputs import Table, as_table
from bayesmix.schema import group, varies

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Features = str | Sequence[str] | None

__all__ = ["columns_of", "features_of", "rows_of"]


def features_of(post: xr.DataTree) -> tuple[str, ...]:
    """Names of a tree's features."""
    found = group(post, "components") if varies(post) else require_posterior(post)
    return tuple(str(name) for name in found["feature"].values)


def columns_of(post: xr.DataTree, features: Features) -> NDArray[np.intp] | None:
    """Places of features among the tree's; None for all of them, as they come.

    Raises
    ------
    ValueError
        If there is none, one comes twice, or the tree has none of that name.
    """
    if features is None:
        return None
    names = [features] if isinstance(features, str) else [str(name) for name in features]
    own = features_of(post)
    unknown = [name for name in names if name not in own]
    if not names or unknown or len(set(names)) < len(names):
        raise ValueError(
            f"features: expected distinct names among {', '.join(own)}, got "
            f"{', '.join(names) or 'none'}"
        )
    return np.array([own.index(name) for name in names])


def rows_of(
    post: xr.DataTree, x: Any, columns: NDArray[np.intp] | None, *, name: str = "x"
) -> Table:
    """Rows with the columns asked for: those given, checked, else those of the fit."""
    own = features_of(post)
    wanted = own if columns is None else tuple(own[j] for j in columns)
    if x is None:
        table = data_of(post)
        if columns is None:
            return table
        return Table(np.ascontiguousarray(table.values[:, columns]), wanted, table.index)
    table = as_table(x, name=name)
    if hasattr(x, "columns") and table.features != wanted:
        raise ValueError(
            f"{name}: expected the columns {', '.join(wanted)}, got {', '.join(table.features)}; "
            "put them in this order, name some by features=, or pass an array"
        )
    if table.values.shape[1] != len(wanted):
        raise ValueError(
            f"{name}: expected {len(wanted)} column(s), {', '.join(wanted)}, got "
            f"{table.values.shape[1]}; name others by features="
        )
    return table
