"""HTML pages as a person meets them: opened in headless Chromium, at phone and desktop width.

`python -m tests.pages PAGE...` says what is wrong with pages, and with `--out FOLDER` takes
pictures; `seen` is what tests judge. They need Playwright and Debian's `chromium` (or another one).
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

WIDTHS = {"phone": 390, "desktop": 1280}
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Seen:
    """What happened while a page was open."""

    errors: tuple[str, ...]
    """Errors and warnings on the console, and exceptions of scripts."""
    requests: tuple[str, ...]
    """Addresses asked for that are not files of this machine."""
    overflow: int
    """By how many pixels the page is wider than the window: then it has to be pushed sideways."""


NOTHING = Seen((), (), 0)


def program() -> str | None:
    """Path of a Chromium, if there is one."""
    return next(filter(None, map(shutil.which, _PROGRAMS)), None)


@contextmanager
def browser() -> Iterator[Any]:
    """Start a headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program(), args=["--no-sandbox"])
        try:
            yield chromium
        finally:
            chromium.close()


def seen(
    chromium: Any,
    page: Path,
    *,
    width: int = WIDTHS["desktop"],
    scheme: Literal["light", "dark"] = "light",
    picture: Path | None = None,
) -> Seen:
    """Open a page; with ``picture`` keep how the whole of it looks."""
    view = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    errors: list[str] = []
    requests: list[str] = []

    def heard(message: Any) -> None:
        if message.type in ("error", "warning"):
            errors.append(message.text)

    def asked(request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            requests.append(request.url)

    view.on("console", heard)
    view.on("pageerror", lambda error: errors.append(str(error)))
    view.on("request", asked)
    view.goto(page.absolute().as_uri(), wait_until="load")
    view.wait_for_timeout(300)  # for scripts that start when all is there
    overflow = view.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    if picture is not None:
        view.screenshot(path=picture, full_page=True)
    view.close()
    return Seen(tuple(errors), tuple(requests), max(0, int(overflow)))


def main() -> int:
    """Say what is wrong with pages, and take pictures of them if asked; return how many are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, help="folder for pictures")
    parser.add_argument("--scheme", choices=("light", "dark"), default="light")
    asked = parser.parse_args()
    if asked.out is not None:
        asked.out.mkdir(parents=True, exist_ok=True)
    wrong = 0
    with browser() as chromium:
        for page, (name, width) in product(asked.page, WIDTHS.items()):
            picture = None
            if asked.out is not None:
                picture = asked.out / f"{page.parent.name}-{page.stem}-{name}-{asked.scheme}.png"
            found = seen(chromium, page, width=width, scheme=asked.scheme, picture=picture)
            if found != NOTHING:
                wrong += 1
                print(f"{page}, {name}: {found}")
    print(f"{len(asked.page)} pages at {len(WIDTHS)} widths: {wrong or 'nothing'} wrong")
    return wrong


if __name__ == "__main__":
    sys.exit(min(main(), 1))
