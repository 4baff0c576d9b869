"""The posterior of one component under the conjugate prior, in closed form."""

from __future__ import annotations

import arviz_stats
import numpy as np

import bayesmix as bm


def closed_form(x: np.ndarray, prior: bm.NormalInverseWishart) -> dict[str, np.ndarray]:
    """Posterior moments under one component: normal-inverse-Wishart, conjugate.

    Moments of the inverse Wishart: e.g. Gelman et al., Bayesian Data Analysis, appendix A.
    """
    n, d = x.shape
    center, kappa = np.asarray(prior.mean), prior.mean_precision
    nu = prior.dof + n
    delta = x - x.mean(axis=0)
    shift = x.mean(axis=0) - center
    scale = (
        np.asarray(prior.covariance_scale)
        + delta.T @ delta
        + kappa * n / (kappa + n) * np.outer(shift, shift)
    )
    free, diagonal = nu - d - 1, np.diag(scale)
    return {
        "means": (kappa * center + n * x.mean(axis=0)) / (kappa + n),
        "means variance": diagonal / free / (kappa + n),
        "covariances": scale / free,
        "covariances variance": ((nu - d + 1) * scale**2 + free * np.outer(diagonal, diagonal))
        / ((nu - d) * free**2 * (nu - d - 3)),
    }


def closed_form_of_variances(
    x: np.ndarray, prior: bm.NormalInverseWishart, structure: str
) -> dict[str, np.ndarray]:
    """The same for diagonal and spherical covariances: normal-inverse-gamma."""
    n, d = x.shape
    center, kappa = np.asarray(prior.mean), prior.mean_precision
    shape = (prior.dof - d + 1) / 2
    scatter = np.square(x - x.mean(axis=0)).sum(axis=0)
    scatter = scatter + kappa * n / (kappa + n) * np.square(x.mean(axis=0) - center)
    rate = (np.diag(prior.covariance_scale) + scatter) / 2
    if structure == "diag":
        shape = shape + n / 2
    else:
        shape = shape + n * d / 2
        rate = np.full(d, np.trace(prior.covariance_scale) / (2 * d) + scatter.sum() / 2)
    expected = rate / (shape - 1)
    return {
        "means": (kappa * center + n * x.mean(axis=0)) / (kappa + n),
        "means variance": expected / (kappa + n),
        "covariances": np.diag(expected),
        "covariances variance": np.diag(expected**2 / (shape - 2)),
    }


def assert_conjugate_posterior(tree, x, prior, structure) -> None:
    """Mean and sd of every parameter of a tree with one component, within 5 standard errors."""
    if structure in ("full", "tied"):
        expected = closed_form(x, prior)
    else:
        expected = closed_form_of_variances(x, prior, structure)
    group = tree["posterior"].to_dataset().isel(component=0)
    assert (group["weights"] == 1).all()
    for name in ("means", "covariances"):
        values = group[name].transpose("chain", "draw", ...)
        for at in np.ndindex(values.shape[2:]):
            draws, variance = values.values[(..., *at)], expected[f"{name} variance"][at]
            if variance == 0:  # off the diagonal
                assert not draws.any()
                continue
            off = draws.mean() - expected[name][at]
            assert abs(off) < 5 * arviz_stats.mcse(draws, method="mean"), (name, at)
            off = draws.std() - np.sqrt(variance)
            assert abs(off) < 5 * arviz_stats.mcse(draws, method="sd"), (name, at)
