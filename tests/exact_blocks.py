"""Marginal likelihood of every partition under NormalInverseWishart, through the 2**n subsets.

All but tied: a product over blocks, each looked up by its subset. Tied: the scatters of the blocks
are looked up, summed, and the one covariance is integrated out of the sum.
"""

import numpy as np
from scipy.special import gammaln, multigammaln


def log_marginals(x, partitions, mixture):
    """Log p(x | partition), (P,)."""
    prior, structure = mixture.components, mixture.covariance_type
    sizes, scatters = subset_statistics(x, prior)
    blocks = block_subsets(partitions)
    d = x.shape[1]
    kappa, scale = prior.mean_precision, np.asarray(prior.covariance_scale)
    # Without the determinants: what the mean leaves, and pi.
    means = 0.5 * d * (np.log(kappa / (kappa + sizes)) - sizes * np.log(np.pi))
    if structure == "tied":
        pooled = scatters[blocks].sum(axis=1)
        together = log_wishart_ratio(prior.dof, scale, np.full(len(blocks), len(x)), pooled)
        return means[blocks].sum(axis=1) + together
    ratio = {"full": log_wishart_ratio, "diag": _log_diag, "spherical": _log_spherical}[structure]
    return (means + ratio(prior.dof, scale, sizes, scatters))[blocks].sum(axis=1)


def subset_members(n):
    """Whether subset s holds row i, (2**n, n): the bits of s."""
    return (np.arange(2**n)[:, None] >> np.arange(n)) & 1 == 1


def block_subsets(partitions):
    """Subset in which each block of each partition consists, (P, n); 0 where there is no block."""
    n = partitions.shape[1]
    own = partitions[:, None, :] == np.arange(n)[:, None]
    return own @ 2 ** np.arange(n)


def subset_statistics(x, prior):
    """Sizes (2**n,) and scatters about the mean plus the pull of the prior mean (2**n, D, D)."""
    member = subset_members(len(x)).astype(float)
    sizes = member.sum(axis=1)
    center = member @ x / np.maximum(sizes, 1)[:, None]
    delta = (x - center[:, None]) * member[..., None]
    shift = center - np.asarray(prior.mean)
    pull = prior.mean_precision * sizes / (prior.mean_precision + sizes)
    outer = np.einsum("s,si,sj->sij", pull, shift, shift)
    return sizes, np.einsum("sni,snj->sij", delta, delta) + outer


def log_wishart_ratio(dof, scale, sizes, scatters):
    """Normalizer of IW(dof + n, S + scatter) over that of IW(dof, S), without pi, (...)."""
    d = len(scale)
    after = np.array([multigammaln((dof + n) / 2, d) for n in sizes])
    return (
        after
        - multigammaln(dof / 2, d)
        + dof / 2 * np.linalg.slogdet(scale)[1]
        - (dof + sizes) / 2 * np.linalg.slogdet(scale + scatters)[1]
    )


def _log_gamma_ratio(shape, before, counts, sums):
    """The same of one inverse gamma with ``counts`` terms of squares."""
    return (
        gammaln(shape + counts / 2)
        - gammaln(shape)
        + shape * np.log(before)
        - (shape + counts / 2) * np.log(before + sums)
    )


def _log_diag(dof, scale, sizes, scatters):
    shape = (dof - len(scale) + 1) / 2
    sums = np.diagonal(scatters, axis1=-2, axis2=-1)
    return _log_gamma_ratio(shape, np.diag(scale), sizes[:, None], sums).sum(axis=-1)


def _log_spherical(dof, scale, sizes, scatters):
    d = len(scale)
    sums = np.trace(scatters, axis1=-2, axis2=-1)
    return _log_gamma_ratio((dof - d + 1) / 2, np.trace(scale) / d, sizes * d, sums)
