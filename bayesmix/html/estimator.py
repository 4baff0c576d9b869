"""What a fitted estimator adds to scikit-learn's page: how the fit ended, and its components."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmix.html.elements import block, sentences, table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["fitted_html"]

_MOST_FEATURES = 4


def fitted_html(
    said: list[str], weights: Floats, means: Floats, covariances: Floats, features: tuple[str, ...]
) -> str:
    """Show what is said of a fit, and its components: (K,), (K, D) and (K, D, D)."""
    import pandas as pd

    shown = features[:_MOST_FEATURES]
    of = f", {len(shown)} of {len(features)} features" if len(shown) < len(features) else ""
    columns = {"weight": weights}
    for j, name in enumerate(shown):
        columns |= {f"mean {name}": means[:, j], f"sd {name}": np.sqrt(covariances[:, j, j])}
    frame = pd.DataFrame(columns, pd.RangeIndex(len(weights), name="component"))
    return block(
        "Fitted mixture",
        sentences(said),
        table(frame, f"Components in the units of the data{of}."),
    )
