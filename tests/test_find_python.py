"""``.ci/find-python``: the first interpreter that really runs, or one clear sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "find-python"

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or not SCRIPT.exists(), reason="a POSIX script of the repository"
)


def find(**environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script in an environment without what the machine sets for Python."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        ["/bin/sh", str(SCRIPT)],
        env=kept | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def program(folder: Path, name: str, body: str) -> None:
    """Put a shell script on what becomes PATH."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def version_of(python: str) -> list[int]:
    code = "import sys; print(*sys.version_info[:2])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return [int(part) for part in done.stdout.split()]


def test_the_python_asked_for():
    done = find(PYTHON=sys.executable)
    assert (done.returncode, done.stderr) == (0, "")
    found = done.stdout.strip()
    assert found == os.path.realpath(sys._base_executable)  # behind a virtual environment's link
    assert version_of(found) == list(sys.version_info[:2])


def test_a_python_asked_for_by_name(tmp_path):
    program(tmp_path / "bin", "snake", f'exec "{sys.executable}" "$@"')
    done = find(PYTHON="snake", PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert done.stdout.strip() == os.path.realpath(sys._base_executable)


@pytest.mark.parametrize("python", ["/no/such/python", "no-such-python", "/bin/false"])
def test_a_python_that_cannot_be_used(python):
    """Another that would do is no substitute for the one asked for."""
    done = find(PYTHON=python)
    assert done.returncode == 1
    assert done.stdout.strip() == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"PYTHON={python} cannot be used: bayesmix needs a CPython from")


@pytest.mark.parametrize("version", [(3, 11), (3, 15)])
def test_a_version_out_of_range(tmp_path, version):
    """A real interpreter that says it is another version."""
    program(
        tmp_path,
        "other",
        f'exec "{sys.executable}" -c "import sys; sys.version_info = {version}; exec(sys.argv[1])"'
        ' "$2"',
    )
    done = find(PYTHON=str(tmp_path / "other"))
    assert done.returncode == 1
    assert "bayesmix needs a CPython from 3.12 to 3.14" in done.stderr


def test_shims_that_refuse_to_run_are_passed_over(tmp_path):
    """As a version manager's are, for versions that a folder has not chosen."""
    for name in ("python3.12", "python3.13", "python3.14"):
        program(tmp_path / "shims", name, f'echo "{name}: command not found" >&2; exit 127')
    program(tmp_path / "real", "python3", f'exec "{sys.executable}" "$@"')
    done = find(PATH=f"{tmp_path / 'shims'}:{tmp_path / 'real'}:/usr/bin:/bin")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == os.path.realpath(sys._base_executable)


def test_versions_that_pyenv_installed(tmp_path):
    """Where nothing on PATH runs, but a folder of versions is there."""
    shims = tmp_path / "shims"
    for name in ("python3.12", "python3.13", "python3.14", "python3", "python"):
        program(shims, name, "exit 127")
    (tmp_path / "versions" / "3.12.1").mkdir(parents=True)
    program(tmp_path / "versions" / "3.12.1" / "bin", "python", f'exec "{sys.executable}" "$@"')
    done = find(PATH=f"{shims}:/usr/bin:/bin", PYENV_ROOT=str(tmp_path))
    assert done.returncode == 0
    assert done.stdout.strip() == os.path.realpath(sys._base_executable)
