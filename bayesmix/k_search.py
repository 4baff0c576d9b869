"""The stages of choosing a number of clusters: a first answer, others beside it, refinement."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, product
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.cluster_counts import n_clusters, r_hat_of
from bayesmix.diagnostics import RHAT_LIMIT
from bayesmix.evidence import evidence, thinning
from bayesmix.grid import fit_grid
from bayesmix.k_choice import KChoice
from bayesmix.k_tables import (
    add_criteria,
    add_evidences,
    add_predictions,
    cluster_table,
    structure_table,
)
from bayesmix.k_words import CRITERIA, POSTERIOR, first_words, words
from bayesmix.label_draws import occupied
from bayesmix.loo import loo
from bayesmix.mixture import Mixture
from bayesmix.prior_choice_result import PriorChoice
from bayesmix.priors import Dirichlet
from bayesmix.progress import stages
from bayesmix.sampling import sample
from bayesmix.scalar_priors import Gamma
from bayesmix.stick_priors import DirichletProcess

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayesmix.evidence_result import Evidence
    from bayesmix.finite_mixtures import MixtureOfFiniteMixtures
    from bayesmix.inputs import Table
    from bayesmix.mixture import CovarianceType
    from bayesmix.priors import ComponentPrior
    from bayesmix.stick_priors import WeightPrior

__all__ = ["Asked", "Search"]

_STATUS = {"unconfirmed": "converged", "too few rows": "more components than rows"}
_FIRST = 4  # the first answer takes one draw in so many
_ROUNDS = 3  # of refinement where no time is given, each with as many draws again
_ROUNDS_OF_EVIDENCE = 2  # which costs more, and most for numbers that nobody believes
_MOST_ROUNDS = 4  # of both where a time is given
_AGAIN = 2  # times as long as before a stage takes with as many draws again
_MORE = ", more exactly"
_TARGET_MCSE = 0.02  # of the probability of a number of clusters
_LEAST_SPARSE = 10  # components of the sparse finite mixture


@dataclass(frozen=True)
class Asked:
    """What is asked, with defaults filled in."""

    table: Table
    numbers: list[int]
    structures: list[CovarianceType]
    weights: MixtureOfFiniteMixtures
    components: ComponentPrior
    draws: int
    thin: int
    chains: int
    target_se: float


@dataclass
class Search:
    """What is found so far, and the stages that find more."""

    asked: Asked
    generator: np.random.Generator
    deadline: float
    """By `time.perf_counter`."""
    structure: CovarianceType
    interrupted: bool = False
    criteria: pd.DataFrame | None = None
    trees: dict[str, xr.DataTree] = field(default_factory=dict)
    """By prior: "MFM", "sparse", "DP"."""
    posts: dict[tuple[CovarianceType, int], xr.DataTree] = field(default_factory=dict)
    evidences: dict[tuple[CovarianceType, int], Evidence] = field(default_factory=dict)
    loos: dict[int, Any] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    """Stages still to come."""
    failed: dict[str, str] = field(default_factory=dict)
    """Stages that raised, and what."""
    spent: dict[str, float] = field(default_factory=dict)
    """Seconds of the last stage of every kind."""

    def run(self, progressbar: bool) -> KChoice:
        """Go through the stages until they, the time, or the user's patience end."""
        planned = list(self._planned())
        self.left = [name for name, _ in planned]
        with stages(len(planned), show=progressbar) as begin:
            try:
                for name, stage in chain(planned, self._refinements()):
                    if self.interrupted:
                        break
                    if self.trees and self._too_late_for(name):
                        if name.endswith(_MORE):
                            continue  # what costs less may still be in time
                        break
                    begin(name, first_words(self._table()) if name == planned[1][0] else "")
                    self._take(name, stage)
            except KeyboardInterrupt:
                if not self.trees:
                    raise
        return self._found()

    def _take(self, name: str, stage: Callable[[], None]) -> None:
        """Go through a stage; if it fails, what others find is not lost."""
        started = time.perf_counter()
        try:
            stage()
        except (ValueError, FloatingPointError, MemoryError, np.linalg.LinAlgError) as error:
            if not self.trees:
                raise
            self.failed[name] = str(error)
        if not self.interrupted:
            self.spent[_kind_of(name)] = time.perf_counter() - started
            self.left = [other for other in self.left if other != name]

    def _too_late_for(self, name: str) -> bool:
        """Whether a stage would not end in time, if it takes what the last of its kind took."""
        expected = self.spent.get(_kind_of(name), 0.0) * (_AGAIN if name.endswith(_MORE) else 1)
        return time.perf_counter() + expected > self.deadline

    def _planned(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """What is done once, by name."""
        asked = self.asked
        yield "the first answer", partial(self._sample_under, "MFM", -(-asked.draws // _FIRST))
        yield CRITERIA, self._fit
        for structure, k in product(asked.structures, asked.numbers):
            named = f"K = {k}" + (f", {structure}" if len(asked.structures) > 1 else "")
            yield f"evidence of {named}", partial(self._weigh, structure, k)
        if len(asked.structures) > 1:
            yield "the covariance structure", self._choose_structure
        rest = asked.draws - -(-asked.draws // _FIRST)
        if rest:
            yield POSTERIOR, partial(self._go_on, rest)
        for k in asked.numbers:
            yield f"predictions of K = {k}", partial(self._predict, k)
        for prior in ("sparse", "DP"):
            yield f"the prior {prior}", partial(self._sample_under, prior, asked.draws)

    def _refinements(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """Rounds of as many draws again for what is not exact enough yet."""
        budget = self.deadline < np.inf
        for i in range(_MOST_ROUNDS if budget else _ROUNDS):
            rough = []
            if self._is_rough():
                more = self.trees["MFM"]["posterior"].sizes["draw"]
                rough += [(f"{POSTERIOR}{_MORE}", partial(self._go_on, more))]
            if budget or i < _ROUNDS_OF_EVIDENCE:
                rough += [
                    (f"evidence of K = {k}{_MORE}", partial(self._weigh, self.structure, k))
                    for k, found in self._own(self.evidences).items()
                    if found.se > self.asked.target_se and (self.structure, k) in self.posts
                ]
            if not rough:
                return
            yield from rough

    def _mixture(self, prior: str) -> Mixture:
        """Model of a prior on the weights."""
        most = max(_LEAST_SPARSE, self.asked.numbers[-1])
        weights: dict[str, WeightPrior] = {
            "MFM": self.asked.weights,
            "sparse": Dirichlet(most, Gamma(2, 4 * most)),
            "DP": DirichletProcess(),
        }
        return Mixture(weights[prior], self.asked.components, self.structure)

    def _finite(self, structure: CovarianceType, k: int) -> Mixture:
        """Model of k components under the component prior and concentration of the answer's."""
        return Mixture(self.asked.weights.given(k), self.asked.components, structure)

    def _sampled(self, mixture: Mixture, draws: int, thin: int, **others: Any) -> xr.DataTree:
        tree = sample(
            mixture,
            self.asked.table,
            sampler="gibbs",
            draws=draws,
            thin=thin,
            chains=self.asked.chains,
            store=("parameters", "allocation") if mixture.varying else ("parameters",),
            random_seed=self.generator,
            progressbar=False,
            **others,
        )
        self.interrupted |= bool(tree.attrs.get("interrupted"))
        return tree

    def _sample_under(self, prior: str, draws: int) -> None:
        self.trees[prior] = self._sampled(self._mixture(prior), draws, self.asked.thin)

    def _go_on(self, draws: int) -> None:
        """Draw more from the posterior that is the answer."""
        before = self.trees["MFM"]
        self.trees["MFM"] = self._sampled(
            self._mixture("MFM"), draws, self.asked.thin, resume=before
        )

    def _is_rough(self) -> bool:
        """Whether its chains have not met, or the error of a probability is large."""
        tree = self.trees["MFM"]
        error = n_clusters(tree)["n_clusters_mcse"].max()
        return bool(r_hat_of(occupied(tree)) > RHAT_LIMIT or error > _TARGET_MCSE)

    def _fit(self) -> None:
        self.criteria = fit_grid(self.asked.table, self.asked.numbers, random_seed=self.generator)

    def _weigh(self, structure: CovarianceType, k: int) -> None:
        """Sample, or as many draws again, and take the evidence."""
        before, mixture = self.posts.get((structure, k)), self._finite(structure, k)
        draws = self.asked.draws if before is None else before["posterior"].sizes["draw"]
        thin = thinning(len(self.asked.table.values))
        self.posts[structure, k] = self._sampled(mixture, draws, thin, resume=before)
        if not self.interrupted:
            self._bridge(structure, k)

    def _bridge(self, structure: CovarianceType, k: int) -> None:
        post = self.posts[structure, k]
        self.evidences[structure, k] = evidence(
            self._finite(structure, k),
            post=post,
            fewer=None if self.asked.weights.dynamic else self.evidences.get((structure, k - 1)),
            target_se=self.asked.target_se,
            random_seed=self.generator,
            progressbar=False,
        )

    def _choose_structure(self) -> None:
        found = self._structures()
        if found is None or found["p"].isna().any():
            return
        shares = found["p"].groupby(level="covariance_type").sum()
        best = max(self.asked.structures, key=lambda structure: float(shares[structure]))
        if best != self.structure:  # the first answer was another structure's
            self.structure = best
            self._sample_under("MFM", -(-self.asked.draws // _FIRST))

    def _predict(self, k: int) -> None:
        post = self.posts.get((self.structure, k))
        if post is None:
            raise ValueError("there are no draws of it")
        self.loos[k] = loo(post, random_seed=self.generator, progressbar=False)

    def _own(self, found: dict[tuple[CovarianceType, int], Any]) -> dict[int, Any]:
        return {k: value for (structure, k), value in found.items() if structure == self.structure}

    def _structures(self) -> pd.DataFrame | None:
        if len(self.asked.structures) == 1 or not self.evidences:
            return None
        every = product(self.asked.structures, self.asked.numbers)
        complete = all(cell in self.evidences for cell in every)
        return structure_table(self.evidences, self.asked.weights.n_components, complete=complete)

    def _table(self) -> pd.DataFrame:
        table = cluster_table(
            self.trees["MFM"],
            self.asked.weights,
            len(self.asked.table.values),
            self.asked.numbers[-1],
        )
        add_evidences(table, self._own(self.evidences), self.asked.weights.n_components)
        add_predictions(table, self.loos)
        if self.criteria is not None:
            add_criteria(table, self.criteria.loc[[self.structure]].droplevel(0))
        return table

    def _found(self) -> KChoice:
        post = self.trees["MFM"]
        models = {name: self._mixture(name) for name in self.trees}
        em_status = {}
        if self.criteria is not None:
            own = self.criteria.xs(self.structure)["status"]
            ends = zip(self.asked.numbers, own, strict=True)
            em_status = {k: _STATUS.get(how, how) for k, how in ends}
        found = KChoice(
            table=self._table(),
            recommendation="",
            mixture=models["MFM"],
            post=post,
            r_hat=r_hat_of(occupied(post)),
            models=PriorChoice.of(models, self.trees, len(self.asked.table.values)),
            posts=self._own(self.posts),
            evidences=self._own(self.evidences),
            loos=self.loos,
            structures=self._structures(),
            criteria=self.criteria,
            em_status=em_status,
            unfinished=tuple(name for name in self.left if name not in self.failed),
            failed=dict(self.failed),
        )
        return replace(found, recommendation=words(found))


def _kind_of(stage: str) -> str:
    """What stages of different numbers of components have in common."""
    return stage.removesuffix(_MORE).partition(" of K = ")[0]
