"""Execute notebooks in place, each in its own folder, without what differs from run to run."""

import sys
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

COMPILING = "bayesmix: compiling "  # said once on a machine, so it depends on what ran before


def without_compiling(cell: Any) -> Any:
    """Give the cell without the lines of its outputs that say what is compiled."""
    cell = deepcopy(cell)
    for output in cell.get("outputs", []):
        if output.get("name") == "stderr":
            lines = output.text.splitlines(keepends=True)
            output.text = "".join(line for line in lines if not line.startswith(COMPILING))
    if "outputs" in cell:
        cell.outputs = [each for each in cell.outputs if each.get("text") != ""]
    return cell


def execute(path: Path) -> None:
    """Run the notebook at `path` and write it back with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=1800,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    notebook.cells = [without_compiling(cell) for cell in notebook.cells]
    notebook.metadata["language_info"] = {"name": "python"}  # no version: it only makes diffs
    nbformat.write(notebook, path)


def main(arguments: list[str]) -> int:
    """Execute the notebooks named in `arguments`; one that fails is left as it was."""
    failed = 0
    for argument in arguments:
        print(f"{argument} ...", end=" ", flush=True)
        start = time.perf_counter()
        try:
            execute(Path(argument))
        except CellExecutionError as error:
            failed += 1
            print(f"failed\n{error}")
        else:
            print(f"{time.perf_counter() - start:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
