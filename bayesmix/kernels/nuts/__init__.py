"""The compiled density of NUTS: value and gradient in unconstrained coordinates, in one pass.

`log_density` takes a position to weights (`weights`) and components (`components`), walks over
the rows once, and takes the statistics back to a gradient: by Fisher's identity they are the
derivatives of the log-likelihood.
"""

from bayesmix.kernels.nuts.components import FullTarget, TiedTarget, VariancesTarget
from bayesmix.kernels.nuts.density import log_density
from bayesmix.kernels.nuts.weights import WeightsTarget

__all__ = ["FullTarget", "TiedTarget", "VariancesTarget", "WeightsTarget", "log_density"]
