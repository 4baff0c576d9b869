"""NUTS on the compiled density, against PyMC's own distributions and NumPyro, on two cores.

PyMC is sampled as `pymc.sample` chooses, in a process of its own in this environment; NumPyro in
the interpreter that the variable BAYESMIX_PEERS_PYTHON names, or in this one. All have the same
prior, the peers start at the clusters that the rows were drawn from, and the means of everything
that no relabeling changes must agree within Monte Carlo error, the chains of an engine's runs, all
together, with R-hat below 1.01.

Effective draws are ArviZ's for the bulk, of the slowest quantity that no relabeling changes,
divided by all the seconds of a call after the first: of ours from the search for starts to the
tree, of PyMC what `pymc.sample` takes, which compiles again at every call, of NumPyro adaptation
and draws. A gradient is one evaluation on one core. The first call is a fresh process with warm
caches, from import to result.
"""

from __future__ import annotations

import sys
from functools import partial

from tests.benchmarks._effective import Race, first_call, race, stick_breaking
from tests.benchmarks._gradients import gradients
from tests.benchmarks._harness import Row, run
from tests.benchmarks._populations import MODERATE
from tests.benchmarks._problems import faithful, rows

PACKAGES = ("bayesmix", "numpy", "scipy", "numba", "pymc", "pytensor", "nutpie", "arviz-stats")
PEERS = {"NumPyro": 5.0, "PyMC": 10.0}


def main() -> int:
    """Run from the command line."""
    return run("nuts", ROWS, ("bayesmix", "PyMC", "PyMC, batched", "NumPyro"), PACKAGES)


ROWS = (
    Row(
        "gradient-1e4x4",
        "log density and gradient, 1e4 × 4, K = 4",
        partial(
            gradients,
            *(10_000, 4, 4, MODERATE),
            {"PyMC": 6.0, "PyMC, batched": 40.0, "NumPyro": 4.0},
        ),
    ),
    Row(
        "ess-500x2",
        "second call, 500 × 2, K = 3",
        partial(race, Race(rows(500, 2, 3, MODERATE), "nuts", PEERS, stock=True, draws=2000)),
    ),
    Row(
        "ess-faithful",
        "second call, faithful, K = 2",
        partial(race, Race(lambda _: faithful(), "nuts", PEERS, stock=True)),
    ),
    Row("first", "fresh process, faithful, K = 2, 4 × 1,000", partial(first_call, 3.0, 0.5)),
    Row("dp", "Dirichlet process, T = 20, 2,000 × 2, 4 × 1,000", partial(stick_breaking, 180.0)),
)

if __name__ == "__main__":
    sys.exit(main())
