"""Programs of others, run as processes: R's above all."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def r_script(script: str, *arguments: Any, **variables: str) -> str:
    """Print of a script of ours under R, with variables added to the environment."""
    command = list(map(str, ["Rscript", HERE / script, *arguments]))
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | variables)
    if done.returncode:
        raise RuntimeError(f"Rscript ended with {done.returncode}: {done.stderr[-500:]}")
    return done.stdout


def r_versions(package: str) -> dict[str, str] | None:
    """Versions of R and of a package; None without either."""
    if shutil.which("Rscript") is None:
        return None
    asked = f"cat(as.character(getRversion()), as.character(packageVersion('{package}')))"
    return versions(["Rscript", "-e", asked], ("R", package))


def versions(command: Sequence[str], names: Sequence[str]) -> dict[str, str] | None:
    """Versions that a command prints, by name; None if it cannot."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return None
    return None if done.returncode else dict(zip(names, done.stdout.split(), strict=True))
