"""What a notebook shows: inert, balanced, fit for screen readers, and with the right numbers."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import bayesmix as bm
from bayesmix import html
from bayesmix.dispute import disputed_rows
from bayesmix.findings import Finding, Findings
from bayesmix.html.elements import table
from bayesmix.html.mathml import math
from bayesmix.html.numbers import number, with_errors, written
from bayesmix.mixture import _PRIORS, CovarianceType
from bayesmix.similarity import similarity
from tests import pages
from tests.fixtures_post import SEPARATED, made_choice, planted, point_dataset
from tests.support import rows_of

EVIL = "<script>alert('x')</script>"
STRUCTURES = get_args(CovarianceType)
FRAME = pd.DataFrame(
    rows_of(SEPARATED, 60), columns=[EVIL, "y & z"], index=[f"<b>{i}" for i in range(60)]
)
NIW = bm.NormalInverseWishart([1.0, -2.0], 0.5, 7.0, [[4.0, 1.8], [1.8, 9.0]])
HYPER = bm.IndependentNormalInverseWishart(
    [0.0, 5.0], [[9.0, 0.0], [0.0, 1.0]], 6.0, scale_hyperprior=(0.5, (2.0, 4.0), (0.1, 0.3))
)
WEIGHTS = (
    bm.Dirichlet(1),
    bm.Dirichlet(2),
    bm.Dirichlet(3, 4.0),
    bm.Dirichlet(4, 0.01),
    bm.Dirichlet(10, [1.0, *[2.0] * 9]),
    bm.Dirichlet(5, bm.Gamma(1, 20)),
    bm.DirichletProcess(),
    bm.DirichletProcess(2.0, truncation=15),
    bm.PitmanYor(1.0, bm.Beta(1, 9)),
    bm.MixtureOfFiniteMixtures(bm.UniformK(1, 30), bm.Gamma(1, 2), dynamic=True),
    bm.MixtureOfFiniteMixtures(bm.BetaNegativeBinomial()),
)
ONE_NUMBER = (
    *(bm.Gamma(2, 4), bm.Beta(1, 9)),
    *(bm.BetaNegativeBinomial(), bm.Geometric(0.3), bm.UniformK(2, 4), bm.ShiftedPoisson(1.5)),
)


class Reader(HTMLParser):
    """Tags as a browser reads them; fails where one is closed that is not the last one opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.seen if name == tag]

    @property
    def text(self) -> str:
        return "".join(self.texts)


def rows_shown(text: str) -> list[list[str]]:
    """Cells of every row of a table, heads included."""
    return [
        [re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", text)
    ]


def added(estimator: bm.GaussianMixture) -> str:
    """What stands below scikit-learn's part of an estimator's page."""
    widget, start, own = estimator._repr_html_().partition('<div class="bayesmix')
    assert "GaussianMixture" in widget
    return start + own


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """One of every kind of result, cheap ones, with names that would like to be code."""
    features = tuple(FRAME.columns)
    post = bm.relabel(planted(SEPARATED, FRAME), reference=point_dataset(SEPARATED, features))
    em = bm.GaussianMixture(3, random_state=1).fit(FRAME)
    partition = bm.partition(post, random_seed=1)
    split = bm.GaussianMixture.from_parameters(
        [0.25, 0.25, 0.3, 0.2],
        [[-1.0, 0.0], [1.0, 0.0], *SEPARATED.means[1:]],
        np.array([SEPARATED.covariances[0], *SEPARATED.covariances]),
    )
    fold = {"fold": np.arange(60) % 5, "em": np.full(60, -1.0), "posterior": np.full(60, -0.9)}
    choice = made_choice(np.random.default_rng(1).integers(2, 5, (2, 100)))
    models = bm.PriorChoice.of({EVIL: choice.mixture}, {EVIL: choice.post}, 90)
    grid = pd.DataFrame([["2 (0.50)"]], pd.Index([0.25], name="concentration"))
    grid.columns = pd.Index([4.0], name="scale")
    summary = models.summary.set_axis(
        pd.MultiIndex.from_tuples([(0.25, 4.0)], names=["concentration", "scale"])
    )
    return {
        "comparison": bm.compare_to_posterior(em, post),
        "partition": partition,
        "similarity": similarity(post),
        "dispute": disputed_rows(split, post, partition=partition, name=EVIL),
        "cross_validation": bm.CrossValidation(pd.DataFrame(fold), {"EM": 0}),
        "choice": choice,
        "models": models,
        "sensitivity": bm.Sensitivity(grid, summary, models),
        "evidence": bm.Evidence(-12.5, 0.1, "bridge", choice.mixture, 60, (f"no {EVIL}; wait",)),
        "findings": Findings(
            [Finding("warning", "r_hat", EVIL, "wait"), Finding("ok", "ess", "1")]
        ),
    }


KINDS = (
    *("comparison", "partition", "similarity", "dispute", "cross_validation", "choice", "models"),
    *("sensitivity", "evidence", "findings"),
)
MODELS = [
    *(bm.Mixture(weights, NIW) for weights in WEIGHTS),
    *(bm.Mixture(bm.Dirichlet(2), prior, s) for prior in (NIW, HYPER, None) for s in STRUCTURES),
    *WEIGHTS,
    *ONE_NUMBER,
    *(NIW, HYPER),
]


def require_sound(text: str) -> None:
    """Refuse what a page should not be given."""
    page = Reader(text)
    assert not page.attributes("script")
    assert not re.search(r"\b(id|src|href|onclick)\s*=", text)
    assert not re.search(r"(?<!-)\bcolor\s*:|background", text)  # the page's own, light or dark
    assert all(attrs["scope"] in ("col", "row", "colgroup") for attrs in page.attributes("th"))
    assert len(page.attributes("caption")) == len(page.attributes("table"))
    assert "nan" not in page.text.lower().split()


class TestAnyPage:
    @pytest.mark.parametrize("model", MODELS, ids=str)
    def test_models_and_priors(self, model):
        require_sound(model._repr_html_())

    @pytest.mark.parametrize("kind", KINDS)
    def test_results(self, results, kind):
        require_sound(results[kind]._repr_html_())

    @pytest.mark.parametrize(
        "kind", ["comparison", "similarity", "dispute", "models", "evidence", "findings"]
    )
    def test_names_are_text(self, results, kind):
        """Neither markup nor, between dollar signs, formulas."""
        text = results[kind]._repr_html_()
        assert "<script" not in text
        assert "<b>" not in text
        assert text.startswith('<div class="bayesmix tex2jax_ignore mathjax_ignore">')
        assert (EVIL if kind != "similarity" else "<b>0") in Reader(text).text

    def test_results_say_what_their_text_says(self, results):
        for kind in ("comparison", "partition", "dispute", "models", "sensitivity"):
            page = Reader(results[kind]._repr_html_())
            for sentence in results[kind].sentences():
                assert sentence in page.text

    @pytest.mark.skipif(pages.program() is None, reason="needs a Chromium")
    @pytest.mark.slow
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_in_a_browser(self, results, tmp_path, scheme):
        pytest.importorskip("playwright")
        shown = "".join(value._repr_html_() for value in [*results.values(), *MODELS])
        page = tmp_path / "all.html"
        head = "<!DOCTYPE html><meta charset=utf-8><style>:root{color-scheme:light dark}</style>"
        page.write_text(head + shown, encoding="utf-8")
        with pages.browser() as chromium:
            found = pages.seen(chromium, page, width=pages.WIDTHS["phone"], scheme=scheme)
        assert found == pages.Seen((), (), 0)


class TestTable:
    FRAME = pd.DataFrame(
        {"a": [1, 20_000], "b": [0.12345, np.nan], "c": ["x<y", "z"]}, pd.Index([7, 2020], name="n")
    )

    def test_cells(self):
        assert rows_shown(table(self.FRAME, "What.")) == [
            ["n", "a", "b", "c"],
            ["7", "1", "0.123", "x&lt;y"],
            ["2020", "20,000", "–", "z"],
        ]

    def test_long_ones_are_cut_and_say_so(self):
        text = table(self.FRAME, "What.", most_rows=1)
        assert len(rows_shown(text)) == 2
        assert "What. The first 1 of 2 rows." in text

    def test_what_columns_are_stands_above_them(self):
        text = table(self.FRAME.rename_axis(columns="above"), "What.")
        assert rows_shown(text)[0] == ["", "above"]
        assert 'colspan="3"' in text

    def test_errors_beside_values(self):
        frame = pd.DataFrame({"p": [0.5, 1.0], "p_mcse": [0.01, np.nan], "bic": [3.0, 4.0]})
        found = with_errors(frame)
        assert found.to_dict("list") == {"p": ["0.500\u00a0±\u00a00.010", "1"], "bic": [3.0, 4.0]}

    @pytest.mark.parametrize(
        ("value", "error", "said"),
        [
            *((-1157.1712, 0.0342, "-1,157.171"), (-1157.1712, 20.4, "-1,157")),
            *((0.5, 0.0996, "0.50"), (12345.6, 123.0, "12,346"), (0.0342, 0.0342, "0.034")),
            *((1.23456, 0.0, "1.235"), (1.23456, np.nan, "1.235"), (np.nan, 0.1, "–")),
            *((0.123456, 1e-15, "0.123"), (1e20, 1e3, "1e+20"), (-0.0001, 0.05, "0.000")),
        ],
    )
    def test_two_digits_of_the_error_say_how_far_a_value_is_written(self, value, error, said):
        assert written(value, error) == said

    def test_values_with_errors_stand_where_numbers_stand(self):
        text = table(with_errors(pd.DataFrame({"p": [0.5], "p_se": [0.1], "of": ["x"]})), "What.")
        assert '<th scope="col">p</th><th scope="col" class="text">of</th>' in text
        assert '<td>0.50\u00a0±\u00a00.10</td><td class="text">x</td>' in text

    @pytest.mark.parametrize(
        ("value", "said"),
        [
            *((0.0, "0"), (-1157.17, "-1,157.2"), (3.14159, "3.142"), (0.00071234, "0.000712")),
            *((272.0, "272"), (123456.78, "123,456.8"), (1.5e9, "1.5e+09")),
            *((np.inf, "∞"), (np.nan, "–"), (np.True_, "yes"), (np.int64(12345), "12,345")),
        ],
    )
    def test_numbers(self, value, said):
        assert number(value) == said


class TestFormulas:
    def test_mathml(self):
        found = math("∑_{k=1}^K w_k (x_i)")
        assert found == (
            '<math displaystyle="true" alttext="∑_{k=1}^K w_k (x_i)"><mrow>'
            "<munderover><mo>∑</mo><mrow><mi>k</mi><mo>=</mo><mn>1</mn></mrow><mi>K</mi></munderover>"
            '<msub><mi>w</mi><mi>k</mi></msub><mo stretchy="false">(</mo>'
            '<msub><mi>x</mi><mi>i</mi></msub><mo stretchy="false">)</mo></mrow></math>'
        )

    @pytest.mark.parametrize(
        ("structure", "row", "covariance"),
        [
            ("full", "N(x_i ∣ μ_k, Σ_k)", "Σ_k ∼ IW(ν, S)"),
            ("tied", "N(x_i ∣ μ_k, Σ)", "Σ ∼ IW(ν, S)"),
            ("diag", "diag(σ_{k 1}^2, …, σ_{k D}^2))", "σ_{k j}^2 ∼ IG((ν − D + 1)/2, S_{j j}/2)"),
            ("spherical", "N(x_i ∣ μ_k, σ_k^2 I)", "σ_k^2 ∼ IG((ν − D + 1)/2, tr S/(2 D))"),
        ],
    )
    def test_structures(self, structure, row, covariance):
        said = [
            attrs["alttext"]
            for attrs in Reader(
                html.formula(bm.Mixture(bm.Dirichlet(2), NIW, structure))
            ).attributes("math")
        ]
        assert said[0].endswith(row)
        assert said[1] == "w ∼ Dirichlet(1, 1)"
        assert said[3:] == ["κ = 0.5", covariance, "ν = 7"]

    @pytest.mark.parametrize(
        ("weights", "laws"),
        [
            (bm.Dirichlet(3, 4.0), ["w ∼ Dirichlet(4, …, 4)"]),
            (bm.Dirichlet(2, [1, 2.5]), ["w ∼ Dirichlet(1, 2.5)"]),
            (bm.Dirichlet(9, range(1, 10)), ["w ∼ Dirichlet(1, 2, 3, 4, …, 9)"]),
            (bm.Dirichlet(2, [1000, 12345.0]), ["w ∼ Dirichlet(1000, 12345)"]),
            (bm.Dirichlet(3, bm.Gamma(1, 20)), ["w ∼ Dirichlet(α, …, α)", "α ∼ Gamma(1, 20)"]),
            (
                bm.PitmanYor(1.0, 0.25, truncation=7),
                [
                    *("w_k = v_k ∏_{l<k} (1 − v_l)", "v_k ∼ Beta(1 − d, α + k d)", "d = 0.25"),
                    *("α = 1", "v_K = 1, K = 7"),
                ],
            ),
            (
                bm.MixtureOfFiniteMixtures(bm.ShiftedPoisson(2), dynamic=True),
                ["K − 1 ∼ Poisson(2)", "w ∣ K ∼ Dirichlet(α/K, …, α/K)", "α = 1"],
            ),
        ],
    )
    def test_weights(self, weights, laws):
        found = Reader(html.formula(bm.Mixture(weights))).attributes("math")
        assert [attrs["alttext"] for attrs in found[1:]] == laws

    def test_no_comma_within_a_number(self):
        for prior in (bm.UniformK(1, 2000), bm.Gamma(1000, 1200), bm.DirichletProcess(1, 1500)):
            said = [attrs["alttext"] for attrs in Reader(prior._repr_html_()).attributes("math")]
            assert not re.search(r"\d,\d", "".join(map(str, said)))

    def test_priors_derived_from_others(self):
        """A class of a user's own has the page of the class that it extends."""

        class Mine(bm.PitmanYor):
            pass

        class Wide(bm.NormalInverseWishart):
            pass

        class Odd(bm.component_counts.ComponentCount):
            def _log_pmf(self, k):
                return np.where(k % 2 == 1, -k * np.log(2) + np.log(1.5), -np.inf)

        mine, own = Mine(1.0, 0.25), bm.PitmanYor(1.0, 0.25)
        assert mine._repr_html_() == own._repr_html_().replace("PitmanYor", "Mine")
        wide = Wide(NIW.mean, NIW.mean_precision, NIW.dof, NIW.covariance_scale)
        assert wide._repr_html_() == NIW._repr_html_().replace("NormalInverseWishart", "Wide")
        assert 'alttext="K ∼ Odd"' in Odd()._repr_html_()
        assert rows_shown(Odd()._repr_html_())[0][:4] == ["k", "1", "3", "5"]

    def test_infinitely_many(self):
        assert "∞" in html.formula(bm.Mixture(bm.DirichletProcess()))
        assert "∞" not in html.formula(bm.Mixture(bm.DirichletProcess(1.0, truncation=5)))

    @pytest.mark.parametrize("name", _PRIORS)
    def test_every_prior_has_a_page(self, name):
        shown = {type(prior).__name__ for prior in MODELS}
        assert name in shown


class TestWords:
    def test_weights(self):
        said = [html.words(bm.Mixture(weights))[1:-1] for weights in WEIGHTS]
        assert said[0] == []
        assert "equally likely" in said[1][0]
        assert "above 1" in said[2][0]
        assert "stay empty" in said[3][0]
        assert "tells components apart" in said[4][0]
        assert "of mean 0.05; below 1" in said[5][0]
        assert "earlier pieces tend to be larger." in said[6][0]
        assert "cut off after 15 pieces" in said[7][0]
        assert "the last is all that is left" in said[7][0]
        assert "Pitman–Yor" in said[8][0]
        assert html.words(bm.Mixture(bm.DirichletProcess(truncation=1)))[1:-1] == []

    @pytest.mark.parametrize("structure", STRUCTURES)
    def test_one_component_is_not_each(self, structure):
        said = bm.Mixture(bm.Dirichlet(1), NIW, structure)._repr_html_()
        assert "each" not in said
        assert f"({structure})" in said

    def test_the_only_component_has_no_index_that_runs(self):
        for structure in STRUCTURES:
            mixture = bm.Mixture(bm.Dirichlet(1), HYPER, structure)
            found = set(re.findall(r"<m[io][^>]*>([^<])</m[io]>", html.formula(mixture)))
            assert not {"∑", "k", "K", "w"} & found
            assert "share" not in " ".join(html.words(mixture))

    def test_nothing_said_is_no_list(self):
        assert "<ul>" not in bm.Dirichlet(1)._repr_html_()

    def test_clusters_expected_where_some_components_may_be_empty(self):
        for weights in (WEIGHTS[3], WEIGHTS[5], WEIGHTS[6], WEIGHTS[8], WEIGHTS[9]):
            said = ", ".join(
                f"{weights.expected_clusters(10**i):.1f} among {10**i:,}" for i in (2, 3, 4)
            )
            for shown in (weights, bm.Mixture(weights, NIW)):
                assert f"expected before the data: {said} rows." in shown._repr_html_()
        for weights in (WEIGHTS[0], WEIGHTS[1], WEIGHTS[4], WEIGHTS[7]):
            assert "expected before" not in weights._repr_html_()

    def test_engines(self):
        assert "fitted by EM, Gibbs sampling and NUTS." in bm.Mixture(WEIGHTS[1], NIW)._repr_html_()
        assert "fitted by Gibbs sampling." in bm.Mixture(WEIGHTS[-1], NIW)._repr_html_()
        assert "fitted by EM." in bm.Mixture(WEIGHTS[1])._repr_html_()


class TestExpectations:
    def test_of_a_stated_scale(self):
        variances = np.diag(stats.invwishart(NIW.dof, NIW.covariance_scale).mean())
        rows = rows_shown(NIW._repr_html_())[1:]
        for j, row in enumerate(rows):
            values = NIW.mean[j], np.sqrt(variances[j] / 0.5), np.sqrt(variances[j])
            assert row == [str(j), *map(number, values)]
        assert "the largest 0.30 (features 0 and 1)" in NIW._repr_html_()

    @pytest.mark.parametrize("structure", ["full", "spherical"])
    def test_of_a_random_scale(self, structure):
        laws = [(2.0, 0.1), (4.0, 0.3)] if structure == "full" else 2 * [(8 / 3, 0.2)]
        rows = rows_shown(bm.Mixture(bm.Dirichlet(2), HYPER, structure)._repr_html_())[1:]
        for (rate, floor), row in zip(laws, rows, strict=True):
            law = stats.gamma(0.5, scale=1 / rate)
            scale = integrate.quad(lambda s, law=law: s * law.pdf(s), floor, np.inf)[0]
            variance = scale / law.sf(floor) / (6 - 2 - 1)
            assert row[3:] == [number(v) for v in (np.sqrt(variance), rate, floor)]

    def test_where_no_variance_exists(self):
        prior = bm.NormalInverseWishart([0.0], 1.0, 1.5, [[1.0]])
        assert rows_shown(prior._repr_html_())[1] == ["0", "0", "∞", "∞"]

    def test_many_features_are_cut(self):
        prior = bm.NormalInverseWishart(np.zeros(30), 1.0, 40.0, np.eye(30))
        assert len(rows_shown(prior._repr_html_())) == 1 + 6

    def test_of_one_number(self):
        said = bm.Gamma(2, 4)._repr_html_()
        law = stats.gamma(2, scale=1 / 4)
        for value in (law.mean(), law.std(), *law.ppf([0.05, 0.95])):
            assert number(value) in said
        said, law = bm.Beta(1, 9)._repr_html_(), stats.beta(1, 9)
        for value in (law.mean(), law.std(), *law.ppf([0.05, 0.95])):
            assert number(value) in said

    def test_of_a_number_of_components(self):
        law, page = stats.poisson(20), bm.ShiftedPoisson(20)._repr_html_()
        head, row = rows_shown(page)
        shown = range(17, 25)  # around the mode: no other eight are as probable
        windows = [law.cdf(k + 6) - law.cdf(k - 2) for k in range(1, 60)]
        assert np.argmax(windows) + 1 == shown[0]
        assert head == ["k", *map(str, shown)]
        assert row == ["P(K=k)", *(number(law.pmf(k - 1)) for k in shown)]
        assert f"; fewer than 17: {number(law.cdf(15))}" in page
        assert f"; more than 24: {number(law.sf(23))}" in page
        head, row = rows_shown(bm.UniformK(2, 4)._repr_html_())
        assert head == ["k", "2", "3", "4"]
        assert not re.search("(more|fewer) than", bm.UniformK(2, 4)._repr_html_())
        head, _ = rows_shown(bm.UniformK(1, 30)._repr_html_())
        assert head == ["k", *map(str, range(1, 9))]


class TestEstimator:
    def test_facts_of_a_fit_follow_the_page_of_scikit_learn(self):
        em = bm.GaussianMixture(3, random_state=1).fit(FRAME)
        own = added(em)
        assert "Not fitted" not in em._repr_html_()
        require_sound(own)
        assert em.verdict_ in own
        assert f"BIC {em.bic(FRAME):,.1f}" in own
        rows = rows_shown(own)
        assert rows[0][2] == "mean &lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;"
        for k, row in enumerate(rows[1:]):
            sd = np.sqrt(np.diag(em.covariances_[k]))
            pairs = np.column_stack([em.means_[k], sd]).ravel()
            assert row == [str(k), *map(number, [em.weights_[k], *pairs])]

    def test_before_and_without_a_fit(self):
        assert "bayesmix" not in bm.GaussianMixture(2)._repr_html_()
        known = bm.GaussianMixture.from_parameters(
            [1.0], [[0.0]], [4.0], covariance_type="spherical"
        )
        assert "the parameters were given" in known._repr_html_()

    def test_rows_of_weights_and_numbers_written_one_way(self):
        em = bm.GaussianMixture(2, random_state=1).fit(100 * FRAME, sample_weight=np.full(60, 3.0))
        said = Reader(added(em)).text
        assert "60 rows of total weight 180." in said
        assert "−" not in said
        found = em.score_samples(100 * FRAME).sum() * 3
        assert said.count(f"{found:,.3f}") == 2
        unweighted = bm.GaussianMixture(2, random_state=1).fit(FRAME)
        assert "60 rows." in Reader(added(unweighted)).text

    def test_of_a_stream(self):
        em = bm.GaussianMixture(3, random_state=1).partial_fit(FRAME).partial_fit(FRAME)
        assert "2 batches, 120 rows so far" in em._repr_html_()

    def test_of_a_diagonal_fit_in_many_features(self):
        x = np.random.default_rng(0).normal(size=(50, 7))
        text = bm.GaussianMixture(1, covariance_type="diag").fit(x)._repr_html_()
        assert "4 of 7 features" in text
        assert f"<td>{number(x[:, 3].std())}</td>" in text

    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
    def test_what_collapsed_has_no_criterion(self):
        x = np.repeat([[0.0, 0.0], [1.0, 1.0], [5.0, 2.0]], 5, axis=0)
        em = bm.GaussianMixture(2, random_state=1).fit(x)
        said = Reader(added(em)).text
        assert em.starts_[0].status.name == "SINGULAR"
        assert "No BIC, as the fit is singular: a component collapsed" in said
        assert "log-likelihood" not in said

    @pytest.mark.parametrize("structure", STRUCTURES)
    @pytest.mark.parametrize("other", STRUCTURES)
    def test_what_was_fitted_is_shown_whatever_is_set_since(self, structure, other):
        x = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.5], [3.0, 1.0]])
        fitted = bm.GaussianMixture(1, covariance_type=structure).fit(x)
        own = added(fitted)
        assert f"({structure} covariances)" in own
        fitted.set_params(covariance_type=other, n_components=3)
        assert added(fitted) == own

    def test_what_is_set_by_hand_is_no_fit(self):
        em = bm.GaussianMixture(2, random_state=1).fit(FRAME)
        own = added(em)
        em.weights_, em.means_ = np.ones(1), np.zeros((1, 5))
        assert added(em) == own
        bare = bm.GaussianMixture()
        bare.weights_ = [0.5, 0.5]
        assert "Fitted mixture" not in bare._repr_html_()

    def test_a_later_fit_that_failed(self):
        em = bm.GaussianMixture(2, random_state=1).fit(FRAME)
        with pytest.raises(ValueError, match="every start is singular"):
            em.fit(np.ones((5, 1)))
        assert rows_shown(added(em))[0][-4:] == ["mean x0", "sd x0", "mean x1", "sd x1"]


class TestFindings:
    def test_it_is_a_list(self):
        findings = Findings([Finding("ok", "a", "one"), Finding("ok", "b", "two")])
        assert findings == [*findings]
        assert [str(finding) for finding in findings] == ["one", "two"]
        assert "None of 2 checks" in findings._repr_html_()
        assert "what to do" not in findings._repr_html_()

    def test_a_part_of_it_has_a_table_too(self):
        findings = Findings([Finding("ok", "a", "one"), Finding("ok", "b", "two")])
        assert findings[1].message == "two"
        assert rows_shown(findings[1:]._repr_html_())[1:] == [["b", "ok", "two"]]
        assert "<table" not in findings[2:]._repr_html_()

    def test_warnings_are_counted(self, results):
        assert "1 of 2 checks" in results["findings"]._repr_html_()
        assert rows_shown(results["findings"]._repr_html_())[1][-1] == "wait"
