"""Gibbs chains side by side: turns of a fraction of a second, until all have their draws."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bayesmix.interrupts import noted_interrupt
from bayesmix.threads import run_tasks

__all__ = ["run_chains"]

_TURN_SECONDS = 0.1


class _Chain(Protocol):
    """What chains of either kind can do."""

    @property
    def n_sweeps(self) -> int: ...

    def room(self, draws: int, *, labels: bool) -> Any: ...

    def tune(self, limit: int) -> int: ...

    def draw(self, into: Any, origin: int, thin: int, limit: int) -> int: ...


@dataclass
class _Run:
    """One chain on its way: first ``tune`` sweeps, then draws."""

    chain: _Chain
    tune: int
    into: Any
    thin: int
    origin: int = 0
    """Number of the last sweep of the tuning."""
    kept: int = 0

    def advance(self, goal: int, *, seconds: float, stopped: Callable[[], bool]) -> int:
        """Go on to ``goal`` draws, for so long or until stopped; return the sweeps made."""
        before, end = self.chain.n_sweeps, time.perf_counter() + seconds
        while self.kept < goal and time.perf_counter() < end and not stopped():
            if self.tune > 0:
                self.tune -= self.chain.tune(self.tune)
                self.origin = self.chain.n_sweeps
            else:
                made = self.chain.n_sweeps - self.origin
                self.chain.draw(self.into, self.origin, self.thin, goal * self.thin - made)
                self.kept = (self.chain.n_sweeps - self.origin) // self.thin
        return self.chain.n_sweeps - before

    @property
    def begun(self) -> int:
        """Draws kept, and the one that thinning may have under way."""
        return self.kept if self.tune > 0 else -(-(self.chain.n_sweeps - self.origin) // self.thin)


def run_chains(
    chains: Sequence[_Chain],
    *,
    tune: int,
    draws: int,
    thin: int,
    cores: int,
    keep_labels: bool,
    report: Callable[[int], None],
) -> tuple[list[Any], int, bool]:
    """Run chains to their draws, or until an interrupt.

    After an interrupt the chains that lag behind by part of a turn catch up, so that all stop at
    the same draw and could go on from there.

    Parameters
    ----------
    report : callable
        Takes the number of sweeps just made; called by any thread.

    Returns
    -------
    draws : list
        What a chain's ``room`` made, one per chain.
    n_draws : int
        How many of each are filled; fewer than ``draws`` after an interrupt.
    together : bool
        Whether all chains stopped at this draw; not so after a second interrupt.

    Raises
    ------
    KeyboardInterrupt
        If interrupted before any draw, or a second time before every chain has one.
    """
    runs = [
        _Run(chain, tune, chain.room(draws, labels=keep_labels), thin, chain.n_sweeps)
        for chain in chains
    ]
    with noted_interrupt(hold=True) as noted:
        _take_turns(runs, draws, cores, report, stopped=lambda: bool(noted))
    if not noted:
        return [run.into for run in runs], draws, True
    if not any(run.kept for run in runs):
        raise KeyboardInterrupt
    goal = max(run.begun for run in runs)
    with noted_interrupt(hold=True) as again:
        _take_turns(runs, goal, cores, report, stopped=lambda: bool(again))
    kept = min(run.kept for run in runs)
    if kept == 0:
        raise KeyboardInterrupt
    return [run.into for run in runs], kept, kept == goal


def _take_turns(
    runs: list[_Run],
    goal: int,
    cores: int,
    report: Callable[[int], None],
    *,
    stopped: Callable[[], bool],
) -> None:
    """Bring all runs to ``goal`` draws, as many at a time as there are cores."""
    waiting = deque(run for run in runs if run.kept < goal)
    lock, failed = threading.Lock(), threading.Event()

    def over() -> bool:
        return stopped() or failed.is_set()

    def work(_: int) -> None:
        while not over():
            with lock:
                if not waiting:
                    return
                run = waiting.popleft()
            try:
                report(run.advance(goal, seconds=_TURN_SECONDS, stopped=over))
            except BaseException:
                failed.set()
                raise
            if run.kept < goal:
                with lock:
                    waiting.append(run)

    run_tasks(work, min(cores, len(runs)), min(cores, len(runs)))
