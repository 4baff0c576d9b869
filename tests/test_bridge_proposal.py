"""The proposal of bridge sampling against textbook laws, exact posteriors and its own draws."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product
from typing import NamedTuple

import numpy as np
import pytest
from scipy.special import gammaln, logsumexp
from scipy.stats import beta, invgamma, invwishart, multivariate_normal

import bayesmix as bm
from bayesmix import passes
from bayesmix.bridge.proposal import Proposal
from bayesmix.covariance import structure_of
from bayesmix.inputs import random_words
from bayesmix.pass_parameters import PassParameters
from bayesmix.stick_priors import Sticks
from tests.exact_partitions import exact_posterior
from tests.gibbs_cells import few_rows, prior_of_kind
from tests.support import STICKS, STRUCTURES, random_prior

K, M, SEED = 3, 3, 5

WEIGHTS = {
    "symmetric": bm.Dirichlet(K, 0.7),
    "Gamma": bm.Dirichlet(K, bm.Gamma(2.0, 2.0)),
    "vector": bm.Dirichlet(K, (0.5, 1.0, 2.0)),
    "PY": STICKS["PY"],
    "PY Gamma Beta": STICKS["PY Gamma Beta"],
}


class Case(NamedTuple):
    """A proposal, and what it was made of."""

    mixture: bm.Mixture
    x: np.ndarray
    points: PassParameters
    concentration: np.ndarray | None
    discount: np.ndarray | None
    covariance_scale: np.ndarray | None

    @property
    def proposal(self) -> Proposal:
        return Proposal.of(*self, np.random.default_rng(SEED))

    @property
    def labels(self) -> np.ndarray:
        """Those that the proposal draws, (M, n)."""
        keys = random_words(np.random.default_rng(SEED), (len(self.points.means), 2))
        return passes.sampled_labels(self.x, self.points, keys)


def case_of(weights="symmetric", kind="conjugate", structure="full", d=2, m=M, n=9) -> Case:
    """Random points; the last component of the first never has rows."""
    rng = np.random.default_rng([3, d, m])
    mixture = bm.Mixture(WEIGHTS[weights], prior_of_kind(kind, d), structure)
    own, prior = structure_of(structure), mixture.components
    scale = None if prior.scale_hyperprior is None else np.eye(d) * rng.gamma(3, size=(m, 1, d))
    given = np.asarray([prior.covariance_scale] * m if scale is None else scale)
    factor = own.precision_cholesky(own.draw_covariances(rng, K, prior.dof, given))
    log_weights = np.log(rng.dirichlet(np.ones(K), m))
    log_weights[0, -1] = -700.0
    points = PassParameters(own, log_weights, rng.normal(size=(m, K, d)), factor)
    return Case(
        mixture,
        few_rows(n, d),
        points,
        None if mixture.weights.random_concentration is None else rng.gamma(2, size=m),
        None if mixture.weights.random_discount is None else rng.beta(1.5, 3, m),
        scale,
    )


def covariances_of(points: PassParameters) -> np.ndarray:
    """Dense covariances (J, K, D, D)."""
    factor = points.structure.dense(points.precision_cholesky, *points.means.shape[1:])
    return np.linalg.inv(factor @ np.swapaxes(factor, -1, -2))


def log_covariance(structure, covariance, dof, scale, scatter, n, d):
    """Textbook law of one covariance given n rows; the prior's own for none."""
    match structure:
        case "full" | "tied":
            return invwishart(dof + n, scale + scatter).logpdf(covariance)
        case "diag":
            law = invgamma((dof - d + 1 + n) / 2, scale=np.diag(scale + scatter) / 2)
            return law.logpdf(np.diag(covariance)).sum()
        case "spherical":
            rate = (np.trace(scale) / d + np.trace(scatter)) / 2
            return invgamma((dof - d + 1 + n * d) / 2, scale=rate).logpdf(covariance[0, 0])


def log_mean(prior, mean, covariance, rows):
    """Textbook law of one mean given its rows and covariance."""
    n, m = len(rows), np.asarray(prior.mean)
    if isinstance(prior, bm.NormalInverseWishart):
        center = (prior.mean_precision * m + rows.sum(axis=0)) / (prior.mean_precision + n)
        return multivariate_normal(center, covariance / (prior.mean_precision + n)).logpdf(mean)
    own, inverse = np.linalg.inv(prior.mean_covariance), np.linalg.inv(covariance)
    spread = np.linalg.inv(own + n * inverse)
    center = spread @ (own @ m + inverse @ rows.sum(axis=0))
    return multivariate_normal(center, spread).logpdf(mean)


def scatter_given(prior, rows, center):
    """Scatter that the covariance's law adds: about a known mean, or with the mean integrated."""
    if isinstance(prior, bm.NormalInverseWishart) and len(rows):
        bar, n = rows.mean(axis=0), len(rows)
        far = np.outer(bar - prior.mean, bar - prior.mean)
        shrunk = prior.mean_precision * n / (prior.mean_precision + n)
        return (rows - bar).T @ (rows - bar) + shrunk * far
    return (rows - center).T @ (rows - center)


def log_components(case, m, means, covariances):
    """Log density of components (columns) under the laws of labeling m (rows), (K, K).

    That of the one covariance of tied components is 1/K in each.
    """
    prior, d = case.mixture.components, case.x.shape[1]
    scale = prior.covariance_scale if case.covariance_scale is None else case.covariance_scale[m]
    groups = [case.x[case.labels[m] == k] for k in range(K)]
    centers = case.points.means[m]
    scatters = [scatter_given(prior, *own) for own in zip(groups, centers, strict=True)]
    sizes, share, structure = list(map(len, groups)), 1.0, case.mixture.covariance_type
    if structure == "tied":
        scatters, sizes, share = [sum(scatters)] * K, [len(case.x)] * K, 1 / K
    found = np.empty((K, K))
    for k, j in np.ndindex(K, K):
        law = structure, covariances[j], prior.dof, np.asarray(scale), scatters[k], sizes[k], d
        found[k, j] = share * log_covariance(*law)
        found[k, j] += log_mean(prior, means[j], covariances[j], groups[k])
    return found


def log_weights_given(case, m, log_weights):
    """Log density of weights given labeling m: Dirichlet, or pieces of a stick."""
    prior = case.mixture.weights
    sizes = np.bincount(case.labels[m], minlength=K)
    random = None if case.concentration is None else case.concentration[m]
    if isinstance(prior, bm.Dirichlet):
        alpha = sizes + (prior.concentrations if random is None else random)
        return gammaln(alpha.sum()) + ((alpha - 1) * log_weights - gammaln(alpha)).sum()
    concentration = prior.concentration if random is None else random
    discount = prior.discount if case.discount is None else case.discount[m]
    weights, found, left = np.exp(log_weights), 0.0, 1.0
    for k in range(K - 1):
        law = beta(
            1 - discount + sizes[k], concentration + (k + 1) * discount + sizes[k + 1 :].sum()
        )
        found += law.logpdf(weights[k] / left) - np.log(left)
        left -= weights[k]
    return found


def reference(case, point, covariances):
    """Log density by all labelings and all names."""
    exchangeable = case.mixture.weights.exchangeable
    names = [list(own) for own in permutations(range(K))] if exchangeable else [list(range(K))]
    terms = []
    for m in range(len(case.points.means)):
        logs = log_components(case, m, point.means, covariances)
        for own in names:
            weights = log_weights_given(case, m, point.log_weights[own])
            terms.append(weights + logs[range(K), own].sum())
    return logsumexp(terms) - np.log(len(terms))


CASES = [
    *product(WEIGHTS, ("conjugate", "random"), STRUCTURES, (2,)),
    *product(("symmetric", "PY"), ("conjugate", "stated"), STRUCTURES, (1,)),
]


@pytest.mark.parametrize(("weights", "kind", "structure", "d"), CASES)
def test_against_textbook_laws(weights, kind, structure, d):
    """At draws of its own, at one that it is made from, and far away."""
    case = case_of(weights, kind, structure, d)
    own = case.proposal
    assert 0 in own.components.sizes  # a component without rows is among them
    drawn = own.draw(2, np.random.default_rng(1))
    far = replace(drawn, means=drawn.means + np.linspace(0, 1e3, K)[:, None])
    for points in (drawn[:1], case.points[1:2], far[1:]):
        expected = reference(case, points[0], covariances_of(points)[0])
        np.testing.assert_allclose(own.log_density(points), expected, rtol=1e-10)


@pytest.mark.parametrize("offset", [0.0, 2.0**26])
def test_one_component_is_the_exact_posterior(structure, offset):
    """Posterior over proposal is then the evidence, at every point; no digit is lost far off."""
    given = random_prior(2)
    x, mean = (np.round(np.multiply(a, 2**9)) / 2**9 for a in (few_rows(7, 2), given.mean))
    rest = given.mean_precision, given.dof, given.covariance_scale
    prior = bm.NormalInverseWishart(mean + offset, *rest)  # exact, as x + offset is
    mixture = bm.Mixture(bm.Dirichlet(1), prior, structure)
    own = structure_of(structure)
    start = own.precision_cholesky(own.average(np.eye(2), 1)[None])
    points = PassParameters(own, np.zeros((1, 1)), np.full((1, 1, 2), offset), start)
    proposal = Proposal.of(mixture, x + offset, points, None, None, None, np.random.default_rng(1))
    drawn = proposal.draw(30, np.random.default_rng(2))
    log_posterior = bm.gaussian.log_posterior(
        mixture, x + offset, np.ones((30, 1)), drawn.means, covariances_of(drawn)
    )
    found = log_posterior - proposal.log_density(drawn)
    near = bm.Mixture(bm.Dirichlet(1), bm.NormalInverseWishart(mean, *rest), structure)
    exact = exact_posterior(x, near).log_evidence
    np.testing.assert_allclose(found, exact, rtol=1e-12)


def only(proposal: Proposal, m: int) -> Proposal:
    """The proposal of one labeling."""
    own, alpha = slice(m, m + 1), proposal.concentrations
    sticks = Sticks(*(a[own] for a in proposal.sticks))
    return Proposal(proposal.components[own], sticks, None if alpha is None else alpha[own])


@pytest.mark.parametrize(
    ("weights", "kind"), [("Gamma", "random"), ("vector", "stated"), ("PY", "conjugate")]
)
def test_draws_follow_the_density(weights, kind, structure):
    """Of draws from all labelings, one labeling's share has mean 1 by its own density."""
    proposal = case_of(weights, kind, structure, n=5).proposal
    points = proposal.draw(3000, np.random.default_rng(1))
    every = proposal.log_density(points)
    for m in range(M):
        ratio = np.exp(only(proposal, m).log_density(points) - every)  # at most M
        error = ratio.std() / np.sqrt(len(ratio))
        assert abs(ratio.mean() - 1) < 4 * error


@pytest.mark.parametrize("weights", ["symmetric", "Gamma"])
def test_names_do_not_matter(weights, structure):
    proposal = case_of(weights, "random", structure).proposal
    points = proposal.draw(9, np.random.default_rng(1))
    expected = proposal.log_density(points)
    factor = points.precision_cholesky
    for own in permutations(range(K)):
        name = list(own)
        renamed = replace(
            points,
            log_weights=points.log_weights[:, name],
            means=points.means[:, name],
            precision_cholesky=factor if structure == "tied" else factor[:, name],
        )
        np.testing.assert_allclose(proposal.log_density(renamed), expected, rtol=1e-12)


@pytest.mark.parametrize("weights", ["Gamma", "PY"])
def test_threads_and_company_do_not_matter(weights, monkeypatch):
    """To the last bit."""
    proposal = case_of(weights, "random").proposal
    points = proposal.draw(300, np.random.default_rng(1))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    expected = proposal.log_density(points)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert proposal.log_density(points).tobytes() == expected.tobytes()
    for own in (slice(0, 1), slice(3, 70), slice(299, 300)):
        np.testing.assert_array_equal(proposal.log_density(points[own]), expected[own])


@pytest.mark.parametrize("weights", ["symmetric", "vector", "PY"])
def test_weights_that_underflow(weights):
    """A component's weight counts by its logarithm, however small."""
    proposal = only(case_of(weights).proposal, 0)  # without rows in the last component
    assert proposal.components.sizes[0, -1] == 0
    points = case_of(weights).points[[0, 0, 0]]
    logs = points.log_weights - np.array([0.0, 0.0, 1.0]) * np.array([[1e3], [2e3], [3e3]])
    found = proposal.log_density(replace(points, log_weights=logs))
    assert np.isfinite(found).all()
    last = proposal.sticks.b[0, -1] if weights != "symmetric" else 0.7
    np.testing.assert_allclose(np.diff(found), -1e3 * (last - 1), rtol=1e-9)


def test_blocks_of_labelings_do_not_matter(monkeypatch):
    case = case_of("Gamma", "random", m=40)
    points = case.proposal.draw(20, np.random.default_rng(1))
    expected = case.proposal.log_density(points)
    monkeypatch.setattr("bayesmix.memory.BLOCK_BYTES", 8 * 9 * 7)  # labels of seven draws
    monkeypatch.setattr("bayesmix.bridge.proposal._BLOCK_NUMBERS", 1)
    np.testing.assert_allclose(case.proposal.log_density(points), expected, rtol=1e-14)


def test_work_counts_products():
    """Components without rows cost next to nothing; names that matter cost nothing."""
    proposal = case_of().proposal
    occupied = (proposal.components.sizes > 0).sum(axis=1)
    products = np.array([0, 3, 9, 12])[occupied]
    assert proposal.work(10) == 10 * products.sum()
    assert case_of("PY").proposal.work(10) == 0


def test_needs_a_component_prior():
    case = case_of()._replace(mixture=bm.Mixture(bm.Dirichlet(K)))
    with pytest.raises(ValueError, match=r"^mixture: expected a component prior"):
        _ = case.proposal
