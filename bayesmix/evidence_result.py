"""An evidence that was estimated, and what several say of each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from bayesmix.html.elements import block, sentences

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from bayesmix.component_counts import ComponentCount
    from bayesmix.mixture import Mixture

    Floats = NDArray[np.float64]

__all__ = ["Evidence", "Method", "p_n_components"]

Method = Literal["bridge", "stepping_stone"]


@dataclass(frozen=True, eq=False, repr=False)
class Evidence:
    """Evidence of a model; made by `evidence`."""

    log_evidence: float
    """log p(x), nats."""
    se: float
    """Its Monte Carlo standard error, nats."""
    method: Method
    mixture: Mixture
    n_rows: int
    warnings: tuple[str, ...] = ()
    """What speaks against trusting it, with a remedy each."""
    bridge_log_evidence: float = np.nan
    """log p(x) by the bridge alone; another where one component fewer was of help."""
    bridge_se: float = np.nan
    """Its error; above ``se`` where one component fewer was of help."""
    log_ratio: Floats | None = None
    """Of bridge sampling: log target less log proposal at the posterior draws, (chain, draw)."""
    log_ratio_proposal: Floats | None = None
    """The same at draws of the proposal, (draw)."""
    data: str = ""
    """Fingerprint of the rows."""

    def bayes_factor(self, other: Evidence) -> tuple[float, float]:
        """Log Bayes factor in favor of this model, nats, and its Monte Carlo standard error.

        Raises
        ------
        ValueError
            If the other evidence is of other rows.
        """
        if (self.n_rows, self.data) != (other.n_rows, other.data):
            raise ValueError(
                f"other: expected the evidence of the same {self.n_rows} rows, got one of "
                f"{other.n_rows} others; models compare on the same data only"
            )
        return self.log_evidence - other.log_evidence, float(np.hypot(self.se, other.se))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the overlap that a bridge rests on: log ratios under either density."""
        from bayesmix.plots import bridged

        return bridged(self, ax)

    def __repr__(self) -> str:
        return ". ".join(self._said())

    def _said(self) -> list[str]:
        said = f"log evidence {self.log_evidence:.3f} ± {self.se:.2g} nats, by {self._words}"
        return [said, *self.warnings]

    def _repr_html_(self) -> str:
        return block("Evidence of a model", sentences(self._said()))

    @property
    def _words(self) -> str:
        return {"bridge": "bridge sampling", "stepping_stone": "stepping stones"}[self.method]


def p_n_components(
    evidences: Mapping[int, Evidence], prior: ComponentCount | None = None
) -> pd.DataFrame:
    r"""Posterior probabilities of the number of components, from the evidence of each.

    .. math:: P(K \mid x) \propto p(x \mid K)\, p(K),

    among the numbers given. Under the same component prior and the same concentration it is that
    of a `MixtureOfFiniteMixtures`, whose K counts components without rows too.

    Parameters
    ----------
    evidences : mapping of int to Evidence
    prior : ComponentCount, optional
        Prior on K, by default all as likely.

    Returns
    -------
    DataFrame
        Index ``n_components``; ``p``, and ``p_se`` to first order in the evidences' errors.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> prior = bm.weakly_informative(x)
    >>> found = {
    ...     k: bm.evidence(bm.Mixture(bm.Dirichlet(k), prior), x, random_seed=1) for k in (2, 3)
    ... }
    >>> bm.p_n_components(found, bm.BetaNegativeBinomial(1, 4, 3)).p.round(1).to_dict()
    {2: 0.2, 3: 0.8}
    """
    import pandas as pd

    numbers = sorted(evidences)
    logs = np.array([evidences[k].log_evidence for k in numbers])
    if prior is not None:
        logs = logs + prior.log_pmf(numbers)
    p = np.exp(logs - logs.max())
    p = p / p.sum()
    variance = np.square([evidences[k].se for k in numbers])
    slopes = np.diag(p) - np.outer(p, p)  # of the probabilities in the log evidences
    se = np.sqrt(np.square(slopes) @ variance)
    index = pd.Index(numbers, name="n_components")
    return pd.DataFrame({"p": p, "p_se": se}, index)
