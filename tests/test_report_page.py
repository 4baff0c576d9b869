"""The report's page: its numbers are those of the fits, it fetches nothing, and its code runs."""

from __future__ import annotations

import hashlib
import inspect
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.diagnostics import Finding
from bayesmix.html import formula
from bayesmix.html.numbers import number
from bayesmix.k_words import POSTERIOR
from bayesmix.n_components import choose_k
from bayesmix.report_fits import Report
from bayesmix.report_words import Fact, facts, out_of_place
from bayesmix.sampling import sample
from tests.fixtures_post import fake_choice, fake_sample, frame
from tests.reports import EMPTY_PNG, FITS, REPORT, Page, no_figures

SECTIONS = [
    *("short", "data", "model", "em", "posterior", "diagnostics", "memberships", "partition"),
    *("groups", "comparison", "again"),
]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Planted draws in the place of sampled ones, and no pictures."""
    monkeypatch.setattr(FITS, "sample", fake_sample)
    monkeypatch.setattr(FITS, "choose_k", fake_choice)
    monkeypatch.setattr(REPORT, "figures", no_figures)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Report:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FITS, "sample", fake_sample)
        patch.setattr(FITS, "choose_k", fake_choice)
        patch.setattr(REPORT, "figures", no_figures)
        return bm.report(frame(), tmp_path_factory.mktemp("page"), random_seed=1, name="rows")


@pytest.fixture(scope="module")
def page(made) -> Page:
    return Page(made.path)


def confuse(comparison):
    """A comparison whose chains and components say that nothing can be read of them."""
    return [
        Finding("warning", "r_hat", "R-hat is 1.5", "run more draws"),
        Finding("warning", "identification", "no component is identified", "fewer may separate"),
    ]


class TestStructure:
    def test_sections_and_links_to_them(self, page):
        assert list(page.sections) == SECTIONS
        links = [str(attrs["href"]) for attrs in page.all("a")]
        contents = [f"#{name}" for name in SECTIONS[1:]]
        assert links[-len(contents) :] == contents
        assert set(links) == set(contents)

    def test_the_page_needs_no_connection(self, made, page):
        sources = [str(attrs["src"]) for _, attrs in page.tags if "src" in attrs]
        assert len(sources) == len(page.all("img")) == 12
        assert all(source.startswith("data:image/png;base64,") for source in sources)
        for tag in ("script", "link", "iframe", "object", "base", "form"):
            assert not page.all(tag)
        text = made.path.read_text()
        assert "url(" not in text
        assert "@import" not in text
        assert "http" not in text

    def test_pictures_have_words_beside_them_and_their_size(self, page):
        assert all(len(str(attrs["alt"])) > 20 for attrs in page.all("img"))
        assert len(page.all("figcaption")) == 12
        assert EMPTY_PNG[16:24] == (96).to_bytes(4) + (192).to_bytes(4)
        assert all((a["width"], a["height"]) == ("48", "96") for a in page.all("img"))

    def test_tables_scroll_in_boxes_of_their_own(self, page):
        assert len(page.tables) == len(page.all("table")) == 10
        for name, rows in page.tables.items():
            if name != "diagnostics: Diagnostics by quantity":  # "constant" spans columns
                assert len({len(row) for row in rows}) == 1

    def test_tables_have_heads_that_print_on_every_page(self, page):
        assert len(page.all("thead")) == len(page.all("table"))

    def test_numbers_of_chains_are_words(self, page):
        assert "4 chains of 40 draws each" in page.sections["diagnostics"]

    def test_nothing_is_left_to_chance(self, page):
        for word in ("nan", "None", "Undefined", "inf"):
            assert f" {word} " not in page.text


class TestNumbers:
    def test_data(self, page):
        rows = page.tables["data: Features"]
        assert [row[0] for row in rows] == ["feature", "width", "height"]
        for row, (_, values) in zip(rows[1:], frame().items(), strict=True):
            expected = [values.mean(), values.std(), values.min(), values.median(), values.max()]
            assert row[1:-1] == [number(value) for value in expected]
            assert row[-1] == str(values.nunique())

    def test_prior(self, made, page):
        assert formula(made.mixture) in made.path.read_text()
        prior = made.mixture.components
        for j, row in enumerate(page.tables["model: Prior by feature"][1:]):
            sd = np.sqrt(prior.covariance_scale[j][j])
            assert row[1:] == [number(v) for v in (prior.mean[j], 10 * sd, sd)]
        assert "give or take 10 of its component's" in page.sections["model"]
        assert "divided by 2 so that" in page.sections["model"]

    def test_components(self, made, page):
        found = made.comparison.components.set_index(["parameter", "component"])
        shown = page.tables["posterior: Components of the posterior"]
        points = page.tables["em: Components of EM"]
        parameters = made.comparison.components["parameter"].unique()
        assert [row[0] for row in shown[1:]] == parameters.tolist()
        for row, point in zip(shown[1:], points[1:], strict=True):
            for k in (0, 1):
                own = found.loc[(row[0], k)]
                mean, lower, _, upper = row[1 + k].split()
                error = found.loc[row[0], "sd"].min() / 10  # two digits of it
                given = own[["mean", "lower", "upper", "point"]]
                read = [float(text) for text in (mean, lower, upper, point[1 + k])]
                np.testing.assert_allclose(read, given, rtol=0, atol=error / 2 + 1e-12)

    def test_least_certain_rows(self, made, page):
        rows = page.tables["memberships: The least certain rows"]
        assert rows[0][1:3] == ["width", "height"]
        found = made.comparison.memberships.sort_values("label_probability", kind="stable")
        for row, (name, own) in zip(rows[1:], found.head(10).iterrows(), strict=True):
            assert row[:3] == [str(name), *map(number, frame().loc[name])]
            posterior = own["posterior_probability"], own["posterior_lower"]
            assert row[3] == str(own["point_label"])
            assert row[5:] == [
                f"{posterior[0]:.3f}",
                f"{posterior[1]:.3f} to {own['posterior_upper']:.3f}",
            ]

    def test_rows_that_are_farthest_out(self, made, page):
        rows = page.tables["memberships: Rows that are farthest out"]
        least = made.tails.nsmallest(5)
        assert [row[0] for row in rows[1:]] == [str(name) for name in least.index]
        assert [row[-1] for row in rows[1:]] == [f"{value:.2g}" for value in least]
        assert "probability below 0.00083" in page.sections["memberships"]

    def test_partition(self, made, page):
        for sentence in made.partition.sentences():
            assert sentence in page.sections["partition"]
        rows = page.tables["partition: Clusters of the partition"][1:]
        assert [row[1] for row in rows] == [str(size) for size in made.partition.table["size"]]

    def test_how_many_groups(self, made, page):
        assert "2 clusters, <for sure>." in page.sections["groups"]
        assert "BetaNegativeBinomial(a=1.0, b=4.0, c=3.0)" in page.sections["groups"]
        rows = page.tables["groups: Answers by number"]
        prior = made.choice.table["p_n_clusters_prior"]
        two = ["2", "1.000", "–", f"{prior[2]:.3f}", "–", "–", "0.0", "0.0", "converged"]
        assert rows[2] == two
        assert rows[8] == ["8", "0.000", "–", f"{prior[8]:.3f}", "–", "–", "–", "–", "singular"]

    def test_what_is_said_of_the_fits(self, made, page):
        for sentence in made.comparison.sentences():
            assert sentence in page.sections["comparison"]
        for finding in made.findings[1:]:
            assert finding.message in page.sections["diagnostics"]
            assert finding.remedy in page.sections["diagnostics"]
        assert made.findings[0].message in page.sections["em"]
        assert "rows: a Gaussian mixture of 2 components" in page.text
        assert "nothing was scaled, no row was dropped" in page.sections["data"]

    def test_diagnostics(self, made, page):
        rows = page.tables["diagnostics: Diagnostics by quantity"]
        expected = bm.summary(made.comparison.post)
        names = [row[0] for row in rows[1:]]
        assert names[:2] == ["log_likelihood_total", "n_clusters"]
        assert not any(name.startswith(("means", "weights[", "non_perm")) for name in names)
        assert rows[1][-1] == f"{expected.loc['log_likelihood_total', 'r_hat']:.3f}"
        assert rows[2][-1] == "constant"


class TestInShort:
    def answers(self, made) -> dict[str, Fact]:
        return {fact.question: fact for fact in facts(made)}

    def test_every_question_has_its_answer(self, made, page):
        found = self.answers(made)
        assert len(found) == 6
        for fact in found.values():
            assert f"{fact.question} {fact.answer} {fact.detail}. More" in page.sections["short"]

    def test_how_many_groups(self, made):
        found = self.answers(made)
        assert found["How many groups?"][1:] == (
            "2 clusters",
            f"most probable, with probability 1.00 (prior "
            f"{made.choice.table.loc[2, 'p_n_clusters_prior']:.2f}); 2 components were asked for "
            "and fitted",
            "groups",
            "ok",
        )

    @pytest.mark.parametrize(("at", "named"), [([9, 4], "rows 9, 4"), ([7], "row 7")])
    def test_open_rows_are_named(self, made, at, named):
        probability = np.ones(60)
        probability[at] = np.linspace(0.6, 0.9, len(at))
        rows = made.comparison.memberships.assign(label_probability=probability)
        found = self.answers(replace(made, comparison=replace(made.comparison, memberships=rows)))
        sure = found["How sure is it where rows belong?"]
        assert sure.answer == f"{60 - len(at)} of 60 rows"
        assert found["Which rows are open?"].answer == named

    def test_no_open_row(self, made):
        rows = made.comparison.memberships.assign(label_probability=1.0, overconfident=False)
        sure = replace(made, comparison=replace(made.comparison, memberships=rows))
        found = self.answers(sure)
        assert found["How sure is it where rows belong?"].answer == "60 of 60 rows"
        assert found["Which rows are open?"][1:3] == ("none", "every row has its place")
        assert found["Is EM too sure?"].answer == "no"

    def test_many_open_rows_are_counted(self, made):
        rows = made.comparison.memberships.assign(label_probability=0.5, overconfident=True)
        doubtful = replace(made, comparison=replace(made.comparison, memberships=rows))
        found = self.answers(doubtful)
        assert found["Which rows are open?"].answer == "rows 0, 1, 2, 3, 4, 5 and 54 more"
        assert found["Is EM too sure?"].answer == "of 60 rows"
        assert found["Is EM too sure?"].tone == "warning"

    def test_rows_that_fit_nowhere(self, made):
        tails = made.tails.copy()
        tails.iloc[:2] = 1e-6
        detail = self.answers(replace(made, tails=tails))["Which rows are open?"].detail
        assert detail.endswith("; 2 rows fit nowhere")

    def test_rows_that_more_would_be_as_far_out_as_is_known(self, made):
        """Of 6,000 rows the limit is below what the tail probabilities resolve."""
        tails = pd.Series(np.linspace(0, 1, 6_000))
        assert out_of_place(replace(made, tails=tails)) is None
        detail = self.answers(replace(made, tails=tails))["Which rows are open?"].detail
        assert "nowhere" not in detail
        one = replace(made.asked, mixture=bm.Mixture(bm.Dirichlet(1)))
        assert out_of_place(replace(made, tails=tails, asked=one)) == [0]

    @pytest.mark.parametrize(
        ("n_far", "said"),
        [
            (0, ""),
            (1, "; 1 row has a tail probability below 1e-05, about 0.06 expected"),
            (2, "; 2 rows have a tail probability below 1e-05, about 0.06 expected"),
        ],
    )
    def test_rows_beyond_what_the_draws_tell(self, made, n_far, said):
        """About 0.06 of 6,000 rows are expected there: one is chance in 6 % of tables."""
        tails = pd.Series(np.linspace(0.1, 1, 6_000))
        tails.iloc[:n_far] = 1e-7
        rows = made.comparison.memberships.assign(label_probability=1.0)
        sure = replace(made, comparison=replace(made.comparison, memberships=rows), tails=tails)
        detail = self.answers(sure)["Which rows are open?"].detail
        some = ": not all of them fit" if n_far == 2 else ""
        assert detail == f"no row is between two places{said}{some}"

    def test_rows_that_fit_nowhere_have_no_place(self, made):
        rows = made.comparison.memberships.assign(label_probability=1.0)
        tails = made.tails.copy()
        tails.iloc[:2] = 1e-6
        sure = replace(made, comparison=replace(made.comparison, memberships=rows), tails=tails)
        detail = self.answers(sure)["Which rows are open?"].detail
        assert detail == "no row is between two places; 2 rows fit nowhere"

    def test_another_number_of_groups_than_was_fitted(self, made):
        table = made.choice.table.assign(p_n_clusters=[0, 0, 0.7, 0.3, *([0.0] * 4)])
        other = replace(made, choice=replace(made.choice, table=table))
        fact = self.answers(other)["How many groups?"]
        assert (fact.answer, fact.tone) == ("3 clusters", "warning")
        assert "probability 0.70" in fact.detail

    def test_numbers_of_groups_that_are_not_told_apart(self, made):
        shares = {"p_n_clusters": [0, 0.48, 0, 0.5, *([0.0] * 4)], "p_n_clusters_mcse": [0.02] * 8}
        choice = replace(made.choice, table=made.choice.table.assign(**shares), r_hat=1.0)
        fact = self.answers(replace(made, choice=choice))["How many groups?"]
        assert (fact.answer, fact.tone) == ("2 or 4 clusters", "warning")
        assert "4 with probability 0.50, which Monte Carlo error does not tell apart" in fact.detail
        assert "from 0.48 of 2; 2 components were asked for" in fact.detail
        apart = choice.table.assign(p_n_clusters_mcse=0.001)
        fact = self.answers(replace(made, choice=replace(choice, table=apart)))["How many groups?"]
        assert fact.answer == "4 clusters"

    def test_a_number_of_groups_that_cannot_be_trusted(self, made):
        doubtful = replace(made, choice=replace(made.choice, r_hat=1.3))
        fact = self.answers(doubtful)["How many groups?"]
        assert (fact.answer, fact.tone) == ("2 clusters", "warning")
        assert "; do not trust it yet: the chains disagree (R-hat 1.30); 2 comp" in fact.detail
        cut = replace(made, choice=replace(made.choice, unfinished=(POSTERIOR,)))
        fact = self.answers(cut)["How many groups?"]
        assert "; by few draws, as it ended early; 2 components" in fact.detail
        assert fact.tone == "warning"

    def test_draws_that_cannot_be_trusted(self, made):
        bad = Finding("warning", "r_hat", "R-hat is 1.5", "run more draws")
        good = [f for f in made.findings if f.check not in ("r_hat", "ess")]
        fact = self.answers(replace(made, findings=(*good, bad)))["Can the draws be trusted?"]
        assert fact[1:] == ("not yet: 1 warning", str(bad), "diagnostics", "warning")


def test_components_that_cannot_be_read_are_not_shown(tmp_path, monkeypatch):
    """Neither in a table nor as places of rows, which are told by the partition."""
    monkeypatch.setattr(FITS, "diagnose", confuse)
    labels = pd.Series(["a"] * 30 + ["b"] * 30)
    made = bm.report(frame(), tmp_path, random_seed=1, labels=labels)
    page = Page(made.path)
    assert not made.identified
    assert "posterior: Components of the posterior" not in page.tables
    assert "no component is identified" in page.sections["posterior"]
    assert (
        "No component is identified. A probability of a component means little."
        in (page.sections["memberships"])
    )
    rows = page.tables["memberships: The least certain rows"]
    assert rows[0][3:] == ["cluster", "certainty", "next cluster", "affinity to it"]
    own = made.partition.rows
    least = own["certainty"].argmin()
    assert rows[1][0] == str(own.index[least])
    assert rows[1][4] == f"{own['certainty'].iloc[least]:.3f}"
    assert "Known labels against clusters" in page.sections["memberships"]
    counts = pd.crosstab(labels.to_numpy(), own["label"].to_numpy())
    expected = [["a", *map(str, counts.loc["a"])], ["b", *map(str, counts.loc["b"])]]
    assert page.tables["memberships: Known labels"][1:] == expected
    answers = {fact.question: fact for fact in facts(made)}
    sure = answers["How sure is it where rows belong?"]
    assert sure.answer == f"{(own['certainty'] >= 0.95).sum()} of 60 rows"
    assert "components are not told apart" in sure.detail
    assert answers["Can components be read one by one?"].answer == "no"
    assert answers["Is EM too sure?"].answer == "not to be told by component"
    assert answers["Is EM too sure?"].tone == "plain"


def test_names_keep_their_letters(tmp_path, monkeypatch):
    """Only the first letter of a verdict is made a capital."""
    mixed = Finding("warning", "identification", "components of Kepler-22B overlap", "read on")
    monkeypatch.setattr(FITS, "diagnose", lambda post: [confuse(post)[0], mixed])
    page = Page(bm.report(frame(), tmp_path, random_seed=1).path)
    assert "Components of Kepler-22B overlap. A probability" in page.sections["memberships"]
    assert "cannot be compared with them one by one" in page.sections["short"]


def test_known_labels_are_counted_by_component(tmp_path):
    known = np.where(frame()["width"] > 0, "<wide>", "narrow").astype(object)
    known[:5] = None
    made = bm.report(frame(), tmp_path, labels=pd.Series(known, name="size"), random_seed=1)
    named = np.where(pd.isna(known), "(no label)", known)
    counts = pd.crosstab(named, made.comparison.memberships["label"].to_numpy())
    rows = Page(made.path).tables["memberships: Known labels"]
    assert rows[0] == ["label", "0", "1"]
    assert rows[1:] == [[name, *map(str, row)] for name, row in counts.iterrows()]


def test_names_are_shown_as_they_are(tmp_path):
    odd = frame().rename(columns={"width": "<b>width & co", "height": "[red]"})
    odd.index = [f"<i>{i}" for i in odd.index]
    bm.report(odd, tmp_path, random_seed=1, name="<rows>")
    page = Page(tmp_path / "index.html")
    assert "mean <b>width & co" in page.text
    assert "mean [red]" in page.text
    assert "<rows>: a Gaussian mixture" in page.text
    assert page.tables["memberships: The least certain rows"][1][0].startswith("<i>")
    assert not page.all("b")
    assert not page.all("i")


def test_one_variance_for_all_features(tmp_path):
    """What the prior expects of spherical components is the mean of what the features have."""
    made = bm.report(frame(), tmp_path, random_seed=1, covariance_type="spherical")
    sd = np.sqrt(frame().var().mean() / 2)
    rows = Page(made.path).tables["model: Prior by feature"]
    assert [row[2:] for row in rows[1:]] == [[number(10 * sd), number(sd)]] * 2


def test_many_features_are_chosen_from(tmp_path):
    """Beside a row those four that separate the groups; no correlation of many on the page."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 14))
    apart = [3, 7, 9, 12]
    x[:45, apart] += 9
    bm.report(x, tmp_path, random_seed=1, covariance_type="diag")
    page = Page(tmp_path / "index.html")
    rows = page.tables["memberships: The least certain rows"]
    assert rows[0][1:5] == [f"x{j}" for j in apart]
    shown = [float(text) for text in rows[1][1:5]]
    np.testing.assert_allclose(shown, x[int(rows[1][0]), apart], rtol=1e-3)
    assert len(page.tables["posterior: Components of the posterior"]) == 1 + 1 + 14 + 14


class TestAgain:
    def run(self, made, monkeypatch) -> dict[str, object]:
        monkeypatch.chdir(made.path.parent)
        text = made.path.read_text()
        code = text.partition("<pre><code>")[2].partition("</code></pre>")[0]
        found: dict[str, object] = {}
        exec(code.replace("&#34;", '"').replace("&#39;", "'"), found)
        return found

    def test_what_it_says(self, made, page):
        values = frame().to_numpy()
        text = page.sections["again"]
        assert hashlib.sha256(values.astype("<f8").tobytes()).hexdigest() in text
        assert "Seed 1" in text
        assert f"numpy {np.__version__}" in text
        rows = page.tables["again: Stages"][1:]
        assert [(name, seconds) for name, seconds in rows] == [
            (name, f"{seconds:.1f}") for name, seconds in made.seconds.items()
        ]

    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
    def test_the_code_repeats_the_page(self, tmp_path, monkeypatch):
        """All but `choose_k` as it is, which takes minutes: it is asked with the same options."""
        asked = []

        def note(*args, **options):
            known = inspect.signature(choose_k).bind(*args, **options)
            asked.append({**known.arguments, "x": None, "progressbar": None})
            return fake_choice(*args, **options)

        monkeypatch.setattr(FITS, "sample", sample)
        monkeypatch.setattr(FITS, "choose_k", note)
        monkeypatch.setattr(bm, "choose_k", note)
        x = frame().set_axis([f"row {i}" for i in range(60)])
        kind = {"n_components": 3, "covariance_type": "tied", "draws": 30, "random_seed": None}
        made = bm.report(x, tmp_path, progressbar=False, **kind)
        self.same(self.run(made, monkeypatch), made)
        assert asked[0] == asked[1]
        assert asked[0]["draws"] == 30

    def same(self, found, made):
        assert found["post"]["posterior"].equals(made.post["posterior"])
        assert found["mixture"] == made.mixture
        assert found["em"]["point_estimate"].equals(made.em["point_estimate"])
        pd.testing.assert_frame_equal(found["comparison"].components, made.comparison.components)
        assert tuple(found["findings"]) == made.findings[1:]
        assert (found["tails"]["tail_probability"].values == made.tails).all()
        assert found["partition"].labels.equals(made.partition.labels)
