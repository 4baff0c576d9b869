"""Sampling a mixture's posterior: starts, engine, chains, and the tree that comes out."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from bayesmix.covariance import structure_of
from bayesmix.diagnostics import CONVERGENCE, diagnose
from bayesmix.draws import count_clusters, draws_of, log_likelihoods, sampled_allocation
from bayesmix.em import run, search
from bayesmix.gaussian import log_prior
from bayesmix.inputs import Table, as_generator, as_table, require_count
from bayesmix.interrupts import noted_interrupt
from bayesmix.mixture import Mixture, require_mixture
from bayesmix.optima import Status, log_mass
from bayesmix.problem import Problem
from bayesmix.schema import observed_data, posterior, root_attrs

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from bayesmix.inputs import RandomSeed
    from bayesmix.problem import Point
    from bayesmix.pymc_nuts import Chains

    Floats = NDArray[np.float64]

__all__ = ["sample"]

Sampler = Literal["auto", "nuts"]
Stored = Literal["parameters", "allocation"]

_BUDGET_BYTES = 2 << 30
_N_INIT = 20
_NEAR_NATS = 5.0  # optima with less of the posterior's mass than this are not worth a chain
_START_ITERATIONS = 20


def sample(
    mixture: Mixture,
    x: Any,
    *,
    sampler: Sampler = "auto",
    draws: int = 1000,
    tune: int | None = None,
    chains: int = 4,
    cores: int | None = None,
    random_seed: RandomSeed = None,
    progressbar: bool = True,
    store: Sequence[Stored] = ("parameters", "allocation"),
) -> xr.DataTree:
    r"""Sample the posterior of a mixture.

    Chains start near the optima of EM: each at a draw of the weighted likelihood bootstrap
    (Newton & Raftery 1994) around one of those whose mass, by Laplace's method, is within a
    factor e^-5 of the largest. Labels are drawn at
    every stored point, and what no relabeling changes is checked for convergence.

    Parameters
    ----------
    mixture : Mixture
        With a component prior.
    x : (n, D) array_like or DataFrame
        The data, used as they are: nothing is scaled or dropped.
    sampler : {"auto", "nuts"}, default "auto"
        "auto" is the fastest engine that can sample this mixture exactly; today NUTS.
    draws : int, default 1000
        Draws kept per chain.
    tune : int, optional
        Tuning steps per chain before them; default the sampler's (1000).
    chains : int, default 4
    cores : int, optional
        Default: as many as the machine has, at most one per chain. Draws do not depend on it.
    random_seed : int, SeedSequence or Generator, optional
    progressbar : bool, default True
    store : sequence of {"parameters", "allocation"}
        The parameters are always kept; leave "allocation" out to keep no labels, which take a
        byte per row and draw.

    Returns
    -------
    xarray.DataTree
        Groups ``posterior``, ``allocation``, ``sample_stats`` and ``observed_data``; see
        ``docs/notation.md``. An interrupt returns the draws so far, cut to a common length, with
        the attribute ``interrupted = 1``.

    Raises
    ------
    ValueError
        If the engine cannot sample this mixture, or the labels would exceed 2 GiB.
    KeyboardInterrupt
        If interrupted before any draw.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        With the findings of `diagnose` on convergence that call for action.

    References
    ----------
    M. A. Newton and A. E. Raftery, "Approximate Bayesian Inference with the Weighted Likelihood
    Bootstrap", JRSS B 56, 1994.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.fraley_raftery(x, 2))
    >>> post = bm.sample(mixture, x, random_seed=1)  # doctest: +SKIP
    """
    started = time.perf_counter()
    if sampler not in get_args(Sampler):
        raise ValueError(f"sampler: expected one of {get_args(Sampler)}, got {sampler!r}")
    if isinstance(store, str):
        raise ValueError(f'store: expected a sequence of names, such as ("{store}",), got a string')
    if unknown := set(store) - set(get_args(Stored)):
        raise ValueError(f"store: expected names among {get_args(Stored)}, got {unknown}")
    require_count(draws, "draws")
    require_count(chains, "chains")
    if cores is not None:
        require_count(cores, "cores")
    if tune is not None and (not isinstance(tune, (int, np.integer)) or tune < 0):
        raise ValueError(f"tune: expected a whole number of at least 0, got {tune!r}")
    require_mixture(mixture, "nuts")
    table = as_table(x)
    mixture.require_features(len(table.features))
    keep_labels = "allocation" in store
    if keep_labels:
        _require_budget(chains * draws * len(table.values))
    for_starts, for_chains, for_labels = as_generator(random_seed).spawn(3)
    starts = _starts(mixture, table, chains, for_starts)
    found = _nuts(
        mixture,
        table,
        starts,
        draws=draws,
        tune=tune,
        cores=min(chains, cores or os.cpu_count() or 1),
        generator=for_chains,
        progressbar=progressbar,
    )
    with noted_interrupt(hold=True) as noted:  # what is sampled is not lost to a late Ctrl-C
        tree = _tree(mixture, table, found, for_labels if keep_labels else None)
        tree.attrs.update(root_attrs(mixture, random_seed, time.perf_counter() - started))
        if found.interrupted or noted:
            tree.attrs["interrupted"] = 1
        _warn(tree)
    return tree


def _require_budget(n_bytes: int) -> None:
    if n_bytes > _BUDGET_BYTES:
        raise ValueError(
            f"store: labels of every row at every draw would take {n_bytes / 2**30:.1f} GiB, more "
            f'than {_BUDGET_BYTES / 2**30:.0f} GiB; use fewer draws, or store=("parameters",)'
        )


def _starts(
    mixture: Mixture, table: Table, chains: int, generator: np.random.Generator
) -> list[Point]:
    """One point per chain: the optima worth a chain in turn, each refitted to random weights."""
    problem = Problem(
        table.values,
        structure_of(mixture.covariance_type),
        mixture.n_components,
        np.maximum(mixture.weights.concentrations, 1),
        mixture.components,
    )
    _, fits = search(
        problem, generator, init_params="k-means++", n_init=_N_INIT, max_iter=500, tol=1e-6
    )
    usable = [fit for fit in fits if np.isfinite(fit.objective)]
    distinct = {round(fit.objective, 2): fit.point for fit in usable}
    masses = {key: log_mass(problem, point) for key, point in distinct.items()}
    ranked = sorted(masses, key=lambda key: -masses[key])
    optima = [distinct[key] for key in ranked if masses[ranked[0]] - masses[key] < _NEAR_NATS]
    if mixture.capability("nuts").exchangeable:
        optima = [point.ordered() for point in optima]
    starts = []
    for chain in range(chains):
        weighted = replace(problem, sample_weight=generator.exponential(size=len(table.values)))
        optimum = optima[chain % len(optima)]
        fit = run(weighted, optimum, max_iter=_START_ITERATIONS, tol=0)
        point = optimum if fit.status is Status.NON_FINITE else fit.point
        weights = point.weights + 0.5 / len(table.values)
        starts.append(replace(point, weights=weights / weights.sum()))
    return starts


def _nuts(mixture: Mixture, table: Table, starts: list[Point], **options: Any) -> Chains:
    from bayesmix.pymc_model import build_model, initial_values
    from bayesmix.pymc_nuts import sample_nuts

    model = build_model(mixture, table)
    points = [
        initial_values(mixture, point.weights, point.means, point.dense_covariances)
        for point in starts
    ]
    return sample_nuts(model, points, **options)


def _tree(
    mixture: Mixture, table: Table, found: Chains, for_labels: np.random.Generator | None
) -> xr.DataTree:
    """Parameters, labels drawn at them, and the densities we compute ourselves at each point."""
    import xarray as xr

    from bayesmix.pymc_model import covariances_of

    values = found.values
    group = posterior(
        values["weights"], values["means"], covariances_of(mixture, values), table.features
    )
    observed = observed_data(table)
    tree = xr.DataTree.from_dict({"posterior": group, "observed_data": observed})
    tree.attrs["bayesmix_model"] = mixture.to_json()  # names the structure of the draws
    draws = draws_of(tree)
    log_likelihood = log_likelihoods(draws, table.values)
    lp = log_likelihood + log_prior(mixture, draws.weights, draws.means, draws.covariances)
    by_draw = ("chain", "draw")
    stats = found.stats.assign_coords({c: group[c] for c in by_draw}).assign(
        lp=(by_draw, draws.by_chain(lp)),
        log_likelihood_total=(by_draw, draws.by_chain(log_likelihood)),
    )
    tree["sample_stats"] = xr.DataTree(stats)
    if for_labels is not None:
        label = draws.by_chain(sampled_allocation(draws, table.values, for_labels))
        coords = {c: group[c] for c in by_draw} | {"obs": observed["obs"].values}
        tree["allocation"] = xr.DataTree(
            xr.Dataset({"label": ((*by_draw, "obs"), label)}, coords=coords)
        )
        clusters = count_clusters(label, mixture.n_components)
        tree["posterior"] = xr.DataTree(group.assign(n_clusters=(by_draw, clusters)))
    return tree


def _warn(tree: xr.DataTree) -> None:
    found = [f for f in diagnose(tree) if f.check in CONVERGENCE and f.severity == "warning"]
    if found:
        from sklearn.exceptions import ConvergenceWarning

        warnings.warn("; ".join(map(str, found)), ConvergenceWarning, stacklevel=3)
