"""What is known about the number of clusters: tables of every answer, and a word for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayesmix.html.elements import block, paragraph, table
from bayesmix.html.numbers import with_errors
from bayesmix.prior_sensitivity import Sensitivity, sensitivity

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from arviz_stats.utils import ELPDDataLOO
    from numpy.typing import NDArray

    from bayesmix.dispute import Dispute
    from bayesmix.evidence_result import Evidence
    from bayesmix.inputs import RandomSeed
    from bayesmix.mixture import Mixture
    from bayesmix.prior_choice_result import PriorChoice

__all__ = ["KChoice"]


@dataclass(frozen=True, eq=False, repr=False)
class KChoice:
    """What is known about the number of clusters; made by `choose_k`."""

    table: pd.DataFrame
    """Index ``n_components`` = 1, 2, ... ``p_n_components`` and ``p_n_clusters`` are the posterior
    probabilities under `mixture` that there are so many components, and so many clusters, with
    their Monte Carlo errors (``_mcse``, see `n_clusters`) and the prior ``p_n_clusters_prior``.
    ``log_evidence`` and ``elpd`` are those of as many components, see `evidence` and `loo`, with
    their errors (``_se``; that of the elpd is over rows); ``p_by_evidence`` is what the evidences
    make of ``p_n_components`` among the numbers asked for, see `p_n_components`. ``bic``, ``icl``,
    ``aic`` are EM's, low is good; NaN where it found no genuine optimum. What was not come to is
    NaN."""
    recommendation: str
    """The answer, what others say, and what speaks against trusting it, in words."""
    mixture: Mixture
    """The mixture of finite mixtures whose posterior is the answer, with all its priors."""
    post: xr.DataTree
    """Draws of its posterior, for `partition` and others."""
    r_hat: float
    """Of the number of clusters; NaN where it never changed."""
    models: PriorChoice | None
    """The number of clusters under three priors: ``"MFM"`` is the answer's, ``"sparse"`` a sparse
    finite mixture, ``"DP"`` a Dirichlet process."""
    posts: dict[int, xr.DataTree]
    """Draws for each number of components, without labels."""
    evidences: dict[int, Evidence]
    loos: dict[int, ELPDDataLOO]
    """ArviZ's ``ELPDData`` for each number of components, as `arviz.compare` takes them."""
    structures: pd.DataFrame | None
    """Where several covariance structures were asked for: index ``covariance_type``,
    ``n_components``; ``log_evidence``, ``log_evidence_se``, and ``p``, the posterior probability
    of both together, structures as likely before; NaN until all are computed."""
    criteria: pd.DataFrame | None
    """`fit_grid` over all structures; None if it was not come to."""
    em_status: dict[int, str]
    """How EM ended for each number of components: "converged", or why there are no criteria."""
    unfinished: tuple[str, ...]
    """Stages that an interrupt or the end of the time left out, or cut short."""
    failed: dict[str, str]
    """Stages that could not be gone through, and why."""

    def plot(self) -> NDArray[np.object_]:
        """Draw every answer by number of clusters or components.

        Returns
        -------
        ndarray of matplotlib Axes
        """
        from bayesmix.plots import choice

        return choice(self)

    def dispute(
        self, criterion: Literal["bic", "icl", "aic"] = "bic", *, random_seed: RandomSeed = None
    ) -> Dispute:
        """Say which rows a component of EM's choice rests on that the posterior does not have.

        EM is fitted again, from more starts until it is as likely as that of the table. The
        posterior's clusters are the partition of least loss among draws with the most probable
        number; how often rows are together is told by all draws.

        Parameters
        ----------
        criterion : {"bic", "icl", "aic"}, default "bic"
            Whose number of components, in the structure of `mixture`.
        random_seed : int, SeedSequence or Generator, optional

        Raises
        ------
        ValueError
            If EM found no genuine optimum for any number, or was not come to.
        """
        from bayesmix.k_dispute import dispute_with

        if criterion not in ("bic", "icl", "aic"):
            raise ValueError(f"criterion: expected 'bic', 'icl' or 'aic', got {criterion!r}")
        return dispute_with(self, criterion, random_seed)

    def sensitivity(self, *, random_seed: RandomSeed = None, **options: Any) -> Sensitivity:
        """Ask again under concentrations and component scales around those of `mixture`.

        Takes the options of the function `sensitivity`.
        """
        x = self.post["observed_data"]["x"].to_pandas()
        return sensitivity(self.mixture, x, random_seed=random_seed, **options)

    def __repr__(self) -> str:
        return f"KChoice({self.recommendation!r})"

    def _repr_html_(self) -> str:
        return block(
            "How many clusters",
            paragraph(self.recommendation),
            table(
                with_errors(self.table.dropna(axis="columns", how="all")),
                "By number of components, or of clusters where the column says so; ± are standard "
                "errors, of Monte Carlo but for elpd.",
            ),
        )
