"""What the pictures of several priors show, read off their artists."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.container import BarContainer, ErrorbarContainer

import bayesmix as bm
from bayesmix import plots
from bayesmix.prior_choice_result import PriorChoice
from bayesmix.prior_sensitivity import Sensitivity
from tests.planted_counts import tree_of
from tests.support import random_prior

pytestmark = pytest.mark.usefixtures("agg")

NUMBERS = {
    "sparse": np.random.default_rng(1).choice([1, 2, 3], p=[0.1, 0.6, 0.3], size=(4, 500)),
    "DP": np.random.default_rng(2).choice([2, 3, 4], p=[0.2, 0.798, 0.002], size=(4, 500)),
}
MIXTURES = {
    "sparse": bm.Mixture(bm.Dirichlet(5, 0.3), random_prior(1)),
    "DP": bm.Mixture(bm.DirichletProcess(bm.Gamma(2, 4)), random_prior(1)),
}


@pytest.fixture
def choice():
    return PriorChoice.of(MIXTURES, {name: tree_of(k) for name, k in NUMBERS.items()}, 30)


class TestPriorChoice:
    def test_a_panel_for_each_prior(self, choice):
        axes = choice.plot()
        assert [ax.get_title(loc="left") for ax in axes] == ["sparse", "DP"]
        for ax, name in zip(axes, NUMBERS, strict=True):
            posterior, prior = (c for c in ax.containers if isinstance(c, BarContainer))
            own = choice.table.loc[name]
            for bars, heights in ((posterior, own["p"]), (prior, own["p_prior"])):
                np.testing.assert_allclose([bar.get_height() for bar in bars], heights)
                middles = [bar.get_x() + bar.get_width() / 2 for bar in bars]
                np.testing.assert_allclose(middles, own.index)
            assert all(bar.get_facecolor()[3] == 0 for bar in prior)

    def test_errors_are_two_where_they_are_known(self, choice):
        for ax, name in zip(choice.plot(), NUMBERS, strict=True):
            own = choice.table.loc[name].dropna()
            (error,) = (c for c in ax.containers if isinstance(c, ErrorbarContainer))
            low, high = np.array([s[:, 1] for s in error[2][0].get_segments()]).T
            np.testing.assert_allclose(high - low, 4 * own["p_mcse"])
            np.testing.assert_allclose((low + high) / 2, own["p"])

    def test_rare_numbers_have_no_place(self, choice):
        assert choice.plot()[-1].get_xlim() == pytest.approx((0.45, 3.55))

    def test_one_legend_outside(self, choice):
        axes = choice.plot()
        assert all(ax.get_legend() is None for ax in axes)
        (legend,) = axes[0].figure.legends
        said = [text.get_text() for text in legend.get_texts()]
        assert sorted(said) == ["posterior", "prior", "± 2 Monte Carlo errors"]


def grid(cells, means) -> Sensitivity:
    table = pd.DataFrame(cells, index=[0.5, 1, 2], columns=[0.25, 4])
    summary = pd.DataFrame({"mean": pd.DataFrame(means, [0.5, 1, 2], [0.25, 4]).stack()})
    return Sensitivity(table, summary, None)


class TestSensitivity:
    def test_cells_say_what_the_table_says(self):
        cells = [["3 (0.90)", "2 (0.70)"], ["4 (0.50)", "3 (0.51)"], ["6 (0.40)", "–"]]
        ax = plots.prior_sensitivity(grid(cells, [[3, 2.2], [4, 3.1], [6.4, np.nan]]))
        said = {}
        for text in ax.texts:
            said.setdefault(text.get_position()[::-1], []).append(text.get_text())
        for (i, j), cell in np.ndenumerate(np.array(cells)):
            assert " ".join(said[i, j]).strip() == cell

    def test_colors_are_means(self):
        means = np.array([[3, 2.2], [4, 3.1], [6.4, 5]])
        ax = plots.prior_sensitivity(grid(np.full((3, 2), "3 (0.90)"), means))
        (image,) = ax.images
        np.testing.assert_array_equal(image.get_array(), means)
        assert image.get_clim() == (2, 7)
        assert ax.get_ylim()[0] < ax.get_ylim()[1]  # larger concentrations above
        assert [t.get_text() for t in ax.get_xticklabels()] == ["× 0.25", "× 4"]
        assert [t.get_text() for t in ax.get_yticklabels()] == ["× 0.5", "× 1", "× 2"]

    def test_text_is_white_on_dark_cells(self):
        ax = plots.prior_sensitivity(grid(np.full((3, 2), "3 (0.90)"), [[2, 2], [2, 2], [6, 6]]))
        assert [t.get_color() for t in ax.texts][::4] == ["black", "black", "white"]

    def test_axes_given_are_drawn_on(self):
        given = plt.subplots()[1]
        found = grid(np.full((3, 2), "3 (0.90)"), np.full((3, 2), 3.2))
        assert plots.prior_sensitivity(found, ax=given) is given
