"""Densities and fits in pictures: narrow components, wild rows, names, and what has few rows."""

from __future__ import annotations

import importlib
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.collections import PathCollection
from matplotlib.contour import QuadContourSet
from matplotlib.path import Path
from scipy import stats
from sklearn.cluster import KMeans
from sklearn.mixture import BayesianGaussianMixture
from sklearn.mixture import GaussianMixture as Theirs

import bayesmix as bm
from bayesmix import plots
from bayesmix.plots.regions import Box, law_of_draws, law_of_point
from bayesmix.plots.style import plain, point_name
from tests.fixtures_post import (
    OVERLAPPING,
    SEPARATED,
    planted,
    point_dataset,
    posterior_of,
    sample_quietly,
)
from tests.fixtures_varying import planted_varying, varying_mixture
from tests.support import Parameters, rows_of

pytestmark = pytest.mark.usefixtures("agg")

FEATURES = ("east", "north")
simulation = importlib.import_module("bayesmix.plots.prior_predictive")


def texts_of(ax: plt.Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def outlines(ax: plt.Axes) -> list[QuadContourSet]:
    return [c for c in ax.collections if isinstance(c, QuadContourSet) and not c.filled]


def shares_inside(contour: QuadContourSet, x: np.ndarray) -> np.ndarray:
    """Share of rows inside every outline, holes left out: inside an odd number of polygons."""
    shares = []
    for path in contour.get_paths():
        polygons = [p for p in path.to_polygons(closed_only=True) if len(p) > 2]
        times = sum(Path(polygon).contains_points(x).astype(int) for polygon in polygons)
        shares.append((times % 2 == 1).mean())
    return np.array(shares)


def point_tree(point: Parameters, features: tuple[str, ...] = FEATURES) -> xr.DataTree:
    return xr.DataTree.from_dict({"point_estimate": point_dataset(point, features)})


def faithful(k: int, **changes: float) -> xr.DataTree:
    """Sampled, after rows were multiplied: ``row_7=100``."""
    x = bm.datasets.load("faithful")
    for name, factor in changes.items():
        x.iloc[int(name.removeprefix("row_"))] *= factor
    mixture = bm.Mixture(bm.Dirichlet(k), bm.fraley_raftery(x, k))
    return sample_quietly(mixture, x, draws=200, tune=200, chains=2, random_seed=1)


NARROW = Parameters(
    np.full(10, 0.1),
    np.random.default_rng(0).uniform(0, 10, (10, 2)),
    np.repeat(0.01 * np.eye(2)[None], 10, axis=0),
)
"""Ten specks far from each other."""

NEEDLE = Parameters(
    np.array([0.8, 0.2]), np.array([[0.0], [2.0]]), np.array([[[1.0]], [[0.006**2]]])
)
"""A component whose standard deviation is a thousandth of the range, beside a wide one."""


class TestContours:
    @pytest.mark.parametrize(
        "tree",
        [
            lambda: posterior_of(NARROW, FEATURES, n=500),
            lambda: faithful(2),
            lambda: faithful(3, row_7=100),
        ],
        ids=["narrow", "faithful", "mistyped"],
    )
    def test_regions_hold_what_they_say(self, tree):
        post = tree()
        ax = plots.contours(post, coverage=(0.9, 0.5), n_draws=0)
        (mean,) = outlines(ax)
        new = bm.predictive.sample(post, 20_000, random_seed=9).to_numpy()
        np.testing.assert_allclose(shares_inside(mean, new), [0.5, 0.9], atol=0.03)

    def test_so_do_those_of_a_point_and_of_draws(self):
        """A point of narrow components has places of its own."""
        post = posterior_of(NARROW, FEATURES, n=200, spread=0.02)
        moved = NARROW._replace(means=NARROW.means[::-1] + 0.3)
        *draws, _, point = outlines(plots.contours(post, point_tree(moved), n_draws=2))
        inside = shares_inside(point, rows_of(moved, 20_000, seed=5))
        np.testing.assert_allclose(inside, [0.5, 0.9], atol=0.03)
        for draw in draws:
            assert shares_inside(draw, rows_of(NARROW, 20_000, seed=5)) == pytest.approx(
                0.9, abs=0.03
            )

    def test_thirty_specks(self):
        """Places are few for so many: heights must be nearly straight between them."""
        specks = Parameters(
            np.full(30, 1 / 30),
            np.random.default_rng(1).uniform(0, 10, (30, 2)),
            np.repeat(0.0025 * np.eye(2)[None], 30, axis=0),
        )
        law = law_of_point(bm.frozen(point_tree(specks)))
        drawn = plt.subplots()[1].contour(
            *law.surface(Box.around([law], law.rows, 0.9)), law.depths([0.5, 0.9])
        )
        np.testing.assert_allclose(shares_inside(drawn, law.rows), [0.5, 0.9], atol=0.035)

    def test_a_wild_row_is_counted_instead_of_shown(self):
        x = np.append(rows_of(OVERLAPPING, 150), [[5e4, 0.0]], axis=0)
        post = planted(OVERLAPPING, pd.DataFrame(x, columns=list(FEATURES)), draws=20)
        ax = plots.contours(post, n_draws=0)
        (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
        inside = (x[:, 0] > left) & (x[:, 0] < right) & (x[:, 1] > bottom) & (x[:, 1] < top)
        np.testing.assert_array_equal(np.flatnonzero(~inside), [150])
        assert texts_of(ax)[0] == "151 rows, 1 outside the picture"
        assert plots.contours(post, n_draws=0, legend=False).get_title(loc="right") == (
            "1 outside the picture"
        )

    @pytest.mark.parametrize(("place", "shown"), [(20.0, True), (40.0, False)])
    def test_a_row_not_too_far_off_is_shown(self, place, shown):
        """The regions of 90 % reach from -2 to 4, about."""
        x = np.append(rows_of(OVERLAPPING, 150), [[place, 0.0]], axis=0)
        ax = plots.contours(planted(OVERLAPPING, x, draws=20), coverage=0.3, n_draws=0)
        assert (ax.get_xlim()[1] > place) == shown
        assert (texts_of(ax)[0] == "151 rows") == shown

    def test_the_point_is_in_the_picture(self):
        post = posterior_of(OVERLAPPING, FEATURES)
        far = OVERLAPPING._replace(means=OVERLAPPING.means + 30)
        ax = plots.contours(post, point_tree(far), n_draws=0)
        assert ax.get_xlim()[1] > 32
        assert texts_of(ax) == [
            "150 rows",
            "posterior mean, 50% and 90% of new rows",
            "point, 50% and 90%",
        ]

    def test_repeated_shares_are_one(self):
        post = posterior_of(OVERLAPPING, FEATURES)
        ax = plots.contours(post, coverage=(0.9, 0.975, 0.9), n_draws=1)
        draw, mean = outlines(ax)
        assert len(draw.levels) == 1
        assert len(mean.levels) == 2
        assert texts_of(ax)[1:] == [
            "posterior mean, 90% and 97.5% of new rows",
            "1 draw, 97.5%",
        ]

    def test_the_surface_is_the_predictive_density(self):
        post = planted_varying(SEPARATED, rows_of(SEPARATED, 80), chains=2, draws=15)[0]
        x = rows_of(SEPARATED, 50, seed=4)
        expected = bm.predictive.log_density(post, x, random_seed=0)["log_density"]
        found = law_of_draws(post, ("x0", "x1")).log_density(x)
        np.testing.assert_allclose(found, expected, rtol=1e-10)

    def test_no_draws(self):
        ax = plots.contours(posterior_of(OVERLAPPING, FEATURES), n_draws=0)
        assert len(outlines(ax)) == 1
        assert not any("draw" in text for text in texts_of(ax))


def curve(ax: plt.Axes, label: str) -> np.ndarray:
    return next(line.get_xydata() for line in ax.get_lines() if line.get_label() == label)


class TestNarrowComponents:
    @pytest.fixture
    def post(self):
        return posterior_of(NEEDLE, ("a",), n=400, spread=1e-4)

    @property
    def height(self) -> float:
        """Of the needle, above what the wide component has there."""
        return 0.2 * stats.norm.pdf(0, 0, 0.006) + 0.8 * stats.norm.pdf(2)

    def test_a_density_has_its_peak(self, post):
        ax = plots.density(post, point_tree(NEEDLE, ("a",)))
        for name in ("posterior mean", "point"):
            at, drawn = curve(ax, name).T
            assert drawn.max() == pytest.approx(self.height, rel=1e-3)
            assert at[drawn.argmax()] == pytest.approx(2, abs=0.001)
            assert (np.diff(at) > 0).all()

    def test_so_it_has_where_draws_differ(self):
        post = posterior_of(NEEDLE, ("a",), n=400, spread=0.05)
        draws = post["posterior"]
        fine = np.linspace(1.99, 2.01, 2001)[:, None]
        exact = bm.predictive.density(post, fine)["density"].values.max()
        assert draws.sizes["draw"] > 10
        assert curve(plots.density(post), "posterior mean")[:, 1].max() == pytest.approx(
            exact, rel=0.01
        )

    def test_and_where_their_number_varies(self):
        point = Parameters(
            np.array([0.2, 0.5, 0.3]),
            np.array([[2.0, 2.0], [0.0, 0.0], [4.0, 4.0]]),
            np.array([4e-5, 1.0, 1.0])[:, None, None] * np.eye(2),
        )
        post, _ = planted_varying(point, rows_of(point, 80), varying_mixture(), draws=15)
        fine = np.linspace(1.9, 2.1, 4001)[:, None]
        exact = bm.predictive.density(post, fine, features="x0", random_seed=0)["density"].max()
        drawn = curve(plots.density(post), "posterior mean")[:, 1].max()
        assert drawn == pytest.approx(float(exact), rel=0.03)

    def test_a_needle_hides_nothing(self, post):
        """One row of 400 is no bar to be compared with."""
        x = post["observed_data"]["x"].values
        ax = plots.density(post)
        highest = max(bar.get_height() for bar in ax.patches)
        expected = self.height > 3 * highest
        assert expected == (ax.get_ylabel() == "density, higher peaks cut")
        few = NEEDLE._replace(weights=np.array([0.99, 0.01]), covariances=NEEDLE.covariances / 9)
        tree = planted(few, np.sort(x[:200], axis=0), draws=20, spread=1e-3)
        cut = plots.density(tree)
        highest = max(bar.get_height() for bar in cut.patches)
        assert cut.get_ylabel() == "density, higher peaks cut"
        assert cut.get_ylim() == pytest.approx((0, 3 * highest))
        assert curve(cut, "posterior mean")[:, 1].max() > 3 * highest

    def test_outliers_say_so_too(self, post):
        few = NEEDLE._replace(weights=np.array([0.99, 0.01]), covariances=NEEDLE.covariances / 9)
        x = rows_of(OVERLAPPING, 100)[:, :1]
        ax = plots.outliers(planted(few, x, draws=20, spread=1e-3))
        assert ax.get_ylabel() == "density, higher peaks cut; below it the rows"

    def test_and_the_diagonal_of_pairs(self):
        point = Parameters(
            np.array([0.99, 0.01]),
            np.array([[0.0, 0.0], [2.0, 2.0]]),
            np.array([[[1.0, 0.0], [0.0, 1.0]], [[4e-6, 0.0], [0.0, 1.0]]]),
        )
        grid = plots.pairs(planted(point, rows_of(point, 100), draws=5, spread=1e-3))
        titles = [grid[j, j].get_title(loc="right") for j in (0, 1)]
        assert titles == ["higher peaks cut", ""]


def colors_of_rows(ax: plt.Axes, x: np.ndarray) -> list[str]:
    """Color of every row, by its place."""
    found = {}
    for artist in ax.collections:
        if type(artist) is PathCollection:
            for at in np.asarray(artist.get_offsets()):
                found[tuple(at)] = tuple(artist.get_facecolors()[0, :3])
    return [found[tuple(at)] for at in x]


class Labeled:
    """A fitted estimator that has given labels."""

    def __init__(self, labels: list[int], x: np.ndarray) -> None:
        self.labels = np.array(labels)
        self.cluster_centers_ = np.array(
            [x[self.labels == k].mean(axis=0) for k in range(self.labels.max() + 1)]
        )

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.labels


class TestColorsOfFits:
    X = np.random.default_rng(3).normal(size=(12, 2))

    def colors(self, *labels: list[int]) -> list[list[str]]:
        fits = {str(i): Labeled(own, self.X) for i, own in enumerate(labels)}
        return [colors_of_rows(ax, self.X) for ax in plots.fits(fits, self.X)]

    def test_a_cluster_that_shares_no_row_has_a_color_of_its_own(self):
        """Two clusters are one and a half of another: what is left over is new."""
        two, three = self.colors(6 * [0] + 6 * [1], 6 * [1] + 3 * [0] + 3 * [2])
        assert two[0] == three[0]
        assert len({two[6], three[6], three[9], two[0]}) == 4

    def test_more_than_half_of_both_together_is_the_same(self):
        five_of_seven, half = (
            self.colors(6 * [0] + 6 * [1], [1] + 5 * [0] + 6 * [1]),
            self.colors(6 * [0] + 6 * [1], 3 * [0] + 9 * [1]),
        )
        assert five_of_seven[0][5] == five_of_seven[1][5]
        assert five_of_seven[0][6] == five_of_seven[1][0]
        assert half[0][0] != half[1][0]
        assert half[0][6] == half[1][3]

    def test_alike_clusters_are_alike_whatever_is_between(self):
        """Those of the first and the last panel, which the one with most clusters splits."""
        halves = 6 * [0] + 6 * [1]
        first, many, last = self.colors(halves, [i // 3 for i in range(12)], halves[::-1])
        assert first == last
        assert not set(first) & set(many)

    def test_unequal_numbers_of_components(self):
        x = np.concatenate([self.X + np.array([20.0 * i, 0]) for i in range(5)])
        fits = {str(k): KMeans(k, n_init=5, random_state=0).fit(x) for k in (3, 5, 2)}
        axes = plots.fits(fits, x)
        drawn = [colors_of_rows(ax, x) for ax in axes]
        labels = [fit.predict(x) for fit in fits.values()]
        for i, (one, own) in enumerate(zip(drawn, labels, strict=True)):
            for other, others in zip(drawn[:i], labels[:i], strict=True):
                for k in range(own.max() + 1):
                    for m in range(others.max() + 1):
                        a, b = own == k, others == m
                        if one[a.argmax()] == other[b.argmax()]:
                            assert (a & b).any()
                        if (a == b).all():
                            assert one[a.argmax()] == other[b.argmax()]
        words = axes[0].figure.get_suptitle().replace("\n", " ")
        assert "the same color: clusters that share more than half of their rows" in words


class TestFitsOfOneFeature:
    def test_of_several(self):
        """The marginal law, and the centers, of the feature that is drawn."""
        x = pd.DataFrame(rows_of(OVERLAPPING, 200), columns=list(FEATURES))
        means = KMeans(2, n_init=1, random_state=0).fit(x)
        mixture = Theirs(2, random_state=0).fit(x)
        centers, densities = plots.fits(
            {"k-means": means, "mixture": mixture}, x, features=["north"]
        )
        assert centers.get_xlabel() == "north"
        (lines,) = (c for c in centers.collections if type(c).__name__ == "LineCollection")
        found = sorted(segment[0, 0] for segment in lines.get_segments())
        np.testing.assert_allclose(found, np.sort(means.cluster_centers_[:, 1]))
        whole = next(c for c in densities.get_lines() if len(c.get_xdata()) > 2)
        each = [
            w * stats.norm.pdf(whole.get_xdata(), m[1], np.sqrt(c[1, 1]))
            for w, m, c in zip(mixture.weights_, mixture.means_, mixture.covariances_, strict=True)
        ]
        np.testing.assert_allclose(whole.get_ydata(), sum(each), rtol=1e-9)

    def test_a_needle_is_as_high_as_it_is_and_cut(self):
        x = np.append(rows_of(OVERLAPPING, 100)[:, :1], np.full((4, 1), 1.5), axis=0)
        fits = {
            "one": Theirs(1).fit(x),
            "two": Theirs(
                2,
                random_state=0,
                means_init=[[0.0], [1.5]],
                precisions_init=[[[1.0]], [[1e6]]],
                weights_init=[0.96, 0.04],
            ).fit(x),
        }
        one, two = plots.fits(fits, x)
        law = bm.frozen(fits["two"])
        k = law.covariances[:, 0, 0].argmin()
        assert law.covariances[k, 0, 0] < 1e-5
        highest = max(bar.get_height() for bar in one.patches)
        whole, *parts = (c for c in two.get_lines() if len(c.get_xdata()) > 2)
        for drawn in (whole, parts[k]):
            assert drawn.get_ydata().max() >= law.weights[k] * stats.norm.pdf(0) / np.sqrt(
                law.covariances[k, 0, 0]
            ) * (1 - 1e-12)
        for ax in (one, two):
            assert ax.get_ylim()[1] == pytest.approx(3 * highest)
            rows = np.concatenate(
                [np.asarray(a.get_offsets()) for a in ax.collections if type(a) is PathCollection]
            )
            assert len(rows) == 104
            assert (rows[:, 1] < 0).all()
            assert (rows[:, 1] > ax.get_ylim()[0]).all()
            assert (ax.get_yticks() >= 0).all()
            assert (ax.get_yticks() <= ax.get_ylim()[1]).sum() > 2
        assert one.figure.get_suptitle().replace("\n", " ").endswith("; higher peaks cut")

    @pytest.mark.parametrize("n", [1, 2, 3])
    @pytest.mark.parametrize("d", [1, 2, 3])
    def test_hardly_any_rows(self, n, d):
        x = np.arange(n * d, dtype=float).reshape(n, d) ** 2
        fits = {"k-means": KMeans(1, n_init=1).fit(x), "n": KMeans(n, n_init=1).fit(x)}
        if n > 1:
            fits["mixture"] = Theirs(1).fit(x)
        plots.fits(fits, x)[0].figure.draw_without_rendering()

    def test_constant_groups(self):
        x = np.repeat([[0.0, 1.0], [4.0, 1.0]], [2, 1], axis=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of scikit-learn
            two = KMeans(2, n_init=1).fit(x)
        for features in (None, ["x0"], ["x1"]):
            plots.fits({"two": two}, x, features=features)[0].figure.draw_without_rendering()

    def test_a_constant_is_one_bar(self):
        x = np.full((5, 1), 3.0)
        (ax,) = plots.fits({"one": KMeans(1, n_init=1).fit(x)}, x)
        (bar,) = ax.patches
        assert (bar.get_x(), bar.get_width(), bar.get_height()) == (2.5, 1, 1)


class TestPriorPredictive:
    X = pd.DataFrame(rows_of(OVERLAPPING, 60), columns=list(FEATURES))

    def test_one_feature_of_two(self):
        mixture = bm.Mixture(bm.Dirichlet(2), bm.weakly_informative(self.X))
        (ax,) = plots.prior_predictive(mixture, self.X, features=["north"], random_seed=0)
        assert ax.get_xlabel() == "north"
        bars = sum(bar.get_width() * bar.get_height() for bar in ax.patches)
        assert bars == pytest.approx(1)
        assert ax.figure.get_suptitle().endswith(" in north")

    def test_only_what_is_drawn_is_simulated(self, monkeypatch):
        x = np.random.default_rng(0).normal(size=(50, 40))
        shapes = []
        drawn = simulation.sample_prior_predictive
        monkeypatch.setattr(
            simulation,
            "sample_prior_predictive",
            lambda mixture, x, **others: shapes.append(x.shape) or drawn(mixture, x, **others),
        )
        mixture = bm.Mixture(bm.Dirichlet(3), bm.weakly_informative(x))
        axes = plots.prior_predictive(mixture, x, features=("x31", "x7"))
        assert shapes == [(50, 2)]
        np.testing.assert_array_equal(axes[0].collections[0].get_offsets(), x[:, [31, 7]])

    def test_a_random_number_of_components(self):
        x = self.X[["east"]]
        weights = bm.MixtureOfFiniteMixtures(bm.UniformK(2, 4), 6.0, dynamic=True)
        mixture = bm.Mixture(weights, bm.fraley_raftery(x, 2))
        laws, rows = simulation._simulated(mixture, x.to_numpy(), 600, 1)
        numbers = np.array([len(law.weights) for law in laws])
        assert set(numbers) == {2, 3, 4}
        assert stats.chisquare(np.bincount(numbers)[2:]).pvalue > 1e-3
        assert (np.diff(numbers) != 0).mean() > 0.5  # in random order
        for k in (2, 3, 4):
            first = [law.weights[0] for law in laws if len(law.weights) == k]
            assert stats.kstest(first, stats.beta(6 / k, 6 - 6 / k).cdf).pvalue > 1e-3
        assert rows.shape == (600, 60, 1)
        place = [law.logpdf(own[:, 0]).mean() for law, own in zip(laws, rows, strict=True)]
        other = [law.logpdf(own[:, 0]).mean() for law, own in zip(laws, rows[1:], strict=False)]
        assert np.mean(place) > np.mean(other) + 1  # rows are those of their own mixture

    def test_is_drawn(self):
        mixture = bm.Mixture(
            bm.MixtureOfFiniteMixtures(bm.BetaNegativeBinomial()), bm.weakly_informative(self.X)
        )
        axes = plots.prior_predictive(mixture, self.X, n_draws=3, random_seed=1)
        again = plots.prior_predictive(mixture, self.X, n_draws=3, random_seed=1)
        assert len(axes) == 4
        for one, other in zip(axes, again, strict=True):
            np.testing.assert_array_equal(*(a.collections[0].get_offsets() for a in (one, other)))


class TestNamesOfPoints:
    X = rows_of(OVERLAPPING, 80)

    def test_what_em_found(self):
        prior = bm.fraley_raftery(self.X, 2)
        for components in (None, prior):
            tree = bm.fit_em(bm.Mixture(bm.Dirichlet(2), components), self.X, random_seed=0)
            ours = bm.GaussianMixture(2, prior=components, random_state=0).fit(self.X)
            for point in (tree, ours, ours.to_datatree()):
                assert point_name(point) == "EM"
        assert point_name(Theirs(2, random_state=0).fit(self.X)) == "EM"

    def test_what_it_did_not_find(self):
        given = bm.GaussianMixture.from_parameters(*OVERLAPPING)
        variational = BayesianGaussianMixture(n_components=2, random_state=0).fit(self.X)
        for point in (given, given.to_datatree(), variational, point_tree(OVERLAPPING)):
            assert point_name(point) == "point"

    def test_legends_say_it(self):
        post = posterior_of(OVERLAPPING, FEATURES)
        em = Theirs(2, random_state=0).fit(self.X)
        assert texts_of(plots.contours(post, em, n_draws=0))[-1] == "EM, 50% and 90%"
        assert "EM" in texts_of(plots.density(post, em))
        assert texts_of(plots.clusters(post, em))[-1] == "EM, 90% inside"


DOLLARS = ("cost_$", "$gain$")


class TestDollars:
    """Without care matplotlib reads what is between two of them as mathematics."""

    def shown(self, figure: plt.Figure) -> str:
        """All text as it is seen: what is mathematics has lost its dollars."""
        figure.draw_without_rendering()
        texts = []
        for text in figure.findobj(plt.Text):
            content, is_math = text._preprocess_math(text.get_text())
            assert not is_math, content
            texts.append(content)
        return "\n".join(texts)

    def test_plain(self):
        assert plain("a$b$c_d") == r"a\$b\$c_d"
        assert plain(3) == "3"

    def test_every_picture(self):
        post = posterior_of(OVERLAPPING, DOLLARS)
        x = post["observed_data"]["x"].to_pandas()
        mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
        fit = KMeans(2, n_init=1, random_state=0).fit(x)
        figures = [
            plots.contours(post, n_draws=0).figure,
            plots.density(post, feature="$gain$").figure,
            plots.fits({"$K$ = 2": fit}, x)[0].figure,
            plots.prior_predictive(mixture, x, random_seed=0)[0].figure,
            plots.prior_predictive(mixture, x, features=["$gain$"], random_seed=0)[0].figure,
        ]
        for figure in figures:
            assert "$gain$" in self.shown(figure)
        assert "$K$ = 2" in self.shown(figures[2])


class TestDisputedRowsOfOneFeature:
    def test_components_have_their_height(self):
        x = rows_of(NEEDLE, 200)
        tree = planted(NEEDLE, x, draws=2)
        labels = (np.abs(x[:, 0] - 2) < 0.03).astype(int)
        ax = bm.disputed_rows(point_tree(NEEDLE, ("x0",)), tree, partition=labels).plot()
        drawn = [line.get_xydata() for line in ax.get_lines() if len(line.get_xdata()) > 2]
        wide, needle, whole = (own[:, 1].max() for own in drawn)
        highest = np.histogram(x[:, 0], 30, density=True)[0].max()
        assert wide == pytest.approx(0.8 * stats.norm.pdf(0), rel=1e-3)
        assert needle == pytest.approx(0.2 * stats.norm.pdf(0, 0, 0.006))
        assert whole == pytest.approx(needle + 0.8 * stats.norm.pdf(2))
        assert whole > 3 * highest > 0.9 * ax.get_ylim()[1]
        assert ax.get_ylabel() == "density, higher peaks cut; below it the rows"
