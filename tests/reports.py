"""What tests of the report share: stand-ins for its stages, and a page as a browser sees it."""

from __future__ import annotations

import importlib
import struct
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from bayesmix.report_fits import Report

REPORT = importlib.import_module("bayesmix.report")
FITS = importlib.import_module("bayesmix.report_fits")

FIGURES = [
    *("ball", "compared", "components", "features", "groups", "membership", "outliers"),
    *("overview", "partition", "prior", "responsibilities", "traces"),
]
EMPTY_PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 96, 192, 8, 0, 0, 0, 0)
_VOID = ("br", "img", "meta", "mspace")


def no_figures(made: Report) -> Iterator[tuple[str, bytes]]:
    """Stand in for `figures`, which take seconds to draw: the same names, no pictures."""
    told = {
        "groups": made.choice,
        "partition": made.partition,
        "ball": made.partition,
        "outliers": made.tails,
    }
    for name in FIGURES:
        drawn = name in ("overview", "features", "prior")
        if drawn or told.get(name, made.comparison) is not None:
            yield name, EMPTY_PNG


def interrupt(*_: Any, **__: Any) -> None:
    """Stand in for a stage in which Ctrl-C is pressed."""
    raise KeyboardInterrupt


def files(folder: Path) -> list[str]:
    """Every file below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


class Page(HTMLParser):
    """What a browser would see and fetch."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.sections: dict[str, str] = {}
        """Text by section."""
        self.tables: dict[str, list[list[str]]] = {}
        """Cells by row, by the label of the box that a table scrolls in."""
        self._section = self._table = ""
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        self.text = " ".join(self.text.split())
        self.sections = {name: " ".join(text.split()) for name, text in self.sections.items()}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag not in _VOID:
            self.open.append(tag)
        match tag:
            case "section":
                self._section = str(found["id"])
                self.sections[self._section] = ""
            case "div" if "aria-label" in found:
                self._table = f"{self._section}: {found['aria-label']}"
            case "table":
                self.tables[self._table] = []
            case "tr":
                self.tables[self._table].append([])
            case "td" | "th":
                self.tables[self._table][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        assert self.open.pop() == tag
        if tag == "section":
            self._section = ""

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.text += f" {data}"
        if self._section:
            self.sections[self._section] += f" {data}"
        if "td" in self.open or "th" in self.open:
            row = self.tables[self._table][-1]
            row[-1] = " ".join(f"{row[-1]} {data}".split())

    def close(self) -> None:
        super().close()
        assert not self.open, f"never closed: {self.open}"

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of all tags of a kind."""
        return [attrs for name, attrs in self.tags if name == tag]
