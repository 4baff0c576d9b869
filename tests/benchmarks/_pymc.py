"""The mixture as PyMC's own distributions state it: sampled, or its gradient evaluated.

    python _pymc.py problem.npz list|batched|gradient-list|gradient-batched

Reads lines as `_numpyro` does and answers alike. "list" is `pymc.Mixture` over a list of
`pymc.MvNormal`, "batched" over one with a batch of parameters; sampled by what `pymc.sample`
chooses. The precisions are Wishart, whose degrees of freedom PyMC takes as whole numbers.
"""

from __future__ import annotations

import os
import sys
import time
import warnings

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.blocking import DictToArrayBijection

CHAINS = 4


def model(problem: dict[str, np.ndarray], form: str) -> pm.Model:
    """Conjugate prior, labels summed out."""
    k, d = problem["means"].shape
    with pm.Model() as found:
        weights = pm.Dirichlet("weights", problem["concentration"])
        scale = np.linalg.inv(problem["covariance_scale"])
        precision = pm.Wishart("precision", nu=int(problem["dof"]), V=scale, shape=(k, d, d))
        # not tau=: of a batch of Wishart matrices PyMC 6.4 and PyTensor 3.3 rewrite it wrongly
        factor = pt.linalg.cholesky(pt.linalg.inv(precision))
        wide = factor / np.sqrt(float(problem["mean_precision"]))
        means = pm.MvNormal("means", problem["mean"], chol=wide, shape=(k, d))
        if form == "list":
            each = [pm.MvNormal.dist(mu=means[j], chol=factor[j]) for j in range(k)]
            pm.Mixture("x", weights, each, observed=problem["x"])
        else:
            batch = pm.MvNormal.dist(mu=means, chol=factor)
            pm.Mixture("x", weights, batch, observed=problem["x"])
    return found


def start(problem: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Where every chain starts."""
    return {
        "weights": problem["weights"],
        "means": problem["means"],
        "precision": np.linalg.inv(problem["covariances"]),
    }


def evaluate(mixture: pm.Model, problem: dict[str, np.ndarray]) -> None:
    """Answer every line with the seconds of so many evaluations."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    function = mixture.logp_dlogp_function(ravel_inputs=True)
    function.set_extra_values({})
    at = DictToArrayBijection.map(mixture.initial_point(random_seed=0))
    for line in sys.stdin:
        started = time.perf_counter()
        for _ in range(int(line)):
            function(at)
        print(time.perf_counter() - started, flush=True)


def main(path: str, what: str) -> None:
    """Answer every line."""
    problem = dict(np.load(path))
    action, _, form = what.rpartition("-")
    mixture = model(problem, form)
    if action == "gradient":
        evaluate(mixture, problem)
        return
    for line in sys.stdin:
        seed, out = line.split(maxsplit=1)
        started = time.perf_counter()
        tree = pm.sample(
            int(problem["draws"]),
            tune=int(problem["tune"]),
            chains=CHAINS,
            cores=2,
            random_seed=int(seed),
            initvals=start(problem),
            progressbar=False,
            quiet=True,
            model=mixture,
        )
        found = {name: tree.posterior[name].values for name in ("weights", "means", "precision")}
        elapsed = time.perf_counter() - started
        factor = np.linalg.cholesky(found.pop("precision"))
        np.savez(out.strip(), **found, factor=factor)
        print(elapsed, flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(*sys.argv[1:])
