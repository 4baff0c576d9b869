"""Pictures of a mixture: matplotlib axes in, axes out."""

from bayesmix.plots.ball import ball
from bayesmix.plots.bridged import bridged
from bayesmix.plots.choice import choice
from bayesmix.plots.clusters import clusters
from bayesmix.plots.comparison import compared, confidence, forest
from bayesmix.plots.contours import contours
from bayesmix.plots.criteria import criteria
from bayesmix.plots.density import density
from bayesmix.plots.dispute import disputed
from bayesmix.plots.fits import fits
from bayesmix.plots.membership import membership
from bayesmix.plots.numbers import n_clusters
from bayesmix.plots.outliers import outliers
from bayesmix.plots.pairs import pairs
from bayesmix.plots.partition import moves, partitioned
from bayesmix.plots.prior_choice import prior_choice, prior_sensitivity
from bayesmix.plots.prior_predictive import prior_predictive
from bayesmix.plots.responsibilities import responsibilities
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
    "contours",
    "criteria",
    "density",
    "disputed",
    "fits",
    "forest",
    "membership",
    "moves",
    "n_clusters",
    "outliers",
    "pairs",
    "partitioned",
    "prior_choice",
    "prior_predictive",
    "prior_sensitivity",
    "responsibilities",
    "similarity",
    "sticks",
    "switching",
    "traces",
]
