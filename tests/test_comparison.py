"""A point fit beside the posterior: every number against its definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.mixture import GaussianMixture as SklearnMixture

import bayesmix as bm
from bayesmix import gaussian
from tests.fixtures_post import (
    OVERLAPPING,
    SEPARATED,
    completed,
    parameters_of,
    permuted,
    planted,
    random_permutations,
    sampled,
)
from tests.support import Parameters, random_prior, rows_of

ROWS = pd.DataFrame(rows_of(OVERLAPPING, 120), columns=["east", "north"])
MIXTURE = bm.Mixture(bm.Dirichlet(2), random_prior(2))


@pytest.fixture(scope="module")
def post():
    """Draws that spread widely, their labels switched."""
    tree = completed(planted(OVERLAPPING, ROWS, draws=100, spread=0.3), MIXTURE)
    return permuted(tree, random_permutations(tree))


@pytest.fixture(scope="module")
def em():
    return bm.fit_em(MIXTURE, ROWS, random_seed=1)


@pytest.fixture(scope="module")
def found(em, post):
    return bm.compare_to_posterior(em, post, ci_prob=0.8)


@pytest.fixture(scope="module")
def point(em):
    group = em["point_estimate"]
    return Parameters(*(group[name].values for name in Parameters._fields))


def flat(values: np.ndarray) -> np.ndarray:
    """Draws (chain, draw, ...) as (S, ...)."""
    return values.reshape(-1, *values.shape[2:])


def readable(parameters: Parameters, k: int) -> dict[str, np.ndarray]:
    """What the component table lists, from its definition."""
    weights, means, covariances = parameters
    variance = covariances[..., k, :, :]
    sd = np.sqrt(np.stack([variance[..., 0, 0], variance[..., 1, 1]]))
    return {
        "weight": weights[..., k],
        "mean east": means[..., k, 0],
        "mean north": means[..., k, 1],
        "sd east": sd[0],
        "sd north": sd[1],
        "correlation east, north": variance[..., 0, 1] / (sd[0] * sd[1]),
    }


@pytest.mark.parametrize("k", [0, 1])
def test_components(found, point, k):
    table = found.components.set_index(["component", "parameter"]).loc[k]
    at_point, at_draws = readable(point, k), readable(parameters_of(found.post), k)
    assert list(table.index) == list(at_point)
    for name, own in at_point.items():
        row, values = table.loc[name], at_draws[name].ravel()
        smaller = min(np.mean(values <= own), np.mean(values >= own))
        expected = {
            "point": own,
            "mean": values.mean(),
            "sd": values.std(),
            "lower": np.quantile(values, 0.1),
            "upper": np.quantile(values, 0.9),
            "z": (own - values.mean()) / values.std(),
            "tail_probability": min(1, 2 * smaller),
        }
        for column, value in expected.items():
            assert row[column] == pytest.approx(value, rel=1e-9), (name, column)


def test_memberships(found, point):
    x, draws = ROWS.to_numpy(), parameters_of(found.post)
    at_point = gaussian.responsibilities(x, *point)
    resp = flat(gaussian.responsibilities(x, *draws))
    label, rows = at_point.argmax(axis=1), np.arange(len(x))
    table = found.memberships
    own = resp[:, rows, label]
    mean = resp.mean(axis=0)
    expected = {
        "point_label": label,
        "point_probability": at_point.max(axis=1),
        "posterior_probability": own.mean(axis=0),
        "posterior_sd": own.std(axis=0),
        "posterior_lower": np.quantile(own, 0.1, axis=0),
        "posterior_upper": np.quantile(own, 0.9, axis=0),
        "label": mean.argmax(axis=1),
        "label_probability": mean.max(axis=1),
        "overconfident": (at_point.max(axis=1) > 0.95) & (own.mean(axis=0) <= 0.95),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(table[name], values, rtol=0, atol=1e-12, err_msg=name)
    assert table.index.name == "obs"


def test_counts(found, point):
    x = ROWS.to_numpy()
    at_point = gaussian.responsibilities(x, *point)
    resp = flat(gaussian.responsibilities(x, *parameters_of(found.post))).mean(axis=0)
    sure = at_point.max(axis=1) > 0.95
    chosen = resp[np.arange(len(x)), at_point.argmax(axis=1)]
    assert found.n_confident == sure.sum() > 0
    assert found.n_overconfident == (sure & (chosen <= 0.95)).sum() > 0
    assert found.n_moved == (at_point.argmax(axis=1) != resp.argmax(axis=1)).sum()


def test_log_likelihoods(found, point):
    x = ROWS.to_numpy()
    expected = gaussian.log_likelihood(x, *point)
    assert found.log_likelihood == pytest.approx(expected, rel=1e-12)
    draws = flat(gaussian.log_likelihood(x, *parameters_of(found.post)))
    np.testing.assert_allclose(found.log_likelihood_draws, draws, rtol=1e-12)


def test_sentences_say_the_counts(found):
    first, second, third = found.sentences()
    assert f"{found.n_confident} of 120 rows with more than 95%" in first
    assert f"for {found.n_overconfident} of them" in first
    assert second.startswith(f"{found.n_moved} row")
    assert f"EM {found.log_likelihood:.2f}" in third
    html = found._repr_html_()
    assert "&gt;" not in first
    assert html.count("<li>") == 4
    assert "<table" in html


def test_components_follow_the_order_of_the_point(em, post):
    reversed_point = em.copy()
    group = em["point_estimate"].to_dataset().isel(component=[1, 0])
    reversed_point["point_estimate"].dataset = group.assign_coords(component=[0, 1])
    one, other = (bm.compare_to_posterior(p, post) for p in (em, reversed_point))
    columns = ["point", "mean", "sd", "z"]
    first = one.components.set_index(["component", "parameter"])[columns]
    second = other.components.set_index(["component", "parameter"])[columns]
    np.testing.assert_allclose(first.loc[0], second.loc[1], rtol=1e-12)
    np.testing.assert_allclose(first.loc[1], second.loc[0], rtol=1e-12)
    assert one.n_overconfident == other.n_overconfident


@pytest.mark.parametrize("cls", [bm.GaussianMixture, SklearnMixture])
def test_estimators_compare_as_their_points_do(structure, cls):
    tree = sampled(structure)
    x = tree["observed_data"].to_dataset()["x"].to_pandas()
    estimator = cls(2, covariance_type=structure, random_state=0, n_init=3).fit(x)
    ours = bm.compare_to_posterior(estimator, tree)
    table = ours.components.set_index(["component", "parameter"])
    np.testing.assert_allclose(table.loc[(slice(None), "weight"), "point"], estimator.weights_)
    np.testing.assert_allclose(table.loc[(slice(None), "mean width"), "point"],
                               estimator.means_[:, 0])  # fmt: skip
    np.testing.assert_allclose(
        ours.memberships["point_probability"], estimator.predict_proba(x).max(axis=1), rtol=1e-9
    )
    assert ours.log_likelihood == pytest.approx(estimator.score(x) * len(x), rel=1e-9)
    correlated = structure in ("full", "tied")
    assert table.index.get_level_values(1).str.startswith("correlation").any() == correlated


def test_plot(found):
    import matplotlib.pyplot as plt

    ax = found.plot()
    assert ax.get_ylabel().startswith("probability")
    plt.close(ax.figure)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda em, post: (bm.GaussianMixture(2), post), "GaussianMixture without weights_"),
        (lambda em, post: (SklearnMixture(2), post), "GaussianMixture without weights_"),
        (lambda em, post: (post, post), "expected the group point_estimate, as fit_em returns"),
        (lambda em, post: (em, em), "expected the group posterior, as sample returns"),
        (
            lambda em, post: (bm.GaussianMixture(3, random_state=1).fit(ROWS), post),
            r"reference: expected means of shape \(2, 2\), as in the posterior, got \(3, 2\)",
        ),
        (
            lambda em, post: (bm.GaussianMixture(2, random_state=1).fit(ROWS[["east"]]), post),
            "reference: expected the features .*, in this order as in the posterior, got east",
        ),
        (
            lambda em, post: (
                bm.GaussianMixture(2, random_state=1).fit(ROWS[ROWS.columns[::-1]]),
                post,
            ),
            "reference: expected the features .*, in this order as in the posterior, got",
        ),
    ],
    ids=["not fitted", "not fitted, scikit-learn", "no point", "no posterior", "K", "D", "order"],
)
def test_bad_arguments(em, post, make, message):
    with pytest.raises(ValueError, match=message):
        bm.compare_to_posterior(*make(em, post))


def test_posterior_of_separated_components_agrees_with_its_center():
    x = rows_of(SEPARATED, 60)
    tree = planted(SEPARATED, x, draws=200)
    other = bm.Mixture(bm.Dirichlet(3))
    point = bm.fit_em(other, x, random_seed=1)
    found = bm.compare_to_posterior(point, tree)
    assert found.advice.startswith("components are identified")
    assert found.n_overconfident == found.n_moved == 0
    assert found.n_confident == 60


@pytest.mark.parametrize(
    ("log_likelihood", "verdict"),
    [
        (-90.0, "sits above most draws"),
        (-101.0, "no better than a typical"),
        (-200.0, "worse than"),
    ],
)
def test_the_sentence_on_the_fit_says_what_is_true(em, post, log_likelihood, verdict):
    found = replace(
        bm.compare_to_posterior(em, post),
        log_likelihood=log_likelihood,
        log_likelihood_draws=np.array([-98.0, -100.0, -102.0]),
    )
    assert verdict in found.sentences()[-1]
