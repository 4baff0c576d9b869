"""Draws of everything where the number of components varies, and chains put at them.

Draws are made partition first, row after row, in NumPy and SciPy alone.
"""

import dataclasses

import numpy as np
from scipy.special import logit

import bayesmix as bm
from tests import prior_draws
from tests.prior_draws import draw_rows
from tests.varying_cells import Named


@dataclasses.dataclass
class Joint:
    """B draws of everything; clusters are numbered by their first rows."""

    labels: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    x: np.ndarray
    scale: np.ndarray
    """(B, D, D); zeros where stated."""
    numbers: np.ndarray
    """Concentration, discount and K, (B, 3); NaN and 0 for those that are not."""


def independent(mixture, n, size, rng):
    """Draw from the model: as many components as rows would do, whatever they weigh."""
    each = prior_draws.draw(dataclasses.replace(mixture, weights=bm.Dirichlet(n)), n, size, rng)
    labels, numbers = partitions(mixture.weights, n, size, rng)
    x = draw_rows(each.means, each.covariances, labels, rng)
    scale = each.covariance_scale
    scale = np.zeros((size, 2, 2)) if scale is None else scale
    return Joint(labels, each.means, each.covariances, x, scale, numbers)


def partitions(weights, n, size, rng):
    """Labels (B, n) in order of appearance, row after row; concentration, discount and K."""
    gamma, beta = weights.random_concentration, weights.random_discount
    alpha = np.full(size, getattr(weights, "concentration", np.nan), dtype=object)
    alpha = (alpha if gamma is None else rng.gamma(gamma.shape, 1 / gamma.rate, size)).astype(float)
    k = np.zeros(size)
    if isinstance(weights, bm.MixtureOfFiniteMixtures):
        k = prior_draws.draw_numbers_of_components(weights.n_components, size, rng)
        each = alpha / k if weights.dynamic else alpha
        d, theta = -each, k * each
        discount = np.zeros(size)
    else:
        discount = (
            np.full(size, weights.discount) if beta is None else rng.beta(beta.a, beta.b, size)
        )
        d, theta = discount, alpha
    labels, b = np.zeros((size, n), int), np.arange(size)
    counts, t = np.zeros((size, n + 1)), np.zeros(size, int)
    for i in range(n):
        mass = np.where(counts > 0, counts - d[:, None], 0.0)
        mass[b, t] = np.maximum(theta + d * t, 1e-300) if i else 1.0
        labels[:, i] = prior_draws.categorical(mass, rng)
        counts[b, labels[:, i]] += 1
        t += labels[:, i] == t
    return labels, np.stack([alpha, discount, k], axis=1)


def chain_at(mixture, at, rng):
    """A chain at one draw."""
    weights, t = mixture.weights, at.labels.max() + 1
    alpha, discount, k = at.numbers[0]
    state = {}
    if mixture.components.scale_hyperprior is not None:
        state["covariance_scale"] = at.scale[0]
    if weights.random_concentration is not None:
        state["concentration"] = float(alpha)
    if weights.random_discount is not None:
        state["discount"] = float(discount)
    if k > 0:
        state["n_components"] = int(k)
    return Named.at(mixture, at.x[0], at.labels[0], rng, means=at.means[0, :t], **state)


def joint_of(chain, like):
    """Where a chain is, as one draw; what it does not carry is that of another draw."""
    alpha, discount, _ = like.numbers[0]
    inside = chain.state.labels
    first = [np.flatnonzero(chain.labels == j)[0] for j in range(chain.n_clusters)]
    order = inside[first]
    means = np.zeros_like(like.means)
    covariances = np.tile(np.eye(2), (1, means.shape[1], 1, 1))
    means[0, : len(order)] = chain.means[order]
    covariances[0, : len(order)] = chain.covariances[order]
    scale = like.scale if chain.covariance_scale is None else chain.covariance_scale[None]
    numbers = [
        alpha if chain.concentration is None else chain.concentration,
        discount if chain.discount is None else chain.discount,
        chain.n_components or 0,
    ]
    return Joint(chain.labels[None], means, covariances, like.x, scale, np.array([numbers]))


def stack(draws):
    """Join draws."""
    columns = zip(*(vars(at).values() for at in draws), strict=True)
    return Joint(*(np.concatenate(column) for column in columns))


def features(points, mixture):
    """Label-invariant functions of everything, (B, F)."""
    labels, x = points.labels, points.x
    b = np.arange(len(labels))[:, None]
    means, covariances = points.means[b, labels], points.covariances[b, labels]
    delta = x - means
    precision = np.linalg.inv(covariances)
    distance = np.einsum("bni,bnij,bnj->bn", delta, precision, delta)
    log_determinant = np.linalg.slogdet(covariances)[1]
    together = labels[:, :, None] == labels[:, None, :]
    own = covariances[:, 0]
    columns = [
        labels.max(axis=1),
        together[:, 0, 1],
        together[:, 2, 5],
        together.sum(axis=(1, 2)),
        (distance + log_determinant).sum(axis=1),
        distance.sum(axis=1),
        log_determinant[:, 0],
        log_determinant.sum(axis=1),
        own[:, 0, 1] / np.sqrt(own[:, 0, 0] * own[:, 1, 1]),
        means[:, 0, 0],
        np.abs(means[:, 0] - means[:, 1]).sum(axis=1),
        np.where(together[:, 0, 1], np.abs(x[:, 0] - x[:, 1]).sum(axis=1), 0),
        x[:, 0, 0],
        np.abs(x[:, 0] - x[:, 1]).sum(axis=1),
    ]
    if mixture.components.scale_hyperprior is not None:
        columns += list(np.log(np.diagonal(points.scale, axis1=-2, axis2=-1)).T)
    alpha, discount, k = points.numbers.T
    if mixture.weights.random_concentration is not None:
        columns.append(np.log(alpha))
    if mixture.weights.random_discount is not None:
        columns.append(logit(discount))
    if k[0] > 0:
        columns += [np.log(k), k == labels.max(axis=1) + 1]
    return np.stack(columns, axis=-1).astype(float)
