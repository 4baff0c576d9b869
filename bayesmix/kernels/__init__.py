"""The compiled kernels of the pass: serial, without the interpreter's lock, cached on disk.

`statistics`, `totals` and `rows` walk over consecutive rows (`walks`), block by block (`blocks`),
with the arithmetic of the covariance structure (`structures`: `full`, `tied`, `variances`) on
vector instructions (`lanes`). Each is compiled for the structure that it meets, when it meets it.
`bayesmix.passes` spreads them over threads.
"""

from bayesmix.kernels.blocks import Source, block_size
from bayesmix.kernels.frames import (
    NARROW_ROWS,
    NEAR,
    FullPoint,
    Points,
    Sums,
    TiedPoint,
    Totals,
    VariancesPoint,
)
from bayesmix.kernels.walks import Output, rows, statistics, totals

__all__ = [
    "NARROW_ROWS",
    "NEAR",
    "FullPoint",
    "Output",
    "Points",
    "Source",
    "Sums",
    "TiedPoint",
    "Totals",
    "VariancesPoint",
    "block_size",
    "rows",
    "statistics",
    "totals",
]
