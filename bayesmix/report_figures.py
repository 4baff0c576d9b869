"""Pictures of a report, one after the other, by the names of their files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.draws import evenly
from bayesmix.predictive_sample import RESOLVED
from bayesmix.report_tables import em_as_draws, separating

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from bayesmix.comparison import Comparison
    from bayesmix.report_fits import Report

__all__ = ["DPI", "drawn", "figures", "pictured", "ringed_below"]

DPI = 192  # twice that of a screen
_MAX_HISTOGRAMS = 12
_MAX_BINS = 60
_RINGED = 0.01
_WORK = 20_000_000  # draws times rows
_MOST_RINGED = 5.0  # rows that the model itself would have ringed


def figures(made: Report) -> Iterator[tuple[str, bytes]]:
    """Draw with pyplot's state left alone; PNGs by the names of their files."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    with mpl.rc_context({"figure.max_open_warning": 0}):
        for name, figure in drawn(made):
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", dpi=DPI)
            plt.close(figure)
            yield name, _of_few_colors(buffer)


def _of_few_colors(png: io.BytesIO) -> bytes:
    """The same picture of 256 colors, which look the same and take a third of the room."""
    from PIL import Image

    small = io.BytesIO()
    few = Image.open(png).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(small, format="png", optimize=True)
    return small.getvalue()


def drawn(made: Report) -> Iterator[tuple[str, Figure]]:
    """Figures of all that was come to, in the order of the page."""
    from bayesmix import plots

    two = separating(made, 2) if len(made.table.features) > 1 else None
    yield "overview", _overview(made, two)
    yield "features", _histograms(made)
    options: dict[str, Any] = {"features": two, "random_seed": made.asked.seed}
    yield "prior", plots.prior_predictive(made.mixture, made.table, **options)[0].figure
    if made.comparison is not None:
        yield from _of_posterior(made, made.comparison, two)
    if made.partition is not None:
        yield "ball", plots.ball(made.partition, made.em, features=two)[0].figure
        yield "partition", plots.partitioned(made.partition)[0].figure
    if made.choice is not None:
        yield "groups", made.choice.plot()[0].figure


def ringed_below(n: int) -> float:
    """Tail probability below which the picture rings rows: 1 %, or that of five of many rows."""
    return max(min(_RINGED, _MOST_RINGED / n), RESOLVED)


def _of_posterior(
    made: Report, comparison: Comparison, two: list[str] | None
) -> Iterator[tuple[str, Any]]:
    """What only draws can tell; by component only where components are identified."""
    from bayesmix import plots

    post = pictured(made)
    if made.identified:
        yield "components", plots.forest(comparison)[0, 0].figure
        yield "membership", plots.membership(post, features=two).figure
    yield "traces", plots.traces(comparison.post)[0, 0].figure
    if made.tails is not None:
        limit = ringed_below(len(made.tails))
        yield "outliers", plots.outliers(post, features=two, limit=limit).figure
    yield "compared", plots.compared(comparison)[0].figure
    if made.identified:
        yield "responsibilities", plots.responsibilities(comparison).figure


def _overview(made: Report, two: list[str] | None) -> Any:
    """Components over the rows; the density alone where components cannot be told apart."""
    from bayesmix import plots

    post = pictured(made)
    if two is None:
        return plots.density(post, made.em).figure
    if made.comparison is not None and not made.identified:
        return plots.contours(post, made.em, features=two).figure
    if len(made.table.features) == 2:
        return plots.clusters(post, made.em).figure
    return plots.pairs(post, made.em)[0, 0].figure


def pictured(made: Report) -> xr.DataTree:
    """The posterior, or EM's point; of many rows as many draws, evenly spread, as can be seen."""
    if made.comparison is None:
        return em_as_draws(made.em)
    post = made.comparison.post
    sizes = post["posterior"].sizes
    enough = max(_WORK // (sizes["chain"] * len(made.table.values)), 1)
    return post.isel(draw=evenly(sizes["draw"], enough))


def _histograms(made: Report) -> Any:
    """Every feature by itself, of many the twelve that separate groups best."""
    import matplotlib.pyplot as plt

    names = separating(made, _MAX_HISTOGRAMS)
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    size = (max(4.0, 2.4 * columns), 1.9 * rows + 0.2)
    figure, grid = plt.subplots(
        rows, columns, figsize=size, squeeze=False, sharey=True, layout="constrained"
    )
    n_bins = int(np.clip(2 * np.cbrt(len(made.table.values)), 8, _MAX_BINS))
    for ax, name in zip(grid.flat, names, strict=False):
        values = made.table.values[:, made.table.features.index(name)]
        ax.hist(values, bins=n_bins, color="0.6", edgecolor="white", linewidth=0.4)
        ax.set_xlabel(name)
    for ax in grid.flat[len(names) :]:
        ax.set_visible(False)
    for ax in grid[:, 0]:
        ax.set_ylabel("rows")
    return figure
