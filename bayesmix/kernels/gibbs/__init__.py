"""The compiled steps of the Gibbs sampler: serial, without the interpreter's lock, cached on disk.

`advance` carries out a `Plan` on a `State` in place, given a `Prior`: `sweeps` are blocked,
`split_merge` moves between modes, `conditionals` holds the laws of the parameters (`wishart`,
`inverse_gamma`). `bayesmix.gibbs` runs chains of them.
"""

from bayesmix.kernels.gibbs.advance import Plan, advance
from bayesmix.kernels.gibbs.chain import Prior, Records, State

__all__ = ["Plan", "Prior", "Records", "State", "advance"]
