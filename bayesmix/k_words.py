"""What all answers on the number of clusters say, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmix.diagnostics import CHECKABLE, DIFFERENT_MODES, RHAT_LIMIT, written_r_hat
from bayesmix.wording import counted, initial

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from bayesmix.k_choice import KChoice

__all__ = ["CRITERIA", "POSTERIOR", "doubts", "first_words", "listed", "runner_up", "words"]

POSTERIOR = "the posterior of the number of clusters"
"""The stage that the answer rests on, as it is named where it was cut short."""
CRITERIA = "EM's criteria"
"""The stage that BIC and ICL come from."""
_NAMES = {"sparse": "a sparse finite mixture", "DP": "a Dirichlet process"}
_TOLD = 0.01  # probability from which another number is named
_TOLD_APART = 2.0  # standard errors
_FAR_APART = 4.0  # the same
_SAME = 0.1  # of a criterion


def first_words(table: pd.DataFrame) -> str:
    """Say what the posterior says so far."""
    return f"So far: {_answer(table)}."


def words(found: KChoice) -> str:
    """Say the answer, what others say, and what speaks against trusting it."""
    said = [_answer(found.table), *doubts(found)]
    said += [*_models(found), *_structure(found), *_evidence(found), *_predictions(found)]
    said += [*_criteria(found), *_without_criteria(found.em_status), *_unreached(found)]
    return ". ".join(map(initial, said)) + "."


def _answer(table: pd.DataFrame) -> str:
    """The most probable number of clusters, and the next."""
    p, error, prior = (
        table[name].to_numpy(float)
        for name in ("p_n_clusters", "p_n_clusters_mcse", "p_n_clusters_prior")
    )
    first = int(p.argmax())
    unknown = "in every draw" if p[first] == 1 else "Monte Carlo error unknown"
    sure = f"Monte Carlo error {error[first]:.2g}" if np.isfinite(error[first]) else unknown
    said = (
        f"{counted(first + 1, 'cluster')} with probability {p[first]:.2f} ({sure}; prior "
        f"{prior[first]:.2f})"
    )
    if (after := runner_up(table)) is not None:
        beside = "" if after.told_apart else "not told apart from "
        said += f", {beside}{after.k} with {after.p:.2f}"
    return said


class RunnerUp(NamedTuple):
    """The number of clusters that is the most probable but one."""

    k: int
    p: float
    told_apart: bool
    """Whether Monte Carlo errors tell it from the most probable one, as far as they are known."""


def runner_up(table: pd.DataFrame) -> RunnerUp | None:
    """Find the next number of clusters, where its probability is worth naming."""
    p, error = (table[name].to_numpy(float) for name in ("p_n_clusters", "p_n_clusters_mcse"))
    first, *rest = np.argsort(-p, kind="stable")[:2]
    if not rest or p[rest[0]] < _TOLD:
        return None
    near = p[first] - p[rest[0]] <= _TOLD_APART * np.hypot(error[first], error[rest[0]])
    return RunnerUp(int(rest[0]) + 1, float(p[rest[0]]), not near)


def doubts(found: KChoice) -> list[str]:
    """Say what speaks against trusting the draws of the number of clusters."""
    r_hat = found.r_hat
    if r_hat > DIFFERENT_MODES:
        return [
            f"do not trust it yet: the chains disagree (R-hat {r_hat:.2f}); take more draws, or "
            "thin more"
        ]
    if r_hat > RHAT_LIMIT:
        return [
            f"the chains have not quite met (R-hat {written_r_hat(r_hat)}, above {RHAT_LIMIT}), so "
            "that its error is rough; take more draws, or thin more"
        ]
    if np.isnan(r_hat) and found.table["p_n_clusters"].max() < 1:
        return [f"it is not checked: R-hat takes two chains or more, of at least {CHECKABLE} draws"]
    return []


def _models(found: KChoice) -> list[str]:
    """Most probable numbers under the other priors."""
    said = []
    for name in ("sparse", "DP"):
        if found.models is not None and name in found.models.trees:
            p, r_hat = (
                found.models.table["p"].xs(name),
                found.models.summary["r_hat"][[name]].item(),
            )
            rough = f"; R-hat {r_hat:.2f}" if r_hat > RHAT_LIMIT else ""
            said.append(f"{_NAMES[name]} says {p.idxmax()} ({p.max():.2f}{rough})")
    return [", ".join(said)] if said else []


def _structure(found: KChoice) -> list[str]:
    """Probability of the covariance structure, of those asked for."""
    if found.structures is None or found.structures["p"].isna().any():
        return []
    own = found.mixture.covariance_type
    p = found.structures["p"].groupby(level="covariance_type").sum()
    return [f"of the covariance structures {own} has posterior probability {p[own]:.2f}"]


def _evidence(found: KChoice) -> list[str]:
    """The number of components of the largest evidence, and by how much."""
    if len(found.evidences) < 2:
        return []
    order = sorted(found.evidences, key=lambda k: -found.evidences[k].log_evidence)
    best, next_best = order[:2]
    lead, se = found.evidences[best].bayes_factor(found.evidences[next_best])
    told = "" if lead > _TOLD_APART * se else ", which the Monte Carlo error does not tell apart"
    weighed = found.table["p_by_evidence"].dropna()
    likely = int(weighed.index.to_numpy()[weighed.argmax()])
    said = [
        f"the evidence is largest for K = {best}{_at_the_end(best, found.evidences)}, by "
        f"{lead:.2f} ± {se:.2g} nats over {next_best}{told}; with the prior of K it gives "
        f"K = {likely} probability {weighed.max():.2f}",
        *_disagreement(found.table),
    ]
    doubted = [str(k) for k in sorted(order[:2]) if found.evidences[k].warnings]
    if doubted:
        said.append(f"that of K = {', '.join(doubted)} is not certain yet; see evidences")
    return said


def _predictions(found: KChoice) -> list[str]:
    """The number of components that predicts best, and those it is not told apart from."""
    if len(found.loos) < 2:
        return []
    best = max(found.loos, key=lambda k: found.loos[k].elpd)
    near = [k for k in found.loos if k != best and not _worse(found.loos, k, best)]
    others = f", not told apart from {listed(near)}" if near else ""
    said = [f"LOO predicts new rows best with K = {best}{_at_the_end(best, found.loos)}{others}"]
    if rough := [k for k in sorted({best, *near}) if found.loos[k].warning]:
        said.append(f"its importance weights fail for some rows of K = {listed(rough)}; see loos")
    return said


def _at_the_end(best: int, asked: Mapping[int, Any]) -> str:
    """Say so where the best number is the last that was asked for."""
    return ", the largest asked for" if best == max(asked) else ""


def _disagreement(table: pd.DataFrame) -> list[str]:
    """Say so where evidences and the sampler of K give other probabilities than errors allow."""
    names = ("p_n_components", "p_n_components_mcse", "p_by_evidence", "p_by_evidence_se")
    sampled, mcse, weighed, se = table[list(names)].dropna().to_numpy(float).T
    if not sampled.sum() > 0:
        return []
    apart = np.abs(sampled / sampled.sum() - weighed)
    if not (apart > _FAR_APART * np.hypot(mcse / sampled.sum(), se) + _TOLD).any():
        return []
    return [
        "that is not what the draws of K say (p_n_components): chains have not found all there is; "
        "take more draws, or thin more"
    ]


def _worse(loos: Mapping[int, Any], k: int, best: int) -> bool:
    """Whether K = k predicts worse by more than two standard errors of the difference."""
    each = np.asarray(loos[best].elpd_i) - np.asarray(loos[k].elpd_i)
    return bool(each.sum() > _TOLD_APART * each.std(ddof=1) * np.sqrt(each.size))


def _criteria(found: KChoice) -> list[str]:
    """What BIC and ICL say, in this structure and over all."""
    lowest = {
        name: number_of_least(values)
        for name in ("bic", "icl")
        if len(values := found.table[name].dropna()) > 1
    }
    if not lowest:
        return []
    said = ", ".join(f"{name.upper()} says {k}" for name, k in lowest.items())
    assert found.criteria is not None
    structure, k = found.criteria.index[int(np.nanargmin(found.criteria["bic"]))]
    if found.criteria["bic"].min() < found.table["bic"].min() - _SAME:  # in one feature all are one
        said += f" (BIC over all structures {k}, {structure})"
    return [said]


def number_of_least(values: pd.Series) -> int:
    """Number of components with the lowest value of a criterion."""
    return int(values.index.to_numpy()[np.nanargmin(values)])


def _without_criteria(em_status: Mapping[int, str]) -> list[str]:
    missing: dict[str, list[int]] = {}
    for k, status in em_status.items():
        if status != "converged":
            missing.setdefault(status, []).append(k)
    return [
        f"EM found no genuine optimum for K = {', '.join(map(str, numbers))} ({status})"
        for status, numbers in missing.items()
    ]


def _unreached(found: KChoice) -> list[str]:
    """Name the stages left out, those of many numbers of components by the first and the last."""
    left: dict[str, list[str]] = {}
    for stage in found.unfinished:
        kind, _, number = stage.partition(" of K = ")
        left.setdefault(kind, []).append(number)
    named = [
        kind
        if numbers == [""]
        else f"{kind} of K = {numbers[0]} to {numbers[-1]}"
        if len(numbers) > 1
        else f"{kind} of K = {numbers[0]}"
        for kind, numbers in left.items()
    ]
    said = [f"not come to: {listed(named)}"] if named else []
    return said + [f"{stage} failed ({reason})" for stage, reason in found.failed.items()]


def listed(things: Any) -> str:
    """Name things, the last after "and"."""
    *first, last = map(str, things)
    return f"{', '.join(first)} and {last}" if first else last
