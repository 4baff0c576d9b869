r"""How far two partitions of the same rows are from each other.

With :math:`n_{jk}` rows that a puts into j and b into k, and :math:`f(c) = c \log_2 c`,

.. math::

    \mathrm{VI}(a, b) = H(a \mid b) + H(b \mid a)
    = \frac{1}{n} \Big(\sum_j f(n_{j\cdot}) + \sum_k f(n_{\cdot k}) - 2 \sum_{jk} f(n_{jk})\Big);

the adjusted Rand index is made of the same sums of :math:`c (c - 1)/2`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.integer]

__all__ = ["adjusted_rand_index", "bits", "pairs", "rand_of_sums", "variation_of_information"]

_BLOCK = 1 << 20  # labels, or cells of tables, at a time
_DENSE = 16  # cells per row above which a table of all pairs of labels is not worth filling


def variation_of_information(a: ArrayLike, b: ArrayLike) -> Any:
    """Variation of information of two partitions, in bits: 0 if they are the same.

    Parameters
    ----------
    a, b : (..., n) array_like of int
        Labels of n rows; what they are called does not matter. Axes in front broadcast, so that
        one partition (n,) meets those of all draws (S, n).

    Returns
    -------
    float or (...) ndarray
        At most log2(n).

    Raises
    ------
    ValueError
        If labels are no integers, there are no rows, or the two have different rows.

    References
    ----------
    M. Meilă, "Comparing clusterings: an information based distance", Journal of Multivariate
    Analysis 98, 2007.

    Examples
    --------
    >>> import bayesmix as bm
    >>> bm.variation_of_information([0, 0, 1, 1], [0, 0, 1, 2])
    0.5
    """
    n = np.shape(a)[-1] if np.ndim(a) else 0
    of_a, of_b, joint = _sums(a, b, bits(np.arange(n + 1)))
    return _plain(np.maximum(of_a + of_b - 2 * joint, 0) / n)


def adjusted_rand_index(a: ArrayLike, b: ArrayLike) -> Any:
    """Adjusted Rand index of two partitions: 1 if they are the same, 0 on average at random.

    Parameters
    ----------
    a, b : (..., n) array_like of int
        Labels of n rows, as for `variation_of_information`.

    Returns
    -------
    float or (...) ndarray

    Raises
    ------
    ValueError
        As `variation_of_information`.

    References
    ----------
    L. Hubert and P. Arabie, "Comparing partitions", Journal of Classification 2, 1985.

    Examples
    --------
    >>> import bayesmix as bm
    >>> round(bm.adjusted_rand_index([0, 0, 1, 1], [0, 0, 1, 2]), 3)
    0.571
    """
    n = np.shape(a)[-1] if np.ndim(a) else 0
    return _plain(rand_of_sums(n, *_sums(a, b, pairs(np.arange(n + 1)))))


def bits(counts: ArrayLike) -> Floats:
    """Counts c times log2 c, 0 at 0."""
    c = np.asarray(counts, float)
    return np.asarray(c * np.log2(np.maximum(c, 1)))


def pairs(counts: ArrayLike) -> Floats:
    """Pairs among counts c, c (c - 1)/2."""
    c = np.asarray(counts, float)
    return np.asarray(c * (c - 1) / 2)


def rand_of_sums(n: int, of_a: Any, of_b: Any, joint: Any) -> Floats:
    """Adjusted Rand index from pairs in a's clusters, in b's, and in both; n rows in all."""
    by_chance = of_a * of_b / max(pairs(n), 1.0)
    most = (of_a + of_b) / 2
    same = most == by_chance  # both one cluster, or both n of them
    return np.where(same, 1.0, (joint - by_chance) / np.where(same, 1.0, most - by_chance))


def _sums(a: ArrayLike, b: ArrayLike, values: Floats) -> tuple[Floats, Floats, Floats]:
    """Sums of ``values`` at the sizes of a's clusters, of b's, and of their intersections."""
    (one, n_one), (other, n_other) = _codes(a, "a"), _codes(b, "b")
    if one.shape[-1] != other.shape[-1]:
        raise ValueError(
            f"b: expected labels of {one.shape[-1]} rows, as a has, got {other.shape[-1]}"
        )
    of_one = _by_partition(lambda s: one[s], one, n_one, values)
    of_other = _by_partition(lambda s: other[s], other, n_other, values)
    shape = np.broadcast_shapes(one.shape, other.shape)
    left, right = (np.broadcast_to(labels, shape) for labels in (one, other))

    def cells(s: Any) -> Integers:
        return left[s].astype(np.int64) * n_other + right[s]

    joint = _by_partition(cells, left, n_one * n_other, values)
    return np.broadcast_to(of_one, shape[:-1]), np.broadcast_to(of_other, shape[:-1]), joint


def _by_partition(
    code: Callable[[Any], Integers], like: Integers, n_codes: int, values: Floats
) -> Floats:
    """Sum ``values`` at how often every code occurs, for each partition, in blocks of them."""
    axes, n = like.shape[:-1], like.shape[-1]
    found = np.empty(axes)
    flat = found.reshape(-1)
    dense = n_codes <= _DENSE * n
    step = max(1, _BLOCK // max(n, n_codes if dense else n))
    for start in range(0, flat.size, step):
        own = np.unravel_index(np.arange(start, min(start + step, flat.size)), axes) if axes else ()
        codes = code(own).reshape(-1, n)
        if dense:
            codes = codes + n_codes * np.arange(len(codes))[:, None]
            counts = np.bincount(codes.ravel(), minlength=n_codes * len(codes))
            flat[start : start + step] = values[counts].reshape(len(codes), -1).sum(axis=1)
        else:
            each = [values[np.unique(row, return_counts=True)[1]].sum() for row in codes]
            flat[start : start + step] = each
    return found


def _codes(labels: ArrayLike, name: str) -> tuple[Integers, int]:
    """Labels from 0, and how many there may be: fewer than rows, or as few as there are."""
    array = np.asarray(labels)
    if array.ndim == 0 or array.shape[-1] == 0 or array.dtype.kind not in "iu":
        raise ValueError(
            f"{name}: expected whole numbers, the labels of at least one row, got an array of "
            f"{array.dtype} with shape {array.shape}"
        )
    if array.size and (array.min() < 0 or array.max() >= array.shape[-1]):
        found, inverse = np.unique(array, return_inverse=True)
        return inverse.reshape(array.shape), len(found)
    if array.dtype == np.uint64:  # no integer type holds its sums with others
        array = array.astype(np.int64)
    return array, int(array.max(initial=0)) + 1


def _plain(values: Floats) -> Any:
    return values if values.ndim else float(values)
