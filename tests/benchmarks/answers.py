"""How many groups packages say there are, and how long a person waits for it.

Every answer is a whole process, from starting the interpreter to the number, with the package's
defaults and up to eight groups: the lowest BIC of scikit-learn over four structures and of mclust
over fourteen models, the components with rows of scikit-learn's variational Dirichlet process of
ten, the posterior of `choose_k` with all that stands beside it, and what it says after five seconds
("first"). Nobody is judged: of these tables only iris has groups that are known, three species, of
which two overlap.
"""

from __future__ import annotations

import sys
from functools import partial

from tests.benchmarks._answers import PROGRAMS, answers
from tests.benchmarks._harness import Row, run

PACKAGES = ("bayesmix", "numpy", "scipy", "numba", "scikit-learn", "pandas")
_LABELS = {
    "faithful": "Old Faithful, 272 × 2",
    "iris": "iris, 150 × 4",
    "galaxy": "galaxies, 82 × 1",
    "acidity": "acidity of lakes, 155 × 1",
    "enzyme": "enzyme activity, 245 × 1",
}


def main() -> int:
    """Run from the command line."""
    return run("answers", ROWS, PROGRAMS, PACKAGES)


ROWS = tuple(Row(name, label, partial(answers, name)) for name, label in _LABELS.items())

if __name__ == "__main__":
    sys.exit(main())
