"""What `import bayesmix` loads, and that every public name is there."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import bayesmix

HEAVY = (
    "pymc",
    "pytensor",
    "arviz",
    "arviz_base",
    "arviz_stats",
    "matplotlib",
    "sklearn",
    "numba",
    "pandas",
    "xarray",
    "scipy.special",
    "dask",
    "distributed",
)


def public_names() -> dict[str, str]:
    """Public name to the module it comes from, as the stub says."""
    stub = ast.parse((Path(bayesmix.__file__).parent / "__init__.pyi").read_text("utf8"))
    names = {}
    for node in stub.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            names[alias.asname or alias.name] = node.module or alias.name
    return names


def run_python(code: str) -> str:
    """Run code in a fresh interpreter and return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("use", ["", "bayesmix.Mixture; bayesmix.Dirichlet"])
def test_import_loads_nothing_heavy(use):
    code = f"import sys, bayesmix; {use}\nprint(*sys.modules, sep='\\n')"
    loaded = set(run_python(code).split())
    assert "bayesmix" in loaded
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize(("name", "module"), public_names().items())
def test_public_name_resolves(name, module):
    if importlib.util.find_spec(f"bayesmix.{module}") is None:
        pytest.skip(f"bayesmix.{module} is not written yet")
    assert getattr(bayesmix, name) is not None
    assert name in dir(bayesmix)


@pytest.mark.parametrize("name", ["frozen", "membership", "relabel", "report"])
def test_functions_keep_their_names_when_their_modules_are_imported(name):
    code = f"import bayesmix, bayesmix.{name}; print(type(bayesmix.{name}).__name__)"
    assert run_python(code).strip() == "function"
