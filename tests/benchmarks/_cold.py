"""What a user does first, in a process of its own: sample Old Faithful with two components."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING

import bayesmix as bm

if TYPE_CHECKING:
    import xarray as xr


def sample(draws: int, sampler: str = "gibbs") -> xr.DataTree:
    """Four chains with a fixed seed."""
    x = bm.datasets.load("faithful")
    mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
    return bm.sample(mixture, x, sampler=sampler, draws=draws, random_seed=1, progressbar=False)


def checksum(post: xr.DataTree) -> float:
    """Number that tells whether two processes drew the same."""
    return float(post["sample_stats"]["log_likelihood_total"].values.sum())


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # whoever asked for so many draws judges them
    print(checksum(sample(int(sys.argv[1]), *sys.argv[2:])))
