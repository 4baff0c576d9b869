"""Pictures of a mixture: matplotlib axes in, axes out."""

from bayesmix.plots.ball import ball
from bayesmix.plots.bridged import bridged
from bayesmix.plots.choice import choice
from bayesmix.plots.clusters import clusters, pairs
from bayesmix.plots.comparison import compared, confidence, forest
from bayesmix.plots.criteria import criteria
from bayesmix.plots.density import density
from bayesmix.plots.dispute import disputed
from bayesmix.plots.numbers import n_clusters
from bayesmix.plots.partition import moves, partitioned
from bayesmix.plots.prior_choice import prior_choice, prior_sensitivity
from bayesmix.plots.similarity import similarity
from bayesmix.plots.sticks import sticks
from bayesmix.plots.switching import switching
from bayesmix.plots.traces import traces

__all__ = [
    "ball",
    "bridged",
    "choice",
    "clusters",
    "compared",
    "confidence",
    "criteria",
    "density",
    "disputed",
    "forest",
    "moves",
    "n_clusters",
    "pairs",
    "partitioned",
    "prior_choice",
    "prior_sensitivity",
    "similarity",
    "sticks",
    "switching",
    "traces",
]
