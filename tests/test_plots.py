"""What the pictures show, read off their artists."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import same_color
from matplotlib.contour import QuadContourSet
from matplotlib.path import Path
from scipy import stats

import bayesmix as bm
from bayesmix import plots
from bayesmix.diagnostics import label_invariant
from bayesmix.plots import columns, rows
from bayesmix.plots.density import histogram
from tests.fixtures_post import OVERLAPPING, SEPARATED, planted, point_dataset, posterior_of
from tests.fixtures_varying import planted_varying, varying_line
from tests.support import Parameters, random_parameters, rows_of

pytestmark = pytest.mark.usefixtures("agg")

FEATURES = ("east", "north")
N = 150


def tree_of(point: Parameters, features: tuple[str, ...]) -> xr.DataTree:
    return xr.DataTree.from_dict({"point_estimate": point_dataset(point, features)})


@pytest.fixture(scope="module")
def post():
    return posterior_of(OVERLAPPING, FEATURES)


@pytest.fixture(scope="module")
def em():
    return tree_of(OVERLAPPING, FEATURES)


@pytest.fixture(scope="module")
def varying():
    """Draws of three components, and of one or two fewer."""
    return planted_varying(SEPARATED, rows_of(SEPARATED, 80), chains=2, draws=15)[0]


@pytest.fixture(scope="module")
def comparison(em, post):
    return bm.compare_to_posterior(em, post)


def share_inside(outline: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> float:
    """Share of a component's own draws that an outline holds."""
    draws = np.random.default_rng(1).multivariate_normal(mean, covariance, size=20_000)
    return Path(outline).contains_points(draws).mean()


def tolerance(coverage: float) -> float:
    """Five standard errors of 20,000 draws; the polygon of 100 corners loses less than 0.001."""
    return 5 * np.sqrt(coverage * (1 - coverage) / 20_000) + 0.001


def of_type(ax: plt.Axes, cls: type) -> list:
    return [artist for artist in ax.collections if type(artist) is cls]


class TestClusters:
    @pytest.mark.parametrize("coverage", [0.5, 0.9, 0.99])
    def test_ellipses_hold_their_share(self, post, em, coverage):
        ax = plots.clusters(post, em, coverage=coverage)
        lines = ax.get_lines()
        assert len(lines) == 2
        for line, mean, covariance in zip(lines, *OVERLAPPING[1:], strict=True):
            assert same_color(line.get_color(), "black")
            share = share_inside(line.get_xydata(), mean, covariance)
            assert abs(share - coverage) < tolerance(coverage)
        of_draws = of_type(ax, LineCollection)
        assert len(of_draws) == 2
        group = post["posterior"]
        for k, collection in enumerate(of_draws):
            outlines = collection.get_segments()
            assert len(outlines) == 60
            for outline, (c, s) in ((outlines[0], (0, 0)), (outlines[-1], (1, 49))):
                mean, covariance = (group[v].values[c, s, k] for v in ("means", "covariances"))
                assert abs(share_inside(outline, mean, covariance) - coverage) < tolerance(coverage)
        texts = [text.get_text() for text in ax.get_legend().get_texts()]
        assert f"point, {coverage:.0%} inside" in texts

    def test_without_a_point_there_is_no_black(self, post):
        ax = plots.clusters(post)
        assert not ax.get_lines()
        assert not any("point" in text.get_text() for text in ax.get_legend().get_texts())

    def test_rows_are_drawn_once_each_uncertain_ones_hollow(self, post, em):
        found = bm.membership(post)
        ax = plots.clusters(post, em, found=found, legend=False)
        assert ax.get_legend() is None
        x = post["observed_data"]["x"].values
        label, sure = found["label"].values, found["label_probability"].values >= 0.95
        scatters = of_type(ax, PathCollection)
        assert 0 < sure.sum() < N
        hollow = [s for s in scatters if s.get_facecolors().size == 0]
        filled = [s for s in scatters if s.get_facecolors().size]
        for artists, certain in ((hollow, False), (filled, True)):
            drawn = [artist.get_offsets() for artist in artists]
            for k, own in enumerate(drawn):
                np.testing.assert_array_equal(own, x[(label == k) & (sure == certain)])
        assert len({s.get_paths()[0].vertices.tobytes() for s in filled}) == 2  # two markers

    def test_axes_have_names_and_are_the_ones_given(self, post):
        _, given = plt.subplots()
        ax = plots.clusters(post, ax=given)
        assert ax is given
        assert (ax.get_xlabel(), ax.get_ylabel()) == FEATURES
        assert plt.get_fignums() == [given.figure.number]
        assert plots.clusters(post).figure is not given.figure  # a new one, not the current one

    def test_any_two_features(self):
        point, names = random_parameters("full", 2, 3), ("a", "b", "c")
        post = posterior_of(point, names)
        ax = plots.clusters(post, tree_of(point, names), features=("c", "a"))
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("c", "a")
        at = [2, 0]
        outline = ax.get_lines()[1].get_xydata()
        share = share_inside(outline, point.means[1][at], point.covariances[1][np.ix_(at, at)])
        assert abs(share - 0.9) < tolerance(0.9)

    def test_components_follow_the_point(self, em):
        """An unrelabeled posterior is put in the point's order, so colors agree."""
        switched = planted(
            Parameters(*(values[::-1] for values in OVERLAPPING)),
            pd.DataFrame(rows_of(OVERLAPPING, N), columns=list(FEATURES)),
        )
        ax = plots.clusters(switched, em)
        for collection, mean in zip(of_type(ax, LineCollection), OVERLAPPING.means, strict=True):
            center = np.mean([s[:-1].mean(axis=0) for s in collection.get_segments()], axis=0)
            np.testing.assert_allclose(center, mean, atol=0.1)

    @pytest.mark.parametrize("names", [[1, 2], ["short", "long"], [1, 0]])
    def test_colors_go_by_place_whatever_the_names(self, post, names):
        named = post.copy()
        for group in ("posterior", "relabeling"):
            named[group] = xr.DataTree(post[group].to_dataset().assign_coords(component=names))
        expected = bm.membership(post)
        ax, plain = plots.clusters(named), plots.clusters(post)
        scatters = of_type(ax, PathCollection)
        for one, other in zip(scatters, of_type(plain, PathCollection), strict=True):
            np.testing.assert_array_equal(one.get_offsets(), other.get_offsets())
        legend = ax.get_legend()
        texts = [text.get_text() for text in legend.get_texts()]
        x, label = post["observed_data"]["x"].values, expected["label"].values
        for k, name in enumerate(names):
            handle = legend.legend_handles[texts.index(f"component {name}")]
            assert same_color(of_type(ax, LineCollection)[k].get_color()[0, :3], handle.get_color())
            (own,) = (
                scatter
                for scatter in scatters
                if len(scatter.get_facecolors())
                and same_color(scatter.get_facecolors()[0, :3], handle.get_color())
            )
            sure = expected["label_probability"].values >= 0.95
            np.testing.assert_array_equal(own.get_offsets(), x[(label == k) & sure])

    def test_many_rows_are_thinned(self, post, monkeypatch):
        monkeypatch.setattr(rows, "MAX_ROWS", 40)
        ax = plots.clusters(post)
        assert sum(len(s.get_offsets()) for s in of_type(ax, PathCollection)) == 40
        texts = [text.get_text() for text in ax.get_legend().get_texts()]
        assert texts[-1] == f"40 of {N} rows drawn"

    def test_a_component_without_rows_does_not_set_the_frame(self, post):
        far = post.copy(deep=True)
        far["posterior"]["means"][:, :5, 1] += 1000.0
        far["posterior"]["weights"][:, :, 1] = 1e-12
        limits = np.array([(ax := plots.clusters(far)).get_xlim(), ax.get_ylim()])
        x = far["observed_data"]["x"].values
        own, other = (np.vstack(of_type(ax, LineCollection)[k].get_segments()) for k in (0, 1))
        assert (other > limits[:, 1] + 500).any()
        drawn = np.concatenate([own, x])
        np.testing.assert_allclose(limits[:, 0], drawn.min(axis=0), atol=0.8)
        np.testing.assert_allclose(limits[:, 1], drawn.max(axis=0), atol=0.8)

    def test_ellipses_of_components_with_rows_are_in_the_frame(self):
        """However far they reach beyond the rows, as those of a few rows do."""
        post = planted(OVERLAPPING, np.repeat(OVERLAPPING.means, 2, axis=0), spread=1e-4)
        limits = np.array([(ax := plots.clusters(post)).get_xlim(), ax.get_ylim()])
        outline = np.vstack(of_type(ax, LineCollection)[0].get_segments())
        assert (limits[:, 0] <= outline.min(axis=0)).all()
        assert (limits[:, 1] >= outline.max(axis=0)).all()

    def test_a_few_wild_draws_do_not_set_the_frame(self, post):
        wild = post.copy(deep=True)
        wild["posterior"]["covariances"][0, :2] *= 1e4
        (low, high), (bottom, top) = (ax := plots.clusters(wild)).get_xlim(), ax.get_ylim()
        assert max(high - low, top - bottom) < 20

    @pytest.mark.parametrize("k", [9, 30])
    def test_a_long_legend_stands_beside_the_axes(self, k):
        many = planted(
            random_parameters("full", k, 2), np.random.default_rng(1).normal(size=(k, 2)), draws=4
        )
        ax = plots.clusters(many)
        ax.figure.draw_without_rendering()
        inside, legend = ax.get_window_extent(), ax.get_legend().get_window_extent()
        assert legend.x0 >= inside.x1
        assert legend.y0 >= 0
        assert legend.x1 <= ax.figure.bbox.x1

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"coverage": 0}, "coverage: expected a number between 0 and 1, got 0"),
            ({"coverage": 95}, "coverage: expected a number between 0 and 1, got 95"),
            (
                {"features": ("east", "west")},
                "^features: expected names among east, north, got 'west'",
            ),
        ],
    )
    def test_bad_arguments(self, post, options, message):
        with pytest.raises(ValueError, match=message):
            plots.clusters(post, **options)

    def test_one_feature_has_another_picture(self):
        point = random_parameters("full", 2, 1)
        with pytest.raises(ValueError, match=r"use plots\.density"):
            plots.clusters(posterior_of(point, ("a",)))


class TestPairs:
    @pytest.fixture
    def five(self):
        """Five features of which the second and fourth do not separate, the fourth least."""
        means = np.array([[0, 0, 0, 0, 0], [5, 0.1, 5, 0, 5]], float)
        point = Parameters(np.array([0.5, 0.5]), means, np.array([np.eye(5)] * 2))
        return point, posterior_of(point, tuple("abcde"))

    def test_the_best_separating_features(self, five):
        point, post = five
        grid = plots.pairs(post, tree_of(point, tuple("abcde")))
        assert grid.shape == (4, 4)
        shown = [[ax.get_visible() for ax in row] for row in grid]
        np.testing.assert_array_equal(shown, np.tri(4))
        assert [ax.get_xlabel() for ax in grid[3]] == ["a", "b", "c", "e"]
        assert [ax.get_ylabel() for ax in grid[:, 0]] == ["", "b", "c", "e"]
        assert len(grid[2, 0].get_lines()) == 2
        assert len(grid[0, 0].figure.legends) == 1
        assert len(plt.get_fignums()) == 1

    def test_panels_are_clusters_and_densities(self, post, em):
        grid = plots.pairs(post, em, coverage=0.7)
        alone = plots.clusters(post, em, coverage=0.7)
        for drawn, expected in zip(grid[1, 0].get_lines(), alone.get_lines(), strict=True):
            np.testing.assert_array_equal(drawn.get_xydata(), expected.get_xydata())
        for j, name in enumerate(FEATURES):
            expected = {
                line.get_label(): line for line in plots.density(post, em, feature=name).lines
            }
            for line in grid[j, j].get_lines():
                of_same = expected[line.get_label().removeprefix("on the diagonal: ")]
                np.testing.assert_array_equal(line.get_xydata(), of_same.get_xydata())
        assert grid[0, 0].get_xlim() == grid[1, 0].get_xlim()
        assert all(ax.get_legend() is None for ax in grid.flat)
        (legend,) = grid[0, 0].figure.legends
        texts = [text.get_text() for text in legend.get_texts()]
        assert "point, 70% inside" in texts
        assert texts[-4:] == [
            f"on the diagonal: {name}"
            for name in ("data", "posterior, 89%", "posterior mean", "point")
        ]

    def test_a_single_feature_is_its_density(self):
        point = random_parameters("full", 2, 1)
        grid = plots.pairs(posterior_of(point, ("a",)))
        assert grid.shape == (1, 1)
        assert grid[0, 0].get_xlabel() == "a"
        assert grid[0, 0].get_legend() is not None

    def test_where_components_vary_contours(self, varying):
        grid = plots.pairs(varying, coverage=0.8)
        panel, alone = (
            [c.levels for c in ax.collections if isinstance(c, QuadContourSet)][-1]
            for ax in (grid[1, 0], plots.contours(varying, coverage=0.8, n_draws=1))
        )
        np.testing.assert_array_equal(panel, alone)
        assert len(grid[1, 1].get_lines()) == 1
        (legend,) = grid[0, 0].figure.legends
        texts = [text.get_text() for text in legend.get_texts()]
        assert "posterior mean, 80% of new rows" in texts

    def test_of_chosen_draws_the_diagonal_has_the_data_alone(self, varying):
        grid = plots.pairs(bm.relabel(varying, n_clusters=3))
        assert not grid[0, 0].get_lines()
        assert sum(bar.get_width() * bar.get_height() for bar in grid[1, 1].patches) == (
            pytest.approx(1)
        )
        assert len(of_type(grid[1, 0], LineCollection)) == 3

    def test_a_single_feature_of_chosen_draws_is_its_histogram(self):
        grid = plots.pairs(bm.relabel(varying_line(), n_clusters=3))
        assert grid.shape == (1, 1)
        ax = grid[0, 0]
        assert not ax.get_lines()
        assert sum(bar.get_width() * bar.get_height() for bar in ax.patches) == pytest.approx(1)
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("length", "density")
        assert [text.get_text() for text in ax.get_legend().get_texts()] == ["data"]

    @pytest.mark.parametrize(("k", "d"), [(10, 2), (2, 2), (10, 3), (2, 4), (12, 4), (40, 2)])
    def test_the_legend_is_on_no_panel(self, k, d):
        point, names = random_parameters("full", k, d), tuple("abcd")[:d]
        grid = plots.pairs(posterior_of(point, names, 40, draws=3), tree_of(point, names))
        figure = grid[0, 0].figure
        figure.draw_without_rendering()
        legend = figure.legends[0].get_window_extent()
        assert figure.bbox.x0 <= legend.x0 < legend.x1 <= figure.bbox.x1
        for ax in grid[np.tri(d, dtype=bool)]:
            assert not ax.get_window_extent().overlaps(legend)
        assert figure.bbox.y0 <= legend.y0 < legend.y1 <= figure.bbox.y1


class TestDensity:
    @pytest.fixture
    def ax(self, post, em):
        return plots.density(post, em, feature="north", ci_prob=0.8)

    def curves(self, ax: plt.Axes) -> dict[str, np.ndarray]:
        return {line.get_label(): line.get_xydata() for line in ax.get_lines()}

    def test_the_point_is_its_marginal_density(self, ax):
        grid, values = self.curves(ax)["point"].T
        deviation = np.sqrt(OVERLAPPING.covariances[:, 1, 1])
        each = stats.norm.pdf(grid[:, None], OVERLAPPING.means[:, 1], deviation)
        np.testing.assert_allclose(values, each @ OVERLAPPING.weights, rtol=1e-12)

    def test_posterior_mean_and_band(self, ax, post):
        grid, mean = self.curves(ax)["posterior mean"].T
        weights, means, covariances = (
            post["posterior"][v].values.reshape(100, 2, *post["posterior"][v].shape[3:])
            for v in ("weights", "means", "covariances")
        )
        deviation = np.sqrt(covariances[..., 1, 1])
        each = stats.norm.pdf(grid[:, None, None], means[..., 1], deviation)
        draws = (each * weights).sum(axis=-1)
        np.testing.assert_allclose(mean, draws.mean(axis=1), rtol=1e-12)
        (band,) = ax.collections
        vertices = band.get_paths()[0].vertices
        for q in (0.1, 0.9):
            expected = np.quantile(draws, q, axis=1)
            outline = {(round(a, 9), round(b, 9)) for a, b in vertices}
            assert {(round(a, 9), round(b, 9)) for a, b in zip(grid, expected, strict=True)} <= (
                outline
            )
        assert band.get_label() == "posterior, 80%"

    def test_everything_has_mass_one(self, ax):
        for name, curve in self.curves(ax).items():
            assert np.trapezoid(*curve.T[::-1]) == pytest.approx(1, abs=0.02), name
        bars = sum(bar.get_width() * bar.get_height() for bar in ax.patches)
        assert bars == pytest.approx(1)

    def test_names(self, ax, post):
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("north", "density")
        assert ax.get_ylim()[0] == 0
        _, given = plt.subplots()
        assert plots.density(post, ax=given) is given
        assert given.get_xlabel() == "east"
        assert set(self.curves(given)) == {"posterior mean"}

    def test_bars_are_narrow_enough_for_two_modes(self):
        """Quartiles within far modes would make bars as wide as what is between them."""
        means, covariances = np.array([[0.0], [20.0]]), np.ones((2, 1, 1))
        ax = plots.density(posterior_of(Parameters(np.full(2, 0.5), means, covariances), ("a",)))
        heights = np.array([bar.get_height() for bar in ax.patches])
        assert len(heights) >= 12
        assert (heights == 0).sum() >= 5

    def test_unknown_feature(self, post):
        with pytest.raises(
            ValueError, match=r"^features: expected names among east, north, got 'west'"
        ):
            plots.density(post, feature="west")


class TestForest:
    def test_intervals_means_and_point(self, comparison):
        grid = plots.forest(comparison)
        table = comparison.components
        shown = [ax for ax in grid.flat if ax.get_visible()]
        expected = ["weight", "mean east", "mean north", "sd east", "sd north"]
        assert [ax.get_title() for ax in shown] == expected
        assert shown[0].figure.get_suptitle().endswith("black bar")
        for ax in shown:
            part = table[table["parameter"] == ax.get_title()]
            lines = ax.get_lines()
            assert len(lines) == 6
            for k, row in enumerate(part.itertuples()):
                interval, mean, point = lines[3 * k : 3 * k + 3]
                assert list(interval.get_xdata()) == [row.lower, row.upper]
                assert list(mean.get_xdata()) == [row.mean]
                assert list(point.get_xdata()) == [row.point]
                assert same_color(point.get_color(), "black")
                assert set(interval.get_ydata()) == {k}

    def test_of_many_features_those_that_separate_best(self):
        point, names = random_parameters("diag", 2, 6), tuple("abcdef")
        found = bm.compare_to_posterior(tree_of(point, names), posterior_of(point, names))
        grid = plots.forest(found)
        assert grid.shape == (3, 3)
        found_best = [names[j] for j in columns.separating_components(found.post, 4)]
        kinds = [f"{kind} {name}" for kind in ("mean", "sd") for name in found_best]
        assert [ax.get_title() for ax in grid.flat] == ["weight", *kinds]
        assert grid[0, 0].figure.get_suptitle().endswith("; 4 of 6 features")


class TestConfidence:
    def test_the_least_certain_rows(self, comparison):
        _, given = plt.subplots()
        ax = plots.confidence(comparison, n_rows=20, ax=given)
        assert ax is given
        rows = comparison.memberships.sort_values("posterior_probability").head(20)
        lines = {line.get_label(): line for line in ax.get_lines()}
        em = lines.pop("EM")
        np.testing.assert_array_equal(em.get_ydata(), rows["point_probability"])
        places = [tick.get_text() for tick in ax.get_xticklabels()]
        assert places == [str(name) for name in rows.index]
        drawn = {
            (x, y)
            for name, line in lines.items()
            if not name.startswith("_")
            for x, y in line.get_xydata()
        }
        assert drawn == set(enumerate(rows["posterior_probability"]))
        bars = [segment for c in of_type(ax, LineCollection) for segment in c.get_segments()]
        found = sorted((s[0, 0], s[0, 1], s[1, 1]) for s in bars)
        expected = zip(range(20), rows["posterior_lower"], rows["posterior_upper"], strict=True)
        np.testing.assert_allclose(found, list(expected))
        assert "20 least certain of 150 rows" in ax.get_xlabel()

    def test_overconfident_rows_stand_out(self, em):
        wide = bm.compare_to_posterior(em, posterior_of(OVERLAPPING, FEATURES, spread=0.4))
        assert wide.n_overconfident
        ax = plots.confidence(wide, n_rows=N)
        (name,) = [n for n in ax.get_legend_handles_labels()[1] if "95%" in n]
        (line,) = [line for line in ax.get_lines() if line.get_label() == name]
        rows = wide.memberships
        values = rows.loc[rows["overconfident"], "posterior_probability"]
        np.testing.assert_array_equal(np.sort(line.get_ydata()), np.sort(values))

    def test_fewer_rows_than_asked_for(self, comparison):
        ax = plots.confidence(comparison, n_rows=1000)
        assert f"{N} least certain of {N} rows" in ax.get_xlabel()


class TestTraces:
    def test_chains_of_what_no_relabeling_changes(self, post):
        grid = plots.traces(post)
        assert grid.shape == (2, 2)
        found = label_invariant(post, random_seed=0)
        expected = found["log_likelihood_total"], found["weights_sorted"].isel(rank=0)
        for (left, right), values in zip(grid, expected, strict=True):
            drawn = [line.get_ydata() for line in left.get_lines()]
            np.testing.assert_array_equal(drawn, values)
            assert left.get_ylabel()
            assert left.get_title().startswith("R-hat ")
            assert len(right.patches) == 2
        assert grid[1, 0].get_xlabel() == "draw"
        assert len(grid[0, 1].get_legend().get_texts()) == 2

    def test_one_chain(self, post):
        grid = plots.traces(post.isel(chain=[0]))
        assert len(grid[0, 0].get_lines()) == 1
        assert grid[0, 0].get_title() == "one chain"

    def test_a_constant_is_called_so(self):
        point = random_parameters("full", 1, 2)
        grid = plots.traces(posterior_of(point, FEATURES))
        assert grid[0, 0].get_title().startswith("R-hat ")
        assert grid[1, 0].get_title() == "constant"


@pytest.mark.parametrize(
    "draw",
    [
        lambda post, comparison: plots.clusters(post).figure,
        lambda post, comparison: plots.pairs(post)[0, 0].figure,
        lambda post, comparison: plots.density(post).figure,
        lambda post, comparison: plots.forest(comparison)[0, 0].figure,
        lambda post, comparison: plots.confidence(comparison).figure,
        lambda post, comparison: plots.traces(post)[0, 0].figure,
    ],
    ids=["clusters", "pairs", "density", "forest", "confidence", "traces"],
)
def test_renders(post, comparison, draw, tmp_path):
    """Layout and fonts, which the artists alone do not show."""
    figure = draw(post, comparison)
    figure.savefig(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 5000


def test_one_wild_value_does_not_ask_for_thousands_of_bars():
    point = Parameters(np.ones(1), np.zeros((1, 1)), np.ones((1, 1, 1)))
    tree = planted(point, np.append(rows_of(point, 300), [[1e5]], axis=0), draws=20)
    ax = bm.plots.density(tree)
    assert 1 <= len(ax.containers[0]) <= 200
    plt.close(ax.figure)


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        *(
            (draw, "comparison: expected what bayesmix.compare_to_posterior returns")
            for draw in (plots.forest, plots.confidence, plots.compared, plots.responsibilities)
        ),
        (plots.choice, "found: expected what bayesmix.choose_k returns"),
        (plots.disputed, "dispute: expected what bayesmix.disputed_rows returns"),
    ],
)
def test_results_of_others_are_refused_by_name(draw, said):
    with pytest.raises(ValueError, match=f"{said}, got DataFrame"):
        draw(pd.DataFrame({"a": [1.0]}))


class TestHistogram:
    def bars(self, values):
        ax = plt.subplots()[1]
        histogram(ax, np.asarray(values, float))
        return ax.containers[0]

    def test_many_bars_have_no_edges(self):
        few, many = (self.bars(np.random.default_rng(1).normal(size=n)) for n in (200, 100_000))
        assert len(few) < 60 <= len(many)
        assert few[0].get_edgecolor()[3] == 1
        assert many[0].get_edgecolor()[3] == 0

    def test_mostly_one_value_has_bars_by_the_deviation(self):
        values = np.r_[np.zeros(800), np.random.default_rng(1).normal(size=200)]
        assert 30 <= len(self.bars(values)) < 100


class TestPointOfOtherFeatures:
    @pytest.mark.parametrize("draw", [plots.clusters, plots.density, plots.contours, plots.pairs])
    @pytest.mark.parametrize("names", [FEATURES[::-1], ("one", "two")])
    def test_is_refused(self, post, draw, names):
        message = (
            f"point: expected the features {', '.join(FEATURES)}, in this order, got {names[0]}"
        )
        with pytest.raises(ValueError, match=message):
            draw(post, tree_of(OVERLAPPING, names))

    @pytest.mark.parametrize("draw", [plots.clusters, plots.density, plots.contours, plots.pairs])
    def test_of_another_number_is_refused(self, post, draw):
        known = bm.GaussianMixture.from_parameters([0.5, 0.5], np.eye(2, 3), [np.eye(3)] * 2)
        with pytest.raises(
            ValueError, match=r"point: expected the features .* got 3 without names"
        ):
            draw(post, known)

    def test_without_names_it_is_taken_as_it_is(self, post):
        point = OVERLAPPING
        known = bm.GaussianMixture.from_parameters(point.weights, point.means, point.covariances)
        assert any(
            same_color(line.get_color(), "black") for line in plots.clusters(post, known).lines
        )

    @pytest.mark.parametrize("draw", [plots.clusters, plots.pairs])
    def test_of_another_number_of_components_is_refused(self, draw):
        post = planted(OVERLAPPING, pd.DataFrame(rows_of(OVERLAPPING, 30), columns=FEATURES))
        with pytest.raises(
            ValueError, match="point: expected 2 components, as in the posterior, got 3"
        ):
            draw(post, tree_of(SEPARATED, FEATURES))
