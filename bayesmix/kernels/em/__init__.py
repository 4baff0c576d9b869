"""The compiled steps of EM between two passes: stacks of points, one run after the other.

`factorize` makes the factors that the pass wants, `flatten` and `unflatten` lead to unconstrained
coordinates and back (`coordinates`), `lengthen` proposes longer steps and `judge` decides on them
(`steps`). What is one run's is never touched by another's. `bayesmix.ascent` calls them.
"""

from bayesmix.kernels.em.coordinates import factorize, flatten, unflatten
from bayesmix.kernels.em.steps import FIRST_STRETCH, Memory, State, judge, lengthen

__all__ = [
    "FIRST_STRETCH",
    "Memory",
    "State",
    "factorize",
    "flatten",
    "judge",
    "lengthen",
    "unflatten",
]
