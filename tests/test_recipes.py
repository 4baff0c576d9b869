"""The README and the recipes run as they stand and print what they show.

Numbers are not compared: draws depend on the processor's vector instructions. Words are, and how
many numbers there are.
"""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", re.DOTALL)
_NUMBER = re.compile(r"[-−]?\d[\d,]*\.?\d*|[-−]?\.\d+|NaN")


def words(text: str) -> list[str]:
    """What a text says, each number as #."""
    return _NUMBER.sub("#", text).replace("−#", "#").replace("-#", "#").split()


def rows_on_disk(folder: Path) -> None:
    """Write the files that the recipes of large tables read."""
    x = np.random.default_rng(1).normal(size=(20_000, 3)) + np.arange(20_000)[:, None] % 10 * 5
    np.save(folder / "rows.npy", x)
    table = pd.DataFrame(x, columns=["a", "b", "c"])
    table.to_csv(folder / "rows.csv", index=False)
    (folder / "rows").mkdir()
    for part in range(2):
        table[part::2].to_parquet(folder / "rows" / f"{part}.parquet")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:EM")  # the recipes of large tables state no seed
@pytest.mark.parametrize("page", ["README.md", "docs/recipes.md"])
def test_code_of_a_page_runs_and_prints_what_the_page_shows(page, tmp_path, monkeypatch) -> None:
    blocks = _BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    assert sum(bool(shown) for _, shown in blocks) >= 1
    rows_on_disk(tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for code, shown in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, page, "exec"), names)
        plt.close("all")
        if shown:
            assert words(printed.getvalue()) == words(shown), code
