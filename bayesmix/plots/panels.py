"""Several panels with the same axes: their places, and labels at the outer ones only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["panels"]


def panels(
    n: int, most_columns: int, labels: tuple[str, str], size: tuple[float, float] = (3.2, 3.1)
) -> tuple[NDArray[np.object_], int]:
    """Axes (n,) of a new figure that share limits and have labels, and how many stand side by side.

    The size is that of one panel, in inches.
    """
    rows = -(-n // most_columns)
    columns = -(-n // rows)
    width, height = size
    _, grid = plt.subplots(
        rows,
        columns,
        figsize=(width * columns + 0.4, height * rows + 0.5),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for ax in grid.flat[n:]:
        ax.remove()
    for i, ax in enumerate(grid.flat[:n]):
        last = i + columns >= n
        ax.set_xlabel(labels[0] if last else "")
        ax.tick_params(labelbottom=last)
    for ax in grid[:, 0]:
        ax.set_ylabel(labels[1])
    return grid.ravel()[:n], columns
