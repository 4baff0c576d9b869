"""Convergence, judged on what does not depend on the labels; findings with their remedies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmix.draws import count_clusters, data_of
from bayesmix.findings import Finding, Findings
from bayesmix.identification import IDENTIFIED
from bayesmix.invariants import label_invariant
from bayesmix.label_draws import label_draws
from bayesmix.modes import chains_by_mode, describe_modes
from bayesmix.partition_spread import chain_distance
from bayesmix.priors import Dirichlet
from bayesmix.relabel import relabel
from bayesmix.schema import choice_of_clusters, chosen_clusters, group, mixture_of, varies
from bayesmix.wording import counted

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = [
    "Finding",
    "Findings",
    "above_limit",
    "convergence",
    "diagnose",
    "identified",
    "label_invariant",
    "written_r_hat",
]

RHAT_LIMIT = 1.01
ESS_PER_CHAIN = 100
LAST_OCCUPIED = 0.01  # share of draws: a truncation expects fewer rows than that beyond it
APART = 0.005  # p-value below which partitions differ between chains
DIFFERENT_MODES = 1.1  # R-hat above which chains are elsewhere, not just short
_MOST_DECIMALS = 18
CHECKABLE = 4  # draws per chain below which ArviZ has no R-hat and no ESS
MODES_REMEDY = (
    "run more draws; if it stays, the posterior has several modes and the chains sit in different "
    "ones"
)


def diagnose(post: xr.DataTree) -> Findings:
    r"""Judge a posterior: mixing of the label-invariant set, divergences, identification.

    Partitions of different chains are held to those of one chain: chains in different modes may
    agree in every number. Of a model that breaks a stick into T pieces also whether T components
    are enough: rows in the last one could have gone to others after it.

    Returns
    -------
    Findings
        A list of `Finding`: warnings name their remedy; a passed check is one of severity "ok".

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
    >>> post = bm.sample(mixture, x, random_seed=1)
    >>> print(*bm.diagnose(post), sep="\n")
    R-hat at most 1.00...; constant: n_clusters
    effective draws at least ...
    partitions of different chains are 0.03... bits apart (mean variation of information), ...
    components are identified: the component table can be read
    """
    columns = _checked_columns(post)
    moving = _moving(columns)
    findings = [*_convergence(post, columns, moving), *_partitions(post)]
    findings += [*_improper(post), *_truncated(post), _identification(post, moving)]
    if post.attrs.get("interrupted"):
        n = post["posterior"].sizes
        kept = f"{counted(n['chain'], 'chain')} of {counted(n['draw'], 'draw')}"
        findings.append(
            Finding(
                "warning",
                "interrupted",
                f"sampling was interrupted: {kept} were kept",
                "run it again for the draws asked for",
            )
        )
    return Findings(findings)


def identified(post: xr.DataTree) -> Finding:
    """Judge whether components can be read one by one."""
    return _identification(post, _moving(_checked_columns(post)))


def _identification(post: xr.DataTree, moving: pd.DataFrame | None) -> Finding:
    joined = chosen_clusters(post) is not None  # chains one after the other
    if not joined and moving is not None and moving["r_hat"].max() > DIFFERENT_MODES:
        message = "components are not judged, because the chains disagree"
        return Finding("warning", "identification", message, "make them agree first")
    if varies(post):
        message = f"components are not judged: {choice_of_clusters(post)}"
        return Finding("ok", "identification", message)
    relabeled = post if "relabeling" in post.children else relabel(post)
    attrs = relabeled["relabeling"].attrs
    if attrs["non_permutation_rate"] <= IDENTIFIED:
        return Finding("ok", "identification", attrs["advice"])
    if joined:
        remedy = "try another n_clusters, or read partition(post)"
    elif attrs["method"] == "none":
        remedy = "read what does not depend on labels"
    else:
        remedy = "fewer components may separate: ask choose_k(x) how many clusters there are"
    return Finding("warning", "identification", attrs["advice"], remedy)


def convergence(post: xr.DataTree) -> list[Finding]:
    """Judge whether the draws can be trusted at all: mixing, divergences."""
    columns = _checked_columns(post)
    return _convergence(post, columns, _moving(columns))


def _convergence(
    post: xr.DataTree, columns: dict[str, Floats], moving: pd.DataFrame | None
) -> list[Finding]:
    different = moving is not None and moving["r_hat"].max() > DIFFERENT_MODES
    apart = _apart(columns) if different else ""
    still = [name for name in columns if moving is not None and name not in moving.index]
    return [*_mixing(moving, post, apart, still), *_nuts(post)]


def _apart(columns: dict[str, Floats]) -> str:
    """Where the chains are, if not all in one mode."""
    groups = chains_by_mode(columns, DIFFERENT_MODES)
    return f", {describe_modes(groups, columns)}" if len(groups) > 1 else ""


def _partitions(post: xr.DataTree) -> list[Finding]:
    """Compare partitions between chains with those within them."""
    found = chain_distance(post)
    if found is None:
        return []
    message = (
        f"partitions of different chains are {found.between:.3g} bits apart (mean variation of "
        f"information), those of one chain {found.within:.3g}"
    )
    if found.p_value >= APART:
        return [Finding("ok", "partitions", message)]
    message += f" (p = {found.p_value:.2g}): the chains keep to partitions of their own"
    return [Finding("warning", "partitions", message, MODES_REMEDY)]


def _improper(post: xr.DataTree) -> list[Finding]:
    r"""Find a random S without a floor that equal values make the posterior improper with.

    K - 1 covariances, any number if K varies, can close in on groups of :math:`m_g` rows with equal
    values of a feature as :math:`s_j \to 0`; the posterior is improper if
    :math:`\sum_g (m_g - 1)` reaches twice the
    gamma's shape plus :math:`\nu` (diag: :math:`\nu - D + 1`).
    """
    mixture = mixture_of(post)
    prior = None if mixture is None else mixture.components
    if mixture is None or prior is None or prior.scale_hyperprior is None:
        return []
    if mixture.covariance_type not in ("full", "diag"):
        return []
    table, hyper = data_of(post), prior.scale_hyperprior
    groups = None if mixture.varying else mixture.n_components - 1
    dof = prior.dof - (prior.n_features - 1 if mixture.covariance_type == "diag" else 0)
    found = []
    for j, feature in enumerate(table.features):
        ties = np.sort(np.unique(table.values[:, j], return_counts=True)[1])[::-1] - 1
        if hyper.floor[j] == 0 and ties[:groups].sum() >= 2 * hyper.shape + dof:
            found.append(feature)
    if not found:
        return []
    return [
        Finding(
            "warning",
            "improper",
            f"equal values of {', '.join(found)} make this posterior improper, because the "
            "scale_hyperprior has no floor: long chains end where covariances shrink to nothing",
            "give the scale_hyperprior a floor, as weakly_informative does",
        )
    ]


def _truncated(post: xr.DataTree) -> list[Finding]:
    """Find rows in the last component of truncated weights, where there should hardly be any."""
    mixture = mixture_of(post)
    if mixture is None or mixture.varying or isinstance(mixture.weights, Dirichlet):
        return []
    last = mixture.n_components - 1
    label = label_draws(post, random_seed=0).by_chain
    place = np.full(label.shape[:-1], last)  # of the last stick
    if "relabeling" in post.children:
        order = group(post, "relabeling")["permutation"].transpose("chain", "draw", "component")
        place = (order.values == last).argmax(axis=-1)
    share = float((label == place[..., None]).any(axis=-1).mean())
    if share <= LAST_OCCUPIED:
        message = f"the last of {last + 1} components has rows in {share:.1%} of the draws"
        return [Finding("ok", "truncation", message)]
    full = float((count_clusters(label, last + 1) == last + 1).mean())
    together = f", all of them at once in {full:.1%}" if full else ""
    return [
        Finding(
            "warning",
            "truncation",
            f"the last of {last + 1} components has rows in {share:.1%} of the draws{together}: "
            "the truncation takes part in this posterior",
            f"give a larger one, such as truncation={2 * last + 2}",
        )
    ]


def _checked_columns(post: xr.DataTree) -> dict[str, Floats]:
    """Label-invariant draws (chain, draw) by name; none where they are too few to check."""
    if group(post, "posterior").sizes["draw"] < CHECKABLE:
        return {}
    return _columns(label_invariant(post, random_seed=0))


def _moving(columns: dict[str, Floats]) -> pd.DataFrame | None:
    """R-hat and ESS of quantities that are not constant; None without quantities.

    The numbers of `summary`, all quantities at once.
    """
    if not columns:
        return None
    import pandas as pd
    from arviz_base import rcParams
    from arviz_stats.base import array_stats

    names = [name for name, values in columns.items() if not _constant(values)]
    axes = {"chain_axis": 0, "draw_axis": 1}
    prob = rcParams["stats.ci_prob"]
    values = np.stack([columns[name] for name in names], axis=-1) if names else np.empty((1, 4, 0))
    with np.errstate(invalid="ignore", divide="ignore"):  # chains that stand still, apart
        found = {
            "ess_bulk": array_stats.ess(values, **axes, method="bulk"),
            "ess_tail": array_stats.ess(values, **axes, method="tail", prob=prob),
            "r_hat": array_stats.rhat(values, **axes),
        }
    return pd.DataFrame(found, index=names)


def _columns(dataset: xr.Dataset) -> dict[str, Floats]:
    """Every number's draws (chain, draw) under ArviZ's name for it."""
    found = {}
    for name, variable in dataset.data_vars.items():
        if variable.ndim == 2:
            found[str(name)] = variable.values.astype(float)
            continue
        for place, label in enumerate(variable[variable.dims[-1]].values):
            found[f"{name}[{label}]"] = variable.values[..., place]
    return found


def _constant(values: Floats) -> bool:
    return bool(values.std() <= 1e-12 * abs(values.mean()))


def _mixing(
    moving: pd.DataFrame | None, post: xr.DataTree, apart: str, still: list[str]
) -> list[Finding]:
    if moving is None:
        return [
            Finding("warning", "ess", "too few draws to check for convergence", "run more draws")
        ]
    if moving.empty:
        return [Finding("ok", "mixing", "every label-invariant quantity is constant")]
    chains = post["posterior"].sizes["chain"]
    if chosen_clusters(post) is not None:
        message = "R-hat is not judged: these draws join chains; diagnose the tree they come from"
        agreement = Finding("ok", "r_hat", message)
    else:
        agreement = _agreement(moving, chains, apart, still)
    least = moving[["ess_bulk", "ess_tail"]].min(axis=1)
    needed = ESS_PER_CHAIN * chains
    enough = least.min() >= needed
    return [
        agreement,
        Finding(
            "ok" if enough else "warning",
            "ess",
            f"effective draws at least {least.min():.0f} ({least.idxmin()})"
            + ("" if enough else f", below {needed}"),
            "" if enough else "run more draws",
        ),
    ]


def _agreement(moving: pd.DataFrame, chains: int, apart: str, still: list[str]) -> Finding:
    worst = moving["r_hat"].max()
    if chains < 2:
        message = "one chain cannot be checked by R-hat"
        return Finding("warning", "r_hat", message, "run at least two")
    if worst <= RHAT_LIMIT:
        constant = f"; constant: {', '.join(still)}" if still else ""
        return Finding("ok", "r_hat", f"R-hat at most {worst:.3f}{constant}")
    return Finding(
        "warning",
        "r_hat",
        f"{above_limit(worst, f' for {moving["r_hat"].idxmax()}')}{apart}",
        MODES_REMEDY,
    )


def above_limit(r_hat: float, of: str = "") -> str:
    """Say that chains do not agree, by their R-hat, which is above the limit."""
    apart = "disagree" if r_hat > DIFFERENT_MODES else "have not quite met"
    return f"R-hat is {written_r_hat(r_hat)}{of}, above {RHAT_LIMIT}: the chains {apart}"


def written_r_hat(r_hat: float) -> str:
    """R-hat to three decimals, or to as many as tell it from the limit."""
    texts = (f"{r_hat:.{places}f}" for places in range(3, _MOST_DECIMALS))
    return next(text for text in texts if r_hat <= RHAT_LIMIT or float(text) != RHAT_LIMIT)


def _nuts(post: xr.DataTree) -> list[Finding]:
    if "sample_stats" not in post.children or "diverging" not in post["sample_stats"]:
        return []
    stats = group(post, "sample_stats")
    found = []
    diverging = int(stats["diverging"].sum())
    if diverging:
        found.append(
            Finding(
                "warning",
                "divergences",
                f"{diverging} of {stats['diverging'].size} transitions diverged",
                "tune longer (tune=), or use a tighter component prior",
            )
        )
    else:
        found.append(Finding("ok", "divergences", "no divergences"))
    if "reached_max_treedepth" in stats and (deep := int(stats["reached_max_treedepth"].sum())):
        found.append(
            Finding(
                "warning",
                "tree depth",
                f"{deep} transitions reached the maximum tree depth",
                "tune longer (tune=)",
            )
        )
    return found
