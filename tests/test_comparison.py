"""A point fit beside the posterior: every number against its definition."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats
from sklearn.metrics import adjusted_rand_score
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
    point_dataset,
    random_permutations,
    sample_quietly,
    sampled,
)
from tests.fixtures_varying import planted_varying
from tests.support import Parameters, random_parameters, random_prior, rows_of

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


def test_log_posteriors(found, point):
    """The point is of the posterior's own mixture: in the measure of the reference."""
    x = ROWS.to_numpy()
    assert found.fit.quantity == "log posterior"
    assert found.fit.point == pytest.approx(gaussian.log_posterior(MIXTURE, x, *point), rel=1e-12)
    draws = flat(gaussian.log_posterior(MIXTURE, x, *parameters_of(found.post)))
    np.testing.assert_allclose(found.fit.draws, draws, rtol=1e-12)
    assert found.fit.n_parameters == 1 + 4 + 6
    assert found.fit.gap == pytest.approx(found.fit.point - draws.mean())
    assert found.fit.share_above == 0
    law = 0.5 * np.random.default_rng(1).chisquare(11, size=100_000)
    assert found.fit.expected == pytest.approx(law.mean(), abs=5 * 2.4 / np.sqrt(1e5))
    assert found.fit.expected_sd == pytest.approx(law.std(), rel=0.02)
    at_gap = replace(found.fit, draws=np.array([found.fit.point - 7.0]))
    assert at_gap.tail == pytest.approx((law > 7).mean(), abs=0.01)


RANDOM = bm.IndependentNormalInverseWishart(
    [0.0, 0.0], 9 * np.eye(2), 6.0, scale_hyperprior=(0.5, 1.0)
)


@pytest.mark.parametrize(
    ("fitted", "model", "reason"),
    [
        (bm.Mixture(bm.Dirichlet(2)), MIXTURE, "EM maximized the likelihood"),
        (replace(MIXTURE, covariance_type="tied"), MIXTURE, "EM fitted tied covariances, and the"),
        (bm.Mixture(bm.Dirichlet(2, 2.0), MIXTURE.components), MIXTURE, "of another model"),
        (MIXTURE, replace(MIXTURE, components=RANDOM), "covariance scale is random"),
        (MIXTURE, replace(MIXTURE, weights=bm.Dirichlet(2, bm.Gamma(1, 1))), "concentration is"),
        (MIXTURE, None, "pass mixture="),
    ],
)
def test_log_likelihoods_where_em_maximizes_something_else(post, fitted, model, reason):
    point = bm.fit_em(fitted, ROWS, random_seed=1)
    bare = post.copy()
    bare.attrs = {}
    found = bm.compare_to_posterior(point, bare, mixture=model)
    assert found.fit.quantity == "log-likelihood"
    assert reason in found.fit.reason
    x, group = ROWS.to_numpy(), point["point_estimate"]
    expected = gaussian.log_likelihood(x, *(group[name].values for name in Parameters._fields))
    assert found.fit.point == pytest.approx(expected, rel=1e-12)
    draws = flat(gaussian.log_likelihood(x, *parameters_of(found.post)))
    np.testing.assert_allclose(found.fit.draws, draws, rtol=1e-12)


def test_a_model_may_be_told(em, post, found):
    """A user's own tree has none."""
    bare = post.copy()
    bare.attrs = {}
    told = bm.compare_to_posterior(em, bare, mixture=MIXTURE)
    np.testing.assert_allclose(told.fit.draws, found.fit.draws, rtol=1e-12)
    assert told.fit.quantity == "log posterior"


def test_law_of_the_gap_under_one_component():
    """Conjugate: exact draws by SciPy, densities by SciPy, the mode in closed form."""
    n, d = 25, 2
    x = np.random.default_rng(1).normal(size=(n, d)) @ [[1.0, 0.4], [0.0, 2.0]]
    prior = random_prior(d)
    mixture = bm.Mixture(bm.Dirichlet(1), prior)
    post = sample_quietly(mixture, x, draws=1000, chains=2, random_seed=1)
    found = bm.compare_to_posterior(bm.fit_em(mixture, x, random_seed=1), post).fit
    kappa, nu = prior.mean_precision + n, prior.dof + n
    center = (prior.mean_precision * np.asarray(prior.mean) + x.sum(axis=0)) / kappa
    shift = x.mean(axis=0) - np.asarray(prior.mean)
    scale = (
        np.asarray(prior.covariance_scale)
        + (n - 1) * np.cov(x.T)
        + prior.mean_precision * n / kappa * np.outer(shift, shift)
    )
    law = stats.invwishart(nu, scale)
    rng = np.random.default_rng(2)
    covariances = law.rvs(4000, random_state=rng)

    def density(mean, covariance):  # of the posterior, so that the evidence cancels
        at = stats.multivariate_normal(center, covariance / kappa)
        return at.logpdf(mean) + law.logpdf(covariance)

    draws = [density(rng.multivariate_normal(center, c / kappa), c) for c in covariances]
    gap = density(center, scale / (nu + d + 2)) - np.array(draws)
    error = gap.std() * np.sqrt(1 / 4000 + 1 / 2000)
    assert found.gap == pytest.approx(gap.mean(), abs=4 * error)
    assert found.gap_sd == pytest.approx(gap.std(), rel=0.12)  # 4 errors, kurtosis 6
    assert abs(found.gap - 2.5) < 1  # half of the five parameters


def test_partition(found, point, post):
    """Against labels as they are stored; all draws, since there are few."""
    own = gaussian.responsibilities(ROWS.to_numpy(), *point).argmax(axis=1)
    label = flat(post["allocation"]["label"].values)
    far = np.roll(label, len(label) // 2, axis=0)
    for name, partner in (("rand", own[None]), ("rand_of_draws", far)):
        partner = np.broadcast_to(partner, label.shape)
        expected = [adjusted_rand_score(*both) for both in zip(label, partner, strict=True)]
        np.testing.assert_allclose(getattr(found.partition, name), expected, atol=1e-12)
    for name, partner in (("variation", own[None]), ("variation_of_draws", far)):
        joint = 10 * label.astype(int) + partner
        entropy = [
            sum(-p * np.log2(p) for p in np.unique(row, return_counts=True)[1] / 120)
            for values in (joint, label, np.broadcast_to(partner, label.shape))
            for row in values
        ]
        both, one, other = np.reshape(entropy, (3, -1))
        np.testing.assert_allclose(
            getattr(found.partition, name), 2 * both - one - other, atol=1e-12
        )


def test_a_number_of_components_that_varies():
    """Parameters of the draws with as many clusters, partitions of all."""
    x = rows_of(SEPARATED, 60)
    tree, _ = planted_varying(SEPARATED, x)
    features = tuple(tree["components"]["feature"].values)
    point = xr.DataTree.from_dict({"point_estimate": point_dataset(SEPARATED, features)})
    found = bm.compare_to_posterior(point, tree)
    kept = int((tree["posterior"]["n_clusters"] == 3).sum())
    assert len(found.fit.draws) == kept < len(found.partition.variation) == 120
    assert f"of the {kept / 120:.0%} of the draws that have 3 clusters" in found.advice
    assert "number of components varies" in found.fit.reason
    among = f"Among the {kept / 120:.0%} of the draws with 3 clusters: "
    first, second, third, fourth = found.sentences()
    assert first.startswith(f"{among}EM assigns 60 of 60 rows")
    assert second.startswith(f"{among}no row has another")
    assert third.startswith("Among all draws: EM's partition is")
    assert fourth.startswith(f"{among}log-likelihood of EM")
    chosen = bm.compare_to_posterior(point, bm.relabel(tree, n_clusters=3))
    assert len(chosen.partition.variation) == kept
    assert all(sentence.startswith(among) for sentence in chosen.sentences())
    np.testing.assert_allclose(found.components["z"].abs().max(), 0, atol=2)
    more = random_parameters("full", 4, 2)
    four = xr.DataTree.from_dict({"point_estimate": point_dataset(more, features)})
    match = r"^point: expected as many components as some draw has clusters, got 4, which none has"
    with pytest.raises(ValueError, match=match):
        bm.compare_to_posterior(four, tree)


def test_trees_are_ready_for_a_forest(found, point):
    import matplotlib.pyplot as plt
    from arviz_plots import plot_forest

    trees = found.trees
    assert list(trees) == ["EM", "posterior"]
    means = trees["EM"]["posterior"]["means"].values
    assert means.shape == trees["posterior"]["posterior"]["means"].shape
    assert (means == point.means).all()
    assert trees["EM"]["posterior"]["feature"].values.tolist() == ["east", "north"]
    drawn = plot_forest(trees, var_names=["weights", "means"])
    assert set(drawn.viz["plot"].to_dataset().coords["column"].values) >= {"forest"}
    plt.close("all")


def test_sentences_say_the_numbers(found):
    first, second, third, fourth = found.sentences()
    assert f"{found.n_confident} of 120 rows with more than 95%" in first
    assert f"for {found.n_overconfident} of them" in first
    assert second.startswith(f"{found.n_moved} row")
    assert f"is {found.partition.variation.mean():.3g} bits from a draw's" in third
    assert f"Log posterior of EM {found.fit.point:.2f}" in fourth
    html = found._repr_html_()
    assert "&gt;" not in first
    assert html.count("<li>") == 5
    assert "<table" in html


def test_sentences_warn_where_components_are_not_identified():
    """Two components in one place: which of them a row belongs to is noise."""
    same = Parameters(*(np.array([v, v]) for v in (0.5, np.zeros(2), np.eye(2))))
    x = rows_of(same, 60)
    point = xr.DataTree.from_dict({"point_estimate": point_dataset(same, ("x0", "x1"))})
    found = bm.compare_to_posterior(point, planted(same, x, spread=0.3))
    *_, last = found.sentences()
    assert last == f"C{found.advice[1:]}."
    assert "read partition(post), not the component table" in last
    for words in (repr(found), found._repr_html_()):
        assert words.count("read partition(post)") == 1
    assert len(found.sentences()) == found._repr_html_().count("<li>") == 5


def test_components_are_not_judged_where_diagnose_does_not(em, post):
    """Chains in different places, in each of which the components are far apart."""
    apart = post.copy()
    moved = post["posterior"].to_dataset()
    moved["means"] = moved["means"] + xr.DataArray([0.0, 3.0], dims="chain")
    apart["posterior"] = xr.DataTree(moved)
    apart["sample_stats"] = xr.DataTree(
        post["sample_stats"].to_dataset().drop_vars("log_likelihood_total")
    )
    found = bm.compare_to_posterior(em, apart)
    [verdict] = [f for f in bm.diagnose(found.post) if f.check == "identification"]
    assert verdict.message == "components are not judged, because the chains disagree"
    assert found.advice == verdict.message
    for words in (repr(found), found._repr_html_(), "".join(found.sentences())):
        assert "not judged, because the chains disagree." in words
        assert "are identified" not in words


def test_the_page_leaves_correlations_to_the_table(found):
    page = unescape(found._repr_html_())
    assert page.count('scope="row"') == 2 * 2 * 5  # component and parameter of weight, means, sds
    assert "correlation east" not in page
    assert "EM, and the posterior's mean, sd and interval. z: how many sds EM is from" in page
    assert "draws on one side of EM. Correlations are in" in page
    assert re.search(r'<th scope="col">EM</th><th scope="col">mean</th>', page)


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


@pytest.mark.parametrize("names", [[1, 2], ["short", "long"], [1, 0]])
def test_components_have_the_names_of_the_posterior(em, post, found, names):
    other = post.copy()
    other["posterior"] = xr.DataTree(post["posterior"].to_dataset().assign_coords(component=names))
    named = bm.compare_to_posterior(em, other, ci_prob=0.8)
    assert named.n_moved == found.n_moved < 60
    expected = found.components.assign(component=[names[k] for k in found.components["component"]])
    pd.testing.assert_frame_equal(named.components, expected)
    rows = {c: [names[k] for k in found.memberships[c]] for c in ("label", "point_label")}
    pd.testing.assert_frame_equal(named.memberships, found.memberships.assign(**rows))
    assert [list(t["posterior"]["component"].values) for t in named.trees.values()] == [names] * 2
    assert named.trees["EM"]["posterior"]["means"].equals(
        found.trees["EM"]["posterior"]["means"].assign_coords(component=names)
    )


def test_dims_of_the_point_may_be_in_any_order(em, post, found):
    """With as many components as features no shape tells."""
    turned = em.copy()
    group = em["point_estimate"].to_dataset()
    turned["point_estimate"] = xr.DataTree(group.transpose("feature_bis", "feature", "component"))
    assert turned["point_estimate"]["means"].dims == ("feature", "component")
    other = bm.compare_to_posterior(turned, post, ci_prob=0.8)
    pd.testing.assert_frame_equal(other.components, found.components)
    pd.testing.assert_frame_equal(other.memberships, found.memberships)
    assert other.fit.point == found.fit.point


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
    assert ours.fit.point == pytest.approx(estimator.score(x) * len(x), rel=1e-9)
    correlated = structure in ("full", "tied")
    assert table.index.get_level_values(1).str.startswith("correlation").any() == correlated


def test_plot(found):
    import matplotlib.pyplot as plt

    rows, fit, partition = found.plot()
    assert rows.get_ylabel().startswith("probability")
    assert fit.get_xlabel() == "log posterior, nats"
    (line, law) = fit.lines
    np.testing.assert_array_equal(line.get_xdata(), found.fit.point)
    at, density = law.get_data()
    area = np.sum(np.diff(at[::-1]) * (density[::-1][1:] + density[::-1][:-1]) / 2)
    assert area == pytest.approx(1, abs=0.01)
    assert partition.get_xlabel().endswith("bits")
    plt.close(rows.figure)


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
    ("gap", "verdict"),
    [
        (5.5, "as expected"),
        (7.8, "as expected"),
        (3.1, "the prior is strong, or the point is not the optimum"),
        (7.9, "wider than about one normal mode, or about another one."),
        (-1.0, "worse than most draws"),
    ],
)
def test_the_sentence_on_the_fit_says_what_is_true(found, gap, verdict):
    fit = replace(found.fit, point=-100.0, draws=np.array([-99.0, -100.0, -101.0]) - gap)
    assert f"EM is {gap:+.2f} from them; half of chi-squared with 11 parameters" in fit.sentence()
    assert verdict in fit.sentence()


@pytest.mark.slow
def test_gap_on_faithful():
    """The mode of the same mixture is above the draws by about half of eleven parameters."""
    x = bm.datasets.load("faithful")
    mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
    post = sample_quietly(mixture, x, draws=1000, random_seed=1)
    found = bm.compare_to_posterior(bm.fit_em(mixture, x, random_seed=1), post).fit
    assert found.quantity == "log posterior"
    assert found.share_above == 0
    assert found.gap == pytest.approx(5.5, abs=0.6)  # of 272 rows, not of infinitely many
    assert found.gap_sd == pytest.approx(found.expected_sd, rel=0.15)
