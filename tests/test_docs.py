"""The documentation says what the package says, and leaves no public name out."""

import ast
import re
from pathlib import Path

import pytest

import bayesmix as bm

_ROOT = Path(__file__).parents[1]
_MODULES = {"datasets", "diagnostics", "gaussian", "plots", "predictive"}


def _strings() -> list[str]:
    """Collect every piece of text in the package, one line each; an f-string is several."""
    trees = (ast.parse(path.read_text()) for path in (_ROOT / "bayesmix").rglob("*.py"))
    nodes = (node for tree in trees for node in ast.walk(tree))
    return [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def _quoted() -> list[str]:
    """Collect the lines that docs/troubleshooting.md says the package prints."""
    text = (_ROOT / "docs/troubleshooting.md").read_text()
    blocks = re.findall(r"^```text\n(.*?)^```", text, flags=re.S | re.M)
    return [line for block in blocks for line in block.splitlines()]


@pytest.fixture(scope="module")
def strings() -> str:
    return "\n".join(_strings())


@pytest.mark.parametrize("line", _quoted())
def test_a_message_that_troubleshooting_quotes_is_one_that_the_package_has(line, strings):
    missing = [part for part in line.split("…") if part.strip() and part.strip() not in strings]
    assert not missing


def test_every_public_name_is_in_the_reference():
    listed = set(re.findall(r"^   (\w+)$", (_ROOT / "docs/api.rst").read_text(), flags=re.M))
    assert listed == set(bm.__all__)
    assert listed >= _MODULES
