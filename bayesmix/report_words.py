"""A report in short: the questions that a stranger asks of a mixture, each with its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from bayesmix.k_words import POSTERIOR, doubts, runner_up
from bayesmix.predictive_sample import RESOLVED
from bayesmix.wording import counted

if TYPE_CHECKING:
    import pandas as pd

    from bayesmix.report_fits import Report

__all__ = ["CERTAIN", "Fact", "facts", "open_rows", "out_of_place", "outlier_limit", "resolved"]

CERTAIN = 0.95
"""Probability of its most probable component from which on a row is not open."""
_OUTSIDE = 0.05
_MOST_NAMED = 6


class Fact(NamedTuple):
    """One question and its answer."""

    question: str
    answer: str
    detail: str
    section: str
    """Where on the page there is more."""
    tone: Literal["ok", "warning", "plain"] = "plain"


def facts(made: Report) -> list[Fact]:
    """All answers that were come to."""
    found = [_how_many(made)]
    if made.comparison is not None:
        found += [*_how_sure(made), _trust(made), _readable(made), _em(made)]
    return found


def open_rows(made: Report) -> pd.DataFrame | None:
    """Rows whose place is open, the least certain first; None where nothing tells.

    By component where components are identified; else by cluster of the partition.
    """
    if made.identified and made.comparison is not None:
        rows, name = made.comparison.memberships, "label_probability"
    elif made.partition is not None:
        rows, name = made.partition.rows, "certainty"
    else:
        return None
    return rows[rows[name] < CERTAIN].sort_values(name, kind="stable")


def outlier_limit(n: int) -> float:
    """Tail probability below which one of ``n`` rows of the model's own is in 5 % of tables."""
    return _OUTSIDE / n


def resolved(made: Report) -> float:
    """Tail probability below which `tail_probability` knows only that it is small."""
    return 0.0 if made.mixture.n_components == 1 else RESOLVED


def out_of_place(made: Report) -> list[Any] | None:
    """Names of the rows that fit nowhere, by a limit of their number; None if it is too small."""
    if made.tails is None:
        return []
    limit = outlier_limit(len(made.tails))
    tails = made.tails.sort_values(kind="stable")
    return None if limit < resolved(made) else tails.index[tails < limit].tolist()


def _how_many(made: Report) -> Fact:
    asked, question = made.mixture.n_components, "How many groups?"
    if made.choice is None:
        answer, fitted = counted(asked, "component"), "as asked; this page does not judge it"
        return Fact(question, answer, fitted, "model")
    table = made.choice.table
    p, prior = (table[name].to_numpy(float) for name in ("p_n_clusters", "p_n_clusters_prior"))
    k, after = int(p.argmax()) + 1, runner_up(table)
    answer = counted(k, "cluster")
    said = f"most probable, with probability {p[k - 1]:.2f} (prior {prior[k - 1]:.2f})"
    if after is not None and not after.told_apart:
        answer = f"{min(k, after.k)} or {max(k, after.k)} clusters"
        said = (
            f"{k} with probability {p[k - 1]:.2f}, which Monte Carlo error does not tell apart "
            f"from {after.p:.2f} of {after.k}"
        )
    doubt = "".join(f"; {words.partition(';')[0]}" for words in doubts(made.choice))
    if POSTERIOR in made.choice.unfinished:
        doubt += "; by few draws, as it ended early"
    fits = f"; {counted(asked, 'component')} {'was' if asked == 1 else 'were'} asked for and fitted"
    sure = k == asked and answer == counted(k, "cluster") and not doubt
    return Fact(question, answer, said + doubt + fits, "groups", "ok" if sure else "warning")


def _how_sure(made: Report) -> list[Fact]:
    """How many rows have their place, and which have not."""
    rows, n = open_rows(made), len(made.table.values)
    if rows is None:
        return []
    if made.identified:
        how = f"belong to one component with at least {CERTAIN:.0%} posterior probability"
        section, which = "memberships", f"no component has {CERTAIN:.0%} probability"
    else:
        share = f"{CERTAIN:.0%} of the draws"
        how = (
            f"are with the rest of their cluster in at least {share}; components are not told apart"
        )
        section, which = "partition", f"with the rest of their cluster in less than {share}"
    answer = f"{n - len(rows):,} of {n:,} rows"
    outside = _outside(made)
    if not len(rows):
        clear = made.tails is not None and out_of_place(made) == []
        which = "every row has its place" if clear else "no row is between two places"
    return [
        Fact("How sure is it where rows belong?", answer, how, section),
        Fact("Which rows are open?", _named(rows), which + outside, section),
    ]


def _named(rows: pd.DataFrame) -> str:
    """The first few by name, and how many more."""
    if not len(rows):
        return "none"
    some = ", ".join(str(name) for name in rows.index[:_MOST_NAMED])
    more = len(rows) - _MOST_NAMED
    return f"{'row' if len(rows) == 1 else 'rows'} {some}" + (f" and {more:,} more" * (more > 0))


def _outside(made: Report) -> str:
    """How many rows fit nowhere; how many may where the draws do not tell which."""
    rows = out_of_place(made)
    if rows is None:
        return _beyond(made)
    if not rows:
        return ""
    verb = "fits" if len(rows) == 1 else "fit"
    return f"; {counted(len(rows), 'row')} {verb} nowhere"


def _beyond(made: Report) -> str:
    """How many rows are farther out than the draws can tell, and whether chance has so many."""
    from scipy.special import pdtrc

    assert made.tails is not None
    limit, n = resolved(made), len(made.tails)
    found = int((made.tails < limit).sum())
    if not found:
        return ""
    verb = "has" if found == 1 else "have"
    some = ": not all of them fit" if pdtrc(found - 1, limit * n) < _OUTSIDE else ""
    return (
        f"; {counted(found, 'row')} {verb} a tail probability below {limit:.2g}, about "
        f"{limit * n:.2g} expected{some}"
    )


def _trust(made: Report) -> Fact:
    checks = [f for f in made.findings if f.check not in ("EM", "identification")]
    bad = [finding for finding in checks if finding.severity == "warning"]
    question = "Can the draws be trusted?"
    if bad:
        answer = f"not yet: {counted(len(bad), 'warning')}"
        return Fact(question, answer, str(bad[0]), "diagnostics", "warning")
    answer, said = f"yes: all {len(checks)} checks passed", checks[0].message.partition(";")[0]
    return Fact(question, answer, said, "diagnostics", "ok")


def _readable(made: Report) -> Fact:
    assert made.identification is not None
    answer, tone = ("yes", "ok") if made.identified else ("no", "warning")
    question = "Can components be read one by one?"
    return Fact(question, answer, made.identification.message, "posterior", tone)  # type: ignore[arg-type]


def _em(made: Report) -> Fact:
    assert made.comparison is not None
    sure, over = made.comparison.n_confident, made.comparison.n_overconfident
    question, limit = "Is EM too sure?", f"{CERTAIN:.0%} probability"
    if not made.identified:
        detail = (
            "the posterior's components cannot be told apart, so EM's cannot be compared with them "
            "one by one"
        )
        return Fact(question, "not to be told by component", detail, "comparison")
    rows = f"{counted(sure, 'row')} that EM assigns with more than {limit}"
    if over:
        detail = f"among the {rows}; the posterior gives them at most that"
        return Fact(question, f"of {counted(over, 'row')}", detail, "comparison", "warning")
    return Fact(question, "no", f"the posterior is as sure of the {rows}", "comparison", "ok")
