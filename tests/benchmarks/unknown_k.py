"""An unknown number of clusters, by Gibbs sampling: effective draws of K+, seconds, memory.

K+ is how many clusters have rows. Its effective draws are ArviZ's for the bulk, and all the seconds
of a call after the first count, from the search for starts to the tree.

The peer is pyrichlet, slice sampling of Dirichlet and Pitman-Yor processes in NumPy, looked for in
the interpreter that the variable BAYESMIX_PEERS_PYTHON names, or in this one. It has the same
prior, and the mean of K+ must agree with ours within Monte Carlo error on a few rows, where it
converges. Its two chains have a core each, start at the clusters that the rows were drawn from,
and neither their start nor the first part of their sweeps counts. K+ mixes slowly on 10,000 rows.
Where its R-hat is far from 1 effective draws are overestimated, by the number of chains or more;
that is the peer's case, of which a sweep takes longer, so that the ratio is at least what it says.
Runs are minutes long, and two at most.

The run from one cluster ends when every chain's labels have an adjusted Rand index of .95 with the
planted ones; what the best labels have, those of the mixture that the rows were drawn from, is in
the JSON. Memory is anonymous memory of the process, at its peak over the run, less that before.
"""

from __future__ import annotations

import sys
from functools import partial

import bayesmix as bm
from tests.benchmarks._harness import Row, run
from tests.benchmarks._unknown_k import against_peer, from_one_cluster, galaxy, unequal

PACKAGES = ("bayesmix", "numpy", "scipy", "numba", "xarray", "arviz-stats")


def main() -> int:
    """Run from the command line."""
    return run("unknown-k", ROWS, ("bayesmix", "pyrichlet"), PACKAGES)


ROWS = (
    Row("mfm-215x5", "MFM, 215 × 5, three unequal clusters, 1,000 effective", partial(unequal, 20)),
    Row("galaxy", "second call, galaxy, K uniform to 30, 4 × 20,000", partial(galaxy, 30)),
    Row(
        "dp-1e5x5",
        "DP, 1e5 × 5, ten planted clusters, from one",
        partial(from_one_cluster, 60, 20e6),
    ),
    Row(
        "dp-1e4x2",
        "DP, 1e4 × 2: effective draws of K+ per second",
        partial(against_peer, bm.DirichletProcess(1.0), 20),
    ),
    Row(
        "py-1e4x2",
        "PY(1, .25), 1e4 × 2: the same",
        partial(against_peer, bm.PitmanYor(1.0, 0.25), 20),
    ),
)

if __name__ == "__main__":
    sys.exit(main())
