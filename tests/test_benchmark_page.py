"""The page of comparisons says what the benchmarks found, and nothing else."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.benchmarks import _page


def test_tables_on_the_page_are_those_of_the_results() -> None:
    text = _page.PAGE.read_text(encoding="utf-8")
    assert _page.filled(text) == text
    assert set(re.findall(r"<!-- table: (\w+) -->", text)) == set(_page.TABLES)


@pytest.mark.parametrize("engine", ["bayesmix", "scikit-learn", "oneDAL"])
def test_table_of_em_holds_the_median_of_what_was_timed(engine: str) -> None:
    head, _, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in _page.em().splitlines()
        if line.startswith("|")
    )
    timed = {row["label"]: row["engines"] for row in _page.found("em")["rows"] if "engines" in row}
    for row in rows:
        own = timed[row[0]].get(engine)
        shown = row[head.index(engine)]
        if own is None:
            assert shown == "–"
        else:
            seconds = np.median(own["seconds"])
            assert float(shown.removesuffix(" ms").replace(",", "")) == pytest.approx(
                1e3 * seconds, abs=0.5
            )


def test_picture_has_a_point_for_every_engine_and_case(tmp_path, monkeypatch) -> None:
    import matplotlib.pyplot as plt

    drawn = []
    monkeypatch.setattr(plt, "close", drawn.append)
    _page.picture(tmp_path / "picture.png")
    monkeypatch.undo()
    times, speeds = (
        sorted(float(line.get_xdata()[0]) for line in ax.lines if len(line.get_xdata()) == 1)
        for ax in drawn[0].axes
    )
    plt.close(drawn[0])
    rows = {row["name"]: row["engines"] for row in _page.found("nuts")["rows"] if "engines" in row}
    expected = [np.median(e["ess_per_second"]) for row in rows.values() for e in row.values()]
    assert speeds == pytest.approx(sorted(expected))
    assert len(times) == 3 + 3 + 2 + 3
    assert (tmp_path / "picture.png").stat().st_size > 10_000
