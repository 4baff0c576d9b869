"""README's code prints what is shown below it."""

import contextlib
import io
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import rich

_README = Path(__file__).parents[1] / "README.md"
_BLOCK = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", flags=re.S | re.M)


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]


@pytest.fixture
def quiet():
    rich.reconfigure(quiet=True)
    yield
    rich.reconfigure(quiet=False)
    plt.close("all")


@pytest.mark.long  # on another machine draws may round, and then go, another way
@pytest.mark.usefixtures("quiet")
def test_code_prints_what_is_shown():
    """One block goes on from those before it."""
    names = {"np": np, "pd": pd}
    said, shown = [], []
    for code, below in _BLOCK.findall(_README.read_text()):
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(code, names)
        said += _lines(output.getvalue())
        shown += _lines(below)
    assert shown
    assert said == shown
