"""Execute notebooks in place, each in its own folder, without timestamps in the result."""

import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError


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
