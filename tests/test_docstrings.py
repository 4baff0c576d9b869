"""Every example in a docstring runs and prints what it says."""

import doctest
import importlib
import pkgutil

import matplotlib.pyplot as plt
import numpy as np
import pytest

import bayesmix

_FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def _examples() -> list[doctest.DocTest]:
    """Collect the examples of all modules, those of an object together."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    modules = (
        importlib.import_module(module.name)
        for module in pkgutil.walk_packages(bayesmix.__path__, "bayesmix.")
        if module.name != "bayesmix.__main__"
    )
    found = (test for module in modules for test in finder.find(module, globs={}))
    return [test for test in found if test.examples]


@pytest.fixture
def room(monkeypatch, tmp_path):
    """Numbers in one format, files and figures gone afterwards."""
    monkeypatch.chdir(tmp_path)
    with np.printoptions(threshold=1000, precision=8, linewidth=75):
        yield
    plt.close("all")


@pytest.mark.parametrize("test", _examples(), ids=lambda test: test.name)
@pytest.mark.usefixtures("room")
def test_docstring_example(test):
    said: list[str] = []
    doctest.DocTestRunner(optionflags=_FLAGS).run(test, out=said.append)
    assert not said, "".join(said)
