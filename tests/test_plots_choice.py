"""Pictures of every answer on the number of clusters: what is drawn is what is in the tables."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.lines import Line2D

from bayesmix import plots
from bayesmix.k_words import CRITERIA
from tests.fixtures_post import made_choice
from tests.test_k_words import MIXED, evidences, loos


@pytest.fixture(autouse=True)
def _closed():
    plt.switch_backend("agg")
    yield
    plt.close("all")


def full_choice(**others):
    p = {2: 0.1, 3: 0.6, 4: 0.3}
    table = pd.concat({name: pd.DataFrame({"p": p}) for name in ("MFM", "sparse", "DP")})
    trees = dict.fromkeys(("MFM", "sparse", "DP"))
    summary = pd.DataFrame({"r_hat": 1.0}, list(trees))
    given = {
        "models": SimpleNamespace(table=table, summary=summary, trees=trees),
        "evidences": evidences({1: -300.0, 2: -81.0, 3: -80.0, 4: -80.5}),
        "loos": loos(-3.0, -2.0, -1.9, -1.95),
    }
    return made_choice(MIXED, **(given | others))


class TestProbabilities:
    def test_bars(self):
        found = full_choice()
        ax = found.plot()[0]
        posterior, prior = (c for c in ax.containers if isinstance(c, BarContainer))
        for bars, name, side in ((posterior, "p_n_clusters", -1), (prior, "p_n_clusters_prior", 1)):
            np.testing.assert_allclose([b.get_height() for b in bars], found.table[name])
            offset = [b.get_x() + b.get_width() / 2 for b in bars] - found.table.index
            assert np.all(np.sign(offset) == side)
        texts = {t.get_text() for t in ax.texts}
        assert texts == {f"{p:.2f}" for p in found.table["p_n_clusters"] if p > 0}

    def test_other_priors(self):
        lines = {line.get_label(): line for line in full_choice().plot()[0].get_lines()}
        for name in ("sparse finite mixture", "Dirichlet process"):
            np.testing.assert_allclose(lines[name].get_ydata(), [0, 0.1, 0.6, 0.3, 0, 0])


class TestRelative:
    def bars(self, ax):
        (container,) = (c for c in ax.containers if isinstance(c, ErrorbarContainer))
        data, _, (segments,) = container
        half = [np.ptp(np.asarray(s, float)[:, 1]) / 2 for s in segments.get_segments()]
        return np.asarray(data.get_xdata()), np.asarray(data.get_ydata(), float), half

    def test_evidence(self):
        ax = full_choice().plot()[1]
        k, values, half = self.bars(ax)
        assert k.tolist() == [2, 3, 4]  # one is far below
        np.testing.assert_allclose(values, [-1.0, 0.0, -0.5])
        np.testing.assert_allclose(half, 0.1)
        (below,) = (line for line in ax.get_lines() if line.get_label().startswith("more than"))
        assert below.get_xdata().tolist() == [1]

    def test_predictions(self):
        found = full_choice()
        k, values, half = self.bars(found.plot()[2])
        each = {k: found.loos[k].elpd_i for k in found.loos}
        near = [k for k in each if (each[3] - each[k]).sum() < 30]
        assert k.tolist() == near
        np.testing.assert_allclose(values, [(each[k] - each[3]).sum() for k in near])
        errors = [2 * np.std(each[k] - each[3], ddof=1) * np.sqrt(90) for k in near]
        np.testing.assert_allclose(half, errors)


class TestCriteria:
    def test_lines_and_rings(self):
        found = full_choice()
        own = found.criteria
        own.loc[[("full", 2), ("full", 5)], ["bic", "icl", "aic"]] = np.nan
        lower = own.loc["full"].assign(bic=-9.0, icl=-9.0)
        other = pd.concat({"tied": lower}, names=own.index.names[:1])
        own["status"] = np.where(own["bic"].isna(), "singular", "converged")
        ax = replace(found, criteria=pd.concat([other, own])).plot()[3]
        lines = {line.get_label(): line for line in ax.get_lines()}
        np.testing.assert_allclose(lines["BIC"].get_ydata(), own["bic"])
        np.testing.assert_allclose(lines["ICL"].get_ydata(), own["icl"])
        (crosses,) = (a for a in ax.get_lines() if a.get_marker() == "x" and len(a.get_xdata()))
        assert crosses.get_xdata().tolist() == [2, 5]
        rings = [line for line in ax.get_lines() if line.get_markersize() == 13]
        assert [ring.get_xdata()[0] for ring in rings] == [
            own.loc["full", name].idxmin() for name in ("bic", "icl")
        ]

    def test_they_are_drawn_as_criteria_are(self):
        """The same color, marker and line wherever somebody meets a BIC."""
        found = full_choice()
        of_choice, alone = (
            {line.get_label(): line for line in ax.get_lines()}
            for ax in (found.plot()[3], plots.criteria(found.criteria))
        )
        for name in ("BIC", "ICL"):
            for look in (Line2D.get_color, Line2D.get_marker, Line2D.get_linestyle):
                assert look(of_choice[name]) == look(alone[name])

    def test_without_criteria_the_panel_says_so(self):
        ax = replace(full_choice(), criteria=None).plot()[3]
        assert [text.get_text() for text in ax.texts] == ["not come to"]
        failed = replace(full_choice(), criteria=None, failed={CRITERIA: "no room"})
        assert [text.get_text() for text in failed.plot()[3].texts] == ["failed"]


def test_panels_are_what_there_is():
    found = made_choice(MIXED)
    axes = found.plot()
    assert len(axes) == 2
    assert len(axes[0].figure.axes) == 2
    assert plots.choice(full_choice()).shape == (4,)
    for ax, words in zip(axes, ("number of clusters", "number of components"), strict=True):
        assert ax.get_xlabel() == words
        assert ax.get_xticks().tolist() == [1, 2, 3, 4, 5, 6]
