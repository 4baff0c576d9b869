"""What the pictures of parameters and numbers show, read off their artists."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.colors import same_color
from scipy import stats

import bayesmix as bm
from bayesmix import plots
from bayesmix.membership import interval
from bayesmix.plots.numbers import posterior_bars
from bayesmix.plots.style import color, marker
from tests.fixtures_post import (
    OVERLAPPING,
    SEPARATED,
    completed,
    permuted,
    planted,
    point_dataset,
    random_permutations,
)
from tests.fixtures_varying import VARYING, planted_varying, varying_mixture
from tests.support import random_prior, rows_of

pytestmark = pytest.mark.usefixtures("agg")

X = rows_of(SEPARATED, 80)
PRIOR = random_prior(2)


def varying(name: str):
    return planted_varying(SEPARATED, X, varying_mixture(VARYING[name]))[0]


def fixed(weights, point=SEPARATED):
    return completed(planted(point, X), bm.Mixture(weights, PRIOR))


def line(ax, label: str):
    """The one line of a label."""
    (found,) = [own for own in ax.get_lines() if own.get_label().startswith(label)]
    return found


def legend(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


class TestNumberOfClusters:
    def test_bars_are_the_posterior_beside_the_prior(self):
        post = varying("DP")
        ax = plots.n_clusters(post)
        found, prior = bm.n_clusters(post), bm.prior_n_clusters(VARYING["DP"], len(X))
        posterior, before = (bars for bars in ax.containers if hasattr(bars, "patches"))
        assert [bar.get_height() for bar in posterior] == found["n_clusters"].tolist()
        k = len(found)
        np.testing.assert_allclose([bar.get_height() for bar in before], prior[:k])
        assert all(bar.get_hatch() for bar in before)
        assert not any(bar.get_hatch() for bar in posterior)
        for number, (one, other) in enumerate(zip(posterior, before, strict=True), start=1):
            assert one.get_x() + one.get_width() == pytest.approx(number)
            assert other.get_x() == pytest.approx(number)
        said = f"clusters K₊, prior ({1 - prior[:k].sum():.0%} beyond {k})"
        assert legend(ax) == ["clusters K₊, posterior", said]
        assert ax.get_xlabel() == "number of clusters"

    def test_errors_where_the_draws_tell_them(self):
        post = varying("DP")
        ax = plots.n_clusters(post)
        found = bm.n_clusters(post).dropna(subset="n_clusters_mcse")
        (errors,) = [c for c in ax.containers if not hasattr(c, "patches")]
        segments = np.array(errors.lines[2][0].get_segments())
        np.testing.assert_allclose(segments[:, 1, 1] - segments[:, 0, 1], 4 * found.n_clusters_mcse)
        np.testing.assert_allclose(segments[:, 0, 0], found.index - 0.2)

    def test_a_random_number_of_components_is_marked(self):
        post = varying("MFM")
        ax = plots.n_clusters(post)
        found = bm.n_clusters(post)["n_components"]
        shown = found[: len(line(ax, "components K, posterior").get_xdata())]
        np.testing.assert_array_equal(line(ax, "components K, posterior").get_ydata(), shown)
        assert found[len(shown) :].max() < 0.005 or len(found) == len(shown)
        prior = line(ax, "components K, prior")
        np.testing.assert_allclose(prior.get_ydata(), 1 / 30)  # UniformK(1, 30)
        assert f"({1 - len(shown) / 30:.0%} beyond {len(shown)})" in prior.get_label()
        assert prior.get_fillstyle() == "none"
        assert ax.get_xlabel() == "number of clusters, or of components"

    def test_the_prior_is_left_out_where_it_is_not_known(self):
        for post in (fixed(bm.Dirichlet(3, [1, 2, 3])), planted(SEPARATED, X)):
            ax = plots.n_clusters(post)
            assert legend(ax) == ["clusters K₊, posterior"]
            first = ax.containers[0].patches[0]
            assert first.get_x() + first.get_width() / 2 == pytest.approx(1)
            assert "prior" not in ax.get_title()

    def test_numbers_that_are_hardly_possible_get_no_place(self):
        numbers = np.where(np.arange(1000) == 500, 9, 2)[None]
        assert len(plots.n_clusters(self.counted(numbers, VARYING["DP"])).containers[0]) == 2

    def counted(self, numbers: np.ndarray, weights, **others: np.ndarray) -> xr.DataTree:
        """A tree of which only numbers by draw are known."""
        by_draw = {"n_clusters": numbers, **others}
        found = xr.Dataset({name: (("chain", "draw"), own) for name, own in by_draw.items()})
        tree = xr.DataTree.from_dict({"posterior": found})
        tree.attrs["bayesmix_model"] = bm.Mixture(weights, PRIOR).to_json()
        return tree

    def test_a_truncation_asks_for_no_place(self):
        """It is a setting: only numbers that the posterior holds possible are on the axis."""
        numbers = np.random.default_rng(0).integers(2, 5, size=(2, 100))
        process = bm.DirichletProcess(1.0, truncation=40)
        ax = plots.n_clusters(self.counted(numbers, process))
        assert len(ax.containers[0]) == 4
        assert ax.get_xlim() == (0.4, 4.6)

    def test_numbers_of_which_each_is_improbable_have_their_place(self):
        """A share of 0.003 each is much together: nothing is cut off without a word."""
        numbers = np.arange(1, 301).reshape(2, 150)
        ax = plots.n_clusters(self.counted(numbers, VARYING["DP"]))
        drawn = [bar.get_height() for bar in ax.containers[0]]
        assert sum(drawn) > 0.995
        assert len(drawn) == 299

    def test_components_without_rows_have_their_place(self):
        numbers = np.full((2, 50), 2)
        tree = self.counted(numbers, VARYING["MFM"], n_components=np.repeat([[2], [6]], 50, axis=1))
        ax = plots.n_clusters(tree)
        assert line(ax, "components K, posterior").get_ydata().tolist() == [0, 0.5, 0, 0, 0, 0.5]

    def test_axes_given(self):
        _, given = plt.subplots()
        assert plots.n_clusters(fixed(bm.Dirichlet(3)), ax=given) is given
        assert given.get_ylim()[0] == 0


class TestSticks:
    def test_the_largest_weights_of_every_draw(self):
        post = varying("DP, stated")
        ax = plots.sticks(post, n_shown=2)
        weights = np.nan_to_num(post["components"]["weights"].values.reshape(120, -1))
        own = -np.sort(-weights)[:, :2]
        values = np.column_stack([own, 1 - own.sum(axis=1)])
        drawn = line(ax, "posterior")
        np.testing.assert_allclose(drawn.get_ydata(), values.mean(axis=0))
        np.testing.assert_allclose(drawn.get_xdata(), np.arange(3) - 0.14)
        segments = np.array(ax.collections[0].get_segments())
        expected = np.quantile(values, interval(None), axis=0).T
        np.testing.assert_allclose(segments[:, :, 1], expected)
        assert [text.get_text() for text in ax.get_xticklabels()] == ["1", "2", "all\nothers"]
        assert legend(ax) == ["posterior", "prior"]

    def test_the_prior_of_a_dirichlet_process(self):
        """The largest weight under concentration 1 has the mean 0.6243, Golomb and Dickman's."""
        largest, second, _ = line(
            plots.sticks(varying("DP, stated"), n_shown=2), "prior"
        ).get_ydata()
        assert largest == pytest.approx(0.6243, abs=0.016)  # four errors of 2,000 simulations
        assert second == pytest.approx(0.2096, abs=0.01)

    def test_the_prior_of_a_truncated_process(self):
        """Two pieces of a stick broken at a uniform place: the larger has the mean 3/4."""
        process = bm.DirichletProcess(1.0, truncation=2)
        ax = plots.sticks(fixed(process, OVERLAPPING))
        np.testing.assert_allclose(line(ax, "prior").get_ydata(), [0.75, 0.25, 0], atol=0.013)
        np.testing.assert_allclose(line(ax, "posterior").get_ydata()[-1], 0, atol=1e-12)

    @pytest.mark.parametrize("random", ["discount", "concentration"])
    def test_what_is_random_is_drawn(self, random):
        """Of two pieces the first is Beta(1 - d, alpha + d): E[the larger], by quadrature."""
        middles = (np.arange(500) + 0.5) / 500
        if random == "discount":
            process = bm.PitmanYor(1.0, bm.Beta(1, 1), truncation=2)
            a, b = 1 - middles, 1 + middles
        else:
            process = bm.DirichletProcess(bm.Gamma(2, 4), truncation=2)
            a, b = np.ones(500), stats.gamma(2, scale=1 / 4).ppf(middles)
        first = a / (a + b) * stats.beta(a + 1, b).sf(0.5)
        second = b / (a + b) * stats.beta(a, b + 1).cdf(0.5)
        post = planted(OVERLAPPING, X)
        post.attrs["bayesmix_model"] = bm.Mixture(process, PRIOR).to_json()
        drawn = line(plots.sticks(post), "prior").get_ydata()[0]
        assert drawn == pytest.approx((first + second).mean(), abs=0.014)

    def test_same_again(self):
        post = varying("PY")
        one, other = (line(plots.sticks(post), "prior").get_ydata() for _ in range(2))
        np.testing.assert_array_equal(one, other)

    @pytest.mark.parametrize("post", [fixed(bm.Dirichlet(3)), planted(SEPARATED, X)])
    def test_other_weights(self, post):
        with pytest.raises(ValueError, match="expected draws under DirichletProcess or PitmanYor"):
            plots.sticks(post)


@pytest.fixture(scope="module")
def trees():
    """Draws whose components are in random order, and the same in the order of the point."""
    straight = planted(SEPARATED, pd.DataFrame(X, columns=["east", "north"]))
    mixed = permuted(straight, random_permutations(straight))
    point = point_dataset(SEPARATED, ("east", "north"))
    return mixed, bm.relabel(mixed, reference=point), straight


class TestSwitching:
    def test_before_and_after(self, trees):
        mixed, relabeled, straight = trees
        above, below = plots.switching(mixed, relabeled, feature="north")
        for ax, tree in ((above, mixed), (below, straight)):
            values = tree["posterior"]["means"].sel(feature="north").values.reshape(80, 3)
            for k in range(3):
                drawn = line(ax, str(k))
                np.testing.assert_array_equal(drawn.get_xdata(), np.arange(80))
                np.testing.assert_allclose(drawn.get_ydata(), values[:, k])
                assert same_color(drawn.get_color(), color(k))
                assert drawn.get_marker() == marker(k)
        attrs = relabeled["relabeling"].attrs
        said = f"Relabeled (method parameters): {attrs['moved']:.0%} of the draws renamed"
        assert (above.get_title("left"), below.get_title("left")) == ("As sampled", said)
        assert {above.get_ylabel(), below.get_ylabel()} == {"mean of north"}
        assert below.get_xlabel() == "draw, 2 chains one after the other"
        (key,) = below.figure.legends
        assert [text.get_text() for text in key.get_texts()] == ["0", "1", "2"]

    def test_weights(self, trees):
        mixed, relabeled, _ = trees
        above, _ = plots.switching(mixed, relabeled, variable="weights")
        weights = mixed["posterior"]["weights"].values.reshape(80, 3)
        np.testing.assert_array_equal(line(above, "1").get_ydata(), weights[:, 1])
        assert above.get_ylabel() == "weight"

    def test_by_default_it_relabels_and_takes_the_feature_that_tells_most(self, trees):
        above, below = plots.switching(trees[0])
        assert above.get_ylabel() == "mean of east"  # -5, 0 and 12, where north has 0, 3 and 14
        spread = [np.std(own.get_ydata()) for own in below.get_lines()[:3]]
        assert max(spread) < 0.1 < min(np.std(own.get_ydata()) for own in above.get_lines()[:3])

    def test_lines_between_chains(self, trees):
        above, _ = plots.switching(*trees[:2])
        borders = [own for own in above.get_lines() if len(own.get_xdata()) == 2]
        assert [own.get_xdata()[0] for own in borders] == [39.5]

    def test_it_says_where_components_do_not_separate(self):
        same = OVERLAPPING._replace(means=np.zeros((2, 2)))
        mixed = planted(same, rows_of(same, 60), spread=0.3)
        relabeled = bm.relabel(mixed)
        rate = relabeled["relabeling"].attrs["non_permutation_rate"]
        said = plots.switching(mixed, relabeled)[1].get_title("left")
        assert said.endswith(f"\nin {rate:.0%} of the draws components do not separate")

    def test_many_draws_are_thinned_evenly(self):
        tree = planted(OVERLAPPING, X, draws=1000)
        drawn = line(plots.switching(tree)[0], "0").get_xdata()
        assert (len(drawn), drawn[0], drawn[-1]) == (1_500, 0, 1999)
        assert set(np.diff(drawn)) == {1, 2}

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"feature": "west"}, "feature: expected one of east, north, got 'west'"),
            ({"variable": "sds"}, "variable: expected 'means' or 'weights', got 'sds'"),
        ],
    )
    def test_options_that_are_none(self, trees, options, match):
        with pytest.raises(ValueError, match=match):
            plots.switching(*trees[:2], **options)

    def test_trees_that_do_not_belong(self, trees):
        mixed, relabeled, straight = trees
        with pytest.raises(ValueError, match="post: expected draws as they were sampled"):
            plots.switching(relabeled)
        with pytest.raises(ValueError, match="relabeled: expected what relabel"):
            plots.switching(mixed, straight)
        with pytest.raises(ValueError, match="relabeled: expected the draws of post"):
            plots.switching(mixed.isel(draw=slice(10)), relabeled)
        with pytest.raises(ValueError, match="the same components in every draw"):
            plots.switching(varying("DP"))


def grid(**columns) -> pd.DataFrame:
    """A table as `fit_grid` returns it: two structures, three numbers of components."""
    index = pd.MultiIndex.from_product(
        [["tied", "full"], [1, 2, 3]], names=["covariance_type", "n_components"]
    )
    bic = [30.0, 25.0, 27.0, 30.0, 20.0, np.nan]
    status = ["converged", "max_iter", "converged", "converged", "unconfirmed", "singular"]
    values = np.array(bic)
    icl = values + np.array([0, 2, 3, 0, 9, 9])
    table = {"bic": values, "aic": values - 5, "icl": icl, "status": status}
    return pd.DataFrame(table | columns, index)


class TestCriteria:
    def test_a_line_per_structure(self):
        ax = plots.criteria(grid())
        for i, structure in enumerate(("tied", "full")):
            drawn = line(ax, structure)
            np.testing.assert_array_equal(drawn.get_xdata(), [1, 2, 3])
            np.testing.assert_array_equal(drawn.get_ydata(), grid().loc[structure, "bic"])
            assert same_color(drawn.get_color(), color(i))
            assert drawn.get_marker() == marker(i)
        assert ax.get_ylabel() == "BIC, low is good"
        assert legend(ax) == [
            *("tied", "full", "lowest", "no genuine optimum", "max iter, unconfirmed")
        ]

    def test_ticks_say_what_they_are(self):
        """Rounded to whole numbers, ticks half a unit apart read 22, 22, 23."""
        written = plots.criteria(grid()).yaxis.get_major_formatter()
        assert [written(value) for value in (22.5, 2322.0, 0.1 + 0.2)] == ["22.5", "2,322", "0.3"]

    def test_a_line_per_criterion(self):
        ax = plots.criteria(grid().loc[["tied"]])
        assert legend(ax) == ["BIC", "ICL", "AIC", "lowest", "max iter"]
        np.testing.assert_array_equal(line(ax, "ICL").get_ydata(), [30, 27, 30])
        assert len({line(ax, name).get_linestyle() for name in ("BIC", "ICL", "AIC")}) == 3
        assert ax.get_title() == "tied covariances"
        assert ax.get_ylabel() == "criterion, low is good"

    def test_both(self):
        ax = plots.criteria(grid(), criteria=["bic", "icl"])
        one, other = line(ax, "full, BIC"), line(ax, "full, ICL")
        assert one.get_color() == other.get_color()
        assert one.get_linestyle() != other.get_linestyle()

    def rings(self, ax) -> list[tuple[float, float]]:
        rings = [own for own in ax.get_lines() if own.get_markersize() == 13]
        return [(own.get_xdata()[0], own.get_ydata()[0]) for own in rings]

    def test_the_lowest_of_every_criterion_is_ringed(self):
        assert self.rings(plots.criteria(grid())) == [(2, 20)]
        assert self.rings(plots.criteria(grid(), criteria=["icl", "aic"])) == [(2, 27), (2, 15)]

    def test_fits_in_doubt_are_hollow(self):
        ax = plots.criteria(grid())
        hollow = [
            (*own.get_xdata(), *own.get_ydata())
            for own in ax.get_lines()
            if own.get_markerfacecolor() == "white"
        ]
        assert hollow == [(2, 25), (2, 20)]

    def test_no_genuine_optimum(self):
        ax = plots.criteria(grid())
        crosses = [
            own for own in ax.get_lines() if own.get_marker() == "x" and len(own.get_xdata())
        ]
        (own,) = crosses
        assert own.get_xdata().tolist() == [3]
        assert same_color(own.get_color(), color(1))
        assert 0 < own.get_ydata()[0] < 0.1  # of the height
        nothing = grid(bic=np.nan, aic=np.nan, icl=np.nan, status="singular")
        assert self.rings(plots.criteria(nothing)) == []

    def test_of_fits(self):
        table = bm.fit_grid(bm.datasets.load("faithful"), range(1, 3), ["tied"], random_seed=1)
        _, given = plt.subplots()
        ax = plots.criteria(table, criteria=["aic"], ax=given)
        assert ax is given
        np.testing.assert_array_equal(line(ax, "AIC").get_ydata(), table["aic"])

    @pytest.mark.parametrize(
        ("table", "options", "match"),
        [
            (grid().loc["full"], {}, "table: expected what bayesmix.fit_grid returns"),
            ([1, 2], {}, "table: expected what bayesmix.fit_grid returns"),
            (grid(), {"criteria": ["dic"]}, r"criteria: expected some of .*, got \['dic'\]"),
            (grid(), {"criteria": "bic"}, "criteria: expected some of"),
            (grid(), {"criteria": []}, "criteria: expected some of"),
        ],
    )
    def test_what_it_refuses(self, table, options, match):
        with pytest.raises(ValueError, match=match):
            plots.criteria(table, **options)


class TestTraces:
    @pytest.mark.parametrize(
        ("apart", "said"),
        [(0.0, ": the chains agree"), (0.7, "the chains have not quite met"), (9.0, "disagree")],
    )
    def test_titles_say_whether_chains_agree(self, apart, said):
        post = planted(OVERLAPPING, X, chains=2, draws=400)
        rng = np.random.default_rng(0)
        log_likelihood = rng.normal(size=(2, 400)) + np.array([[0.0], [apart]])
        stats = {"log_likelihood_total": (("chain", "draw"), log_likelihood)}
        post["sample_stats"] = xr.DataTree(xr.Dataset(stats))
        assert plots.traces(post)[0, 0].get_title().endswith(said)

    @pytest.mark.parametrize("draws", [2, 3])
    def test_what_r_hat_cannot_judge_does_not_agree(self, draws):
        titles = [ax.get_title() for ax in plots.traces(planted(OVERLAPPING, X, draws=draws))[:, 0]]
        assert titles == 2 * ["not judged: R-hat takes at least 4 draws of every chain"]

    def test_draws_that_were_chosen_are_of_no_chain(self):
        grid = plots.traces(bm.relabel(varying("MFM"), n_clusters=2))
        assert [ax.get_title() for ax in grid[:, 0]] == 2 * ["not judged: these draws join chains"]
        assert legend(grid[0, 1]) == ["all chains"]

    def test_chains_that_stand_still_apart_disagree(self):
        post = planted(OVERLAPPING, X, draws=20)
        still = np.broadcast_to([[-5.0], [-9.0]], (2, 20))
        stats = {"log_likelihood_total": (("chain", "draw"), still)}
        post["sample_stats"] = xr.DataTree(xr.Dataset(stats))
        assert plots.traces(post)[0, 0].get_title().endswith("the chains disagree")


def test_errors_stay_probabilities():
    ax = plt.subplots()[1]
    p, error = pd.Series([0.98, 0.02]), pd.Series([0.05, 0.05])
    posterior_bars(ax, np.array([1.0, 2.0]), p, error, "posterior")
    (lines,) = ax.containers[1][2]
    ends = np.array(lines.get_segments())[:, :, 1]
    np.testing.assert_allclose(ends, [[0.88, 1], [0, 0.12]], atol=1e-12)


def test_a_number_of_components_is_checked():
    with pytest.raises(ValueError, match="n_components: expected"):
        bm.MixtureOfFiniteMixtures(bm.UniformK(1, 9)).given(0)
