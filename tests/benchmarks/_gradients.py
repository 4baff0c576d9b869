"""Log density and its gradient, one evaluation after the other on one core, peers beside ours."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bayesmix.nuts_coordinates import Parameters
from bayesmix.nuts_target import Target
from tests.benchmarks._harness import (
    ABSENT,
    Criterion,
    Outcome,
    Settings,
    interleave,
    median_ratio,
    milliseconds,
    seconds,
    times_record,
)
from tests.benchmarks._peers import NumPyro, PyMC
from tests.benchmarks._problems import rows

PEERS: dict[str, tuple[type[Any], str]] = {
    "PyMC": (PyMC, "gradient-list"),
    "PyMC, batched": (PyMC, "gradient-batched"),
    "NumPyro": (NumPyro, "gradient"),
}
COUNT = 20


def gradients(
    n: int, d: int, k: int, spread: float, asked: dict[str, float], settings: Settings
) -> Outcome:
    """Seconds per evaluation, each engine at a point of its own."""
    problem = rows(n, d, k, spread)(settings)
    target = Target.of(problem.mixture, problem.x)
    at = target.coordinates.position(Parameters(**problem.start))

    def ours() -> float:
        return seconds(lambda: [target(at) for _ in range(COUNT)])[0] / COUNT

    def theirs(peer: Any) -> float:
        return peer.ask(COUNT) / COUNT

    timers = {"bayesmix": ours}
    with TemporaryDirectory() as folder:
        peers = {}
        for name, (kind, what) in PEERS.items():
            if kind is PyMC or NumPyro.versions() is not None:
                own = Path(folder) / what
                own.mkdir(exist_ok=True)
                peers[name] = kind(problem, own, what)
        timers |= {name: partial(theirs, peer) for name, peer in peers.items()}
        for timer in timers.values():
            timer()  # compiles
        times = interleave(timers, settings.repeats, settings.generator)
        for peer in peers.values():
            peer.process.communicate()
    cells = dict.fromkeys(PEERS, ABSENT)
    cells |= {name: milliseconds(float(np.median(values))) for name, values in times.items()}
    ratios = {name: median_ratio(times[name], times["bayesmix"]) for name in times}
    criteria = [Criterion(f"× {peer}", more, ratios.get(peer)) for peer, more in asked.items()]
    return Outcome(cells, criteria, {"timings": times_record(times)})
