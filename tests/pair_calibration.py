r"""Whether two rows belong together, predicted and true, over data sets drawn from the prior.

Given the parameters labels are independent, so the posterior probability that rows i and j are
together is the average of :math:`\sum_k r_{ik} r_{jk}` over the draws; EM has the same sum at its
one point. Where data come from the prior the posterior's probability p is calibrated by theory:
:math:`E[f(p) (1\{z_i = z_j\} - p)] = 0` for every function f, that of a bin among them.

Pairs of one data set depend on each other. Errors are those of sums over data sets, which do not:
with :math:`U_d` the sum in a bin over the pairs of data set d, :math:`\sum_d U_d` has the error
:math:`(\sum_d U_d^2)^{1/2}` if predictions are calibrated.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning

import bayesmix as bm
from bayesmix import passes, schema
from bayesmix.draws import draws_of
from tests.prior_draws import Points, draw

FEATURES = ("first", "second")
MIXTURE = bm.Mixture(
    bm.Dirichlet(3, 2.0), bm.NormalInverseWishart([0.0, 0.0], 0.2, 6.0, 3 * np.eye(2))
)
"""Three clusters whose centers are about three standard deviations apart."""

EDGES = np.linspace(0, 1, 11)
"""Of the bins of predicted probabilities."""

FLOOR = 0.001
"""Probabilities nearer to 0 or 1 count as so near in the log score; EM's would make it infinite."""


class Predictions(NamedTuple):
    """Probabilities of some events of one data set, and whether they happened."""

    probability: np.ndarray
    happened: np.ndarray


@dataclass(frozen=True)
class Reliability:
    """Sums over the predictions of every data set, (data sets, bins), and its scores."""

    count: np.ndarray
    predicted: np.ndarray
    happened: np.ndarray
    excess: np.ndarray
    """Mean of (2p - 1) (p - y) of each data set, (data sets,): above 0 if p is too sure."""
    brier: np.ndarray
    """Mean squared error of each data set, (data sets,)."""
    log_score: np.ndarray
    """Mean of -log2 of the probability of what happened, (data sets,), in bits."""

    @staticmethod
    def of(data_sets: list[Predictions]) -> Reliability:
        """Sum up."""
        columns = [
            (
                *_binned(p, y),
                np.mean((2 * p - 1) * (p - y)),
                np.mean((p - y) ** 2),
                _log_score(p, y),
            )
            for p, y in data_sets
        ]
        return Reliability(*(np.array(c) for c in zip(*columns, strict=True)))

    @property
    def used(self) -> np.ndarray:
        """Bins that have predictions, (bins,)."""
        return self.count.sum(axis=0) > 0

    @property
    def mean(self) -> np.ndarray:
        """Mean prediction of each used bin."""
        return (self.predicted.sum(axis=0) / np.maximum(self.count.sum(axis=0), 1))[self.used]

    @property
    def share(self) -> np.ndarray:
        """Share of the predictions of each used bin that came true."""
        return (self.happened.sum(axis=0) / np.maximum(self.count.sum(axis=0), 1))[self.used]

    @property
    def error(self) -> np.ndarray:
        """Standard error of the share about the mean prediction, if that is calibrated."""
        sums = (self.happened - self.predicted)[:, self.used]
        return np.sqrt((sums**2).sum(axis=0)) / self.count.sum(axis=0)[self.used]

    @property
    def z(self) -> np.ndarray:
        """Distance of share and mean prediction in standard errors, by used bin."""
        return (self.share - self.mean) / self.error

    @property
    def overconfidence(self) -> float:
        """The mean excess in standard errors; one number sees more than ten bins do."""
        return float(self.excess.sum() / np.sqrt((self.excess**2).sum()))

    def half_widths(self, level: float) -> np.ndarray:
        """Where calibrated shares stay in all bins at once but with probability ``level``."""
        return norm.isf(level / (2 * self.used.sum())) * self.error

    def is_calibrated(self, level: float) -> bool:
        """Whether every bin's share is within them."""
        return bool(np.all(np.abs(self.share - self.mean) <= self.half_widths(level)))


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """Mean over data sets and its standard error."""
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def _binned(p: np.ndarray, happened: np.ndarray) -> list[np.ndarray]:
    place = np.clip(np.searchsorted(EDGES, p, side="right") - 1, 0, len(EDGES) - 2)
    return [np.bincount(place, w, len(EDGES) - 1) for w in (np.ones_like(p), p, happened)]


def _log_score(p: np.ndarray, happened: np.ndarray) -> float:
    kept = np.clip(p, FLOOR, 1 - FLOOR)
    return float(-np.log2(np.where(happened, kept, 1 - kept)).mean())


def together(resp: np.ndarray) -> np.ndarray:
    """Probability that rows i < j are together, of responsibilities (S, n, K) or (n, K)."""
    stacked = resp[None] if resp.ndim == 2 else resp
    by_row = np.moveaxis(stacked, 1, 0).reshape(stacked.shape[1], -1)
    return _pairs(by_row @ by_row.T / len(stacked))


def _pairs(matrix: np.ndarray) -> np.ndarray:
    return matrix[np.triu_indices(len(matrix), 1)]


def study(
    n: int, n_data_sets: int, *, draws: int = 1000, likelihood: bool = True, seed: int = 0
) -> dict[str, Reliability]:
    """Reliability of the posterior's pairs and labels, and of EM's, on data sets of n rows.

    ``likelihood`` adds EM for maximum likelihood, which takes most of the time.
    """
    found: dict[str, list[Predictions]] = {}
    for generator in np.random.default_rng([seed, n]).spawn(n_data_sets):
        truth = draw(MIXTURE, n, 1, generator)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # EM without a genuine optimum
            if likelihood:
                found.setdefault("EM", []).append(_of_likelihood(truth, generator))
            for name, predictions in _of_model(truth, draws, generator).items():
                found.setdefault(name, []).append(predictions)
    return {name: Reliability.of(data_sets) for name, data_sets in found.items()}


def _of_likelihood(truth: Points, generator: np.random.Generator) -> Predictions:
    """Pairs by EM for maximum likelihood."""
    x = truth.x[0]
    em = bm.GaussianMixture(3, n_init=10, random_state=generator).fit(x)
    return Predictions(together(em.predict_proba(x)), _same(truth))


def _of_model(truth: Points, draws: int, generator: np.random.Generator) -> dict[str, Predictions]:
    """Pairs and labels by what knows the prior: the posterior, and EM for its mode."""
    x = truth.x[0]
    mode = bm.fit_em(MIXTURE, x, random_seed=generator)["point_estimate"].to_dataset()
    post = bm.sample(
        MIXTURE, x, draws=draws, store=("parameters",), random_seed=generator, progressbar=False
    )
    at_mode = _responsibilities(x, _as_tree(mode.expand_dims(chain=1, draw=1)))[0]
    return {
        "posterior": Predictions(together(_responsibilities(x, post)), _same(truth)),
        "MAP-EM": Predictions(together(at_mode), _same(truth)),
        **_labels(x, post, truth, mode, at_mode),
    }


def _same(truth: Points) -> np.ndarray:
    """Whether rows i < j are together."""
    label = truth.labels[0]
    return _pairs(label[:, None] == label)


def _labels(
    x: np.ndarray, post: xr.DataTree, truth: Points, mode: xr.Dataset, at_mode: np.ndarray
) -> dict[str, Predictions]:
    """Probability of the most probable labels, with the truth matched to EM like any draw.

    The truth is one more draw from the posterior, so that, matched together with the others, its
    labels are predicted by theirs.
    """
    of_truth = schema.posterior(
        truth.weights[None], truth.means[None], truth.covariances[None], FEATURES
    )
    draws = post["posterior"].to_dataset()[list(of_truth.data_vars)]
    draws = draws.stack(at=("chain", "draw"), create_index=False).drop_vars(("chain", "draw"))
    draws = draws.rename(at="draw").expand_dims(chain=1).assign_coords(feature=list(FEATURES))
    draws = draws.assign_coords(feature_bis=list(FEATURES))
    both = _as_tree(xr.concat([draws, of_truth.drop_vars(("chain", "draw"))], "draw"), x)
    matched = bm.relabel(both, reference=mode.drop_vars("feature"))
    own = np.argsort(matched["relabeling"]["permutation"].values[0, -1])[truth.labels[0]]
    found = bm.membership(matched.isel(draw=slice(None, -1)))
    probable = found["label"].values
    return {
        "labels of the posterior": Predictions(found["label_probability"].values, own == probable),
        "labels of MAP-EM": Predictions(at_mode.max(axis=1), own == at_mode.argmax(axis=1)),
    }


def _as_tree(posterior: xr.Dataset, x: np.ndarray | None = None) -> xr.DataTree:
    groups = {"posterior": posterior}
    if x is not None:
        groups["observed_data"] = xr.Dataset(
            {"x": (("obs", "feature"), x)}, {"obs": np.arange(len(x)), "feature": list(FEATURES)}
        )
    return xr.DataTree.from_dict(groups)


def _responsibilities(x: np.ndarray, tree: xr.DataTree) -> np.ndarray:
    return passes.responsibilities(x, draws_of(tree).parameters)
