"""The report: every part of it there, whole or not at all, and readable without a connection."""

from __future__ import annotations

import importlib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.k_tables import TABLE_COLUMNS
from tests.fixtures_post import fake_choice, fake_sample, frame, model, sampled
from tests.support import STRUCTURES, blobs

module = importlib.import_module("bayesmix.report")

FIGURES = ["components", "confidence", "groups", "overview", "traces"]
TABLES = {
    "components": ["component", "parameter", "em", "mean", "sd", "lower", "upper", "z",
                   "tail_probability"],
    "memberships": ["obs", "em_label", "em_probability", "posterior_probability", "posterior_sd",
                    "posterior_lower", "posterior_upper", "label", "label_probability", "entropy",
                    "overconfident"],
    "diagnostics": ["Unnamed: 0", "mean", "sd", "eti", "eti", "ess_bulk", "ess_tail", "r_hat",
                    "mcse_mean", "mcse_sd", "note"],
    "groups": ["n_components", *TABLE_COLUMNS],
}  # fmt: skip


class Page(HTMLParser):
    """What a browser would see and fetch."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("img", "meta", "mspace"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += f" {data}"

    def close(self):
        super().close()
        assert not self.open, f"never closed: {self.open}"

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Planted draws in the place of sampled ones."""
    monkeypatch.setattr(module, "sample", fake_sample)
    monkeypatch.setattr(module, "choose_k", fake_choice)


@pytest.fixture
def undrawn(monkeypatch):
    """Empty figures in the place of the four, which take seconds."""
    import matplotlib.pyplot as plt

    def empty(made):
        names = FIGURES if made.comparison is not None else []
        names = [name for name in names if name != "groups" or made.choice is not None]
        return {name: plt.figure(figsize=(0.1, 0.1)) for name in names}

    monkeypatch.setattr(module, "_figures", empty)
    yield
    plt.close("all")


def interrupt(*_, **__):
    raise KeyboardInterrupt


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


WHOLE = sorted(
    ["em.nc", "index.html", "posterior.nc"]
    + [f"figures/{name}.png" for name in FIGURES]
    + [f"tables/{name}.csv" for name in TABLES]
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A report on draws of NUTS."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "sample", lambda *_, **__: sampled("full"))
        patch.setattr(module, "choose_k", fake_choice)
        return bm.report(frame(), folder, random_seed=1, name="rows", progressbar=False)


class TestParts:
    def test_how_many_groups(self, made):
        text = Page(made.path).text
        assert "How many groups" in text
        assert text.count("2 clusters, <for sure>.") == 2
        prior = made.choice.table.loc[2, "p_n_clusters_prior"]
        assert f"2 1.000 – {prior:.3f} – – 0.0 0.0 converged" in text
        prior = made.choice.table.loc[8, "p_n_clusters_prior"]
        assert f"8 0.000 – {prior:.3f} – – – – singular" in text
        assert "BetaNegativeBinomial(a=1.0, b=4.0, c=3.0)" in text

    def folder(self, made) -> Path:
        return made.path.parent

    def test_every_file_is_there(self, made):
        assert files(self.folder(made)) == WHOLE
        for name in FIGURES:
            data = (self.folder(made) / "figures" / f"{name}.png").read_bytes()
            assert data.startswith(b"\x89PNG")

    @pytest.mark.parametrize("name", TABLES)
    def test_tables(self, made, name):
        table = pd.read_csv(self.folder(made) / "tables" / f"{name}.csv")
        columns = [c.split("_")[0][:3] if c.startswith("eti") else c for c in table.columns]
        assert columns == TABLES[name]
        if name == "memberships":
            assert len(table) == 60
        if name == "components":
            expected = made.comparison.components
            np.testing.assert_allclose(table["em"], expected["point"], rtol=1e-12)
            np.testing.assert_allclose(table["mean"], expected["mean"], rtol=1e-12)

    def test_fits_can_be_read_again(self, made):
        em, post = (bm.load(self.folder(made) / name) for name in ("em.nc", "posterior.nc"))
        assert post.equals(sampled("full"))
        expected = bm.fit_em(model("full"), frame(), random_seed=1)
        assert em["point_estimate"].equals(expected["point_estimate"])
        comparison = bm.compare_to_posterior(em, post)
        assert comparison.n_overconfident == made.comparison.n_overconfident

    def test_the_page_needs_no_connection(self, made):
        page = Page(made.path)
        sources = [attrs["src"] for _, attrs in page.tags if "src" in attrs]
        assert len(sources) == len(page.all("img")) == 5
        assert all(source.startswith("data:image/png;base64,") for source in sources)
        links = [attrs["href"] for _, attrs in page.tags if "href" in attrs]
        assert links == ["#groups"]
        for tag in ("script", "link", "iframe", "object"):
            assert not page.all(tag)
        assert "url(" not in made.path.read_text()
        assert "@import" not in made.path.read_text()

    def test_formulas_are_mathml(self, made):
        page = Page(made.path)
        assert len(page.all("math")) == 2
        assert page.all("munderover")

    def test_pictures_have_words_beside_them(self, made):
        page = Page(made.path)
        assert all(len(attrs["alt"]) > 20 for attrs in page.all("img"))
        assert len(page.all("figcaption")) == 5

    def test_what_the_page_says(self, made):
        text = Page(made.path).text
        for sentence in made.comparison.sentences():
            assert sentence in text
        assert "rows: a Gaussian mixture of 2 components" in text
        assert "60 rows" in text
        assert "width, height" in text
        assert "nothing was scaled, no row was dropped" in text
        assert "Seed 1" in text
        assert all(finding.message in text for finding in made.findings)
        for word in ("nan", "None", "Undefined"):
            assert f" {word} " not in text

    def test_result(self, made):
        assert made.path.name == "index.html"
        assert made.interrupted is False
        assert made.mixture == model("full")
        assert {f.check for f in made.findings} >= {"r_hat", "ess", "identification"}


@pytest.mark.parametrize("d", [1, *(pytest.param(d, marks=pytest.mark.slow) for d in (2, 3)), 5])
def test_numbers_of_features(d, tmp_path):
    bm.report(blobs(50, d, 2), tmp_path, random_seed=1)
    assert files(tmp_path) == WHOLE
    page = Page(tmp_path / "index.html")
    assert f"mean x{d - 1}" in page.text
    caption = "Histogram of the data" if d == 1 else "colored by their most probable component"
    assert caption in page.text


@pytest.mark.parametrize(("structure", "k"), [("full", 1), ("diag", 3)])
def test_every_picture_is_drawn(structure, k, tmp_path):
    bm.report(blobs(60, 2, 3), tmp_path, n_components=k, covariance_type=structure, random_seed=1)
    assert files(tmp_path) == WHOLE


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("k", [1, 3])
def test_structures_and_numbers_of_components(structure, k, tmp_path):
    bm.report(blobs(60, 2, 3), tmp_path, n_components=k, covariance_type=structure, random_seed=1)
    page = Page(tmp_path / "index.html")
    assert f"({structure}):" in page.text
    assert f"of {k} component" in page.text
    symbols = {"full": "IW", "tied": "IW", "diag": "IG", "spherical": "tr"}
    assert f" {symbols[structure]} " in page.text


@pytest.mark.usefixtures("undrawn")
def test_known_labels_are_counted_by_component(tmp_path):
    labels = pd.Series(np.where(frame()["width"] > 0, "<wide>", "narrow"), name="size")
    made = bm.report(frame(), tmp_path, labels=labels, random_seed=1)
    counts = pd.crosstab(labels.to_numpy(), made.comparison.memberships["label"].to_numpy())
    text = Page(tmp_path / "index.html").text
    assert "Known labels against components" in text
    for name, row in counts.iterrows():
        assert f"{name} {row.iloc[0]} {row.iloc[1]}" in text


@pytest.mark.usefixtures("undrawn")
def test_names_are_shown_as_they_are(tmp_path):
    odd = frame().rename(columns={"width": "<b>width & co", "height": "[red]"})
    bm.report(odd, tmp_path, random_seed=1, name="<rows>")
    page = Page(tmp_path / "index.html")
    assert "mean <b>width & co" in page.text
    assert "mean [red]" in page.text
    assert "<rows>: a Gaussian mixture" in page.text
    assert not page.all("b")


def test_interrupted_before_any_draw(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "sample", interrupt)
    said = []
    made = bm.report(frame(), tmp_path, random_seed=1, announce=said.append)
    assert made.interrupted
    assert made.post is made.comparison is None
    expected = [
        name
        for name in WHOLE
        if not name.startswith(("figures", "posterior", "tables/groups")) or "overview" in name
    ]
    assert files(tmp_path) == expected
    page = Page(tmp_path / "index.html")
    assert "EM only." in page.text
    assert len(page.all("img")) == 1
    assert "posterior.nc" not in page.text
    table = pd.read_csv(tmp_path / "tables" / "memberships.csv")
    assert table.columns.tolist() == ["obs", "em_label", "em_probability"]
    table = pd.read_csv(tmp_path / "tables" / "components.csv")
    assert table.columns.tolist() == ["component", "parameter", "em"]
    weights = table.loc[table["parameter"] == "weight", "em"]
    np.testing.assert_allclose(weights, made.em["point_estimate"]["weights"], rtol=1e-12)
    bm.load(tmp_path / "em.nc")
    assert any("EM alone" in message for message in said)
    shown = module._least_certain(made, module.tables(made)["memberships"])
    assert shown[0]["em_label"] in (0, 1)
    assert isinstance(shown[0]["em_label"], int)


@pytest.mark.usefixtures("undrawn")
def test_interrupted_while_asking_how_many(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "choose_k", interrupt)
    said = []
    made = bm.report(frame(), tmp_path, random_seed=1, announce=said.append)
    assert made.interrupted
    assert made.choice is None
    assert files(tmp_path) == [name for name in WHOLE if "groups" not in name]
    text = Page(tmp_path / "index.html").text
    assert "This page does not judge it" in text
    assert "How many groups" not in text
    assert "the page does not say how many groups" in " ".join(said)


@pytest.mark.usefixtures("undrawn")
def test_as_many_groups_as_asked_for_and_more(tmp_path, monkeypatch):
    asked = []

    def note(x, k, **options):
        asked.append((list(k), options))
        return fake_choice(x, k)

    monkeypatch.setattr(module, "choose_k", note)
    for k in (2, 9):
        bm.report(frame(), tmp_path, n_components=k, covariance_type="diag", random_seed=1)
    assert [numbers[-1] for numbers, _ in asked] == [8, 11]
    assert asked[0][1]["covariance_type"] == "diag"
    assert asked[0][1]["random_seed"] == 1


@pytest.mark.usefixtures("undrawn")
def test_interrupted_with_draws(tmp_path, monkeypatch):
    def cut_short(*args, **options):
        tree = fake_sample(*args, **options).isel(chain=slice(2), draw=slice(30))
        tree.attrs["interrupted"] = 1
        return tree

    monkeypatch.setattr(module, "sample", cut_short)
    made = bm.report(frame(), tmp_path, random_seed=1)
    assert made.interrupted
    assert made.choice is None
    assert files(tmp_path) == [name for name in WHOLE if "groups" not in name]
    text = Page(tmp_path / "index.html").text
    assert "Interrupted. Sampling was stopped early" in text
    assert "2 chain" in text
    assert "30 draws" in text


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
        monkeypatch.setattr(module, "sample", interrupt)
        bm.report(frame(), earlier, random_seed=1)
        found = files(earlier)
        assert "posterior.nc" not in found
        assert not any(name.startswith("figures") for name in found)

    @pytest.mark.parametrize("step", ["tables", "_figures", "_png", "_page"])
    @pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
    def test_a_failure_while_writing_changes_nothing(self, earlier, monkeypatch, step, error):
        def fail(*_):
            assert (earlier / "index.html").exists()  # replaced at the end only
            raise error

        before = self.contents(earlier)
        monkeypatch.setattr(module, step, fail)
        with pytest.raises(type(error)):
            bm.report(frame(), earlier, random_seed=1)
        assert self.contents(earlier) == before
        assert not list(earlier.glob(".partial*"))

    @pytest.mark.parametrize("step", ["tables", "_page"])
    def test_a_failure_leaves_no_half_report(self, tmp_path, monkeypatch, step):
        def fail(*_):
            raise OSError("disk full")

        monkeypatch.setattr(module, step, fail)
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


def test_open_figures_are_left_alone(tmp_path):
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")
    plt.close("all")
    own = plt.figure()
    bm.report(frame(), tmp_path, random_seed=1)
    assert plt.get_fignums() == [own.number]
    plt.close(own)


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
    monkeypatch.setattr(module, "fit_em", None)  # said before any work
    (tmp_path / "taken").write_text("mine")
    out = tmp_path / "taken" / "report" if inside else tmp_path / "taken"
    with pytest.raises(ValueError, match=r"out: expected a folder, but .*taken is a file; give an"):
        bm.report(frame(), out)
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("structure", "indexed"), [("full", True), ("tied", False)])
def test_the_formula_is_that_of_the_structure(structure, indexed, tmp_path):
    bm.report(frame(), tmp_path, random_seed=1, covariance_type=structure)
    page = (tmp_path / "index.html").read_text()
    assert ("<msub><mi>Σ</mi><mi>k</mi></msub>" in page) is indexed


@pytest.mark.usefixtures("undrawn")
def test_rows_without_a_label_are_counted_too(tmp_path):
    labels = pd.Series(["a"] * 20 + [None] * 40, dtype=object)
    made = bm.report(frame(), tmp_path, random_seed=1, labels=labels)
    counts = module._cross_table(made, module.tables(made)["memberships"])
    assert counts.loc["(no label)"].sum() == 40
    assert counts.columns.tolist() == [0, 1]


@pytest.mark.usefixtures("undrawn")
def test_how_em_ended_is_a_finding(tmp_path):
    made = bm.report(frame(), tmp_path, random_seed=1)
    assert made.findings[0].check == "EM"
    assert "starts reached the best optimum" in made.findings[0].message
