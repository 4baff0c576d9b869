"""What EM's choice of a number and the posterior's most probable number have in dispute."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.diagnostics import DIFFERENT_MODES
from bayesmix.dispute import Dispute, disputed_rows
from bayesmix.draws import data_of
from bayesmix.estimator import GaussianMixture
from bayesmix.inputs import as_generator
from bayesmix.k_words import number_of_least
from bayesmix.label_draws import label_draws, occupied
from bayesmix.partition import partition
from bayesmix.wording import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.inputs import RandomSeed
    from bayesmix.k_choice import KChoice
    from bayesmix.partition_result import Partition

    Floats = NDArray[np.float64]

__all__ = ["dispute_with"]

_STARTS = (20, 60, 180)  # of EM, until it comes as high as the table's
_SAME = 0.05  # nats


def dispute_with(found: KChoice, criterion: str, random_seed: RandomSeed) -> Dispute:
    """Compare EM at the least criterion with the partition into the most probable number."""
    if found.criteria is None:
        raise ValueError(
            f"{criterion}: expected EM's criteria, which were not come to; give choose_k more time"
        )
    values = found.table[criterion].dropna()
    if values.empty:
        raise ValueError(
            f"{criterion}: expected a genuine optimum of EM, found none; see em_status"
        )
    k, for_partition = number_of_least(values), as_generator(random_seed)
    point, said = _refitted(found, k)
    own, doubts = _partition(found, for_partition)
    dispute = disputed_rows(point, found.post, partition=own, name=criterion.upper())
    return replace(dispute, cautions=(*said, *doubts))


def _refitted(found: KChoice, k: int) -> tuple[GaussianMixture, list[str]]:
    """EM's optimum of the table once more, from more and more starts; doubts of it."""
    from sklearn.exceptions import ConvergenceWarning

    assert found.criteria is not None
    x = data_of(found.post).values
    structure = found.mixture.covariance_type
    aim = float(found.criteria["log_likelihood"].xs(structure).to_dict()[k])
    best, highest, told = None, -np.inf, False
    for n_init in _STARTS:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            point = _fitted(x, k, structure, n_init)
        height = len(x) * float(point.score(x))
        if best is None or height > highest:
            best, highest, told = point, height, bool(caught)
        if highest >= aim - _SAME:
            break
    assert best is not None
    said = []
    if highest < aim - _SAME:
        said.append(
            f"EM did not find the optimum of the table again (log likelihood {highest:.2f}, not "
            f"{aim:.2f}, with K = {k}): the criterion rests on other components than these."
        )
    if told:
        said.append(f"EM with K = {k} warned of convergence: its components are not certain.")
    return best, said


def _fitted(x: Floats, k: int, structure: Any, n_init: int) -> GaussianMixture:
    estimator = GaussianMixture(
        k, covariance_type=structure, n_init=n_init, reg_covar=0.0, random_state=n_init
    )
    return estimator.fit(x)


def _partition(found: KChoice, generator: np.random.Generator) -> tuple[Partition, list[str]]:
    """Partition of least loss among draws with the most probable number; doubts of it."""
    p = found.table["p_n_clusters"]
    answer = int(p.index.to_numpy()[p.to_numpy().argmax()])
    label = label_draws(found.post).by_chain[occupied(found.post) == answer]
    own = partition(label, max_clusters=answer, random_seed=generator)
    said = []
    if (number := len(np.unique(own.labels))) != answer:
        said.append(
            f"The posterior's partition of least loss has {counted(number, 'cluster')}, although "
            f"{answer} is the most probable number."
        )
    if found.r_hat > DIFFERENT_MODES:
        said.append(
            f"Do not trust the posterior's side yet: the chains disagree (R-hat "
            f"{found.r_hat:.2f}); take more draws, or thin more."
        )
    return own, said
