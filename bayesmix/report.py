"""The report: EM and the posterior of one mixture on one self-contained page."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.data_priors import fraley_raftery
from bayesmix.inputs import Table, as_generator, as_table, require_count, require_varying
from bayesmix.mixture import CovarianceType, Mixture
from bayesmix.priors import Dirichlet
from bayesmix.report_figures import figures
from bayesmix.report_fits import Asked, Report, fitted
from bayesmix.report_page import page
from bayesmix.report_tables import tables

if TYPE_CHECKING:
    import pandas as pd

    from bayesmix.inputs import RandomSeed

__all__ = ["Report", "report"]

_PARTS = ("figures", "tables", "em.nc", "posterior.nc", "index.html")
_WORK = 20_000_000  # draws of a chain times rows, by default
_FEWEST, _MOST = 200, 1000  # draws of a chain, by default


def report(
    x: Any,
    out: str | Path,
    *,
    n_components: int = 2,
    covariance_type: CovarianceType = "full",
    draws: int | None = None,
    random_seed: RandomSeed = None,
    labels: pd.Series | None = None,
    name: str = "x",
    progressbar: bool = True,
    announce: Callable[[str], None] = lambda message: None,
) -> Report:
    r"""Fit EM and the posterior of the same mixture, and write both on one page.

    The prior is Dirichlet(1) on the weights and `fraley_raftery` on the components; EM finds its
    mode, `sample` its posterior, `partition` one partition for all draws. How many groups there are
    is asked of `choose_k`, of tables above 20,000 numbers for half a minute. The data are used as
    they are: nothing is scaled or dropped.

    Parameters
    ----------
    x : (n, D) array_like or DataFrame
    out : path
        Folder to write to: ``index.html``, ``figures/``, ``tables/``, ``em.nc``,
        ``posterior.nc``. Earlier reports in it are replaced, other files are left alone.
    n_components : int, default 2
    covariance_type : {"full", "tied", "diag", "spherical"}, default "full"
    draws : int, optional
        Per chain, of four chains; default 1000, of more than 20,000 rows fewer, at least 200.
    random_seed : int, SeedSequence or Generator, optional
        The page names one whole number that repeats it: the seed given, or one drawn from it.
    labels : Series, optional
        Known groups, set beside the components; not used in the fit.
    name : str, default "x"
        What to call the data.
    progressbar : bool, default True
    announce : callable, optional
        Is told each step.

    Returns
    -------
    Report
        An interrupt gives a report on what was finished: EM at least, and the draws so far.

    Raises
    ------
    ValueError
        If the data cannot carry the fit.
    KeyboardInterrupt
        If interrupted before EM has ended, or while the page is written.

    Examples
    --------
    >>> import bayesmix as bm
    >>> bm.report(bm.datasets.load("faithful"), "report")  # doctest: +SKIP
    """
    path = Path(out)
    _require_folder(path)
    _load_libraries()
    table = _checked(x, name, n_components)
    if draws is None:
        draws = max(_FEWEST, min(_MOST, _WORK // len(table.values)))
    require_count(draws, "draws")
    mixture = Mixture(Dirichlet(n_components), fraley_raftery(table, n_components), covariance_type)
    seed = _seed(random_seed)
    asked = Asked(path / "index.html", table, labels, mixture, draws, seed, progressbar)
    made = fitted(asked, announce)
    announce("writing the report")
    with _published(path) as folder:
        _write(made, folder)
    return made


def _checked(x: Any, name: str, n_components: int) -> Table:
    table = as_table(x, name=name)
    require_varying(table, "a mixture needs rows that differ")
    if len(table.values) < n_components:
        raise ValueError(
            f"{name}: expected at least as many rows as components ({n_components}), got "
            f"{len(table.values)}; use fewer components"
        )
    return table


def _seed(given: RandomSeed) -> int:
    """A whole number to start every stage from."""
    if isinstance(given, (int, np.integer)):
        return int(given)
    return int(as_generator(given).integers(2**31))


def _load_libraries() -> None:
    """Import what the page needs now: an import that Ctrl-C cuts short cannot be repeated."""
    for name in ("matplotlib.pyplot", "arviz_stats", "h5netcdf", "jinja2", "bayesmix.plots"):
        import_module(name)


def _require_folder(out: Path) -> None:
    """Refuse, before any work, a path where no folder can be."""
    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not there.is_dir():
        raise ValueError(f"out: expected a folder, but {there} is a file; give another path")


@contextmanager
def _published(out: Path) -> Iterator[Path]:
    """Collect the parts in a folder beside, and move them in place only when all are there."""
    out.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".partial-", dir=out))
    try:
        yield staging
        for part in reversed(_PARTS):  # the page goes first and comes back last
            old = out / part
            if old.is_dir():
                shutil.rmtree(old)
            else:
                old.unlink(missing_ok=True)
        for part in _PARTS:
            if (staging / part).exists():
                (staging / part).replace(out / part)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write(made: Report, folder: Path) -> None:
    made.em.to_netcdf(folder / "em.nc", engine="h5netcdf")
    if made.post is not None:
        packed = {"/allocation": {"label": {"zlib": True, "complevel": 1}}}
        made.post.to_netcdf(folder / "posterior.nc", engine="h5netcdf", encoding=packed)
    (folder / "tables").mkdir()
    frames = tables(made)
    for name, frame in frames.items():
        frame.to_csv(folder / "tables" / f"{name}.csv", index=name != "components")
    (folder / "figures").mkdir()
    pictures = {}
    for name, data in figures(made):
        (folder / "figures" / f"{name}.png").write_bytes(data)
        pictures[name] = data
    (folder / "index.html").write_text(page(made, frames, pictures), encoding="utf-8")
