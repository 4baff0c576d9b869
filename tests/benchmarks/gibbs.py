"""Gibbs sampling against bayesm, NumPyro's NUTS and an iteration of EM, on two cores.

Peers live outside this environment. bayesm is looked for with the Rscript on the PATH (Debian's
package r-cran-bayesm), NumPyro in the interpreter that the variable BAYESMIX_PEERS_PYTHON names, or
in this one. Both have the same prior, and the means of everything that no relabeling changes must
agree with ours within Monte Carlo error.

A chain works on one core, as bayesm does. "One chain" is the time of its sweep, and EM beside it
has one thread; "two chains" is the time that two chains at once take for a sweep each, halved, and
EM beside it has two threads. bayesm's sweep is the difference of two runs in one process, first
as it comes, then told to keep freed memory, of which a sweep asks for much; the first is judged.

NumPyro starts at the clusters that the rows were drawn from, gets the faster of its ways to run
four chains, and compiles in a call that is not timed. Effective draws are ArviZ's for the bulk, of
the slowest quantity that no relabeling changes, divided by all the seconds of a call: of ours from
the search for starts to the tree, of NumPyro's adaptation and draws.
"""

from __future__ import annotations

import sys
from functools import partial

from tests.benchmarks._effective import Race, cold, race
from tests.benchmarks._harness import Row, run
from tests.benchmarks._populations import MODERATE, OVERLAPPING
from tests.benchmarks._problems import dealt, faithful, rows
from tests.benchmarks._sweeps import against_bayesm, against_em, two_cores

PACKAGES = ("bayesmix", "numpy", "scipy", "numba", "xarray", "arviz-stats")


def main() -> int:
    """Run from the command line."""
    return run("gibbs", ROWS, ("bayesmix", "bayesm", "NumPyro", "EM"), PACKAGES)


ROWS = (
    Row(
        "sweep-1e5x5",
        "sweep, 1e5 × 5, K = 5: one chain, two chains",
        partial(against_bayesm, 100_000, 5, 5, 30),
    ),
    Row(
        "sweep-1e6x10",
        "sweep, 1e6 × 10, K = 10: one chain, two chains",
        partial(against_em, 1_000_000, 10, 10, 1.0),
    ),
    Row("cold", "fresh process, faithful, K = 2, 400 effective draws", partial(cold, 2.5)),
    Row(
        "ess-5e3x4",
        "second call, 5,000 × 4, K = 4",
        partial(race, Race(rows(5000, 4, 4, MODERATE), "gibbs", {"NumPyro": 30})),
    ),
    Row(
        "ess-5e3x4-overlapping",
        "second call, 5,000 × 4, K = 4, overlapping",
        partial(race, Race(rows(5000, 4, 4, OVERLAPPING), "gibbs", {})),
    ),
    Row(
        "cores-faithful",
        "two chains, faithful, a draw each: one core, two",
        partial(two_cores, lambda _: faithful(), 20_000, 1.8),
    ),
    Row(
        "cores-1e5x5",
        "two chains, 1e5 × 5, K = 5, a draw each: one core, two",
        partial(two_cores, lambda s: dealt(s.rows(100_000), 5, 5, OVERLAPPING), 200, 1.8),
    ),
)

if __name__ == "__main__":
    sys.exit(main())
