"""pyrichlet's slice sampler in an interpreter of its own: draws of the number of clusters.

    python _pyrichlet.py problem.npz draws.npz seed seconds

Two chains, each in a process, start at given labels and make sweeps for so many seconds; the first
fifth of them is left out. Only sweeps are made: pyrichlet's own loop also compares all pairs of
rows and looks for the best draw, which takes longer.

pyrichlet breaks its first Pitman-Yor stick by Beta(1 - d, alpha) and the next by Beta(1 - d,
alpha + d), where the definition has alpha + d and alpha + 2 d: given alpha + d it samples the
process with concentration alpha.
"""

from __future__ import annotations

import sys
import time
from multiprocessing import Pool

import numpy as np
from pyrichlet.mixture_models import DirichletProcessMixture, PitmanYorMixture

CHAINS = 2
BURNT = 5


def chain(problem: dict[str, np.ndarray], seed: int, seconds: float) -> tuple[float, list[int]]:
    """Seconds of the sweeps that count, and the number of clusters after each."""
    alpha, d = float(problem["concentration"]), float(problem["discount"])
    prior = {
        "mu_prior": problem["mean"],
        "lambda_prior": float(problem["mean_precision"]),
        "psi_prior": problem["covariance_scale"],
        "nu_prior": float(problem["dof"]),
        "rng": np.random.default_rng(seed),
    }
    if d > 0:
        sampler = PitmanYorMixture(alpha=alpha + d, pyd=d, **prior)
    else:
        sampler = DirichletProcessMixture(alpha=alpha, **prior)
    sampler._initialize_common_params(problem["x"])
    sampler._initialize_gibbs_params(init_groups=int(problem["labels"].max()) + 1)
    sampler.d = problem["labels"]
    found, clock = [], [time.perf_counter()]
    while clock[-1] - clock[0] < seconds:
        sampler._gibbs_step()
        found.append(len(np.unique(sampler.d)))
        clock.append(time.perf_counter())
    burnt = len(found) // BURNT
    return clock[-1] - clock[burnt], found[burnt:]


def main(problem_path: str, draws_path: str, seed: str, seconds: str) -> None:
    """Write the draws (chain, draw) and the seconds they took."""
    problem = dict(np.load(problem_path))
    seeds = np.random.SeedSequence(int(seed)).generate_state(CHAINS)
    with Pool(CHAINS) as pool:
        done = pool.starmap(chain, [(problem, int(own), float(seconds)) for own in seeds])
    length = min(len(found) for _, found in done)
    draws = np.array([found[-length:] for _, found in done])
    np.savez(draws_path, n_clusters=draws, seconds=max(taken for taken, _ in done))


if __name__ == "__main__":
    main(*sys.argv[1:])
