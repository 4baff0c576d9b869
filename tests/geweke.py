"""Geweke's joint distribution test: two ways to draw parameters, labels and rows together.

Independent draws from the model against a chain that draws rows given labels and parameters, then
takes one transition of the sampler at these rows. Both have the same distribution if, and hardly
otherwise if not, the transition leaves the posterior where it is (Geweke 2004, JASA 99). The chain
starts at independent draws, so it needs no burn-in.
"""

import numpy as np
from scipy.special import logit

import bayesmix as bm
from tests.exact_checks import assert_z
from tests.exact_kernel import assert_unchanged
from tests.prior_draws import Points, draw, draw_rows
from tests.reference_gibbs import log_joint


def sweep(chain):
    """One transition of the sampler: a sweep."""
    chain.sweep(1)


def split_or_merge(chain):
    """One move of the labels."""
    chain.split_merge()


def full_transition(chain):
    """One transition of the sampler: a split or a merge, then a sweep."""
    chain.split_merge()
    chain.sweep(1)


def assert_same_joint(
    chain_class, mixture, n, rng, *, transition=sweep, chains=160, draws=20, independent=20_000
):
    """z-tests on the means of label-invariant bounded functions.

    Chains are many and short: their means are independent and without bias, so that the error is
    that of independent numbers however slowly a chain mixes.
    """
    reference = draw(mixture, n, independent, rng)
    squash = Squash(features(reference, mixture))
    exact = squash(features(reference, mixture))
    found = successive(chain_class, mixture, n, rng, transition, chains, draws)
    means = squash(features(found, mixture)).reshape(chains, draws, -1).mean(axis=1)
    varies = (means != np.median(means, axis=0)).sum(axis=0) > 30
    own, their = exact[:, varies], means[:, varies]
    error = np.hypot(own.std(axis=0) / np.sqrt(len(own)), their.std(axis=0) / np.sqrt(chains))
    assert_z((their.mean(axis=0) - own.mean(axis=0)) / error)


def assert_keeps_joint(chain_class, mixture, n, rng, move, size):
    """Paired z-tests: independent draws of everything keep their distribution under one move.

    The move need not draw what it integrates out: only what is carried from sweep to sweep counts.
    """
    before = draw(mixture, n, size, rng)
    squash = Squash(state_features(before, mixture))
    after = []
    for b in range(size):
        chain = chain_at(chain_class, mixture, before.row(b), rng)
        move(chain)
        state = before.row(b)
        state.labels = np.asarray(chain.labels)[None]
        if chain.means is not None:
            state.means = np.asarray(chain.means)[None]
        after.append(state)
    moved = Points.stack(after)
    assert_unchanged(
        squash(state_features(before, mixture)), squash(state_features(moved, mixture))
    )


def successive(chain_class, mixture, n, rng, transition, chains, draws):
    """Chains that draw rows, then take a transition; (chains * draws) points."""
    found, starts = [], draw(mixture, n, chains, rng)
    for c in range(chains):
        point = starts.row(c)
        for _ in range(draws):
            point.x = draw_rows(point.means, point.covariances, point.labels, rng)
            chain = chain_at(chain_class, mixture, point, rng)
            transition(chain)
            point = point_of(chain, point.x)
            found.append(point)
    return Points.stack(found)


def chain_at(chain_class, mixture, point, rng):
    """Start a chain at a point (a batch of one)."""
    state = {}
    if isinstance(mixture.components, bm.IndependentNormalInverseWishart):
        state["means"] = point.means[0]
    if point.covariance_scale is not None:
        state["covariance_scale"] = point.covariance_scale[0]
    if point.concentration is not None:
        state["concentration"] = float(point.concentration[0])
    if point.discount is not None:
        state["discount"] = float(point.discount[0])
    return chain_class.at(mixture, point.x[0], point.labels[0], rng, **state)


def point_of(chain, x):
    """Copy what a chain stored last, as a batch of one."""
    scale, concentration, discount = chain.covariance_scale, chain.concentration, chain.discount
    return Points(
        np.array(chain.weights)[None],
        np.array(chain.means)[None],
        np.array(chain.covariances)[None],
        None if scale is None else np.array(scale)[None],
        None if concentration is None else np.array([float(concentration)]),
        np.array(chain.labels)[None],
        x,
        None if discount is None else np.array([float(discount)]),
    )


class Squash:
    """Maps features to bounded ones, tanh of the standardized value and its square."""

    def __init__(self, values):
        low, self.center, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
        self.spread = np.where(high > low, high - low, 1.0)

    def __call__(self, values):
        u = np.tanh((values - self.center) / self.spread)
        return np.concatenate([u, u**2], axis=-1)


def state_features(points, mixture):
    """Label-invariant functions of labels, rows and the means of the rows' components, (B, F)."""
    labels, x = points.labels, points.x
    b = np.arange(len(labels))
    n_clusters = (np.diff(np.sort(labels, axis=1), axis=1) != 0).sum(axis=1) + 1
    columns = [n_clusters, labels[:, 0] == labels[:, 1]]
    columns.append((labels[:, :, None] == labels[:, None, :]).sum(axis=(1, 2)))
    columns.append(np.where(labels[:, 0] == labels[:, 1], np.abs(x[:, 0] - x[:, 1]).sum(axis=1), 0))
    if not mixture.weights.exchangeable:
        columns.append(labels.sum(axis=1))
    if isinstance(mixture.components, bm.IndependentNormalInverseWishart):
        own = points.means[b[:, None], labels]
        columns += [own[:, 0, 0], np.abs(x - own).sum(axis=(1, 2)), points.means.sum(axis=(1, 2))]
        columns.append(np.abs(points.means).max(axis=(1, 2)))
    return np.stack(columns, axis=-1).astype(float)


def features(points, mixture):
    """Label-invariant functions of everything, (B, F)."""
    w, means, covariances = points.weights, points.means, points.covariances
    b, first = np.arange(len(w)), points.labels[:, 0]
    joint = log_joint(points.x, w, means, covariances)
    drawn = np.take_along_axis(joint, points.labels[..., None], axis=-1)[..., 0]
    log_determinant = np.linalg.slogdet(covariances)[1]
    own = covariances[b, first]
    correlation = own[:, 0, -1] / np.sqrt(own[:, 0, 0] * own[:, -1, -1])
    columns = [
        (w**2).sum(axis=1),
        w.max(axis=1),
        np.log(np.maximum(w.min(axis=1), 1e-300)),
        w[b, first],
        (w * means[..., 0]).sum(axis=1),
        means[b, first, -1],
        (w * log_determinant).sum(axis=1),
        log_determinant.max(axis=1),
        np.log(own[:, 0, 0]),
        correlation,
        drawn.sum(axis=1),
        np.logaddexp.reduce(joint, axis=-1).sum(axis=1),
        points.x[:, 0, 0],
        np.abs(points.x[:, 0] - points.x[:, 1]).sum(axis=1),
    ]
    if points.covariance_scale is not None:
        columns += list(np.log(np.diagonal(points.covariance_scale, axis1=-2, axis2=-1)).T)
    if points.concentration is not None:
        columns.append(np.log(points.concentration))
    if points.discount is not None:
        columns.append(logit(points.discount))
    if not mixture.weights.exchangeable:
        columns.append(w[:, 0])
    return np.concatenate([np.stack(columns, axis=-1), state_features(points, mixture)], axis=-1)
