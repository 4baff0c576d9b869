"""EM as a whole: does a default fit find the best optimum, and how soon, on two cores.

Peers are scikit-learn, and R's mclust (Debian's package r-cran-mclust) with the Rscript on the
path. Everyone has its defaults and two threads, which mclust does not use. Wherever ends are
compared, log-likelihoods are ours at the parameters returned, and an optimum that rests on a few
rows counts for nobody (`bayesmix.optima.finished`).

search: one default fit on each of 20 seeds, interleaved; time is the ratio of the medians. A fit
succeeds if it ends within 1e-4 nat per row of the best that anyone found. What scikit-learn would
do with n_init = 10 is exact for 40 of its single starts: the probability that of 10 drawn without
replacement the one with the highest bound, which it would return, succeeds (hypergeometric, where
success goes with the bound). "Continued" is EM of ours from where scikit-learn stopped: what its
starts are worth, apart from stopping early.

grid: 1 to 9 components by four structures, against mclustBIC, timed inside R, with another subset
for its hierarchical start in each repeat. Log-likelihoods at mclust's parameters must agree to a
relative 1e-8 first; its grid is judged by those too, as what mclustBIC reports belongs to the
parameters before its last M-step. A model is worse if ours ends lower by more than 1e-5 nat per row
in any repeat.

passes: until the log-likelihood of faithful is within 1e-8 nat of its optimum, from five starts
from which plain EM finds it; judged from k-means++, the median of the ratios; the note has other
starts.

memmap: a default fit of a file. Passes are counted on a source of chunks, as rows handed out
divided by rows, checks and moments and the sample for starts included; wall time and memory are
those of the memory map in a fresh process.

overlap: three typical distances between means by K and D, each with three data sets, against
scikit-learn with n_init = 20. Success is within 1e-3 nat per row of the best genuine optimum of the
data set, which the continued fits may have found.
"""

from __future__ import annotations

import sys
from functools import partial

from tests.benchmarks._contenders import OURS, SCIKIT_LEARN
from tests.benchmarks._grid import MCLUST, grid
from tests.benchmarks._harness import Row, run
from tests.benchmarks._overlap import overlap
from tests.benchmarks._passes import to_the_optimum, whole_fit
from tests.benchmarks._success import single_starts

PACKAGES = ("bayesmix", "numpy", "scipy", "numba", "scikit-learn", "threadpoolctl")


def main() -> int:
    """Run from the command line."""
    return run("em-search", ROWS, (OURS, SCIKIT_LEARN, MCLUST), PACKAGES)


ROWS = (
    Row(
        "search-1e5x10",
        "default fit, full 1e5 × 10, K = 10",
        partial(single_starts, 100_000, 10, 10, 10),
    ),
    Row(
        "grid-1e4x5",
        "grid, 1e4 × 5, K = 1, …, 9, four structures",
        partial(grid, 10_000, 5, 6, 20),
    ),
    Row(
        "passes-faithful-tied",
        "to the optimum, faithful, tied, K = 3",
        partial(to_the_optimum, 3, 0.1),
    ),
    Row(
        "memmap-1e7x10",
        "default fit, memory-mapped full 1e7 × 10, K = 10",
        partial(whole_fit, 10_000_000, 10, 10, 15),
    ),
    Row("overlap", "overlap, K, D: 27 cells, full", partial(overlap, 1)),
)

if __name__ == "__main__":
    sys.exit(main())
