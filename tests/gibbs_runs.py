"""Recorded draws in one form, and how a chain class makes them: what the exactness tests read."""

from dataclasses import dataclass

import numpy as np

from tests.calibration import scattered_start
from tests.geweke import point_of, sweep
from tests.prior_draws import Points


@dataclass
class Recorded:
    """Draws with the axes (chain, draw) in front; None where stated."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    covariance_scale: np.ndarray | None
    concentration: np.ndarray | None
    labels: np.ndarray
    discount: np.ndarray | None = None

    @property
    def line_scale(self):
        """A random covariance scale on a line, (chain, draw)."""
        return None if self.covariance_scale is None else self.covariance_scale[..., 0, 0]


def run(chain_class, mixture, x, seed, *, chains=2, draws=1000, thin=2, transition=sweep):
    """Run chains from scattered labels; what is kept follows 50 transitions."""
    found = []
    for generator in np.random.default_rng(seed).spawn(chains):
        chain = scattered_start(chain_class, mixture, x, generator)
        for _ in range(50):
            transition(chain)
        for _ in range(draws):
            for _ in range(thin):
                transition(chain)
            found.append(point_of(chain, x[None]))
    points = vars(Points.stack(found))
    del points["x"]
    shape = (chains, draws)
    return Recorded(
        **{n: None if v is None else v.reshape(shape + v.shape[1:]) for n, v in points.items()}
    )
