"""Rows in dispute: planted partitions with known answers, and brute force."""

from __future__ import annotations

from itertools import permutations
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.collections import PathCollection
from matplotlib.colors import same_color
from matplotlib.path import Path

import bayesmix as bm
from bayesmix import schema
from bayesmix.dispute import disputed_rows
from bayesmix.inputs import as_table
from bayesmix.plots import rows as rows_of_plots
from bayesmix.plots.style import color
from tests.fixtures_post import sample_quietly

CENTERS = np.array([0.0, 3.0, 10.0])
GROUPS = np.repeat([0, 1, 2], [4, 3, 5])
NAMES = [f"r{i}" for i in range(12)]
TWO = np.where(GROUPS == 2, 1, 0)
LINE = pd.DataFrame({"size": CENTERS[GROUPS] + np.tile([-0.1, 0, 0.1], 4)}, index=NAMES)


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def tree_of(x, draws):
    """Rows, and labels (S, n) of one chain."""
    observed = schema.observed_data(as_table(x))
    label = xr.Dataset({"label": (("chain", "draw", "obs"), np.array(draws)[None])})
    return xr.DataTree.from_dict(
        {"observed_data": observed, "allocation": label.assign_coords(obs=observed["obs"])}
    )


def point_at(means, sd=0.5):
    """A point whose components are round, equal, and stand so far apart that rows are sure."""
    means = np.reshape(means, (len(means), -1))
    k, d = means.shape
    covariances = np.tile(sd**2 * np.eye(d), (k, 1, 1))
    return SimpleNamespace(
        weights_=np.full(k, 1 / k),
        means_=means,
        covariances_=covariances,
        covariance_type="full",
    )


@pytest.fixture
def split():
    """EM has three clusters; in 8 of 10 draws the first two are one, in the others row 6 moves."""
    apart = np.where(np.arange(12) == 6, 0, GROUPS)
    return disputed_rows(point_at(CENTERS), tree_of(LINE, [TWO] * 8 + [apart] * 2), partition=TWO)


def test_a_component_that_splits_the_posteriors_cluster(split):
    assert split.table.index.tolist() == [1]
    found = split.table.loc[1]
    assert found[["size", "parent", "shared", "rest"]].tolist() == [3, 0, 3, 4]
    assert found["together"] == pytest.approx((0.8 + 0.8 + 1.0) / 3)
    assert found["within"] == pytest.approx((1 + 0.8 + 0.8) / 3)
    assert found["point_probability"] == pytest.approx(1, abs=1e-4)
    rows = split.rows
    assert rows.index.tolist() == NAMES
    assert rows["extra"].tolist() == [-1] * 4 + [1] * 3 + [-1] * 5
    np.testing.assert_allclose(rows["together"][4:7], [0.8, 0.8, 1.0], rtol=1e-6)
    assert rows["together"].isna().sum() == 9
    assert rows["agrees"].tolist() == (GROUPS != 1).tolist()
    assert split.n_clusters == (3, 2)
    assert split.adjusted_rand_index == bm.adjusted_rand_index(GROUPS, TWO)
    assert repr(split).split("\n") == [
        "EM has 3 clusters, the posterior 2.",
        "EM's component 1 has 3 rows (r4, r5, r6), all in the posterior's cluster 0: with the 4 "
        "other rows there they are together with posterior probability 0.87, with each other with "
        "0.87. The posterior sees no border there.",
    ]
    html = split._repr_html_()
    assert html.count("<li>") == 2
    assert "EM&#x27;s component 1" in html
    assert "<table" in html


def test_a_cluster_of_the_posterior_that_the_point_has_not():
    """The partition is found, not given: that of nine draws in ten."""
    post = tree_of(LINE, [GROUPS] * 9 + [TWO])
    found = disputed_rows(point_at([1.5, 10.0], sd=1.5), post, name="BIC", random_seed=1)
    assert found.n_clusters == (2, 3)
    extra, parent = found.table.index[0], found.table["parent"].iloc[0]
    assert found.rows["extra"].tolist() == [-1] * 4 + [extra] * 3 + [-1] * 5
    assert (parent, found.table["together"].iloc[0]) == (0, pytest.approx(0.1))
    assert found.sentences() == [
        "BIC has 2 clusters, the posterior 3.",
        f"The posterior's cluster {extra} has 3 rows (r4, r5, r6), all in BIC's component 0: with "
        "the 4 other rows there they are together with posterior probability 0.10, with each other "
        "with 1.00. The posterior sees a border there.",
    ]


def test_doubt_has_a_word_and_one_row_no_pair():
    post = tree_of(LINE, [TWO, GROUPS])
    alone = np.where(np.arange(12) == 6, 7, TWO)  # as posterior's cluster
    found = disputed_rows(point_at([1.5, 10.0], sd=1.5), post, partition=alone)
    assert np.isnan(found.table.loc[7, "within"])
    assert found.sentences()[1] == (
        "The posterior's cluster 7 has 1 row (r6), all in EM's component 0: with the 6 other rows "
        "there they are together with posterior probability 0.67. The posterior is in doubt "
        "whether there is a border."
    )


def test_as_many_clusters_are_no_dispute_but_rows_may_be():
    moved = np.where(np.arange(12) == 6, 2, GROUPS)
    post = tree_of(LINE, [GROUPS, moved])
    same = disputed_rows(point_at(CENTERS), post, partition=(GROUPS + 1) % 3)
    assert same.sentences() == [
        "EM and the posterior have 3 clusters each, of the same rows: no cluster is in dispute."
    ]
    assert same.adjusted_rand_index == 1
    assert same.table.empty
    assert list(same.table) == list(disputed_rows(point_at(CENTERS), post, partition=TWO).table)
    assert "<table" not in same._repr_html_()
    other = disputed_rows(point_at(CENTERS), post, partition=moved)
    assert other.rows.index[~other.rows["agrees"]].tolist() == ["r6"]
    assert other.sentences() == [
        "EM and the posterior have 3 clusters each: no cluster is in dispute.",
        f"1 row (r6) is placed otherwise; adjusted Rand index {other.adjusted_rand_index:.2f}.",
    ]


def test_components_without_rows_are_not_counted():
    point = point_at([*CENTERS, 50.0, 60.0])
    found = disputed_rows(point, tree_of(LINE, [GROUPS]), partition=GROUPS)
    assert found.n_clusters == (3, 3)
    assert found.sentences()[1] == (
        "2 components of EM are the most probable of no row, and not counted."
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("of_point", [True, False])
def test_matching_and_probabilities_by_brute_force(seed, of_point):
    """All ways to match clusters one to one, all pairs of rows at all draws."""
    rng = np.random.default_rng(seed)
    n = 30
    fine, coarse = rng.integers(0, 5, n), 10 + rng.integers(0, 3, n)
    draws = rng.integers(0, 4, (20, n))
    one, other = (fine, coarse) if of_point else (coarse, fine)
    point = point_at(10.0 * np.arange(one.max() + 1))
    found = disputed_rows(point, tree_of(10.0 * one[:, None], draws), partition=other)

    def in_common(j, k):
        return ((fine == j) & (coarse == k)).sum() / ((fine == j) | (coarse == k)).sum()

    ways = list(permutations(range(5), 3))
    sums = [sum(in_common(j, 10 + k) for k, j in enumerate(way)) for way in ways]
    best = ways[int(np.argmax(sums))]
    assert sorted(found.table.index) == sorted(set(range(5)) - set(best))
    expected = np.isin(fine, best) & (np.array([*best, -1])[coarse - 10] == fine)
    assert found.rows["agrees"].tolist() == expected.tolist()
    together = (draws[:, :, None] == draws[:, None, :]).mean(axis=0)
    for j, row in found.table.iterrows():
        parent = np.bincount(coarse[fine == j]).argmax()
        own, rest = np.flatnonzero(fine == j), np.flatnonzero((coarse == parent) & (fine != j))
        pairs = [together[i, m] for i in own for m in own if i != m]
        assert row["parent"] == parent
        assert row["together"] == pytest.approx(together[np.ix_(own, rest)].mean(), rel=1e-6)
        assert row["within"] == pytest.approx(np.mean(pairs), rel=1e-6)
        by_row = together[np.ix_(own, rest)].mean(axis=1)
        np.testing.assert_allclose(found.rows["together"].iloc[own], by_row, rtol=1e-6)


@pytest.mark.parametrize(
    ("point", "partition", "message"),
    [
        (point_at(np.zeros((2, 2))), TWO, r"point: expected 1 feature\(s\), .* got 2"),
        (point_at(CENTERS), TWO[:5], r"partition: expected one whole number .* 12 rows .* \(5,\)"),
        (point_at(CENTERS), TWO / 2, "partition: expected one whole number .* got float64"),
    ],
)
def test_bad_arguments(point, partition, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        disputed_rows(point, tree_of(LINE, [TWO]), partition=partition)


@pytest.mark.slow
def test_faithful():
    """BIC of tied covariances picks three; the posterior's two are told from labels and without."""
    x = bm.datasets.load("faithful")
    mixture = bm.Mixture(bm.Dirichlet(2), bm.weakly_informative(x))
    post = sample_quietly(mixture, x, draws=500, random_seed=1)
    em = bm.GaussianMixture(3, covariance_type="tied", random_state=1).fit(x)
    found = disputed_rows(em, post, name="BIC", random_seed=1)
    of_labels = disputed_rows(em, post.drop_nodes("allocation"), partition=found.rows["label"])
    assert found.n_clusters == (3, 2)
    assert found.rows["point_label"].tolist() == em.predict(x).tolist()
    row = found.table.iloc[0]
    assert (row["size"], row["shared"]) == (41, 41)
    assert row["together"] > 0.99
    assert row["together"] == pytest.approx(of_labels.table["together"].iloc[0], abs=0.01)
    assert found.sentences()[1].endswith("The posterior sees no border there.")


def scatters(ax):
    return {s.get_label(): s for s in ax.collections if type(s) is PathCollection}


PLANE = pd.DataFrame(
    {
        "flat": np.linspace(0, 1, 12),
        "wide": 4.0 * (GROUPS == 1) + np.linspace(0, 1, 12),
        "none": np.tile([0.0, 30.0], 6),
        "far": 100.0 * GROUPS,
    }
)


class TestPicture:
    def test_a_line(self, split):
        ax = split.plot()
        found, rows = scatters(ax), LINE["size"].to_numpy()
        own, others = found["component 1: 3 rows"], found["9 other rows"]
        assert same_color(own.get_facecolors()[0], (*plt.matplotlib.colors.to_rgb(color(1)), 0.8))
        np.testing.assert_array_equal(own.get_offsets()[:, 0], rows[4:7])
        np.testing.assert_array_equal(others.get_offsets()[:, 0], rows[np.r_[0:4, 7:12]])
        assert (own.get_offsets()[:, 1] < 0).all()
        assert ax.get_xlabel() == "size"
        assert all(tick >= 0 for tick in ax.get_yticks())
        *parts, whole, _ = (line.get_xydata() for line in ax.get_lines())
        assert len(parts) == 3
        np.testing.assert_allclose(sum(part[:, 1] for part in parts), whole[:, 1], rtol=1e-9)
        assert np.trapezoid(whole[:, 1], whole[:, 0]) == pytest.approx(1, abs=0.05)

    @pytest.fixture
    def planar(self):
        means = PLANE.groupby(GROUPS).mean().to_numpy()
        return disputed_rows(point_at(means), tree_of(PLANE, [TWO]), partition=TWO, name="BIC")

    def test_features_that_tell_are_the_default(self, planar):
        ax = planar.plot()
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("wide", "far")
        own = scatters(ax)["component 1: 3 rows"].get_offsets()
        np.testing.assert_array_equal(own, PLANE.loc[4:6, ["wide", "far"]])
        outlines = [line.get_xydata() for line in ax.get_lines()]
        assert len(outlines) == 3
        at = planar.point.means[1][[1, 3]]
        sample = np.random.default_rng(1).normal(at, 0.5, size=(4000, 2))
        assert Path(outlines[1]).contains_points(sample).mean() == pytest.approx(0.9, abs=0.025)
        assert ax.get_legend().get_texts()[0].get_text() == "BIC, 90% of each component inside"

    def test_many_rows_are_thinned(self, planar, monkeypatch):
        monkeypatch.setattr(rows_of_plots, "MAX_ROWS", 2)
        shown = scatters(planar.plot())
        count = len(planar.rows) - 3
        assert list(shown)[:2] == [f"{count} other rows, 2 shown", "component 1: 3 rows, 2 shown"]
        assert [len(drawn.get_offsets()) for drawn in shown.values()][:2] == [2, 2]

    def test_features_may_be_chosen(self, planar):
        ax = planar.plot(features=("far", "none"))
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("far", "none")
        given = plt.subplots()[1]
        assert planar.plot(features=("wide",), ax=given) is given
        for wrong in ((), ("far", "far"), ("far", "wide", "none")):
            with pytest.raises(ValueError, match=r"^features: expected one or two different names"):
                planar.plot(features=wrong)
        with pytest.raises(ValueError, match=r"^features: expected names among flat, wide"):
            planar.plot(features=("absent",))

    def test_rows_placed_otherwise_are_ringed(self):
        moved = np.where(np.arange(12) == 6, 2, GROUPS)
        found = disputed_rows(point_at(CENTERS), tree_of(LINE, [GROUPS]), partition=moved)
        shown = scatters(found.plot())
        assert list(shown) == ["12 other rows", "1 row of these placed otherwise"]
        assert shown["1 row of these placed otherwise"].get_offsets()[0, 0] == LINE["size"].iloc[6]

    def test_clusters_of_the_posterior(self):
        post = tree_of(LINE, [GROUPS])
        found = disputed_rows(point_at([1.5, 10.0], sd=1.5), post, partition=GROUPS)
        assert "posterior's cluster 1: 3 rows" in scatters(found.plot())


def test_a_verdict_against_the_posteriors_own_partition_says_so():
    """Of the draws nine in ten part what the partition given joins; or join what it parts."""
    post = tree_of(LINE, [GROUPS] * 9 + [TWO])
    found = disputed_rows(point_at(CENTERS), post, partition=TWO)
    assert found.sentences()[1].endswith(
        "The posterior sees a border there, although its partition has none."
    )
    post = tree_of(LINE, [TWO] * 9 + [GROUPS])
    found = disputed_rows(point_at([1.5, 10.0], sd=1.5), post, partition=GROUPS)
    assert found.sentences()[1].endswith(
        "The posterior sees no border there, although its partition has one."
    )
