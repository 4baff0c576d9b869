"""One partition for a posterior, and how often rows are together.

Labels of the draws are made, not sampled: those of a planted mixture whose components overlap, at
parameters that differ from draw to draw, with components merged and cut. Times are those of whole
calls, from labels to result. Memory is the most that the process ever had resident, imports and
labels included.
"""

from __future__ import annotations

import sys

from tests.benchmarks import _partition, _partition_similarity
from tests.benchmarks._harness import run

PACKAGES = ("bayesmix", "numpy", "scipy", "numba", "xarray")


def main() -> int:
    """Run from the command line."""
    return run("partition", ROWS, ("bayesmix", "NumPy"), PACKAGES)


ROWS = (*_partition.ROWS, *_partition_similarity.ROWS)

if __name__ == "__main__":
    sys.exit(main())
