"""How often each criterion finds the number of clusters that was planted; run by hand.

``python -m tests.benchmarks._planted_k FILE`` draws data sets, asks `choose_k` about each, and
appends what every criterion picks to a file of JSON lines; what is in the file is not done again,
and ``--part 1/2`` and ``--part 2/2`` may run side by side on files of their own. With ``--table``
it prints what the files hold, in Markdown.

Rows are drawn from equal numbers per cluster: three in two features or five in three, at three
distances, Gaussian or Student's t with four degrees of freedom, whose clusters are no Gaussians: a
posterior is right to use more components there the more rows it has.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import bayesmix as bm

MOST = 6
LOW_IS_GOOD = {"BIC": "bic", "ICL": "icl", "AIC": "aic"}
HIGH_IS_GOOD = {"evidence": "log_evidence", "LOO": "elpd"}
PRIORS = ("MFM", "sparse", "DP")
CRITERIA = (*PRIORS, *HIGH_IS_GOOD, *LOW_IS_GOOD)
ENOUGH: dict[str, Any] = {"draws": 250, "thin": 10, "target_se": 0.2}
"""Of draws, for the most probable number."""
PLANTED = {3: 2, 5: 3}
"""Clusters, and features."""


class Case(NamedTuple):
    """One data set."""

    clusters: int
    apart: float
    """Distance between neighboring means, in standard deviations."""
    n: int
    law: str
    repetition: int

    def rows(self) -> np.ndarray:
        """Draw it, (n, D); always the same."""
        generator = np.random.default_rng(
            [self.clusters, int(10 * self.apart), self.n, len(self.law), self.repetition]
        )
        d = PLANTED[self.clusters]
        noise = generator.normal(size=(self.n, d))
        if self.law == "t4":
            noise *= np.sqrt(2 / generator.chisquare(4, (self.n, 1)))  # of variance one
        labels = np.arange(self.n) % self.clusters
        stretch = 1 + 0.5 * generator.random((self.clusters, 1))
        return self.apart * corners(self.clusters)[labels] + stretch[labels] * noise


def corners(clusters: int) -> np.ndarray:
    """Means (K, D), neighbors at distance one: a triangle, or a cross in three dimensions."""
    if clusters == 3:
        return np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])
    root = np.sqrt(0.5)
    return root * np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1.0]])


def cases(repetitions: int, clusters: list[int]) -> Iterator[Case]:
    """All data sets, a repetition of everything before the next."""
    every = product(
        range(repetitions), clusters, (3.0, 4.0, 6.0), (100, 300, 1000), ("normal", "t4")
    )
    return (Case(k, apart, n, law, i) for i, k, apart, n, law in every)


def picks(case: Case) -> dict[str, Any]:
    """What each criterion picks, and what the table behind it says."""
    started = time.perf_counter()
    choice = bm.choose_k(
        case.rows(),
        range(1, MOST + 1),
        random_seed=case.repetition + 1,
        progressbar=False,
        **ENOUGH,
    )
    table = choice.table
    chosen = {name: int(choice.models.summary.loc[name, "n_clusters"]) for name in PRIORS}
    for criteria, sign in ((HIGH_IS_GOOD, 1), (LOW_IS_GOOD, -1)):
        for name, column in criteria.items():
            if (values := sign * table[column].dropna()).size:
                chosen[name] = int(values.idxmax())
    return {
        **case._asdict(),
        "picks": chosen,
        "recommendation": choice.recommendation,
        "seconds": round(time.perf_counter() - started, 2),
        "table": json.loads(table.to_json()),
    }


def read(paths: list[Path]) -> list[dict[str, Any]]:
    """What files of JSON lines hold, those there are."""
    lines = (path.read_text(encoding="utf-8").splitlines() for path in paths if path.exists())
    return [json.loads(line) for own in lines for line in own]


def markdown(found: list[dict[str, Any]]) -> str:
    """Share of the data sets for which each criterion picks the planted number, per kind."""
    head = ["K", "law", "apart", "n", "data sets", *CRITERIA]
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    for kind in sorted({_kind(each) for each in found}):
        own = [each for each in found if _kind(each) == kind]
        cells = [*map(str, kind), str(len(own))]
        for name in CRITERIA:
            known = [each["picks"][name] for each in own if name in each["picks"]]
            right = sum(pick == kind[0] for pick in known)
            more = sum(pick > kind[0] for pick in known)
            cells.append(f"{right}/{len(known)}" + (f" (+{more})" if more else ""))
        lines.append(" | ".join(cells))
    return "\n".join(f"| {line} |" for line in lines)


def _kind(found: dict[str, Any]) -> tuple[int, str, float, int]:
    return found["clusters"], found["law"], found["apart"], found["n"]


def main(argv: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks._planted_k")
    parser.add_argument("files", nargs="+", type=Path, help="JSON lines; the first is appended to")
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument(
        "--part", default="1/1", metavar="I/M", help="every M-th case from the I-th"
    )
    parser.add_argument("--clusters", type=int, nargs="+", default=[*PLANTED], choices=[*PLANTED])
    parser.add_argument("--table", action="store_true", help="print the files' table, draw nothing")
    options = parser.parse_args(argv)
    found = read(options.files)
    if options.table:
        print(markdown(found))
        return 0
    done = {Case(*(each[name] for name in Case._fields)) for each in found}
    part, parts = map(int, options.part.split("/"))
    for i, case in enumerate(cases(options.repetitions, options.clusters)):
        if i % parts == part - 1 and case not in done:
            with options.files[0].open("a", encoding="utf-8") as file:
                file.write(json.dumps(picks(case)) + "\n")
            print(case, file=sys.stderr, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
