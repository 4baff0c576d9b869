"""The report's folder: every part there, whole or not at all, whenever Ctrl-C is pressed."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix import report_figures
from bayesmix.diagnostics import Finding
from bayesmix.inputs import as_table
from bayesmix.k_tables import TABLE_COLUMNS
from tests.fixtures_post import cut_short, fake_choice, fake_sample, frame, model, sampled
from tests.reports import FIGURES, FITS, REPORT, Page, files, interrupt, no_figures
from tests.support import STRUCTURES, blobs

TABLES = {
    "components": ["component", "parameter", "em", "mean", "sd", "lower", "upper", "z",
                   "tail_probability"],
    "memberships": ["obs", "em_label", "em_probability", "posterior_probability", "posterior_sd",
                    "posterior_lower", "posterior_upper", "label", "label_probability", "entropy",
                    "overconfident", "tail_probability", "cluster", "certainty", "next_cluster",
                    "next_affinity"],
    "diagnostics": ["Unnamed: 0", "mean", "sd", "eti", "eti", "ess_bulk", "ess_tail", "r_hat",
                    "mcse_mean", "mcse_sd", "note"],
    "groups": ["n_components", *TABLE_COLUMNS],
    "clusters": ["cluster", "size", "certainty", "found", "size_mean", "size_lower", "size_upper",
                 "together"],
    "features": ["feature", "n", "mean", "sd", "min", "median", "max", "distinct", "prior_mean",
                 "prior_sd_of_mean", "prior_sd"],
}  # fmt: skip
WHOLE = sorted(
    ["em.nc", "index.html", "posterior.nc"]
    + [f"figures/{name}.png" for name in FIGURES]
    + [f"tables/{name}.csv" for name in TABLES]
)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Planted draws in the place of sampled ones."""
    monkeypatch.setattr(FITS, "sample", fake_sample)
    monkeypatch.setattr(FITS, "choose_k", fake_choice)


@pytest.fixture
def undrawn(monkeypatch):
    monkeypatch.setattr(REPORT, "figures", no_figures)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A report on draws of NUTS, with all its pictures."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FITS, "sample", lambda *_, **__: sampled("full"))
        patch.setattr(FITS, "choose_k", fake_choice)
        return bm.report(frame(), folder, random_seed=1, name="rows", progressbar=False)


def without(*stages: str) -> list[str]:
    """Files of a report that was interrupted before some figures and tables."""
    parts = {f"figures/{name}.png" for name in stages} | {f"tables/{name}.csv" for name in stages}
    return [name for name in WHOLE if name not in parts]


class TestParts:
    def test_every_file_is_there(self, made):
        assert files(made.path.parent) == WHOLE
        for name in FIGURES:
            data = (made.path.parent / "figures" / f"{name}.png").read_bytes()
            assert data.startswith(b"\x89PNG")

    @pytest.mark.parametrize("name", TABLES)
    def test_tables(self, made, name):
        table = pd.read_csv(made.path.parent / "tables" / f"{name}.csv")
        columns = [c.split("_")[0][:3] if c.startswith("eti") else c for c in table.columns]
        assert columns == TABLES[name]

    def test_numbers_of_tables(self, made):
        def read(name):
            return pd.read_csv(made.path.parent / "tables" / f"{name}.csv", index_col=0)

        expected = made.comparison.components
        np.testing.assert_allclose(read("components")["em"], expected["point"], rtol=1e-12)
        np.testing.assert_allclose(read("components")["mean"], expected["mean"], rtol=1e-12)
        rows = read("memberships")
        assert len(rows) == 60
        assert (rows["cluster"] == made.partition.labels.values).all()
        np.testing.assert_allclose(rows["tail_probability"], made.tails, rtol=1e-12)
        features = read("features")
        np.testing.assert_allclose(features["sd"], frame().std(), rtol=1e-12)
        np.testing.assert_allclose(features["median"], frame().median(), rtol=1e-12)
        within = frame().std() / np.sqrt(2)
        np.testing.assert_allclose(features["prior_sd"], within, rtol=1e-12)
        np.testing.assert_allclose(features["prior_sd_of_mean"], 10 * within, rtol=1e-12)
        assert (read("clusters")["size"] == made.partition.table["size"]).all()

    def test_fits_can_be_read_again(self, made):
        em, post = (bm.load(made.path.parent / name) for name in ("em.nc", "posterior.nc"))
        assert post.equals(sampled("full"))
        expected = bm.fit_em(model("full"), frame(), random_seed=1)
        assert em["point_estimate"].equals(expected["point_estimate"])
        comparison = bm.compare_to_posterior(em, post)
        assert comparison.n_overconfident == made.comparison.n_overconfident

    def test_result(self, made):
        assert made.path.name == "index.html"
        assert made.interrupted is False
        assert made.identified
        assert made.mixture == model("full")
        assert {f.check for f in made.findings} >= {"EM", "r_hat", "ess", "identification"}
        assert "starts reached the best optimum" in made.findings[0].message
        stages = ["EM", "sampling", "comparison", "outliers", "partition", "number of groups"]
        assert list(made.seconds) == stages
        assert all(seconds > 0 for seconds in made.seconds.values())


@pytest.mark.parametrize(
    ("d", "k"),
    [(1, 2), *(pytest.param(*cell, marks=pytest.mark.slow) for cell in ((2, 1), (3, 3), (5, 2)))],
)
def test_every_picture_is_drawn(d, k, tmp_path):
    bm.report(blobs(50, d, k), tmp_path, n_components=k, covariance_type="diag", random_seed=1)
    assert files(tmp_path) == WHOLE
    page = Page(tmp_path / "index.html")
    assert f"mean x{d - 1}" in page.text
    caption = "Histogram of the data" if d == 1 else "colored by their most probable component"
    assert caption in page.text


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("structure", "k"), [*zip(STRUCTURES, (1, 3, 3, 1), strict=True)])
def test_structures_and_numbers_of_components(structure, k, tmp_path):
    bm.report(blobs(60, 2, 3), tmp_path, n_components=k, covariance_type=structure, random_seed=1)
    page = Page(tmp_path / "index.html")
    assert f"({structure})." in page.sections["model"]
    assert f"a Gaussian mixture of {k} component" in page.text


@pytest.mark.slow
def test_no_picture_of_components_that_cannot_be_read(tmp_path, monkeypatch):
    bad = Finding("warning", "identification", "no component is identified")
    monkeypatch.setattr(FITS, "diagnose", lambda _: [Finding("ok", "ess", "enough"), bad])
    bm.report(blobs(50, 3, 2), tmp_path, covariance_type="diag", random_seed=1)
    by_component = {
        f"figures/{name}.png" for name in ("components", "membership", "responsibilities")
    }
    assert files(tmp_path) == [name for name in WHOLE if name not in by_component]


@pytest.mark.parametrize(("work", "expected"), [(10**9, 300), (60 * 2 * 50, 50), (1, 1)])
def test_pictures_of_many_rows_take_some_draws(made, work, expected, monkeypatch):
    monkeypatch.setattr(report_figures, "_WORK", work)
    post = report_figures.pictured(made)
    assert post["posterior"].sizes["draw"] == expected
    assert post["relabeling"]["permutation"].sizes["draw"] == expected
    bm.membership(post)


@pytest.mark.parametrize(("n", "limit"), [(30, 0.01), (500, 0.01), (100_000, 5e-5)])
def test_the_model_itself_would_ring_five_rows_at_most(n, limit):
    assert report_figures.ringed_below(n) == pytest.approx(limit)


@pytest.mark.usefixtures("undrawn")
class TestSeed:
    def test_one_number_repeats_it(self, tmp_path, monkeypatch):
        """Whatever is given, every stage starts from one whole number, which the page names."""
        given = []

        def note(*args, random_seed, **options):
            given.append(random_seed)
            return fake_sample(*args, **options)

        monkeypatch.setattr(FITS, "sample", note)
        monkeypatch.setattr(FITS, "_STAGES", FITS._STAGES[:1])
        seeds = (7, np.int64(7), np.random.SeedSequence(3), np.random.SeedSequence(3), None)
        for seed in seeds:
            made = bm.report(frame(), tmp_path, random_seed=seed)
            assert made.asked.seed == given[-1]
            assert f"Seed {given[-1]}" in Page(made.path).sections["again"]
        assert given[:2] == [7, 7]
        assert given[2] == given[3] != given[4]
        assert all(type(seed) is int for seed in given)


@pytest.mark.usefixtures("undrawn")
class TestManyRows:
    @pytest.mark.parametrize(("n", "draws"), [(60, 1000), (40_000, 500), (200_000, 200)])
    def test_draws_by_default(self, n, draws, tmp_path, monkeypatch):
        monkeypatch.setattr(REPORT, "fitted", lambda asked, announce: asked)
        monkeypatch.setattr(REPORT, "_write", lambda *_: None)
        x = np.random.default_rng(0).normal(size=(n, 1))
        assert bm.report(x, tmp_path).draws == draws
        assert bm.report(x, tmp_path, draws=30).draws == 30

    def test_asking_how_many_groups_has_its_time(self, tmp_path, monkeypatch):
        asked = []

        def note(x, k, **options):
            asked.append((list(k), options))
            return fake_choice(x, k)

        monkeypatch.setattr(FITS, "choose_k", note)
        monkeypatch.setattr(FITS, "_compared", lambda made: made)
        monkeypatch.setattr(FITS, "_STAGES", FITS._STAGES[-1:])
        for n, k, draws in ((60, 2, None), (60, 9, 10), (21_000, 2, None)):
            x = np.random.default_rng(0).normal(size=(n, 1))
            kind = {"covariance_type": "diag", "random_seed": 1, "draws": draws}
            bm.report(x, tmp_path, n_components=k, **kind)
        assert [numbers[-1] for numbers, _ in asked] == [8, 11, 8]
        assert [options["draws"] for _, options in asked] == [1000, 25, 95]
        assert [options.get("seconds") for _, options in asked] == [None, None, 30.0]
        assert all(options["covariance_type"] == "diag" for _, options in asked)
        assert all(options["random_seed"] == 1 for _, options in asked)


@pytest.mark.usefixtures("undrawn")
class TestInterrupts:
    def test_before_any_draw(self, tmp_path, monkeypatch):
        monkeypatch.setattr(FITS, "sample", interrupt)
        said = []
        made = bm.report(frame(), tmp_path, random_seed=1, announce=said.append)
        assert made.interrupted
        assert made.post is made.comparison is None
        rest = ["components", "traces", "compared", "partition", "ball", "clusters", "groups"]
        rest += ["membership", "outliers", "responsibilities"]
        expected = [f for f in without(*rest) if f != "posterior.nc"] + ["tables/components.csv"]
        assert files(tmp_path) == sorted(expected)
        text = Page(tmp_path / "index.html").text
        assert "EM only." in text
        assert "posterior.nc" not in text
        assert any("EM alone" in message for message in said)
        bm.load(tmp_path / "em.nc")

    def test_tables_of_em_alone(self, tmp_path, monkeypatch):
        monkeypatch.setattr(FITS, "sample", interrupt)
        made = bm.report(frame(), tmp_path, random_seed=1)
        rows = pd.read_csv(tmp_path / "tables" / "memberships.csv")
        assert rows.columns.tolist() == ["obs", "em_label", "em_probability"]
        table = pd.read_csv(tmp_path / "tables" / "components.csv")
        assert table.columns.tolist() == ["component", "parameter", "em"]
        weights = table.loc[table["parameter"] == "weight", "em"]
        np.testing.assert_allclose(weights, made.em["point_estimate"]["weights"], rtol=1e-12)
        shown = Page(made.path).tables["memberships: The least certain rows"]
        least = rows.sort_values("em_probability", kind="stable").iloc[0]
        assert shown[1][0] == str(int(least["obs"]))
        assert shown[1][-2:] == [str(int(least["em_label"])), f"{least['em_probability']:.3f}"]

    def test_with_draws(self, tmp_path, monkeypatch):
        monkeypatch.setattr(FITS, "sample", cut_short)
        made = bm.report(frame(), tmp_path, random_seed=1)
        assert made.interrupted
        assert made.choice is None
        assert files(tmp_path) == without("groups")
        text = Page(tmp_path / "index.html").text
        assert "Interrupted. Sampling was stopped early" in text
        assert "2 chain" in text
        assert "30 draws" in text

    @pytest.mark.parametrize(
        ("stage", "left"),
        [
            ("compare_to_posterior", ["em", "features"]),
            ("tail_probability", ["posterior", "diagnostics", "comparison"]),
            ("partition", ["memberships", "comparison"]),
            ("choose_k", ["partition"]),
        ],
    )
    def test_in_a_later_stage(self, stage, left, tmp_path, monkeypatch):
        """The page has what was finished; the draws are kept whatever happens."""
        monkeypatch.setattr(FITS, stage, interrupt)
        said = []
        made = bm.report(frame(), tmp_path, random_seed=1, announce=said.append)
        assert made.interrupted
        assert bm.load(tmp_path / "posterior.nc")["posterior"].sizes["draw"] == 40
        page = Page(made.path)
        assert made.left_out in page.text
        assert f"interrupted: {made.left_out}" in said
        assert "this page does not judge it" in page.sections["short"]
        assert set(left) - {"features"} <= page.sections.keys()
        assert "groups" not in page.sections
        assert ("comparison" in page.sections) is (stage != "compare_to_posterior")
        assert ("partition" in page.sections) is (stage == "choose_k")

    @pytest.mark.parametrize(("slow", "expected"), [(10**9, True), (1, False)])
    def test_while_asking_how_many_groups(self, slow, expected, tmp_path, monkeypatch):
        """What the time it was given left out is no interrupt."""

        def ended_early(*args, **options):
            return replace(fake_choice(*args, **options), unfinished=("EM's criteria",))

        monkeypatch.setattr(FITS, "choose_k", ended_early)
        monkeypatch.setattr(FITS, "_SLOW", slow)
        made = bm.report(frame(), tmp_path, random_seed=1)
        assert made.interrupted is expected
        said = "Asking how many groups there are was stopped early"
        assert (said in Page(made.path).text) is expected

    @pytest.mark.parametrize(("rows", "features", "ends"), [(60, 3, False), (60, 30, True)])
    def test_wide_tables_have_their_time(self, rows, features, ends):
        x = as_table(np.random.default_rng(1).normal(size=(rows, features)))
        mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
        asked = SimpleNamespace(table=x, mixture=mixture, draws=100, seed=1)
        assert ("seconds" in FITS.options_of_choice(asked)) is ends

    def test_before_em_there_is_nothing_to_tell(self, tmp_path, monkeypatch):
        monkeypatch.setattr(FITS, "fit_em", interrupt)
        with pytest.raises(KeyboardInterrupt):
            bm.report(frame(), tmp_path / "new")
        assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("undrawn")
class TestReplacing:
    @pytest.fixture
    def earlier(self, tmp_path) -> Path:
        """A report, and what else a user keeps beside it."""
        bm.report(frame(), tmp_path, random_seed=1, name="earlier")
        (tmp_path / "notes.txt").write_text("mine")
        (tmp_path / "own").mkdir()
        (tmp_path / "own" / "index.html").write_text("mine")
        return tmp_path

    def contents(self, folder: Path) -> dict[str, bytes]:
        return {name: (folder / name).read_bytes() for name in files(folder)}

    def test_other_files_are_left_alone(self, earlier):
        bm.report(frame(), earlier, random_seed=1, name="later")
        assert files(earlier) == sorted([*WHOLE, "notes.txt", "own/index.html"])
        assert (earlier / "notes.txt").read_text() == "mine"
        assert (earlier / "own" / "index.html").read_text() == "mine"
        assert "later: a Gaussian" in Page(earlier / "index.html").text

    def test_nothing_of_an_earlier_report_stays(self, earlier, monkeypatch):
        (earlier / "figures" / "old.png").write_bytes(b"old")
        monkeypatch.setattr(FITS, "sample", interrupt)
        bm.report(frame(), earlier, random_seed=1)
        found = files(earlier)
        assert "posterior.nc" not in found
        assert "figures/overview.png" in found
        assert "figures/old.png" not in found
        assert "figures/traces.png" not in found

    @pytest.mark.parametrize(
        ("step", "error"),
        [("tables", OSError()), ("figures", KeyboardInterrupt()), ("page", OSError())],
    )
    def test_a_failure_while_writing_changes_nothing(self, earlier, monkeypatch, step, error):
        def fail(*_):
            assert (earlier / "index.html").exists()  # replaced at the end only
            raise error

        before = self.contents(earlier)
        monkeypatch.setattr(REPORT, step, fail)
        with pytest.raises(type(error)):
            bm.report(frame(), earlier, random_seed=1)
        assert self.contents(earlier) == before
        assert not list(earlier.glob(".partial*"))

    @pytest.mark.parametrize("step", ["tables", "page"])
    def test_a_failure_leaves_no_half_report(self, tmp_path, monkeypatch, step):
        def fail(*_):
            raise OSError("disk full")

        monkeypatch.setattr(REPORT, step, fail)
        with pytest.raises(OSError, match="disk full"):
            bm.report(frame(), tmp_path / "new", random_seed=1)
        assert files(tmp_path) == []
        assert not list((tmp_path / "new").iterdir())

    def test_the_page_comes_last(self, earlier, monkeypatch):
        """Whenever it stops while moving, there is no page over parts of two reports."""
        moved = []
        original = Path.replace

        def watch(self, target):
            assert not (earlier / "index.html").exists()
            moved.append(Path(target).name)
            return original(self, target)

        monkeypatch.setattr(Path, "replace", watch)
        bm.report(frame(), earlier, random_seed=1)
        assert moved[-1] == "index.html"
        assert len(moved) == 5


def test_open_figures_are_left_alone(monkeypatch):
    """Its own are closed one by one."""
    import matplotlib.pyplot as plt

    def drawn(made):
        for name in made:
            assert len(plt.get_fignums()) == 1
            yield name, plt.figure(figsize=(0.1, 0.1))

    plt.switch_backend("agg")
    plt.close("all")
    own = plt.figure()
    monkeypatch.setattr(report_figures, "drawn", drawn)
    found = dict(report_figures.figures(("one", "two")))
    assert list(found) == ["one", "two"]
    assert plt.get_fignums() == [own.number]
    plt.close(own)


def test_pictures_take_little_room_and_look_the_same(monkeypatch):
    import matplotlib.pyplot as plt
    from PIL import Image

    plt.switch_backend("agg")
    rng = np.random.default_rng(0)
    figure, ax = plt.subplots(figsize=(4, 3))
    for k in range(40):
        ax.plot(rng.normal(size=30).cumsum(), color=f"C{k % 3}", linewidth=0.5, alpha=0.4)
    whole = io.BytesIO()
    figure.savefig(whole, format="png", dpi=report_figures.DPI)
    monkeypatch.setattr(report_figures, "drawn", lambda made: [("one", figure)])
    [(_, found)] = report_figures.figures(None)
    assert len(found) < len(whole.getvalue()) / 2
    own, kept = (
        np.asarray(Image.open(data).convert("RGB"), float) for data in (whole, io.BytesIO(found))
    )
    assert own.shape == kept.shape
    assert np.abs(own - kept).mean() < 1
    assert (kept[0, 0] == 255).all()


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (frame().head(1), {}, "rows: expected at least"),
        (frame().head(2), {"n_components": 3}, r"at least as many rows as components \(3\), got 2"),
        (frame().assign(width=1.0), {}, "rows: column 'width' is constant .* drop it"),
        (frame().assign(width=np.nan), {}, "rows: column 'width' has 60 value.* NaN"),
        (frame().assign(width="a"), {}, "rows: column 'width' is not numeric"),
    ],
)
def test_bad_data_leave_nothing_behind(x, options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        bm.report(x, tmp_path / "out", name="rows", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("inside", [False, True])
def test_a_file_where_the_folder_should_be(inside, tmp_path, monkeypatch):
    monkeypatch.setattr(FITS, "fit_em", None)  # said before any work
    (tmp_path / "taken").write_text("mine")
    out = tmp_path / "taken" / "report" if inside else tmp_path / "taken"
    with pytest.raises(ValueError, match=r"out: expected a folder, but .*taken is a file; give an"):
        bm.report(frame(), out)
    assert (tmp_path / "taken").read_text() == "mine"
