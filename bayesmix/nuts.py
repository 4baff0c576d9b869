"""NUTS on a compiled density: nutpie's chains side by side, and what an interrupt leaves of them.

Every chain is a sampler of its own with its own start and seed, so that draws do not depend on how
many run at a time; none of them needs the interpreter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.inputs import require_count
from bayesmix.interrupts import noted_interrupt
from bayesmix.kernels.nuts import position_callback

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesmix.nuts_target import Target

    Floats = NDArray[np.float64]
    _Arrays = dict[str, NDArray[Any]]

__all__ = ["N_STATISTICS", "Chains", "require_options", "sample_nuts"]

_USUAL = {"adaptation": "low_rank", "target_accept": 0.9}  # 0.8 diverges at overlapping components
_WALLS = {"adaptation": "diag", "target_accept": 0.98}
"""Where weights come and go: their logarithms spread over tens of nats up to a wall of one nat."""
_OPTIONS = {
    "target_accept": "target_accept",
    "max_treedepth": "maxdepth",
    "adaptation": "adaptation",
}
"""PyMC's names of what a user may set to nutpie's."""
_ADAPTATIONS = "low_rank", "diag"
_POLL_SECONDS = 0.002
_REPORT_MILLISECONDS = 100
_SAME_NAMES = (
    *("diverging", "energy", "energy_error", "index_in_trajectory"),
    *("max_energy_error", "n_steps", "step_size", "step_size_bar"),
)
_STATISTICS = {
    "logp": "lp_unconstrained",
    "mean_tree_accept": "acceptance_rate",
    "depth": "tree_depth",
    "maxdepth_reached": "reached_max_treedepth",
} | {name: name for name in _SAME_NAMES}
"""nutpie's name to PyMC's; its ``lp`` is ``lp_unconstrained`` here."""
N_STATISTICS = len(_STATISTICS)
"""Numbers of a step beside its position."""


@dataclass(frozen=True)
class Chains:
    """What NUTS returned, cut to a common length if it was interrupted."""

    positions: Floats
    """(chain, draw, n)."""
    statistics: dict[str, NDArray[Any]]
    """(chain, draw), by PyMC's names."""
    interrupted: bool


def require_options(options: Mapping[str, Any]) -> None:
    """Refuse options that `sample_nuts` does not take, and values that they cannot have."""
    if unknown := options.keys() - _OPTIONS.keys():
        raise ValueError(
            f"nuts: expected options among {', '.join(_OPTIONS)}, got {', '.join(sorted(unknown))}"
        )
    asked = {"max_treedepth": 1} | _USUAL | dict(options)
    accept = asked["target_accept"]
    if not isinstance(accept, (float, np.floating)) or not 0 < accept < 1:
        raise ValueError(
            f"nuts: expected a target_accept between 0 and 1, neither included, got {accept!r}"
        )
    require_count(asked["max_treedepth"], "nuts: max_treedepth")
    if asked["adaptation"] not in _ADAPTATIONS:
        raise ValueError(
            f"nuts: expected an adaptation among {', '.join(_ADAPTATIONS)}, "
            f"got {asked['adaptation']!r}"
        )


def sample_nuts(
    target: Target,
    starts: Floats,
    *,
    draws: int,
    tune: int,
    cores: int,
    seeds: NDArray[np.uint64],
    report: Callable[[int], None],
    walls: bool = False,
    options: Mapping[str, Any] | None = None,
) -> Chains:
    """Run one chain per start.

    Parameters
    ----------
    target : Target
    starts : (chains, n) ndarray
    draws, tune : int
        Per chain.
    cores : int
        How many chains run at a time.
    seeds : (chains,) ndarray
    report : callable
        Takes the number of steps just made; called by any thread.
    walls : bool, default False
        Whether the prior favors empty components: small steps, and no low-rank mass matrix, which
        is misled there.
    options : mapping, optional
        As `require_options` wants them, instead of what is usual.

    Raises
    ------
    ValueError
        If the density is not finite at a start.
    KeyboardInterrupt
        If interrupted before any draw after tuning.
    """
    if not all(np.isfinite(target(start)[0]) for start in starts):
        raise ValueError(
            "x: expected a finite log density where a chain starts, got none; rescale the "
            "columns, or check them for wild values"
        )
    settings = {"draws": draws, "tune": tune} | (_WALLS if walls else _USUAL)
    settings |= {_OPTIONS[name]: value for name, value in (options or {}).items()}
    chains = deque(
        _Chain(target, start, int(seed), settings, report)
        for start, seed in zip(starts, seeds, strict=True)
    )
    with noted_interrupt(hold=True) as noted:
        found = _run(chains, cores, stopped=lambda: bool(noted))
    kept, length = _longest(np.array([len(own["position"]) for own in found], int))
    if length == 0:
        raise KeyboardInterrupt
    stacked = {name: np.stack([found[i][name][:length] for i in kept]) for name in found[0]}
    positions = stacked.pop("position")
    return Chains(positions, stacked, interrupted=len(kept) < len(starts) or length < draws)


class _Chain:
    """A chain that has not begun, or runs."""

    def __init__(
        self,
        target: Target,
        start: Floats,
        seed: int,
        settings: dict[str, Any],
        report: Callable[[int], None],
    ) -> None:
        self.target, self.start, self.seed = target, start, seed
        self.settings, self.report = settings, report
        self.reported = 0

    def begin(self) -> None:
        import nutpie

        self.sampler = nutpie.sample(
            _model(self.target, self.start),
            chains=1,
            cores=1,
            seed=self.seed,
            progress_bar=False,
            progress_callback=self._progress,
            progress_rate=_REPORT_MILLISECONDS,
            return_raw_trace=True,
            blocking=False,
            **self.settings,
        )

    def _progress(self, chains: list[Any]) -> None:
        self._report(chains[0].finished_draws)

    def _report(self, made: int) -> None:
        before, self.reported = self.reported, max(self.reported, made)
        self.report(self.reported - before)

    def result(self) -> _Arrays | None:
        """What the chain returned; None while it runs."""
        try:
            trace = self.sampler.wait(timeout=_POLL_SECONDS)
        except TimeoutError:
            return None
        except BaseException as error:
            if isinstance(error, (Exception, KeyboardInterrupt)):
                raise
            raise RuntimeError(  # a panic of nutpie is no Exception
                'a chain of NUTS ended inside nutpie; try another random_seed, or sampler="gibbs"'
            ) from error
        self._report(self.settings["draws"] + self.settings["tune"])
        return _arrays(trace, len(self.start))

    def stop(self) -> _Arrays:
        """What the chain has so far."""
        return _arrays(self.sampler.abort(), len(self.start))

    def abandon(self) -> None:
        """End the chain, or make sure that it has ended: one that failed fails here again."""
        with suppress(BaseException):
            self.sampler.abort()


def _arrays(trace: Any, n: int) -> _Arrays:
    """Position (draws, n) and statistics (draws,) after tuning."""
    import pyarrow

    batches = list(zip(*trace.get_arrow_trace(), strict=True))
    if not batches:  # stopped before it had a state
        return {"position": np.empty((0, n))} | dict.fromkeys(_STATISTICS.values(), np.empty(0))
    ((positions, statistics),) = batches
    kept = ~_flat(pyarrow.array(statistics.column("tuning")))
    found = {
        ours: _flat(pyarrow.array(statistics.column(theirs)))[kept]
        for theirs, ours in _STATISTICS.items()
    }
    flat = _flat(pyarrow.array(positions.column("position")).flatten())
    return {"position": flat.reshape(-1, n)[kept], **found}


def _flat(column: Any) -> NDArray[Any]:
    values: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values


def _run(waiting: deque[_Chain], cores: int, *, stopped: Callable[[], bool]) -> list[_Arrays]:
    """Results in the chains' order, of those that began."""
    running: dict[int, _Chain] = {}
    found: dict[int, _Arrays] = {}
    begun = count()
    try:
        while (waiting or running) and not stopped():
            while waiting and len(running) < cores:
                chain = waiting.popleft()
                chain.begin()
                running[next(begun)] = chain
            for i, chain in list(running.items()):
                result = chain.result()
                if result is not None:
                    found[i] = result
                    del running[i]
    except BaseException:  # nothing goes on behind the caller's back
        for chain in running.values():
            chain.abandon()
        raise
    for i, chain in running.items():
        found[i] = chain.stop()
    return [found[i] for i in sorted(found)]


def _longest(lengths: NDArray[np.int_]) -> tuple[NDArray[np.int_], int]:
    """Which chains to keep, and how much of each, for the most draws of a common length."""
    if not len(lengths):
        return lengths, 0
    order = np.argsort(-lengths, kind="stable")
    totals = lengths[order] * np.arange(1, len(lengths) + 1)
    best = int(np.argmax(totals[::-1]))  # of equal totals the one of most chains
    n_chains = len(lengths) - best
    return np.sort(order[:n_chains]), int(lengths[order[n_chains - 1]])


def _model(target: Target, start: Floats) -> Any:
    """The density as nutpie takes one from PyMC: two addresses, one start."""
    from nutpie.compile_pymc import CompiledPyMCModel

    n = len(start)
    return CompiledPyMCModel(
        dims={},
        _coords={},
        _shapes={"position": (n,)},
        _n_dim=n,
        compiled_logp_func=target.density,
        compiled_expand_func=position_callback(),
        initial_point_func=lambda seed: start,
        shared_data={},
        shared_var_keys={},
        user_data=target.header,
        n_expanded=n,
        shape_info=(["position"], [slice(0, n)], [(n,)]),
        logp_func=target,  # lives as long as code that reads its memory
        expand_func=None,
    )
