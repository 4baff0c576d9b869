"""Two engines, one posterior: Gibbs sampling and NUTS agree on what no relabeling changes."""

from __future__ import annotations

import arviz_stats
import numpy as np
import pytest
from scipy import stats

import bayesmix as bm
from bayesmix import gaussian
from tests.fixtures_post import parameters_of, sample_quietly

LEVEL = 1e-3
"""Of all comparisons of one data set together."""


def weak_prior(x) -> bm.NormalInverseWishart:
    """Worth a few rows, clusters smaller than the data."""
    values = x.to_numpy()
    d = values.shape[1]
    return bm.NormalInverseWishart(
        values.mean(axis=0), 1.0, d + 6.0, 0.4 * np.atleast_2d(np.cov(values.T))
    )


def species_prior(x) -> bm.NormalInverseWishart:
    """Covariances like those of the species.

    Under fraley_raftery three full components on iris have several modes, one with an almost empty
    component, between which NUTS does not go.
    """
    values = x.to_numpy()
    within = np.mean([np.cov(own.T) for own in np.split(values, 3)], axis=0)
    return bm.NormalInverseWishart(values.mean(axis=0), 1.0, 34.0, 29.0 * within)


def invariants(tree, x) -> dict[str, np.ndarray]:
    """What is the same under every permutation of the components, (chain, draw)."""
    values = x.to_numpy()
    weights, means, covariances = parameters_of(tree)
    resp = gaussian.responsibilities(values, weights, means, covariances)
    sizes = np.sort(weights, axis=-1)
    pooled = np.einsum("csk,cskij->csij", weights, covariances)
    center = np.einsum("csk,cski->csi", weights, means)
    found = {
        "lp": tree["sample_stats"]["lp"].values,
        "log_likelihood": tree["sample_stats"]["log_likelihood_total"].values,
        "n_clusters": tree["posterior"]["n_clusters"].values,
        "together": np.einsum("csk,csk->cs", resp[..., 0, :], resp[..., -1, :]),
        "entropy": -(resp * np.log(np.maximum(resp, 1e-300))).sum(axis=(-1, -2)),
        "log determinants": np.linalg.slogdet(covariances)[1].sum(axis=-1),
    }
    for name in ("concentration", "discount", "covariance_scale"):
        if name in tree["posterior"]:
            given = tree["posterior"][name].values
            found[name] = np.log(given if given.ndim == 2 else given[..., 0, 0])
    found |= {f"weight {k}": sizes[..., k] for k in range(sizes.shape[-1] - 1)}
    found |= {f"center {j}": center[..., j] for j in range(center.shape[-1])}
    found |= {f"within {j}": pooled[..., j, j] for j in range(center.shape[-1])}
    return {name: values for name, values in found.items() if np.ptp(values) > 0}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "weights", "structure", "prior"),
    [
        ("faithful", bm.Dirichlet(2), "full", weak_prior),
        ("iris", bm.Dirichlet(3, 5.0), "tied", weak_prior),
        ("iris", bm.Dirichlet(3, 10.0), "full", species_prior),
        ("faithful", bm.Dirichlet(2), "full", bm.weakly_informative),
        ("faithful", bm.Dirichlet(2, 2.0), "diag", bm.weakly_informative),
        ("faithful", bm.Dirichlet(2, 2.0), "spherical", bm.weakly_informative),
        ("faithful", bm.Dirichlet(2, 2.0), "tied", bm.weakly_informative),
        ("faithful", bm.Dirichlet(2, bm.Gamma(2, 4)), "full", bm.weakly_informative),
        ("faithful / 14", bm.Dirichlet(3, bm.Gamma(2, 12)), "full", bm.weakly_informative),
        ("galaxy", bm.Dirichlet(3, 20.0), "full", weak_prior),
        ("iris", bm.Dirichlet(2), "full", bm.weakly_informative),
        ("faithful / 14", bm.DirichletProcess(1.0, 2), "diag", weak_prior),
        ("faithful / 14", bm.PitmanYor(bm.Gamma(2, 4), bm.Beta(2, 5), 4), "tied", weak_prior),
    ],
)
def test_gibbs_and_nuts_agree(data, weights, structure, prior):
    """An alarm is checked by four times the draws: errors of a spread are estimates themselves."""
    name, _, step = data.partition(" / ")
    x = bm.datasets.load(name)[:: int(step or 1)]
    mixture = bm.Mixture(weights, prior(x), structure)
    try:
        assert_agreement(mixture, x, times=1)
    except AssertionError:
        assert_agreement(mixture, x, times=4)


def assert_agreement(mixture, x, times):
    asked = {"chains": 4, "random_seed": 3}
    thin = 1 if mixture.weights.exchangeable else 5  # NUTS hardly changes the order of sticks
    one, other = (
        invariants(sample_quietly(mixture, x, **asked, **options), x)
        for options in (
            {"sampler": "gibbs", "draws": 4000 * times},
            {"sampler": "nuts", "draws": 1500 * times, "thin": thin},
        )
    )
    assert set(one) == set(other)
    limit = stats.norm.isf(LEVEL / 4 / len(one))
    for name in one:
        for engine, draws in (("gibbs", one[name]), ("nuts", other[name])):
            assert arviz_stats.rhat(draws) < 1.03, (name, engine)
        a, b = one[name], other[name]
        for method, moment in (("mean", np.mean), ("sd", np.std)):
            error = np.hypot(*(arviz_stats.mcse(v, method=method) for v in (a, b)))
            assert abs(moment(a) - moment(b)) < limit * error, (name, method)
