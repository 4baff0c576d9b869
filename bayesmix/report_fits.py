"""What a report tells of: fits and readings, one stage after the other, and what Ctrl-C leaves."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from bayesmix.comparison import Comparison, compare_to_posterior
from bayesmix.diagnostics import diagnose
from bayesmix.em import fit_em
from bayesmix.findings import Finding
from bayesmix.k_choice import KChoice
from bayesmix.n_components import choose_k
from bayesmix.partition import partition
from bayesmix.partition_result import Partition
from bayesmix.predictive import tail_probability
from bayesmix.sampling import sample

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    import xarray as xr

    from bayesmix.inputs import Table
    from bayesmix.mixture import Mixture

__all__ = ["Asked", "Report", "fitted", "options_of_choice"]

_MOST_GROUPS = 8
_FEWEST_DRAWS = 25  # of a chain, that evidence and predictions take
_WORK = 2_000_000  # draws of a chain times rows, in asking how many groups
_SLOW = 20_000  # numbers in a table, from which on asking how many groups has its time
_WIDE = 10  # features, with more of which it has, too: evidence grows with their cube
_SECONDS = 30.0


@dataclass(frozen=True, eq=False)
class Asked:
    """What a report is asked for, with every default filled in."""

    path: Path
    """The page."""
    table: Table
    labels: pd.Series | None
    mixture: Mixture
    draws: int
    seed: int
    progressbar: bool


@dataclass(frozen=True, eq=False)
class Report:
    """What a report was made of, and where it lies; None is what an interrupt left out."""

    asked: Asked
    em: xr.DataTree
    findings: tuple[Finding, ...]
    """How EM ended, and what `diagnose` says of the draws."""
    post: xr.DataTree | None = None
    comparison: Comparison | None = None
    tails: pd.Series | None = None
    """Probability of a new row at least as far out, for every row; see `tail_probability`."""
    partition: Partition | None = None
    choice: KChoice | None = None
    """How many groups there are."""
    seconds: dict[str, float] = field(default_factory=dict)
    """How long each stage took."""
    left_out: str = ""
    """What an interrupt cost, in words."""

    @property
    def path(self) -> Path:
        """The page, ``index.html``."""
        return self.asked.path

    @property
    def mixture(self) -> Mixture:
        """The model that both fits are of."""
        return self.asked.mixture

    @property
    def table(self) -> Table:
        """The rows."""
        return self.asked.table

    @property
    def interrupted(self) -> bool:
        """Whether anything is missing."""
        cut = self.post is not None and bool(self.post.attrs.get("interrupted"))
        return cut or bool(self.left_out) or self.choice_interrupted

    @property
    def choice_interrupted(self) -> bool:
        """Whether asking how many groups was cut short, and not by the time it was given."""
        if self.choice is None:
            return False
        unasked = bool(self.choice.unfinished) and "seconds" not in options_of_choice(self.asked)
        return unasked or bool(self.choice.post.attrs.get("interrupted"))

    @property
    def identification(self) -> Finding | None:
        """What `diagnose` says of the components; None without draws."""
        return next((f for f in self.findings if f.check == "identification"), None)

    @property
    def identified(self) -> bool:
        """Whether the posterior's components can be read one by one."""
        return self.identification is not None and self.identification.severity == "ok"


class _Stage(NamedTuple):
    name: str
    says: str
    work: Callable[[Report], Report]
    without: str
    """What an interrupt in it costs."""


def fitted(asked: Asked, announce: Callable[[str], None]) -> Report:
    """Go through all stages, or as many as Ctrl-C leaves; without EM there is no report."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # shown as findings instead
        announce("EM: looking for the mode from 10 starts")
        began = time.perf_counter()
        em = fit_em(asked.mixture, asked.table, random_seed=asked.seed)
        seconds = {"EM": time.perf_counter() - began}
        made = Report(asked, em, (_em_finding(em),), seconds=seconds)
        for stage in _STAGES:
            if made.interrupted and stage.work is _chosen:
                return made
            announce(stage.says)
            began = time.perf_counter()
            try:
                made = stage.work(made)
            except KeyboardInterrupt:
                announce(f"interrupted: {stage.without}")
                return replace(made, left_out=stage.without)
            seconds[stage.name] = time.perf_counter() - began
    return made


def options_of_choice(asked: Asked) -> dict[str, Any]:
    """What `choose_k` is asked with: fewer draws of many rows, an end of a large or wide table."""
    n, d = asked.table.values.shape
    most = max(_MOST_GROUPS, asked.mixture.n_components + 2)
    options: dict[str, Any] = {
        "k": range(1, most + 1),
        "covariance_type": asked.mixture.covariance_type,
        "draws": max(_FEWEST_DRAWS, min(asked.draws, _WORK // n)),
        "random_seed": asked.seed,
    }
    return options | ({"seconds": _SECONDS} if n * d > _SLOW or d > _WIDE else {})


def _em_finding(em: xr.DataTree) -> Finding:
    point, verdict = em["point_estimate"].attrs, em["optimization"].attrs["verdict"]
    severity: Literal["ok", "warning"] = "ok" if point["status"] == "converged" else "warning"
    return Finding(severity, "EM", f"EM {point['advice']}; {verdict}")


def _sampled(made: Report) -> Report:
    asked = made.asked
    options: dict[str, Any] = {"draws": asked.draws, "random_seed": asked.seed}
    post = sample(asked.mixture, asked.table, progressbar=asked.progressbar, **options)
    return replace(made, post=post)


def _compared(made: Report) -> Report:
    assert made.post is not None
    comparison = compare_to_posterior(made.em, made.post)
    findings = (*made.findings, *diagnose(comparison.post))
    return replace(made, comparison=comparison, findings=findings)


def _tailed(made: Report) -> Report:
    import pandas as pd

    assert made.post is not None
    found = tail_probability(made.post, random_seed=made.asked.seed)["tail_probability"]
    index = pd.Index(made.table.index, name="obs")
    return replace(made, tails=pd.Series(np.asarray(found), index, name="tail_probability"))


def _partitioned(made: Report) -> Report:
    return replace(made, partition=partition(made.post, random_seed=made.asked.seed))


def _chosen(made: Report) -> Report:
    options = options_of_choice(made.asked)
    choice = choose_k(made.table, progressbar=made.asked.progressbar, **options)
    return replace(made, choice=choice)


_STAGES = (
    _Stage(
        "sampling",
        "Sampling the posterior (the first time on a machine some seconds more)",
        _sampled,
        "before any draw: reporting EM alone",
    ),
    _Stage(
        "comparison",
        "EM against the posterior, row by row",
        _compared,
        "the page has EM alone, the draws are in posterior.nc",
    ),
    _Stage(
        "outliers",
        "Rows that fit nowhere",
        _tailed,
        "the page does not say which rows fit nowhere, has no partition and no number of groups",
    ),
    _Stage(
        "partition",
        "One partition for the whole posterior",
        _partitioned,
        "the page has no partition, and does not say how many groups",
    ),
    _Stage(
        "number of groups",
        "How many groups: the posterior of their number, evidence, predictions, EM",
        _chosen,
        "the page does not say how many groups",
    ),
)
