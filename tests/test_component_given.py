"""Laws of components given labels: moments of draws against quadrature-free closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import invgamma, invwishart, kstest, multivariate_t

from bayesmix.component_given import components_given
from bayesmix.covariance import structure_of
from bayesmix.label_sums import label_sums
from tests.support import random_independent_prior, random_prior

N, D, K, S = 40, 3, 3, 20_000


def rows_and_labels(seed=1):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, D)) @ rng.normal(size=(D, D)) + 2
    label = rng.integers(0, 2, (2, N))  # the third component has no rows
    return x, label, rng.normal(size=(2, K, D))


def scatter_of(rows, center):
    return (rows - center).T @ (rows - center)


class TestLabelSums:
    def test_by_hand(self, structure):
        x, label, center = rows_and_labels()
        own = structure_of(structure)
        found = label_sums(own, x, label, center)
        for s in range(2):
            groups = [x[label[s] == k] for k in range(K)]
            scatters = np.array([scatter_of(g, c) for g, c in zip(groups, center[s], strict=True)])
            expected = {
                "full": scatters,
                "tied": scatters.sum(axis=0),
                "diag": np.diagonal(scatters, axis1=1, axis2=2),
                "spherical": np.trace(scatters, axis1=1, axis2=2),
            }[structure]
            assert found.sizes[s].tolist() == [len(g) for g in groups]
            sums = [(g - c).sum(axis=0) for g, c in zip(groups, center[s], strict=True)]
            np.testing.assert_allclose(found.first[s], sums, atol=1e-12)
            np.testing.assert_allclose(found.second[s], expected, rtol=1e-12)

    def test_of_the_first_rows(self, structure):
        x, label, center = rows_and_labels()
        own = structure_of(structure)
        found = label_sums(own, x, [label[0, :25], label[1, :0]], center)
        first = label_sums(own, x[:25], label[:, :25], center)
        for values, expected in zip(found, first, strict=True):
            np.testing.assert_array_equal(values[0], expected[0])
            np.testing.assert_array_equal(values[1], 0 * expected[1])


def given(structure, prior, seed=1):
    x, label, center = rows_and_labels(seed)
    own = structure_of(structure)
    sums = label_sums(own, x, label, center)
    scale = np.diag([1.0, 2.0, 3.0])
    if prior.scale_hyperprior is None:
        scale = np.asarray(prior.covariance_scale)
    return components_given(prior, own, center, sums, scale), x, label[0], center[0], scale


def many(laws, size=S):
    """The first labeling's laws, as often as asked."""
    first = {
        name: np.repeat(getattr(laws, name)[:1], size, axis=0)
        for name in ("dof", "scale", "sizes", "shift")
    }
    return type(laws)(laws.prior, laws.structure, **first)


class TestConjugate:
    def test_means_have_students_law(self):
        """Covariances integrated out: the textbook posterior of a mean."""
        prior = random_prior(D)
        laws, x, label, _, scale = given("full", prior)
        means, _ = many(laws).draw(np.random.default_rng(2))
        for k in range(K):
            rows = x[label == k]
            n, kappa, nu = len(rows), prior.mean_precision, prior.dof
            bar = rows.mean(axis=0) if n else np.zeros(D)
            m = np.asarray(prior.mean)
            psi = scale + (scatter_of(rows, bar) if n else 0)
            psi = psi + kappa * n / (kappa + n) * np.outer(bar - m, bar - m)
            df = nu + n - D + 1
            law = multivariate_t((kappa * m + n * bar) / (kappa + n), psi / (kappa + n) / df, df)
            direction = np.array([1.0, -2.0, 0.5])
            exact = law.rvs(S, random_state=3) @ direction
            assert kstest(means[:, k] @ direction, exact).pvalue > 1e-3


class TestIndependent:
    def test_covariances(self, structure):
        prior = random_independent_prior(D, random_scale=True)
        laws, x, label, center, scale = given(structure, prior)
        _, covariances = many(laws).draw(np.random.default_rng(2))
        rows, n = x[label == 0], int((label == 0).sum())
        psi = scale + scatter_of(rows, center[0])
        match structure:
            case "full":
                values = covariances[:, 0, 1, 1]
                exact = invwishart(prior.dof + n, psi).rvs(S, random_state=3)[:, 1, 1]
            case "tied":
                psi = psi + scatter_of(x[label == 1], center[1])
                values = covariances[:, 1, 1]
                exact = invwishart(prior.dof + N, psi).rvs(S, random_state=3)[:, 1, 1]
            case "diag":
                values = covariances[:, 0, 1]
                law = invgamma((prior.dof - D + 1 + n) / 2, scale=psi[1, 1] / 2)
                exact = law.rvs(S, random_state=3)
            case "spherical":
                values = covariances[:, 0]
                rate = np.trace(scale) / D + np.trace(psi - scale)
                law = invgamma((prior.dof - D + 1 + n * D) / 2, scale=rate / 2)
                exact = law.rvs(S, random_state=3)
        assert kstest(values, exact).pvalue > 1e-3

    def test_means_given_covariances(self, structure):
        """Precisions add: the textbook, by inverses."""
        prior = random_independent_prior(D)
        laws, x, label, *_ = given(structure, prior)
        _, covariances = laws.draw(np.random.default_rng(2))
        fixed = np.repeat(covariances[:1], S, axis=0)
        means = many(laws).draw_means(fixed, np.random.default_rng(4))
        dense = laws.structure.dense(covariances, K, D)[0]
        own = np.linalg.inv(prior.mean_covariance)
        for k in range(K):
            rows, precision = x[label == k], np.linalg.inv(dense[k])
            covariance = np.linalg.inv(own + len(rows) * precision)
            mean = covariance @ (own @ prior.mean + precision @ rows.sum(axis=0))
            z = (means[:, k].mean(axis=0) - mean) / np.sqrt(np.diag(covariance) / S)
            assert np.abs(z).max() < 4.5
            ratio = np.linalg.eigvals(np.linalg.solve(covariance, np.cov(means[:, k].T)))
            assert np.abs(ratio - 1).max() < 0.06


@pytest.mark.parametrize("make", [random_prior, random_independent_prior])
def test_no_rows_is_the_prior(make, structure):
    prior = make(D)
    laws, *_ = given(structure, prior)
    if structure != "tied":
        np.testing.assert_allclose(laws.dof[:, 2], prior.dof)
        np.testing.assert_array_equal(laws.shift[:, 2], 0)
        scales = laws.structure.scales(np.asarray(prior.covariance_scale), K)
        np.testing.assert_allclose(
            laws.scale[:, 2], np.broadcast_to(scales[2], laws.scale[:, 2].shape)
        )
    assert laws.sizes[:, 2].tolist() == [0, 0]
