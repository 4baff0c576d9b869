"""How many clusters, under several priors side by side: each is sampled."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bayesmix.inputs import as_generator, as_table
from bayesmix.interrupts import noted_interrupt
from bayesmix.mixture import Mixture
from bayesmix.prior_choice_result import PriorChoice, prior_numbers, summarized
from bayesmix.progress import progress
from bayesmix.sampling import sample

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    from bayesmix.inputs import RandomSeed, Table

__all__ = ["compare_priors", "thin_for"]


def compare_priors(
    mixtures: Mapping[str, Mixture],
    x: Any,
    *,
    draws: int = 1000,
    thin: int | None = None,
    chains: int = 4,
    random_seed: RandomSeed = None,
    progressbar: bool = True,
) -> PriorChoice:
    """Set the number of clusters under several priors side by side.

    Each mixture is sampled by itself, by Gibbs sampling; its draws depend on the seed and on its
    place, not on the other mixtures.

    An answer that several priors share is the data's. Where they differ: the wider components may
    be, the fewer clusters (Lindley's paradox); a Dirichlet process whose concentration is stated
    gets ever more small clusters as rows come in, and so does not tell the number of components
    (Miller and Harrison, 2014); the K of a mixture of finite mixtures is that of Gaussian
    components, which grows with the rows where clusters are not Gaussian (Cai et al., 2021).

    Parameters
    ----------
    mixtures : mapping of names to Mixture
        With component priors; what they differ in is up to the caller.
    x : (n, D) array_like or DataFrame
        The data, used as they are.
    draws : int, default 1000
        Draws kept per chain.
    thin : int, optional
        Sweeps per draw kept; default as in `choose_k`.
    chains : int, default 4
    random_seed : int, SeedSequence or Generator, optional
    progressbar : bool, default True

    Returns
    -------
    PriorChoice
        Of what was sampled before an interrupt, if there is one.

    Raises
    ------
    ValueError
        If there is no mixture, one cannot be sampled, or its prior of the number of clusters is
        not known.
    KeyboardInterrupt
        If interrupted before any draw.

    References
    ----------
    D. Cai, T. Campbell and T. Broderick, "Finite Mixture Models Do Not Reliably Learn the Number of
    Components", ICML 2021.

    J. W. Miller and M. T. Harrison, "Inconsistency of Pitman-Yor Process Mixtures for the Number of
    Components", JMLR 15, 2014.

    Examples
    --------
    >>> import bayesmix as bm
    >>> x = bm.datasets.load("galaxy")
    >>> priors = {
    ...     "sparse": bm.Dirichlet.from_expected_clusters(10, len(x), 4),
    ...     "DP": bm.DirichletProcess.from_expected_clusters(len(x), 4),
    ... }
    >>> mixtures = {k: bm.Mixture(w, bm.weakly_informative(x)) for k, w in priors.items()}
    >>> bm.compare_priors(mixtures, x, random_seed=1)  # doctest: +SKIP
    """
    table = as_table(x)
    _require_mixtures(mixtures, table)
    priors = prior_numbers(mixtures.values(), len(table.values))
    trees = _sampled(
        mixtures,
        table,
        as_generator(random_seed),
        progressbar,
        draws=draws,
        thin=thin_for(len(table.values)) if thin is None else thin,
        chains=chains,
    )
    with noted_interrupt(hold=True):  # what is sampled is not lost to a late Ctrl-C
        return summarized(mixtures, trees, priors)


def thin_for(n: int) -> int:
    """Sweeps per draw kept that a number of clusters among n rows needs, as it moves slowly."""
    return max(1, min(20, 20_000 // n))


def _sampled(
    mixtures: Mapping[str, Mixture],
    table: Table,
    generator: np.random.Generator,
    progressbar: bool,
    **options: Any,
) -> dict[str, xr.DataTree]:
    """Draws of one mixture after the other, until an interrupt."""
    trees: dict[str, xr.DataTree] = {}
    words, own = f"Gibbs, {len(mixtures)} priors", generator.spawn(len(mixtures))
    with (
        noted_interrupt(hold=False) as noted,
        progress(words, len(mixtures), show=progressbar, unit="priors") as report,
    ):
        for (name, mixture), seed in zip(mixtures.items(), own, strict=True):
            try:
                trees[name] = _draws(mixture, table, seed, **options)
                report(1)
            except KeyboardInterrupt:
                if not trees:
                    raise
                break
            if noted:  # and held back, at the end of a posterior
                break
    return trees


def _draws(
    mixture: Mixture, table: Table, generator: np.random.Generator, **options: Any
) -> xr.DataTree:
    """Draws of the parameters; what is to be said of convergence is said in words."""
    with warnings.catch_warnings():
        from sklearn.exceptions import ConvergenceWarning

        warnings.simplefilter("ignore", ConvergenceWarning)
        return sample(
            mixture,
            table,
            sampler="gibbs",
            store=("parameters",),
            random_seed=generator,
            progressbar=False,
            **options,
        )


def _require_mixtures(mixtures: Any, table: Table) -> None:
    """Refuse what cannot be sampled, before anything is."""
    are_mixtures = isinstance(mixtures, Mapping) and all(
        isinstance(mixture, Mixture) for mixture in mixtures.values()
    )
    if not are_mixtures or not mixtures:
        raise ValueError(
            'mixtures: expected names and their mixtures, such as {"sparse": Mixture(...)}, got '
            f"{mixtures!r}"
        )
    for mixture in mixtures.values():
        mixture.require("gibbs")
        mixture.require_features(len(table.features))
