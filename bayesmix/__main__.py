"""The command line: ``bayesmix report faithful --out report/``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from rich.console import Console

    from bayesmix.report import Report

OK, BAD_INPUT, INTERRUPTED = 0, 2, 130
_MAX_SHOWN = 24


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code: 0, 2 for bad input, 130 when interrupted."""
    options = _parser().parse_args(arguments)
    from rich.console import Console

    console, errors = Console(), Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        made = _report(options, console)
    except KeyboardInterrupt:
        errors.print("bayesmix: interrupted before there was anything to report")
        return INTERRUPTED
    except np.linalg.LinAlgError:  # a ValueError by inheritance, but not one of input
        raise
    except (ValueError, OSError) as error:
        errors.print(f"bayesmix: {error}", markup=False)
        return BAD_INPUT
    _print(made, console)
    return INTERRUPTED if made.interrupted else OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bayesmix",
        description="Gaussian mixtures: which groups are in a table, how sure is it who belongs "
        "where, and how many are there?",
        epilog="example: bayesmix report faithful --out report/",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    report = commands.add_parser(
        "report", help="fit EM and the posterior of a mixture, and write a page about both"
    )
    report.add_argument("data", help="a packaged data set (such as faithful), or a CSV file")
    report.add_argument("--out", default="report", help="folder to write to (default: report)")
    report.add_argument("--columns", help="comma-separated columns to use (default: all)")
    report.add_argument("--label-column", help="known groups, shown beside the components")
    report.add_argument("--components", type=int, default=2, help="number K (default: 2)")
    report.add_argument(
        "--covariance-type", choices=("full", "tied", "diag", "spherical"), default="full"
    )
    report.add_argument("--draws", type=int, help="per chain (default: 1000, of many rows fewer)")
    report.add_argument("--seed", type=int, default=1, help="random seed (default: 1)")
    return parser


def _report(options: argparse.Namespace, console: Console) -> Report:
    for name, value in (("--components", options.components), ("--draws", options.draws)):
        if value is not None and value < 1:
            raise ValueError(f"{name}: expected at least 1, got {value}")
    if options.seed < 0:
        raise ValueError(f"--seed: expected at least 0, got {options.seed}")
    frame, labels = read_table(options.data, options.columns, options.label_column)
    from bayesmix.report import report

    return report(
        frame,
        options.out,
        n_components=options.components,
        covariance_type=options.covariance_type,
        draws=options.draws,
        random_seed=options.seed,
        labels=labels,
        name=options.data,
        announce=lambda message: console.print(f"[dim]{message}[/dim]"),
    )


def read_table(
    source: str, columns: str | None = None, label_column: str | None = None
) -> tuple[pd.DataFrame, pd.Series | None]:
    """Read a packaged data set or a CSV file: features, and known labels if asked for."""
    from bayesmix import datasets

    if source in datasets.names():
        if label_column is None:
            frame = datasets.load(source)
        else:
            features, known = datasets.load(source, labels=True)
            frame = features.assign(**{str(known.name): known})
    else:
        frame = _read_csv(source)
    labels = None
    if label_column is not None:
        _require_columns(source, frame, [label_column])
        labels = frame.pop(label_column)
    if columns is not None:
        names = [name.strip() for name in columns.split(",") if name.strip()]
        _require_columns(source, frame, names)
        frame = frame[names]
    _require_numbers(source, frame)
    return frame, labels


def _read_csv(source: str) -> pd.DataFrame:
    import pandas as pd

    path = Path(source)
    if not path.is_file():
        from bayesmix import datasets

        raise ValueError(
            f"{source}: no such file; give a CSV file, or one of {', '.join(datasets.names())}"
        )
    try:
        frame = pd.read_csv(path)
    except pd.errors.EmptyDataError:
        raise ValueError(f"{source}: the file is empty; expected a header and rows") from None
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{source}: not readable as CSV ({reason}); check the file") from None
    header = pd.read_csv(path, header=None, nrows=1, dtype=str).iloc[0].fillna("")
    if all(_is_number(name) for name in header):
        raise ValueError(
            f"{source}: the first line holds numbers ({', '.join(header[:3])}, …), not column "
            "names; put a header line above it"
        )
    if frame.empty:
        raise ValueError(f"{source}: expected rows below the header, got none")
    if not isinstance(frame.index, pd.RangeIndex):
        raise ValueError(
            f"{source}: its rows have more fields than the header has names; name every column"
        )
    return frame


def _require_columns(source: str, frame: pd.DataFrame, names: list[str]) -> None:
    missing = [name for name in names if name not in frame.columns]
    if missing or not names:
        raise ValueError(
            f"{source}: no column {', '.join(map(repr, missing)) or 'given'}; expected some of "
            f"{', '.join(map(str, frame.columns))}"
        )


def _require_numbers(source: str, frame: pd.DataFrame) -> None:
    """Refuse text with the way round it that the command line has."""
    from pandas.api.types import is_numeric_dtype

    text = [str(c) for c, dtype in frame.dtypes.items() if not is_numeric_dtype(dtype)]
    if text:
        numeric = [str(c) for c in frame.columns if str(c) not in text]
        way_round = (
            f"leave it out with --columns {','.join(numeric)}, or name it with --label-column"
            if numeric
            else "expected commas between the columns and a point in the numbers"
        )
        raise ValueError(
            f"{source}: column {', '.join(map(repr, text))} is not numeric; {way_round}"
        )


def _is_number(text: Any) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _print(made: Report, console: Console) -> None:
    from rich.markup import escape

    from bayesmix.wording import counted

    n, d = made.table.values.shape
    console.print(
        f"{made.table.name}: {counted(n, 'row')}, {counted(d, 'feature')}, used as they are "
        "(nothing scaled, no row dropped)",
        highlight=False,
        markup=False,
    )
    if made.post is None:
        console.print("[bold]EM only:[/bold] sampling was interrupted before any draw")
    elif made.post.attrs.get("interrupted"):
        n_draws = made.post["posterior"].sizes
        console.print(
            f"[bold]Interrupted:[/bold] {counted(n_draws['chain'], 'chain')} of "
            f"{counted(n_draws['draw'], 'draw')}"
        )
    elif made.left_out:
        console.print(f"[bold]Interrupted:[/bold] {made.left_out}", highlight=False)
    elif made.choice_interrupted:
        console.print("[bold]Interrupted:[/bold] asking how many groups was stopped early")
    _print_components(made, console)
    if made.comparison is not None:
        for sentence in made.comparison.sentences():
            console.print(sentence, highlight=False)
    if made.choice is not None:
        console.print(f"How many groups: {made.choice.recommendation}", highlight=False)
    for finding in made.findings:
        style = "yellow" if finding.severity == "warning" else "green"
        console.print(
            f"[{style}]{finding.severity}[/{style}] {escape(str(finding))}", highlight=False
        )
    console.print(f"Report: {made.path}", soft_wrap=True, highlight=False, markup=False)


def _print_components(made: Report, console: Console) -> None:
    """EM's components, and the posterior's where they are identified."""
    from rich.markup import escape
    from rich.table import Table

    from bayesmix.report_tables import components

    frame = components(made)
    frame = frame[~frame["parameter"].str.startswith("correlation")]
    shown = Table("component", "parameter", title=f"K = {made.mixture.n_components}")
    shown.add_column("EM", justify="right")
    if made.identified:
        shown.add_column("posterior mean ± sd", justify="right")
    for row in frame.head(_MAX_SHOWN).itertuples():
        cells = [str(row.component), escape(str(row.parameter)), f"{row.em:.4g}"]
        shown.add_row(*cells, *([f"{row.mean:.4g} ± {row.sd:.2g}"] if made.identified else []))
    console.print(shown)
    if len(frame) > _MAX_SHOWN:
        console.print(f"… {len(frame) - _MAX_SHOWN} more in tables/components.csv")


if __name__ == "__main__":
    sys.exit(main())
