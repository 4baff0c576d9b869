"""The compiled steps of the Gibbs sampler: serial, without the interpreter's lock, cached on disk.

`sweeps` makes blocked sweeps, `split_merge` moves between modes. Both change a `State` in place,
given a `Prior`; `conditionals` holds the laws of the parameters (`wishart`, `inverse_gamma`).
`bayesmix.gibbs` runs chains of them.
"""

from bayesmix.kernels.gibbs.chain import Prior, Records, State
from bayesmix.kernels.gibbs.split_merge import ACCEPTED, REFUSED, REJECTED, split_merge
from bayesmix.kernels.gibbs.sweeps import settle, sweeps

__all__ = [
    "ACCEPTED",
    "REFUSED",
    "REJECTED",
    "Prior",
    "Records",
    "State",
    "settle",
    "split_merge",
    "sweeps",
]
