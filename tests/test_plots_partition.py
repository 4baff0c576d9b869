"""What the pictures of a partition show, read off their artists."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass, replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.collections import PathCollection
from matplotlib.colors import same_color, to_rgb
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from bayesmix import plots, schema
from bayesmix.inputs import as_table
from bayesmix.partition_result import Partition
from bayesmix.partitions.ball import Bound, CredibleBall
from bayesmix.plots.style import color, marker
from bayesmix.similarity import Similarity

pytestmark = pytest.mark.usefixtures("agg")

NAMES = np.array([f"row{i}" for i in range(30)])
LABEL = np.random.default_rng(1).permutation(np.repeat([0, 1, 2], [15, 10, 5]))
MERGED = np.where(LABEL == 2, 1, LABEL)
SPLIT = np.where((LABEL == 0) & (np.arange(30) % 2 == 0), 3, LABEL)
MOVED = np.where(np.arange(30) % 7 == 0, 2, LABEL)
CERTAINTY = np.random.default_rng(2).permutation(np.linspace(0.3, 1, 30))
DISTANCE = np.linspace(0, 0.8, 100)


@dataclass(frozen=True)
class Pairs:
    """Probabilities of all pairs of rows, as a source of similarity."""

    probability: np.ndarray

    def block(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return self.probability[np.ix_(rows, columns)]


def similarity_of(probability: np.ndarray) -> Similarity:
    return Similarity(Pairs(probability), np.arange(len(probability)))


def bound(label: np.ndarray, distance: float, several: int = 1) -> Bound:
    labels = np.array([label] + [label[::-1]] * (several - 1))
    n_clusters = np.full(several, len(np.unique(label)))
    return Bound(labels, np.arange(several), distance, n_clusters)


def partition_of(label: np.ndarray, *bounds: Bound, loss: str = "vi") -> Partition:
    """A partition with these labels and bounds: upper, lower, horizontal."""
    n = len(label)
    names = NAMES if n == 30 else np.arange(n)
    other = np.where(label == 0, 1, 0) if len(np.unique(label)) > 1 else np.full(n, -1)
    certainty = CERTAINTY if n == 30 else np.linspace(0.3, 1, n)
    nearby = np.random.default_rng(5).uniform(0, 0.5, n)
    rows = {"label": label, "certainty": certainty, "next_label": other, "next_affinity": nearby}
    upper, lower, horizontal = bounds
    ball = CredibleBall(
        prob=0.95,
        share=0.95,
        radius=DISTANCE[94],
        distance=DISTANCE,
        n_clusters=np.full(100, 3),
        horizontal=horizontal,
        upper=upper,
        lower=lower,
    )
    return Partition(
        xr.DataArray(label, {"obs": names}, ("obs",)),
        expected_loss=0.3,
        loss=loss,
        costs=(1.0, 1.0),
        n_draws=100,
        table=pd.DataFrame({"size": np.bincount(label)}),
        rows=pd.DataFrame(rows, index=names),
        credible_ball=ball,
        modes=(),
        runs=(16, 16),
        capped=False,
        ci_prob=0.95,
    )


@pytest.fixture
def partition():
    return partition_of(LABEL, bound(MERGED, 0.5), bound(SPLIT, 0.6, 2), bound(MOVED, 0.7))


@pytest.fixture(scope="module")
def together():
    """Rows of one cluster more often together, no two pairs alike."""
    rng = np.random.default_rng(3)
    values = np.where(LABEL[:, None] == LABEL, 0.7, 0.1) + rng.uniform(-0.1, 0.1, (30, 30))
    values = (values + values.T) / 2
    np.fill_diagonal(values, 1)
    return similarity_of(values)


def cells(ax: plt.Axes) -> np.ndarray:
    (image,) = ax.get_images()
    return np.asarray(image.get_array())


def rows_shown(ax: plt.Axes, together: Similarity) -> np.ndarray:
    """Rows of a heat map, recognized by their values: no two pairs have the same."""
    shown = cells(ax)
    first = [
        np.flatnonzero((together.source.probability == value).any(axis=1)) for value in shown[0, 1:]
    ]
    common = set(first[0]).intersection(*first[1:])
    (head,) = common
    rows = [head, *((set(pair) - common).pop() for pair in first)]
    np.testing.assert_array_equal(together.source.probability[np.ix_(rows, rows)], shown)
    return np.array(rows)


class TestSimilarity:
    def test_rows_follow_the_clusters_and_within_them_who_is_alike(self, partition, together):
        ax = plots.similarity(together, partition)
        rows = rows_shown(ax, together)
        np.testing.assert_array_equal(LABEL[rows], np.repeat([0, 1, 2], [15, 10, 5]))
        for k in range(3):
            own = np.flatnonzero(np.equal(LABEL, k))
            own = own[np.argsort(-CERTAINTY[own])]
            apart = squareform(1 - together.source.probability[np.ix_(own, own)], checks=False)
            expected = own[leaves_list(linkage(apart, "average"))]
            np.testing.assert_array_equal(rows[LABEL[rows] == k], expected)

    def test_lines_between_clusters_and_their_numbers(self, partition, together):
        ax = plots.similarity(together, partition)
        drawn = {tuple(np.unique(line.get_xdata())) for line in ax.get_lines()}
        assert drawn == {(14.5,), (24.5,), (0, 1)}
        for axis in (ax.xaxis, ax.yaxis):
            np.testing.assert_array_equal(axis.get_ticklocs(), [7, 19.5, 27])
            assert [tick.get_text() for tick in axis.get_ticklabels()] == ["0", "1", "2"]
        assert ax.get_xlabel() == "30 rows by cluster"

    def test_the_color_bar_goes_from_never_to_always(self, partition, together):
        ax = plots.similarity(together, partition)
        assert ax.get_images()[0].get_clim() == (0, 1)
        (bar,) = [other for other in ax.figure.axes if other is not ax]
        assert bar.get_ylabel() == "probability of being together"

    def test_without_a_partition_by_a_tree_of_all_rows(self, together):
        _, given = plt.subplots()
        ax = plots.similarity(together, ax=given)
        assert ax is given
        apart = squareform(1 - together.source.probability, checks=False)
        expected = leaves_list(linkage(apart, "average"))
        np.testing.assert_array_equal(rows_shown(ax, together), expected)
        assert not ax.get_lines()

    def test_of_many_rows_some_of_every_cluster_and_certainty(self, partition, together):
        ax = plots.similarity(together, partition, most_rows=15)
        rows = rows_shown(ax, together)
        order = np.lexsort((-CERTAINTY, LABEL))
        expected = order[np.linspace(0, 29, 15).round().astype(int)]
        np.testing.assert_array_equal(np.sort(rows), np.sort(expected))
        assert ax.get_xlabel() == "15 of 30 rows by cluster"

    def test_small_clusters_have_no_number(self, together):
        label = np.arange(30)
        alone = bound(label, 0.1)
        ax = plots.similarity(together, partition_of(label, alone, alone, alone))
        assert len(ax.get_xticks()) == 30
        one = np.repeat([0, 1], [99, 1])
        edge = bound(one, 0.1)
        ax = plots.similarity(similarity_of(np.eye(100)), partition_of(one, edge, edge, edge))
        assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0"]

    def test_bad_arguments(self, partition, together):
        with pytest.raises(ValueError, match=r"most_rows: expected a whole number of .* got 2.5"):
            plots.similarity(together, most_rows=2.5)
        with pytest.raises(ValueError, match="most_rows: expected at least 2, got 1"):
            plots.similarity(together, most_rows=1)
        with pytest.raises(ValueError, match="similarity: expected 30 rows, as the partition has"):
            plots.similarity(similarity_of(np.eye(4)), partition)


X = np.random.default_rng(4).normal(size=(30, 3)) + LABEL[:, None] * [4, 2, 0]
TABLE = pd.DataFrame(X, columns=["east", "north", "up"])


def of_clusters(ax: plt.Axes) -> list[PathCollection]:
    """The scatters of rows; the rings are the last."""
    return list(ax.collections)[:-1]


class TestBallOfRows:
    def test_four_partitions_in_the_colors_of_the_estimate(self, partition):
        axes = plots.ball(partition, TABLE)
        assert axes.shape == (5,)
        for ax, label in zip(axes, (LABEL, MERGED, SPLIT, MOVED), strict=False):
            for scatter, k in zip(of_clusters(ax), np.unique(label), strict=True):
                np.testing.assert_array_equal(scatter.get_offsets(), X[label == k, :2])
                assert same_color(scatter.get_facecolors()[0, :3], color(k))

    def test_rings_are_rows_of_another_cluster(self, partition):
        for ax, label in zip(
            plots.ball(partition, TABLE), (LABEL, MERGED, SPLIT, MOVED), strict=False
        ):
            rings = ax.collections[-1]
            np.testing.assert_array_equal(rings.get_offsets(), X[label != LABEL, :2])
            assert not len(rings.get_facecolors())

    def test_titles_say_how_many_and_how_far(self, partition):
        titles = [ax.get_title() for ax in plots.ball(partition, TABLE)[:4]]
        assert titles == [
            "estimate\n3 clusters",
            "upper bound\n2 clusters, 0.5 bits away",
            "lower bound, one of several\n4 clusters, 0.6 bits away",
            "horizontal bound\n3 clusters, 0.7 bits away",
        ]

    def test_the_same_partition_twice_is_said(self):
        far, near = bound(SPLIT, 0.6), bound(LABEL, 0.0)
        titles = [ax.get_title() for ax in plots.ball(partition_of(LABEL, near, far, far), TABLE)]
        assert titles[1:4] == [
            "upper bound\nthe same as estimate",
            "lower bound\n4 clusters, 0.6 bits away",
            "horizontal bound\nthe same as lower",
        ]

    def test_the_features_asked_for(self, partition):
        axes = plots.ball(partition, TABLE, features=("up", "east"))
        np.testing.assert_array_equal(
            of_clusters(axes[0])[0].get_offsets(), X[LABEL == 0][:, [2, 0]]
        )
        assert (axes[0].get_xlabel(), axes[0].get_ylabel()) == ("up", "east")
        tree = xr.DataTree.from_dict({"observed_data": schema.observed_data(as_table(TABLE))})
        np.testing.assert_array_equal(
            of_clusters(plots.ball(partition, tree)[0])[0].get_offsets(), X[LABEL == 0, :2]
        )

    def test_one_feature_has_a_lane_for_every_cluster(self, partition):
        axes = plots.ball(partition, TABLE[["up"]])
        for ax, label in zip(axes, (LABEL, MERGED, SPLIT, MOVED), strict=False):
            for scatter, k in zip(of_clusters(ax), np.unique(label), strict=True):
                along, height = np.asarray(scatter.get_offsets()).T
                np.testing.assert_array_equal(along, X[label == k, 2])
                assert np.all(abs(height - k) <= 0.35 + 1e-9)
        assert axes[0].get_ylabel() == "cluster"

    def test_numbers_stand_among_their_rows(self, partition):
        ax = plots.ball(partition, TABLE)[0]
        for text, k in zip(ax.texts, range(3), strict=True):
            assert text.get_text() == str(k)
            np.testing.assert_allclose(
                text.get_position(), np.median(X[np.equal(LABEL, k), :2], axis=0)
            )

    def test_many_rows_are_thinned(self, partition, monkeypatch):
        monkeypatch.setattr(importlib.import_module("bayesmix.plots.ball"), "_MAX_ROWS", 11)
        ax = plots.ball(partition, TABLE)[0]
        assert sum(len(scatter.get_offsets()) for scatter in of_clusters(ax)) == 11
        assert "11 of 30 rows shown" in ax.figure.get_suptitle()

    @pytest.mark.parametrize(
        ("x", "features", "message"),
        [
            (X[:7], None, "x: expected 30 rows, as the partition has, got 7"),
            (TABLE, ["east", "north", "up"], "^features: expected one or two different names"),
            (TABLE, ["west"], "^features: expected names among east, north, up, got 'west'"),
            (None, ["east"], "features: expected x that has them, got none; pass the rows as x"),
        ],
    )
    def test_bad_arguments(self, partition, x, features, message):
        with pytest.raises(ValueError, match=message):
            plots.ball(partition, x, features=features)


class TestBallOfStrips:
    def test_cells_are_the_labels_by_cluster(self, partition):
        ax, _ = plots.ball(partition)
        order = np.lexsort((MOVED, SPLIT, MERGED, LABEL))
        shown = cells(ax)
        assert shown.shape == (4, 30, 3)
        for strip, label in zip(shown, (LABEL, MERGED, SPLIT, MOVED), strict=True):
            np.testing.assert_array_equal(strip, [to_rgb(color(k)) for k in label[order]])
        assert ax.get_yticklabels()[0].get_text() == "estimate\n3 clusters"
        assert ax.get_xlabel() == "30 rows, by cluster"

    def test_numbers_stand_on_their_cells(self, partition):
        ax, _ = plots.ball(partition)
        order = np.lexsort((MOVED, SPLIT, MERGED, LABEL))
        labels = np.stack([LABEL, MERGED, SPLIT, MOVED])[:, order]
        assert {text.get_text() for text in ax.texts} == {"0", "1", "2", "3"}
        for text in ax.texts:
            x, y = text.get_position()
            assert text.get_text() == str(labels[int(y), int(x - 1e-9)])

    def test_many_rows_are_thinned(self, partition, monkeypatch):
        monkeypatch.setattr(importlib.import_module("bayesmix.plots.ball"), "_MAX_CELLS", 10)
        ax, _ = plots.ball(partition)
        assert cells(ax).shape == (4, 10, 3)
        assert ax.get_xlabel() == "10 of 30 rows, by cluster"

    @pytest.mark.parametrize(
        ("loss", "name"),
        [("vi", "information .*bits"), ("binder", "Binder's loss"), ("omari", "adjusted Rand")],
    )
    def test_distances_of_all_draws_and_the_radius(self, partition, loss, name):
        strips, ax = plots.ball(replace(partition, loss=loss))
        assert sum(bar.get_height() for bar in ax.patches) == 100
        (radius,) = ax.get_lines()
        assert list(radius.get_xdata()) == [DISTANCE[94]] * 2
        unit = " bits" * (loss == "vi")
        assert ax.get_title(loc="left") == f"95% of the draws are within 0.76{unit}"
        assert re.search(name, ax.get_xlabel())
        ticks = [tick.get_text() for tick in strips.get_yticklabels()]
        assert ("bits" in ticks[1]) == (loss == "vi")

    @pytest.mark.parametrize("radius", [0.0, 0.003, 0.01, 0.3, 0.77, 0.8])
    def test_draws_in_the_ball_stand_before_its_radius(self, partition, radius):
        """Also those that are at the radius but for rounding."""
        distance = np.append(DISTANCE, [radius, np.nextafter(radius, 1)])
        ball = replace(partition.credible_ball, distance=distance, radius=radius)
        _, ax = plots.ball(replace(partition, credible_ball=ball))
        before = [b.get_height() for b in ax.patches if b.get_x() + b.get_width() < radius + 1e-9]
        assert sum(before) == (distance <= radius + 1e-12).sum()
        assert sum(bar.get_height() for bar in ax.patches) == 102
        assert ax.get_xlim()[1] > max(radius, 0.8) + 0.01

    def test_draws_that_all_agree(self, partition):
        ball = partition.credible_ball
        for far in (0.0, 0.3):
            alike = replace(ball, distance=np.full(100, far), radius=far, share=1.0)
            _, ax = plots.ball(replace(partition, credible_ball=alike))
            (bar,) = [bar for bar in ax.patches if bar.get_height()]
            assert bar.get_x() + bar.get_width() == pytest.approx(far, abs=1e-9)
            assert ax.get_xlim()[0] <= 0
            assert far + 0.01 < ax.get_xlim()[1] < 1.5
            assert ax.get_title(loc="left") == f"100% of the draws are within {far:.3g} bits"

    def test_one_cluster_everywhere(self):
        one = np.zeros(30, int)
        edge = bound(one, 0.0)
        ax, _ = plots.ball(partition_of(one, edge, edge, edge))
        assert ax.get_yticklabels()[1].get_text() == "upper bound\nthe same as estimate"
        assert [text.get_text() for text in ax.texts] == ["0"] * 4


def most_between(partition: Partition) -> pd.DataFrame:
    """Those that move, then the others; each by what their cluster is ahead."""
    rows = partition.rows
    ahead = rows["certainty"] - rows["next_affinity"]
    stays = 2 * rows["next_affinity"] <= rows["certainty"]
    assert 0 < stays.sum() < 30
    return rows.assign(ahead=ahead, stays=stays).sort_values(["stays", "ahead"])


class TestMoves:
    def test_affinities_of_the_rows_most_between_two_clusters(self, partition):
        _, given = plt.subplots()
        ax = plots.moves(partition, n_rows=12, ax=given)
        assert ax is given
        rows = most_between(partition).head(12)
        points = [line for line in ax.get_lines() if len(line.get_xdata()) == 1]
        full = [line for line in points if same_color(line.get_markerfacecolor(), line.get_color())]
        hollow = [line for line in points if same_color(line.get_markerfacecolor(), "white")]
        for lines, value, label in (
            (full, "certainty", "label"),
            (hollow, "next_affinity", "next_label"),
        ):
            assert [line.get_ydata()[0] for line in lines] == list(rows[value])
            for line, k in zip(lines, rows[label], strict=True):
                assert same_color(line.get_color(), color(k))
                assert line.get_marker() == marker(k)
        joined = [line.get_ydata() for line in ax.get_lines() if len(line.get_xdata()) == 2]
        np.testing.assert_array_equal(joined, rows[["certainty", "next_affinity"]])

    def test_names_say_from_where_to_where(self, partition):
        ax = plots.moves(partition, n_rows=5)
        rows = most_between(partition).head(5)
        expected = [f"{row.Index}  {row.label} → {row.next_label}" for row in rows.itertuples()]
        assert [tick.get_text() for tick in ax.get_xticklabels()] == expected
        assert "5 of 30 rows, " in ax.get_xlabel()

    def test_one_cluster_has_no_next_one(self):
        one = np.zeros(30, int)
        edge = bound(one, 0.0)
        ax = plots.moves(partition_of(one, edge, edge, edge), n_rows=100)
        assert ax.get_xticklabels()[0].get_text().endswith("  0")
        assert all(len(line.get_xdata()) < 2 for line in ax.get_lines())
        assert ax.get_xlabel().endswith("30 of 30 rows, none may move")


def test_partitioned_draws_strips_distances_and_rows(partition):
    """Rows: all that move, others up to ten."""
    strips, distances, moves = plots.partitioned(partition)
    assert cells(strips).shape == (4, 30, 3)
    assert sum(bar.get_height() for bar in distances.patches) == 100
    n_moving = len(partition.moving)
    assert n_moving > 10
    assert f" {n_moving} of 30 rows, first the {n_moving} that may move" in moves.get_xlabel()
    few = partition.rows.assign(next_affinity=np.where(np.arange(30) < 2, 0.9, 0))
    few_moves = plots.partitioned(replace(partition, rows=few))[2]
    assert " 10 of 30 rows, first the 2 that may move" in few_moves.get_xlabel()
    many = replace(partition, rows=partition.rows.assign(next_affinity=0.9))
    assert "30 of 30 rows, first the 30 that may move" in plots.partitioned(many)[2].get_xlabel()


@pytest.mark.parametrize(
    ("draw", "name"),
    [
        (plots.ball, "partition"),
        (plots.moves, "partition"),
        (plots.partitioned, "partition"),
        (plots.similarity, "similarity"),
        (lambda given: plots.similarity(similarity_of(np.eye(4)), given), "partition"),
    ],
    ids=["ball", "moves", "partitioned", "similarity", "similarity by"],
)
@pytest.mark.parametrize("given", [LABEL, "found"], ids=["labels", "text"])
def test_what_is_no_result_is_refused(draw, name, given):
    message = f"^{name}: expected what bayesmix.{name} returns, got {type(given).__name__}$"
    with pytest.raises(ValueError, match=message):
        draw(given)


@pytest.mark.parametrize("n_rows", [0, -3, 2.5, "all"])
def test_numbers_of_rows_are_counts(partition, n_rows):
    with pytest.raises(ValueError, match=r"^n_rows: expected a whole number of at least 1"):
        plots.moves(partition, n_rows=n_rows)


def test_thousands_have_commas():
    label = np.repeat([0, 1], 2500)
    edge = bound(label, 0.1)
    many = partition_of(label, edge, edge, edge)
    assert plots.ball(many)[0].get_xlabel() == "2,000 of 5,000 rows, by cluster"
    assert "40 of 5,000 rows," in plots.moves(many).get_xlabel()


def test_eighteen_clusters_have_eighteen_colors():
    colors = [to_rgb(color(k)) for k in range(18)]
    distance = [np.linalg.norm(np.subtract(a, b)) for i, a in enumerate(colors) for b in colors[:i]]
    assert min(distance) > 0.1


@pytest.mark.parametrize(
    "draw",
    [
        lambda partition, together: plots.similarity(together, partition),
        lambda partition, together: plots.ball(partition, TABLE)[0],
        lambda partition, together: plots.ball(partition)[0],
        lambda partition, together: plots.moves(partition),
        lambda partition, together: plots.partitioned(partition)[0],
    ],
    ids=["similarity", "ball of rows", "ball of strips", "moves", "partitioned"],
)
def test_renders(partition, together, draw, tmp_path):
    """Layout and fonts, which the artists alone do not show: text inside the figure, none lost."""
    figure = draw(partition, together).figure
    figure.savefig(tmp_path / "picture.png", dpi=70)
    whole = figure.bbox
    for ax in figure.axes:
        box = ax.get_tightbbox()
        assert whole.x0 - 1 <= box.x0 < box.x1 <= whole.x1 + 1
        assert whole.y0 - 1 <= box.y0 < box.y1 <= whole.y1 + 1
        assert ax.get_window_extent().height > 0.1 * whole.height
    ink = (plt.imread(tmp_path / "picture.png")[..., :3] < 0.95).any(axis=2)
    assert ink.mean() > 0.02


def test_every_row_is_seen_in_a_small_picture(partition, tmp_path):
    """Markers without an edge vanish at few dots per inch."""
    single = partition_of(np.zeros(30, int), *[bound(np.zeros(30, int), 0.0)] * 3)
    x = pd.DataFrame({"east": np.linspace(0, 1, 30), "north": np.tile([0.0, 1.0], 15)})
    ax = plots.ball(single, x)[0]
    for scatter in of_clusters(ax):
        assert np.all(np.asarray(scatter.get_linewidths()) > 0)
        assert same_color(scatter.get_edgecolors()[0, :3], scatter.get_facecolors()[0, :3])
