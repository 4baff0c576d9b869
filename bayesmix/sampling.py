"""Sampling a mixture's posterior: what is asked, which engine answers, what is warned of."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from bayesmix.chain_states import restored_chains
from bayesmix.diagnostics import convergence
from bayesmix.inputs import as_generator, as_table, require_count
from bayesmix.interrupts import noted_interrupt
from bayesmix.memory import require_memory, require_memory_of_parameters
from bayesmix.mixture import require_mixture
from bayesmix.nuts import require_options
from bayesmix.replicates import ON_REQUEST, OnRequest, add_groups, n_numbers
from bayesmix.sampling_gibbs import gibbs_tree, resumed_tree
from bayesmix.sampling_nuts import nuts_tree
from bayesmix.sampling_request import Request
from bayesmix.schema import root_attrs
from bayesmix.stick_priors import StickPrior
from bayesmix.truncation import truncation_error

if TYPE_CHECKING:
    import xarray as xr

    from bayesmix.inputs import RandomSeed
    from bayesmix.mixture import Mixture

__all__ = ["sample"]

_GUESSED_CLUSTERS = 30  # in the widest draw, which nobody knows before

Sampler = Literal["auto", "gibbs", "nuts"]
Stored = Literal["parameters", "allocation", OnRequest]


def sample(
    mixture: Mixture,
    x: Any,
    *,
    sampler: Sampler = "auto",
    draws: int = 1000,
    tune: int | None = None,
    chains: int = 4,
    cores: int | None = None,
    thin: int = 1,
    random_seed: RandomSeed = None,
    progressbar: bool = True,
    store: Sequence[Stored] = ("parameters", "allocation"),
    resume: xr.DataTree | None = None,
    nuts: Mapping[str, Any] | None = None,
) -> xr.DataTree:
    r"""Sample the posterior of a mixture.

    Gibbs sampling draws labels and parameters in turn, thousands of sweeps a second on a small
    table, and tries to split and merge components. Its chains start far apart: at optima of EM, at
    one cluster, at K clusters around random rows. Where components are exchangeable they change
    names at random in every sweep, so that a component's own draws mean nothing before `relabel`;
    those of a truncated stick trade places.
    Where the number of components varies (an infinite process, or one with a prior on the number)
    the tree has the group ``components``, and `relabel` with ``n_clusters=k`` makes a tree of
    fixed components of the draws with k clusters.
    NUTS moves all parameters at once with the labels summed out, in the coordinates of
    `build_model` but without PyMC; its chains start near the optima of EM, each at a draw of the
    weighted likelihood bootstrap (Newton & Raftery 1994) around one whose mass, by Laplace's
    method, is within a factor e^-5 of the largest.
    Either way what no relabeling changes is checked for convergence.

    Parameters
    ----------
    mixture : Mixture
        With a component prior.
    x : (n, D) array_like or DataFrame
        The data, used as they are: nothing is scaled or dropped.
    sampler : {"auto", "gibbs", "nuts"}, default "auto"
        "auto" is Gibbs: where it cannot, NUTS mixes too slowly to be chosen unasked. The tree's
        attribute ``sampler`` says which it was.
    draws : int, default 1000
        Draws kept per chain.
    tune : int, optional
        Steps per chain before them; default 300 sweeps for Gibbs, 400 steps for NUTS.
    chains : int, default 4
    cores : int, optional
        Default: as many as the process may use. Draws do not depend on it.
    thin : int, default 1
        Keep every ``thin``-th sweep or step only, so ``draws * thin`` are made.
    random_seed : int, SeedSequence or Generator, optional
    progressbar : bool, default True
    store : sequence of str, default ("parameters", "allocation")
        The parameters are always kept; leave "allocation" out to keep no labels, which take a
        byte per row and draw. On request, with as many draws: "log_likelihood" of every row,
        labels summed out, as `arviz.loo` wants it; "posterior_predictive", as many new rows;
        "prior" and "prior_predictive", the same from the prior. These need a fixed number of
        components.
    resume : DataTree, optional
        Of Gibbs sampling on the same mixture and rows: its chains go on, without tuning, as if
        they had never stopped. The tree returned has the old draws and the new, in the groups that
        `sample` makes and no others. What is stored is what the tree stores, groups on request made
        anew for all draws, with ``random_seed``; ``chains``, ``tune`` and ``store`` are not used.
    nuts : mapping, optional
        Beside ``sampler="nuts"``, as in PyMC: ``target_accept`` (default 0.9, or 0.98 where the
        prior favors empty components), ``max_treedepth`` (default 10), and ``adaptation`` of the
        mass matrix, "low_rank" or "diag", as nutpie has them.

    Returns
    -------
    xarray.DataTree
        Groups ``posterior``, ``allocation``, ``sample_stats``, ``observed_data``, from Gibbs
        ``sampler_state``, and ``components`` where their number varies; see ``docs/notation.md``.
        An interrupt returns the draws so far, cut to a common length, with the attribute
        ``interrupted = 1``.

    Raises
    ------
    ValueError
        If the engine cannot sample this mixture, the draws would exceed 2 GiB, or the tree to
        resume is not of this mixture and these rows.
    FloatingPointError
        If a Gibbs chain meets a covariance that is singular to working precision.
    KeyboardInterrupt
        If interrupted before any draw.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        With the findings of `diagnose` on convergence that call for action.

    References
    ----------
    M. A. Newton and A. E. Raftery, "Approximate Bayesian Inference with the Weighted Likelihood
    Bootstrap", JRSS B 56, 1994. What Gibbs sampling rests on is listed in `bayesmix.gibbs`.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("faithful")
    >>> mixture = bm.Mixture(bm.Dirichlet(2), bm.weakly_informative(x))
    >>> post = bm.sample(mixture, x, draws=500, random_seed=1, progressbar=False)
    >>> float(post.posterior["n_clusters"].mean())
    2.0
    """
    started = time.perf_counter()
    _require_arguments(sampler, draws, tune, chains, cores, thin, store)
    engine = _engine(mixture, sampler)
    table = as_table(x)
    mixture.require_features(len(table.features))
    if engine == "nuts":
        mixture = mixture.truncated(len(table.values))
    asked = Request(
        mixture,
        table,
        *(draws, tune, chains, cores, thin),
        "allocation" in store,
        progressbar,
        dict(nuts or {}),
    )
    _require_options(nuts or {}, engine)
    _require_fixed_for(store, mixture)
    generator, on_request = as_generator(random_seed), set(ON_REQUEST) & set(store)
    if resume is not None:
        _require_resumable(engine)
        ready = restored_chains(mixture, table, resume, thin)
        asked = replace(asked, keep_labels="allocation" in resume.children)
        on_request = set(ON_REQUEST) & resume.children.keys()
        _require_budget(asked, len(ready) * (resume["posterior"].sizes["draw"] + draws), on_request)
        tree = resumed_tree(asked, resume, ready)
        random_seed = resume.attrs.get("random_seed", "unknown")
        started -= resume.attrs.get("seconds", 0.0)
    else:
        _require_budget(asked, chains * draws, on_request)
        make = gibbs_tree if engine == "gibbs" else nuts_tree
        tree = make(asked, generator)
    with noted_interrupt(hold=True):  # what is sampled is not lost to a late Ctrl-C
        tree.attrs.update(root_attrs(mixture, random_seed, time.perf_counter() - started))
        tree.attrs["sampler"] = engine
        if isinstance(mixture.weights, StickPrior) and not mixture.varying:
            tree.attrs["truncation_error"] = truncation_error(mixture.weights, len(table.values))
        _warn(tree)
    if on_request:
        _add_on_request(tree, on_request, asked, generator)
    return tree


def _add_on_request(
    tree: xr.DataTree, names: set[str], asked: Request, generator: np.random.Generator
) -> None:
    """Add groups on request; what is sampled is not lost to an interrupt or a failure."""
    try:
        add_groups(tree, names, asked.mixture, asked.table, generator)
    except KeyboardInterrupt:
        tree.attrs["interrupted"] = 1
    except (MemoryError, np.linalg.LinAlgError) as error:
        warnings.warn(f"store: a group on request failed: {error!r}", RuntimeWarning, stacklevel=3)


def _require_arguments(
    sampler: Any, draws: Any, tune: Any, chains: Any, cores: Any, thin: Any, store: Any
) -> None:
    if sampler not in get_args(Sampler):
        raise ValueError(f"sampler: expected one of {get_args(Sampler)}, got {sampler!r}")
    if isinstance(store, str):
        raise ValueError(f'store: expected a sequence of names, such as ("{store}",), got a string')
    if unknown := set(store) - set(get_args(Stored)):
        raise ValueError(f"store: expected names among {get_args(Stored)}, got {unknown}")
    require_count(draws, "draws")
    require_count(chains, "chains")
    require_count(thin, "thin")
    if cores is not None:
        require_count(cores, "cores")
    if tune is not None and (not isinstance(tune, (int, np.integer)) or tune < 0):
        raise ValueError(f"tune: expected a whole number of at least 0, got {tune!r}")


def _require_options(nuts: Mapping[str, Any], engine: str) -> None:
    if nuts and engine != "nuts":
        raise ValueError(
            f'nuts: expected options beside sampler="nuts" only, got {", ".join(sorted(nuts))} '
            f"beside {engine}, which has none"
        )
    require_options(nuts)


def _require_fixed_for(store: Sequence[str], mixture: Mixture) -> None:
    if mixture.varying and (unable := [name for name in ON_REQUEST if name in store]):
        raise ValueError(
            f'store: expected "parameters" and "allocation" only, because the number of components '
            f"varies in {type(mixture.weights).__name__}, got {', '.join(unable)} too; leave it "
            "out, or state the number of components, as Dirichlet(K) does"
        )


def _require_resumable(engine: str) -> None:
    if engine == "nuts":
        raise ValueError(
            'sampler: expected "gibbs" or "auto" beside resume, got "nuts", which cannot go '
            "on; start anew"
        )


def _engine(mixture: Any, sampler: Sampler) -> Literal["gibbs", "nuts"]:
    """Gibbs, unless told otherwise: where it cannot, NUTS mixes too slowly to be chosen unasked."""
    engine = "gibbs" if sampler == "auto" else sampler
    require_mixture(mixture, engine)
    return engine


def _require_budget(asked: Request, n_draws: int, on_request: set[str]) -> None:
    n, d = asked.table.values.shape
    k = min(n, _GUESSED_CLUSTERS) if asked.mixture.varying else asked.mixture.n_components
    fewer = "use fewer draws (thin= makes them count)"
    if asked.keep_labels:
        bits = np.dtype(np.int16) if asked.mixture.varying else np.min_scalar_type(-k)
        labels = n_draws * n * bits.itemsize
        what = "store: labels of every row at every draw"
        require_memory(labels, what, f'{fewer}, or store=("parameters",)')
    for name in on_request:
        wanted = 8 * n_numbers(name, n_draws, (n, d))
        require_memory(wanted, f"store: the group {name}", f"{fewer}, or leave it out")
    guessed = f", if the widest has {k} clusters," if asked.mixture.varying else ""
    require_memory_of_parameters(n_draws, (k, d), fewer, guessed)


def _warn(tree: xr.DataTree) -> None:
    found = [finding for finding in convergence(tree) if finding.severity == "warning"]
    if found:
        from sklearn.exceptions import ConvergenceWarning

        warnings.warn("; ".join(map(str, found)), ConvergenceWarning, stacklevel=3)
