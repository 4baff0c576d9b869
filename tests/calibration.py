"""Simulation-based calibration: the rank of the truth among posterior draws is uniform.

Ranks are judged by bands that their empirical distribution function leaves nowhere with a stated
probability (Säilynoja, Bürkner and Vehtari 2022, Statistics and Computing 32). Ranks are whole
numbers, so the count below each is binomial and the bands' coverage can be computed exactly.
"""

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binom

from tests.exact_checks import LEVEL
from tests.geweke import point_of
from tests.prior_draws import Points, draw
from tests.reference_gibbs import log_joint


def ranks(chain_class, mixture, n, rng, *, transition, size, draws, burn, thin):
    """Rank (size, quantity) of the truth among ``draws`` draws, in 0 ... draws; ties at random."""
    found = []
    for _ in range(size):
        truth = draw(mixture, n, 1, rng)
        chain = scattered_start(chain_class, mixture, truth.x[0], rng)
        for _ in range(burn):
            transition(chain)
        points = []
        for _ in range(draws):
            for _ in range(thin):
                transition(chain)
            points.append(point_of(chain, truth.x))
        found.append(rank_of_first(quantities(Points.stack([truth, *points]), mixture), rng))
    return np.array(found)


def rank_of_first(values, rng):
    """Rank of the first row of values (B, Q) among the others, (Q,); ties at random."""
    below = (values[1:] < values[0]).sum(axis=0)
    ties = (values[1:] == values[0]).sum(axis=0)
    return below + rng.integers(0, ties + 1)


def scattered_start(chain_class, mixture, x, rng):
    """A chain at labels drawn at random, parameters from the prior: nothing known of the truth."""
    start = draw(mixture, len(x), 1, rng)
    state = {"means": start.means[0]} if hasattr(mixture.components, "mean_covariance") else {}
    if start.covariance_scale is not None:
        state["covariance_scale"] = start.covariance_scale[0]
    if start.concentration is not None:
        state["concentration"] = float(start.concentration[0])
    if start.discount is not None:
        state["discount"] = float(start.discount[0])
    labels = rng.integers(0, mixture.n_components, len(x))
    return chain_class.at(mixture, x, labels, rng, **state)


def quantities(points, mixture):
    """Label-invariant quantities, (B, Q)."""
    joint = log_joint(points.x, points.weights, points.means, points.covariances)
    labels = points.labels
    center = np.broadcast_to(np.asarray(mixture.components.mean), points.x[:, :1].shape)
    at_center = log_joint(center, points.weights, points.means, points.covariances)
    columns = [
        np.logaddexp.reduce(joint, axis=-1).sum(axis=1),
        np.logaddexp.reduce(at_center, axis=-1)[:, 0],
        (np.diff(np.sort(labels, axis=1), axis=1) != 0).sum(axis=1),
        labels[:, 0] == labels[:, 1],
        points.weights.max(axis=1),
        (points.weights**2).sum(axis=1),
        np.take_along_axis(joint, labels[..., None], axis=-1).sum(axis=(1, 2)),
    ]
    if points.covariance_scale is not None:
        columns += list(np.diagonal(points.covariance_scale, axis1=-2, axis2=-1).T)
    if points.concentration is not None:
        columns.append(points.concentration)
    if points.discount is not None:
        columns.append(points.discount)
    return np.stack(columns, axis=-1).astype(float)


def assert_uniform(found, draws, level=LEVEL):
    """Check ranks (size, quantity) in 0 ... draws, the level shared by the quantities."""
    size, n_quantities = found.shape
    at, lower, upper = bands(size, draws, level / n_quantities)
    below = (found[:, :, None] < at).sum(axis=0)
    outside = ((below < lower) | (below > upper)).any(axis=1)
    assert not outside.any(), (
        f"ranks of quantities {np.flatnonzero(outside)} leave their bands; counts below "
        f"{at}: {below[outside]}, from {lower} to {upper}"
    )


def bands(size, draws, level, n_points=20):
    """Ranks to look at, and the lowest and highest count below each; coverage >= 1 - level."""
    at = np.unique(np.linspace(0, draws + 1, n_points + 2)[1:-1].round().astype(int))
    z = at / (draws + 1)
    steps = _steps(size, z)

    def missed(log_tail):
        return 1 - coverage(*_counts(size, z, np.exp(log_tail)), steps) - level

    # Each point misses a count on either side with at most the tail: the union bounds it.
    low, high = np.log(level / (4 * len(z))), np.log(level)
    log_tail = brentq(missed, low, high, xtol=1e-3) if missed(low) < 0 < missed(high) else low
    while missed(log_tail) > 0:  # the coverage is a step function
        log_tail -= 1e-3
    return at, *_counts(size, z, np.exp(log_tail))


def coverage(lower, upper, steps):
    """Probability that no count leaves its band, exactly: counts form a Markov chain."""
    p = np.zeros(len(steps[0]))
    p[0] = 1.0
    counts = np.arange(len(p))
    for low, high, step in zip(lower, upper, steps, strict=True):
        p = np.where((counts >= low) & (counts <= high), p @ step, 0.0)
    return p.sum()


def _counts(size, z, tail):
    return binom.ppf(tail, size, z).astype(int), binom.isf(tail, size, z).astype(int)


def _steps(size, z):
    """Transition matrices of the count below z, from one z to the next."""
    counts = np.arange(size + 1)
    more = counts[None, :] - counts[:, None]
    before = np.append(0.0, z[:-1])
    return [
        binom.pmf(more, (size - counts)[:, None], (here - last) / (1 - last))
        for last, here in zip(before, z, strict=True)
    ]
