"""What the pictures of rows show, read off their artists."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import permutations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.colors import same_color, to_rgb
from matplotlib.contour import QuadContourSet
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox
from scipy import stats
from sklearn.cluster import KMeans
from sklearn.mixture import BayesianGaussianMixture
from sklearn.mixture import GaussianMixture as Theirs

import bayesmix as bm
from bayesmix import plots
from bayesmix.plots import rows
from bayesmix.plots.style import color, marker
from tests.fixtures_post import OVERLAPPING, SEPARATED, planted, point_dataset, posterior_of
from tests.fixtures_varying import planted_varying, varying_line
from tests.support import Parameters, random_parameters, rows_of

pytestmark = pytest.mark.usefixtures("agg")

FEATURES = ("east", "north")
N = 150


@pytest.fixture(scope="module")
def post():
    return posterior_of(OVERLAPPING, FEATURES)


@pytest.fixture(scope="module")
def line():
    """Two components of one feature that overlap."""
    point = Parameters(np.array([0.6, 0.4]), np.array([[0.0], [3.0]]), np.ones((2, 1, 1)))
    return posterior_of(point, ("length",))


@pytest.fixture(scope="module")
def em():
    point = point_dataset(OVERLAPPING, FEATURES)
    return xr.DataTree.from_dict({"point_estimate": point})


@pytest.fixture(scope="module")
def varying():
    """Draws of three components, and of one or two fewer."""
    return planted_varying(SEPARATED, rows_of(SEPARATED, 80), chains=2, draws=15)[0]


def texts_of(ax: plt.Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def scatters(ax: plt.Axes) -> list[PathCollection]:
    return [artist for artist in ax.collections if type(artist) is PathCollection]


def outline(name: str) -> np.ndarray:
    """Corners of a marker."""
    style = MarkerStyle(name)
    return style.get_path().transformed(style.get_transform()).vertices


def is_marker(artist: PathCollection, name: str) -> bool:
    return np.array_equal(artist.get_paths()[0].vertices, outline(name))


class TestContours:
    @pytest.fixture
    def near(self):
        """Draws that hardly differ, so that their mean is the point's density."""
        return posterior_of(OVERLAPPING, FEATURES, spread=1e-4)

    def share_inside(self, path: Path) -> float:
        return path.contains_points(rows_of(OVERLAPPING, 20_000, seed=5)).mean()

    @pytest.mark.parametrize("coverage", [0.5, 0.9])
    def test_regions_hold_their_share(self, near, em, coverage):
        ax = plots.contours(near, em, coverage=coverage, n_draws=2)
        drawn = [c for c in ax.collections if isinstance(c, QuadContourSet) and not c.filled]
        assert len(drawn) == 4  # two draws, the mean, EM
        for contour in drawn:
            (path,) = contour.get_paths()
            assert self.share_inside(path) == pytest.approx(coverage, abs=0.03)
        assert same_color(drawn[-1].get_edgecolor()[0], "black")
        assert same_color(drawn[-2].get_edgecolor()[0], color(0))

    def test_thresholds_are_of_highest_density(self, near):
        """The density along an outline is exceeded by as many new rows as the region holds."""
        ax = plots.contours(near, coverage=(0.9, 0.6), n_draws=3)
        mean = [c for c in ax.collections if isinstance(c, QuadContourSet) and not c.filled][-1]
        density = bm.frozen(point_tree(OVERLAPPING)).logpdf
        heights = density(rows_of(OVERLAPPING, 20_000, seed=6))
        for path, share in zip(mean.get_paths(), (0.6, 0.9), strict=True):
            along = density(path.vertices)
            assert np.ptp(along) < 0.05
            assert (heights > along.mean()).mean() == pytest.approx(share, abs=0.02)

    def test_every_draw_has_its_own_line(self, post):
        ax = plots.contours(post, n_draws=7)
        lines = [c for c in ax.collections if isinstance(c, QuadContourSet) and not c.filled]
        of_draws = [c for c in lines if same_color(c.get_edgecolor()[0, :3], color(1))]
        assert len(of_draws) == 7
        assert len({c.levels[0] for c in of_draws}) == 7
        filled = [c for c in ax.collections if isinstance(c, QuadContourSet) and c.filled]
        assert [c.levels[1] for c in filled] == list(lines[-1].levels)
        assert texts_of(ax) == [
            "150 rows",
            "posterior mean, 50% and 90% of new rows",
            "7 draws, 90% each",
        ]

    def test_a_marginal_of_any_two(self):
        point, names = random_parameters("full", 2, 3), ("a", "b", "c")
        post = posterior_of(point, names)
        ax = plots.contours(post, point_tree(point, names), features=("c", "b"), n_draws=2)
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("c", "b")
        (dots,) = scatters(ax)
        np.testing.assert_array_equal(
            dots.get_offsets(), post["observed_data"]["x"].values[:, [2, 1]]
        )
        em = [c for c in ax.collections if isinstance(c, QuadContourSet)][-1]
        inside = em.get_paths()[1].contains_points(rows_of(point, 5000)[:, [2, 1]])
        assert inside.mean() == pytest.approx(0.9, abs=0.03)

    def test_components_may_vary(self, varying):
        _, given = plt.subplots()
        ax = plots.contours(varying, coverage=0.9, n_draws=3, legend=False, ax=given)
        assert ax is given
        assert ax.get_legend() is None
        mean = [c for c in ax.collections if isinstance(c, QuadContourSet) and not c.filled][-1]
        new = bm.predictive.sample(varying, 10_000, random_seed=9).to_numpy()
        assert mean.get_paths()[0].contains_points(new).mean() == pytest.approx(0.9, abs=0.03)

    def test_a_single_draw_is_no_cloud(self, post):
        ax = plots.contours(post.isel(chain=[0], draw=[0]))
        lines = [c for c in ax.collections if isinstance(c, QuadContourSet) and not c.filled]
        assert len(lines) == 1
        assert not any("draws" in text for text in texts_of(ax))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"coverage": (0.5, 1.0)}, "coverage: expected a number between 0 and 1, got 1"),
            ({"coverage": []}, "coverage: expected at least one number between 0 and 1, got none"),
            ({"n_draws": -1}, "n_draws: expected a whole number of at least 0, got -1"),
            ({"n_draws": True}, "n_draws: expected a whole number of at least 0, got True"),
            ({"features": "east"}, "contours: expected two features, got one"),
            ({"features": ("east",)}, "contours: expected two features, got one"),
            ({"features": ("east", "up")}, "^features: expected names among east, north, got 'up'"),
        ],
    )
    def test_errors(self, post, options, message):
        with pytest.raises(ValueError, match=message):
            plots.contours(post, **options)


def point_tree(point: Parameters, features: tuple[str, ...] = FEATURES) -> xr.DataTree:
    return xr.DataTree.from_dict({"point_estimate": point_dataset(point, features)})


class TestMembership:
    def drawn(self, ax: plt.Axes) -> pd.DataFrame:
        """Place, colors and shape of every row, from the lowest to that on top."""
        (dots,) = scatters(ax)
        table = pd.DataFrame(np.asarray(dots.get_offsets()), columns=["x", "y"])
        table[["red", "green", "blue"]] = dots.get_facecolors()[:, :3]
        table["edge"] = [tuple(edge) for edge in dots.get_edgecolors()]
        table["shape"] = [path.vertices for path in dots.get_paths()]
        return table

    def test_color_says_the_component_and_strength_the_probability(self, post):
        found = bm.membership(post)
        drawn = self.drawn(plots.membership(post)).sort_values(["x", "y"])
        x = pd.DataFrame(post["observed_data"]["x"].values, columns=["x", "y"])
        x["label"], x["sure"] = found["label"].values, found["label_probability"].values
        expected = x.sort_values(["x", "y"])
        np.testing.assert_array_equal(drawn[["x", "y"]], expected[["x", "y"]])
        assert (expected["sure"] < 0.95).sum() > 20
        for (_, seen), (_, row) in zip(drawn.iterrows(), expected.iterrows(), strict=True):
            k = int(row["label"])
            strength = min((row["sure"] - 0.35) / 0.6, 1.0)
            shade = 1 - strength * (1 - np.array(to_rgb(color(k))))
            np.testing.assert_allclose(
                seen[["red", "green", "blue"]].to_numpy(float), shade, atol=1e-12
            )
            np.testing.assert_array_equal(seen["shape"], outline(marker(k)))
            assert same_color(seen["edge"], color(k))

    def test_the_least_sure_are_on_top_of_all_components(self, post):
        found = bm.membership(post)
        drawn = self.drawn(plots.membership(post))
        places = dict(zip(map(tuple, post["observed_data"]["x"].values), range(N), strict=True))
        order = [places[at] for at in drawn[["x", "y"]].itertuples(index=False, name=None)]
        sure = found["label_probability"].values[order]
        assert (np.diff(sure) <= 0).all()
        assert len(set(found["label"].values[order[-20:]])) == 2

    def test_the_legend_explains_strength(self, post):
        ax = plots.membership(post)
        assert texts_of(ax) == [
            "component 0",
            "component 1",
            "placed with at least 95%",
            "placed with 75%",
            "placed with 50%",
        ]
        grays = [np.mean(to_rgb(h.get_markerfacecolor())) for h in ax.get_legend().legend_handles]
        assert grays[2] < grays[3] < grays[4]

    def test_what_was_found_is_not_found_again(self, post):
        found = bm.membership(post)
        found["label"] = ("obs", np.ones(N, int))
        drawn = self.drawn(plots.membership(post, found=found))
        assert all(same_color(edge, color(1)) for edge in drawn["edge"])

    @pytest.mark.parametrize("draw", [plots.membership, plots.clusters])
    def test_memberships_of_others_are_refused(self, post, draw):
        found = bm.membership(post)
        named = found.assign_coords(obs=np.arange(N) + 1)
        three = found.isel(component=[0, 1, 1]).assign_coords(component=range(3))
        new = bm.membership(post, np.zeros((7, 2)))
        for other, said in (
            (new, "expected the 150 rows of post, got 7 others; pass bayesmix.membership"),
            (named, "expected the 150 rows of post, got 150 others"),
            (three, "expected the 2 components of post, got 3 others"),
            (found["label"], "expected what bayesmix.membership returns, got DataArray"),
            (found[["label"]], "expected what bayesmix.membership returns, got Dataset"),
        ):
            with pytest.raises(ValueError, match=f"^found: {said}"):
                draw(post, found=other)

    def test_one_feature_has_curves(self, line):
        ax = plots.membership(line)
        curves = [c for c in ax.get_lines() if len(c.get_xdata()) > 300]
        at = curves[0].get_xdata()
        expected = bm.membership(line, at[:, None])
        x = line["observed_data"]["x"].values
        assert at[0] < x.min() < x.max() < at[-1]
        for k, curve in enumerate(curves):
            np.testing.assert_array_equal(curve.get_xdata(), at)
            np.testing.assert_array_equal(curve.get_ydata(), expected["probability"][:, k])
            assert same_color(curve.get_color(), color(k))
        bands = [c for c in ax.collections if isinstance(c, PolyCollection)]
        assert len(bands) == len(curves) == 2
        edge = bands[0].get_paths()[0].vertices
        lower = expected["probability_lower"].values[:, 0]
        assert np.isin(lower.round(12), edge[:, 1].round(12)).all()
        drawn = self.drawn(ax)
        assert (drawn["y"] < 0).all()
        np.testing.assert_array_equal(
            np.sort(drawn["x"]), np.sort(line["observed_data"]["x"].values[:, 0])
        )
        assert ax.get_ylim()[0] < drawn["y"].min()
        assert (ax.get_yticks() >= 0).all()

    def test_one_feature_of_several_has_no_curves(self):
        """The probabilities are of all features: a function of one would be false."""
        point = random_parameters("full", 3, 3, seed=2)
        post = posterior_of(point, ("a", "b", "c"))
        found = bm.membership(post)
        ax = plots.membership(post, features="b")
        assert not [line for line in ax.get_lines() if len(line.get_xdata()) > 2]
        assert not [c for c in ax.collections if isinstance(c, PolyCollection)]
        drawn = self.drawn(ax).sort_values("x")
        x, label = post["observed_data"]["x"].values[:, 1], found["label"].values
        np.testing.assert_array_equal(drawn["x"], np.sort(x))
        np.testing.assert_array_equal(drawn["y"].round(), label[np.argsort(x)])
        edges = [color(k) for k in label[np.argsort(x)]]
        assert all(same_color(*both) for both in zip(drawn["edge"], edges, strict=True))
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("b", "component, by all 3 features")
        assert [text.get_text() for text in ax.get_yticklabels()] == ["0", "1", "2"]

    def test_curves_reach_up_to_narrow_components(self):
        rng = np.random.default_rng(1)
        x = np.r_[rng.normal(size=300), 0.5 + 1e-3 * rng.normal(size=300)][:, None]
        point = Parameters(
            np.array([0.5, 0.5]), np.array([[0.0], [0.5]]), np.array([[[1.0]], [[1e-6]]])
        )
        ax = plots.membership(planted(point, x))
        curves = [c.get_ydata() for c in ax.get_lines() if len(c.get_xdata()) > 300]
        assert [curve.max() > 0.95 for curve in curves] == [True, True]

    def test_the_curve_of_a_new_cluster_is_named(self, line):
        ax = plots.membership(bm.relabel(varying_line(), n_clusters=2))
        curves = [line for line in ax.get_lines() if len(line.get_xdata()) > 300]
        assert len(curves) == 3
        named = dict(zip(texts_of(ax), ax.get_legend().legend_handles, strict=True))
        assert same_color(named["a new cluster"].get_color(), curves[2].get_color())
        assert "a new cluster" not in texts_of(plots.membership(line))

    def test_many_rows_are_thinned(self, post, monkeypatch):
        monkeypatch.setattr(rows, "MAX_ROWS", 40)
        ax = plots.membership(post)
        assert len(self.drawn(ax)) == 40
        assert texts_of(ax)[-1] == f"40 of {N} rows drawn"

    def test_one_component_needs_no_strength(self):
        ax = plots.membership(posterior_of(random_parameters("full", 1, 2), FEATURES))
        assert texts_of(ax) == ["component 0"]


class TestResponsibilities:
    @pytest.fixture
    def comparison(self, em):
        return bm.compare_to_posterior(em, posterior_of(OVERLAPPING, FEATURES, spread=0.4))

    def test_every_row_is_where_its_probabilities_are(self, comparison):
        _, given = plt.subplots()
        ax = plots.responsibilities(comparison, ax=given)
        assert ax is given
        table = comparison.memberships
        for k, artist in enumerate(scatters(ax)):
            own = table[table["point_label"] == k]
            both = own[["point_probability", "posterior_probability"]].clip(0.001, 0.999)
            np.testing.assert_array_equal(np.asarray(artist.get_offsets()), both)
            assert artist.get_label() == f"{k}: {len(own)} rows"
            assert is_marker(artist, marker(k))
        assert ax.get_xlim() == ax.get_ylim()
        assert ax.get_xlim()[0] < table[["point_probability", "posterior_probability"]].min().min()

    def test_the_corner_counts_those_that_em_hides(self, comparison):
        assert comparison.n_overconfident > 1
        ax = plots.responsibilities(comparison)
        (text,) = ax.texts
        words = text.get_text()
        assert words == f"EM > 95% sure,\nposterior not:\n{comparison.n_overconfident} rows"
        (corner,) = (c for c in ax.collections if isinstance(c, PolyCollection))
        inside = sum(
            corner.get_paths()[0].contains_points(artist.get_offsets()).sum()
            for artist in scatters(ax)
        )
        assert inside == comparison.n_overconfident

    def test_many_rows_are_thinned_and_all_counted(self, comparison, monkeypatch):
        monkeypatch.setattr(rows, "MAX_ROWS", 30)
        ax = plots.responsibilities(comparison)
        assert sum(len(artist.get_offsets()) for artist in scatters(ax)) == 30
        count = comparison.memberships["point_label"].value_counts()
        assert texts_of(ax) == [
            f"0: {count[0]} rows",
            f"1: {count[1]} rows",
            "30 of 150 rows drawn",
        ]
        assert f"{comparison.n_overconfident} rows" in ax.texts[0].get_text()

    def test_the_diagonal(self, comparison):
        (diagonal,) = plots.responsibilities(comparison).get_lines()
        np.testing.assert_array_equal(diagonal.get_xdata(), diagonal.get_ydata())


X = pd.DataFrame(rows_of(SEPARATED, 120), columns=list(FEATURES))


@pytest.fixture(scope="module")
def fits():
    """Four kinds of estimators, whose labels are in several orders."""
    options = {"random_state": 0}
    return {
        "k-means": KMeans(3, n_init=2, random_state=3).fit(X),
        "theirs": Theirs(3, random_state=4).fit(X),
        "ours": bm.GaussianMixture(2, covariance_type="diag", **options).fit(X),
        "variational": BayesianGaussianMixture(
            n_components=6, weight_concentration_prior=1e-3, **options
        ).fit(X),
    }


class TestFits:
    def colors_of_rows(self, ax: plt.Axes) -> list[str]:
        """Color of every row of X, by its place."""
        found = {}
        for artist in scatters(ax):
            for at in np.asarray(artist.get_offsets()):
                found[tuple(at)] = tuple(artist.get_facecolors()[0])
        return [found[tuple(at)] for at in X.to_numpy()]

    def test_colors_are_matched_whatever_the_labels(self, fits):
        axes = plots.fits(fits, X)
        assert axes.shape == (4,)
        by_panel = [self.colors_of_rows(ax) for ax in axes]
        assert by_panel[0] == by_panel[1]  # the same clusters in another order
        assert not np.array_equal(fits["k-means"].labels_, fits["theirs"].predict(X))
        assert len(set(by_panel[2])) == 2
        assert set(by_panel[2]) <= set(by_panel[0])
        assert {c[:3] for c in by_panel[0]} == {to_rgb(color(k)) for k in range(3)}

    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
    def test_what_collapsed_has_no_criterion(self):
        x = np.repeat([[0.0, 0.0], [1.0, 1.0], [5.0, 2.0]], 5, axis=0)
        (ax,) = plots.fits({"ours": bm.GaussianMixture(2, random_state=1).fit(x)}, x)
        assert ax.get_title().startswith("ours\nsingular: no BIC")

    def test_any_order_of_labels_has_the_same_colors(self):
        found = {
            order: KMeans(3, n_init=2, random_state=3).fit(X) for order in permutations(range(3))
        }
        for order, fit in found.items():
            fit.cluster_centers_ = fit.cluster_centers_[list(order)]
        colors = [self.colors_of_rows(ax) for ax in plots.fits(found, X)]
        assert all(own == colors[0] for own in colors)

    def test_colors_come_in_the_order_of_panels(self, fits):
        axes = plots.fits({name: fits[name] for name in ("ours", "k-means")}, X)
        first, second = (
            [to_rgb(a.get_facecolors()[0, :3]) for a in scatters(ax) if len(a.get_offsets()) > 3]
            for ax in axes
        )
        assert first == [to_rgb(color(0)), to_rgb(color(1))]
        assert to_rgb(color(2)) in second

    def test_titles_and_words(self, fits):
        axes = plots.fits(fits, X, coverage=0.8)
        titles = [ax.get_title() for ax in axes]
        occupied = len(np.unique(fits["variational"].predict(X)))
        assert titles == [
            "k-means",
            f"theirs\nBIC {fits['theirs'].bic(X):,.1f}",
            f"ours\nBIC {fits['ours'].bic(X):,.1f}",
            f"variational\n{occupied} of 6 components have rows",
        ]
        words = axes[0].figure.get_suptitle().replace("\n", " ")
        assert "120 rows; the same color" in words
        assert "80% of a component inside its ellipse; black cross: center" in words

    def test_ellipses_and_centers(self, fits):
        centers, theirs, _, variational = plots.fits(fits, X, coverage=0.8)
        crosses = next(a for a in scatters(centers) if same_color(a.get_edgecolors()[0], "black"))
        np.testing.assert_array_equal(
            np.asarray(crosses.get_offsets()), fits["k-means"].cluster_centers_
        )
        assert not centers.get_lines()
        fitted = fits["theirs"]
        rng = np.random.default_rng(0)
        for k, outline in enumerate(theirs.get_lines()):
            own = rng.multivariate_normal(fitted.means_[k], fitted.covariances_[k], 10_000)
            share = Path(outline.get_xydata()).contains_points(own).mean()
            assert share == pytest.approx(0.8, abs=0.02)
        used = np.unique(fits["variational"].predict(X))
        assert len(variational.get_lines()) == len(used) < 6

    def test_panels_share_limits_and_the_lowest_have_names(self, fits):
        found = {f"{i}": fits["ours" if i % 2 else "k-means"] for i in range(5)}
        axes = plots.fits(found, X, features=FEATURES[::-1])
        assert len({(ax.get_xlim(), ax.get_ylim()) for ax in axes}) == 1
        assert [ax.get_xlabel() for ax in axes] == ["", "", "north", "north", "north"]
        assert [ax.get_ylabel() for ax in axes] == ["east", "", "", "east", ""]

    def test_the_features_that_separate(self):
        x = np.random.default_rng(0).normal(size=(60, 5))
        x[:30, [1, 4]] += 8
        axes = plots.fits({"two": KMeans(2, n_init=1, random_state=0).fit(x)}, x)
        assert (axes[0].get_xlabel(), axes[0].get_ylabel()) == ("x1", "x4")

    def test_one_feature(self):
        x = np.random.default_rng(1).normal(size=(80, 1)) + np.repeat([[0.0], [9.0]], 40, axis=0)
        mixture = bm.GaussianMixture(2, random_state=0).fit(x)
        fits = {"k-means": KMeans(2, n_init=1, random_state=0).fit(x), "mixture": mixture}
        centers, densities = plots.fits(fits, x)
        (lines,) = (c for c in centers.collections if type(c).__name__ == "LineCollection")
        found = sorted(segment[0, 0] for segment in lines.get_segments())
        np.testing.assert_allclose(found, np.sort(fits["k-means"].cluster_centers_[:, 0]))
        whole, *parts = (c for c in densities.get_lines() if len(c.get_xdata()) > 2)
        law = bm.frozen(mixture)
        np.testing.assert_allclose(whole.get_ydata(), law.pdf(whole.get_xdata()), rtol=1e-12)
        np.testing.assert_allclose(sum(p.get_ydata() for p in parts), whole.get_ydata(), rtol=1e-9)
        below = np.concatenate([a.get_offsets() for a in scatters(densities)])
        np.testing.assert_array_equal(np.sort(below[:, 0]), np.sort(x[:, 0]))
        assert (below[:, 1] < 0).all()

    @pytest.mark.parametrize(
        ("fits", "message"),
        [
            ({}, "fits: expected names and fitted estimators, got {}"),
            ([1], r"fits: expected names and fitted estimators, got \[1\]"),
            ({"no": Theirs(2)}, r"fits\['no'\]: expected a fitted estimator .* call fit first"),
            ({"no": 3}, r"fits\['no'\]: expected a fitted estimator .* got int"),
        ],
    )
    def test_errors(self, fits, message):
        with pytest.raises(ValueError, match=message):
            plots.fits(fits, X)


class TestOutliers:
    @pytest.fixture
    def wild(self):
        """The last three rows are far from everything; rows have names."""
        x = np.append(rows_of(OVERLAPPING, 120), [[9.0, -7], [-8, 6], [0.5, 7.5]], axis=0)
        table = pd.DataFrame(x, columns=list(FEATURES), index=[f"r{i}" for i in range(123)])
        return planted(OVERLAPPING, table, chains=2, draws=20, spread=0.05)

    def rings(self, ax: plt.Axes) -> PathCollection:
        return next(a for a in scatters(ax) if len(a.get_facecolors()) == 0)

    def test_rings_are_around_improbable_rows(self, wild):
        ax = plots.outliers(wild, limit=0.02)
        tail = bm.predictive.tail_probability(wild, random_seed=0)["tail_probability"]
        out = tail.to_series()[lambda p: p < 0.02].sort_values(kind="stable")
        rings = self.rings(ax)
        x = wild["observed_data"]["x"].to_pandas()
        np.testing.assert_array_equal(np.asarray(rings.get_offsets()), x.loc[out.index])
        sizes = rings.get_sizes()
        assert (np.diff(sizes) <= 0).all()
        factor = np.log10(0.02 / out.clip(lower=1e-5))
        np.testing.assert_allclose(sizes, 36 + 40 * factor)
        assert texts_of(ax) == [
            "123 rows",
            f"tail probability < 0.02: {len(out)} rows\n(expected by chance: 2.5 of 123)",
        ]
        assert {"r120", "r121"} <= {text.get_text() for text in ax.texts}

    def boxes(self, ax: plt.Axes) -> list[Bbox]:
        """Where the names are on the drawn figure."""
        ax.figure.draw_without_rendering()
        return [text.get_window_extent() for text in ax.texts if isinstance(text, Annotation)]

    @pytest.mark.parametrize("limit", [0.02, 0.5])
    def test_names_are_inside_and_on_nothing_else(self, wild, limit):
        x = wild["observed_data"]["x"].to_pandas()
        ax = plots.outliers(
            wild, x.set_axis([f"a long name, {i}" for i in range(123)]), limit=limit
        )
        boxes = self.boxes(ax)
        assert 3 <= len(boxes) <= 8
        inside, legend = ax.get_window_extent(), ax.get_legend().get_window_extent()
        rings = self.rings(ax)
        centers = ax.transData.transform(rings.get_offsets())
        radii = np.sqrt(rings.get_sizes()) / 2 * ax.figure.dpi / 72
        for i, box in enumerate(boxes):
            assert inside.x0 <= box.x0 < box.x1 <= inside.x1
            assert inside.y0 <= box.y0 < box.y1 <= inside.y1
            nearest = np.clip(centers, box.min, box.max)
            assert (np.linalg.norm(nearest - centers, axis=1) > radii).all()
            assert not any(box.overlaps(other) for other in [legend, *boxes[:i]])

    def test_names_stand_beside_their_rows(self, wild):
        ax = plots.outliers(wild, limit=0.02)
        boxes = self.boxes(ax)
        x = wild["observed_data"]["x"].to_pandas()
        for text, box in zip(ax.texts, boxes, strict=True):
            at = ax.transData.transform(x.loc[text.get_text()])
            nearest = np.clip(at, box.min, box.max)
            assert np.linalg.norm(nearest - at) < 20

    def test_of_a_crowd_some_have_no_name(self, wild):
        crowd = pd.DataFrame(np.linspace(30, 30.5, 16).reshape(8, 2), columns=list(FEATURES))
        assert 1 <= len(self.boxes(plots.outliers(wild, crowd))) < 8

    def test_ringed_rows_are_drawn_though_others_are_not(self, wild, monkeypatch):
        monkeypatch.setattr(rows, "MAX_ROWS", 10)
        ax = plots.outliers(wild, limit=0.02)
        dots = {tuple(at) for at in np.asarray(scatters(ax)[0].get_offsets())}
        rings = {tuple(at) for at in np.asarray(self.rings(ax).get_offsets())}
        assert rings < dots
        assert 10 < len(dots) <= 10 + len(rings)
        assert texts_of(ax)[0] == f"123 rows, {len(dots)} drawn"

    def test_the_probability_is_of_all_features(self, wild):
        """Else rings in the middle of the one that is drawn would be a riddle."""
        ax = plots.outliers(wild, limit=0.02, features="east")
        assert "0.02 (of all 2 features): " in texts_of(ax)[1]
        assert ax.get_xlabel() == "east"

    def test_new_rows_over_those_of_the_fit(self, wild):
        new = pd.DataFrame([[0.0, 0.0], [30.0, 30.0]], columns=list(FEATURES))
        ax = plots.outliers(wild, new)
        np.testing.assert_array_equal(np.asarray(self.rings(ax).get_offsets()), [[30.0, 30.0]])
        assert texts_of(ax)[:2] == ["123 rows of the fit", "2 rows judged"]
        assert "0.02 of 2" in texts_of(ax)[2]
        assert [text.get_text() for text in ax.texts] == ["1"]

    def test_one_feature_stands_below_its_density(self, line):
        ax = plots.outliers(line, limit=0.2)
        points = np.concatenate([np.asarray(a.get_offsets()) for a in scatters(ax)])
        assert (points[:, 1] < 0).all()
        assert (points[:, 1] > ax.get_ylim()[0]).all()
        (mean,) = (c for c in ax.get_lines() if len(c.get_xdata()) > 2)
        at = mean.get_xdata()[:, None]
        expected = bm.predictive.density(line, at, random_seed=0)["density"]
        np.testing.assert_allclose(mean.get_ydata(), expected, rtol=1e-9)
        assert ax.get_ylabel() == "density; below it the rows"

    def test_features_in_which_they_are_far(self):
        point = Parameters(np.ones(1), np.zeros((1, 5)), np.eye(5)[None])
        x = rows_of(point, 100)
        x[0, [1, 3]] = 9
        ax = plots.outliers(planted(point, x, draws=20), limit=0.001)
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("x1", "x3")
        np.testing.assert_array_equal(np.asarray(scatters(ax)[0].get_offsets()), x[:, [1, 3]])

    @pytest.mark.parametrize(("other", "expected"), [(0.0, ("x1", "x2")), (3.0, ("x0", "x1"))])
    def test_mostly_one_value_is_no_reason_to_be_shown(self, other, expected):
        """What is constant never is; what is zero in most rows is judged by its deviation."""
        point = Parameters(np.ones(1), np.zeros((1, 3)), np.eye(3)[None])
        x = rows_of(point, 100)
        x[:, 0] = 0
        x[:10, 0] = other
        x[0, 1:] = 9, 3 if other == 0 else 1
        if other:
            x[0, 0] = 20
        ax = plots.outliers(planted(point, x, draws=20), limit=0.001)
        assert (ax.get_xlabel(), ax.get_ylabel()) == expected

    def test_without_rings_the_separating_features_are_shown(self):
        means = np.array([[0.0, 0, 0, 0], [0, 8, 0, 8]])
        point = Parameters(np.array([0.5, 0.5]), means, np.array([np.eye(4)] * 2))
        ax = plots.outliers(planted(point, np.repeat(means, 20, axis=0)), limit=1e-5)
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("x1", "x3")

    def test_components_may_vary(self, varying):
        ax = plots.outliers(varying, pd.DataFrame([[500.0, 500.0]], columns=["x0", "x1"]))
        assert len(self.rings(ax).get_offsets()) == 1

    @pytest.mark.parametrize("limit", [0, 1e-7, 1, 5])
    def test_limit(self, wild, limit):
        with pytest.raises(ValueError, match=f"limit: expected at least 1e-05.* got {limit}"):
            plots.outliers(wild, limit=limit)


class TestPriorPredictive:
    X = pd.DataFrame(rows_of(OVERLAPPING, 60), columns=list(FEATURES))

    @pytest.fixture
    def mixture(self):
        return bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(self.X, 2))

    @pytest.fixture
    def tree(self, mixture):
        seed = np.random.default_rng(3)
        return bm.sample_prior_predictive(mixture, self.X, draws=5, random_seed=seed)

    @pytest.fixture
    def made(self, mixture):
        """Rows of many draws together, (n, 2)."""
        tree = bm.sample_prior_predictive(mixture, self.X, draws=4000, random_seed=4)
        return tree["prior_predictive"]["x"].values.reshape(-1, 2)

    def test_the_data_beside_data_of_the_prior(self, mixture, tree):
        axes = plots.prior_predictive(mixture, self.X, n_draws=5, random_seed=3)
        assert [ax.get_title() for ax in axes] == ["the data"] + 5 * ["a draw of the prior"]
        drawn = [np.asarray(scatters(ax)[0].get_offsets()) for ax in axes]
        np.testing.assert_array_equal(drawn[0], self.X)
        np.testing.assert_array_equal(drawn[1:], tree["prior_predictive"]["x"].values[0, :5])
        assert len({(ax.get_xlim(), ax.get_ylim()) for ax in axes}) == 1

    def test_any_two_features(self):
        """What is made of them is what is made of all, but for chance."""
        point = random_parameters("full", 2, 3)
        x = pd.DataFrame(rows_of(point, 60) * [1, 1, 50], columns=["a", "b", "c"])
        mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
        data, *made = plots.prior_predictive(
            mixture, x, features=("c", "a"), n_draws=20, random_seed=1
        )
        assert (made[-1].get_xlabel(), made[2].get_ylabel()) == ("c", "a")
        np.testing.assert_array_equal(scatters(data)[0].get_offsets(), x[["c", "a"]])
        tree = bm.sample_prior_predictive(mixture, x, draws=500, random_seed=8)
        expected = tree["prior_predictive"]["x"].values[0][..., [2, 0]]
        drawn = np.array([scatters(ax)[0].get_offsets() for ax in made])
        for statistic in (np.mean, np.std):
            one, other = statistic(drawn, axis=1), statistic(expected, axis=1)
            for j in (0, 1):
                assert stats.ks_2samp(one[:, j], other[:, j]).pvalue > 1e-2

    def test_limits_show_both(self, mixture, made):
        axes = plots.prior_predictive(mixture, self.X, n_draws=1, random_seed=3)
        for j, (low, high) in enumerate((axes[0].get_xlim(), axes[0].get_ylim())):
            assert low < self.X.iloc[:, j].min() < self.X.iloc[:, j].max() < high
            inside = (made[:, j] > low) & (made[:, j] < high)
            assert 0.985 < inside.mean() < 1

    def test_the_words_do_not_depend_on_the_seed(self, mixture):
        said = [
            plots.prior_predictive(mixture, self.X, n_draws=1, random_seed=seed)[0].figure
            for seed in range(4)
        ]
        ratios = [re.findall(r"[\d.]+ in", figure.get_suptitle()) for figure in said]
        each = np.array([[float(ratio.split()[0]) for ratio in one] for one in ratios])
        assert (np.ptp(each, axis=0) < 0.25).all()

    def test_swapped_arguments(self, mixture):
        with pytest.raises(TypeError, match="mixture: expected a Mixture, got DataFrame"):
            plots.prior_predictive(self.X, mixture)

    def test_limits_show_data_far_from_what_the_prior_expects(self):
        base = bm.fraley_raftery(self.X, 2)
        far = replace(base, mean=np.add(base.mean, (1000.0, -1000.0)))
        ax = plots.prior_predictive(bm.Mixture(bm.Dirichlet(2), far), self.X, random_seed=3)[0]
        (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
        assert left < self.X["east"].min() < 900 < right
        assert bottom < -900 < self.X["north"].max() < top

    def test_how_wide_the_prior_is_in_words(self, mixture, made):
        axes = plots.prior_predictive(mixture, self.X, random_seed=3)
        wide = [np.diff(np.quantile(a, [0.05, 0.95], axis=0), axis=0)[0] for a in (made, self.X)]
        east, north = wide[0] / wide[1]
        words = axes[0].figure.get_suptitle().replace("\n", " ")
        said = re.fullmatch(
            "range of the middle 90% of the prior's rows, over that of the data: "
            "(.*) in east, (.*) in north",
            words,
        )
        assert [float(ratio) for ratio in said.groups()] == pytest.approx([east, north], rel=0.05)
        assert min(east, north) > 3

    def test_one_feature_has_densities(self):
        x = self.X[["east"]]
        mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
        (ax,) = plots.prior_predictive(mixture, x, n_draws=4, random_seed=3)
        prior = bm.sample_prior_predictive(
            mixture, x, draws=4, random_seed=np.random.default_rng(3)
        )["prior"]
        lines = ax.get_lines()
        assert len(lines) == 4
        for s, curve in enumerate(lines):
            weights, means, covariances = (
                prior[name].values[0, s] for name in ("weights", "means", "covariances")
            )
            at = curve.get_xdata()
            each = stats.norm.pdf(at[:, None], means[:, 0], np.sqrt(covariances[:, 0, 0]))
            np.testing.assert_allclose(curve.get_ydata(), each @ weights, rtol=1e-9, atol=1e-300)
        assert texts_of(ax) == ["data", "4 draws of the prior"]
        assert ax.get_xlabel() == "east"

    def test_narrow_peaks_do_not_hide_the_data(self):
        x = self.X[["east"]]
        base = bm.fraley_raftery(x, 2)
        narrow = replace(base, covariance_scale=np.array([[1e-6]]))
        (ax,) = plots.prior_predictive(bm.Mixture(bm.Dirichlet(2), narrow), x, random_seed=0)
        tallest = max(bar.get_height() for bar in ax.patches)
        assert ax.get_ylim()[1] < 4 * tallest
        assert ax.get_ylabel() == "density, higher peaks cut"

    @pytest.mark.parametrize(
        ("mixture", "message"),
        [
            (bm.Mixture(bm.Dirichlet(2)), "^mixture: expected a prior on the components, got none"),
            (
                bm.Mixture(bm.MixtureOfFiniteMixtures(bm.UniformK(1, 5))),
                "^mixture: expected a prior on the components, got none",
            ),
            (
                bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(X["east"], 2)),
                r"^x: expected 1 column\(s\), the number of features of the component prior, got 2",
            ),
        ],
    )
    def test_what_has_no_prior_draws(self, mixture, message):
        with pytest.raises(ValueError, match=message):
            plots.prior_predictive(mixture, self.X)


def test_rows_beyond_the_room_are_spread_evenly(monkeypatch):
    monkeypatch.setattr(rows, "MAX_ROWS", 5)
    np.testing.assert_array_equal(rows.rows_drawn(9), [0, 2, 4, 6, 8])
    assert rows.rows_words(9) == "5 of 9 rows drawn"
    assert rows.rows_words(5) == "5 rows"


@pytest.mark.parametrize(
    "draw",
    [
        lambda post, em: plots.contours(post, em, n_draws=3).figure,
        lambda post, em: plots.membership(post).figure,
        lambda post, em: plots.outliers(post).figure,
        lambda post, em: plots.responsibilities(bm.compare_to_posterior(em, post)).figure,
    ],
    ids=["contours", "membership", "outliers", "responsibilities"],
)
def test_renders(post, em, draw, tmp_path):
    """Layout and fonts, which the artists alone do not show."""
    draw(post, em).savefig(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 5000
