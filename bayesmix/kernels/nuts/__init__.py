"""The compiled density of NUTS: value and gradient in unconstrained coordinates, in one pass.

A position becomes weights (`weights`) and components (`components`); one walk over the rows
gives the log-likelihood and statistics, by Fisher's identity its derivatives, and these go back
the same way to a gradient (`density`). Samplers call it by its address (`callback`).
"""

from bayesmix.kernels.nuts.callback import density_callback, memory_of, position_callback
from bayesmix.kernels.nuts.components import TARGETS
from bayesmix.kernels.nuts.weights import WeightsTarget

__all__ = [
    "TARGETS",
    "WeightsTarget",
    "density_callback",
    "memory_of",
    "position_callback",
]
