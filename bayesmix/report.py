"""The report: EM and the posterior of one mixture on one self-contained page."""

from __future__ import annotations

import base64
import io
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayesmix.comparison import Comparison, compare_to_posterior
from bayesmix.data_priors import fraley_raftery
from bayesmix.diagnostics import Finding, diagnose
from bayesmix.em import fit_em
from bayesmix.inputs import Table, as_table, require_varying
from bayesmix.k_choice import KChoice
from bayesmix.membership import interval
from bayesmix.mixture import CovarianceType, Mixture
from bayesmix.n_components import choose_k
from bayesmix.priors import Dirichlet
from bayesmix.sampling import sample
from bayesmix.schema import as_draws, group
from bayesmix.summaries import summary

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

    from bayesmix.inputs import RandomSeed

__all__ = ["Report", "report"]

_PARTS = ("figures", "tables", "em.nc", "posterior.nc", "index.html")
_LEAST_CERTAIN = 10
_MAX_FEATURES = 4
_MOST_GROUPS = 8


@dataclass(frozen=True, eq=False)
class Report:
    """What a report was made of, and where it lies."""

    path: Path
    """The page, ``index.html``."""
    mixture: Mixture
    em: xr.DataTree
    post: xr.DataTree | None
    """None if sampling was interrupted before any draw."""
    comparison: Comparison | None
    choice: KChoice | None
    """How many groups there are; None if interrupted before."""
    findings: tuple[Finding, ...]
    table: Table
    labels: pd.Series | None

    @property
    def interrupted(self) -> bool:
        """Whether draws are missing."""
        trees = [self.post, None if self.choice is None else self.choice.post]
        return any(tree is None or bool(tree.attrs.get("interrupted")) for tree in trees)


def report(
    x: Any,
    out: str | Path,
    *,
    n_components: int = 2,
    covariance_type: CovarianceType = "full",
    draws: int = 1000,
    random_seed: RandomSeed = None,
    labels: pd.Series | None = None,
    name: str = "x",
    progressbar: bool = True,
    announce: Callable[[str], None] = lambda message: None,
) -> Report:
    r"""Fit EM and the posterior of the same mixture, and write both on one page.

    The prior is Dirichlet(1) on the weights and `fraley_raftery` on the components; EM finds its
    mode, `sample` its posterior. How many groups there are is asked of `choose_k`. The data are
    used as they are: nothing is scaled or dropped.

    Parameters
    ----------
    x : (n, D) array_like or DataFrame
    out : path
        Folder to write to: ``index.html``, ``figures/``, ``tables/``, ``em.nc``,
        ``posterior.nc``. Earlier reports in it are replaced, other files are left alone.
    n_components : int, default 2
    covariance_type : {"full", "tied", "diag", "spherical"}, default "full"
    draws : int, default 1000
        Per chain, of four chains.
    random_seed : int, SeedSequence or Generator, optional
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
        An interrupt while sampling gives a report on the draws so far, or on EM alone.

    Raises
    ------
    ValueError
        If the data cannot carry the fit.

    Examples
    --------
    >>> import bayesmix as bm
    >>> bm.report(bm.datasets.load("faithful"), "report")  # doctest: +SKIP
    """
    path = Path(out)
    _require_folder(path)
    _load_libraries()
    table = as_table(x, name=name)
    require_varying(table, "a mixture needs rows that differ")
    if len(table.values) < n_components:
        raise ValueError(
            f"{name}: expected at least as many rows as components ({n_components}), got "
            f"{len(table.values)}; use fewer components"
        )
    mixture = Mixture(Dirichlet(n_components), fraley_raftery(table, n_components), covariance_type)
    post = choice = None
    with warnings.catch_warnings():
        from sklearn.exceptions import ConvergenceWarning

        warnings.simplefilter("ignore", ConvergenceWarning)  # shown as findings instead
        announce("EM: looking for the mode from 10 starts")
        em = fit_em(mixture, table, random_seed=random_seed)
        announce("Sampling the posterior (the first time on a machine some seconds more)")
        options: dict[str, Any] = {
            "draws": draws,
            "random_seed": random_seed,
            "progressbar": progressbar,
        }
        try:
            post = sample(mixture, table, **options)
            if not post.attrs.get("interrupted"):
                numbers = range(1, max(_MOST_GROUPS, n_components + 2) + 1)
                announce(
                    "How many groups: the posterior of their number, evidence, predictions, EM"
                )
                choice = choose_k(table, numbers, covariance_type=covariance_type, **options)
        except KeyboardInterrupt:
            announce(
                "interrupted before any draw: reporting EM alone"
                if post is None
                else "interrupted: the page does not say how many groups"
            )
    comparison = None if post is None else compare_to_posterior(em, post)
    findings = (_em_finding(em), *(() if comparison is None else diagnose(comparison.post)))
    made = Report(
        path / "index.html", mixture, em, post, comparison, choice, findings, table, labels
    )
    announce("writing the report")
    with _published(path) as folder:
        _write(made, folder)
    return made


def _load_libraries() -> None:
    """Import what the page needs now: an import that Ctrl-C cuts short cannot be repeated."""
    for name in ("matplotlib.pyplot", "arviz_stats", "h5netcdf", "jinja2", "bayesmix.plots"):
        import_module(name)


def _em_finding(em: xr.DataTree) -> Finding:
    point, verdict = em["point_estimate"].attrs, em["optimization"].attrs["verdict"]
    severity: Literal["ok", "warning"] = "ok" if point["status"] == "converged" else "warning"
    return Finding(severity, "EM", f"EM {point['advice']}; {verdict}")


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
        made.post.to_netcdf(folder / "posterior.nc", engine="h5netcdf")
    (folder / "tables").mkdir()
    frames = tables(made)
    for name, frame in frames.items():
        frame.to_csv(folder / "tables" / f"{name}.csv", index=name != "components")
    (folder / "figures").mkdir()
    inline = {}
    for name, figure in _figures(made).items():
        data = _png(figure)
        (folder / "figures" / f"{name}.png").write_bytes(data)
        inline[name] = base64.b64encode(data).decode()
    (folder / "index.html").write_text(_page(made, frames, inline), encoding="utf-8")


def tables(made: Report) -> dict[str, pd.DataFrame]:
    """Build the tables by the names of their files."""
    groups = {} if made.choice is None else {"groups": made.choice.table}
    if made.comparison is not None and made.post is not None:
        return groups | {
            "components": made.comparison.components.rename(columns={"point": "em"}),
            "memberships": made.comparison.memberships.rename(
                columns=lambda c: c.replace("point_", "em_")
            ),
            "diagnostics": summary(made.comparison.post),
        }
    return groups | {
        "components": _em_components(made),
        "memberships": _em_memberships(made),
        "diagnostics": group(made.em, "optimization").drop_dims("iteration").to_dataframe(),
    }


def _em_components(made: Report) -> pd.DataFrame:
    import pandas as pd

    point = group(made.em, "point_estimate")
    rows = []
    for k, weight in enumerate(point["weights"].values):
        covariance = point["covariances"].values[k]
        rows.append((k, "weight", weight))
        for j, feature in enumerate(made.table.features):
            rows.append((k, f"mean {feature}", point["means"].values[k, j]))
            rows.append((k, f"sd {feature}", np.sqrt(covariance[j, j])))
    return pd.DataFrame(rows, columns=["component", "parameter", "em"])


def _em_memberships(made: Report) -> pd.DataFrame:
    import pandas as pd

    from bayesmix.gaussian import responsibilities

    point = group(made.em, "point_estimate")
    resp = responsibilities(
        made.table.values, *(point[v].values for v in ("weights", "means", "covariances"))
    )
    return pd.DataFrame(
        {"em_label": resp.argmax(axis=1), "em_probability": resp.max(axis=1)},
        index=pd.Index(made.table.index, name="obs"),
    )


def _figures(made: Report) -> dict[str, Any]:
    """Draw with pyplot's state left alone; one figure by the name of its file."""
    import matplotlib as mpl

    with mpl.rc_context({"figure.max_open_warning": 0, "savefig.dpi": 130}):
        from bayesmix import plots

        em = made.em
        post = _em_as_draws(em) if made.comparison is None else made.comparison.post
        match len(made.table.features):
            case 1:
                overview = plots.density(post, em).figure
            case 2:
                overview = plots.clusters(post, em).figure
            case _:
                overview = plots.pairs(post, em)[0, 0].figure
        if made.comparison is None:
            return {"overview": overview}
        groups = {} if made.choice is None else {"groups": made.choice.plot()[0].figure}
        return groups | {
            "overview": overview,
            "components": plots.forest(made.comparison)[0, 0].figure,
            "confidence": plots.confidence(made.comparison).figure,
            "traces": plots.traces(post)[0, 0].figure,
        }


def _em_as_draws(em: xr.DataTree) -> xr.DataTree:
    tree = as_draws(em)
    tree["observed_data"] = em["observed_data"]
    return tree


def _png(figure: Figure) -> bytes:
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    plt.close(figure)
    return buffer.getvalue()


def _page(made: Report, frames: dict[str, pd.DataFrame], figures: dict[str, str]) -> str:
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("bayesmix"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    memberships = frames["memberships"]
    return environment.get_template("report.html.j2").render(
        made=made,
        prior=made.mixture.components,
        n=len(made.table.values),
        features=made.table.features,
        groups=None if made.choice is None else _groups(made.choice),
        optimum=made.em["point_estimate"].attrs,
        starts=made.em["optimization"].attrs["verdict"],
        components=_shown_components(frames["components"]),
        least_certain=_least_certain(made, memberships),
        shown_features=made.table.features[:_MAX_FEATURES],
        mass=f"{_mass():.0%}",
        cross=_cross_table(made, memberships),
        figures=figures,
        attrs=(made.em if made.post is None else made.post).attrs,
    )


def _mass() -> float:
    lower, upper = interval(None)
    return upper - lower


def _groups(choice: KChoice) -> list[dict[Any, Any]]:
    """Rows of the table on the number of groups, with how EM ended."""
    rows = choice.table.reset_index().to_dict("records")
    return [
        {**row, "em_status": choice.em_status.get(int(row["n_components"]), "not fitted")}
        for row in rows
    ]


def _least_certain(made: Report, memberships: pd.DataFrame) -> list[dict[Any, Any]]:
    """Rows of the data for the page, least certain first."""
    certainty = "em_probability" if made.comparison is None else "label_probability"
    order = np.argsort(memberships[certainty].to_numpy(), kind="stable")[:_LEAST_CERTAIN]
    shown = memberships.iloc[order].reset_index().to_dict("records")
    return [
        {**row, "values": made.table.values[i, :_MAX_FEATURES]}
        for i, row in zip(order, shown, strict=True)
    ]


def _shown_components(frame: pd.DataFrame) -> pd.DataFrame:
    """Spare the page the correlations of many features; the file has them."""
    if len(frame) <= 60:
        return frame
    return frame[~frame["parameter"].str.startswith("correlation")]


def _cross_table(made: Report, memberships: pd.DataFrame) -> pd.DataFrame | None:
    if made.labels is None:
        return None
    import pandas as pd

    column = "label" if "label" in memberships else "em_label"
    known = made.labels.astype(object).where(made.labels.notna(), "(no label)")
    table = pd.crosstab(known.to_numpy(), memberships[column].to_numpy())
    return table.reindex(columns=range(made.mixture.n_components), fill_value=0)
