r"""How well a point fits beside a posterior's draws, and how much better theory expects it to.

Where the posterior is nearly normal about one mode and its copies under other names,
:math:`2 (\log p(\hat\theta \mid x) - \log p(\theta \mid x)) \approx \chi^2_p` over draws
:math:`\theta`, with p free parameters: the mode is above a draw by p/2 on average, with the
standard deviation :math:`\sqrt{p/2}`. With a weak prior the same holds of log-likelihoods at their
maximum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.covariance import structure_of
from bayesmix.draws import log_priors
from bayesmix.mixture import Mixture
from bayesmix.priors import Dirichlet
from bayesmix.schema import mixture_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.draws import Draws

    Floats = NDArray[np.float64]

__all__ = ["FitGap", "fit_gap", "mixture_of_point", "structure_of_point"]


@dataclass(frozen=True, eq=False)
class FitGap:
    """What a point has over a posterior's draws."""

    quantity: str
    """"log posterior", in the measure of ``docs/notation.md``, or "log-likelihood"."""
    reason: str
    """Why it is that one."""
    point: float
    """Its value at the point, nats."""
    draws: Floats
    """Its values at the draws, nats, (S,)."""
    n_parameters: int
    """Free parameters p of the posterior's mixture: weights, means, covariances."""

    @property
    def gap(self) -> float:
        """How far the point is above the draws on average, nats."""
        return float(self.point - self.draws.mean())

    @property
    def gap_sd(self) -> float:
        """How much that spreads over the draws, nats."""
        return float(self.draws.std())

    @property
    def expected(self) -> float:
        """Mean of the gap in theory, nats."""
        return self.n_parameters / 2

    @property
    def expected_sd(self) -> float:
        """How much it spreads over draws in theory, nats."""
        return float(np.sqrt(self.n_parameters / 2))

    @property
    def tail(self) -> float:
        """Probability in theory that a draw is further below the point than they are on average.

        Near 1/2 where theory holds; near 0 the posterior is wider than it would be about one normal
        mode, or about another mode; near 1 the point is not the optimum.
        """
        from scipy.special import chdtrc

        return float(chdtrc(self.n_parameters, max(2 * self.gap, 0.0)))

    @property
    def share_above(self) -> float:
        """Share of the draws that are above the point: none, if it is the maximum."""
        return float((self.draws > self.point).mean())

    def sentence(self) -> str:
        """The gap in words."""
        beyond = (self.gap - self.expected) / self.expected_sd
        if self.gap < 0:
            verdict = "the point fits worse than most draws: not the optimum, or of another model"
        elif beyond < -1:
            verdict = "less than that: the prior is strong, or the point is not the optimum"
        elif beyond > 1:
            verdict = (
                "more than that: the posterior is wider than about one normal mode, or about "
                "another one"
            )
        else:
            verdict = "as expected"
        name = self.quantity.capitalize()
        return (
            f"{name} of EM {self.point:.2f}; of the draws {self.draws.mean():.2f} ± "
            f"{self.gap_sd:.2f} ({self.reason}). EM is {self.gap:+.2f} from them; half of "
            f"chi-squared with {self.n_parameters} parameters expects +{self.expected:.1f} ± "
            f"{self.expected_sd:.1f}: {verdict}."
        )


def fit_gap(
    point: Draws,
    fitted: Mixture | None,
    draws: Draws,
    mixture: Mixture | None,
    log_likelihoods: tuple[float, Floats],
) -> FitGap:
    """Compare log posteriors where the point is their maximum, else log-likelihoods.

    Parameters
    ----------
    point : Draws
        One.
    fitted : Mixture, optional
        What EM fitted.
    draws : Draws
    mixture : Mixture, optional
        The posterior's.
    log_likelihoods : float, (S,) ndarray
        Of the point and of the draws.
    """
    n_components, d = draws.means.shape[1:]
    p = draws.structure.n_mixture_parameters(n_components, d)
    at_point, at_draws = log_likelihoods
    reason = _why_likelihoods(fitted, mixture)
    if reason or mixture is None:
        return FitGap("log-likelihood", reason, at_point, at_draws, p)
    at_point = at_point + float(log_priors(point, mixture)[0])
    reason = "EM maximizes it"
    return FitGap("log posterior", reason, at_point, at_draws + log_priors(draws, mixture), p)


def mixture_of_point(point: Any) -> Mixture | None:
    """Read what EM fitted off a tree, ours or scikit-learn's estimator; None if it says nothing."""
    import xarray as xr

    if isinstance(point, xr.DataTree):
        return mixture_of(point)
    weights = Dirichlet(len(point.weights_))
    return Mixture(weights, getattr(point, "prior", None), point.covariance_type)


def structure_of_point(fitted: Mixture | None) -> Any:
    """Covariance structure of a point; full where it says nothing."""
    return structure_of("full" if fitted is None else fitted.covariance_type)


def _why_likelihoods(fitted: Mixture | None, mixture: Mixture | None) -> str:
    """Why log posteriors are not compared; "" if they are."""
    if mixture is None:
        return "compared because the posterior states no model; pass mixture="
    if mixture.varying:
        return "compared because the number of components varies in the posterior's model"
    prior = mixture.components
    if prior is not None and prior.scale_hyperprior is not None:
        return "compared because the posterior's covariance scale is random, and EM's is not"
    if mixture.weights.random_concentration is not None:
        return "compared because the posterior's concentration is random, and EM's is not"
    if fitted is None or fitted.components is None:
        return "compared because EM maximized the likelihood"
    if fitted.covariance_type != mixture.covariance_type:
        return (
            f"compared because EM fitted {fitted.covariance_type} covariances, and the posterior's "
            f"are {mixture.covariance_type}"
        )
    if fitted != mixture:
        return "compared because EM maximized the posterior density of another model"
    return ""
