"""The compiled steps of the Gibbs sampler: serial, without the interpreter's lock, cached on disk.

`advance` carries out a `Plan` on a `State` in place, given a `Prior`: `sweeps` are blocked,
`split_merge` moves between modes, `conditionals` holds the laws of the parameters (`wishart`,
`inverse_gamma`). `bayesmix.gibbs` runs chains of them.

`advance_varying` does the same where the number of components varies: a sweep is one of `seating`
and `urn` on a `VaryingState`. `bayesmix.gibbs_varying` runs chains of that.
"""

from bayesmix.kernels.gibbs.advance import Plan, advance
from bayesmix.kernels.gibbs.chain import Prior, Records, State
from bayesmix.kernels.gibbs.seating import MOST_ROOM
from bayesmix.kernels.gibbs.urn import Law
from bayesmix.kernels.gibbs.varying_advance import advance_varying
from bayesmix.kernels.gibbs.varying_chain import VaryingRecords, VaryingState

__all__ = [
    "MOST_ROOM",
    "Law",
    "Plan",
    "Prior",
    "Records",
    "State",
    "VaryingRecords",
    "VaryingState",
    "advance",
    "advance_varying",
]
