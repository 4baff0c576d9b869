"""How many clusters: seconds to the first answer, to the evidence, to everything; memory.

Times are those of whole calls. The first answer is what `choose_k` says when it is given next to no
time. Kernels are compiled, or loaded, by a call before the one that counts, but where memory is
measured: there every call has a process of its own, and imports and loading count.
"""

from __future__ import annotations

import sys
from functools import partial

from tests.benchmarks._choose_k import everything, many_rows, planted_evidence
from tests.benchmarks._harness import Row, run

PACKAGES = ("bayesmix", "numpy", "scipy", "numba", "xarray", "arviz-stats")


def main() -> int:
    """Run from the command line."""
    return run("choose-k", ROWS, ("bayesmix",), PACKAGES)


ROWS = (
    Row(
        "faithful", "faithful, K = 1, ..., 8: first answer, everything", partial(everything, 10, 60)
    ),
    Row(
        "evidence-1e3x3",
        "evidence of K = 1, ..., 8, 1,000 × 3, overlapping clusters",
        partial(planted_evidence, 30, 0.05),
    ),
    Row("1e5x5", "first answer, 1e5 × 5, and its memory", partial(many_rows, 60, 50e6)),
)

if __name__ == "__main__":
    sys.exit(main())
