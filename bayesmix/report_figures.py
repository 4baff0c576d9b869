"""Pictures of a report, one after the other, by the names of their files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.report_tables import em_as_draws

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from bayesmix.inputs import Table
    from bayesmix.report_fits import Report

__all__ = ["DPI", "drawn", "figures", "separating"]

DPI = 192  # twice that of a screen
_MAX_HISTOGRAMS = 12
_MAX_BINS = 60


def figures(made: Report) -> Iterator[tuple[str, bytes]]:
    """Draw with pyplot's state left alone; PNGs by the names of their files."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    with mpl.rc_context({"figure.max_open_warning": 0}):
        for name, figure in drawn(made):
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", dpi=DPI, pil_kwargs={"optimize": True})
            plt.close(figure)
            yield name, buffer.getvalue()


def drawn(made: Report) -> Iterator[tuple[str, Figure]]:
    """Figures of all that was come to, in the order of the page."""
    from bayesmix import plots

    yield "overview", _overview(made)
    yield "features", _histograms(made)
    if made.comparison is not None:
        if made.identified:
            yield "components", plots.forest(made.comparison)[0, 0].figure
        yield "traces", plots.traces(made.comparison.post)[0, 0].figure
        yield "compared", plots.compared(made.comparison)[0].figure
    if made.partition is not None:
        yield "partition", plots.partitioned(made.partition)[0].figure
        features = separating(made.table, made.partition.labels.values)[:2]
        yield "ball", plots.ball(made.partition, made.em, features=features)[0].figure
    if made.choice is not None:
        yield "groups", made.choice.plot()[0].figure


def _overview(made: Report) -> Any:
    from bayesmix import plots

    post = em_as_draws(made.em) if made.comparison is None else made.comparison.post
    match len(made.table.features):
        case 1:
            return plots.density(post, made.em).figure
        case 2:
            return plots.clusters(post, made.em).figure
        case _:
            return plots.pairs(post, made.em)[0, 0].figure


def _histograms(made: Report) -> Any:
    """Every feature by itself, the first twelve of many."""
    import matplotlib.pyplot as plt

    x, names = made.table.values, made.table.features[:_MAX_HISTOGRAMS]
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    size = (max(4.0, 2.4 * columns), 1.9 * rows + 0.2)
    figure, grid = plt.subplots(
        rows, columns, figsize=size, squeeze=False, sharey=True, layout="constrained"
    )
    n_bins = int(np.clip(2 * np.cbrt(len(x)), 8, _MAX_BINS))
    for ax, name, values in zip(grid.flat, names, x.T, strict=False):
        ax.hist(values, bins=n_bins, color="0.6", edgecolor="white", linewidth=0.4)
        ax.set_xlabel(name)
    for ax in grid.flat[len(names) :]:
        ax.set_visible(False)
    for ax in grid[:, 0]:
        ax.set_ylabel("rows")
    return figure


def separating(table: Table, label: NDArray[np.integer]) -> list[str]:
    """Names of all features, those first in which groups (n,) differ the most for their spread."""
    x = table.values - table.values.mean(axis=0)
    of_group = np.eye(label.max() + 1)[label]
    means = (of_group.T @ x) / of_group.sum(axis=0)[:, None]
    between = np.square(means[label]).mean(axis=0)
    order = np.argsort(-between / np.square(x).mean(axis=0), kind="stable")
    return [table.features[j] for j in order]
