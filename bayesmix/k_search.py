"""The stages of choosing a number of clusters: a first answer, others beside it, refinement."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, count, product
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.cluster_counts import n_clusters, r_hat_of
from bayesmix.diagnostics import RHAT_LIMIT
from bayesmix.evidence import evidence, thinning
from bayesmix.grid import fit_grid
from bayesmix.k_choice import TABLE_COLUMNS, KChoice
from bayesmix.k_words import first_words, words
from bayesmix.label_draws import occupied
from bayesmix.loo import loo
from bayesmix.mixture import Mixture
from bayesmix.prior_choice_result import PriorChoice
from bayesmix.prior_clusters import prior_n_clusters
from bayesmix.priors import Dirichlet
from bayesmix.progress import stages
from bayesmix.sampling import sample
from bayesmix.scalar_priors import Gamma
from bayesmix.stick_priors import DirichletProcess

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayesmix.evidence import Evidence
    from bayesmix.finite_mixtures import MixtureOfFiniteMixtures
    from bayesmix.inputs import Table
    from bayesmix.mixture import CovarianceType
    from bayesmix.priors import ComponentPrior
    from bayesmix.stick_priors import WeightPrior

__all__ = ["Asked", "Search"]

_STATUS = {"unconfirmed": "converged", "too few rows": "more components than rows"}
_CRITERIA = ("bic", "icl", "aic")
_FIRST = 4  # the first answer takes one draw in so many
_ROUNDS = 2  # of refinement where no time is given, each with as many draws again
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

    def run(self, progressbar: bool) -> KChoice:
        """Go through the stages until they, the time, or the user's patience end."""
        planned = list(self._planned())
        left = [name for name, _ in planned]
        with stages(len(planned) + _ROUNDS, show=progressbar) as begin:
            try:
                for name, stage in chain(planned, self._refinements()):
                    if self.trees and (self.interrupted or time.perf_counter() > self.deadline):
                        break
                    begin(name, first_words(self._table()) if len(left) == len(planned) - 1 else "")
                    stage()
                    left = [other for other in left if other != name]
            except KeyboardInterrupt:
                if not self.trees:
                    raise
        return self._found(tuple(left))

    def _planned(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """What is done once, by name."""
        asked = self.asked
        yield "the first answer", partial(self._sample_under, "MFM", -(-asked.draws // _FIRST))
        yield "EM's criteria", self._fit
        for structure, k in product(asked.structures, asked.numbers):
            named = f"K = {k}" + (f", {structure}" if len(asked.structures) > 1 else "")
            yield f"evidence of {named}", partial(self._weigh, structure, k)
        if len(asked.structures) > 1:
            yield "the covariance structure", self._choose_structure
        rest = asked.draws - -(-asked.draws // _FIRST)
        if rest:
            yield "the posterior of the number of clusters", partial(self._go_on, "MFM", rest)
        for k in asked.numbers:
            yield f"predictions of K = {k}", partial(self._predict, k)
        for prior in ("sparse", "DP"):
            yield f"the prior {prior}", partial(self._sample_under, prior, asked.draws)

    def _refinements(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """Rounds of as many draws again for what is not exact enough yet."""
        rounds = count() if self.deadline < np.inf else range(_ROUNDS)
        for _ in rounds:
            rough = [
                (f"evidence of K = {k}, more exactly", partial(self._weigh_again, k))
                for k in self.asked.numbers
                if self.evidences[self.structure, k].se > self.asked.target_se
            ]
            if self._is_rough("MFM"):
                more = self.trees["MFM"]["posterior"].sizes["draw"]
                rough += [("the posterior, more exactly", partial(self._go_on, "MFM", more))]
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
        weights = self.asked.weights
        given = weights.concentration
        if weights.dynamic:
            given = Gamma(given.shape, given.rate * k) if isinstance(given, Gamma) else given / k
        return Mixture(Dirichlet(k, given), self.asked.components, structure)

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

    def _go_on(self, prior: str, draws: int) -> None:
        before = self.trees[prior]
        self.trees[prior] = self._sampled(
            self._mixture(prior), draws, self.asked.thin, resume=before
        )

    def _is_rough(self, prior: str) -> bool:
        """Whether chains have not met, or the error of a probability is large."""
        tree = self.trees[prior]
        error = n_clusters(tree)["n_clusters_mcse"].max()
        return bool(r_hat_of(occupied(tree)) > RHAT_LIMIT or error > _TARGET_MCSE)

    def _fit(self) -> None:
        self.criteria = fit_grid(self.asked.table, self.asked.numbers, random_seed=self.generator)

    def _weigh(self, structure: CovarianceType, k: int) -> None:
        mixture = self._finite(structure, k)
        thin = thinning(len(self.asked.table.values))
        self.posts[structure, k] = self._sampled(mixture, self.asked.draws, thin)
        self._bridge(structure, k)

    def _weigh_again(self, k: int) -> None:
        before, thin = self.posts[self.structure, k], thinning(len(self.asked.table.values))
        draws = before["posterior"].sizes["draw"]
        mixture = self._finite(self.structure, k)
        self.posts[self.structure, k] = self._sampled(mixture, draws, thin, resume=before)
        self._bridge(self.structure, k)

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
        p = self._structures()
        assert p is not None
        shares = p["p"].groupby(level="covariance_type").sum()
        best = max(self.asked.structures, key=lambda structure: float(shares[structure]))
        if best != self.structure:  # the first answer was another structure's
            self.structure = best
            self._sample_under("MFM", -(-self.asked.draws // _FIRST))

    def _predict(self, k: int) -> None:
        post = self.posts[self.structure, k]
        self.loos[k] = loo(post, random_seed=self.generator, progressbar=False)

    def _structures(self) -> pd.DataFrame | None:
        """Evidence and posterior probability of structure and number of components together."""
        import pandas as pd

        if len(self.asked.structures) == 1 or not self.evidences:
            return None
        index = pd.MultiIndex.from_tuples(
            list(self.evidences), names=["covariance_type", "n_components"]
        )
        log_evidence = np.array([found.log_evidence for found in self.evidences.values()])
        log_p = self.asked.weights.n_components.log_pmf([k for _, k in self.evidences])
        p = np.exp(log_evidence + log_p - np.max(log_evidence + log_p))
        columns = {
            "log_evidence": log_evidence,
            "log_evidence_se": [found.se for found in self.evidences.values()],
            "p": p / p.sum(),
        }
        return pd.DataFrame(columns, index)

    def _own(self, found: dict[tuple[CovarianceType, int], Any]) -> dict[int, Any]:
        return {k: value for (structure, k), value in found.items() if structure == self.structure}

    def _table(self) -> pd.DataFrame:
        import pandas as pd

        post = self.trees["MFM"]
        counted = n_clusters(post)
        known = counted[["n_clusters", "n_components"]].max(axis=1) > 0
        most = max(self.asked.numbers[-1], int(counted.index[known].max()))
        index = pd.RangeIndex(1, most + 1, name="n_components")
        table = pd.DataFrame(np.nan, index=index, columns=list(TABLE_COLUMNS))
        for name in ("n_components", "n_clusters"):
            for ending in ("", "_mcse"):
                table[f"p_{name}{ending}"] = counted[name + ending].reindex(index)
        table[["p_n_components", "p_n_clusters"]] = table[
            ["p_n_components", "p_n_clusters"]
        ].fillna(0.0)
        prior = prior_n_clusters(self.asked.weights, len(self.asked.table.values))
        table.loc[index[: len(prior)], "p_n_clusters_prior"] = prior[:most]
        for k, found in self._own(self.evidences).items():
            table.loc[k, ["log_evidence", "log_evidence_se"]] = found.log_evidence, found.se
        for k, predicted in self.loos.items():
            table.loc[k, ["elpd", "elpd_se"]] = predicted.elpd, predicted.se
        if self.criteria is not None:
            own = self.criteria.xs(self.structure)
            table.loc[own.index, list(_CRITERIA)] = own[list(_CRITERIA)]
        return table

    def _found(self, left: tuple[str, ...]) -> KChoice:
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
            unfinished=left,
        )
        return replace(found, recommendation=words(found))
