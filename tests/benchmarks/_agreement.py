"""What no relabeling changes, of anyone's draws: effective draws, convergence, agreement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from arviz_stats import ess, mcse, rhat

from bayesmix import diagnostics
from tests.benchmarks._harness import Disagreement

STANDARD_ERRORS = 4.5
"""Between two means of the same quantity; some twenty are compared."""
RHAT_LIMIT = 1.01


class Quantity(NamedTuple):
    """One number per draw, over chains and draws."""

    ess: float
    r_hat: float
    mean: float
    mcse: float


type Quantities = dict[str, Quantity]
type Values = dict[str, np.ndarray]
"""(chain, draw) of every quantity."""


def values_of(post: xr.DataTree) -> Values:
    """What no relabeling changes, number by number."""
    found = {}
    for name, values in diagnostics.label_invariant(post, random_seed=0).items():
        parts = values.values.reshape(*values.shape[:2], -1)
        for i, part in enumerate(np.moveaxis(parts, -1, 0)):
            found[f"{name}[{i}]"] = part
    return found


def judged(values: Values) -> Quantities:
    """Judge each quantity that moved; effective draws are ArviZ's for the bulk."""
    found = {}
    for name, part in values.items():
        if np.ptp(part) > 0:
            numbers = ess(part, method="bulk"), rhat(part), part.mean(), mcse(part)
            found[name] = Quantity(*map(float, numbers))
    return found


def together(runs: Sequence[Values]) -> Values:
    """The chains of all runs, those too in which a quantity stood still."""
    return {name: np.concatenate([run[name] for run in runs]) for name in runs[0]}


def label_invariant(post: xr.DataTree) -> Quantities:
    """Judge what no relabeling changes."""
    return judged(values_of(post))


def least_ess(found: Quantities) -> float:
    """Effective draws of the slowest quantity."""
    return float(np.min([each.ess for each in found.values()]))


def largest_r_hat(found: Quantities) -> float:
    """R-hat of the quantity that chains agree on least."""
    return float(np.max([each.r_hat for each in found.values()]))


def require_convergence(who: str, found: Quantities) -> None:
    """Stop at an R-hat of `RHAT_LIMIT` or more."""
    if not largest_r_hat(found) < RHAT_LIMIT:
        raise Disagreement(f"{who}: R-hat {largest_r_hat(found):.3f}, not below {RHAT_LIMIT}")


def require_same_posterior(peer: str, theirs: Quantities, ours: Quantities) -> float:
    """Largest difference of means, in Monte Carlo standard errors; stop at a large one."""
    errors = {
        name: abs(theirs[name].mean - ours[name].mean)
        / np.hypot(theirs[name].mcse, ours[name].mcse)
        for name in theirs.keys() & ours.keys()
    }
    worst = max(errors, key=lambda name: np.nan_to_num(errors[name], nan=np.inf))
    if not errors[worst] <= STANDARD_ERRORS:
        raise Disagreement(
            f"{peer}: {worst} has the mean {theirs[worst].mean:.6g}, bayesmix "
            f"{ours[worst].mean:.6g}, {errors[worst]:.1f} standard errors away"
        )
    return float(errors[worst])
