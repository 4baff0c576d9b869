"""The compiled engine as the exactness tests see it: its chain, and its trees."""

from bayesmix import gibbs
from tests.gibbs_runs import Recorded


class Carried(gibbs.Chain):
    """The engine's chain, its means those it carries: a split or a merge draws them anew."""

    @property
    def means(self):
        return self.state.point.means.copy()


def recorded(post):
    """What a tree holds."""
    optional = {
        name: post.posterior[name].values if name in post.posterior else None
        for name in ("covariance_scale", "concentration", "discount")
    }
    return Recorded(
        *(post.posterior[name].values for name in ("weights", "means", "covariances")),
        **optional,
        labels=post.allocation["label"].values.astype(int),
    )
