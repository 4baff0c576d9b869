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


def prior_of(x, mean_precision: float) -> bm.NormalInverseWishart:
    """Prior at the data's center, worth a few rows: one mode, so that NUTS mixes."""
    values = x.to_numpy()
    d = values.shape[1]
    return bm.NormalInverseWishart(
        values.mean(axis=0), mean_precision, d + 6.0, 4.0 * np.cov(values.T) / 10
    )


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
    found |= {f"weight {k}": sizes[..., k] for k in range(sizes.shape[-1] - 1)}
    found |= {f"center {j}": center[..., j] for j in range(center.shape[-1])}
    found |= {f"within {j}": pooled[..., j, j] for j in range(center.shape[-1])}
    return {name: values for name, values in found.items() if np.ptp(values) > 0}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "k", "structure", "mean_precision"),
    [
        ("faithful", 2, "full", 1.0),
        # under fraley_raftery's vague means (precision 0.01) NUTS stays in one of several modes
        ("iris", 3, "tied", 5.0),
        ("iris", 3, "full", 5.0),
    ],
)
def test_gibbs_and_nuts_agree(data, k, structure, mean_precision):
    x = bm.datasets.load(data)
    mixture = bm.Mixture(bm.Dirichlet(k, 5.0), prior_of(x, mean_precision), structure)
    one, other = (
        invariants(sample_quietly(mixture, x, chains=4, random_seed=3, **options), x)
        for options in ({"sampler": "gibbs", "draws": 4000}, {"sampler": "nuts", "draws": 750})
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
