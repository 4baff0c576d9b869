"""What is computed from a posterior: components relabeled, rows placed in them.

Draws are planted about a population and put in random order, labels among them; nothing is timed
before every one of the planted permutations was undone. Times are those of whole calls, from tree
to tree. Memory is anonymous memory of the process, at its peak over a call, less that before.
"""

from __future__ import annotations

import sys

from tests.benchmarks import _membership, _relabel
from tests.benchmarks._harness import run

PACKAGES = ("bayesmix", "numpy", "scipy", "numba", "xarray")


def main() -> int:
    """Run from the command line."""
    return run("membership", ROWS, ("bayesmix",), PACKAGES)


ROWS = (*_relabel.ROWS, *_membership.ROWS)

if __name__ == "__main__":
    sys.exit(main())
