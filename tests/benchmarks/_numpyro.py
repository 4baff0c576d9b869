"""NumPyro's NUTS in an interpreter of its own: one mixture, sampled once for every line read.

    python _numpyro.py problem.npz parallel|vectorized|gradient

Reads lines "seed path", writes the draws to the path and answers with the seconds that they took.
The first line also compiles; later lines use the same compiled kernel. With "gradient" a line is a
number of evaluations of log density and gradient, and the answer what they took on one processor.

Full covariances and the conjugate prior in Bartlett's coordinates, with the labels summed out over
all components at once.
"""

from __future__ import annotations

import os
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import MCMC, NUTS, init_to_value
from numpyro.infer.util import initialize_model

CHAINS = 4


def model(x, concentration, mean, mean_precision, dof, scale_cholesky):
    """Precisions l l' with l = C A: C C' the inverse scale, A as Bartlett (1933) has it."""
    n, d = x.shape
    k = len(concentration)
    weights = numpyro.sample("weights", dist.Dirichlet(concentration))
    halves = jnp.broadcast_to((dof - jnp.arange(d)) / 2, (k, d))
    squares = numpyro.sample("squares", dist.Gamma(halves, 0.5).to_event(2))
    below = numpyro.sample("below", dist.Normal(jnp.zeros((k, d * (d - 1) // 2)), 1).to_event(2))
    rows, columns = np.tril_indices(d, -1)
    bartlett = jnp.zeros((k, d, d)).at[:, rows, columns].set(below)
    bartlett = bartlett.at[:, np.arange(d), np.arange(d)].set(jnp.sqrt(squares))
    factor = numpyro.deterministic("factor", scale_cholesky @ bartlett)
    log_det = jnp.log(jnp.diagonal(factor, axis1=1, axis2=2)).sum(1)
    flat = dist.ImproperUniform(dist.constraints.real_matrix, (), (k, d))
    means = numpyro.sample("means", flat)
    shift = jnp.einsum("kd,kde->ke", means - mean, factor)
    numpyro.factor("mean", (log_det - 0.5 * mean_precision * jnp.square(shift).sum(1)).sum())
    # (x - mean) l for all components by one matrix product
    wide = jnp.moveaxis(factor, 0, 1).reshape(d, k * d)
    moved = (x @ wide).reshape(n, k, d) - jnp.einsum("kd,kde->ke", means, factor)
    log_density = jnp.log(weights) + log_det - 0.5 * jnp.square(moved).sum(2)
    numpyro.factor("rows", jax.scipy.special.logsumexp(log_density, axis=1).sum())


def coordinates(weights, means, covariances, scale_cholesky):
    """A point in the coordinates of `model`."""
    factor = np.linalg.cholesky(np.linalg.inv(covariances))
    bartlett = np.linalg.solve(scale_cholesky, factor)
    rows, columns = np.tril_indices(means.shape[1], -1)
    return {
        "weights": jnp.asarray(weights),
        "squares": jnp.asarray(np.diagonal(bartlett, axis1=1, axis2=2) ** 2),
        "below": jnp.asarray(bartlett[:, rows, columns]),
        "means": jnp.asarray(means),
    }


def main(problem_path: str, chain_method: str) -> None:
    """Answer every line."""
    jax.config.update("jax_enable_x64", True)
    problem = dict(np.load(problem_path))
    scale_cholesky = np.linalg.cholesky(np.linalg.inv(problem["covariance_scale"]))
    start = coordinates(
        problem["weights"], problem["means"], problem["covariances"], scale_cholesky
    )
    names = ("x", "concentration", "mean", "mean_precision", "dof")
    given = [jnp.asarray(problem[name]) for name in names] + [jnp.asarray(scale_cholesky)]
    if chain_method == "gradient":
        evaluate(start, given)
        return
    mcmc = MCMC(
        NUTS(model, init_strategy=init_to_value(values=start)),
        num_warmup=int(problem["tune"]),
        num_samples=int(problem["draws"]),
        num_chains=CHAINS,
        chain_method=chain_method,
        progress_bar=False,
    )
    for line in sys.stdin:
        seed, path = line.split(maxsplit=1)
        started = time.perf_counter()
        mcmc.run(jax.random.PRNGKey(int(seed)), *given)
        found = jax.block_until_ready(mcmc.get_samples(group_by_chain=True))
        draws = {name: np.asarray(found[name]) for name in ("weights", "means", "factor")}
        elapsed = time.perf_counter() - started
        np.savez(path.strip(), **draws)
        print(elapsed, flush=True)


def evaluate(start, given) -> None:
    """Answer every line with the seconds of so many evaluations."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    found = initialize_model(
        jax.random.PRNGKey(0), model, model_args=given, init_strategy=init_to_value(values=start)
    )
    function = jax.jit(jax.value_and_grad(found.potential_fn))
    at = found.param_info.z
    for line in sys.stdin:
        started = time.perf_counter()
        for _ in range(int(line)):
            jax.block_until_ready(function(at))
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    numpyro.set_host_device_count(CHAINS)
    numpyro.enable_x64()
    main(*sys.argv[1:])
