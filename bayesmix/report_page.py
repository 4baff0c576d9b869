"""The page of a report: what its template is told, and how it writes numbers."""

from __future__ import annotations

import base64
import struct
from datetime import UTC, datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmix import html
from bayesmix.html.features import features_table
from bayesmix.html.numbers import LARGE, decimals, number
from bayesmix.membership import interval
from bayesmix.report_code import code, fingerprint, versions
from bayesmix.report_figures import DPI, ringed_below
from bayesmix.report_tables import separating
from bayesmix.report_words import facts, out_of_place, outlier_limit, resolved
from bayesmix.wording import counted, initial

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from bayesmix.k_choice import KChoice
    from bayesmix.report_fits import Report

__all__ = ["page"]


class Section(NamedTuple):
    """A part of the page: its template and anchor, and its title."""

    name: str
    title: str


_SECTIONS = (
    Section("short", "In short"),
    Section("data", "Data"),
    Section("model", "Model and prior"),
    Section("em", "EM: the mode"),
    Section("posterior", "Posterior: the components"),
    Section("diagnostics", "Can the draws be trusted?"),
    Section("memberships", "Who belongs where"),
    Section("partition", "One partition"),
    Section("groups", "How many groups"),
    Section("comparison", "EM against the posterior"),
    Section("again", "To do it again"),
)

_LEAST_CERTAIN = 10
_FARTHEST = 5
_MAX_FEATURES = 4  # beside a row
_MAX_ROWS = 80  # of a table of components, above which correlations are in its file only
_AFTER_INVARIANTS = ("non_permutation_rate", "components")
SCREEN_DPI = 96  # of CSS
_UNKNOWN = 100  # size over error that leaves four digits


def page(made: Report, frames: Mapping[str, pd.DataFrame], pictures: Mapping[str, bytes]) -> str:
    """Write the page: ``frames`` as `tables` makes them, PNGs by name."""
    from jinja2 import Environment, PackageLoader

    from bayesmix.plots.style import color

    environment = Environment(
        loader=PackageLoader("bayesmix"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "known": _known, "count": "{:,}".format}
    environment.filters |= {"counted": counted, "initial": initial}
    lower, upper = interval(None)
    shown = separating(made, _MAX_FEATURES)
    components = _by_parameter(frames["components"])
    return environment.get_template("report/page.html.j2").render(
        made=made,
        sections=_sections(made),
        facts=facts(made),
        words=html.words(made.mixture),
        formula=html.formula(made.mixture),
        prior=_prior_table(made),
        pictures={name: _picture(data) for name, data in pictures.items()},
        features=frames["features"].reset_index().to_dict("records"),
        components=components,
        forms={parameter: _form(rows) for parameter, rows in components.items()},
        mass=f"{upper - lower:.0%}",
        least_certain=_least_certain(made, frames["memberships"], shown),
        farthest=_farthest(made, shown),
        limit=outlier_limit(len(made.table.values)),
        ringed=ringed_below(len(made.table.values)),
        resolved=resolved(made),
        n_unresolved=0 if made.tails is None else int((made.tails < resolved(made)).sum()),
        outside=out_of_place(made),
        shown_features=shown,
        cross=_cross_table(made, frames["memberships"]),
        diagnostics=None if made.comparison is None else _diagnostics(frames["diagnostics"]),
        groups=None if made.choice is None else _groups(made.choice),
        again=_again(made),
        colors=[color(k) for k in range(_most_shown(made))],
    )


def _sections(made: Report) -> list[Section]:
    """What there is to tell, in this order."""
    told = {
        "posterior": made.comparison,
        "diagnostics": made.comparison,
        "partition": made.partition,
        "groups": made.choice,
        "comparison": made.comparison,
    }
    return [section for section in _SECTIONS if told.get(section.name, made) is not None]


def _most_shown(made: Report) -> int:
    """Number of components, or of clusters if those are more."""
    clusters = 0 if made.partition is None else made.partition.n_clusters
    return max(made.mixture.n_components, clusters)


def _picture(png: bytes) -> dict[str, Any]:
    """A picture as the page holds it, with its size in the page's pixels."""
    width, height = struct.unpack(">II", png[16:24])
    scale = SCREEN_DPI / DPI
    return {
        "base64": base64.b64encode(png).decode(),
        "width": round(width * scale),
        "height": round(height * scale),
    }


def _prior_table(made: Report) -> str:
    """What the prior expects of every feature."""
    mixture, names = made.mixture, made.table.features
    return features_table(mixture.components, mixture.covariance_type, names, most_rows=len(names))


def _form(rows: list[dict[Any, Any]]) -> str:
    """How to write one parameter of all components: two digits of its sd, or four of its size."""
    spreads = [row["sd"] for row in rows if row.get("sd", 0) > 0]
    size = max(abs(row["em"]) for row in rows)
    places = decimals(min(spreads) if spreads else size / _UNKNOWN)
    return ".4g" if places is None or size >= LARGE else f"z,.{places}f"


def _known(value: float, form: str) -> str:
    """A number in a form of its own; a dash where there is none."""
    return format(value, form) if np.isfinite(value) else "–"


def _by_parameter(frame: pd.DataFrame) -> dict[str, list[dict[Any, Any]]]:
    """Rows of the component table by parameter, in each those of all components."""
    few = frame["parameter"].nunique() <= _MAX_ROWS
    found: dict[str, list[dict[Any, Any]]] = {}
    for row in frame.to_dict("records"):
        if few or not row["parameter"].startswith("correlation"):
            found.setdefault(row["parameter"], []).append(row)
    return found


def _least_certain(
    made: Report, memberships: pd.DataFrame, features: list[str]
) -> list[dict[Any, Any]]:
    """Rows of the data for the page, least certain first.

    By the posterior's components where they are identified, else by the partition; of EM alone by
    its own probability.
    """
    if made.comparison is None:
        certainty = "em_probability"
    else:
        by_component = made.identified or made.partition is None
        certainty = "label_probability" if by_component else "certainty"
    order = np.argsort(memberships[certainty].to_numpy(), kind="stable")
    return _with_values(made, memberships, order[:_LEAST_CERTAIN], features)


def _farthest(made: Report, features: list[str]) -> list[dict[Any, Any]]:
    """Rows of the data with the smallest tail probabilities."""
    if made.tails is None:
        return []
    order = np.argsort(made.tails.to_numpy(), kind="stable")[:_FARTHEST]
    return _with_values(made, made.tails.to_frame(), order, features)


def _with_values(
    made: Report, frame: pd.DataFrame, order: Any, features: list[str]
) -> list[dict[Any, Any]]:
    """Rows of a table at some places, with their values of some features."""
    at = [made.table.features.index(name) for name in features]
    shown = frame.iloc[order].reset_index().to_dict("records")
    values = made.table.values[np.ix_(order, at)].tolist()
    return [{**row, "values": value} for row, value in zip(shown, values, strict=True)]


def _cross_table(made: Report, memberships: pd.DataFrame) -> pd.DataFrame | None:
    """Counts of rows by known label and by component, or cluster where those are not identified."""
    labels = made.asked.labels
    if labels is None:
        return None
    import pandas as pd

    if made.comparison is None:
        column = "em_label"
    else:
        column = "label" if made.identified or made.partition is None else "cluster"
    known = labels.astype(object).where(labels.notna(), "(no label)")
    table = pd.crosstab(known.to_numpy(), memberships[column].to_numpy())
    if column == "cluster":
        return table
    return table.reindex(columns=range(made.mixture.n_components), fill_value=0)


def _diagnostics(frame: pd.DataFrame) -> list[dict[Any, Any]]:
    """Rows of the summary that do not depend on labels: they come first."""
    named = frame.rename_axis("name").reset_index().to_dict("records")
    return list(takewhile(lambda row: row["name"] not in _AFTER_INVARIANTS, named))


def _groups(choice: KChoice) -> list[dict[Any, Any]]:
    """Rows of the table on the number of groups, with how EM ended."""
    rows = choice.table.reset_index().to_dict("records")
    return [
        {**row, "em_status": choice.em_status.get(int(row["n_components"]), "not fitted")}
        for row in rows
    ]


def _again(made: Report) -> dict[str, Any]:
    """What it takes to make the page again."""
    return {
        "code": code(made),
        "fingerprint": fingerprint(made.table.values),
        "versions": versions(made),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
