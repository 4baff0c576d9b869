"""A Gibbs sampler in plain NumPy: slow, dense, each formula once; the tests' second engine.

It has the face of `bayesmix.gibbs.Chain` and shares no code with it. Planted errors live in
subclasses of it. Its split and merge move proposes at random and knows NormalInverseWishart only.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import gammaln, logsumexp

import bayesmix as bm
from tests.exact import log_labels, log_marginal
from tests.prior_draws import categorical, dirichlet, inverse_wishart, truncated_gamma


@dataclass
class Chain:
    """State and last point of one chain."""

    mixture: bm.Mixture
    x: np.ndarray
    labels: np.ndarray
    rng: np.random.Generator
    means: np.ndarray | None
    covariance_scale: np.ndarray | None
    concentration: float | None
    discount: ClassVar[None] = None
    weights: np.ndarray | None = None
    covariances: np.ndarray | None = None
    log_likelihood: float | None = None

    @classmethod
    def at(
        cls, mixture, x, labels, generator, *, means=None, covariance_scale=None, concentration=None
    ):
        """Start from given labels; the independent prior carries means, and a random scale."""
        labels = np.array(labels)
        return cls(mixture, x, labels, generator, means, covariance_scale, concentration)

    def sweep(self, count=1):
        """Parameters given labels, then labels given parameters."""
        for _ in range(count):
            if self.mixture.weights.exchangeable:
                self._permute()
            counts = np.bincount(self.labels, minlength=self.mixture.n_components)
            self._draw_weights(counts)
            if isinstance(self.mixture.components, bm.NormalInverseWishart):
                self._draw_conjugate(counts)
            else:
                self._draw_independent(counts)
            self._draw_labels()

    def split_merge(self):
        """Split one cluster at random, or merge two, with the exact ratio."""
        i, j = self.rng.choice(len(self.x), 2, replace=False)
        proposed = self.labels.copy()
        splits = self.labels[i] == self.labels[j]
        empty = np.setdiff1d(np.arange(self.mixture.n_components), self.labels)
        if splits:
            if len(empty) == 0:
                return False
            others = np.flatnonzero(self.labels == self.labels[i])
            others = others[(others != i) & (others != j)]
            moved = np.append(others[self.rng.random(len(others)) < 0.5], j)
            proposed[moved] = self.rng.choice(empty)
            log_forward, log_back = self._log_split(len(empty), len(others)), 0.0
        else:
            proposed[self.labels == self.labels[j]] = self.labels[i]
            others = np.count_nonzero(proposed == self.labels[i]) - 2
            log_forward, log_back = 0.0, self._log_split(len(empty) + 1, others)
        log_ratio = self._log_target(proposed) - self._log_target(self.labels)
        accepted = np.log(self.rng.random()) < log_ratio + log_back - log_forward
        if accepted:
            self.labels = proposed
        return bool(accepted)

    def _log_split(self, n_empty, n_others):
        """Log probability of one split: its component, and the side of every other row."""
        return -np.log(n_empty) - n_others * np.log(2)

    def _log_target(self, labels):
        return log_labels(labels, self._concentrations()) + log_marginal(
            self.x, labels, self.mixture.components, self.mixture.covariance_type
        )

    def _concentrations(self):
        if self.concentration is None:
            return self.mixture.weights.concentrations
        return np.full(self.mixture.n_components, self.concentration)

    def _permute(self):
        order = self.rng.permutation(self.mixture.n_components)
        self.labels = order[self.labels]
        if self.means is not None:
            self.means = self.means[np.argsort(order)]

    def _draw_weights(self, counts):
        """Concentration with the weights integrated out, then the weights."""
        if self.concentration is not None:
            self.concentration = self._draw_concentration(counts)
        self.weights = dirichlet((self._concentrations() + counts)[None], self.rng)[0]

    def _draw_concentration(self, counts):
        """One step of slice sampling in the logarithm."""
        prior, k, n = self.mixture.weights.concentration, len(counts), counts.sum()

        def log_density(t):
            c = np.exp(t)
            log = prior.shape * t - prior.rate * c + gammaln(k * c) - gammaln(k * c + n)
            return log + (gammaln(c + counts) - gammaln(c)).sum()

        return np.exp(slice_step(log_density, np.log(self.concentration), self.rng))

    def _draw_conjugate(self, counts):
        prior = self.mixture.components
        kappa, m = prior.mean_precision, np.asarray(prior.mean)
        member = np.eye(len(counts))[self.labels]
        sums = member.T @ self.x
        center = (kappa * m + sums) / (kappa + counts)[:, None]
        delta = self.x - center[self.labels]
        scatter = np.einsum("nk,ni,nj->kij", member, delta, delta)
        shift = center - m
        scatter += kappa * shift[:, :, None] * shift[:, None, :]
        self.covariances = self._draw_covariances(counts, scatter)
        root = np.linalg.cholesky(self.covariances / (kappa + counts)[:, None, None])
        self.means = center + (root @ self.rng.normal(size=(*center.shape, 1)))[..., 0]

    def _draw_independent(self, counts):
        """Covariances, scale and means, each given the others; the means come as they are."""
        prior = self.mixture.components
        delta = self.x - self.means[self.labels]
        member = np.eye(len(counts))[self.labels]
        scatter = np.einsum("nk,ni,nj->kij", member, delta, delta)
        self.covariances = self._draw_covariances(counts, scatter)
        if self.covariance_scale is not None:
            self.covariance_scale = self._draw_scale()
        precision = np.linalg.inv(self.covariances)
        spread = np.linalg.inv(np.asarray(prior.mean_covariance))
        total = np.linalg.inv(spread + counts[:, None, None] * precision)
        sums = (member.T @ self.x)[..., None]
        pull = spread @ np.asarray(prior.mean)[:, None] + precision @ sums
        noise = self.rng.normal(size=(*self.means.shape, 1))
        self.means = (total @ pull + np.linalg.cholesky(total) @ noise)[..., 0]

    def _dof(self, counts):
        """Degrees of freedom after the rows."""
        return self.mixture.components.dof + counts

    def _draw_covariances(self, counts, scatter):
        """Draw dense covariances (K, D, D) given sizes and scatters of the components."""
        prior, d = self.mixture.components, self.x.shape[1]
        stated = self.covariance_scale
        scale = np.asarray(prior.covariance_scale) if stated is None else stated
        match self.mixture.covariance_type:
            case "full":
                return inverse_wishart(self._dof(counts), scale + scatter, self.rng)
            case "tied":
                one = inverse_wishart(
                    self._dof(counts.sum()), scale + scatter.sum(axis=0), self.rng
                )
                return np.repeat(one[None], len(counts), axis=0)
            case "diag":
                shape = (self._dof(counts) - d + 1)[:, None] / 2
                sums = np.diagonal(scale + scatter, axis1=-2, axis2=-1)
            case "spherical":
                shape = (self._dof(counts * d) - d + 1)[:, None] / 2
                sums = (np.trace(scale) / d + np.trace(scatter, axis1=-2, axis2=-1))[:, None]
        variances = sums / 2 / self.rng.gamma(np.broadcast_to(shape, sums.shape))
        return variances[..., None] * np.eye(d)

    def _draw_scale(self):
        """Gamma on at least its floor: each covariance adds dof/2 to the shape."""
        prior, d = self.mixture.components, self.x.shape[1]
        shape, rate, floor = (np.asarray(v) for v in prior.scale_hyperprior)
        if self.mixture.covariance_type == "tied":
            precisions = np.linalg.inv(self.covariances[:1])
        else:
            precisions = np.linalg.inv(self.covariances)
        sums = np.diagonal(precisions, axis1=-2, axis2=-1).sum(axis=0)
        dof = prior.dof
        if self.mixture.covariance_type in ("diag", "spherical"):
            dof = prior.dof - d + 1
        if self.mixture.covariance_type == "spherical":
            rate, floor, sums = 1 / np.mean(1 / rate, keepdims=True), floor.mean(), sums[:1]
        shape = np.full(len(rate), shape + len(precisions) * dof / 2)
        return truncated_gamma(shape, rate + sums / 2, floor, self.rng) * np.eye(d)

    def _draw_labels(self):
        joint = log_joint(self.x, self.weights, self.means, self.covariances)
        total = logsumexp(joint, axis=1, keepdims=True)
        self.log_likelihood = float(total.sum())
        self.labels = categorical(np.exp(joint - total), self.rng)


def log_joint(x, weights, means, covariances):
    """Log of weight times density, (..., n, K); any batch axes in front."""
    delta = x[..., :, None, :] - means[..., None, :, :]
    solved = np.einsum("...kij,...nkj->...nki", np.linalg.inv(covariances), delta)
    square = (delta * solved).sum(axis=-1)
    log_determinant = np.linalg.slogdet(2 * np.pi * covariances)[1]
    with np.errstate(divide="ignore"):
        log_weights = np.log(weights)
    return log_weights[..., None, :] - 0.5 * (square + log_determinant[..., None, :])


def slice_step(log_density, start, rng, width=2.0):
    """One step of slice sampling with stepping out and shrinkage (Neal 2003)."""
    level = log_density(start) - rng.exponential()
    low = start - width * rng.random()
    high = low + width
    while log_density(low) > level:
        low -= width
    while log_density(high) > level:
        high += width
    while True:
        proposed = rng.uniform(low, high)
        if log_density(proposed) > level:
            return proposed
        low, high = (proposed, high) if proposed < start else (low, proposed)
