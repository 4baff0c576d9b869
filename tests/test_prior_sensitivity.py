"""Sensitivity to concentration and scale: the grid, its cells and what it says."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.prior_sensitivity import sensitivity
from bayesmix.scaled_priors import with_concentration, with_scale
from tests.exact_partitions import exact_posterior
from tests.gibbs_cells import few_rows
from tests.planted_counts import tree_of
from tests.support import random_independent_prior, random_prior

module = importlib.import_module("bayesmix.prior_choice")

MIXTURE = bm.Mixture(bm.DirichletProcess(), random_independent_prior(1, random_scale=True))
X = np.random.default_rng(4).normal(size=(30, 1))


@pytest.fixture
def answers(monkeypatch):
    """Have every prior of the grid find a number of clusters, or a mixture of numbers."""

    def plant(table, interrupted=()):
        """Numbers by row and column of the grid; what is in ``interrupted`` is not reached."""
        left = [(i, j, k) for i, row in enumerate(table) for j, k in enumerate(row)]

        def sample(mixture, x, **options):
            i, j, k = left.pop(0)
            if (i, j) in interrupted:
                raise KeyboardInterrupt
            draws = np.full((4, 100), k)
            draws[:, ::5] = k + 1
            return tree_of(draws)

        monkeypatch.setattr(module, "sample", sample)

    return plant


def ask(**options):
    return sensitivity(MIXTURE, X, random_seed=1, progressbar=False, **options)


class TestGrid:
    def test_every_cell_is_the_prior_multiplied(self, answers):
        answers(np.full((2, 3), 2))
        found = ask(concentration=(2, 0.5), scale=(4, 0.25, 1, 1))
        assert found.table.index.tolist() == [0.5, 2]
        assert found.table.columns.tolist() == [0.25, 1, 4]
        assert found.summary.index.names == ["concentration", "scale"]
        for (a, s), mixture in zip(
            found.summary.index, found.choice.mixtures.values(), strict=True
        ):
            assert mixture.weights == with_concentration(MIXTURE.weights, a)
            assert mixture.components == with_scale(MIXTURE.components, s)
            assert mixture.covariance_type == MIXTURE.covariance_type

    def test_cells(self, answers):
        answers([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
        found = ask()
        assert found.table.loc[0.25].tolist() == ["1 (0.80)", "2 (0.80)", "3 (0.80)"]
        assert found.table.loc[4, 1] == "8 (0.80)"
        assert found.summary.loc[(4, 1), "n_clusters"] == 8
        assert found.summary.loc[(1, 0.25), "mean"] == pytest.approx(4.2)

    @pytest.mark.parametrize("name", ["concentration", "scale"])
    @pytest.mark.parametrize("factors", [(), 4, (1, 0), (-1,), ("x",)])
    def test_factors_are_above_zero(self, name, factors):
        with pytest.raises(ValueError, match=f"{name}: expected"):
            ask(**{name: factors})

    def test_needs_a_component_prior(self):
        with pytest.raises(ValueError, match="a posterior needs a prior on the components"):
            sensitivity(bm.Mixture(bm.Dirichlet(2)), X)


class TestWords:
    def said(self, answers, table, **options):
        answers(table)
        return ask(**options).sentences()

    def test_one_answer(self, answers):
        assert self.said(answers, np.full((3, 3), 3)) == [
            "3 clusters under 9 priors, with probability 0.80."
        ]

    def test_one_cluster_under_one_prior(self, answers):
        said = self.said(answers, [[1]], concentration=[1], scale=[1])
        assert said == ["1 cluster under 1 prior, with probability 0.80."]

    @pytest.mark.parametrize(
        ("table", "numbers", "said"),
        [
            ([[5, 4, 3]] * 3, "3 to 5", ["wider components make for fewer clusters"]),
            ([[3, 4, 5]] * 3, "3 to 5", ["wider components make for more clusters"]),
            ([[3] * 3, [4] * 3, [6] * 3], "3 to 6", ["a larger concentration makes for more"]),
            (
                [[3, 2, 1], [4, 4, 2], [5, 4, 3]],
                "1 to 5",
                ["wider components make for fewer", "a larger concentration makes for more"],
            ),
            ([[3, 4, 3]] * 3, "3 to 4", []),
        ],
    )
    def test_which_way_it_goes(self, answers, table, numbers, said):
        ends = [part if part.endswith("clusters") else f"{part} clusters" for part in said]
        expected = [f"From {numbers} clusters under 9 priors, 4 as stated."]
        if said:
            expected.append(f"On average {'; '.join(ends)}.")
        assert self.said(answers, table) == expected

    def test_no_direction_where_most_probable_numbers_go_the_other_way(self, answers):
        """As on Old Faithful: 3 where the concentration is small and 2 where it is large."""
        answers([[3], [3]])
        found = ask(concentration=(1, 4), scale=(1,))
        summary = found.summary.assign(mean=[2.6, 3.4], n_clusters=[3, 2])
        assert replace(found, summary=summary).sentences() == [
            "From 2 to 3 clusters under 2 priors, 3 as stated."
        ]

    def test_no_direction_where_chains_disagree(self, answers):
        answers([[2], [5]])
        found = ask(concentration=(1, 4), scale=(1,))
        assert any(said.startswith("On average a larger") for said in found.sentences())
        apart = replace(found, summary=found.summary.assign(r_hat=[1.0, 1.3]))
        assert not any(said.startswith("On average") for said in apart.sentences())

    def test_nothing_is_as_stated_where_both_are_multiplied(self, answers):
        assert self.said(answers, [[2, 2], [5, 5]], concentration=(0.5, 2), scale=(1, 2)) == [
            "From 2 to 5 clusters under 4 priors.",
            "On average a larger concentration makes for more clusters.",
        ]

    def test_an_interrupt(self, answers):
        answers([[2, 3, 2], [2, 2, 2], [2, 2, 2]], interrupted=[(1, 1)])
        found = ask()
        assert found.table.loc[1].tolist() == ["2 (0.80)", "–", "–"]
        assert found.table.loc[4].tolist() == ["–"] * 3
        assert found.sentences() == [
            "From 2 to 3 clusters under 4 priors.",
            "Interrupted before all draws were made: 5 of 9 priors.",
        ]

    def test_table_first_sentences_first_on_a_page(self, answers):
        answers(np.full((3, 3), 3))
        found = ask()
        assert repr(found).splitlines()[0].split() == ["scale", "0.25", "1.00", "4.00"]
        assert repr(found).splitlines()[-1] == found.sentences()[-1]
        html = found._repr_html_()
        assert html.index(found.sentences()[0]) < html.index("</table>")


def test_posteriors_are_those_of_enumeration():
    x, mixture = few_rows(5, 1), bm.Mixture(bm.Dirichlet(3, bm.Gamma(2, 4)), random_prior(1))
    found = sensitivity(
        mixture, x, scale=(0.25, 4), concentration=(4,), thin=4, random_seed=2, progressbar=False
    )
    for name, scaled in found.choice.mixtures.items():
        own, exact = found.choice.table.loc[name], exact_posterior(x, scaled).p_n_clusters
        assert (np.abs(own["p"] - exact) < 4.5 * own["p_mcse"]).all()
