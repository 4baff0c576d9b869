"""Names may have dollar signs: no picture takes what is between two of them for a formula."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.text import Text
from sklearn.cluster import KMeans

import bayesmix as bm
from bayesmix import plots
from tests.fixtures_post import OVERLAPPING, completed, planted, point_dataset
from tests.support import Parameters, rows_of

pytestmark = pytest.mark.usefixtures("agg")

FEATURES = ("cost $", "gain_$x$")
BROKEN = ("$ to $_", r"$\nothing$")
"""What no formula is: matplotlib raises where it takes them for one."""
EITHER = (*FEATURES, *BROKEN)
N = 40


@pytest.fixture(scope="module")
def table():
    x = rows_of(OVERLAPPING, N)
    x[0] = 25.0
    return pd.DataFrame(x, columns=list(FEATURES), index=[f"${i}_$" for i in range(N)])


@pytest.fixture(scope="module")
def mixture(table):
    return bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(table, 2))


@pytest.fixture(scope="module")
def sampled(table, mixture):
    return completed(planted(OVERLAPPING, table, draws=10, spread=0.1), mixture)


@pytest.fixture(scope="module")
def post(sampled):
    """Relabeled, and its components have names too."""
    tree = bm.relabel(sampled)
    for group in ("posterior", "relabeling"):
        tree[group] = xr.DataTree(tree[group].to_dataset().assign_coords(component=list(BROKEN)))
    return tree


@pytest.fixture(scope="module")
def em():
    point = point_dataset(OVERLAPPING, FEATURES).assign_coords(component=list(BROKEN))
    return xr.DataTree.from_dict({"point_estimate": point})


@pytest.fixture(scope="module")
def comparison(em, post):
    return bm.compare_to_posterior(em, post)


@pytest.fixture(scope="module")
def partition(sampled):
    return bm.partition(sampled, random_seed=0)


@pytest.fixture(scope="module")
def dispute(sampled, table):
    """EM has a component of its own for the far row."""
    point = Parameters(
        np.array([0.5, 0.45, 0.05]),
        np.vstack([OVERLAPPING.means, [25.0, 25.0]]),
        np.concatenate([OVERLAPPING.covariances, np.eye(2)[None]]),
    )
    tree = xr.DataTree.from_dict({"point_estimate": point_dataset(point, FEATURES)})
    return bm.disputed_rows(tree, sampled, name=BROKEN[1])


PICTURES = {
    "ball": lambda the: plots.ball(the("partition"), the("table")),
    "ball, one": lambda the: plots.ball(the("partition"), the("table"), features=FEATURES[1]),
    "clusters": lambda the: plots.clusters(the("post"), the("em")),
    "compared": lambda the: plots.compared(the("comparison")),
    "confidence": lambda the: plots.confidence(the("comparison")),
    "contours": lambda the: plots.contours(the("post"), the("em"), n_draws=2),
    "density": lambda the: plots.density(the("post"), the("em"), feature=FEATURES[1]),
    "disputed": lambda the: plots.disputed(the("dispute")),
    "disputed, one": lambda the: plots.disputed(the("dispute"), features=FEATURES[1]),
    "fits": lambda the: plots.fits(
        {name: KMeans(2, n_init=1, random_state=0).fit(the("table")) for name in EITHER},
        the("table"),
    ),
    "forest": lambda the: plots.forest(the("comparison")),
    "membership": lambda the: plots.membership(the("post")),
    "membership, one": lambda the: plots.membership(the("post"), features=FEATURES[1]),
    "moves": lambda the: plots.moves(the("partition")),
    "outliers": lambda the: plots.outliers(the("sampled")),
    "outliers, one": lambda the: plots.outliers(the("sampled"), features=FEATURES[1]),
    "pairs": lambda the: plots.pairs(the("post"), the("em")),
    "partitioned": lambda the: plots.partitioned(the("partition")),
    "prior_predictive": lambda the: plots.prior_predictive(
        the("mixture"), the("table"), n_draws=2, random_seed=0
    ),
    "responsibilities": lambda the: plots.responsibilities(the("comparison")),
    "switching": lambda the: plots.switching(the("sampled"), feature=FEATURES[1]),
}


def texts_of(artist: Artist) -> Iterator[str]:
    """All that is written."""
    for text in artist.findobj(Text):
        yield text.get_text()


@pytest.mark.parametrize("name", PICTURES)
def test_dollars_are_dollars(name, request, tmp_path):
    drawn = PICTURES[name](request.getfixturevalue)
    figure = np.ravel(np.asarray(drawn, dtype=object))[0].figure
    figure.savefig(tmp_path / "picture.png")  # raises where a formula is none
    said = list(texts_of(figure))
    assert any("$" in text for text in said)
    assert not [text for text in said if "$" in text.replace(r"\$", "")]
