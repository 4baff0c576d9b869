"""Posterior of K and of K+ on the data of Richardson and Green, to Monte Carlo errors below .005.

    python -m tests.long_n_clusters galaxy acidity enzyme

The prior of their article of 1997 on the components, K uniform on 1, ..., 30, concentration 1. Four
chains start far apart; printed are a table for each data set, and what it is worth. What it said is
in LONG.md.
"""

from __future__ import annotations

import sys
import warnings

from sklearn.exceptions import ConvergenceWarning

import bayesmix as bm

DRAWS = 20_000
THIN = {"galaxy": 20, "acidity": 20, "enzyme": 50}
LARGEST_ERROR = 0.005


def report(name: str) -> bool:
    """Print the posterior on one data set; whether it is known well enough."""
    x = bm.datasets.load(name)
    weights = bm.MixtureOfFiniteMixtures(bm.UniformK(1, 30), 1.0)
    mixture = bm.Mixture(weights, bm.richardson_green(x))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # printed below
        post = bm.sample(
            mixture,
            x,
            draws=DRAWS,
            thin=THIN[name],
            store=("parameters",),
            random_seed=1,
            progressbar=False,
        )
    table = bm.n_clusters(post)
    error = table[["n_clusters_mcse", "n_components_mcse"]].max(axis=None)
    print(f"{name}: 4 x {DRAWS:,} draws, every {THIN[name]}th sweep, {post.attrs['seconds']:.0f} s")
    print(table.round(4).to_string())
    print(*bm.diagnose(post), sep="\n")
    print(f"largest Monte Carlo error {error:.4f}", flush=True)
    return bool(error < LARGEST_ERROR)


if __name__ == "__main__":
    known = [report(name) for name in sys.argv[1:] or THIN]
    sys.exit(not all(known))
