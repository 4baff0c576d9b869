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
_BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?", flags=re.S | re.M)


@pytest.mark.slow
def test_code_prints_what_is_shown():
    """One block goes on from the one before; those that show nothing need files, and are left."""
    rich.reconfigure(quiet=True)
    names = {"np": np, "pd": pd}
    blocks = [(code, shown) for code, shown in _BLOCK.findall(_README.read_text()) if shown]
    assert len(blocks) >= 5
    for code, shown in blocks:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            exec(code, names)
        assert said.getvalue() == shown
    plt.close("all")
    rich.reconfigure(quiet=False)
