"""PyMC's NUTS on a model: compile once, run one chain per start, keep what an interrupt leaves."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
from pymc.blocking import DictToArrayBijection
from pymc.model.transform.optimization import freeze_model

from bayesmix.interrupts import noted_interrupt

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Chains", "sample_nuts"]

_TARGET_ACCEPT = 0.9  # 0.8 diverges where components overlap


@dataclass(frozen=True)
class Chains:
    """What NUTS returned, cut to a common length if it was interrupted."""

    values: dict[str, Floats]
    """Free variables by name, (chain, draw, ...)."""
    stats: xr.Dataset
    """PyMC's statistics; its ``lp`` is ``lp_unconstrained`` here."""
    interrupted: bool


def sample_nuts(
    model: pm.Model,
    starts: Sequence[Mapping[str, Floats]],
    *,
    draws: int,
    tune: int | None,
    cores: int,
    generator: np.random.Generator,
    progressbar: bool,
) -> Chains:
    """Run PyMC's own NUTS, one chain per start.

    PyMC's sampler rather than nutpie, which samples faster but compiles longer at every call.

    Raises
    ------
    KeyboardInterrupt
        If interrupted before any draw after tuning.
    """
    frozen = freeze_model(model)
    with _hush("pymc"), noted_interrupt(hold=False) as noted:
        _compile(frozen)
        try:
            tree = pm.sample(
                draws,
                tune=tune,
                chains=len(starts),
                cores=cores,
                random_seed=generator,
                initvals=[dict(start) for start in starts],
                init="adapt_diag",
                target_accept=_TARGET_ACCEPT,
                nuts_sampler="pymc",
                var_names=[v.name for v in frozen.free_RVs],
                compute_convergence_checks=False,
                progressbar=progressbar,
                callback=_interrupt_all(draws) if cores == 1 else None,
                model=frozen,
            )
        except Exception as error:  # Ctrl-C can break a chain's process and its pipe, too
            if noted or "Not enough samples" in str(error):
                raise KeyboardInterrupt from error
            raise
    group = tree.posterior.to_dataset()
    stats = tree.sample_stats.to_dataset().rename(lp="lp_unconstrained")
    complete = dict(group.sizes).get("draw") == draws and group.sizes["chain"] == len(starts)
    values = {str(name): variable.values for name, variable in group.data_vars.items()}
    return Chains(values, stats, interrupted=not complete)


def _interrupt_all(draws: int) -> Callable[..., None]:
    """End the chains after an interrupted one too; PyMC would go on with the next."""
    kept: Counter[int] = Counter()

    def callback(trace: Any, draw: Any) -> None:
        if draw.chain > 0 and kept[draw.chain - 1] < draws:
            raise KeyboardInterrupt
        kept[draw.chain] += not draw.tuning

    return callback


def _compile(frozen: pm.Model) -> None:
    """Compile density and gradient here, once, before chains fork and would each do it again."""
    point = frozen.initial_point(random_seed=0)
    function = frozen.logp_dlogp_function(ravel_inputs=True)
    function.set_extra_values({})
    function(DictToArrayBijection.map(point))


@contextmanager
def _hush(name: str) -> Iterator[None]:
    """Let a library's logger speak of warnings only."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
