"""The parts that all results are shown by: a titled block, sentences, a table.

Colors and fonts are the page's own, lines are half transparent, and every text is escaped; what
looks for dollar signs in a page, to set formulas, is told to leave names alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from bayesmix.html.numbers import Written, number

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["block", "paragraph", "sentences", "table"]

MOST_ROWS = 30
_CLASSES = "bayesmix tex2jax_ignore mathjax_ignore"
_STYLE = (
    "<style>"
    ".bayesmix{overflow-x:auto}"
    ".bayesmix table{border-collapse:collapse;margin:.5em 0;font-variant-numeric:tabular-nums}"
    ".bayesmix caption{caption-side:top;text-align:left;padding:.2em 0;min-width:22em}"
    ".bayesmix th,.bayesmix td{padding:.15em .6em;text-align:right;"
    "border-bottom:1px solid rgba(128,128,128,.35)}"
    ".bayesmix .text{text-align:left}"
    ".bayesmix ul{margin:.3em 0;padding-left:1.4em;max-width:60em}"
    ".bayesmix p{margin:.3em 0;max-width:60em}"
    ".bayesmix math{margin-right:1.6em;line-height:2}"
    "</style>"
)


def block(title: str, *parts: str) -> str:
    """Put HTML parts under a title."""
    head = f"<p><strong>{escape(title)}</strong></p>"
    return f'<div class="{_CLASSES}">{_STYLE}{head}{"".join(parts)}</div>'


def paragraph(text: str) -> str:
    """Put text in a paragraph of its own."""
    return f"<p>{escape(text)}</p>"


def sentences(said: Iterable[str]) -> str:
    """List sentences, one line each; nothing where nothing is said."""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in said)
    return f"<ul>{items}</ul>" if items else ""


def table(frame: pd.DataFrame, caption: str, *, most_rows: int = MOST_ROWS) -> str:
    """Show a frame with its index, at most so many rows of it; the caption says what it holds."""
    shown, rest = frame.iloc[:most_rows], len(frame) - most_rows
    if rest > 0:
        caption = f"{caption} The first {most_rows} of {len(frame):,} rows."
    rows = "".join(
        _row(key if isinstance(key, tuple) else (key,), values)
        for key, values in zip(shown.index, shown.itertuples(index=False), strict=True)
    )
    return (
        f'<table class="dataframe"><caption>{escape(caption)}</caption>'
        f"<thead>{_head(frame)}</thead><tbody>{rows}</tbody></table>"
    )


def _head(frame: pd.DataFrame) -> str:
    """Names of the index and of the columns; above the columns what they are, if they say so."""
    own = len(frame.index.names)
    names = "".join(
        "<td></td>" if name is None else f'<th scope="col" class="text">{escape(str(name))}</th>'
        for name in frame.index.names
    )
    columns = "".join(
        f'<th scope="col"{_kind(any(map(_is_text, values)))}>{_written(name)}</th>'
        for name, values in frame.items()
    )
    above = ""
    if frame.columns.name is not None:
        over = f'<th scope="colgroup" colspan="{frame.shape[1]}" style="text-align:center">'
        above = f'<tr><td colspan="{own}"></td>{over}{escape(str(frame.columns.name))}</th></tr>'
    return f"{above}<tr>{names}{columns}</tr>"


def _row(key: tuple[Any, ...], values: Iterable[Any]) -> str:
    heads = "".join(f'<th scope="row" class="text">{_name(part)}</th>' for part in key)
    cells = "".join(f"<td{_kind(_is_text(value))}>{_written(value)}</td>" for value in values)
    return f"<tr>{heads}{cells}</tr>"


def _name(value: Any) -> str:
    """A name that may be a number: of 2020 it makes no 2,020."""
    return str(value) if isinstance(value, Integral) else _written(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not isinstance(value, Written)


def _kind(is_text: bool) -> str:
    return ' class="text"' if is_text else ""


def _written(value: Any) -> str:
    return number(value) if isinstance(value, Real) else escape(str(value))
