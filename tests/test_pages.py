"""The report in a browser: silent, self-contained, and no wider than the window."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

import bayesmix as bm
from tests.pages import NOTHING, WIDTHS, browser, program, seen

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(program() is None, reason="no Chromium on the PATH"),
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Report on a table whose columns have names that a page must not take for its own."""
    folder = tmp_path_factory.mktemp("report")
    x, species = bm.datasets.load("iris", labels=True)
    x.columns = [
        "<b>Sepal</b> length",
        "<script>alert(1)</script>",
        "Petal & length",
        "Petal.Width",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few draws do not converge: the page says it
        bm.report(
            x,
            folder,
            n_components=3,
            draws=100,
            labels=species,
            random_seed=1,
            name="<i>iris</i>",
            progressbar=False,
        )
    return folder / "index.html"


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_report_is_silent_asks_for_nothing_and_fits(chromium, report, width, scheme) -> None:
    assert seen(chromium, report, width=width, scheme=scheme) == NOTHING


def test_what_is_wrong_with_a_page_is_seen(chromium, tmp_path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        "<!DOCTYPE html><title>x</title><div style='width: 2000px'>wide</div>"
        "<img src='http://localhost:9/x.png'><script>console.error('loud')</script>",
        encoding="utf-8",
    )
    found = seen(chromium, page, width=WIDTHS["phone"])
    assert "loud" in found.errors
    assert found.requests == ("http://localhost:9/x.png",)
    assert found.overflow > 1000
